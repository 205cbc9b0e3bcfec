// Compressed files from any bytes: read in order, by blocks if an index is found, and at offsets. Both readings agree.

#include <algorithm>
#include <vector>

#include "fuzz.hpp"
#include "stele/block_codec.hpp"
#include "stele/codec.hpp"
#include "stele/io.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

constexpr std::size_t most = std::size_t{8} << 20;  // plain bytes looked at

std::vector<std::byte> read_all(Source& source) {
  std::vector<std::byte> plain;
  while (plain.size() < most) {
    const std::size_t before = plain.size();
    plain.resize(before + (std::size_t{64} << 10));
    const std::size_t size = source.read(std::span(plain).subspan(before));
    plain.resize(before + size);
    if (size == 0) {
      break;
    }
  }
  return plain;
}

void decompress(Bytes bytes, const Codec& codec) {
  std::vector<std::byte> in_order;
  const bool readable = succeeds([&] {
    const auto stored = memory_source(bytes);
    const auto source = codec.in_order(*stored, {});
    in_order = read_all(*source);
    source->finish();
  });
  succeeds([&] {
    const auto source = decompressing_source(memory_source(bytes), codec);
    const std::vector<std::byte> plain = read_all(*source);
    require(!readable || plain == in_order);
    if (source->random_access() && !plain.empty()) {
      std::vector<std::byte> part(std::min<std::size_t>(plain.size(), 100));
      const std::uint64_t offset = plain.size() - part.size();
      source->read_at(offset, part);
      require(std::equal(part.begin(), part.end(), plain.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
  });
}

/// The codecs of the build, and one of functions: a block of one value is stored as that.
Codecs all_codecs() {
  Codecs codecs;
  codecs.add(block_codec({.name = "runs",
                          .extensions = {".runs"},
                          .magic = "runs",
                          .compress =
                              [](Bytes plain, int, std::vector<std::byte>& out) {
                                const bool one = std::count(plain.begin(), plain.end(), plain[0]) ==
                                                 static_cast<std::ptrdiff_t>(plain.size());
                                out.insert(out.end(), plain.begin(), one ? plain.begin() + 1 : plain.end());
                              },
                          .decompress =
                              [](Bytes stored, MutableBytes plain) {
                                std::fill(plain.begin(), plain.end(), stored[0]);
                                return stored.size() == 1;
                              }}));
  return codecs;
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  static const Codecs codecs = all_codecs();
  const Bytes bytes = std::as_bytes(std::span(data, size));
  for (const auto& codec : codecs.all()) {
    if (codec->recognises(bytes.first(std::min<std::size_t>(size, 12)))) {
      decompress(bytes, *codec);
    }
  }
  return 0;
}
