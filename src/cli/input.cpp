#include "cli/input.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

namespace stele::cli {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;

/// Memory that lives as long as the Source.
class HeldSource final : public Source {
 public:
  explicit HeldSource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)), source_(memory_source(bytes_)) {}
  std::size_t read(MutableBytes into) override { return source_->read(into); }
  std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { source_->seek(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override { source_->read_at(offset, into); }
  Bytes memory() const noexcept override { return bytes_; }

 private:
  const std::vector<std::byte> bytes_;
  const std::unique_ptr<Source> source_;
};

/// The bytes of a Source with random access from an offset on.
class RestSource final : public Source {
 public:
  RestSource(std::unique_ptr<Source> whole, std::uint64_t offset) : whole_(std::move(whole)), offset_(offset) {
    whole_->seek(offset_);
  }
  std::size_t read(MutableBytes into) override { return whole_->read(into); }
  std::optional<std::uint64_t> size() const override { return *whole_->size() - offset_; }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { whole_->seek(offset_ + offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override { whole_->read_at(offset_ + offset, into); }
  std::uint64_t next_cut(std::uint64_t offset) const override { return whole_->next_cut(offset_ + offset) - offset_; }
  void finish() override { whole_->finish(); }

 private:
  const std::unique_ptr<Source> whole_;
  const std::uint64_t offset_;
};

[[noreturn]] void fail_offset(std::uint64_t offset) {
  fail(Errc::truncated, "there are fewer than " + std::to_string(offset) + " bytes");
}

void discard(Source& source, std::uint64_t count) {
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(count, piece_bytes)));
  for (std::uint64_t left = count; left > 0;) {
    const std::size_t got =
        source.read(MutableBytes(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size()))));
    if (got == 0) {
      fail_offset(count);
    }
    left -= got;
  }
}

std::vector<std::byte> read_all(Source& source) {
  std::vector<std::byte> bytes;
  for (std::size_t used = 0;;) {
    bytes.resize(used + std::max(piece_bytes, used / 2));
    const std::size_t got = source.read(MutableBytes(bytes).subspan(used));
    used += got;
    if (got == 0) {
      bytes.resize(used);
      return bytes;
    }
  }
}

}  // namespace

std::unique_ptr<Source> open_input(const std::string& name, std::uint64_t offset) {
  std::unique_ptr<Source> source = name == "-" ? fd_source(0) : file_source(name);
  if (offset == 0) {
    return source;
  }
  if (!source->random_access()) {
    discard(*source, offset);
    return source;
  }
  if (offset > *source->size()) {
    fail_offset(offset);
  }
  return std::make_unique<RestSource>(std::move(source), offset);
}

File open_archive(const std::string& name, LoadOptions options) {
  std::error_code ignored;  // what is wrong with it open_input() tells
  if (options.map != MapMode::none && name != "-" && std::filesystem::is_regular_file(name, ignored)) {
    try {
      return open(name, options);
    } catch (const Error& error) {
      if (error.code() != Errc::not_mappable && error.code() != Errc::io) {
        throw;
      }
    }
  }
  options.map = MapMode::none;
  std::unique_ptr<Source> source = open_input(name, options.offset);
  options.offset = 0;
  if (!source->random_access()) {
    source = std::make_unique<HeldSource>(read_all(*source));
  }
  return open(std::move(source), options);
}

}  // namespace stele::cli
