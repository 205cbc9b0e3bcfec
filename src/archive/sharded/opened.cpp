#include "archive/sharded/opened.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "archive/read/opened.hpp"
#include "archive/sharded/boxes.hpp"
#include "archive/sharded/part.hpp"
#include "archive/value/any_array.hpp"
#include "archive/value/later.hpp"
#include "base/naming.hpp"
#include "base/stack.hpp"
#include "base/threads/threads.hpp"
#include "codec/first_bytes.hpp"
#include "format/path/path.hpp"
#include "io/storage/urls.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele::shards {
namespace {

constexpr std::uint64_t read_bytes = std::uint64_t{4} << 20;

/// The elements of an array in row-major order, of which one window at a time is in memory.
class BoxStream final : public Source {
 public:
  BoxStream(const BoxedElements& elements, DType dtype, const Shape& shape)
      : elements_(elements), dtype_(std::move(dtype)), shape_(shape), left_(shape.count()) {
    const std::uint64_t most = std::max<std::uint64_t>(1, read_bytes / dtype_.item_size());
    axis_ = shape.rank();
    while (axis_ > 0 && inner_ * shape[axis_ - 1] <= most) {  // the axes after it fit the window whole
      inner_ *= shape[--axis_];
    }
    slices_ = std::max<std::uint64_t>(1, most / inner_);
    index_.assign(axis_, 0);
  }

  std::size_t read(MutableBytes into) override {
    if (at_ == window_.size()) {
      fill();
    }
    const std::size_t count = std::min(into.size(), window_.size() - at_);
    std::copy_n(window_.begin() + static_cast<std::ptrdiff_t>(at_), count, into.begin());
    at_ += count;
    return count;
  }

 private:
  void fill() {
    at_ = 0;
    window_.clear();
    if (left_ == 0) {
      return;
    }
    std::vector<Range> ranges;
    std::uint64_t count = inner_;
    for (std::size_t axis = 0; axis < shape_.rank(); ++axis) {
      if (axis + 1 < axis_) {
        ranges.push_back({index_[axis], 1});
      } else if (axis + 1 == axis_) {  // as many slices along it as fit
        const std::uint64_t slices = std::min(slices_, shape_[axis] - index_[axis]);
        ranges.push_back({index_[axis], slices});
        count *= slices;
        index_[axis] += slices;
      } else {
        ranges.push_back({0, shape_[axis]});
      }
    }
    window_.resize(static_cast<std::size_t>(count * dtype_.item_size()));
    elements_.read(ranges, dtype_, window_);
    left_ -= count;
    for (std::size_t axis = axis_; axis > 1 && index_[axis - 1] == shape_[axis - 1]; --axis) {
      index_[axis - 1] = 0;
      ++index_[axis - 2];
    }
  }

  const BoxedElements& elements_;
  const DType dtype_;
  const Shape shape_;
  std::size_t axis_ = 0;      // windows are slices along the axis before it
  std::uint64_t inner_ = 1;   // elements of one slice
  std::uint64_t slices_ = 1;  // of a window
  std::vector<std::uint64_t> index_;
  std::uint64_t left_;
  std::vector<std::byte> window_;
  std::size_t at_ = 0;
};

std::vector<Range> whole_of(const Shape& shape) {
  std::vector<Range> ranges;
  for (const std::uint64_t extent : shape) {
    ranges.push_back({0, extent});
  }
  return ranges;
}

/// The options with which parts are opened.
LoadOptions options_of_parts(LoadOptions options) {
  options.formats = nullptr;
  options.offset = 0;
  return options;
}

void require_unmapped(const std::string& name, const LoadOptions& options) {
  if (options.map != MapMode::none) {
    fail(Errc::not_mappable, "a sharded archive lies in several files and cannot be mapped; read it, or convert it",
         {.file = name});
  }
  if (options.offset != 0) {
    fail(Errc::invalid_argument, "a sharded archive begins nowhere in a file: there is no offset", {.file = name});
  }
}

}  // namespace

class ShardedFile::Elements final : public BoxedElements {
 public:
  Elements(std::shared_ptr<const ShardedFile> file, const ArrayOf& array)
      : file_(std::move(file)), array_(array), threads_(thread_count(file_->options_.threads)) {}

  void read(std::span<const Range> box, const DType& dtype, MutableBytes to) const override {
    read_boxes(
        array_, [this](std::uint32_t part) -> const File& { return file_->part(part); }, box, dtype, to, threads_);
  }
  void gather(std::span<const std::uint64_t> rows, const DType& dtype, MutableBytes to) const override {
    gather_rows(array_, [this](std::uint32_t part) -> const File& { return file_->part(part); }, rows, dtype, to);
  }

 private:
  const std::shared_ptr<const ShardedFile> file_;
  const ArrayOf& array_;
  const unsigned threads_;
};

class ShardedFile::Later final : public LaterArray {
 public:
  Later(const ArrayHeader& header, std::unique_ptr<BoxedElements> elements, std::string file, std::string path)
      : LaterArray(header), elements_(std::move(elements)), file_(std::move(file)), path_(std::move(path)) {}

  std::unique_ptr<Source> open() override {
    return std::make_unique<BoxStream>(*elements_, header().dtype, header().shape);
  }
  AnyArray read() override {
    AnyTarget target;
    const std::uint64_t total = bytes();
    target.memory(header(), 0, total, true);
    std::byte* const to = target.memory(header(), total, total, true);
    fill(header().dtype, {to, static_cast<std::size_t>(total)});
    return {target.view(), target.buffer()};
  }
  bool read_as(const DType& dtype, const std::function<MutableBytes()>& to) override {
    fill(dtype, to());
    return true;
  }

 private:
  void fill(const DType& dtype, MutableBytes to) const {
    naming(file_, [&] { elements_->read(whole_of(header().shape), dtype, to); }, path_);
  }

  const std::unique_ptr<BoxedElements> elements_;
  const std::string file_;
  const std::string path_;
};

ShardedFile::ShardedFile(std::string name, std::unique_ptr<Storage> place, std::string file, const LoadOptions& options)
    : name_(std::move(name)), place_(std::move(place)), file_(std::move(file)), options_(options_of_parts(options)) {
  const File manifest = open(place_->source(file_), options_);
  info_ = manifest.info();
  if (!is_manifest(info_.metadata)) {
    fail(Errc::not_an_archive, file_ + " is no manifest of a sharded archive");
  }
  manifest_ = read_manifest(manifest);
  parts_ = std::make_unique<Part[]>(manifest_.files.size());
  for (const auto& [path, array] : manifest_.all.arrays) {
    add(path, &array, nullptr);
  }
  for (const auto& [path, value] : manifest_.all.values) {
    add(path, nullptr, &value);
  }
  info_.codec = "sharded";
  info_.plain_bytes = info_.arrays = info_.array_bytes = info_.encoded_arrays = info_.pieced_arrays = 0;
  info_.bytes_after = 0;
  info_.metadata.erase(std::string(archive_key));
  for (const PartFile& part : manifest_.files) {
    info_.stored_bytes += part.bytes;
  }
  for (const auto& [path, array] : manifest_.all.arrays) {
    ++info_.arrays;
    info_.array_bytes += Shape(array.shape).count() * dtype_of_text(array.dtype).item_size();
  }
  info_.plain_bytes = info_.stored_bytes;
}

void ShardedFile::add(const std::string& name, const ArrayOf* array, const ValueOf* value) {
  Node* node = &root_;
  const auto clashes = [&](const Node& with) { return with.array != nullptr || with.value != nullptr; };
  bool fits = true;
  for (const PathStep& step : split_path(name)) {
    fits = fits && step.kind == PathStep::Kind::name && !clashes(*node);
    std::unique_ptr<Node>& child = node->children[step.name];
    if (child == nullptr) {
      child = std::make_unique<Node>();
    }
    node = child.get();
  }
  if (!fits || clashes(*node) || !node->children.empty()) {
    fail(Errc::unsupported, "the names of what it holds make no tree: one value lies inside of another",
         {.path = name, .file = name_});
  }
  node->array = array;
  node->value = value;
}

const ShardedFile::Node* ShardedFile::node_at(std::string_view path, std::string& rest) const {
  const Node* node = &root_;
  for (const PathStep& step : split_path(path)) {
    if (node->value != nullptr) {
      if (step.kind == PathStep::Kind::name) {
        append_step(rest, step.name);
      } else if (step.kind == PathStep::Kind::place) {
        append_place(rest, step.index);
      } else {
        return nullptr;
      }
      continue;
    }
    auto child = node->children.find(step.name);
    if (step.kind == PathStep::Kind::place && step.index < node->children.size()) {
      child = std::next(node->children.begin(), static_cast<std::ptrdiff_t>(step.index));
    } else if (step.kind != PathStep::Kind::name || child == node->children.end()) {
      return nullptr;
    }
    node = child->second.get();
  }
  return node;
}

const File& ShardedFile::part(std::uint32_t file) const {
  Part& part = parts_[file];
  std::call_once(part.once, [&] { part.file.emplace(open_part(*place_, manifest_.files[file], options_)); });
  return *part.file;
}

namespace {

std::string joined(const std::string& key, const std::string& rest) {
  return path_of_key(key) + (rest.empty() ? "" : "/") + rest;
}

}  // namespace

std::optional<ShardedFile::Place> ShardedFile::find(std::string_view path) const {
  std::string rest;
  const Node* const node = node_at(path, rest);
  if (node == nullptr) {
    return std::nullopt;
  }
  if (node->array != nullptr) {
    return Place{Place::Kind::array, node->array};
  }
  if (node->value == nullptr) {
    return Place{};
  }
  Place place{Place::Kind::value, nullptr, &part(node->value->file), joined(node->value->key, rest)};
  return rest.empty() || place.part->contains(place.path) ? std::optional(std::move(place)) : std::nullopt;
}

std::unique_ptr<BoxedElements> ShardedFile::elements(const ArrayOf& array) const {
  return std::make_unique<Elements>(shared_from_this(), array);
}

Value ShardedFile::value(std::string_view path) const {
  std::string rest;
  const Node* const node = node_at(path, rest);
  if (node == nullptr) {
    fail(Errc::not_found, "there is no value at this path", {path, {}});
  }
  if (!rest.empty()) {
    return part(node->value->file).load<Value>(joined(node->value->key, rest));
  }
  return tree(*node, std::string(path));
}

Value ShardedFile::tree(const Node& node, const std::string& path) const {
  if (stack_is_low()) {
    fail(Errc::limit_exceeded, "values are nested too deep for this thread's stack", {.path = path});
  }
  if (node.array != nullptr) {
    const ArrayHeader header{dtype_of_text(node.array->dtype), Shape(node.array->shape), Order::row_major};
    const auto bytes = checked_multiply(header.shape.count(), header.dtype.item_size());
    if (!bytes || *bytes > options_.limits.allocation) {
      fail(Errc::limit_exceeded,
           "an array " + header.dtype.name() + header.shape.text() + " is beyond the allocation limit", {.path = path});
    }
    return later_value(std::make_shared<Later>(header, elements(*node.array), name_, path));
  }
  if (node.value != nullptr) {
    return part(node.value->file).load<Value>(path_of_key(node.value->key));
  }
  std::vector<Value::Entry> entries;
  for (const auto& [name, child] : node.children) {
    std::string below = path;
    append_step(below, name);
    entries.emplace_back(Value(name), tree(*child, below));
  }
  return Value::make_map(std::move(entries));
}

std::vector<Entry> ShardedFile::list(const ListOptions& options) const {
  std::string rest;
  const Node* const node = node_at(options.path, rest);
  if (node == nullptr) {
    fail(Errc::not_found, "there is no value at this path", {options.path, {}});
  }
  std::vector<Entry> entries;
  if (!rest.empty()) {
    const std::string above = options.path.substr(0, options.path.size() - rest.size() - 1);
    list_value(*node->value, above, rest, options, entries);
  } else {
    list(*node, options.path, 0, options, entries);
  }
  return entries;
}

void ShardedFile::list(const Node& node, const std::string& path, std::size_t depth, const ListOptions& options,
                       std::vector<Entry>& entries) const {
  if (node.value != nullptr) {
    ListOptions below = options;
    below.depth = options.depth - depth;
    return list_value(*node.value, path, {}, std::move(below), entries);
  }
  if (stack_is_low()) {
    fail(Errc::limit_exceeded, "values are nested too deep for this thread's stack", {.path = path});
  }
  Entry entry;
  entry.path = path;
  if (node.array != nullptr) {
    entry.kind = Kind::array;
    entry.dtype = dtype_of_text(node.array->dtype);
    entry.shape = Shape(node.array->shape);
    entry.encoding = "sharded";
    entry.bytes = entry.shape.count() * entry.dtype.item_size();
    entries.push_back(std::move(entry));
    return;
  }
  entry.kind = Kind::map;
  entry.count = node.children.size();
  entries.push_back(std::move(entry));
  std::uint64_t index = 0;
  for (const auto& [name, child] : node.children) {
    if (depth >= options.depth || index++ >= options.max_items) {
      return;
    }
    std::string below = path;
    append_step(below, name);
    list(*child, below, depth + 1, options, entries);
  }
}

void ShardedFile::list_value(const ValueOf& value, const std::string& path, const std::string& rest,
                             ListOptions options, std::vector<Entry>& entries) const {
  const std::string inside = path_of_key(value.key);
  options.path = joined(value.key, rest);
  for (Entry& entry : part(value.file).list(options)) {
    if (!entry.path.starts_with(inside)) {
      continue;  // deferred values, which have no other path than that in their part
    }
    entry.path.erase(0, inside.size());
    if (path.empty() && entry.path.starts_with('/')) {
      entry.path.erase(0, 1);
    }
    entry.path.insert(0, path);
    entry.offset = 0;
    entry.mappable = false;
    entries.push_back(std::move(entry));
  }
}

void ShardedFile::verify() const {
  for (std::uint32_t file = 0; file < manifest_.files.size(); ++file) {
    part(file).verify();
  }
  for (const auto& [path, array] : manifest_.all.arrays) {
    for (const Box& box : array.boxes) {
      naming(
          place_->path_of(std::string(folder_name) + "/" + manifest_.files[box.file].name),
          [&] { (void)array_of(part(box.file), array, box); }, path);
    }
  }
  for (const auto& [path, value] : manifest_.all.values) {
    if (!part(value.file).contains(path_of_key(value.key))) {
      fail(Errc::damaged, "a part does not hold a value of the manifest", {.path = path, .file = name_});
    }
  }
}

bool is_folder(const Path& path) {
  struct stat status;
  const std::optional<std::string> local = local_path(path.text());
  if (!local) {
    return path.text().ends_with('/');
  }
  return system_calls().stat(local->c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool is_folder(const Path& path, const Error& error) {
  return error.code() == Errc::not_found && !local_path(path.text());
}

std::unique_ptr<Storage> storage_of(const std::string& place) {
  const std::optional<std::string> local = local_path(place);
  return open_storage(local ? std::filesystem::absolute(*local).native() : place);
}

Manifest read_manifest(const File& file) {
  auto manifest = file.load<Manifest>();
  check_read(manifest);
  return manifest;
}

std::shared_ptr<ShardedFile> open_folder(const Path& path, const LoadOptions& options) {
  const std::string& name = path.text();
  return naming(name, [&] {
    require_unmapped(name, options);
    std::unique_ptr<Storage> place = storage_of(name);
    if (!place->find(manifest_name)) {
      fail(Errc::not_found,
           "there is no sharded archive: the folder has no " + std::string(manifest_name) + ", which a commit writes",
           {.file = place->path_of(manifest_name)});
    }
    return std::make_shared<ShardedFile>(name, std::move(place), std::string(manifest_name), options);
  });
}

std::shared_ptr<ShardedFile> open_manifest(const Path& path, const LoadOptions& options) {
  const std::string& name = path.text();
  return naming(name, [&] {
    require_unmapped(name, options);
    const std::size_t slash = name.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : name.substr(0, slash);
    return std::make_shared<ShardedFile>(name, storage_of(folder), name.substr(slash + 1), options);
  });
}

std::shared_ptr<ShardedFile> open_if_sharded(const Path& path, const LoadOptions& options) {
  if (is_folder(path)) {
    return open_folder(path, options);
  }
  struct stat status;
  if (const std::optional<std::string> local = local_path(path.text());
      local && (system_calls().stat(local->c_str(), &status) != 0 || !S_ISREG(status.st_mode))) {
    return nullptr;
  }
  try {
    std::unique_ptr<Source> source = file_source(path);
    if (!may_be_label(first_bytes(*source)) || !is_manifest(open(std::move(source)).info().metadata)) {
      return nullptr;
    }
  } catch (const Error& error) {
    return is_folder(path, error) ? open_folder(path, options) : nullptr;  // what reads it will report another error
  }
  return open_manifest(path, options);
}

}  // namespace stele::shards
