// Depth: graphs that are deep only through pointers, real nesting and its limit, and values stored after the root.

#include <pthread.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <variant>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::operator+=;
using test::Data;
using test::error_of;
using test::Folder;
using test::hex;
using test::round_trip;
using test::text_item;
using test::wrap;

// --- Graphs ----------------------------------------------------------------------------------------------------------

struct Node {
  int number = 0;
  std::shared_ptr<Node> next;
  std::weak_ptr<Node> back;
};

/// A list, ended without recursion.
class List {
 public:
  explicit List(std::shared_ptr<Node> first = nullptr) : first(std::move(first)) {}
  explicit List(int count) {
    for (int i = count - 1; i >= 0; --i) {
      auto node = std::make_shared<Node>();
      node->number = i;
      node->next = std::move(first);
      if (node->next != nullptr) {
        node->next->back = node;
      }
      first = std::move(node);
    }
  }
  List(List&&) = default;
  List& operator=(List&&) = delete;
  ~List() { end(first); }
  static void end(std::shared_ptr<Node>& node) {
    while (node != nullptr) {
      node = std::exchange(node->next, nullptr);
    }
  }

  std::shared_ptr<Node> first;
};

void expect_list(const std::shared_ptr<Node>& first, int count, int from = 0) {
  int i = from;
  std::shared_ptr<Node> before;
  for (auto node = first; node != nullptr; node = node->next, ++i) {
    ASSERT_EQ(node->number, i);
    if (before != nullptr) {
      ASSERT_EQ(node->back.lock(), before);
    }
    before = node;
  }
  EXPECT_EQ(i, count);
}

TEST(Depth, AListOfAMillionNodes) {
  constexpr int count = 1'000'000;
  const List list(count);
  const Data bytes = to_bytes(list.first);
  expect_list(List(from_bytes<std::shared_ptr<Node>>(bytes)).first, count);
  test::TrickleSource stream(bytes, 100'000);
  expect_list(List(load<std::shared_ptr<Node>>(stream)).first, count);
  open(memory_source(bytes)).verify();
}

TEST(Depth, AListThroughEveryWayOfReading) {
  constexpr int count = 5'000;
  const List list(count);
  const Folder folder;
  for (const std::string name : {"a.stele", "a.stele.gz"}) {
    save(list.first, folder / name);
    expect_list(List(load<std::shared_ptr<Node>>(folder / name)).first, count);
    const File file = open(folder / name);
    file.verify();
    expect_list(List(file.load<std::shared_ptr<Node>>()).first, count);
  }
  expect_list(List(load<std::shared_ptr<Node>>(folder / "a.stele", {.map = MapMode::read_only})).first, count);
  {
    Writer out(folder / "two.stele");
    out.write(list.first);
    out.write(list.first);
    out.close();
    Reader in(folder / "two.stele");
    expect_list(List(in.read<std::shared_ptr<Node>>()).first, count);
    expect_list(List(in.read<std::shared_ptr<Node>>()).first, count);
    EXPECT_FALSE(in.more());
  }
}

struct WeakRing {
  struct Item {
    int number = 0;
    std::weak_ptr<Item> left;
    std::weak_ptr<Item> right;
  };
  std::vector<std::shared_ptr<Item>> items;
};

TEST(Depth, ARingOfWeakPointers) {
  for (const std::size_t count : {600U, 20'000U}) {
    WeakRing ring;
    for (std::size_t i = 0; i < count; ++i) {
      ring.items.push_back(std::make_shared<WeakRing::Item>());
      ring.items[i]->number = static_cast<int>(i);
    }
    for (std::size_t i = 0; i < count; ++i) {
      ring.items[i]->left = ring.items[(i + count - 1) % count];
      ring.items[i]->right = ring.items[(i + 1) % count];
    }
    const Data bytes = to_bytes(ring);
    test::TrickleSource stream(bytes, 10'000);
    for (const WeakRing& back : {from_bytes<WeakRing>(bytes), load<WeakRing>(stream), to_value(ring).to<WeakRing>(),
                                 from_bytes<Value>(bytes).to<WeakRing>()}) {
      ASSERT_EQ(back.items.size(), count);
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(back.items[i]->number, static_cast<int>(i));
        ASSERT_EQ(back.items[i]->left.lock(), back.items[(i + count - 1) % count]);
        ASSERT_EQ(back.items[i]->right.lock(), back.items[(i + 1) % count]);
      }
    }
  }
}

TEST(Depth, ACycleAcrossTheBorder) {
  List list(1000);
  auto last = list.first;
  while (last->next != nullptr) {
    last = last->next;
  }
  const auto owner = std::make_shared<std::pair<std::shared_ptr<Node>, std::shared_ptr<Node>>>(list.first, last);
  last->next = list.first;
  const auto back = round_trip(*owner);
  auto node = back.first;
  for (int i = 0; i < 1000; ++i, node = node->next) {
    ASSERT_EQ(node->number, i);
  }
  EXPECT_EQ(node, back.first);
  EXPECT_EQ(back.second->next, back.first);
  EXPECT_EQ(hash(*owner), hash(back));
  last->next.reset();
  back.second->next.reset();
  List::end(list.first);
  auto first = back.first;
  List::end(first);
}

struct Mixed {
  std::string name;
  std::vector<float> weights;  // listed where they are many
  std::map<std::string, std::shared_ptr<Mixed>> children;
  std::optional<std::shared_ptr<Mixed>> maybe;
  std::variant<int, std::shared_ptr<Mixed>> either;
  std::vector<std::shared_ptr<Mixed>> many;
};

std::shared_ptr<Mixed> mixed(int depth) {
  std::shared_ptr<Mixed> inner;
  for (int i = depth; i >= 0; --i) {
    auto node = std::make_shared<Mixed>();
    node->name = std::to_string(i);
    node->weights.assign(i % 50 == 0 ? 2'000 : 3, static_cast<float>(i));
    switch (i % 4) {
      case 0:
        node->children["x"] = inner;
        break;
      case 1:
        node->maybe = inner;
        break;
      case 2:
        node->either = inner;
        break;
      default:
        node->many = {inner, inner};
    }
    inner = node;
  }
  return inner;
}
std::shared_ptr<Mixed> below(const Mixed& node, int i) {
  switch (i % 4) {
    case 0:
      return node.children.at("x");
    case 1:
      return node.maybe.value();
    case 2:
      return std::get<1>(node.either);
    default:
      EXPECT_EQ(node.many.at(0), node.many.at(1));
      return node.many.at(0);
  }
}
void end(std::shared_ptr<Mixed> node) {
  for (int i = 0; node != nullptr; ++i) {
    auto next = below(*node, i);
    *node = {};
    node = next;
  }
}

TEST(Depth, ThroughMapsOptionalsVariantsAndVectors) {
  constexpr int depth = 2'000;
  const auto whole = mixed(depth);
  const Folder folder;
  for (const std::string name : {"m.stele", "m.stele.gz"}) {
    save(whole, folder / name);
    const File file = open(folder / name);
    for (const auto& back : {load<std::shared_ptr<Mixed>>(folder / name), file.load<std::shared_ptr<Mixed>>(),
                             file.load<Value>().to<std::shared_ptr<Mixed>>()}) {
      auto node = back;
      for (int i = 0; i <= depth; ++i) {
        ASSERT_EQ(node->name, std::to_string(i));
        ASSERT_EQ(node->weights, whole == nullptr ? std::vector<float>()
                                                  : std::vector<float>(i % 50 == 0 ? 2'000 : 3, static_cast<float>(i)));
        node = below(*node, i);
      }
      EXPECT_EQ(node, nullptr);
      EXPECT_EQ(hash(back), hash(whole));
      end(back);
    }
    // Every listed array is found by the path it is listed under.
    std::size_t arrays = 0;
    for (const Entry& entry : file.list({.depth = 1000, .max_items = 100'000})) {
      if (entry.listed) {
        EXPECT_EQ(file.load<std::vector<float>>(entry.path).size(), 2'000U) << entry.path;
        EXPECT_TRUE(file.contains(entry.path));
        ++arrays;
      }
    }
    EXPECT_EQ(arrays, file.info().arrays);
    EXPECT_EQ(arrays, 41U);
  }
  end(whole);
}

TEST(Depth, ANodeDeepInsideIsLoadedAlone) {
  constexpr int count = 3'000;
  const List list(count);
  const Data bytes = to_bytes(list.first);
  const File file = open(memory_source(bytes));
  std::string path;
  for (int i = 0; i < 1'234; ++i) {
    path += i == 0 ? "next" : "/next";
  }
  EXPECT_EQ(file.load<int>(path + "/number"), 1'234);
  EXPECT_TRUE(file.contains(path));
  List part(file.load<std::shared_ptr<Node>>(path));
  EXPECT_EQ(part.first->number, 1'234);
  int i = 1'234;
  for (auto node = part.first; node != nullptr; node = node->next) {
    ASSERT_EQ(node->number, i++);
  }
  EXPECT_EQ(i, count);
  EXPECT_EQ(file.load<int>("~*0/number"), 100);
  EXPECT_EQ(file.load<int>("~*1/next/number"), 201);
  EXPECT_EQ(List(file.load<std::shared_ptr<Node>>("~*2")).first->number, 300);
  EXPECT_FALSE(file.contains("~*1000000"));
  EXPECT_EQ(error_of([&] { file.load<int>("x/~*1"); }).code(), Errc::invalid_argument);
}

TEST(Depth, ValuesStoredAfterTheRootAreListed) {
  const List list(350);
  const Data bytes = to_bytes(list.first);
  const File file = open(memory_source(bytes));
  const auto entries = file.list({.depth = 1000});
  std::vector<std::string> roots;
  for (const Entry& entry : entries) {
    if (entry.path.starts_with("~*") && entry.path.find('/') == std::string::npos) {
      roots.push_back(entry.path);
    }
  }
  EXPECT_EQ(roots, (std::vector<std::string>{"~*0", "~*1", "~*2"}));
  const auto below = file.list({.path = "~*2", .depth = 1000});
  EXPECT_EQ(below.front().path, "~*2");
  EXPECT_EQ(below.size(), 50U * 3 + 1);
  bool refers = false;
  for (const Entry& entry : entries) {
    refers = refers || entry.text == "~*0";
  }
  EXPECT_TRUE(refers);
}

// --- Polymorphic objects ---------------------------------------------------------------------------------------------

struct Step {
  virtual ~Step() = default;
  virtual bool is_left() const = 0;
  std::shared_ptr<Step> next;
};
struct Left final : Step {
  int left = 0;
  bool is_left() const override { return true; }
  static void visit(auto& v, auto& self) { v("next", self.next)("left", self.left); }
};
struct Right final : Step {
  std::string right;
  bool is_left() const override { return false; }
  static void visit(auto& v, auto& self) { v("next", self.next)("right", self.right); }
};
void end(std::shared_ptr<Step> node) {
  while (node != nullptr) {
    node = std::exchange(node->next, nullptr);
  }
}

TEST(Depth, PolymorphicLists) {
  TypeRegistry types;
  types.add<Left, Step>("left").add<Right, Step>("right");
  constexpr int count = 3'000;
  std::shared_ptr<Step> first;
  for (int i = count - 1; i >= 0; --i) {
    std::shared_ptr<Step> node;
    if (i % 3 == 0) {
      const auto made = std::make_shared<Right>();
      made->right = std::to_string(i);
      node = made;
    } else {
      const auto made = std::make_shared<Left>();
      made->left = i;
      node = made;
    }
    node->next = std::exchange(first, nullptr);
    first = node;
  }
  const Data bytes = to_bytes(first, {.types = &types});
  const LoadOptions options{.types = &types};
  test::TrickleSource stream(bytes, 1'000);
  const File file = open(memory_source(bytes), options);
  std::string path = "next";
  for (int i = 1; i < 1'500; ++i) {
    path += "/next";
  }
  EXPECT_EQ(file.load<std::string>(path + "/right"), "1500");
  const auto part = file.load<std::shared_ptr<Step>>(path);
  EXPECT_EQ(dynamic_cast<Right&>(*part).right, "1500");
  end(part);
  for (const auto& back :
       {from_bytes<std::shared_ptr<Step>>(bytes, options), load<std::shared_ptr<Step>>(stream, options),
        from_bytes<Value>(bytes).to<std::shared_ptr<Step>>(options)}) {
    auto node = back;
    for (int i = 0; i < count; ++i, node = node->next) {
      if (i % 3 == 0) {
        ASSERT_EQ(dynamic_cast<Right&>(*node).right, std::to_string(i));
      } else {
        ASSERT_EQ(dynamic_cast<Left&>(*node).left, i);
      }
    }
    EXPECT_EQ(node, nullptr);
    end(back);
  }
  TypeRegistry less;
  less.add<Left, Step>("left");
  EXPECT_EQ(error_of([&] { from_bytes<std::shared_ptr<Step>>(bytes, {.types = &less}); }).code(), Errc::unknown_type);
  end(first);
}

// --- Values ----------------------------------------------------------------------------------------------------------

TEST(Depth, ValuesOfDeepGraphs) {
  constexpr int count = 20'000;
  const List list(count);
  const Data bytes = to_bytes(list.first);
  const auto value = from_bytes<Value>(bytes);
  test::TrickleSource stream(bytes, 1'000);
  EXPECT_EQ(load<Value>(stream), value);
  EXPECT_EQ(from_bytes<Value>(to_bytes(value)), value);
  expect_list(List(value.to<std::shared_ptr<Node>>()).first, count);
  const Data again = to_bytes(value);
  expect_list(List(from_bytes<std::shared_ptr<Node>>(again)).first, count);
  expect_list(List(from_bytes<Value>(again).to<std::shared_ptr<Node>>()).first, count);
  std::string path = "number";
  for (int i = 0; i < 777; ++i) {
    path = "next/" + path;
  }
  EXPECT_EQ(value.at_path(path), Value(777));
  EXPECT_EQ(hash(value), hash(load<Value>(*memory_source(bytes))));
  struct Both {
    std::shared_ptr<Node> typed;
    Value free;
  };
  struct Two {
    std::shared_ptr<Node> typed;
    std::shared_ptr<Node> free;
  };
  const auto both = from_bytes<Both>(to_bytes(Two{list.first, list.first}));
  expect_list(List(both.typed).first, count);
  EXPECT_EQ(both.free.at_path("next/next/number"), Value(2));
  Value deepest = both.free;
  int length = 0;
  for (const Value* at = &deepest; !at->is_null(); at = &(*at)["next"]) {
    if (at->is(ValueKind::reference)) {
      break;
    }
    ++length;
  }
  EXPECT_GT(length, 0);
}

// --- Entries ---------------------------------------------------------------------------------------------------------

TEST(Depth, EntriesThatEndBeforeTheNext) {
  Data bytes;
  const std::unique_ptr<Sink> sink = memory_sink(bytes);
  MapWriter out(*sink);
  const List lasting(500);
  for (int i = 0; i < 3; ++i) {
    const List list(1'000 + i);
    out.write("list" + std::to_string(i), list.first);
    out.write("number" + std::to_string(i), i);
    out.write("lasting" + std::to_string(i), lasting.first);
  }
  out.close();
  const File file = open(memory_source(bytes));
  file.verify();
  for (int i = 0; i < 3; ++i) {
    expect_list(List(file.load<std::shared_ptr<Node>>("list" + std::to_string(i))).first, 1'000 + i);
    EXPECT_EQ(file.load<int>("number" + std::to_string(i)), i);
    expect_list(List(file.load<std::shared_ptr<Node>>("lasting" + std::to_string(i))).first, 500);
  }
  struct All {
    std::shared_ptr<Node> list0, list1, list2;
    int number0, number1, number2;
    std::shared_ptr<Node> lasting0, lasting1, lasting2;
  };
  test::TrickleSource stream(bytes, 1'000);
  for (All& all :
       std::array{from_bytes<All>(bytes), load<All>(stream), file.load<All>(), from_bytes<Value>(bytes).to<All>()}) {
    EXPECT_EQ(all.number2, 2);
    EXPECT_EQ(all.lasting0, all.lasting2);
    expect_list(List(all.lasting0).first, 500);
    expect_list(List(all.list1).first, 1'001);
    List::end(all.list0);
    List::end(all.list2);
  }
  EXPECT_EQ(file.list({.depth = 1}).front().count, 9U);
}

// --- Containers that look at their items -----------------------------------------------------------------------------

struct ByNumber {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const {
    return a->number < b->number;
  }
};
struct Bag {
  std::shared_ptr<Bag> next;
  std::set<std::shared_ptr<Node>, ByNumber> set;
  std::map<std::shared_ptr<Node>, int, ByNumber> map;
};

TEST(Depth, ItemsThatAreComparedAreWhole) {
  std::shared_ptr<Bag> first;
  for (int i = 0; i < 500; ++i) {
    const auto bag = std::make_shared<Bag>();
    for (int k = 0; k < 3; ++k) {
      auto node = std::make_shared<Node>();
      node->number = 2 - k;
      bag->set.insert(node);
      bag->map[node] = k;
    }
    bag->next = std::exchange(first, nullptr);
    first = bag;
  }
  for (const auto& back : {round_trip(first), to_value(first).to<std::shared_ptr<Bag>>()}) {
    int length = 0;
    for (auto bag = back; bag != nullptr; bag = std::exchange(bag->next, nullptr), ++length) {
      ASSERT_EQ(bag->set.size(), 3U);
      ASSERT_EQ(bag->map.size(), 3U);
      int number = 0;
      for (const auto& [node, k] : bag->map) {
        ASSERT_EQ(node->number, number);
        ASSERT_EQ(k, 2 - number);
        ASSERT_EQ(*std::next(bag->set.begin(), number), node);
        ++number;
      }
    }
    EXPECT_EQ(length, 500);
  }
  while (first != nullptr) {
    first = std::exchange(first->next, nullptr);
  }
}

// --- True nesting ----------------------------------------------------------------------------------------------------

struct Nested {
  int number = 0;
  std::unique_ptr<Nested> inner;
};
std::unique_ptr<Nested> nested(int depth) {
  std::unique_ptr<Nested> whole;
  for (int i = depth - 1; i >= 0; --i) {
    auto outer = std::make_unique<Nested>();
    outer->number = i;
    outer->inner = std::move(whole);
    whole = std::move(outer);
  }
  return whole;
}
int end(std::unique_ptr<Nested> whole) {
  int length = 0;
  for (; whole != nullptr; whole = std::move(whole->inner)) {
    EXPECT_EQ(whole->number, length++);
  }
  return length;
}

/// Calls `work` on a thread with that much stack.
void on_thread(std::size_t stack, const std::function<void()>& work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack);
  pthread_t thread{};
  const auto call = [](void* given) -> void* {
    (*static_cast<const std::function<void()>*>(given))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, call, const_cast<std::function<void()>*>(&work)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(Depth, TheLimitIsAnOptionForSavingToo) {
  auto whole = nested(5'000);
  for (const Error& error :
       {error_of([&] { to_bytes(whole); }), error_of([&] { hash(whole, {.limits = {.depth = 1'000}}); }),
        error_of([&] { describe(whole); })}) {
    EXPECT_EQ(error.code(), Errc::limit_exceeded);
    EXPECT_NE(error.message().find("limits.depth"), std::string::npos) << error.what();
  }
  on_thread(std::size_t{256} << 20, [&] {
    const Data bytes = to_bytes(whole, {.limits = {.depth = 6'000}});
    const Error error = error_of([&] { from_bytes<std::unique_ptr<Nested>>(bytes); });
    EXPECT_EQ(error.code(), Errc::limit_exceeded);
    EXPECT_NE(error.message().find("LoadOptions::limits.depth"), std::string::npos) << error.what();
    EXPECT_EQ(end(from_bytes<std::unique_ptr<Nested>>(bytes, {.limits = {.depth = 6'000}})), 5'000);
    EXPECT_EQ(end(from_bytes<Value>(bytes, {.limits = {.depth = 6'000}})
                      .to<std::unique_ptr<Nested>>({.limits = {.depth = 6'000}})),
              5'000);
    EXPECT_NO_THROW(hash(whole, {.limits = {.depth = 6'000}}));
    EXPECT_NO_THROW(describe(whole, {.limits = {.depth = 6'000}}));
  });
  EXPECT_EQ(error_of([&] { to_bytes(whole, {.limits = {.depth = 10}}); }).code(), Errc::limit_exceeded);
  EXPECT_EQ(end(std::move(whole)), 5'000);
}

TEST(Depth, WhereTheStackEndsIsAnErrorNotASignal) {
  auto whole = nested(60'000);
  Data bytes;
  on_thread(std::size_t{2048} << 20, [&] { bytes = to_bytes(whole, {.limits = {.depth = 1'000'000}}); });
  const Limits limits{.depth = 1'000'000};
  const auto expect_error = [&] {
    const auto value = from_bytes<Value>(bytes, {.limits = limits});  // needs no stack
    for (const Error& error :
         {error_of([&] { to_bytes(whole, {.limits = limits}); }),
          error_of([&] { from_bytes<std::unique_ptr<Nested>>(bytes, {.limits = limits}); }),
          error_of([&] { value.to<std::unique_ptr<Nested>>({.limits = limits}); }), error_of([&] { to_value(whole); }),
          error_of([&] { hash(whole, {.limits = limits}); }), error_of([&] { describe(whole, {.limits = limits}); })}) {
      EXPECT_EQ(error.code(), Errc::limit_exceeded);
      EXPECT_NE(error.message().find("stack"), std::string::npos) << error.what();
    }
  };
  // Not on the main thread: where its stack is large and a level takes little of it, all levels fit.
  for (const std::size_t stack : {std::size_t{256} << 10, std::size_t{1} << 20, std::size_t{2} << 20}) {
    on_thread(stack, expect_error);
  }
  EXPECT_EQ(end(std::move(whole)), 60'000);
}

// --- The hash --------------------------------------------------------------------------------------------------------

struct Vertex {
  int number = 0;
  std::vector<std::shared_ptr<Vertex>> next;
  std::unordered_map<int, std::shared_ptr<Vertex>> named;
};

TEST(Depth, TheHashDoesNotDependOnTheStack) {
  std::vector<std::shared_ptr<Vertex>> vertices;
  for (int i = 0; i < 4'000; ++i) {
    vertices.push_back(std::make_shared<Vertex>());
    vertices.back()->number = i;
  }
  unsigned random = 1;
  const auto any = [&] { return vertices[(random = random * 1'664'525 + 1'013'904'223) / 7 % vertices.size()]; };
  for (std::size_t i = 0; i < vertices.size(); ++i) {
    if (i + 1 < vertices.size()) {
      vertices[i]->next.push_back(vertices[i + 1]);
    }
    vertices[i]->next.push_back(any());
    vertices[i]->named[static_cast<int>(i)] = any();
    vertices[i]->named[-1] = any();
  }
  Digest wide;
  Digest narrow;
  Digest main;
  on_thread(std::size_t{512} << 20, [&] { wide = hash(std::pair(1, vertices.front())); });
  on_thread(std::size_t{512} << 10, [&] { narrow = hash(std::pair(1, vertices.front())); });
  main = hash(std::pair(1, vertices.front()));
  EXPECT_EQ(wide.text(), narrow.text());
  EXPECT_EQ(wide.text(), main.text());
  vertices[3'999]->number = 1;
  EXPECT_NE(hash(std::pair(1, vertices.front())).text(), main.text());
  for (const auto& vertex : vertices) {
    *vertex = {};
  }
}

TEST(Depth, EqualDeepGraphsHaveEqualHashes) {
  constexpr int count = 200'000;
  const List a(count);
  const List b(count);
  Hasher hasher;
  hasher.add(std::string(100, 'x'));
  hasher.add(a.first);
  Hasher other;
  other.add(std::string(100, 'x'));
  on_thread(std::size_t{1} << 20, [&] { other.add(b.first); });
  EXPECT_EQ(hasher.digest(), other.digest());
  auto node = b.first;
  for (int i = 0; i < count - 1; ++i) {
    node = node->next;
  }
  node->number = 0;
  EXPECT_NE(hash(a.first), hash(b.first));
  EXPECT_FALSE(describe(a.first).empty());
}

TEST(Depth, ArraysOfDeepGraphsShareTheirBuffers) {
  struct Holder {
    std::shared_ptr<Holder> next;
    Array<float> part;
  };
  const auto whole = test::counting<float, 1>({10'000});
  std::shared_ptr<Holder> first;
  for (int i = 0; i < 1'000; ++i) {
    const auto made = std::make_shared<Holder>();
    made->part = whole.slice(static_cast<std::uint64_t>(i), 9'000);
    made->next = std::exchange(first, nullptr);
    first = made;
  }
  const Data bytes = to_bytes(first);
  EXPECT_LT(bytes.size(), 200'000U);
  auto back = from_bytes<std::shared_ptr<Holder>>(bytes);
  const Buffer* buffer = back->part.buffer().get();
  for (int i = 999; i >= 0; --i, back = std::exchange(back->next, nullptr)) {
    ASSERT_EQ(back->part.buffer().get(), buffer);
    ASSERT_TRUE(back->part == whole.slice(static_cast<std::uint64_t>(i), 9'000));
  }
  while (first != nullptr) {
    first = std::exchange(first->next, nullptr);
  }
}

// --- Made by hand ----------------------------------------------------------------------------------------------------

using Numbers = std::vector<std::shared_ptr<int>>;

Data part(std::string_view first, std::string_view values) {
  return hex("da 53544506 " + std::string(first) + " 9f " + std::string(values) + " ff");
}
constexpr const char* to_0 = "da 53544505 00";
constexpr const char* to_1 = "da 53544505 01";

Data numbers(const std::string& root, const std::vector<Data>& parts) {
  Data bytes = hex(root);
  for (const Data& each : parts) {
    bytes += each;
  }
  return wrap(bytes);
}

TEST(Depth, DeferredValuesByHand) {
  const Data good = numbers(std::string("83") + to_0 + to_1 + to_0, {part("00", "05 06")});
  test::TrickleSource stream(good);
  for (const Numbers& back : {from_bytes<Numbers>(good), open(memory_source(good)).load<Numbers>(),
                              load<Numbers>(stream), from_bytes<Value>(good).to<Numbers>()}) {
    ASSERT_EQ(back.size(), 3U);
    EXPECT_EQ(*back[0], 5);
    EXPECT_EQ(*back[1], 6);
    EXPECT_EQ(back[0], back[2]);
  }
  // As values, which are needed where they are referred to.
  EXPECT_EQ(from_bytes<std::vector<int>>(good), (std::vector<int>{5, 6, 5}));
  test::TrickleSource pipe(good);
  EXPECT_EQ(error_of([&] { load<std::vector<int>>(pipe); }).code(), Errc::unsupported);
  EXPECT_EQ(open(memory_source(good)).load<int>("1"), 6);
  // In two parts, and with one that nothing refers to.
  EXPECT_EQ(*from_bytes<Numbers>(numbers(std::string("81") + to_1, {part("00", "05"), part("01", "06")})).at(0), 6);
}

TEST(Depth, BadDeferredValuesAreErrors) {
  const auto code = [](const Data& archive) {
    const Error error = error_of([&] { from_bytes<Numbers>(archive); });
    EXPECT_EQ(error_of([&] { open(memory_source(archive)).load<Numbers>(); }).code(), error.code());
    test::TrickleSource stream(archive);
    EXPECT_EQ(error_of([&] { load<Numbers>(stream); }).code(), error.code());
    return error.code();
  };
  EXPECT_EQ(code(numbers(std::string("81") + to_0, {})), Errc::malformed);                  // no part
  EXPECT_EQ(code(numbers(std::string("81") + to_1, {part("00", "05")})), Errc::malformed);  // too few
  EXPECT_EQ(code(numbers("81 da 53544505 61 61", {part("00", "05")})), Errc::malformed);    // no index
  EXPECT_EQ(code(numbers("81 da 53544505 1b ffffffffffffffff", {part("00", "05")})), Errc::malformed);
  EXPECT_EQ(code(numbers("81 da 53544505 81 00", {part("00", "05")})), Errc::malformed);  // a name is missing
  EXPECT_EQ(code(numbers(std::string("81") + to_0, {part("00", "61 61")})), Errc::type_mismatch);
  const auto in_order = [](const Data& archive) {
    test::TrickleSource stream(archive);
    const Errc found = error_of([&] { load<Numbers>(stream); }).code();
    EXPECT_EQ(error_of([&] { from_bytes<Numbers>(archive); }).code(), found);
    return found;
  };
  EXPECT_EQ(in_order(numbers(std::string("81") + to_0, {part("01", "05")})), Errc::malformed);  // the wrong number
  EXPECT_EQ(in_order(numbers(std::string("81") + to_0, {part("00", "05"), part("00", "05")})), Errc::malformed);
  EXPECT_EQ(in_order(numbers(std::string("81") + to_0, {hex("da 53544506 00 81 05")})), Errc::malformed);
  EXPECT_EQ(in_order(numbers("81 da 53544506 00", {})), Errc::malformed);  // not a value
  // A reference to a reference, to itself.
  const Data loop = numbers(std::string("81") + to_0, {part("00", to_0)});
  EXPECT_EQ(error_of([&] { from_bytes<std::vector<int>>(loop); }).code(), Errc::malformed);
}

struct Counted {
  static inline int alive = 0;
  Counted() { ++alive; }
  Counted(const Counted& other) : next(other.next), number(other.number) { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }
  static void visit(auto& v, auto& self) { v("next", self.next)("number", self.number); }
  std::shared_ptr<Counted> next;
  int number = 0;
};

TEST(Depth, DeepCyclesThatFailToLoadAreFreed) {
  std::shared_ptr<Counted> first;
  std::shared_ptr<Counted> last;
  for (int i = 0; i < 1'000; ++i) {
    auto made = std::make_shared<Counted>();
    last = last == nullptr ? made : last;
    made->next = std::exchange(first, nullptr);
    first = made;
  }
  last->next = first;
  const Data archive = to_bytes(first);
  last->next.reset();
  const int before = Counted::alive;
  Data damaged = archive;
  damaged[archive.size() - 20] ^= std::byte{1};
  EXPECT_THROW(from_bytes<std::shared_ptr<Counted>>(damaged), Error);
  Data cut(archive.begin(), archive.begin() + static_cast<std::ptrdiff_t>(archive.size() / 2));
  test::TrickleSource stream(cut, 1'000);
  EXPECT_THROW(load<std::shared_ptr<Counted>>(stream), Error);
  EXPECT_EQ(Counted::alive, before);
  while (first != nullptr) {
    first = std::exchange(first->next, nullptr);
  }
}

TEST(Depth, EveryTruncationAndChangeOfADeepFileIsAnErrorOrTheSame) {
  const List list(250);
  const Data archive = to_bytes(list.first);
  for (std::size_t i = 12; i < archive.size(); i += 7) {
    Data changed = archive;
    changed[i] ^= std::byte{0x15};
    for (const bool in_order : {true, false}) {
      try {
        test::TrickleSource stream(changed, 1'000);
        const List back(in_order ? load<std::shared_ptr<Node>>(stream) : from_bytes<std::shared_ptr<Node>>(changed));
        ADD_FAILURE() << i;
      } catch (const Error&) {
      }
    }
  }
}

// --- Paths of entries that have one key ------------------------------------------------------------------------------

TEST(Paths, EntriesOfOneKeyHavePathsOfTheirOwn) {
  const auto check = [](const auto& map, std::size_t count) {
    for (const char* codec : {"plain", "gzip"}) {
      const Data bytes = to_bytes(map, {.codec = codec});
      const File file = open(memory_source(bytes));
      std::set<std::string> paths;
      std::vector<std::vector<float>> loaded;
      for (const Entry& entry : file.list()) {
        EXPECT_TRUE(paths.insert(entry.path).second) << entry.path;
        EXPECT_TRUE(file.contains(entry.path)) << entry.path;
        if (entry.kind == Kind::array) {
          loaded.push_back(file.load<std::vector<float>>(entry.path));
        }
      }
      ASSERT_EQ(loaded.size(), count);
      std::size_t i = 0;
      for (const auto& [key, value] : map) {
        EXPECT_EQ(loaded[i], value) << i;
        ++i;
      }
      const auto value = file.load<Value>();
      for (const std::string& path : paths) {
        EXPECT_NO_THROW(value.at_path(path)) << path;
      }
    }
  };
  for (const std::size_t size : {3U, 2'000U}) {
    const auto floats = [&](int i) { return std::vector<float>(size, static_cast<float>(i)); };
    check(
        std::multimap<std::string, std::vector<float>>{
            {"a", floats(1)}, {"a", floats(2)}, {"b", floats(3)}, {"b", floats(4)}, {"b", floats(5)}},
        5);
    check(std::multimap<int, std::vector<float>>{{1, floats(1)}, {1, floats(2)}, {2, floats(3)}}, 3);
    check(
        std::unordered_multimap<std::string, std::vector<float>>{
            {"a", floats(1)}, {"a", floats(2)}, {"~#0", floats(3)}},
        3);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::unordered_map<double, std::vector<float>> nans;
    nans.emplace(nan, floats(1));
    nans.emplace(nan, floats(2));
    nans.emplace(0.5, floats(3));
    nans.emplace(nan, floats(4));
    check(nans, 4);
    check(std::map<std::vector<int>, std::vector<float>>{{{1}, floats(1)}, {{2}, floats(2)}}, 2);
  }
  const Data bytes = to_bytes(std::multimap<std::string, int>{{"a", 1}, {"a", 2}, {"b", 3}});
  const File file = open(memory_source(bytes));
  EXPECT_EQ(file.load<int>("a"), 1);
  EXPECT_EQ(file.load<int>("~#1"), 2);
  EXPECT_EQ(file.load<int>("~#2"), 3);
  EXPECT_FALSE(file.contains("~#3"));
  const Data bad = to_bytes(std::multimap<std::string, std::string>{{"a", "1"}, {"a", "2"}});
  using Wrong = std::multimap<std::string, int>;
  EXPECT_EQ(error_of([&] { from_bytes<Wrong>(bad); }).path(), "a");
}

}  // namespace
}  // namespace stele
