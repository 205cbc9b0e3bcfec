// to_text() and from_text().

#include <mutex>

#include "numpy.hpp"
#include "objects/graph.hpp"
#include "services/guarded.hpp"
#include "services/services.hpp"
#include "stele/array.hpp"
#include "stele/error.hpp"
#include "stele/state_text.hpp"

namespace stele::python {
namespace {

using Kind = DType::Kind;

/// Calls `use` with an object of the C++ type of a kind of integer; false for other kinds.
template <class F>
bool with_integer(Kind kind, F&& use) {
  switch (kind) {
    case Kind::int8:
      use(std::int8_t{});
      return true;
    case Kind::int16:
      use(std::int16_t{});
      return true;
    case Kind::int32:
      use(std::int32_t{});
      return true;
    case Kind::int64:
      use(std::int64_t{});
      return true;
    case Kind::uint8:
      use(std::uint8_t{});
      return true;
    case Kind::uint16:
      use(std::uint16_t{});
      return true;
    case Kind::uint32:
      use(std::uint32_t{});
      return true;
    case Kind::uint64:
      use(std::uint64_t{});
      return true;
    default:
      return false;
  }
}

std::optional<std::int64_t> integer_of(nb::handle value) {
  return value.is_none() ? std::nullopt : std::optional(nb::cast<std::int64_t>(nb::int_(value)));
}

DType dtype_argument(nb::handle value) {
  const nb::object dtype = imported("numpy", "dtype")(value);
  const std::optional<DType> found = dtype_of(reinterpret_cast<PyArray_Descr*>(dtype.ptr()));
  if (!found || !with_integer(found->kind(), [](auto) {})) {
    raise(PyExc_ValueError, "expected a dtype of integers, found " + nb::cast<std::string>(nb::str(dtype)));
  }
  return *found;
}

const TextDictionary* dictionary_of(nb::handle value) {
  return value.is_none() ? nullptr : nb::cast<const TextDictionary*>(value);
}

TextSaveOptions save_options_of(const nb::dict& given) {
  TextSaveOptions options;
  options.min = integer_of(given["min"]);
  options.max = integer_of(given["max"]);
  options.level = nb::cast<int>(given["level"]);
  const auto alphabet = nb::cast<std::string>(nb::str(nb::handle(given["alphabet"])));
  if (alphabet != "base64" && alphabet != "base64url") {
    raise(PyExc_ValueError, "alphabet is base64 or base64url, not " + alphabet);
  }
  options.alphabet = alphabet == "base64" ? TextAlphabet::base64 : TextAlphabet::base64url;
  options.dictionary = dictionary_of(given["dictionary"]);
  options.bare = nb::cast<bool>(given["bare"]);
  const nb::object item = given["item"];
  if (!item.is_none()) {
    options.item = dtype_argument(item);
  }
  options.canonical = nb::cast<bool>(given["canonical"]);
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

nb::object to_texts(nb::handle values, const nb::dict& given) {
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

nb::object to_text_of(nb::handle value, const nb::dict& given) {
  TextEncoder encoder(save_options_of(given));
  std::string out;
  with_root(value, [&](const auto& root) { encoder.append(root, out); });
  return text(out);
}

class Decoding {
 public:
  Decoding(const nb::dict& given, nb::handle resolve, bool inert) : trust_{nb::borrow(resolve), inert} {
    options_.dictionary = dictionary_of(given["dictionary"]);
    options_.bare = nb::cast<bool>(given["bare"]);
    options_.max_bytes = nb::cast<std::uint64_t>(given["max_bytes"]);
    const nb::object dtype = given["dtype"];
    if (!dtype.is_none()) {
      dtype_ = dtype_argument(dtype);
    }
    const nb::object item = given["item"];
    if (!item.is_none()) {
      options_.item = dtype_argument(item);
      dtype_ = dtype_ ? dtype_ : options_.item;
    }
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
      {
        const nb::gil_scoped_release released;
        decoder_->read_into(view, counters);
      }
      made = empty_array(*dtype_, {counters.size()});
      if (counters.size() > 0) {
        std::copy_n(counters.data(), counters.size(), reinterpret_cast<T*>(bytes_of(made).data()));
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
  module.def("to_text", &to_text_of, nb::arg("value").none(), nb::arg("options"));
  module.def("to_texts", &to_texts);
  module.def("from_text", [](nb::handle given, const nb::dict& options, nb::handle resolve, bool inert) {
    return Decoding(options, resolve, inert).read(given);
  });
  module.def("from_texts", &from_texts);
}

}  // namespace stele::python
