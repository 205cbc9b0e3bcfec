// Archives through streams, pipes, sockets, descriptors and user-defined Sinks and Sources: writing never seeks, and
// reading never takes a byte too many.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

#include "io/wrap/tail.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::codecs;
using test::content;
using test::counting;
using test::Data;
using test::data_of;
using test::error_of;
using test::Folder;
using test::operator+=;
using test::PipeSink;
using test::TrickleSource;

struct Record {
  std::string name;
  std::vector<float> values;
  Array<double, 2> grid;
  std::map<std::string, std::vector<std::string>> texts;
};

Record record(std::size_t size) {
  Record made;
  made.name = "record " + std::to_string(size);
  made.values = test::numbers<float>(size, static_cast<unsigned>(size));
  made.grid = counting<double, 2>({size / 10 + 1, 7});
  for (std::size_t i = 0; i < size / 100 + 1; ++i) {
    made.texts[std::to_string(i)] = {std::string(i % 50, 'x'), "y"};
  }
  return made;
}

bool operator==(const Record& a, const Record& b) {
  return a.name == b.name && a.values == b.values && a.grid == b.grid && a.texts == b.texts;
}

constexpr std::size_t sizes[] = {0, 10, 2000, 300'000};

// --- iostreams -------------------------------------------------------------------------------------------------------

TEST(Streams, SeveralArchivesFollowEachOther) {
  for (const std::string& codec : codecs()) {
    std::stringstream stream;
    std::vector<std::streamoff> ends;
    stream << "HEAD";
    for (const std::size_t size : sizes) {
      save(stream, record(size), {.codec = codec});
      ends.push_back(stream.tellp());
    }
    stream << "junk that is another protocol's";
    char head[4];
    stream.read(head, 4);
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
      EXPECT_TRUE(load<Record>(stream) == record(sizes[i])) << codec << sizes[i];
      EXPECT_EQ(stream.tellg(), ends[i]) << codec << sizes[i];
    }
    std::string rest;
    std::getline(stream, rest);
    EXPECT_EQ(rest, "junk that is another protocol's") << codec;
  }
}

TEST(Streams, TheSameWithOneReaderAndOneWriter) {
  for (const std::string& codec : codecs()) {
    std::stringstream stream;
    Writer out(stream, {.codec = codec, .metadata = {{"who", "me"}}});
    for (const std::size_t size : sizes) {
      out.write(record(size));
    }
    out.close();
    Reader in(stream);
    for (const std::size_t size : sizes) {
      ASSERT_TRUE(in.more());
      ASSERT_TRUE(in.more());
      EXPECT_TRUE(in.read<Record>() == record(size)) << codec << size;
      EXPECT_EQ(in.metadata().at("who"), "me");
    }
    EXPECT_FALSE(in.more());
    EXPECT_EQ(error_of([&] { in.read<Record>(); }).code(), Errc::truncated) << codec;
  }
}

TEST(Streams, EndsAndJunkAreErrors) {
  std::stringstream empty;
  EXPECT_FALSE(Reader(empty).more());
  EXPECT_EQ(error_of([&] { load<int>(empty); }).code(), Errc::truncated);
  std::stringstream junk("this is no archive at all, but long enough to be one.....................................");
  EXPECT_EQ(error_of([&] { load<int>(junk); }).code(), Errc::not_an_archive);
  std::stringstream bad;
  bad.setstate(std::ios::badbit);
  EXPECT_EQ(error_of([&] { save(bad, 3); }).code(), Errc::io);
}

/// A user-defined format around an archive: its finish() reads the seal that follows, and counts.
class SealedSource final : public Source {
 public:
  SealedSource(Data bytes, bool random_access)
      : bytes_(std::move(bytes)), random_access_(random_access), source_(memory_source(bytes_)) {}
  std::size_t read(MutableBytes into) override { return source_->read(into); }
  std::optional<std::uint64_t> size() const override {
    return random_access_ ? std::optional<std::uint64_t>(bytes_.size()) : std::nullopt;
  }
  bool random_access() const noexcept override { return random_access_; }
  void seek(std::uint64_t offset) override { source_->seek(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override { source_->read_at(offset, into); }
  void finish() override {
    ++finished;
    std::byte seal{};
    EXPECT_EQ(source_->read({&seal, 1}), 1U);
    EXPECT_EQ(seal, std::byte{'!'});
  }
  int finished = 0;

 private:
  const Data bytes_;
  const bool random_access_;
  const std::unique_ptr<Source> source_;
};

TEST(Sources, AUsersSourceIsFinishedAfterEachArchive) {
  for (const std::string& codec : codecs()) {
    for (const bool random_access : {false, true}) {
      SCOPED_TRACE(codec + (random_access ? ", random access" : ", in order"));
      Data sealed = to_bytes(record(2000), {.codec = codec});
      sealed.push_back(std::byte{'!'});
      SealedSource source(sealed, random_access);
      EXPECT_TRUE(load<Record>(source) == record(2000));
      EXPECT_EQ(source.finished, 1);
      SealedSource read(sealed, random_access);
      Reader reader(read);
      EXPECT_TRUE(reader.read<Record>() == record(2000));
      EXPECT_EQ(read.finished, 1);
    }
  }
}

TEST(Sources, WrappersForwardAllOfASource) {
  class Cut final : public Source {
   public:
    std::size_t read(MutableBytes) override { return 0; }
    std::optional<std::uint64_t> size() const override { return 100; }
    bool random_access() const noexcept override { return true; }
    void seek(std::uint64_t offset) override { position = offset; }
    std::uint64_t next_cut(std::uint64_t offset) const override { return offset / 10 * 10 + 10; }
    void finish() override { ++finished; }
    std::uint64_t position = 0;
    int finished = 0;
  };
  Cut source;
  BorrowedSource borrowed(source);
  EXPECT_EQ(borrowed.next_cut(25), 30U);
  borrowed.finish();
  EXPECT_EQ(source.finished, 1);
  TailSource tail(std::make_unique<BorrowedSource>(source), 7);
  EXPECT_EQ(tail.next_cut(25), 33U);
  tail.seek(1);
  EXPECT_EQ(source.position, 8U);
  tail.finish();
  EXPECT_EQ(source.finished, 2);
}

/// A stream buffer that can only be read forward, a few characters at a time.
class ForwardBuffer final : public std::streambuf {
 public:
  explicit ForwardBuffer(std::string text) : text_(std::move(text)) {}
  std::size_t taken() const { return taken_ - static_cast<std::size_t>(egptr() - gptr()); }

 private:
  int_type underflow() override {
    if (taken_ == text_.size()) {
      return traits_type::eof();
    }
    const std::size_t size = std::min<std::size_t>(3, text_.size() - taken_);
    setg(text_.data() + taken_, text_.data() + taken_, text_.data() + taken_ + size);
    taken_ += size;
    return traits_type::to_int_type(*gptr());
  }
  std::string text_;
  std::size_t taken_ = 0;
};

TEST(Streams, AStreamThatCannotSeekIsLeftAfterTheArchive) {
  for (const std::string& codec : codecs()) {
    std::stringstream made;
    save(made, record(3000), {.codec = codec});
    save(made, record(10), {.codec = codec});
    const std::size_t both = made.str().size();
    made << "X";
    ForwardBuffer buffer(made.str());
    std::istream stream(&buffer);
    EXPECT_TRUE(load<Record>(stream) == record(3000)) << codec;
    EXPECT_TRUE(load<Record>(stream) == record(10)) << codec;
    EXPECT_EQ(buffer.taken(), both) << codec;
    EXPECT_EQ(stream.get(), 'X') << codec;
  }
}

// --- Descriptors -----------------------------------------------------------------------------------------------------

class Ends {
 public:
  Ends(int read_end, int write_end) : fds_{read_end, write_end} {}
  ~Ends() {
    close_end(0);
    close_end(1);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  Descriptor in() const { return {fds_[0]}; }
  Descriptor out() const { return {fds_[1]}; }
  void close_end(int i) {
    if (fds_[i] >= 0) {
      ::close(std::exchange(fds_[i], -1));
    }
  }

 private:
  int fds_[2];
};

void exchange(Ends& ends, const std::string& codec) {
  std::exception_ptr failed;
  std::thread writer([&] {
    try {
      for (const std::size_t size : sizes) {
        save(ends.out(), record(size), {.codec = codec});
      }
      EXPECT_EQ(::write(ends.out().fd, "tail", 4), 4);
    } catch (...) {
      failed = std::current_exception();
    }
    ends.close_end(1);
  });
  try {
    for (const std::size_t size : sizes) {
      EXPECT_TRUE(load<Record>(ends.in()) == record(size)) << codec << size;
    }
    char tail[5] = {};
    EXPECT_EQ(::read(ends.in().fd, tail, 5), 4) << codec;
    EXPECT_STREQ(tail, "tail");
  } catch (const Error& error) {
    ADD_FAILURE() << codec << ": " << error.what();
    ends.close_end(0);
  }
  writer.join();
  EXPECT_EQ(failed, nullptr);
}

TEST(Streams, Pipes) {
  for (const std::string& codec : codecs()) {
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    Ends ends(fds[0], fds[1]);
    exchange(ends, codec);
  }
}

TEST(Streams, Sockets) {
  for (const std::string& codec : codecs()) {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    Ends ends(fds[0], fds[1]);
    exchange(ends, codec);
  }
}

TEST(Streams, RequestAndAnswerOverOneSocket) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  Ends ends(fds[0], fds[1]);
  std::thread server([&] {
    for (int i = 0; i < 20; ++i) {
      const auto question = load<std::vector<int>>(ends.out());
      save(ends.out(), question.size());
    }
  });
  for (std::size_t i = 0; i < 20; ++i) {
    save(ends.in(), std::vector<int>(i * 1000));
    EXPECT_EQ(load<std::size_t>(ends.in()), i * 1000);  // hangs if a byte too many is waited for
  }
  server.join();
}

TEST(Streams, DescriptorsOfFiles) {
  const Folder folder;
  for (const std::string& codec : codecs()) {
    const std::string path = folder / codec;
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::write(fd, "12345", 5), 5);
    std::vector<off_t> ends;
    for (const std::size_t size : sizes) {
      save(Descriptor{fd}, record(size), {.codec = codec});
      ends.push_back(::lseek(fd, 0, SEEK_CUR));
    }
    ASSERT_EQ(::write(fd, "tail", 4), 4);
    ASSERT_EQ(::lseek(fd, 5, SEEK_SET), 5);
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
      EXPECT_TRUE(load<Record>(Descriptor{fd}) == record(sizes[i])) << codec << sizes[i];
      EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), ends[i]) << codec << sizes[i];
    }
    char tail[5] = {};
    EXPECT_EQ(::read(fd, tail, 5), 4) << codec;
    EXPECT_STREQ(tail, "tail");
    ::close(fd);
  }
  EXPECT_EQ(error_of([] { save(Descriptor{-1}, 3); }).code(), Errc::io);
  EXPECT_EQ(error_of([] { load<int>(Descriptor{-1}); }).code(), Errc::io);
}

TEST(Streams, ADescriptorOpenedForAppending) {
  const Folder folder;
  for (int i = 0; i < 3; ++i) {
    const int fd = ::open((folder / "a").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ASSERT_GE(fd, 0);
    save(Descriptor{fd}, record(5000));
    ::close(fd);
  }
  Reader in(folder / "a");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(in.read<Record>() == record(5000));
  }
  EXPECT_FALSE(in.more());
}

TEST(Streams, AClosedPipeIsAnError) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  Ends ends(fds[0], fds[1]);
  ends.close_end(0);
  const auto old = std::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(error_of([&] { save(ends.out(), record(100)); }).code(), Errc::io);
  std::signal(SIGPIPE, old);
}

// --- A user's own ----------------------------------------------------------------------------------------------------

TEST(Streams, ASourceThatTricklesIsReadNoFurtherThanTheArchive) {
  for (const std::string& codec : codecs()) {
    for (const std::size_t piece : {1U, 2U, 7U, 4096U}) {
      PipeSink sink;
      save(sink, record(2000), {.codec = codec});
      const std::size_t first = sink.data.size();
      save(sink, record(10), {.codec = codec});
      const std::size_t both = sink.data.size();
      sink.data += data_of("and more of something else");
      TrickleSource source(sink.data, piece);
      EXPECT_TRUE(load<Record>(source) == record(2000)) << codec << piece;
      EXPECT_EQ(source.taken(), first) << codec << piece;
      EXPECT_TRUE(load<Record>(source) == record(10)) << codec << piece;
      EXPECT_EQ(source.taken(), both) << codec << piece;
      EXPECT_EQ(error_of([&] { load<int>(source); }).code(), Errc::not_an_archive) << codec;
    }
  }
}

TEST(Streams, ManySmallArchivesThroughOneReader) {
  for (const std::string& codec : codecs()) {
    PipeSink sink;
    Writer out(sink, {.codec = codec});
    for (int i = 0; i < 200; ++i) {
      out.write(std::pair(i, std::string(static_cast<std::size_t>(i) * 40, 'a')));
    }
    out.close();
    TrickleSource trickle(sink.data, 100);
    Reader stream(trickle);
    Reader memory{Bytes(sink.data)};
    for (Reader* in : {&stream, &memory}) {
      int count = 0;
      while (in->more()) {
        const auto [i, text] = in->read<std::pair<int, std::string>>();
        EXPECT_EQ(i, count);
        EXPECT_EQ(text.size(), static_cast<std::size_t>(count) * 40);
        ++count;
      }
      EXPECT_EQ(count, 200) << codec;
    }
  }
}

TEST(Streams, TheSinkIsClosedByItsOwnerOnly) {
  PipeSink sink;
  save(sink, 1);
  EXPECT_EQ(sink.closed, 0);
  Writer out(sink, {.codec = "gzip"});
  out.write(2);
  out.close();
  EXPECT_EQ(sink.closed, 0);
}

TEST(Streams, AFullSinkIsAnErrorAndTheWriterStaysUnusable) {
  for (const std::string& codec : codecs()) {
    PipeSink whole;
    save(whole, record(5000), {.codec = codec});
    for (std::size_t room : {std::size_t{0}, std::size_t{10}, whole.data.size() / 2, whole.data.size() - 1}) {
      PipeSink sink(room);
      Writer out(sink, {.codec = codec});
      EXPECT_EQ(error_of([&] {
                  out.write(record(5000));
                  out.close();
                }).code(),
                Errc::io)
          << codec << room;
      EXPECT_THROW(out.write(1), Error);
      EXPECT_THROW(out.close(), Error);
    }
  }
}

struct Throws {
  static void visit(auto& v, auto& self) {
    v("before", self.before);
    if (self.armed) {
      throw std::runtime_error("from visit");
    }
    v("after", self.after);
  }
  std::vector<double> before = std::vector<double>(100'000);
  int after = 0;
  bool armed = true;
};

TEST(Streams, AnExceptionFromAValueLeavesNothing) {
  const Folder folder;
  save(1, folder / "a.stele");
  const Data before = content(folder / "a.stele");
  EXPECT_THROW(save(Throws{}, folder / "a.stele"), std::runtime_error);
  EXPECT_EQ(content(folder / "a.stele"), before);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"a.stele"}));
  Writer out(folder / "b.stele.gz");
  EXPECT_THROW(out.write(Throws{}), std::runtime_error);
  EXPECT_THROW(out.write(1), Error);
  EXPECT_THROW(out.close(), Error);
}

TEST(Streams, AnUnclosedWriterLeavesNothing) {
  const Folder folder;
  {
    Writer out(folder / "a.stele");
    out.write(record(100'000));
    MapWriter map(folder / "b.stele");
    map.write("x", 1);
  }
  EXPECT_TRUE(folder.names().empty());
}

TEST(Streams, BadOptions) {
  PipeSink sink;
  EXPECT_EQ(error_of([&] { save(sink, 1, {.codec = "nonsense"}); }).code(), Errc::unknown_codec);
  EXPECT_EQ(error_of([&] { save(sink, 1, {.codec = "gzip", .level = 99}); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { save(sink, 1, {.level = 3}); }).code(), Errc::invalid_argument);
  const Folder folder;
  EXPECT_EQ(error_of([&] { save(1, folder / "a.stele", {.codec = "nonsense"}); }).code(), Errc::unknown_codec);
  EXPECT_EQ(error_of([&] { save(1, folder / "no/such/folder"); }).code(), Errc::io);
  EXPECT_EQ(error_of([&] { save(1, folder.path()); }).code(), Errc::io);
  EXPECT_EQ(error_of([&] { save(1, ""); }).code(), Errc::io);
  EXPECT_TRUE(folder.names().empty());
  EXPECT_EQ(error_of([&] { load<int>(folder / "none"); }).code(), Errc::not_found);
  EXPECT_EQ(error_of([&] { open(folder / "none"); }).code(), Errc::not_found);
  EXPECT_EQ(error_of([&] { load<int>(folder.path()); }).code(), Errc::not_found);
}

TEST(Streams, TheCodecComesFromTheExtensionAndIsFoundByTheMagicNumber) {
  const Folder folder;
  const Codecs known;
  for (const auto& codec : known.all()) {
    const std::string path = folder / ("a.stele" + std::string(codec->extensions()[0]));
    save(record(1000), path);
    EXPECT_EQ(open(path).info().codec, codec->name());
    std::filesystem::rename(path, folder / "plain.stele");
    EXPECT_TRUE(load<Record>(folder / "plain.stele") == record(1000));
    save(record(1000), path, {.codec = "plain"});
    EXPECT_EQ(open(path).info().codec, "plain");
  }
}

TEST(Streams, SkippableFramesMayStandInFront) {
  const Record wanted = record(2000);
  Data front = data_of(std::string_view("\x50\x2a\x4d\x18\5\0\0\0hello", 13));
  front += data_of(std::string_view("\x5f\x2a\x4d\x18\0\0\0\0", 8));
  Data large = data_of(std::string_view("\x53\x2a\x4d\x18\0\x20\0\0", 8));
  large += Data(0x2000);
  const Folder folder;
  const Codecs known;
  for (const std::string codec : {"lz4", "zstd"}) {
    if (known.find(codec) == nullptr) {
      continue;
    }
    for (const Data& first : {front, large}) {
      SCOPED_TRACE(codec);
      Data stored = first;
      stored += to_bytes(wanted, {.codec = codec});
      EXPECT_TRUE(from_bytes<Record>(stored) == wanted);
      EXPECT_TRUE(open(memory_source(stored)).load<std::vector<float>>("values") == wanted.values);
      TrickleSource pipe(stored);
      EXPECT_TRUE(load<Record>(pipe) == wanted);
      test::put(folder / "file", stored);
      EXPECT_TRUE(load<Record>(folder / "file") == wanted);
      EXPECT_EQ(error_of([&] { load<Record>(folder / "file", {.map = MapMode::read_only}); }).code(),
                Errc::not_mappable);
    }
  }
  EXPECT_EQ(error_of([&] { from_bytes<Record>(front); }).code(), Errc::not_an_archive);
}

TEST(Streams, BytesAfterAnArchiveInAFileOrInMemoryAreErrors) {
  const Folder folder;
  for (const std::string& codec : codecs()) {
    Data bytes = to_bytes(record(10), {.codec = codec});
    const Data good = bytes;
    bytes += data_of("x");
    EXPECT_THROW(from_bytes<Record>(bytes), Error) << codec;
    test::put(folder / "a", bytes);
    EXPECT_THROW(load<Record>(folder / "a"), Error) << codec;
    Data twice = good;
    twice += good;
    EXPECT_THROW(from_bytes<Record>(twice), Error) << codec;
    test::put(folder / "a", twice);
    EXPECT_TRUE(load<Record>(folder / "a") == record(10)) << codec;
  }
}

// --- MapWriter -------------------------------------------------------------------------------------------------------

struct Grown {
  std::string title;
  Array<float> loss;
  Array<float, 3> frames;
  std::vector<std::int64_t> steps;
  int end = 0;
};

void write_grown(MapWriter& out, std::size_t batches) {
  out.write("title", std::string("run"));
  auto loss = out.grow<float>("loss");
  for (std::size_t i = 0; i < batches; ++i) {
    loss.append(std::vector<float>(i % 7, static_cast<float>(i)));
  }
  loss.close();
  auto frames = out.grow<float>("frames", {4, 5});
  for (std::size_t i = 0; i < batches; ++i) {
    frames.append(counting<float, 3>({i % 3, 4, 5}));
    frames.append(std::vector<float>(20, static_cast<float>(i)));
    frames.append(counting<float, 3>({5, 4, 2}).transposed().slice(0, 0));
  }
  frames.close();
  auto steps = out.grow<std::int64_t>("steps");
  steps.close();
  out.write("end", 7);
  out.close();
}

void check_grown(const Grown& grown, std::size_t batches) {
  EXPECT_EQ(grown.title, "run");
  std::size_t rows = 0;
  std::size_t values = 0;
  for (std::size_t i = 0; i < batches; ++i) {
    rows += i % 3 + 1;
    values += i % 7;
  }
  EXPECT_EQ(grown.loss.size(), values);
  EXPECT_EQ(grown.frames.shape(), (std::array<std::uint64_t, 3>{rows, 4, 5}));
  EXPECT_TRUE(grown.steps.empty());
  EXPECT_EQ(grown.end, 7);
  if (batches > 0) {
    EXPECT_EQ(grown.frames(static_cast<std::int64_t>(rows) - 1, 3, 4), static_cast<float>(batches - 1));
  }
}

TEST(MapWriters, GrowOnFilesPipesAndCompressed) {
  const Folder folder;
  for (const std::size_t batches : {0U, 1U, 5U, 100U, 20'000U}) {
    for (const char* name : {"g.stele", "g.stele.gz"}) {
      MapWriter out(folder / name);
      write_grown(out, batches);
      check_grown(load<Grown>(folder / name), batches);
      const File file = open(folder / name);
      check_grown(file.load<Grown>(), batches);
      file.verify();
      EXPECT_EQ((file.load<Array<float, 3>>("frames").shape()[1]), 4U);
      EXPECT_EQ(file.load<int>("end"), 7);
    }
    PipeSink sink;
    MapWriter out(sink);
    write_grown(out, batches);
    check_grown(from_bytes<Grown>(sink.data), batches);
    TrickleSource source(sink.data, 1000);
    check_grown(load<Grown>(source), batches);
    const auto mapped = load<Grown>(folder / "g.stele", {.map = MapMode::read_only});
    check_grown(mapped, batches);
    if (batches >= 100) {
      EXPECT_FALSE(mapped.frames.writable());
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapped.frames.data()) % 64, 0U);
    }
  }
}

TEST(MapWriters, HoldAnyEntries) {
  const Folder folder;
  MapWriter out(folder / "m.stele", {.metadata = {{"a", "b"}}});
  out.write("record", record(1000));
  out.write("shared", std::vector{std::make_shared<int>(3)});
  const auto pointer = std::make_shared<std::string>("same");
  out.write("p", pointer);
  out.write("q", pointer);
  out.close();
  const File file = open(folder / "m.stele");
  EXPECT_TRUE(file.load<Record>("record") == record(1000));
  EXPECT_EQ(file.info().metadata.at("a"), "b");
  const auto all = file.list({.depth = 1});
  EXPECT_EQ(all.size(), 5U);  // the root and its entries
  EXPECT_EQ(*file.load<std::shared_ptr<std::string>>("q"), "same");
}

struct Tick {
  double time = 0;
  float bid = 0, ask = 0;
  bool operator==(const Tick&) const = default;
};

TEST(MapWriters, GrowRecordsAndStridedBatches) {
  const Folder folder;
  MapWriter out(folder / "t.stele");
  auto ticks = out.grow<Tick>("ticks");
  for (int i = 0; i < 1000; ++i) {
    ticks.append(std::vector<Tick>(3, Tick{static_cast<double>(i), 1, 2}));
  }
  ticks.close();
  auto rows = out.grow<int>("rows", {30});
  const auto base = counting<int, 2>({30, 40});
  rows.append(base.transposed());
  rows.append(base.transposed().slice(3, 4));
  rows.close();
  out.close();
  const File file = open(folder / "t.stele");
  EXPECT_EQ(file.load<std::vector<Tick>>("ticks").at(2999), (Tick{999, 1, 2}));
  const auto back = file.load<Array<int, 2>>("rows");
  EXPECT_EQ(back.shape(), (std::array<std::uint64_t, 2>{41, 30}));
  EXPECT_EQ(back(7, 3), base(3, 7));
  EXPECT_EQ(back(40, 9), base(9, 3));
}

TEST(MapWriters, AKeyIsWrittenOnce) {
  const Folder folder;
  MapWriter out(folder / "m.stele");
  out.write("b", 1);
  out.write("a", 2);
  EXPECT_ERROR(out.write("b", 3), Errc::invalid_argument, "b was written before");
  EXPECT_ERROR(out.grow<float>("a"), Errc::invalid_argument, "a was written before");
  out.write("c", 4);  // writing continues
  out.close();
  EXPECT_EQ((load<std::map<std::string, int>>(folder / "m.stele")),
            (std::map<std::string, int>{{"a", 2}, {"b", 1}, {"c", 4}}));
}

TEST(MapWriters, MisuseIsAnError) {
  const Folder folder;
  const auto code = [](auto action) { return error_of(action).code(); };
  MapWriter out(folder / "m.stele");
  auto rows = out.grow<float>("rows", {3});
  EXPECT_EQ(code([&] { out.write("x", 1); }), Errc::invalid_argument);
  EXPECT_EQ(code([&] { out.grow<int>("y"); }), Errc::invalid_argument);
  EXPECT_EQ(code([&] { out.close(); }), Errc::invalid_argument);
  EXPECT_EQ(code([&] { rows.append(std::vector<float>(4)); }), Errc::invalid_argument);
  EXPECT_EQ(code([&] { rows.append(counting<float, 2>({2, 4})); }), Errc::invalid_argument);
  EXPECT_EQ(code([&] { rows.append(counting<float, 1>({3})); }), Errc::invalid_argument);
  rows.append(std::vector<float>(6));
  rows.close();
  EXPECT_EQ(code([&] { rows.close(); }), Errc::invalid_argument);
  EXPECT_EQ(code([&] { rows.append(std::vector<float>(3)); }), Errc::invalid_argument);
  EXPECT_THROW(out.grow<float>("zero", {0}), Error);
}

TEST(MapWriters, TheSameKeyTwiceIsRefusedOrNotWritten) {
  const Folder folder;
  try {
    MapWriter out(folder / "m.stele");
    out.write("x", 1);
    out.write("x", 2);
    out.close();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    EXPECT_TRUE(folder.names().empty());
    return;
  }
  EXPECT_EQ(error_of([&] { (load<std::map<std::string, int>>(folder / "m.stele")); }).code(), Errc::malformed);
}

}  // namespace
}  // namespace stele
