#include "format/links.hpp"

#include <charconv>
#include <limits>

#include "base/checksum.hpp"
#include "format/cursor.hpp"
#include "format/frozen.hpp"

namespace stele {
namespace {

constexpr std::uint64_t format_number = 1;
constexpr std::uint64_t most_length = std::numeric_limits<std::int64_t>::max();

bool is_file_name(std::string_view name) noexcept {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace

void LinkTable::add(const Extent& extent) {
  if (!extents.empty()) {
    Extent& last = extents.back();
    if (last.file == extent.file && last.offset + last.length == extent.offset) {
      last.length += extent.length;
      return;
    }
  }
  extents.push_back(extent);
}

std::vector<std::byte> encode_links(const LinkTable& table) {
  std::vector<std::byte> item;
  cbor::Builder out(item);
  out.map(4);
  out.text("format");
  out.natural(format_number);
  out.text("length");
  out.natural(table.length);
  out.text("files");
  out.array(table.files.size());
  for (const LinkTable::File& file : table.files) {
    out.array(2);
    out.text(file.name);
    out.natural(file.id);
  }
  out.text("extents");
  out.array(table.extents.size());
  for (const LinkTable::Extent& extent : table.extents) {
    out.array(3);
    out.natural(extent.length);
    out.natural(extent.file);
    out.natural(extent.offset);
  }
  return item;
}

LinkTable decode_links(Bytes item, std::uint64_t offset) {
  cbor::Cursor in(item, offset);
  LinkTable table;
  std::uint64_t format = 0;
  for (std::uint64_t left = in.map(); left > 0; --left) {
    const std::string_view key = in.text();
    if (key == "format") {
      format = in.natural();
      if (format != format_number) {
        fail(Errc::unsupported, message({"a linked archive of format ", format, ", newer than this library"}));
      }
    } else if (key == "length") {
      table.length = in.natural();
    } else if (key == "files") {
      for (std::uint64_t count = in.array(); count > 0; --count) {
        if (in.array() != 2) {
          in.bad("a file of a linked archive has a name and a number");
        }
        LinkTable::File& file = table.files.emplace_back();
        file.name = in.text();
        file.id = in.natural();
        if (!is_file_name(file.name)) {
          in.bad("a linked archive refers to what is no file in its folder");
        }
      }
    } else if (key == "extents") {
      for (std::uint64_t count = in.array(); count > 0; --count) {
        if (in.array() != 3) {
          in.bad("an extent of a linked archive has three numbers");
        }
        LinkTable::Extent& extent = table.extents.emplace_back();
        extent.length = in.natural();
        extent.file = static_cast<std::size_t>(in.natural());
        extent.offset = in.natural();
      }
    } else {
      in.skip();
    }
  }
  std::uint64_t end = frozen::label.size();
  for (const LinkTable::Extent& extent : table.extents) {
    if (extent.length == 0 || extent.length > most_length - end || extent.offset > most_length - extent.length ||
        extent.file > table.files.size()) {
      in.bad("an extent of a linked archive is beyond its limits");
    }
    end += extent.length;
  }
  if (format == 0 || end != table.length || !in.done()) {
    in.bad("the extents of a linked archive do not make up the archive");
  }
  return table;
}

std::uint64_t file_id(Bytes trailer) noexcept { return xxh3_64(trailer); }

std::string kept_name(std::string_view name, std::uint64_t id) {
  char digits[16];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, id, 16);
  return std::string(frozen::kept_folder) + "/" + std::string(digits, end) + "-" + std::string(name);
}

}  // namespace stele
