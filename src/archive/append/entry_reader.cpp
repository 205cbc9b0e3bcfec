#include <array>
#include <memory>
#include <utility>

#include "archive/append/appended_file.hpp"
#include "archive/append/archive_stream.hpp"
#include "base/naming.hpp"
#include "stele/appender.hpp"

namespace stele {

struct EntryReader::State {
  State(const std::string& path, const LoadOptions& given)
      : options(given),
        name(path),
        file(open_appended(path, AppendedAccess::read)),
        source(file.get(), path),
        codec(options.codecs) {
    if (options.map != MapMode::none || options.offset != 0) {
      fail(Errc::invalid_argument,
           "an EntryReader neither maps nor begins at an offset; load() and open() do, with the offset() of an entry");
    }
    look();
  }

  /// Looks how far the file is whole by now.
  void look() {
    for (;;) {
      const std::uint64_t size = source.file_size();
      if (size < end.offset) {
        fail(Errc::truncated,
             "the file became shorter: it has " + std::to_string(size) + " bytes, not " + std::to_string(end.offset));
      }
      if (size == end.offset) {
        return;
      }
      try {
        source.set_size(size);
        find_end();
        source.set_size(end.offset);
        return;
      } catch (const Error& error) {
        source.set_size(end.offset);
        // An Appender may have cut off a torn end meanwhile.
        if (error.code() != Errc::truncated || source.file_size() >= size) {
          throw;
        }
      }
    }
  }

  void find_end() {
    std::array<std::byte, 1> next{};
    source.read_at(end.offset, next);
    if (next[0] == std::byte{0}) {
      return;  // a commit is being written
    }
    if (!known) {
      known = recognise_file(source, codec);
      if (!known && *source.size() < frozen::label.size()) {
        return;
      }
      if (!known) {
        fail(Errc::not_an_archive, "this is no stele archive: it begins with no label and as no known format does",
             {.offset = 0});
      }
    }
    const Extent extent = find_extent(source, codec, end, ExtentCheck::ends, options);
    if (extent.damage) {
      refuse_damage(extent);
    }
    end = extent.end;
  }

  bool more() {
    process.require_same_process("the EntryReader");
    if (entry >= end.entry) {
      look();
    }
    return entry < end.entry;
  }

  /// Makes the stream stand at `place`.
  void restart() {
    stream = std::make_unique<ArchiveStream>(source, codec, place.offset, options);
    entry = place.entry;
  }

  void require_more() {
    if (!more()) {
      fail(Errc::truncated, "there are " + std::to_string(end.entry) + " entries by now");
    }
  }

  Decoder& begin() {
    require_more();
    if (stream == nullptr || reading) {
      stream.reset();
      walk_to(entry);
    }
    reading = true;
    return stream->begin();
  }

  Shape skip_array() {
    if (codec.get() != nullptr) {
      const Shape shape = array_at(begin());
      end_entry();
      return shape;
    }
    require_more();
    ArchiveStream walk(source, codec, place.offset, quick());
    const Shape shape = array_at(walk.begin());
    walk.end();
    require_number(walk);
    passed(walk);
    stream.reset();
    return shape;
  }
  static Shape array_at(Decoder& decoder) {
    const Kind kind = decoder.kind();
    if (kind != Kind::array && kind != Kind::bytes) {
      decoder.error(Errc::type_mismatch, "expected an array");
    }
    return decoder.skip_array().header.shape;
  }

  /// After the value was read.
  void end_entry() {
    stream->end();
    require_number(*stream);
    stream->release();
    metadata = stream->take_metadata();
    passed(*stream);
    reading = false;
  }

  void require_number(const ArchiveStream& of) const {
    if (!of.appended() || of.appended()->entry != entry) {
      fail(Errc::damaged, "entry " + std::to_string(entry) + " is not there: an archive that is not of that number is",
           {.offset = of.offset()});
    }
  }

  void passed(const ArchiveStream& by) {
    ++entry;
    if (!by.inside()) {
      place = {by.offset(), entry};
    }
  }

  /// Arrays that are passed over are not read.
  LoadOptions quick() const {
    LoadOptions how = options;
    how.verify = Verify::none;
    return how;
  }

  /// Makes the stream stand at `target`, an entry at or after `place`.
  void walk_to(std::uint64_t target) {
    if (codec.get() == nullptr) {
      ArchiveStream walk(source, codec, place.offset, quick());
      for (entry = place.entry; entry < target;) {
        pass_by(walk);
      }
      restart();
      return;
    }
    if (stream == nullptr) {
      restart();
    }
    while (entry < target) {
      pass_by(*stream);
    }
  }
  void pass_by(ArchiveStream& by) {
    by.begin().skip();
    by.end();
    require_number(by);
    passed(by);
  }

  void seek(std::uint64_t target) {
    process.require_same_process("the EntryReader");
    if (target > end.entry) {
      look();
    }
    if (target > end.entry) {
      fail(Errc::truncated,
           "there are " + std::to_string(end.entry) + " entries by now; " + std::to_string(target) + " is after them");
    }
    constexpr std::uint64_t near = 8;
    const bool is_near = target >= entry && target - entry < near;
    if (reading) {
      stream.reset();
      reading = false;
    }
    if (!is_near || target == end.entry) {
      const EntryPlace found = target == end.entry ? end : find_entry(source, codec, end, target, options);
      if (target < entry || found.entry > entry) {
        stream.reset();
        place = found;
        entry = found.entry;
      }
    }
    walk_to(target);
  }

  LoadOptions options;
  const std::string name;
  OwnedDescriptor file;
  GrowingSource source;
  FileCodec codec;
  bool known = false;  // the codec
  EntryPlace end;      // of what is committed, as far as is known
  std::uint64_t entry = 0;
  EntryPlace place;  // from which the stream, which is at `entry`, can be made again
  std::unique_ptr<ArchiveStream> stream;
  bool reading = false;  // an entry was begun and not ended
  Metadata metadata;
  ProcessMark process;
};

EntryReader::EntryReader(const Path& path, const LoadOptions& options)
    : state_(naming(path.text(), [&] { return std::make_unique<State>(path.text(), options); })) {}
EntryReader::~EntryReader() = default;
EntryReader::EntryReader(EntryReader&&) noexcept = default;
EntryReader& EntryReader::operator=(EntryReader&&) noexcept = default;

bool EntryReader::more() {
  return naming(state_->name, [&] { return state_->more(); });
}

InVisitor& EntryReader::begin() {
  return naming(state_->name, [&]() -> InVisitor& { return state_->begin(); });
}

void EntryReader::end() { state_->end_entry(); }

void EntryReader::skip(std::uint64_t count) {
  naming(state_->name, [&] {
    const std::uint64_t entry = state_->entry;
    state_->seek(count > ~entry ? ~std::uint64_t{0} : entry + count);
  });
}

Shape EntryReader::skip_array() {
  return naming(state_->name, [&] { return state_->skip_array(); });
}

void EntryReader::seek(std::uint64_t entry) {
  naming(state_->name, [&] { state_->seek(entry); });
}

std::uint64_t EntryReader::position() const noexcept { return state_->entry; }

std::uint64_t EntryReader::entries() {
  return naming(state_->name, [&] {
    state_->process.require_same_process("the EntryReader");
    state_->look();
    return state_->end.entry;
  });
}

std::uint64_t EntryReader::offset() {
  State& state = *state_;
  return naming(state.name, [&] {
    if (state.codec.get() != nullptr) {
      fail(Errc::not_mappable, "the entries of a compressed file have no offsets of their own");
    }
    return state.place.offset;
  });
}

const Metadata& EntryReader::metadata() const noexcept { return state_->metadata; }

}  // namespace stele
