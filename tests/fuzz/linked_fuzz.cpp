// Linked archives: a table of any bytes, and files of any bytes, beside a file that they may refer to. What the source
// delivers is what the mapping holds.

#include <array>
#include <filesystem>
#include <fstream>

#include "archive/linked/source.hpp"
#include "base/checksum.hpp"
#include "format/directory.hpp"
#include "fuzz.hpp"
#include "stele/archive.hpp"
#include "stele/value.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

/// A folder per process with an archive to refer to: {"other.stele", 0x36df3829922392e8}, which the corpus has.
const std::filesystem::path& folder() {
  static const std::filesystem::path made = [] {
    std::string name = (std::filesystem::temp_directory_path() / "stele_fuzz_XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr);
    std::array<std::byte, 200'000> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::byte>(i * 7);
    }
    std::ofstream(name + "/other.stele", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::atexit([] {
      std::error_code ignored;
      std::filesystem::remove_all(folder(), ignored);
    });
    return std::filesystem::path(name);
  }();
  return made;
}

void open_file(Bytes bytes) {
  const std::string path = folder() / "linked.stele";
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  Limits limits;
  limits.expansion = 100;
  for (const MapMode mode : {MapMode::read_only, MapMode::copy_on_write}) {
    succeeds([&] {
      const Linked linked = open_linked(path, mode, limits);
      std::vector<std::byte> all(static_cast<std::size_t>(linked.table.length));
      linked.source->read_at(0, all);
      const Bytes mapped = linked.mapping->bytes();
      require(std::equal(all.begin(), all.end(), mapped.begin(), mapped.end()));
    });
  }
  succeeds([&] { (void)open_linked(path, MapMode::none, limits, LinkedFiles::none); });
  succeeds([&] { (void)load<Value>(path, {.limits = limits}); });
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  open_file(bytes);
  // The bytes as a table, in a file whose own checksums are right.
  std::vector<std::byte> file;
  const auto add = [&](Bytes more) { file.insert(file.end(), more.begin(), more.end()); };
  add(std::as_bytes(std::span(frozen::link_label)));
  file.resize(200, std::byte{1});
  Trailer trailer{.directory_offset = file.size(), .directory_length = size};
  add(bytes);
  trailer.total_length = file.size() + frozen::trailer_bytes;
  trailer.directory_checksum = xxh3_64(bytes);
  trailer.structure_checksum = xxh3_64(std::vector<std::byte>(frozen::trailer_bytes, std::byte{1}));
  add(encode_trailer(trailer, frozen::link_end_magic));
  open_file(file);
  return 0;
}
