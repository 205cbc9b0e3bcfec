#pragma once
// A part of a Source with random access, as a Source of its own.

#include <algorithm>
#include <memory>
#include <string>

#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {

/// Several may be used at once over one Source, whose position they leave alone.
class SliceSource final : public Source {
 public:
  /// `base` must outlive this, and have `size` bytes from `begin` on.
  SliceSource(const Source& base, std::uint64_t begin, std::uint64_t size) : base_(base), begin_(begin), size_(size) {}

  std::size_t read(MutableBytes into) override {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - at_));
    base_.read_at(begin_ + at_, into.first(count));
    at_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return size_; }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { at_ = std::min(offset, size_); }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (offset > size_ || into.size() > size_ - offset) {
      fail(Errc::truncated, "a read beyond the end", {.offset = size_});
    }
    base_.read_at(begin_ + offset, into);
  }
  std::uint64_t next_cut(std::uint64_t offset) const override { return base_.next_cut(begin_ + offset) - begin_; }
  void will_read(std::uint64_t offset, std::uint64_t size) const override { base_.will_read(begin_ + offset, size); }
  std::string name() const override { return base_.name(); }

 private:
  const Source& base_;
  const std::uint64_t begin_;
  const std::uint64_t size_;
  std::uint64_t at_ = 0;
};

}  // namespace stele
