// States as text. The first two bytes of the input choose options and what the rest is: a text; the bytes of a text
// without its checksum; a dictionary's content. What is read is written again, and must be the same when read back.

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "fuzz.hpp"
#include "services/text/base64.hpp"
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
    for (unsigned i = 0; i < 12; ++i) {
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
  static const TextDictionary dictionary = TextDictionary::train(std::span<const std::vector<int>>(states()));
  return dictionary;
}

/// NaN is not equal to itself; bytes are.
template <class T>
bool same(const T& a, const T& b) {
  return to_bytes(a) == to_bytes(b);
}

template <class T>
void read_as(std::string_view text, const TextOptions& options) {
  TextDecoder decoder(options);
  T value{};
  if (!succeeds([&] { decoder.read_into(text, value); })) {
    succeeds([&] { decoder.read_into(text, value); });  // goes on working
    return;
  }
  require(same(decoder.value<T>(text), value));
  TextOptions writing = options;
  writing.max_bytes = std::uint64_t{64} << 20;
  if (options.max) {  // what was read need not have been clamped
    if (!std::is_same_v<T, std::vector<std::uint8_t>>) {
      return;
    }
    writing.max = 255;
  }
  const std::string again = to_text(value, writing);
  require(same(from_text<T>(again, writing), value));
}

void read_all(std::string_view text, const TextOptions& options) {
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

/// A dictionary of any content that has the right id: refused, or good for any state.
void use_dictionary(Bytes input) {
  TextDictionary::Content content;
  const auto take = [&](std::size_t most) {
    const std::size_t size = input.empty() ? 0 : std::min<std::size_t>(std::to_integer<unsigned>(input[0]), most);
    const Bytes part = input.subspan(input.empty() ? 0 : 1);
    const Bytes taken = part.first(std::min(size, part.size()));
    input = part.subspan(taken.size());
    return taken;
  };
  const Bytes classes = take(60);
  for (const std::byte one : classes) {
    content.classes.push_back(std::to_integer<std::uint8_t>(one));
  }
  content.mean_total = 3 * static_cast<double>(classes.size());
  const Bytes weights = take(255);
  for (std::size_t at = 0; at < weights.size(); at += 16) {
    // Frequencies of a class that add up, whatever the weights.
    const Bytes of_class = weights.subspan(at, std::min<std::size_t>(16, weights.size() - at));
    std::vector<std::uint16_t> frequencies(257);
    unsigned left = 4096 - 1;
    for (std::size_t i = 0; i < of_class.size(); ++i) {
      const unsigned share = std::min(left, std::to_integer<unsigned>(of_class[i]) * 8);
      frequencies[i * 17] = static_cast<std::uint16_t>(share);
      left -= share;
    }
    frequencies[256] = static_cast<std::uint16_t>(1 + left);
    content.frequencies.insert(content.frequencies.end(), frequencies.begin(), frequencies.end());
  }
  content.zstd.assign(input.begin(), input.end());
  content.id = TextDictionary::id_of(content);
  std::optional<TextDictionary> dictionary;
  if (!succeeds([&] { dictionary.emplace(content); })) {
    return;
  }
  const TextOptions options{.dictionary = &*dictionary};
  for (const std::vector<int>& state : states()) {
    require(from_text<std::vector<int>>(to_text(state, options), options) == state);
  }
  const State state{"ann", {1, 2, 300}, {{"a", {1}}}, std::nullopt, true};
  require(from_text<State>(to_text(state, options), options) == state);
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
  TextOptions options;
  if ((second & 7) == 7) {
    options = zlib_bytes_options(101);
  } else if ((second & 1) != 0) {
    const char* const codecs[] = {"stored", "deflate", "zlib", "zstd"};
    options.codec = codecs[second >> 1 & 3];
    options.bare = true;
    options.item_bytes = std::array<std::size_t, 4>{0, 1, 2, 8}[second >> 3 & 3];
  }
  options.alphabet = (second & 0x20) != 0 ? TextAlphabet::base64url : TextAlphabet::base64;
  options.dictionary = (second & 0x40) != 0 ? &trained() : nullptr;
  options.strict = (second & 0x80) != 0;
  options.max_bytes = std::uint64_t{1} << 18;
  if (first % 4 == 0) {
    read_all({reinterpret_cast<const char*>(rest.data()), rest.size()}, options);
    return;
  }
  test::Data bytes(rest.begin(), rest.end());
  if (!options.bare) {
    // A dictionary's id, if the bytes are to have one, is that of ours.
    if (bytes.size() >= 6 && options.dictionary != nullptr && (std::to_integer<unsigned>(bytes[1]) & 8) != 0) {
      store_le<std::uint32_t>(bytes.data() + 2, options.dictionary->id());
    }
    const std::uint64_t hash = xxh3_64(bytes);
    bytes.resize(bytes.size() + 4);
    store_le<std::uint32_t>(bytes.data() + bytes.size() - 4, static_cast<std::uint32_t>(hash & 0xffffffff));
  }
  std::string text;
  state_text::append_base64(bytes, options.alphabet, text);
  read_all(text, options);
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stele::choose(std::as_bytes(std::span(data, size)));
  return 0;
}
