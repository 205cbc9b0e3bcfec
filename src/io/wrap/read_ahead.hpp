#pragma once

#include <memory>

#include "base/process.hpp"
#include "stele/io.hpp"

namespace stele {

/// Reads a slow Source, such as one that decompresses, on a separate thread, up to 1 MiB ahead of the caller. The
/// thread starts after the first MiB. In order only. The Source must never block for long: the destructor waits for the
/// current read. Cannot continue in a child of fork().
class ReadAheadSource final : public Source {
 public:
  explicit ReadAheadSource(std::unique_ptr<Source> source);
  ~ReadAheadSource() override;

  std::size_t read(MutableBytes into) override;
  /// Throws: Error(damaged) if bytes are left.
  void finish() override;

 private:
  struct Piece;
  struct Worker;
  bool start();
  Piece& wait();

  ProcessOwned<Worker> worker_;
  ProcessMark process_;
  bool started_ = false;
  std::size_t alone_ = 0;  // bytes read without the thread
};

}  // namespace stele
