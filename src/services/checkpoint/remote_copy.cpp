#include "services/checkpoint/remote_copy.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "archive/sharded/table.hpp"
#include "format/frozen.hpp"
#include "format/links.hpp"
#include "io/read.hpp"
#include "services/checkpoint/core.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// What is a file of checkpoints: 0 for what steps refer to, 1 for a step; nothing for other files.
std::optional<int> rank_of(std::string_view key) {
  if (step_of(key)) {
    return 1;
  }
  for (const std::string_view folder : {std::string_view(frozen::kept_folder), shards::folder_name}) {
    if (key.starts_with(std::string(folder) + "/")) {
      return 0;
    }
  }
  return std::nullopt;
}

/// The files of checkpoints in a Storage, those that others refer to first, then the steps upwards.
std::vector<StoredObject> files_in(const Storage& storage) {
  std::vector<StoredObject> files = storage.list();
  std::erase_if(files, [](const StoredObject& file) { return !rank_of(file.key); });
  std::sort(files.begin(), files.end(), [](const StoredObject& a, const StoredObject& b) {
    return std::pair(rank_of(a.key), a.key) < std::pair(rank_of(b.key), b.key);
  });
  return files;
}

void copy_file(const Storage& from, Storage& to, const std::string& key) {
  const std::unique_ptr<Source> source = from.source(key);
  source->will_read(0, source->size().value_or(0));
  const std::unique_ptr<Sink> sink = to.sink(key);
  copy_rest(*source, *sink);
  sink->close();
}

/// Whether two files of the same size end alike: the end of an archive holds checksums of all of it.
bool same_end(const Storage& one, const Storage& other, const StoredObject& file) {
  const std::uint64_t size = std::min<std::uint64_t>(file.bytes, frozen::trailer_bytes);
  std::array<std::byte, frozen::trailer_bytes> first{};
  std::array<std::byte, frozen::trailer_bytes> second{};
  const ByteRange of_first{file.bytes - size, std::span(first).first(static_cast<std::size_t>(size))};
  const ByteRange of_second{file.bytes - size, std::span(second).first(static_cast<std::size_t>(size))};
  one.read(file.key, std::span(&of_first, 1));
  other.read(file.key, std::span(&of_second, 1));
  return first == second;
}

}  // namespace

RemoteCopy::RemoteCopy(std::string folder, const std::string& place) : update_(std::make_shared<Update>()) {
  update_->folder = std::move(folder);
  update_->copy = open_storage(place);
}

void RemoteCopy::begin() {
  const std::unique_ptr<Storage> folder = open_storage(update_->folder);
  const std::vector<StoredObject> here = files_in(*folder);
  for (const StoredObject& file : here) {
    update_->seen.insert(file.key);
  }
  if (!here.empty() && rank_of(here.back().key) == 1) {
    return;
  }
  std::vector<StoredObject> files = files_in(*update_->copy);
  const auto steps = std::find_if(files.begin(), files.end(), [](const auto& file) { return rank_of(file.key) == 1; });
  std::reverse(steps, files.end());  // if this is interrupted, the newest one is there
  for (const StoredObject& file : files) {
    const std::optional<StoredObject> now = folder->find(file.key);
    if (!now || now->bytes != file.bytes) {
      copy_file(*update_->copy, *folder, file.key);
    }
    update_->seen.insert(file.key);
  }
}

void RemoteCopy::update() {
  if (rounds_ == nullptr) {
    rounds_ = make_process_owned<Rounds>([update = update_] {
      while (update->pass()) {
      }
    });
  }
  rounds_->begin();
}

void RemoteCopy::wait() {
  if (rounds_ == nullptr) {
    return;
  }
  try {
    rounds_->wait();
  } catch (const Error&) {
    throw;
  } catch (...) {  // the program was interrupted: so is the copy
    rounds_.reset();
    throw;
  }
}

/// Whether anything was to be done: then files may have changed meanwhile.
bool RemoteCopy::Update::pass() {
  const std::unique_ptr<Storage> here = open_storage(folder);
  const std::vector<StoredObject> files = files_in(*here);
  if (!std::exchange(looked, true)) {
    std::map<std::string, std::uint64_t> there;
    for (const StoredObject& file : files_in(*copy)) {
      there[file.key] = file.bytes;
    }
    for (const StoredObject& file : files) {
      const auto found = there.find(file.key);
      if (found != there.end() && found->second == file.bytes && same_end(*here, *copy, file)) {
        taken[file.key] = file.etag;
      }
    }
  }
  bool changed = false;
  std::set<std::string> gone = seen;
  for (const StoredObject& file : files) {
    seen.insert(file.key);
    gone.erase(file.key);
    const auto found = taken.find(file.key);
    if (found != taken.end() && found->second == file.etag) {
      continue;
    }
    changed = true;
    try {
      copy_file(*here, *copy, file.key);
      taken[file.key] = file.etag;
    } catch (const Error& error) {
      if (error.code() != Errc::not_found || here->find(file.key)) {
        throw;
      }  // else it was removed meanwhile; the next pass sees where its bytes are
      return true;
    }
  }
  for (auto file = gone.rbegin(); file != gone.rend(); ++file) {  // steps before what they refer to
    copy->remove(*file);
    taken.erase(*file);
    seen.erase(*file);
    changed = true;
  }
  return changed;
}

}  // namespace stele
