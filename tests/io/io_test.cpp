#include "io/memory.hpp"
#include "io/support.hpp"

#include <sys/socket.h>
#include <sys/xattr.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "stele/array.hpp"

namespace stele {
namespace {

// ---------------------------------------------------------------------------------------------------- file_sink

TEST_F(Io, AFileAppearsAtClose) {
  for (const Sync sync : {Sync::none, Sync::file, Sync::file_folder}) {
    const std::string path = in("model.stele");
    fs::remove(path);
    auto sink = file_sink(path, sync);
    EXPECT_TRUE(sink->patchable());
    sink->write(as_bytes("hello "));
    sink->write({});
    sink->write(as_bytes("world"));
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(files(), 1u);
    EXPECT_TRUE(fs::directory_iterator(folder_)->path().filename().string().starts_with(".model.stele."));
    EXPECT_TRUE(fs::directory_iterator(folder_)->path().filename().string().ends_with(".tmp"));
    sink->patch(1, as_bytes("EL"));
    sink->close();
    EXPECT_EQ(content(path), "hELlo world");
    EXPECT_EQ(files(), 1u);
    EXPECT_EQ(error_of([&] { sink->write(as_bytes("x")); }).code(), Errc::invalid_argument);
    EXPECT_EQ(error_of([&] { sink->close(); }).code(), Errc::invalid_argument);
    EXPECT_EQ(error_of([&] { sink->patch(0, as_bytes("x")); }).code(), Errc::invalid_argument);
    sink.reset();
    EXPECT_EQ(content(path), "hELlo world");
  }
}

TEST_F(Io, AFileMayBeNamedRelativeToTheCurrentFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  auto sink = file_sink("plain", Sync::file_folder);
  sink->write(as_bytes("x"));
  sink->close();
  fs::current_path(before);
  EXPECT_EQ(content(in("plain")), "x");
}

TEST_F(Io, AnUnclosedFileLeavesTheOldOne) {
  const std::string path = in("model");
  put(path, "old");
  {
    auto sink = file_sink(path);
    sink->write(as_bytes("new"));
    EXPECT_EQ(content(path), "old");
  }
  EXPECT_EQ(content(path), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(Io, PermissionsFollowTheUmaskOrTheOldFile) {
  const auto mode_of = [](const std::string& path) {
    struct stat status;
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  };
  const mode_t before = ::umask(027);
  file_sink(in("new"))->close();
  EXPECT_EQ(mode_of(in("new")), 0640u);
  for (const mode_t mode : {0600u, 0666u, 0444u, 0755u}) {
    put(in("old"), "x");
    ::chmod(in("old").c_str(), mode);
    file_sink(in("old"))->close();
    EXPECT_EQ(mode_of(in("old")), mode);
    fs::remove(in("old"));
  }
  ::umask(before);
}

TEST_F(Io, ASymbolicLinkStays) {
  fs::create_directory(in("data"));
  put(in("data/real"), "old");
  fs::create_symlink("data/real", in("link"));
  fs::create_symlink(in("link"), in("link_to_link"));
  auto sink = file_sink(in("link_to_link"));
  sink->write(as_bytes("new"));
  sink->close();
  EXPECT_TRUE(fs::is_symlink(in("link")) && fs::is_symlink(in("link_to_link")));
  EXPECT_EQ(content(in("data/real")), "new");
  EXPECT_EQ(files(), 3u);

  fs::create_symlink("data/later", in("dangling"));
  file_sink(in("dangling"))->close();
  EXPECT_TRUE(fs::is_symlink(in("dangling")));
  EXPECT_TRUE(fs::is_regular_file(in("data/later")));

  fs::create_symlink("loop", in("loop"));
  EXPECT_EQ(error_of([&] { file_sink(in("loop")); }).code(), Errc::io);
}

TEST_F(Io, ALongNameFitsItsTemporaryFile) {
  const std::string path = in(std::string(255, 'n'));
  auto sink = file_sink(path);
  sink->write(as_bytes("x"));
  sink->close();
  EXPECT_EQ(content(path), "x");
}

TEST_F(Io, DevicesAndFifosAreWrittenDirectly) {
  const Error full = error_of([&] {
    auto sink = file_sink("/dev/full");
    EXPECT_FALSE(sink->patchable());
    EXPECT_EQ(error_of([&] { sink->patch(0, as_bytes("x")); }).code(), Errc::unsupported);
    sink->write(as_bytes("x"));
  });
  EXPECT_EQ(full.code(), Errc::io);
  EXPECT_EQ(full.message(), "cannot write /dev/full: No space left on device");

  ASSERT_EQ(::mkfifo(in("fifo").c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = drain(*file_source(in("fifo"))); });
  auto sink = file_sink(in("fifo"), Sync::file_folder);
  sink->write(as_bytes("through the fifo"));
  sink->close();
  sink.reset();
  reader.join();
  EXPECT_EQ(got, "through the fifo");
  EXPECT_TRUE(fs::is_fifo(in("fifo")));

  EXPECT_EQ(files(), 1u);
}

TEST_F(Io, WhatCannotBeAFileIsRefused) {
  for (const std::string& path : {in("missing/model"), in(""), folder_.string(), std::string(), in("new/")}) {
    EXPECT_EQ(error_of([&] { file_sink(path); }).code(), Errc::io) << path;
  }
  put(in("file"), "x");
  EXPECT_EQ(error_of([&] { file_sink(in("file/below")); }).code(), Errc::io);
  EXPECT_EQ(error_of([&] { file_sink(folder_.string()); }).message(),
            "cannot write " + folder_.string() + ": Is a directory");
}

TEST_F(Io, APatchStaysInsideWhatWasWritten) {
  auto sink = file_sink(in("model"));
  sink->write(as_bytes("0123456789"));
  EXPECT_EQ(error_of([&] { sink->patch(8, as_bytes("abc")); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { sink->patch(UINT64_MAX, as_bytes("abc")); }).code(), Errc::invalid_argument);
  sink->patch(7, as_bytes("abc"));
  sink->write(as_bytes("!"));
  sink->close();
  EXPECT_EQ(content(in("model")), "0123456abc!");
}

TEST_F(Io, AFailedWriteForbidsClose) {
  put(in("model"), "old");
  auto sink = file_sink(in("model"));
  sink->write(as_bytes("part"));
  fail_nth_call(0, ENOSPC);
  const Error failed = error_of([&] { sink->write(as_bytes("more")); });
  EXPECT_EQ(failed.message(), "cannot write " + in("model") + ": No space left on device");
  system_calls() = real_;
  EXPECT_EQ(files(), 1u);
  EXPECT_EQ(error_of([&] { sink->write(as_bytes("more")); }).code(), Errc::io);
  EXPECT_EQ(error_of([&] { sink->close(); }).code(), Errc::io);
  sink.reset();
  EXPECT_EQ(content(in("model")), "old");
}

TEST_F(Io, EveryFailingCallLeavesTheOldFileOrTheNewOne) {
  const std::string path = in("model");
  const auto save = [&] {
    auto sink = file_sink(path, Sync::file_folder);
    sink->write(as_bytes("new content"));
    sink->patch(0, as_bytes("N"));
    sink->close();
  };
  for (const bool replace : {false, true}) {
    int nth = 0;
    for (bool seen = true; seen; ++nth) {
      fs::remove(path);
      if (replace) {
        put(path, "old");
        ASSERT_EQ(::chown(path.c_str(), ::getuid(), 12345), 0);
        ASSERT_EQ(::setxattr(path.c_str(), "user.origin", "lab", 3, 0), 0);
      }
      fail_nth_call(nth, EIO);
      bool saved = true;
      try {
        save();
      } catch (const Error& e) {
        saved = false;
        EXPECT_EQ(e.code(), Errc::io);
        EXPECT_TRUE(e.message().ends_with("Input/output error")) << e.message();
        EXPECT_NE(e.message().find(path), std::string::npos) << e.message();
      }
      seen = calls_left_ < 0;
      system_calls() = real_;
      const std::string now = content(path);
      EXPECT_TRUE(now == "New content" || (!saved && now == (replace ? "old" : ""))) << nth << now;
      EXPECT_EQ(files(), fs::exists(path) ? 1u : 0u) << nth;
    }
    EXPECT_EQ(content(path), "New content");
    EXPECT_GE(nth, replace ? 30 : 20);
  }
}

TEST_F(Io, AFileSystemWithoutFsyncIsTolerated) {
  for (const int error : {EINVAL, ENOTSUP}) {
    static int number;
    number = error;
    system_calls().fsync = [](int) {
      errno = number;
      return -1;
    };
    auto sink = file_sink(in("model"), Sync::file_folder);
    sink->write(as_bytes("x"));
    EXPECT_NO_THROW(sink->close());
  }
}

/// Every other call is interrupted; the others transfer one to three bytes.
void use_shaky_calls() {
  static int turn;
  static SystemCalls real;
  turn = 0;
  real = system_calls();
  static const auto interrupted = [] {
    errno = EINTR;
    return turn++ % 2 == 0;
  };
  static const auto few = [](std::size_t count) {
    return std::min(count, std::size_t{1} + static_cast<std::size_t>(turn % 3));
  };
  SystemCalls& table = system_calls();
  table.read = [](int fd, void* into, std::size_t count) {
    return interrupted() ? -1 : real.read(fd, into, few(count));
  };
  table.pread = [](int fd, void* into, std::size_t count, off_t at) {
    return interrupted() ? -1 : real.pread(fd, into, few(count), at);
  };
  table.write = [](int fd, const void* from, std::size_t count) {
    return interrupted() ? -1 : real.write(fd, from, few(count));
  };
  table.pwrite = [](int fd, const void* from, std::size_t count, off_t at) {
    return interrupted() ? -1 : real.pwrite(fd, from, few(count), at);
  };
}

TEST_F(Io, ShortAndInterruptedCallsGoOn) {
  use_shaky_calls();
  auto sink = file_sink(in("model"), Sync::file);
  sink->write(as_bytes("0123456789 0123456789"));
  sink->patch(5, as_bytes("FIVE"));
  sink->close();
  EXPECT_EQ(content(in("model")), "01234FIVE9 0123456789");
  auto source = file_source(in("model"));
  EXPECT_EQ(text_at(*source, 2, 12), "234FIVE9 012");
  EXPECT_EQ(drain(*source), "01234FIVE9 0123456789");
  const int fd = ::open(in("model").c_str(), O_RDWR);
  EXPECT_EQ(text_at(*fd_source(fd), 2, 12), "234FIVE9 012");
  EXPECT_EQ(drain(*fd_source(fd)), "01234FIVE9 0123456789");
  auto out = fd_sink(fd);
  out->write(as_bytes("tail and more"));
  out->patch(0, as_bytes("TAIL"));
  out->close();
  ::close(fd);
  EXPECT_EQ(content(in("model")), "01234FIVE9 0123456789TAIL and more");
}

TEST_F(Io, ManySinksOfOneNameDoNotMeet) {
  std::vector<std::unique_ptr<Sink>> sinks;
  for (int i = 0; i < 20; ++i) {
    sinks.push_back(file_sink(in("model")));
    sinks.back()->write(as_bytes(std::to_string(i)));
  }
  EXPECT_EQ(files(), 20u);
  for (auto& sink : sinks) {
    sink->close();
  }
  EXPECT_EQ(files(), 1u);
  EXPECT_EQ(content(in("model")), "19");
}

// -------------------------------------------------------------------------------------------------- file_source

TEST_F(Io, AFileIsReadInOrderAndAnywhere) {
  const auto bytes = noise(100000);
  put(in("model"), text_of(bytes));
  auto source = file_source(in("model"));
  EXPECT_TRUE(source->random_access());
  EXPECT_EQ(source->size(), 100000u);
  EXPECT_TRUE(source->memory().empty());
  EXPECT_EQ(drain(*source, 999), text_of(bytes));
  source->seek(99990);
  EXPECT_EQ(text_at(*source, 50, 100), text_of(std::span(bytes).subspan(50, 100)));
  EXPECT_EQ(drain(*source), text_of(std::span(bytes).subspan(99990)));
  source->seek(1000000);
  EXPECT_EQ(drain(*source), "");
  EXPECT_EQ(error_of([&] { text_at(*source, 99999, 2); }).code(), Errc::truncated);
  EXPECT_EQ(error_of([&] { text_at(*source, UINT64_MAX, 2); }).code(), Errc::truncated);
  EXPECT_EQ(text_at(*source, 100000, 0), "");
  source->finish();
}

TEST_F(Io, AFileThatShrinksIsTruncated) {
  put(in("model"), std::string(1000, 'x'));
  auto source = file_source(in("model"));
  fs::resize_file(in("model"), 100);
  EXPECT_EQ(error_of([&] { text_at(*source, 50, 100); }).code(), Errc::truncated);
  EXPECT_EQ(drain(*source), std::string(100, 'x'));
}

TEST_F(Io, AMissingFileAndAFolderAreErrors) {
  EXPECT_EQ(error_of([&] { file_source(in("missing")); }).code(), Errc::not_found);
  const Error folder = error_of([&] { file_source(folder_); });
  EXPECT_EQ(folder.code(), Errc::io);
  EXPECT_EQ(folder.message(), "cannot read " + folder_.string() + ": it is a directory");
  put(in("file"), "x");
  EXPECT_EQ(error_of([&] { file_source(in("file/below")); }).code(), Errc::io);
}

TEST_F(Io, ADeviceIsReadInOrder) {
  auto source = file_source("/dev/zero");
  EXPECT_FALSE(source->random_access());
  EXPECT_EQ(source->size(), std::nullopt);
  std::vector<std::byte> some(10, std::byte{1});
  EXPECT_EQ(source->read(some), 10u);
  EXPECT_EQ(some[9], std::byte{0});
  EXPECT_EQ(error_of([&] { source->seek(0); }).code(), Errc::unsupported);
  EXPECT_EQ(error_of([&] { source->read_at(0, some); }).code(), Errc::unsupported);
}

TEST_F(Io, FailingReadsAreErrors) {
  put(in("model"), "content");
  for (int nth = 1; nth < 5; ++nth) {  // the first only asks whether it is a link
    fail_nth_call(nth, EIO);
    const Error e = error_of([&] {
      auto source = file_source(in("model"));
      drain(*source, 100);
      text_at(*source, 0, 3);
    });
    system_calls() = real_;
    EXPECT_EQ(e.code(), Errc::io);
    EXPECT_EQ(e.message().substr(e.message().find(in("model"))), in("model") + ": Input/output error");
  }
}

// ------------------------------------------------------------------------------------------ fd_sink and fd_source

TEST_F(Io, ADescriptorIsWrittenFromItsPosition) {
  put(in("file"), "prefix");
  const int fd = ::open(in("file").c_str(), O_WRONLY);
  ::lseek(fd, 0, SEEK_END);
  auto sink = fd_sink(fd);
  EXPECT_TRUE(sink->patchable());
  sink->write(as_bytes("0123456789"));
  sink->patch(2, as_bytes("TW"));
  EXPECT_EQ(error_of([&] { sink->patch(9, as_bytes("xx")); }).code(), Errc::invalid_argument);
  sink->write(as_bytes("!"));
  sink->close();
  sink.reset();
  EXPECT_EQ(::write(fd, "after", 5), 5);
  ::close(fd);
  EXPECT_EQ(content(in("file")), "prefix01TW456789!after");

  const int appending = ::open(in("file").c_str(), O_WRONLY | O_APPEND);
  auto append = fd_sink(appending);
  EXPECT_FALSE(append->patchable());
  EXPECT_EQ(error_of([&] { append->patch(0, as_bytes("x")); }).code(), Errc::unsupported);
  append->write(as_bytes("+"));
  append->close();
  ::close(appending);
  EXPECT_EQ(content(in("file")), "prefix01TW456789!after+");
}

TEST_F(Io, ADescriptorIsReadFromItsPosition) {
  put(in("file"), "prefix0123456789");
  const int fd = ::open(in("file").c_str(), O_RDONLY);
  ::lseek(fd, 6, SEEK_SET);
  auto source = fd_source(fd);
  EXPECT_TRUE(source->random_access());
  EXPECT_EQ(source->size(), 10u);
  EXPECT_EQ(text_at(*source, 3, 4), "3456");
  std::byte two[2];
  EXPECT_EQ(source->read(two), 2u);
  EXPECT_EQ(text_of(two), "01");
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 8);
  source->seek(9);
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 15);
  EXPECT_EQ(drain(*source), "9");
  EXPECT_EQ(error_of([&] { text_at(*source, 9, 2); }).code(), Errc::truncated);
  EXPECT_EQ(error_of([&] { text_at(*source, UINT64_MAX, 2); }).code(), Errc::truncated);
  EXPECT_EQ(error_of([&] { source->seek(UINT64_MAX); }).code(), Errc::invalid_argument);
  ::lseek(fd, 100, SEEK_SET);
  EXPECT_EQ(fd_source(fd)->size(), 0u);
  ::close(fd);
}

TEST_F(Io, APipeCarriesBytesInOrder) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const auto bytes = noise(1000000);
  std::thread writer([&] {
    auto sink = fd_sink(ends[1]);
    EXPECT_FALSE(sink->patchable());
    sink->write(bytes);
    sink->close();
    ::close(ends[1]);
  });
  auto source = fd_source(ends[0]);
  EXPECT_FALSE(source->random_access());
  EXPECT_EQ(source->size(), std::nullopt);
  EXPECT_EQ(drain(*source, 100000), text_of(bytes));
  writer.join();
  ::close(ends[0]);
}

TEST_F(Io, AClosedPipeIsAnErrorAndForbidsClose) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  auto sink = fd_sink(ends[1]);
  const Error e = error_of([&] { sink->write(as_bytes("x")); });
  EXPECT_EQ(e.code(), Errc::io);
  EXPECT_EQ(e.message(), "cannot write descriptor " + std::to_string(ends[1]) + ": Broken pipe");
  EXPECT_EQ(error_of([&] { sink->close(); }).code(), Errc::io);
  ::close(ends[1]);
  std::signal(SIGPIPE, before);
}

TEST_F(Io, ASocketWorks) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  auto sink = fd_sink(ends[0]);
  sink->write(as_bytes("over the wire"));
  sink->close();
  ::close(ends[0]);
  EXPECT_EQ(drain(*fd_source(ends[1])), "over the wire");
  ::close(ends[1]);
}

std::string peeked(Source& source, std::size_t most = 100) {
  std::vector<std::byte> into(most);
  const auto count = source.peek(into);
  return count ? text_of(Bytes(into).first(*count)) : "nothing";
}

TEST_F(Io, WhatComesNextCanBeSeenInPipesSocketsAndStreams) {
  int pipe_ends[2];
  int socket_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, socket_ends), 0);
  for (const auto& [to, from] : {std::pair(pipe_ends[1], pipe_ends[0]), std::pair(socket_ends[0], socket_ends[1])}) {
    const auto source = fd_source(from);
    EXPECT_EQ(source->peek({}), 0U);
    fd_sink(to)->write(as_bytes("archive|after"));
    EXPECT_EQ(peeked(*source, 3), "arc");
    EXPECT_EQ(peeked(*source), "archive|after");
    std::byte seven[7];
    EXPECT_EQ(source->read(seven), 7U);
    EXPECT_EQ(text_of(seven), "archive");
    EXPECT_EQ(peeked(*source), "|after");
    ::close(to);
    EXPECT_EQ(drain(*source), "|after");
    EXPECT_EQ(peeked(*source), "");
    ::close(from);
  }
  std::istringstream stream("archive|after");
  const auto source = stream_source(stream);
  EXPECT_EQ(source->peek({}), 0U);
  EXPECT_EQ(peeked(*source, 3), "arc");
  std::byte seven[7];
  EXPECT_EQ(source->read(seven), 7U);
  EXPECT_EQ(peeked(*source), "|after");
  EXPECT_EQ(drain(*source), "|after");
  EXPECT_EQ(peeked(*source), "");
}

TEST_F(Io, APipeIsSeenAlsoWhereReadingMayNotWait) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  const auto source = fd_source(ends[0]);
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(::write(ends[1], "late", 4), 4);
  });
  EXPECT_EQ(peeked(*source), "late");
  writer.join();
  EXPECT_EQ(peeked(*source), "late");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Io, SourcesThatCannotPeekSaySo) {
  struct Unbuffered : std::streambuf {};
  Unbuffered buffer;
  std::istream stream(&buffer);
  EXPECT_EQ(stream_source(stream)->peek({}), std::nullopt);
  const int device = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(fd_source(device)->peek({}), std::nullopt);
  ::close(device);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  system_calls().pipe2 = [](int*, int) {
    errno = EMFILE;
    return -1;
  };
  EXPECT_EQ(fd_source(ends[0])->peek({}), std::nullopt);
  system_calls() = real_;
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Io, ABadDescriptorIsAnError) {
  EXPECT_EQ(error_of([] { fd_sink(-1); }).code(), Errc::io);
  EXPECT_EQ(error_of([] { fd_source(-1); }).code(), Errc::io);
}

// ---------------------------------------------------------------------------------------------------- streams

TEST_F(Io, StreamsAreWrittenAndReadInOrder) {
  std::stringstream stream;
  stream << "before|";
  auto sink = stream_sink(stream);
  EXPECT_FALSE(sink->patchable());
  sink->write(as_bytes("archive"));
  sink->write({});
  sink->close();
  stream << "|after";
  std::string word(7, '\0');
  stream.read(word.data(), 7);
  auto source = stream_source(stream);
  EXPECT_FALSE(source->random_access());
  std::byte seven[7];
  EXPECT_EQ(source->read(seven), 7u);
  EXPECT_EQ(text_of(seven), "archive");
  EXPECT_EQ(source->read({}), 0u);
  EXPECT_TRUE(stream.good());
  EXPECT_EQ(drain(*source), "|after");
  EXPECT_TRUE(stream.eof());
  EXPECT_FALSE(stream.fail());
  EXPECT_EQ(drain(*source), "");
}

/// A stream buffer whose device has failed.
class BrokenBuffer : public std::streambuf {
 protected:
  std::streamsize xsputn(const char*, std::streamsize) override { return 0; }
  std::streamsize xsgetn(char*, std::streamsize) override { throw std::runtime_error("the device burns"); }
  int sync() override { return -1; }
};

TEST_F(Io, AFailingStreamIsAnErrorWithAnyExceptionMask) {
  for (const auto mask : {std::ios::goodbit, std::ios::badbit | std::ios::failbit | std::ios::eofbit}) {
    BrokenBuffer broken;
    std::iostream stream(&broken);
    stream.exceptions(mask);
    auto source = stream_source(stream);
    std::byte some[4];
    const Error e = error_of([&] { source->read(some); });
    EXPECT_EQ(e.code(), Errc::io);
    EXPECT_EQ(e.message(), "cannot read the stream: the device burns");
    EXPECT_TRUE(stream.bad());
    EXPECT_EQ(error_of([&] { source->read(some); }).code(), Errc::io);

    std::iostream out(&broken);
    out.exceptions(mask);
    auto sink = stream_sink(out);
    EXPECT_EQ(error_of([&] { sink->write(as_bytes("x")); }).code(), Errc::io);
    EXPECT_EQ(error_of([&] { sink->close(); }).code(), Errc::io);
    std::iostream unflushed(&broken);
    unflushed.exceptions(mask);
    EXPECT_EQ(error_of([&] { stream_sink(unflushed)->close(); }).code(), Errc::io);

    std::istringstream empty("");
    empty.exceptions(mask);
    EXPECT_EQ(stream_source(empty)->read(some), 0u);
    EXPECT_TRUE(empty.eof());
  }
  std::ifstream missing(in("missing"));
  std::byte some[4];
  EXPECT_EQ(error_of([&] { stream_source(missing)->read(some); }).code(), Errc::io);
}

// ---------------------------------------------------------------------------------------------------- memory

TEST_F(Io, MemoryIsAppendedAndPatched) {
  std::vector<std::byte> out(3, std::byte{'-'});
  auto sink = memory_sink(out);
  EXPECT_TRUE(sink->patchable());
  sink->write(as_bytes("0123456789"));
  sink->patch(4, as_bytes("XY"));
  sink->write({});
  EXPECT_EQ(error_of([&] { sink->patch(9, as_bytes("XY")); }).code(), Errc::invalid_argument);
  sink->close();
  EXPECT_EQ(text_of(out), "---0123XY6789");
  const auto bytes = noise(std::size_t{9} << 20);
  std::vector<std::byte> large;
  auto growing = memory_sink(large);
  for (std::size_t at = 0; at < bytes.size(); at += 65537) {
    growing->write(std::span(bytes).subspan(at, std::min<std::size_t>(65537, bytes.size() - at)));
  }
  growing->close();
  EXPECT_EQ(large, bytes);
}

TEST_F(Io, MemoryIsRead) {
  const auto bytes = noise(1000);
  auto source = memory_source(bytes);
  EXPECT_TRUE(source->random_access());
  EXPECT_EQ(source->size(), 1000u);
  EXPECT_EQ(source->memory().data(), bytes.data());
  EXPECT_EQ(drain(*source), text_of(bytes));
  source->seek(990);
  EXPECT_EQ(drain(*source), text_of(std::span(bytes).subspan(990)));
  EXPECT_EQ(text_at(*source, 10, 20), text_of(std::span(bytes).subspan(10, 20)));
  EXPECT_EQ(error_of([&] { text_at(*source, 999, 2); }).code(), Errc::truncated);
  EXPECT_EQ(error_of([&] { text_at(*source, UINT64_MAX, 2); }).code(), Errc::truncated);
  source->seek(UINT64_MAX);
  EXPECT_EQ(drain(*source), "");
  EXPECT_EQ(drain(*memory_source({})), "");
}

// ---------------------------------------------------------------------------------------------------- Mapping

TEST_F(Io, AMappingShowsAnyPartOfAFile) {
  const auto bytes = noise(20000);
  put(in("model"), text_of(bytes));
  for (const MapMode mode : {MapMode::read_only, MapMode::copy_on_write, MapMode::read_write}) {
    for (const std::size_t offset : {0u, 1u, 64u, 4095u, 4096u, 12345u, 20000u}) {
      const auto rest = Mapping::open(in("model"), mode, offset);
      EXPECT_EQ(text_of(rest->bytes()), text_of(std::span(bytes).subspan(offset)));
      EXPECT_EQ(rest->mode(), mode);
      const std::size_t length = std::min<std::size_t>(20000 - offset, 5000);
      const auto part = Mapping::open(in("model"), mode, offset, length);
      EXPECT_EQ(text_of(part->bytes()), text_of(std::span(bytes).subspan(offset, length)));
      EXPECT_TRUE(Mapping::open(in("model"), mode, offset, 0)->bytes().empty());
    }
  }
}

TEST_F(Io, MapModesDifferInWhereChangesGo) {
  put(in("model"), "0123456789");
  const auto fixed = Mapping::open(in("model"), MapMode::read_only);
  EXPECT_EQ(error_of([&] { fixed->writable_bytes(); }).code(), Errc::read_only);
  fixed->sync();
  const auto copied = Mapping::open(in("model"), MapMode::copy_on_write, 2);
  copied->writable_bytes()[0] = std::byte{'C'};
  copied->sync();
  EXPECT_EQ(text_of(copied->bytes()), "C3456789");
  EXPECT_EQ(content(in("model")), "0123456789");
  const auto written = Mapping::open(in("model"), MapMode::read_write, 5);
  written->writable_bytes()[0] = std::byte{'W'};
  written->sync();
  EXPECT_EQ(content(in("model")), "01234W6789");
  EXPECT_EQ(text_of(fixed->bytes()), "01234W6789");
}

TEST_F(Io, AMappingOutlivesTheNameOfItsFile) {
  put(in("model"), "0123456789");
  auto mapping = Mapping::open(in("model"), MapMode::read_only);
  fs::remove(in("model"));
  const Bytes bytes = mapping->bytes();
  const auto source = memory_source(bytes, std::move(mapping));  // owns it from here on
  EXPECT_EQ(text_of(source->memory()), "0123456789");
  EXPECT_EQ(drain(*source), "0123456789");
  EXPECT_EQ(error_of([&] { text_at(*source, 9, 2); }).code(), Errc::truncated);
}

TEST_F(Io, AnEmptyFileIsAnEmptyMapping) {
  put(in("empty"), "");
  const auto mapping = Mapping::open(in("empty"), MapMode::read_write);
  EXPECT_TRUE(mapping->bytes().empty());
  EXPECT_TRUE(mapping->writable_bytes().empty());
  mapping->sync();
  EXPECT_EQ(drain(*memory_source(mapping->bytes())), "");
}

TEST_F(Io, WhatCannotBeMappedIsRefused) {
  put(in("model"), "0123456789");
  const auto open = [&](const std::string& path, MapMode mode, std::uint64_t offset = 0,
                        std::optional<std::uint64_t> length = std::nullopt) {
    return error_of([&] { Mapping::open(path, mode, offset, length); }).code();
  };
  EXPECT_EQ(open(in("model"), MapMode::none), Errc::invalid_argument);
  EXPECT_EQ(open(in("missing"), MapMode::read_only), Errc::not_found);
  EXPECT_EQ(open(folder_.string(), MapMode::read_only), Errc::not_mappable);
  EXPECT_EQ(open(folder_.string(), MapMode::read_write), Errc::not_mappable);
  EXPECT_EQ(open("/dev/null", MapMode::read_only), Errc::not_mappable);
  ASSERT_EQ(::mkfifo(in("fifo").c_str(), 0600), 0);
  EXPECT_EQ(open(in("fifo"), MapMode::read_only), Errc::not_mappable);
  EXPECT_EQ(open(in("model"), MapMode::read_only, 11), Errc::truncated);
  EXPECT_EQ(open(in("model"), MapMode::read_only, 5, 6), Errc::truncated);
  EXPECT_EQ(open(in("model"), MapMode::read_only, UINT64_MAX), Errc::truncated);
  EXPECT_EQ(open(in("model"), MapMode::read_only, 5, UINT64_MAX - 4), Errc::truncated);
  if (::geteuid() != 0) {
    ::chmod(in("model").c_str(), 0444);
    EXPECT_EQ(open(in("model"), MapMode::read_write), Errc::io);
  }
}

TEST_F(Io, EveryFailingCallOfAMappingIsAnError) {
  put(in("model"), "0123456789");
  for (const int nth : {1, 2, 3}) {  // the first only asks whether it is a link
    fail_nth_call(nth, EACCES);
    EXPECT_EQ(error_of([&] { Mapping::open(in("model"), MapMode::read_write); }).code(), Errc::io) << nth;
  }
  fail_nth_call(3, ENODEV);
  EXPECT_EQ(error_of([&] { Mapping::open(in("model"), MapMode::read_write); }).code(), Errc::not_mappable);
  system_calls() = real_;
  const auto mapping = Mapping::open(in("model"), MapMode::read_write);
  fail_nth_call(0, EIO);
  EXPECT_EQ(error_of([&] { mapping->sync(); }).code(), Errc::io);
  fail_nth_call(0, ENOMEM);
  EXPECT_EQ(error_of([] { Buffer::allocate(std::size_t{64} << 20); }).code(), Errc::limit_exceeded);
}

TEST_F(Io, NoDescriptorLeaks) {
  const auto open_descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  put(in("model"), "0123456789");
  const auto before = open_descriptors();
  {
    const auto mapping = Mapping::open(in("model"), MapMode::read_only);
    EXPECT_EQ(open_descriptors(), before);
    auto sink = file_sink(in("other"), Sync::file_folder);
    auto dropped = file_sink(in("dropped"));
    auto source = file_source(in("model"));
    EXPECT_EQ(open_descriptors(), before + 5);  // a sink holds its folder too
    sink->close();
    EXPECT_EQ(open_descriptors(), before + 3);
  }
  for (int nth = 0; nth < 40; ++nth) {
    fail_nth_call(nth, EIO);
    try {
      auto sink = file_sink(in("other"), Sync::file_folder);
      sink->write(as_bytes("x"));
      sink->close();
      Mapping::open(in("model"), MapMode::read_only);
    } catch (const Error&) {
      // the descriptors are what is checked
    }
    system_calls() = real_;
    EXPECT_EQ(open_descriptors(), before) << nth;
  }
}

TEST(Path, IsMadeFromStringsAndPaths) {
  EXPECT_EQ(Path("a").text(), "a");
  EXPECT_EQ(Path(std::string("b")).text(), "b");
  EXPECT_EQ(Path(std::string_view("c")).text(), "c");
  EXPECT_EQ(Path(fs::path("d") / "e").text(), "d/e");
}

TEST_F(Io, APathWithAZeroByteIsRefused) {
  const std::string text = in("model") + std::string("\0.stele", 7);
  const auto tries = {std::function<void()>([&] { Path{text}; }),
                      std::function<void()>([&] { Path{std::string_view(text)}; }),
                      std::function<void()>([&] { Path{fs::path(text)}; }),
                      std::function<void()>([&] { file_sink(text); }),
                      std::function<void()>([&] { file_source(text); }),
                      std::function<void()>([&] { Mapping::open(text, MapMode::read_only); })};
  for (const auto& attempt : tries) {
    const Error error = error_of(attempt);
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    EXPECT_EQ(error.message(), "a path has a zero byte after \"" + in("model") + "\"");
  }
  EXPECT_EQ(files(), 0u);
}

}  // namespace
}  // namespace stele
