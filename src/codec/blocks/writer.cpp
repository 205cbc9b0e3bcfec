#include "codec/blocks/writer.hpp"

#include <string>
#include <utility>

#include "base/threads/interruption.hpp"
#include "stele/error.hpp"

namespace stele {

/// A block in progress, or a task. The thread that claimed it owns it until it is finished; otherwise the caller does.
struct BlockWriter::Job {
  enum class State : std::uint8_t { waiting, running, ended };
  State state = State::ended;
  Bytes plain;
  std::vector<std::byte> own;       // the plain bytes, if the writer owns them
  const MakeBytes* make = nullptr;  // or the function that makes them
  std::uint64_t offset = 0;         // in its run
  std::size_t size = 0;
  const std::function<void()>* task = nullptr;
  std::vector<std::byte> stored;
  std::uint64_t check = 0;
  std::exception_ptr error;
};

struct BlockWriter::Worker {
  std::unique_ptr<BlockEncoder> encoder;
  std::vector<std::byte> made;
  std::jthread thread;  // empty for the calling thread
};

BlockWriter::BlockWriter(Sink& to, const Codec& codec, int level, unsigned threads)
    : to_(to), codec_(codec), level_(level), threads_(threads), self_(std::make_unique<Worker>()) {
  // One more job than threads keeps all of them busy; another lets them continue while the caller writes.
  const std::size_t size = threads_ == 1 ? 1 : threads_ + 2;
  for (std::size_t i = 0; i < size; ++i) {
    ring_.push_back(std::make_unique<Job>());
  }
}

BlockWriter::~BlockWriter() {
  abandon();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_came_.notify_all();
  helpers_.clear();
}

void BlockWriter::put(Bytes plain) {
  Job& job = free_job();
  job.plain = plain;
  job.size = plain.size();
  submit();
}

void BlockWriter::put_owned(std::vector<std::byte>& plain) {
  Job& job = free_job();
  job.own.swap(plain);
  plain.clear();
  job.plain = job.own;
  job.size = job.own.size();
  submit();
}

void BlockWriter::put_made(const MakeBytes& make, std::uint64_t offset, std::size_t size) {
  Job& job = free_job();
  job.make = &make;
  job.offset = offset;
  job.size = size;
  submit();
}

void BlockWriter::put_task(const std::function<void()>& task) {
  Job& job = free_job();
  job.task = &task;
  job.size = 0;
  submit();
}

/// The slot of the next job, cleared.
BlockWriter::Job& BlockWriter::free_job() {
  try {
    while (submitted_ - retired_ == ring_.size()) {
      retire();
    }
  } catch (...) {
    abandon();
    throw;
  }
  Job& job = *ring_[submitted_ % ring_.size()];
  job.plain = {};
  job.make = nullptr;
  job.task = nullptr;
  job.error = nullptr;
  return job;
}

void BlockWriter::submit() {
  std::uint64_t waiting = 0;
  {
    const std::lock_guard lock(mutex_);
    ring_[submitted_ % ring_.size()]->state = Job::State::waiting;
    ++submitted_;
    waiting = submitted_ - claimed_;
  }
  if (waiting > 1 && helpers_.size() + 1 < threads_) {
    start_helper();
  }
  work_came_.notify_one();
}

void BlockWriter::start_helper() {
  try {
    helpers_.reserve(threads_);
    auto worker = std::make_unique<Worker>();
    worker->thread = std::jthread([this, &worker = *worker] { serve(worker); });
    helpers_.push_back(std::move(worker));
  } catch (const std::exception&) {  // no thread or no memory: the existing threads do the work
  }
}

void BlockWriter::serve(Worker& worker) {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_came_.wait(lock, [&] { return stopping_ || claimed_ != submitted_; });
    if (stopping_) {
      return;
    }
    Job& job = *ring_[claimed_++ % ring_.size()];
    job.state = Job::State::running;
    lock.unlock();
    run(job, worker);
    lock.lock();
    job.state = Job::State::ended;
    job_ended_.notify_all();
  }
}

/// Runs a waiting job on this thread. Returns false if there is none.
bool BlockWriter::help() {
  Job* job = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (claimed_ == submitted_) {
      return false;
    }
    job = ring_[claimed_++ % ring_.size()].get();
    job->state = Job::State::running;
  }
  run(*job, *self_);
  const std::lock_guard lock(mutex_);
  job->state = Job::State::ended;
  return true;
}

void BlockWriter::run(Job& job, Worker& worker) noexcept {
  try {
    if (job.task != nullptr) {
      (*job.task)();
      return;
    }
    if (job.make != nullptr) {
      if (worker.made.size() < job.size) {
        worker.made.resize(job.size);
      }
      const MutableBytes into = MutableBytes(worker.made).first(job.size);
      (*job.make)(job.offset, into);
      job.plain = into;
    }
    if (worker.encoder == nullptr) {
      worker.encoder = codec_.encoder(level_);
    }
    job.stored.clear();
    job.check = worker.encoder->encode(job.plain, job.stored);
  } catch (...) {
    job.error = std::current_exception();
  }
}

/// Waits for the oldest job and writes its result.
void BlockWriter::retire() {
  Job& job = *ring_[retired_ % ring_.size()];
  for (;;) {
    interruption_point();
    {
      std::unique_lock lock(mutex_);
      if (job.state != Job::State::ended && claimed_ == submitted_) {
        job_ended_.wait(lock, [&] { return job.state == Job::State::ended; });
      }
      if (job.state == Job::State::ended) {
        break;
      }
    }
    help();
  }
  ++retired_;
  if (job.error != nullptr) {
    try {
      std::rethrow_exception(std::exchange(job.error, nullptr));
    } catch (const Error& error) {
      if (job.task != nullptr || job.make != nullptr) {
        throw;
      }
      fail(error.code(), std::string(codec_.name()) + ", the block of " + std::to_string(job.size) +
                             " bytes from byte " + std::to_string(plain_) + ": " + error.message());
    }
  }
  if (job.task != nullptr) {
    return;
  }
  begin();
  flush_out();
  blocks_.push_back({.plain_offset = plain_,
                     .plain_size = job.size,
                     .stored_offset = stored_,
                     .stored_size = job.stored.size(),
                     .check = job.check});
  plain_ += job.size;
  stored_ += job.stored.size();
  to_.write(job.stored);
}

void BlockWriter::settle() {
  try {
    while (help()) {
      interruption_point();
    }
    std::exception_ptr error;
    {
      std::unique_lock lock(mutex_);
      for (std::uint64_t i = retired_; i < submitted_; ++i) {
        const Job& job = *ring_[i % ring_.size()];
        job_ended_.wait(lock, [&] { return job.state == Job::State::ended; });
        if (job.error != nullptr) {
          error = job.error;
          break;
        }
      }
    }
    if (error != nullptr) {
      retire_all();  // throws its exception after the earlier blocks are written
    }
  } catch (...) {
    abandon();
    throw;
  }
}

void BlockWriter::retire_all() {
  while (retired_ != submitted_) {
    retire();
  }
}

void BlockWriter::abandon() noexcept {
  std::unique_lock lock(mutex_);
  for (std::uint64_t i = retired_; i < submitted_; ++i) {
    Job& job = *ring_[i % ring_.size()];
    if (i >= claimed_) {
      job.state = Job::State::ended;
    } else {
      job_ended_.wait(lock, [&] { return job.state == Job::State::ended; });
    }
  }
  retired_ = claimed_ = submitted_;
}

void BlockWriter::begin() {
  if (!std::exchange(begun_, true)) {
    codec_.prologue(level_, out_);
  }
}

void BlockWriter::flush_out() {
  if (!out_.empty()) {
    to_.write(out_);
    stored_ += out_.size();
    out_.clear();
  }
}

void BlockWriter::finish() {
  try {
    retire_all();
  } catch (...) {
    abandon();
    throw;
  }
  begin();
  codec_.epilogue(blocks_, out_);
  flush_out();
}

}  // namespace stele
