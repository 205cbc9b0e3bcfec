// Damaged checkpoints, and linked archives that lie: right values or an Error, in bounded time and memory.

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <numeric>

#include "archive/linked/source.hpp"
#include "format/directory.hpp"
#include "stele/checkpoint.hpp"
#include "stele/value.hpp"
#include "support/memory.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::content;
using test::Data;
using test::error_of;
using test::Folder;
using test::put;
using test::operator+=;

struct Small {
  int step = 0;
  std::vector<std::uint16_t> large;  // just large enough to be referred to
  std::vector<float> own;
};

Small small(int step) {
  Small made{step, test::numbers<std::uint16_t>(32 << 10), {}};
  made.own.assign(1100, static_cast<float>(step));
  return made;
}

bool operator==(const Small& a, const Small& b) { return a.step == b.step && a.large == b.large && a.own == b.own; }

/// Two checkpoints, of which the second refers to the first.
class CheckpointDamage : public testing::Test {
 protected:
  void SetUp() override {
    Checkpoints kept = Checkpoints::open(path, {.sync = Sync::none});
    first = kept.save(1, small(1)).file;
    const CheckpointInfo info = kept.save(2, small(2));
    second = info.file;
    ASSERT_EQ(info.referred, 2 * small(1).large.size());
  }
  /// One of them is restored with the right values, or there is an Error. Returns how many verify() finds damaged.
  std::size_t check(const std::string& what) {
    const Checkpoints kept = Checkpoints::open(path, {.threads = 1, .read_only = true});
    const CheckpointReport report = kept.verify();
    for (const Verify verify : {Verify::automatic, Verify::full}) {
      for (const MapMode map : {MapMode::none, MapMode::read_only}) {
        if (map != MapMode::none && verify != Verify::full) {
          continue;  // by then arrays are not checked
        }
        try {
          const Small found = kept.restore<Small>({.verify = verify, .map = map});
          EXPECT_TRUE(found == small(found.step)) << what;
          EXPECT_EQ(found.step, report.damaged.empty() || report.damaged.back().first != 2 ? 2 : 1) << what;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), Errc::not_found) << what << ": " << error.what();
          EXPECT_EQ(report.damaged.size(), 2) << what << ": " << error.what();
        }
      }
    }
    return report.damaged.size();
  }
  const Folder place;
  const std::string path = place / "kept";
  std::string first;
  std::string second;
};

TEST_F(CheckpointDamage, OfAnyByteIsFound) {
  for (const std::string& file : {second, first}) {
    const Data whole = content(file);
    std::size_t found = 0;  // zeros that align the bytes of a linked archive have no checksum, and no meaning
    for (std::size_t at = 0; at < whole.size(); at += at > 200 && at + 600 < whole.size() ? whole.size() / 600 : 1) {
      Data bytes = whole;
      bytes[at] ^= std::byte(1 << at % 8);
      put(file, bytes);
      found += check(file + " " + std::to_string(at)) > 0 ? 1 : 0;
      ASSERT_FALSE(HasFailure());
    }
    put(file, whole);
    EXPECT_GT(found, 1000);
  }
}

TEST_F(CheckpointDamage, ByTruncationIsFound) {
  for (const std::string& file : {second, first}) {
    const Data whole = content(file);
    for (std::size_t size = 0; size < whole.size(); size += size > 200 && size + 200 < whole.size() ? 311 : 1) {
      put(file, Bytes(whole).first(size));
      EXPECT_GT(check(file + " " + std::to_string(size)), 0);
      ASSERT_FALSE(HasFailure());
    }
    put(file, whole);
  }
}

/// Its directory is damaged, its arrays are whole, and so is what refers to them.
TEST_F(CheckpointDamage, OfADirectoryDoesNotTakeWhatRefersToTheArrays) {
  const Data whole = content(first);
  const Trailer trailer = decode_trailer(std::span(whole).last<frozen::trailer_bytes>(),
                                         whole.size() - frozen::trailer_bytes, frozen::end_magic);
  Data bytes = whole;
  bytes[trailer.directory_offset + 5] ^= std::byte{4};
  put(first, bytes);
  EXPECT_TRUE(Checkpoints::open(path).restore<Small>({.step = 2}) == small(2));
  {
    Checkpoints kept = Checkpoints::open(path);
    kept.save(1, small(7), {.overwrite = true});
    EXPECT_TRUE(kept.restore<Small>({.step = 2}) == small(2));
    EXPECT_TRUE(kept.restore<Small>({.step = 1}) == small(7));
    EXPECT_EQ(kept.verify().damaged.size(), 0);
  }
}

TEST_F(CheckpointDamage, IsRemovedWithoutWhatOthersReferTo) {
  Data bytes = content(first);
  const Trailer trailer = decode_trailer(std::span(bytes).last<frozen::trailer_bytes>(),
                                         bytes.size() - frozen::trailer_bytes, frozen::end_magic);
  bytes[trailer.directory_offset + 5] ^= std::byte{4};
  put(first, bytes);
  Checkpoints kept = Checkpoints::open(path);
  kept.remove(1);
  EXPECT_EQ(kept.stats().parts, 1);
  EXPECT_TRUE(kept.restore<Small>() == small(2));
}

// --- Linked archives that lie ----------------------------------------------------------------------------------------

/// A linked archive of these bytes with this table, and with the trailer `last` of the archive.
Data linked(Bytes own, Bytes table, Bytes last) {
  Data file;
  file += std::as_bytes(std::span(frozen::link_label));
  file += own;
  Trailer trailer;
  trailer.directory_offset = file.size();
  trailer.directory_length = table.size();
  trailer.total_length = file.size() + table.size() + frozen::trailer_bytes;
  trailer.directory_checksum = xxh3_64(table);
  trailer.structure_checksum = xxh3_64(last.last(frozen::trailer_bytes));
  file += table;
  return file += encode_trailer(trailer, frozen::link_end_magic);
}

std::uint64_t id_of(const std::string& file) {
  const Data bytes = content(file);
  return file_id(Bytes(bytes).last(frozen::trailer_bytes));
}

/// Opens it in all ways; the Error of the last one.
void expect_refused(const std::string& file, Errc code, const std::string& says) {
  for (const MapMode map : {MapMode::none, MapMode::read_only, MapMode::copy_on_write}) {
    EXPECT_ERROR(load<stele::Value>(file, {.map = map}), code, says);
    EXPECT_ERROR(open(file, {.map = map}), code, says);
  }
}

TEST(LinkedArchive, ThatLiesIsRefused) {
  const Folder place;
  const std::string other = place / "other.stele";
  save(small(1), other);
  const std::uint64_t id = id_of(other);
  const std::uint64_t size = std::filesystem::file_size(other);
  const std::string file = place / "lie.stele";
  const Data own(100);
  using Extents = std::vector<LinkTable::Extent>;
  const auto lie = [&](const Extents& extents, std::vector<LinkTable::File> files, std::uint64_t more = 0) {
    LinkTable table;
    table.length = frozen::label.size() + more;
    for (const LinkTable::Extent& extent : extents) {
      table.length += extent.length;
    }
    table.extents = extents;
    table.files = std::move(files);
    put(file, linked(own, encode_links(table), content(other)));
  };
  const LinkTable::File good{"other.stele", id};
  constexpr std::uint64_t huge = std::uint64_t{1} << 63;
  lie({{size - 12, 1, 12}}, {good});  // the whole of the other one
  EXPECT_TRUE(load<Small>(file) == small(1));
  lie({{size - 12, 1, 13}}, {good});
  expect_refused(file, Errc::truncated, "after the end of");
  lie({{50, 0, 12}, {50, 0, 10'000}}, {});
  expect_refused(file, Errc::truncated, "after the end of");
  for (const Extents& extents :
       {Extents{{huge, 0, 0}}, Extents{{1, 0, huge}}, Extents{{huge - 1, 0, 0}, {huge - 1, 0, 0}}, Extents{{0, 0, 12}},
        Extents{{1, 2, 12}}, Extents{{1, ~std::size_t{0}, 12}}}) {
    lie(extents, {good});
    expect_refused(file, Errc::malformed, "beyond its limits");
  }
  lie({{size - 12, 1, 12}}, {good}, 1);
  expect_refused(file, Errc::malformed, "do not make up");
  for (const char* name : {"../other.stele", "a/b", "/etc/passwd", ".", "..", "", "parts/x"}) {
    lie({{size - 12, 1, 12}}, {{name, id}});
    expect_refused(file, Errc::malformed, "no file in its folder");
  }
  lie({{size - 12, 1, 12}}, {{std::string("other.stele\0", 12), id}});
  expect_refused(file, Errc::malformed, "no file in its folder");
  lie({{size - 12, 1, 12}}, {{"other.stele", id + 1}});
  expect_refused(file, Errc::not_found, "missing, truncated or another one");
  lie({{size - 12, 1, 12}}, {{std::string(5000, 'x'), id}});
  EXPECT_THROW(open(file), Error);
  std::filesystem::create_directory(place / "folder");
  ::mkfifo((place / "pipe").c_str(), 0600);
  for (const char* name : {"folder", "pipe", "lie.stele"}) {
    lie({{20, 1, 12}}, {{name, id}});
    EXPECT_THROW(open(file), Error) << name;
  }
  // Refers to its own bytes by its own name: they are bytes like others.
  lie({{20, 0, 12}}, {});
  EXPECT_THROW(load<stele::Value>(file), Error);
  // To a linked archive: its file's bytes are taken, no archive, so there are no cycles.
  lie({{size - 12, 1, 12}}, {good});
  std::filesystem::rename(file, place / "between.stele");
  const std::uint64_t between = id_of(place / "between.stele");
  lie({{100, 1, 12}}, {{"between.stele", between}});
  EXPECT_THROW(load<stele::Value>(file), Error);
}

TEST(LinkedArchive, OfManyExtentsTakesBoundedTimeAndMemory) {
  const Folder place;
  const std::string other = place / "other.stele";
  std::vector<double> many(100'000);
  std::iota(many.begin(), many.end(), 0.0);
  save(many, other);
  const std::uint64_t size = std::filesystem::file_size(other);
  const LinkTable::File file{"other.stele", id_of(other)};
  LinkTable table;
  table.length = size;
  table.files = {file};
  for (std::uint64_t at = 12; at < size; ++at) {  // one byte each
    table.extents.push_back({1, 1, at});
  }
  const std::string bytewise = place / "bytewise.stele";
  put(bytewise, linked(Data(1), encode_links(table), content(other)));
  for (const MapMode map : {MapMode::none, MapMode::read_only, MapMode::copy_on_write}) {
    EXPECT_EQ(load<std::vector<double>>(bytewise, {.map = map}), many);
  }
  // The same bytes a million times.
  table.length = 12;
  table.extents.clear();
  for (int i = 0; i < 1'000'000; ++i) {
    table.extents.push_back({size - 12, 1, 12});
    table.length += size - 12;
  }
  const std::string bomb = place / "bomb.stele";
  put(bomb, linked(Data(1), encode_links(table), content(other)));
  const auto begin = std::chrono::steady_clock::now();
  const double mib = test::peak_mib([&] {
    for (const MapMode map : {MapMode::none, MapMode::read_only}) {
      EXPECT_EQ(error_of([&] { (void)load<stele::Value>(bomb, {.map = map, .limits = {.expansion = 100}}); }).code(),
                Errc::limit_exceeded);
    }
    EXPECT_THROW((void)load<stele::Value>(bomb), Error);
  });
  EXPECT_LT(mib, 300);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(LinkedArchive, WithADamagedTableIsRefused) {
  const Folder place;
  const std::string file = place / "damaged.stele";
  LinkTable table;
  table.length = 112;  // of no archive inside
  table.extents = {{100, 0, 12}};
  const Data whole = linked(Data(100), encode_links(table), Data(100));
  for (std::size_t at = 112; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Data bytes = whole;
      bytes[at] ^= std::byte(1 << bit);
      put(file, bytes);
      EXPECT_THROW((void)open_linked(file, MapMode::none, {}), Error) << at << " " << bit;
    }
  }
  put(file, whole);
  (void)open_linked(file, MapMode::none, {});
}

}  // namespace
}  // namespace stele
