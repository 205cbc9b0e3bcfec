#pragma once
// The benchmarks of any store: fill it, read it in all ways. Each part runs in a process of its own.

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "engine.hpp"
#include "memory.hpp"

namespace bench {

/// A store and its data.
struct StoreCase {
  OpenEngine open = nullptr;
  std::string folder;
  EngineSetting setting;
  std::uint64_t entries = 0;
  double most_seconds = 1e9;  // after which a part ends early

  std::uint64_t values_bytes() const { return entries * setting.value_size; }
};

/// A commit after so many entries or bytes, whichever come first.
constexpr std::uint64_t commit_entries = 10'000;
constexpr std::uint64_t commit_bytes = 64 * mib;
constexpr std::uint64_t scarce_commit_bytes = 8 * mib;  // LMDB and RocksDB hold a transaction in memory

struct Written {
  double seconds = 0;
  double entries = 0;
  double anonymous_mib = 0;
  double peak_mib = 0;
};

/// Puts the entries from `first` on; closing the store is part of the time.
inline Written fill(const StoreCase& job, std::uint64_t first = 0) {
  const StoreValues values(job.setting.value_size);
  const std::uint64_t most_waiting = job.setting.scarce ? scarce_commit_bytes : commit_bytes;
  const std::uint64_t base = reset_peak();
  const AnonymousPeak anonymous;
  Written written;
  const double begin = seconds(CLOCK_MONOTONIC);
  {
    const auto engine = job.open(job.folder, first == 0 ? EngineMode::make : EngineMode::write, job.setting);
    std::uint64_t waiting = 0;
    std::uint64_t i = first;
    for (; i < job.entries; ++i) {
      engine->put(store_key(i, job.setting.integers), values.at(i));
      if (++waiting == commit_entries || waiting * job.setting.value_size >= most_waiting) {
        engine->commit();
        waiting = 0;
      }
      if (i % 256 == 0 && seconds(CLOCK_MONOTONIC) - begin > job.most_seconds) {
        ++i;
        break;
      }
    }
    engine->commit();
    written.entries = static_cast<double>(i - first);
  }
  written.seconds = seconds(CLOCK_MONOTONIC) - begin;
  written.anonymous_mib = anonymous.above_mib();
  written.peak_mib = mib_above(base);
  return written;
}

/// Each key once at most, in a random order.
inline std::vector<StoreKey> each_once(const StoreCase& job, std::uint64_t most) {
  std::vector<std::uint64_t> numbers(job.entries);
  for (std::uint64_t i = 0; i < job.entries; ++i) {
    numbers[i] = i;
  }
  std::mt19937_64 random(7);
  std::shuffle(numbers.begin(), numbers.end(), random);
  numbers.resize(std::min(job.entries, most));
  std::vector<StoreKey> keys;
  for (const std::uint64_t i : numbers) {
    keys.push_back(store_key(i, job.setting.integers));
  }
  return keys;
}

inline std::vector<StoreKey> at_random(const StoreCase& job, std::uint64_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<StoreKey> keys;
  for (std::uint64_t i = 0; i < count; ++i) {
    keys.push_back(store_key(random() % job.entries, job.setting.integers));
  }
  return keys;
}

/// Reads per second; slow series are cut short.
inline double rate_of(EngineReader& reader, std::span<const StoreKey> keys, bool touched, double most_seconds = 2) {
  std::uint64_t sum = 0;
  std::uint64_t done = 0;
  const double begin = seconds(CLOCK_MONOTONIC);
  for (const StoreKey& key : keys) {
    const Bytes value = reader.find(key);
    sum += touched ? touch(value) : reinterpret_cast<std::uintptr_t>(value.data());
    if (++done % 32 == 0 && seconds(CLOCK_MONOTONIC) - begin > most_seconds) {
      break;
    }
  }
  const double took = seconds(CLOCK_MONOTONIC) - begin;
  benchmark::DoNotOptimize(sum);
  return static_cast<double>(done) / took;
}

/// Reads a second of two threads together, each of one half of the keys.
inline double rate_of_two(Engine& engine, std::span<const StoreKey> keys, bool touched) {
  const auto first = engine.reader();
  const auto second = engine.reader();
  double rate = 0;
  std::thread other([&] { rate = rate_of(*second, keys.subspan(keys.size() / 2), touched); });
  const double own = rate_of(*first, keys.first(keys.size() / 2), touched);
  other.join();
  return own + rate;
}

/// How many reads of all bytes are made.
inline std::uint64_t touched_count(const StoreCase& job, std::uint64_t most) {
  return std::clamp<std::uint64_t>(768 * mib / job.setting.value_size, 500, most);
}

struct Handed {
  double open_us = 0;  // and to read one value
  double first = 0;    // values a second, each for the first time
  double again = 0;
  double two = 0;
};

/// Values are returned but not read.
inline Handed read_handed(const StoreCase& job, std::uint64_t most) {
  const std::vector<StoreKey> once = each_once(job, most);
  const std::vector<StoreKey> random = at_random(job, most, 3);
  Handed handed;
  const double begin = seconds(CLOCK_MONOTONIC);
  const auto engine = job.open(job.folder, EngineMode::read, job.setting);
  const auto reader = engine->reader();
  benchmark::DoNotOptimize(reader->find(once.front()).data());
  handed.open_us = 1e6 * (seconds(CLOCK_MONOTONIC) - begin);
  handed.first = rate_of(*reader, once, false);
  handed.again = rate_of(*reader, random, false);
  handed.two = rate_of_two(*engine, random, false);
  return handed;
}

struct Touched {
  double first = 0;
  double again = 0;
  double two = 0;
  double many = 0;
  double scan = 0;
  double scan_stored = 0;
  double anonymous_mib = 0;
  double peak_mib = 0;
};

/// All bytes of values are read.
inline Touched read_touched(const StoreCase& job, std::uint64_t most) {
  const std::uint64_t count = touched_count(job, most);
  const std::vector<StoreKey> once = each_once(job, count);
  const std::vector<StoreKey> random = at_random(job, count, 5);
  const double most_seconds = std::min(job.most_seconds, 4.0);
  const std::uint64_t base = reset_peak();
  const AnonymousPeak anonymous;
  Touched touched;
  const auto engine = job.open(job.folder, EngineMode::read, job.setting);
  const auto reader = engine->reader();
  touched.first = rate_of(*reader, once, true, most_seconds);
  touched.again = rate_of(*reader, random, true, most_seconds);
  std::uint64_t sum = 0;
  if (!job.setting.scarce) {
    touched.two = rate_of_two(*engine, random, true);
    const std::size_t group = std::clamp<std::size_t>(64 * mib / job.setting.value_size, 1, 1000);
    const double begin = seconds(CLOCK_MONOTONIC);
    for (std::size_t i = 0; i < random.size(); i += group) {
      reader->find_many(std::span(random).subspan(i, std::min(group, random.size() - i)),
                        [&](Bytes value) { sum += touch(value); });
    }
    touched.many = static_cast<double>(random.size()) / (seconds(CLOCK_MONOTONIC) - begin);
  }
  for (const bool by_key : {true, false}) {
    if (by_key && job.setting.scarce) {
      continue;
    }
    std::uint64_t values = 0;
    const double begin = seconds(CLOCK_MONOTONIC);
    reader->scan(by_key, [&](Bytes value) {
      sum += touch(value);
      ++values;
    });
    (by_key ? touched.scan : touched.scan_stored) = static_cast<double>(values) / (seconds(CLOCK_MONOTONIC) - begin);
    require(values == job.entries, "a scan of all entries");
  }
  benchmark::DoNotOptimize(sum);
  touched.anonymous_mib = anonymous.above_mib();
  touched.peak_mib = mib_above(base);
  return touched;
}

/// Compares values with the data; not timed.
inline bool check_values(const StoreCase& job) {
  const StoreValues values(job.setting.value_size);
  const auto engine = job.open(job.folder, EngineMode::read, job.setting);
  const auto reader = engine->reader();
  for (std::uint64_t i = 0; i < job.entries; i += std::max<std::uint64_t>(job.entries / 100, 1)) {
    require(std::ranges::equal(reader->find(store_key(i, job.setting.integers)), values.at(i)), "comparing values");
  }
  return true;
}

/// Commits a second, of one entry each.
inline double commits_of_one(const StoreCase& job) {
  const StoreValues values(job.setting.value_size);
  const auto engine = job.open(job.folder, EngineMode::make, job.setting);
  std::uint64_t done = 0;
  const double begin = seconds(CLOCK_MONOTONIC);
  while (done < job.entries && seconds(CLOCK_MONOTONIC) - begin < job.most_seconds) {
    engine->put(store_key(done, job.setting.integers), values.at(done));
    engine->commit();
    ++done;
  }
  return static_cast<double>(done) / (seconds(CLOCK_MONOTONIC) - begin);
}

struct Beside {
  double alone = 0;  // reads a second
  double reads = 0;  // while the other thread writes
  double writes = 0;
};

/// Reads of all bytes while another thread puts new entries and commits each thousand.
inline Beside read_beside_writer(const StoreCase& job) {
  const StoreValues values(job.setting.value_size);
  const auto engine = job.open(job.folder, EngineMode::write, job.setting);
  const auto reader = engine->reader();
  const std::vector<StoreKey> random = at_random(job, 20'000, 9);
  Beside beside;
  beside.alone = rate_of(*reader, random, true);
  std::atomic<bool> end{false};
  std::atomic<std::uint64_t> put{0};
  std::thread writer([&] {
    for (std::uint64_t i = job.entries; !end; ++i) {
      engine->put(store_key(i, job.setting.integers), values.at(i));
      if (++put % 1000 == 0) {
        engine->commit();
      }
    }
    engine->commit();
  });
  std::uint64_t done = 0;
  std::uint64_t sum = 0;
  const double begin = seconds(CLOCK_MONOTONIC);
  double now = begin;
  while (now - begin < job.most_seconds) {
    for (int i = 0; i < 100; ++i) {
      sum += touch(reader->find(random[done++ % random.size()]));
    }
    reader->renew();
    now = seconds(CLOCK_MONOTONIC);
  }
  benchmark::DoNotOptimize(sum);
  beside.reads = static_cast<double>(done) / (now - begin);
  beside.writes = static_cast<double>(put) / (now - begin);
  end = true;
  writer.join();
  return beside;
}

}  // namespace bench
