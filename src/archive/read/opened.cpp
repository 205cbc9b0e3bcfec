#include "archive/read/opened.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>

#include "archive/formats.hpp"
#include "archive/linked/source.hpp"
#include "base/naming.hpp"
#include "base/threads/threads.hpp"
#include "codec/blocks/source.hpp"
#include "codec/decompress.hpp"
#include "codec/first_bytes.hpp"
#include "io/mapped_file.hpp"
#include "io/memory.hpp"
#include "io/wrap/prefix.hpp"
#include "io/wrap/tail.hpp"

namespace stele {
namespace {

// The expansion that an index may claim without further checks; deflate reaches 1032.
constexpr std::uint64_t trusted_expansion = 1100;
constexpr std::uint64_t small_file = std::uint64_t{64} << 10;  // read at once

/// Memory that grows without copying: the C library moves the pages.
class GrowingMemory {
 public:
  GrowingMemory() = default;
  GrowingMemory(const GrowingMemory&) = delete;
  GrowingMemory& operator=(const GrowingMemory&) = delete;
  ~GrowingMemory() { std::free(data_); }

  /// At least `size` bytes; keeps the previous contents.
  MutableBytes hold(std::size_t size) {
    if (size > size_) {
      const std::size_t larger = std::max(size, 2 * size_);
      void* const data = std::realloc(data_, larger);
      if (data == nullptr) {
        fail(Errc::limit_exceeded, "cannot allocate " + std::to_string(larger) + " bytes");
      }
      data_ = data;
      size_ = larger;
    }
    return {static_cast<std::byte*>(data_), size_};
  }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The codec of a file that begins with these bytes; null for a plain file.
const Codec* sniff(Bytes first, Opened& opened) {
  if (first.size() >= frozen::label.size() && may_be_label(first.first(frozen::label.size()))) {
    return nullptr;
  }
  if (is_linked(first)) {
    fail(Errc::unsupported,
         "a linked archive refers to other files in its folder, so it is opened by its path; `stele convert` makes an "
         "ordinary archive of it");
  }
  if (opened.options.formats != nullptr && !opened.options.formats->recognise(first, {}).empty()) {
    return nullptr;
  }
  if (opened.options.codecs != nullptr) {
    return opened.options.codecs->by_magic(first);
  }
  opened.codecs = std::make_unique<Codecs>();
  return opened.codecs->by_magic(first);
}

}  // namespace

void read_on(const std::function<std::size_t(MutableBytes)>& read) {
  constexpr std::uint64_t most = std::uint64_t{64} << 20;
  std::vector<std::byte> scratch(std::size_t{64} << 10);
  try {
    std::uint64_t total = 0;
    for (std::size_t count = 1; count > 0 && total < most; total += count) {
      count = read(scratch);
    }
  } catch (const Error& error) {
    if (error.code() == Errc::damaged || error.code() == Errc::truncated) {
      throw;
    }
  }
}

void hold_plain(Opened& opened) {
  constexpr std::size_t step = std::size_t{1} << 20;
  const auto plain = std::make_shared<GrowingMemory>();
  std::size_t used = 0;
  for (;;) {
    const std::size_t got = opened.source->read(plain->hold(used + step).subspan(used, step));
    used += got;
    if (got == 0) {
      break;
    }
    if (used - got < frozen::label.size() &&
        !may_be_label(plain->hold(used).first(std::min(used, frozen::label.size())))) {
      read_on([&](MutableBytes into) { return opened.source->read(into); });
      fail(Errc::not_an_archive, "this is no stele archive: it does not begin with the label", {{}, 0});
    }
    if (used > opened.options.limits.allocation) {
      fail(Errc::limit_exceeded, "the decompressed archive is beyond the allocation limit", {{}, used});
    }
    if (opened.stored_bytes != 0 && expands_too_much(used, opened.stored_bytes, opened.options.limits)) {
      fail(Errc::limit_exceeded,
           "the compressed data expands more than " + std::to_string(opened.options.limits.expansion) + " times",
           {{}, used});
    }
  }
  opened.source->finish();
  if (opened.taken) {
    opened.stored_bytes = opened.taken();
  }
  opened.taken = nullptr;
  opened.source = memory_source(plain->hold(used).first(used), plain);
}

Verify Opened::verify() const noexcept {
  if (options.verify != Verify::automatic) {
    return options.verify;
  }
  return mapping != nullptr ? Verify::directory : Verify::full;
}

Input::Options Opened::input_options(std::uint64_t start) const {
  Input::Options input;
  input.start = start;
  input.random = source->random_access();
  if (input.random) {
    input.end = source->size();
  }
  input.trusted_size = input.random && (!compressed || *input.end / trusted_expansion <= stored_bytes);
  input.threads = thread_count(options.threads);
  input.hash = verify() != Verify::none;
  input.hash_payloads = verify() == Verify::full;
  input.limits = options.limits;
  if (compressed && stored_bytes != 0) {
    input.stored_size = stored_bytes;
  }
  return input;
}

DecoderContext bare_context(const LoadOptions& options, std::string file) {
  DecoderContext context;
  context.verify = Verify::none;
  context.field_rules = rules_of(options);
  context.map_all = options.map_all;
  context.types = options.types;
  context.file = std::move(file);
  return context;
}

DecoderContext Opened::context(const Tail* tail) const {
  DecoderContext context = bare_context(options, name);
  context.verify = verify();
  context.mapping = mapping;
  context.handed_out = handed_out;
  if (tail != nullptr) {
    context.directory = &tail->directory;
    context.trailer = &tail->trailer;
  }
  return context;
}

bool may_be_label(Bytes first) noexcept {
  const Bytes label = std::as_bytes(std::span(frozen::label)).first(std::min(first.size(), frozen::label.size()));
  return std::equal(label.begin(), label.end(), first.begin());
}

namespace {

/// Whether a Source is exactly one archive, according to its trailer.
bool ends_with_archive(const Source& source) {
  std::array<std::byte, frozen::trailer_bytes> last;
  const std::uint64_t size = *source.size();
  if (size < last.size()) {
    return false;
  }
  try {
    source.read_at(size - last.size(), last);
    return decode_trailer(last, size - last.size()).total_length == size;
  } catch (const Error&) {
    return false;
  }
}

enum class Way : std::uint8_t { whole, parts, stream };

Opened open_any(std::unique_ptr<Source> source, const LoadOptions& options, Way way) {
  Opened opened;
  opened.options = options;
  opened.name = source->name();
  const std::vector<std::byte> first = first_bytes(*source);
  if (source->random_access()) {
    opened.stored_bytes = *source->size();
  } else {
    auto whole = std::make_unique<PrefixSource>(first, std::move(source));
    opened.taken = [counted = whole.get()] { return counted->taken(); };
    source = std::move(whole);
  }
  const Codec* codec = sniff(first, opened);
  if (way == Way::whole && source->random_access()) {
    source->will_read(0, *source->size());
  }
  if (codec == nullptr) {
    opened.source = std::move(source);
    return opened;
  }
  opened.codec = codec->name();
  opened.compressed = true;
  const DecodeOptions decode{.threads = options.threads,
                             .window = options.limits.window,
                             .expansion = options.limits.expansion,
                             .whole = way != Way::stream};
  std::unique_ptr<BlockSource> blocks = way == Way::stream ? nullptr : block_source(source, *codec, decode);
  if (blocks != nullptr &&
      ((way == Way::whole && !blocks->index().complete) || (!blocks->index().certain && !ends_with_archive(*blocks)))) {
    source = blocks->take_stored();
    blocks = nullptr;
  }
  if (blocks != nullptr) {
    opened.source = std::move(blocks);
  } else {
    auto in_order = std::make_unique<InOrderSource>(std::move(source), *codec, decode);
    opened.in_order = in_order.get();
    if (way == Way::whole) {
      opened.source = reading_ahead(std::move(in_order), options.threads);
    } else {
      opened.source = std::move(in_order);
    }
  }
  return opened;
}

}  // namespace

Opened open_source(std::unique_ptr<Source> source, const LoadOptions& options, Loading loading) {
  return open_any(std::move(source), options, loading == Loading::whole ? Way::whole : Way::parts);
}

Opened open_stream(std::unique_ptr<Source> source, const LoadOptions& options) {
  return open_any(std::move(source), options, Way::stream);
}

namespace {

/// A file, or a part of one, that begins with the label of a linked archive.
Opened open_links(const Path& path, const LoadOptions& options, std::uint64_t stored, LinkedFiles which) {
  if (options.offset != 0) {
    fail(Errc::unsupported, "a linked archive inside of a larger file");
  }
  Linked linked = open_linked(path, options.map, options.limits, which);
  Opened opened;
  opened.options = options;
  opened.codec = "linked";
  opened.stored_bytes = stored;
  opened.mapping = std::move(linked.mapping);
  opened.links = std::make_shared<LinkTable>(std::move(linked.table));
  opened.source = std::move(linked.source);
  return opened;
}

Opened open_named(const Path& path, const LoadOptions& options, Loading loading, LinkedFiles which = LinkedFiles::all) {
  if (options.map != MapMode::none) {
    Opened opened;
    opened.options = options;
    opened.embedded = options.offset != 0;
    MappedFile file(path, options.map, options.offset);
    opened.mapping = file.mapping();
    opened.stored_bytes = opened.mapping->bytes().size();
    opened.source = std::move(file).source();
    const std::vector<std::byte> first = first_bytes(*opened.source);
    if (is_linked(first)) {
      return open_links(path, options, opened.stored_bytes, which);
    }
    if (const Codec* codec = sniff(first, opened)) {
      fail(Errc::not_mappable, path.text() + " is compressed (" + std::string(codec->name()) +
                                   ") and cannot be mapped; convert it to a plain archive first");
    }
    return opened;
  }
  std::unique_ptr<Source> source = file_source(path);
  if (options.offset != 0) {
    if (!source->random_access() || options.offset > *source->size()) {
      fail(Errc::invalid_argument, "the offset is after the end of " + path.text());
    }
    source = std::make_unique<TailSource>(std::move(source), options.offset);
  }
  if (source->random_access() && is_linked(first_bytes(*source))) {
    return open_links(path, options, *source->size(), which);
  }
  if (source->random_access() && *source->size() <= small_file) {
    std::vector<std::byte> all(static_cast<std::size_t>(*source->size()));
    source->read_at(0, all);
    const auto owner = std::make_shared<std::vector<std::byte>>(std::move(all));
    source = memory_source(*owner, owner);
  }
  Opened opened = open_source(std::move(source), options, loading);
  opened.embedded = options.offset != 0;
  return opened;
}

}  // namespace

Opened open_path(const Path& path, const LoadOptions& options, Loading loading) {
  return naming(path.text(), [&] {
    Opened opened = open_named(path, options, loading);
    opened.name = path.text();
    return opened;
  });
}

Opened open_to_list(const Path& path, const LoadOptions& options) {
  return naming(path.text(), [&] {
    Opened opened = open_named(path, options, Loading::parts, LinkedFiles::none);
    opened.name = path.text();
    return opened;
  });
}

std::optional<Tail> read_tail(const Opened& opened, std::uint64_t start) {
  const Source& source = *opened.source;
  if (!source.random_access()) {
    return std::nullopt;
  }
  const std::uint64_t size = *source.size();
  if (size < start + frozen::label.size() + frozen::trailer_bytes) {
    return std::nullopt;
  }
  std::array<std::byte, frozen::trailer_bytes> last;
  try {
    source.read_at(size - last.size(), last);
  } catch (const Error& error) {
    rethrow_at(error, {.offset = size - start - last.size()});
  }
  Tail tail;
  try {
    tail.trailer = decode_trailer(last, size - start - last.size());
  } catch (const Error&) {
    return std::nullopt;  // more bytes follow, or the end is damaged; reading in order will show which
  }
  if (tail.trailer.directory_length > opened.options.limits.allocation) {
    fail(Errc::limit_exceeded, "the directory is beyond the allocation limit", {{}, tail.trailer.directory_offset});
  }
  std::vector<std::byte> copy;
  Bytes item;
  if (opened.mapping != nullptr || source.memory().empty()) {
    // Read only as much as exists: a compressed file may claim any length.
    std::uint64_t left = tail.trailer.directory_length;
    std::uint64_t at = start + tail.trailer.directory_offset;
    while (left > 0) {
      const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(left, std::uint64_t{4} << 20));
      copy.resize(copy.size() + piece);
      source.read_at(at, std::span(copy).last(piece));
      at += piece;
      left -= piece;
    }
    item = copy;
  } else {
    item = source.memory().subspan(static_cast<std::size_t>(start + tail.trailer.directory_offset),
                                   static_cast<std::size_t>(tail.trailer.directory_length));
  }
  if (opened.verify() != Verify::none && xxh3_64(item) != tail.trailer.directory_checksum) {
    fail(Errc::damaged, "the checksum of the directory does not match", {{}, tail.trailer.directory_offset});
  }
  tail.directory = decode_directory(item, tail.trailer.directory_offset);
  return tail;
}

Tail find_tail(const Opened& opened, std::uint64_t start) {
  if (auto tail = read_tail(opened, start)) {
    return std::move(*tail);
  }
  Input::Options input = opened.input_options(start);
  input.hash_payloads = false;
  DecoderContext context = bare_context(opened.options, opened.name);
  context.verify = opened.verify() == Verify::none ? Verify::none : Verify::directory;
  return pass_through(opened, input, std::move(context));
}

Tail pass_through(const Opened& opened, const Input::Options& options, DecoderContext context) {
  Decoding all(*opened.source, options, std::move(context));
  Decoder& decoder = all.decoder;
  try {
    decoder.begin();
    decoder.skip();
    decoder.finish();
  } catch (const Error& error) {
    decoder.rethrow(error);
  }
  return {decoder.directory(), decoder.trailer()};
}

}  // namespace stele
