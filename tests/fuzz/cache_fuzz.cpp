// An object of a cache's remote from any bytes. Its checksums are corrected, so that the code after them is reached.

#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "fuzz.hpp"
#include "services/cache/frozen.hpp"
#include "services/cache/remote/parcel.hpp"
#include "stele/io.hpp"

namespace stele {
namespace {

using namespace cache_frozen;

constexpr std::size_t at_key = parcel_head + 8;  // in the record, and so on
constexpr std::size_t at_checksum = parcel_head + 24;

void correct(std::vector<std::byte>& bytes) {
  if (bytes.size() < parcel_head + record_head + parcel_checksum) {
    return;
  }
  const std::size_t length = load_le<std::uint32_t>(bytes.data() + parcel_head - 4);
  if (length >= record_head && length <= bytes.size() - parcel_head) {
    const Bytes record = Bytes(bytes).subspan(parcel_head, length);
    store_le(bytes.data() + at_checksum, xxh3_64(record.first(24)) ^ xxh3_64(record.subspan(32)));
  }
  const std::size_t end = bytes.size() - parcel_checksum;
  store_le(bytes.data() + end, xxh3_64(Bytes(bytes).first(end)));
}

void read(std::vector<std::byte> bytes) {
  Digest key;
  if (bytes.size() >= at_key + key.bytes.size()) {
    std::memcpy(key.bytes.data(), bytes.data() + at_key, key.bytes.size());
  }
  const std::unique_ptr<Source> source = memory_source(bytes);
  ParcelReader reader(*source, key);
  std::vector<std::byte> content;
  reader.finish([&](Bytes part) { content.insert(content.end(), part.begin(), part.end()); });
  fuzz::require(reader.record().key == key && content.size() == reader.record().file_bytes);
  // What was read is written again, and read as the same.
  std::vector<std::byte> again;
  const std::unique_ptr<Source> file = memory_source(content);
  write_parcel(reader.record(), reader.payload(), file.get(), *memory_sink(again));
  fuzz::require(again.size() == parcel_bytes(reader.record(), reader.payload()));
  const std::unique_ptr<Source> source_again = memory_source(again);
  ParcelReader second(*source_again, key);
  second.finish([](Bytes) {});
  fuzz::require(second.payload() == reader.payload() && second.record().name == reader.record().name);
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  const Bytes input = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(input.begin(), input.end());
  fuzz::succeeds([&] { read(bytes); });
  correct(bytes);
  fuzz::succeeds([&] { read(bytes); });
  return 0;
}
