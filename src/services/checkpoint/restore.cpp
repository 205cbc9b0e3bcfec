// Finding the checkpoint to be restored, and filling arrays in memory from it.

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "services/checkpoint/core.hpp"
#include "stele/checkpoint.hpp"
#include "stele/error.hpp"

namespace stele {

std::uint64_t Checkpoints::restore_with(const CheckpointRestore& what,
                                        const std::function<void(const File& file)>& load) const {
  LoadOptions loading;
  loading.map = what.map;
  loading.verify = what.verify;
  loading.strict = what.strict;
  if (what.step) {
    load(open_step(*what.step, loading));
    return *what.step;
  }
  const std::vector<StepFile> files = core_->files();
  std::string tried;
  const auto pass_over = [&](const StepFile& file, const Error& error) {
    const std::string message = "step " + std::to_string(file.step) + ": " + error.what();
    core_->warn("passed over a checkpoint, " + message);
    tried += (tried.empty() ? "" : "; ") + message;
  };
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    std::optional<File> opened;
    try {
      if (!core_->while_there(*file, [&] {
            core_->read(*file);  // says whether it is a checkpoint at all
            opened.emplace(core_->open(*file, loading));
          })) {
        return restore_with(what, load);  // there is a newer one
      }
    } catch (const Error& error) {
      if (!says_damaged(error)) {
        throw;
      }
      pass_over(*file, error);
      continue;
    }
    try {
      load(*opened);
      return file->step;
    } catch (const Error& error) {
      if (!says_damaged(error) || error.code() == Errc::not_found) {  // there is no such path
        throw;
      }
      pass_over(*file, error);
    }
  }
  core_->fail_none(tried);
}

CheckpointRestored Checkpoints::restore_arrays(const std::vector<CheckpointTarget>& targets,
                                               const CheckpointRestore& what) const {
  for (const CheckpointTarget& target : targets) {
    if (target.memory.size() != target.shape.count() * target.dtype.item_size()) {
      fail(Errc::invalid_argument, "the memory of a target does not have the size of its elements", {target.path, {}});
    }
  }
  CheckpointRestored result;
  CheckpointRestore read = what;
  read.map = MapMode::none;
  result.step = restore_with(read, [&](const File& file) {
    result = {};
    std::unordered_set<std::string_view> wanted;
    for (const CheckpointTarget& target : targets) {
      wanted.insert(target.path);
      if (!file.contains(target.path)) {
        result.missing.push_back(target.path);
        continue;
      }
      try {
        const AnyLazyArray array = file.array(target.path);
        if (!(array.shape() == target.shape)) {
          fail(Errc::type_mismatch, "expected the extents " + target.shape.text() + ", found " + array.shape().text());
        }
        array.read({}, target.dtype, target.memory);
        result.restored.push_back(target.path);
      } catch (const Error& error) {
        if (error.code() != Errc::type_mismatch && error.code() != Errc::out_of_range) {
          throw;
        }
        result.mismatched.push_back(target.path + ": " + error.message());
      }
    }
    for (const Entry& entry : file.list({.max_items = std::numeric_limits<std::uint64_t>::max()})) {
      if (entry.kind == Kind::array && !wanted.contains(entry.path)) {
        result.unexpected.push_back(entry.path);
      }
    }
  });
  return result;
}

}  // namespace stele
