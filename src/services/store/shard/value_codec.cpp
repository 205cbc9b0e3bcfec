#include "services/store/shard/value_codec.hpp"

#if STELE_WITH_ZSTD
#include <zdict.h>
#include <zstd.h>
#endif

#include <algorithm>
#include <map>
#include <mutex>

#include "base/threads/pool.hpp"
#include "stele/error.hpp"
#include "stele/options.hpp"

namespace stele {
namespace {

/// Bytes that are decoded before the claimed size is trusted.
constexpr std::uint64_t first_piece = std::uint64_t{1} << 20;
/// Larger claims are checked against the possible expansion.
constexpr std::uint64_t free_expansion = std::uint64_t{16} << 20;

[[noreturn]] void fail_damaged(const std::string& what) { fail(Errc::damaged, "a compressed value " + what); }

}  // namespace

#if STELE_WITH_ZSTD

struct ValueCodec::Zstd {
  template <auto Free>
  struct Deleter {
    void operator()(auto* p) const { Free(p); }
  };
  struct Contexts {
    std::unique_ptr<ZSTD_CCtx, Deleter<ZSTD_freeCCtx>> in{ZSTD_createCCtx()};
    std::unique_ptr<ZSTD_DCtx, Deleter<ZSTD_freeDCtx>> out{ZSTD_createDCtx()};
  };
  struct Dictionary {
    std::unique_ptr<ZSTD_CDict, Deleter<ZSTD_freeCDict>> in;
    std::unique_ptr<ZSTD_DDict, Deleter<ZSTD_freeDDict>> out;
  };

  Zstd(int level_, Dictionaries load_) : level(level_), load(std::move(load_)) {}

  const Dictionary& dictionary(std::uint64_t number) {
    const std::lock_guard lock(mutex);
    auto& known = dictionaries[number];
    if (known == nullptr) {
      const std::vector<std::byte> bytes = load(number);
      auto made = std::make_unique<Dictionary>();
      made->in.reset(ZSTD_createCDict(bytes.data(), bytes.size(), level));
      made->out.reset(ZSTD_createDDict(bytes.data(), bytes.size()));
      if (made->in == nullptr || made->out == nullptr) {
        fail(Errc::damaged, "the store's dictionary " + std::to_string(number) + " is none");
      }
      known = std::move(made);
    }
    return *known;
  }

  bool compress(Bytes plain, std::uint64_t number, std::vector<std::byte>& out) {
    const Dictionary* const shared = number == 0 ? nullptr : &dictionary(number);
    const auto contexts = pool.take();
    out.resize(ZSTD_compressBound(plain.size()));
    ZSTD_CCtx* const context = contexts->in.get();
    const std::size_t size =
        shared == nullptr
            ? ZSTD_compressCCtx(context, out.data(), out.size(), plain.data(), plain.size(), level)
            : ZSTD_compress_usingCDict(context, out.data(), out.size(), plain.data(), plain.size(), shared->in.get());
    if (ZSTD_isError(size)) {
      fail(Errc::io, std::string("zstd: ") + ZSTD_getErrorName(size));
    }
    out.resize(size);
    return size < plain.size();
  }

  std::vector<std::byte> decompress(Bytes compressed, std::uint64_t plain_size, std::uint64_t number) {
    const Dictionary* const shared = number == 0 ? nullptr : &dictionary(number);
    if (ZSTD_getFrameContentSize(compressed.data(), compressed.size()) != plain_size ||
        ZSTD_findFrameCompressedSize(compressed.data(), compressed.size()) != compressed.size()) {
      fail_damaged("is not of the size that its record says");
    }
    const auto contexts = pool.take();
    std::vector<std::byte> plain(static_cast<std::size_t>(plain_size));
    ZSTD_DCtx* const context = contexts->out.get();
    const std::size_t size =
        shared == nullptr
            ? ZSTD_decompressDCtx(context, plain.data(), plain.size(), compressed.data(), compressed.size())
            : ZSTD_decompress_usingDDict(context, plain.data(), plain.size(), compressed.data(), compressed.size(),
                                         shared->out.get());
    if (ZSTD_isError(size) || size != plain.size()) {
      fail_damaged(std::string("cannot be decompressed: ") + ZSTD_getErrorName(size));
    }
    return plain;
  }

  int level;
  Dictionaries load;
  Pool<Contexts> pool;
  std::mutex mutex;  // guards dictionaries
  std::map<std::uint64_t, std::unique_ptr<Dictionary>> dictionaries;
};

std::vector<std::byte> ValueCodec::train(Bytes samples, const std::vector<std::size_t>& sizes, std::size_t bytes) {
  std::vector<std::byte> dictionary(bytes);
  const std::size_t size = ZDICT_trainFromBuffer(dictionary.data(), dictionary.size(), samples.data(), sizes.data(),
                                                 static_cast<unsigned>(sizes.size()));
  if (ZDICT_isError(size)) {
    fail(Errc::invalid_argument, "no dictionary can be made of " + std::to_string(sizes.size()) + " values of " +
                                     std::to_string(samples.size()) + " bytes: " + ZDICT_getErrorName(size));
  }
  dictionary.resize(size);
  return dictionary;
}

#else

struct ValueCodec::Zstd {
  Zstd(int, Dictionaries) {}
  bool compress(Bytes, std::uint64_t, std::vector<std::byte>&) { return false; }
  std::vector<std::byte> decompress(Bytes, std::uint64_t, std::uint64_t) {
    fail(Errc::unknown_codec, "this build has no zstd");
  }
};

std::vector<std::byte> ValueCodec::train(Bytes, const std::vector<std::size_t>&, std::size_t) {
  fail(Errc::unsupported, "this build has no zstd, which dictionaries are made with");
}

#endif

ValueCodec::ValueCodec(const std::string& codec, std::optional<int> level, Dictionaries dictionaries)
    : name_(codec), level_(level) {
  if (codec == "plain") {
    return;
  }
  codec_ = &codecs_.get(codec);
  const LevelRange levels = codec_->levels();
  if (level && (*level < levels.lowest || *level > levels.highest)) {
    fail(Errc::invalid_argument, codec + " has the levels " + std::to_string(levels.lowest) + " to " +
                                     std::to_string(levels.highest) + ", not " + std::to_string(*level));
  }
  if (codec == "zstd") {
    zstd_ = std::make_unique<Zstd>(level.value_or(levels.standard), std::move(dictionaries));
  }
}

ValueCodec::~ValueCodec() = default;

std::unique_ptr<CompressingSink> ValueCodec::sink(Sink& to, unsigned threads) const {
  return codec_ == nullptr ? nullptr : make_compressing_sink(to, *codec_, level_, threads);
}

bool ValueCodec::compress(Bytes plain, std::uint64_t dictionary, std::vector<std::byte>& out) const {
  if (zstd_ != nullptr) {
    return zstd_->compress(plain, dictionary, out);
  }
  out.clear();
  const std::unique_ptr<Sink> memory = memory_sink(out);
  const std::unique_ptr<Sink> compressing = sink(*memory, 1);
  compressing->write(plain);
  compressing->close();
  return out.size() < plain.size();
}

std::vector<std::byte> ValueCodec::decompress(Bytes compressed, std::uint64_t plain_size, std::uint64_t dictionary,
                                              const Limits& limits) const {
  if (codec_ == nullptr) {
    fail_damaged("is in a store without a codec");
  }
  if (plain_size > limits.allocation ||
      (plain_size > free_expansion && plain_size / limits.expansion > compressed.size())) {
    fail(Errc::limit_exceeded, "a compressed value of " + std::to_string(plain_size) + " bytes is beyond the limits");
  }
  if (zstd_ != nullptr) {
    return zstd_->decompress(compressed, plain_size, dictionary);
  }
  const DecodeOptions options{.threads = 1, .window = limits.window, .expansion = limits.expansion};
  const std::unique_ptr<Source> source = decompressing_source(memory_source(compressed), *codec_, options);
  std::vector<std::byte> plain;
  while (plain.size() < plain_size) {
    const std::uint64_t more = std::max<std::uint64_t>(first_piece, plain.size());
    const std::size_t have = plain.size();
    plain.resize(static_cast<std::size_t>(std::min(plain_size, have + more)));
    for (std::size_t at = have; at < plain.size();) {
      const std::size_t got = source->read(std::span(plain).subspan(at));
      if (got == 0) {
        fail_damaged("is not of the size that its record says");
      }
      at += got;
    }
  }
  std::byte rest{};
  if (source->read({&rest, 1}) != 0) {
    fail_damaged("is not of the size that its record says");
  }
  source->finish();
  return plain;
}

}  // namespace stele
