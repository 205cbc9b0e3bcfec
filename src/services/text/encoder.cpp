#include "format/text/base64.hpp"
#include "services/text/codec.hpp"
#include "services/text/payload.hpp"

namespace stele {

using namespace state_text;

TextSaveOptions zlib_bytes_save_options(std::int64_t max) {
  TextSaveOptions options;
  options.min = 0;
  options.max = max;
  options.bare = true;
  options.item = DType::Kind::uint8;
  return options;
}

struct TextEncoder::State {
  explicit State(const TextSaveOptions& given)
      : options(given),
        payload(options),
        compressor(options.level, options.dictionary == nullptr ? nullptr : options.dictionary->state()) {}
  TextSaveOptions options;
  PayloadWriter payload;
  Compressor compressor;
};

TextEncoder::TextEncoder(const TextSaveOptions& options) : state_(std::make_unique<State>(options)) {}
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
  const Bytes stream = state.compressor.compress(state.payload.plain(), state.payload.counters(), !state.options.bare);
  append_base64(out, stream, state.options.alphabet == TextAlphabet::base64 ? Base64::standard : Base64::url);
}

// ---- learning a dictionary ----

struct TextTrainer::State {
  explicit State(const TextSaveOptions& given) : options(given), payload(options) {}
  TextSaveOptions options;
  PayloadWriter payload;
  std::vector<std::byte> samples;
  std::vector<std::size_t> sizes;
};

TextTrainer::TextTrainer(const TextSaveOptions& options) {
  TextSaveOptions described = options;
  described.bare = false;
  state_ = std::make_unique<State>(described);
}

TextTrainer::~TextTrainer() = default;

OutVisitor& TextTrainer::begin(const Root& root, const Again& again) {
  state_->payload.begin(root, again);
  return state_->payload;
}

void TextTrainer::end() {
  State& state = *state_;
  state.payload.finish();
  const Bytes bytes = state.payload.plain();
  state.samples.insert(state.samples.end(), bytes.begin(), bytes.end());
  state.sizes.push_back(bytes.size());
}

TextDictionary TextTrainer::finish() { return TextDictionary(train_dictionary(state_->samples, state_->sizes)); }

}  // namespace stele
