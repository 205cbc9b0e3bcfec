// Files of other formats. The first byte of the input chooses the format: a .npy file, a .npz file, or JSON in either
// form. What is read is written again, and must be the same when read back.

#include <memory>
#include <string>
#include <vector>

#include "fuzz.hpp"
#include "interop/json.hpp"
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

void read_array(Bytes file) {
  const AnyArray array = read_npy(*memory_source(file));
  if (npy_file(array)) {
    std::vector<std::byte> again;
    write_npy(*memory_sink(again), array);
    require(read_npy(*memory_source(again)) == array);
  }
}

void read_arrays(Bytes file) {
  const LoadOptions options;
  const std::unique_ptr<Source> source = memory_source(file);
  const Value arrays = read_npz({.source = *source, .options = options});
  std::vector<std::byte> again;
  write_npz(*memory_sink(again), arrays);
  const std::unique_ptr<Source> written = memory_source(again);
  require(read_npz({.source = *written, .options = options}) == arrays);
}

std::string written(const Value& value) {
  std::vector<std::byte> out;
  const std::unique_ptr<Sink> sink = memory_sink(out);
  JsonWriter writer(*sink);
  writer.value(value);
  writer.flush();
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}

void read_json(std::string_view text, JsonForm form) {
  // In a list, as objects at the root are always plain.
  const std::string once = written(parse_json("[" + std::string(text) + "]", form));
  require(written(parse_json(once, JsonForm::extended)) == once);
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  if (size > 0) {
    const Bytes bytes = std::as_bytes(std::span(data + 1, size - 1));
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    succeeds([&] {
      switch (data[0]) {
        case 'n':
          return read_array(bytes);
        case 'z':
          return read_arrays(bytes);
        case 'e':
          return read_json(text, JsonForm::extended);
        case 'p':
          return read_json(text, JsonForm::plain);
        default:
          return;
      }
    });
  }
  return 0;
}
