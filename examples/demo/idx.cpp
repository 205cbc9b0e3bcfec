#include "idx.hpp"

#include <array>
#include <memory>

#include "stele/codec.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"

namespace demo {
namespace {

/// Fills `into`. Throws: stele::Error(truncated).
void read_all(stele::Source& source, stele::MutableBytes into) {
  while (!into.empty()) {
    const std::size_t size = source.read(into);
    if (size == 0) {
      stele::fail(stele::Errc::truncated, "the file ends early");
    }
    into = into.subspan(size);
  }
}

std::uint32_t big_endian(const std::byte* bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[i]);
  }
  return value;
}

}  // namespace

template <std::size_t Rank>
stele::Array<std::uint8_t, Rank> read_idx(const std::string& path) {
  constexpr std::uint32_t bytes_type = 0x08;
  const stele::Codecs codecs;
  const std::unique_ptr<stele::Source> source =
      stele::decompressing_source(stele::file_source(path), *codecs.find("gzip"));

  std::array<std::byte, 4 + 4 * Rank> header;
  read_all(*source, header);
  if (big_endian(header.data()) != (bytes_type << 8 | Rank)) {
    stele::fail(stele::Errc::malformed, path + " has no bytes of rank " + std::to_string(Rank));
  }
  std::array<std::uint64_t, Rank> shape;
  for (std::size_t i = 0; i < Rank; ++i) {
    shape[i] = big_endian(&header[4 + 4 * i]);
  }
  if (stele::Shape(shape).count() > std::uint64_t{1} << 30) {
    stele::fail(stele::Errc::malformed, path + " claims to hold " + stele::Shape(shape).text());
  }
  auto array = stele::Array<std::uint8_t, Rank>::uninitialized(shape);
  read_all(*source, std::as_writable_bytes(array.mutable_span()));
  source->finish();
  return array;
}

template stele::Array<std::uint8_t, 1> read_idx(const std::string& path);
template stele::Array<std::uint8_t, 3> read_idx(const std::string& path);

}  // namespace demo
