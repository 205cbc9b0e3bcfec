#include "services/text/dictionary.hpp"

#include <bit>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "services/text/payload.hpp"

namespace stele {
std::uint32_t TextDictionary::id_of(const Content& content) noexcept {
  Xxh3 hash;
  std::array<std::byte, 8> number;
  const auto add = [&](std::uint64_t value) {
    store_le<std::uint64_t>(number.data(), value);
    hash.update(number);
  };
  add(content.zstd.size());
  hash.update(content.zstd);
  add(content.classes.size());
  hash.update(std::as_bytes(std::span(content.classes)));
  add(std::bit_cast<std::uint64_t>(content.mean_total));
  add(content.frequencies.size());
  for (const std::uint16_t frequency : content.frequencies) {
    store_le<std::uint16_t>(number.data(), frequency);
    hash.update(std::span(number).first(2));
  }
  return static_cast<std::uint32_t>(hash.digest64() & 0xffffffff);
}

TextDictionary::State::State(Content given) : content(std::move(given)) {
  if (!content.zstd.empty()) {
    zstd.emplace(content.zstd);
  }
  if (!content.classes.empty()) {
    model.emplace(state_text::ModelContent{content.classes, content.mean_total, content.frequencies});
  }
}

TextDictionary::TextDictionary() {
  Content content;
  content.id = id_of(content);
  state_ = std::make_shared<const State>(std::move(content));
}

TextDictionary::TextDictionary(Content content) {
  if (content.id != id_of(content)) {
    fail(Errc::damaged, "the dictionary is not what its id says");
  }
  state_ = std::make_shared<const State>(std::move(content));
}

std::uint32_t TextDictionary::id() const noexcept { return state_->content.id; }

const TextDictionary::Content& TextDictionary::content() const noexcept { return state_->content; }

struct TextTrainer::State {
  explicit State(const TextOptions& given) : options(given), payload(options) {}
  TextOptions options;
  state_text::PayloadWriter payload;
  state_text::ModelTrainer model;
  std::vector<std::byte> samples;  // of values that are not arrays of integers
  std::vector<std::size_t> sizes;
};

TextTrainer::TextTrainer(const TextOptions& options) {
  TextOptions described = options;
  described.bare = false;
  described.dictionary = nullptr;
  state_text::check(described);
  state_ = std::make_unique<State>(described);
}

TextTrainer::~TextTrainer() = default;

OutVisitor& TextTrainer::begin(const state_text::Root& root, const state_text::Again& again) {
  state_->payload.begin(root, again);
  return state_->payload;
}

void TextTrainer::end() {
  State& state = *state_;
  state.payload.finish();
  const Bytes bytes = state.payload.bytes();
  if (const auto& form = state.payload.integers()) {
    // Arrays with larger or negative numbers are written without the model. One that is all zeros has no bytes.
    if (!form->differences && form->base == 0 && form->bits == 0) {
      state.model.add(std::vector<std::byte>(static_cast<std::size_t>(form->count)));
    } else if (!form->differences && form->base == 0 && form->planes() == 1) {
      state.model.add(bytes);
    }
    return;
  }
  state.samples.insert(state.samples.end(), bytes.begin(), bytes.end());
  state.sizes.push_back(bytes.size());
}

TextDictionary TextTrainer::finish() {
  State& state = *state_;
  TextDictionary::Content content;
  if (state.sizes.empty() && state.model.states() == 0) {
    fail(Errc::invalid_argument,
         "there is nothing to learn a dictionary from: no states, or only arrays of numbers "
         "that are negative or more than 255");
  }
  if (!state.sizes.empty()) {
    content.zstd = state_text::ZstdDictionary::train(state.samples, state.sizes);
  }
  if (state.model.states() != 0) {
    state_text::ModelContent model = state.model.finish();
    content.classes = std::move(model.classes);
    content.mean_total = model.mean_total;
    content.frequencies = std::move(model.frequencies);
  }
  content.id = TextDictionary::id_of(content);
  return TextDictionary(std::move(content));
}

}  // namespace stele
