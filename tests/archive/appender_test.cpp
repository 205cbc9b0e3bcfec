// Files that grow: what was committed is read after any end of the program, what was not is gone, and nothing else is
// ever cut off.

#include "stele/appender.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <map>
#include <numeric>
#include <thread>

#include "archive/append/extent.hpp"
#include "io/system.hpp"
#include "stele/block_codec.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::content;
using test::Data;
using test::error_of;
using test::Folder;
using test::put;

using Values = std::vector<std::int64_t>;

/// Entry number `i`: small, with a few that have a listed array.
Values entry_of(std::uint64_t i) {
  Values values(i % 7 == 3 ? 700 : i % 5);
  std::iota(values.begin(), values.end(), static_cast<std::int64_t>(i * 1000));
  values.push_back(static_cast<std::int64_t>(i));
  return values;
}

void append_to(const std::string& path, std::uint64_t count, const AppendOptions& options = {}) {
  Appender appender(path, options);
  const std::uint64_t first = appender.entries();
  for (std::uint64_t i = 0; i < count; ++i) {
    appender.append(entry_of(first + i));
  }
  appender.close();
}

/// Reads all entries and checks that they are those of their numbers; returns how many there are.
std::uint64_t entries_in(const std::string& path, const LoadOptions& options = {}) {
  EntryReader reader(path, options);
  while (reader.more()) {
    const std::uint64_t number = reader.position();
    EXPECT_EQ(reader.read<Values>(), entry_of(number));
  }
  EXPECT_EQ(reader.position(), reader.entries());
  return reader.position();
}

/// The same as an ordinary Reader sees it.
std::uint64_t archives_in(const std::string& path, const LoadOptions& options = {}) {
  Reader reader(path, options);
  std::uint64_t count = 0;
  while (reader.more()) {
    EXPECT_EQ(reader.read<Values>(), entry_of(count++));
  }
  return count;
}

std::vector<std::string> appendable() {
  std::vector<std::string> names = test::codecs();
  std::erase_if(names, [](const std::string& name) { return name == "zlib" || name == "lzma"; });
  return names;
}

class AppenderOf : public testing::TestWithParam<std::string> {
 protected:
  AppendOptions options(std::uint64_t commit_every = 0) const {
    return {.save = {.codec = GetParam()}, .commit_every = commit_every};
  }
  Folder folder_;
  const std::string path_ = folder_ / "log";
};
INSTANTIATE_TEST_SUITE_P(, AppenderOf, testing::ValuesIn(appendable()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

TEST_P(AppenderOf, WhatIsCommittedIsRead) {
  Appender appender(path_, options());
  EXPECT_EQ(entries_in(path_), 0u);
  EntryReader beside(path_);
  EXPECT_FALSE(beside.more());
  for (std::uint64_t i = 0; i < 20; ++i) {
    appender.append(entry_of(i));
    EXPECT_EQ(appender.pending(), i % 4 + 1);
    EXPECT_FALSE(beside.more());
    if (i % 4 == 3) {
      appender.commit();
      EXPECT_EQ(appender.entries(), i + 1);
      for (std::uint64_t k = i - 3; k <= i; ++k) {
        ASSERT_TRUE(beside.more());
        EXPECT_EQ(beside.read<Values>(), entry_of(k));
      }
      EXPECT_FALSE(beside.more());
    }
  }
  appender.append(entry_of(20));
  appender.close();
  EXPECT_TRUE(beside.more());
  EXPECT_EQ(entries_in(path_), 21u);
  EXPECT_EQ(archives_in(path_), 21u);
  EXPECT_EQ(load<Values>(path_), entry_of(0));
}

TEST_P(AppenderOf, CommitsOfSeveralBlocksAreRead) {
  const std::vector<std::vector<std::size_t>> commits{{700'000, 700'000},
                                                      {700'000, 700'000},
                                                      {34'612, 1'048'620, 72},
                                                      {1 << 20, 1 << 20, 5, 3 << 20},
                                                      {32'500, 9},
                                                      {1}};
  {
    Appender log(path_, {.save = {.codec = GetParam()}});
    for (const auto& sizes : commits) {
      for (const std::size_t size : sizes) {
        log.append(std::vector<std::uint8_t>(size, static_cast<std::uint8_t>(size)));
      }
      log.commit();
    }
    log.close();
  }
  EntryReader in(path_);
  for (const auto& sizes : commits) {
    for (const std::size_t size : sizes) {
      ASSERT_TRUE(in.more()) << size;
      ASSERT_EQ(in.read<std::vector<std::uint8_t>>(), std::vector<std::uint8_t>(size, static_cast<std::uint8_t>(size)));
    }
  }
  EXPECT_FALSE(in.more());
  EXPECT_EQ(Appender(path_, {.save = {.codec = GetParam()}}).entries(), 14U);
}

TEST_P(AppenderOf, OpeningAgainGoesOn) {
  for (std::uint64_t round = 1; round <= 6; ++round) {
    append_to(path_, round, options(3));
  }
  EXPECT_EQ(entries_in(path_), 21u);
  EXPECT_EQ(archives_in(path_), 21u);
  Appender again(path_);  // of the codec that the file has
  EXPECT_EQ(again.entries(), 21u);
  EXPECT_EQ(again.cut_bytes(), 0u);
}

TEST_P(AppenderOf, WhatWasNotCommittedIsGone) {
  append_to(path_, 3, options());
  const Data before = content(path_);
  {
    Appender appender(path_, options());
    appender.append(entry_of(3));
  }
  EXPECT_EQ(content(path_), before);
}

TEST_P(AppenderOf, ATornEndIsCutAtEveryByte) {
  append_to(path_, 1, options());
  const std::uint64_t first = content(path_).size();
  append_to(path_, 2, options());
  const Data whole = content(path_);
  const std::string torn = folder_ / "torn";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    put(torn, Bytes(whole).first(size));
    const std::uint64_t seen = entries_in(torn);
    const std::uint64_t least = size >= first ? 1 : 0;
    // A plain file keeps entries of a commit. What ends a compressed commit may be missing.
    ASSERT_TRUE(seen == least || (GetParam() == "plain" && seen > least && seen < 3) ||
                (seen == 1 && size + 64 > first) || (seen == 3 && size + 64 > whole.size()))
        << seen;
    Appender appender(torn, options());
    ASSERT_EQ(appender.entries(), seen);
    appender.append(entry_of(seen));
    appender.append(entry_of(seen + 1));
    appender.close();
    ASSERT_EQ(entries_in(torn), seen + 2);
    if (size % 16 == 0) {
      ASSERT_EQ(archives_in(torn), seen + 2);
    }
  }
}

/// As a kill in the middle of a write leaves it: without the first byte.
TEST_P(AppenderOf, ACommitThatIsBeingWrittenIsNotSeen) {
  append_to(path_, 1, options());
  const std::uint64_t before = content(path_).size();
  append_to(path_, 2, options());
  Data whole = content(path_);
  whole[before] = std::byte{0};
  const std::string torn = folder_ / "torn";
  for (std::size_t size = before + 1; size <= whole.size(); ++size) {
    SCOPED_TRACE(size);
    put(torn, Bytes(whole).first(size));
    ASSERT_EQ(entries_in(torn), 1u);
    EXPECT_EQ(recover_appended(torn).torn_bytes, size - before);
    Appender appender(torn, options());
    ASSERT_EQ(appender.entries(), 1u);
    EXPECT_EQ(appender.cut_bytes(), size - before);
    appender.append(entry_of(1));
    appender.close();
    ASSERT_EQ(entries_in(torn), 2u);
  }
}

TEST_P(AppenderOf, SoIsTheFirstCommitOfAFile) {
  append_to(path_, 2, options());
  Data whole = content(path_);
  whole[0] = std::byte{0};
  const std::string torn = folder_ / "torn";
  for (std::size_t size = 1; size <= whole.size(); ++size) {
    SCOPED_TRACE(size);
    put(torn, Bytes(whole).first(size));
    ASSERT_EQ(entries_in(torn), 0u);
    append_to(torn, 2, options());
    ASSERT_EQ(entries_in(torn), 2u);
  }
}

/// As a loss of power leaves a file whose new size was stored before its bytes.
TEST_P(AppenderOf, ZerosAtTheEndAreATornEnd) {
  append_to(path_, 2, options());
  const Data before = content(path_);
  append_to(path_, 1, options());
  const Data after = content(path_);
  const std::string torn = folder_ / "torn";
  for (std::size_t kept = before.size(); kept + 8 < after.size(); kept += 7) {
    SCOPED_TRACE(kept);
    Data zeros = after;
    std::fill(zeros.begin() + static_cast<std::ptrdiff_t>(kept), zeros.end(), std::byte{0});
    zeros.resize(kept + 5000);
    put(torn, zeros);
    const std::uint64_t seen = entries_in(torn);
    // What ends a compressed commit may be missing, if the entries are there.
    ASSERT_TRUE(seen == 2 || (GetParam() != "plain" && seen == 3 && kept + 64 > after.size())) << seen;
    append_to(torn, 1, options());
    ASSERT_EQ(entries_in(torn), seen + 1);
  }
  put(torn, Data(4096));
  append_to(torn, 1, options());
  EXPECT_EQ(entries_in(torn), 1u);
}

TEST_P(AppenderOf, DamageIsNeverCut) {
  append_to(path_, 3, options(1));
  const Data whole = content(path_);
  const std::string damaged = folder_ / "damaged";
  std::uint64_t refused = 0;
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    SCOPED_TRACE(at);
    Data bytes = whole;
    bytes[at] ^= std::byte{0x55};
    put(damaged, bytes);
    bool noticed = false;
    try {
      EXPECT_EQ(entries_in(damaged), 3u);  // some bytes mean nothing
    } catch (const Error&) {
      noticed = true;
    }
    EXPECT_TRUE(noticed || GetParam() != "plain");
    if (!noticed) {
      EXPECT_EQ(Appender(damaged, options()).entries(), 3u);
      continue;
    }
    EXPECT_THROW(recover_appended(damaged, true), Error);
    EXPECT_EQ(content(damaged), bytes);
    try {
      Appender appender(damaged, options());
      EXPECT_EQ(appender.cut_bytes(), 0u);
      EXPECT_EQ(appender.entries(), 3u);
    } catch (const Error&) {
      ++refused;
    }
    EXPECT_EQ(content(damaged), bytes);
  }
  EXPECT_GT(refused, 3u);  // those in the last commit
}

TEST_P(AppenderOf, EntriesAreFoundByTheirNumbers) {
  constexpr std::uint64_t count = 200;
  append_to(path_, count, options(7));
  EntryReader reader(path_);
  EXPECT_EQ(reader.entries(), count);
  for (std::uint64_t i : {0, 199, 3, 100, 101, 99, 150, 6, 7, 8, 198, 50, 0}) {
    reader.seek(i);
    EXPECT_EQ(reader.position(), i);
    EXPECT_EQ(reader.read<Values>(), entry_of(i));
  }
  reader.seek(10);
  reader.skip();
  EXPECT_EQ(reader.read<Values>(), entry_of(11));
  reader.skip(70);
  EXPECT_EQ(reader.read<Values>(), entry_of(82));
  reader.seek(count);
  EXPECT_FALSE(reader.more());
  EXPECT_EQ(error_of([&] { reader.seek(count + 1); }).code(), Errc::truncated);
  EXPECT_EQ(error_of([&] { (void)reader.read<Values>(); }).code(), Errc::truncated);
  append_to(path_, 1, options());
  EXPECT_EQ(reader.read<Values>(), entry_of(count));
  reader.seek(count - 2);
  EXPECT_EQ(error_of([&] { reader.skip(4); }).code(), Errc::truncated);
  EXPECT_EQ(reader.read<Values>(), entry_of(count - 2));
}

TEST_P(AppenderOf, AnEntryThatWasReadAsAnotherTypeCanBeReadAgain) {
  append_to(path_, 10, options(5));
  EntryReader reader(path_);
  reader.seek(6);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(error_of([&] { (void)reader.read<std::string>(); }).code(), Errc::type_mismatch);
    EXPECT_EQ(reader.position(), 6u);
  }
  EXPECT_EQ(reader.read<Values>(), entry_of(6));
  EXPECT_EQ(error_of([&] { (void)reader.read<std::string>(); }).code(), Errc::type_mismatch);
  reader.skip();
  EXPECT_EQ(reader.read<Values>(), entry_of(8));
}

TEST_P(AppenderOf, EntriesOfManyTypesAndSizes) {
  struct Row {
    std::string name;
    double loss = 0;
    bool operator==(const Row&) const = default;
  };
  const Row row{"a", 0.25};
  const std::vector<std::string> texts(30'000, "a text that is long enough");  // of several MB with what follows
  Values large(400'000);
  std::iota(large.begin(), large.end(), 7);
  {
    Appender appender(path_, options());
    appender.append(row);
    appender.append(texts);
    appender.append(large);
    appender.append(std::string("end"));
    appender.commit();
    appender.append(std::map<std::string, Values>{{"x", large}, {"y", {}}});
    appender.close();
  }
  EntryReader reader(path_);
  for (const bool again : {false, true}) {
    if (again) {
      reader.seek(0);
    }
    EXPECT_EQ(reader.read<Row>(), row);
    EXPECT_EQ(reader.read<std::vector<std::string>>(), texts);
    EXPECT_EQ(reader.read<Values>(), large);
    EXPECT_EQ(reader.read<std::string>(), "end");
    EXPECT_EQ((reader.read<std::map<std::string, Values>>().at("x")), large);
    EXPECT_FALSE(reader.more());
  }
  Reader ordinary(path_);
  EXPECT_EQ(ordinary.read<Row>(), row);
  for (int i = 1; i < 5; ++i) {
    (void)ordinary.read<Value>();
  }
  EXPECT_FALSE(ordinary.more());
  const Data whole = content(path_);
  const std::string torn = folder_ / "torn";
  for (std::size_t part = 1; part < 20; ++part) {
    put(torn, Bytes(whole).first(whole.size() * part / 20));
    EntryReader beside(torn);
    Appender appender(torn, options());
    EXPECT_EQ(appender.entries(), beside.entries());
    appender.append(row);
    appender.close();
    EXPECT_EQ(beside.entries(), appender.entries());
    beside.seek(appender.entries() - 1);
    EXPECT_EQ(beside.read<Row>(), row);
  }
}

TEST_P(AppenderOf, AValueThatCannotBeWrittenLeavesTheOthers) {
  struct Nested {
    std::vector<Nested> inside;
  };
  Nested deep;
  for (int i = 0; i < 1200; ++i) {
    Nested outer;
    outer.inside.push_back(std::move(deep));
    deep = std::move(outer);
  }
  Appender appender(path_, options());
  for (std::uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(error_of([&] { appender.append(deep); }).code(), Errc::limit_exceeded);
    if (i == 2) {
      appender.commit();
      EXPECT_EQ(error_of([&] { appender.append(deep); }).code(), Errc::limit_exceeded);
      appender.commit();
    }
    EXPECT_EQ(appender.pending(), i % 2);
    appender.append(entry_of(i));
  }
  appender.close();
  EXPECT_EQ(entries_in(path_), 4u);
  while (!deep.inside.empty()) {  // its destructor would recurse
    deep = Nested(std::move(deep.inside.front()));
  }
}

TEST_P(AppenderOf, ASecondAppenderIsRefused) {
  Appender first(path_, options());
  EXPECT_EQ(error_of([&] { Appender second(path_, options()); }).code(), Errc::busy);
  EXPECT_EQ(error_of([&] { recover_appended(path_); }).code(), Errc::busy);
  EXPECT_EQ(error_of([&] { recover_appended(path_, true); }).code(), Errc::busy);
  first.append(entry_of(0));
  first.close();
  EXPECT_EQ(error_of([&] { first.append(entry_of(0)); }).code(), Errc::invalid_argument);
  append_to(path_, 1, options());
  EXPECT_EQ(entries_in(path_), 2u);
}

TEST_P(AppenderOf, AFileOfAnotherCodecIsRefused) {
  append_to(path_, 1, options());
  for (const std::string& codec : appendable()) {
    if (codec != GetParam()) {
      EXPECT_EQ(error_of([&] { Appender other(path_, {.save = {.codec = codec}}); }).code(), Errc::invalid_argument);
    }
  }
}

TEST_P(AppenderOf, AFileThatNoAppenderWroteIsRefusedAndKept) {
  save(entry_of(0), path_, {.codec = GetParam()});
  const Data saved = content(path_);
  EXPECT_ERROR(Appender(path_, options()), Errc::invalid_argument, "no Appender wrote");
  EXPECT_ERROR(recover_appended(path_, true), Errc::invalid_argument, "no Appender wrote");
  EXPECT_EQ(content(path_), saved);
  const std::vector<std::string> texts{"h", "hello", "some text of a page and more of it",
                                       std::string(1, '\0') + "mov"};
  for (const std::string& text : texts) {
    put(path_, std::as_bytes(std::span(text)));
    const Data other = content(path_);
    if (!other.empty()) {
      EXPECT_THROW(Appender(path_, options()), Error) << text;
    }
    EXPECT_EQ(content(path_), other);
  }
  const std::string movie(
      "\0\0\0\x20"
      "ftypisom and so on, for some more bytes",
      40);
  put(path_, std::as_bytes(std::span(movie)));
  const Data other = content(path_);
  EXPECT_THROW(Appender(path_, options()), Error);
  EXPECT_EQ(content(path_), other);
}

/// The bytes of another such file inside of an entry are not taken for entries.
TEST_P(AppenderOf, AFileInsideOfAnEntryIsNotMistaken) {
  append_to(path_, 3, options(2));
  const Data inner = content(path_);
  const std::string outer = folder_ / "outer";
  {
    Appender appender(outer, {.save = {.codec = GetParam(), .filter = "none"}});
    appender.append(std::string("first"));
    appender.commit();
    appender.append(std::vector<std::byte>(inner.begin(), inner.end()));
    appender.close();
  }
  const Data whole = content(outer);
  const auto within = std::search(whole.begin(), whole.end(), inner.begin(), inner.end());
  const std::string torn = folder_ / "torn";
  const std::size_t from = within != whole.end() ? static_cast<std::size_t>(within - whole.begin()) : whole.size() / 2;
  for (std::size_t size = from; size < whole.size(); ++size) {
    put(torn, Bytes(whole).first(size));
    const std::uint64_t seen = EntryReader(torn).entries();
    ASSERT_TRUE(seen == 1 || (GetParam() != "plain" && seen == 2 && size + 64 > whole.size())) << size << ' ' << seen;
    ASSERT_EQ(Appender(torn, options()).entries(), seen) << size;
  }
}

// --- Calls that fail -------------------------------------------------------------------------------------------------

int writes_left = -1;
bool last_is_short = false;
int write_error = ENOSPC;
bool cut_fails = false;

class AppenderFaults : public AppenderOf {
 protected:
  void SetUp() override {
    static const SystemCalls real = system_calls();
    real_ = &real;
    writes_left = -1;
    cut_fails = false;
    system_calls().pwrite = [](int fd, const void* from, std::size_t count, off_t offset) -> ssize_t {
      if (writes_left == 0) {
        errno = write_error;
        return -1;
      }
      if (writes_left > 0 && --writes_left == 0 && last_is_short) {
        count = count / 2;
      }
      return real_->pwrite(fd, from, count, offset);
    };
    system_calls().ftruncate = [](int fd, off_t length) {
      if (cut_fails) {
        errno = EIO;
        return -1;
      }
      return real_->ftruncate(fd, length);
    };
    system_calls().fsync = [](int fd) {
      if (writes_left == 0) {
        errno = EIO;
        return -1;
      }
      return real_->fsync(fd);
    };
  }
  void TearDown() override { system_calls() = *real_; }
  static inline const SystemCalls* real_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(, AppenderFaults, testing::ValuesIn(appendable()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

TEST_P(AppenderFaults, AFullDiskKeepsWhatWasAppended) {
  struct Plan {
    int writes;
    bool last_is_short;
  };
  for (const bool cut : {true, false}) {
    for (const Plan plan :
         {Plan{0, false}, Plan{1, true}, Plan{1, false}}) {  // at once, in the middle, at the first byte
      SCOPED_TRACE(plan.writes);
      std::filesystem::remove(path_);
      append_to(path_, 2, options());
      const Data before = content(path_);
      Appender appender(path_, options());
      EntryReader beside(path_);
      appender.append(entry_of(2));
      writes_left = plan.writes;
      last_is_short = plan.last_is_short;
      cut_fails = !cut;
      EXPECT_EQ(error_of([&] { appender.commit(); }).code(), Errc::io);
      EXPECT_EQ(appender.pending(), 1u);
      EXPECT_EQ(beside.entries(), 2u);
      if (cut) {
        EXPECT_EQ(content(path_), before);
      }
      appender.append(entry_of(3));
      EXPECT_EQ(error_of([&] { appender.commit(); }).code(), Errc::io);
      EXPECT_EQ(appender.pending(), 2u);
      EXPECT_EQ(beside.entries(), 2u);
      writes_left = -1;
      appender.append(entry_of(4));
      appender.commit();
      appender.append(entry_of(5));
      appender.close();
      EXPECT_EQ(entries_in(path_), 6u);
      EXPECT_EQ(archives_in(path_), 6u);
    }
  }
}

TEST_P(AppenderFaults, AfterAFailedSyncTheFileIsOpenedAgain) {
  AppendOptions synced = options();
  synced.save.sync = Sync::file_folder;
  append_to(path_, 1, synced);
  Appender appender(path_, synced);
  system_calls().fsync = [](int) {
    errno = EIO;
    return -1;
  };
  appender.append(entry_of(1));
  EXPECT_EQ(error_of([&] { appender.commit(); }).code(), Errc::io);
  EXPECT_EQ(error_of([&] { appender.append(entry_of(2)); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { appender.close(); }).code(), Errc::invalid_argument);
}

TEST_P(AppenderOf, AChangeByAnotherProgramIsNoticed) {
  Appender appender(path_, options(1));
  appender.append(entry_of(0));
  {
    std::ofstream(path_, std::ios::app) << "and more";
  }
  EXPECT_EQ(error_of([&] { appender.append(entry_of(1)); }).code(), Errc::io);
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 8);
  appender.commit();
  EXPECT_EQ(entries_in(path_), 2u);
  std::filesystem::remove(path_);
  EXPECT_EQ(error_of([&] { appender.append(entry_of(2)); }).code(), Errc::io);
}

// --- Other -----------------------------------------------------------------------------------------------------------

bool holds(const Data& bytes, std::string_view part) {
  const Bytes wanted = std::as_bytes(std::span(part));
  return std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end()) != bytes.end();
}

TEST(Appender, TheFileIsAsTheFormatSays) {
  const Folder folder;
  const std::string path = folder / "log";
  append_to(path, 2, {.commit_every = 1});
  const Data plain = content(path);
  ASSERT_EQ(plain.size(), 256u);  // 128 each
  EXPECT_TRUE(holds(plain, std::string_view("\x68"
                                            "appended\x82\x00\x00",
                                            12)));
  EXPECT_TRUE(holds(plain, std::string_view("\x68"
                                            "appended\x82\x01\x18\x80",
                                            13)));
  for (const char* codec : {"zstd", "lz4"}) {
    if (test::has_codec(codec)) {
      const std::string other = folder / codec;
      append_to(other, 3, {.save = {.codec = codec}});
      const std::string_view mark("\x53\x2a\x4d\x18\x08\x00\x00\x00STELEEND", 16);
      const Data stored = content(other);
      EXPECT_TRUE(holds({stored.end() - 16, stored.end()}, mark)) << codec;
    }
  }
}

TEST(Appender, TheExtensionChoosesTheCodec) {
  const Folder folder;
  append_to(folder / "log.stele.gz", 2);
  append_to(folder / "log.stele", 2);
  EXPECT_EQ(open(folder / "log.stele.gz").info().codec, "gzip");
  EXPECT_EQ(open(folder / "log.stele").info().codec, "plain");
}

TEST(Appender, CodecsWhoseFilesCannotBeJoinedAreRefused) {
  const Folder folder;
  for (const char* codec : {"zlib", "lzma"}) {
    if (test::has_codec(codec)) {
      EXPECT_ERROR(Appender(folder / "log", {.save = {.codec = codec}}), Errc::invalid_argument,
                   "cannot be appended to");
    }
  }
  EXPECT_EQ(error_of([&] { Appender(folder / "log", {.save = {.codec = "none such"}}); }).code(), Errc::unknown_codec);
  EXPECT_EQ(error_of([&] { Appender(folder / "log", {.save = {.level = 3}}); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { Appender(folder.path().string()); }).code(), Errc::io);
  EXPECT_EQ(error_of([&] { Appender("/dev/null"); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { EntryReader(folder / "none such"); }).code(), Errc::not_found);
}

TEST(Appender, ACodecOfTheCallersDoes) {
  Codecs codecs;
  codecs.add(block_codec({.name = "runs",
                          .extensions = {".runs"},
                          .magic = "RUNS",
                          .compress =
                              [](Bytes plain, int, std::vector<std::byte>& out) {
                                for (std::size_t i = 0; i < plain.size();) {
                                  std::size_t run = 1;
                                  while (run < 255 && i + run < plain.size() && plain[i + run] == plain[i]) {
                                    ++run;
                                  }
                                  out.push_back(static_cast<std::byte>(run));
                                  out.push_back(plain[i]);
                                  i += run;
                                }
                              },
                          .decompress =
                              [](Bytes in, MutableBytes plain) {
                                std::size_t at = 0;
                                for (std::size_t i = 0; i + 1 < in.size(); i += 2) {
                                  const auto run = std::to_integer<std::size_t>(in[i]);
                                  if (run > plain.size() - at) {
                                    return false;
                                  }
                                  std::fill_n(plain.begin() + static_cast<std::ptrdiff_t>(at), run, in[i + 1]);
                                  at += run;
                                }
                                return at == plain.size() && in.size() % 2 == 0;
                              }}));
  const Folder folder;
  const std::string path = folder / "log.runs";
  const AppendOptions options{.save = {.codecs = &codecs}, .commit_every = 2};
  const LoadOptions reading{.codecs = &codecs};
  append_to(path, 3, options);
  const Data whole = content(path);
  EXPECT_EQ(entries_in(path, reading), 3u);
  EXPECT_EQ(archives_in(path, reading), 3u);
  for (std::size_t size = 0; size < whole.size(); size += 3) {
    put(path, Bytes(whole).first(size));
    const std::uint64_t seen = entries_in(path, reading);
    EXPECT_NE(seen, 1u);  // entries 0 and 1 are one commit
    append_to(path, 3 - seen, options);
    EXPECT_EQ(entries_in(path, reading), 3u);
  }
}

TEST(Appender, EntriesOfAPlainFileAreMapped) {
  const Folder folder;
  const std::string path = folder / "log";
  append_to(path, 5);
  EntryReader reader(path);
  reader.seek(3);
  const auto array =
      load<Array<std::int64_t, 1>>(path, {.map = MapMode::read_only, .map_all = true, .offset = reader.offset()});
  EXPECT_EQ(array.size(), 701u);
  EXPECT_EQ(array(700), 3);
  EXPECT_EQ(error_of([&] { EntryReader(path, {.map = MapMode::read_only}); }).code(), Errc::invalid_argument);
}

TEST(Appender, EntriesHaveMetadata) {
  const Folder folder;
  const std::string path = folder / "log";
  append_to(path, 1, {.save = {.metadata = {{"run", 7}}}});
  EntryReader reader(path);
  (void)reader.read<Values>();
  EXPECT_EQ(reader.metadata().at("run"), 7);
}

TEST(Appender, AChildOfForkCannotUseIt) {
  const Folder folder;
  const std::string path = folder / "log";
  Appender appender(path, {.commit_every = 1});
  appender.append(entry_of(0));
  const pid_t child = ::fork();
  if (child == 0) {
    bool refused = false;
    try {
      appender.append(entry_of(1));
    } catch (const Error& error) {
      refused = error.code() == Errc::invalid_argument;
    }
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(error_of([&] { Appender second(path); }).code(), Errc::busy);
  appender.append(entry_of(1));
  EXPECT_EQ(entries_in(path), 2u);
}

/// A file made to have as many ends as possible.
TEST(Appender, AHostileFileTakesBoundedTime) {
  const Folder folder;
  const std::string path = folder / "log";
  append_to(path, 1);
  const Data one = content(path);
  Data many;
  for (int i = 0; i < 5'000; ++i) {
    many.insert(many.end(), one.begin(), one.end());  // each says that it is the first
  }
  put(path, many);
  EXPECT_THROW(Appender{path}, Error);
  EXPECT_EQ(content(path).size(), many.size());
  EXPECT_THROW(entries_in(path), Error);
}

// --- Kills -----------------------------------------------------------------------------------------------------------

/// Appends entries one by one and reports each commit, until it is killed.
[[noreturn]] void append_until_killed(const std::string& path, const AppendOptions& options, unsigned seed, int tell) {
  std::minstd_rand random(seed);
  try {
    Appender appender(path, options);
    for (;;) {
      for (std::uint64_t i = 1 + random() % 5; i > 0; --i) {
        appender.append(entry_of(appender.entries() + appender.pending()));
      }
      appender.commit();
      const std::uint64_t entries = appender.entries();
      if (::write(tell, &entries, sizeof entries) != sizeof entries) {
        break;
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  ::_exit(1);
}

/// STELE_KILLS kills in all, 40 without it.
TEST_P(AppenderOf, NothingCommittedIsLostWhenTheProgramIsKilled) {
  const char* const wanted = std::getenv("STELE_KILLS");
  const int rounds = wanted != nullptr ? std::atoi(wanted) : 40;
  std::minstd_rand random(7);
  EntryReader* beside = nullptr;
  std::unique_ptr<EntryReader> reader;
  std::uint64_t cuts = 0;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const auto seed = static_cast<unsigned>(random());
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      append_until_killed(path_, options(), seed, ends[1]);
    }
    ::close(ends[1]);
    const test::Finally close_end([&] { ::close(ends[0]); });
    std::uint64_t committed = 0;
    const auto hear = [&] {
      std::uint64_t entries = 0;
      const ssize_t got = ::read(ends[0], &entries, sizeof entries);
      if (got == sizeof entries) {
        committed = entries;
      }
      return got == sizeof entries;
    };
    const auto read_on = [&] {
      while (beside->more()) {
        const std::uint64_t number = beside->position();
        ASSERT_EQ(beside->read<Values>(), entry_of(number));
      }
    };
    ASSERT_TRUE(hear());
    if (reader == nullptr) {
      reader = std::make_unique<EntryReader>(path_);
      beside = reader.get();
    }
    // Reads beside it until the kill, which comes at any moment.
    std::jthread killer([child, wait = random() % 3000] {
      std::this_thread::sleep_for(std::chrono::microseconds(wait));
      ::kill(child, SIGKILL);
    });
    do {
      read_on();
      ASSERT_FALSE(HasFatalFailure());
      ASSERT_GE(beside->position(), committed);
      struct pollfd more{ends[0], POLLIN, 0};
      if (::poll(&more, 1, 0) == 1 && !hear()) {
        break;
      }
    } while (true);
    killer.join();
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    read_on();
    ASSERT_GE(beside->position(), committed);
    const AppendedFile found = recover_appended(path_, round % 2 == 0);
    ASSERT_EQ(found.entries, beside->position());
    cuts += found.torn_bytes > 0 ? 1 : 0;
    if (content(path_).size() > 300'000) {
      ASSERT_EQ(entries_in(path_), found.entries);
      std::filesystem::remove(path_);
      reader = nullptr;
    }
  }
  if (reader != nullptr) {
    ASSERT_EQ(entries_in(path_), reader->position());
  }
  RecordProperty("torn", static_cast<int>(cuts));
}

}  // namespace
}  // namespace stele
