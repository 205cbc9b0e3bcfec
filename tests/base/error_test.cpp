// Error messages: every kind of access gives the file, the path in the object and the offset. No message or description
// can control a terminal.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <memory>
#include <sstream>
#include <thread>
#include <variant>
#include <vector>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/state_text.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::Data;
using test::error_of;
using test::Folder;

// --- Text for people -------------------------------------------------------------------------------------------------

std::string utf8(char32_t point) {
  std::string text;
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
  return text;
}

/// The first place in `text` that a terminal would obey, hide or reorder; line feeds are allowed.
std::string unsafe_in(const std::string& text) {
  for (const char32_t point : {0x7fU,   0x61cU,  0x200bU, 0x200eU, 0x200fU, 0x2028U,  0x2029U,   0x202aU,
                               0x202bU, 0x202cU, 0x202dU, 0x202eU, 0x2060U, 0x2066U,  0x2067U,   0x2068U,
                               0x2069U, 0xfeffU, 0xfffeU, 0xffffU, 0xfff9U, 0x1fffeU, 0x10ffffU, 0xe0001U}) {
    if (text.find(utf8(point)) != std::string::npos) {
      return "U+" + std::to_string(point);
    }
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if ((byte < 0x20 && byte != '\n') || c1) {
      return "the byte " + std::to_string(byte);
    }
  }
  return {};
}

/// Every code point, some hundred at a time; surrogates as the bytes they would have.
template <class Each>
void for_all_text(Each each) {
  std::string text;
  for (char32_t point = 0; point <= 0x10ffff; ++point) {
    text += utf8(point);
    if (text.size() >= 300 || point == 0x10ffff) {
      each(text);
      text.clear();
      point += point > 0x3000 && point < 0x10f000 && (point & 0xffff) < 0xf000 ? 0x700 : 0;  // not each of the others
    }
  }
  for (const char* invalid : {"\x80", "\xff", "a\xc3", "\xc0\x9b", "\xe2\x80", "\xf4\x90\x80\x80", "\xed\xa0\x80"}) {
    each(invalid);
  }
}

TEST(Words, MessagesCannotCommandATerminal) {
  for_all_text([](const std::string& text) {
    const Error error(Errc::damaged, "about " + text, {.path = text, .offset = 1, .file = "a/" + text});
    ASSERT_EQ(unsafe_in(error.what()), "") << error.what();
    ASSERT_EQ(error.path(), text);
  });
  EXPECT_STREQ(Error(Errc::damaged,
                     "a\x1b\x85\u0085\u202e"
                     "b\U0001fffe\n")
                   .what(),
               "a\\x1b\\x85\\u0085\\u202eb\\U0001fffe\\n");
  EXPECT_STREQ(Error(Errc::damaged, "Grüße, 日本 👩‍💻").what(), "Grüße, 日本 👩‍💻");
}

TEST(Words, DescriptionsCannotCommandATerminal) {
  for_all_text([](const std::string& text) {
    // as a text, a key, the name of a field and part of a key that is not text
    ValueBuilder builder;
    OutVisitor& out = builder.visitor();
    const std::string_view names[] = {text, "other"};
    out.begin_record({names, 0, nullptr});
    out.text(text);
    out.begin_map(2);
    out.text(text);
    out.integer(1);
    out.begin_record({names, 0, nullptr});
    out.text(text);
    out.integer(2);
    out.end();
    out.begin_typed(text);
    out.integer(3);
    out.end();
    out.end();
    const Value value = builder.finish();
    for (const auto format : {DescribeOptions::Format::text, DescribeOptions::Format::json}) {
      const std::string described = describe(value, {.format = format, .max_text = 1000});
      ASSERT_EQ(unsafe_in(described), "") << described;
    }
  });
  EXPECT_EQ(describe(std::string("\u0085\u202e\U0001fffe\n"), {.format = DescribeOptions::Format::json}),
            R"("\u0085\u202e\ud83f\udffe\n")");
}

TEST(Words, ElementsCannotCommandATerminal) {
  const char32_t text[2] = {0x9b, 0x202e};
  EXPECT_EQ(format_elements(ArrayView(DType::fixed_utf32(2), text, 1)), "['\\u009b\\u202e']");
  const std::int8_t one = 1;
  Describer describer;
  describer.visitor().array(ArrayView(DType::record({{"a\u009b\u202e", DType(DType::Kind::int8), 0, 1}}, 1), &one, 1));
  const std::string described = describer.finish();
  EXPECT_EQ(unsafe_in(described), "") << described;
  EXPECT_NE(described.find("a\\u009b\\u202e"), std::string::npos) << described;
}

// --- Where reading fails ---------------------------------------------------------------------------------------------

struct Layer {
  std::string name;
  std::vector<float> weights;
};
struct Model {
  std::vector<Layer> layers;
  int epoch = 0;
};
struct WrongLayer {
  std::string name;
  std::vector<std::int8_t> weights;
};
struct WrongModel {
  std::vector<WrongLayer> layers;
  int epoch = 0;
};

Model model() {
  Model made;
  for (unsigned i = 0; i < 3; ++i) {
    made.layers.push_back({"layer", test::numbers<float>(100'000, i + 1)});
  }
  return made;
}

/// A Source with a name of its own.
class NamedSource final : public Source {
 public:
  explicit NamedSource(Data bytes) : bytes_(std::move(bytes)), source_(memory_source(bytes_)) {}
  std::size_t read(MutableBytes into) override { return source_->read(into); }
  std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { source_->seek(offset); }
  void read_at(std::uint64_t offset, MutableBytes into) const override { source_->read_at(offset, into); }
  std::string name() const override { return "s3://bucket/model"; }

 private:
  const Data bytes_;
  const std::unique_ptr<Source> source_;
};

/// A way to read a file, and the name of the file in its errors.
struct Route {
  std::string name;
  std::string file;
  std::function<void()> read;
};

template <class T>
std::vector<Route> routes(const std::string& path) {
  std::vector<Route> all;
  for (const unsigned threads : {1U, 3U}) {
    const LoadOptions options{.threads = threads};
    const std::string with = " with " + std::to_string(threads);
    all.push_back({"load" + with, path, [=] { load<T>(path, options); }});
    all.push_back({"Reader" + with, path, [=] { Reader(path, options).read<T>(); }});
    all.push_back({"load_into" + with, path, [=] {
                     T value;
                     load_into(value, path, options);
                   }});
    all.push_back({"open" + with, path, [=] { open(path, options).load<T>(); }});
    all.push_back({"a stream" + with, "the stream", [=] {
                     std::ifstream in(path, std::ios::binary);
                     load<T>(in, options);
                   }});
    all.push_back({"a Source" + with, "s3://bucket/model", [=] {
                     NamedSource source(test::content(path));
                     load<T>(source, options);
                   }});
    all.push_back({"open of a Source" + with, "s3://bucket/model",
                   [=] { open(std::make_unique<NamedSource>(test::content(path)), options).load<T>(); }});
    all.push_back({"a descriptor" + with, "descriptor 77", [=] {
                     const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
                     ASSERT_EQ(::dup2(fd, 77), 77);
                     ::close(fd);
                     const test::Finally close([] { ::close(77); });
                     load<T>(Descriptor{77}, options);
                   }});
    all.push_back({"a pipe" + with, "descriptor 77", [=] {
                     int ends[2];
                     ASSERT_EQ(::pipe(ends), 0);
                     ASSERT_EQ(::dup2(ends[0], 77), 77);
                     ::close(ends[0]);
                     std::signal(SIGPIPE, SIG_IGN);  // reading may end before
                     const Data bytes = test::content(path);
                     std::jthread writer([&] {
                       for (std::size_t at = 0; at < bytes.size();) {
                         const ssize_t done = ::write(ends[1], bytes.data() + at, bytes.size() - at);
                         if (done < 0) {
                           break;
                         }
                         at += static_cast<std::size_t>(done);
                       }
                       ::close(ends[1]);
                     });
                     const test::Finally close([] { ::close(77); });
                     load<T>(Descriptor{77}, options);
                   }});
  }
  return all;
}

void expect_place(const Route& route, const std::string& path, const std::string& what) {
  const Error error = error_of(route.read);
  SCOPED_TRACE(what + ", " + route.name + ": " + error.what());
  EXPECT_EQ(error.file(), route.file);
  EXPECT_NE(std::string(error.what()).find(route.file), std::string::npos);
  EXPECT_EQ(error.path(), path);
  EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
  EXPECT_TRUE(error.offset().has_value());
}

/// The path is that of a layer; it is not known where a block of the codec holds the beginning or the end of the
/// archive as well.
void expect_layer(const Error& error, const std::string& codec) {
  ASSERT_TRUE(error.offset().has_value());
  if (error.path().empty()) {
    EXPECT_NE(codec, "plain");
  } else {
    EXPECT_EQ(error.path().substr(0, 7), "layers/");
  }
}

class Places : public testing::TestWithParam<std::string> {
 protected:
  Places() : file_(folder_ / "model.stele") {
    const std::optional<int> level = GetParam() == "plain" ? std::nullopt : std::optional(1);
    save(model(), file_, {.codec = GetParam(), .level = level, .filter = "none"});
  }
  Folder folder_;
  std::string file_;
};
INSTANTIATE_TEST_SUITE_P(, Places, testing::ValuesIn(test::codecs()), [](const auto& info) { return info.param; });

TEST_P(Places, OfAWrongTypeHaveFilePathAndOffset) {
  for (const Route& route : routes<WrongModel>(file_)) {
    expect_place(route, "layers/0/weights", GetParam());
  }
  const Route part{"a part", file_, [&] { open(file_).load<std::vector<int>>("layers/2/weights"); }};
  expect_place(part, "layers/2/weights", GetParam());
  const Route missing{"no such part", file_, [&] { open(file_).load<int>("layers/7"); }};
  EXPECT_EQ(error_of(missing.read).file(), file_);
  EXPECT_EQ(error_of(missing.read).path(), "layers/7");
}

TEST_P(Places, OfDamageHaveFilePathAndOffset) {
  Data bytes = test::content(file_);
  bytes[bytes.size() / 2] ^= std::byte{0x55};  // in the second array
  test::put(file_, bytes);
  if (GetParam() == "lzma") {
    return;  // has no checksum: damage may go unnoticed
  }
  std::vector<Route> all = routes<Model>(file_);
  all.push_back({"verify", file_, [&] { open(file_).verify(); }});
  all.push_back({"a part", file_, [&] { open(file_).load<std::vector<float>>("layers/1/weights"); }});
  all.push_back({"a Value", file_, [&] { load<Value>(file_); }});
  for (const Route& route : all) {
    const Error error = error_of(route.read);
    SCOPED_TRACE(GetParam() + ", " + route.name + ": " + error.what());
    EXPECT_EQ(error.file(), route.file);
    EXPECT_TRUE(std::string(error.what()).find(route.file) != std::string::npos);
    expect_layer(error, GetParam());
  }
}

TEST_P(Places, OfTruncationHaveFileAndOffset) {
  Data bytes = test::content(file_);
  bytes.resize(bytes.size() / 2);
  test::put(file_, bytes);
  for (const Route& route : routes<Model>(file_)) {
    const Error error = error_of(route.read);
    SCOPED_TRACE(GetParam() + ", " + route.name + ": " + error.what());
    EXPECT_EQ(error.file(), route.file);
    EXPECT_TRUE(std::string(error.what()).find(route.file) != std::string::npos);
    if (!route.name.starts_with("open")) {  // which looks for the directory first
      expect_layer(error, GetParam());
    }
  }
}

TEST(Place, OfDamageInABlockOfACompressedFileIsTheArray) {
  if (!test::has_codec("zstd")) {
    GTEST_SKIP();
  }
  const Folder folder;
  const std::string file = folder / "m.zst";
  save(std::map<std::string, std::vector<float>>{{"a", test::numbers<float>(400'000)},
                                                 {"b", test::numbers<float>(400'000, 2)}},
       file, {.filter = "none"});
  Data bytes = test::content(file);
  bytes[bytes.size() * 3 / 4] ^= std::byte{0x55};
  test::put(file, bytes);
  for (const unsigned threads : {1U, 3U}) {
    using Arrays = std::map<std::string, std::vector<float>>;
    for (const Error& error : {error_of([&] { load<Arrays>(file, {.threads = threads}); }),
                               error_of([&] { open(file, {.threads = threads}).load<std::vector<float>>("b"); }),
                               error_of([&] { open(file, {.threads = threads}).verify(); })}) {
      SCOPED_TRACE(error.what());
      EXPECT_EQ(error.file(), file);
      EXPECT_NE(std::string(error.what()).find("zstd block at byte "), std::string::npos);
      EXPECT_TRUE(error.offset().has_value());
    }
    EXPECT_EQ(error_of([&] { load<Arrays>(file, {.threads = threads}); }).path(), "b");
  }
}

TEST(Place, OfMappedFilesIsReported) {
  const Folder folder;
  const std::string file = folder / "m";
  save(std::map<std::string, std::vector<float>>{{"w", test::numbers<float>(100'000)}}, file);
  Data bytes = test::content(file);
  bytes[200'000] ^= std::byte{1};
  test::put(file, bytes);
  using Mapped = std::map<std::string, Array<float>>;
  const Error damaged = error_of([&] { load<Mapped>(file, {.map = MapMode::read_only, .verify = Verify::full}); });
  EXPECT_EQ(std::string(damaged.what()).substr(0, file.size() + 5), file + ": w: ") << damaged.what();
  using Wrong = std::map<std::string, Array<int>>;
  const Error wrong = error_of([&] { load<Wrong>(file, {.map = MapMode::read_only}); });
  EXPECT_EQ(wrong.file(), file);
  EXPECT_EQ(wrong.path(), "w");
  EXPECT_EQ(error_of([&] { Mapping::open(file, MapMode::read_only)->writable_bytes(); }).file(), file);
}

TEST(Place, OfAFileThatIsNotAnArchiveIsReported) {
  const Folder folder;
  const std::string file = folder / "notes.txt";
  test::put(file, std::as_bytes(std::span(std::string_view("These are notes, not an archive."))));
  for (const auto& error :
       {error_of([&] { load<int>(file); }), error_of([&] { open(file); }),
        error_of([&] { load<int>(file, {.map = MapMode::read_only}); }),
        error_of([&] { load<int>(folder / "missing"); }), error_of([&] { open(folder / "missing"); }),
        error_of([&] { load<int>(file, {.offset = 1000}); })}) {
    EXPECT_EQ(error.file().substr(0, folder.path().string().size()), folder.path().string()) << error.what();
    EXPECT_EQ(std::string(error.what()).find(error.file()), std::string(error.what()).rfind(error.file()))
        << "twice: " << error.what();
    EXPECT_NE(std::string(error.what()).find(error.file()), std::string::npos) << error.what();
  }
  // a short name may be part of any message
  const std::string old = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  test::put("a", std::as_bytes(std::span(std::string_view("no archive"))));
  EXPECT_EQ(std::string(error_of([] { load<int>("a"); }).what()).substr(0, 3), "a: ");
  std::filesystem::current_path(old);
}

// --- Where writing fails ---------------------------------------------------------------------------------------------

struct Shape2 {
  virtual ~Shape2() = default;
  int id = 0;
  static void visit(auto& v, auto& self) { v("id", self.id); }
};
struct Dense : Shape2 {
  static void visit(auto& v, auto& self) { v("id", self.id); }
};

struct Scene {
  std::string name;
  std::map<std::string, std::vector<std::unique_ptr<Shape2>>> shapes;
};

Scene scene() {
  Scene made;
  auto& shapes = made.shapes["a/b"];
  shapes.push_back(nullptr);
  shapes.push_back(std::make_unique<Shape2>());
  shapes.push_back(nullptr);
  shapes.push_back(std::make_unique<Dense>());
  return made;
}

void expect_class(const Error& error, const std::string& file, const std::string& path = "shapes/a~1b/3") {
  SCOPED_TRACE(error.what());
  EXPECT_EQ(error.code(), Errc::unknown_type);
  EXPECT_EQ(error.file(), file);
  EXPECT_EQ(error.path(), path);
  const std::string text = error.what();
  EXPECT_NE(text.find("Dense is not registered"), std::string::npos);
  EXPECT_EQ(text.find("5Dense"), std::string::npos);
}

TEST(PlaceOfWriting, OfAnUnregisteredClassIsReported) {
  const Folder folder;
  const std::string file = folder / "scene.stele";
  const Scene value = scene();
  TypeRegistry types;
  types.add<Shape2>("shape");
  for (const TypeRegistry* known :
       {static_cast<const TypeRegistry*>(nullptr), static_cast<const TypeRegistry*>(&types)}) {
    expect_class(error_of([&] { save(value, file, {.types = known}); }), file);
    expect_class(error_of([&] { save(value, file + ".gz", {.types = known}); }), file + ".gz");
    expect_class(error_of([&] { to_bytes(value, {.types = known}); }), "");
    expect_class(error_of([&] {
                   std::ostringstream out;
                   save(out, value, {.types = known});
                 }),
                 "the stream");
    expect_class(error_of([&] { MapWriter(file, {.types = known}).write("scene", value); }), file,
                 "scene/shapes/a~1b/3");
    expect_class(error_of([&] { hash(value, {.types = known}); }), "");
    expect_class(error_of([&] { describe(value, {.types = known}); }), "");
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

struct Throwing {
  Throwing() = default;
  Throwing(const Throwing&) { throw std::logic_error("copied"); }
  Throwing& operator=(const Throwing&) = default;
  static void visit(auto& v, auto& self) { v("value", self.value); }
  int value = 0;
};

TEST(PlaceOfWriting, OfAVariantWithoutAValueIsReported) {
  using Either = std::variant<int, std::unique_ptr<int>, Throwing>;
  struct Holder {
    std::vector<Either> choices;
  };
  Holder value;
  value.choices.resize(3);
  const Throwing source;
  try {
    value.choices[2].emplace<Throwing>(source);
  } catch (const std::logic_error&) {
  }
  ASSERT_TRUE(value.choices[2].valueless_by_exception());
  const Folder folder;
  const Error error = error_of([&] { save(value, folder / "v.stele"); });
  EXPECT_EQ(error.path(), "choices/2") << error.what();
  EXPECT_EQ(error.file(), folder / "v.stele");
  EXPECT_EQ(error_of([&] { hash(value); }).path(), "choices/2");
  EXPECT_EQ(error_of([&] { describe(value); }).path(), "choices/2");
}

/// An error of the user's own.
class OwnError : public Error {
 public:
  using Error::Error;
};
struct Refusing {
  int what = 0;
  static void visit(auto&, auto& self) {
    if (self.what == 1) {
      throw std::runtime_error("the user's own");
    }
    if (self.what == 2) {
      throw OwnError(Errc::io, "derived");
    }
    if (self.what == 3) {
      fail(Errc::invalid_argument, "refused");
    }
  }
};

TEST(PlaceOfWriting, ExceptionsOfOthersPassUnchanged) {
  const Folder folder;
  const std::string file = folder / "r.stele";
  using Values = std::vector<std::vector<Refusing>>;
  EXPECT_THROW(save(Values{{{0}, {1}}}, file), std::runtime_error);
  EXPECT_THROW(save(Values{{{0}, {2}}}, file), OwnError);
  EXPECT_THROW(hash(Values{{{0}, {2}}}), OwnError);
  const Error refused = error_of([&] { save(Values{{}, {{0}, {3}}}, file); });
  EXPECT_EQ(refused.path(), "1/1");
  EXPECT_EQ(std::string(refused.what()), file + ": 1/1: refused");
  EXPECT_EQ(error_of([&] { hash(Values{{}, {{0}, {3}}}); }).path(), "1/1");
}

TEST(PlaceOfWriting, OfAFailingFileIsTheFileAlone) {
  const Error error = error_of([] { save(model(), "/dev/full"); });
  EXPECT_EQ(error.code(), Errc::io);
  EXPECT_EQ(error.file(), "/dev/full");
  EXPECT_EQ(error.path(), "");
  EXPECT_EQ(error_of([] { save(model(), "/nowhere/m.stele"); }).file(), "/nowhere/m.stele");
  EXPECT_EQ(error_of([] { save(1, "m.stele", {.codec = "none such"}); }).file(), "m.stele");
}

}  // namespace
}  // namespace stele
