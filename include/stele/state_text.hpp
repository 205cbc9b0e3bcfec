#pragma once
// A small state as text: integers narrowed, compressed, in base64, to be kept in JSON, in a column of a database or in
// a URL. docs/guide/state-as-text.md tells how, and what the text is made of.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stele/walk.hpp"

namespace stele {

class TextDictionary;

/// The characters of a text (RFC 4648).
enum class TextAlphabet : std::uint8_t {
  base64,     // with + and /, padded with =
  base64url,  // with - and _, not padded
};

struct TextSaveOptions {
  /// What elements of integer arrays are set to where they are smaller or larger; nothing: they stay. For arrays,
  /// vectors and the like wherever they are in the state; single integers and floats stay as they are.
  std::optional<std::int64_t> min = std::nullopt;
  std::optional<std::int64_t> max = std::nullopt;
  /// 1 to 9. Those from 2 on look for what repeats in arrays of integers below 256 too, in 3 to 20 times the time;
  /// texts of random counters become no shorter. Reading does not get slower.
  int level = 1;
  TextAlphabet alphabet = TextAlphabet::base64;
  /// What all states have in common; the same for reading. Must outlive the call or the encoder.
  const TextDictionary* dictionary = nullptr;

  /// Nothing but the compressed bytes: no version, no checksum but the stream's own. Whoever reads must say so, and
  /// give the same `item`. An array of integers is its little-endian elements; other values are a CBOR item.
  bool bare = false;
  /// Bare arrays of integers: the type of the elements, int8 to uint64; nothing: that of the array.
  std::optional<DType> item = std::nullopt;

  /// Write unordered containers in the order of their keys' bytes, so that equal states give equal texts.
  bool canonical = false;
  /// Names of polymorphic types; must outlive the call or the encoder.
  const TypeRegistry* types = nullptr;
  /// Of to_texts(); 0: as many as the machine has, at most 16.
  unsigned threads = 0;
};

struct TextLoadOptions {
  /// As for writing. A text that was made without is read with any. Must outlive the call or the decoder.
  const TextDictionary* dictionary = nullptr;
  /// As for writing.
  bool bare = false;
  std::optional<DType> item = std::nullopt;
  /// Bytes that a text may become. Beyond it: Error(limit_exceeded).
  std::uint64_t max_bytes = std::uint64_t{64} << 20;
  /// A stored field that the type does not have, or the reverse, is an error.
  bool strict = false;
  /// Names of polymorphic types; must outlive the call or the decoder.
  const TypeRegistry* types = nullptr;
  /// Of from_texts(); 0: as many as the machine has, at most 16.
  unsigned threads = 0;
};

/// The options for Python's base64.b64encode(zlib.compress(bytes(counters))): a byte for each counter, which is clamped
/// to 0 and `max`, at most 255.
TextSaveOptions zlib_bytes_save_options(std::int64_t max = 255);
TextLoadOptions zlib_bytes_load_options();

namespace state_text {

/// Properties of a type that the compiled code needs.
struct Root {
  bool integers = false;  // an array of integers in one dimension
  DType::Kind kind = DType::Kind::none;
};
template <class T>
consteval Root root_of() {
  constexpr walk::Family family = walk::family<T>();
  if constexpr (family == walk::Family::contiguous || family == walk::Family::fixed || family == walk::Family::array) {
    using Item = std::remove_cvref_t<decltype(*std::data(std::declval<const T&>()))>;
    if constexpr ((std::is_integral_v<Item> || std::is_enum_v<Item>) && walk::is_cell<Item> && !walk::CharArray<T>) {
      constexpr DType::Kind kind = DTypeOf<Item>::kind;
      constexpr bool one_dimension = [] {
        if constexpr (family == walk::Family::array) {
          return T::rank == 1;
        } else {
          return true;
        }
      }();
      return {one_dimension && kind >= DType::Kind::int8 && kind <= DType::Kind::uint64, kind};
    }
  }
  return {};
}

/// How to walk a value once more.
struct Again {
  void (*walk)(OutVisitor& out, const void* value);
  const void* value;
};
template <class T>
Again again(const T& value) {
  return {[](OutVisitor& out, const void* v) { stele::write(out, *static_cast<const T*>(v)); }, &value};
}

}  // namespace state_text

/// Makes texts, one after another, with what it needs for that kept in between. Not thread-safe: one for each thread.
class TextEncoder {
 public:
  /// Throws: Error(invalid_argument).
  explicit TextEncoder(const TextSaveOptions& options = {});
  ~TextEncoder();
  TextEncoder(TextEncoder&&) noexcept;
  TextEncoder& operator=(TextEncoder&&) noexcept;

  template <class T>
  std::string text(const T& value) {
    std::string out;
    append(value, out);
    return out;
  }
  /// Appends the text to `out`.
  /// Throws: Error(invalid_argument) where min or max make no sense for the integers' type, Error(out_of_range) for an
  /// integer that `item` does not have, and what stele::write() throws.
  template <class T>
  void append(const T& value, std::string& out) {
    write_whole(begin(state_text::root_of<T>(), state_text::again(value)), value);
    end(out);
  }

 private:
  OutVisitor& begin(const state_text::Root& root, const state_text::Again& again);
  void end(std::string& out);
  struct State;
  std::unique_ptr<State> state_;
};

/// Reads texts, one after another. Not thread-safe: one for each thread.
class TextDecoder {
 public:
  /// Throws: Error(invalid_argument).
  explicit TextDecoder(const TextLoadOptions& options = {});
  ~TextDecoder();
  TextDecoder(TextDecoder&&) noexcept;
  TextDecoder& operator=(TextDecoder&&) noexcept;

  template <class T>
  T value(std::string_view text) {
    T value = walk::make<T>();
    read_into(text, value);
    return value;
  }
  /// Both alphabets are read; spaces and line ends in the text do not count. Hostile texts cost time and memory in
  /// proportion to max_bytes at most. Throws: Error(malformed) for what is not base64, with the offset of the
  /// character; Error(not_an_archive), Error(truncated), Error(damaged), Error(unsupported) for a later version,
  /// Error(unknown_codec) for a text that needs a dictionary where this build has no zstd, Error(invalid_argument)
  /// where another dictionary is needed, Error(limit_exceeded), Error(out_of_range) for an integer that the type does
  /// not have, Error(type_mismatch).
  template <class T>
  void read_into(std::string_view text, T& value) {
    read_whole(begin(text, state_text::root_of<T>()), value, [this] { end(); });
  }

 private:
  InVisitor& begin(std::string_view text, const state_text::Root& root);
  void end();
  struct State;
  std::unique_ptr<State> state_;
};

/// What many states have in common, learned from some of them: a dictionary of Zstandard's. Copies share it;
/// thread-safe. Saved and loaded as any value is. A text names the dictionary it was made with.
class TextDictionary {
 public:
  /// Learned from nothing: as if there were none.
  TextDictionary() = default;
  /// From bytes() of another, or what another program has trained. Throws: Error(damaged), Error(unknown_codec) where
  /// this build has no zstd.
  explicit TextDictionary(std::vector<std::byte> bytes);

  /// Learns from states that are like those to come, a few hundred if possible. Options as for to_text(): min and max
  /// count. Throws: Error(invalid_argument) where there is too little to learn from, Error(unknown_codec) where this
  /// build has no zstd.
  template <class T>
  static TextDictionary train(std::span<const T> states, const TextSaveOptions& options = {});

  /// Zstandard's, which tells dictionaries apart; 0 for one that was learned from nothing.
  std::uint32_t id() const noexcept;
  /// Valid as long as a copy of the dictionary is.
  Bytes bytes() const noexcept;

  struct State;
  /// Null for one that was learned from nothing.
  const State* state() const noexcept { return state_.get(); }

 private:
  std::shared_ptr<const State> state_;
};

/// Dictionaries are saved as their bytes.
template <>
struct Visit<TextDictionary> {
  using built_in = TextDictionary;
  static void write(OutVisitor& out, const TextDictionary& value) { stele::write(out, value.bytes()); }
  static void read(InVisitor& in, TextDictionary& value) {
    std::vector<std::byte> bytes;
    stele::read(in, bytes);
    value = bytes.empty() ? TextDictionary() : TextDictionary(std::move(bytes));
  }
};

/// TextDictionary::train() for states that come one by one. They need not be of one type.
class TextTrainer {
 public:
  explicit TextTrainer(const TextSaveOptions& options = {});
  ~TextTrainer();
  TextTrainer(const TextTrainer&) = delete;
  TextTrainer& operator=(const TextTrainer&) = delete;

  template <class T>
  void add(const T& value) {
    write_whole(begin(state_text::root_of<T>(), state_text::again(value)), value);
    end();
  }
  /// Throws: as TextDictionary::train().
  TextDictionary finish();

 private:
  OutVisitor& begin(const state_text::Root& root, const state_text::Again& again);
  void end();
  struct State;
  std::unique_ptr<State> state_;
};

template <class T>
TextDictionary TextDictionary::train(std::span<const T> states, const TextSaveOptions& options) {
  TextTrainer trainer(options);
  for (const T& value : states) {
    trainer.add(value);
  }
  return trainer.finish();
}

// --- In one call -----------------------------------------------------------------------------------------------------

/// The text of a value. 3,000 counters take 20 to 30 µs, of which zlib takes three quarters.
template <class T>
std::string to_text(const T& value, const TextSaveOptions& options = {}) {
  return TextEncoder(options).text(value);
}
/// The value of a text.
template <class T>
T from_text(std::string_view text, const TextLoadOptions& options = {}) {
  return TextDecoder(options).template value<T>(text);
}

namespace state_text {

/// Calls work(index) for each index below `count`, on several threads: each takes a `work` from `make_work()` first.
/// Throws what work throws for the lowest index, an Error with "state <index>: " in front of its message.
void for_each_index(std::size_t count, unsigned threads,
                    const std::function<std::function<void(std::size_t index)>()>& make_work);

}  // namespace state_text

/// The texts of many states, made on options.threads threads.
template <class T>
std::vector<std::string> to_texts(std::span<const T> states, const TextSaveOptions& options = {}) {
  std::vector<std::string> texts(states.size());
  state_text::for_each_index(states.size(), options.threads, [&]() -> std::function<void(std::size_t)> {
    return
        [&, encoder = std::make_shared<TextEncoder>(options)](std::size_t i) { encoder->append(states[i], texts[i]); };
  });
  return texts;
}
/// The states of many texts.
template <class T>
std::vector<T> from_texts(std::span<const std::string> texts, const TextLoadOptions& options = {}) {
  static_assert(!std::is_same_v<T, bool>, "stele: a vector<bool> cannot be written by several threads");
  std::vector<T> states(texts.size());
  state_text::for_each_index(texts.size(), options.threads, [&]() -> std::function<void(std::size_t)> {
    return [&, decoder = std::make_shared<TextDecoder>(options)](std::size_t i) {
      decoder->read_into(texts[i], states[i]);
    };
  });
  return states;
}

}  // namespace stele
