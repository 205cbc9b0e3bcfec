#include "services/checkpoint/sharded/parts.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <map>
#include <set>

#include "archive/linked/source.hpp"
#include "archive/sharded/opened.hpp"
#include "format/frozen.hpp"
#include "io/replace/temporary.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele::shards {
namespace {

constexpr std::time_t stale_s = 24 * 60 * 60;

constexpr std::string_view extension = ".stele";

/// The step of a part by its name; nothing for other names.
std::optional<std::uint64_t> step_of_part(std::string_view name) {
  const std::size_t dot = name.find('.');
  return dot == std::string_view::npos ? std::nullopt
                                       : step_of(std::string(name.substr(0, dot)) + std::string(extension));
}

std::string folder_of(const CheckpointCore& core) { return core.path_of(std::string(folder_name)) + "/"; }

/// The files that a part refers to; none if it refers to none or cannot be read.
std::vector<LinkTable::File> uses_of(const std::string& path) {
  try {
    std::vector<std::byte> first(frozen::label.size());
    const std::unique_ptr<Source> file = file_source(path);
    if (file->size().value_or(0) < first.size()) {
      return {};
    }
    file->read_at(0, first);
    return is_linked(first) ? open_linked(path, MapMode::none, {}, LinkedFiles::none).table.files
                            : std::vector<LinkTable::File>();
  } catch (const Error& error) {
    if (!says_damaged(error)) {
      throw;
    }
    return {};
  }
}

/// The parts of manifests, and what these refer to, by kept_name().
struct Used {
  std::set<std::string> named;  // names in the folder
  std::set<std::string> kept;   // as kept_name() has them
};
Used used_by(const CheckpointCore& core, const std::vector<Manifest>& manifests) {
  Used used;
  for (const Manifest& manifest : manifests) {
    for (const PartFile& part : manifest.files) {
      used.named.insert(part.name);
      used.kept.insert(kept_name(part.name, part.id));
      std::string path;
      try {
        path = find_part(core, part);
      } catch (const Error& error) {
        if (!says_damaged(error)) {
          throw;
        }
        continue;
      }
      for (const LinkTable::File& file : uses_of(path)) {
        used.named.insert(file.name);
        used.kept.insert(kept_name(file.name, file.id));
      }
    }
  }
  return used;
}

}  // namespace

std::string part_name(std::uint64_t step, std::string_view attempt, unsigned rank, unsigned ranks) {
  const std::string stem = step_name(step);
  return stem.substr(0, stem.size() - extension.size()) + part_suffix(attempt, rank, ranks);
}

Manifest read_manifest(const CheckpointCore& core, const StepFile& file) {
  return read_manifest(stele::open(file_source(core.path_of(file.name))));  // not as the tree that it stands for
}

std::string find_part(const CheckpointCore& core, const PartFile& part) {
  for (const std::string& name : {part.name, kept_name(part.name, part.id)}) {
    const std::string path = folder_of(core) + name;
    try {
      if (part.name.find('/') == std::string::npos && identity_of(path).id == part.id) {
        return path;
      }
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) {
        throw;
      }
    }
  }
  fail(Errc::not_found, "the part " + part.name + " is missing, truncated or another one", {.file = folder_of(core)});
}

void put_aside(const CheckpointCore& core, const Manifest& gone) {
  const Folder folder = core.folder.open_folder(std::string(folder_name));
  const std::string aside = folder_of(core) + std::string(frozen::kept_folder);
  if (system_calls().mkdir(aside.c_str(), 0777) != 0 && errno != EEXIST) {
    fail_call("create", aside, errno);
  }
  for (const PartFile& part : gone.files) {
    if (folder.rename(part.name, kept_name(part.name, part.id)) != 0 && errno != ENOENT) {
      fail_call("move", folder_of(core) + part.name, errno);
    }
  }
}

void sweep_parts(const CheckpointCore& core) {
  const Folder folder = core.folder.open_folder(std::string(folder_name));
  remove_leftovers(folder);
  std::vector<Manifest> manifests;
  std::map<std::uint64_t, double> committed;
  for (const StepRecord& step : core.records()) {
    if (step.is_sharded) {
      try {
        manifests.push_back(read_manifest(core, {step.info.step, step_name(step.info.step)}));
      } catch (const Error& error) {
        if (!says_damaged(error)) {
          throw;
        }
        return;  // nobody can tell which parts are its own
      }
      committed.emplace(step.info.step, step.info.created);
    }
  }
  const Used used = used_by(core, manifests);
  for (const std::string& name : folder.names()) {
    const std::optional<std::uint64_t> step = step_of_part(name);
    struct stat status;
    if (!step || used.named.contains(name) || folder.status(name, status) != 0) {
      continue;
    }
    const auto found = committed.find(*step);
    const auto written =
        static_cast<double>(status.st_mtim.tv_sec) + static_cast<double>(status.st_mtim.tv_nsec) * 1e-9;
    if (std::time(nullptr) - status.st_mtime > stale_s || (found != committed.end() && written < found->second)) {
      folder.unlink(name);
    }
  }
  const Folder kept = folder.open_folder(std::string(frozen::kept_folder));
  if (kept.is_open()) {
    for (const std::string& name : kept.names()) {
      if (!used.kept.contains(std::string(frozen::kept_folder) + "/" + name)) {
        kept.unlink(name);
      }
    }
  }
}

}  // namespace stele::shards
