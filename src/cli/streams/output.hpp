#pragma once
// The output of `extract` and `convert`: a file that appears when it is complete, or standard output.

#include <memory>
#include <mutex>
#include <string>

#include "cli/streams/interrupt.hpp"
#include "stele/codec.hpp"
#include "stele/io.hpp"
#include "stele/value.hpp"

namespace stele::cli {

/// A file by name, or standard output for "-" and the system's names for it. Counts the bytes. During its lifetime, a
/// signal such as Ctrl-C makes the next write() throw Interrupted, or ends the process after the temporary file was
/// removed.
class Output final : public Sink {
 public:
  /// Throws: Error(io); Error(invalid_argument) for standard output if `json` is to be printed there.
  Output(const std::string& name, Sync sync, bool in_place, bool json);
  ~Output() override;
  void write(Bytes bytes) override;
  void close() override;
  bool patchable() const noexcept override { return patchable_; }
  void patch(std::uint64_t offset, Bytes bytes) override;
  std::uint64_t count() const noexcept { return count_; }

 private:
  /// The Sink, if the output is still open.
  Sink& to();
  InterruptGuard guard_;
  std::timed_mutex mutex_;  // guards to_, which the guard's thread may close
  std::unique_ptr<Sink> to_;
  const bool patchable_;
  std::uint64_t count_ = 0;
};

/// For an uncompressed file.
/// Throws: Error(invalid_argument) if its name means compression, Error(unknown_codec) as Codecs::by_extension().
void refuse_compressed_name(const std::string& output);
/// The codec with the given name, or else the one for the output's extension; null for plain. Throws:
/// Error(unknown_codec), Error(invalid_argument) for a level without a codec.
const Codec* choose_codec(const Codecs& codecs, const std::string& name, const std::string& output,
                          std::optional<int> level);

/// Writes a value in the format that the extension of `path` names, by default as an archive. `codec` is null for plain
/// bytes. Does not close the output.
void write_value(Output& output, const std::string& path, const Codec* codec, const Value& value,
                 const SaveOptions& options);

}  // namespace stele::cli
