#pragma once

#include <algorithm>
#include <memory>
#include <utility>

#include "io/wrap/forwarding.hpp"

namespace stele {

/// The bytes of a random-access Source from an offset on.
class TailSource final : public ForwardingSource {
 public:
  TailSource(std::unique_ptr<Source> whole, std::uint64_t offset)
      : ForwardingSource(*whole), whole_(std::move(whole)), offset_(offset) {
    inner_.seek(offset_);
  }
  std::size_t read(MutableBytes into) override {
    const std::size_t count = inner_.read(into);
    position_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return *inner_.size() - std::min(*inner_.size(), offset_); }
  void seek(std::uint64_t offset) override {
    inner_.seek(offset_ + offset);
    position_ = offset;
  }
  void read_at(std::uint64_t offset, MutableBytes into) const override { inner_.read_at(offset_ + offset, into); }
  std::uint64_t next_cut(std::uint64_t offset) const override { return inner_.next_cut(offset_ + offset) - offset_; }
  void will_read(std::uint64_t offset, std::uint64_t size) const override { inner_.will_read(offset_ + offset, size); }
  Bytes memory() const noexcept override {
    const Bytes all = inner_.memory();
    return all.subspan(static_cast<std::size_t>(std::min<std::uint64_t>(offset_, all.size())));
  }
  /// The position of read().
  std::uint64_t position() const noexcept { return position_; }

 private:
  const std::unique_ptr<Source> whole_;
  const std::uint64_t offset_;
  std::uint64_t position_ = 0;
};

}  // namespace stele
