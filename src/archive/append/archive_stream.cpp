#include "archive/append/archive_stream.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "codec/decompress.hpp"

namespace stele {

/// Decompressed bytes, of which the first few can be looked at. A PrefixSource for each archive would nest.
class ArchiveStream::PutBack final : public Source {
 public:
  explicit PutBack(std::unique_ptr<InOrderSource> source) : source_(std::move(source)) {}

  std::size_t read(MutableBytes into) override {
    if (ahead_.empty()) {
      return source_->read(into);
    }
    const std::size_t count = std::min(into.size(), ahead_.size());
    std::copy_n(ahead_.begin(), count, into.begin());
    ahead_ = ahead_.subspan(count);
    return count;
  }
  std::string name() const override { return source_->name(); }

  /// Up to a label's bytes of what is left of the compressed stream that the last read() was in; read() returns them
  /// again.
  Bytes look() {
    std::size_t got = 0;
    while (got < bytes_.size()) {
      const std::size_t count = source_->read_rest(MutableBytes(bytes_).subspan(got));
      if (count == 0) {
        break;
      }
      got += count;
    }
    ahead_ = Bytes(bytes_).first(got);
    return ahead_;
  }

 private:
  const std::unique_ptr<InOrderSource> source_;
  std::array<std::byte, frozen::label.size()> bytes_{};
  Bytes ahead_;
};

ArchiveStream::ArchiveStream(Source& file, const FileCodec& codec, std::uint64_t offset, const LoadOptions& options)
    : file_(file), codec_(codec), options_(options), offset_(offset) {}

ArchiveStream::~ArchiveStream() = default;

void ArchiveStream::open() {
  position_ = 0;
  auto source = std::make_unique<TailSource>(std::make_unique<BorrowedSource>(file_), offset_);
  stored_ = source.get();
  opened_.emplace();
  opened_->options = options_;
  opened_->name = file_.name();
  opened_->stored_bytes = *source->size();
  if (codec_.get() == nullptr) {
    opened_->source = std::move(source);
    return;
  }
  const DecodeOptions decode{
      .threads = options_.threads, .window = options_.limits.window, .expansion = options_.limits.expansion};
  auto in_order = std::make_unique<InOrderSource>(std::move(source), *codec_.get(), decode);
  opened_->codec = codec_.name();
  opened_->compressed = true;
  opened_->in_order = in_order.get();
  auto plain = std::make_unique<PutBack>(std::move(in_order));
  plain_ = plain.get();
  opened_->source = std::move(plain);
}

Decoder& ArchiveStream::begin() {
  current_.reset();
  if (!inside_) {
    open();
  }
  DecoderContext context = opened_->context(nullptr);
  if (opened_->in_order != nullptr) {
    context.read_on = [this] { read_on([this](MutableBytes into) { return opened_->in_order->read_rest(into); }); };
  }
  current_ = std::make_unique<Decoding>(*opened_->source, opened_->input_options(position_), std::move(context));
  Decoder& decoder = current_->decoder;
  try {
    decoder.begin();
  } catch (const Error& error) {
    decoder.rethrow(error);
  }
  return decoder;
}

void ArchiveStream::end() {
  Decoder& decoder = current_->decoder;
  decoder.finish();
  const std::uint64_t length = decoder.trailer().total_length;
  appended_ = decoder.directory().appended;
  metadata_ = decoder.directory().metadata;
  if (opened_->in_order == nullptr) {
    offset_ += length;
    return;
  }
  position_ += length;
  const Bytes next = plain_->look();
  inside_ = !next.empty();
  if (!inside_) {
    offset_ += stored_->position();
    pass_mark();
  } else if (!may_be_label(next)) {
    fail(Errc::damaged, "bytes that are not an archive follow the archive", {.offset = position_});
  }
}

void ArchiveStream::pass_mark() {
  const Bytes mark = codec_.mark();
  if (*file_.size() < offset_ + mark.size()) {
    return;
  }
  std::vector<std::byte> next(mark.size());
  file_.read_at(offset_, next);
  if (std::equal(next.begin(), next.end(), mark.begin())) {
    offset_ += mark.size();
  }
}

}  // namespace stele
