// Files of other formats. The first byte of the input chooses the format: a .npy file, a .npz file, JSON in either
// form, a safetensors file, whose header has no length here, the pickle of a file of torch.save() with two storages, or
// such a file of the older form. What is read is written again, and must be the same when read back; of tensors, all
// elements are looked at.

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "fuzz.hpp"
#include "interop/json.hpp"
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "interop/safetensors/safetensors.hpp"
#include "interop/torch/torch.hpp"
#include "interop/zip/contents.hpp"

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

Tensors read_memory(Bytes file) {
  const LoadOptions options;
  return read_safetensors({.source = *memory_source(file), .options = options});
}

/// By name: the order in the file changes when it is written.
std::vector<Value::Entry> sorted(const Value& map) {
  std::vector<Value::Entry> entries(map.entries().begin(), map.entries().end());
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.first.text() < b.first.text(); });
  return entries;
}

/// The header ends with the first line feed, or with the input.
void read_tensors(Bytes input) {
  const auto header = static_cast<std::size_t>(std::find(input.begin(), input.end(), std::byte{'\n'}) - input.begin());
  std::vector<std::byte> file(sizeof(std::uint64_t));
  store_le<std::uint64_t>(file.data(), header);
  file.insert(file.end(), input.begin(), input.begin() + static_cast<std::ptrdiff_t>(header));
  file.insert(file.end(), input.begin() + static_cast<std::ptrdiff_t>(std::min(header + 1, input.size())), input.end());
  const Tensors tensors = read_memory(file);
  std::vector<std::byte> out;
  write_safetensors(*memory_sink(out), tensors.value, tensors.metadata);
  const Tensors again = read_memory(out);
  require(sorted(again.value) == sorted(tensors.value) && again.metadata == tensors.metadata);
}

void look_at(const Value& value) {
  constexpr std::uint64_t most = std::uint64_t{1} << 20;
  switch (value.kind()) {
    case ValueKind::array:
      require(value.array().view().byte_count() > most || AnyArray::copy_of(value.array().view()) == value.array());
      break;
    case ValueKind::map:
      for (const auto& [key, item] : value.entries()) {
        look_at(key);
        look_at(item);
      }
      break;
    case ValueKind::sequence:
    case ValueKind::record:
      std::for_each(value.items().begin(), value.items().end(), look_at);
      break;
    case ValueKind::typed:
    case ValueKind::shared:
      look_at(value.content());
      break;
    default:
      break;
  }
}

void read_tensors_of_zip(Bytes pickle) {
  constexpr std::array<std::byte, 64> ones{};
  std::vector<std::byte> file;
  const std::unique_ptr<Sink> sink = memory_sink(file);
  ZipWriter zip(*sink, std::nullopt);
  const auto add = [&](const char* name, Bytes content) { zip.add(name, {&content, 1}); };
  add("data.pkl", pickle);
  add("data/0", ones);
  add("data/1", Bytes(ones).first(16));
  add("version", {});
  zip.finish();
  const LoadOptions options{.limits = {.depth = 200}};
  const std::unique_ptr<Source> source = memory_source(file);
  const Neighbour whole{.source = *source, .options = options};
  const ZipContents contents(whole);
  look_at(read_torch(contents, *torch_pickle(contents)));
}

void read_old_tensors(Bytes file) {
  const LoadOptions options{.limits = {.depth = 200}};
  const std::unique_ptr<Source> source = memory_source(file);
  look_at(read_old_torch({.source = *source, .options = options}));
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
        case 's':
          return read_tensors(bytes);
        case 't':
          return read_tensors_of_zip(bytes);
        case 'o':
          return read_old_tensors(bytes);
        default:
          return;
      }
    });
  }
  return 0;
}
