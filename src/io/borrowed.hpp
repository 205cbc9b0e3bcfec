#pragma once
// A Source for those who must own one, in place of one that they do not.

#include "stele/io.hpp"

namespace stele {

/// Forwards to a Source that outlives it.
class BorrowedSource final : public Source {
 public:
  explicit BorrowedSource(Source& source) : source_(source) {}
  std::size_t read(MutableBytes into) override { return source_.read(into); }
  std::optional<std::size_t> peek(MutableBytes into) override { return source_.peek(into); }
  std::optional<std::uint64_t> size() const override { return source_.size(); }
  bool random_access() const noexcept override { return source_.random_access(); }
  void seek(std::uint64_t offset) override { source_.seek(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override { source_.read_at(offset, into); }
  std::uint64_t next_cut(std::uint64_t offset) const override { return source_.next_cut(offset); }
  void finish() override { source_.finish(); }
  Bytes memory() const noexcept override { return source_.memory(); }
  std::string name() const override { return source_.name(); }

 private:
  Source& source_;
};

}  // namespace stele
