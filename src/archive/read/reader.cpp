#include <algorithm>
#include <cstring>

#include "archive/read/opened.hpp"
#include "base/naming.hpp"
#include "base/process.hpp"
#include "stele/archive.hpp"

namespace stele {

/// Two kinds of places to read from. A file or memory is opened once, and archives follow one another in its plain
/// bytes. A stream is sniffed before each archive, because each may be compressed by itself, and is left behind its
/// end.
struct Reader::State {
  LoadOptions options;
  std::unique_ptr<Source> stream;  // null: a file or memory
  std::uint64_t stream_at = 0;     // of the next archive, where the stream has random access
  TailSource* cursor = nullptr;    // what the current archive is read through there
  bool is_path = false;
  std::optional<Opened> opened;
  std::uint64_t position = 0;      // of the next archive in the plain bytes of `opened`
  std::vector<std::byte> waiting;  // what more() has taken
  std::optional<Tail> tail;
  std::unique_ptr<Input> input;
  std::unique_ptr<Decoder> decoder;
  Metadata metadata;
  ProcessMark process;

  /// In a child, what a thread of the parent may have been inside of is left as it is.
  ~State() {
    if (process.in_child() && decoder != nullptr) {
      leave_behind(decoder.release());
      leave_behind(input.release());
      if (opened) {
        leave_behind(opened->source.release());
      }
    }
  }

  /// As Error::file().
  std::string name() const { return stream != nullptr ? stream->name() : opened->name; }

  void open_next() {
    position = 0;
    if (stream->random_access()) {
      auto source = std::make_unique<TailSource>(borrow(*stream), stream_at);
      cursor = source.get();
      opened = open_stream(std::move(source), options);
    } else {
      opened = open_stream(put_back(std::move(waiting), borrow(*stream)), options);
      waiting.clear();
    }
  }

  bool take_one(Source& source) {
    if (waiting.empty()) {
      std::byte first{};
      if (source.read({&first, 1}) == 0) {
        return false;
      }
      waiting.push_back(first);
    }
    return true;
  }

  bool more() {
    if (stream != nullptr) {
      return stream->random_access() ? stream_at < *stream->size() : take_one(*stream);
    }
    Source& source = *opened->source;
    if (source.random_access()) {
      return position < *source.size();
    }
    return position == 0 || take_one(source);
  }

  void begin() {
    decoder.reset();
    input.reset();
    if (stream != nullptr) {
      open_next();
    } else if (!waiting.empty()) {
      opened->source = put_back(std::move(waiting), std::move(opened->source));
      waiting.clear();
    }
    Opened& from = *opened;
    tail = read_tail(from, position);
    if (from.mapping != nullptr && from.mapping->mode() == MapMode::read_write) {
      if (position != 0) {
        fail(Errc::not_mappable, "only the first archive of a file can be mapped to be written");
      }
      from.mapping = updating_mapping(from.mapping, tail ? *tail : find_tail(from, 0));
    }
    Input::Options how = from.input_options(position);
    if (from.mapping != nullptr && tail && from.verify() != Verify::full) {
      how.mapped = &tail->directory;
    }
    input = std::make_unique<Input>(*from.source, how);
    DecoderContext context;
    if (tail) {
      context.directory = &tail->directory;
      context.trailer = &tail->trailer;
    }
    context.mapping = from.mapping;
    context.verify = from.verify();
    context.field_rules = rules_of(options);
    context.map_all = options.map_all;
    context.types = options.types;
    context.file = from.name;
    decoder = std::make_unique<Decoder>(*input, std::move(context));
    decoder->begin();
  }

  /// What follows the first archive of a file must be another.
  void check_rest() {
    std::vector<std::byte> next(frozen::label.size());
    Source& source = *opened->source;
    if (source.random_access()) {
      next.resize(static_cast<std::size_t>(std::min<std::uint64_t>(next.size(), *source.size() - position)));
      source.read_at(position, next);
    } else {
      next.clear();
      if (take_one(source)) {
        next = waiting;
      }
    }
    if (!may_be_label(next)) {
      fail(Errc::damaged, "bytes that are no archive follow the archive", {{}, position});
    }
  }
};

Reader::Reader(const Path& path, const LoadOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->opened = open_path(path, options, Loading::whole);
  state_->is_path = true;
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
  state_->stream = borrow(source);
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
  return *state.decoder;
}

void Reader::end() {
  State& state = *state_;
  state.decoder->finish();
  state.metadata = state.decoder->directory().metadata;
  Opened& opened = *state.opened;
  const std::uint64_t length = state.decoder->trailer().total_length;
  const bool first = state.position == 0;
  state.position += length;
  if (state.stream != nullptr && state.stream->random_access() && !opened.compressed) {
    opened.source->seek(length);  // what was read at offsets has not moved it
  }
  opened.source->finish();
  if (state.stream != nullptr) {
    if (state.stream->random_access()) {
      state.stream_at += opened.compressed ? state.cursor->position() : length;
      state.stream->seek(state.stream_at);
    }
  } else if (state.is_path && first && !opened.embedded) {
    state.check_rest();
  }
  state.decoder.reset();  // the objects belong to the caller alone
}

const Metadata& Reader::metadata() const { return state_->metadata; }

}  // namespace stele
