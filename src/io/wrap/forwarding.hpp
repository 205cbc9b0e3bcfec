#pragma once
// Sources that read from another Source.

#include "stele/io.hpp"

namespace stele {

/// Forwards everything to another Source. Derived classes override some of it.
class ForwardingSource : public Source {
 public:
  std::size_t read(MutableBytes into) override { return inner_.read(into); }
  std::optional<std::size_t> peek(MutableBytes into) override { return inner_.peek(into); }
  std::optional<std::uint64_t> size() const override { return inner_.size(); }
  bool random_access() const noexcept override { return inner_.random_access(); }
  void seek(std::uint64_t offset) override { inner_.seek(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override { inner_.read_at(offset, into); }
  std::uint64_t next_cut(std::uint64_t offset) const override { return inner_.next_cut(offset); }
  void will_read(std::uint64_t offset, std::uint64_t size) const override { inner_.will_read(offset, size); }
  void finish() override { inner_.finish(); }
  Bytes memory() const noexcept override { return inner_.memory(); }
  std::string name() const override { return inner_.name(); }

 protected:
  /// `inner` must outlive this object.
  explicit ForwardingSource(Source& inner) : inner_(inner) {}

  Source& inner_;
};

/// For functions that take ownership of a Source, if the caller keeps it.
class BorrowedSource final : public ForwardingSource {
 public:
  explicit BorrowedSource(Source& source) : ForwardingSource(source) {}
};

}  // namespace stele
