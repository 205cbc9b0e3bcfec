// The companion files of joblib before 0.10.

#include <filesystem>

#include "base/bytes.hpp"
#include "interop/array.hpp"
#include "interop/pickle/joblib/legacy.hpp"
#include "interop/pickle/joblib/wrapper.hpp"
#include "interop/pickle/numpy/numpy.hpp"
#include "io/read.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

/// The file of that name beside the pickle; whatever folder the name has, it is not left.
std::string companion_path(const Value* name, const Neighbour& file) {
  if (name == nullptr || !is_string(*name)) {
    fail(Errc::malformed, "an array of joblib in a file without a name");
  }
  const std::string_view whole = string_of(*name);
  const std::string base(whole.substr(whole.find_last_of("/\\") + 1));  // npos + 1 is 0
  if (base.empty() || base == "." || base == ".." || base.find('\0') != std::string::npos) {
    fail(Errc::malformed, "an array of joblib in a file without a name");
  }
  if (file.path.empty()) {
    fail(Errc::unsupported, "an array lies in the file " + base + " beside the pickle, whose folder is not known");
  }
  const std::filesystem::path path = std::filesystem::path(file.path).parent_path() / base;
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) {
    fail(Errc::malformed, "an array of joblib in what is no file: " + base);
  }
  return path.string();
}

/// A .npy file of a pickled array of objects: the header's text if it is one.
bool is_object_header(const std::string& text) {
  const auto has = [&](const char* code) { return text.find(code) != std::string::npos; };
  return has("'|O'") || has("'|O8'") || has("'|O4'");  // the last two of NumPy before 1.7
}

Value read_npy_companion(const std::string& path, const Machine::Input& input) {
  const std::unique_ptr<Source> source = file_source(path);
  Window window(*source, input.file.options.limits.allocation);
  WindowSource rest(window);
  // The header, as text first: the dtype of objects is none of stele's.
  constexpr std::size_t fixed = 10;
  std::string start(fixed, '\0');
  read_exactly(rest, std::as_writable_bytes(std::span(start)));
  const bool is_short = start[6] == 1;
  if (!start.starts_with("\x93NUMPY") || start[6] < 1 || start[6] > 3) {
    fail(Errc::malformed, "no .npy file of version 1 to 3: it does not begin as one");
  }
  std::string more;
  window.append_to(more, is_short ? 0 : 2);
  const std::string length = start.substr(8) + more;
  const std::uint64_t size = load_le(reinterpret_cast<const std::byte*>(length.data()), length.size());
  if (size > (std::uint64_t{1} << 20)) {
    fail(Errc::limit_exceeded, "a .npy header of " + std::to_string(size) + " bytes");
  }
  std::string text;
  window.append_to(text, size);
  const Neighbour file{rest, nullptr, path, input.file.options};
  if (is_object_header(text)) {
    return read_inner({window, file, input.options, input.listener, false});
  }
  if (input.listener != nullptr) {
    return {};
  }
  const NpyHeader header = parse_npy_header(text, static_cast<unsigned char>(start[6]));
  if (header.has_objects) {
    fail(Errc::unsupported, "records with objects in a companion file");
  }
  const std::shared_ptr<Mapping> mapping =
      input.file.mapping != nullptr ? Mapping::open(path, input.file.mapping->mode()) : nullptr;
  return next_array(window, {rest, mapping, path, input.file.options}, header);
}

}  // namespace

Value read_companion(const Object& object, const Machine::Input& input, Marks& marks) {
  const Value& state = object.states[0];
  const std::string path = companion_path(entry(state, "filename"), input.file);
  const Value* const init = entry(state, "init_args");
  const Value* const form = entry(state, "state");
  marks.budget().use_once(path);
  try {
    if (init == nullptr || form == nullptr) {
      // One of a subclass is an array as any other, as it is for joblib since NumPy 2.
      return read_npy_companion(path, input);
    }
    if (!init->is(part::tuple) || !form->is(part::tuple)) {
      fail(Errc::malformed, "an array of joblib whose description is unknown");
    }
    if (input.listener != nullptr) {
      return {};
    }
    auto data = new_node<Data>();
    data->buffer = read_zfile(*file_source(path), input.file.options);
    std::vector<Value> parts = items_of(*form);
    std::vector<Value> args = items_of(*init);
    for (const std::vector<Value>* const list : {&parts, &args}) {
      for (const Value& part : *list) {
        marks.mark(part);
      }
    }
    parts.push_back(ValueAccess::make(part::data, std::move(data)));
    Value made = new_object(new_global("numpy.core.multiarray", "_reconstruct"), new_items(part::tuple, args));
    Value all = new_items(part::tuple, std::move(parts));
    if (std::optional<Value> array = built_array(node_of<Object>(made), all, marks)) {
      return *std::move(array);
    }
    if (std::optional<Value> with = with_array(all, marks.budget())) {
      all = *std::move(with);
    }
    node_of<Object>(made).states.push_back(std::move(all));
    return made;
  } catch (const Error& error) {
    rethrow_at(error, {.file = path});
  }
}

}  // namespace stele::pickle
