#include <algorithm>
#include <iterator>
#include <mutex>
#include <unordered_map>

#include "archive/read/decoder/fields.hpp"
#include "archive/read/foreign.hpp"
#include "archive/read/lazy/lazy_array.hpp"
#include "archive/read/lazy/left_array.hpp"
#include "archive/read/opened.hpp"
#include "archive/read/parts/listing.hpp"
#include "archive/read/parts/locate.hpp"
#include "archive/read/writable.hpp"
#include "archive/sharded/opened.hpp"
#include "archive/value/any_array.hpp"
#include "archive/value/nodes.hpp"
#include "base/naming.hpp"
#include "base/threads/threads.hpp"
#include "format/array/typed.hpp"
#include "format/path/path.hpp"
#include "io/read.hpp"
#include "io/wrap/prefix.hpp"
#include "stele/archive.hpp"

namespace stele {
struct File::State final : Leaving, std::enable_shared_from_this<State> {
  Opened opened;
  std::shared_ptr<WritableMapping> writable;
  Tail tail;
  mutable std::mutex mutex;
  mutable std::unordered_map<std::string_view, const ArrayEntry*> arrays;
  std::unique_ptr<SegmentCheck> segments;
  Parts::Options parts;
  std::optional<Foreign> foreign;                      // instead of the archive
  std::shared_ptr<Mapping> foreign_mapping;            // of its file, if its arrays are there
  std::shared_ptr<const shards::ShardedFile> sharded;  // instead of the archive

  /// `path` is empty if the source is not a file.
  State(Opened from, const std::string& path) : opened(std::move(from)) {
    naming(opened.name, [&] {
      const bool in_order = !opened.source->random_access();
      if (in_order && opened.options.formats != nullptr) {
        std::vector<std::byte> first(Formats::first_bytes);
        first.resize(read_up_to(*opened.source, first));
        opened.source = std::make_unique<PrefixSource>(std::move(first), std::move(opened.source));
      }
      foreign_mapping = mapped_file(path);
      foreign = read_foreign(opened, path, foreign_mapping);
      if (foreign && in_order) {
        opened.source->finish();
        opened.stored_bytes = opened.taken ? opened.taken() : opened.stored_bytes;
      } else if (!foreign) {
        if (in_order) {
          hold_plain(opened);
        }
        read_ends();
      }
    });
  }

  explicit State(std::shared_ptr<const shards::ShardedFile> file) : sharded(std::move(file)) {
    opened.name = sharded->name();
    opened.options = sharded->options();
  }

  /// Of another program's file, so that only those arrays are read that are asked for. Null where there is none.
  std::shared_ptr<Mapping> mapped_file(const std::string& path) const {
    if (opened.mapping != nullptr || opened.options.formats == nullptr || path.empty() || opened.compressed) {
      return opened.mapping;
    }
    try {
      return Mapping::open(path, MapMode::read_only, opened.options.offset);
    } catch (const Error&) {  // it is read instead
      return nullptr;
    }
  }

  /// What is read is compared with the checksums of its format, what is mapped is not: it is read again.
  void verify_foreign() const {
    if (foreign_mapping == nullptr) {
      return;
    }
    naming(opened.name, [&] {
      LoadOptions full = opened.options;
      full.verify = Verify::full;
      const std::unique_ptr<Source> source = memory_source(foreign_mapping->bytes());
      full.formats->read(foreign->format, {*source, foreign_mapping, opened.name, full});
    });
  }

  shards::ShardedFile::Place sharded_at(std::string_view path) const {
    std::optional<shards::ShardedFile::Place> place = sharded->find(path);
    if (!place) {
      fail(Errc::not_found, "there is no value at this path", {path, {}});
    }
    return *std::move(place);
  }

  const Value& foreign_at(std::string_view path) const {
    const Value* const value = find_in(foreign->value, path);
    if (value == nullptr) {
      fail(Errc::not_found, "there is no value at this path", {path, {}});
    }
    return *value;
  }

  void read_ends() {
    tail = find_tail(opened, 0);
    if (opened.mapping != nullptr && opened.mapping->mode() == MapMode::read_write) {
      writable = make_writable(opened, tail);
    }
    parts.input = opened.input_options(0);
    parts.input.end = tail.trailer.total_length;
    parts.input.hash = false;
    // The bytes between the arrays are checked segment by segment when they are read.
    if (opened.verify() != Verify::none && !(opened.mapping != nullptr && writable != nullptr)) {
      segments = std::make_unique<SegmentCheck>(*opened.source, 0, tail.directory, tail.trailer);
      parts.input.segments = segments.get();
    }
    parts.context = opened.context(&tail);
    if (opened.source->memory().empty()) {
      parts.context.leaving = this;
    }
  }

  /// After a flush: arrays are compared with what the file says now.
  void take_checksums() {
    const Tail& now = writable->tail();
    for (std::size_t i = 0; i < tail.directory.arrays.size(); ++i) {
      const ArrayEntry& entry = now.directory.arrays[i];
      tail.directory.arrays[i].set_checksum({entry.checksum, entry.piece_checksums});
    }
    tail.trailer = now.trailer;
  }

  /// The elements of an array, compared with their checksums where they are to be.
  std::unique_ptr<StoredElements> elements_at(const Decoder::ArrayPlace& place) const {
    std::unique_ptr<StoredElements> elements = stored_elements(*opened.source, parts.input, place);
    if (place.listed && opened.verify() == Verify::full) {
      // What is compressed has the checksums of its format already.
      const bool extend = !opened.compressed || opened.options.verify == Verify::full;
      elements->check_against(entry_at(place.item), opened.name, extend);
    }
    return elements;
  }

  std::shared_ptr<LaterArray> leave(const Decoder::ArrayPlace& place, const ArrayHeader& header, bool shareable,
                                    const std::string& path) override {
    return left_array(header, shareable, elements_at(place), place.first,
                      {shared_from_this(), opened.name, path, thread_count(opened.options.threads)});
  }

  /// The directory's entry of a listed array.
  const ArrayEntry& entry_at(const Decoder::ArrayItem& item) const {
    const auto& all = tail.directory.arrays;
    const auto entry = std::lower_bound(all.begin(), all.end(), item.data_offset,
                                        [](const ArrayEntry& e, std::uint64_t at) { return e.offset < at; });
    if (entry == all.end() || entry->offset != item.data_offset || entry->length != item.stored_bytes ||
        entry->element_bytes() != item.bytes) {
      fail(Errc::damaged, "the directory does not list the array", {.offset = item.data_offset});
    }
    return *entry;
  }
  /// A decoder that stands at the value at `path`.
  Parts::Part part_at(std::string_view path) const;
  /// Tells a slow Source what loading the value at `path` will read, so that it is fetched at once.
  void announce(std::string_view path) const {
    const ArrayEntry* const entry = path.empty() ? nullptr : listed(path);
    if (path.empty()) {
      opened.source->will_read(0, tail.trailer.total_length);
    }
    if (entry == nullptr || entry->is_raw()) {
      return;  // the directory has the head of a raw array, and its elements are announced when they are read
    }
    std::uint64_t begin = entry->header;
    std::uint64_t end = entry->offset + entry->length;
    if (segments != nullptr) {                                // the array's head is checked with all of its segments
      constexpr std::uint64_t near = std::uint64_t{2} << 20;  // segments are about half as long
      const std::uint64_t first = segments->around(begin).first;
      const std::uint64_t last = segments->around(entry->offset - 1).second;
      begin = begin - first <= near ? first : begin;
      end = last > end && last - end <= near ? last : end;
    }
    // Of a long array the caller may want a part; its elements are announced when they are read.
    constexpr std::uint64_t at_once = std::uint64_t{16} << 20;
    end = end - begin <= at_once ? end : std::min(end, entry->offset + (std::uint64_t{1} << 20));
    if (begin < end) {
      opened.source->will_read(begin, end - begin);
    }
  }

  const ArrayEntry* listed(std::string_view path) const {
    const std::lock_guard lock(mutex);
    if (arrays.empty()) {
      for (const ArrayEntry& entry : tail.directory.arrays) {
        arrays.emplace(entry.path, &entry);
      }
    }
    const auto found = arrays.find(path);
    return found == arrays.end() ? nullptr : found->second;
  }
};

File::File(std::shared_ptr<State> state) : state_(std::move(state)) {}
File::~File() = default;
File::File(File&&) noexcept = default;
File& File::operator=(File&&) noexcept = default;

Parts::Part File::State::part_at(std::string_view path) const {
  const Parts all(*opened.source, parts);
  if (const ArrayEntry* entry = path.empty() ? nullptr : listed(path)) {
    Parts::Part part = all.at(entry->is_raw() ? entry->offset : entry->header, path);
    if (entry->is_raw()) {
      part->decoder.begin_listed(*entry);
    }
    return part;
  }
  const auto& pieces = tail.directory.pieces;
  const auto grown = std::find_if(pieces.begin(), pieces.end(), [&](const PiecesEntry& e) { return e.path == path; });
  const auto offset = grown != pieces.end() ? grown->header : all.locate(path);
  if (!offset) {
    fail(Errc::not_found, "there is no value at this path", {path, {}});
  }
  return all.at(*offset, path);
}

std::unique_ptr<File::Part> File::find(std::string_view path) const {
  class Found final : public Part {
   public:
    explicit Found(Parts::Part part) : part_(std::move(part)) {}
    InVisitor& visitor() override { return part_->decoder; }
    void finish() override {}

   private:
    Parts::Part part_;
  };
  class FoundForeign final : public Part {
   public:
    FoundForeign(const Value& value, const LoadOptions& options, Handing handing)
        : values_(value_reader(value, options, handing)) {}
    InVisitor& visitor() override { return *values_; }
    void finish() override {}

   private:
    std::unique_ptr<InVisitor> values_;
  };
  class FoundSharded final : public Part {
   public:
    FoundSharded(Value value, const LoadOptions& options)
        : value_(std::move(value)), values_(value_reader(value_, options)) {}
    InVisitor& visitor() override { return *values_; }
    void finish() override {}

   private:
    const Value value_;
    std::unique_ptr<InVisitor> values_;
  };
  return naming(
      state_->opened.name,
      [&]() -> std::unique_ptr<Part> {
        if (state_->sharded) {
          const shards::ShardedFile::Place place = state_->sharded_at(path);
          if (place.part != nullptr) {
            return place.part->find(place.path);
          }
          return std::make_unique<FoundSharded>(state_->sharded->value(path), state_->opened.options);
        }
        if (state_->foreign) {
          const Value& root = state_->foreign->value;
          const Value& value = state_->foreign_at(path);
          const bool buffers = state_->opened.options.map != MapMode::none;  // else each load has arrays of its own
          const bool tree = &value == &root && (buffers || arrays_of(root).count == 0);
          return std::make_unique<FoundForeign>(value, state_->opened.options, Handing{buffers, tree});
        }
        state_->announce(path);
        return std::make_unique<Found>(state_->part_at(path));
      },
      path);
}

AnyLazyArray File::find_array(std::string_view path, ArrayTarget* wanted) const {
  const auto in_memory = [](AnyLazyArray::State& array, const ArrayView& view, std::shared_ptr<Buffer> buffer,
                            const char* encoding) {
    const auto size = static_cast<std::int64_t>(view.dtype.item_size());
    array.dtype = view.dtype;
    array.shape = view.shape;
    array.order = stored_order(view);
    array.encoding = encoding;
    array.first = static_cast<std::uint64_t>((view.data - buffer->data()) / size);
    array.elements = elements_in_memory(view.dtype, std::move(buffer));
    std::transform(view.strides, view.strides + view.shape.rank(), array.strides,
                   [&](std::int64_t stride) { return stride / size; });
  };
  const auto complete = [&](std::shared_ptr<AnyLazyArray::State> array) {
    array->file = state_;
    array->file_name = state_->opened.name;
    array->path = path;
    array->limits = state_->opened.options.limits;
    array->threads = thread_count(state_->opened.options.threads);
    return AnyLazyArray(std::move(array));
  };
  if (state_->sharded) {
    return naming(
        state_->opened.name,
        [&] {
          const shards::ShardedFile::Place place = state_->sharded_at(path);
          if (place.part != nullptr) {
            return place.part->find_array(place.path, wanted);
          }
          if (place.array == nullptr) {
            fail(Errc::type_mismatch, "expected an array, found a map");
          }
          auto array = std::make_shared<AnyLazyArray::State>();
          array->dtype = shards::dtype_of_text(place.array->dtype);
          array->shape = Shape(place.array->shape);
          array->encoding = "sharded";
          array->boxes = state_->sharded->elements(*place.array);
          if (wanted != nullptr) {
            const Value value = state_->sharded->value(path);
            check_array({array->dtype, array->shape, array->order}, *wanted,
                        *value_reader(value, state_->opened.options));
          }
          return complete(std::move(array));
        },
        path);
  }
  if (state_->foreign) {
    return naming(
        state_->opened.name,
        [&] {
          const std::unique_ptr<InVisitor> values = value_reader(state_->foreign_at(path), state_->opened.options);
          AnyTarget target;
          values->array(target);
          const ArrayView& view = target.view();
          if (wanted != nullptr) {
            check_array({view.dtype, view.shape, stored_order(view)}, *wanted, *values);
          }
          auto array = std::make_shared<AnyLazyArray::State>();
          in_memory(*array, view, target.buffer(), "raw");
          return complete(std::move(array));
        },
        path);
  }
  const auto find = [&](Decoder& decoder) {
    Decoder::ArrayPlace place = decoder.place_array();
    auto array = std::make_shared<AnyLazyArray::State>();
    if (place.whole) {
      const Parts::Part again = state_->part_at(path);
      AnyTarget target;
      again->decoder.array(target);
      in_memory(*array, target.view(), target.buffer(), place.view ? "view" : "pieces");
    } else {
      array->dtype = place.item.header.dtype;
      array->shape = place.shape;
      array->order = place.view ? Order::row_major : place.item.header.order;
      array->encoding = place.item.encoding_name(place.view);
      array->elements = state_->elements_at(place);
      array->first = place.first;
      std::copy_n(place.strides, place.shape.rank(), array->strides);
    }
    if (wanted != nullptr) {
      decoder.check_type({array->dtype, array->shape, array->order}, *wanted);
    }
    return complete(std::move(array));
  };
  return naming(
      state_->opened.name,
      [&] {
        const Parts::Part part = state_->part_at(path);
        if (const auto target = part->decoder.target()) {
          return find(Parts(*state_->opened.source, state_->parts).at(*target, path)->decoder);
        }
        return find(part->decoder);
      },
      path);
}

bool File::contains(std::string_view path) const {
  return naming(state_->opened.name, [&] {
    if (state_->sharded) {
      return state_->sharded->find(path).has_value();
    }
    if (state_->foreign) {
      return find_in(state_->foreign->value, path) != nullptr;
    }
    return state_->listed(path) != nullptr || Parts(*state_->opened.source, state_->parts).locate(path).has_value();
  });
}

std::vector<Entry> File::list(const ListOptions& options) const {
  return naming(
      state_->opened.name,
      [&] {
        if (state_->sharded) {
          return state_->sharded->list(options);
        }
        if (state_->foreign) {
          const auto& mapping = state_->foreign_mapping;
          return list_value(state_->foreign->value, options, mapping != nullptr ? mapping->bytes() : Bytes());
        }
        Parts::Options listing = state_->parts;
        listing.context.map_all = false;
        const Parts parts(*state_->opened.source, listing);
        const auto list = [](Decoder& decoder, const ListOptions& what) {
          try {
            return list_values(decoder, what);
          } catch (const Error& error) {
            decoder.rethrow(error);
          }
        };
        const auto offset = parts.locate(options.path);
        if (!offset) {
          fail(Errc::not_found, "there is no value at this path", {options.path, {}});
        }
        std::vector<Entry> entries = list(parts.at_target(*offset, options.path)->decoder, options);
        for (std::uint64_t index = 0; options.path.empty() && index < options.max_items;) {
          ListOptions below = options;
          below.path = deferred_path(index);
          const auto deferred = parts.locate(below.path);
          if (!deferred) {
            break;
          }
          const Parts::Part part = parts.at(*deferred, below.path);
          do {
            below.path = deferred_path(index);
            std::vector<Entry> more = list(part->decoder, below);
            std::move(more.begin(), more.end(), std::back_inserter(entries));
          } while (++index < options.max_items && !part->decoder.at_break());
        }
        for (Entry& entry : entries) {
          if (entry.mappable) {
            const std::uint64_t alignment = alignment_to_map(entry.dtype);
            entry.mappable =
                !state_->opened.compressed && (state_->opened.options.offset + entry.offset) % alignment == 0;
          }
        }
        return entries;
      },
      options.path);
}

Info File::info() const {
  if (state_->sharded) {
    return state_->sharded->info();
  }
  const Opened& opened = state_->opened;
  const Directory& directory = state_->tail.directory;
  Info info;
  info.codec = opened.codec;
  if (state_->foreign) {
    const ArrayTotals totals = arrays_of(state_->foreign->value);
    info.plain_bytes = opened.source->size().value_or(totals.bytes);
    info.stored_bytes = opened.stored_bytes != 0 ? opened.stored_bytes : info.plain_bytes;
    info.arrays = totals.count;
    info.array_bytes = totals.bytes;
    info.writer = state_->foreign->format;
    info.metadata = state_->foreign->metadata;
    return info;
  }
  info.plain_bytes = state_->tail.trailer.total_length;
  info.bytes_after = *opened.source->size() - info.plain_bytes;
  info.stored_bytes = opened.stored_bytes != 0 ? opened.stored_bytes : info.plain_bytes;
  info.arrays = directory.arrays.size();
  for (const ArrayEntry& entry : directory.arrays) {
    info.array_bytes += entry.length;
    info.encoded_arrays += entry.is_raw() ? 0 : 1;
  }
  info.pieced_arrays = directory.pieces.size();
  info.format = directory.format;
  info.writer = directory.writer;
  info.metadata = directory.metadata;
  return info;
}

void File::verify() const {
  if (state_->sharded) {
    return naming(state_->opened.name, [&] { state_->sharded->verify(); });
  }
  if (state_->foreign) {
    state_->verify_foreign();
    return;
  }
  Input::Options options = state_->opened.input_options(0);
  options.hash = true;
  options.hash_payloads = true;
  DecoderContext context = bare_context(state_->opened.options, state_->opened.name);
  context.verify = Verify::full;
  context.directory = &state_->tail.directory;
  context.trailer = &state_->tail.trailer;
  pass_through(state_->opened, options, std::move(context));
}

void File::flush() {
  if (state_->writable == nullptr) {
    fail(Errc::read_only, "the file was not opened with MapMode::read_write");
  }
  naming(state_->opened.name, [&] { state_->writable->update(); });
  state_->take_checksums();
}

void File::flush(std::string_view path, const Range& rows) {
  if (state_->writable == nullptr) {
    fail(Errc::read_only, "the file was not opened with MapMode::read_write");
  }
  naming(
      state_->opened.name,
      [&] {
        const ArrayEntry* const entry = state_->listed(path);
        if (entry == nullptr || !entry->is_raw()) {
          fail(Errc::not_found, "there is no array in the mapping at this path");
        }
        const AnyLazyArray array = find_array(path, nullptr);
        const std::uint64_t count = array.extents(std::span(&rows, 1))[0];
        const std::uint64_t extent = entry->shape[0];
        if (count == 0) {
          return;
        }
        const auto last = rows.first + static_cast<std::uint64_t>(rows.step) * (count - 1);  // modulo 2^64
        const auto [low, high] = std::minmax(rows.first, last);
        // the elements of a row lie all over a column-major array
        const bool together = entry->order == Order::row_major || entry->shape.rank() < 2;
        const std::uint64_t row = entry->length / extent;
        state_->writable->update(entry->offset, together ? low * row : 0, together ? (high + 1) * row : entry->length);
      },
      path);
  state_->take_checksums();
}

File open(const Path& path, const LoadOptions& options) {
  if (shards::is_folder(path)) {
    return File(std::make_shared<File::State>(shards::open_folder(path, options)));
  }
  std::shared_ptr<File::State> state;
  try {
    state = std::make_shared<File::State>(open_path(path, options, Loading::parts), path.text());
  } catch (const Error& error) {
    if (!shards::is_folder(path, error)) {
      throw;
    }
    return File(std::make_shared<File::State>(shards::open_folder(path, options)));
  }
  if (!state->foreign && shards::is_manifest(state->tail.directory.metadata)) {
    return File(std::make_shared<File::State>(shards::open_manifest(path, options)));
  }
  return File(std::move(state));
}

File open(std::unique_ptr<Source> source, const LoadOptions& options) {
  if (options.map != MapMode::none) {
    fail(Errc::not_mappable, "a source cannot be mapped; open the file by its path");
  }
  return File(std::make_shared<File::State>(open_source(std::move(source), options, Loading::parts), std::string()));
}

}  // namespace stele
