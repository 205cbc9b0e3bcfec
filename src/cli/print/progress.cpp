#include "cli/print/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cli/print/format.hpp"

namespace stele::cli {
namespace {

constexpr auto patience = std::chrono::milliseconds(500);
constexpr auto interval = std::chrono::milliseconds(100);
constexpr std::size_t bar_width = 24;

}  // namespace

Progress::Progress(std::string label, std::optional<std::uint64_t> total, bool wanted)
    : label_(std::move(label)),
      total_(total),
      visible_(wanted && isatty(STDERR_FILENO) == 1),
      next_draw_(start_ + patience) {}

Progress::~Progress() {
  if (drawn_) {
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
  }
}

void Progress::describe(std::string what) {
  label_ = std::move(what);
  bytes_ = false;
}

void Progress::update(std::uint64_t done) noexcept {
  done_ = done;
  if (!visible_) {
    return;
  }
  if (const auto now = Clock::now(); now >= next_draw_) {
    draw(now);
    next_draw_ = now + interval;
  }
}

void Progress::draw(Clock::time_point now) noexcept {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(done_) / seconds);
  std::string line = "\r" + printable(label_) + "  ";
  if (total_ && *total_ > 0) {
    const double part = std::min(1.0, static_cast<double>(done_) / static_cast<double>(*total_));
    const auto filled = static_cast<std::size_t>(part * static_cast<double>(bar_width));
    line += "[" + std::string(filled, '#') + std::string(bar_width - filled, '.') + "] ";
    line += std::to_string(static_cast<int>(part * 100)) + " %  ";
  }
  line += (bytes_ ? size_text(done_) + "  " + size_text(rate) + "/s" : "") + "\x1b[K";
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace stele::cli
