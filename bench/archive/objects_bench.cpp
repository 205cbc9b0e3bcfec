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

/// A value made when it is first asked for, so that a filtered run makes only what it needs.
template <class T>
class Lazy {
 public:
  explicit Lazy(T (*make)()) : make_(make) {}
  const T& get() {
    if (!value_) {
      value_ = std::make_unique<const T>(make_());
    }
    return *value_;
  }

 private:
  T (*make_)();
  std::unique_ptr<const T> value_;
};

template <class Library, class T>
void add(const std::string& library, const std::string& what, const std::shared_ptr<Lazy<T>>& value) {
  const std::string path = bench::file(what + "." + library);
  bench::add(
      "save/" + what + "/" + library,
      [=] {
        ::unlink(path.c_str());
        value->get();
      },
      [=] { return Library::save(value->get(), path); });
  const auto checked = std::make_shared<bool>(false);
  bench::add(
      "load/" + what + "/" + library,
      [=] {
        if (!*checked) {
          Library::save(value->get(), path);
          bench::require(Library::template load<T>(path) == value->get(), "loading what was saved");
          *checked = true;
        }
      },
      [=] { return Library::template load<T>(path); });
}

template <class T>
void add_all(const std::string& what, T (*make)()) {
  const auto value = std::make_shared<Lazy<T>>(make);
  add<Stele>("stele", what, value);
#if STELE_BENCH_WITH_CEREAL
  add<Streams<CerealOut, CerealIn>>("cereal", what, value);
#endif
#if STELE_BENCH_WITH_BOOST
  add<Streams<boost::archive::binary_oarchive, boost::archive::binary_iarchive>>("boost", what, value);
#endif
}

std::mt19937_64& random_bits() {
  static std::mt19937_64 random(1);
  return random;
}

std::string letters(std::size_t length) {
  std::string text(length, ' ');
  for (char& letter : text) {
    letter = static_cast<char>('a' + random_bits()() % 26);
  }
  return text;
}

Numbers make_numbers() {
  std::uniform_real_distribution<double> real(0, 1);
  Numbers numbers;
  while (numbers.size() < count) {
    numbers.emplace(real(random_bits()), real(random_bits()));
  }
  return numbers;
}

Words make_words() {
  Words words;
  while (words.size() < count) {
    words.emplace(letters(6 + random_bits()() % 9), static_cast<std::uint32_t>(random_bits()() % 100'000));
  }
  return words;
}

Lines make_lines() {
  Lines lines;
  for (std::size_t i = 0; i < count; ++i) {
    lines.push_back(letters(8 + random_bits()() % 41));  // 28 characters on average
  }
  return lines;
}

/// A map whose nodes lie one after another, as loading leaves them. One filled in another order has its nodes all over
/// the memory, and walking it costs more than writing it.
template <class T, T (*make)()>
T in_order() {
  const T scattered = make();
  if constexpr (requires(T t) { t.bucket_count(); }) {
    T copy(scattered.bucket_count());
    copy.insert(scattered.begin(), scattered.end());
    return copy;
  } else {
    return T(scattered.begin(), scattered.end());
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_all("unordered_map_double_double", make_numbers);
  add_all("unordered_map_double_double in order", in_order<Numbers, make_numbers>);
  add_all("map_string_uint32", make_words);
  add_all("map_string_uint32 in order", in_order<Words, make_words>);
  add_all("vector_string", make_lines);
  return bench::run(argc, argv);
}
