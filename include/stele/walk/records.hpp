#pragma once
// Classes as records of named fields: aggregates by reflection, others through `visit(v, self)`.
//
// In visit, `v("name", member)` is a field, `v.renamed("old", "new", member)` one that older files have under another
// name, `v.required("name", member)` one that must be stored, `v.required()` makes the following field required, as in
// `v.required().renamed("old", "new", member)`, `v.version(n)` declares the type's version and returns the stored one
// (n when writing, 0 where none is stored), and `v.loading` tells the direction. Loading may call visit several times,
// so it should only name fields. stele::visit_base<Base>(v, self) adds the fields of a base class, v("name",
// stele::as_base<Base>(self)) adds a base class that is not a record as one field. A class does not inherit the visit
// of its base class, which does not know its fields.

#include <forward_list>
#include <new>
#include <string>
#include <utility>

#include "stele/walk.hpp"
#include "stele/walk/cells.hpp"
#include "stele/walk/forms.hpp"

namespace stele {

/// `self` as a base class, const if `self` is: adds a base class such as a container as a field.
template <class Base, class Self>
auto& as_base(Self& self) noexcept {
  using To = std::conditional_t<std::is_const_v<Self>, const Base, Base>;
  constexpr bool is_base = std::is_convertible_v<Self*, To*> && !std::is_same_v<std::remove_const_t<Self>, Base>;
  static_assert(is_base,
                "stele: as_base<B>(self) and visit_base<B>(v, self) need a public base class B that is there once");
  if constexpr (is_base) {
    return static_cast<To&>(self);
  } else {
    return *static_cast<To*>(nullptr);
  }
}
/// In a visit: adds the fields of a base class to the same record. Finds them by its visit, by Visit<Base> or by
/// reflection. Returns v.
template <class Base, class V, class Self>
V& visit_base(V& v, Self& self) {
  return v.template base<Base>(self);
}

namespace walk {

inline constexpr std::size_t max_fields = 256;
inline constexpr std::string_view version_name = "@version";

/// Compiled parts of reading a record.
[[noreturn]] void unknown_field(InVisitor& in, std::string_view name);
[[noreturn]] void missing_field(InVisitor& in, std::string_view name);
[[noreturn]] void duplicate_field(InVisitor& in, std::string_view name);
/// Reads a stored version and, if strict, fails for one newer than `known`.
std::uint32_t read_version(InVisitor& in, std::uint32_t known);
/// The index of `name`, looked for from `hint` on and around; `names.size()` if absent.
std::size_t find_name(std::span<const std::string_view> names, std::string_view name, std::size_t hint) noexcept;

class FieldNames;
[[noreturn]] void ambiguous_field(std::string_view name);
[[noreturn]] void ambiguous_version();

template <class T>
consteval void require_own_visit() {
  static_assert(!inherits_visit<T, FieldNames>(),
                "stele: this class inherits its visit from a base class, which does not know its own fields; give it "
                "`static void visit(auto& v, auto& self)`, with stele::visit_base<Base>(v, self) for the base class");
  static_assert(
      has_plain_visit<T, FieldNames>(),
      "stele: a visit is `static void visit(auto& v, auto& self)`, with both by reference and without further "
      "parameters: a copy would be read into and lost, and of others it cannot be told whose they are");
}

template <class T>
consteval void require_reference() {
  using Result = decltype(Visit<T>::visit(std::declval<FieldNames&>(), std::declval<T&>()));
  static_assert(
      !requires { static_cast<Result (*)(FieldNames&, T)>(&Visit<T>::visit); },
      "stele: stele::Visit<T>::visit takes the object by reference, `auto& self`: a copy would be read into and "
      "lost");
}

template <class T>
consteval void refuse_base() {
  static_assert(!sizeof(T),
                "stele: visit_base<B> is for a base class that has a visit or is an aggregate; give another one as a "
                "field: v(\"name\", stele::as_base<B>(self))");
}

/// Gives the fields of an object whose class has a visit or is an aggregate.
template <class V, class T>
void visit_fields(V& v, T& object) {
  using Class = std::remove_const_t<T>;
  if constexpr (TraitVisited<Class>) {
    static_assert(
        requires { Visit<Class>::visit(v, object); },
        "stele: a stele::Visit<T> has `static void visit(auto& v, auto& self)`, where self is const when saving, or "
        "`static void write(OutVisitor&, const T&)` and `static void read(InVisitor&, T&)`; all of them public");
    require_reference<Class>();
    Visit<Class>::visit(v, object);
  } else if constexpr (MemberVisited<Class>) {
    require_own_visit<Class>();
    Class::visit(v, object);
  } else if constexpr (family<Class>() == Family::aggregate && !is_custom_written<Class>) {
    if constexpr (requires { Class::stele_version; }) {
      v.version(Class::stele_version);
    }
    std::size_t index = 0;
    for_each_field(object, [&](std::string_view name, auto& field) {
      required_fields<Class>[index++] ? v.required(name, field) : v(name, field);
    });
  } else {
    refuse_base<Class>();
  }
}

/// The names a visit function gives, in order.
class FieldNames {
 public:
  static constexpr bool loading = false;
  FieldNames() noexcept {}
  template <class Name, class M>
  FieldNames& operator()(Name&& name, M&&) {
    return add(keep<Name>(name));
  }
  template <class Name, class M>
  FieldNames& renamed(std::string_view, Name&& name, M&&) {
    return add(keep<Name>(name));
  }
  template <class Name, class M>
  FieldNames& required(Name&& name, M&&) {
    return add(keep<Name>(name));
  }
  FieldNames& required() noexcept { return *this; }
  template <class Base, class Self>
  FieldNames& base(Self& self) {
    visit_fields(*this, as_base<Base>(self));
    return *this;
  }
  std::uint32_t version(std::uint32_t current) {
    if (version_ != 0 && version_ != current) {
      ambiguous_version();
    }
    version_ = current;
    return current;
  }
  RecordInfo info() const noexcept { return {{names_, count_}, version_, nullptr}; }

 private:
  /// A name that lasts as long as this: all but literals are copied, as visit may have put them together.
  template <class Name>
  std::string_view keep(const std::remove_reference_t<Name>& name) {
    const std::string_view text(name);
    if constexpr (std::is_array_v<std::remove_cvref_t<Name>> && std::is_const_v<std::remove_reference_t<Name>>) {
      return text;
    } else if (text.size() > sizeof(text_) - text_size_) {
      return long_.emplace_front(text);
    } else {
      char* const to = text_ + text_size_;
      text_size_ += text.copy(to, text.size());
      return {to, text.size()};
    }
  }
  FieldNames& add(std::string_view name) {
    if (count_ == max_fields) {
      fail(Errc::invalid_argument, "a class of more than 256 fields");
    }
    const auto byte = [](char c) { return std::size_t{static_cast<unsigned char>(c)}; };
    const std::size_t place = name.empty() ? 0 : 7 * name.size() + byte(name.front()) + 5 * byte(name.back());
    const std::uint64_t mark = std::uint64_t{1} << (place & 63);
    if ((marks_ & mark) != 0 && find_name({names_, count_}, name, 0) != count_) {
      ambiguous_field(name);
    }
    marks_ |= mark;
    new (&names_[count_++]) std::string_view(name);
    return *this;
  }
  std::size_t count_ = 0;
  std::uint64_t marks_ = 0;  // of the names, so that few are compared
  std::uint32_t version_ = 0;
  std::size_t text_size_ = 0;
  std::forward_list<std::string> long_;  // names for which text_ has no room
  union {
    std::string_view names_[max_fields];  // only the first count_ are set
  };
  union {
    char text_[512];
  };
};

/// Writes the values of the fields.
class FieldWriter {
 public:
  static constexpr bool loading = false;
  explicit FieldWriter(OutVisitor& out) : out_(out) {}
  template <class M>
  FieldWriter& operator()(std::string_view, const M& member) {
    write_value(out_, member);
    return *this;
  }
  template <class M>
  FieldWriter& renamed(std::string_view, std::string_view, const M& member) {
    write_value(out_, member);
    return *this;
  }
  template <class Base, class Self>
  FieldWriter& base(Self& self) {
    visit_fields(*this, as_base<Base>(self));
    return *this;
  }
  template <class M>
  FieldWriter& required(std::string_view name, const M& member) {
    return (*this)(name, member);
  }
  FieldWriter& required() noexcept { return *this; }
  std::uint32_t version(std::uint32_t current) noexcept { return current; }

 private:
  OutVisitor& out_;
};

/// Reads fields in the order in which they are stored, whatever the order in which visit names them: each pass of visit
/// reads those that come up, and passes go on until no stored field is left.
class FieldReader {
 public:
  static constexpr bool loading = true;
  explicit FieldReader(InVisitor& in) : in_(in) {
    in_.begin_record();
    advance();
  }
  template <class M>
  FieldReader& operator()(std::string_view name, M& member) {
    const bool must = std::exchange(required_, false);
    if (take(name, must)) {
      stele::read(in_, member);
      advance();
    }
    return *this;
  }
  template <class M>
  FieldReader& renamed(std::string_view old_name, std::string_view name, M& member) {
    if (more_ && name_ == old_name) {
      name_ = name;
    }
    return (*this)(name, member);
  }
  template <class M>
  FieldReader& required(std::string_view name, M& member) {
    return required()(name, member);
  }
  FieldReader& required() noexcept {
    required_ = true;
    return *this;
  }
  template <class Base, class Self>
  FieldReader& base(Self& self) {
    visit_fields(*this, as_base<Base>(self));
    return *this;
  }
  std::uint32_t version(std::uint32_t current) {
    if (stored_version_ > current && in_.field_rules().known) {
      in_.error(Errc::unsupported, "the stored version is newer than this program's");
    }
    return stored_version_;
  }

  template <class F>
  void run(F&& visit) {
    do {
      index_ = 0;
      progress_ = false;
      incomplete_ = false;
      visit(*this);
      if (more_ && !progress_) {
        if (in_.field_rules().known) {
          unknown_field(in_, name_);
        }
        in_.skip();
        advance();
      }
    } while (more_);
    if (incomplete_) {
      report_ = true;
      index_ = 0;
      visit(*this);
    }
  }

 private:
  bool take(std::string_view name, bool must) {
    const std::size_t index = index_++;
    if (index >= max_fields) {
      in_.error(Errc::invalid_argument, "a class of more than 256 fields");
    }
    if (more_ && name_ == name) {
      if (seen_[index]) {
        duplicate_field(in_, name);
      }
      seen_[index] = true;
      progress_ = true;
      return true;
    }
    if (!seen_[index] && (must || in_.field_rules().complete)) {
      if (report_) {
        missing_field(in_, name);
      }
      incomplete_ = true;
    }
    return false;
  }
  void advance() {
    while ((more_ = in_.next_field(name_)) && name_ == version_name) {
      stored_version_ = read_version(in_, ~std::uint32_t{0});
    }
  }

  InVisitor& in_;
  std::string_view name_;
  bool seen_[max_fields] = {};
  std::size_t index_ = 0;
  std::uint32_t stored_version_ = 0;
  bool more_ = false;
  bool progress_ = false;
  bool required_ = false;    // the field that comes next
  bool incomplete_ = false;  // this pass named a field that must be stored and is not, so far
  bool report_ = false;
};

template <class T>
struct As<T, Family::visited> {
  static void write(OutVisitor& out, const T& value) {
    FieldNames names;
    visit_fields(names, value);
    out.begin_record(names.info());
    FieldWriter writer(out);
    visit_fields(writer, value);
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    FieldReader reader(in);
    reader.run([&](FieldReader& v) { visit_fields(v, value); });
  }
};

template <class T>
void add_visited_names(Form& form) {
  static_assert(can_make<T>,
                "stele: an alternative of a variant that has visit and no default constructor needs a name: give it "
                "`static constexpr std::string_view stele_name`, or specialise stele::NameOf for it");
  const T object = make<T>();
  FieldNames names;
  visit_fields(names, object);
  bool first = true;
  for (const std::string_view name : names.info().names) {
    form += first ? "" : ", ";
    form += name;
    first = false;
  }
}

/// An aggregate: its fields by reflection; a `static constexpr unsigned stele_version` gives it a version, and a
/// `static constexpr std::string_view stele_required[] = {"weights"}` names fields that must be stored (`true`: all of
/// them).
template <class T>
struct As<T, Family::aggregate> {
  static constexpr std::uint32_t version() {
    if constexpr (requires { T::stele_version; }) {
      return T::stele_version;
    } else {
      return 0;
    }
  }
  static void write(OutVisitor& out, const T& value) {
    const auto& names = field_names<T>;
    out.begin_record({{names.data(), names.size()}, version(), names.data()});
    with_fields(value, [&](const auto&... field) { (write_value(out, field), ...); });
    out.end();
  }
  static void read(InVisitor& in, T& value) {
    constexpr std::size_t count = field_count<T>;
    const std::span<const std::string_view> names(field_names<T>.data(), count);
    bool seen[count + 1] = {};
    std::string_view name;
    std::size_t index = 0;
    in.begin_record();
    while (in.next_field(name)) {
      index = find_name(names, name, index);
      if (index == count) {
        index = 0;
        if (name == version_name) {
          read_version(in, version());
        } else if (in.field_rules().known) {
          unknown_field(in, name);
        } else {
          in.skip();
        }
        continue;
      }
      if (seen[index]) {
        duplicate_field(in, name);
      }
      seen[index] = true;
      with_fields(value, [&](auto&... field) {
        std::size_t i = 0;
        (void)((i++ == index && (stele::read(in, field), true)) || ...);
      });
      ++index;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (!seen[i] && (required_fields<T>[i] || in.field_rules().complete)) {
        missing_field(in, names[i]);
      }
    }
  }
};

}  // namespace walk
}  // namespace stele
