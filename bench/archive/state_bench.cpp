// A small state saved to and loaded from memory: what one call costs beside the bytes.

#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "bench.hpp"
#include "stele/archive.hpp"
#include "stele/types.hpp"

#if STELE_BENCH_WITH_CEREAL
#include <cereal/archives/binary.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>
#endif
#if STELE_BENCH_WITH_BOOST
#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#endif

namespace {

struct Point {
  int x = 3;
  int y = 4;
};

struct State {
  std::string name = "a small state";
  int epoch = 17;
  double loss = 0.25;
  std::vector<float> weights = std::vector<float>(64, 0.5F);
  std::map<std::string, double> metrics = {{"accuracy", 0.93}, {"precision", 0.91}, {"recall", 0.88}};
  std::vector<std::string> labels = {"cat", "dog", "horse", "something longer than sixteen characters"};

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive & name & epoch & loss & weights & metrics & labels;
  }
};

void add(const std::string& name, auto work) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    for (auto _ : state) {
      benchmark::DoNotOptimize(work());
    }
  })->Unit(benchmark::kNanosecond);
}

template <class T>
void add_stele(const std::string& what) {
  add("state/save/" + what + "/stele", [] { return stele::to_bytes(T{}); });
  add("state/load/" + what + "/stele", [bytes = stele::to_bytes(T{})] { return stele::from_bytes<T>(bytes); });
}

template <class Out, class In>
void add_streams(const std::string& library) {
  const auto save = [] {
    std::ostringstream stream;
    const State state;
    Out archive(stream);
    archive << state;
    return stream.str();
  };
  add("state/save/state/" + library, save);
  add("state/load/state/" + library, [text = save()] {
    std::istringstream stream(text);
    In archive(stream);
    State state;
    archive >> state;
    return state;
  });
}

#if STELE_BENCH_WITH_CEREAL
struct CerealOut {
  explicit CerealOut(std::ostream& stream) : archive(stream) {}
  void operator<<(const State& s) { archive(s.name, s.epoch, s.loss, s.weights, s.metrics, s.labels); }
  cereal::BinaryOutputArchive archive;
};
struct CerealIn {
  explicit CerealIn(std::istream& stream) : archive(stream) {}
  void operator>>(State& s) { archive(s.name, s.epoch, s.loss, s.weights, s.metrics, s.labels); }
  cereal::BinaryInputArchive archive;
};
#endif

}  // namespace

int main(int argc, char** argv) {
  add("state/make/state/stele", [] { return State{}; });
  add_stele<Point>("point");
  add_stele<State>("state");
#if STELE_BENCH_WITH_CEREAL
  add_streams<CerealOut, CerealIn>("cereal");
#endif
#if STELE_BENCH_WITH_BOOST
  add_streams<boost::archive::binary_oarchive, boost::archive::binary_iarchive>("boost");
#endif
  return bench::run(argc, argv);
}
