// .npz files: zip files of .npy files, without a store.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "interop/npy.hpp"
#include "interop/zip.hpp"
#include "stele/types.hpp"
#include "support/samples.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::bytes_of;
using test::fresh;
using test::matrix;

bool go_on(double) { return true; }

void add(ZipWriter& zip, const std::string& name, const AnyArray& array) {
  zip.add(name, npy_source(array)->size().value(), [array] { return npy_source(array); });
}

const std::vector<std::pair<std::string, AnyArray>>& samples() {
  static const std::vector<std::pair<std::string, AnyArray>> arrays = {
      {"matrix.npy", to_value(matrix(30, 20)).array()},
      {"columns.npy", to_value(matrix(300, 200, Order::column_major)).array()},
      {"dir/n\u00e4me.npy", to_value(std::vector<int>{1, 2, 3}).array()},
      {"empty.npy", to_value(Array<float, 2>({0, 3})).array()}};
  return arrays;
}

std::string write_samples(std::optional<int> level) {
  std::string path = fresh("samples.npz");
  const std::unique_ptr<ZipWriter> zip = write_zip(path, level);
  for (const auto& [name, array] : samples()) {
    add(*zip, name, array);
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(zip->close(go_on));
  return path;
}

TEST(Npz, ArraysComeBack) {
  std::uintmax_t sizes[2] = {};
  for (const std::optional<int> level : {std::optional<int>(), std::optional(0), std::optional(9)}) {
    const std::string path = write_samples(level);
    const std::unique_ptr<ZipReader> zip = read_zip(path);
    EXPECT_EQ(zip->bytes(), fs::file_size(path));
    sizes[level ? 1 : 0] = fs::file_size(path);
    ASSERT_EQ(zip->members().size(), samples().size());
    for (std::size_t i = samples().size(); i-- > 0;) {
      EXPECT_EQ(zip->members()[i].name, samples()[i].first);
      EXPECT_EQ(read_npy(*zip->open(i)), samples()[i].second);
    }
    EXPECT_EQ(read_npy_header(*zip->open(1)).array.order, Order::column_major);
  }
  EXPECT_LT(sizes[1], sizes[0] / 2);
}

TEST(Npz, NamesOfMembers) {
  EXPECT_EQ(npz_name("a/b.npy"), "a/b");
  EXPECT_EQ(npz_name(".npy"), "");
  EXPECT_FALSE(npz_name("a.npz"));
  EXPECT_FALSE(npz_name("npy"));
}

TEST(Npz, NoFileAppearsUnlessItIsComplete) {
  const std::string path = fresh("incomplete.npz");
  const AnyArray array = to_value(matrix(100, 100)).array();
  const std::uint64_t bytes = npy_source(array)->size().value();
  {
    const std::unique_ptr<ZipWriter> zip = write_zip(path, 0);
    add(*zip, "a.npy", array);
  }
  EXPECT_FALSE(fs::exists(path));
  const auto closed = [&](std::function<std::unique_ptr<Source>()> open, const std::function<bool(double)>& progress) {
    const std::unique_ptr<ZipWriter> zip = write_zip(path, 0);
    zip->add("a.npy", bytes, std::move(open));
    return zip->close(progress);
  };
  const auto good = [&] { return npy_source(array); };
  EXPECT_FALSE(closed(good, [](double) { return false; }));
  EXPECT_THROW(closed(good, [](double) -> bool { throw std::logic_error("x"); }), std::logic_error);
  EXPECT_ERROR(closed([]() -> std::unique_ptr<Source> { fail(Errc::damaged, "as the Source says"); }, go_on),
               Errc::damaged, "as the Source says");
  EXPECT_ERROR(closed([]() -> std::unique_ptr<Source> { return nullptr; }, go_on), Errc::busy, "a.npy was replaced");
  EXPECT_ERROR(closed([] { return npy_source(to_value(matrix(2, 2)).array()); }, go_on), Errc::busy, "replaced");
  EXPECT_FALSE(fs::exists(path));
  double last = 0;
  EXPECT_TRUE(closed(good, [&](double part) {
    EXPECT_GE(part, last);
    last = part;
    return true;
  }));
  EXPECT_EQ(last, 1);
  EXPECT_EQ(read_npy(*read_zip(path)->open(0)), array);
}

TEST(Npz, AFileThatIsNotAZipFileIsAnError) {
  EXPECT_ERROR(read_zip("nowhere.npz"), Errc::not_found, "nowhere.npz");
  const std::string path = fresh("text.npz");
  std::ofstream(path) << "no zip file";
  EXPECT_ERROR(read_zip(path), Errc::damaged, path);
}

/// Every truncation and many changed bytes give an Error or an array.
TEST(Npz, DamagedFilesAreErrors) {
  const std::string path = fresh("hostile.npz");
  int errors = 0;
  const auto attempt = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    try {
      const std::unique_ptr<ZipReader> zip = read_zip(path);
      for (std::size_t i = 0; i < zip->members().size(); ++i) {
        read_npy(*zip->open(i));
      }
    } catch (const Error&) {
      ++errors;
    }
  };
  for (const std::optional<int> level : {std::optional<int>(), std::optional(0)}) {
    const std::string small = fresh("small.npz");
    const std::unique_ptr<ZipWriter> zip = write_zip(small, level);
    add(*zip, "a.npy", to_value(matrix(5, 4)).array());
    add(*zip, "b.npy", to_value(std::vector<int>(300, 7)).array());
    EXPECT_TRUE(zip->close(go_on));
    std::ifstream in(small, std::ios::binary);
    const std::string good{std::istreambuf_iterator<char>(in), {}};
    const std::size_t step = test::sanitized ? 29 : 7;
    for (std::size_t cut = 0; cut < good.size(); cut += step) {
      const int before = errors;
      attempt(good.substr(0, cut));
      EXPECT_EQ(errors, before + 1) << cut;
    }
    const int before = errors;
    int changed = 0;
    for (std::size_t at = 0; at < good.size(); at += step, ++changed) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0xff);
      attempt(bad);
    }
    EXPECT_GT(errors - before, changed / 2);  // not all bytes matter: times, attributes
  }
}

TEST(Npz, NamesThatComeTwiceAndSharedBytesAreRefused) {
  const std::string path = fresh("twice.npz");
  const std::unique_ptr<ZipWriter> zip = write_zip(path, std::nullopt);
  add(*zip, "a.npy", to_value(matrix(5, 4)).array());
  add(*zip, "b.npy", to_value(matrix(5, 4)).array());
  EXPECT_TRUE(zip->close(go_on));
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  for (std::size_t at = 0; (at = bytes.find("b.npy", at)) != std::string::npos;) {
    bytes[at] = 'a';
  }
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  EXPECT_ERROR(read_zip(path), Errc::duplicate_field, "a.npy is there twice");
}

}  // namespace
}  // namespace stele
