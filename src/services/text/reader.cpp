#include "services/text/reader.hpp"

#include <cstring>

#include "format/frozen.hpp"

namespace stele::state_text {

PayloadReader::PayloadReader(const TextLoadOptions& options) : max_bytes_(options.max_bytes) {
  field_rules_ = {options.strict, options.strict};
  types_ = options.types;
}

PayloadReader::~PayloadReader() { close(); }

void PayloadReader::close() noexcept {
  decoder_.reset();
  input_.reset();
  source_.reset();
}

InVisitor& PayloadReader::begin_integers(const IntegerForm& form, Bytes planes) {
  close();
  form_ = form;
  planes_ = planes;
  return *this;
}

InVisitor& PayloadReader::begin_value(MutableBytes labelled) {
  close();
  form_.reset();
  labelled_ = labelled;
  begin_decoder();
  return *decoder_;
}

void PayloadReader::begin_decoder() {
  if (form_) {
    item_.resize(frozen::label.size());
    join_typed_array(*form_, planes_, max_bytes_, item_);
    labelled_ = item_;
  }
  std::memcpy(labelled_.data(), frozen::label.data(), frozen::label.size());
  source_ = memory_source(labelled_);
  Input::Options input;
  input.end = labelled_.size();
  input.trusted_size = true;
  input.random = true;
  input.limits.allocation = max_bytes_;
  input_ = std::make_unique<Input>(*source_, input);
  DecoderContext context;
  context.verify = Verify::none;  // the text has a checksum
  context.field_rules = field_rules_;
  context.types = types_;
  decoder_ = std::make_unique<Decoder>(*input_, std::move(context));
  decoder_->begin();
}

void PayloadReader::finish() {
  if (decoder_ != nullptr && decoder_->here() != labelled_.size()) {
    fail(Errc::damaged, "bytes after the value");  // whoever reads then lets go of what was made
  }
  close();
}

void PayloadReader::array(ArrayTarget& target) {
  if (decoder_ != nullptr || !is_integer(target.dtype())) {
    decoder().array(target);
    return;
  }
  const ArrayHeader stored{target.dtype(), {form_->count}, Order::row_major};
  if (!target.accepts(stored)) {
    fail(Errc::type_mismatch,
         "expected " + target.dtype().name() + target.expected() + ", found integers" + stored.shape.text());
  }
  if (form_->count > max_bytes_ / target.dtype().item_size()) {
    fail(Errc::limit_exceeded, std::to_string(form_->count) + " integers take more than the " +
                                   std::to_string(max_bytes_) + " bytes of TextLoadOptions::max_bytes");
  }
  join_integers(*form_, planes_, target);
}

void PayloadReader::raise(Errc code, std::string message) {
  if (decoder_ != nullptr) {
    decoder_->error(code, std::move(message));
  }
  fail(code, std::move(message));
}

}  // namespace stele::state_text
