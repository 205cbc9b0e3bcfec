#include "archive/read/parts/pieces.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>

#include "base/threads/interruption.hpp"

namespace stele {

void read_pieces(Crew& crew, const Pieces& pieces) {
  std::mutex mutex;
  std::condition_variable turn_came;
  std::uint64_t begun = 0;    // all before this is read or being read
  std::uint64_t arrived = 0;  // all before this has arrived
  std::exception_ptr error;
  const auto work = [&] {
    std::unique_lock lock(mutex);
    while (begun < pieces.size && error == nullptr) {
      const std::uint64_t begin = begun;
      try {
        const std::uint64_t end = std::min(pieces.end_of(begin), pieces.size);
        begun = end;
        lock.unlock();
        interruption_point();
        pieces.read(begin, end);
        lock.lock();
        if (!pieces.arrived) {
          continue;
        }
        turn_came.wait(lock, [&] { return arrived == begin || error != nullptr; });
        if (error != nullptr) {
          break;
        }
        lock.unlock();
        pieces.arrived(begin, end);
        lock.lock();
        arrived = end;
      } catch (...) {
        if (!lock.owns_lock()) {
          lock.lock();
        }
        if (error == nullptr) {
          error = std::current_exception();
        }
      }
      turn_came.notify_all();
    }
  };
  crew.run(work);
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
}

}  // namespace stele
