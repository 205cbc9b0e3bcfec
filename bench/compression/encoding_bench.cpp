// The encodings of arrays: every kernel for every item size beside a copy, in cache; whole blocks through all stages.

#include <cstring>

#include "bench.hpp"
#include "encoding/encoding.hpp"
#include "encoding/kernels/kernels.hpp"

namespace {

using stele::EncodingKernels;

constexpr std::size_t size = std::size_t{256} << 10;  // of a block's elements

template <class Work>
void add(const std::string& name, Work work) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    std::vector<std::byte> from(size);
    std::vector<std::byte> to(size);
    for (std::size_t i = 0; i < size; ++i) {
      from[i] = static_cast<std::byte>(i * i >> 7);
    }
    for (auto _ : state) {
      work(from.data(), to.data());
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(size) * static_cast<std::int64_t>(state.iterations()));
  });
}

void add_kernels(const EncodingKernels& kernels) {
  const std::string which = "/" + std::string(kernels.name);
  add("to_bit_rows" + which, [&](auto f, auto t) { kernels.to_bit_rows(f, size / 8, t, size / 8); });
  add("from_bit_rows" + which, [&](auto f, auto t) { kernels.from_bit_rows(f, size / 8, size / 8, t); });
  add("largest/1" + which, [&](auto f, auto) { benchmark::DoNotOptimize(kernels.largest[0](f, size)); });
  add("largest/2" + which, [&](auto f, auto) { benchmark::DoNotOptimize(kernels.largest[1](f, size / 2)); });
  for (std::size_t w : {1U, 2U, 4U, 8U}) {
    const std::string what = "/" + std::to_string(w) + which;
    const std::size_t at = stele::width_index(w);
    const std::size_t count = size / w;
    if (w > 1) {
      add("shuffle" + what, [=, &kernels](auto f, auto t) { kernels.shuffle[at](f, count, t); });
      add("unshuffle" + what, [=, &kernels](auto f, auto t) { kernels.unshuffle[at](f, count, t); });
    }
    add("delta" + what, [=, &kernels](auto f, auto t) { kernels.delta[at](f, count, t); });
    add("undelta" + what, [=, &kernels](auto f, auto t) { kernels.undelta[at](f, count, t); });
    for (std::size_t s = 1; s < w; s *= 2) {
      const std::string to = "/" + std::to_string(w) + "-" + std::to_string(s) + which;
      const std::size_t to_at = stele::width_index(s);
      add("narrow" + to, [=, &kernels](auto f, auto t) { kernels.narrow[at][to_at](f, count, 3, t); });
      add("widen" + to, [=, &kernels](auto f, auto t) { kernels.widen[at][to_at](f, count, 3, t); });
    }
  }
}

/// Blocks of elements with `distinct` values, which lie together.
void add_blocks(const std::string& filter, std::uint32_t w, std::uint64_t distinct, bool real) {
  auto elements = std::make_shared<std::vector<std::byte>>(size);
  for (std::size_t i = 0; i < size / w; ++i) {
    const std::uint64_t value = 1000 + i * i / 7 % distinct;
    std::memcpy(elements->data() + i * w, &value, w);
  }
  const auto encoding =
      stele::plan_encoding({.count = size / w,
                            .item_size = w,
                            .element_class = real ? stele::ElementClass::real : stele::ElementClass::natural,
                            .dense = *elements},
                           filter);
  const std::string what =
      encoding.name() + (encoding.first == stele::Encoding::First::none ? "" : "-") +
      (encoding.first == stele::Encoding::First::none ? "" : std::to_string(encoding.stored_item_size)) + "/" +
      std::to_string(w);
  const auto scratch = std::make_shared<stele::EncodingScratch>();
  const auto stored = std::make_shared<std::vector<std::byte>>(size);
  add("encode/" + what, [=](auto, auto t) { encode_block(encoding, elements->data(), size / w, t, *scratch); });
  encode_block(encoding, elements->data(), size / w, stored->data(), *scratch);
  add("decode/" + what, [=](auto, auto t) { decode_block(encoding, stored->data(), size / w, t, *scratch); });
}

}  // namespace

int main(int argc, char** argv) {
  add("copy", [](auto f, auto t) { std::memcpy(t, f, size); });
  for (const EncodingKernels* kernels : {&stele::portable_kernels(), stele::sse2_kernels(), stele::avx2_kernels()}) {
    if (kernels != nullptr) {
      add_kernels(*kernels);
    }
  }
  for (std::uint32_t w : {1U, 2U, 4U, 8U}) {
    add_blocks("bitshuffle", w, 1000, false);
    add_blocks("delta+bitshuffle", w, 1000, false);
  }
  for (std::uint32_t w : {2U, 4U, 8U}) {
    add_blocks("shuffle", w, 1000, false);
    add_blocks("delta+shuffle", w, 1000, false);
    add_blocks("narrow+delta+bitshuffle", w, 200, false);
    add_blocks("palette", w, 200, true);
  }
  add_blocks("palette", 4, 3000, true);
  add_blocks("palette", 8, 3000, true);
  add_blocks("shuffle", 12, 1000, true);
  add_blocks("bitshuffle", 12, 1000, true);
  return bench::run(argc, argv);
}
