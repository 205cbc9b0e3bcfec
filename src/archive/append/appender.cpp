#include "stele/appender.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "archive/append/appended_file.hpp"
#include "archive/formats.hpp"
#include "archive/write/encoder.hpp"
#include "archive/write/saving.hpp"
#include "base/naming.hpp"
#include "codec/compress.hpp"
#include "io/replace/folder.hpp"
#include "io/replace/place.hpp"
#include "io/system.hpp"

namespace stele {
namespace {

/// Keeps an entry in memory until it is complete, so that one that was broken off leaves nothing. For the encoder it
/// stands for the compressor that the entry goes to.
class Staging final : public CompressingSink {
 public:
  void write(Bytes bytes) override { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void write_beside(Bytes bytes, const std::function<void()>& task) override {
    task();
    write(bytes);
  }
  void write_made(std::uint64_t size, std::size_t /*unit*/, const MakeBytes& make,
                  const std::function<void()>& task) override {
    task();
    const std::size_t before = bytes_.size();
    bytes_.resize(before + static_cast<std::size_t>(size));
    make(0, MutableBytes(bytes_).subspan(before));
  }
  std::size_t trial(Bytes sample) override { return compressor_->trial(sample); }

  void begin(CompressingSink* compressor) {
    compressor_ = compressor;
    bytes_.clear();
  }
  Bytes bytes() const noexcept { return bytes_; }

 private:
  CompressingSink* compressor_ = nullptr;
  std::vector<std::byte> bytes_;
};

/// Frees memory that a large entry needed.
void empty(std::vector<std::byte>& bytes) {
  constexpr std::size_t most_kept = std::size_t{4} << 20;
  bytes.clear();
  if (bytes.capacity() > most_kept) {
    bytes.shrink_to_fit();
  }
}

}  // namespace

struct Appender::State {
  State(const std::string& path, const AppendOptions& given)
      : options(given),
        name(path),
        file(path, AppendedAccess::create),
        codec(options.save.codecs),
        memory(memory_sink(ready)) {
    GrowingSource source(file.fd(), name);
    source.set_size(source.file_size());
    const std::string& wanted = options.save.codec;
    if (!recognise_file(source, codec)) {
      codec.choose(wanted, name);
    } else if (!wanted.empty() && wanted != codec.name()) {
      fail(Errc::invalid_argument, name + " is a file of the codec " + std::string(codec.name()) + ", not " + wanted);
    }
    check_saving(options.save, codec.get());
    const Extent extent = find_extent(source, codec, {}, ExtentCheck::last_commit, {.limits = options.save.limits});
    if (extent.damage) {
      refuse_damage(extent);
    }
    end = extent.end;
    if (extent.torn()) {
      cut_file(file.fd(), end.offset, name);
      cut = extent.size - end.offset;
    }
    encoder = std::make_unique<Encoder>(staging, codec.get() != nullptr ? &staging : nullptr, options.save, false);
    encoder->set_file(name);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  /// In a child process, only the file is closed: a thread of the parent may have been using the rest.
  ~State() {
    if (process.in_child()) {
      leave_behind(encoder.release());
      leave_behind(compressor.release());
    }
  }

  void require_usable() const {
    process.require_same_process("the Appender");
    if (failed || closed) {
      fail(Errc::invalid_argument, closed ? "already closed" : "an earlier call failed; open the file again");
    }
  }

  /// What is left of an entry that was broken off.
  void drop_open() {
    compressor.reset();
    ready.resize(open_at);
  }

  OutVisitor& begin(const Walkable& value) {
    require_usable();
    if (open_entries == 0) {
      drop_open();
      if (codec.get() != nullptr) {
        compressor = make_compressing_sink(*memory, *codec.get(), options.save.level, options.save.threads);
      }
    }
    staging.begin(compressor.get());
    encoder->begin(value);
    encoder->set_appended({end.entry + sealed + open_entries, end.offset + open_at});
    return *encoder;
  }

  void end_entry() {
    require_usable();
    encoder->finish();
    failed = true;
    (compressor != nullptr ? static_cast<Sink&>(*compressor) : *memory).write(staging.bytes());
    failed = false;
    ++open_entries;
    if (options.commit_every != 0 && open_entries >= options.commit_every) {
      commit();
    }
  }

  void commit() {
    require_usable();
    if (open_entries == 0) {
      drop_open();
    } else {
      if (compressor != nullptr) {
        failed = true;
        compressor->close();
        compressor.reset();
        memory->write(codec.mark());
        failed = false;
      }
      sealed += std::exchange(open_entries, 0);
      open_at = ready.size();
    }
    if (sealed > 0) {
      write_ready();
    }
  }

  /// Nobody else writes to the file; if it changed, what was read of it holds no more.
  void require_unchanged() const {
    struct stat status;
    if (system_calls().fstat(file.fd(), &status) != 0) {
      fail_call("examine", name, errno);
    }
    if (status.st_nlink == 0) {
      fail(Errc::io, name + " was removed or replaced since it was opened; what is appended would be lost");
    }
    if (static_cast<std::uint64_t>(status.st_size) != end.offset && !uncut) {
      fail(Errc::io, "another program has changed " + name + ": it has " + std::to_string(status.st_size) +
                         " bytes, not " + std::to_string(end.offset));
    }
  }

  /// The first byte is written last: it is what makes the commit count.
  void write_ready() {
    require_unchanged();
    const Bytes bytes = ready;
    try {
      write_all_at(file.fd(), end.offset + 1, bytes.subspan(1), name);
      write_all_at(file.fd(), end.offset, bytes.first(1), name);
    } catch (const Error&) {
      uncut = system_calls().ftruncate(file.fd(), static_cast<off_t>(end.offset)) != 0;
      throw;
    }
    uncut = false;
    end = {end.offset + ready.size(), end.entry + sealed};
    empty(ready);
    sealed = 0;
    open_at = 0;
    if (options.save.sync != Sync::none) {
      failed = true;  // what a failed sync leaves is unknown, and a second one may say nothing
      synchronize(file.fd(), name);
      if (options.save.sync == Sync::file_folder && !std::exchange(folder_synced, true)) {
        find_place(name).folder.synchronize();
      }
      failed = false;
    }
  }

  AppendOptions options;
  const std::string name;
  AppendedLock file;
  FileCodec codec;
  EntryPlace end;                // of what is committed
  std::uint64_t cut = 0;         // bytes
  std::vector<std::byte> ready;  // to be written at `end`: commits of which the last may still be open
  std::uint64_t sealed = 0;      // entries in `ready`, without those of the open commit
  std::uint64_t open_at = 0;     // where the open commit begins in `ready`
  std::uint64_t open_entries = 0;
  std::unique_ptr<Sink> memory;
  std::unique_ptr<CompressingSink> compressor;  // of the open commit
  Staging staging;
  std::unique_ptr<Encoder> encoder;
  bool uncut = false;  // a failed write has left bytes after `end`
  bool folder_synced = false;
  bool failed = false;
  bool closed = false;
  ProcessMark process;
};

Appender::Appender(const Path& path, const AppendOptions& options)
    : state_(naming(path.text(), [&] {
        if (options.save.formats != nullptr && !options.save.formats->named(path.text()).empty()) {
          fail(Errc::invalid_argument, "an Appender writes archives alone");
        }
        return std::make_unique<State>(path.text(), options);
      })) {}
Appender::~Appender() = default;
Appender::Appender(Appender&&) noexcept = default;
Appender& Appender::operator=(Appender&&) noexcept = default;

OutVisitor& Appender::begin(const Again& again) {
  return naming(state_->name, [&]() -> OutVisitor& { return state_->begin({again.walk, again.value}); });
}

void Appender::end() {
  naming(state_->name, [&] { state_->end_entry(); });
}

void Appender::commit() {
  naming(state_->name, [&] { state_->commit(); });
}

void Appender::close() {
  State& state = *state_;
  naming(state.name, [&] {
    state.commit();
    state.closed = true;
    state.file.close(state.name);
  });
}

std::uint64_t Appender::entries() const noexcept { return state_->end.entry; }
std::uint64_t Appender::pending() const noexcept { return state_->sealed + state_->open_entries; }
std::uint64_t Appender::cut_bytes() const noexcept { return state_->cut; }

}  // namespace stele
