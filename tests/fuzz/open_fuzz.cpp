// Whole files of any bytes, opened, listed, verified, loaded in parts and read as a stream of archives.

#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include "fuzz.hpp"
#include "stele/archive.hpp"
#include "stele/value.hpp"
#include "support/hand_made.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

LoadOptions limited(Verify verify) {
  return {.verify = verify, .limits = {.depth = 100, .allocation = std::uint64_t{64} << 20}};
}

/// A lazy array has the elements that loading has, as a whole and in parts.
void read_lazily(const File& file, const std::string& path) {
  const AnyLazyArray lazy = file.array(path);
  const AnyArray whole = lazy.read({});
  const Range first_of_each[] = {{0, Range::rest, 2}};
  (void)lazy.read(std::span(first_of_each).first(lazy.shape().rank() > 0 ? 1 : 0));
  std::optional<Value> loaded;
  succeeds([&] { loaded = file.load<Value>(path); });
  while (loaded && (loaded->is(ValueKind::typed) || loaded->is(ValueKind::shared))) {
    loaded = Value(loaded->content());
  }
  require(!loaded || !loaded->is_array() || loaded->array() == whole);
}

void read_parts(Bytes bytes, Verify verify) {
  const File file = open(memory_source(bytes), limited(verify));
  (void)file.info();
  succeeds([&] { file.verify(); });
  succeeds([&] { (void)file.load<Value>(); });
  std::size_t count = 0;
  for (const Entry& entry : file.list()) {
    succeeds([&] { (void)file.contains(entry.path); });
    succeeds([&] { (void)file.load<Value>(entry.path); });
    succeeds([&] { (void)file.load<std::vector<float>>(entry.path); });
    if (entry.kind == Kind::array && count < 3 && verify == Verify::none) {
      succeeds([&] { read_lazily(file, entry.path); });
    }
    if (++count == 50) {
      break;
    }
  }
}

void read_stream(Bytes bytes) {
  std::istringstream stream(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  for (int i = 0; i < 10; ++i) {
    (void)load<Value>(stream, limited(Verify::full));
  }
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  for (const Verify verify : {Verify::none, Verify::full}) {
    succeeds([&] { read_parts(bytes, verify); });
  }
  succeeds([&] { read_stream(bytes); });
  return 0;
}
