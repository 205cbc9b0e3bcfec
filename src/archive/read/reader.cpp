#include <algorithm>
#include <cstring>
#include <utility>

#include "archive/read/foreign.hpp"
#include "archive/read/opened.hpp"
#include "archive/read/parts/rows.hpp"
#include "archive/read/writable.hpp"
#include "archive/sharded/opened.hpp"
#include "archive/value/any_array.hpp"
#include "archive/value/nodes.hpp"
#include "base/naming.hpp"
#include "base/process.hpp"
#include "codec/decompress.hpp"
#include "io/wrap/prefix.hpp"
#include "io/wrap/tail.hpp"
#include "stele/archive.hpp"

namespace stele {

/// There are two cases. A file or memory is opened once, and archives follow one another in its plain bytes. In a
/// stream, each archive may be compressed separately, or several together. Where a compressed stream ends, the next
/// archive is opened anew, and the caller's stream stands there.
struct Reader::State {
  LoadOptions options;
  std::unique_ptr<Source> stream;  // null: a file or memory
  std::uint64_t stream_at = 0;     // offset of the next archive, if the stream has random access
  TailSource* cursor = nullptr;    // the current archive is read from the stream through this
  std::vector<std::byte> stored;   // bytes that more() took from the stream
  bool is_path = false;
  std::optional<Opened> opened;     // in a stream: the current archive, or the next one if more() found it
  bool ready = false;               // the next archive is read from `opened`
  bool reading = false;             // an archive was begun and not ended
  std::uint64_t position = 0;       // offset of the next archive in the plain bytes of `opened`
  std::vector<std::byte> waiting;   // bytes already taken from them
  PrefixSource* resumed = nullptr;  // `opened->source` after the first archive that was in it
  std::optional<Tail> tail;
  std::unique_ptr<Decoding> current;
  std::shared_ptr<const shards::ShardedFile> sharded;  // instead of what `opened` holds
  std::optional<Foreign> foreign;                      // instead of `current`: a file of another program, or `sharded`
  std::unique_ptr<InVisitor> foreign_values;
  Metadata metadata;
  ProcessMark process;

  /// In a child process, abandons what a thread of the parent may have been using.
  ~State() {
    if (process.in_child() && current != nullptr) {
      leave_behind(current.release());
      if (opened) {
        leave_behind(opened->source.release());
      }
    }
  }

  /// As Error::file().
  std::string name() const { return stream != nullptr ? stream->name() : opened->name; }

  void open_next() {
    position = 0;
    resumed = nullptr;
    if (stream->random_access()) {
      auto source = std::make_unique<TailSource>(std::make_unique<BorrowedSource>(*stream), stream_at);
      cursor = source.get();
      opened = open_stream(std::move(source), options);
    } else {
      opened = open_stream(
          std::make_unique<PrefixSource>(std::exchange(stored, {}), std::make_unique<BorrowedSource>(*stream)),
          options);
    }
    ready = true;
  }

  /// Uses `read` to look at up to `size` plain bytes. Returns whether there are any.
  template <class Read>
  bool look(std::size_t size, const Read& read) {
    while (waiting.size() < size) {
      const std::size_t before = waiting.size();
      waiting.resize(size);
      const std::size_t count = read(MutableBytes(waiting).subspan(before));
      waiting.resize(before + count);
      if (count == 0) {
        break;
      }
    }
    return !waiting.empty();
  }
  bool look(std::size_t size) {
    return look(size, [&](MutableBytes into) { return opened->source->read(into); });
  }

  /// The same, inside the compressed stream.
  bool look_in_stream(std::size_t size) {
    return look(size, [&](MutableBytes into) { return opened->in_order->read_rest(into); });
  }

  bool more() {
    if (stream == nullptr) {
      Source& source = *opened->source;
      return source.random_access() ? position < *source.size() : look(1);
    }
    while (!ready) {
      if (stream->random_access() ? stream_at >= *stream->size() : !take_stored()) {
        return false;
      }
      open_next();
      if (opened->in_order != nullptr && opened->in_order->has_streams() && !look_in_stream(1)) {
        settled();  // empty, like the last member of a bgzip file
      }
    }
    return true;
  }

  bool take_stored() {
    if (stored.empty()) {
      stored.resize(1);
      stored.resize(stream->read(stored));
    }
    return !stored.empty();
  }

  /// In a stream: reads the opened data to its end, so that the stream stands right after it.
  void settled() {
    ready = false;
    if (stream->random_access()) {
      stream_at += cursor->position();
      stream->seek(stream_at);
    }
  }

  void begin() {
    current.reset();
    // An archive that could not be read can be read again where its Source can, but not inside compressed data.
    const bool again = std::exchange(reading, true);
    if (stream != nullptr && (!ready || (again && position == 0 && stream->random_access()))) {
      waiting.clear();
      open_next();
    } else if (again && opened->in_order != nullptr) {
      fail(Errc::damaged, "compressed data cannot be read on after an error", {{}, position});
    }
    if (options.formats != nullptr && position == 0 && !opened->source->random_access()) {
      look(Formats::first_bytes);
    }
    if (!waiting.empty()) {
      // One for each archive would nest.
      auto rest = resumed != nullptr ? resumed->take_rest() : std::move(opened->source);
      auto source = std::make_unique<PrefixSource>(std::exchange(waiting, {}), std::move(rest));
      resumed = source.get();
      opened->source = std::move(source);
    }
    Opened& from = *opened;
    if (begin_foreign()) {
      return;
    }
    tail = read_tail(from, position);
    if (is_path && position == 0 && tail && shards::is_manifest(tail->directory.metadata)) {
      sharded = shards::open_manifest(Path(from.name), options);
      begin_foreign();
      return;
    }
    if (from.mapping != nullptr && from.mapping->mode() == MapMode::read_write) {
      if (position != 0) {
        fail(Errc::not_mappable, "only the first archive of a file can be mapped for writing");
      }
      make_writable(from, tail ? *tail : find_tail(from, 0));
    }
    Input::Options how = from.input_options(position);
    if (from.mapping != nullptr && tail && from.verify() != Verify::full) {
      how.mapped = &tail->directory;
    }
    DecoderContext context = from.context(tail ? &*tail : nullptr);
    if (from.in_order != nullptr) {
      context.read_on = [this] {
        read_on([this](MutableBytes into) {
          return stream == nullptr ? opened->source->read(into) : opened->in_order->read_rest(into);
        });
      };
    }
    current = std::make_unique<Decoding>(*from.source, how, std::move(context));
    try {
      current->decoder.begin();
    } catch (const Error& error) {
      current->decoder.rethrow(error);
    }
  }

  /// Checks what follows an archive in the same compressed data, or after the first archive of a file: it must be
  /// another archive.
  void check_rest() {
    Source& source = *opened->source;
    Bytes next = waiting;
    std::vector<std::byte> copy;
    if (source.random_access()) {
      copy.resize(static_cast<std::size_t>(std::min<std::uint64_t>(frozen::label.size(), *source.size() - position)));
      source.read_at(position, copy);
      next = copy;
    }
    if (!may_be_label(next)) {
      fail(Errc::damaged, "bytes that are not an archive follow the archive", {{}, position});
    }
  }

  /// Reads the first value whole if it is a file of another program.
  bool begin_foreign() {
    if (position != 0) {
      return false;
    }
    if (sharded != nullptr) {
      foreign = Foreign{"sharded archive", sharded->value({}), sharded->info().metadata};
    } else {
      foreign = read_foreign(*opened, is_path ? opened->name : std::string(), opened->mapping);
    }
    if (foreign) {
      foreign_values = value_reader(foreign->value, options, {.tree = sharded == nullptr});
    }
    return foreign.has_value();
  }
  void end_foreign() {
    metadata = foreign->metadata;
    foreign_values.reset();
    foreign.reset();
    reading = false;
    Source& source = *opened->source;
    position = source.random_access() ? *source.size() : 1;  // not at the start any more
    if (stream == nullptr) {
      source.finish();
      return;
    }
    ready = false;
    if (stream->random_access()) {
      stream_at = *stream->size();
      stream->seek(stream_at);
    }
  }
  InVisitor& values() noexcept { return foreign ? *foreign_values : current->decoder; }

  void end() {
    if (foreign) {
      end_foreign();
      return;
    }
    Decoder& decoder = current->decoder;
    decoder.finish();
    metadata = decoder.directory().metadata;
    end(decoder.trailer().total_length);
    current.reset();  // only the caller keeps the objects now
  }

  /// Called after an archive of `length` bytes.
  void end(std::uint64_t length) {
    const bool first = position == 0;
    position += length;
    reading = false;
    if (opened->in_order != nullptr) {
      constexpr std::size_t enough = frozen::label.size();
      const bool follows = stream == nullptr ? look(enough) : look_in_stream(enough);
      if (follows) {
        check_rest();
      } else if (stream == nullptr) {
        opened->source->finish();
      } else {
        settled();
      }
      return;
    }
    if (stream != nullptr && stream->random_access()) {
      opened->source->seek(length);  // reading at offsets did not move it
    }
    opened->source->finish();
    if (stream != nullptr) {
      settled();
    } else if (opened->compressed || (is_path && first && !opened->embedded)) {
      if (!opened->source->random_access()) {
        look(frozen::label.size());
      }
      check_rest();
    }
  }
};

Reader::Reader(const Path& path, const LoadOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->is_path = true;
  if (!shards::is_folder(path)) {
    try {
      state_->opened = open_path(path, options, Loading::whole);
      return;
    } catch (const Error& error) {
      if (!shards::is_folder(path, error)) {
        throw;
      }
    }
  }
  state_->sharded = shards::open_folder(path, options);
  state_->opened.emplace();
  state_->opened->options = options;
  state_->opened->name = path.text();
  state_->opened->source = state_->sharded->manifest();
}

Reader::Reader(std::istream& stream, const LoadOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->stream = stream_source(stream);
}

Reader::Reader(Descriptor descriptor, const LoadOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->stream = fd_source(descriptor.fd);
}

Reader::Reader(Source& source, const LoadOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->stream = std::make_unique<BorrowedSource>(source);
}

Reader::Reader(Bytes bytes, const LoadOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->opened = open_source(memory_source(bytes), options, Loading::whole);
}

Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;

bool Reader::more() {
  State& state = *state_;
  return naming(state.name(), [&] {
    state.process.require_same_process("the Reader");
    return state.more();
  });
}

InVisitor& Reader::begin() {
  State& state = *state_;
  naming(state.name(), [&] {
    state.process.require_same_process("the Reader");
    state.begin();
  });
  return state.values();
}

void Reader::end() { state_->end(); }

std::shared_ptr<RowStream> Reader::rows(std::string_view path, ArrayTarget& wanted) {
  begin();
  State* const state = state_.get();  // stays where it is when the Reader is moved
  if (state->foreign) {
    fail(Errc::unsupported, "batches of a sharded archive or a file in another format: open() it and use File::array()",
         {path, {}, state->name()});
  }
  return rows_in_order(state->current->decoder, path, wanted, state->options.limits, [state] { state->end(); });
}

std::shared_ptr<RowStream> Reader::rows(std::string_view path) {
  AnyTarget wanted;
  return rows(path, wanted);
}

const Metadata& Reader::metadata() const { return state_->metadata; }

}  // namespace stele
