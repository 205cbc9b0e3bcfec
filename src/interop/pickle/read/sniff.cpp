// Whether bytes may be a pickle.

#include <algorithm>
#include <string_view>

#include "interop/pickle/joblib/legacy.hpp"
#include "interop/pickle/pickle.hpp"
#include "interop/pickle/read/opcodes.hpp"

namespace stele {
namespace {

using pickle::Opcode;

constexpr std::string_view digits = "0123456789";

bool is_number(std::string_view line) noexcept {
  return !line.empty() && line.size() < 400 && line.find_first_not_of("0123456789+-.eELinfa") == std::string_view::npos;
}
bool is_index(std::string_view line) noexcept {
  return !line.empty() && line.size() < 12 && line.find_first_not_of(digits) == std::string_view::npos;
}
bool is_name(std::string_view line) noexcept {
  return !line.empty() && std::ranges::all_of(line, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}
bool is_quoted(std::string_view line) noexcept {
  return line.size() >= 2 && line.front() == line.back() && (line.front() == '\'' || line.front() == '"');
}

/// Walks the opcodes of protocols 0 and 1, with as many things on the stack as they leave there.
class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) {}

  bool may_be_pickle() {
    for (int count = 0; at_ < text_.size(); ++count) {
      const auto opcode = static_cast<Opcode>(text_[at_++]);
      if (opcode == Opcode::stop) {
        return depth_ >= 1 && marks_ == 0;
      }
      if (!step(opcode)) {
        return is_cut_ && count >= 1;
      }
    }
    return depth_ + marks_ >= 1 && text_.size() >= 12;
  }

 private:
  static constexpr int unknown = 1 << 20;  // below a mark there may be any number

  bool push() noexcept {
    ++depth_;
    return true;
  }
  bool pop(int count) noexcept {
    if (depth_ < count) {
      return false;
    }
    depth_ -= count;
    return true;
  }
  bool pop_mark() noexcept {
    depth_ = unknown;
    return marks_-- > 0;
  }
  bool skip(std::size_t count) noexcept {
    is_cut_ = is_cut_ || count > text_.size() - at_;
    at_ = std::min(text_.size(), at_ + count);
    return true;
  }
  bool skip_counted(std::size_t width) noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i < width && at_ + i < text_.size(); ++i) {
      count |= std::size_t{static_cast<unsigned char>(text_[at_ + i])} << (8 * i);
    }
    return skip(width + count);
  }
  template <class Check>
  bool line(Check check) {
    const std::size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) {
      is_cut_ = true;
      at_ = text_.size();
      return false;
    }
    const std::string_view whole = text_.substr(at_, end - at_);
    at_ = end + 1;
    return check(whole);
  }

  bool step(Opcode opcode) {
    const auto any = [](std::string_view) { return true; };
    switch (opcode) {
      case Opcode::mark:
        ++marks_;
        return true;
      case Opcode::integer:
      case Opcode::big_integer:
      case Opcode::real:
        return line(is_number) && push();
      case Opcode::string:
        return line(is_quoted) && push();
      case Opcode::unicode:
      case Opcode::persistent_line:
        return line(any) && push();
      case Opcode::global:
        return line(is_name) && line(is_name) && push();
      case Opcode::inst:
        return line(is_name) && line(is_name) && pop_mark();
      case Opcode::get:
        return line(is_index) && push();
      case Opcode::put:
        return depth_ >= 1 && line(is_index);
      case Opcode::none:
      case Opcode::empty_tuple:
      case Opcode::empty_list:
      case Opcode::empty_dict:
        return push();
      case Opcode::bin_integer1:
      case Opcode::bin_get:
        return skip(1) && push();
      case Opcode::bin_integer2:
        return skip(2) && push();
      case Opcode::bin_integer4:
      case Opcode::long_bin_get:
        return skip(4) && push();
      case Opcode::bin_real:
        return skip(8) && push();
      case Opcode::bin_put:
        return depth_ >= 1 && skip(1);
      case Opcode::long_bin_put:
        return depth_ >= 1 && skip(4);
      case Opcode::short_bin_string:
        return skip_counted(1) && push();
      case Opcode::bin_string:
      case Opcode::bin_unicode:
        return skip_counted(4) && push();
      case Opcode::reduce:
      case Opcode::append:
      case Opcode::build:
        return pop(2) && push();
      case Opcode::set_item:
        return pop(3) && push();
      case Opcode::tuple:
      case Opcode::list:
      case Opcode::dict:
      case Opcode::obj:
      case Opcode::appends:
      case Opcode::set_items:
        return pop_mark();
      default:
        return false;
    }
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  int marks_ = 0;
  bool is_cut_ = false;  // the text ended within an argument
};

}  // namespace

bool may_be_pickle(Bytes first) noexcept {
  constexpr std::size_t most = 512;
  const std::string_view text(reinterpret_cast<const char*>(first.data()), std::min(first.size(), most));
  if (text.size() >= 2 && text[0] == '\x80') {
    return text[1] >= 2 && text[1] <= 5;
  }
  return pickle::is_zfile(first) || Walk(text).may_be_pickle();
}

}  // namespace stele
