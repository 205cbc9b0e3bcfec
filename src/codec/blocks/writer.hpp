#pragma once
// Compresses blocks on several threads and writes them in order. A ring with a few more blocks than threads bounds the
// memory, whatever the size of the output.

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

/// Makes the bytes of a run at `offset`, as many as `into` holds. Called by several threads at once.
using MakeBytes = std::function<void(std::uint64_t offset, MutableBytes into)>;

/// The calling thread is the first worker and the only one that writes. Other threads are started once two blocks wait.
/// Not thread-safe. After an exception, nothing more may be put.
class BlockWriter {
 public:
  /// `to` and `codec` must outlive this object.
  BlockWriter(Sink& to, const Codec& codec, int level, unsigned threads);
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;
  ~BlockWriter();

  /// Adds a block. The bytes must stay valid until settle() returns.
  void put(Bytes plain);
  /// Adds a block and takes its memory; `plain` gets the memory of an earlier block in exchange and is empty
  /// afterwards.
  void put_owned(std::vector<std::byte>& plain);
  /// Adds a block of `size` bytes of a run that `make` makes. `make` must stay valid until settle() returns.
  void put_made(const MakeBytes& make, std::uint64_t offset, std::size_t size);
  /// Adds a task that runs in parallel, such as a checksum. `task` must stay valid until settle() returns.
  void put_task(const std::function<void()>& task);
  /// Returns when nothing that was put is used any more. Throws the exception of a worker.
  void settle();
  /// Discards everything that was put: drops queued jobs and waits for running ones. For use after an exception.
  void abandon() noexcept;
  /// Writes everything that is left, and what the format has after the last block.
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

  std::mutex mutex_;  // guards the job states and the three counters
  std::condition_variable work_came_;
  std::condition_variable job_ended_;
  std::vector<std::unique_ptr<Job>> ring_;
  std::uint64_t retired_ = 0;    // jobs written, in order
  std::uint64_t claimed_ = 0;    // jobs taken by a thread
  std::uint64_t submitted_ = 0;  // jobs added
  bool stopping_ = false;

  std::unique_ptr<Worker> self_;
  std::vector<std::unique_ptr<Worker>> helpers_;
  std::vector<std::byte> out_;  // the codec's bytes before and after the blocks
  std::vector<Block> blocks_;
  std::uint64_t plain_ = 0;
  std::uint64_t stored_ = 0;
  bool begun_ = false;
};

}  // namespace stele
