#include "stele/codec.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "codec/builtin.hpp"
#include "stele/error.hpp"

namespace stele {

void Codec::prologue(int /*level*/, std::vector<std::byte>& /*out*/) const {}

void Codec::epilogue(std::span<const Block> /*blocks*/, std::vector<std::byte>& /*out*/) const {}

std::unique_ptr<Sink> Codec::in_order_sink(Sink& /*to*/, int /*level*/) const { return nullptr; }

namespace {

/// The formats that begin with a few unspecific bits instead of a magic number, the more reliable one first.
constexpr std::array<std::string_view, 2> weakly_recognised = {"lzma", "zlib"};

/// A file extension that means compression.
struct Extension {
  std::string_view extension;
  std::string_view codec;  // empty: not a built-in codec
};

/// Includes the extensions of all built-in codecs, since a build may lack some.
constexpr std::array compressed_extensions = {
    Extension{".gz", "gzip"},
    Extension{".gzip", "gzip"},
    Extension{".bz2", "bzip2"},
    Extension{".bz", "bzip2"},
    Extension{".bzip2", "bzip2"},
    Extension{".bzip", "bzip2"},
    Extension{".lzma", "lzma"},
    Extension{".xz", "xz"},
    Extension{".lz4", "lz4"},
    Extension{".zst", "zstd"},
    Extension{".zstd", "zstd"},
    Extension{".zstandard", "zstd"},
    // formats of other programs, and archives of several files
    Extension{".Z", ""},
    Extension{".lz", ""},
    Extension{".lzip", ""},
    Extension{".lzma2", ""},
    Extension{".lzo", ""},
    Extension{".lzop", ""},
    Extension{".lzf", ""},
    Extension{".lz5", ""},
    Extension{".lzfse", ""},
    Extension{".lrz", ""},
    Extension{".br", ""},
    Extension{".brotli", ""},
    Extension{".sz", ""},
    Extension{".snappy", ""},
    Extension{".snz", ""},
    Extension{".deflate", ""},
    Extension{".bgz", ""},
    Extension{".bgzf", ""},
    Extension{".blosc", ""},
    Extension{".zpaq", ""},
    Extension{".zip", ""},
    Extension{".7z", ""},
    Extension{".rar", ""},
    Extension{".tgz", ""},
    Extension{".taz", ""},
    Extension{".tbz", ""},
    Extension{".tbz2", ""},
    Extension{".tlz", ""},
    Extension{".txz", ""},
    Extension{".tzst", ""},
    Extension{".lz4hc", ""},
    Extension{".xz2", ""},
};

char small_letter(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool ends_with_any_case(std::string_view path, std::string_view extension) noexcept {
  return path.size() >= extension.size() &&
         std::equal(extension.begin(), extension.end(), path.end() - static_cast<std::ptrdiff_t>(extension.size()),
                    [](char a, char b) { return small_letter(a) == small_letter(b); });
}

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

const Codec& Codecs::get(std::string_view name) const& {
  if (const Codec* codec = find(name)) {
    return *codec;
  }
  std::string names = "plain";
  for (const auto& codec : *codecs_) {
    names.append(", ").append(codec->name());
  }
  fail(Errc::unknown_codec, "no codec is named " + std::string(name) + "; there are " + names);
}

const Codec* Codecs::by_extension(std::string_view path) const& {
  for (const bool exact : {true, false}) {
    for (const auto& codec : *codecs_) {
      for (const std::string_view extension : codec->extensions()) {
        if (exact ? path.ends_with(extension) : ends_with_any_case(path, extension) && !path.ends_with(".Z")) {
          return codec.get();
        }
      }
    }
  }
  for (const Extension& known : compressed_extensions) {
    if (!ends_with_any_case(path, known.extension)) {
      continue;
    }
    if (const Codec* codec = find(known.codec)) {
      return codec;
    }
    const std::string extension(path.substr(path.size() - known.extension.size()));
    fail(Errc::unknown_codec, known.codec.empty()
                                  ? "the extension " + extension + " is of a compressed format that stele does not " +
                                        "write; name a codec in the options, plain for none, or another extension"
                                  : "the extension " + extension + " is of " + std::string(known.codec) +
                                        ", which this build does not have; name a codec in the options");
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
