#include "interop/pickle/write/objects.hpp"

#include <array>
#include <string>
#include <utility>

#include "base/bytes.hpp"
#include "base/printable.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

struct Renamed {
  std::string_view from_module, from_name, module, name;  // without a name: all of the module
};
constexpr std::array<Renamed, 11> renamed = {{
    {"__builtin__", "xrange", "builtins", "range"},
    {"__builtin__", "unicode", "builtins", "str"},
    {"__builtin__", "long", "builtins", "int"},
    {"__builtin__", "reduce", "functools", "reduce"},
    {"builtins", "xrange", "builtins", "range"},  // where only the module was renamed
    {"builtins", "unicode", "builtins", "str"},
    {"builtins", "long", "builtins", "int"},
    {"builtins", "reduce", "functools", "reduce"},
    {"__builtin__", "", "builtins", ""},
    {"exceptions", "", "builtins", ""},
    {"copy_reg", "", "copyreg", ""},
}};

[[noreturn]] void fail_array(const char* what) {
  fail(Errc::invalid_argument, std::string("an array of objects ") + what);
}

/// A field of a record, or of a map, which is what an archive makes of a single record.
std::pair<std::string_view, const Value*> field_of(const Value& content, std::size_t index) {
  if (content.is_record()) {
    return {content.names()[index], &content.items()[index]};
  }
  const auto& [key, value] = content.entries()[index];
  return {key.is_text() ? std::string_view(key.text()) : std::string_view(), &value};
}

/// Sets a field of an object. Throws where there are two.
void set_once(const Value*& field, const Value& value, std::string_view name) {
  if (field != nullptr) {
    fail(Errc::invalid_argument, "an object of Python with two fields \"" + std::string(name) + "\"");
  }
  field = &value;
}

void require_kind(const Value* field, ValueKind kind, const char* name) {
  if (field != nullptr && !field->is(kind)) {
    fail(Errc::invalid_argument, std::string("an object of Python whose field \"") + name + "\" is a " +
                                     std::string(to_string(field->kind())) + " instead of a " +
                                     std::string(to_string(kind)));
  }
}

/// How many items of the state of an array, made by a call of this function, are bytes.
std::size_t raw_states_of(std::string_view name) {
  if (name == "numpy.core.multiarray._reconstruct" || name == "numpy._core.multiarray._reconstruct") {
    return 1;
  }
  return name == "numpy.ma.core._mareconstruct" ? 2 : 0;  // the mask too
}

}  // namespace

std::optional<PickleName> split_pickle_name(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::size_t at = colon != std::string_view::npos ? colon : text.rfind('.');
  if (at == std::string_view::npos || at == 0 || at + 1 == text.size()) {
    return std::nullopt;
  }
  PickleName split{text.substr(0, at), text.substr(at + 1)};
  for (const Renamed& old : renamed) {
    if (old.from_module == split.module && (old.from_name.empty() || old.from_name == split.name)) {
      return PickleName{old.module, old.name.empty() ? split.name : old.name};
    }
  }
  return split;
}

bool is_pickle_object_name(std::string_view name) { return name == "call" || split_pickle_name(name).has_value(); }

PickleObject parse_pickle_object(const Value& typed) {
  const Value& content = typed.content();
  PickleObject object;
  object.name = std::string_view(typed.type_name()).substr(3);
  const Value* is_new = nullptr;
  const std::array<std::pair<std::string_view, const Value**>, 8> fields = {{
      {"new", &is_new},
      {"callable", &object.callable},
      {"args", &object.arguments},
      {"kwargs", &object.keywords},
      {"state", &object.state},
      {"items", &object.items},
      {"entries", &object.entries},
      {"states", &object.states},
  }};
  for (std::size_t i = 0; i < content.size(); ++i) {
    const auto [name, value] = field_of(content, i);
    const auto* field = fields.begin();
    while (field != fields.end() && field->first != name) {
      ++field;
    }
    if (field == fields.end()) {
      fail(Errc::invalid_argument,
           "an object of Python with a field \"" + std::string(name.substr(0, 100)) + "\", which stands for nothing");
    }
    set_once(*field->second, *value, name);
  }
  require_kind(is_new, ValueKind::boolean, "new");
  require_kind(object.items, ValueKind::sequence, "items");
  require_kind(object.entries, ValueKind::map, "entries");
  require_kind(object.states, ValueKind::sequence, "states");
  if (object.name == "pandas.DataFrame" || object.name == "pandas.core.frame.DataFrame") {
    object.entries = nullptr;  // its columns, which the state has
  }
  object.is_new = is_new != nullptr && is_new->boolean();
  if ((object.callable != nullptr) != (object.name == "call")) {
    fail(Errc::invalid_argument, "an object of Python without a name, or with a name and a callable");
  }
  if (object.keywords != nullptr && !object.is_new) {
    fail(Errc::invalid_argument, "a call of Python with keywords, which only instances have");
  }
  if (object.state != nullptr && object.states != nullptr) {
    fail(Errc::invalid_argument, "an object of Python with both \"state\" and \"states\"");
  }
  object.raw_states = object.is_new ? 0 : raw_states_of(object.name);
  return object;
}

std::size_t ObjectArray::index_of(std::size_t place) const noexcept {
  if (order == Order::row_major) {
    return place;
  }
  std::size_t index = 0;
  for (std::size_t axis = shape.rank(), scale = items->size(); axis-- > 0;) {
    const auto extent = static_cast<std::size_t>(shape[axis]);
    scale /= extent;
    index += place % extent * scale;
    place /= extent;
  }
  return index;
}

ObjectArray parse_object_array(const Value& content) {
  const auto field = [&](std::string_view name) -> const Value& {
    const Value* const found = content.is_record() || content.is_map() ? content.find(name) : nullptr;
    if (found == nullptr || content.size() != 3) {
      fail_array("that is no record of shape, order and items");
    }
    return *found;
  };
  ObjectArray array;
  const Value& shape = field("shape");
  if (!shape.is_array() || shape.array().shape().rank() != 1 || shape.array().dtype().kind() != DType::Kind::uint64) {
    fail_array("whose shape is no array of uint64");
  }
  const ArrayView& extents = shape.array().view();
  std::optional<std::uint64_t> count = 1;
  for (std::uint64_t i = 0; i < extents.shape[0]; ++i) {
    std::byte raw[8];
    gather(extents, Order::row_major, i, 1, raw);
    array.shape.push_back(load_le<std::uint64_t>(raw));
    count = count ? checked_multiply(*count, load_le<std::uint64_t>(raw)) : count;
  }
  const Value& order = field("order");
  if (!order.is_text() || (order.text() != "C" && order.text() != "F")) {
    fail_array("whose order is neither \"C\" nor \"F\"");
  }
  array.order = order.text() == "C" ? Order::row_major : Order::column_major;
  array.items = &field("items");
  if (!array.items->is_sequence() || !count || *count != array.items->size()) {
    fail_array("with another number of items than its shape has");
  }
  return array;
}

bool is_utf8_with_surrogates(std::string_view text) noexcept {
  while (!text.empty()) {
    std::size_t bytes = character_bytes(text);
    if (bytes == 0 && text.size() >= 3 && text[0] == '\xed' && static_cast<unsigned char>(text[1]) >= 0xa0 &&
        static_cast<unsigned char>(text[1]) <= 0xbf && static_cast<unsigned char>(text[2]) >= 0x80 &&
        static_cast<unsigned char>(text[2]) <= 0xbf) {
      bytes = 3;
    }
    if (bytes == 0) {
      return false;
    }
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace stele
