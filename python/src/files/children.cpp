#include "files/children.hpp"

#include <unordered_map>
#include <unordered_set>

#include "objects/read/plain.hpp"
#include "stele/error.hpp"

namespace stele::python {
namespace {

/// Texts above this size are read when they are asked for.
constexpr std::size_t small_text = 1024;

/// The str or bytes of a text.
nb::object text_object(Kind kind, std::string_view value) {
  return kind == Kind::text ? text(value) : nb::object(nb::bytes(value.data(), value.size()));
}

/// Whether values of a kind are stored where they are, whatever refers to them.
bool is_inline(Kind kind) {
  return kind == Kind::array || kind == Kind::null || kind == Kind::boolean || kind == Kind::integer ||
         kind == Kind::real;
}

/// Before a value that is met the first time.
void define(InVisitor& in, const SharedIn& shared) {
  if (in.shared(shared.index).pointer == nullptr) {
    in.define_shared(shared.index, {});
  }
}

nb::object number_object(const Number& number) { return own(new_number(number.type, number.bits)); }

/// Null, a boolean, a number; nothing for other kinds.
nb::object scalar(InVisitor& in, Kind kind) {
  switch (kind) {
    case Kind::null:
      in.null();
      return nb::none();
    case Kind::boolean:
      return nb::bool_(in.boolean());
    case Kind::integer:
    case Kind::real:
      return number_object(in.number());
    default:
      return nb::object();
  }
}

/// A name as a step of a path.
std::string step_of(std::string_view name) {
  std::string step = name.empty() ? "~" : "";
  for (const char c : name) {
    c == '~' ? step += "~0" : c == '/' ? step += "~1" : step += c;
  }
  return step;
}

/// Calls `use` where the next value is, which may be stored elsewhere.
template <class F>
void at_value(InVisitor& in, F&& use) {
  if (in.at_deferred()) {
    throw StoredInParts{};
  }
  if (is_inline(in.kind())) {
    return use();
  }
  const SharedIn shared = in.begin_shared();
  switch (shared.state) {
    case SharedIn::State::deferred:
      throw StoredInParts{};
    case SharedIn::State::reference:
      in.enter_shared(shared.index);
      use();
      return in.leave_shared();
    case SharedIn::State::first:
      define(in, shared);
      return use();
    default:
      return use();
  }
}

/// A child that follows: its value if it is a small leaf.
nb::object child(InVisitor& in, std::string& scratch) {
  if (in.at_deferred()) {
    in.skip();
    return nb::object();
  }
  const Kind kind = in.kind();
  if (kind != Kind::text && kind != Kind::bytes) {
    nb::object value = scalar(in, kind);
    if (!value.is_valid()) {
      in.skip();
    }
    return value;
  }
  nb::object value;
  at_value(in, [&] {
    in.text(scratch);
    if (scratch.size() <= small_text) {
      value = text_object(kind, scratch);
    }
  });
  return value;
}

/// Calls `use` for each child of a container, whose kind is that of `in`: with its key and what makes the step that
/// leads to it. `use` reads the child.
template <class F>
void for_each_child(InVisitor& in, Kind container, const Trust& trust, F&& use) {
  std::string scratch;
  if (container == Kind::sequence) {
    in.begin_sequence();
    for (std::uint64_t i = 0; in.next(); ++i) {
      use(nb::int_(i), [&] { return std::to_string(i); });
    }
  } else if (container == Kind::record) {
    in.begin_record();
    std::string name;
    for (std::string_view field; in.next_field(field);) {
      name = field;
      use(text(name), [&] { return step_of(name); });
    }
  } else {
    in.begin_map();
    std::unordered_set<std::string> numbers;  // names that a key of another kind may have too
    bool names_suffice = true;                // until there is a key whose name may be another's too
    for (std::uint64_t i = 0; in.next(); ++i) {
      const Kind kind = in.at_deferred() ? Kind::null : in.kind();
      nb::object key;
      bool named = false;
      if (kind == Kind::text || kind == Kind::bytes) {
        at_value(in, [&] { in.text(scratch); });
        named = kind == Kind::text;
        key = text_object(kind, scratch);
      } else if (kind == Kind::integer || kind == Kind::real) {
        named = kind == Kind::integer;
        key = number_object(in.number());
        scratch = named ? nb::cast<std::string>(nb::str(key)) : std::string();
      } else {
        GraphIn graph(trust);
        stele::read(in, graph);
        use(graph.result, [&] { return "~#" + std::to_string(i); });
        continue;
      }
      names_suffice = names_suffice && named;
      const bool is_number = !scratch.empty() && (scratch[0] == '-' || (scratch[0] >= '0' && scratch[0] <= '9'));
      const bool by_name = names_suffice && (!is_number || numbers.insert(scratch).second);
      use(key, [&] { return by_name ? step_of(scratch) : "~#" + std::to_string(i); });
    }
  }
}

/// Reads an Outline.
class Outlining {
 public:
  Outlining(InVisitor& in, const Outline& outline) : in_(in), outline_(outline) {}

  nb::object value(const std::string& path) {
    if (in_.at_deferred()) {
      throw StoredInParts{};
    }
    const Kind kind = in_.kind();
    if (kind == Kind::array) {
      if (!outline_.small.contains(path)) {
        in_.skip();
        return made("array", path);
      }
      GraphIn graph(outline_.trust);
      stele::read(in_, graph);
      return made("value", path, graph.result);
    }
    if (nb::object found = scalar(in_, kind); found.is_valid()) {
      return made("value", path, found);
    }
    const SharedIn shared = in_.begin_shared();
    switch (shared.state) {
      case SharedIn::State::deferred:
        throw StoredInParts{};
      case SharedIn::State::reference: {
        const auto known = shared_.find(shared.index);
        if (known != shared_.end()) {
          return known->second.is_valid() ? known->second : made("other", path);  // a cycle
        }
        in_.enter_shared(shared.index);  // outside of what is read
        nb::object found = remembered(shared.index, path);
        in_.leave_shared();
        return found;
      }
      case SharedIn::State::first:
        define(in_, shared);
        return remembered(shared.index, path);
      default:
        return content(path);
    }
  }

 private:
  nb::object remembered(std::uint64_t index, const std::string& path) {
    shared_[index] = nb::object();
    return shared_[index] = content(path);
  }

  nb::object content(const std::string& path) {
    nb::list types;
    Kind kind = in_.kind();
    for (std::optional<std::string> name; kind == Kind::sequence && (name = in_.begin_typed()); kind = in_.kind()) {
      types.append(text(*name));
    }
    nb::object found;
    if (types.size() == 0 && (kind == Kind::text || kind == Kind::bytes)) {
      std::string content;
      in_.text(content);
      found = made("value", path, text_object(kind, content));
    } else if (kind == Kind::sequence || kind == Kind::map || kind == Kind::record) {
      nb::list children;
      for_each_child(in_, kind, outline_.trust, [&](const nb::object& key, auto&& step) {
        children.append(nb::make_tuple(key, value(path.empty() ? step() : path + "/" + step())));
      });
      found = nb::make_tuple(kind == Kind::sequence ? "sequence" : "map", nb::tuple(types), text(path), children);
    } else {
      in_.skip();
      found = nb::make_tuple("other", nb::tuple(types), text(path), nb::none());
    }
    for (std::size_t typed = types.size(); typed > 0; --typed) {
      in_.end_typed();
    }
    return found;
  }

  static nb::object made(const char* kind, const std::string& path, const nb::object& content = nb::none()) {
    return nb::make_tuple(kind, nb::tuple(), text(path), content);
  }

  InVisitor& in_;
  const Outline& outline_;
  std::unordered_map<std::uint64_t, nb::object> shared_;  // null while it is read
};

}  // namespace
}  // namespace stele::python

namespace stele {

namespace nb = nanobind;

void Visit<python::Glance>::read(InVisitor& in, python::Glance& glance) {
  using namespace python;
  // What is opened here stays open: the visitor is not used again.
  if (in.at_deferred()) {
    throw StoredInParts{};
  }
  const auto look = [&] {
    glance.kind = in.kind();
    while (glance.kind == Kind::sequence) {
      std::optional<std::string> name = in.begin_typed();
      if (!name) {
        break;
      }
      glance.types.push_back(std::move(*name));
      glance.kind = in.kind();
    }
    if (glance.kind == Kind::sequence) {
      glance.count = in.begin_sequence();
    } else if (glance.kind == Kind::map) {
      glance.count = in.begin_map();
    } else if (glance.types.empty() && (glance.kind == Kind::text || glance.kind == Kind::bytes)) {
      std::string content;
      in.text(content);
      glance.value = text_object(glance.kind, content);
    } else if (glance.types.empty()) {
      glance.value = scalar(in, glance.kind);
    }
  };
  if (is_inline(in.kind())) {
    return look();
  }
  const SharedIn shared = in.begin_shared();
  if (shared.state == SharedIn::State::deferred) {
    throw StoredInParts{};
  }
  if (shared.state == SharedIn::State::reference) {
    in.enter_shared(shared.index);
  } else if (shared.state == SharedIn::State::first) {
    define(in, shared);
  }
  look();
}

void Visit<python::Outline>::read(InVisitor& in, python::Outline& outline) {
  outline.found = python::Outlining(in, outline).value(outline.path);
}

void Visit<python::Children>::read(InVisitor& in, python::Children& children) {
  using namespace python;
  std::string scratch;
  at_value(in, [&] {
    int typed = 0;
    Kind kind = in.kind();
    for (; kind == Kind::sequence && in.begin_typed(); ++typed) {
      kind = in.kind();
    }
    if (kind == Kind::sequence || kind == Kind::map || kind == Kind::record) {
      for_each_child(in, kind, children.trust, [&](const nb::object& key, auto&& step) {
        const nb::object value = child(in, scratch);
        const bool known = value.is_valid();
        const nb::object row = own(known ? PyTuple_Pack(4, key.ptr(), Py_None, Py_True, value.ptr())
                                         : PyTuple_Pack(4, key.ptr(), text(step()).ptr(), Py_False, Py_None));
        check(PyList_Append(children.found.ptr(), row.ptr()));
      });
    } else {
      in.skip();
    }
    for (; typed > 0; --typed) {
      in.end_typed();
    }
  });
}

}  // namespace stele
