#pragma once
// Shared by the commands of `stele store`.

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "cli/print/progress.hpp"
#include "cli/streams/interrupt.hpp"
#include "stele/store.hpp"

namespace stele::cli {

/// A key as text: text keys in quotes if they look like another kind; 12; 0x00ff.
std::string key_text(const StoreKey& key);
/// "abc", 12, {"bytes": base64}: as in JSON lines.
nlohmann::ordered_json key_json(const StoreKey& key);

/// Opens a store for reading and checks all that is read.
Store open_to_read(const std::string& path);

/// A progress bar and Ctrl-C handling for long operations on a store.
class StoreWatch {
 public:
  /// `label`: a path; its last name is shown.
  StoreWatch(const std::string& label, bool json, bool guarded = true);
  /// A callback that returns false after Ctrl-C. Must not outlive this object.
  StoreProgress progress();
  /// Throws Interrupted after Ctrl-C.
  void finish();

 private:
  std::optional<InterruptGuard> guard_;
  const std::string label_;
  const bool wanted_;
  std::optional<Progress> bar_;
};

}  // namespace stele::cli
