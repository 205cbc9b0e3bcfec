#include "archive/read/item.hpp"

#include "archive/read/opened.hpp"
#include "base/naming.hpp"
#include "format/directory.hpp"
#include "io/memory.hpp"

namespace stele {
namespace {

void expect_end(std::uint64_t read, std::uint64_t size) {
  if (read != size) {
    fail(Errc::malformed, "bytes follow the value", {{}, read});
  }
}

class BareItem final : public ItemReader {
 public:
  BareItem(Bytes item, const LoadOptions& options, std::string file)
      : size_(item.size()),
        source_(memory_source(item)),
        input_(*source_, input_options(item, options)),
        decoder_(input_, bare_context(options, std::move(file))) {
    decoder_.begin_bare();
  }
  InVisitor& visitor() override { return decoder_; }
  void finish() override { expect_end(input_.position(), size_); }

 private:
  static Input::Options input_options(Bytes item, const LoadOptions& options) {
    Input::Options input;
    input.random = true;
    input.end = item.size();
    input.trusted_size = true;
    input.limits = options.limits;
    return input;
  }
  std::uint64_t size_;
  std::unique_ptr<Source> source_;
  Input input_;
  Decoder decoder_;
};

class WholeArchive final : public ItemReader {
 public:
  WholeArchive(Opened opened, std::uint64_t size) : opened_(std::move(opened)), size_(size) {
    naming(opened_.name, [&] { begin(); });
  }
  InVisitor& visitor() override { return *decoder_; }
  void finish() override { decoder_->finish(); }

 private:
  void begin() {
    if (!opened_.source->random_access()) {
      hold_plain(opened_);
    }
    tail_ = find_tail(opened_, 0);
    if (!opened_.compressed) {
      expect_end(tail_.trailer.total_length, size_);
    }
    Input::Options options = opened_.input_options(0);
    if (opened_.mapping != nullptr && opened_.verify() != Verify::full) {
      options.mapped = &tail_.directory;
      options.hash_payloads = opened_.verify() != Verify::none;  // for arrays that are copied nevertheless
    }
    input_.emplace(*opened_.source, options);
    decoder_.emplace(*input_, opened_.context(&tail_));
    decoder_->begin();
  }

  Opened opened_;
  std::uint64_t size_;
  Tail tail_;
  std::optional<Input> input_;
  std::optional<Decoder> decoder_;
};

}  // namespace

std::optional<Bytes> root_item(Bytes archive, std::size_t most) {
  constexpr std::size_t least = frozen::label.size() + frozen::trailer_bytes;
  if (archive.size() < least) {
    return std::nullopt;
  }
  const Trailer trailer = decode_trailer(archive.last<frozen::trailer_bytes>(), archive.size() - frozen::trailer_bytes);
  if (trailer.directory_offset - frozen::label.size() > most) {
    return std::nullopt;
  }
  if (trailer.directory_offset >= frozen::listed_array_bytes) {
    const Bytes directory = archive.subspan(static_cast<std::size_t>(trailer.directory_offset),
                                            static_cast<std::size_t>(trailer.directory_length));
    if (!decode_directory(directory, trailer.directory_offset).arrays.empty()) {
      return std::nullopt;
    }
  }
  return archive.subspan(frozen::label.size(),
                         static_cast<std::size_t>(trailer.directory_offset) - frozen::label.size());
}

std::unique_ptr<ItemReader> read_item(Bytes item, const LoadOptions& options, std::string file) {
  return std::make_unique<BareItem>(item, options, std::move(file));
}

std::unique_ptr<ItemReader> read_mapped_archive(std::shared_ptr<Mapping> mapping, std::uint64_t offset,
                                                std::uint64_t size, const LoadOptions& options) {
  Opened opened;
  opened.options = options;
  const Bytes bytes = mapping->bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  opened.name = mapping->name();
  opened.mapping = std::move(mapping);
  opened.stored_bytes = size;
  opened.source = memory_source(bytes, opened.mapping);
  return std::make_unique<WholeArchive>(std::move(opened), size);
}

std::unique_ptr<ItemReader> read_archive(Bytes archive, const LoadOptions& options, std::string file) {
  Opened opened = naming(file, [&] { return open_source(memory_source(archive), options, Loading::whole); });
  opened.name = std::move(file);
  return std::make_unique<WholeArchive>(std::move(opened), archive.size());
}

}  // namespace stele
