#include <algorithm>
#include <cstdio>

#include "archive/read/decoder.hpp"
#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "services/text/base64.hpp"
#include "services/text/bits.hpp"
#include "services/text/dictionary.hpp"
#include "services/text/entropy.hpp"
#include "services/text/options.hpp"
#include "services/text/reader.hpp"

namespace stele {

using namespace state_text;

namespace {

std::string id_text(std::uint32_t id) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", id);
  return text;
}

[[noreturn]] void damaged(const char* message) { fail(Errc::damaged, message); }

}  // namespace

struct TextDecoder::State {
  explicit State(const TextOptions& given)
      : options(given), codec(codec_of(options)), reader({options.strict, options.types, options.max_bytes}) {}

  InVisitor& begin_bare(const Root& root);
  InVisitor& begin_described();
  Codec read_header(Bytes& rest, std::uint8_t& flags) const;
  InVisitor& begin_integers(Codec codec_there, std::uint8_t flags, Bytes rest);
  InVisitor& begin_value(Codec codec_there, std::uint8_t flags, Bytes rest);
  void check_size(std::uint64_t size) const {
    constexpr std::uint64_t most = std::uint64_t{1} << 48;  // whatever the options say: sums and products stay small
    if (size > options.max_bytes || size > most) {
      fail(Errc::limit_exceeded, "the text becomes " + std::to_string(size) + " bytes, more than the " +
                                     std::to_string(std::min(options.max_bytes, most)) + " of TextOptions::max_bytes");
    }
  }
  const ZstdDictionary* zstd_dictionary() const noexcept {
    return options.dictionary != nullptr && options.dictionary->state().zstd ? &*options.dictionary->state().zstd
                                                                             : nullptr;
  }
  /// What a codec has made of `plain`, where that needs no frequencies.
  void restore(Codec codec_there, bool with_dictionary, Bytes stored, MutableBytes plain);

  TextOptions options;
  std::optional<Codec> codec;
  Decompressor decompressor;
  std::vector<std::byte> raw;     // what base64 holds
  std::vector<std::byte> plain;   // of bare texts, and of packed integers
  std::vector<std::byte> planes;  // of integers
  PayloadReader reader;
};

void TextDecoder::State::restore(Codec codec_there, bool with_dictionary, Bytes stored, MutableBytes to) {
  if (codec_there == Codec::stored) {
    if (stored.size() != to.size()) {
      damaged("the text holds another number of bytes than it says");
    }
    std::copy(stored.begin(), stored.end(), to.begin());
    return;
  }
  const ZstdDictionary* dictionary = with_dictionary ? zstd_dictionary() : nullptr;
  if (with_dictionary && (dictionary == nullptr || codec_there != Codec::zstd)) {
    damaged("the text says that it needs a dictionary for what has none");
  }
  if (!decompressor.decompress(codec_there, stored, dictionary, to)) {
    damaged("the compressed bytes of the text are damaged");
  }
}

InVisitor& TextDecoder::State::begin_bare(const Root& root) {
  check_size(*codec == Codec::stored ? raw.size() : 0);
  if (*codec == Codec::stored) {
    plain.swap(raw);
  } else {
    decompressor.decompress_whole(*codec, raw, zstd_dictionary(), options.max_bytes, plain);
  }
  if (!root.integers) {
    const MutableBytes value = reader.value_room(plain.size());
    std::copy(plain.begin(), plain.end(), value.begin());
    return reader.begin_value();
  }
  const RawForm form = raw_form(options, root);
  if (plain.size() % form.width != 0) {
    damaged("the text holds no whole number of integers");
  }
  const IntegerForm whole = form_of_raw(plain, form.width, form.is_signed, planes);
  return reader.begin_integers(whole, planes);
}

Codec TextDecoder::State::read_header(Bytes& rest, std::uint8_t& flags) const {
  if (rest.empty()) {
    fail(Errc::truncated, "the text is empty");
  }
  const auto first = std::to_integer<std::uint8_t>(rest[0]);
  if ((first & 0xf0) != text_frozen::magic) {
    fail(Errc::not_an_archive,
         "this is no state text: those begin with \"s\"; one without a header needs TextOptions::bare");
  }
  if ((first & 0x0f) != text_frozen::version) {
    fail(Errc::unsupported, "a state text of version " + std::to_string(first & 0x0f) + "; this build reads version " +
                                std::to_string(text_frozen::version));
  }
  if (rest.size() < text_frozen::header_bytes + text_frozen::checksum_bytes) {
    fail(Errc::truncated, "the text ends within its header");
  }
  const Bytes checked = rest.first(rest.size() - text_frozen::checksum_bytes);
  if (load_le<std::uint32_t>(checked.data() + checked.size()) != (xxh3_64(checked) & 0xffffffff)) {
    damaged("the checksum does not match: the text has changed or is not whole");
  }
  flags = std::to_integer<std::uint8_t>(rest[1]);
  rest = checked.subspan(text_frozen::header_bytes);
  const auto codec_there = static_cast<Codec>(flags & text_frozen::codec_mask);
  if (codec_there > Codec::zlib) {
    fail(Errc::unsupported, "the text has a codec that this build does not know");
  }
  if (!has_library(codec_there)) {
    fail(Errc::unknown_codec,
         "the text is compressed with " + std::string(codec_name(codec_there)) + ", which this build lacks");
  }
  const bool integers = (flags & text_frozen::flag_integers) != 0;
  if (!integers &&
      (flags & (text_frozen::flag_differences | text_frozen::flag_packed | text_frozen::flag_natural)) != 0) {
    damaged("flags of integers where there are none");
  }
  if ((flags & text_frozen::flag_dictionary) != 0) {
    if (rest.size() < 4) {
      damaged("the text ends within its header");
    }
    const std::uint32_t id = load_le<std::uint32_t>(rest.data());
    rest = rest.subspan(4);
    if (options.dictionary == nullptr || options.dictionary->id() != id) {
      fail(Errc::invalid_argument,
           "the text was made with the dictionary " + id_text(id) + "; TextOptions::dictionary is " +
               (options.dictionary == nullptr ? std::string("none") : id_text(options.dictionary->id())));
    }
  }
  return codec_there;
}

InVisitor& TextDecoder::State::begin_integers(Codec codec_there, std::uint8_t flags, Bytes rest) {
  IntegerForm form;
  form.natural = (flags & text_frozen::flag_natural) != 0;
  form.differences = (flags & text_frozen::flag_differences) != 0;
  const auto number = [&] {
    const std::optional<std::uint64_t> value = get_number(rest);
    if (!value) {
      damaged("the text ends within its header");
    }
    return *value;
  };
  form.count = number();
  const bool with_dictionary = (flags & text_frozen::flag_dictionary) != 0;
  if (with_dictionary && codec_there == Codec::entropy) {
    form.bits = 8;  // counters that the model knows
    if ((flags & (text_frozen::flag_differences | text_frozen::flag_natural)) != 0) {
      damaged("flags that counters with a dictionary do not have");
    }
  } else {
    if (rest.empty() || std::to_integer<unsigned>(rest[0]) > 64) {
      damaged("integers of more than 64 bits");
    }
    form.bits = std::to_integer<unsigned>(rest[0]);
    rest = rest.subspan(1);
    if (form.differences) {
      form.first = static_cast<std::uint64_t>(unzigzag(number()));
    }
    form.base = static_cast<std::uint64_t>(unzigzag(number()));
  }
  check_size(form.count);
  const std::uint64_t plane_bytes = form.offsets() * form.planes();
  check_size(plane_bytes);
  if ((flags & text_frozen::flag_packed) != 0) {
    if (codec_there == Codec::entropy) {
      damaged("packed integers are not entropy coded");
    }
    plain.resize(static_cast<std::size_t>(packed_size(form)));
    restore(codec_there, with_dictionary, rest, plain);
    unpack_offsets(form, plain, planes);
    return reader.begin_integers(form, planes);
  }
  planes.resize(static_cast<std::size_t>(plane_bytes));
  if (codec_there != Codec::entropy) {
    restore(codec_there, with_dictionary, rest, planes);
  } else if (with_dictionary) {
    const auto& model = options.dictionary->state().model;
    if (!model || !model->decode(rest, planes)) {
      damaged("the compressed bytes of the text are damaged");
    }
  } else if (!entropy_decode(rest, std::max(1U, form.planes()), planes)) {
    damaged("the compressed bytes of the text are damaged");
  }
  return reader.begin_integers(form, planes);
}

InVisitor& TextDecoder::State::begin_value(Codec codec_there, std::uint8_t flags, Bytes rest) {
  const std::optional<std::uint64_t> size = get_number(rest);
  if (!size) {
    damaged("the text ends within its header");
  }
  check_size(*size);
  const MutableBytes value = reader.value_room(static_cast<std::size_t>(*size));
  const bool with_dictionary = (flags & text_frozen::flag_dictionary) != 0;
  if (codec_there != Codec::entropy) {
    restore(codec_there, with_dictionary, rest, value);
  } else if (with_dictionary || !entropy_decode(rest, 1, value)) {
    damaged("the compressed bytes of the text are damaged");
  }
  return reader.begin_value();
}

InVisitor& TextDecoder::State::begin_described() {
  Bytes rest = raw;
  std::uint8_t flags = 0;
  const Codec codec_there = read_header(rest, flags);
  return (flags & text_frozen::flag_integers) != 0 ? begin_integers(codec_there, flags, rest)
                                                   : begin_value(codec_there, flags, rest);
}

TextDecoder::TextDecoder(const TextOptions& options) {
  check(options);
  state_ = std::make_unique<State>(options);
}

TextDecoder::~TextDecoder() = default;
TextDecoder::TextDecoder(TextDecoder&&) noexcept = default;
TextDecoder& TextDecoder::operator=(TextDecoder&&) noexcept = default;

InVisitor& TextDecoder::begin(std::string_view text, const Root& root) {
  State& state = *state_;
  decode_base64(text, state.raw);
  return state.options.bare ? state.begin_bare(root) : state.begin_described();
}

void TextDecoder::end() { state_->reader.finish(); }

}  // namespace stele
