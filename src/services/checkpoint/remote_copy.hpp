#pragma once
// The copy of a folder of checkpoints in another Storage, such as an object store.

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/process.hpp"
#include "base/threads/rounds.hpp"
#include "stele/storage.hpp"

namespace stele {

/// Copies changes of the folder on a background thread. Files of steps go last, after those that they refer
/// to, so that each step that is in the copy is whole there. From the copy it removes only what it has seen in the
/// folder before. Not thread-safe.
class RemoteCopy {
 public:
  /// `folder` ends with a slash. Throws: what open_storage() throws.
  RemoteCopy(std::string folder, const std::string& place);

  /// To be called first. If the folder has no step: copies all of the copy to it, the newest step first.
  /// Throws: Error(io), Error(denied) …
  void begin();
  /// Begins to take over what has changed.
  void update();
  /// Waits for that. Throws what the last update has failed with; the next one makes up for it.
  void wait();

 private:
  struct Update {
    std::string folder;
    std::unique_ptr<Storage> copy;
    std::map<std::string, std::string> taken = {};  // etags of files in the folder, as they were copied
    std::set<std::string> seen = {};                // files that were in the folder
    bool looked = false;                            // at what the copy had before

    bool pass();
  };
  const std::shared_ptr<Update> update_;
  ProcessOwned<Rounds> rounds_;
};

}  // namespace stele
