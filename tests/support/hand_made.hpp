#pragma once
// Handmade archives: bytes from hexadecimal digits and CBOR items, and a valid archive around any root.

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.hpp"
#include "format/cursor.hpp"
#include "format/directory.hpp"
#include "format/frozen.hpp"

namespace stele::test {

using Data = std::vector<std::byte>;

inline Data data_of(std::string_view text) {
  const Bytes bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Bytes from hexadecimal digits; other characters are skipped.
inline Data hex(std::string_view text) {
  Data bytes;
  unsigned value = 0;
  bool half = false;
  for (const char c : text) {
    const unsigned digit = c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
                           : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a' + 10)
                                                  : 16;
    if (digit == 16) {
      continue;
    }
    value = half ? value * 16 + digit : digit;
    if (half) {
      bytes.push_back(static_cast<std::byte>(value));
    }
    half = !half;
  }
  return bytes;
}

inline Data& operator+=(Data& to, Bytes more) {
  to.insert(to.end(), more.begin(), more.end());
  return to;
}

/// The shortest CBOR head.
inline Data head(cbor::Major major, std::uint64_t value) {
  std::byte bytes[cbor::max_head];
  return {bytes, cbor::put_head(bytes, major, value)};
}
inline Data tag(std::uint64_t number, Bytes content = {}) {
  Data bytes = head(cbor::Major::tag, number);
  return bytes += content;
}
inline Data text_item(std::string_view text) {
  Data bytes = head(cbor::Major::text, text.size());
  return bytes += std::as_bytes(std::span(text));
}
inline Data bytes_item(Bytes content) {
  Data bytes = head(cbor::Major::bytes, content.size());
  return bytes += content;
}
inline Data array_item(std::initializer_list<Data> items) {
  Data bytes = head(cbor::Major::array, items.size());
  for (const Data& item : items) {
    bytes += item;
  }
  return bytes;
}
inline Data natural_item(std::uint64_t value) { return head(cbor::Major::natural, value); }

/// Lists the shared values and record definitions of a root that were made in their short forms.
inline void index(Bytes root, Directory& directory) {
  std::uint64_t shared = 0;
  for (std::size_t at = 0; at + 2 <= root.size(); ++at) {
    const std::uint64_t offset = frozen::label.size() + at;
    if (root[at] == std::byte{0xd8} && root[at + 1] == std::byte{frozen::tag_shareable}) {
      directory.shared.push_back({shared++, offset});
    } else if (root[at] == std::byte{0xd8} && root[at + 1] == std::byte{frozen::tag_record_definition}) {
      try {
        cbor::Cursor in(root.subspan(at + 2));
        in.head();
        RecordEntry entry{offset, 0, {}};
        for (std::uint64_t names = in.array(); names > 0; --names) {
          entry.names.emplace_back(in.text());
        }
        entry.id = in.natural();
        directory.records.push_back(entry);
      } catch (const Error&) {
      }
    }
  }
}

/// An archive around any bytes as its root: label, root, directory, trailer, matching checksums.
inline Data wrap(Bytes root, const std::vector<ArrayEntry>& arrays = {}, std::uint64_t format = 1) {
  Data bytes;
  bytes += std::as_bytes(std::span(frozen::label));
  bytes += root;
  Directory directory;
  directory.format = format;
  directory.arrays = arrays;
  if (root.size() < 100'000) {
    index(root, directory);
  }
  const Data item = encode_directory(directory);
  Trailer trailer;
  trailer.directory_offset = bytes.size();
  trailer.directory_length = item.size();
  trailer.directory_checksum = xxh3_64(item);
  bytes += item;
  trailer.total_length = bytes.size() + frozen::trailer_bytes;
  Xxh3 structure;
  std::uint64_t at = 0;
  for (const ArrayEntry& entry : arrays) {
    structure.update(Bytes(bytes).subspan(at, entry.offset - at));
    at = entry.offset + entry.length;
  }
  structure.update(Bytes(bytes).subspan(at));
  trailer.structure_checksum = structure.digest64();
  bytes += encode_trailer(trailer);
  return bytes;
}

}  // namespace stele::test
