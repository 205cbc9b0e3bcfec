// TokenCounts compared with std::map: random operations, counts of every width, lanes of every length, saved, mapped
// and copied; malicious files.

#include "stele/token_counts.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <thread>

#include "base/checksum.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Data;
using test::error_of;
using test::Folder;

using Model = std::map<std::string, std::uint64_t>;
using Listed = std::vector<std::pair<std::string, std::uint64_t>>;

constexpr std::uint64_t most = ~std::uint64_t{0};

bool in_lane_order(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

Listed listed(const TokenCounts& counts) {
  Listed all;
  counts.for_each([&](std::string_view token, std::uint64_t count) { all.emplace_back(token, count); });
  return all;
}

Listed listed_sorted(const TokenCounts& counts) {
  Listed all;
  counts.for_each_sorted([&](std::string_view token, std::uint64_t count) { all.emplace_back(token, count); });
  return all;
}

Listed lane_order(const Model& model) {
  Listed all(model.begin(), model.end());
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return in_lane_order(a.first, b.first); });
  return all;
}

void expect_equal(const TokenCounts& counts, const Model& model, const std::vector<std::string>& others = {}) {
  ASSERT_EQ(counts.size(), model.size());
  EXPECT_EQ(counts.empty(), model.empty());
  std::uint64_t total = 0;
  std::vector<std::string_view> tokens;
  for (const auto& [token, count] : model) {
    ASSERT_EQ(counts.count(token), count) << token;
    ASSERT_TRUE(counts.contains(token)) << token;
    total += count;
    tokens.push_back(token);
  }
  EXPECT_EQ(counts.total(), total);
  for (const std::string& other : others) {
    ASSERT_EQ(counts.contains(other), model.contains(other)) << other;
    tokens.push_back(other);
  }
  std::vector<std::uint64_t> found(tokens.size(), most);
  counts.count_many(tokens, found);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto at = model.find(std::string(tokens[i]));
    ASSERT_EQ(found[i], at == model.end() ? 0 : at->second) << tokens[i];
  }
  const Listed order = lane_order(model);
  EXPECT_EQ(listed(counts), order);
  EXPECT_EQ(listed_sorted(counts), Listed(model.begin(), model.end()));
  Listed best = order;
  std::sort(best.begin(), best.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : in_lane_order(a.first, b.first);
  });
  for (const std::size_t k : {std::size_t{0}, std::size_t{1}, std::size_t{10}, std::size_t{most}}) {
    EXPECT_EQ(counts.top(k),
              Listed(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(std::min(k, best.size()))));
  }
  EXPECT_NO_THROW(counts.verify());
}

/// Tokens of all lengths, many of which begin alike, with zero and high bytes.
class RandomTokens {
 public:
  explicit RandomTokens(std::uint64_t seed) : random_(seed) {}
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  std::string token() {
    static constexpr char letters[] = {'\0', 'a', 'b', '\x7f', '\x80', '\xff'};
    const std::uint64_t kind = below(20);
    const std::size_t length = kind == 0 ? below(80) : kind < 14 ? below(6) : below(36);
    std::string token(length, '\0');
    for (std::size_t i = 0; i < length; ++i) {
      token[i] = i < 8 && length > 12 ? letters[i % 2] : letters[below(std::size(letters))];
    }
    return token;
  }
  /// Mostly small.
  std::uint64_t amount() {
    const std::uint64_t kind = below(100);
    return kind < 80 ? 1 : kind < 95 ? below(300) : kind < 99 ? below(100'000) : below(std::uint64_t{1} << 40);
  }

 private:
  std::mt19937_64 random_;
};

TEST(TokenCounts, RandomOperationsMatchAMap) {
  const Folder folder;
  for (std::uint64_t seed = 1; seed <= (test::sanitized ? 12 : 40); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomTokens random(seed);
    const std::size_t limits[] = {0, 1, 4, 32, 32, 32, 255};
    TokenCounts counts(limits[random.below(std::size(limits))]);
    Model model;
    std::vector<std::pair<TokenCounts, Model>> kept;  // copies that must stay as they are
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t kind = random.below(14);
      if (kind < 6) {
        for (std::uint64_t n = random.below(400); n > 0; --n) {
          const std::string token = random.token();
          const std::uint64_t amount = random.amount();
          counts.add(token, amount);
          if (amount != 0) {
            model[token] += amount;
          }
        }
      } else if (kind == 6) {
        counts.compact();
      } else if (kind == 7) {
        TokenCounts other(limits[random.below(std::size(limits))]);
        for (std::uint64_t n = random.below(500); n > 0; --n) {
          const std::string token = random.token();
          other.add(token, n);
          model[token] += n;
          if (n == 200) {
            other.compact();
          }
        }
        counts.merge(other);
      } else if (kind == 8) {
        const std::uint64_t least = random.below(8);
        const std::uint64_t removed = std::erase_if(model, [&](const auto& entry) { return entry.second < least; });
        EXPECT_EQ(counts.remove_below(least), removed);
      } else if (kind == 9) {
        const std::string codec = random.below(2) == 0 && test::has_codec("zstd") ? "zstd" : "plain";
        counts = from_bytes<TokenCounts>(to_bytes(counts, {.codec = codec}));
      } else if (kind < 12) {
        const MapMode modes[] = {MapMode::read_only, MapMode::copy_on_write, MapMode::read_write};
        const std::string path = folder / (std::to_string(seed) + "-" + std::to_string(step));
        save(counts, path);
        counts = load<TokenCounts>(path, {.map = modes[random.below(3)]});
      } else if (kind == 12) {
        kept.emplace_back(counts, model);
      } else if (!kept.empty()) {
        const std::size_t which = random.below(kept.size());
        counts = kept[which].first;
        model = kept[which].second;
      }
    }
    std::vector<std::string> others;
    for (int i = 0; i < 300; ++i) {
      others.push_back(random.token());
    }
    expect_equal(counts, model, others);
    for (const auto& [copy, copied_model] : kept) {
      expect_equal(copy, copied_model, others);
    }
    TokenCounts merged = counts;
    merged.compact();
    expect_equal(merged, model, others);
    EXPECT_EQ(merged, counts);
    merged.add("one more");
    EXPECT_FALSE(merged == counts);
    expect_equal(counts, model);
  }
}

TEST(TokenCounts, LanesOfEveryLength) {
  for (std::size_t length = 0; length <= 40; ++length) {
    SCOPED_TRACE("length " + std::to_string(length));
    std::mt19937_64 random(length);
    TokenCounts counts;
    Model model;
    std::vector<std::string> others;
    for (int i = 0; i < 2000; ++i) {
      std::string token(length, 'x');
      for (std::size_t k = length > 14 ? length - 6 : 0; k < length; ++k) {
        token[k] = static_cast<char>(random() % (k == 0 ? 256 : 16));
      }
      if (i % 4 == 0) {
        others.push_back(token);
      } else {
        counts.add(token, 1 + random() % 3);
        model[token] = counts.count(token);
      }
    }
    others.push_back(std::string(length, '\0'));
    others.push_back(std::string(length, '\xff'));
    expect_equal(counts, model, others);
    counts.compact();
    expect_equal(counts, model, others);
    expect_equal(test::round_trip(counts), model, others);
  }
}

TEST(TokenCounts, CountsOfEveryWidth) {
  // counted at once, in steps over the edge of a width, and as the only one or one of many
  for (int bits = 1; bits <= 64; ++bits) {
    const std::uint64_t edge = bits == 64 ? most : (std::uint64_t{1} << bits) - 1;
    for (const std::uint64_t count : {edge - 1, edge, bits == 64 ? edge : edge + 1}) {
      if (count == 0) {
        continue;
      }
      for (const std::uint64_t first : {count, count / 2, std::uint64_t{1}}) {
        for (const bool alone : {true, false}) {
          TokenCounts counts;
          Model model;
          if (!alone && count < most - 1000) {
            for (int i = 0; i < 200; ++i) {
              const std::string token = std::to_string(100 + i);
              counts.add(token, 1 + static_cast<std::uint64_t>(i % 4));
              model[token] = 1 + static_cast<std::uint64_t>(i % 4);
            }
          }
          counts.add("big", first);
          counts.compact();
          counts.add("big", count - first);
          model["big"] = count;
          ASSERT_EQ(counts.count("big"), count);
          ASSERT_EQ(counts.size(), model.size());
          counts.compact();
          ASSERT_EQ(listed(counts), lane_order(model)) << count;
          ASSERT_EQ(counts.total() == most, alone ? count == most : counts.total() == most);
          ASSERT_NO_THROW(counts.verify());
          ASSERT_EQ(listed(test::round_trip(counts)), lane_order(model)) << count;
        }
      }
    }
  }
}

TEST(TokenCounts, KnownTokensAreCountedInPlace) {
  TokenCounts counts;
  for (int i = 0; i < 5000; ++i) {
    counts.add(std::to_string(10000 + i));
  }
  counts.compact();
  const std::uint64_t merged = counts.byte_count();
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 5000; ++i) {
      counts.add(std::to_string(10000 + i));
    }
  }
  EXPECT_EQ(counts.byte_count(), merged);
  EXPECT_EQ(counts.count("12345"), 101U);
  EXPECT_EQ(counts.total(), 5000U * 101U);
}

TEST(TokenCounts, NewTokensAreMergedAsTheyCome) {
  TokenCounts counts;
  Model model;
  std::mt19937_64 random(3);
  std::uint64_t highest = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string token = std::to_string(random() % 1'000'000'000);
    counts.add(token);
    ++model[token];
    if (i == 99'999) {
      highest = counts.byte_count();
    }
  }
  EXPECT_LT(highest, 3'000'000U);  // 9 bytes of token, 1 of count, and a quarter of them in hash tables at most
  expect_equal(counts, model);
}

TEST(TokenCounts, IsNearlyAsSmallAsTokensAndCounts) {
  TokenCounts counts;
  std::uint64_t ideal = 0;
  std::mt19937_64 random(4);
  for (int i = 0; i < 200'000; ++i) {
    std::string token = std::to_string(i);
    token += std::string(random() % 8, 'x');
    const std::uint64_t count = i % 10 == 0 ? random() % 10'000 + 1 : random() % 100 + 1;
    counts.add(token, count);
    ideal += token.size() + (count < 256 ? 1 : 2);
  }
  counts.compact();
  const auto bound = static_cast<std::uint64_t>(1.15 * static_cast<double>(ideal));
  EXPECT_LT(counts.byte_count(), bound);
  EXPECT_LT(to_bytes(counts).size(), bound);
  const Folder folder;
  save(counts, folder / "counts");
  EXPECT_LT((load<TokenCounts>(folder / "counts", {.map = MapMode::read_only}).byte_count()), bound);
  EXPECT_LT((load<TokenCounts>(folder / "counts").byte_count()), bound);
}

TEST(TokenCounts, TheTotalIsBounded) {
  TokenCounts counts;
  counts.add("a", most - 1);
  counts.add("b", 0);
  EXPECT_EQ(counts.size(), 1U);
  EXPECT_EQ(error_of([&] { counts.add("b", 2); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([&] { counts.add("a", 2); }).code(), Errc::out_of_range);
  EXPECT_EQ(counts.size(), 1U);
  EXPECT_EQ(counts.total(), most - 1);
  TokenCounts two;
  two.add("c", 2);
  EXPECT_EQ(error_of([&] { counts.merge(two); }).code(), Errc::out_of_range);
  EXPECT_FALSE(counts.contains("c"));
  counts.add("b", 1);
  EXPECT_EQ(counts.total(), most);
  EXPECT_EQ(counts.count("a"), most - 1);
  EXPECT_EQ(test::round_trip(counts), counts);
}

TEST(TokenCounts, BadArguments) {
  EXPECT_EQ(error_of([] { TokenCounts(256); }).code(), Errc::invalid_argument);
  EXPECT_EQ(TokenCounts(255).longest_lane(), 255U);
  EXPECT_EQ(TokenCounts(0).longest_lane(), 0U);
  const std::string_view tokens[] = {"a", "b"};
  std::uint64_t found[3];
  EXPECT_EQ(error_of([&] { TokenCounts().count_many(tokens, found); }).code(), Errc::invalid_argument);
}

TEST(TokenCounts, MergingWithItself) {
  TokenCounts counts;
  counts.add("a", 3);
  counts.add(std::string(100, 'x'), 4);
  counts.compact();
  counts.add("b");
  counts.merge(counts);
  EXPECT_EQ(listed(counts), (Listed{{"a", 6}, {"b", 2}, {std::string(100, 'x'), 8}}));
  EXPECT_EQ(counts.total(), 16U);
}

TEST(TokenCounts, CopiesOfAMappedTableStayApartWhenSavedAndLoaded) {
  const Folder folder;
  TokenCounts counts;
  for (int i = 0; i < 2000; ++i) {
    counts.add("token" + std::to_string(1000 + i), 3);
  }
  counts.compact();
  save(counts, folder / "counts.stele");
  const auto mapped = load<TokenCounts>(folder / "counts.stele", {.map = MapMode::read_only});
  auto pair = from_bytes<std::vector<TokenCounts>>(to_bytes(std::vector{mapped, mapped}));
  pair[0].add("token1500");
  EXPECT_EQ(pair[0].count("token1500"), 4U);
  EXPECT_EQ(pair[1], counts);
}

TEST(TokenCounts, WholeLanesVanish) {
  TokenCounts counts;
  for (const char* token : {"", "a", "bb", "cc"}) {
    counts.add(token);
  }
  counts.add("cc");
  EXPECT_EQ(counts.remove_below(2), 3U);
  EXPECT_EQ(listed(counts), (Listed{{"cc", 2}}));
  EXPECT_EQ(test::round_trip(counts), counts);
  EXPECT_EQ(counts.remove_below(3), 1U);
  EXPECT_TRUE(counts.empty());
  EXPECT_EQ(counts.total(), 0U);
  counts.add("a");
  EXPECT_EQ(listed(counts), (Listed{{"a", 1}}));
}

// --- Files -----------------------------------------------------------------------------------------------------------

TokenCounts large_table(std::size_t size = 20'000) {
  TokenCounts counts;
  std::mt19937_64 random(5);
  for (std::size_t i = 0; i < size; ++i) {
    counts.add(std::to_string(random() % 100'000'000), 1 + random() % 400);
    counts.add("a long token that goes to the overflow lane " + std::to_string(i % 700));
  }
  counts.compact();
  return counts;
}

TEST(TokenCounts, AMappedTableIsCopiedLaneByLaneWhenWritten) {
  const Folder folder;
  const std::string path = folder / "counts";
  const TokenCounts counts = large_table();
  save(counts, path);
  const Data before = test::content(path);
  for (const MapMode mode : {MapMode::read_only, MapMode::copy_on_write, MapMode::read_write}) {
    auto mapped = load<TokenCounts>(path, {.map = mode});
    const TokenCounts also_mapped = mapped;
    const auto [token, count] = mapped.top(1).front();
    mapped.add(token);
    mapped.add("new");
    EXPECT_EQ(mapped.count(token), count + 1);
    EXPECT_EQ(also_mapped, counts);
    EXPECT_EQ(mapped.total(), counts.total() + 2);
    mapped.remove_below(300);
    EXPECT_LT(mapped.size(), counts.size());
  }
  EXPECT_EQ(test::content(path), before);
}

TEST(TokenCounts, AMappedTableSavedAgainIsTheSameFile) {
  const Folder folder;
  save(large_table(), folder / "one");
  save(load<TokenCounts>(folder / "one", {.map = MapMode::read_only}), folder / "two");
  EXPECT_EQ(test::content(folder / "one"), test::content(folder / "two"));
}

TEST(TokenCounts, EqualTablesMergedAreEqualFiles) {
  TokenCounts one;
  TokenCounts two;
  for (int i = 0; i < 3000; ++i) {
    one.add(std::to_string(i));
    two.add(std::to_string(2999 - i));
    if (i % 500 == 0) {
      one.compact();
    }
  }
  EXPECT_EQ(one, two);
  one.compact();
  two.compact();
  EXPECT_EQ(to_bytes(one), to_bytes(two));
  EXPECT_EQ(to_bytes(from_bytes<TokenCounts>(to_bytes(one))), to_bytes(one));
}

TEST(TokenCounts, SavedInOtherThings) {
  struct Model {
    std::string name;
    std::map<std::string, TokenCounts> languages;
  };
  Model model{"m", {}};
  for (const char* language : {"de", "en", "fr"}) {
    for (int i = 0; i < 2000; ++i) {
      model.languages[language].add(language + std::to_string(i));
    }
  }
  const Folder folder;
  save(model, folder / "model");
  const auto mapped = load<Model>(folder / "model", {.map = MapMode::read_only, .strict = true});
  EXPECT_EQ(mapped.languages, model.languages);
  const File file = open(folder / "model");
  EXPECT_EQ(file.load<TokenCounts>("languages/en"), model.languages["en"]);
  file.verify();
}

TEST(TokenCounts, SeveralThreadsLookUp) {
  const TokenCounts counts = large_table(3000);
  const Listed all = listed(counts);
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      TokenCounts own = counts;
      for (const auto& [token, count] : all) {
        wrong += counts.count(token) == count ? 0 : 1;
        own.add(token);
      }
      wrong += own.total() == counts.total() + all.size() ? 0 : 1;
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(listed(counts), all);
}

// --- Files made to harm ----------------------------------------------------------------------------------------------

/// The stored form of TokenCounts, written by hand.
struct HandMadeLane {
  std::vector<std::uint64_t> lengths;
  std::vector<std::uint64_t> tokens;
  std::uint64_t count_width = 1;
  std::uint64_t large_width = 0;
  std::uint64_t large = 0;
  std::vector<std::uint8_t> data;
};
struct HandMadeTable {
  std::uint64_t longest_lane = 32;
  std::uint64_t total = 0;
  std::vector<HandMadeLane> lanes;
  std::map<std::string, std::uint64_t> added;
};
struct HandMade {
  HandMadeTable table;
};

std::vector<std::uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

HandMade good_table() {
  using namespace std::string_view_literals;
  return {{32,
           1007,
           {{{1}, {3}, 1, 2, 1, bytes_of("abc\x01\xff\x02\x01\xe8\x03"sv)},
            {{2}, {1}, 1, 0, 0, bytes_of("xy\x02"sv)},
            {{40, 41}, {1, 1}, 1, 0, 0, bytes_of(std::string(40, 'p') + std::string(41, 'q') + "\x01\x01")}},
           {}}};
}

TEST(TokenCounts, AFileMadeByHand) {
  HandMade made = good_table();
  const auto counts = test::reread<TokenCounts>(made, {.strict = true});
  EXPECT_EQ(listed(counts),
            (Listed{{"a", 1}, {"b", 1000}, {"c", 2}, {"xy", 2}, {std::string(40, 'p'), 1}, {std::string(41, 'q'), 1}}));
  EXPECT_NO_THROW(counts.verify());
  made.table.added = {{"b", 5}, {"new", 6}};
  made.table.total += 11;
  const auto with_added = test::reread<TokenCounts>(made);
  EXPECT_EQ(with_added.count("b"), 1005U);
  EXPECT_EQ(with_added.count("new"), 6U);
  EXPECT_EQ(with_added.size(), 7U);
  EXPECT_NO_THROW(with_added.verify());
}

TEST(TokenCounts, PartsThatDoNotFitAreRefused) {
  const auto refused = [](const std::function<void(HandMadeTable&)>& change) {
    HandMade made = good_table();
    change(made.table);
    const Data bytes = to_bytes(made);
    const Error error = error_of([&] { (void)from_bytes<TokenCounts>(bytes); });
    EXPECT_EQ(error.code(), Errc::damaged) << error.what();
  };
  const std::uint64_t huge[] = {4,        1000, std::uint64_t{1} << 32, std::uint64_t{1} << 62, std::uint64_t{1} << 63,
                                most - 1, most};
  for (const std::uint64_t size : huge) {
    refused([&](HandMadeTable& t) { t.lanes[0].tokens[0] = size; });
    refused([&](HandMadeTable& t) { t.lanes[2].tokens[0] = size; });
    refused([&](HandMadeTable& t) { t.lanes[2].tokens = {size, most - size + 2}; });
    refused([&](HandMadeTable& t) { t.lanes[2].tokens = {size, size}; });
    refused([&](HandMadeTable& t) { t.lanes[0].large = size; });
    refused([&](HandMadeTable& t) { t.lanes[2].lengths[1] = size; });
    refused([&](HandMadeTable& t) { t.lanes[2].lengths = {size, most}; });
  }
  for (const std::uint64_t width : {0U, 2U, 9U, 255U}) {
    refused([&](HandMadeTable& t) { t.lanes[0].count_width = width; });
  }
  for (const std::uint64_t width : {0U, 1U, 9U, 255U}) {
    refused([&](HandMadeTable& t) { t.lanes[0].large_width = width; });
  }
  refused([](HandMadeTable& t) { t.lanes[0].large = 0; });
  refused([](HandMadeTable& t) { t.lanes[1].large_width = 1; });
  refused([](HandMadeTable& t) { t.lanes[0].data.pop_back(); });
  refused([](HandMadeTable& t) { t.lanes[0].data.push_back(0); });
  refused([](HandMadeTable& t) { t.lanes[0].data.clear(); });
  refused([](HandMadeTable& t) { t.lanes[0].tokens = {0}; });
  refused([](HandMadeTable& t) { t.lanes[0].tokens = {}; });
  refused([](HandMadeTable& t) { t.lanes[0].lengths = {}; });
  refused([](HandMadeTable& t) { t.lanes[0].lengths = t.lanes[0].tokens = {}; });
  refused([](HandMadeTable& t) { t.lanes[0].lengths = {0}; });
  refused([](HandMadeTable& t) { std::swap(t.lanes[0], t.lanes[1]); });
  refused([](HandMadeTable& t) { t.lanes[1] = t.lanes[0]; });
  refused([](HandMadeTable& t) { t.lanes.push_back(t.lanes[2]); });
  refused([](HandMadeTable& t) { t.lanes[2].lengths = {41, 40}; });
  refused([](HandMadeTable& t) { t.longest_lane = 40; });
  refused([](HandMadeTable& t) { t.longest_lane = 0; });
  refused([](HandMadeTable& t) { t.longest_lane = 256; });
  refused([](HandMadeTable& t) { t.longest_lane = most; });
  refused([](HandMadeTable& t) { t.added = {{"a", 0}}; });
  refused([](HandMadeTable& t) { t.added = {{"a", 1008}}; });
  refused([](HandMadeTable& t) { t.added = {{"a", 1000}, {"b", 8}}; });
}

TEST(TokenCounts, NewTokensThatWereChosenToCollideAreRefused) {
  HandMade chosen;
  for (std::uint64_t i = 0; chosen.table.added.size() < 2500; ++i) {
    const std::string token = std::to_string(100'000'000 + i);
    if ((xxh3_64(std::as_bytes(std::span(token))) & 4095) == 0) {
      chosen.table.added[token] = 1;
    }
  }
  chosen.table.total = 2500;
  const Error error = error_of([&] { (void)from_bytes<TokenCounts>(to_bytes(chosen)); });
  EXPECT_EQ(error.code(), Errc::damaged);
  EXPECT_NE(std::string(error.what()).find("collide"), std::string::npos);
  HandMade any;
  for (int i = 0; i < 20'000; ++i) {
    any.table.added[std::to_string(100'000'000 + i)] = 1;
  }
  any.table.total = 20'000;
  EXPECT_EQ(from_bytes<TokenCounts>(to_bytes(any)).size(), 20'000U);
}

TEST(TokenCounts, AFailedLoadChangesNothing) {
  const Folder folder;
  HandMade made = good_table();
  made.table.lanes[2].data.pop_back();
  save(made, folder / "bad");
  TokenCounts counts;
  counts.add("kept");
  EXPECT_EQ(error_of([&] { load_into(counts, folder / "bad"); }).code(), Errc::damaged);
  EXPECT_EQ(listed(counts), (Listed{{"kept", 1}}));
}

TEST(TokenCounts, VerifyFindsWhatLoadingDoesNotLookAt) {
  const auto found = [](const std::function<void(HandMadeTable&)>& change) {
    HandMade made = good_table();
    change(made.table);
    const auto counts = test::reread<TokenCounts>(made);
    EXPECT_EQ(error_of([&] { counts.verify(); }).code(), Errc::damaged);
  };
  found([](HandMadeTable& t) { ++t.total; });
  found([](HandMadeTable& t) { t.total = 0; });
  found([](HandMadeTable& t) { std::swap(t.lanes[0].data[0], t.lanes[0].data[1]); });  // order
  found([](HandMadeTable& t) { t.lanes[0].data[1] = 'a'; });                           // twice
  found([](HandMadeTable& t) { t.lanes[0].data[4] = 100; });                           // no token has the large count
  found([](HandMadeTable& t) { t.lanes[0].data[3] = 255; });                           // two have it
  found([](HandMadeTable& t) { t.lanes[0].data[6] = 2; });                             // another has it
  found([](HandMadeTable& t) { t.lanes[0].data[6] = 200; });                           // a place beyond the lane
  found([](HandMadeTable& t) {
    t.lanes[0].data[8] = 0;
    t.total -= 768;
  });  // a large one that is small
  found([](HandMadeTable& t) {
    t.lanes[1].data[2] = 0;
    t.total -= 2;
  });  // 0
  found([](HandMadeTable& t) { t.added = {{"b", 5}}; });
  TokenCounts counts = large_table();
  const auto damaged = [&](std::uint64_t from_end) {
    auto made = test::reread<HandMade>(counts);
    auto& data = made.table.lanes.at(5).data;
    data[data.size() - from_end] ^= 1;
    EXPECT_EQ(error_of([&] { test::reread<TokenCounts>(made).verify(); }).code(), Errc::damaged);
  };
  damaged(1);  // the last sample
  damaged(8);
}

/// Calls every function of a table; the results do not matter.
void use_everything(TokenCounts counts, std::uint64_t seed) {
  RandomTokens random(seed);
  const TokenCounts original = counts;
  const auto quietly = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Errc::damaged || error.code() == Errc::out_of_range) << error.what();
    }
  };
  quietly([&] { original.verify(); });
  std::uint64_t length = 0;
  original.for_each([&](std::string_view token, std::uint64_t) { length += token.size(); });
  original.for_each_sorted([&](std::string_view token, std::uint64_t) { length += token.size(); });
  EXPECT_LE(original.top(5).size(), 5U);
  std::vector<std::string> tokens;
  original.for_each([&](std::string_view token, std::uint64_t) {
    if (tokens.size() < 200) {
      tokens.emplace_back(token);
    }
  });
  for (int i = 0; i < 200; ++i) {
    tokens.push_back(random.token());
  }
  std::vector<std::string_view> views(tokens.begin(), tokens.end());
  std::vector<std::uint64_t> found(views.size());
  original.count_many(views, found);
  for (std::size_t i = 0; i < views.size(); ++i) {
    EXPECT_EQ(found[i], original.count(views[i]));
    quietly([&] { counts.add(views[i], random.amount()); });
  }
  quietly([&] { counts.compact(); });
  quietly([&] { counts.merge(original); });
  quietly([&] {
    TokenCounts other;
    other.merge(original);
    other.merge(counts);
  });
  quietly([&] { counts.remove_below(2); });
  quietly([&] { counts.remove_below(100); });
  quietly([&] { (void)to_bytes(counts); });
  (void)(counts == original);
}

TEST(TokenCounts, AnyBytesInTheLanesDoNoHarm) {
  TokenCounts table = large_table(2000);
  table.add("added", 7);
  table.add("and a large one", most / 2);
  const auto good = test::reread<HandMade>(table);
  std::mt19937_64 random(6);
  for (int round = 0; round < (test::sanitized ? 60 : 200); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    HandMade made = good;
    for (HandMadeLane& lane : made.table.lanes) {
      if (round % 3 == 0) {
        for (std::uint8_t& byte : lane.data) {
          byte = static_cast<std::uint8_t>(random());
        }
      } else {
        for (std::uint64_t n = random() % 20; n > 0; --n) {
          lane.data[random() % lane.data.size()] = static_cast<std::uint8_t>(random() % 2 == 0 ? 255 : random());
        }
        if (random() % 3 == 0) {
          std::reverse(lane.data.begin(), lane.data.end());
        }
      }
    }
    if (random() % 2 == 0) {
      made.table.total = random();
    }
    try {
      use_everything(test::reread<TokenCounts>(made), random());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::damaged) << error.what();  // of the added ones
    }
  }
}

TEST(TokenCounts, AnyDamageToAFileIsFoundOrDoesNoHarm) {
  const Data good = to_bytes(large_table(300));
  std::mt19937_64 random(7);
  for (int round = 0; round < (test::sanitized ? 300 : 1000); ++round) {
    Data bad = good;
    for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
      bad[random() % bad.size()] = static_cast<std::byte>(random());
    }
    try {
      use_everything(from_bytes<TokenCounts>(bad, {.verify = Verify::none}), random());
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace stele
