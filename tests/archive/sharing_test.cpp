// Identity: shared and weak pointers, cycles, arrays that share a buffer, and bytes that depend only on the object.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "stele/describe.hpp"
#include "stele/hash.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace sharing {

/// Makes its items during iteration.
template <class T>
struct Made {
  using value_type = T;
  struct iterator {
    const Made* made;
    int i;
    T operator*() const { return made->make(i); }
    iterator& operator++() {
      ++i;
      return *this;
    }
    bool operator==(const iterator& other) const { return i == other.i; }
  };
  std::function<T(int)> make;
  int count = 0;
  iterator begin() const { return {this, 0}; }
  iterator end() const { return {this, count}; }
  std::size_t size() const { return static_cast<std::size_t>(count); }
};

}  // namespace sharing

template <class T>
inline constexpr bool stele::is_like_standard<sharing::Made<T>> = true;

namespace stele {
namespace {

using sharing::Made;

using test::operator+=;
using test::counting;
using test::Data;
using test::error_of;
using test::Folder;
using test::hex;
using test::reread;
using test::round_trip;
using test::text_item;
using test::wrap;

constexpr std::uint64_t many = 100'000;

// --- Pointers --------------------------------------------------------------------------------------------------------

struct Node {
  std::string name;
  std::vector<std::shared_ptr<Node>> next;
  std::weak_ptr<Node> back;
};

std::shared_ptr<Node> node(std::string name) {
  auto made = std::make_shared<Node>();
  made->name = std::move(name);
  return made;
}

/// Cuts the cycles, so that nothing leaks.
void dissolve(const std::shared_ptr<Node>& from) {
  if (from != nullptr) {
    for (const auto& next : std::exchange(from->next, {})) {
      dissolve(next);
    }
  }
}

TEST(Sharing, OnePointerTwice) {
  const auto text = std::make_shared<std::string>(10000, 'x');
  const std::vector<std::shared_ptr<std::string>> twice{text, nullptr, text, std::make_shared<std::string>("y")};
  const auto bytes = to_bytes(twice);
  EXPECT_LT(bytes.size(), 10500U);
  const auto back = from_bytes<std::vector<std::shared_ptr<std::string>>>(bytes);
  EXPECT_EQ(*back[0], *text);
  EXPECT_EQ(back[0], back[2]);
  EXPECT_EQ(back[1], nullptr);
  EXPECT_EQ(*back[3], "y");
  EXPECT_EQ(to_bytes(back), bytes);
}

TEST(Sharing, Cycles) {
  const auto self = node("self");
  self->next = {self, self};
  self->back = self;
  const auto copy = round_trip(self);
  EXPECT_EQ(copy->next.at(0), copy);
  EXPECT_EQ(copy->next.at(1), copy);
  EXPECT_EQ(copy->back.lock(), copy);
  EXPECT_EQ(to_bytes(copy), to_bytes(self));
  dissolve(self);
  dissolve(copy);

  const auto a = node("a");
  const auto b = node("b");
  const auto c = node("c");
  a->next = {b, c};
  b->next = {c};
  c->next = {a};
  c->back = b;
  for (const char* codec : {"plain", "gzip"}) {
    const auto back = round_trip(a, {.codec = codec});
    ASSERT_EQ(back->next.size(), 2U);
    EXPECT_EQ(back->next[0]->next[0], back->next[1]);
    EXPECT_EQ(back->next[1]->next[0], back);
    EXPECT_EQ(back->next[1]->back.lock(), back->next[0]);
    dissolve(back);
  }
  dissolve(a);
}

TEST(Sharing, CyclesComeThroughAStreamThatCannotSeek) {
  const auto a = node("a");
  const auto b = node("b");
  a->next = {b, b};
  b->next = {a};
  const Data bytes = to_bytes(a);
  test::TrickleSource source(bytes);
  const auto back = load<std::shared_ptr<Node>>(source);
  EXPECT_EQ(back->next.at(0), back->next.at(1));
  EXPECT_EQ(back->next.at(0)->next.at(0), back);
  dissolve(a);
  dissolve(back);
}

TEST(Sharing, ALongChainIsLimitedByDepthOnly) {
  auto first = node("n");
  for (int i = 0; i < 300; ++i) {
    auto before = node("n");
    before->next = {first};
    first = before;
  }
  auto back = round_trip(first);
  int length = 0;
  for (auto at = back; !at->next.empty(); at = at->next[0]) {
    ++length;
  }
  EXPECT_EQ(length, 300);
  EXPECT_EQ(error_of([&] { round_trip(first, {}, {.limits = {.depth = 100}}); }).code(), Errc::limit_exceeded);
}

struct WeakFirst {
  std::weak_ptr<std::string> weak;
  std::shared_ptr<std::string> strong;
};

TEST(Sharing, WeakPointers) {
  WeakFirst value;
  value.strong = std::make_shared<std::string>("x");
  value.weak = value.strong;
  const auto back = round_trip(value);
  EXPECT_EQ(*back.strong, "x");
  EXPECT_EQ(back.weak.lock(), back.strong);
  WeakFirst expired;
  expired.weak = std::make_shared<std::string>("gone");
  EXPECT_EQ(round_trip(expired).weak.lock(), nullptr);
  // Without an owner in the graph the object goes when loading is done.
  EXPECT_EQ(round_trip(std::weak_ptr(value.strong)).lock(), nullptr);
}

struct Aliases {
  std::shared_ptr<std::pair<int, int>> whole;
  std::shared_ptr<int> part;
};

TEST(Sharing, APointerIntoAStoredObjectIsRefused) {
  Aliases value;
  value.whole = std::make_shared<std::pair<int, int>>(3, 4);
  const auto expect_refused = [](const auto& object) {
    for (const Error& error : {error_of([&] { to_bytes(object); }), error_of([&] { to_value(object); })}) {
      EXPECT_EQ(error.code(), Errc::invalid_argument);
      EXPECT_NE(error.message().find("two objects"), std::string::npos) << error.what();
    }
  };
  for (int* part : {&value.whole->first, &value.whole->second}) {
    value.part = std::shared_ptr<int>(value.whole, part);
    expect_refused(value);
    EXPECT_EQ(error_of([&] { to_bytes(value); }).path(), "part");
    EXPECT_TRUE(error_of([&] { to_bytes(value); }).offset());
    expect_refused(std::pair(value.part, value.whole));
    expect_refused(std::pair(std::weak_ptr(value.part), value.whole));
    EXPECT_EQ(describe(value).substr(0, 6), "record");  // it is shown as it would be stored
    EXPECT_NO_THROW(hash(value));
    // Alone it is an object of its own.
    EXPECT_EQ(*round_trip(value.part), *part);
  }
  struct Big {
    std::array<double, 2000> numbers{};
    std::string name;
  };
  const auto big = std::make_shared<Big>();
  expect_refused(std::pair(big, std::shared_ptr<double>(big, &big->numbers[1500])));
  expect_refused(std::pair(std::shared_ptr<double>(big, &big->numbers[1999]), big));
  expect_refused(std::pair(std::shared_ptr<std::string>(big, &big->name), big));
  const auto apart =
      std::pair(std::shared_ptr<double>(big, &big->numbers[0]), std::shared_ptr<std::string>(big, &big->name));
  EXPECT_EQ(*round_trip(apart).first, 0);
}

struct PlainBase {
  int a = 1;
  static void visit(auto& v, auto& self) { v("a", self.a); }
};
struct PlainDerived : PlainBase {
  int b = 2;
  static void visit(auto& v, auto& self) { v("a", self.a)("b", self.b); }
};

TEST(Sharing, ABaseWithoutVirtualFunctionsOfAStoredObjectIsRefused) {
  const auto derived = std::make_shared<PlainDerived>();
  const std::shared_ptr<PlainBase> base = derived;
  EXPECT_EQ(error_of([&] { to_bytes(std::pair(derived, base)); }).code(), Errc::invalid_argument);
  EXPECT_EQ(error_of([&] { to_bytes(std::pair(base, derived)); }).code(), Errc::invalid_argument);
  EXPECT_EQ(round_trip(base)->a, 1);
}

// --- Objects that live only while they are written -------------------------------------------------------------------

using Floats = std::vector<float>;

TEST(Sharing, EntriesOfObjectsThatAreFreedInBetweenAreTheirOwn) {
  const Folder folder;
  constexpr int count = 3;
  {
    MapWriter out(folder / "m.stele");
    for (int i = 0; i < count; ++i) {
      out.write("s" + std::to_string(i), std::make_shared<Floats>(10'000, static_cast<float>(i)));
    }
    out.close();
  }
  const auto back = load<std::map<std::string, std::shared_ptr<Floats>>>(folder / "m.stele");
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(*back.at("s" + std::to_string(i)), Floats(10'000, static_cast<float>(i)));
  }
}

TEST(Sharing, EntriesOfArraysThatAreFreedOrFilledAnewAreTheirOwn) {
  for (const std::uint64_t size : {std::uint64_t{5}, many}) {
    Data bytes;
    const std::unique_ptr<Sink> sink = memory_sink(bytes);
    MapWriter out(*sink);
    Array<int> filled({size});
    const Array<int> constant({size});
    for (int i = 0; i < 4; ++i) {
      Array<int> temporary({size});
      temporary.mutable_at(0) = i;
      out.write("temporary" + std::to_string(i), temporary);
      filled.mutable_at(1) = i;
      out.write("filled" + std::to_string(i), filled);
      out.write("constant" + std::to_string(i), std::pair(constant, constant));
    }
    out.close();
    EXPECT_LT(bytes.size(), 9 * size * sizeof(int) + 20'000);
    const File file = open(memory_source(bytes));
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(file.load<Array<int>>("temporary" + std::to_string(i))(0), i);
      EXPECT_EQ(file.load<Array<int>>("filled" + std::to_string(i))(1), i);
    }
  }
}

TEST(Sharing, OnePointerInTwoEntriesStaysOne) {
  Data bytes;
  const std::unique_ptr<Sink> sink = memory_sink(bytes);
  MapWriter out(*sink);
  const auto shared = std::make_shared<std::string>("x");
  out.write("a", shared);
  out.write("b", shared);
  out.close();
  const auto back = from_bytes<std::map<std::string, std::shared_ptr<std::string>>>(bytes);
  EXPECT_EQ(back.at("a"), back.at("b"));
}

template <class T>
void expect_items(const std::function<std::shared_ptr<T>(int)>& make, const std::function<T(int)>& item) {
  constexpr int count = 20;
  const Made<std::shared_ptr<T>> made{make, count};
  std::vector<std::shared_ptr<T>> lasting;
  for (int i = 0; i < count; ++i) {
    lasting.push_back(std::make_shared<T>(item(i)));
  }
  for (const auto& back : {from_bytes<std::vector<std::shared_ptr<T>>>(to_bytes(made)),
                           to_value(made).template to<std::vector<std::shared_ptr<T>>>()}) {
    ASSERT_EQ(back.size(), lasting.size());
    for (std::size_t i = 0; i < back.size(); ++i) {
      EXPECT_EQ(*back[i], *lasting[i]) << i;
    }
  }
  EXPECT_EQ(hash(made), hash(lasting));
  EXPECT_EQ(describe(made, {.max_items = 100}), describe(lasting, {.max_items = 100}));
}

TEST(Sharing, ItemsThatAreMadeOnTheFlyAreTheirOwn) {
  expect_items<int>([](int i) { return std::make_shared<int>(i); }, [](int i) { return i; });
  expect_items<std::string>([](int i) { return std::shared_ptr<std::string>(new std::string(std::to_string(i))); },
                            [](int i) { return std::to_string(i); });
  expect_items<Floats>([](int i) { return std::make_shared<Floats>(2'000, static_cast<float>(i)); },
                       [](int i) { return Floats(2'000, static_cast<float>(i)); });
  int slot = 0;  // one address, a new owner each time
  expect_items<int>(
      [&](int i) {
        slot = i;
        return std::shared_ptr<int>(&slot, [](int*) {});
      },
      [](int i) { return i; });
}

TEST(Sharing, APointerWithoutAnOwnerIsNotMistakenForAnotherObject) {
  int slot = 0;
  const Made<std::shared_ptr<int>> made{[&](int i) {
                                          slot = i;
                                          return std::shared_ptr<int>(std::shared_ptr<void>(), &slot);
                                        },
                                        2};
  const Error error = error_of([&] { to_bytes(made); });
  EXPECT_EQ(error.code(), Errc::invalid_argument);
  EXPECT_EQ(error.path(), "1");
  EXPECT_EQ(error_of([&] { hash(made); }).code(), Errc::invalid_argument);
  EXPECT_EQ(*round_trip(std::shared_ptr<int>(std::shared_ptr<void>(), &slot)), 1);
}

struct Handles {
  std::vector<int> numbers;
  static void visit(auto& v, auto& self) {
    if constexpr (std::remove_reference_t<decltype(v)>::loading) {
      v("numbers", self.numbers);
    } else {
      std::uint64_t i = 0;
      for (const char* name : {"a", "b", "c"}) {
        const auto made = std::make_shared<int>(self.numbers[i++]);
        v(name, made);
      }
    }
  }
};
struct HandlesBack {
  std::shared_ptr<int> a;
  std::shared_ptr<int> b;
  std::shared_ptr<int> c;
};

TEST(Sharing, FieldsThatAVisitMakesAreTheirOwn) {
  const Handles handles{{1, 2, 3}};
  const auto back = from_bytes<HandlesBack>(to_bytes(handles));
  EXPECT_EQ(*back.a + 10 * *back.b + 100 * *back.c, 321);
  EXPECT_NE(hash(handles), hash(Handles{{1, 1, 1}}));
  EXPECT_EQ(hash(handles),
            hash(HandlesBack{std::make_shared<int>(1), std::make_shared<int>(2), std::make_shared<int>(3)}));
}

TEST(Sharing, ArraysThatAreMadeOnTheFlyAreTheirOwn) {
  const auto whole = counting<int, 1>({1000});
  const Made<Array<int>> made{[&](int i) {
                                auto numbers = Array<int>::uninitialized({20});
                                for (std::uint64_t k = 0; k < 20; ++k) {
                                  numbers.mutable_at(k) = i;
                                }
                                // Views of them, so that the shared buffers are found first.
                                return i % 2 == 0 ? numbers.slice(1, 19) : numbers;
                              },
                              50};
  for (const auto& back :
       {from_bytes<std::pair<Array<int>, std::vector<Array<int>>>>(to_bytes(std::pair(whole.slice(2, 5), made))),
        to_value(std::pair(whole.slice(2, 5), made)).to<std::pair<Array<int>, std::vector<Array<int>>>>()}) {
    EXPECT_TRUE(back.first == whole.slice(2, 5));
    ASSERT_EQ(back.second.size(), 50U);
    for (int i = 0; i < 50; ++i) {
      const Array<int>& array = back.second[static_cast<std::size_t>(i)];
      EXPECT_EQ(array.size(), i % 2 == 0 ? 18U : 20U);
      for (std::uint64_t k = 0; k < array.size(); ++k) {
        EXPECT_EQ(std::as_const(array)(k), i);
      }
    }
  }
}

TEST(Sharing, ManyTemporariesTakeNoMemory) {
  Data bytes;
  const std::unique_ptr<Sink> sink = memory_sink(bytes);
  MapWriter out(*sink);
  std::vector<std::weak_ptr<Floats>> made;
  for (int i = 0; i < 3'000; ++i) {
    const auto one = std::make_shared<Floats>(10, static_cast<float>(i));
    made.push_back(one);
    out.write(std::to_string(i), std::pair(one, one));
  }
  for (const auto& one : made) {
    EXPECT_TRUE(one.expired());
  }
  out.close();
  const auto back =
      from_bytes<std::map<std::string, std::pair<std::shared_ptr<Floats>, std::shared_ptr<Floats>>>>(bytes);
  for (int i = 0; i < 3'000; ++i) {
    const auto& [first, second] = back.at(std::to_string(i));
    EXPECT_EQ(first, second);
    EXPECT_EQ(first->at(9), static_cast<float>(i));
  }
}

struct Animal {
  virtual ~Animal() = default;
  int legs = 4;
  static void visit(auto& v, auto& self) { v("legs", self.legs); }
};
struct Bird : Animal {
  std::string song;
  static void visit(auto& v, auto& self) { v("legs", self.legs)("song", self.song); }
};
struct Cage {
  std::shared_ptr<Bird> bird;
  std::shared_ptr<Animal> animal;
};
struct CageTurned {
  std::shared_ptr<Animal> animal;
  std::shared_ptr<Bird> bird;
};

TEST(Sharing, BaseAndDerivedPointersToOneObject) {
  TypeRegistry types;
  types.add<Bird, Animal>("bird").add<Animal>("animal");
  const auto bird = std::make_shared<Bird>();
  bird->song = "tweet";
  bird->legs = 2;
  const auto one = round_trip(Cage{bird, bird}, {.types = &types}, {.types = &types});
  EXPECT_EQ(one.bird, one.animal);
  EXPECT_EQ(one.bird->song, "tweet");
  const auto other = round_trip(CageTurned{bird, bird}, {.types = &types}, {.types = &types});
  EXPECT_EQ(other.bird, other.animal);
  // The fields come in another order than they are stored in.
  const auto turned = from_bytes<CageTurned>(to_bytes(Cage{bird, bird}, {.types = &types}), {.types = &types});
  EXPECT_EQ(turned.bird, turned.animal);
}

TEST(Sharing, AReferenceToAnotherTypeIsAnError) {
  // {"a": 28(3), "b": 29(0)}, read as shared_ptr<int> and shared_ptr<string>
  struct Two {
    std::shared_ptr<int> a;
    std::shared_ptr<std::string> b;
  };
  Data root = hex("a2");
  root += text_item("a");
  root += hex("d81c 03");
  root += text_item("b");
  root += hex("d81d 00");
  const Data archive = wrap(root);
  EXPECT_EQ(error_of([&] { from_bytes<Two>(archive); }).code(), Errc::type_mismatch);
  struct Right {
    std::shared_ptr<int> a;
    std::shared_ptr<int> b;
  };
  const auto right = from_bytes<Right>(archive);
  EXPECT_EQ(right.a, right.b);
  EXPECT_EQ(*right.b, 3);
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

TEST(Sharing, CyclesThatFailToLoadAreFreed) {
  const auto first = std::make_shared<Counted>();
  first->next = std::make_shared<Counted>();
  first->next->next = first;
  Data archive = to_bytes(std::pair(first, 5));
  first->next.reset();
  const int before = Counted::alive;
  using WrongEnd = std::pair<std::shared_ptr<Counted>, std::string>;
  EXPECT_THROW(from_bytes<WrongEnd>(archive), Error);
  EXPECT_THROW(open(memory_source(archive)).load<WrongEnd>(), Error);
  EXPECT_THROW(from_bytes<Value>(archive).to<WrongEnd>(), Error);
  archive[archive.size() - 20] ^= std::byte{1};  // in the trailer, after the objects
  EXPECT_THROW((from_bytes<std::pair<std::shared_ptr<Counted>, int>>(archive)), Error);
  EXPECT_EQ(Counted::alive, before);
}

TEST(Sharing, AReaderKeepsNoObjects) {
  const Data archive = to_bytes(std::make_shared<int>(5));
  Reader reader(archive);
  EXPECT_EQ(reader.read<std::shared_ptr<int>>().use_count(), 1);
}

TEST(Sharing, BadReferencesAreErrors) {
  using List = std::vector<std::shared_ptr<int>>;
  const auto code = [](Data root) { return error_of([&] { from_bytes<List>(wrap(root)); }).code(); };
  EXPECT_EQ(code(hex("82 d81c 03 d81d 01")), Errc::malformed);                  // no such object
  EXPECT_EQ(code(hex("82 d81c 03 d81d 1bffffffffffffffff")), Errc::malformed);  // and no such one
  EXPECT_EQ(code(hex("82 d81c 03 d81d 6161")), Errc::malformed);                // no index
  EXPECT_EQ(code(hex("82 d81d 00 d81c 03")), Errc::malformed);                  // before its definition
  using Deep = std::vector<std::vector<std::shared_ptr<int>>>;
  EXPECT_EQ(error_of([&] { from_bytes<Deep>(wrap(hex("81 d81c 81 d81d 00"))); }).code(), Errc::type_mismatch);
}

struct TwoOwners {
  std::shared_ptr<std::vector<int>> a;
  std::shared_ptr<std::vector<int>> b;
};
struct OwnerAndValue {
  std::shared_ptr<std::vector<int>> a;
  std::vector<int> b;
};
struct ValueAndOwner {
  std::vector<int> a;
  std::shared_ptr<std::vector<int>> b;
};
struct TwoValues {
  std::vector<int> a;
  std::vector<int> b;
};
struct OnlySecond {
  std::shared_ptr<std::vector<int>> b;
};

TEST(Sharing, ASharedObjectCanBeReadAsAValue) {
  for (const std::size_t size : {3U, 5000U}) {
    const auto shared = std::make_shared<std::vector<int>>(size, 7);
    const TwoOwners value{shared, shared};
    EXPECT_EQ(reread<TwoValues>(value).b, *shared) << size;
    EXPECT_EQ(reread<OwnerAndValue>(value).b, *shared) << size;
    EXPECT_EQ(*reread<ValueAndOwner>(value).b, *shared) << size;
    EXPECT_EQ(*reread<OnlySecond>(value).b, *shared) << size;
    EXPECT_EQ(*reread<TwoOwners>(OwnerAndValue{shared, *shared}).b, *shared) << size;
    EXPECT_EQ(*(reread<std::map<std::string, std::shared_ptr<std::vector<int>>>>(value)).at("b"), *shared) << size;
  }
}

TEST(Sharing, AnyKindOfSharedObjectCanBeReadAsAValue) {
  const auto check = [](const auto& object) {
    using T = std::remove_cvref_t<decltype(object)>;
    const auto shared = std::make_shared<T>(object);
    const auto back = reread<std::pair<std::shared_ptr<T>, T>>(std::pair(shared, shared));
    EXPECT_EQ(*back.first, object);
    EXPECT_EQ(back.second, object);
    const auto first = reread<std::pair<T, std::shared_ptr<T>>>(std::pair(shared, shared));
    EXPECT_EQ(first.first, object);
    EXPECT_EQ(*first.second, object);
  };
  check(5);
  check(2.5);
  check(true);
  check(std::string("text"));
  check(std::vector<std::string>{"a", "b"});
  check(std::vector<double>{1, 2});
  check(std::vector<bool>{true, false});
  check(std::array<int, 3>{1, 2, 3});
  check(std::map<std::string, int>{{"a", 1}});
  check(std::map<int, int>{{1, 1}});
  check(std::pair<int, std::string>{1, "x"});
  check(std::set<int>{1, 2});
  check(std::vector<std::array<float, 2>>{{1, 2}});
}

// --- Arrays over one buffer ------------------------------------------------------------------------------------------

TEST(Sharing, TheSameArrayTwiceIsStoredOnce) {
  const auto array = counting<float, 1>({many});
  const auto bytes = to_bytes(std::vector{array, array, array});
  EXPECT_LT(bytes.size(), many * 4 + 1000);
  const auto back = from_bytes<std::vector<Array<float>>>(bytes);
  EXPECT_TRUE(back[2] == array);
  EXPECT_EQ(back[0].data(), back[1].data());
  EXPECT_EQ(back[0].buffer(), back[2].buffer());
  EXPECT_EQ(to_bytes(back), bytes);
}

TEST(Sharing, SmallArraysOverOneBufferShareToo) {
  const auto array = counting<float, 1>({5});
  const auto back = round_trip(std::vector{array, array});
  EXPECT_EQ(back[0].data(), back[1].data());
}

template <class... Arrays>
void expect_shared(std::uint64_t most_bytes, const Arrays&... arrays) {
  const Folder folder;
  const auto value = std::make_tuple(arrays...);
  const auto check = [&](const auto& back) {
    EXPECT_TRUE(back == value);
    std::apply(
        [](const auto& first, const auto&... rest) {
          const auto* buffer = first.buffer().get();
          EXPECT_TRUE(((rest.buffer().get() == buffer) && ...));
        },
        back);
  };
  using Tuple = std::remove_const_t<decltype(value)>;
  const auto bytes = to_bytes(value);
  EXPECT_LT(bytes.size(), most_bytes);
  check(from_bytes<Tuple>(bytes));
  EXPECT_EQ(to_bytes(from_bytes<Tuple>(bytes)), bytes);
  test::TrickleSource stream(bytes, 1000);
  check(load<Tuple>(stream));
  check(round_trip(value, {.codec = "gzip"}));
  save(value, folder / "a.stele");
  check(load<Tuple>(folder / "a.stele"));
  check(load<Tuple>(folder / "a.stele", {.map = MapMode::read_only}));
  check(load<Tuple>(folder / "a.stele", {.map = MapMode::copy_on_write}));
  const File file = open(folder / "a.stele");
  check(file.load<Tuple>());
  std::size_t index = 0;
  const auto check_part = [&](const auto& array) {
    EXPECT_TRUE(file.load<std::remove_cvref_t<decltype(array)>>(std::to_string(index++)) == array);
  };
  (check_part(arrays), ...);
}

TEST(Sharing, ViewsOfOneBuffer) {
  const auto whole = counting<float, 1>({many});
  constexpr std::uint64_t most = many * 4 + 2000;
  expect_shared(most, whole, whole.slice(10, 500));
  expect_shared(most, whole.slice(10, 500), whole);
  expect_shared(most, whole.slice(0, 60'000), whole.slice(40'000, many));
  expect_shared(most, whole.slice(0, 60'000), whole.slice(40'000, many), whole, whole.slice(5, 6));
  const auto grid = counting<float, 2>({200, 500});
  expect_shared(most, grid, grid.transposed());
  expect_shared(most, grid.transposed(), grid);
  expect_shared(most, grid.slice(3, 9), grid.transposed(), grid);
  const Array<float> flat(grid.buffer(), grid.data(), {many}, {1});
  expect_shared(most, grid, flat);
  expect_shared(most, flat, grid);
  const Array<float> backwards(grid.buffer(), grid.data() + many - 1, {many}, {-1});
  expect_shared(most, grid, backwards);
  expect_shared(most, backwards, grid);
  const Array<float> column(grid.buffer(), grid.data() + 17, {200}, {500});
  expect_shared(most, column, grid);
  const Array<float, 2> repeated(grid.buffer(), grid.data(), {40, 500}, {0, 1});
  expect_shared(most, repeated, grid);
  const Array<float, 0> cell(grid.buffer(), grid.data() + 99, {}, {});
  expect_shared(most, grid, cell);
}

TEST(Sharing, DisjointViewsOfOneBuffer) {
  const auto whole = counting<double, 1>({many});
  const auto value = std::pair(whole.slice(0, 1000), whole.slice(50'000, 51'000));
  const auto bytes = to_bytes(value);
  const auto back = from_bytes<std::pair<Array<double>, Array<double>>>(bytes);
  EXPECT_TRUE(back == value);
}

TEST(Sharing, ViewsAsOtherTypesOfOneBuffer) {
  const auto whole = counting<std::uint32_t, 1>({many});
  const Array<float> floats(whole.buffer(), reinterpret_cast<const float*>(whole.data()), {many}, {1});
  const auto value = std::pair(whole, floats);
  EXPECT_TRUE(round_trip(value) == value);
  const Array<std::uint8_t> bytes(whole.buffer(), reinterpret_cast<const std::uint8_t*>(whole.data()), {4 * many}, {1});
  const auto other = std::tuple(bytes, whole, whole.slice(3, 8));
  EXPECT_TRUE(round_trip(other) == other);
}

TEST(Sharing, ChangesAreSeenThroughAllViewsAfterLoading) {
  const auto grid = counting<int, 2>({50, 60});
  auto [whole, turned] = round_trip(std::pair(grid, grid.transposed()));
  whole.mutable_at(3, 4) = 4711;
  EXPECT_EQ(turned(4, 3), 4711);
}

TEST(Sharing, ManyBuffersAndManyViews) {
  std::vector<Array<std::int16_t>> all;
  for (int i = 0; i < 300; ++i) {
    const auto base = counting<std::int16_t, 1>({static_cast<std::uint64_t>(10 + 30 * i)});
    all.push_back(base);
    if (i % 3 == 0) {
      all.insert(all.begin(), base.slice(2, 9));
      all.push_back(base);
    }
  }
  const auto back = round_trip(all);
  EXPECT_TRUE(back == all);
  const Folder folder;
  save(all, folder / "a.stele.gz");
  const File file = open(folder / "a.stele.gz");
  for (std::size_t i = 0; i < all.size(); i += 7) {
    ASSERT_TRUE(file.load<Array<std::int16_t>>(std::to_string(i)) == all[i]) << i;
  }
}

TEST(Sharing, SharedPointersToArraysAndArraysOverOneBuffer) {
  const auto array = counting<float, 1>({5000});
  const auto pointer = std::make_shared<Array<float>>(array);
  struct Both {
    std::shared_ptr<Array<float>> a;
    Array<float> b;
    std::shared_ptr<Array<float>> c;
    bool same() const { return a == c && a->data() == b.data(); }
  };
  const auto back = round_trip(Both{pointer, array, pointer});
  EXPECT_TRUE(*back.a == array);
  EXPECT_TRUE(back.b == array);
  EXPECT_EQ(back.a, back.c);
  EXPECT_TRUE(back.same());
}

// --- Parts that refer to what lies elsewhere -------------------------------------------------------------------------

struct Store {
  std::vector<std::shared_ptr<std::string>> texts;
  std::map<std::string, std::shared_ptr<std::string>> names;
  std::shared_ptr<Node> graph;
  std::vector<std::string> padding;
  std::vector<std::shared_ptr<Node>> nodes;
};

TEST(Sharing, PartsFollowReferencesOutOfThemselves) {
  const Folder folder;
  Store store;
  for (int i = 0; i < 3000; ++i) {
    store.texts.push_back(std::make_shared<std::string>("text " + std::to_string(i)));
    store.names["n" + std::to_string(i)] = store.texts.back();
    store.padding.push_back(std::string(60, 'p'));
  }
  store.graph = node("root");
  for (int i = 0; i < 50; ++i) {
    store.graph->next.push_back(node("child " + std::to_string(i)));
    store.graph->next.back()->back = store.graph;
    store.nodes.push_back(store.graph->next.back());
  }
  store.nodes.push_back(store.graph);
  for (const char* name : {"s.stele", "s.stele.gz"}) {
    save(store, folder / name);
    const File file = open(folder / name);
    EXPECT_EQ(*file.load<std::shared_ptr<std::string>>("names/n2999"), "text 2999");
    EXPECT_EQ(file.load<std::string>("names/n0"), "text 0");
    EXPECT_EQ(file.load<std::string>("names/n1234"), "text 1234");
    const auto names = file.load<std::map<std::string, std::shared_ptr<std::string>>>("names");
    EXPECT_EQ(names.size(), 3000U);
    EXPECT_EQ(*names.at("n77"), "text 77");
    const auto child = file.load<std::shared_ptr<Node>>("nodes/7");
    EXPECT_EQ(child->name, "child 7");
    const auto nodes = file.load<std::vector<std::shared_ptr<Node>>>("nodes");
    ASSERT_EQ(nodes.size(), 51U);
    EXPECT_EQ(nodes[7]->name, "child 7");
    EXPECT_EQ(nodes[50]->next.at(7), nodes[7]);
    EXPECT_EQ(nodes[7]->back.lock(), nodes[50]);
    EXPECT_EQ(file.load<std::string>("nodes/50/next/3/name"), "child 3");
    EXPECT_EQ(file.load<std::string>("nodes/7/back/name"), "root");
    EXPECT_TRUE(file.contains("nodes/7/name"));
    EXPECT_FALSE(file.contains("nodes/7/missing"));
    dissolve(nodes[50]);
  }
}

TEST(Sharing, PartsHoldViewsOfArraysElsewhere) {
  const Folder folder;
  const auto grid = counting<float, 2>({300, 400});
  struct Value {
    Array<float, 2> grid;
    std::vector<Array<float, 2>> views;
  };
  save(Value{grid, {grid.transposed(), grid, grid.slice(3, 5)}}, folder / "v.stele");
  for (const MapMode map : {MapMode::none, MapMode::read_only}) {
    const File file = open(folder / "v.stele", {.map = map});
    EXPECT_TRUE((file.load<Array<float, 2>>("views/0")) == grid.transposed());
    EXPECT_TRUE((file.load<Array<float, 2>>("views/1")) == grid);
    const auto views = file.load<std::vector<Array<float, 2>>>("views");
    EXPECT_TRUE(views.at(2) == grid.slice(3, 5));
    EXPECT_EQ(views[0].buffer(), views[2].buffer());
    EXPECT_EQ((file.load<std::vector<std::array<float, 400>>>("views/2")).at(1)[7], grid(4, 7));
  }
}

// --- Bytes -----------------------------------------------------------------------------------------------------------

TEST(Sharing, EqualObjectsGiveEqualBytes) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::shared_ptr<std::string>> texts;
    for (int i = 0; i < 100; ++i) {
      texts.push_back(i % 3 == 0 && i > 0 ? texts[static_cast<std::size_t>(i) / 2]
                                          : std::make_shared<std::string>(std::to_string(i)));
    }
    static Data first;
    const Data bytes = to_bytes(texts);
    if (round == 0) {
      first = bytes;
    }
    EXPECT_EQ(bytes, first);
    EXPECT_EQ(to_bytes(texts, {.codec = "gzip", .threads = 1}), to_bytes(texts, {.codec = "gzip", .threads = 4}));
  }
  const auto numbers = test::numbers<double>(3'000'000);
  EXPECT_EQ(to_bytes(numbers, {.threads = 1}), to_bytes(numbers, {.threads = 5}));
}

TEST(Sharing, CanonicalBytesDoNotDependOnTheOrderOfInsertion) {
  std::unordered_map<std::string, int> up;
  std::unordered_map<std::string, int> down(5000);
  std::unordered_set<double> set_up;
  std::unordered_set<double> set_down(1000);
  std::unordered_multimap<int, std::string> multi_up;
  std::unordered_multimap<int, std::string> multi_down(3);
  std::unordered_map<int, std::unordered_set<int>> nested_up;
  std::unordered_map<int, std::unordered_set<int>> nested_down;
  for (int i = 0; i < 200; ++i) {
    const int j = 199 - i;
    up[std::to_string(i)] = i;
    down[std::to_string(j)] = j;
    set_up.insert(i / 7.0);
    set_down.insert(j / 7.0);
    multi_up.emplace(i % 10, std::to_string(i));
    multi_down.emplace(j % 10, std::to_string(j));
    nested_up[i % 5].insert(i);
    nested_down[j % 5].insert(j);
  }
  EXPECT_EQ(to_bytes(up, {.canonical = true}), to_bytes(down, {.canonical = true}));
  EXPECT_EQ(to_bytes(set_up, {.canonical = true}), to_bytes(set_down, {.canonical = true}));
  EXPECT_EQ(to_bytes(nested_up, {.canonical = true}), to_bytes(nested_down, {.canonical = true}));
  EXPECT_EQ(multi_up, multi_down);
  EXPECT_EQ(to_bytes(multi_up, {.canonical = true}), to_bytes(multi_down, {.canonical = true}));
  EXPECT_EQ(round_trip(up, {.canonical = true}), up);
  EXPECT_EQ(round_trip(nested_up, {.canonical = true}), nested_up);
}

TEST(Sharing, CanonicalContainersOfSharedPointers) {
  std::unordered_map<int, std::shared_ptr<std::string>> up;
  std::unordered_map<int, std::shared_ptr<std::string>> down(999);
  const auto text = std::make_shared<std::string>("t");
  for (int i = 0; i < 50; ++i) {
    up[i] = text;
    down[49 - i] = text;
  }
  EXPECT_EQ(to_bytes(up, {.canonical = true}), to_bytes(down, {.canonical = true}));
  const auto back = round_trip(up, {.canonical = true});
  EXPECT_EQ(back.at(0), back.at(49));
  std::unordered_set<std::shared_ptr<std::string>> set{text, std::make_shared<std::string>("u")};
  EXPECT_EQ(round_trip(set, {.canonical = true}).size(), 2U);
}

TEST(Sharing, SavingWhatWasLoadedGivesTheSameBytes) {
  const auto array = counting<float, 2>({70, 80});
  struct All {
    std::vector<std::string> texts;
    std::map<std::string, double> map;
    Array<float, 2> grid;
    Array<float, 2> turned;
    std::vector<std::pair<int, std::optional<std::string>>> pairs;
    std::shared_ptr<Node> node;
  };
  All all{{"a", "\xff"}, {{"x", 1.5}}, array, array.transposed(), {{1, {}}, {2, "b"}}, node("n")};
  all.node->back = all.node;
  const Data bytes = to_bytes(all, {.metadata = {{"k", "v"}}});
  EXPECT_EQ(to_bytes(from_bytes<All>(bytes), {.metadata = {{"k", "v"}}}), bytes);
}

}  // namespace
}  // namespace stele
