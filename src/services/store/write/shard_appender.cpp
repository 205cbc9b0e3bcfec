#include "services/store/write/shard_appender.hpp"

#include <fcntl.h>

#include <cerrno>

#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t buffer_size = std::size_t{1} << 20;

}  // namespace

ShardAppender::ShardAppender(OwnedDescriptor file, std::string path, std::uint64_t length)
    : file_(std::move(file)), path_(std::move(path)), written_(length) {
  buffer_.reserve(buffer_size);
}

ShardAppender ShardAppender::create(const Folder& folder, const std::string& name, const ShardHeader& header) {
  const std::string path = folder.path() + name;
  OwnedDescriptor file = folder.open_file(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!file.is_open()) {
    fail_call("create", path, errno);
  }
  try {
    write_all_at(file.get(), 0, encode_header(header), path);
  } catch (...) {
    folder.unlink(name);
    throw;
  }
  return {std::move(file), path, store_frozen::header_bytes};
}

ShardAppender ShardAppender::open(const Folder& folder, const std::string& name, std::uint64_t length) {
  const std::string path = folder.path() + name;
  OwnedDescriptor file = folder.open_file(name, O_WRONLY);
  if (!file.is_open()) {
    fail_call("open", path, errno);
  }
  struct stat status;
  if (system_calls().fstat(file.get(), &status) != 0) {
    fail_call("read the size of", path, errno);
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < length) {
    fail_truncated(path, size, length, 0);
  }
  if (size > length && system_calls().ftruncate(file.get(), static_cast<off_t>(length)) != 0) {
    fail_call("cut", path, errno);
  }
  return {std::move(file), path, length};
}

void ShardAppender::fill(std::uint64_t count) {
  buffer_.insert(buffer_.end(), static_cast<std::size_t>(count), store_frozen::filler);
}

std::uint64_t ShardAppender::append(Bytes record, std::size_t payload_at) {
  const std::uint64_t before = position();
  if (payload_at > 0) {
    const std::uint64_t payload = position() + payload_at;
    fill((store_frozen::alignment - payload % store_frozen::alignment) % store_frozen::alignment);
  }
  const std::uint64_t at = position();
  if (record.size() >= buffer_size / 2) {
    flush_or_undo(before);
    write_all_at(file_.get(), written_, record, path_);
    written_ += record.size();
    return at;
  }
  buffer_.insert(buffer_.end(), record.begin(), record.end());
  flush_if_full(before);
  return at;
}

void ShardAppender::flush_if_full(std::uint64_t at) {
  if (buffer_.size() >= buffer_size / 2) {
    flush_or_undo(at);
  }
}

std::uint64_t ShardAppender::begin(Bytes head) {
  const std::uint64_t before = position();
  const std::uint64_t payload = before + head.size();
  fill((store_frozen::alignment - payload % store_frozen::alignment) % store_frozen::alignment);
  const std::uint64_t at = position();
  buffer_.insert(buffer_.end(), head.begin(), head.end());
  flush_or_undo(before);
  return at;
}

void ShardAppender::piece(Bytes bytes) {
  write_all_at(file_.get(), written_, bytes, path_);
  written_ += bytes.size();
}

void ShardAppender::end(std::uint64_t at, Bytes head) { write_all_at(file_.get(), at, head, path_); }

void ShardAppender::undo(std::uint64_t at) noexcept {
  if (at < written_) {
    buffer_.clear();
    written_ = at;
    system_calls().ftruncate(file_.get(), static_cast<off_t>(at));  // if this fails, later records overwrite the bytes
  } else {
    buffer_.resize(static_cast<std::size_t>(at - written_));
  }
}

void ShardAppender::flush_or_undo(std::uint64_t at) {
  try {
    flush();
  } catch (...) {
    undo(at);  // the caller is told that the record was not appended, so it must not be written later
    throw;
  }
}

void ShardAppender::flush() {
  if (!buffer_.empty()) {
    write_all_at(file_.get(), written_, buffer_, path_);
    written_ += buffer_.size();
    buffer_.clear();
  }
}

void ShardAppender::sync() {
  if (system_calls().fsync(file_.get()) != 0) {
    fail_call("write", path_, errno);
  }
}

}  // namespace stele
