// Finding the checkpoint to be restored, and filling arrays in memory from it.

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <unordered_set>

#include "services/checkpoint/core.hpp"
#include "stele/checkpoint.hpp"
#include "stele/error.hpp"
#include "stele/sharded.hpp"

namespace stele {

std::uint64_t CheckpointCore::load_newest(std::optional<std::uint64_t> step,
                                          const std::function<Load(const StepRecord& record)>& open) const {
  if (step) {
    const StepFile file = file_of(*step);
    Load load;
    if (!while_there(file, [&] { load = open(read(file)); })) {
      (void)file_of(*step);  // throws: it is gone
      return load_newest(step, open);
    }
    load();
    return *step;
  }
  constexpr int most_rounds = 100;
  std::string tried;
  // False if the file is gone: another process may have saved newer ones and removed it.
  const auto pass_over = [&](const StepFile& file, const Error& error) {
    struct stat status;
    if (folder.status(file.name, status) != 0 && errno == ENOENT) {
      return false;
    }
    const std::string message = "step " + std::to_string(file.step) + ": " + error.what();
    warn("passed over a checkpoint, " + message);
    tried += (tried.empty() ? "" : "; ") + message;
    return true;
  };
  bool is_over = false;
  for (int round = 0; !is_over && round < most_rounds; ++round) {
    tried.clear();
    const std::vector<StepFile> all = files();
    is_over = true;
    for (auto file = all.rbegin(); file != all.rend() && is_over; ++file) {
      Load load;
      try {
        is_over = while_there(*file, [&] { load = open(read(*file)); });
        if (!is_over) {
          continue;
        }
      } catch (const Error& error) {
        if (!says_damaged(error)) {
          throw;
        }
        is_over = pass_over(*file, error);
        continue;
      }
      try {
        load();
        return file->step;
      } catch (const Error& error) {
        if (!says_damaged(error) || error.code() == Errc::not_found) {  // there is no such path
          throw;
        }
        is_over = pass_over(*file, error);
      }
    }
  }
  fail_none(tried);
}

void CheckpointCore::require_whole(const StepRecord& record) const {
  if (record.is_sharded) {
    fail(Errc::type_mismatch,
         "the checkpoint of step " + std::to_string(record.info.step) + " is sharded; ShardedCheckpoint reads it",
         {.file = record.info.file});
  }
}

std::uint64_t Checkpoints::restore_with(const CheckpointRestore& what,
                                        const std::function<void(const File& file)>& load) const {
  LoadOptions loading;
  loading.map = what.map;
  loading.verify = what.verify;
  loading.strict = what.strict;
  return core_->load_newest(what.step, [&](const StepRecord& record) -> CheckpointCore::Load {
    core_->require_whole(record);
    const auto opened = std::make_shared<File>(core_->open({record.info.step, step_name(record.info.step)}, loading));
    return [opened, &load] { load(*opened); };
  });
}

namespace {

/// Where restore_arrays() finds arrays.
struct ArraySource {
  std::function<std::optional<Shape>(const std::string& path)> shape;
  std::function<void(const CheckpointTarget& target)> read;
  std::function<std::vector<std::string>()> paths;
};

ArraySource source_of(const std::shared_ptr<File>& file) {
  const auto found = std::make_shared<std::optional<AnyLazyArray>>();  // by the last shape()
  return {[=](const std::string& path) -> std::optional<Shape> {
            if (!file->contains(path)) {
              return std::nullopt;
            }
            found->emplace(file->array(path));
            return (*found)->shape();
          },
          [=](const CheckpointTarget& target) { (*found)->read({}, target.dtype, target.memory); },
          [=] {
            std::vector<std::string> paths;
            for (const Entry& entry : file->list({.max_items = std::numeric_limits<std::uint64_t>::max()})) {
              if (entry.kind == Kind::array) {
                paths.push_back(entry.path);
              }
            }
            return paths;
          }};
}

ArraySource source_of(const std::shared_ptr<ShardedCheckpoint>& shards) {
  return {[=](const std::string& path) -> std::optional<Shape> {
            const ShardedArray* const array = shards->find(path);
            return array == nullptr ? std::nullopt : std::optional(array->shape);
          },
          [=](const CheckpointTarget& target) { shards->read(target.path, {}, target.dtype, target.memory); },
          [=] {
            std::vector<std::string> paths;
            for (const ShardedArray& array : shards->arrays()) {
              paths.push_back(array.name);
            }
            return paths;
          }};
}

}  // namespace

CheckpointRestored Checkpoints::restore_arrays(const std::vector<CheckpointTarget>& targets,
                                               const CheckpointRestore& what) const {
  for (const CheckpointTarget& target : targets) {
    if (target.memory.size() != target.shape.count() * target.dtype.item_size()) {
      fail(Errc::invalid_argument, "the memory of a target does not have the size of its elements", {target.path, {}});
    }
  }
  CheckpointRestored result;
  LoadOptions loading;
  loading.verify = what.verify;
  loading.types = core_->options.types;
  const std::uint64_t step = core_->load_newest(what.step, [&](const StepRecord& record) -> CheckpointCore::Load {
    const std::uint64_t number = record.info.step;
    const ArraySource from =
        record.is_sharded
            ? source_of(std::make_shared<ShardedCheckpoint>(ShardedCheckpoint::open(core_->path, number, loading)))
            : source_of(std::make_shared<File>(core_->open({number, step_name(number)}, loading)));
    return [&result, &targets, from] {
      result = {};
      std::unordered_set<std::string_view> wanted;
      for (const CheckpointTarget& target : targets) {
        wanted.insert(target.path);
        try {
          const std::optional<Shape> shape = from.shape(target.path);
          if (!shape) {
            result.missing.push_back(target.path);
            continue;
          }
          if (!(*shape == target.shape)) {
            fail(Errc::type_mismatch, "expected the extents " + target.shape.text() + ", found " + shape->text());
          }
          from.read(target);
          result.restored.push_back(target.path);
        } catch (const Error& error) {
          if (error.code() != Errc::type_mismatch && error.code() != Errc::out_of_range) {
            throw;
          }
          result.mismatched.push_back(target.path + ": " + error.message());
        }
      }
      for (std::string& path : from.paths()) {
        if (!wanted.contains(path)) {
          result.unexpected.push_back(std::move(path));
        }
      }
    };
  });
  result.step = step;
  return result;
}

}  // namespace stele
