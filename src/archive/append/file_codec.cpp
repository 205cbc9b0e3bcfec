#include "archive/append/file_codec.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "archive/read/opened.hpp"
#include "base/bytes.hpp"
#include "codec/decompress.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::array<std::byte, 3> label_head{std::byte{frozen::label[0]}, std::byte{frozen::label[1]},
                                              std::byte{frozen::label[2]}};

[[noreturn]] void refuse(const Codec& codec, const std::string& why) {
  fail(Errc::invalid_argument, "a file of " + std::string(codec.name()) + " cannot be appended to: " + why +
                                   "; gzip, bzip2, xz, lz4 and zstd can, and plain");
}

std::vector<std::byte> compressed(const Codec& codec, Bytes plain) {
  std::vector<std::byte> bytes;
  const auto memory = memory_sink(bytes);
  const auto sink = compressing_sink(*memory, codec, codec.levels().lowest);
  sink->write(plain);
  sink->close();
  return bytes;
}

/// An empty frame of zstd would keep readers from finding the blocks; a skippable one does not.
std::vector<std::byte> mark_of(const Codec& codec) {
  if (codec.name() != "zstd" && codec.name() != "lz4") {
    return compressed(codec, {});
  }
  const Bytes text = std::as_bytes(std::span(frozen::end_magic));
  std::vector<std::byte> bytes(2 * sizeof(std::uint32_t));
  store_le<std::uint32_t>(bytes.data(), frozen::commit_mark);
  store_le<std::uint32_t>(bytes.data() + sizeof(std::uint32_t), static_cast<std::uint32_t>(text.size()));
  bytes.insert(bytes.end(), text.begin(), text.end());
  return bytes;
}

}  // namespace

FileCodec::FileCodec(const Codecs* codecs)
    : builtin_(codecs == nullptr ? std::make_unique<Codecs>() : nullptr),
      codecs_(codecs == nullptr ? *builtin_ : *codecs),
      head_(label_head) {}

void FileCodec::choose(std::string_view name, std::string_view path) {
  if (name == "plain") {
    set(nullptr);
  } else {
    set(name.empty() ? codecs_.by_extension(path) : &codecs_.get(name));
  }
}

bool FileCodec::recognise(Bytes first) {
  if (may_be_label(first)) {
    set(nullptr);
    return true;
  }
  const Codec* const codec = codecs_.by_magic(first);
  if (codec == nullptr) {
    return false;
  }
  set(codec);
  return true;
}

void FileCodec::set(const Codec* codec) {
  head_ = label_head;
  mark_.clear();
  if (codec != nullptr) {
    if (codec->name() == "zlib" || codec->name() == "lzma") {
      refuse(*codec, "the format has no files of several parts");
    }
    const std::vector<std::byte> sample = compressed(*codec, std::as_bytes(std::span(frozen::label)));
    const InOrderSource reading(memory_source(sample), *codec, {});
    if (!reading.has_streams()) {
      refuse(*codec, "its files one after another cannot be told apart");
    }
    std::copy_n(sample.begin(), head_.size(), head_.begin());
    if (head_[0] == std::byte{0}) {
      refuse(*codec, "its files begin with a zero byte");
    }
    mark_ = mark_of(*codec);
  }
  codec_ = codec;
}

std::string_view FileCodec::name() const noexcept { return codec_ == nullptr ? "plain" : codec_->name(); }

bool FileCodec::may_begin(Bytes first) const noexcept {
  const std::size_t known = std::min(first.size(), head_.size());
  if (first.empty() || !std::equal(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(known), head_.begin())) {
    return false;
  }
  if (codec_ == nullptr) {
    return may_be_label(first.first(std::min(first.size(), frozen::label.size())));
  }
  return first.size() < frozen::label.size() || codec_->recognises(first);
}

bool FileCodec::may_end(Bytes next) const noexcept {
  if (codec_ == nullptr || (codec_->name() != "zstd" && codec_->name() != "lz4")) {
    return may_begin(next);
  }
  // The mark and the tables are skippable frames, whose numbers differ in four bits.
  const std::size_t known = std::min(next.size(), sizeof(std::uint32_t));
  return known > 0 && (next[0] & std::byte{0xf0}) == (mark_[0] & std::byte{0xf0}) &&
         std::equal(next.begin() + 1, next.begin() + static_cast<std::ptrdiff_t>(known), mark_.begin() + 1);
}

}  // namespace stele
