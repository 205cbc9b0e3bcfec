#include "interop/pickle/joblib/legacy.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "interop/pickle/read/window.hpp"
#include "io/read.hpp"
#include "io/wrap/prefix.hpp"
#include "stele/codec.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

constexpr std::string_view magic = "ZF";
constexpr std::size_t length_size = 19;

/// The decompressed bytes. Their number must match the header, which is not verified beforehand: so there is no size().
class ZfileSource final : public Source {
 public:
  ZfileSource(std::unique_ptr<Source> stored, const DecodeOptions& options, std::uint64_t length)
      : plain_(decompressing_source(std::move(stored), codecs_.get("zlib"), options)), length_(length) {}

  std::size_t read(MutableBytes into) override {
    const std::size_t count = plain_->read(into);
    given_ += count;
    if (given_ > length_ || (count == 0 && !into.empty() && given_ < length_)) {
      fail(Errc::damaged, "a Z-file of another size than the " + std::to_string(length_) + " bytes that it states");
    }
    return count;
  }

 private:
  const Codecs codecs_;
  const std::unique_ptr<Source> plain_;
  const std::uint64_t length_;
  std::uint64_t given_ = 0;
};

}  // namespace

bool is_zfile(Bytes first) noexcept {
  return first.size() >= 4 && std::string_view(reinterpret_cast<const char*>(first.data()), 4) == "ZF0x";
}

std::unique_ptr<Source> zfile_source(Source& stored, const LoadOptions& options) {
  std::string head(magic.size() + length_size, '\0');
  read_exactly(stored, std::as_writable_bytes(std::span(head)));
  std::string_view digits(head);
  digits.remove_prefix(magic.size());
  digits = digits.substr(0, digits.find(' '));
  if (digits.ends_with('L')) {  // as Python 2 wrote long integers
    digits.remove_suffix(1);
  }
  std::uint64_t length = 0;
  bool is_number = is_zfile(std::as_bytes(std::span(head)));
  if (is_number) {
    digits.remove_prefix(2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length, 16);
    is_number = error == std::errc() && end == digits.data() + digits.size();
  }
  if (!is_number) {
    fail(Errc::malformed, "no Z-file: it does not begin as one");
  }
  std::byte first{};
  read_exactly(stored, {&first, 1});
  if (first == std::byte{' '}) {  // some versions wrote a character more
    read_exactly(stored, {&first, 1});
  }
  const DecodeOptions decode{
      .threads = 1, .window = options.limits.window, .expansion = options.limits.expansion, .whole = true};
  auto from_first = std::make_unique<PrefixSource>(std::vector{first}, std::make_unique<BorrowedSource>(stored));
  return std::make_unique<ZfileSource>(std::move(from_first), decode, length);
}

std::shared_ptr<Buffer> read_zfile(Source& stored, const LoadOptions& options) {
  const std::unique_ptr<Source> plain = zfile_source(stored, options);
  std::string bytes;
  std::vector<std::byte> piece(std::size_t{256} << 10);
  while (const std::size_t count = plain->read(piece)) {
    bytes.append(reinterpret_cast<const char*>(piece.data()), count);
    if (bytes.size() > options.limits.allocation) {
      fail(Errc::limit_exceeded, "an array of more than " + std::to_string(options.limits.allocation) + " bytes");
    }
  }
  auto owner = std::make_shared<std::string>(std::move(bytes));
  return Buffer::wrap(reinterpret_cast<std::byte*>(owner->data()), owner->size(), true, owner);
}

}  // namespace stele::pickle
