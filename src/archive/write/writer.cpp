#include <algorithm>
#include <unordered_set>

#include "archive/formats.hpp"
#include "archive/write/encoder.hpp"
#include "archive/write/saving.hpp"
#include "base/checksum.hpp"
#include "base/naming.hpp"
#include "base/printable.hpp"
#include "base/process.hpp"
#include "codec/compress.hpp"
#include "stele/archive.hpp"
#include "stele/codec.hpp"

namespace stele {
namespace {

/// The codec chosen by the options or the path; null for no compression.
const Codec* choose_codec(const SaveOptions& options, const Codecs& codecs, std::string_view path) {
  if (options.codec.empty()) {
    return codecs.by_extension(path);
  }
  return &codecs.get(options.codec);
}

}  // namespace

void check_saving(const SaveOptions& options, const Codec* codec) {
  if (codec == nullptr && options.level && *options.level != 0) {
    fail(Errc::invalid_argument, "a plain archive has no level");
  }
  if (options.filter == "auto" || options.filter == "none") {
    return;
  }
  plan_encoding({}, options.filter);  // throws for an unknown name
  if (codec == nullptr) {
    fail(Errc::invalid_argument, "a plain archive has no filter: its arrays are stored as they are");
  }
}

struct Writer::State {
  /// `file`: as Error::file().
  State(std::unique_ptr<Sink> owned, Sink* borrowed, const SaveOptions& given, std::string file, bool path)
      : options(given),
        own(std::move(owned)),
        sink(borrowed != nullptr ? *borrowed : *own),
        name(std::move(file)),
        is_path(path) {
    const bool may_compress = options.codec.empty() ? is_path : options.codec != "plain";
    if (may_compress) {
      if (options.codecs == nullptr) {
        builtin = std::make_unique<Codecs>();
      }
      codec = choose_codec(options, builtin != nullptr ? *builtin : *options.codecs, name);
    }
    if (options.formats != nullptr && is_path) {
      format = options.formats->named(name);
    }
    if (!format.empty()) {
      builder = std::make_unique<ValueBuilder>(options.types);
      return;
    }
    check_saving(options, codec);
    start();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  /// In a child process, only the Sink is released: a thread of the parent may have been using the rest.
  ~State() {
    if (process.in_child()) {
      leave_behind(encoder.release());
      leave_behind(compressor.release());
    }
  }
  /// Each archive is a separate compressed file, so that each can be read without the others.
  void start() {
    if (codec != nullptr) {
      encoder.reset();
      compressor = make_compressing_sink(sink, *codec, options.level, options.threads);
      encoder = std::make_unique<Encoder>(*compressor, compressor.get(), options, false);
    } else if (encoder == nullptr) {
      // a user's own Sink is only called on the user's thread
      encoder = std::make_unique<Encoder>(sink, nullptr, options, is_path);
    }
    encoder->set_file(name);
  }
  void require_usable() const {
    process.require_same_process("the Writer");
    if (failed || closed) {
      fail(Errc::invalid_argument, failed ? "writing failed before; nothing more can be written" : "already closed");
    }
  }

  SaveOptions options;
  std::unique_ptr<Codecs> builtin;
  std::unique_ptr<Sink> own;
  Sink& sink;
  const std::string name;
  const bool is_path;
  const Codec* codec = nullptr;
  std::unique_ptr<CompressingSink> compressor;
  std::unique_ptr<Encoder> encoder;
  std::string_view format;                // of another program, instead of an archive
  std::unique_ptr<ValueBuilder> builder;  // makes its value
  std::uint64_t archives = 0;
  bool failed = false;  // set by begin(), cleared when end() succeeds
  bool closed = false;
  ProcessMark process;
};

Writer::Writer(const Path& path, const SaveOptions& options)
    : state_(naming(path.text(), [&] {
        return std::make_unique<State>(file_sink(path, options.sync, options.in_place), nullptr, options, path.text(),
                                       true);
      })) {}
Writer::Writer(std::ostream& stream, const SaveOptions& options)
    : state_(std::make_unique<State>(stream_sink(stream), nullptr, options, "the stream", false)) {}
Writer::Writer(Descriptor descriptor, const SaveOptions& options)
    : state_(std::make_unique<State>(fd_sink(descriptor.fd), nullptr, options,
                                     "descriptor " + std::to_string(descriptor.fd), false)) {}
Writer::Writer(Sink& sink, const SaveOptions& options)
    : state_(std::make_unique<State>(nullptr, &sink, options, "", false)) {}
Writer::~Writer() = default;
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;

OutVisitor& Writer::begin(const Again& again) {
  State& state = *state_;
  naming(state.name, [&] {
    state.require_usable();
    state.failed = true;
    if (state.builder != nullptr) {
      if (state.archives > 0) {
        fail(Errc::unsupported, "a file in the format " + std::string(state.format) + " holds one value");
      }
      return;
    }
    if (state.archives > 0) {
      state.start();
    }
    state.encoder->begin({again.walk, again.value});
  });
  return state.builder != nullptr ? state.builder->visitor() : *state.encoder;
}

void Writer::end() {
  State& state = *state_;
  naming(state.name, [&] {
    state.process.require_same_process("the Writer");
    if (state.builder != nullptr) {
      const Value value = state.builder->finish();
      if (state.codec != nullptr) {
        const Codec& codec = state.options.formats->codec(state.format, *state.codec);
        state.compressor = make_compressing_sink(state.sink, codec, state.options.level, state.options.threads);
      }
      Sink& to = state.compressor != nullptr ? static_cast<Sink&>(*state.compressor) : state.sink;
      state.options.formats->write(state.format, to, value, state.options);
    } else {
      state.encoder->finish();
    }
    if (state.compressor != nullptr) {
      state.compressor->close();
    }
  });
  ++state.archives;
  state.failed = false;
}

void Writer::close() {
  State& state = *state_;
  naming(state.name, [&] {
    state.require_usable();
    state.closed = true;
    if (state.own != nullptr) {
      state.own->close();
    }
  });
}

// --- MapWriter -------------------------------------------------------------------------------------------------------

struct MapWriter::State {
  State(Writer out, std::string file) : writer(std::move(out)), name(std::move(file)) {}
  /// Fails if a growing array is open, which must be closed `when`, and in a child of fork().
  void require_usable(const char* when) const {
    naming(name, [&] { process.require_same_process("the MapWriter"); });
    if (growing) {
      fail(Errc::invalid_argument, std::string("a growing array is open; close it ") + when, {.file = name});
    }
  }
  /// Fails if an entry has this key already: the file could not be read as a map.
  void require_new(std::string_view key) {
    if (!keys.insert(xxh3_128(std::as_bytes(std::span(key)))).second) {
      fail(Errc::invalid_argument, "the key " + printable(key) + " was written before", {.file = name});
    }
  }
  struct LowHalf {  // the key is a hash already
    std::size_t operator()(const Hash128& hash) const noexcept { return static_cast<std::size_t>(hash.low); }
  };
  Writer writer;
  const std::string name;
  Encoder* encoder = nullptr;
  std::unordered_set<Hash128, LowHalf> keys;
  bool growing = false;
  ProcessMark process;
};

MapWriter::MapWriter(const Path& path, const SaveOptions& options)
    : state_(std::make_unique<State>(Writer(path, options), path.text())) {
  if (state_->writer.state_->builder != nullptr) {
    fail(Errc::unsupported, "a MapWriter writes archives alone", {.file = path.text()});
  }
  state_->writer.begin({nullptr, nullptr});
  state_->encoder = state_->writer.state_->encoder.get();
  state_->encoder->begin_open_map();
}

MapWriter::MapWriter(Sink& sink, const SaveOptions& options)
    : state_(std::make_unique<State>(Writer(sink, options), "")) {
  state_->writer.begin({nullptr, nullptr});
  state_->encoder = state_->writer.state_->encoder.get();
  state_->encoder->begin_open_map();
}

MapWriter::~MapWriter() = default;
MapWriter::MapWriter(MapWriter&&) noexcept = default;
MapWriter& MapWriter::operator=(MapWriter&&) noexcept = default;

OutVisitor& MapWriter::entry(std::string_view key) {
  state_->require_usable("before the next entry");
  state_->require_new(key);
  naming(state_->name, [&] { state_->encoder->begin_entry(key); });
  return *state_->encoder;
}

void MapWriter::end_entry() { state_->encoder->end_entry(); }

void MapWriter::begin_rows(std::string_view key, const DType& dtype, const Shape& row) {
  entry(key);
  naming(state_->name, [&] { state_->encoder->begin_growing(dtype, row); });
  state_->growing = true;
}

void MapWriter::rows(const ArrayView& batch) {
  naming(state_->name, [&] {
    state_->process.require_same_process("the MapWriter");
    state_->encoder->growing_rows(batch);
  });
}

void MapWriter::end_rows() {
  naming(state_->name, [&] {
    state_->process.require_same_process("the MapWriter");
    state_->encoder->end_growing();
  });
  state_->growing = false;
}

void MapWriter::close() {
  state_->require_usable("first");
  naming(state_->name, [&] { state_->encoder->end(); });
  state_->writer.end();
  state_->writer.close();
}

}  // namespace stele
