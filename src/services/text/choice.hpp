#pragma once
// Which codec makes the shortest text of a payload.

#include <optional>
#include <vector>

#include "services/text/codec.hpp"
#include "services/text/dictionary.hpp"
#include "services/text/entropy.hpp"
#include "services/text/integers.hpp"

namespace stele::state_text {

/// A payload compressed.
struct Body {
  Codec codec = Codec::stored;
  bool dictionary = false;
  bool packed = false;
  std::vector<std::byte> bytes;
};

/// Not thread-safe.
class Chooser {
 public:
  /// `codec`: the only one to be used; nothing: the best.
  Chooser(std::optional<Codec> codec, int level, const TextDictionary* dictionary)
      : codec_(codec), level_(level), dictionary_(dictionary) {}

  /// `bytes` are the planes of `form`, if there is one, else a CBOR item. Valid until the next call.
  const Body& choose(Bytes bytes, const std::optional<IntegerForm>& form);
  /// Appends what the codec makes of the bytes for a text without a header.
  void bare(Bytes bytes, std::vector<std::byte>& out);

 private:
  const ZstdDictionary* zstd_dictionary() const noexcept;
  /// Whether the model knows such states.
  bool has_model(const std::optional<IntegerForm>& form) const noexcept;
  /// Takes what `make` appends to the bytes it is given if that is less than the best so far, or if nothing was taken
  /// yet.
  template <class Make>
  void offer(Codec codec, bool dictionary, bool packed, Make&& make);
  void offer_general(Codec codec, Bytes bytes, bool packed);

  std::optional<Codec> codec_;
  int level_;
  const TextDictionary* dictionary_;
  Compressor compressor_;
  Body best_;
  bool taken_ = false;
  std::vector<std::byte> candidate_;
  std::vector<std::byte> packed_;
  std::vector<std::byte> room_;
  std::vector<Histogram> histograms_;  // of each plane
};

}  // namespace stele::state_text
