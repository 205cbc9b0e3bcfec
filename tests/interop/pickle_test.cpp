// Opcodes by hand: what Python's pickler never writes, and what somebody may have written to do harm.
#include "interop/pickle/pickle.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "interop/pickle/references.hpp"
#include "support/sanitized.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using namespace std::string_literals;

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// Gives one byte at a time, and no size.
class Trickle final : public Source {
 public:
  explicit Trickle(Bytes bytes) : bytes_(bytes) {}
  std::size_t read(MutableBytes into) override {
    if (into.empty() || at_ == bytes_.size()) {
      return 0;
    }
    into[0] = bytes_[at_++];
    return 1;
  }

 private:
  const Bytes bytes_;
  std::size_t at_ = 0;
};

Value unpickle(const std::string& pickle, const LoadOptions& options = {}, const PickleOptions& more = {}) {
  const std::unique_ptr<Source> source = memory_source(bytes_of(pickle));
  return read_pickle({*source, nullptr, "", options}, more);
}

Errc error_of(const std::string& pickle, const LoadOptions& options = {}) {
  try {
    unpickle(pickle, options);
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return Errc::io;
}

std::string le(std::uint64_t value, std::size_t width) {
  std::string bytes(width, '\0');
  store_le(reinterpret_cast<std::byte*>(bytes.data()), value, width);
  return bytes;
}

std::string repeated(const std::string& part, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) {
    all += part;
  }
  return all;
}

Value tuple(std::vector<Value> items) { return Value::make_typed("py:tuple", Value::make_sequence(std::move(items))); }

std::vector<References> references(const std::string& pickle) {
  const std::unique_ptr<Source> source = memory_source(bytes_of(pickle));
  const LoadOptions options;
  return {pickle_references({*source, nullptr, "", options})};
}

TEST(Pickle, ReadsTheSameFromASourceThatTrickles) {
  const std::string pickle = "\x80\x02]q\0(K\1X\3\0\0\0abcG\x3f\xf8\0\0\0\0\0\0C\2\1\2e."s;
  Trickle source(bytes_of(pickle));
  const LoadOptions options;
  const Value value = read_pickle({source, nullptr, "", options});
  EXPECT_EQ(value, unpickle(pickle));
  const std::byte two[] = {std::byte{1}, std::byte{2}};
  EXPECT_EQ(value, Value::make_sequence({1, "abc", 1.5, Value::make_bytes(two)}));
}

TEST(Pickle, IntegersOfAnySizeAndSign) {
  EXPECT_EQ(unpickle("\x8a\0."s), Value(0));
  EXPECT_EQ(unpickle("\x8a\1\xff."s), Value(-1));
  EXPECT_EQ(unpickle("\x8a\2\xff\0."s), Value(255));
  EXPECT_EQ(unpickle("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0."s), Value(UINT64_MAX));
  EXPECT_EQ(unpickle("\x8a\x08\0\0\0\0\0\0\0\x80."s), Value(INT64_MIN));
  EXPECT_EQ(unpickle("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\xff."s),
            Value::make_typed("py:int", "-0x8000000000000001"));
  EXPECT_EQ(unpickle("\x8a\x09\0\0\0\0\0\0\0\0\1."s), Value::make_typed("py:int", "0x10000000000000000"));
  EXPECT_EQ(unpickle("\x8a\x09\0\0\0\0\0\0\0\0\xff."s), Value::make_typed("py:int", "-0x10000000000000000"));
  EXPECT_EQ(unpickle("L18446744073709551616L\n."), Value::make_typed("py:int", "0x10000000000000000"));
  EXPECT_EQ(unpickle("L-9223372036854775808L\n."), Value(INT64_MIN));
  EXPECT_EQ(unpickle("I-5\n."), Value(-5));
  EXPECT_EQ(unpickle("I01\n."), Value(true));
  EXPECT_EQ(unpickle("I00\n."), Value(false));
  EXPECT_EQ(error_of("I\n."), Errc::malformed);
  EXPECT_EQ(error_of("I1x\n."), Errc::malformed);
  EXPECT_EQ(error_of("L" + std::string(200'000, '9') + "L\n."), Errc::limit_exceeded);
}

TEST(Pickle, TextIsUtf8OrHasSurrogatesOrIsRefused) {
  EXPECT_EQ(unpickle("\x8c\2\xc3\xbc."s), Value("ü"));
  const Value surrogate = unpickle("\x8c\3\xed\xa0\x80."s);
  EXPECT_EQ(surrogate.type_name(), "py:str");
  EXPECT_EQ(surrogate.content().bytes().size(), 3U);
  EXPECT_EQ(error_of("\x8c\2\xff\xfe."s), Errc::malformed);
  EXPECT_EQ(unpickle("Va\\u20ac\\U0001f600\\n\n."), Value("a€😀\\n"));
  EXPECT_EQ(unpickle("V\xfc\n."), Value("ü"));
  EXPECT_EQ(error_of("V\\u12\n."), Errc::malformed);
  EXPECT_EQ(unpickle("S'a\\'\\x41\\101\\q'\n."), Value("a'AA\\q"));
  EXPECT_EQ(error_of("S'a\n."), Errc::malformed);
}

TEST(Pickle, TheStackIsNeverTakenBelowAMark) {
  for (const char opcode : "a0bR2stulde1\x85\x86\x87\x81\x92\x93\x90\x91oQ\x94\x98"s) {
    EXPECT_EQ(error_of(std::string(1, opcode) + "."), Errc::malformed) << opcode;
    if (std::string_view("tld10o\x91").find(opcode) == std::string_view::npos) {
      EXPECT_EQ(error_of("("s + opcode + "."), Errc::malformed) << opcode;
    }
  }
  EXPECT_EQ(error_of("."), Errc::malformed);
  EXPECT_EQ(error_of("("), Errc::truncated);
  EXPECT_EQ(error_of("(."), Errc::malformed);
  EXPECT_EQ(error_of("N(\x85."s), Errc::malformed);  // the item is below the mark
  EXPECT_EQ(error_of("]N(a."), Errc::malformed);
  EXPECT_EQ(error_of("](Nu."), Errc::malformed);       // a key without a value
  EXPECT_EQ(error_of("NNa."), Errc::malformed);        // no list
  EXPECT_EQ(error_of("]NNs."), Errc::malformed);       // no dict
  EXPECT_EQ(error_of("](N\x90."s), Errc::malformed);   // no set
  EXPECT_EQ(error_of("cm\nf\nNR."), Errc::malformed);  // arguments that are no tuple
  EXPECT_EQ(error_of("NNb."), Errc::malformed);        // a state for None
  EXPECT_EQ(error_of("N\x93."s), Errc::malformed);
  EXPECT_EQ(error_of("NN\x93."s), Errc::malformed);  // a name that is no text
  EXPECT_EQ(error_of("cm\n\xff\n."s), Errc::malformed);
  EXPECT_EQ(unpickle("(0N."), Value());  // POP takes a mark too
  EXPECT_EQ(unpickle("N(NN1."), Value());
  EXPECT_EQ(error_of("\xff."s), Errc::malformed);
  EXPECT_EQ(error_of("\x80\x06N."s), Errc::unsupported);
}

TEST(Pickle, TheMemoHoldsWhatWasPutThere) {
  EXPECT_EQ(error_of("h\0."s), Errc::malformed);
  EXPECT_EQ(error_of("Nq\5h\4."s), Errc::malformed);
  EXPECT_EQ(unpickle("K\7q\xff"
                     "0h\xff."s),
            Value(7));
  EXPECT_EQ(unpickle("K\7r\xff\xff\xff\xff"
                     "0j\xff\xff\xff\xff."s),
            Value(7));  // memory for one entry, not four billion
  EXPECT_EQ(unpickle("I7\np18446744073709551615\n0g18446744073709551615\n."s), Value(7));
  EXPECT_EQ(error_of("Np-1\n."), Errc::malformed);
  EXPECT_EQ(unpickle("K\1q\0"
                     "0K\2q\0"
                     "0h\0."s),
            Value(2));  // an entry put twice
  EXPECT_EQ(unpickle("K\1\x94"
                     "0K\2\x94"
                     "0h\1."s),
            Value(2));
}

TEST(Pickle, LengthsAreNotTrusted) {
  for (const std::string& pickle : {"X\xff\xff\xff\xff"s, "\x8d"s + le(UINT64_MAX, 8), "B\xff\xff\xff\x7f"s,
                                    "\x8e"s + le(std::uint64_t{1} << 45, 8), "\x96"s + le(std::uint64_t{1} << 45, 8),
                                    "\x8b\xff\xff\xff\x7f"s, "T\xff\xff\xff\xff"s}) {
    for (const bool has_size : {true, false}) {
      const std::unique_ptr<Source> whole = memory_source(bytes_of(pickle));
      Trickle trickle(bytes_of(pickle));
      const LoadOptions options;
      try {
        read_pickle({has_size ? *whole : trickle, nullptr, "", options});
        ADD_FAILURE();
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == Errc::truncated || error.code() == Errc::limit_exceeded) << error.what();
      }
    }
  }
  EXPECT_EQ(error_of("\x80\4\x95"s + le(1000, 8) + "N."), Errc::truncated);
  EXPECT_EQ(error_of("\x80\4\x95"s + le(5, 8) + "N.   "), Errc::malformed);  // STOP within the frame
  LoadOptions small;
  small.limits.allocation = 100;
  EXPECT_EQ(error_of("B"s + le(101, 4) + std::string(101, 'x') + ".", small), Errc::limit_exceeded);
  EXPECT_EQ(error_of("X"s + le(20'000, 4) + std::string(20'000, 'x') + ".", small), Errc::limit_exceeded);
}

TEST(Pickle, DeepNestingIsLimitedAndTakesNoStack) {
  const std::size_t deep = test::sanitized ? 100'000 : 1'000'000;
  for (const std::string& nested : {std::string(deep, ']') + std::string(deep - 1, 'a'), "N" + repeated("\x85"s, deep),
                                    repeated("}K\1"s, deep) + "N" + std::string(deep, 's'),
                                    repeated("cm\nf\n"s, deep) + ")" + repeated("R\x85"s, deep - 1)}) {
    EXPECT_EQ(error_of(nested + "."), Errc::limit_exceeded);
    EXPECT_EQ(error_of(nested), Errc::truncated);
  }
  LoadOptions options;
  options.limits.depth = 3;
  EXPECT_EQ(unpickle("]]]aa.", options), Value::make_sequence({Value::make_sequence({Value::make_sequence({})})}));
  EXPECT_EQ(error_of("]]]]aaa.", options), Errc::limit_exceeded);
  options.limits.depth = 2 * deep;
  const Value tree = unpickle(std::string(deep, ']') + std::string(deep - 1, 'a') + ".", options);
  EXPECT_TRUE(tree.is_sequence());
}

TEST(Pickle, WhatIsRepeatedByTheMemoIsReferredTo) {
  // A billion laughs: each list holds the one before ten times.
  std::string laughs = "]q\0"s;
  for (int level = 1; level < 100; ++level) {
    laughs += "0]q" + le(static_cast<std::uint64_t>(level), 1) + "(" +
              repeated("h" + le(static_cast<std::uint64_t>(level) - 1, 1), 10) + "e";
  }
  const Value tree = unpickle(laughs + ".");
  ASSERT_EQ(tree.size(), 10U);
  EXPECT_TRUE(tree.at(0).is(ValueKind::shared));
  EXPECT_TRUE(tree.at(1).is(ValueKind::reference));
  EXPECT_EQ(tree.at(1).anchor(), tree.at(0).anchor());
  // The same by DUP, by tuples, and by the arguments of calls.
  EXPECT_NO_THROW(unpickle(")\x85" + repeated("2\x86"s, 500) + "."));
  EXPECT_NO_THROW(unpickle("cm\nf\nq\0)\x85q\1"s + repeated("0h\0h\1R2\x86q\1"s, 300) + "."));
  // An array of objects holds the items of a list that is elsewhere too.
  std::string arrays = "](NNeq\0"s;
  const std::string dtype =
      "cnumpy\ndtype\n(X\2\0\0\0O8I00\nI01\ntR(K\3X\1\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftbq\xf0"s;
  arrays += dtype + "0";
  for (int level = 0; level < 50; ++level) {
    arrays += "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tC\1btR(K\1(K\1K\2th\xf0\x88h\0tb0"s;
    arrays += "](h\0h\0eq\0"s;
  }
  EXPECT_NO_THROW(unpickle(arrays + "."));
}

TEST(Pickle, CopiesOfMuchByFewOpcodesAreLimited) {
  const std::size_t many = 20'000;
  const std::string big = "(" + std::string(many, ')') + "tq\0"s;  // a tuple
  const std::string list = "](" + std::string(many, 'N') +
                           "eq\0"
                           "0"s;  // a list
  const std::string text = "X" + le(100'000, 4) + std::string(100'000, 'x') +
                           "q\0"
                           "0"s;  // a text
  const std::string data = "B" + le(100'000, 4) + std::string(100'000, '\0') +
                           "q\0"
                           "0"s;
  const std::string dtype =
      "cnumpy\ndtype\n(X\2\0\0\0i1I00\nI01\ntRq\2"
      "0"s;
  for (const std::string& pickle :
       {big +
            "0cm\nf\nq\1"
            "0(" +
            repeated("h\1h\0R"s, many) + "t.",
        list + "(" + repeated("c__builtin__\nset\nh\0\x85R"s, many) + "t.",
        text + "(" + repeated("h\0h\0\x93"s, many) + "t.", text + "h\0h\0\x93q\1("s + repeated("h\1)R"s, many) + "t.",
        text + "(" + repeated("c__builtin__\nbytearray\n(h\0X\6\0\0\0latin1tR"s, many) + "t.",
        data + dtype + "(" + repeated("cnumpy.core.numeric\n_frombuffer\n(h\0h\2J\xa0\x86\1\0\x85X\1\0\0\0CtR"s, many) +
            "t."}) {
    EXPECT_ERROR(unpickle(pickle), Errc::limit_exceeded, "copies much more than it holds");
  }
}

TEST(Pickle, CyclesOfEveryKindAreReadAndFreed) {
  EXPECT_TRUE(unpickle("]q\0h\0a."s).is(ValueKind::shared));
  EXPECT_TRUE(unpickle("}q\0K\1h\0s."s).is(ValueKind::shared));
  EXPECT_TRUE(unpickle("cm\nf\n)\x81q\0h\0b."s).is(ValueKind::shared));
  EXPECT_TRUE(unpickle("cm\nf\n(]q\0tRq\1h\0h\1a0h\0."s).is(ValueKind::shared));
  // Not in the end's value, or ended by an error.
  EXPECT_EQ(unpickle("]q\0h\0a0N."s), Value());
  EXPECT_EQ(error_of("]q\0h\0a\xff"s), Errc::malformed);
  EXPECT_EQ(error_of("cm\nf\n)\x81q\0h\0b"s), Errc::truncated);
  // A persistent object whose id holds it.
  EXPECT_NO_THROW(
      unpickle("]\x85q\0"
               "0h\0Qq\1"
               "0h\0."s));
  EXPECT_NO_THROW(
      unpickle("]q\0\x85q\1"
               "0h\0h\1Qa0h\1."s));
  // A dtype that holds itself is an object as any other.
  EXPECT_NO_THROW(
      unpickle("cnumpy\ndtype\n(X\2\0\0\0V8tRq\0(K\3X\1\0\0\0|N(X\1\0\0\0at}X\1\0\0\0a(h\0K\0tsK\x08K\1K\0tb."s));
}

TEST(Pickle, ADtypeThatHoldsItselfIsNotFollowedForEver) {
  const std::string begin = "cnumpy\ndtype\n(Vf8\nI00\nI01\ntRp0\n(I3\nV<\nN";
  const std::string end = "NI-1\nI-1\nI0\ntb";
  EXPECT_TRUE(unpickle(begin + "]g0\na" + end + ".") == Value::make_typed("py:numpy.dtype", "<f8"));
  const Value with_entries = unpickle(begin + "N" + end + "Vk\n]g0\nas.");
  ASSERT_TRUE(with_entries.is(ValueKind::shared));
  EXPECT_EQ(with_entries.content().content()["entries"].size(), 1) << "nothing is lost";
}

TEST(Pickle, ArraysMustHaveTheBytesOfTheirShape) {
  const auto array = [](const std::string& shape, const std::string& bytes) {
    const std::string dtype =
        "cnumpy\ndtype\n(X\2\0\0\0i4I00\nI01\ntR(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"s;
    return "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tC\1btR(K\1("s + shape + "t" + dtype + "\x89"s +
           "C" + le(bytes.size(), 1) + bytes + "tb.";
  };
  const Value value = unpickle(array("K\2"s, "\1\0\0\0\2\0\0\0"s));
  ASSERT_TRUE(value.is_array());
  EXPECT_EQ(value.to<std::vector<int>>(), (std::vector<int>{1, 2}));
  EXPECT_EQ(error_of(array("K\2"s, "\1\0\0\0"s)), Errc::malformed);
  EXPECT_EQ(error_of(array("J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f"s, "\1\0\0\0"s)), Errc::limit_exceeded);
  EXPECT_EQ(error_of(array(repeated("K\1", 33), "\1\0\0\0"s)), Errc::limit_exceeded);
  EXPECT_TRUE(
      unpickle(array("K\xff"s + "J\xff\xff\xff\xff"s, "")).is(ValueKind::typed));  // a negative extent: no array
}

TEST(Pickle, OutOfBandBuffersAreShared) {
  const std::vector<double> numbers = {1.5, 2.5};
  const AnyArray buffer = AnyArray::copy_of(ArrayView(DType::Kind::uint8, numbers.data(), 16));
  const std::vector<AnyArray> buffers = {buffer};
  const std::string pickle =
      "cnumpy._core.numeric\n_frombuffer\n(\x97\x98"
      "cnumpy\ndtype\n(X\2\0\0\0f8I00\nI01\ntR(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ"
      "\xff\xff\xff\xffK\0tbK\2\x85X\1\0\0\0CtR."s;
  const Value value = unpickle(pickle, {}, {.buffers = buffers});
  EXPECT_EQ(value.to<std::vector<double>>(), numbers);
  EXPECT_EQ(value.array().view().data, buffer.view().data);
  EXPECT_EQ(error_of(pickle), Errc::unsupported);
}

TEST(Pickle, PersistentIdsAreAskedFor) {
  PickleOptions options;
  std::vector<Value> ids;
  options.persistent = [&](const Value& id) {
    ids.push_back(id);
    return Value("object");
  };
  EXPECT_EQ(unpickle("(X\1\0\0\0acm\nT\nK\3tq\0Qh\0Q\x86."s, {}, options), tuple({"object", "object"}));
  const Value id = tuple({"a", Value::make_typed("py:global", "m.T"), 3});
  EXPECT_EQ(ids, (std::vector<Value>{id, id}));
  EXPECT_THROW(unpickle("]Q.", {}, options), Error);
  // Without a hook an id may be such an object too.
  const auto persistent = [](Value content) { return Value::make_typed("py:persistent", std::move(content)); };
  EXPECT_EQ(unpickle("NQQ."), persistent(persistent(nullptr)));
  EXPECT_NO_THROW(unpickle("N" + std::string(100, 'Q') + "."));
  EXPECT_EQ(error_of("N" + std::string(100'000, 'Q') + "."), Errc::limit_exceeded);
}

TEST(Pickle, PicklesMayFollowEachOther) {
  const std::string two = "K\1.\x80\4]."s;
  EXPECT_EQ(error_of(two), Errc::malformed);
  const std::unique_ptr<Source> source = memory_source(bytes_of(two));
  const LoadOptions options;
  const Neighbour file{*source, nullptr, "", options};
  PickleReader reader(file);
  EXPECT_EQ(reader.next(), Value(1));
  EXPECT_EQ(reader.position(), 3U);
  EXPECT_FALSE(reader.at_end());
  EXPECT_EQ(reader.next(), Value::make_sequence({}));
  EXPECT_TRUE(reader.at_end());
}

TEST(Pickle, ErrorsNameTheOpcode) {
  try {
    unpickle("NN\xff"s);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.offset(), 2U);
    EXPECT_NE(error.message().find("0xff"), std::string::npos) << error.what();
  }
}

TEST(MayBePickle, KnowsTheFirstOpcodes) {
  for (const std::string& pickle :
       {"\x80\2]."s, "\x80\5N."s, "(dp0\nS'a'\np1\nI1\ns."s, "(lp0\nI1\na."s, "ccollections\nOrderedDict\np0\n(tR."s,
        "]q\0K\1a."s, "I1\n."s, "N."s, "}q\0X\5\0\0\0names."s, "(i__main__\nOld\np0\n(dp1\nb."s,
        "ZF0x31f               "s, "F1.5\n."s, "(dp0\nVa long text that is cut of"s}) {
    EXPECT_TRUE(may_be_pickle(bytes_of(pickle))) << pickle;
  }
  for (const std::string& other :
       {""s, "{\"a\": 1}"s, "[1, 2, 3]"s, "Name,value\n1,2\n"s, "I am a text.\nOf two lines.\n"s, "# a comment\n"s,
        "\x93NUMPY\1"s, "PK\3\4"s, "\x80\7N."s, "\x80"s, "(define x 1)\n(define y 2)\n"s, "]]]]"s, "<xml>"s,
        "caption\nof a table\n"s, "\x1f\x8b\x08"s, "0123456789"s, "}\n"s, "Nothing here to see, move on"s,
        "(a note in brackets)"s}) {
    EXPECT_FALSE(may_be_pickle(bytes_of(other))) << other;
  }
}

TEST(References, FlagWhatIsNoData) {
  using Risk = Reference::Risk;
  for (const char* name : {"os.system",
                           "posix.system",
                           "nt.system",
                           "subprocess.Popen",
                           "builtins.eval",
                           "builtins.exec",
                           "builtins.open",
                           "builtins.getattr",
                           "builtins.__import__",
                           "sys:modules.clear",
                           "shutil.rmtree",
                           "socket.socket",
                           "importlib.import_module",
                           "runpy._run_code",
                           "pickle.loads",
                           "marshal.loads",
                           "ctypes.CDLL",
                           "operator.attrgetter",
                           "functools.partial",
                           "webbrowser.open",
                           "pty.spawn",
                           "code:InteractiveInterpreter.runcode",
                           "timeit.timeit",
                           "asyncio.subprocess.run",
                           "torch.hub.load",
                           "numpy:testing._private.utils.runstring",
                           "numpy.testing._private.utils.runstring",
                           "sklearn.utils:os.system",
                           "collections:OrderedDict.__init__.__globals__",
                           "mypackage:helpers.subprocess.run"}) {
    EXPECT_EQ(risk_of(name), Risk::dangerous) << name;
  }
  for (const char* name :
       {"numpy.ndarray", "numpy._core.multiarray._reconstruct", "collections.OrderedDict", "datetime.date",
        "builtins.set", "copyreg._reconstructor", "joblib.numpy_pickle.NumpyArrayWrapper"}) {
    EXPECT_EQ(risk_of(name), Risk::data) << name;
  }
  for (const char* name : {"sklearn.linear_model._base.LinearRegression", "mymodule.Model", "osmium.Node",
                           "systems.Thing", "extension 5"}) {
    EXPECT_EQ(risk_of(name), Risk::code) << name;
  }
}

TEST(References, AreFoundInFilesAndValues) {
  const std::string pickle = "(cos\nsystem\nq\0(X\2\0\0\0lstRcm\nT\n)\x81h\0c__builtin__\neval\nt."s;
  const References found = references(pickle)[0];
  ASSERT_EQ(found.found.size(), 3U);
  EXPECT_FALSE(found.error);
  EXPECT_EQ(found.found[0].name, "builtins.eval");
  EXPECT_EQ(found.found[1].name, "os.system");
  EXPECT_EQ(found.found[1].offset, 1U);
  EXPECT_EQ(found.found[1].count, 1U);
  EXPECT_EQ(found.found[2].name, "m.T");
  const std::vector<Reference> again = references_of(unpickle(pickle));
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(again[1].name, "os.system");
  EXPECT_EQ(again[1].count, 2U);
  EXPECT_EQ(again[2].name, "m.T");

  const References cut = references("cos\nsystem\n(")[0];
  ASSERT_EQ(cut.found.size(), 1U);
  EXPECT_EQ(cut.error->code(), Errc::truncated);
  // What a second pickle in the file names counts too.
  EXPECT_EQ(references("N.cos\nsystem\n.")[0].found.size(), 1U);
}

}  // namespace
}  // namespace stele
