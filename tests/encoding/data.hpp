#pragma once
// Realistic arrays for the choice of an encoding.

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "encoding/encoding.hpp"

namespace stele::test {

struct ExampleArray {
  std::string name;
  std::vector<std::byte> bytes;
  std::uint32_t item_size = 1;
  ElementClass element_class = ElementClass::other;

  std::uint64_t count() const { return bytes.size() / item_size; }
  Elements elements() const {
    return {.count = count(), .item_size = item_size, .element_class = element_class, .dense = bytes};
  }
};

/// `count` values from `next`. A record is `other`.
template <class T, class Next>
ExampleArray example(const std::string& name, std::size_t count, Next next) {
  std::vector<T> values(count);
  for (T& value : values) {
    value = static_cast<T>(next());
  }
  const auto bytes = std::as_bytes(std::span(values));
  const ElementClass element_class = std::is_floating_point_v<T> ? ElementClass::real
                                     : std::is_signed_v<T>       ? ElementClass::integer
                                                                 : ElementClass::natural;
  return {name, {bytes.begin(), bytes.end()}, sizeof(T), element_class};
}

/// The pictures of Fashion-MNIST's test set, the first `count` bytes after the header; empty if the file is missing.
inline std::vector<std::uint8_t> pictures(std::size_t count) {
  std::vector<std::uint8_t> pixels(count + 16);
  gzFile file = gzopen("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz", "rb");
  const int got = file == nullptr ? 0 : gzread(file, pixels.data(), static_cast<unsigned>(pixels.size()));
  if (file != nullptr) {
    gzclose(file);
  }
  if (got != static_cast<int>(pixels.size())) {
    return {};
  }
  pixels.erase(pixels.begin(), pixels.begin() + 16);
  return pixels;
}

/// Examples of `size` bytes each, a few MiB. Pictures are left out if the file is missing.
inline std::vector<ExampleArray> example_arrays(std::size_t size) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  const auto as = [&](ExampleArray array, ElementClass element_class) {
    array.element_class = element_class;
    return array;
  };
  std::vector<ExampleArray> all;
  all.push_back(example<float>("float32 weights", size / 4, [&] { return 0.02 * normal(random); }));
  all.push_back(as(example<std::uint16_t>("bfloat16 weights", size / 2,
                                          [&] {
                                            const auto value = static_cast<float>(0.02 * normal(random));
                                            return std::bit_cast<std::uint32_t>(value) >> 16;
                                          }),
                   ElementClass::real));
  if (const std::vector<std::uint8_t> pixels = pictures(size); !pixels.empty()) {
    std::size_t at = 0;
    all.push_back(example<float>("float32 pictures", size / 4, [&] { return static_cast<float>(pixels[at++]) / 255; }));
    at = 0;
    all.push_back(example<std::uint8_t>("uint8 pictures", size, [&] { return pixels[at++]; }));
  }
  std::poisson_distribution<std::int64_t> few(4);
  all.push_back(example<std::int64_t>("int64 counts", size / 8, [&] { return few(random); }));
  all.push_back(
      example<std::int64_t>("int64 skewed counts", size / 8, [&] { return std::exp(2 + 2 * normal(random)); }));
  double walk = 100;
  all.push_back(example<double>("float64 walk", size / 8, [&] { return walk += 0.01 * normal(random); }));
  walk = 0;
  all.push_back(example<float>("float32 walk", size / 4, [&] { return walk += 0.01 * normal(random); }));
  std::size_t place = 0;
  all.push_back(example<float>("float32 field", size / 4, [&] {
    const double x = static_cast<double>(place % 1024) / 1024;
    const double y = static_cast<double>(place++ / 1024) / 1024;
    return 280 + 20 * std::sin(7 * x) * std::cos(5 * y) + 0.3 * std::sin(31 * x * y) + 0.01 * normal(random);
  }));
  std::int64_t time = 1'700'000'000'000;
  all.push_back(example<std::int64_t>("int64 timestamps", size / 8,
                                      [&] { return time += static_cast<std::int64_t>(random() % 2000); }));
  all.push_back(
      example<double>("float64 2 decimals", size / 8, [&] { return std::round(10'000 * uniform(random)) / 100; }));
  all.push_back(
      example<double>("float64 3 decimals", size / 8, [&] { return std::round(1'000'000 * uniform(random)) / 1000; }));
  walk = 100;
  all.push_back(example<double>("float64 prices", size / 8,
                                [&] { return std::round(100 * (walk += 0.02 * normal(random))) / 100; }));
  all.push_back(example<std::int32_t>("int32 categories", size / 4, [&] { return random() % 1000; }));
  time = 0;
  all.push_back(example<std::int32_t>("int32 sorted indices", size / 4,
                                      [&] { return time += 1 + static_cast<std::int64_t>(random() % 50); }));
  all.push_back(
      example<float>("float32 mostly 0", size / 4, [&] { return random() % 20 == 0 ? normal(random) : 0.0; }));
  all.push_back(example<float>("float32 zeros", size / 4, [] { return 0.0; }));
  place = 0;
  all.push_back(example<std::int16_t>("int16 audio", size / 2, [&] {
    const auto t = static_cast<double>(place++);
    return 8000 * std::sin(0.01 * t) * std::sin(0.00037 * t) + 40 * normal(random);
  }));
  all.push_back(as(example<std::uint8_t>("bool mask", size, [&] { return random() % 10 == 0; }), ElementClass::other));
  const std::vector<std::string> words = {"stone ", "slab ",   "inscription ", "was ",  "found ",
                                          "the ",   "in ",     "a ",           "of ",   "field ",
                                          "and ",   "carved ", "river ",       "with ", "letters. "};
  std::string word;
  all.push_back(as(example<std::uint8_t>("text", size,
                                         [&] {
                                           if (word.empty()) {
                                             word = random() % 5 == 0 ? std::to_string(random() % 100'000) + " "
                                                                      : words[random() % words.size()];
                                           }
                                           const char c = word.front();
                                           word.erase(0, 1);
                                           return c;
                                         }),
                   ElementClass::natural));
  all.push_back(example<std::uint8_t>("random bytes", size, [&] { return random() >> 56; }));
  all.push_back(example<std::uint64_t>("uint64 hashes", size / 8, [&] { return random(); }));
  return all;
}

}  // namespace stele::test
