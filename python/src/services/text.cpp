// to_text() and from_text().

#include "bindings.hpp"
#include "numpy.hpp"
#include "objects/graph.hpp"
#include "options.hpp"
#include "services/guarded.hpp"
#include "stele/array.hpp"
#include "stele/error.hpp"
#include "stele/state_text.hpp"

namespace stele::python {
namespace {

using Kind = DType::Kind;

/// Calls `use` with an object of the C++ type of a kind of integer; false for other kinds.
template <class F>
bool with_integer(Kind kind, F&& use) {
  const auto tried = [&]<class T>(T value) { return walk::dtype_of<T>().kind() == kind && (use(value), true); };
  return tried(std::int8_t{}) || tried(std::int16_t{}) || tried(std::int32_t{}) || tried(std::int64_t{}) ||
         tried(std::uint8_t{}) || tried(std::uint16_t{}) || tried(std::uint32_t{}) || tried(std::uint64_t{});
}

std::optional<std::int64_t> integer_of(nb::handle value) {
  return value.is_valid() ? std::optional(nb::cast<std::int64_t>(nb::int_(value))) : std::nullopt;
}

/// A dtype of integers. Throws: ValueError for others.
std::optional<DType> dtype_argument(nb::handle value) {
  if (!value.is_valid()) {
    return std::nullopt;
  }
  const nb::object dtype = imported("numpy", "dtype")(value);
  std::optional<DType> found = dtype_of(reinterpret_cast<PyArray_Descr*>(dtype.ptr()));
  if (!found || !with_integer(found->kind(), [](auto) {})) {
    raise(PyExc_ValueError, "expected a dtype of integers, found " + nb::cast<std::string>(nb::str(dtype)));
  }
  return found;
}

/// What writing and reading have in common.
template <class Options>
void take_form(Arguments& all, Options& options) {
  const nb::handle dictionary = all.find("dictionary");
  options.dictionary = dictionary.is_valid() ? nb::cast<const TextDictionary*>(dictionary) : nullptr;
  all.take("bare", options.bare);
  options.item = dtype_argument(all.find("item"));
}

TextSaveOptions save_options_of(const nb::dict& given) {
  TextSaveOptions options;
  Arguments all(given);
  take_form(all, options);
  options.min = integer_of(all.find("min"));
  options.max = integer_of(all.find("max"));
  all.take("level", options.level);
  all.take("alphabet", options.alphabet, {{"base64", TextAlphabet::base64}, {"base64url", TextAlphabet::base64url}});
  all.take("canonical", options.canonical);
  return options;
}

/// A dense array of integers of one dimension, which keeps the object that it came from.
struct Counters {
  nb::object array;
  Kind kind = Kind::none;
  std::size_t count = 0;
};
std::optional<Counters> counters_of(nb::handle value) {
  if (!PyArray_Check(value.ptr()) || PyArray_NDIM(as_array(value)) != 1 ||
      !PyTypeNum_ISINTEGER(PyArray_TYPE(as_array(value)))) {
    return std::nullopt;
  }
  Counters made;
  made.array = own(PyArray_FROM_OF(value.ptr(), NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED));
  auto* const array = as_array(made.array);
  made.count = static_cast<std::size_t>(PyArray_SIZE(array));
  const std::optional<DType> dtype = dtype_of(PyArray_DESCR(array));
  if (!dtype) {
    return std::nullopt;
  }
  made.kind = dtype->kind();
  return made;
}
/// The elements as an Array of the library, over the memory of the object.
template <class T>
Array<T> array_of(const Counters& counters) {
  const MutableBytes bytes = bytes_of(counters.array);
  return Array<T>(Buffer::wrap(bytes.data(), bytes.size(), false, nullptr), reinterpret_cast<const T*>(bytes.data()),
                  {counters.count}, {1});
}

/// Calls `use` with the object in the form that it is best walked in, without the GIL if that is an array.
template <class F>
void with_root(nb::handle value, F&& use) {
  if (const std::optional<Counters> counters = counters_of(value)) {
    const nb::gil_scoped_release released;
    with_integer(counters->kind, [&]<class T>(T) { use(array_of<T>(*counters)); });
    return;
  }
  use(GraphOut(value));
}

nb::list to_texts(nb::handle values, const nb::dict& given) {
  TextEncoder encoder(save_options_of(given));
  nb::list made;
  std::string out;
  for (const nb::handle value : values) {
    out.clear();
    with_root(value, [&](const auto& root) { encoder.append(root, out); });
    made.append(text(out));
  }
  return made;
}

class Decoding {
 public:
  Decoding(const nb::dict& given, nb::handle resolve, bool inert) : trust_{nb::borrow(resolve), inert} {
    Arguments all(given);
    take_form(all, options_);
    all.take("max_bytes", options_.max_bytes);
    dtype_ = dtype_argument(all.find("dtype"));
    dtype_ = dtype_ ? dtype_ : options_.item;
    decoder_.emplace(options_);
  }

  nb::object read(nb::handle given) {
    std::string_view view;
    if (PyBytes_Check(given.ptr())) {
      view = {PyBytes_AsString(given.ptr()), static_cast<std::size_t>(PyBytes_Size(given.ptr()))};
    } else if (!PyUnicode_Check(given.ptr()) || !utf8(given.ptr(), view)) {
      raise(PyExc_TypeError, "expected a text, a str or ASCII bytes");
    }
    if (!dtype_) {
      GraphIn graph(trust_);
      decoder_->read_into(view, graph);
      return graph.result;
    }
    nb::object made;
    with_integer(dtype_->kind(), [&]<class T>(T) {
      Array<T> counters;
      without_gil([&] { decoder_->read_into(view, counters); });
      made = empty_array(*dtype_, {counters.size()});
      if (counters.size() > 0) {
        std::copy_n(counters.data(), counters.size(), elements<T>(made).data());
      }
    });
    return made;
  }

 private:
  Trust trust_;
  TextLoadOptions options_;
  std::optional<DType> dtype_;
  std::optional<TextDecoder> decoder_;
};

nb::object from_texts(nb::handle texts, const nb::dict& given, nb::handle resolve, bool inert) {
  Decoding decoding(given, resolve, inert);
  nb::list made;
  for (const nb::handle one : texts) {
    made.append(decoding.read(one));
  }
  return made;
}

}  // namespace

void bind_text(nb::module_& module) {
  nb::class_<TextDictionary> dictionary(module, "TextDictionary",
                                        "What many states have in common, made by train_dictionary(): load(path), "
                                        "save(path), from_bytes(), to_bytes(), id.");
  dictionary.def_static("from_bytes", [](const nb::bytes& bytes) {
    const auto* const first = reinterpret_cast<const std::byte*>(bytes.c_str());
    return new TextDictionary(std::vector<std::byte>(first, first + bytes.size()));
  });
  dictionary.def_static("train", [](nb::handle states, const nb::dict& given) {
    TextTrainer trainer(save_options_of(given));
    for (const nb::handle state : states) {
      with_root(state, [&](const auto& root) { trainer.add(root); });
    }
    const nb::gil_scoped_release released;
    return new TextDictionary(trainer.finish());
  });
  dictionary.def_static("load", [](nb::handle file) {
    const Path path = path_from(file);
    const nb::gil_scoped_release released;
    return new TextDictionary(load<TextDictionary>(path));
  });
  dictionary.def("save", [](const TextDictionary& self, nb::handle file) { save(self, path_from(file)); });
  dictionary.def("to_bytes", [](const TextDictionary& self) {
    const Bytes bytes = self.bytes();
    return nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  dictionary.def_prop_ro("id", &TextDictionary::id);
  module.def("to_texts", &to_texts);
  module.def("from_texts", &from_texts);
}

}  // namespace stele::python
