#pragma once

#include <memory>

#include "base/process.hpp"
#include "stele/io.hpp"

namespace stele {

/// Reads a Source that takes time, such as one that decompresses, on a thread of its own, up to 1 MiB ahead of the
/// caller. The thread starts after the first MiB. In order only. For a Source that never waits for others: the
/// destructor waits for the read that is under way. Cannot be read on in a child of fork().
class ReadAheadSource final : public Source {
 public:
  explicit ReadAheadSource(std::unique_ptr<Source> source);
  ~ReadAheadSource() override;

  std::size_t read(MutableBytes into) override;
  /// Throws: Error(damaged) where bytes are left.
  void finish() override;

 private:
  struct Worker;
  bool start();
  bool wait();

  ProcessOwned<Worker> worker_;
  ProcessMark process_;
  bool started_ = false;
  std::size_t alone_ = 0;  // bytes that were read without the thread
};

}  // namespace stele
