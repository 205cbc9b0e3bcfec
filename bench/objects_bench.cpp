// Many small objects: a million of them saved to a file and loaded again, beside cereal's and Boost's binary archives
// over file streams.

#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench.hpp"
#include "stele/archive.hpp"
#include "stele/types.hpp"

#if STELE_BENCH_WITH_CEREAL
#include <cereal/archives/binary.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/vector.hpp>
#endif
#if STELE_BENCH_WITH_BOOST
#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/unordered_map.hpp>
#include <boost/serialization/vector.hpp>
#endif

namespace {

constexpr std::size_t count = 1'000'000;

using Numbers = std::unordered_map<double, double>;
using Words = std::map<std::string, std::uint32_t>;
using Lines = std::vector<std::string>;

struct Stele {
  template <class T>
  static bool save(const T& value, const std::string& path) {
    stele::save(value, path);
    return true;
  }
  template <class T>
  static T load(const std::string& path) {
    return stele::load<T>(path);
  }
};

template <class Out, class In>
struct Streams {
  template <class T>
  static bool save(const T& value, const std::string& path) {
    std::ofstream stream(path, std::ios::binary);
    {
      Out archive(stream);
      archive << value;
    }
    stream.close();
    bench::require(stream.good(), "saving");
    return true;
  }
  template <class T>
  static T load(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    In archive(stream);
    T value;
    archive >> value;
    return value;
  }
};

#if STELE_BENCH_WITH_CEREAL
struct CerealOut {
  explicit CerealOut(std::ostream& stream) : archive(stream) {}
  template <class T>
  void operator<<(const T& value) {
    archive(value);
  }
  cereal::BinaryOutputArchive archive;
};
struct CerealIn {
  explicit CerealIn(std::istream& stream) : archive(stream) {}
  template <class T>
  void operator>>(T& value) {
    archive(value);
  }
  cereal::BinaryInputArchive archive;
};
#endif

template <class Library, class T>
void add(const std::string& library, const std::string& what, const std::shared_ptr<const T>& value) {
  const std::string path = bench::file(what + "." + library);
  bench::require(Library::save(*value, path), "saving");
  bench::require(Library::template load<T>(path) == *value, "loading what was saved");
  bench::add("save/" + what + "/" + library, [path] { ::unlink(path.c_str()); },
             [=] { return Library::save(*value, path); });
  bench::add("load/" + what + "/" + library,
             [=] {
               if (::access(path.c_str(), F_OK) != 0) {
                 Library::save(*value, path);
               }
             },
             [=] { return Library::template load<T>(path); });
}

template <class T>
void add_all(const std::string& what, T value) {
  const auto shared = std::make_shared<const T>(std::move(value));
  add<Stele>("stele", what, shared);
#if STELE_BENCH_WITH_CEREAL
  add<Streams<CerealOut, CerealIn>>("cereal", what, shared);
#endif
#if STELE_BENCH_WITH_BOOST
  add<Streams<boost::archive::binary_oarchive, boost::archive::binary_iarchive>>("boost", what, shared);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> real(0, 1);
  const auto text = [&](std::size_t length) {
    std::string letters(length, ' ');
    for (char& letter : letters) {
      letter = static_cast<char>('a' + random() % 26);
    }
    return letters;
  };

  Numbers numbers;
  Words words;
  Lines lines;
  while (numbers.size() < count) {
    numbers.emplace(real(random), real(random));
  }
  while (words.size() < count) {
    words.emplace(text(6 + random() % 9), static_cast<std::uint32_t>(random() % 100'000));
  }
  for (std::size_t i = 0; i < count; ++i) {
    lines.push_back(text(8 + random() % 41));  // 28 characters on average
  }
  add_all("unordered_map_double_double", std::move(numbers));
  add_all("map_string_uint32", std::move(words));
  add_all("vector_string", std::move(lines));
  return bench::run(argc, argv);
}
