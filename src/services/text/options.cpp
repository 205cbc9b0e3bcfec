#include "services/text/options.hpp"

#include <bit>

namespace stele {

TextOptions zlib_bytes_options(std::int64_t max) {
  TextOptions options;
  options.min = 0;
  options.max = max;
  options.codec = "zlib";
  options.bare = true;
  options.item_bytes = 1;
  return options;
}

namespace state_text {

std::optional<Codec> codec_of(const TextOptions& options) {
  if (options.codec == "auto") {
    return std::nullopt;
  }
  for (const Codec codec : {Codec::stored, Codec::entropy, Codec::deflate, Codec::zlib, Codec::zstd}) {
    if (options.codec == codec_name(codec)) {
      if (!has_library(codec)) {
        fail(Errc::unknown_codec, "this build has no " + options.codec);
      }
      return codec;
    }
  }
  fail(Errc::unknown_codec,
       "no codec of texts is named " + options.codec + "; there are auto, stored, entropy, deflate, zlib, zstd");
}

void check(const TextOptions& options) {
  const std::optional<Codec> codec = codec_of(options);
  if (options.level < 1 || options.level > 9) {
    fail(Errc::invalid_argument, "TextOptions::level is from 1 to 9, not " + std::to_string(options.level));
  }
  if (options.min && options.max && *options.min > *options.max) {
    fail(Errc::invalid_argument, "TextOptions::min is more than max");
  }
  if (options.item_bytes > 8 || std::popcount(options.item_bytes) > 1) {
    fail(Errc::invalid_argument, "TextOptions::item_bytes is 1, 2, 4, 8 or 0");
  }
  if (options.bare && (!codec || *codec == Codec::entropy)) {
    fail(Errc::invalid_argument,
         "a bare text needs a codec by name, and not \"entropy\", which has sizes in the header");
  }
}

RawForm raw_form(const TextOptions& options, const Root& root) {
  RawForm form;
  form.is_signed = options.min ? *options.min < 0 : !options.max && root.is_signed;
  form.width = options.item_bytes;
  if (form.width == 0 && !options.max) {
    form.width = root.item_bytes;
  }
  if (form.width == 0) {
    const auto fits = [&](unsigned bits) {
      const unsigned of_value = form.is_signed ? bits - 1 : bits;
      const auto most =
          static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(0, *options.max))));
      const auto least = static_cast<unsigned>(
          std::bit_width(~static_cast<std::uint64_t>(std::min<std::int64_t>(-1, options.min.value_or(0)))));
      return most <= of_value && least <= of_value;
    };
    form.width = fits(8) ? 1 : fits(16) ? 2 : fits(32) ? 4 : 8;
  }
  return form;
}

}  // namespace state_text
}  // namespace stele
