#include "format/directory.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/bytes.hpp"
#include "base/float_mode.hpp"
#include "format/array/typed.hpp"
#include "stele/version.hpp"

namespace stele {

using cbor::Builder;
using cbor::Cursor;
using cbor::Major;

namespace {

template <class Entries, class F>
void put_list(Builder& out, std::string_view name, const Entries& entries, F&& put) {
  if (entries.empty()) {
    return;
  }
  out.text(name);
  out.array(entries.size());
  for (const auto& entry : entries) {
    put(entry);
  }
}

/// `get` is given the number of parts, which is from `parts` to `most_parts`, and the entry to be filled.
template <class Entry, class F>
std::vector<Entry> get_list(Cursor& in, std::uint64_t parts, std::uint64_t most_parts, F&& get) {
  const std::uint64_t count = in.array();
  std::vector<Entry> entries;
  const std::uint64_t most = in.left() / (parts + 1);  // each part takes at least one byte
  entries.reserve(static_cast<std::size_t>(std::min<std::uint64_t>({count, most, 1 << 16})));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t found = in.array();
    if (found < parts || found > most_parts) {
      in.bad("a directory entry has another number of parts");
    }
    get(found, entries.emplace_back());
  }
  return entries;
}

template <class Entry, class F>
std::vector<Entry> get_list(Cursor& in, std::uint64_t parts, F&& get) {
  return get_list<Entry>(in, parts, parts, [&](std::uint64_t, Entry& entry) { get(entry); });
}

void put_metadata(Builder& out, const MetadataValue& value) {
  std::array<std::byte, cbor::max_head> head{};
  if (value.is_text()) {
    out.text(value.text());
  } else if (value.is_natural()) {
    out.natural(value.natural());
  } else if (value.is_integer()) {
    out.head(Major::negative, ~static_cast<std::uint64_t>(value.integer()));
  } else if (value.is_boolean()) {
    head[0] = value.boolean() ? cbor::true_byte : cbor::false_byte;
    out.raw(Bytes(head).first(1));
  } else {
    const auto* end = cbor::put_wide_head(head.data(), Major::simple, std::bit_cast<std::uint64_t>(value.real()));
    out.raw(Bytes(head.data(), end));
  }
}

MetadataValue get_metadata(Cursor& in) {
  if (in.next_is(Major::text) || in.next_is(Major::bytes)) {
    return in.text();
  }
  const cbor::Head head = in.head();
  if (head.major == Major::natural && !head.indefinite()) {
    return head.value;
  }
  if (head.major == Major::negative && head.value >> 63 == 0) {
    return static_cast<std::int64_t>(~head.value);
  }
  if (head.major == Major::simple) {
    switch (head.info) {
      case 20:
      case 21:
        return head.info == 21;
      case cbor::info_16:
        return static_cast<float>(std::bit_cast<float16>(static_cast<std::uint16_t>(head.value)));
      case cbor::info_32:
        return std::bit_cast<double>(widened_bits(static_cast<std::uint32_t>(head.value)));
      case cbor::info_64:
        return std::bit_cast<double>(head.value);
      default:
        break;
    }
  }
  in.bad("a metadata value that is neither text, a number nor a boolean");
}

constexpr std::uint64_t without_pieces = 8;  // parts of an array's entry
constexpr std::uint64_t with_pieces = 9;

void get_piece_checksums(Cursor& in, ArrayEntry& entry) {
  if (!in.next_is(Major::bytes)) {
    in.bad("the checksums of the pieces of an array are a byte string");
  }
  const Bytes bytes = std::as_bytes(std::span(in.text()));
  const std::uint64_t count = bytes.size() / sizeof(std::uint64_t);
  if (count < 2 || bytes.size() % sizeof(std::uint64_t) != 0 ||
      count != (entry.element_bytes() - 1) / frozen::checked_piece_bytes + 1 || xxh3_64(bytes) != entry.checksum) {
    fail(Errc::damaged, "the directory contradicts itself in the checksums of an array", {entry.path, entry.offset});
  }
  entry.piece_checksums.resize(static_cast<std::size_t>(count));
  std::memcpy(entry.piece_checksums.data(), bytes.data(), bytes.size());
}

void get_array(Cursor& in, std::uint64_t parts, ArrayEntry& entry) {
  bool big_endian = false;
  entry.path = in.text();
  entry.dtype = get_dtype(in, big_endian);
  entry.shape = get_shape(in);
  const std::string_view order = in.text();
  if (order != "C" && order != "F") {
    in.bad("an array order other than C or F");
  }
  entry.order = order == "C" ? Order::row_major : Order::column_major;
  if (in.next_is(Major::array)) {
    if (in.array() != 2) {
      in.bad("the encoding of an array has a name and the place of its header");
    }
    entry.encoding = in.text();
    entry.header = in.natural();
  } else if (in.text() != "raw") {
    in.bad("an array without its encoding");
  }
  entry.offset = in.natural();
  entry.length = in.natural();
  entry.checksum = in.natural();
  if (parts == with_pieces) {
    get_piece_checksums(in, entry);
  }
}

void check_arrays(const std::vector<ArrayEntry>& arrays, std::uint64_t limit) {
  std::uint64_t end = frozen::label.size();
  for (const ArrayEntry& entry : arrays) {
    if (entry.offset < end || entry.length > limit || entry.offset > limit - entry.length ||
        entry.length < frozen::listed_array_bytes || entry.header > entry.offset) {
      fail(Errc::damaged, "the directory lists an array outside its place", {entry.path, entry.offset});
    }
    end = entry.offset + entry.length;
  }
}

void check_pieces(const std::vector<PiecesEntry>& pieces, std::uint64_t limit) {
  std::uint64_t end = frozen::label.size();
  for (const PiecesEntry& entry : pieces) {
    const auto refuse = [&] {
      fail(Errc::damaged, "the directory lists an array in pieces outside its place", {entry.path, entry.begin});
    };
    if (entry.header < end || entry.header >= entry.begin || entry.begin > limit) {
      refuse();
    }
    end = entry.begin;
    for (const std::uint64_t size : entry.sizes) {
      const std::size_t head = cbor::shortest_head_bytes(size);
      if (size == 0 || size >= limit - end || head >= limit - end - size) {  // the end of the string follows
        refuse();
      }
      end += head + size;
    }
  }
}

}  // namespace

std::uint64_t ArrayEntry::element_bytes() const noexcept {
  std::uint64_t bytes = dtype.item_size();
  for (const std::uint64_t extent : shape) {
    bytes = checked_multiply(bytes, extent).value_or(0);
  }
  return bytes;
}

void ArrayEntry::fail_damaged(std::uint64_t first, std::uint64_t last, const std::string& file) const {
  const std::uint64_t size = dtype.item_size();
  const std::uint64_t bytes = element_bytes();
  std::string what = "the array's checksum does not match: its bytes have changed";
  if (bytes > 0 && first < bytes && (first > 0 || last < bytes)) {
    const std::uint64_t row = order == Order::row_major && shape.rank() > 1 ? bytes / shape[0] : size;
    const std::uint64_t begin = first / row;
    const std::uint64_t end = (std::min(last, bytes) - 1) / row;
    what = message({"the checksum of ", std::string(row == size ? "elements " : "rows "), begin, " to ", end,
                    " does not match: their bytes have changed"});
  }
  fail(Errc::damaged, std::move(what), {path, is_raw() ? offset + first : offset, file});
}

void ArrayEntry::check(const ArrayChecksum& found, std::uint64_t in_one, const std::string& file) const {
  if ((piece_checksums.empty() ? in_one : found.whole) == checksum) {
    return;
  }
  const auto pieces =
      std::mismatch(piece_checksums.begin(), piece_checksums.end(), found.pieces.begin(), found.pieces.end());
  if (pieces.first == piece_checksums.end()) {
    fail_damaged(0, element_bytes(), file);
  }
  const auto first = static_cast<std::uint64_t>(pieces.first - piece_checksums.begin()) * frozen::checked_piece_bytes;
  fail_damaged(first, first + frozen::checked_piece_bytes, file);
}

std::uint64_t PiecesEntry::end() const noexcept {
  std::uint64_t at = begin;
  for (const std::uint64_t size : sizes) {
    at += cbor::shortest_head_bytes(size) + size;
  }
  return at;
}

std::vector<std::byte> encode_directory(const Directory& directory) {
  std::vector<std::byte> bytes;
  bytes.reserve(256);  // enough for most
  Builder out(bytes);
  const auto present = [](const auto& entries) { return entries.empty() ? 0U : 1U; };
  out.map(2 + present(directory.arrays) + present(directory.pieces) + present(directory.nodes) +
          present(directory.steps) + present(directory.records) + present(directory.shared) +
          present(directory.deferred) + present(directory.segments) + (directory.appended ? 1U : 0U) +
          present(directory.metadata));
  out.text("format");
  out.natural(directory.format);
  out.text("writer");
  out.text(directory.writer);
  put_list(out, "arrays", directory.arrays, [&](const ArrayEntry& entry) {
    out.array(entry.piece_checksums.empty() ? without_pieces : with_pieces);
    out.text(entry.path);
    put_dtype(out, entry.dtype);
    put_shape(out, entry.shape);
    out.text(entry.order == Order::row_major ? "C" : "F");
    if (entry.is_raw()) {
      out.text("raw");
    } else {
      out.array(2);
      out.text(entry.encoding);
      out.natural(entry.header);
    }
    out.natural(entry.offset);
    out.natural(entry.length);
    out.wide(Major::natural, entry.checksum);
    if (!entry.piece_checksums.empty()) {
      const Bytes checksums = std::as_bytes(std::span(entry.piece_checksums));
      out.head(Major::bytes, checksums.size());
      out.raw(checksums);
    }
  });
  put_list(out, "pieces", directory.pieces, [&](const PiecesEntry& entry) {
    out.array(4);
    out.text(entry.path);
    out.natural(entry.header);
    out.natural(entry.begin);
    out.array(entry.sizes.size());
    for (const std::uint64_t size : entry.sizes) {
      out.natural(size);
    }
  });
  put_list(out, "nodes", directory.nodes, [&](const NodeEntry& entry) {
    out.array(3);
    out.text(entry.path);
    out.natural(entry.offset);
    out.natural(entry.length);
  });
  put_list(out, "steps", directory.steps, [&](const StepEntry& entry) {
    out.array(2);
    out.text(entry.path);
    out.array(entry.steps.size());
    for (const StepEntry::Step& step : entry.steps) {
      out.array(entry.keyed ? 3 : 2);
      out.natural(step.index);
      out.natural(step.offset);
      if (entry.keyed) {
        out.text(step.key);
      }
    }
  });
  put_list(out, "records", directory.records, [&](const RecordEntry& entry) {
    out.array(3);
    out.natural(entry.offset);
    out.natural(entry.id);
    out.array(entry.names.size());
    for (const std::string& name : entry.names) {
      out.text(name);
    }
  });
  put_list(out, "shared", directory.shared, [&](const SharedEntry& entry) {
    out.array(2);
    out.natural(entry.index);
    out.natural(entry.offset);
  });
  put_list(out, "deferred", directory.deferred, [&](const DeferredEntry& entry) {
    out.array(2);
    out.natural(entry.index);
    out.natural(entry.offset);
  });
  put_list(out, "segments", directory.segments, [&](const SegmentEntry& entry) {
    out.array(2);
    out.natural(entry.end);
    out.wide(Major::natural, entry.checksum);
  });
  if (directory.appended) {
    out.text("appended");
    out.array(2);
    out.natural(directory.appended->entry);
    out.natural(directory.appended->commit);
  }
  if (!directory.metadata.empty()) {
    out.text("metadata");
    out.map(directory.metadata.size());
    for (const auto& [key, value] : directory.metadata) {
      out.text(key);
      put_metadata(out, value);
    }
  }
  return bytes;
}

Directory decode_directory(Bytes item, std::uint64_t offset) {
  Directory directory;
  Cursor in(item, offset);
  const std::uint64_t count = in.map();
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = in.text();
    if (key == "format") {
      directory.format = in.natural();
    } else if (key == "writer") {
      directory.writer = in.text();
    } else if (key == "arrays") {
      directory.arrays =
          get_list<ArrayEntry>(in, without_pieces, with_pieces,
                               [&](std::uint64_t parts, ArrayEntry& entry) { get_array(in, parts, entry); });
    } else if (key == "pieces") {
      directory.pieces = get_list<PiecesEntry>(in, 4, [&](PiecesEntry& entry) {
        entry.path = in.text();
        entry.header = in.natural();
        entry.begin = in.natural();
        const std::uint64_t sizes = in.array();
        for (std::uint64_t k = 0; k < sizes; ++k) {
          entry.sizes.push_back(in.natural());
        }
      });
    } else if (key == "nodes") {
      directory.nodes = get_list<NodeEntry>(in, 3, [&](NodeEntry& entry) {
        entry.path = in.text();
        entry.offset = in.natural();
        entry.length = in.natural();
      });
    } else if (key == "steps") {
      directory.steps = get_list<StepEntry>(in, 2, [&](StepEntry& entry) {
        entry.path = in.text();
        const std::uint64_t steps = in.array();
        for (std::uint64_t k = 0; k < steps; ++k) {
          const std::uint64_t parts = in.array();
          if (parts != 2 && parts != 3) {
            in.bad("a step has two or three parts");
          }
          StepEntry::Step& step = entry.steps.emplace_back();
          step.index = in.natural();
          step.offset = in.natural();
          entry.keyed = parts == 3;
          if (entry.keyed) {
            step.key = in.text();
          }
        }
      });
    } else if (key == "records") {
      directory.records = get_list<RecordEntry>(in, 3, [&](RecordEntry& entry) {
        entry.offset = in.natural();
        entry.id = in.natural();
        const std::uint64_t names = in.array();
        for (std::uint64_t k = 0; k < names; ++k) {
          entry.names.emplace_back(in.text());
        }
      });
    } else if (key == "shared") {
      directory.shared = get_list<SharedEntry>(in, 2, [&](SharedEntry& entry) {
        entry.index = in.natural();
        entry.offset = in.natural();
      });
    } else if (key == "deferred") {
      directory.deferred = get_list<DeferredEntry>(in, 2, [&](DeferredEntry& entry) {
        entry.index = in.natural();
        entry.offset = in.natural();
      });
    } else if (key == "segments") {
      directory.segments = get_list<SegmentEntry>(in, 2, [&](SegmentEntry& entry) {
        entry.end = in.natural();
        entry.checksum = in.natural();
      });
    } else if (key == "appended") {
      if (in.array() != 2) {
        in.bad("an appended archive has a number and the place of its commit");
      }
      AppendedEntry& appended = directory.appended.emplace();
      appended.entry = in.natural();
      appended.commit = in.natural();
    } else if (key == "metadata") {
      const std::uint64_t entries = in.map();
      for (std::uint64_t k = 0; k < entries; ++k) {
        std::string name(in.text());
        directory.metadata[std::move(name)] = get_metadata(in);
      }
    } else {
      in.skip();
    }
  }
  if (!in.done()) {
    in.bad("bytes after the directory");
  }
  if (directory.format == 0) {
    in.bad("a directory without a format version");
  }
  if (directory.format > format_version) {
    fail(Errc::unsupported, "format version " + std::to_string(directory.format) + " is newer than this program's, " +
                                std::to_string(format_version));
  }
  check_arrays(directory.arrays, offset);
  check_pieces(directory.pieces, offset);
  return directory;
}

void patch_checksum(std::span<std::byte> item, std::size_t array, const ArrayEntry& entry) {
  Cursor in(item);
  const std::uint64_t count = in.map();
  for (std::uint64_t i = 0; i < count; ++i) {
    if (in.text() != "arrays") {
      in.skip();
      continue;
    }
    const std::uint64_t entries = in.array();
    for (std::uint64_t k = 0; k < entries; ++k) {
      if (k != array) {
        in.skip();
        continue;
      }
      const std::uint64_t parts = in.array();
      for (int part = 0; part < 7; ++part) {
        in.skip();
      }
      const auto at = static_cast<std::size_t>(in.position());
      if (in.head().info != cbor::info_64) {
        fail(Errc::unsupported, "the directory has no room for a new checksum");
      }
      cbor::put_wide_head(item.data() + at, Major::natural, entry.checksum);
      if (parts == with_pieces) {
        const Bytes bytes = std::as_bytes(std::span(in.text()));
        assert(bytes.size() == entry.piece_checksums.size() * sizeof(std::uint64_t));
        std::memcpy(item.data() + (bytes.data() - item.data()), entry.piece_checksums.data(), bytes.size());
      }
      return;
    }
  }
  fail(Errc::damaged, "the directory does not list the array");
}

std::array<std::byte, frozen::trailer_bytes> encode_trailer(const Trailer& trailer, std::string_view magic) noexcept {
  std::array<std::byte, frozen::trailer_bytes> item{};
  item[0] = cbor::first_byte(Major::bytes, cbor::info_8);
  item[1] = std::byte{frozen::trailer_payload};
  std::byte* at = item.data() + 2;
  for (const std::uint64_t number : {trailer.directory_offset, trailer.directory_length, trailer.total_length,
                                     trailer.directory_checksum, trailer.structure_checksum}) {
    store_le<std::uint64_t>(at, number);
    at += 8;
  }
  std::memcpy(at, magic.data(), magic.size());
  return item;
}

Trailer decode_trailer(std::span<const std::byte, frozen::trailer_bytes> item, std::uint64_t position,
                       std::string_view magic) {
  const std::byte* at = item.data() + 2;
  if (item[0] != cbor::first_byte(Major::bytes, cbor::info_8) || item[1] != std::byte{frozen::trailer_payload} ||
      std::memcmp(at + 40, magic.data(), magic.size()) != 0) {
    fail(Errc::damaged, "no trailer where the archive should end; it is truncated or damaged", {{}, position});
  }
  Trailer trailer;
  for (std::uint64_t* number : {&trailer.directory_offset, &trailer.directory_length, &trailer.total_length,
                                &trailer.directory_checksum, &trailer.structure_checksum}) {
    *number = load_le<std::uint64_t>(at);
    at += 8;
  }
  if (trailer.total_length != position + frozen::trailer_bytes || trailer.directory_offset > position ||
      trailer.directory_length > position - trailer.directory_offset ||
      trailer.directory_offset < frozen::label.size() + 1) {
    fail(Errc::damaged, "the trailer contradicts the length of the archive", {{}, position});
  }
  return trailer;
}

}  // namespace stele
