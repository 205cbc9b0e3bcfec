#pragma once
// The state of the standard library's random number engines: after loading, an engine continues with the same numbers.
//
// Stored are the numbers of the engine's textual representation in the "C" locale (operator<<), as one array of uint64.
// Standard libraries differ in what they write there for some engines, so a state is for the library that wrote it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <random>
#include <utility>
#include <vector>

#include "stele/walk.hpp"

namespace stele {
namespace walk {

using PrintEngine = void (*)(std::ostream& out, const void* engine);
using ParseEngine = void (*)(std::istream& in, void* engine);
/// Writes the numbers that `print` writes to a stream.
void write_engine(OutVisitor& out, PrintEngine print, const void* engine);
/// Reads as many numbers.
std::vector<std::uint64_t> read_engine(InVisitor& in, std::size_t count);
/// Gives them to `parse` as text. Fails if the stream rejects them, or they are not `valid`.
void set_engine(InVisitor& in, const std::vector<std::uint64_t>& numbers, bool valid, ParseEngine parse, void* engine);

#if defined(__GLIBCXX__)
inline constexpr std::size_t engine_positions = 1;  // libstdc++ writes where the next number comes from
#else
inline constexpr std::size_t engine_positions = 0;
#endif

/// How many numbers an engine has, and whether some numbers are a state of it: operator>> believes what it reads. `at`
/// moves past them.
template <class E>
struct EngineState;
template <class U, U a, U c, U m>
struct EngineState<std::linear_congruential_engine<U, a, c, m>> {
  static constexpr std::size_t count = 1;
  static bool valid(const std::uint64_t*& at) { return *at++ <= (m == 0 ? ~std::uint64_t{0} : std::uint64_t{m} - 1); }
};
template <class U, std::size_t w, std::size_t n, std::size_t m, std::size_t r, U a, std::size_t u, U d, std::size_t s,
          U b, std::size_t t, U c, std::size_t l, U f>
struct EngineState<std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>> {
  static constexpr std::size_t count = n + engine_positions;
  static bool valid(const std::uint64_t*& at) {
    constexpr std::uint64_t most = std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>::max();
    const bool words = std::all_of(at, at + n, [](std::uint64_t word) { return word <= most; });
    at += count;
    return words && (engine_positions == 0 || at[-1] <= n);
  }
};
template <class U, std::size_t w, std::size_t s, std::size_t r>
struct EngineState<std::subtract_with_carry_engine<U, w, s, r>> {
  static constexpr std::size_t count = r + 1 + engine_positions;
  static bool valid(const std::uint64_t*& at) {
    constexpr std::uint64_t most = std::subtract_with_carry_engine<U, w, s, r>::max();
    const bool words = std::all_of(at, at + r, [](std::uint64_t word) { return word <= most; });
    const bool carry = at[r] <= 1;
    at += count;
    return words && carry && (engine_positions == 0 || at[-1] < r);
  }
};
template <class E, std::size_t p, std::size_t r>
struct EngineState<std::discard_block_engine<E, p, r>> {
  static constexpr std::size_t count = EngineState<E>::count + 1;
  static bool valid(const std::uint64_t*& at) { return EngineState<E>::valid(at) && *at++ <= r; }
};
template <class E, std::size_t w, class U>
struct EngineState<std::independent_bits_engine<E, w, U>> : EngineState<E> {};
template <class E, std::size_t k>
struct EngineState<std::shuffle_order_engine<E, k>> {
  static constexpr std::size_t count = EngineState<E>::count + k + 1;
  static bool valid(const std::uint64_t*& at) {
    if (!EngineState<E>::valid(at)) {
      return false;
    }
    const std::uint64_t* const first = std::exchange(at, at + k + 1);
    return std::all_of(first, at, [](std::uint64_t number) { return number >= E::min() && number <= E::max(); });
  }
};

template <class E>
struct AsEngine {
  using built_in = E;
  static void write(OutVisitor& out, const E& value) {
    write_engine(out, [](std::ostream& to, const void* engine) { to << *static_cast<const E*>(engine); }, &value);
  }
  static void read(InVisitor& in, E& value) {
    const std::vector<std::uint64_t> numbers = read_engine(in, EngineState<E>::count);
    const std::uint64_t* at = numbers.data();
    set_engine(
        in, numbers, EngineState<E>::valid(at),
        [](std::istream& from, void* engine) { from >> *static_cast<E*>(engine); }, &value);
  }
};

}  // namespace walk

template <class U, U a, U c, U m>
struct Visit<std::linear_congruential_engine<U, a, c, m>>
    : walk::AsEngine<std::linear_congruential_engine<U, a, c, m>> {};
template <class U, std::size_t w, std::size_t n, std::size_t m, std::size_t r, U a, std::size_t u, U d, std::size_t s,
          U b, std::size_t t, U c, std::size_t l, U f>
struct Visit<std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>>
    : walk::AsEngine<std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>> {};
template <class U, std::size_t w, std::size_t s, std::size_t r>
struct Visit<std::subtract_with_carry_engine<U, w, s, r>>
    : walk::AsEngine<std::subtract_with_carry_engine<U, w, s, r>> {};
template <class E, std::size_t p, std::size_t r>
struct Visit<std::discard_block_engine<E, p, r>> : walk::AsEngine<std::discard_block_engine<E, p, r>> {};
template <class E, std::size_t w, class U>
struct Visit<std::independent_bits_engine<E, w, U>> : walk::AsEngine<std::independent_bits_engine<E, w, U>> {};
template <class E, std::size_t k>
struct Visit<std::shuffle_order_engine<E, k>> : walk::AsEngine<std::shuffle_order_engine<E, k>> {};

}  // namespace stele
