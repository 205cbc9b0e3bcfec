#include "cli/archive/indexed.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace stele::cli {
namespace {

/// One of the indices between brackets.
struct Index {
  enum class Kind : std::uint8_t { integer, slice, ellipsis } kind = Kind::slice;
  std::optional<std::int64_t> first = std::nullopt;  // the integer
  std::optional<std::int64_t> end = std::nullopt;
  std::optional<std::int64_t> step = std::nullopt;
};

[[noreturn]] void refuse(std::string_view text) {
  fail(Errc::invalid_argument, "\"" + std::string(text) + "\" is not an index: an integer, first:end:step, or ...");
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) {
    text.remove_prefix(1);
  }
  while (text.ends_with(' ')) {
    text.remove_suffix(1);
  }
  return text;
}

/// Calls `use` for the parts of a text between separators.
template <class F>
void split(std::string_view text, char separator, F&& use) {
  for (;;) {
    const std::size_t end = text.find(separator);
    use(trimmed(text.substr(0, end)));
    if (end == std::string_view::npos) {
      return;
    }
    text.remove_prefix(end + 1);
  }
}

std::int64_t integer(std::string_view text, std::string_view whole) {
  std::int64_t value = 0;
  if (text.starts_with('+')) {
    text.remove_prefix(1);
  }
  const char* const last = text.data() + text.size();
  const auto [end, failed] = std::from_chars(text.data(), last, value);
  if (failed != std::errc() || end != last) {
    refuse(whole);
  }
  return value;
}

Index index_of(std::string_view text) {
  if (text == "...") {
    return {.kind = Index::Kind::ellipsis};
  }
  if (text.find(':') == std::string_view::npos) {
    return {.kind = Index::Kind::integer, .first = integer(text, text)};
  }
  Index index;
  std::optional<std::int64_t>* const parts[] = {&index.first, &index.end, &index.step};
  std::size_t count = 0;
  split(text, ':', [&](std::string_view part) {
    if (count == std::size(parts)) {
      refuse(text);
    }
    if (!part.empty()) {
      *parts[count] = integer(part, text);
    }
    ++count;
  });
  if (index.step == 0) {
    fail(Errc::invalid_argument, "a slice with a step of 0");
  }
  return index;
}

/// The positions of a slice on an axis, as Python's slice.indices() gives them.
Range range_of(const Index& slice, std::int64_t extent) {
  const std::int64_t step = slice.step.value_or(1);
  const std::int64_t lowest = step > 0 ? 0 : -1;
  const std::int64_t highest = step > 0 ? extent : extent - 1;
  const auto position = [&](std::int64_t at) { return std::clamp(at < 0 ? at + extent : at, lowest, highest); };
  const std::int64_t first = slice.first ? position(*slice.first) : step > 0 ? lowest : highest;
  const std::int64_t end = slice.end ? position(*slice.end) : step > 0 ? highest : lowest;
  if (step > 0 ? first >= end : first <= end) {
    return {0, 0, 1};
  }
  const auto distance = static_cast<std::uint64_t>(step > 0 ? end - first : first - end);
  const std::uint64_t width = step > 0 ? static_cast<std::uint64_t>(step) : -static_cast<std::uint64_t>(step);
  return {static_cast<std::uint64_t>(first), (distance - 1) / width + 1, step};
}

AnyArray part(const AnyLazyArray& array, std::vector<Index> indices) {
  const Shape& shape = array.shape();
  const auto ellipsis = std::find_if(indices.begin(), indices.end(),
                                     [](const Index& index) { return index.kind == Index::Kind::ellipsis; });
  const std::size_t given = indices.size() - (ellipsis == indices.end() ? 0 : 1);
  if (given > shape.rank()) {
    fail(Errc::invalid_argument, message({given, " indices for an array of ", shape.rank(), " axes"}));
  }
  if (ellipsis != indices.end()) {
    const auto at = indices.erase(ellipsis);
    if (std::any_of(at, indices.end(), [](const Index& index) { return index.kind == Index::Kind::ellipsis; })) {
      fail(Errc::invalid_argument, "more than one ...");
    }
    indices.insert(at, shape.rank() - given, Index());
  }
  std::vector<Range> box;
  for (std::size_t axis = 0; axis < indices.size(); ++axis) {
    const auto extent = static_cast<std::int64_t>(shape[axis]);
    if (indices[axis].kind == Index::Kind::slice) {
      box.push_back(range_of(indices[axis], extent));
      continue;
    }
    const std::int64_t at = *indices[axis].first;
    if (at >= extent || at < -extent) {
      fail(Errc::invalid_argument, "index " + std::to_string(at) + " on an axis of " + std::to_string(extent));
    }
    box.push_back({static_cast<std::uint64_t>(at < 0 ? at + extent : at), 1});
  }
  const AnyArray read = array.read(box);
  ArrayView view = read.view();
  Shape kept;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (axis < indices.size() && indices[axis].kind == Index::Kind::integer) {
      continue;
    }
    view.strides[kept.rank()] = view.strides[axis];
    kept.push_back(view.shape[axis]);
  }
  view.shape = kept;
  return {view, read.buffer()};
}

}  // namespace

Value load_indexed(const File& file, const std::string& path) {
  const std::size_t begin = path.rfind('[');
  if (!path.ends_with(']') || begin == std::string::npos || file.contains(path)) {
    return file.load<Value>(path);
  }
  std::vector<Index> indices;
  std::string_view inside = trimmed(std::string_view(path).substr(begin + 1, path.size() - begin - 2));
  if (inside.size() > 1 && inside.ends_with(',')) {
    inside.remove_suffix(1);  // as Python writes a tuple of one
  }
  split(inside, ',', [&](std::string_view text) { indices.push_back(index_of(text)); });
  return part(file.array(path.substr(0, begin)), std::move(indices));
}

}  // namespace stele::cli
