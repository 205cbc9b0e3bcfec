#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "services/text/base64.hpp"
#include "services/text/bits.hpp"
#include "services/text/choice.hpp"
#include "services/text/payload.hpp"

namespace stele {

using namespace state_text;

struct TextEncoder::State {
  explicit State(const TextOptions& given)
      : options(given), payload(options), chooser(codec_of(options), options.level, options.dictionary) {}

  /// The bytes of a text with a header.
  void describe() {
    const std::optional<IntegerForm>& form = payload.integers();
    const Body& body = chooser.choose(payload.bytes(), form);
    unsigned flags = static_cast<unsigned>(body.codec);
    flags |= body.dictionary ? text_frozen::flag_dictionary : 0U;
    flags |= body.packed ? text_frozen::flag_packed : 0U;
    if (form) {
      flags |= text_frozen::flag_integers;
      flags |= form->differences ? text_frozen::flag_differences : 0U;
      flags |= form->natural ? text_frozen::flag_natural : 0U;
    }
    bytes.push_back(static_cast<std::byte>(text_frozen::magic | text_frozen::version));
    bytes.push_back(static_cast<std::byte>(flags));
    if (body.dictionary) {
      bytes.resize(bytes.size() + 4);
      store_le<std::uint32_t>(bytes.data() + bytes.size() - 4, options.dictionary->id());
    }
    if (form) {
      put_number(bytes, form->count);
      if (!body.dictionary || body.codec != state_text::Codec::entropy) {  // else they are bytes
        bytes.push_back(static_cast<std::byte>(form->bits));
        if (form->differences) {
          put_number(bytes, zigzag(static_cast<std::int64_t>(form->first)));
        }
        put_number(bytes, zigzag(static_cast<std::int64_t>(form->base)));
      }
    } else {
      put_number(bytes, payload.bytes().size());
    }
    bytes.insert(bytes.end(), body.bytes.begin(), body.bytes.end());
    const std::uint64_t hash = xxh3_64(bytes);
    bytes.resize(bytes.size() + text_frozen::checksum_bytes);
    store_le<std::uint32_t>(bytes.data() + bytes.size() - text_frozen::checksum_bytes,
                            static_cast<std::uint32_t>(hash & 0xffffffff));
  }

  TextOptions options;
  PayloadWriter payload;
  Chooser chooser;
  std::vector<std::byte> bytes;  // what becomes base64
};

TextEncoder::TextEncoder(const TextOptions& options) {
  check(options);
  state_ = std::make_unique<State>(options);
}

TextEncoder::~TextEncoder() = default;
TextEncoder::TextEncoder(TextEncoder&&) noexcept = default;
TextEncoder& TextEncoder::operator=(TextEncoder&&) noexcept = default;

OutVisitor& TextEncoder::begin(const Root& root, const Again& again) {
  state_->payload.begin(root, again);
  return state_->payload;
}

void TextEncoder::end(std::string& out) {
  State& state = *state_;
  state.payload.finish();
  state.bytes.clear();
  if (state.options.bare) {
    state.chooser.bare(state.payload.bytes(), state.bytes);
  } else {
    state.describe();
  }
  append_base64(state.bytes, state.options.alphabet, out);
}

}  // namespace stele
