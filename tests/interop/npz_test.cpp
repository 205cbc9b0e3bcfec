// .npz files: zip files of .npy files, without a store.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/bytes.hpp"
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "interop/zip/zip.hpp"
#include "stele/types.hpp"
#include "support/samples.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::bytes_of;
using test::fresh;
using test::matrix;

using File = std::vector<std::byte>;

Value map_of(std::vector<std::pair<std::string, Value>> items) {
  std::vector<Value::Entry> entries;
  for (auto& [name, value] : items) {
    entries.emplace_back(Value(name), std::move(value));
  }
  return Value::make_map(std::move(entries));
}

Value samples() {
  return map_of({{"matrix", to_value(matrix(30, 20))},
                 {"columns", to_value(matrix(300, 200, Order::column_major))},
                 {"dir/n\u00e4me", to_value(std::vector<int>{1, 2, 3})},
                 {"empty", to_value(Array<float, 2>({0, 3}))},
                 {"readme.txt", Value::make_bytes(bytes_of("words"))}});
}

File written(const Value& map, const NpzOptions& options = {}) {
  File file;
  write_npz(*memory_sink(file), map, options);
  return file;
}

Value read(Source& source, const LoadOptions& options = {}) { return read_npz({.source = source, .options = options}); }
Value read(const File& file, const LoadOptions& options = {}) { return read(*memory_source(file), options); }

/// Reads a file of that content with a mapping of it.
Value read_mapped(const File& file, LoadOptions options = {.map = MapMode::read_only}) {
  const std::string path = fresh("mapped.npz");
  {
    const std::unique_ptr<Sink> sink = file_sink(path);
    sink->write(file);
    sink->close();
  }
  const std::unique_ptr<Source> source = file_source(path);
  return read_npz({.source = *source, .mapping = Mapping::open(path, options.map), .path = path, .options = options});
}

/// Returns its bytes a few at a time, in order.
class Pipe final : public Source {
 public:
  explicit Pipe(Bytes bytes) : bytes_(bytes) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = std::min({into.size(), bytes_.size(), std::size_t{1000}});
    std::copy_n(bytes_.begin(), count, into.begin());
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  Bytes bytes_;
};

/// Where `text` is in the file, for the n-th time.
std::size_t place_of(const File& file, std::string_view text, int n = 0) {
  const std::string_view all(reinterpret_cast<const char*>(file.data()), file.size());
  std::size_t at = all.find(text);
  for (; n > 0; --n) {
    at = all.find(text, at + 1);
  }
  return at;
}

TEST(Npz, ArraysComeBack) {
  const Value value = samples();
  std::size_t sizes[2] = {};
  for (const std::optional<int> level : {std::optional<int>(), std::optional(0), std::optional(9)}) {
    const File file = written(value, {.level = level});
    sizes[level ? 1 : 0] = file.size();
    EXPECT_EQ(read(file), value);
    EXPECT_EQ(read(file, {.threads = 1}), value);
    Pipe pipe(file);
    EXPECT_EQ(read(pipe), value);
    EXPECT_EQ(read_mapped(file), value);
    EXPECT_EQ(read_mapped(file, {.map = MapMode::copy_on_write, .verify = Verify::full}), value);
    EXPECT_EQ(written(value, {.level = level, .threads = 1}), file);
  }
  EXPECT_LT(sizes[1], sizes[0] / 2);
  EXPECT_TRUE(read(written(map_of({}))).empty());
  EXPECT_EQ(written(map_of({})).size(), 22U);
}

TEST(Npz, MembersThatAreStoredAreMapped) {
  const File file = written(samples());
  const std::unique_ptr<Source> source = memory_source(file);
  const ZipReader zip(*source);
  EXPECT_EQ(zip.bytes(), file.size());
  for (const ZipMember& member : zip.members()) {
    EXPECT_TRUE(member.is_stored());
    EXPECT_EQ(zip.content_offset(member) % 64, 0U) << member.name;
  }
  const Value mapped = read_mapped(file, {.map = MapMode::read_only, .map_all = true});
  EXPECT_FALSE(mapped["columns"].array().buffer()->writable());
  EXPECT_TRUE(read_mapped(file, {.map = MapMode::read_write})["matrix"].array().buffer()->writable());
  const File deflated = written(samples(), {.level = 1});
  EXPECT_TRUE(read_mapped(deflated)["columns"].array().buffer()->writable());  // a copy
  EXPECT_ERROR(read_mapped(deflated, {.map = MapMode::read_write}), Errc::not_mappable, "matrix.npy: ");
  EXPECT_ERROR(read_mapped(deflated, {.map = MapMode::read_only, .map_all = true}), Errc::not_mappable, "compressed");
}

TEST(Npz, NamesOfMembers) {
  EXPECT_EQ(npz_name("a/b.npy"), "a/b");
  EXPECT_EQ(npz_name(".npy"), "");
  EXPECT_FALSE(npz_name("a.npz"));
  EXPECT_FALSE(npz_name("npy"));
}

TEST(Npz, NumbersBecomeArraysAndMapsAreFlat) {
  const Value layer = Value::make_record({"w", "bias"}, {to_value(matrix(2, 2)), Value(0.5F)});
  const Value found = read(written(map_of({{"layers", map_of({{"0", layer}})},
                                           {"epoch", Value(-3)},
                                           {"count", Value(UINT64_MAX)},
                                           {"rate", Value(0.25)},
                                           {"on", Value(true)}})));
  std::vector<std::string> names;
  for (const auto& [name, value] : found.entries()) {
    names.push_back(name.text());
    EXPECT_TRUE(value.is_array());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"layers/0/w", "layers/0/bias", "epoch", "count", "rate", "on"}));
  EXPECT_EQ(found["layers/0/w"], to_value(matrix(2, 2)));
  const auto scalar = [&](const char* name) { return found[name].array(); };
  EXPECT_EQ(scalar("epoch").shape(), Shape());
  EXPECT_EQ(scalar("epoch").dtype(), DType::Kind::int64);
  const AnyArray epoch = scalar("epoch");
  EXPECT_EQ(load_le<std::int64_t>(epoch.view().data), -3);
  EXPECT_EQ(scalar("count").dtype(), DType::Kind::uint64);
  EXPECT_EQ(scalar("layers/0/bias").dtype(), DType::Kind::float32);
  EXPECT_EQ(scalar("rate").dtype(), DType::Kind::float64);
  EXPECT_EQ(scalar("on").dtype(), DType::Kind::boolean);
}

TEST(Npz, WhatItCannotHoldIsRefusedBeforeAnythingIsWritten) {
  const auto refused = [](const Value& value, Errc code, const std::string& part) {
    File file;
    EXPECT_ERROR(write_npz(*memory_sink(file), map_of({{"good", to_value(matrix(2, 2))}, {"a/b", value}})), code, part);
    EXPECT_TRUE(file.empty());
  };
  const Value array = to_value(matrix(2, 2));
  refused(Value("text"), Errc::unsupported, "a~1b: ");
  refused(Value(), Errc::unsupported, "null");
  refused(Value::make_sequence({array}), Errc::unsupported, "sequence");
  refused(map_of({}), Errc::unsupported, "empty map");
  refused(map_of({{"c", Value("text")}}), Errc::unsupported, "a~1b/c: ");
  refused(Value::make_map({{Value(5), array}}), Errc::unsupported, "no text");
  refused(Value::make_record({"x"}, {array}, 2), Errc::unsupported, "version");
  refused(Value::make_typed("T", array), Errc::unsupported, "typed");
  refused(Value::make_reference(Value::make_anchor(1)), Errc::unsupported, "reference");
  refused(to_value(Array<bfloat16>({3})), Errc::unsupported, "bfloat16");
  refused(Value(Number{Number::Type::negative, UINT64_MAX}), Errc::unsupported, "integer");
  refused(map_of({{"x.npy", Value::make_bytes({})}}), Errc::unsupported, ".npy");
  refused(map_of({{std::string(70'000, 'n'), array}}), Errc::unsupported, "name of");
  File file;
  EXPECT_ERROR(write_npz(*memory_sink(file), map_of({{"a/b", array}, {"a", map_of({{"b", array}})}})),
               Errc::duplicate_field, "\"a/b\" twice");
  EXPECT_ERROR(write_npz(*memory_sink(file), array), Errc::invalid_argument, "array");
  EXPECT_ERROR(write_npz(*memory_sink(file), map_of({}), {.level = 10}), Errc::invalid_argument, "level");
  Value deep = array;
  for (int i = 0; i < 2000; ++i) {
    deep = map_of({{"d", deep}});
  }
  EXPECT_ERROR(write_npz(*memory_sink(file), deep), Errc::limit_exceeded, "1000");
  EXPECT_TRUE(file.empty());
}

TEST(Npz, AFileThatIsNotAZipFileIsAnError) {
  const std::string path = fresh("text.npz");
  std::ofstream(path) << "no zip file";
  EXPECT_ERROR(read(*file_source(path)), Errc::damaged, path);
  EXPECT_ERROR(read(File()), Errc::damaged, "does not end");
}

/// A part of a file whose bytes may change without notice.
struct Idle {
  std::string record;  // signature of the record
  std::size_t begin;
  std::size_t end;
};

/// Every changed byte is an Error or gives the same arrays, and the same only in parts that say nothing of the content:
/// versions, times, flags, attributes, the padding of extra fields, and descriptors, which repeat the directory.
TEST(Npz, EveryChangedByteIsNoticed) {
  const Value value = map_of({{"a", to_value(matrix(5, 4))}, {"b", to_value(std::vector<int>(300, 7))}});
  for (const std::optional<int> level : {std::optional<int>(), std::optional(0)}) {
    const File good = written(value, {.level = level});
    ASSERT_EQ(read(good), value);
    std::set<std::size_t> idle;
    const std::vector<Idle> parts = {{"PK\3\4", 4, 8},   {"PK\3\4", 10, 14}, {"PK\1\2", 4, 10},
                                     {"PK\1\2", 12, 16}, {"PK\1\2", 34, 42}, {"PK\7\10", 0, 16}};
    for (const Idle& part : parts) {
      for (int n = 0; n < 2; ++n) {
        if (const std::size_t at = place_of(good, part.record, n); at != std::string::npos) {
          for (std::size_t i = part.begin; i < part.end; ++i) {
            idle.insert(at + i);
          }
        }
      }
    }
    const std::unique_ptr<Source> source = memory_source(good);
    const ZipReader zip(*source);
    for (const ZipMember& member : zip.members()) {
      const std::size_t content = zip.content_offset(member);
      // The extra field that aligns a stored content. Other deflate streams than this one give the same content.
      const std::size_t begin = level ? content : member.offset + 30 + member.name.size();
      for (std::size_t i = begin; i < content + (level ? member.stored_bytes : 0); ++i) {
        idle.insert(i);
      }
    }
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (const unsigned change : {0x01U, 0x80U, 0xffU}) {
        File bad = good;
        bad[at] ^= static_cast<std::byte>(change);
        try {
          EXPECT_EQ(read(bad), value) << at;
          EXPECT_TRUE(idle.contains(at)) << at;
        } catch (const Error& error) {
          const std::set<Errc> codes = {Errc::damaged, Errc::truncated, Errc::unsupported, Errc::duplicate_field};
          EXPECT_TRUE(codes.contains(error.code())) << at << ": " << error.what();
        }
      }
    }
    for (std::size_t cut = 0; cut < good.size(); ++cut) {
      EXPECT_ERROR(read(File(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(cut))), Errc::damaged, "");
    }
  }
}

/// What a mapping shows is not compared with the checksum, unless that is asked for.
TEST(Npz, DamageInAMappingIsFoundWhenAskedFor) {
  const Value value = map_of({{"a", to_value(matrix(50, 40))}});
  File bad = written(value);
  const std::size_t elements = 64 + 128;
  bad[elements + 5000] ^= std::byte{1};
  EXPECT_NE(read_mapped(bad), value);
  EXPECT_ERROR(read_mapped(bad, {.map = MapMode::read_only, .verify = Verify::full}), Errc::damaged, "a.npy: ");
  EXPECT_ERROR(read(bad), Errc::damaged, "a.npy: ");
  bad = written(value);
  bad[place_of(bad, "descr")] = std::byte{'D'};  // not malformed: the file is not as it was written
  EXPECT_ERROR(read_mapped(bad), Errc::damaged, "checksum");
  EXPECT_ERROR(read(bad), Errc::damaged, "checksum");
}

/// A zip file of members with these contents, as they are.
File zip_of(const std::vector<std::pair<std::string, std::string>>& members, std::optional<int> level = {}) {
  File file;
  const std::unique_ptr<Sink> sink = memory_sink(file);
  ZipWriter zip(*sink, level);
  for (const auto& [name, content] : members) {
    const Bytes bytes = std::as_bytes(std::span(content));
    EXPECT_TRUE(zip.add(name, {&bytes, 1}));
  }
  zip.finish();
  return file;
}

TEST(Npz, MembersThatAreNoArrays) {
  EXPECT_EQ(read(zip_of({{"dir/", ""}, {"dir/text", "hello"}}, 0)),
            map_of({{"dir/", Value::make_bytes({})}, {"dir/text", Value::make_bytes(bytes_of("hello"))}}));
  EXPECT_ERROR(read(zip_of({{"a.npy", "no array at all"}})), Errc::malformed, "a.npy: ");
  EXPECT_ERROR(read(zip_of({{"a.npy", ""}}, 0)), Errc::truncated, "a.npy: ");
  File one;
  write_npy(*memory_sink(one), to_value(matrix(2, 3)).array());
  const std::string array(reinterpret_cast<const char*>(one.data()), one.size());
  EXPECT_ERROR(read(zip_of({{"a.npy", array}, {"a", "bytes"}})), Errc::duplicate_field, "\"a\"");
  for (const std::optional<int> level : {std::optional<int>(), std::optional(0)}) {
    EXPECT_ERROR(read(zip_of({{"a.npy", array + "x"}}, level)), Errc::malformed, "goes on");
    EXPECT_ERROR(read(zip_of({{"a.npy", array.substr(1)}}, level)), Errc::malformed, "begin");
    EXPECT_ERROR(read(zip_of({{"a.npy", array.substr(0, array.size() - 1)}}, level)), Errc::truncated, "early");
    EXPECT_EQ(read(zip_of({{"a.npy", array}}, level)), map_of({{"a", to_value(matrix(2, 3))}}));
  }
  File unwritten;
  const std::unique_ptr<Sink> sink = memory_sink(unwritten);
  ZipWriter zip(*sink, std::nullopt);
  EXPECT_TRUE(zip.add("a", {}));
  EXPECT_ERROR(zip.add("a", {}), Errc::duplicate_field, "a is there twice");
  const Bytes bytes = std::as_bytes(std::span(array));
  EXPECT_FALSE(zip.add("b", {&bytes, 1}, [&](std::uint64_t done) { return done < bytes.size(); }));
}

TEST(Npz, ClaimsOfHostileFilesAreNotBelieved) {
  const Value value = map_of({{"a", to_value(matrix(500, 400))}, {"b", to_value(matrix(500, 400))}});
  const File good = written(value);
  EXPECT_ERROR(read(good, {.limits = {.allocation = 100'000}}), Errc::limit_exceeded, "a.npy would take 800128");
  // Two members of one content.
  File shared = good;
  const std::size_t first = place_of(good, "PK\1\2");
  const std::size_t second = place_of(good, "PK\1\2", 1);
  std::copy_n(good.begin() + static_cast<std::ptrdiff_t>(first), 46,
              shared.begin() + static_cast<std::ptrdiff_t>(second));
  EXPECT_ERROR(read(shared), Errc::damaged, "");
  // A deflated member that claims more than deflate can hold.
  File bomb = written(map_of({{"a", to_value(std::vector<int>(3000, 0))}}), {.level = 9});
  store_le<std::uint32_t>(bomb.data() + place_of(bomb, "PK\1\2") + 24, 0xfffffff0U);
  EXPECT_ERROR(read(bomb), Errc::damaged, "sizes contradict");
  // Members beyond those that the directory has room for.
  File many = good;
  for (const std::size_t at : {8U, 10U}) {
    store_le<std::uint16_t>(many.data() + many.size() - 22 + at, 60'000);
  }
  EXPECT_ERROR(read(many), Errc::damaged, "too few bytes");
  File parts = good;
  parts[parts.size() - 22 + 4] = std::byte{1};
  EXPECT_ERROR(read(parts), Errc::unsupported, "several parts");
}

std::string npy(const std::string& dict, const std::string& elements) {
  std::string file = "\x93NUMPY\1";
  file += '\0';
  file += static_cast<char>(dict.size() + 1);
  file += '\0';
  return file + dict + "\n" + elements;
}

TEST(Npz, AMemberThatCannotBeReadLeavesTheOthers) {
  const std::string good = npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", std::string(8, '\1'));
  const std::string other = npy("{'descr': '|V3', 'fortran_order': False, 'shape': (2,), }", "abcdef");
  File file = zip_of({{"good.npy", good},
                      {"other.npy", other},
                      {"titled.npy", npy("{'descr': [(('t', 'n'), '<i4')], "
                                         "'fortran_order': False, 'shape': "
                                         "(1,), }",
                                         "abcd")}});
  for (const Value& value : {read(file), read_mapped(file)}) {
    EXPECT_EQ(value["good"].array().shape(), Shape{2});
    EXPECT_EQ(value["other"].type_name(), npz_unread);
    EXPECT_EQ(value["other"].content()[npz_content], Value::make_bytes(bytes_of(other)));
    EXPECT_NE(value["other"].content()[npz_reason].text().find("V3"), std::string::npos);
    EXPECT_EQ(value["titled"].type_name(), npz_unread);
    EXPECT_EQ(read(written(value)), value);  // it is written as it was
  }
  // Where it is damaged, that is an error all the same.
  file[place_of(file, "abcdef")] ^= std::byte{1};
  EXPECT_ERROR(read(file), Errc::damaged, "other.npy");
  // What is compressed in another way has no content.
  File packed = zip_of({{"good.npy", good}, {"other.npy", other}});
  for (const std::string record : {"PK\3\4", "PK\1\2"}) {
    packed[place_of(packed, record, 1) + (record[2] == '\3' ? 8 : 10)] = std::byte{12};
  }
  const Value value = read(packed);
  EXPECT_TRUE(value["good"].is_array());
  EXPECT_NE(value["other"].content()[npz_reason].text().find("bzip2"), std::string::npos);
  EXPECT_FALSE(value["other"].content().contains(npz_content));
  EXPECT_ERROR(written(value), Errc::unsupported, "other: a member that was not read: ");
}

TEST(Npz, OtherBytesMayComeBeforeTheFile) {
  const File good = written(samples());
  for (const std::string& before : {std::string("#!/bin/sh\n"), std::string(100'000, 'x')}) {
    File file;
    const auto first = bytes_of(before);
    for (const Bytes part : {Bytes(first), Bytes(good)}) {
      file.insert(file.end(), part.begin(), part.end());
    }
    EXPECT_EQ(read(file), samples());
    EXPECT_EQ(read_mapped(file), samples());
  }
}

TEST(Npz, MoreMembersThanAZipWithout64BitsHolds) {
  constexpr int count = 66'000;
  File file;
  const std::unique_ptr<Sink> sink = memory_sink(file);
  ZipWriter zip(*sink, std::nullopt);
  const Bytes content = std::as_bytes(std::span("x", 1));
  for (int i = 0; i < count; ++i) {
    zip.add("m" + std::to_string(i), {&content, 1});
  }
  zip.finish();
  const Value found = read(file);
  ASSERT_EQ(found.size(), std::size_t{count});
  EXPECT_EQ(found.entries()[65'999].first.text(), "m65999");
  File moved = file;
  moved.insert(moved.begin(), 1000, std::byte{'x'});
  EXPECT_EQ(read(moved), found);
  File bad = file;  // the two ends contradict each other
  bad[bad.size() - 22 + 12] ^= std::byte{1};
  EXPECT_ERROR(read(bad), Errc::damaged, "");
  bad = file;
  bad[bad.size() - 22 - 20 + 8] ^= std::byte{1};
  EXPECT_ERROR(read(bad), Errc::damaged, "not where its end says");
}

}  // namespace
}  // namespace stele
