// The CBOR reader and its users outside objects: directory, trailer, element types, paths.

#include <algorithm>
#include <array>

#include "format/path/path.hpp"
#include "fuzz.hpp"
#include "support/hand_made.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

/// A directory that was read is written and read again, and equal.
void read_directory(Bytes bytes) {
  const Directory directory = decode_directory(bytes, std::uint64_t{1} << 40);
  const test::Data again = encode_directory(directory);
  require(encode_directory(decode_directory(again, std::uint64_t{1} << 40)) == again);
}

void read_items(Bytes bytes) {
  cbor::Cursor in(bytes);
  while (in.position() < bytes.size()) {
    in.skip();
  }
}

void read_trailer(Bytes bytes) {
  std::array<std::byte, frozen::trailer_bytes> item{};
  std::copy_n(bytes.begin(), std::min(item.size(), bytes.size()), item.begin());
  const Trailer trailer = decode_trailer(item, std::uint64_t{1} << 40);
  require(encode_trailer(trailer) == item);
}

void read_path(Bytes bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string again;
  const std::vector<PathStep> steps = split_path(text);
  for (const PathStep& step : steps) {
    switch (step.kind) {
      case PathStep::Kind::name:
        append_step(again, step.name);
        break;
      case PathStep::Kind::place:
        append_place(again, step.index);
        break;
      case PathStep::Kind::deferred:
        again = deferred_path(step.index);
    }
  }
  require(split_path(again) == steps);
}

void read_dtype(Bytes bytes) {
  bool big_endian = false;
  const DType dtype = DType::from_numpy({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, big_endian);
  require(DType::from_numpy(dtype.numpy(), big_endian) == dtype);
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  for (const auto read : {read_directory, read_items, read_trailer, read_path, read_dtype}) {
    succeeds([&] { read(bytes); });
  }
  return 0;
}
