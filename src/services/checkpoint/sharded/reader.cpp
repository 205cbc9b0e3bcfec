#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/interruption.hpp"
#include "format/path.hpp"
#include "services/checkpoint/sharded/parts.hpp"
#include "stele/error.hpp"
#include "stele/sharded.hpp"
#include "stele/value.hpp"

namespace stele {

using shards::Manifest;

namespace {

constexpr std::uint64_t window_bytes = std::uint64_t{4} << 20;

/// A box in an array: where it begins and how far it goes along each axis.
struct Region {
  Shape first;
  Shape extents;
};

std::string path_of_key(const std::string& key) {
  std::string path;
  append_step(path, key);
  return path;
}

/// Copies a dense region to its place in a larger dense one. `at`: where it begins there.
void place(const std::byte* from, const Shape& extents, std::byte* to, const Shape& whole, const Shape& at,
           std::uint64_t item) {
  const std::size_t rank = extents.rank();
  // The innermost axes that both have as a whole are one run.
  std::size_t outer = rank;
  std::uint64_t run = item;
  std::uint64_t inner = item;  // bytes of one step along axis `outer` in the larger region
  while (outer > 0) {
    --outer;
    run *= extents[outer];
    if (outer == 0 || extents[outer] != whole[outer]) {
      break;
    }
    inner *= whole[outer];
  }
  Shape index;
  for (std::size_t axis = 0; axis < outer; ++axis) {
    index.push_back(0);
  }
  for (;;) {
    std::uint64_t offset = 0;
    for (std::size_t axis = 0; axis < outer; ++axis) {
      offset = (offset + at[axis] + index[axis]) * whole[axis + 1];
    }
    std::memcpy(to + (offset + at[outer]) * inner, from, static_cast<std::size_t>(run));
    from += run;
    std::size_t axis = outer;
    while (axis > 0 && ++index[axis - 1] == extents[axis - 1]) {
      index[axis - 1] = 0;
      --axis;
    }
    if (axis == 0) {
      return;
    }
  }
}

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
  Region region(std::string_view name, const shards::ArrayOf& array, std::span<const Range> box) const {
    if (box.size() > array.shape.size()) {
      fail(Errc::invalid_argument, "a box with more axes than the array", {name, {}});
    }
    Region made;
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
      made.first.push_back(range.first);
      made.extents.push_back(range.count == Range::rest ? extent - range.first : range.count);
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
  return state_->region(name, state_->array(name), box).extents;
}

void ShardedCheckpoint::read(std::string_view name, std::span<const Range> box, const DType& dtype,
                             MutableBytes to) const {
  const shards::ArrayOf& array = state_->array(name);
  const Region wanted = state_->region(name, array, box);
  const std::uint64_t item = dtype.item_size();
  const std::size_t rank = array.shape.size();
  if (to.size() != wanted.extents.count() * item) {
    fail(Errc::invalid_argument, "the memory does not have the size of the box", {name, {}});
  }
  for (const shards::Box& part : array.boxes) {
    Region common;
    bool touches = true;
    for (std::size_t axis = 0; axis < rank && touches; ++axis) {
      const std::uint64_t begin = std::max(wanted.first[axis], part.first[axis]);
      const std::uint64_t end =
          std::min(wanted.first[axis] + wanted.extents[axis], part.first[axis] + part.extents[axis]);
      touches = begin < end;
      common.first.push_back(begin);
      common.extents.push_back(touches ? end - begin : 0);
    }
    if (!touches) {
      continue;
    }
    const AnyLazyArray source = state_->part(part.file).array(path_of_key(part.key));
    if (!std::equal(source.shape().begin(), source.shape().end(), part.extents.begin(), part.extents.end())) {
      fail(Errc::damaged, "a part has other extents than the manifest says", {name, {}});
    }
    std::vector<Range> ranges;
    Shape at;
    bool is_dense = true;  // the common box is one run of what is wanted
    for (std::size_t axis = 0; axis < rank; ++axis) {
      ranges.push_back({common.first[axis] - part.first[axis], common.extents[axis]});
      at.push_back(common.first[axis] - wanted.first[axis]);
      is_dense = is_dense && (axis == 0 || common.extents[axis] == wanted.extents[axis]);
    }
    if (is_dense) {
      const std::uint64_t row = rank == 0 ? item : wanted.extents.count() / wanted.extents[0] * item;
      source.read(ranges, dtype,
                  to.subspan(static_cast<std::size_t>(rank == 0 ? 0 : at[0] * row),
                             static_cast<std::size_t>(common.extents.count() * item)));
      continue;
    }
    std::vector<std::byte> window;
    const std::uint64_t row = common.extents.count() / common.extents[0] * item;
    const std::uint64_t rows = std::max<std::uint64_t>(1, window_bytes / row);
    Shape piece = common.extents;
    const std::uint64_t first = ranges[0].first;
    const std::uint64_t first_at = at[0];
    for (std::uint64_t done = 0; done < common.extents[0]; done += rows) {
      interruption_point();
      piece[0] = ranges[0].count = std::min(rows, common.extents[0] - done);
      ranges[0].first = first + done;
      at[0] = first_at + done;
      window.resize(static_cast<std::size_t>(piece[0] * row));
      source.read(ranges, dtype, window);
      place(window.data(), piece, to.data(), wanted.extents, at, item);
    }
  }
}

std::pair<const File*, std::string> ShardedCheckpoint::place_of(std::string_view name) const {
  const auto found = state_->manifest.all.values.find(std::string(name));
  if (found == state_->manifest.all.values.end()) {
    fail(Errc::not_found, "there is no value of this name in the checkpoint", {name, {}});
  }
  return {&state_->part(found->second.file), path_of_key(found->second.key)};
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
