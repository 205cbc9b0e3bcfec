#include <algorithm>

#include "base/bytes.hpp"
#include "format/text/base64.hpp"
#include "services/text/codec.hpp"
#include "services/text/frozen.hpp"
#include "services/text/reader.hpp"

namespace stele {

using namespace state_text;

TextLoadOptions zlib_bytes_load_options() {
  TextLoadOptions options;
  options.bare = true;
  options.item = DType::Kind::uint8;
  return options;
}

struct TextDecoder::State {
  explicit State(const TextLoadOptions& given)
      : options(given),
        decompressor(options.dictionary == nullptr ? nullptr : options.dictionary->state()),
        reader(options) {
    check_bare(options);
  }

  void decompress();
  InVisitor& begin_described(Bytes content);
  InVisitor& begin_bare(Bytes elements, const Root& root);

  TextLoadOptions options;
  Decompressor decompressor;
  std::vector<std::byte> raw;     // what base64 holds
  std::vector<std::byte> plain;   // what is compressed
  std::vector<std::byte> planes;  // of bare integers
  PayloadReader reader;
};

void TextDecoder::State::decompress() {
  constexpr std::uint64_t most = std::uint64_t{1} << 48;  // whatever the options say: sums and products stay small
  const std::size_t head = options.bare ? 0 : text_frozen::head_bytes;
  if (raw.size() < text_frozen::head_bytes) {
    fail(Errc::truncated, "the text ends before it says what it is");
  }
  if (!Decompressor::is_stream(raw)) {
    fail(options.bare ? Errc::damaged : Errc::not_an_archive,
         "this is no state text: those hold a stream of zlib's or Zstandard's");
  }
  const std::size_t used = decompressor.decompress(raw, std::min(options.max_bytes, most) + head, plain);
  const Bytes rest = Bytes(raw).subspan(used);
  const std::size_t expected = options.bare ? 0 : text_frozen::checksum_bytes;
  if (rest.size() < expected) {
    fail(Errc::truncated, "the text ends within its checksum, or has none and needs TextLoadOptions::bare");
  }
  if (rest.size() != expected ||
      (!options.bare && load_le<std::uint32_t>(rest.data()) != crc_of(Bytes(raw).first(used)))) {
    fail(Errc::damaged, "the checksum of the text does not match, or is not its end");
  }
}

InVisitor& TextDecoder::State::begin_described(Bytes content) {
  if (content.size() < text_frozen::head_bytes ||
      (std::to_integer<unsigned>(content[0]) & 0xf0U) != text_frozen::mark) {
    fail(Errc::not_an_archive, "what is compressed in the text does not begin as a state does");
  }
  const unsigned version = std::to_integer<unsigned>(content[0]) & 0x0fU;
  const auto form_byte = std::to_integer<unsigned>(content[1]);
  IntegerForm form;
  form.width = form_byte & text_frozen::width_mask;
  const bool with_base = form_byte == (form.width | text_frozen::flag_base);
  if (version != text_frozen::version || form.width > 8 || (form_byte != form.width && !with_base)) {
    fail(Errc::unsupported,
         message({"a state text of version ", version, " and form ", form_byte, ", which this build does not read"}));
  }
  if (form_byte == 0) {
    return reader.begin_value(content.subspan(text_frozen::head_bytes));
  }
  Bytes offsets = content.subspan(text_frozen::head_bytes);
  if (with_base) {
    if (offsets.size() < text_frozen::base_bytes) {
      fail(Errc::damaged, "the state ends within its base");
    }
    form.base = load_le<std::int64_t>(offsets.data());
    offsets = offsets.subspan(text_frozen::base_bytes);
  }
  if (form.width == 0 || offsets.size() % form.width != 0) {
    fail(Errc::damaged, "the text holds no whole number of integers");
  }
  form.count = offsets.size() / form.width;
  return reader.begin_integers(form, offsets);
}

InVisitor& TextDecoder::State::begin_bare(Bytes elements, const Root& root) {
  if (!root.integers) {
    return reader.begin_value(elements);
  }
  const DType item = options.item.value_or(root.kind);
  if (elements.size() % item.item_size() != 0) {
    fail(Errc::damaged, "the text holds no whole number of integers");
  }
  const IntegerForm form = form_of(elements, item, planes);
  return reader.begin_integers(form, planes);
}

TextDecoder::TextDecoder(const TextLoadOptions& options) : state_(std::make_unique<State>(options)) {}
TextDecoder::~TextDecoder() = default;
TextDecoder::TextDecoder(TextDecoder&&) noexcept = default;
TextDecoder& TextDecoder::operator=(TextDecoder&&) noexcept = default;

InVisitor& TextDecoder::begin(std::string_view text, const Root& root) {
  State& state = *state_;
  decode_any_base64(text, state.raw);
  state.decompress();
  return state.options.bare ? state.begin_bare(state.plain, root) : state.begin_described(state.plain);
}

void TextDecoder::end() { state_->reader.finish(); }

}  // namespace stele
