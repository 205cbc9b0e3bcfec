#pragma once
// Compresses blocks on several threads and writes them in order: a ring of a few blocks more than there are threads, so
// that memory is bounded whatever the size of what is written.

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "stele/codec.hpp"

namespace stele {

/// Makes the bytes of a run from `offset` on, as many as `into` holds. Called by several threads at once.
using MakeBytes = std::function<void(std::uint64_t offset, MutableBytes into)>;

/// The thread that calls is the first worker and the only one that writes; others are started once two blocks wait.
/// Not thread-safe. After an exception nothing more may be put.
class BlockWriter {
 public:
  /// `to` and `codec` must outlive it.
  BlockWriter(Sink& to, const Codec& codec, int level, unsigned threads);
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;
  ~BlockWriter();

  /// A block of bytes that stay until settle() has returned.
  void put(Bytes plain);
  /// A block of bytes to keep; `plain` gets the memory of an earlier block in exchange and is empty then.
  void put_owned(std::vector<std::byte>& plain);
  /// A block of `size` bytes of a run that `make` makes; `make` stays until settle() has returned.
  void put_made(const MakeBytes& make, std::uint64_t offset, std::size_t size);
  /// Something to be done beside, such as a checksum; `task` stays until settle() has returned.
  void put_task(const std::function<void()>& task);
  /// Returns once nothing that was put is needed any more. Throws what a worker has thrown.
  void settle();
  /// Lets go of all that was put: what has not begun is dropped, what runs is waited for. After an exception.
  void abandon() noexcept;
  /// Writes all that is left and what stands behind the last block.
  void finish();

 private:
  struct Job;
  struct Worker;

  Job& free_job();
  void submit();
  bool help();
  void run(Job& job, Worker& worker) noexcept;
  void retire();
  void retire_all();
  void start_helper();
  void serve(Worker& worker);
  void begin();
  void flush_out();

  Sink& to_;
  const Codec& codec_;
  const int level_;
  const unsigned threads_;

  std::mutex mutex_;  // guards the states of jobs and the three counters
  std::condition_variable work_came_;
  std::condition_variable job_ended_;
  std::vector<std::unique_ptr<Job>> ring_;
  std::uint64_t retired_ = 0;    // jobs written, in order
  std::uint64_t claimed_ = 0;    // jobs some thread has taken
  std::uint64_t submitted_ = 0;  // jobs that are there
  bool stopping_ = false;

  std::unique_ptr<Worker> self_;
  std::vector<std::unique_ptr<Worker>> helpers_;
  std::vector<std::byte> out_;  // what the codec puts before and behind the blocks
  std::vector<Block> blocks_;
  std::uint64_t plain_ = 0;
  std::uint64_t stored_ = 0;
  bool begun_ = false;
};

}  // namespace stele
