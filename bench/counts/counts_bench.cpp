// Token counts beside std::map, std::unordered_map and a sorted vector, on the words of 42 languages that
// rivals.py prepares in STELE_BENCH_FOLDER: a table for each, one for all, and one of millions of pairs
// of words. Leaves the tables as text for the rivals in Python.

#include <malloc.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "bench.hpp"
#include "child.hpp"
#include "examples/language_id/classifier.hpp"
#include "stele/archive.hpp"

namespace {

namespace fs = std::filesystem;
using stele::TokenCounts;

const bool quick = std::getenv("STELE_BENCH_QUICK") != nullptr;

using Entries = std::vector<std::pair<std::string, std::uint32_t>>;

/// Tables of distinct tokens in random order, and tokens to look for.
struct Set {
  std::string name;
  std::vector<Entries> tables;
  std::map<std::string, std::vector<std::string>> queries;  // by what they are

  std::uint64_t tokens() const {
    std::uint64_t sum = 0;
    for (const Entries& table : tables) {
      sum += table.size();
    }
    return sum;
  }
  /// The bytes of all tokens, and of the counts each as narrow as it can be.
  std::uint64_t least_bytes() const {
    std::uint64_t sum = 0;
    for (const Entries& table : tables) {
      for (const auto& [token, count] : table) {
        sum += token.size() + (count < 1U << 8 ? 1 : count < 1U << 16 ? 2 : count < 1U << 24 ? 3 : 4);
      }
    }
    return sum;
  }
};

// --- What is compared ------------------------------------------------------------------------------------------------

struct Stele {
  static constexpr const char* name = "stele";
  explicit Stele(const Entries& entries) {
    for (const auto& [token, count] : entries) {
      counts.add(token, count);
    }
    counts.compact();
  }
  explicit Stele(TokenCounts loaded) : counts(std::move(loaded)) {}
  std::uint64_t count(const std::string& token) const { return counts.count(token); }
  TokenCounts counts;
};
struct Map {
  static constexpr const char* name = "std::map";
  explicit Map(const Entries& entries) {
    for (const auto& [token, count] : entries) {
      counts[token] += count;
    }
  }
  std::uint64_t count(const std::string& token) const {
    const auto at = counts.find(token);
    return at == counts.end() ? 0 : at->second;
  }
  std::map<std::string, std::uint32_t> counts;
};
struct UnorderedMap {
  static constexpr const char* name = "std::unordered_map";
  explicit UnorderedMap(const Entries& entries) {
    for (const auto& [token, count] : entries) {
      counts[token] += count;
    }
  }
  std::uint64_t count(const std::string& token) const {
    const auto at = counts.find(token);
    return at == counts.end() ? 0 : at->second;
  }
  std::unordered_map<std::string, std::uint32_t> counts;
};
struct SortedVector {
  static constexpr const char* name = "sorted vector";
  explicit SortedVector(const Entries& entries) : counts(entries) { std::sort(counts.begin(), counts.end()); }
  std::uint64_t count(const std::string& token) const {
    const auto at = std::lower_bound(counts.begin(), counts.end(), token,
                                     [](const auto& entry, const std::string& t) { return entry.first < t; });
    return at == counts.end() || at->first != token ? 0 : at->second;
  }
  Entries counts;
};

// --- Data ------------------------------------------------------------------------------------------------------------

std::vector<fs::path> text_files(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(bench::file(folder))) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::mt19937_64& random_bits() {
  static std::mt19937_64 random(1);
  return random;
}

template <class T>
void shuffle(std::vector<T>& items) {
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random_bits()() % i]);
  }
}

/// Known tokens, each as likely as any other, and ones that differ from a known one in a byte.
void add_queries(Set& set) {
  const Entries& entries = set.tables.front();
  std::unordered_set<std::string_view> known;
  for (const auto& entry : entries) {
    known.insert(entry.first);
  }
  const std::size_t count = quick ? 100'000 : 1'000'000;
  while (set.queries["known"].size() < count) {
    set.queries["known"].push_back(entries[random_bits()() % entries.size()].first);
  }
  while (set.queries["unknown"].size() < count) {
    std::string token = entries[random_bits()() % entries.size()].first;
    token[random_bits()() % token.size()] ^= 1;
    if (!known.contains(token)) {
      set.queries["unknown"].push_back(std::move(token));
    }
  }
}

Set languages() {
  Set set{"languages", {}, {}};
  for (const fs::path& path : text_files("words")) {
    Entries entries;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      const std::size_t tab = line.find('\t');
      entries.emplace_back(line.substr(0, tab), static_cast<std::uint32_t>(std::stoul(line.substr(tab + 1))));
    }
    shuffle(entries);
    set.tables.push_back(std::move(entries));
  }
  std::vector<std::string>& words = set.queries["words of sentences"];
  for (const fs::path& path : text_files("sentences")) {
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      language_id::for_each_word(line, [&](std::string_view word) { words.emplace_back(word); });
    }
  }
  shuffle(words);
  words.resize(std::min<std::size_t>(words.size(), quick ? 5'000 : 50'000));
  return set;
}

Set all_words(const Set& languages) {
  std::map<std::string, std::uint32_t> sums;
  for (const Entries& table : languages.tables) {
    for (const auto& [word, count] : table) {
      sums[word] += count;
    }
  }
  Set set{"words", {Entries(sums.begin(), sums.end())}, {}};
  shuffle(set.tables.front());
  add_queries(set);
  return set;
}

/// Two words after one another, both drawn as often as they are counted, whatever the language.
Set pairs(const Set& words) {
  const Entries& entries = words.tables.front();
  std::vector<std::uint64_t> ends;
  std::uint64_t total = 0;
  for (const auto& entry : entries) {
    ends.push_back(total += entry.second);
  }
  const auto draw = [&]() -> const std::string& {
    const auto at = std::upper_bound(ends.begin(), ends.end(), random_bits()() % total);
    return entries[static_cast<std::size_t>(at - ends.begin())].first;
  };
  std::unordered_map<std::string, std::uint32_t> sums;
  const std::size_t wanted = quick ? 400'000 : 4'000'000;
  while (sums.size() < wanted) {
    const std::string& first = draw();
    ++sums[first + " " + draw()];
  }
  Set set{"pairs", {Entries(sums.begin(), sums.end())}, {}};
  shuffle(set.tables.front());
  add_queries(set);
  return set;
}

/// For the rivals in Python: a token and its count a line.
void write_text(const Set& set) {
  std::ofstream out(bench::file("counts " + set.name + ".txt"));
  for (const auto& [token, count] : set.tables.front()) {
    out << token << '\t' << count << '\n';
  }
}

// --- Measurements ----------------------------------------------------------------------------------------------------

struct Built {
  double seconds;
  double bytes;
};

template <class Work>
Built memory_of(const Work& work) {
  return bench::in_child([&] {
    ::malloc_trim(0);
    const std::uint64_t before = bench::status("VmRSS");
    const double begin = bench::seconds(CLOCK_MONOTONIC);
    const auto tables = work();
    const double end = bench::seconds(CLOCK_MONOTONIC);
    ::malloc_trim(0);
    benchmark::DoNotOptimize(tables.data());
    return Built{end - begin, static_cast<double>(bench::status("VmRSS")) - static_cast<double>(before)};
  });
}

template <class Table>
std::vector<Table> built(const Set& set) {
  std::vector<Table> tables;
  tables.reserve(set.tables.size());
  for (const Entries& entries : set.tables) {
    tables.emplace_back(entries);
  }
  return tables;
}

/// Time to build, and the resident memory that it takes.
template <class Table>
void add_build(const Set& set) {
  benchmark::RegisterBenchmark(("counts/" + set.name + "/build/" + Table::name).c_str(),
                               [&set](benchmark::State& state) {
                                 for (auto _ : state) {
                                   const Built result = memory_of([&] { return built<Table>(set); });
                                   state.SetIterationTime(result.seconds);
                                   state.counters["resident"] = result.bytes;
                                 }
                                 state.counters["tokens"] = static_cast<double>(set.tokens());
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

template <class Tables>
void add_look_ups(const Set& set, const std::string& name, const std::shared_ptr<Tables>& tables) {
  for (const auto& [what, queries] : set.queries) {
    benchmark::RegisterBenchmark(("counts/" + set.name + "/" + what + "/" + name).c_str(),
                                 [tables, &queries](benchmark::State& state) {
                                   for (auto _ : state) {
                                     const double begin = bench::seconds(CLOCK_MONOTONIC);
                                     std::uint64_t sum = 0;
                                     for (const std::string& token : queries) {
                                       for (const auto& table : *tables) {
                                         sum += table.count(token);
                                       }
                                     }
                                     benchmark::DoNotOptimize(sum);
                                     state.SetIterationTime(bench::seconds(CLOCK_MONOTONIC) - begin);
                                   }
                                   state.counters["look_ups"] = static_cast<double>(queries.size() * tables->size());
                                 })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
}

void add_many(const Set& set, const std::shared_ptr<std::vector<Stele>>& tables) {
  for (const auto& [what, queries] : set.queries) {
    const auto views = std::make_shared<std::vector<std::string_view>>(queries.begin(), queries.end());
    benchmark::RegisterBenchmark(("counts/" + set.name + "/" + what + "/stele, count_many").c_str(),
                                 [tables, views](benchmark::State& state) {
                                   std::vector<std::uint64_t> counts(views->size());
                                   for (auto _ : state) {
                                     const double begin = bench::seconds(CLOCK_MONOTONIC);
                                     for (const Stele& table : *tables) {
                                       table.counts.count_many(*views, counts);
                                       benchmark::DoNotOptimize(counts.data());
                                     }
                                     state.SetIterationTime(bench::seconds(CLOCK_MONOTONIC) - begin);
                                   }
                                   state.counters["look_ups"] = static_cast<double>(views->size() * tables->size());
                                 })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
}

std::vector<TokenCounts> token_counts(const std::vector<Stele>& tables) {
  std::vector<TokenCounts> counts;
  for (const Stele& table : tables) {
    counts.push_back(table.counts);
  }
  return counts;
}

void add_all(const Set& set) {
  const std::string prefix = "counts/" + set.name + "/";
  const std::string path = bench::file("counts " + set.name + ".stele");
  add_build<Stele>(set);
  add_build<Map>(set);
  add_build<UnorderedMap>(set);
  add_build<SortedVector>(set);

  const auto own = std::make_shared<std::vector<Stele>>(built<Stele>(set));
  const auto tables = std::make_shared<std::vector<TokenCounts>>(token_counts(*own));
  stele::save(*tables, path);
  add_look_ups(set, Stele::name, own);
  add_many(set, own);
  const auto mapped = std::make_shared<std::vector<TokenCounts>>(
      stele::load<std::vector<TokenCounts>>(path, {.map = stele::MapMode::read_only}));
  add_look_ups(set, "stele, mapped", mapped);
  add_look_ups(set, Map::name, std::make_shared<std::vector<Map>>(built<Map>(set)));
  add_look_ups(set, UnorderedMap::name, std::make_shared<std::vector<UnorderedMap>>(built<UnorderedMap>(set)));
  add_look_ups(set, SortedVector::name, std::make_shared<std::vector<SortedVector>>(built<SortedVector>(set)));

  std::uint64_t bytes = 0;
  for (const TokenCounts& table : *tables) {
    bytes += table.byte_count();
  }
  benchmark::RegisterBenchmark(
      (prefix + "map").c_str(),
      [path, bytes, &set](benchmark::State& state) {
        for (auto _ : state) {
          constexpr int calls = 20;
          const double begin = bench::seconds(CLOCK_MONOTONIC);
          for (int i = 0; i < calls; ++i) {
            benchmark::DoNotOptimize(stele::load<std::vector<TokenCounts>>(path, {.map = stele::MapMode::read_only}));
          }
          state.SetIterationTime((bench::seconds(CLOCK_MONOTONIC) - begin) / calls);
        }
        state.counters["memory"] = static_cast<double>(bytes);
        state.counters["file"] = static_cast<double>(fs::file_size(path));
        state.counters["least"] = static_cast<double>(set.least_bytes());
        state.counters["tokens"] = static_cast<double>(set.tokens());
      })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
  bench::add(prefix + "save", [tables, path] {
    stele::save(*tables, path + ".new");
    return 0;
  });
  bench::add(prefix + "load", [path] { return stele::load<std::vector<TokenCounts>>(path); });
  bench::add(prefix + "top 1000", [tables] { return tables->front().top(1000); });
  const auto copies = std::make_shared<std::vector<TokenCounts>>();
  bench::add(
      prefix + "remove_below", [tables, copies] { *copies = *tables; },
      [copies] { return copies->front().remove_below(3); });
  bench::add(
      prefix + "merge", [tables, copies] { *copies = *tables; },
      [tables, copies] {
        copies->front().merge(tables->back());
        return 0;
      });
}

/// The example's classifier on real sentences, mapped.
void add_classifier() {
  language_id::Classifier trained;
  for (const fs::path& path : text_files("words")) {
    language_id::Language language{path.stem().string(), TokenCounts()};
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      const std::size_t tab = line.find('\t');
      const std::uint64_t count = std::stoull(line.substr(tab + 1));
      language_id::for_each_word(std::string_view(line).substr(0, tab),
                                 [&](std::string_view word) { language.words.add(word, count); });
    }
    language.words.compact();
    trained.languages.push_back(std::move(language));
  }
  const std::string path = bench::file("counts classifier.stele");
  stele::save(trained, path);
  const auto classifier = std::make_shared<language_id::Classifier>(
      stele::load<language_id::Classifier>(path, {.map = stele::MapMode::read_only}));
  const auto sentences = std::make_shared<std::vector<std::pair<std::string, std::string>>>();
  for (const fs::path& file : text_files("sentences")) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      sentences->emplace_back(file.stem().string(), line);
    }
  }
  benchmark::RegisterBenchmark("counts/classify",
                               [=](benchmark::State& state) {
                                 std::size_t right = 0;
                                 for (auto _ : state) {
                                   const double begin = bench::seconds(CLOCK_MONOTONIC);
                                   for (const auto& [language, sentence] : *sentences) {
                                     right += classifier->classify(sentence) == language ? 1 : 0;
                                   }
                                   state.SetIterationTime(bench::seconds(CLOCK_MONOTONIC) - begin);
                                 }
                                 state.counters["sentences"] = static_cast<double>(sentences->size());
                                 state.counters["languages"] = static_cast<double>(classifier->languages.size());
                                 state.counters["right"] = static_cast<double>(right);
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  if (!fs::exists(bench::file("words"))) {
    std::fprintf(stderr, "counts_bench: no word lists; make them by bench/counts/wordlists.py\n");
    return 2;
  }
  static const Set by_language = languages();
  static const Set words = all_words(by_language);
  static const Set word_pairs = pairs(words);
  for (const Set* set : {&by_language, &words, &word_pairs}) {
    write_text(*set);
    add_all(*set);
  }
  add_classifier();
  return bench::run(argc, argv);
}
