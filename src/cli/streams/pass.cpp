#include "cli/streams/pass.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>

#include "archive/formats.hpp"
#include "archive/value/later.hpp"
#include "base/naming.hpp"
#include "cli/print/progress.hpp"
#include "cli/streams/input.hpp"
#include "cli/streams/interrupt.hpp"
#include "codec/first_bytes.hpp"
#include "format/frozen.hpp"
#include "io/wrap/forwarding.hpp"
#include "stele/archive.hpp"
#include "stele/codec.hpp"
#include "stele/interop.hpp"

namespace stele {
namespace cli {
namespace {

constexpr std::size_t pass_bytes = std::size_t{1} << 20;

/// Accepts any value. Reading one checks it and keeps nothing.
struct Unread {};

/// Counts the bytes read from another Source, which must outlive it. First returns bytes that were already taken from
/// it.
class StoredSource final : public ForwardingSource {
 public:
  explicit StoredSource(Source& source) : ForwardingSource(source), first_(first_bytes(source)) {
    if (inner_.random_access()) {
      inner_.seek(0);
      at_ = first_.size();
    }
  }
  /// The first bytes, which identify the format.
  Bytes first() const noexcept { return first_; }
  std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

  std::size_t read(MutableBytes into) override {
    std::size_t got = 0;
    if (at_ < first_.size()) {
      got = std::min(into.size(), first_.size() - at_);
      std::copy_n(first_.begin() + static_cast<std::ptrdiff_t>(at_), got, into.begin());
      at_ += got;
    } else {
      got = inner_.read(into);
    }
    count_ += got;
    return got;
  }
  std::optional<std::size_t> peek(MutableBytes into) override { return Source::peek(into); }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    inner_.read_at(offset, into);
    count_ += into.size();
  }

 private:
  const std::vector<std::byte> first_;
  std::size_t at_ = 0;  // position in first_
  mutable std::atomic<std::uint64_t> count_{0};
};

/// Reads plain bytes in order and passes each piece to a Sink when it was read.
class PassingSource final : public Source {
 public:
  PassingSource(Source& plain, Sink* to, const StoredSource& stored, Progress& progress)
      : plain_(plain), to_(to), stored_(stored), progress_(progress), piece_(pass_bytes) {}

  std::size_t read(MutableBytes into) override {
    if (at_ == end_ && !fetch()) {
      return 0;
    }
    const std::size_t count = std::min(into.size(), end_ - at_);
    std::memcpy(into.data(), piece_.data() + at_, count);
    at_ += count;
    return count;
  }
  std::string name() const override { return stored_.name(); }
  /// The next twelve bytes, or fewer at the end, without consuming them.
  Bytes ahead() {
    if (end_ - at_ < frozen::label.size()) {
      fetch();
    }
    return Bytes(piece_).subspan(at_, std::min(end_ - at_, frozen::label.size()));
  }
  /// The number of bytes returned by read().
  std::uint64_t position() const noexcept { return fetched_ - (end_ - at_); }

 private:
  bool fetch() {
    check_interrupt();
    std::memmove(piece_.data(), piece_.data() + at_, end_ - at_);
    end_ -= at_;
    at_ = 0;
    const std::size_t before = end_;
    while (end_ < piece_.size()) {
      const std::size_t got = plain_.read(MutableBytes(piece_).subspan(end_));
      if (got == 0) {
        break;
      }
      end_ += got;
    }
    const Bytes fresh = Bytes(piece_).subspan(before, end_ - before);
    fetched_ += fresh.size();
    progress_.update(stored_.count());
    if (to_ != nullptr && !fresh.empty()) {
      to_->write(fresh);
    }
    return end_ > 0;
  }

  Source& plain_;
  Sink* to_;
  const StoredSource& stored_;
  Progress& progress_;
  std::vector<std::byte> piece_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::uint64_t fetched_ = 0;
};

bool may_be_archive(Bytes first) noexcept {
  return std::memcmp(first.data(), frozen::label.data(), std::min(first.size(), frozen::label.size())) == 0;
}

/// Adds the archive's number to an error, since its offset counts from the start of that archive.
[[noreturn]] void rethrow_of(const Error& error, const Passed& passed) {
  if (passed.archives.size() < 2) {
    throw error;
  }
  fail(error.code(),
       "archive " + std::to_string(passed.archives.size()) + ", at byte " +
           std::to_string(passed.archives.back().offset) + ": " + error.message(),
       {error.path(), error.offset(), error.file()});
}

void pass_plain(PassingSource& source, const PassOptions& options, Passed& passed) {
  Reader reader(source, {.verify = Verify::full, .threads = options.threads});
  for (;;) {
    const Bytes first = source.ahead();
    if (first.empty() && !passed.archives.empty()) {
      return;
    }
    const std::uint64_t offset = source.position();
    if (first.empty() || !may_be_archive(first)) {
      passed.archives.empty() ? fail(Errc::not_an_archive,
                                     first.empty() ? "the input is empty" : "the bytes do not begin as an archive does")
                              : fail(Errc::damaged, "bytes that are not an archive follow the archive", {{}, offset});
    }
    passed.archives.push_back({offset, 0});
    try {
      if (options.take) {
        const auto value = reader.read<Value>();
        options.take(value, reader.metadata());
      } else {
        reader.read<Unread>();
      }
    } catch (const Error& error) {
      rethrow_of(error, passed);
    }
    passed.archives.back().bytes = source.position() - offset;
  }
}

void pass_root(PassingSource& source, const PassOptions& options, Passed& passed) {
  Reader reader(source, {.verify = Verify::full, .threads = options.threads, .formats = &neighbours()});
  StreamedRoot root{options.take_root};
  reader.read_into(root);
  if (reader.more()) {
    fail(Errc::unsupported, "several archives in one file can only be converted to archives");
  }
  passed.archives.push_back({0, source.position()});
}

/// The input after the compressed data must be zeros, which tapes and other block devices add.
void check_rest(Source& source, const Codec& codec) {
  std::vector<std::byte> piece(pass_bytes);
  while (const std::size_t got = source.read(piece)) {
    if (std::any_of(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got),
                    [](std::byte b) { return b != std::byte{}; })) {
      fail(Errc::damaged, "bytes that are no " + std::string(codec.name()) + " follow the compressed data");
    }
  }
}

Passed pass_input(Source& input, const std::string& label, Sink* to, const PassOptions& options) {
  Progress progress(label, input.size(), options.progress);
  StoredSource stored(input);
  const Codecs codecs;
  const bool plain_foreign = options.take_root && !neighbours().recognise(stored.first(), {}).empty();
  const Codec* codec = may_be_archive(stored.first()) || plain_foreign ? nullptr : codecs.by_magic(stored.first());
  std::unique_ptr<Source> plain = std::make_unique<BorrowedSource>(stored);
  if (codec != nullptr) {
    plain = decompressing_source(std::move(plain), *codec, {.threads = options.threads});
  }
  Passed passed;
  passed.codec = codec == nullptr ? "plain" : codec->name();
  PassingSource source(*plain, to, stored, progress);
  options.take_root ? pass_root(source, options, passed) : pass_plain(source, options, passed);
  plain->finish();
  if (codec != nullptr && !plain->random_access()) {
    check_rest(stored, *codec);
  }
  passed.plain_bytes = source.position();
  passed.stored_bytes = input.size().value_or(stored.count());
  return passed;
}

}  // namespace

Passed pass_archives(const std::string& file, Sink* to, const PassOptions& options) {
  const std::unique_ptr<Source> input = open_input(file);
  const std::string label = std::filesystem::path(file).filename().string();
  return naming(input->name(), [&] { return pass_input(*input, label, to, options); });
}

}  // namespace cli

template <>
struct Visit<cli::Unread> {
  static void read(InVisitor& in, cli::Unread&) { in.skip(); }
};

}  // namespace stele
