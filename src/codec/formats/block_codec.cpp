// The file format of user-defined codecs:
//
//   magic  { u32 stored size  u32 plain size  u64 XXH3-64 of the plain block  block }*  u32 0  u32 0  block table
//
// All numbers are little-endian. If both sizes are equal, the block is stored uncompressed; no block is stored larger.

#include "stele/block_codec.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "codec/blocks/table.hpp"
#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t least_magic_size = 4;
constexpr std::size_t most_magic_size = 12;
constexpr std::size_t largest_block = std::size_t{64} << 20;
constexpr std::size_t block_header_size = 16;
constexpr std::size_t end_mark_size = 8;  // both sizes of a block are 0

using Functions = std::shared_ptr<const BlockFunctions>;

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// The header of a block.
struct BlockHeader {
  std::size_t stored_size = 0;
  std::size_t plain_size = 0;
  std::uint64_t checksum = 0;
};

BlockHeader read_block_header(const std::byte* from) {
  return {load_le<std::uint32_t>(from), load_le<std::uint32_t>(from + 4), load_le<std::uint64_t>(from + 8)};
}

/// Fills `plain`, which has the size from the header. Throws: Error(damaged).
void decode_block(const BlockFunctions& functions, const BlockHeader& header, Bytes stored, MutableBytes plain) {
  if (stored.size() == plain.size()) {
    std::copy(stored.begin(), stored.end(), plain.begin());
  } else if (!functions.decompress(stored, plain)) {
    fail(Errc::damaged, "not a block of " + std::to_string(plain.size()) + " bytes");
  }
  if (xxh3_64(plain) != header.checksum) {
    fail(Errc::damaged, "its checksum is wrong");
  }
}

class FunctionsEncoder final : public BlockEncoder {
 public:
  FunctionsEncoder(Functions functions, int level) : functions_(std::move(functions)), level_(level) {}

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    if (plain.empty() || plain.size() > largest_block) {
      fail(Errc::invalid_argument, "a block of " + std::to_string(plain.size()) + " bytes; 64 MiB is the most");
    }
    const std::size_t start = out.size();
    const std::size_t data = start + block_header_size;
    out.resize(data);
    functions_->compress(plain, level_, out);
    if (out.size() < data) {
      fail(Errc::invalid_argument, functions_->name + ": the compress function removed bytes from its output");
    }
    if (out.size() - data >= plain.size()) {
      out.resize(data);
      out.insert(out.end(), plain.begin(), plain.end());
    }
    store_le<std::uint32_t>(out.data() + start, static_cast<std::uint32_t>(out.size() - data));
    store_le<std::uint32_t>(out.data() + start + 4, static_cast<std::uint32_t>(plain.size()));
    store_le<std::uint64_t>(out.data() + start + 8, xxh3_64(plain));
    return 0;
  }

 private:
  const Functions functions_;
  const int level_;
};

class FunctionsDecoder final : public BlockDecoder {
 public:
  explicit FunctionsDecoder(Functions functions) : functions_(std::move(functions)) {}

  void decode(const Block& /*block*/, Bytes stored, MutableBytes plain) override {
    const BlockHeader header = read_block_header(stored.data());  // index() lists no shorter blocks
    if (header.stored_size != stored.size() - block_header_size || header.plain_size != plain.size()) {
      fail(Errc::damaged, "its sizes are not those in the index");
    }
    decode_block(*functions_, header, stored.subspan(block_header_size), plain);
  }

 private:
  const Functions functions_;
};

/// Reads concatenated files in order.
class FunctionsSource final : public StreamsSource {
 public:
  FunctionsSource(Source& stored, Functions functions, bool whole)
      : StreamsSource(stored, functions->name, "file", whole), functions_(std::move(functions)) {}

 private:
  bool begin() override {
    std::array<std::byte, most_magic_size> bytes{};
    const Bytes magic = bytes_of(functions_->magic);
    const MutableBytes taken = MutableBytes(bytes).first(in_.take(MutableBytes(bytes).first(magic.size())));
    if (taken.empty() && stream_offset() > 0) {
      return false;
    }
    if (!std::equal(taken.begin(), taken.end(), magic.begin())) {
      not_a_stream();
    }
    if (taken.size() < magic.size()) {
      ended_early();
    }
    tally_.reset();
    plain_.clear();
    begin_ = 0;
    return true;
  }

  std::size_t decode(MutableBytes into) override {
    if (begin_ == plain_.size() && !read_block()) {
      return 0;
    }
    return take_ready(into);
  }

  std::size_t take_ready(MutableBytes into) {
    const std::size_t count = std::min(into.size(), plain_.size() - begin_);
    std::copy_n(plain_.begin() + static_cast<std::ptrdiff_t>(begin_), count, into.begin());
    begin_ += count;
    return count;
  }

  /// Decodes the next block. At the end of the file, ends it and returns false. Memory for the plain bytes, at most 64
  /// MiB, is allocated after all stored bytes have arrived.
  bool read_block() {
    std::array<std::byte, block_header_size> bytes{};
    const MutableBytes sizes = MutableBytes(bytes).first(end_mark_size);
    need(sizes);
    plain_.clear();
    begin_ = 0;
    if (std::all_of(sizes.begin(), sizes.end(), [](std::byte b) { return b == std::byte{0}; })) {
      end_file();
      return false;
    }
    need(MutableBytes(bytes).subspan(end_mark_size));
    const BlockHeader header = read_block_header(bytes.data());
    if (header.plain_size > largest_block || header.stored_size > header.plain_size || header.stored_size == 0) {
      failed(Errc::damaged, "a block whose sizes cannot be");
    }
    take_stored(header.stored_size);
    plain_.resize(header.plain_size);
    guarded([&] { decode_block(*functions_, header, stored_, plain_); });
    tally_.add(block_header_size + header.stored_size, header.plain_size);
    return true;
  }

  /// Reads bytes and allocates memory as they arrive.
  void take_stored(std::size_t size) {
    constexpr std::size_t step = std::size_t{1} << 20;
    stored_.clear();
    while (stored_.size() < size) {
      const std::size_t before = stored_.size();
      stored_.resize(before + std::min(step, size - before));
      need(MutableBytes(stored_).subspan(before));
    }
  }

  void end_file() {
    switch (tally_.compare(in_)) {
      case BlockTally::Result::same:
        break;
      case BlockTally::Result::different:
        failed(Errc::damaged, "a block index that contradicts the blocks");
      case BlockTally::Result::truncated:
        ended_early();
    }
  }

  const Functions functions_;
  BlockTally tally_;
  std::vector<std::byte> stored_;
  std::vector<std::byte> plain_;
  std::size_t begin_ = 0;  // start of the bytes that were not returned yet
};

class BlockCodec final : public Codec {
 public:
  explicit BlockCodec(BlockFunctions functions)
      : functions_(std::make_shared<const BlockFunctions>(std::move(functions))),
        extensions_(functions_->extensions.begin(), functions_->extensions.end()) {}

  std::string_view name() const noexcept override { return functions_->name; }
  std::span<const std::string_view> extensions() const noexcept override { return extensions_; }
  bool recognises(Bytes first) const noexcept override {
    const Bytes magic = bytes_of(functions_->magic);
    return first.size() >= magic.size() && std::equal(magic.begin(), magic.end(), first.begin());
  }
  LevelRange levels() const noexcept override { return functions_->levels; }
  std::string library() const override { return functions_->library; }

  std::size_t block_size(int /*level*/) const noexcept override { return functions_->block_size; }
  std::unique_ptr<BlockEncoder> encoder(int level) const override {
    return std::make_unique<FunctionsEncoder>(functions_, level);
  }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& /*options*/) const override {
    return std::make_unique<FunctionsDecoder>(functions_);
  }

  void prologue(int /*level*/, std::vector<std::byte>& out) const override {
    const Bytes magic = bytes_of(functions_->magic);
    out.insert(out.end(), magic.begin(), magic.end());
  }
  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    if (blocks.size() > most_table_blocks) {
      fail(Errc::unsupported, functions_->name + ": more blocks than the index of a file can list");
    }
    out.resize(out.size() + end_mark_size);
    append_block_table(blocks, out);
  }

  std::optional<BlockIndex> index(const Source& stored) const override {
    Peek file(stored);
    const std::size_t magic_size = functions_->magic.size();
    if (file.size() < magic_size || !recognises({file.at(0, magic_size), magic_size})) {
      return std::nullopt;
    }
    auto table = find_block_table(file, magic_size);
    if (!table) {
      return std::nullopt;
    }
    std::uint64_t end = magic_size;
    for (const Block& block : table->blocks) {
      if (block.plain_size > largest_block || block.stored_size <= block_header_size ||
          block.stored_size - block_header_size > block.plain_size) {
        return std::nullopt;
      }
      end = block.stored_offset + block.stored_size;
    }
    if (table->offset < end || table->offset - end != end_mark_size ||
        load_le<std::uint64_t>(file.at(end, end_mark_size)) != 0) {
      return std::nullopt;
    }
    return BlockIndex{std::move(table->blocks)};
  }

  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return std::make_unique<FunctionsSource>(stored, functions_, options.whole);
  }

 private:
  const Functions functions_;
  const std::vector<std::string_view> extensions_;
};

[[noreturn]] void refuse(const BlockFunctions& functions, const std::string& what) {
  fail(Errc::invalid_argument, "block_codec(\"" + functions.name + "\"): " + what);
}

}  // namespace

std::shared_ptr<const Codec> block_codec(BlockFunctions functions) {
  if (functions.name.empty()) {
    refuse(functions, "it needs a name");
  }
  if (!functions.compress || !functions.decompress) {
    refuse(functions, "it needs both functions");
  }
  if (functions.magic.size() < least_magic_size || functions.magic.size() > most_magic_size) {
    refuse(functions, "its magic has " + std::to_string(functions.magic.size()) + " bytes, not 4 to 12");
  }
  if (functions.block_size == 0 || functions.block_size > largest_block) {
    refuse(functions, "its blocks have " + std::to_string(functions.block_size) + " bytes, not 1 to 64 MiB");
  }
  const auto [lowest, highest, standard] = functions.levels;
  if (lowest > standard || standard > highest) {
    refuse(functions, "its standard level is not one of its levels");
  }
  for (const std::string& extension : functions.extensions) {
    if (extension.size() < 2 || extension.front() != '.') {
      refuse(functions, "\"" + extension + "\" is not an extension with its dot");
    }
  }
  return std::make_shared<BlockCodec>(std::move(functions));
}

}  // namespace stele
