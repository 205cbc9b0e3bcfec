#pragma once
// What a TextDictionary is made of.

#include <optional>

#include "services/text/codec.hpp"
#include "services/text/model.hpp"
#include "stele/state_text.hpp"

namespace stele {

struct TextDictionary::State {
  explicit State(Content given);
  Content content;
  std::optional<state_text::ZstdDictionary> zstd;
  std::optional<state_text::Model> model;
};

}  // namespace stele
