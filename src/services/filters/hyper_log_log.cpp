#include "stele/filters/hyper_log_log.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "services/filters/checked_read.hpp"
#include "services/filters/mix.hpp"

namespace stele {
namespace {

constexpr std::uint32_t hyper_log_log_version = 1;
constexpr unsigned min_precision = 4;
constexpr unsigned max_precision = 18;

/// Ertl's sigma: x + the sum of x^(2^k) * 2^(k - 1), for registers that are still 0.
double sigma(double x) noexcept {
  if (x == 1) {
    return HUGE_VAL;
  }
  double power = x;
  double weight = 1;
  double sum = x;
  for (double before = -1; sum != before; weight += weight) {
    before = sum;
    power *= power;
    sum += power * weight;
  }
  return sum;
}

/// Ertl's tau: (1 - x - the sum of (1 - x^(2^-k))^2 * 2^-k) / 3, for registers at their maximum.
double tau(double x) noexcept {
  if (x == 0 || x == 1) {
    return 0;
  }
  double root = x;
  double weight = 1;
  double sum = 1 - x;
  for (double before = -1; sum != before;) {
    before = sum;
    root = std::sqrt(root);
    weight /= 2;
    sum -= (1 - root) * (1 - root) * weight;
  }
  return sum / 3;
}

}  // namespace

HyperLogLog::HyperLogLog(unsigned precision, std::uint64_t seed) : precision_(precision), seed_(seed) {
  if (precision < min_precision || precision > max_precision) {
    fail(Errc::invalid_argument, "HyperLogLog takes a precision from 4 to 18, not " + std::to_string(precision));
  }
  registers_ = OwnArray(Array<std::uint8_t>({std::uint64_t{1} << precision}));
}

/// The registers for writing; copied first if they are mapped read-only.
std::uint8_t* HyperLogLog::own_registers() {
  if (precision_ == 0) {
    fail(Errc::invalid_argument, "HyperLogLog without registers counts nothing");
  }
  return registers_.own();
}

void HyperLogLog::add(KeyHash key) {
  // The upper bits of the hash choose the register; the rank is the position of the first 1 in the other bits, counted
  // from 1.
  std::uint8_t* registers = own_registers();
  const std::uint64_t hash = mix::seeded(key.hash(), seed_);
  const std::uint64_t end = std::uint64_t{1} << (precision_ - 1);  // a sentinel 1 after them
  const auto rank = static_cast<std::uint8_t>(std::countl_zero(hash << precision_ | end) + 1);
  std::uint8_t& highest = registers[hash >> (64 - precision_)];
  highest = std::max(highest, rank);
}

double HyperLogLog::estimate() const noexcept {
  if (precision_ == 0) {
    return 0;
  }
  const unsigned most = 64 - precision_ + 1;  // the highest rank
  std::array<std::uint32_t, 65> counts{};     // registers per rank
  for (std::uint64_t i = 0; i < registers_.size(); ++i) {
    ++counts[std::min<unsigned>(registers_.data()[i], most)];
  }
  const auto registers = static_cast<double>(registers_.size());
  double z = registers * tau(1 - counts[most] / registers);
  for (unsigned rank = most - 1; rank >= 1; --rank) {
    z = (z + counts[rank]) / 2;
  }
  z += registers * sigma(counts[0] / registers);
  constexpr double alpha = 0.721347520444481703680;  // 1 / (2 ln 2)
  return alpha * registers * registers / z;
}

void HyperLogLog::merge(const HyperLogLog& other) {
  if (precision_ != other.precision_ || seed_ != other.seed_) {
    fail(Errc::invalid_argument, "HyperLogLog sketches that differ in precision or seed cannot be merged");
  }
  if (precision_ == 0) {
    return;
  }
  std::uint8_t* registers = own_registers();
  for (std::uint64_t i = 0, n = registers_.size(); i < n; ++i) {
    registers[i] = std::max(registers[i], other.registers_.data()[i]);
  }
}

void HyperLogLog::clear() {
  if (precision_ != 0) {
    std::fill_n(own_registers(), registers_.size(), std::uint8_t{0});
  }
}

double HyperLogLog::standard_error() const noexcept {
  return precision_ == 0 ? 0 : 1.03896 / std::sqrt(static_cast<double>(registers_.size()));
}

void Visit<HyperLogLog>::write(OutVisitor& out, const HyperLogLog& value) { walk::As<HyperLogLog>::write(out, value); }

void Visit<HyperLogLog>::read(InVisitor& in, HyperLogLog& value) {
  checked_read(in, value, hyper_log_log_version, "HyperLogLog", [](const HyperLogLog& sketch) -> const char* {
    const unsigned precision = sketch.precision_;
    if (precision == 0) {
      return sketch.registers_.empty() ? nullptr : "registers without a precision";
    }
    const bool good = precision >= min_precision && precision <= max_precision &&
                      sketch.registers_.size() == std::uint64_t{1} << precision && sketch.registers_.array().is_dense();
    return good ? nullptr : "the number of registers does not match the precision";
  });
}

}  // namespace stele
