#pragma once
// What the counters of many states have in common: at each place some values are likely. Places whose counters are
// alike on average form a class; the classes are half an octave apart, and a state with twice the counters of the
// average state uses the frequencies of the classes one octave up.

#include <array>
#include <cstdint>
#include <vector>

#include "services/text/entropy.hpp"

namespace stele::state_text {

/// The symbols are bytes and the escape, which stands for a byte that was not met in training and is stored apart.
inline constexpr std::size_t escape = 256;
inline constexpr std::size_t model_symbols = 257;
inline constexpr std::size_t most_classes = 64;

/// A model as it is saved.
struct ModelContent {
  std::vector<std::uint8_t> classes;       // of each place
  double mean_total = 0;                   // of the sum of a state
  std::vector<std::uint16_t> frequencies;  // model_symbols for each class
};

/// Ready for use; shared by threads.
class Model {
 public:
  /// Throws: Error(damaged) for content that cannot be.
  explicit Model(const ModelContent& content);

  /// States of up to so many counters have a model.
  std::size_t places() const noexcept { return classes_.size(); }
  /// Appends the code of `counters`, at most places() of them, to `out`. `room` is scratch.
  void encode(Bytes counters, std::vector<std::byte>& room, std::vector<std::byte>& out) const;
  /// The reverse. False for what encode() does not make.
  bool decode(Bytes coded, MutableBytes counters) const;

 private:
  struct Symbol {
    std::uint16_t frequency;
    std::uint16_t start;
    std::uint16_t value;  // or escape
  };
  struct Context {
    std::array<EncodedSymbol, model_symbols> encoding;
    std::array<Symbol, 256> symbols;
    std::array<std::uint8_t, text_frozen::frequency_total> slots;  // the symbol's index
  };
  using Contexts = std::array<const Context*, most_classes>;
  Contexts contexts_of(int shift) const noexcept;

  std::vector<std::uint8_t> classes_;
  std::vector<Context> contexts_;
  double mean_total_;
};

/// Learns from states of bytes. They may differ in length.
class ModelTrainer {
 public:
  void add(Bytes counters);
  std::size_t states() const noexcept { return ends_.size(); }
  /// At least one state was added.
  ModelContent finish() const;

 private:
  std::vector<std::byte> counters_;
  std::vector<std::size_t> ends_;
};

}  // namespace stele::state_text
