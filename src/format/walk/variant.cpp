// The alternatives of variants: how they are told apart, and which one reads data stored by an older program.

#include <algorithm>
#include <optional>

#include "stele/walk/forms.hpp"

namespace stele::walk {

namespace {

constexpr std::string_view not_mark = ", not ";

/// Splits a text at separators outside brackets.
std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  std::size_t depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '(' || c == '{' || c == '[') {
      ++depth;
    } else if ((c == ')' || c == '}' || c == ']') && depth > 0) {
      --depth;
    } else if (depth == 0 && text.substr(i).starts_with(separator)) {
      parts.push_back(text.substr(begin, i - begin));
      begin = i + separator.size();
    }
  }
  parts.push_back(text.substr(begin));
  return parts;
}

struct NumberForm {
  std::string_view name;
  bool real;
  bool is_signed;
  int bits;  // of an integer's magnitude, or of a float's significand
};
constexpr NumberForm number_forms[] = {
    {"int8", false, true, 7},        {"int16", false, true, 15},   {"int32", false, true, 31},
    {"int64", false, true, 63},      {"uint8", false, false, 8},   {"uint16", false, false, 16},
    {"uint32", false, false, 32},    {"uint64", false, false, 64}, {"float16", true, true, 11},
    {"bfloat16", true, true, 8},     {"float32", true, true, 24},  {"float64", true, true, 53},
    {"long double", true, true, 64},
};

const NumberForm* number_form(std::string_view form) noexcept {
  const auto* const found = std::find_if(std::begin(number_forms), std::end(number_forms),
                                         [&](const NumberForm& number) { return number.name == form; });
  return found == std::end(number_forms) ? nullptr : found;
}

/// Whether every number of `from` is also a number of `to`.
bool widens(const NumberForm& from, const NumberForm& to) noexcept {
  if (from.real && to.real) {
    return from.bits <= to.bits && (from.name != "bfloat16" || to.name != "float16");
  }
  return !from.real && from.bits <= to.bits && (to.real ? to.bits >= 24 : to.is_signed || !from.is_signed);
}

/// The parts of "what(inner)" or "what {inner}".
struct Part {
  std::string_view what;
  std::string_view inner;
};
std::optional<Part> take_apart(std::string_view form, char open, char close) {
  const std::size_t at = form.find(open);
  if (at == std::string_view::npos || !form.ends_with(close)) {
    return std::nullopt;
  }
  return Part{form.substr(0, at), form.substr(at + 1, form.size() - at - 2)};
}

/// Whether a type of form `wanted` can hold every value of form `stored`.
bool takes(std::string_view wanted, std::string_view stored) {
  if (wanted == stored) {
    return true;
  }
  const NumberForm* const from = number_form(stored);
  const NumberForm* const to = number_form(wanted);
  if (from != nullptr || to != nullptr) {
    return from != nullptr && to != nullptr && widens(*from, *to);
  }
  if (wanted.ends_with(']') && stored.ends_with(']')) {
    const std::size_t w = wanted.rfind('[');
    const std::size_t s = stored.rfind('[');
    return w != std::string_view::npos && s != std::string_view::npos && wanted.substr(w) == stored.substr(s) &&
           takes(wanted.substr(0, w), stored.substr(0, s));
  }
  if (wanted.starts_with("record {") || stored.starts_with("record {")) {
    const auto has = take_apart(wanted, '{', '}');
    const auto needs = take_apart(stored, '{', '}');
    if (!has || !needs || has->what != needs->what || needs->inner.empty()) {
      return false;
    }
    const std::vector<std::string_view> names = split(has->inner, ", ");
    const std::vector<std::string_view> stored_names = split(needs->inner, ", ");
    return std::all_of(stored_names.begin(), stored_names.end(), [&](std::string_view name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    });
  }
  const auto outer = take_apart(wanted, '(', ')');
  const auto stored_outer = take_apart(stored, '(', ')');
  if (!outer || !stored_outer || outer->what != stored_outer->what) {
    return false;
  }
  const std::vector<std::string_view> parts = split(outer->inner, ", ");
  const std::vector<std::string_view> stored_parts = split(stored_outer->inner, ", ");
  if (outer->what == "variant") {  // in any order
    return std::all_of(stored_parts.begin(), stored_parts.end(), [&](std::string_view one) {
      return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) { return takes(part, one); });
    });
  }
  return std::equal(parts.begin(), parts.end(), stored_parts.begin(), stored_parts.end(), takes);
}

/// Whether a type of this form may later get more fields or alternatives.
bool may_get_more(std::string_view form) noexcept {
  return form.find('{') != std::string_view::npos || form.find("variant(") != std::string_view::npos;
}

/// The only matching index, if there is exactly one.
template <class F>
std::optional<std::size_t> only(std::span<const Alternative> alternatives, bool& several, F&& fits) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    if (fits(alternatives[i])) {
      if (found) {
        several = true;
        return std::nullopt;
      }
      found = i;
    }
  }
  return found;
}

}  // namespace

std::vector<Alternative> complete(std::vector<Alternative> alternatives) {
  std::vector<std::string> others(alternatives.size());
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    Alternative& one = alternatives[i];
    std::size_t ordinal = 1;
    for (std::size_t j = 0; j < alternatives.size(); ++j) {
      const Alternative& other = alternatives[j];
      if (j == i) {
        continue;
      }
      if (other.name == one.name) {
        if (*other.type != *one.type && number_form(one.name) == nullptr && one.name != "null") {
          fail(Errc::invalid_argument, "two alternatives of a variant have the same form, `" + one.name +
                                           "`; give their types `static constexpr std::string_view stele_name`");
        }
        ordinal += j < i ? 1 : 0;
      } else if (!one.named && !other.named && may_get_more(one.form) && takes(other.form, one.form)) {
        others[i] += std::string(not_mark) + other.form;
      }
    }
    one.tag = one.name + (ordinal > 1 ? " #" + std::to_string(ordinal) : std::string());
  }
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    alternatives[i].marked_tag = alternatives[i].tag + others[i];
  }
  return alternatives;
}

std::size_t find_alternative(InVisitor& in, std::span<const Alternative> alternatives, std::string_view stored) {
  const std::vector<std::string_view> marks = split(stored, not_mark);
  const std::string_view tag = marks[0];
  bool several = false;
  const auto exact = only(alternatives, several, [&](const Alternative& a) { return a.tag == tag || a.tag == stored; });
  if (exact) {
    return *exact;
  }
  const auto known = only(alternatives, several, [&](const Alternative& a) {
    return (a.named && a.form == tag) ||
           std::find(a.former_names.begin(), a.former_names.end(), tag) != a.former_names.end();
  });
  if (known) {
    return *known;
  }
  const auto wider = only(alternatives, several, [&](const Alternative& a) {
    // the value is not of the other alternatives, so it is this one with fields added later
    return !a.named && takes(a.form, tag) &&
           std::none_of(marks.begin() + 1, marks.end(), [&](std::string_view other) { return takes(a.form, other); });
  });
  if (wider) {
    return *wider;
  }
  if (const NumberForm* const number = number_form(tag); number != nullptr && !several) {
    // reading checks whether the value fits
    for (const bool real : {number->real, true}) {
      const auto of_kind = only(alternatives, several, [&](const Alternative& a) {
        const NumberForm* const own = a.named ? nullptr : number_form(a.form);
        return own != nullptr && own->real == real;
      });
      if (of_kind) {
        return *of_kind;
      }
    }
  }
  std::string message = several ? "more than one alternative may stand for the stored `" : "the stored alternative `";
  message += std::string(tag) + (several ? "` of a variant of " : "` is none of the variant's: ");
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    message += (i == 0 ? "`" : ", `") + alternatives[i].tag + "`";
  }
  in.error(Errc::type_mismatch, message);
}

std::string begin_alternative(InVisitor& in) {
  const Kind kind = in.kind();
  if (kind != Kind::map && kind != Kind::record) {
    in.error(Errc::type_mismatch,
             "expected an alternative of a variant with its name or form, found " + std::string(to_string(kind)) +
                 (kind == Kind::sequence ? "; files of before 0.1.0 stored the index of the alternative instead" : ""));
  }
  in.begin_map();
  std::string tag;
  if (!in.next()) {
    in.error(Errc::type_mismatch, "expected an alternative of a variant, found an empty map");
  }
  in.text(tag);
  return tag;
}

void end_alternative(InVisitor& in) {
  if (in.next()) {
    in.error(Errc::type_mismatch, "expected one alternative of a variant, found more");
  }
}

}  // namespace stele::walk
