// States as text. The first two bytes of the input choose options and what the rest is: a text; a compressed stream,
// which gets a checksum; plain bytes, which are compressed first; a dictionary. What is read is written again, and must
// be the same when read back.

#include <zlib.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "base/bytes.hpp"
#include "format/text/base64.hpp"
#include "fuzz.hpp"
#include "stele/archive.hpp"
#include "stele/state_text.hpp"
#include "stele/value.hpp"
#include "support/hand_made.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

struct State {
  std::string name;
  std::vector<int> counters;
  std::map<std::string, std::vector<std::uint16_t>> sets;
  std::optional<Array<std::int64_t, 2>> grid;
  bool friend_of_all = false;
  bool operator==(const State&) const = default;
};

const std::vector<std::vector<int>>& states() {
  static const std::vector<std::vector<int>> made = [] {
    std::vector<std::vector<int>> all;
    for (unsigned i = 0; i < 200; ++i) {
      std::vector<int> counters(40);
      for (unsigned k = 0; k < counters.size(); ++k) {
        counters[k] = static_cast<int>((i * 7 + k * k) % (1 + 30 / (k + 1)));
      }
      all.push_back(counters);
    }
    return all;
  }();
  return made;
}

const TextDictionary& trained() {
  static const TextDictionary dictionary = [] {
    TextDictionary made;
    succeeds([&] { made = TextDictionary::train(std::span<const std::vector<int>>(states())); });  // not without zstd
    return made;
  }();
  return dictionary;
}

/// NaN is not equal to itself; bytes are.
template <class T>
bool same(const T& a, const T& b) {
  return to_bytes(a) == to_bytes(b);
}

template <class T>
void read_as(std::string_view text, const TextLoadOptions& options) {
  TextDecoder decoder(options);
  T value{};
  if (!succeeds([&] { decoder.read_into(text, value); })) {
    succeeds([&] { decoder.read_into(text, value); });  // goes on working
    return;
  }
  require(same(decoder.value<T>(text), value));
  const TextSaveOptions writing{.dictionary = options.dictionary, .bare = options.bare};
  const TextLoadOptions reading{.dictionary = options.dictionary, .bare = options.bare};
  const std::string again = to_text(value, writing);
  const T back = from_text<T>(again, reading);
  // A Value has the element types of its arrays, which become narrower.
  require(std::is_same_v<T, Value> ? to_text(back, writing) == again : same(back, value));
}

void read_all(std::string_view text, const TextLoadOptions& options) {
  read_as<std::vector<int>>(text, options);
  read_as<std::vector<std::uint8_t>>(text, options);
  read_as<std::vector<std::int64_t>>(text, options);
  read_as<std::vector<std::uint64_t>>(text, options);
  read_as<std::vector<double>>(text, options);
  read_as<std::array<std::int16_t, 4>>(text, options);
  read_as<std::deque<short>>(text, options);
  read_as<Array<std::uint16_t, 2>>(text, options);
  read_as<State>(text, options);
  read_as<Value>(text, options);
  read_as<std::string>(text, options);
}

/// A dictionary of any bytes: refused, or good for any state.
void use_dictionary(Bytes input) {
  std::optional<TextDictionary> dictionary;
  if (!succeeds([&] { dictionary.emplace(std::vector<std::byte>(input.begin(), input.end())); })) {
    return;
  }
  const TextSaveOptions writing{.dictionary = &*dictionary};
  const TextLoadOptions reading{.dictionary = &*dictionary};
  for (const std::vector<int>& state : states()) {
    require(from_text<std::vector<int>>(to_text(state, writing), reading) == state);
  }
  const State state{"ann", {1, 2, 300}, {{"a", {1}}}, std::nullopt, true};
  require(from_text<State>(to_text(state, writing), reading) == state);
}

void choose(Bytes input) {
  if (input.size() < 2) {
    return;
  }
  const auto first = std::to_integer<unsigned>(input[0]);
  const auto second = std::to_integer<unsigned>(input[1]);
  const Bytes rest = input.subspan(2);
  if (first % 4 == 3) {
    use_dictionary(rest);
    return;
  }
  TextLoadOptions options;
  if ((second & 1) != 0) {
    using Kind = DType::Kind;
    options.bare = true;
    options.item =
        std::array<std::optional<DType>, 4>{std::nullopt, Kind::uint8, Kind::int16, Kind::uint64}[second >> 1 & 3];
  } else if ((second & 0x40) != 0) {
    options.dictionary = &trained();
  }
  options.strict = (second & 0x80) != 0;
  options.max_bytes = std::uint64_t{1} << 18;
  if (first % 4 == 0) {
    read_all({reinterpret_cast<const char*>(rest.data()), rest.size()}, options);
    return;
  }
  test::Data stream(rest.begin(), rest.end());
  if (first % 4 == 2) {
    uLongf size = compressBound(rest.size());
    stream.resize(size);
    require(compress2(reinterpret_cast<Bytef*>(stream.data()), &size, reinterpret_cast<const Bytef*>(rest.data()),
                      rest.size(), 1) == Z_OK);
    stream.resize(size);
  }
  if (!options.bare) {
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(stream.data()), static_cast<uInt>(stream.size()));
    stream.resize(stream.size() + 4);
    store_le<std::uint32_t>(stream.data() + stream.size() - 4, static_cast<std::uint32_t>(crc));
  }
  std::string text;
  append_base64(text, stream, (second & 0x20) != 0 ? Base64::url : Base64::standard);
  read_all(text, options);
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stele::choose(std::as_bytes(std::span(data, size)));
  return 0;
}
