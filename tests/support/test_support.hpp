#pragma once
// Shared by the archive tests: temporary folders, expected errors, round trips, unusual sinks and sources.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stele/archive.hpp"
#include "stele/codec.hpp"
#include "support/hand_made.hpp"
#include "support/sanitized.hpp"

namespace stele {

/// For the messages of GoogleTest.
inline void PrintTo(Errc code, std::ostream* out) { *out << to_string(code); }

}  // namespace stele

/// Expects an expression to throw an Error with a code, and `part` in its message.
#define EXPECT_ERROR(expression, wanted, part)                                            \
  do {                                                                                    \
    try {                                                                                 \
      static_cast<void>(expression);                                                      \
      ADD_FAILURE() << "no error: " #expression;                                          \
    } catch (const ::stele::Error& error) {                                               \
      EXPECT_EQ(error.code(), wanted) << error.what();                                    \
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what(); \
    }                                                                                     \
  } while (false)

namespace stele::test {

/// Calls `action` when it is destroyed.
template <class Action>
class Finally {
 public:
  explicit Finally(Action action) : action_(std::move(action)) {}
  ~Finally() { action_(); }
  Finally(const Finally&) = delete;
  Finally& operator=(const Finally&) = delete;

 private:
  Action action_;
};

/// An unused name in the current folder, different for each test, as several run at the same time.
inline std::string fresh(const std::string& name) {
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  const std::string path = std::string(test.test_suite_name()) + '.' + test.name() + '.' + name;
  std::filesystem::remove_all(path);
  return path;
}

/// A new empty folder, removed with the object.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "stele-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("no temporary folder");
    }
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string operator/(std::string_view name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }
  /// The names in it, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::filesystem::path path_;
};

inline Data content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const Bytes bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline void put(const std::string& path, Bytes bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// The Error that `action` throws.
template <class Action>
Error error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& other) {
    ADD_FAILURE() << "another exception: " << other.what();
    return Error(Errc::invalid_argument, "another exception");
  }
  ADD_FAILURE() << "no error";
  return Error(Errc::invalid_argument, "no error");
}

template <class T>
T round_trip(const T& value, const SaveOptions& save_options = {}, const LoadOptions& load_options = {}) {
  return from_bytes<T>(to_bytes(value, save_options), load_options);
}

template <class To, class From>
To reread(const From& value, const LoadOptions& options = {}, const SaveOptions& save_options = {}) {
  return from_bytes<To>(to_bytes(value, save_options), options);
}

/// Whether a codec is in this build.
inline bool has_codec(std::string_view name) {
  const Codecs codecs;
  return name == "plain" || codecs.find(name) != nullptr;
}

template <class T>
void expect_same(const T& value) {
  EXPECT_EQ(round_trip(value), value);
  for (const char* codec : {"gzip", "zstd"}) {
    if (test::has_codec(codec)) {
      EXPECT_EQ(round_trip(value, {.codec = codec}), value) << codec;
    }
  }
}

/// The names of all codecs of this build.
inline std::vector<std::string> codecs() {
  std::vector<std::string> names{"plain"};
  const Codecs known;
  for (const auto& codec : known.all()) {
    names.emplace_back(codec->name());
  }
  return names;
}

/// Memory of its own, with random access.
class OwnedSource final : public Source {
 public:
  explicit OwnedSource(Data bytes) : bytes_(std::move(bytes)), source_(memory_source(bytes_)) {}
  std::size_t read(MutableBytes into) override { return source_->read(into); }
  std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { source_->seek(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override { source_->read_at(offset, into); }

 private:
  const Data bytes_;
  const std::unique_ptr<Source> source_;
};

/// Returns at most `piece` bytes at a time; can only be read in order.
class TrickleSource final : public Source {
 public:
  explicit TrickleSource(Bytes bytes, std::size_t piece = 1) : bytes_(bytes), piece_(piece) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t size = std::min({into.size(), piece_, bytes_.size() - taken_});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(taken_), size, into.begin());
    taken_ += size;
    return size;
  }
  std::size_t taken() const { return taken_; }

 private:
  Bytes bytes_;
  std::size_t piece_;
  std::size_t taken_ = 0;
};

/// Collects bytes; cannot patch. Fails once more than `room` bytes are written.
class PipeSink final : public Sink {
 public:
  explicit PipeSink(std::size_t room = ~std::size_t{0}) : room_(room) {}
  void write(Bytes bytes) override {
    if (bytes.size() > room_ - data.size()) {
      fail(Errc::io, "no room");
    }
    data += bytes;
  }
  void close() override { ++closed; }
  Data data;
  int closed = 0;

 private:
  std::size_t room_;
};

/// `count` numbers that depend on the seed only.
template <class T>
std::vector<T> numbers(std::size_t count, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<T> values(count);
  for (T& value : values) {
    if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<T>(std::uniform_real_distribution<double>(-1000, 1000)(random));
    } else {
      value = static_cast<T>(random());
    }
  }
  return values;
}

/// An array filled with 0, 1, 2, … in its own memory order.
template <class T, std::size_t Rank>
Array<T, Rank> counting(const std::array<std::uint64_t, Rank>& shape, Order order = Order::row_major) {
  Array<T, Rank> array = Array<T, Rank>::uninitialized(shape, order);
  for (std::uint64_t i = 0; i < array.size(); ++i) {
    array.mutable_data()[i] = static_cast<T>(i % 120);
  }
  return array;
}

}  // namespace stele::test
