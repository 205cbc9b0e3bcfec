#include "archive/value/later.hpp"

#include <algorithm>
#include <vector>

#include "archive/value/any_array.hpp"
#include "format/array/typed.hpp"
#include "io/read.hpp"

namespace stele {
namespace {

constexpr std::uint64_t pass_bytes = std::uint64_t{8} << 20;  // blocks enough for several threads

}  // namespace

AnyArray LaterArray::read() {
  const std::unique_ptr<Source> source = open();
  AnyTarget target;
  const std::uint64_t total = bytes();
  std::uint64_t have = 0;
  do {  // memory is taken as the elements come
    const std::uint64_t end = std::min(total, std::max(ArrayTarget::claimed_bytes, 2 * have));
    std::byte* const to = target.memory(header_, end, total, false);
    read_exactly(*source, {to + have, static_cast<std::size_t>(end - have)});
    have = end;
  } while (have < total);
  return {target.view(), target.buffer()};
}

void LaterArray::pass(const std::function<void(Bytes)>& take) {
  const std::uint64_t item = std::max<std::uint64_t>(1, header_.dtype.item_size());
  const std::uint64_t most = std::max(item, pass_bytes / item * item);
  const std::unique_ptr<Source> source = open();
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(most, bytes())));
  for (std::uint64_t left = bytes(); left > 0;) {
    const MutableBytes part =
        MutableBytes(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size())));
    read_exactly(*source, part);
    take(part);
    left -= part.size();
  }
}

bool LaterArray::read_as(const DType&, const std::function<MutableBytes()>&) { return false; }

std::size_t ElementSource::read(MutableBytes into) {
  if (rest_.empty() && into.size() < item_size_ && left_ > 0) {  // a part of an element
    one_.resize(static_cast<std::size_t>(item_size_));
    take(1, one_.data());
    rest_ = one_;
  }
  if (!rest_.empty()) {
    const std::size_t part = std::min(into.size(), rest_.size());
    std::copy_n(rest_.begin(), part, into.begin());
    rest_ = rest_.subspan(part);
    return part;
  }
  const std::uint64_t count = std::min(left_, into.size() / item_size_);
  if (count > 0) {
    take(count, into.data());
  }
  return static_cast<std::size_t>(count * item_size_);
}

void ElementSource::take(std::uint64_t count, std::byte* to) {
  next(count, to);
  left_ -= count;
}

Value later_value(std::shared_ptr<LaterArray> array) {
  auto node = std::make_shared<ValueAccess::Array>();
  node->later = std::move(array);
  return ValueAccess::make(ValueKind::array, std::move(node));
}

LaterArray* later_array(const Value& value) noexcept {
  return value.is_array() ? ValueAccess::node<ValueAccess::Array>(value).later.get() : nullptr;
}

ArrayHeader header_of(const Value& array) {
  if (const LaterArray* const later = later_array(array)) {
    return later->header();
  }
  const ArrayView& view = array.array().view();
  return {view.dtype, view.shape, stored_order(view)};
}

const AnyArray& ValueAccess::Array::held() const {
  if (later != nullptr) {
    std::call_once(is_read, [&] { array = later->read(); });
  }
  return array;
}

}  // namespace stele
