#include <algorithm>
#include <mutex>

#include "archive/sharded/boxes.hpp"
#include "base/threads/threads.hpp"
#include "services/checkpoint/sharded/parts.hpp"
#include "stele/error.hpp"
#include "stele/sharded.hpp"
#include "stele/value.hpp"

namespace stele {

using shards::Manifest;

namespace {

constexpr std::uint64_t window_bytes = std::uint64_t{4} << 20;

}  // namespace

struct ShardedCheckpoint::State {
  State(const Path& folder, const LoadOptions& chosen)
      : core(folder, {.threads = chosen.threads, .types = chosen.types, .read_only = true}), options(chosen) {}

  /// Throws: Error(not_found) where a part is missing.
  void take(const StepFile& file) {
    StepRecord record = core.read(file);
    if (!record.is_sharded) {
      fail(Errc::type_mismatch,
           "the checkpoint of step " + std::to_string(file.step) + " is one archive; Checkpoints restores it",
           {.file = record.info.file});
    }
    manifest = shards::read_manifest(core, file);
    paths.clear();
    for (const shards::PartFile& part : manifest.files) {
      paths.push_back(shards::find_part(core, part));
    }
    info = std::move(record.info);
    files.clear();
    files.resize(paths.size());
    arrays.clear();
    for (const auto& [name, array] : manifest.all.arrays) {
      ShardedArray& made =
          arrays.emplace_back(ShardedArray{name, shards::dtype_of_text(array.dtype), Shape(array.shape), {}});
      for (const shards::Box& box : array.boxes) {
        made.boxes.push_back({manifest.files[box.file].name, Shape(box.first), Shape(box.extents)});
      }
    }
  }
  const File& part(std::size_t index) const {
    const std::lock_guard lock(mutex);
    if (!files[index]) {
      files[index].emplace(stele::open(paths[index], options));
    }
    return *files[index];
  }
  const shards::ArrayOf& array(std::string_view name) const {
    const auto found = manifest.all.arrays.find(std::string(name));
    if (found == manifest.all.arrays.end()) {
      fail(Errc::not_found, "there is no array of this name in the checkpoint", {name, {}});
    }
    return found->second;
  }
  /// With the count of each range.
  std::vector<Range> region(std::string_view name, const shards::ArrayOf& array, std::span<const Range> box) const {
    if (box.size() > array.shape.size()) {
      fail(Errc::invalid_argument, "a box with more axes than the array", {name, {}});
    }
    std::vector<Range> made;
    for (std::size_t axis = 0; axis < array.shape.size(); ++axis) {
      const Range range = axis < box.size() ? box[axis] : Range{};
      const std::uint64_t extent = array.shape[axis];
      if (range.step != 1) {
        fail(Errc::invalid_argument, "boxes of a sharded array have steps of 1", {name, {}});
      }
      if (range.first > extent || (range.count != Range::rest && range.count > extent - range.first)) {
        fail(Errc::out_of_range,
             message({"positions from ", range.first, " on along axis ", axis, ", which has ", extent}), {name, {}});
      }
      made.push_back({range.first, range.count == Range::rest ? extent - range.first : range.count});
    }
    return made;
  }

  CheckpointCore core;
  LoadOptions options;
  CheckpointInfo info;
  Manifest manifest;
  std::vector<ShardedArray> arrays;
  std::vector<std::string> paths;  // of the parts
  mutable std::mutex mutex;
  mutable std::vector<std::optional<File>> files;
};

ShardedCheckpoint::ShardedCheckpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
ShardedCheckpoint::~ShardedCheckpoint() = default;
ShardedCheckpoint::ShardedCheckpoint(ShardedCheckpoint&&) noexcept = default;
ShardedCheckpoint& ShardedCheckpoint::operator=(ShardedCheckpoint&&) noexcept = default;

ShardedCheckpoint ShardedCheckpoint::open(const Path& folder, std::optional<std::uint64_t> step,
                                          const LoadOptions& options) {
  auto state = std::make_unique<State>(folder, options);
  if (step) {
    state->take(state->core.file_of(*step));
    return ShardedCheckpoint(std::move(state));
  }
  std::string tried;
  const std::vector<StepFile> files = state->core.files();
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    try {
      state->take(*file);
      return ShardedCheckpoint(std::move(state));
    } catch (const Error& error) {
      if (!says_damaged(error) && error.code() != Errc::type_mismatch) {
        throw;
      }
      tried += (tried.empty() ? "step " : "; step ") + std::to_string(file->step) + ": " + error.what();
    }
  }
  state->core.fail_none(tried);
}

const CheckpointInfo& ShardedCheckpoint::info() const noexcept { return state_->info; }
unsigned ShardedCheckpoint::ranks() const noexcept { return state_->manifest.ranks; }
const std::vector<ShardedArray>& ShardedCheckpoint::arrays() const& noexcept { return state_->arrays; }

const ShardedArray* ShardedCheckpoint::find(std::string_view name) const noexcept {
  const auto found =
      std::lower_bound(state_->arrays.begin(), state_->arrays.end(), name,
                       [](const ShardedArray& array, std::string_view wanted) { return array.name < wanted; });
  return found != state_->arrays.end() && found->name == name ? &*found : nullptr;
}

std::vector<std::string> ShardedCheckpoint::values() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : state_->manifest.all.values) {
    names.push_back(name);
  }
  return names;
}

Shape ShardedCheckpoint::box_extents(std::string_view name, std::span<const Range> box) const {
  Shape extents;
  for (const Range& range : state_->region(name, state_->array(name), box)) {
    extents.push_back(range.count);
  }
  return extents;
}

void ShardedCheckpoint::read(std::string_view name, std::span<const Range> box, const DType& dtype,
                             MutableBytes to) const {
  const shards::ArrayOf& array = state_->array(name);
  const std::vector<Range> wanted = state_->region(name, array, box);
  if (to.size() != box_extents(name, box).count() * dtype.item_size()) {
    fail(Errc::invalid_argument, "the memory does not have the size of the box", {name, {}});
  }
  shards::read_boxes(
      array, [this](std::uint32_t file) -> const File& { return state_->part(file); }, wanted, dtype, to,
      thread_count(state_->options.threads));
}

std::pair<const File*, std::string> ShardedCheckpoint::place_of(std::string_view name) const {
  const auto found = state_->manifest.all.values.find(std::string(name));
  if (found == state_->manifest.all.values.end()) {
    fail(Errc::not_found, "there is no value of this name in the checkpoint", {name, {}});
  }
  return {&state_->part(found->second.file), shards::path_of_key(found->second.key)};
}

void ShardedCheckpoint::verify() const {
  for (std::size_t i = 0; i < state_->paths.size(); ++i) {
    state_->part(i).verify();
  }
}

void shards::export_parts(const ShardedCheckpoint& from, const Path& path, const SaveOptions& options) {
  MapWriter writer(path, options);
  for (const ShardedArray& array : from.arrays()) {
    const std::uint64_t item = array.dtype.item_size();
    if (array.shape.rank() == 0 || array.shape.count() == 0) {
      std::vector<std::byte> element(static_cast<std::size_t>(array.shape.count() * item));
      from.read(array.name, {}, array.dtype, element);
      writer.write(array.name,
                   Value(AnyArray::copy_of(ArrayView(array.dtype, element.data(), array.shape, Order::row_major))));
      continue;
    }
    Shape row;
    for (std::size_t axis = 1; axis < array.shape.rank(); ++axis) {
      row.push_back(array.shape[axis]);
    }
    AnyGrowingArray grown = writer.grow(array.name, array.dtype, row);
    const std::uint64_t row_bytes = row.count() * item;
    const std::uint64_t rows = std::max<std::uint64_t>(1, window_bytes / row_bytes);
    std::vector<std::byte> window;
    Shape batch = array.shape;
    for (std::uint64_t at = 0; at < array.shape[0]; at += rows) {
      const Range range{at, std::min(rows, array.shape[0] - at)};
      window.resize(static_cast<std::size_t>(range.count * row_bytes));
      from.read(array.name, std::span(&range, 1), array.dtype, window);
      batch[0] = range.count;
      grown.append(ArrayView(array.dtype, window.data(), batch, Order::row_major));
    }
    grown.close();
  }
  for (const std::string& name : from.values()) {
    writer.write(name, from.value<Value>(name));
  }
  writer.close();
}

}  // namespace stele
