// xz, the .xz file format 1.1. A file written by stele is one stream of blocks with both sizes in their headers and
// CRC64, as `xz -T2` writes them. The index at the end of a stream lists its blocks.

#if STELE_WITH_LIBLZMA

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "codec/blocks/ahead.hpp"
#include "codec/builtin.hpp"
#include "codec/formats/lzma/coder.hpp"
#include "codec/stream/streams.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::array<std::byte, 6> magic = {std::byte{0xfd}, std::byte{'7'}, std::byte{'z'},
                                            std::byte{'X'},  std::byte{'Z'}, std::byte{0}};
constexpr std::size_t stream_header_size = LZMA_STREAM_HEADER_SIZE;  // of a stream, and of its footer
constexpr std::size_t least_index_size = 8;
constexpr std::size_t least_dictionary = LZMA_DICT_SIZE_MIN;
constexpr std::uint64_t index_memory = std::uint64_t{16} << 20;  // about a million blocks

// Block::check holds the size of a block without padding and the kind of its checksum.
std::uint64_t pack(lzma_vli unpadded_size, lzma_check check) { return unpadded_size << 4 | check; }
lzma_vli unpadded_size_in(const Block& block) { return block.check >> 4; }
lzma_check check_in(const Block& block) { return static_cast<lzma_check>(block.check & 0xf); }

void succeed(lzma_ret result) {
  if (result != LZMA_OK) {
    fail_lzma(result);
  }
}

/// A block and the options of its filters, which liblzma allocates when it decodes a header.
class BlockHeader {
 public:
  BlockHeader() = default;
  BlockHeader(const BlockHeader&) = delete;
  BlockHeader& operator=(const BlockHeader&) = delete;
  ~BlockHeader() { free_filters(); }

  /// Decodes the header at `bytes`; its first byte gives its size.
  /// Throws: Error(limit_exceeded) if decoding the block would need more than `memory_limit` bytes.
  void decode(const std::byte* bytes, lzma_check check, std::uint64_t memory_limit) {
    free_filters();
    block_ = {};
    block_.version = 1;
    block_.check = check;
    block_.header_size = header_size_of(bytes);
    block_.filters = filters_.data();
    if (!lzma_check_is_supported(check)) {
      fail_lzma(LZMA_OPTIONS_ERROR);
    }
    const lzma_ret result = lzma_block_header_decode(&block_, nullptr, lzma_bytes(bytes));
    if (result != LZMA_OK) {
      filters_[0].id = LZMA_VLI_UNKNOWN;  // it has freed them
      fail_lzma(result);
    }
    const std::uint64_t memory = lzma_raw_decoder_memusage(filters_.data());
    if (memory > memory_limit) {
      fail_lzma(memory == std::numeric_limits<std::uint64_t>::max() ? LZMA_OPTIONS_ERROR : LZMA_MEMLIMIT_ERROR);
    }
  }

  lzma_block* get() noexcept { return &block_; }
  /// The size of a header, given its first byte.
  static std::uint32_t header_size_of(const std::byte* bytes) {
    return lzma_block_header_size_decode(lzma_bytes(bytes)[0]);
  }

 private:
  void free_filters() {
    for (lzma_filter& filter : filters_) {
      if (filter.id == LZMA_VLI_UNKNOWN) {
        break;
      }
      std::free(filter.options);
      filter.options = nullptr;
    }
    filters_[0].id = LZMA_VLI_UNKNOWN;
  }

  std::array<lzma_filter, LZMA_FILTERS_MAX + 1> filters_{{{.id = LZMA_VLI_UNKNOWN, .options = nullptr}}};
  lzma_block block_{};
};

class XzEncoder final : public BlockEncoder {
 public:
  explicit XzEncoder(int level) : options_(lzma_level(level)), most_dictionary_(options_.dict_size) {}

  std::uint64_t encode(Bytes plain, std::vector<std::byte>& out) override {
    // No larger than useful: decoders then need less memory, and small blocks less time.
    const std::size_t needed = std::bit_ceil(std::clamp<std::size_t>(plain.size(), least_dictionary, most_dictionary_));
    options_.dict_size = std::min(most_dictionary_, static_cast<std::uint32_t>(needed));
    std::array<lzma_filter, 2> filters{{{LZMA_FILTER_LZMA2, &options_}, {LZMA_VLI_UNKNOWN, nullptr}}};
    lzma_block block{};
    block.version = 1;
    block.check = LZMA_CHECK_CRC64;
    block.filters = filters.data();
    const std::size_t start = out.size();
    const std::size_t bound = lzma_block_buffer_bound(plain.size());
    if (bound == 0) {
      fail(Errc::invalid_argument, "an xz block of " + std::to_string(plain.size()) + " bytes");
    }
    out.resize(start + bound);
    std::size_t size = 0;
    const lzma_ret result = lzma_block_buffer_encode(&block, nullptr, lzma_bytes(plain.data()), plain.size(),
                                                     lzma_bytes(out.data() + start), &size, bound);
    if (result != LZMA_OK) {
      fail(result == LZMA_MEM_ERROR ? Errc::limit_exceeded : Errc::io,
           "xz: the library cannot compress a block (" + std::to_string(result) + ")");
    }
    out.resize(start + size);
    return pack(lzma_block_unpadded_size(&block), block.check);
  }

 private:
  lzma_options_lzma options_;
  const std::uint32_t most_dictionary_;
};

class XzDecoder final : public BlockDecoder {
 public:
  explicit XzDecoder(std::uint64_t window) : memory_limit_(lzma_memory_limit(window)) {}

  void decode(const Block& block, Bytes stored, MutableBytes plain) override {
    if (stored.empty() || stored[0] == std::byte{0} || BlockHeader::header_size_of(stored.data()) > stored.size()) {
      fail_lzma(LZMA_DATA_ERROR);
    }
    header_.decode(stored.data(), check_in(block), memory_limit_);
    lzma_block* const info = header_.get();
    succeed(lzma_block_compressed_size(info, unpadded_size_in(block)));
    std::size_t used = info->header_size;
    std::size_t made = 0;
    succeed(lzma_block_buffer_decode(info, nullptr, lzma_bytes(stored.data()), &used, stored.size(),
                                     lzma_bytes(plain.data()), &made, plain.size()));
    if (used != stored.size() || made != plain.size()) {
      fail(Errc::damaged, "not " + std::to_string(plain.size()) + " bytes");
    }
  }

 private:
  const std::uint64_t memory_limit_;
  BlockHeader header_;
};

/// Tracks the chunks of LZMA2 to know how much of the current one is left.
class Lzma2Chunks {
 public:
  void begin() { *this = {}; }
  std::size_t left() const { return left_; }

  void see(Bytes bytes) {
    while (!bytes.empty() && !ended_) {
      if (left_ > 0) {
        const std::size_t count = std::min(left_, bytes.size());
        left_ -= count;
        bytes = bytes.subspan(count);
        continue;
      }
      header_[seen_++] = bytes[0];
      bytes = bytes.subspan(1);
      const auto control = std::to_integer<unsigned>(header_[0]);
      if (control == 0 || (control > 2 && control < 0x80)) {
        ended_ = true;  // or damaged
      } else if (control < 0x80 && seen_ == 3) {
        begin_data(1);
      } else if (seen_ == (control < 0xc0 ? 5U : 6U)) {
        begin_data(3);
      }
    }
  }

 private:
  void begin_data(std::size_t at) {
    left_ = load_be<std::uint16_t>(header_.data() + at) + std::size_t{1};
    seen_ = 0;
  }

  std::array<std::byte, 6> header_{};
  std::size_t seen_ = 0;  // bytes of the header
  std::size_t left_ = 0;
  bool ended_ = false;
};

/// Reads streams in order, block by block, so that it knows how much must still come. Compares the index with the
/// blocks in constant memory.
class XzSource final : public StreamsSource {
 public:
  XzSource(Source& stored, const DecodeOptions& options)
      : StreamsSource(stored, "xz", "stream", options.whole),
        memory_limit_(lzma_memory_limit(options.window)),
        blocks_(options.threads, [window = options.window] { return std::make_unique<XzDecoder>(window); }) {}
  ~XzSource() override { lzma_index_hash_end(sizes_, nullptr); }

 private:
  bool begin() override {
    const bool first = at_start();
    std::array<std::byte, stream_header_size> header{};
    constexpr std::size_t padding_size = 4;
    const auto start = MutableBytes(header).first(padding_size);
    while (true) {
      stream_begins();
      const std::size_t count = in_.take(start);
      if (count == 0 && !first) {
        return false;
      }
      const bool zeros = !first && std::all_of(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(count),
                                               [](std::byte b) { return b == std::byte{0}; });
      if (zeros && count == padding_size) {
        continue;
      }
      if (zeros || !std::equal(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(count), magic.begin())) {
        not_a_stream();
      }
      if (count < padding_size) {
        ended_early();
      }
      break;
    }
    const std::size_t count = in_.take(MutableBytes(header).subspan(padding_size));
    if (count >= magic.size() - padding_size && !std::equal(magic.begin(), magic.end(), header.begin())) {
      not_a_stream();
    }
    if (count < header.size() - padding_size) {
      ended_early();
    }
    check(lzma_stream_header_decode(&flags_, lzma_bytes(header.data())));
    sizes_ = lzma_index_hash_init(sizes_, nullptr);
    if (sizes_ == nullptr) {
      check(LZMA_MEM_ERROR);
    }
    return true;
  }

  std::size_t decode(MutableBytes into) override {
    if (!in_block_) {
      std::size_t count = 0;
      do {
        count = blocks_.give(into);
      } while (count == 0 && take_blocks(into));
      if (count > 0) {
        return count;
      }
    }
    while (in_block_ || begin_block()) {
      const Step step = advance(decoder_, into, [this] { return to_come(); });
      if (step.ended) {
        in_block_ = false;
        check(
            lzma_index_hash_append(sizes_, lzma_block_unpadded_size(header_.get()), header_.get()->uncompressed_size));
      }
      if (step.made > 0) {
        return step.made;
      }
    }
    return 0;
  }

  /// The minimum number of bytes to come inside a block: the known rest of the block, an index and a footer.
  std::uint64_t to_come() const {
    const std::uint64_t behind = least_index_size + stream_header_size;
    const std::uint64_t at = in_.position();
    return (at < block_end_ ? block_end_ - at : 1 + decoder_.chunks.left()) + behind;
  }

  /// Reads the next blocks whose headers state their size and decodes them. Returns false if there are none, or none is
  /// valid; reading in order reports the error.
  bool take_blocks(MutableBytes into) {
    blocks_.clear();
    if (!in_.ahead() || !blocks_.active()) {
      return false;
    }
    while (add_block()) {
    }
    const auto& good = blocks_.decode(in_.ready(), into);
    for (const Block& block : good) {
      check(lzma_index_hash_append(sizes_, unpadded_size_in(block), block.plain_size));
    }
    in_.consume(blocks_.stored_size());
    return !good.empty();
  }

  bool add_block() {
    const std::size_t offset = blocks_.stored_size();
    const auto have = [&](std::size_t size) { return in_.have(offset + size); };
    if (!have(1) || in_.ready()[offset] == std::byte{0} || !have(BlockHeader::header_size_of(&in_.ready()[offset]))) {
      return false;
    }
    try {
      header_.decode(&in_.ready()[offset], flags_.check, memory_limit_);
    } catch (const Error&) {
      return false;
    }
    const lzma_vli plain = header_.get()->uncompressed_size;
    const lzma_vli stored = lzma_block_total_size(header_.get());
    if (plain == LZMA_VLI_UNKNOWN || stored == LZMA_VLI_UNKNOWN || stored == 0 || !blocks_.has_room(plain, stored) ||
        !have(static_cast<std::size_t>(stored))) {
      return false;
    }
    blocks_.add(plain, stored, pack(lzma_block_unpadded_size(header_.get()), flags_.check));
    return true;
  }

  /// Begins the next block. At the end of the stream, returns false.
  bool begin_block() {
    std::array<std::byte, LZMA_BLOCK_HEADER_SIZE_MAX> bytes{};
    const std::uint64_t offset = in_.position();
    need(MutableBytes(bytes).first(1));
    if (bytes[0] == std::byte{0}) {
      end_stream();
      return false;
    }
    need(MutableBytes(bytes).subspan(1, BlockHeader::header_size_of(bytes.data()) - 1));
    guarded([&] {
      header_.decode(bytes.data(), flags_.check, memory_limit_);
      succeed(lzma_block_decoder(decoder_.coder.get(), header_.get()));
    });
    const lzma_vli size = lzma_block_total_size(header_.get());
    block_end_ = size != LZMA_VLI_UNKNOWN ? offset + size : 0;
    decoder_.chunks.begin();
    in_block_ = true;
    return true;
  }

  /// Reads the index and the footer; the first byte of the index was read.
  void end_stream() {
    const std::uint64_t size = lzma_index_hash_size(sizes_);
    std::uint64_t left = size - 1;
    std::size_t used = 0;
    const std::uint8_t first = 0;
    lzma_ret result = lzma_index_hash_decode(sizes_, &first, &used, 1);
    while (result == LZMA_OK && left > 0) {
      if (in_.ready().empty() && !in_.fill(left)) {
        ended_early();
      }
      const Bytes piece =
          in_.ready().first(static_cast<std::size_t>(std::min<std::uint64_t>(in_.ready().size(), left)));
      used = 0;
      result = lzma_index_hash_decode(sizes_, lzma_bytes(piece.data()), &used, piece.size());
      in_.consume(used);
      left -= used;
    }
    if (result != LZMA_STREAM_END || left > 0) {
      failed(Errc::damaged, "an index that contradicts the blocks");
    }
    std::array<std::byte, stream_header_size> bytes{};
    need(bytes);
    lzma_stream_flags footer{};
    if (lzma_stream_footer_decode(&footer, lzma_bytes(bytes.data())) != LZMA_OK || footer.backward_size != size ||
        lzma_stream_flags_compare(&flags_, &footer) != LZMA_OK) {
      failed(Errc::damaged, "its footer is wrong");
    }
  }

  void check(lzma_ret result) const {
    guarded([&] { succeed(result); });
  }

  struct Watched {
    Step step(Bytes in, MutableBytes out) {
      const Step step = coder.step(in, out);
      chunks.see(in.first(step.used));
      return step;
    }
    LzmaCoder coder;
    Lzma2Chunks chunks;
  };

  const std::uint64_t memory_limit_;
  lzma_stream_flags flags_{};
  lzma_index_hash* sizes_ = nullptr;  // sizes of the stream's blocks
  BlockHeader header_;
  BlocksAhead blocks_;
  Watched decoder_;
  bool in_block_ = false;
  std::uint64_t block_end_ = 0;  // offset in the file, 0 if unknown
};

/// Lists the blocks of a file from the indices of its streams, last stream first: a stream states its length at its
/// end.
class FileIndex {
 public:
  explicit FileIndex(const Source& stored) : stored_(stored), file_(stored), most_(most_blocks(file_.size())) {}

  /// Nothing if the blocks do not cover exactly the file.
  std::optional<BlockIndex> list() {
    std::uint64_t end = file_.size();
    while (end > 0) {
      const auto begin = list_stream(without_padding(end));
      if (!begin) {
        return std::nullopt;
      }
      end = *begin;
    }
    std::reverse(blocks_.begin(), blocks_.end());
    std::uint64_t plain = 0;
    for (Block& block : blocks_) {
      block.plain_offset = plain;
      plain += block.plain_size;
    }
    return file_.size() > 0 ? std::optional(BlockIndex{std::move(blocks_)}) : std::nullopt;
  }

 private:
  std::uint64_t without_padding(std::uint64_t end) {
    constexpr std::size_t unit = 4;
    while (end >= unit && load_le<std::uint32_t>(file_.at(end - unit, unit)) == 0) {
      end -= unit;
    }
    return end;
  }

  /// Lists the stream that ends at `end`, its last block first. Returns its start, or nothing if there is no stream.
  std::optional<std::uint64_t> list_stream(std::uint64_t end) {
    lzma_stream_flags footer{};
    lzma_stream_flags header{};
    if (end < 2 * stream_header_size + least_index_size ||
        lzma_stream_footer_decode(&footer, lzma_bytes(file_.at(end - stream_header_size, stream_header_size))) !=
            LZMA_OK ||
        footer.backward_size > end - 2 * stream_header_size) {
      return std::nullopt;
    }
    const std::uint64_t index_offset = end - stream_header_size - footer.backward_size;
    const auto index = read_index(index_offset, footer.backward_size);
    if (index == nullptr || lzma_index_total_size(index.get()) > index_offset - stream_header_size) {
      return std::nullopt;
    }
    const std::uint64_t begin = index_offset - lzma_index_total_size(index.get()) - stream_header_size;
    if (lzma_stream_header_decode(&header, lzma_bytes(file_.at(begin, stream_header_size))) != LZMA_OK ||
        lzma_stream_flags_compare(&header, &footer) != LZMA_OK) {
      return std::nullopt;
    }
    const auto before = static_cast<std::ptrdiff_t>(blocks_.size());
    lzma_index_iter iter;
    lzma_index_iter_init(&iter, index.get());
    while (!lzma_index_iter_next(&iter, LZMA_INDEX_ITER_BLOCK)) {
      // An empty block would not be decoded, so it could not be checked.
      if (iter.block.uncompressed_size == 0 || blocks_.size() == most_) {
        return std::nullopt;
      }
      blocks_.push_back({.plain_size = iter.block.uncompressed_size,
                         .stored_offset = begin + iter.block.compressed_stream_offset,
                         .stored_size = iter.block.total_size,
                         .check = pack(iter.block.unpadded_size, header.check)});
    }
    std::reverse(blocks_.begin() + before, blocks_.end());
    return begin;
  }

  struct End {
    void operator()(lzma_index* index) const { lzma_index_end(index, nullptr); }
  };
  std::unique_ptr<lzma_index, End> read_index(std::uint64_t offset, std::uint64_t size) {
    constexpr std::uint64_t most_entry_size = 18;
    if (size > (most_ - blocks_.size()) * most_entry_size + Peek::window_size) {
      return nullptr;
    }
    const auto length = static_cast<std::size_t>(size);
    std::vector<std::byte> bytes;
    if (length > Peek::window_size) {
      bytes.resize(length);
      stored_.read_at(offset, bytes);
    }
    std::uint64_t memory = index_memory;
    std::size_t used = 0;
    lzma_index* index = nullptr;
    const lzma_ret result = lzma_index_buffer_decode(
        &index, &memory, nullptr, lzma_bytes(bytes.empty() ? file_.at(offset, length) : bytes.data()), &used, length);
    std::unique_ptr<lzma_index, End> owned(index);
    return result == LZMA_OK && used == length ? std::move(owned) : nullptr;
  }

  const Source& stored_;
  Peek file_;
  const std::size_t most_;
  std::vector<Block> blocks_;
};

class Xz final : public Codec {
 public:
  std::string_view name() const noexcept override { return "xz"; }
  std::span<const std::string_view> extensions() const noexcept override {
    static constexpr std::array<std::string_view, 1> list = {".xz"};
    return list;
  }
  bool recognises(Bytes first) const noexcept override {
    return first.size() >= magic.size() && std::equal(magic.begin(), magic.end(), first.begin());
  }
  LevelRange levels() const noexcept override { return {.lowest = 0, .highest = 9, .standard = 6}; }
  std::string library() const override { return liblzma_text(); }

  /// Four times the dictionary of level 0, which gains nothing from more; otherwise as much as memory allows.
  std::size_t block_size(int level) const noexcept override { return std::size_t{level == 0 ? 1U : 4U} << 20; }
  std::unique_ptr<BlockEncoder> encoder(int level) const override { return std::make_unique<XzEncoder>(level); }
  std::unique_ptr<BlockDecoder> decoder(const DecodeOptions& options) const override {
    return std::make_unique<XzDecoder>(options.window);
  }

  void prologue(int /*level*/, std::vector<std::byte>& out) const override {
    const lzma_stream_flags flags = stream_flags();
    out.resize(out.size() + stream_header_size);
    succeed(lzma_stream_header_encode(&flags, lzma_bytes(out.data() + out.size() - stream_header_size)));
  }

  void epilogue(std::span<const Block> blocks, std::vector<std::byte>& out) const override {
    const std::unique_ptr<lzma_index, void (*)(lzma_index*)> index(lzma_index_init(nullptr),
                                                                   [](lzma_index* i) { lzma_index_end(i, nullptr); });
    if (index == nullptr) {
      fail_lzma(LZMA_MEM_ERROR);
    }
    for (const Block& block : blocks) {
      succeed(lzma_index_append(index.get(), nullptr, unpadded_size_in(block), block.plain_size));
    }
    lzma_stream_flags flags = stream_flags();
    flags.backward_size = lzma_index_size(index.get());
    std::size_t at = out.size();
    out.resize(at + static_cast<std::size_t>(flags.backward_size) + stream_header_size);
    succeed(lzma_index_buffer_encode(index.get(), lzma_bytes(out.data()), &at, out.size()));
    succeed(lzma_stream_footer_encode(&flags, lzma_bytes(out.data() + at)));
  }

  std::optional<BlockIndex> index(const Source& stored) const override { return FileIndex(stored).list(); }

  std::unique_ptr<Source> in_order(Source& stored, const DecodeOptions& options) const override {
    return std::make_unique<XzSource>(stored, options);
  }

 private:
  static lzma_stream_flags stream_flags() {
    lzma_stream_flags flags{};
    flags.check = LZMA_CHECK_CRC64;
    return flags;
  }
};

}  // namespace

std::shared_ptr<const Codec> xz_codec() { return std::make_shared<Xz>(); }

}  // namespace stele

#endif  // STELE_WITH_LIBLZMA
