#include "archive/value/any_array.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "archive/convert.hpp"
#include "base/bytes.hpp"

namespace stele {

std::byte* AnyTarget::memory(const ArrayHeader& stored, std::uint64_t bytes, std::uint64_t total, bool trusted) {
  buffer_ = grown(std::move(buffer_), bytes, total, trusted);
  if (bytes == total) {
    view_ = ArrayView(stored.dtype, buffer_->data(), stored.shape, stored.order);
    view_.buffer = buffer_.get();
  }
  return buffer_->mutable_data();
}

bool AnyTarget::share(const ArrayView& view, const std::shared_ptr<Buffer>& buffer) {
  view_ = view;
  view_.buffer = buffer.get();
  buffer_ = buffer;
  return true;
}

bool has_parts(const DType& dtype) noexcept {
  return dtype.kind() == DType::Kind::complex64 || dtype.kind() == DType::Kind::complex128 ||
         (dtype.is_time() && dtype.unit().length());
}

namespace {

class ArrayItems final : public InVisitor {
 public:
  ArrayItems(ArrayView view, std::shared_ptr<Buffer> buffer, InVisitor& errors)
      : view_(std::move(view)), buffer_(std::move(buffer)), errors_(errors) {
    field_rules_ = errors.field_rules();
    types_ = errors.types();
    top_.view = view_;
  }

  Kind kind() override {
    if (at_key()) {
      return Kind::text;
    }
    const Value value = current();
    if (value.view.shape.rank() > 0) {
      return Kind::array;
    }
    using K = DType::Kind;
    if (has_parts(value.view.dtype)) {
      return Kind::sequence;
    }
    switch (value.view.dtype.kind()) {
      case K::record:
        return Kind::record;
      case K::boolean:
        return Kind::boolean;
      case K::bytes:
        return Kind::bytes;
      case K::utf32:
        return Kind::text;
      case K::float16:
      case K::bfloat16:
      case K::float32:
      case K::float64:
        return Kind::real;
      default:
        return Kind::integer;
    }
  }
  void null() override { mismatch("null"); }
  bool boolean() override {
    const Value value = take("a boolean", DType::Kind::boolean);
    return *value.view.data != std::byte{0};
  }
  Number number() override {
    const Value value = take("a number");
    const std::byte* at = value.view.data;
    using K = DType::Kind;
    using T = Number::Type;
    const auto integer = [](std::int64_t n) {
      return n < 0 ? Number{T::negative, ~static_cast<std::uint64_t>(n)}
                   : Number{T::natural, static_cast<std::uint64_t>(n)};
    };
    switch (value.view.dtype.kind()) {
      case K::uint8:
      case K::float8_e4m3fn:
      case K::float8_e5m2:
        return {T::natural, load_le<std::uint8_t>(at)};
      case K::uint16:
        return {T::natural, load_le<std::uint16_t>(at)};
      case K::uint32:
        return {T::natural, load_le<std::uint32_t>(at)};
      case K::uint64:
        return {T::natural, load_le<std::uint64_t>(at)};
      case K::int8:
        return integer(load_le<std::int8_t>(at));
      case K::int16:
        return integer(load_le<std::int16_t>(at));
      case K::int32:
        return integer(load_le<std::int32_t>(at));
      case K::int64:
        return integer(load_le<std::int64_t>(at));
      case K::float16:
        return {T::float16, load_le<std::uint16_t>(at)};
      case K::bfloat16:
        return {T::float32, std::uint64_t{load_le<std::uint16_t>(at)} << 16};
      case K::float32:
        return {T::float32, load_le<std::uint32_t>(at)};
      case K::float64:
        return {T::float64, load_le<std::uint64_t>(at)};
      default:
        mismatch("a number");
    }
  }
  void text(std::string& out) override {
    if (at_key()) {
      Frame& frame = frames_.back();
      out = frame.view.dtype.fields()[static_cast<std::size_t>(frame.index - 1)].name;
      frame.at_key = false;
      return;
    }
    const Value value = take("text");
    if (value.view.dtype.kind() != DType::Kind::bytes) {
      mismatch("text");
    }
    out.assign(reinterpret_cast<const char*>(value.view.data), value.view.dtype.item_size());
    out.erase(out.find_last_not_of('\0') + 1);  // NumPy pads with zeros
  }
  void array(ArrayTarget& target) override {
    const Value value = take_any();
    const DType& stored = value.view.dtype;
    const bool any = target.dtype().kind() == DType::Kind::none;
    const ArrayHeader found{stored, value.view.shape, Order::row_major};
    if ((!any && !widens(stored, target.dtype())) || !target.accepts(found)) {
      error(Errc::type_mismatch, "expected " + (any ? std::string() : target.dtype().name()) + target.expected() +
                                     ", found " + stored.name() + value.view.shape.text());
    }
    const bool same = any || stored == target.dtype();
    if (same && target.can_share() && target.share(value.view, buffer_)) {
      return;
    }
    const ArrayHeader wanted{any ? stored : target.dtype(), value.view.shape, Order::row_major};
    const std::uint64_t count = value.view.shape.count();
    const std::uint64_t total = count * wanted.dtype.item_size();
    target.memory(wanted, 0, total, true);
    std::byte* to = target.memory(wanted, total, total, true);
    const Order order = target.order(wanted);
    if (same) {
      gather(value.view, order, 0, count, to);
      return;
    }
    std::vector<std::byte> raw(static_cast<std::size_t>(value.view.byte_count()));
    gather(value.view, order, 0, count, raw.data());
    if (!convert_elements(stored, raw.data(), wanted.dtype, to, count)) {
      error(Errc::out_of_range, inexact_time);
    }
  }
  std::optional<std::uint64_t> begin_sequence() override {
    Value value = take_any();
    using K = DType::Kind;
    const DType& element = value.view.dtype;
    if (value.view.shape.rank() == 0 && element.is_time() && has_parts(element)) {
      const TimeUnit::Length unit = *element.unit().length();
      parts_ = {load_le<std::int64_t>(value.view.data), static_cast<std::int64_t>(unit.numerator),
                static_cast<std::int64_t>(unit.denominator)};
      value.view = ArrayView(K::int64, parts_.data(), parts_.size());
    } else if (value.view.shape.rank() == 0 && has_parts(element)) {
      value.view = ArrayView(element.kind() == K::complex64 ? K::float32 : K::float64, value.view.data, 2);
    }
    if (value.view.shape.rank() == 0) {
      mismatch("a sequence");
    }
    frames_.push_back({std::move(value.view), 0, false});
    return frames_.back().view.shape[0];
  }
  std::optional<std::uint64_t> begin_map() override {
    const Value value = take("a map", DType::Kind::record);
    frames_.push_back({value.view, 0, true});
    return value.view.dtype.fields().size();
  }
  bool next() override {
    Frame& frame = frames_.back();
    const std::uint64_t count = frame.record ? frame.view.dtype.fields().size() : frame.view.shape[0];
    if (frame.index == count) {
      frames_.pop_back();
      return false;
    }
    ++frame.index;
    frame.at_key = frame.record;
    return true;
  }
  void begin_record() override {
    const Value value = take("a record", DType::Kind::record);
    frames_.push_back({value.view, 0, true});
  }
  bool next_field(std::string_view& name) override {
    Frame& frame = frames_.back();
    const auto& fields = frame.view.dtype.fields();
    if (frame.index == fields.size()) {
      frames_.pop_back();
      return false;
    }
    name = fields[static_cast<std::size_t>(frame.index++)].name;
    return true;
  }
  void skip() override {
    if (at_key()) {
      frames_.back().at_key = false;
    }
  }
  SharedIn begin_shared() override { return {}; }
  void define_shared(std::uint64_t, SharedObject) override {}
  SharedObject shared(std::uint64_t) override { return {}; }
  void enter_shared(std::uint64_t) override {}
  void leave_shared() override {}
  std::optional<std::string> begin_typed() override { return std::nullopt; }
  void end_typed() override {}
  void raise(Errc code, std::string message) override { errors_.error(code, std::move(message)); }

 private:
  bool at_key() const noexcept { return !frames_.empty() && frames_.back().at_key; }
  struct Value {
    ArrayView view;
  };
  struct Frame {
    ArrayView view;
    std::uint64_t index;  // items or fields begun so far
    bool record;
    bool at_key = false;  // a record read as a map: the field's name comes next
  };

  Value current() const {
    if (frames_.empty()) {
      return top_;
    }
    const Frame& frame = frames_.back();
    Value value;
    const auto begun = static_cast<std::size_t>(frame.index - 1);
    if (frame.record) {
      const DType::Field& field = frame.view.dtype.fields()[begun];
      value.view = field.count == 1 ? ArrayView(field.type, frame.view.data + field.offset, Shape{}, Order::row_major)
                                    : ArrayView(field.type, frame.view.data + field.offset, field.count);
    } else {
      value.view.dtype = frame.view.dtype;
      value.view.data = frame.view.data + static_cast<std::int64_t>(begun) * frame.view.strides[0];
      for (std::size_t axis = 1; axis < frame.view.shape.rank(); ++axis) {
        value.view.shape.push_back(frame.view.shape[axis]);
        value.view.strides[axis - 1] = frame.view.strides[axis];
      }
    }
    return value;
  }
  Value take_any() const { return current(); }
  Value take(const char* wanted, DType::Kind kind = DType::Kind::none) {
    Value value = current();
    if (value.view.shape.rank() != 0 || (kind != DType::Kind::none && value.view.dtype.kind() != kind)) {
      mismatch(wanted);
    }
    return value;
  }
  [[noreturn]] void mismatch(const char* wanted) {
    const Value value = current();
    error(Errc::type_mismatch, std::string("expected ") + wanted + ", found " + value.view.dtype.name() +
                                   (value.view.shape.rank() > 0 ? value.view.shape.text() : std::string()));
  }

  ArrayView view_;
  std::shared_ptr<Buffer> buffer_;
  InVisitor& errors_;
  Value top_;
  std::vector<Frame> frames_;
  std::array<std::int64_t, 3> parts_{};  // of the time being read
};

}  // namespace

std::unique_ptr<InVisitor> array_items(ArrayView view, std::shared_ptr<Buffer> buffer, InVisitor& errors) {
  return std::make_unique<ArrayItems>(std::move(view), std::move(buffer), errors);
}

}  // namespace stele
