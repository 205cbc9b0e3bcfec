#pragma once
// What the commands of `stele store` share.

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "cli/interrupt.hpp"
#include "cli/progress.hpp"
#include "stele/store.hpp"

namespace stele::cli {

/// A key for people: text as it is, in quotes where it looks like something else; 12; 0x00ff.
std::string key_text(const StoreKey& key);
/// "abc", 12, {"bytes": base64}: as in JSON lines.
nlohmann::ordered_json key_json(const StoreKey& key);

/// For reading. All that is read is checked.
Store open_to_read(const std::string& path);

/// A bar on the terminal, and Ctrl-C, for long work on a store.
class StoreWatch {
 public:
  /// `label`: a path, of which the last name is shown.
  StoreWatch(const std::string& label, bool json, bool guarded = true);
  /// Says false after Ctrl-C. Must not outlive this.
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
