// Checksums of pieces of large arrays: a part is checked without the rest, damage names its rows, and every way of
// reading the same bytes gives the same verdict.

#include <functional>
#include <map>

#include "format/directory.hpp"
#include "stele/codec.hpp"
#include "stele/stele.hpp"
#include "support/hand_made.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Data;
using test::operator+=;
using test::Folder;

constexpr std::uint64_t row_count = 3000;
constexpr std::uint64_t row_size = 256;  // 1 KiB: 1024 rows a piece
constexpr std::uint64_t bad_row = 1500;
const char* const bad_rows = "rows 1024 to 2047";

struct Both {
  std::string name;
  Array<float, 2> rows;
};

Both both() {
  Both value{"both", Array<float, 2>::uninitialized({row_count, row_size})};
  for (std::uint64_t i = 0; i < row_count * row_size; ++i) {
    value.rows.mutable_data()[i] = static_cast<float>(i % 1000);
  }
  return value;
}

std::uint64_t place_of_row(const std::string& path, std::uint64_t row) {
  return open(path).list({.path = "rows"})[0].offset + row * row_size * sizeof(float);
}

/// An archive with a changed byte in `bad_row`.
Data damaged(const Folder& folder) {
  save(both(), folder / "whole");
  Data bytes = test::content(folder / "whole");
  bytes[place_of_row(folder / "whole", bad_row) + 40] ^= std::byte{4};
  return bytes;
}

Data compressed(Bytes plain, const std::string& codec) {
  Data out;
  const Codecs codecs;
  const auto to = memory_sink(out);
  const auto sink = compressing_sink(*to, *codecs.find(codec), std::nullopt);
  sink->write(plain);
  sink->close();
  return out;
}

/// Damage in rows 1024 to 2047 of an open file.
void expect_found(const File& file) {
  const Both good = both();
  const auto lazy = file.array<float, 2>("rows");
  const Array<float, 2> first = lazy.rows(10, 1000);
  EXPECT_EQ(first(5, 7), good.rows(15, 7));
  EXPECT_EQ(lazy.rows(2048, 952)(951, 255), good.rows(2999, 255));
  EXPECT_ERROR(lazy.rows(bad_row, 1), Errc::damaged, bad_rows);
  EXPECT_ERROR(lazy.rows(1030, 2), Errc::damaged, bad_rows);  // each time
  EXPECT_ERROR(lazy.rows(0, row_count), Errc::damaged, bad_rows);
  EXPECT_ERROR(lazy.gather({2, 2999, 1024}), Errc::damaged, bad_rows);
  EXPECT_EQ(lazy.gather({2, 2999, 1023})(1, 3), good.rows(2999, 3));
  EXPECT_ERROR(lazy.read({Range{}, Range{5, 1}}), Errc::damaged, bad_rows);
  EXPECT_ERROR((file.array<double, 2>("rows").rows(1499, 2)), Errc::damaged, "rows");
  EXPECT_ERROR(file.load<Both>(), Errc::damaged, bad_rows);
  EXPECT_ERROR((file.load<Array<float, 2>>("rows")), Errc::damaged, bad_rows);
  EXPECT_ERROR(file.verify(), Errc::damaged, bad_rows);
}

TEST(Pieces, DamageNamesItsRowsInEveryFile) {
  const Folder folder;
  const Data bytes = damaged(folder);
  test::put(folder / "plain", bytes);
  for (const unsigned threads : {1U, 3U}) {
    expect_found(open(folder / "plain", {.threads = threads}));
    expect_found(open(memory_source(bytes), {.threads = threads}));
    expect_found(open(folder / "plain", {.map = MapMode::read_only, .verify = Verify::full, .threads = threads}));
    EXPECT_ERROR(load<Both>(folder / "plain", {.threads = threads}), Errc::damaged, bad_rows);
    EXPECT_ERROR(from_bytes<Both>(bytes, {.threads = threads}), Errc::damaged, bad_rows);
    test::TrickleSource pipe(bytes, 77'777);
    EXPECT_ERROR(load<Both>(pipe, {.threads = threads}), Errc::damaged, bad_rows);
    for (const std::string& codec : test::codecs()) {
      if (codec == "plain") {
        continue;
      }
      SCOPED_TRACE(codec);
      const Data stored = compressed(bytes, codec);  // sound for its codec
      expect_found(open(memory_source(stored), {.verify = Verify::full, .threads = threads}));
      // The format's checksums are right, so that only whole pieces tell.
      const auto lazy = open(memory_source(stored), {.threads = threads}).array<float, 2>("rows");
      EXPECT_ERROR(lazy.rows(1024, 1024), Errc::damaged, bad_rows);
      EXPECT_EQ(lazy.rows(bad_row, 1)(0, 3), both().rows(bad_row, 3));
      EXPECT_ERROR(from_bytes<Both>(stored, {.threads = threads}), Errc::damaged, bad_rows);
    }
  }
}

TEST(Pieces, AreNotCheckedWhereTheCallerSaysSo) {
  const Folder folder;
  test::put(folder / "plain", damaged(folder));
  for (const LoadOptions& options : {LoadOptions{.verify = Verify::directory}, LoadOptions{.verify = Verify::none},
                                     LoadOptions{.map = MapMode::read_only}}) {
    const Array<float, 2> row = open(folder / "plain", options).array<float, 2>("rows").rows(bad_row, 1);
    EXPECT_EQ(row(0, 3), both().rows(bad_row, 3));
    EXPECT_NE(row(0, 10), both().rows(bad_row, 10));
  }
}

TEST(Pieces, OfEncodedColumnMajorAndOddlySizedElements) {
  const Folder folder;
  struct Odd {
    std::uint8_t bytes[3];
  };
  std::vector<std::int64_t> counts(700'000);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    counts[i] = static_cast<std::int64_t>(i * i % 251);
  }
  Array<double, 2> columns = Array<double, 2>::uninitialized({500, 600}, Order::column_major);
  for (std::uint64_t i = 0; i < columns.size(); ++i) {
    columns.mutable_data()[i] = static_cast<double>(i);
  }
  std::vector<Odd> odd(500'000);
  for (std::size_t i = 0; i < odd.size(); ++i) {
    odd[i] = {{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8), 3}};
  }
  struct All {
    std::vector<std::int64_t> counts;
    Array<double, 2> columns;
    std::vector<Odd> odd;
  };
  const auto expect_parts = [&](const File& file) {
    EXPECT_EQ((file.array<std::int64_t, 1>("counts").rows(131'000, 200)(199)), counts[131'199]);
    EXPECT_EQ((file.array<double, 2>("columns").read({Range{499, 1}, Range{3, 500, 1}})(0, 9)), columns(499, 12));
    EXPECT_EQ((file.array<Odd, 1>("odd").rows(349'500, 60)(59).bytes[1]), odd[349'559].bytes[1]);
    EXPECT_NO_THROW(file.verify());
  };
  const All all{counts, columns, odd};
  save(all, folder / "all");
  expect_parts(open(folder / "all"));
  for (const std::string& codec : test::codecs()) {
    SCOPED_TRACE(codec);
    save(all, folder / "all.c", {.codec = codec});
    expect_parts(open(folder / "all.c"));
  }
}

/// The same archive as writers made it before there were checksums of pieces.
Data without_pieces(const Data& archive) {
  const Bytes bytes = archive;
  const auto end = bytes.last<frozen::trailer_bytes>();
  Trailer trailer = decode_trailer(end, bytes.size() - end.size());
  Directory directory =
      decode_directory(bytes.subspan(trailer.directory_offset, trailer.directory_length), trailer.directory_offset);
  std::size_t changed = 0;
  for (ArrayEntry& entry : directory.arrays) {
    changed += entry.piece_checksums.empty() ? 0 : 1;
    entry.set_checksum({xxh3_64(bytes.subspan(entry.offset, entry.length))});
  }
  EXPECT_GT(changed, 0U);
  const Data item = encode_directory(directory);
  Data old(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(trailer.directory_offset));
  old += item;
  trailer.directory_length = item.size();
  trailer.directory_checksum = xxh3_64(item);
  trailer.total_length = old.size() + frozen::trailer_bytes;
  Xxh3 structure;
  std::uint64_t at = 0;
  for (const ArrayEntry& entry : directory.arrays) {
    structure.update(Bytes(old).subspan(at, entry.offset - at));
    at = entry.offset + entry.length;
  }
  structure.update(Bytes(old).subspan(at));
  trailer.structure_checksum = structure.digest64();
  old += encode_trailer(trailer);
  return old;
}

TEST(Pieces, FilesWithoutThemAreReadAndChecked) {
  const Folder folder;
  save(both(), folder / "new");
  const Data old = without_pieces(test::content(folder / "new"));
  test::put(folder / "old", old);
  const Both good = both();
  EXPECT_EQ(load<Both>(folder / "old").rows(9, 9), good.rows(9, 9));
  test::TrickleSource pipe(old, 50'000);
  EXPECT_EQ(load<Both>(pipe).rows(2999, 9), good.rows(2999, 9));
  EXPECT_EQ((open(folder / "old").array<float, 2>("rows").rows(bad_row, 1)(0, 10)), good.rows(bad_row, 10));
  EXPECT_NO_THROW(open(folder / "old").verify());
  Data bad = old;
  bad[place_of_row(folder / "old", bad_row)] ^= std::byte{1};
  test::put(folder / "bad", bad);
  EXPECT_ERROR(load<Both>(folder / "bad"), Errc::damaged, "rows");
  test::TrickleSource bad_pipe(bad, 50'000);
  EXPECT_ERROR(load<Both>(bad_pipe), Errc::damaged, "rows");
  EXPECT_ERROR((open(folder / "bad").array<float, 2>("rows").rows(0, 1)), Errc::damaged, "rows");
  EXPECT_ERROR(open(folder / "bad").verify(), Errc::damaged, "rows");
  {
    File file = open(folder / "bad", {.map = MapMode::read_write});
    auto rows = file.load<Array<float, 2>>("rows");
    rows.mutable_at(0, 0) = 5;
    file.flush();
  }
  EXPECT_NO_THROW(open(folder / "bad").verify());
}

TEST(Pieces, ADirectoryThatContradictsItselfIsDamaged) {
  Data root = test::tag(85, {});
  root += test::bytes_item(Data(3 << 20));
  ArrayEntry entry;
  entry.dtype = DType(DType::Kind::float32);
  entry.shape = Shape{(3 << 20) / 4};
  entry.offset = 12 + root.size() - (3 << 20);
  entry.length = 3 << 20;
  entry.set_checksum(array_checksum(Data(3 << 20)));
  const auto verdict = [&](const std::function<void(ArrayEntry&)>& change) {
    ArrayEntry changed = entry;
    change(changed);
    const Data archive = test::wrap(root, {changed});
    const auto code = [](const std::function<void()>& action) -> std::optional<Errc> {
      try {
        action();
        return std::nullopt;
      } catch (const Error& error) {
        return error.code();
      }
    };
    const auto whole = code([&] { (void)from_bytes<std::vector<float>>(archive); });
    EXPECT_EQ(whole, code([&] { (void)open(memory_source(archive)).array<float, 1>().rows(0, 786432); }));
    test::TrickleSource pipe(archive, 99'999);
    EXPECT_EQ(whole, code([&] { (void)load<std::vector<float>>(pipe); }));
    return whole;
  };
  EXPECT_EQ(verdict([](ArrayEntry&) {}), std::nullopt);
  EXPECT_EQ(verdict([](ArrayEntry& e) { e.checksum ^= 1; }), Errc::damaged);
  EXPECT_EQ(verdict([](ArrayEntry& e) { e.piece_checksums[1] ^= 1; }), Errc::damaged);
  const auto consistent = [](ArrayEntry& e) { e.checksum = checksum_of(e.piece_checksums); };
  EXPECT_EQ(verdict([&](ArrayEntry& e) {
              e.piece_checksums[1] ^= 1;
              consistent(e);
            }),
            Errc::damaged);
  EXPECT_EQ(verdict([&](ArrayEntry& e) {
              e.piece_checksums.pop_back();
              consistent(e);
            }),
            Errc::damaged);
  EXPECT_EQ(verdict([&](ArrayEntry& e) {
              e.piece_checksums.push_back(1);
              consistent(e);
            }),
            Errc::damaged);
  EXPECT_EQ(verdict([&](ArrayEntry& e) { e.shape = Shape{std::uint64_t{1} << 40, std::uint64_t{1} << 40}; }),
            Errc::damaged);
}

TEST(Pieces, AWritableMappingUpdatesThoseOfChangedRows) {
  const Folder folder;
  const std::string path = folder / "rows";
  save(both(), path);
  const auto entry_of = [&] {
    const Data bytes = test::content(path);
    const auto end = Bytes(bytes).last<frozen::trailer_bytes>();
    const Trailer trailer = decode_trailer(end, bytes.size() - end.size());
    return decode_directory(Bytes(bytes).subspan(trailer.directory_offset, trailer.directory_length),
                            trailer.directory_offset)
        .arrays.at(0);
  };
  const ArrayEntry before = entry_of();
  {
    File file = open(path, {.map = MapMode::read_write});
    auto rows = file.load<Array<float, 2>>("rows");
    rows.mutable_at(5, 5) = -5;
    rows.mutable_at(2100, 6) = -6;
    file.flush("rows", {2100, 1});
    EXPECT_ERROR(open(path).verify(), Errc::damaged, "rows 0 to 1023");  // not flushed
    EXPECT_EQ((open(path).array<float, 2>("rows").rows(2100, 1)(0, 6)), -6);
    EXPECT_ERROR(file.flush("rows", {row_count, 1}), Errc::out_of_range, "rows");
    EXPECT_ERROR(file.flush("name", {0, 1}), Errc::not_found, "name");
    file.flush("rows", {2999, Range::rest, -1});  // all of them
    EXPECT_NO_THROW(open(path).verify());
    EXPECT_NO_THROW(file.verify());  // it knows the new checksums too
    rows.mutable_at(1, 1) = -1;
    file.flush();
    EXPECT_NO_THROW(file.verify());
  }
  const ArrayEntry after = entry_of();
  EXPECT_NE(after.piece_checksums[0], before.piece_checksums[0]);
  EXPECT_EQ(after.piece_checksums[1], before.piece_checksums[1]);
  EXPECT_NE(after.piece_checksums[2], before.piece_checksums[2]);
  EXPECT_EQ((load<Both>(path).rows(5, 5)), -5);
  EXPECT_ERROR(open(path).flush("rows", {0, 1}), Errc::read_only, "read_write");
}

}  // namespace
}  // namespace stele
