#pragma once
// A progress line on the terminal for long commands.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace stele::cli {

/// Appears on standard error, if that is a terminal, after half a second; the destructor clears the line.
class Progress {
 public:
  /// `total`: the number of bytes, if known.
  Progress(std::string label, std::optional<std::uint64_t> total, bool wanted);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Replaces the label and stops showing bytes and their rate, for counts of other things.
  void describe(std::string what);
  /// `done`: the amount so far.
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
