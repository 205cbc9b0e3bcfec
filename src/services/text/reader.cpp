#include "services/text/reader.hpp"

namespace stele::state_text {

PayloadReader::PayloadReader(const TextLoadOptions& options) {
  options_.strict = options.strict;
  options_.types = options.types;
  options_.limits.allocation = options.max_bytes;
  field_rules_ = {options.strict, options.strict};
  types_ = options.types;
}

InVisitor& PayloadReader::begin_integers(const IntegerForm& form, Bytes planes) {
  item_.reset();
  form_ = form;
  planes_ = planes;
  return *this;
}

InVisitor& PayloadReader::begin_value(Bytes item) {
  item_ = read_item(item, options_);
  return item_->visitor();
}

void PayloadReader::make_item() {
  made_.clear();
  join_typed_array(form_, planes_, options_.limits.allocation, made_);
  item_ = read_item(made_, options_);
}

void PayloadReader::finish() {
  if (item_ != nullptr) {
    item_->finish();
    item_.reset();  // only the caller keeps the objects now
  }
}

void PayloadReader::array(ArrayTarget& target) {
  if (item_ != nullptr || !is_integer(target.dtype())) {
    decoder().array(target);
    return;
  }
  const ArrayHeader stored{target.dtype(), {form_.count}, Order::row_major};
  if (!target.accepts(stored)) {
    fail(Errc::type_mismatch,
         "expected " + target.dtype().name() + target.expected() + ", found integers" + stored.shape.text());
  }
  if (form_.count > options_.limits.allocation / target.dtype().item_size()) {
    fail(Errc::limit_exceeded, std::to_string(form_.count) + " integers take more than the " +
                                   std::to_string(options_.limits.allocation) + " bytes of TextLoadOptions::max_bytes");
  }
  join_integers(form_, planes_, target);
}

void PayloadReader::raise(Errc code, std::string message) {
  if (item_ != nullptr) {
    item_->visitor().error(code, std::move(message));
  }
  fail(code, std::move(message));
}

}  // namespace stele::state_text
