#include "stele/store/exchange.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <set>

#include <sys/stat.h>

#include "services/store/exchange/names.hpp"
#include "stele/value.hpp"
#include "support/samples.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;
using test::bytes_of;
using test::fresh;
using test::matrix;

void write_file(const fs::path& path, std::string_view content) {
  if (path.has_parent_path()) {
    fs::create_directories(path.parent_path());
  }
  std::ofstream(path, std::ios::binary) << content;
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

StoreExchangeReport import_lines(Store& store, std::string_view lines, const StoreImportOptions& options = {}) {
  return import_json_lines(store, *memory_source(std::as_bytes(std::span(lines))), options);
}

std::string export_lines(const Store& store, const StoreExportOptions& options = {}) {
  std::vector<std::byte> out;
  const std::unique_ptr<Sink> sink = memory_sink(out);
  export_json_lines(store, *sink, options);
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}

/// Whether two stores hold the same; text counts as the bytes it is made of if `loosely`.
void expect_same(const Store& a, const Store& b, bool loosely = false) {
  EXPECT_EQ(a.size(), b.size());
  for (const StoreItem& item : a.items()) {
    const std::optional<StoreValue> other = b.view(item.key);
    ASSERT_TRUE(other) << item.key.describe();
    if (item.value.is_text() || item.value.is_bytes()) {
      EXPECT_TRUE(loosely || item.value.is_text() == other->is_text()) << item.key.describe();
      EXPECT_EQ(item.value.text(), other->text()) << item.key.describe();
    } else {
      EXPECT_EQ(item.value.as<Value>(), other->as<Value>()) << item.key.describe();
    }
  }
}

/// Values of every kind that exchanges must carry.
void fill(Store& store) {
  store.put("text", "grüße \"\\\n\x01");
  store.put("empty", "");
  store.put("bytes", std::vector<std::byte>{std::byte{0}, std::byte{0xff}, std::byte{0x80}});
  store.put(0, std::int64_t{0});
  store.put(-7, std::numeric_limits<std::int64_t>::min());
  store.put(std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max());
  store.put(Bytes(bytes_of(std::string_view("\x00\xfe", 2))), 0.1);
  store.put("one", 1.0);
  store.put("tiny", 5e-324);
  store.put("minus zero", -0.0);
  store.put("third", 1.0 / 3);
  store.put("null", Value());
  store.put("true", true);
  store.put("nested",
            Value::make_map({{"list", Value::make_sequence({1, "two", 3.0, nullptr, Value::make_sequence({})})},
                             {"map", Value::make_map({})},
                             {"raw", Value::make_bytes(bytes_of("\xff"))}}));
  store.put("matrix", matrix(3, 5));
  store.put("large", matrix(100, 50, Order::column_major));
}

// --- Names -----------------------------------------------------------------------------------------------------------

TEST(StoreExchange, AnArrayOfElementsWithoutBytesIsRefused) {
  Store store = Store::open(fresh("without_bytes"));
  const std::string line = R"({"key":"x","value":{"$array":{"dtype":"|S0","shape":[2],"order":"C","data":""}}})";
  std::istringstream lines(line);
  EXPECT_ERROR(import_json_lines(store, *stream_source(lines)), Errc::unsupported, "elements without bytes");
  EXPECT_FALSE(store.contains("x"));
}

TEST(StoreExchange, NamesStayInsideTheFolderAndRoundTrip) {
  const std::string zero("a\0b", 3);
  const std::map<std::string, std::string> expected = {{"a/b.txt", "a/b.txt"},
                                                       {"", "%_"},
                                                       {"/etc/passwd", "%_/etc/passwd"},
                                                       {"../../x", "%2E%2E/%2E%2E/x"},
                                                       {"a//b/", "a/%_/b/%_"},
                                                       {".", "%2E"},
                                                       {"..", "%2E%2E"},
                                                       {"...", "..."},
                                                       {"100%", "100%25"},
                                                       {zero, "a%00b"},
                                                       {"x\n", "x%0A"},
                                                       {"a.stele", "a%2Estele"},
                                                       {"ä", "ä"},
                                                       {"%i5", "%25i5"},
                                                       {".hidden", ".hidden"},
                                                       {"a.stele/b", "a.stele/b"}};
  for (const auto& [key, path] : expected) {
    EXPECT_EQ(joined(encode_name(StoreKey(key), false)), path);
  }
  EXPECT_EQ(joined(encode_name(StoreKey("model"), true)), "model.stele");
  EXPECT_EQ(joined(encode_name(StoreKey(-12), false)), "%i-12");
  EXPECT_EQ(joined(encode_name(StoreKey(Bytes(bytes_of("\xff\x10"))), false)), "%xFF10");
}

TEST(StoreExchange, NamesOfAllKeysComeBack) {
  std::vector<StoreKey> keys = {StoreKey(""),
                                StoreKey("."),
                                StoreKey("a/../b"),
                                StoreKey("//"),
                                StoreKey("a.stele"),
                                StoreKey("a%+"),
                                StoreKey("%-"),
                                StoreKey("%_"),
                                StoreKey(0),
                                StoreKey(-1),
                                StoreKey(std::numeric_limits<std::uint64_t>::max()),
                                StoreKey(std::numeric_limits<std::int64_t>::min()),
                                StoreKey(Bytes()),
                                StoreKey(std::string(480, 'k')),
                                StoreKey(std::string(480, '%')),
                                StoreKey(std::string(480, '.')),
                                StoreKey(std::string(199, 'x') + ".."),
                                StoreKey(std::string(200, 'x') + ".."),
                                StoreKey(std::string(200, 'x') + ".stele"),
                                StoreKey(std::string(480, '/')),
                                StoreKey(Bytes(std::vector<std::byte>(480, std::byte{0xab})))};
  for (int c = 0; c < 256; ++c) {
    keys.emplace_back(std::string(1, static_cast<char>(c)));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::set<std::string> seen;
  for (const StoreKey& key : keys) {
    for (const bool is_object : {false, true}) {
      const std::vector<std::string> names = encode_name(key, is_object);
      for (const std::string& name : names) {
        EXPECT_LE(name.size(), 220U);
        EXPECT_NE(name, "");
        EXPECT_NE(name, ".");
        EXPECT_NE(name, "..");
        EXPECT_EQ(name.find_first_of(std::string_view("/\0", 2)), std::string::npos);
      }
      const std::string path = joined(names);
      EXPECT_TRUE(seen.insert(path).second) << path;
      const DecodedName decoded = decode_name(path);
      EXPECT_EQ(decoded.key, key) << path;
      EXPECT_EQ(decoded.is_object, is_object) << path;
      EXPECT_EQ(decode_name(path + "%+").key, key) << path;
    }
  }
  for (const char* bad :
       {"%", "a%2", "%zz", "%i", "%i1x", "%i99999999999999999999", "%x0", "%xgg", "a//b", "", "/", ".stele"}) {
    EXPECT_ERROR(decode_name(bad), Errc::malformed, "is of no key");
  }
}

// --- JSON lines ------------------------------------------------------------------------------------------------------

TEST(StoreExchange, JsonLinesComeBackExactly) {
  Store from = Store::open(fresh("lines_from"));
  fill(from);
  const std::string lines = export_lines(from);
  Store to = Store::open(fresh("lines_to"));
  const StoreExchangeReport report = import_lines(to, lines);
  EXPECT_EQ(report.items, from.size());
  EXPECT_EQ(report.skipped, 0U);
  EXPECT_TRUE(report.complete);
  expect_same(from, to);
  EXPECT_EQ(export_lines(to), lines);
  EXPECT_NE(lines.find(R"({"key":"third","value":0.3333333333333333})"
                       "\n"),
            std::string::npos)
      << lines;
  EXPECT_NE(lines.find(R"({"key":"one","value":1.0})"
                       "\n"),
            std::string::npos)
      << lines;
  EXPECT_NE(lines.find(R"({"key":{"bytes":"AP4="},"value":0.1})"
                       "\n"),
            std::string::npos)
      << lines;
  EXPECT_NE(lines.find(R"({"key":"bytes","bytes":"AP+A"})"
                       "\n"),
            std::string::npos)
      << lines;
  EXPECT_NE(lines.find(R"({"key":18446744073709551615,"value":18446744073709551615})"
                       "\n"),
            std::string::npos)
      << lines;
}

TEST(StoreExchange, JsonLinesAreReadInManyForms) {
  Store store = Store::open(fresh("lines_forms"));
  const StoreExchangeReport report =
      import_lines(store,
                   "\n  \r\n{\"value\": [1, 2], \"key\": \"a\"}\r\n{\"key\": -3, \"bytes\": \"\"}\n"
                   "{\"key\": {\"bytes\": \"/w==\"}, \"value\": null}");
  EXPECT_EQ(report.items, 3U);
  EXPECT_EQ(store.get<std::vector<int>>("a"), (std::vector<int>{1, 2}));
  EXPECT_TRUE(store.view(-3)->is_bytes());
  EXPECT_TRUE(store.contains("\xff"));
}

TEST(StoreExchange, WholeObjectsByAKeyField) {
  Store store = Store::open(fresh("lines_field"));
  const std::string_view lines =
      "{\"id\": 5, \"name\": \"x\", \"$bytes\": \"not decoded\"}\n{\"id\": \"t\", \"v\": {\"$float\": \"NaN\"}}\n";
  EXPECT_EQ(import_lines(store, lines, {.key_prefix = "p/", .key_field = "id"}).items, 2U);
  const auto five = store.get<Value>(5);
  EXPECT_EQ(five["id"].to<int>(), 5);
  EXPECT_EQ(five["$bytes"].text(), "not decoded");
  EXPECT_EQ(store.get<Value>("p/t")["v"]["$float"].text(), "NaN");
  EXPECT_ERROR(import_lines(store, "{\"id\": 1}\n{\"x\": 1}\n", {.key_field = "id"}), Errc::missing_field,
               "line 2: the object has no \"id\"");
  EXPECT_ERROR(import_lines(store, "{\"id\": 1.5}\n", {.key_field = "id"}), Errc::malformed,
               "line 1: the key is neither");
}

TEST(StoreExchange, BadLinesAreNamed) {
  Store store = Store::open(fresh("lines_bad"));
  const auto bad = [&](const std::string& line, Errc code, const char* part) {
    EXPECT_ERROR(import_lines(store, "{\"key\": 1, \"value\": 1}\n\n" + line + "\n"), code, "line 3: ");
    EXPECT_ERROR(import_lines(store, line), code, part);
  };
  bad("{", Errc::malformed, "no valid JSON");
  bad("[1]", Errc::malformed, "no object");
  bad("{\"value\": 1}", Errc::missing_field, "no \"key\"");
  bad("{\"key\": 1}", Errc::malformed, "there must be");
  bad("{\"key\": 1, \"value\": 1, \"bytes\": \"\"}", Errc::malformed, "there must be");
  bad("{\"key\": 1, \"value\": 1, \"more\": 1}", Errc::malformed, "there must be");
  bad("{\"key\": 1, \"key\": 2, \"value\": 1}", Errc::duplicate_field, "\"key\" twice");
  bad("{\"key\": 1, \"bytes\": \"a\"}", Errc::malformed, "no valid base64");
  bad("{\"key\": 1, \"bytes\": 5}", Errc::malformed, "no valid base64");
  bad("{\"key\": true, \"value\": 1}", Errc::malformed, "the key is neither");
  bad("{\"key\": {\"bytes\": \"?\"}, \"value\": 1}", Errc::malformed, "no valid base64");
  bad("{\"key\": \"" + std::string(500, 'k') + "\", \"value\": 1}", Errc::invalid_argument, "a key of 500 bytes");
  EXPECT_FALSE(store.contains(1));  // undone each time
}

/// Returns the same letter endlessly, and counts.
class EndlessLine final : public Source {
 public:
  std::size_t read(MutableBytes into) override {
    std::memset(into.data(), 'x', into.size());
    given += into.size();
    return into.size();
  }
  std::uint64_t given = 0;
};

TEST(StoreExchange, ReadingStopsAtALineWithoutAnEnd) {
  Store store = Store::open(fresh("lines_endless"));
  EndlessLine endless;
  EXPECT_ERROR(import_json_lines(store, endless, {.line_bytes = 1'000'000}), Errc::limit_exceeded,
               "line 1: more than 1000000 bytes");
  EXPECT_LT(endless.given, 4'000'000U);
  EndlessLine standard;
  EXPECT_ERROR(import_json_lines(store, standard), Errc::limit_exceeded, "line 1: more than 100000000 bytes");
  EXPECT_LT(standard.given, 300'000'000U);
  const std::string line = "{\"key\":1,\"value\":\"" + std::string(100, 'x') + "\"}";
  EXPECT_EQ(import_lines(store, line + "\n", {.line_bytes = line.size()}).items, 1U);
  EXPECT_ERROR(import_lines(store, line + "\n", {.line_bytes = line.size() - 1}), Errc::limit_exceeded, "line 1");
}

TEST(StoreExchange, CommittedBatchesStayWhenLaterItemsFail) {
  Store store = Store::open(fresh("batches"));
  std::string lines;
  for (int i = 0; i < 25; ++i) {
    lines += "{\"key\":" + std::to_string(i) + ",\"value\":1}\n";
  }
  EXPECT_ERROR(import_lines(store, lines + "oops\n", {.batch_items = 10}), Errc::malformed, "line 26");
  EXPECT_EQ(store.size(), 20U);
  store.put("still", "usable");
  EXPECT_EQ(import_lines(store, lines, {.batch_bytes = 1}).items, 25U);
  EXPECT_EQ(store.size(), 26U);
  EXPECT_ERROR(import_lines(store, lines, {.batch_items = 0}), Errc::invalid_argument, "a batch of nothing");
}

TEST(StoreExchange, ProgressEndsAnImportAndKeepsWhatIsDone) {
  Store store = Store::open(fresh("progress"));
  std::string lines;
  for (int i = 0; i < 10; ++i) {
    lines += "{\"key\":" + std::to_string(i) + ",\"value\":1}\n";
  }
  std::uint64_t last = 0;
  const StoreExchangeReport report =
      import_lines(store, lines, {.progress = [&](std::uint64_t done, std::uint64_t total) {
                     EXPECT_EQ(total, lines.size());
                     EXPECT_GT(done, last);
                     last = done;
                     return done < lines.size() / 2;
                   }});
  EXPECT_FALSE(report.complete);
  EXPECT_EQ(report.items, 5U);
  EXPECT_EQ(store.size(), 5U);
  std::vector<std::byte> out;
  const std::unique_ptr<Sink> sink = memory_sink(out);
  EXPECT_FALSE(export_json_lines(store, *sink, {.progress = [](auto, auto) { return false; }}).complete);
}

TEST(StoreExchange, ExistingKeysStayIfAsked) {
  Store store = Store::open(fresh("overwrite"));
  store.put("a", "old");
  const std::string_view lines =
      "{\"key\":\"a\",\"value\":\"new\"}\n{\"key\":\"b\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n";
  const StoreExchangeReport kept = import_lines(store, lines, {.overwrite = false});
  EXPECT_EQ(kept.items, 1U);
  EXPECT_EQ(kept.skipped, 2U);
  EXPECT_EQ(kept.notes.at(0), "\"a\" is there already");
  EXPECT_EQ(store.get<std::string>("a"), "old");
  EXPECT_EQ(store.get<std::string>("b"), "1");
  EXPECT_EQ(import_lines(store, lines).items, 3U);
  EXPECT_EQ(store.get<std::string>("a"), "new");
  EXPECT_EQ(store.get<std::string>("b"), "2");
}

// --- Files -----------------------------------------------------------------------------------------------------------

TEST(StoreExchange, FilesBecomeByteStrings) {
  const fs::path folder = fresh("files_in");
  write_file(folder / "a.txt", "hello");
  write_file(folder / "deep/er/b", std::string("\0\xff", 2));
  write_file(folder / "empty", "");
  write_file(folder / ".hidden/x", "h");
  write_file(folder / "big", std::string(20 << 20, 'b'));
  write_file("files_outside", "secret");
  fs::create_symlink("../files_outside", folder / "out");
  fs::create_symlink("/etc/passwd", folder / "absolute");
  fs::create_symlink("a.txt", folder / "inside");
  fs::create_symlink("nowhere", folder / "dangling");
  fs::create_directory_symlink("..", folder / "up");
  fs::create_directory_symlink("deep", folder / "folder link");
  ::mkfifo((folder / "fifo").c_str(), 0600);
  Store store = Store::open((folder / "store").string());
  const StoreExchangeReport report = import_files(store, folder, {.key_prefix = "p:"});
  EXPECT_EQ(report.items, 6U);
  EXPECT_EQ(report.skipped, 7U) << testing::PrintToString(report.notes);
  EXPECT_EQ(store.size(), 6U);
  EXPECT_TRUE(store.view("p:a.txt")->is_bytes());
  EXPECT_EQ(store.get<std::string>("p:a.txt"), "hello");
  EXPECT_EQ(store.get<std::string>("p:inside"), "hello");
  EXPECT_EQ(store.get<std::string>("p:deep/er/b"), std::string("\0\xff", 2));
  EXPECT_EQ(store.get<std::string>("p:empty"), "");
  EXPECT_EQ(store.get<std::string>("p:big").size(), std::size_t{20} << 20);
  store.close();
  fs::remove_all(folder / "store");
  Store visible = Store::open(fresh("files_visible"));
  EXPECT_EQ(import_files(visible, folder / "deep/..", {.hidden = false}).items, 5U);
  EXPECT_FALSE(visible.contains(".hidden/x"));
  EXPECT_ERROR(import_files(visible, "files_nowhere"), Errc::not_found, "files_nowhere");
  EXPECT_ERROR(import_files(visible, "files_outside"), Errc::invalid_argument, "is no folder");
}

TEST(StoreExchange, FilesComeBackExactly) {
  const std::string from_path = fresh("files_from");
  Store from = Store::open(from_path);
  fill(from);
  for (const char* key : {"a", "a/b", "a/b/c", "/absolute", "../up", "a//", "x.stele", "x"}) {
    from.put(key, key);
  }
  from.put("x/object", 5);
  from.put("obj", 6);
  from.put("obj.stele/below", "b");
  from.put(std::string(480, 'n'), "long");
  const fs::path folder = fresh("files_out");
  EXPECT_EQ(export_files(from, folder).items, from.size());
  EXPECT_EQ(read_text(folder / "text"), "grüße \"\\\n\x01");
  EXPECT_EQ(load<int>(folder / "obj.stele"), 6);
  EXPECT_EQ(read_text(folder / "a"), "a");
  EXPECT_EQ(read_text(folder / "a%+/b"), "a/b");
  EXPECT_FALSE(fs::exists("up"));
  Store to = Store::open(fresh("files_to"));
  EXPECT_EQ(import_files(to, folder, {.exported = true}).items, from.size());
  expect_same(from, to, true);
  const StoreExchangeReport again = export_files(from, folder);
  EXPECT_EQ(again.items, 0U);
  EXPECT_EQ(again.skipped, from.size());
  from.put("a", "changed");
  EXPECT_EQ(export_files(from, folder, {.range = {.prefix = StoreKey("a")}, .overwrite = true, .codec = "gzip"}).items,
            4U);
  EXPECT_EQ(read_text(folder / "a"), "changed");
  EXPECT_ERROR(export_files(from, folder, {.codec = "rar"}), Errc::unknown_codec, "rar");
  EXPECT_ERROR(export_files(from, from_path), Errc::invalid_argument, "the store itself");
}

TEST(StoreExchange, ExportsDoNotFollowLinks) {
  Store store = Store::open(fresh("links_store"));
  store.put("dir/file", "mine");
  store.put("link", "mine");
  const fs::path folder = fresh("links_out");
  const std::string victim = fresh("links_victim");
  fs::create_directories(victim);
  fs::create_directories(folder);
  write_file(victim + "/file", "theirs");
  write_file(victim + "/link", "theirs");
  fs::create_directory_symlink(fs::absolute(victim), folder / "dir");
  fs::create_symlink(fs::absolute(victim + "/link"), folder / "link");
  EXPECT_EQ(export_files(store, folder, {.overwrite = true}).items, 2U);
  EXPECT_EQ(read_text(victim + "/file"), "theirs");
  EXPECT_EQ(read_text(victim + "/link"), "theirs");
  EXPECT_EQ(read_text(folder / "dir%+/file"), "mine");
  EXPECT_EQ(read_text(folder / "link"), "mine");
}

TEST(StoreExchange, DamagedValuesAreNotExported) {
  const std::string path = fresh("damaged");
  {
    Store store = Store::open(path);
    store.put("large", std::string(3 << 20, 'l'));
    store.put("array", matrix(1000, 1000));
    store.close();
  }
  const fs::path shard = [&] {
    for (const auto& file : fs::directory_iterator(path)) {
      if (file.path().filename() != "index.lmdb" && file.file_size() > 1'000'000) {
        return file.path();
      }
    }
    return fs::path();
  }();
  std::string bytes = read_text(shard);
  bytes[bytes.find("llllllll") + 2'000'000] ^= 1;
  bytes[bytes.size() - 1'000'000] ^= 1;
  write_file(shard, bytes);
  const Store store = Store::open(path, StoreMode::read_only);
  const StoreExportOptions array{.range = {.to = StoreKey("b")}};
  const StoreExportOptions large{.range = {.from = StoreKey("l")}};
  Store copy = Store::open(fresh("damaged_copy"));
  EXPECT_ERROR(export_lines(store, array), Errc::damaged, "\"array\": ");
  EXPECT_ERROR(export_lines(store, large), Errc::damaged, "\"large\": ");
  EXPECT_ERROR(export_files(store, fresh("damaged_files"), array), Errc::damaged, "\"array\": ");
  EXPECT_ERROR(export_files(store, fresh("damaged_files"), large), Errc::damaged, "\"large\": ");
  EXPECT_ERROR(copy_store(store, copy, array.range), Errc::damaged, "\"array\": ");
  EXPECT_ERROR(copy_store(store, copy, large.range), Errc::damaged, "\"large\": ");
  EXPECT_ERROR(export_npz(store, "damaged.npz", array), Errc::damaged, "array");
  EXPECT_FALSE(fs::exists("damaged.npz"));
}

// --- Other stores ----------------------------------------------------------------------------------------------------

TEST(StoreExchange, StoresAreCopied) {
  Store from = Store::open(fresh("copy_from"));
  fill(from);
  from.put("huge", matrix(1000, 700));
  from.put("repeated", std::string(3 << 20, 'r'));
  for (const char* codec : {"plain", "zstd", "gzip"}) {
    Store to = Store::open(fresh("copy_to"), StoreMode::create, {.codec = codec});
    const StoreExchangeReport report = copy_store(from, to, {}, {.batch_items = 4});
    EXPECT_EQ(report.items, from.size());
    expect_same(from, to);
    EXPECT_TRUE(to.check().good());
    if (std::string_view(codec) != "plain") {
      EXPECT_LT(to.stats().live_bytes, from.stats().live_bytes);
    }
    Store back = Store::open(fresh("copy_back"));
    EXPECT_EQ(copy_store(to, back).items, from.size());
    expect_same(from, back);
    EXPECT_EQ((back.get<Array<float, 2>>("huge").writable()), false) << codec;  // mapped again
    Store same = Store::open(fresh("copy_same"), StoreMode::create, {.codec = codec});
    EXPECT_EQ(copy_store(to, same, {.prefix = StoreKey("h")}).items, 1U);
    EXPECT_EQ((same.get<Array<float, 2>>("huge")), matrix(1000, 700));
    EXPECT_TRUE(same.check().good());
  }
}

TEST(StoreExchange, AStoreInOneFileIsCopiedToo) {
  Store from = Store::open(fresh("packed_from"));
  fill(from);
  from.compact_to("packed.stele");
  Store to = Store::open(fresh("packed_to"));
  EXPECT_EQ(copy_store(Store::open("packed.stele", StoreMode::read_only), to, {}, {.key_prefix = "p/"}).items,
            from.size());
  EXPECT_EQ(to.get<double>("p/one"), 1.0);
  EXPECT_TRUE(to.contains(-7));
}

// --- .npz ------------------------------------------------------------------------------------------------------------

TEST(StoreExchange, NpzComesBackExactly) {
  for (const char* codec : {"plain", "zstd"}) {
    Store from = Store::open(fresh("npz_from"), StoreMode::create, {.codec = codec});
    from.put("matrix", matrix(30, 20));
    from.put("columns", matrix(300, 200, Order::column_major));
    from.put("../../evil", std::vector<int>{1, 2, 3});
    from.put("dir/name", std::vector<double>{0.5});
    from.put("none", Array<float, 2>({0, 3}));
    from.put("bools", std::vector<bool>{true, false});
    from.put("half", Array<bfloat16>({3}));
    from.put("text", "no array");
    from.put("number", 5);
    from.put(7, std::vector<int>{1});
    for (const char* method : {"plain", "zlib"}) {
      std::uint64_t last = 0;
      const StoreExchangeReport out =
          export_npz(from, "exchange.npz", {.codec = method, .progress = [&](std::uint64_t done, std::uint64_t total) {
                                              last = done;
                                              return done <= total;
                                            }});
      EXPECT_EQ(out.items, 6U) << testing::PrintToString(out.notes);
      EXPECT_EQ(out.skipped, 4U);
      EXPECT_EQ(last, out.bytes);
      Store to = Store::open(fresh("npz_to"));
      const StoreExchangeReport in = import_npz(to, "exchange.npz", {.exported = true});
      EXPECT_EQ(in.items, 6U);
      EXPECT_EQ(to.size(), 6U);
      for (const char* key : {"matrix", "columns", "../../evil", "dir/name", "none", "bools"}) {
        EXPECT_EQ(to.get<Value>(key), from.get<Value>(key)) << key;
      }
      EXPECT_EQ((to.get<Array<float, 2>>("columns")), matrix(300, 200, Order::column_major));
      Store plainly = Store::open(fresh("npz_plainly"));
      import_npz(plainly, "exchange.npz", {.key_prefix = "p/"});
      EXPECT_TRUE(plainly.contains("p/%2E%2E/%2E%2E/evil"));
    }
  }
  Store empty = Store::open(fresh("npz_empty"));
  EXPECT_ERROR(export_npz(empty, "empty.npz"), Errc::invalid_argument, "no array");
  EXPECT_FALSE(fs::exists("empty.npz"));
  empty.put("a", matrix(100, 100));
  EXPECT_ERROR(export_npz(empty, "empty.npz", {.codec = "gzip"}), Errc::invalid_argument, "gzip");
  EXPECT_ERROR(export_npz(empty, "empty.npz", {.level = 3}), Errc::invalid_argument, "level");
  EXPECT_FALSE(export_npz(empty, "empty.npz", {.progress = [](auto, auto) { return false; }}).complete);
  EXPECT_FALSE(fs::exists("empty.npz"));
  EXPECT_THROW(export_npz(empty, "empty.npz", {.progress = [](auto, auto) -> bool { throw std::logic_error("x"); }}),
               std::logic_error);
  EXPECT_ERROR(import_npz(empty, "nowhere.npz"), Errc::not_found, "nowhere.npz");
}

/// Every truncation and many changed bytes of a file give an Error or the saved content.
TEST(StoreExchange, DamagedNpzIsAnError) {
  Store from = Store::open(fresh("npz_hostile"));
  from.put("a", matrix(5, 4));
  from.put("b", std::vector<int>(300, 7));
  Store to = Store::open(fresh("npz_victim"));
  int errors = 0;
  const auto attempt = [&](const std::string& bytes) {
    write_file("hostile.npz", bytes);
    try {
      import_npz(to, "hostile.npz");
    } catch (const Error&) {
      ++errors;
    }
  };
  for (const char* method : {"plain", "zlib"}) {
    export_npz(from, "good.npz", {.codec = method});
    const std::string good = read_text("good.npz");
    const std::size_t step = test::sanitized ? 29 : 7;
    for (std::size_t cut = 0; cut < good.size(); cut += step) {
      const int before = errors;
      attempt(good.substr(0, cut));
      EXPECT_EQ(errors, before + 1) << cut;
    }
    for (std::size_t at = 0; at < good.size(); at += step) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0xff);
      attempt(bad);
    }
  }
  EXPECT_GT(errors, 50);
  EXPECT_TRUE(to.check().good());
}

}  // namespace
}  // namespace stele
