#pragma once
// The plain bytes of a compressed file with known blocks, readable at any offset.

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/process.hpp"
#include "stele/codec.hpp"

namespace stele {

/// A block that lies completely in a request is decoded into the destination. Other blocks are kept for later requests;
/// if these proceed from block to block, helper threads decode the next ones ahead. If a block is damaged, the file is
/// read in order, and that result counts, because both ways must agree. A child of fork() has no helpers and may have
/// copies of locks that they held, so there each call decodes for itself.
class BlockSource final : public Source {
 public:
  /// `codec` must outlive this object; the blocks of the index must be usable().
  BlockSource(std::unique_ptr<Source> stored, const Codec& codec, BlockIndex index, const DecodeOptions& options);
  ~BlockSource() override;

  std::optional<std::uint64_t> size() const override { return size_; }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { position_ = offset; }
  std::size_t read(MutableBytes into) override;
  void read_at(std::uint64_t offset, MutableBytes into) const override;
  std::uint64_t next_cut(std::uint64_t offset) const override;
  void will_read(std::uint64_t offset, std::uint64_t size) const override;
  void finish() override;

  const BlockIndex& index() const noexcept { return index_; }
  /// Returns the compressed file. Nothing can be read after that.
  std::unique_ptr<Source> take_stored() { return std::move(stored_); }

 private:
  /// What one call in progress needs for decoding.
  struct Decoding {
    std::unique_ptr<BlockDecoder> decoder;
    std::vector<std::byte> stored;
  };
  struct Kept;
  struct Ahead;
  class Reference;

  const Block& block_at(std::uint64_t offset) const;
  void decode(const Block& block, MutableBytes plain) const;
  void decode_stored(const Block& block, MutableBytes plain, Decoding& decoding) const;
  void read_alone(const Block& block, std::size_t skip, MutableBytes into) const;
  void read_whole(const Block& block, MutableBytes into) const;
  void read_part(const Block& block, std::size_t skip, MutableBytes into) const;
  void decode_kept(Kept& kept, std::unique_lock<std::mutex>& lock) const;
  void look_ahead(const Block& block) const;
  void serve() const;

  std::unique_ptr<Source> stored_;
  const Codec& codec_;
  const DecodeOptions options_;
  const BlockIndex index_;
  const std::vector<Block>& blocks_;  // the blocks of index_
  const std::uint64_t size_;
  std::uint64_t position_ = 0;

  const std::unique_ptr<Reference> reference_;
  ProcessMark process_;
  const ProcessOwned<Ahead> ahead_;
};

/// Whether the blocks have no gaps in the plain bytes, are in order in the file and inside it, are small enough to be
/// allocated without further checks, and are not too many for the file.
bool usable(std::span<const Block> blocks, std::uint64_t file_size);

}  // namespace stele
