#pragma once
// A line on a terminal that tells how far a long command is.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace stele::cli {

/// Shows itself on standard error if that is a terminal, once half a second has gone; the destructor clears the line.
class Progress {
 public:
  /// `total`: the bytes to come, if that is known.
  Progress(std::string label, std::optional<std::uint64_t> total, bool wanted);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Replaces the label and, from now on, the bytes and their rate: what is counted is no bytes.
  void describe(std::string what);
  /// `done`: how much so far.
  void update(std::uint64_t done) noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(Clock::time_point now) noexcept;

  std::string label_;
  const std::optional<std::uint64_t> total_;
  const bool visible_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_draw_;
  std::uint64_t done_ = 0;
  bool bytes_ = true;
  bool drawn_ = false;
};

}  // namespace stele::cli
