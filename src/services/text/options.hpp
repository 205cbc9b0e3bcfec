#pragma once
// What TextOptions mean.

#include <optional>

#include "services/text/codec.hpp"
#include "services/text/integers.hpp"
#include "stele/state_text.hpp"

namespace stele::state_text {

/// Throws: Error(invalid_argument), Error(unknown_codec) for options that make no sense together.
void check(const TextOptions& options);

/// The codec that is asked for; nothing: "auto".
std::optional<Codec> codec_of(const TextOptions& options);

inline Bounds bounds_of(const TextOptions& options) { return {options.min, options.max}; }

/// How a bare text holds the elements of an array of integers.
struct RawForm {
  std::size_t width = 0;
  bool is_signed = false;
};
RawForm raw_form(const TextOptions& options, const Root& root);

}  // namespace stele::state_text
