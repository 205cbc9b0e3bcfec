#include "cli/bench/object.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "cli/streams/input.hpp"
#include "stele/archive.hpp"

namespace stele::cli {
namespace {

constexpr std::uint64_t large_array_bytes = std::uint64_t{64} << 10;
constexpr std::uint64_t stretch_bytes = std::uint64_t{256} << 10;
constexpr std::uint64_t most_stretches = 64;

class CountingSink final : public Sink {
 public:
  void write(Bytes bytes) override { count_ += bytes.size(); }
  std::uint64_t count() const noexcept { return count_; }

 private:
  std::uint64_t count_ = 0;
};

Value bytes_of(const std::string& file) {
  const std::unique_ptr<Source> source = open_input(file);
  const std::vector<std::byte> all = read_all(*source);
  if (all.empty()) {
    fail(Errc::not_an_archive, "the input is empty");
  }
  return AnyArray::copy_of(ArrayView(DType(DTypeOf<std::uint8_t>::kind), all.data(), all.size()));
}

/// Some rows of an array, in runs from all over it, since its data may vary along the array.
AnyArray some_rows(const AnyArray& array, double share) {
  const ArrayView& view = array.view();
  const Order order = view.is_dense(Order::row_major) ? Order::row_major : Order::column_major;
  const std::uint64_t bytes = view.byte_count();
  if (bytes < large_array_bytes || !view.is_dense(order)) {
    return array;
  }
  const std::size_t rank = view.shape.rank();
  std::size_t axis = 0;  // the slowest-varying axis; its index
  const auto extent_of = [&](std::size_t i) { return order == Order::row_major ? i : rank - 1 - i; };
  while (axis + 1 < rank && view.shape[extent_of(axis)] == 1) {
    ++axis;
  }
  const std::uint64_t rows = view.shape[extent_of(axis)];
  const auto wanted = static_cast<std::uint64_t>(std::ceil(static_cast<double>(rows) * share));
  if (wanted >= rows) {
    return array;
  }
  const std::uint64_t row_bytes = bytes / rows;
  const std::uint64_t stretches = std::clamp<std::uint64_t>(wanted * row_bytes / stretch_bytes, 1, most_stretches);
  Shape shape = view.shape;
  shape[extent_of(axis)] = wanted;
  std::shared_ptr<Buffer> buffer = Buffer::allocate(static_cast<std::size_t>(wanted * row_bytes));
  for (std::uint64_t i = 0; i < stretches; ++i) {
    const std::uint64_t first = wanted * i / stretches;
    const std::uint64_t last = wanted * (i + 1) / stretches;
    const std::uint64_t from = stretches == 1 ? 0 : (rows - wanted) * i / (stretches - 1) + first;
    std::memcpy(buffer->mutable_data() + first * row_bytes, view.data + from * row_bytes,
                static_cast<std::size_t>((last - first) * row_bytes));
  }
  const ArrayView part(view.dtype, buffer->data(), shape, order);
  return {part, std::move(buffer)};
}

std::vector<Value> parts_of(std::span<const Value> values, double share) {
  std::vector<Value> parts;
  parts.reserve(values.size());
  for (const Value& value : values) {
    parts.push_back(part_of(value, share));
  }
  return parts;
}

}  // namespace

BenchObject read_object(const std::string& file, bool as_bytes, unsigned threads) {
  BenchObject object;
  object.archive = !as_bytes;
  if (object.archive) {
    try {
      object.value = open_archive(file, {.verify = Verify::full, .threads = threads}).load<Value>();
    } catch (const Error& error) {
      std::error_code ignored;  // only a file can be read again, and only a file is known to end
      if (error.code() != Errc::not_an_archive || !std::filesystem::is_regular_file(file, ignored)) {
        throw;
      }
      object.archive = false;
    }
  }
  if (!object.archive) {
    object.value = bytes_of(file);
  }
  object.plain_bytes = plain_size(object.value);
  return object;
}

Value part_of(const Value& value, double share) {
  switch (value.kind()) {
    case ValueKind::array:
      return some_rows(value.array(), share);
    case ValueKind::sequence:
      return Value::make_sequence(parts_of(value.items(), share), value.ordering());
    case ValueKind::record:
      return Value::make_record({value.names().begin(), value.names().end()}, parts_of(value.items(), share),
                                value.version());
    case ValueKind::map: {
      std::vector<Value::Entry> entries;
      entries.reserve(value.size());
      for (const auto& [key, item] : value.entries()) {
        entries.emplace_back(key, part_of(item, share));
      }
      return Value::make_map(std::move(entries), value.ordering());
    }
    case ValueKind::typed:
      return Value::make_typed(value.type_name(), part_of(value.content(), share));
    case ValueKind::shared:
      return Value::make_shared(value.anchor(), part_of(value.content(), share));
    default:
      return value;
  }
}

std::uint64_t plain_size(const Value& value) {
  CountingSink sink;
  save(sink, value, {.codec = "plain"});
  return sink.count();
}

}  // namespace stele::cli
