#include "stele/codec.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "codec/builtin.hpp"

namespace stele {

void Codec::prologue(int /*level*/, std::vector<std::byte>& /*out*/) const {}

void Codec::epilogue(std::span<const Block> /*blocks*/, std::vector<std::byte>& /*out*/) const {}

std::unique_ptr<Sink> Codec::in_order_sink(Sink& /*to*/, int /*level*/) const { return nullptr; }

namespace {

/// The formats that begin with a few bits of no meaning rather than a magic number, the better one first.
constexpr std::array<std::string_view, 2> weakly_recognised = {"lzma", "zlib"};

}  // namespace

struct Codecs::List : std::vector<std::shared_ptr<const Codec>> {};

Codecs::Codecs() {
  auto list = std::make_shared<List>();
  list->push_back(gzip_codec());
  list->push_back(zlib_codec());
#if STELE_WITH_BZIP2
  list->push_back(bzip2_codec());
#endif
#if STELE_WITH_LIBLZMA
  list->push_back(lzma_codec());
  list->push_back(xz_codec());
#endif
#if STELE_WITH_LZ4
  list->push_back(lz4_codec());
#endif
#if STELE_WITH_ZSTD
  list->push_back(zstd_codec());
#endif
  codecs_ = std::move(list);
}

void Codecs::add(std::shared_ptr<const Codec> codec) {
  auto list = std::make_shared<List>(*codecs_);
  list->insert(list->begin(), std::move(codec));
  codecs_ = std::move(list);
}

std::span<const std::shared_ptr<const Codec>> Codecs::all() const& noexcept { return *codecs_; }

const Codec* Codecs::find(std::string_view name) const& noexcept {
  for (const auto& codec : *codecs_) {
    if (codec->name() == name) {
      return codec.get();
    }
  }
  return nullptr;
}

const Codec* Codecs::by_extension(std::string_view path) const& noexcept {
  for (const auto& codec : *codecs_) {
    for (std::string_view extension : codec->extensions()) {
      if (path.ends_with(extension)) {
        return codec.get();
      }
    }
  }
  return nullptr;
}

const Codec* Codecs::by_magic(Bytes first) const& noexcept {
  for (const auto& codec : *codecs_) {
    if (std::find(weakly_recognised.begin(), weakly_recognised.end(), codec->name()) == weakly_recognised.end() &&
        codec->recognises(first)) {
      return codec.get();
    }
  }
  for (std::string_view name : weakly_recognised) {
    if (const Codec* codec = find(name); codec != nullptr && codec->recognises(first)) {
      return codec;
    }
  }
  return nullptr;
}

}  // namespace stele
