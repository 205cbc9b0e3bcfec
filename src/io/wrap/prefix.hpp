#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "io/wrap/forwarding.hpp"

namespace stele {

/// Bytes already taken from a Source, followed by the rest of the Source. In order only.
class PrefixSource final : public ForwardingSource {
 public:
  PrefixSource(std::vector<std::byte> prefix, std::unique_ptr<Source> rest)
      : ForwardingSource(*rest), prefix_(std::move(prefix)), rest_(std::move(rest)) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = at_ < prefix_.size() ? copy(into) : inner_.read(into);
    at_ += count;
    return count;
  }
  std::optional<std::size_t> peek(MutableBytes into) override {
    return into.empty() || at_ >= prefix_.size() ? inner_.peek(into) : copy(into);
  }
  std::optional<std::uint64_t> size() const override { return std::nullopt; }
  bool random_access() const noexcept override { return false; }
  void seek(std::uint64_t offset) override { Source::seek(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override { Source::read_at(offset, into); }
  std::uint64_t next_cut(std::uint64_t offset) const override { return Source::next_cut(offset); }
  void will_read(std::uint64_t, std::uint64_t) const override {}
  Bytes memory() const noexcept override { return {}; }
  /// Gives up the rest of the Source, which is all that is left once the prefix was read; this cannot be used further.
  std::unique_ptr<Source> take_rest() noexcept { return std::move(rest_); }
  /// The number of bytes read.
  std::uint64_t taken() const noexcept { return at_; }

 private:
  std::size_t copy(MutableBytes into) const {
    const auto at = static_cast<std::size_t>(at_);
    const std::size_t count = std::min(into.size(), prefix_.size() - at);
    std::copy_n(prefix_.begin() + static_cast<std::ptrdiff_t>(at), count, into.begin());
    return count;
  }

  const std::vector<std::byte> prefix_;
  std::unique_ptr<Source> rest_;
  std::uint64_t at_ = 0;  // counted from the start of the prefix
};

}  // namespace stele
