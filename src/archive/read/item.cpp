#include "archive/read/item.hpp"

#include "archive/read/opened.hpp"
#include "base/naming.hpp"
#include "format/directory.hpp"
#include "io/memory.hpp"

namespace stele {
namespace {

void expect_end(std::uint64_t read, std::uint64_t size) {
  if (read != size) {
    fail(Errc::damaged, "bytes follow the value", {{}, read});
  }
}

class BareItem final : public ItemReader {
 public:
  BareItem(Bytes item, const LoadOptions& options, std::string file)
      : size_(item.size()),
        source_(memory_source(item)),
        from_(*source_, input_options(item, options), bare_context(options, std::move(file))) {
    from_.decoder.begin_bare();
  }
  InVisitor& visitor() override { return from_.decoder; }
  void finish() override { expect_end(from_.input.position(), size_); }

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
  Decoding from_;
};

class WholeArchive final : public ItemReader {
 public:
  WholeArchive(Opened opened, std::uint64_t size) : opened_(std::move(opened)), size_(size) {
    naming(opened_.name, [&] { begin(); });
  }
  InVisitor& visitor() override { return from_->decoder; }
  void finish() override { from_->decoder.finish(); }

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
    from_.emplace(*opened_.source, options, opened_.context(&tail_));
    from_->decoder.begin();
  }

  Opened opened_;
  std::uint64_t size_;
  Tail tail_;
  std::optional<Decoding> from_;
};

}  // namespace

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
