#include "interop/pickle/write/keys.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <string_view>

#include "archive/value/later.hpp"
#include "base/bytes.hpp"
#include "interop/pickle/write/stream.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr int most_references = 1000;  // one after another

const Value* content_of(const Value& value, std::string_view name) {
  return value.is(ValueKind::typed) && value.type_name() == name && value.content().is_sequence() ? &value.content()
                                                                                                  : nullptr;
}

Hash128 digest_of(char kind, std::string_view text) {
  Hash128 digest = xxh3_128(std::as_bytes(std::span(text)));
  digest.low ^= static_cast<unsigned char>(kind) * 0x9e3779b97f4a7c15U;
  return digest;
}

Hash128 digest_of(char kind, std::uint64_t bits) {
  std::array<char, 8> raw{};
  store_le(reinterpret_cast<std::byte*>(raw.data()), bits);
  return digest_of(kind, {raw.data(), raw.size()});
}

Hash128 digest_of_integer(const Number& number) {
  return digest_of(number.type == Number::Type::negative ? '-' : '+', number.bits);
}

/// Python takes numbers for equal whatever their types.
std::optional<Hash128> digest_of_real(double value) {
  if (std::isnan(value)) {
    return std::nullopt;
  }
  if (value == std::trunc(value) && value > -0x1p64 && value < 0x1p64) {
    return digest_of_integer(value < 0 ? Number{Number::Type::negative, static_cast<std::uint64_t>(-value) - 1}
                                       : Number{Number::Type::natural, static_cast<std::uint64_t>(value)});
  }
  return digest_of('f', std::bit_cast<std::uint64_t>(value));
}

PickleKeys::Key key_of_array(const Value& array) {
  const ArrayHeader header = header_of(array);
  if (header.shape.rank() > 0 || header.dtype.is_record()) {
    return {};
  }
  const ArrayView& view = array.array().view();
  if (view.dtype.kind() == DType::Kind::complex128) {
    const auto real = std::bit_cast<double>(load_le<std::uint64_t>(view.data));
    const auto imaginary = std::bit_cast<double>(load_le<std::uint64_t>(view.data + 8));
    if (imaginary == 0) {
      return {true, digest_of_real(real)};
    }
    if (std::isnan(real) || std::isnan(imaginary)) {
      return {true, std::nullopt};
    }
  }
  const std::string_view bytes(reinterpret_cast<const char*>(view.data), view.dtype.item_size());
  return {true, digest_of('a', view.dtype.name() + '\n' + std::string(bytes))};
}

/// Instances of Python's classes that cannot be hashed; of others it is not known and assumed.
bool is_known_unhashable(std::string_view name) {
  static constexpr std::array<std::string_view, 10> names = {"py:bytearray",
                                                             "py:set",
                                                             "py:numpy.object_array",
                                                             "py:collections.OrderedDict",
                                                             "py:collections.deque",
                                                             "py:collections.Counter",
                                                             "py:collections.defaultdict",
                                                             "py:builtins.bytearray",
                                                             "py:builtins.set",
                                                             "py:__builtin__.set"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

PickleKeys::Key key_of_typed(const Value& value) {
  const std::string_view name = value.type_name();
  const Value& content = value.content();
  if (!name.starts_with("py:") || is_known_unhashable(name)) {
    return {};
  }
  if (name == "py:numpy.generic" && content.is_array()) {
    return key_of_array(content);
  }
  if (content.is_text()) {  // py:int, py:global, py:numpy.dtype
    return {true, digest_of('n', std::string(name) + '\n' + content.text())};
  }
  if (name == "py:str" && content.is(ValueKind::bytes)) {
    const Bytes bytes = content.bytes();
    return {true, digest_of('s', {reinterpret_cast<const char*>(bytes.data()), bytes.size()})};
  }
  return {true, std::nullopt};
}

}  // namespace

const Value* pickle_tuple(const Value& value) { return content_of(value, "py:tuple"); }
const Value* pickle_frozenset(const Value& value) { return content_of(value, "py:frozenset"); }

PickleTargets::Target PickleTargets::find(const Value& value) {
  Target target{&value, nullptr};
  for (int references = 0;;) {
    if (target.value->is(ValueKind::shared)) {
      target = {&target.value->content(), target.value->anchor().get()};
    } else if (target.value->is(ValueKind::reference)) {
      const Value::Anchor anchor = target.value->anchor();
      target = {anchors_.find(anchor), anchor.get()};
      if (target.value == nullptr) {
        fail(Errc::not_found, "the target of a reference is not in the value");
      }
      if (++references > most_references) {
        fail(Errc::unsupported, "a reference that leads to itself, or through more than 1000 others");
      }
    } else {
      return target;
    }
  }
}

/// The key if it is known; else a new level for its items.
std::optional<PickleKeys::Key> PickleKeys::begin(const Value& from, std::vector<Level>& levels) {
  const Value* value = &from;
  const void* anchor = nullptr;
  if (from.is(ValueKind::shared) || from.is(ValueKind::reference)) {
    const PickleTargets::Target target = targets_.find(from);
    const auto [place, is_new] = known_.try_emplace(target.anchor);
    if (!is_new) {
      return place->second ? *place->second : Key{true, std::nullopt};  // in a cycle, an object that equals no other
    }
    value = target.value;
    anchor = target.anchor;
  }
  const auto known = [&](const Key& key) {
    if (anchor != nullptr) {
      known_[anchor] = key;
    }
    return key;
  };
  switch (value->kind()) {
    case ValueKind::null:
      return known({true, digest_of('0', 0)});
    case ValueKind::boolean:
      return known({true, digest_of_integer({Number::Type::natural, value->boolean() ? 1U : 0U})});
    case ValueKind::integer:
      return known({true, digest_of_integer(value->number())});
    case ValueKind::real:
      return known({true, digest_of_real(std::bit_cast<double>(float64_bits(value->number())))});
    case ValueKind::text:
      return known({true, digest_of('t', value->text())});
    case ValueKind::bytes: {
      const Bytes bytes = value->bytes();
      return known({true, digest_of('b', {reinterpret_cast<const char*>(bytes.data()), bytes.size()})});
    }
    case ValueKind::array:
      return known(key_of_array(*value));
    case ValueKind::typed: {
      const Value* const tuple = pickle_tuple(*value);
      const Value* const items = tuple != nullptr ? tuple : pickle_frozenset(*value);
      if (items == nullptr) {
        return known(key_of_typed(*value));
      }
      levels.push_back({items->items(), 0, tuple != nullptr, anchor});
      return std::nullopt;
    }
    default:
      return known({});
  }
}

PickleKeys::Key PickleKeys::key(const Value& value) {
  std::vector<Level> levels;
  std::optional<Key> done = begin(value, levels);
  while (!levels.empty()) {
    Level& level = levels.back();
    if (done) {
      if (!done->hashable) {  // nor is what holds it
        for (const Level& outer : levels) {
          if (outer.anchor != nullptr) {
            known_[outer.anchor] = Key();
          }
        }
        return {};
      }
      level.comparable = level.comparable && done->digest;
      if (level.comparable) {
        level.digests.push_back(*done->digest);
      }
    }
    if (level.next < level.items.size()) {
      const Value& item = level.items[level.next++];
      done = begin(item, levels);
      continue;
    }
    done = Key{true, std::nullopt};
    if (level.comparable) {
      if (!level.ordered) {
        std::sort(level.digests.begin(), level.digests.end(), [](const Hash128& a, const Hash128& b) {
          return a.high != b.high ? a.high < b.high : a.low < b.low;
        });
      }
      done->digest = digest_of(level.ordered ? '(' : '{', {reinterpret_cast<const char*>(level.digests.data()),
                                                           level.digests.size() * sizeof(Hash128)});
    }
    if (level.anchor != nullptr) {
      known_[level.anchor] = *done;
    }
    levels.pop_back();
  }
  return *done;
}

void PickleKeys::clear(std::size_t count) {
  const std::size_t slots = std::bit_ceil(2 * count + 2);
  table_.assign(slots, 0);
  mask_ = slots - 1;
}

bool PickleKeys::add(const Hash128& digest) {
  const std::uint64_t wanted = digest.low | 1;
  for (std::uint64_t at = digest.high & mask_;; at = (at + 1) & mask_) {
    if (table_[at] == wanted) {
      return false;
    }
    if (table_[at] == 0) {
      table_[at] = wanted;
      return true;
    }
  }
}

}  // namespace stele
