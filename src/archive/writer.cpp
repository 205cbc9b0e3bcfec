#include <algorithm>

#include "archive/encoder.hpp"
#include "base/process.hpp"
#include "codec/compress.hpp"
#include "stele/archive.hpp"
#include "stele/codec.hpp"

namespace stele {
namespace {

/// The codec that options or the path ask for; null where that means none.
const Codec* choose_codec(const SaveOptions& options, const Codecs& codecs, std::string_view path) {
  if (options.codec.empty()) {
    return codecs.by_extension(path);
  }
  const Codec* codec = codecs.find(options.codec);
  if (codec == nullptr) {
    std::string names = "plain";
    for (const auto& known : codecs.all()) {
      names += ", " + std::string(known->name());
    }
    fail(Errc::unknown_codec, "no codec is named " + options.codec + "; there are " + names);
  }
  return codec;
}

void check_level(const SaveOptions& options, const Codec* codec) {
  if (codec == nullptr && options.level && *options.level != 0) {
    fail(Errc::invalid_argument, "a plain archive has no level");
  }
}

void check_filter(const SaveOptions& options, const Codec* codec) {
  if (options.filter == "auto" || options.filter == "none") {
    return;
  }
  plan_encoding({}, options.filter);  // throws for a name that is none
  if (codec == nullptr) {
    fail(Errc::invalid_argument, "a plain archive has no filter: its arrays are stored as they are");
  }
}

}  // namespace

struct Writer::State {
  State(std::unique_ptr<Sink> owned, Sink* borrowed, const SaveOptions& given, std::string_view path)
      : options(given), own(std::move(owned)), sink(borrowed != nullptr ? *borrowed : *own), is_path(!path.empty()) {
    const bool may_compress = options.codec.empty() ? is_path : options.codec != "plain";
    if (may_compress) {
      if (options.codecs == nullptr) {
        builtin = std::make_unique<Codecs>();
      }
      codec = choose_codec(options, builtin != nullptr ? *builtin : *options.codecs, path);
    }
    check_level(options, codec);
    check_filter(options, codec);
    start();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  /// In a child only the Sink is let go of: a thread of the parent may have been inside of the rest.
  ~State() {
    if (process.in_child()) {
      leave_behind(encoder.release());
      leave_behind(compressor.release());
    }
  }
  /// Each archive is a compressed file of its own, so that each can be read without the others.
  void start() {
    if (codec != nullptr) {
      encoder.reset();
      compressor = make_compressing_sink(sink, *codec, options.level, options.threads);
      encoder = std::make_unique<Encoder>(*compressor, compressor.get(), options, false);
    } else if (encoder == nullptr) {
      // what is given to a user's own Sink comes from the user's own thread
      encoder = std::make_unique<Encoder>(sink, nullptr, options, is_path);
    }
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
  bool is_path;
  const Codec* codec = nullptr;
  std::unique_ptr<CompressingSink> compressor;
  std::unique_ptr<Encoder> encoder;
  std::uint64_t archives = 0;
  bool failed = false;  // stays set from begin() until end() has succeeded
  bool closed = false;
  ProcessMark process;
};

Writer::Writer(const Path& path, const SaveOptions& options)
    : state_(std::make_unique<State>(file_sink(path, options.sync, options.in_place), nullptr, options, path.text())) {}
Writer::Writer(std::ostream& stream, const SaveOptions& options)
    : state_(std::make_unique<State>(stream_sink(stream), nullptr, options, "")) {}
Writer::Writer(Descriptor descriptor, const SaveOptions& options)
    : state_(std::make_unique<State>(fd_sink(descriptor.fd), nullptr, options, "")) {}
Writer::Writer(Sink& sink, const SaveOptions& options) : state_(std::make_unique<State>(nullptr, &sink, options, "")) {}
Writer::~Writer() = default;
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;

OutVisitor& Writer::begin(const Again& again) {
  state_->require_usable();
  state_->failed = true;
  if (state_->archives > 0) {
    state_->start();
  }
  state_->encoder->begin({again.walk, again.value});
  return *state_->encoder;
}

void Writer::end() {
  state_->process.require_same_process("the Writer");
  state_->encoder->finish();
  if (state_->compressor != nullptr) {
    state_->compressor->close();
  }
  ++state_->archives;
  state_->failed = false;
}

void Writer::close() {
  state_->require_usable();
  state_->closed = true;
  if (state_->own != nullptr) {
    state_->own->close();
  }
}

// --- MapWriter -------------------------------------------------------------------------------------------------------

struct MapWriter::State {
  explicit State(Writer out) : writer(std::move(out)) {}
  Writer writer;
  Encoder* encoder = nullptr;
  bool growing = false;
  ProcessMark process;
};

MapWriter::MapWriter(const Path& path, const SaveOptions& options)
    : state_(std::make_unique<State>(Writer(path, options))) {
  state_->writer.begin({nullptr, nullptr});
  state_->encoder = state_->writer.state_->encoder.get();
  state_->encoder->begin_open_map();
}

MapWriter::MapWriter(Sink& sink, const SaveOptions& options) : state_(std::make_unique<State>(Writer(sink, options))) {
  state_->writer.begin({nullptr, nullptr});
  state_->encoder = state_->writer.state_->encoder.get();
  state_->encoder->begin_open_map();
}

MapWriter::~MapWriter() = default;
MapWriter::MapWriter(MapWriter&&) noexcept = default;
MapWriter& MapWriter::operator=(MapWriter&&) noexcept = default;

OutVisitor& MapWriter::entry(std::string_view key) {
  state_->process.require_same_process("the MapWriter");
  if (state_->growing) {
    fail(Errc::invalid_argument, "a growing array is open; close it before the next entry");
  }
  state_->encoder->begin_entry(key);
  return *state_->encoder;
}

void MapWriter::end_entry() { state_->encoder->end_entry(); }

void MapWriter::begin_rows(std::string_view key, const DType& dtype, const Shape& row) {
  entry(key);
  state_->encoder->begin_growing(dtype, row);
  state_->growing = true;
}

void MapWriter::rows(const ArrayView& batch) {
  state_->process.require_same_process("the MapWriter");
  state_->encoder->growing_rows(batch);
}

void MapWriter::end_rows() {
  state_->process.require_same_process("the MapWriter");
  state_->encoder->end_growing();
  state_->growing = false;
}

void MapWriter::close() {
  state_->process.require_same_process("the MapWriter");
  if (state_->growing) {
    fail(Errc::invalid_argument, "a growing array is open; close it first");
  }
  state_->encoder->end();
  state_->writer.end();
  state_->writer.close();
}

}  // namespace stele
