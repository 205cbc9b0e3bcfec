// Damaged archives: every truncation and every flipped bit gives an Error or the object that was saved.

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>

#include "support/cost.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::codecs;
using test::Cost;
using test::counting;
using test::Data;
using test::Folder;
using test::mebibyte;
using test::operator+=;
using test::wrap;

// --- The object that is damaged --------------------------------------------------------------------------------------

struct Point {
  float x = 0;
  std::int32_t k = 0;
  bool operator==(const Point&) const = default;
};
struct Item {
  std::string name;
  std::optional<double> value;
  std::variant<int, std::string, std::vector<int>> either;
  bool operator==(const Item&) const = default;
};
struct Sample {
  std::string title;
  std::vector<Item> items;
  std::map<std::string, std::vector<int>> map;
  std::unordered_map<int, std::string> numbered;
  std::shared_ptr<std::string> first;
  std::shared_ptr<std::string> second;
  Array<float, 2> grid;
  Array<float, 2> turned;
  std::vector<Point> points;
  std::vector<bool> flags;
  std::list<std::pair<int, bool>> pairs;
};

bool operator==(const Sample& a, const Sample& b) {
  const auto text = [](const std::shared_ptr<std::string>& p) { return p == nullptr ? std::string("null") : *p; };
  return a.title == b.title && a.items == b.items && a.map == b.map && a.numbered == b.numbered &&
         text(a.first) == text(b.first) && text(a.second) == text(b.second) && a.grid == b.grid &&
         a.turned == b.turned && a.points == b.points && a.flags == b.flags && a.pairs == b.pairs;
}

Sample sample(std::uint64_t rows) {
  Sample made;
  made.title = "a sample";
  made.items = {{"one", 1.5, 3}, {"two", {}, "text"}, {"\xff", -0.0, std::vector<int>{1, 2}}};
  made.map = {{"a", {1, -2}}, {"b/c", {}}};
  made.numbered = {{7, "seven"}};
  made.first = std::make_shared<std::string>("shared");
  made.second = made.first;
  made.grid = counting<float, 2>({rows, 8});
  made.turned = made.grid.transposed();
  made.points = {{1, 2}, {3, 4}};
  made.flags = {true, false, true};
  made.pairs = {{1, true}, {2, false}};
  return made;
}

/// All ways to read bytes. Each either fails with an Error or gives the saved object; with Verify::none it may give
/// another.
class Attempt {
 public:
  explicit Attempt(const Sample& original) : original_(original) {
    const File file = open(memory_source(whole_ = to_bytes(original)));
    entries_ = file.list();
  }

  /// Returns whether anything succeeded.
  bool operator()(Bytes bytes, bool truncated = false) {
    succeeded_ = false;
    try_one([&] { expect(from_bytes<Sample>(bytes) == original_); });
    try_one([&] { (void)from_bytes<Sample>(bytes, {.verify = Verify::none}); }, true);
    try_one([&] {
      test::TrickleSource source(bytes, 100);
      expect(load<Sample>(source) == original_);
    });
    try_one([&] { open(memory_source(bytes)).verify(); }, true);
    try_one([&] {
      const File file = open(memory_source(bytes));
      expect(file.load<Sample>() == original_);
    });
    try_one([&] {
      const File file = open(memory_source(bytes));
      const auto entries = file.list();
      (void)file.info();
      expect(entries.size() == entries_.size());
      for (std::size_t i = 0; i < std::min(entries.size(), entries_.size()); ++i) {
        expect(entries[i].path == entries_[i].path && entries[i].kind == entries_[i].kind &&
               entries[i].shape == entries_[i].shape && entries[i].text == entries_[i].text);
      }
    });
    part("title", original_.title, bytes);
    part("items", original_.items, bytes);
    part("items/1/name", original_.items[1].name, bytes);
    part("map/b~1c", original_.map.at("b/c"), bytes);
    part("grid", original_.grid, bytes);
    part("turned", original_.turned, bytes);
    part("points", original_.points, bytes);
    part("second", *original_.second, bytes);
    part("pairs/1/0", 2, bytes);
    try_one([&] { (void)open(memory_source(bytes), {.verify = Verify::none}).list(); }, true);
    try_one([&] { (void)open(memory_source(bytes), {.verify = Verify::none}).load<Sample>(); }, true);
    EXPECT_FALSE(truncated && strictly_) << "a truncated archive gave an object";
    return succeeded_;
  }
  /// Whether an object was loaded with all checks on.
  bool strictly() const { return strictly_; }

 private:
  template <class T>
  void part(const char* path, const T& value, Bytes bytes) {
    try_one([&] { expect(open(memory_source(bytes)).load<T>(path) == value); });
  }
  void expect(bool equal) {
    EXPECT_TRUE(equal) << "damage that was not found";
    strictly_ = true;
  }
  template <class Action>
  void try_one(Action&& action, bool may_differ = false) {
    const bool before = strictly_;
    try {
      action();
      succeeded_ = true;
      if (may_differ) {
        strictly_ = before;
      }
    } catch (const Error&) {
    } catch (const std::exception& other) {
      ADD_FAILURE() << "another exception: " << other.what();
    }
  }

  const Sample& original_;
  Data whole_;
  std::vector<Entry> entries_;
  bool succeeded_ = false;
  bool strictly_ = false;
};

// --- Truncation and flipped bits -------------------------------------------------------------------------------------

TEST(Damage, EveryTruncationIsFound) {
  for (const std::string& codec : codecs()) {
    for (const std::uint64_t rows : {5U, 140U}) {
      const Sample original = sample(rows);
      const Data whole = to_bytes(original, {.codec = codec});
      Attempt attempt(original);
      // with sanitizers, which take long, some of them
      const std::size_t step = test::sanitized ? (rows == 5U ? 5 : 31) : (rows == 5U ? 1 : 7);
      for (std::size_t size = 0; size < whole.size(); size += size % 64 < 2 ? 1 : step) {
        attempt(Bytes(whole).first(size), true);
        ASSERT_FALSE(testing::Test::HasFailure()) << codec << " of " << whole.size() << " bytes cut at " << size;
      }
      EXPECT_TRUE(attempt(whole));
    }
  }
}

TEST(Damage, EveryFlippedBitIsFound) {
  for (const std::string& codec : codecs()) {
    const Sample original = sample(5);
    Data bytes = to_bytes(original, {.codec = codec});
    Attempt attempt(original);
    // with sanitizers, which take long, one or two bits of each byte
    for (std::size_t bit = 0; bit < 8 * bytes.size(); bit += test::sanitized ? 7 : 1) {
      const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
      bytes[bit / 8] ^= mask;
      attempt(bytes);
      ASSERT_FALSE(testing::Test::HasFailure()) << codec << " bit " << bit % 8 << " of byte " << bit / 8;
      bytes[bit / 8] ^= mask;
    }
  }
}

TEST(Damage, FlippedBitsBetweenListedArraysAreFound) {
  for (const std::string& codec : codecs()) {
    const Sample original = sample(140);
    Data bytes = to_bytes(original, {.codec = codec});
    Attempt attempt(original);
    for (std::size_t at = 0; at < bytes.size(); at += test::sanitized                       ? 7
                                                      : at < 700 || at + 700 > bytes.size() ? 1
                                                                                            : 13) {
      const std::byte mask{static_cast<unsigned char>(1U << (at % 8))};
      bytes[at] ^= mask;
      attempt(bytes);
      ASSERT_FALSE(testing::Test::HasFailure()) << codec << " byte " << at;
      bytes[at] ^= mask;
    }
  }
}

TEST(Damage, RandomEditsNeverGiveAnotherObject) {
  for (const std::string& codec : codecs()) {
    const Sample original = sample(20);
    const Data whole = to_bytes(original, {.codec = codec});
    Attempt attempt(original);
    std::mt19937 random(7);
    for (int round = 0; round < 700; ++round) {
      Data bytes = whole;
      for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
        const std::size_t at = random() % bytes.size();
        switch (random() % 5) {
          case 0:
            bytes[at] = static_cast<std::byte>(random());
            break;
          case 1:
            bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at));
            break;
          case 2:
            bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::byte>(random()));
            break;
          case 3:
            std::swap(bytes[at], bytes[random() % bytes.size()]);
            break;
          default: {
            const std::size_t size = std::min<std::size_t>(random() % 60, bytes.size() - at);
            std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(random() % (bytes.size() - size + 1)), size,
                        bytes.begin() + static_cast<std::ptrdiff_t>(at));
          }
        }
      }
      attempt(bytes);
      ASSERT_FALSE(testing::Test::HasFailure()) << codec << " round " << round;
    }
  }
}

/// The root of a plain archive.
Data root_of(Bytes archive) {
  const auto trailer = decode_trailer(archive.last<frozen::trailer_bytes>(), archive.size() - frozen::trailer_bytes);
  const Bytes root =
      archive.subspan(frozen::label.size(), static_cast<std::size_t>(trailer.directory_offset) - frozen::label.size());
  return {root.begin(), root.end()};
}

TEST(Damage, RandomEditsWithValidChecksumsAreSafe) {
  const Sample original = sample(5);
  const Data root = root_of(to_bytes(original));
  ASSERT_TRUE(from_bytes<Sample>(wrap(root)) == original);
  std::mt19937 random(11);
  const Folder folder;
  for (int round = 0; round < (test::sanitized ? 400 : 2000); ++round) {
    Data bytes = root;
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<std::byte>(random());
          break;
        case 1:
          bytes[at] ^= static_cast<std::byte>(1U << random() % 8);
          break;
        case 2:
          bytes[at] = static_cast<std::byte>(std::to_integer<unsigned>(bytes[at]) + 1);
          break;
        default:
          bytes[at] = bytes[random() % bytes.size()];
      }
    }
    const Data archive = wrap(bytes);
    const Cost cost;
    const auto attempt = [](auto action) {
      try {
        action();
      } catch (const Error&) {
      } catch (const std::exception& other) {
        ADD_FAILURE() << other.what();
      }
    };
    attempt([&] { (void)from_bytes<Sample>(archive); });
    attempt([&] {
      test::TrickleSource source(archive, 50);
      (void)load<Sample>(source);
    });
    attempt([&] {
      const File file = open(memory_source(archive));
      for (const Entry& entry : file.list()) {
        attempt([&] { (void)file.contains(entry.path); });
        attempt([&] { (void)file.load<Sample>(entry.path); });
        attempt([&] { (void)file.load<std::string>(entry.path); });
        attempt([&] { (void)file.load<std::vector<float>>(entry.path); });
        attempt([&] { (void)file.load<Array<double, 2>>(entry.path); });
      }
      file.verify();
    });
    ASSERT_LT(cost.bytes(), 64 * mebibyte) << "round " << round;
    ASSERT_LT(cost.seconds(), 10) << "round " << round;
    ASSERT_FALSE(testing::Test::HasFailure()) << "round " << round;
  }
}

TEST(Damage, MappedArchives) {
  const Folder folder;
  const std::string path = folder / "m.stele";
  const Sample original = sample(140);
  const Data whole = to_bytes(original);
  std::mt19937 random(3);
  for (const Verify verify : {Verify::directory, Verify::full, Verify::none}) {
    for (int round = 0; round < 800; ++round) {
      Data bytes = whole;
      if (round % 4 == 0) {
        bytes.resize(random() % bytes.size());
      } else {
        bytes[random() % bytes.size()] ^= static_cast<std::byte>(1U << random() % 8);
      }
      test::put(path, bytes);
      for (const bool whole_load : {true, false}) {
        try {
          Sample back = whole_load ? load<Sample>(path, {.map = MapMode::read_only, .verify = verify})
                                   : open(path, {.map = MapMode::copy_on_write, .verify = verify}).load<Sample>();
          if (verify == Verify::directory) {  // all but the elements of the arrays
            back.grid = original.grid;
            back.turned = original.turned;
          }
          EXPECT_TRUE(verify == Verify::none || back == original) << round;
        } catch (const Error&) {
        }
      }
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

}  // namespace
}  // namespace stele
