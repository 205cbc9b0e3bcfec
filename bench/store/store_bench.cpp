// The store beside LMDB, SQLite and RocksDB: what work.hpp does, for values of several sizes, numbers of entries,
// and data larger than the memory; and the care of a store. Every store is filled and read in processes of their own.

#include <filesystem>

#include "engines/stele.hpp"
#include "work.hpp"
#if STELE_BENCH_WITH_LMDB
#include "engines/lmdb.hpp"
#endif
#if STELE_BENCH_WITH_SQLITE
#include "engines/sqlite.hpp"
#endif
#if STELE_BENCH_WITH_ROCKSDB
#include "engines/rocksdb.hpp"
#endif

namespace {

using bench::mib;
using bench::StoreCase;

const bool quick = std::getenv("STELE_BENCH_QUICK") != nullptr;

struct EngineName {
  std::string name;
  bench::OpenEngine open;
  std::size_t least_value = 0;  // below which it would not differ from another
};

std::vector<EngineName> engines() {
  return {
      {"stele", bench::open_engine<bench::SteleEngine>},
#if STELE_BENCH_WITH_LMDB
      {"LMDB", bench::open_engine<bench::LmdbEngine>},
#endif
#if STELE_BENCH_WITH_SQLITE
      {"SQLite", bench::open_engine<bench::SqliteEngine>},
#endif
#if STELE_BENCH_WITH_ROCKSDB
      {"RocksDB", bench::open_engine<bench::RocksEngine<false>>},
      {"RocksDB blobs", bench::open_engine<bench::RocksEngine<true>>, 10'000},
#endif
  };
}

/// An empty folder for a store, which goes in the end.
class Folder {
 public:
  Folder() : path_(bench::file("store.bench")) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// Registers a benchmark that runs once and sets the time and counters itself.
template <class Work>
void add(const std::string& name, const Work& work) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [work](benchmark::State& state) {
                                 for (auto _ : state) {
                                   state.SetIterationTime(work(state.counters));
                                 }
                               })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

void count(benchmark::UserCounters& counters, const StoreCase& job) {
  counters["entries"] = static_cast<double>(job.entries);
  counters["values_bytes"] = static_cast<double>(job.values_bytes());
  counters["data_bytes"] = static_cast<double>(job.values_bytes() + job.entries * (job.setting.integers ? 8 : 16));
}

/// Fills a store and reads it in all ways. `briefly`: not what takes all of the bytes.
double measure(StoreCase job, bool briefly, benchmark::UserCounters& counters) {
  const Folder folder;
  job.folder = folder.path();
  const std::uint64_t most = quick ? 20'000 : 200'000;
  const auto written = bench::in_child([&] { return bench::fill(job); });
  count(counters, job);
  counters["write"] = written.entries / written.seconds;
  counters["write_anonymous_mib"] = written.anonymous_mib;
  counters["write_peak_mib"] = written.peak_mib;
  counters["disk_bytes"] = bench::disk_bytes(job.folder);
  bench::in_child([&] { return bench::check_values(job); });
  const auto handed = bench::in_child([&] { return bench::read_handed(job, most); });
  counters["open_us"] = handed.open_us;
  counters["handed_first"] = handed.first;
  counters["handed"] = handed.again;
  counters["handed_two"] = handed.two;
  if (!briefly) {
    const auto touched = bench::in_child([&] { return bench::read_touched(job, most); });
    counters["touched_first"] = touched.first;
    counters["touched"] = touched.again;
    counters["touched_two"] = touched.two;
    counters["many"] = touched.many;
    counters["scan"] = touched.scan;
    counters["scan_stored"] = touched.scan_stored;
    counters["read_anonymous_mib"] = touched.anonymous_mib;
    counters["read_peak_mib"] = touched.peak_mib;
  }
  return written.seconds;
}

/// Values of 100 B to 1 MB; the small ones also with integers in a rising order as keys.
void add_sizes() {
  for (const auto& [size, entries] :
       {std::pair{100, 400'000}, {1000, 200'000}, {10'000, 30'000}, {100'000, 3000}, {1'000'000, 300}}) {
    for (const auto& engine : engines()) {
      for (const bool integers : {false, true}) {
        if ((integers && size > 1000) || static_cast<std::size_t>(size) < engine.least_value) {
          continue;
        }
        StoreCase job;
        job.open = engine.open;
        job.setting = {.integers = integers, .value_size = static_cast<std::size_t>(size)};
        job.entries = static_cast<std::uint64_t>(quick ? entries / 10 : entries);
        add((integers ? "integers/" : "sizes/") + std::to_string(size) + "/" + engine.name,
            [job](benchmark::UserCounters& counters) { return measure(job, false, counters); });
      }
    }
  }
}

double timed(const auto& work) {
  const double begin = bench::seconds(CLOCK_MONOTONIC);
  work();
  return bench::seconds(CLOCK_MONOTONIC) - begin;
}

struct Object {
  std::string text = "an object's text";
  std::uint64_t number = 0;
  std::vector<float> numbers = std::vector<float>(16);
};

/// Objects of about 100 B under integers in a rising order, beside bytes of that size in LMDB.
void add_objects() {
  for (const auto& engine : engines()) {
    if (engine.name != "stele" && engine.name != "LMDB") {
      continue;
    }
    StoreCase job;
    job.open = engine.open;
    job.setting = {.integers = true, .value_size = 100};
    job.entries = quick ? 40'000 : 400'000;
    add("objects/100/" + engine.name, [job, engine](benchmark::UserCounters& counters) {
      const Folder folder;
      StoreCase there = job;
      there.folder = folder.path();
      const auto put_objects = [&] {
        return timed([&] {
          stele::Store store = stele::Store::open(there.folder + "/store");
          Object object;
          for (std::uint64_t i = 0; i < there.entries; ++i) {
            object.number = i;
            store.put(i, object);
            if ((i + 1) % bench::commit_entries == 0) {
              store.commit();
            }
          }
          store.close();
        });
      };
      const double took =
          bench::in_child([&] { return engine.name == "stele" ? put_objects() : bench::fill(there).seconds; });
      counters["write"] = static_cast<double>(there.entries) / took;
      return took;
    });
  }
}

/// From a thousand to a million entries of 100 B.
void add_entries() {
  for (std::uint64_t entries = 1000; entries <= (quick ? 100'000 : 1'000'000); entries *= 10) {
    for (const auto& engine : engines()) {
      if (engine.least_value == 0) {
        StoreCase job;
        job.open = engine.open;
        job.setting = {.value_size = 100};
        job.entries = entries;
        add("entries/" + std::to_string(entries) + "/" + engine.name,
            [job](benchmark::UserCounters& counters) { return measure(job, true, counters); });
      }
    }
  }
}

/// What a store does when memory is limited. Parts that take longer than their time end early, and filling then goes on
/// without the limit. Throws where the system ends a process for want of memory.
double measure_scarce(StoreCase job, const bench::MemoryLimit& limit, benchmark::UserCounters& counters) {
  const Folder folder;
  job.folder = folder.path();
  count(counters, job);
  const auto written = bench::in_child([&] {
    limit.join();
    return bench::fill(job);
  });
  counters["write"] = written.entries / written.seconds;
  counters["write_share"] = written.entries / static_cast<double>(job.entries);
  counters["write_anonymous_mib"] = written.anonymous_mib;
  if (written.entries < static_cast<double>(job.entries)) {
    StoreCase rest = job;
    rest.most_seconds = 1e9;
    bench::in_child([&] { return bench::fill(rest, static_cast<std::uint64_t>(written.entries)); });
  }
  bench::drop_cache(job.folder);
  const auto touched = bench::in_child([&] {
    limit.join();
    return bench::read_touched(job, 20'000);
  });
  counters["touched_first"] = touched.first;
  counters["touched"] = touched.again;
  counters["scan_stored"] = touched.scan_stored;
  counters["read_anonymous_mib"] = touched.anonymous_mib;
  return written.seconds;
}

/// A gigabyte with a limit of 256 MiB for memory and page cache.
void add_scarce() {
  for (const std::size_t size : {std::size_t{1000}, std::size_t{100'000}}) {
    for (const auto& engine : engines()) {
      if (size < engine.least_value || (quick && size > 1000)) {
        continue;
      }
      StoreCase job;
      job.open = engine.open;
      job.setting = {.scarce = true, .value_size = size};
      job.entries = (quick ? 256 : 1024) * mib / size;
      job.most_seconds = quick ? 1 : 6;
      add("scarce/" + std::to_string(size) + "/" + engine.name, [job](benchmark::UserCounters& counters) {
        const bench::MemoryLimit limit((quick ? 64 : 256) * mib);
        counters["limited"] = limit.is_there() ? 1 : 0;
        if (!limit.is_there()) {
          return 0.0;
        }
        try {
          return measure_scarce(job, limit, counters);
        } catch (const std::exception&) {
          counters["failed"] = 1;
          return 0.0;
        }
      });
    }
  }
}

/// Commits of one entry each that wait for the device, and reads while another thread writes.
void add_commits() {
  for (const auto& engine : engines()) {
    if (engine.least_value != 0) {
      continue;
    }
    StoreCase job;
    job.open = engine.open;
    job.setting = {.value_size = 1000};
    add("durable/1000/" + engine.name, [job](benchmark::UserCounters& counters) {
      const Folder folder;
      StoreCase there = job;
      there.folder = folder.path();
      there.setting.durable = true;
      there.entries = 1000;
      there.most_seconds = quick ? 0.3 : 2;
      counters["commits"] = bench::in_child([&] { return bench::commits_of_one(there); });
      return 1 / static_cast<double>(counters["commits"]);
    });
    add("beside/1000/" + engine.name, [job](benchmark::UserCounters& counters) {
      const Folder folder;
      StoreCase there = job;
      there.folder = folder.path();
      there.entries = quick ? 10'000 : 100'000;
      bench::in_child([&] { return bench::fill(there); });
      there.most_seconds = quick ? 0.3 : 2;
      const auto beside = bench::in_child([&] { return bench::read_beside_writer(there); });
      counters["alone"] = beside.alone;
      counters["reads"] = beside.reads;
      counters["writes"] = beside.writes;
      return 1 / beside.reads;
    });
  }
}

struct Care {
  double bytes = 0;  // of the store's files
  double verify = 0;
  double compact = 0;
  double recover = 0;
  double vacuum_bytes = 0;
  double vacuum = 0;
};

/// verify(), compact_to(), recover(), and vacuum() after every other entry was erased.
Care care_of(const StoreCase& job) {
  const std::string path = job.folder + "/store";
  Care care;
  care.bytes = bench::disk_bytes(path);
  {
    const stele::Store store = stele::Store::open(path, stele::StoreMode::read_only);
    care.verify = timed([&] { bench::require(store.check().good(), "verify"); });
    care.compact = timed([&] { store.compact_to(job.folder + "/one.stele"); });
  }
  std::filesystem::remove(path + "/index.lmdb");
  care.recover = timed([&] { bench::require(stele::Store::recover(path).values == job.entries, "recover"); });
  stele::Store store = stele::Store::open(path);
  for (std::uint64_t i = 0; i < job.entries; i += 2) {
    store.erase(bench::store_key(i, false).text());
  }
  store.commit();
  care.vacuum_bytes = bench::disk_bytes(path);
  care.vacuum = timed([&] { store.vacuum(); });
  store.close();
  return care;
}

void add_care() {
  for (const auto& [size, entries] : {std::pair{100, 1'000'000}, {10'000, 40'000}}) {
    StoreCase job;
    job.open = bench::open_engine<bench::SteleEngine>;
    job.setting = {.value_size = static_cast<std::size_t>(size)};
    job.entries = static_cast<std::uint64_t>(quick ? entries / 20 : entries);
    add("care/" + std::to_string(size) + "/stele", [job](benchmark::UserCounters& counters) {
      const Folder folder;
      StoreCase there = job;
      there.folder = folder.path();
      bench::in_child([&] { return bench::fill(there); });
      const Care care = bench::in_child([&] { return care_of(there); });
      count(counters, there);
      counters["verify"] = care.bytes / 1e6 / care.verify;
      counters["compact"] = care.bytes / 1e6 / care.compact;
      counters["recover"] = care.bytes / 1e6 / care.recover;
      counters["vacuum"] = care.vacuum_bytes / 1e6 / care.vacuum;
      return care.verify;
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_sizes();
  add_objects();
  add_entries();
  add_scarce();
  add_commits();
  add_care();
  return bench::run(argc, argv);
}
