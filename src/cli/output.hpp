#pragma once
// Where `extract` and `convert` write: a file that appears when it is complete, or standard output.

#include <memory>
#include <mutex>
#include <string>

#include "cli/interrupt.hpp"
#include "stele/codec.hpp"
#include "stele/io.hpp"

namespace stele::cli {

/// A file by name, or standard output for "-" and the names of the system for it. Counts what it takes. While it lives,
/// a signal such as Ctrl-C ends the next write(), which throws Interrupted, or the process, but not before a temporary
/// file is gone.
class Output final : public Sink {
 public:
  /// Throws: Error(io); Error(invalid_argument) for standard output if `json` is to be printed there.
  Output(const std::string& name, Sync sync, bool in_place, bool json);
  ~Output() override;
  void write(Bytes bytes) override;
  void close() override;
  std::uint64_t count() const noexcept { return count_; }

 private:
  /// Where the output is still wanted.
  Sink& to();
  InterruptGuard guard_;
  std::timed_mutex mutex_;  // guards to_, which the guard's thread may take away
  std::unique_ptr<Sink> to_;
  std::uint64_t count_ = 0;
};

/// For a file that is not compressed. Throws: Error(invalid_argument) where its name says that it is,
/// Error(unknown_codec) as Codecs::by_extension().
void refuse_compressed_name(const std::string& output);
/// The codec asked for by name, or else by the output's extension; null for plain.
/// Throws: Error(unknown_codec), Error(invalid_argument) for a level without a codec.
const Codec* choose_codec(const Codecs& codecs, const std::string& name, const std::string& output,
                          std::optional<int> level);

}  // namespace stele::cli
