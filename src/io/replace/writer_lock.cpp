#include "io/replace/writer_lock.hpp"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/threads/interruption.hpp"
#include "io/file_lock.hpp"
#include "io/system.hpp"
#include "stele/error.hpp"

namespace stele {

WriterLock::WriterLock(const Folder& folder, unsigned wait_ms, std::string_view what) {
  using Clock = std::chrono::steady_clock;
  const std::string name = "writer.lock";
  const std::string path = folder.path() + name;
  file_ = folder.open_file(name, O_RDWR | O_CREAT, 0666);
  if (!file_.is_open()) {
    fail_call("open", path, errno);
  }
  const Clock::time_point until = Clock::now() + std::chrono::milliseconds(wait_ms);
  for (;;) {
    struct flock lock = whole_file(F_WRLCK);
    if (system_calls().fcntl(file_.get(), F_OFD_SETLK, &lock) == 0) {
      return;
    }
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
      fail_call("lock", path, errno);
    }
    if (Clock::now() >= until) {
      fail(Errc::busy, "another writer has " + std::string(what) + " in " + folder.path() + " open");
    }
    interruption_point();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

bool WriterLock::is_held(const Folder& folder) noexcept {
  const OwnedDescriptor file = folder.open_file("writer.lock", O_RDONLY);
  struct flock lock = whole_file(F_RDLCK);
  return file.is_open() && system_calls().fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

void WriterLock::release() noexcept {
  if (file_.is_open() && !process_.in_child()) {
    struct flock lock = whole_file(F_UNLCK);
    system_calls().fcntl(file_.get(), F_OFD_SETLK, &lock);
  }
  file_ = OwnedDescriptor();
}

}  // namespace stele
