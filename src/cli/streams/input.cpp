#include "cli/streams/input.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "archive/formats.hpp"
#include "archive/linked/source.hpp"
#include "archive/sharded/opened.hpp"
#include "format/frozen.hpp"
#include "io/read.hpp"
#include "io/wrap/tail.hpp"
#include "stele/codec.hpp"
#include "stele/interop.hpp"
#include "stele/storage.hpp"

namespace stele::cli {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;

[[noreturn]] void fail_offset(std::uint64_t offset) {
  fail(Errc::truncated, "there are fewer than " + std::to_string(offset) + " bytes");
}

void discard(Source& source, std::uint64_t count) {
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(count, piece_bytes)));
  for (std::uint64_t left = count; left > 0;) {
    const std::size_t got =
        source.read(MutableBytes(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size()))));
    if (got == 0) {
      fail_offset(count);
    }
    left -= got;
  }
}

/// The size of the machine's memory; no input may need more.
std::uint64_t memory_bytes() noexcept {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size)
                               : ~std::uint64_t{0};
}

/// Such a file is opened by its path.
bool is_linked_file(const std::string& name) {
  std::error_code ignored;
  if (name == "-" || !std::filesystem::is_regular_file(name, ignored)) {
    return false;
  }
  std::vector<std::byte> first(frozen::link_label.size());
  first.resize(read_up_to(*file_source(name), first));
  return is_linked(first);
}

}  // namespace

std::unique_ptr<Source> open_input(const std::string& name, std::uint64_t offset) {
  if (offset == 0 && is_linked_file(name)) {
    return open_linked(name, MapMode::none, {}).source;
  }
  std::unique_ptr<Source> source = name == "-" ? fd_source(0) : file_source(name);
  if (offset == 0) {
    return source;
  }
  if (!source->random_access()) {
    discard(*source, offset);
    return source;
  }
  if (offset > *source->size()) {
    fail_offset(offset);
  }
  return std::make_unique<TailSource>(std::move(source), offset);
}

bool is_foreign(const std::string& name) {
  std::error_code ignored;
  if (name == "-" || !std::filesystem::is_regular_file(name, ignored)) {
    return false;
  }
  const Formats& formats = neighbours();
  const auto begin_of = [](Source& source) {
    std::vector<std::byte> first(Formats::first_bytes);
    first.resize(read_up_to(source, first));
    return first;
  };
  try {
    std::vector<std::byte> first = begin_of(*file_source(name));
    const Codecs codecs;
    const Codec* const codec = formats.recognise(first, {}).empty() ? codecs.by_magic(first) : nullptr;
    if (codec != nullptr) {
      first = begin_of(*decompressing_source(file_source(name), *codec));
    }
    return !formats.recognise(first, name).empty();
  } catch (const Error&) {  // what reads it will report the error
    return false;
  }
}

bool is_sharded(const std::string& name) { return name != "-" && shards::open_if_sharded(name, {}) != nullptr; }

File open_archive(const std::string& name, LoadOptions options) {
  options.formats = &neighbours();
  if (is_url(name) || is_sharded(name)) {
    options.map = MapMode::none;
    return open(name, options);
  }
  std::error_code ignored;  // open_input() reports the error
  if (options.map != MapMode::none && name != "-" && std::filesystem::is_regular_file(name, ignored)) {
    try {
      return open(name, options);
    } catch (const Error& error) {
      if (error.code() != Errc::not_mappable && error.code() != Errc::io) {
        throw;
      }
    }
  }
  options.map = MapMode::none;
  if ((!neighbours().named(name).empty() && std::filesystem::is_regular_file(name, ignored)) || is_linked_file(name)) {
    return open(name, options);
  }
  std::unique_ptr<Source> source = open_input(name, options.offset);
  options.offset = 0;
  if (!source->random_access()) {  // it is read into memory, and may be endless
    options.limits.allocation = std::min(options.limits.allocation, memory_bytes());
  }
  return open(std::move(source), options);
}

std::vector<std::byte> read_all(Source& source) {
  std::vector<std::byte> bytes;
  const std::uint64_t most = source.random_access() ? ~std::uint64_t{0} : memory_bytes();
  for (std::size_t used = 0;;) {
    const std::uint64_t left = source.size().value_or(0) > used ? *source.size() - used : 0;
    bytes.resize(used + std::max({piece_bytes, used / 2, static_cast<std::size_t>(left)}));
    const std::size_t got = source.read(MutableBytes(bytes).subspan(used));
    used += got;
    if (got == 0) {
      bytes.resize(used);
      return bytes;
    }
    if (used > most) {
      fail(Errc::limit_exceeded, "the input has more bytes than this machine has memory", {.file = source.name()});
    }
  }
}

}  // namespace stele::cli
