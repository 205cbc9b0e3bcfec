#include <algorithm>
#include <cstring>
#include <new>

#include "array/huge_pages.hpp"
#include "io/descriptor.hpp"
#include "io/memory.hpp"
#include "stele/error.hpp"

namespace stele {

void Sink::patch(std::uint64_t, Bytes) { fail(Errc::unsupported, "this Sink cannot be patched"); }
std::uint64_t Source::next_cut(std::uint64_t offset) const { return offset + (std::uint64_t{1} << 20); }
std::optional<std::size_t> Source::peek(MutableBytes) { return std::nullopt; }
void Source::seek(std::uint64_t) { fail(Errc::unsupported, "this Source has no random access"); }
void Source::read_at(std::uint64_t, MutableBytes) const { fail(Errc::unsupported, "this Source has no random access"); }

namespace {

class MemorySink final : public Sink {
 public:
  explicit MemorySink(std::vector<std::byte>& out) : out_(out), start_(out.size()) {}

  void write(Bytes bytes) override {
    if (bytes.size() > out_.capacity() - out_.size()) {
      grow(bytes.size());
    }
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  bool patchable() const noexcept override { return true; }
  void patch(std::uint64_t offset, Bytes bytes) override {
    const std::uint64_t written = out_.size() - start_;
    if (offset > written || bytes.size() > written - offset) {
      fail(Errc::invalid_argument, "patch beyond what was written to memory");
    }
    if (!bytes.empty()) {
      std::memcpy(out_.data() + start_ + offset, bytes.data(), bytes.size());
    }
  }

 private:
  void grow(std::size_t more) {
    std::vector<std::byte> larger;
    try {
      if (more > larger.max_size() - out_.size()) {
        throw std::bad_alloc();
      }
      larger.reserve(std::max(out_.size() + more, std::min(larger.max_size(), 2 * out_.capacity())));
    } catch (const std::bad_alloc&) {
      fail(Errc::limit_exceeded, "cannot allocate " + std::to_string(out_.size() + more) + " bytes");
    }
    advise_huge_pages(larger.data(), larger.capacity());
    larger.insert(larger.end(), out_.begin(), out_.end());
    out_.swap(larger);
  }

  std::vector<std::byte>& out_;
  std::size_t start_;
};

class MemorySource final : public Source {
 public:
  MemorySource(Bytes bytes, std::shared_ptr<const void> owner, const char* what)
      : bytes_(bytes), owner_(std::move(owner)), what_(what) {}

  std::size_t read(MutableBytes into) override {
    if (position_ >= bytes_.size() || into.empty()) {
      return 0;
    }
    const std::size_t count = std::min(into.size(), bytes_.size() - static_cast<std::size_t>(position_));
    std::memcpy(into.data(), bytes_.data() + position_, count);
    position_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { position_ = offset; }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
      fail_truncated(what_, bytes_.size(), offset, into.size());
    }
    if (!into.empty()) {
      std::memcpy(into.data(), bytes_.data() + offset, into.size());
    }
  }
  Bytes memory() const noexcept override { return bytes_; }

 private:
  Bytes bytes_;
  std::shared_ptr<const void> owner_;  // null if the caller owns the memory
  const char* what_;
  std::uint64_t position_ = 0;
};

}  // namespace

std::unique_ptr<Sink> memory_sink(std::vector<std::byte>& out) { return std::make_unique<MemorySink>(out); }
std::unique_ptr<Source> memory_source(Bytes bytes) { return memory_source(bytes, nullptr); }
std::unique_ptr<Source> memory_source(Bytes bytes, std::shared_ptr<const void> owner, const char* what) {
  return std::make_unique<MemorySource>(bytes, std::move(owner), what);
}

}  // namespace stele
