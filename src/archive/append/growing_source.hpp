#pragma once
// An open file that others may append to, as a Source that ends where its user says.

#include <string>

#include "io/descriptor.hpp"
#include "stele/io.hpp"

namespace stele {

class GrowingSource final : public Source {
 public:
  /// `fd` must stay open.
  GrowingSource(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  /// The bytes in the file now. Throws: Error(io).
  std::uint64_t file_size() const;
  /// Only between reads.
  void set_size(std::uint64_t size) noexcept { size_ = size; }

  std::size_t read(MutableBytes into) override;
  std::optional<std::uint64_t> size() const override { return size_; }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { position_ = offset; }
  void read_at(std::uint64_t offset, MutableBytes into) const override;
  std::string name() const override { return name_; }

 private:
  const int fd_;
  const std::string name_;
  std::uint64_t size_ = 0;
  std::uint64_t position_ = 0;
};

}  // namespace stele
