#if STELE_WITH_BZIP2

#include "codec/formats/bzip2/blocks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <functional>
#include <optional>

#include "base/bytes.hpp"

namespace stele::bzip2 {
namespace {

constexpr unsigned magic_bits = 48;
constexpr unsigned crc_bits = 32;

/// `count` bits, at most 56, from any bit offset; zeros after the end.
std::uint64_t bits_at(Bytes bytes, std::size_t bit, unsigned count) {
  bytes = bytes.subspan(std::min(bit / 8, bytes.size()));
  std::array<std::byte, 8> last{};
  if (bytes.size() < last.size()) {
    std::copy(bytes.begin(), bytes.end(), last.begin());
    bytes = last;
  }
  return load_be<std::uint64_t>(bytes.data()) << bit % 8 >> (64 - count);
}
std::uint32_t crc_at(Bytes bytes, std::size_t magic) {
  return static_cast<std::uint32_t>(bits_at(bytes, magic + magic_bits, crc_bits));
}

/// For each byte value: the set of bit positions in the byte two before it at which a magic may begin.
constexpr std::array<std::uint8_t, 256> third_bytes() {
  std::array<std::uint8_t, 256> sets{};
  for (const std::uint64_t magic : {block_magic, end_magic}) {
    for (unsigned shift = 0; shift < 8; ++shift) {
      sets[(magic >> (24 + shift)) & 0xff] |= static_cast<std::uint8_t>(1U << shift);
    }
  }
  return sets;
}

/// The first bit at or after `begin` where a magic begins, with all its 48 bits and the 32 after it in `bytes`; or
/// nothing.
std::optional<std::size_t> find_magic(Bytes bytes, std::size_t begin) {
  static constexpr auto sets = third_bytes();
  constexpr std::size_t needed = (magic_bits + crc_bits) / 8;
  for (std::size_t at = begin / 8; at + needed <= bytes.size(); ++at) {
    for (unsigned set = sets[std::to_integer<std::size_t>(bytes[at + 2])]; set != 0; set &= set - 1) {
      const std::size_t bit = at * 8 + static_cast<unsigned>(std::countr_zero(set));
      const std::uint64_t found = bits_at(bytes, bit, magic_bits);
      if (bit >= begin && bit + magic_bits + crc_bits <= bytes.size() * 8 &&
          (found == block_magic || found == end_magic)) {
        return bit;
      }
    }
  }
  return std::nullopt;
}

/// Writes bits one after another.
class BitWriter {
 public:
  explicit BitWriter(std::byte* to) : to_(to) {}
  void put(std::uint64_t bits, unsigned count) {
    while (count > 0) {
      const unsigned step = std::min(8 - used_, count);
      count -= step;
      rest_ = rest_ << step | static_cast<unsigned>(bits >> count & ((1U << step) - 1));
      used_ += step;
      if (used_ == 8) {
        *to_++ = static_cast<std::byte>(rest_);
        rest_ = used_ = 0;
      }
    }
  }
  /// Fills the last byte with zeros and returns the end.
  std::byte* end() {
    if (used_ > 0) {
      put(0, 8 - used_);
    }
    return to_;
  }

 private:
  std::byte* to_;
  unsigned rest_ = 0;
  unsigned used_ = 0;
};

}  // namespace

void Blocks::begin(std::byte level) {
  level_ = level;
  begin_ = 0;
  looked_ = 0;
  found_last_ = false;
  crc_ = 0;
  count_ = current_ = given_ = 0;
  bunzip_.reset();
}

/// Makes a stream of the block between two magics: a header, its bits, and an end.
void Blocks::add(Bytes bytes, std::size_t begin, std::size_t end) {
  if (blocks_.size() == count_) {
    blocks_.emplace_back();
  }
  Block& block = blocks_[count_++];
  block.crc = crc_at(bytes, begin);
  block.state = State::waiting;
  block.plain.clear();
  constexpr unsigned at_once = 56;
  constexpr std::size_t beside = header_size + (magic_bits + crc_bits) / 8 + 2 * sizeof(std::uint64_t);
  block.stream.resize((end - begin) / 8 + beside);
  std::byte* to = block.stream.data();
  for (const char c : {'B', 'Z', 'h'}) {
    *to++ = static_cast<std::byte>(c);
  }
  *to++ = level_;
  for (; end - begin >= at_once; begin += at_once, to += at_once / 8) {
    store_be<std::uint64_t>(to, bits_at(bytes, begin, at_once) << (64 - at_once));
  }
  BitWriter writer(to);
  if (end > begin) {
    const auto left = static_cast<unsigned>(end - begin);
    writer.put(bits_at(bytes, begin, left), left);
  }
  writer.put(end_magic, magic_bits);
  writer.put(block.crc, crc_bits);
  block.stream.resize(static_cast<std::size_t>(writer.end() - block.stream.data()));
}

void Blocks::decode(Block& block) {
  block.state = State::bad;
  try {
    const auto bunzip = bunzips_.take();
    bunzip->begin();
    Bytes stored = block.stream;
    block.plain.resize(std::size_t{1} << 20);
    std::size_t made = 0;
    for (Step step; !step.ended;) {
      if (made == block.plain.size()) {
        if (made == most_plain) {
          block.state = State::large;
          block.plain = {};
          return;
        }
        block.plain.resize(most_plain);
      }
      step = bunzip->step(stored, MutableBytes(block.plain).subspan(made));
      stored = stored.subspan(step.used);
      made += step.made;
      if (!step.ended && step.used == 0 && step.made == 0) {
        return;
      }
    }
    block.plain.resize(made);
    block.state = stored.empty() ? State::good : State::bad;
  } catch (...) {  // reading in order reports the error
  }
}

/// Reads blocks and decodes them. Returns false if none of them can be a block.
bool Blocks::take(Intake& in) {
  count_ = current_ = given_ = 0;
  if (!active() || bits_at(in.ready(), begin_, magic_bits) != block_magic) {
    return false;
  }
  const std::size_t most = std::min<std::size_t>(2 * std::size_t{threads_}, most_at_once);
  while (count_ < most && !found_last_) {
    std::optional<std::size_t> end;
    while (!(end = find_magic(in.ready(), begin_ + std::max<std::size_t>(looked_, magic_bits)))) {
      const std::size_t there = in.ready().size();
      if (there * 8 > begin_ + most_stored * 8) {
        return false;
      }
      const std::size_t seen = there * 8 - std::min<std::size_t>(there * 8, magic_bits + crc_bits - 1);
      looked_ = seen - std::min(seen, begin_);
      constexpr std::size_t more = std::size_t{1} << 20;
      if (!in.have(there + more) && in.ready().size() == there) {
        return false;
      }
    }
    if (*end - begin_ > most_stored * 8) {
      return false;
    }
    add(in.ready(), begin_, *end);
    begin_ = *end;
    looked_ = 0;
    if (bits_at(in.ready(), *end, magic_bits) == end_magic) {
      found_last_ = true;
      stated_crc_ = crc_at(in.ready(), *end);
      begin_ = *end + magic_bits + crc_bits;
    }
  }
  std::atomic<std::size_t> next = 0;
  const std::function<void()> work = [&] {
    for (std::size_t i = next++; i < count_; i = next++) {
      decode(blocks_[i]);
    }
  };
  if (count_ < 2) {
    work();
  } else {
    crew_->run(work);
  }
  const std::size_t whole = found_last_ ? (begin_ + 7) / 8 : begin_ / 8;
  in.consume(whole);
  begin_ -= found_last_ ? begin_ : whole * 8;
  return true;
}

Blocks::Result Blocks::read(Intake& in, MutableBytes into, std::size_t& made) {
  for (;;) {
    if (current_ == count_) {
      if (found_last_) {
        return crc_ == stated_crc_ ? Result::ended : Result::not_known;
      }
      if (!take(in)) {
        return Result::not_known;
      }
    }
    Block& block = blocks_[current_];
    if (block.state == State::bad) {
      return Result::not_known;
    }
    bool ended = false;
    if (block.state == State::good) {
      made = std::min(into.size(), block.plain.size() - given_);
      std::copy_n(block.plain.begin() + static_cast<std::ptrdiff_t>(given_), made, into.begin());
      given_ += made;
      ended = given_ == block.plain.size();
    } else {
      if (bunzip_ == nullptr) {
        bunzip_ = std::make_unique<Bunzip>();
        bunzip_->begin();
        used_ = 0;
      }
      try {
        const Step step = bunzip_->step(Bytes(block.stream).subspan(used_), into);
        used_ += step.used;
        made = step.made;
        ended = step.ended && used_ == block.stream.size();
        if (step.ended ? !ended : step.used == 0 && step.made == 0) {
          return Result::not_known;
        }
      } catch (const Error&) {
        return Result::not_known;
      }
    }
    if (ended) {
      crc_ = std::rotl(crc_, 1) ^ block.crc;
      bunzip_.reset();
      given_ = 0;
      ++current_;
    }
    if (made > 0) {
      return Result::some;
    }
  }
}

}  // namespace stele::bzip2

#endif  // STELE_WITH_BZIP2
