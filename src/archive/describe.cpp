#include "stele/describe.hpp"

#include <algorithm>
#include <vector>

#include "archive/shared_table.hpp"
#include "archive/write/elements.hpp"
#include "base/printable.hpp"
#include "base/stack.hpp"
#include "format/path/path.hpp"
#include "format/text/utf8.hpp"

namespace stele {
namespace {

constexpr std::size_t shown_bytes = 16;  // of a byte string

/// `text` must be UTF-8.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  append_json_text(out, text);
  return out + "\"";
}

/// The longest prefix of at most `size` bytes that ends at a character boundary.
std::string_view cut(std::string_view text, std::size_t size) noexcept {
  if (text.size() <= size) {
    return text;
  }
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) {
    --size;
  }
  return text.substr(0, size);
}

std::string bytes_text(Bytes bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text = std::to_string(bytes.size()) + " bytes";
  for (std::size_t i = 0; i < std::min(bytes.size(), shown_bytes); ++i) {
    const auto b = std::to_integer<unsigned>(bytes[i]);
    text += i == 0 ? " 0x" : "";
    text += {digits[b >> 4], digits[b & 15]};
  }
  return text + (bytes.size() > shown_bytes ? "..." : "");
}

const char* order_name(const ArrayView& view) noexcept {
  return !view.is_dense(Order::row_major) && view.is_dense(Order::column_major) ? "column-major" : "row-major";
}

/// An array's type and shape: "float32[784, 128]".
std::string type_text(const ArrayView& view) { return printable(view.dtype.name()) + view.shape.text(); }

/// One value on one line: a map key that is not text.
class Line final {
 public:
  void start() {
    out_.clear();
    frames_.clear();
    complete_ = false;
  }
  bool complete() const noexcept { return complete_; }
  const std::string& text() const noexcept { return out_; }

  void leaf(std::string_view text) {
    separate();
    out_ += text;
    complete_ = frames_.empty();
  }
  void prefix(std::string_view text) {
    separate();
    out_ += text;
    continued_ = true;
  }
  void begin(char open, char close, bool pairs, std::span<const std::string_view> names) {
    separate();
    out_ += open;
    frames_.push_back({close, pairs, names, 0});
  }
  void end() {
    out_ += frames_.back().close;
    frames_.pop_back();
    complete_ = frames_.empty();
  }

 private:
  struct Frame {
    char close;
    bool pairs;
    std::span<const std::string_view> names;
    std::size_t index;
  };
  void separate() {
    if (std::exchange(continued_, false) || frames_.empty()) {
      return;
    }
    Frame& frame = frames_.back();
    const std::size_t index = frame.index++;
    if (frame.pairs && index % 2 == 1) {
      out_ += ": ";
    } else if (index > 0) {
      out_ += ", ";
    }
    if (!frame.names.empty()) {
      append_printable(out_, frame.names[index]);
      out_ += ": ";
    }
  }

  std::string out_;
  std::vector<Frame> frames_;
  bool continued_ = false;
  bool complete_ = false;
};

}  // namespace

/// Each event first decides where its value belongs: shown, left out, or part of a key.
class Describer::Visitor final : public OutVisitor {
 public:
  explicit Visitor(const DescribeOptions& options)
      : options_(options), json_(options.format == DescribeOptions::Format::json) {
    types_ = options.types;
  }

  void null() override { scalar("null"); }
  void boolean(bool value) override { scalar(value ? "true" : "false"); }
  void integer(std::int64_t value) override {
    number([&] { return std::to_string(value); });
  }
  void natural(std::uint64_t value) override {
    number([&] { return std::to_string(value); });
  }
  void real(float16 value) override {
    number([&] { return real(real_text(value)); });
  }
  void real(float value) override {
    number([&] { return real(real_text(value)); });
  }
  void real(double value) override {
    number([&] { return real(real_text(value)); });
  }

  void text(std::string_view value) override {
    if (!is_utf8(value)) {
      return bytes(std::as_bytes(std::span(value)));
    }
    switch (role()) {
      case Place::hidden:
        return;
      case Place::key:
        // The key itself, or part of it.
        line_.leaf(json_ && key_is_text() ? std::string(value) : quoted(json_ ? value : cut(value, options_.max_text)));
        return finish_key();
      case Place::shown:
        break;
    }
    const std::string_view head = cut(value, options_.max_text);
    if (head.size() == value.size()) {
      out_ += quoted(value);
    } else if (json_) {
      out_ += R"({"kind": "text", "bytes": )" + std::to_string(value.size()) + R"(, "head": )" + quoted(head) + "}";
    } else {
      out_ += quoted(head) + "... " + std::to_string(value.size()) + " bytes";
    }
    close_wraps();
  }

  void bytes(Bytes value) override {
    switch (role()) {
      case Place::hidden:
        return;
      case Place::key:
        line_.leaf(bytes_text(value));
        return finish_key();
      case Place::shown:
        out_ += json_ ? R"({"kind": "bytes", "bytes": )" + std::to_string(value.size()) + "}" : bytes_text(value);
        close_wraps();
    }
  }

  void array(const ArrayView& value) override {
    switch (role()) {
      case Place::hidden:
        return;
      case Place::key:
        line_.leaf(type_text(value) + " " + elements_in_line(value, options_.max_items / 2));
        return finish_key();
      case Place::shown:
        json_ ? json_array(value) : text_array(value);
        close_wraps();
    }
  }

  void begin_sequence(std::uint64_t count, Ordering) override { begin(Form::sequence, count, {}); }
  void begin_map(std::uint64_t count, Ordering) override { begin(Form::map, count, {}); }
  void begin_record(const RecordInfo& info) override { begin(Form::record, info.names.size(), info); }
  void end() override {
    --depth_;
    if (hidden_ > 0) {
      --hidden_;
      return;
    }
    if (in_key_) {
      line_.end();
      return finish_key();
    }
    if (frames_.empty()) {
      fail(Errc::invalid_argument, "end() of a container that was not begun");
    }
    const Frame frame = frames_.back();
    const std::uint64_t items = frame.form == Form::map ? frame.index / 2 : frame.index;
    if (!frame.collapsed && items > frame.shown) {
      more(items - frame.shown);
    }
    frames_.pop_back();
    if (json_ && !frame.collapsed) {
      if (items > 0 || frame.version != 0) {
        new_line();
      }
      out_ += frame.form == Form::sequence ? "]" : "}";
    }
    wraps_ = frame.wraps;
    close_wraps();
  }

  bool begin_shared(const SharedOut& object) override {
    const Place where = role();
    if (where == Place::hidden) {
      return false;  // the value is left out
    }
    const SharedTable::Met met = shared_.meet(object);
    if (met.value == nullptr) {
      fail(Errc::invalid_argument, SharedTable::problem(met.what));
    }
    const bool is_new = met.is_first();
    if (is_new) {
      *met.value = shared_count_++;
    }
    const std::string index = std::to_string(*met.value);
    if (where == Place::key) {
      is_new ? line_.prefix("&" + index + " ") : line_.leaf("*" + index);
      finish_key();
    } else if (!json_) {
      out_ += (is_new ? "&" + index + " " : "*" + index);
    } else {
      out_ += (is_new ? R"({"kind": "shared", "index": )" : R"({"kind": "reference", "index": )") + index;
      out_ += is_new ? R"(, "value": )" : "}";
      wraps_ += is_new ? 1 : 0;
    }
    if (where == Place::shown) {
      continued_ = is_new;
      if (!is_new) {
        close_wraps();
      }
    }
    return is_new;
  }

  void begin_typed(std::string_view name) override {
    switch (role()) {
      case Place::hidden:
        skip_next_ = hidden_ == 0;  // the next value belongs to the same item
        return;
      case Place::key:
        return line_.prefix(printable(name) + " ");
      case Place::shown:
        break;
    }
    if (json_) {
      out_ += R"({"kind": "typed", "type": )" + quoted_name(name) + R"(, "value": )";
      ++wraps_;
    } else {
      out_ += printable(name) + " ";
    }
    continued_ = true;
  }

  std::string finish() {
    if (!frames_.empty() || !begun_ || continued_) {
      fail(Errc::invalid_argument, "the description of a value that is not complete");
    }
    begun_ = false;
    depth_ = 0;
    shared_.clear();
    shared_count_ = 0;
    return std::move(out_);
  }

 private:
  enum class Place : std::uint8_t { shown, hidden, key };
  enum class Form : std::uint8_t { sequence, map, record };
  struct Frame {
    Form form = Form::sequence;
    bool collapsed = false;  // nested too deep: its content is not shown
    std::uint32_t version = 0;
    std::uint64_t shown = 0;  // most items to show
    std::uint64_t index = 0;  // values begun; in a map, keys count too
    std::size_t wraps = 0;
    std::span<const std::string_view> names;
  };

  // --- Places ---

  Place role() {
    if (hidden_ > 0) {
      return Place::hidden;
    }
    if (in_key_) {
      return Place::key;
    }
    if (std::exchange(skip_next_, false)) {
      return Place::hidden;
    }
    if (std::exchange(continued_, false)) {
      return Place::shown;
    }
    if (frames_.empty()) {
      begun_ = true;
      return Place::shown;
    }
    Frame& frame = frames_.back();
    const std::uint64_t index = frame.index++;
    if (frame.collapsed || (frame.form == Form::map ? index / 2 : index) >= frame.shown) {
      return Place::hidden;
    }
    if (frame.form == Form::map && index % 2 == 0) {
      in_key_ = true;
      line_.start();
      return Place::key;
    }
    label(frame, index);
    return Place::shown;
  }
  /// Whether the next text is a whole key, not part of one.
  bool key_is_text() const noexcept { return line_.text().empty(); }
  void finish_key() { in_key_ = !line_.complete(); }

  void label(const Frame& frame, std::uint64_t index) {
    const bool first = (frame.form == Form::map ? index / 2 : index) == 0;
    item(first && frame.version == 0);
    if (frame.form == Form::sequence) {
      if (!json_) {
        out_ += std::to_string(index) + ": ";
      }
    } else if (frame.form == Form::record) {
      const std::string_view name = frame.names[static_cast<std::size_t>(index)];
      out_ += (json_ ? quoted_name(name) : printable(name)) + ": ";
    } else {
      out_ += (json_ ? quoted_name(line_.text()) : line_.text()) + ": ";
    }
  }
  static std::string quoted_name(std::string_view name) { return is_utf8(name) ? quoted(name) : "\"?\""; }
  void item(bool first) {
    if (json_ && !first) {
      out_ += ',';
    }
    new_line();
  }
  void new_line() {
    out_ += '\n';
    out_.append(2 * frames_.size(), ' ');
  }
  void more(std::uint64_t count) {
    const Frame& frame = frames_.back();
    item(frame.shown == 0);
    if (!json_) {
      out_ += "... " + std::to_string(count) + " more";
    } else {
      out_ += frame.form == Form::sequence ? "" : R"("...": )";
      out_ += R"({"kind": "more", "count": )" + std::to_string(count) + "}";
    }
  }
  void close_wraps() {
    out_.append(wraps_, '}');
    wraps_ = 0;
  }

  // --- Values ---

  void scalar(std::string_view text) {
    number([&] { return text; });
  }
  template <class F>
  void number(F&& text) {
    switch (role()) {
      case Place::hidden:
        return;
      case Place::key:
        line_.leaf(text());
        return finish_key();
      case Place::shown:
        out_ += text();
        close_wraps();
    }
  }
  std::string real(std::string text) const { return json_ && !in_key_ ? json_real(std::move(text)) : text; }

  void begin(Form form, std::uint64_t count, const RecordInfo& info) {
    if (depth_ >= options_.limits.depth) {
      fail(Errc::limit_exceeded, "values are nested more than " + std::to_string(depth_) +
                                     " deep; DescribeOptions::limits.depth allows more");
    }
    if (stack_is_low()) {
      fail(Errc::limit_exceeded,
           "values are nested " + std::to_string(depth_) + " deep, and the stack of this thread has no room for more");
    }
    ++depth_;
    switch (role()) {
      case Place::hidden:
        ++hidden_;
        return;
      case Place::key:
        if (form == Form::sequence) {
          line_.begin('[', ']', false, {});
        } else {
          line_.begin('{', '}', form == Form::map, info.names);
        }
        return;
      case Place::shown:
        break;
    }
    Frame frame;
    frame.form = form;
    frame.collapsed = frames_.size() >= options_.max_depth;
    frame.version = info.version;
    frame.shown = form == Form::record ? ~std::uint64_t{0} : options_.max_items;
    frame.wraps = std::exchange(wraps_, 0);
    frame.names = info.names;
    const char* name = form == Form::sequence ? "sequence" : form == Form::map ? "map" : "record";
    if (!json_) {
      out_ += std::string(name) + " of " + std::to_string(count);
      out_ += info.version != 0 ? ", version " + std::to_string(info.version) : "";
    } else if (frame.collapsed) {
      out_ += std::string(R"({"kind": ")") + name + R"(", "count": )" + std::to_string(count) + "}";
    } else {
      out_ += form == Form::sequence ? "[" : "{";
    }
    frames_.push_back(frame);
    if (json_ && !frame.collapsed && info.version != 0) {
      new_line();
      out_ += quoted(walk_version_name) + ": " + std::to_string(info.version);
    }
  }

  void text_array(const ArrayView& value) {
    const std::uint64_t count = value.shape.count();
    out_ += type_text(value);
    if (value.shape.rank() > 1) {
      out_ += std::string(" ") + order_name(value);
    }
    out_ += " " + std::to_string(value.byte_count()) + " bytes";
    if (count > 0 && (count <= options_.max_items || (value.shape.rank() == 1 && options_.max_items > 1))) {
      out_ += " " + elements_in_line(value, count <= options_.max_items ? options_.max_items : options_.max_items / 2);
    }
  }
  void json_array(const ArrayView& value) {
    out_ += R"({"kind": "array", "dtype": )" + quoted_name(value.dtype.name());
    out_ += R"(, "shape": )" + value.shape.text() + R"(, "order": ")" + order_name(value);
    out_ += R"(", "bytes": )" + std::to_string(value.byte_count());
    const std::uint64_t count = value.shape.count();
    const std::size_t size = value.dtype.item_size();
    if (count <= options_.max_items && (count == 0 || !element_json(value.dtype, value.data).empty())) {
      std::vector<std::byte> elements(static_cast<std::size_t>(count) * size);
      gather(value, Order::row_major, 0, count, elements.data());
      out_ += R"(, "values": [)";
      for (std::size_t i = 0; i < count; ++i) {
        out_ += (i > 0 ? ", " : "") + element_json(value.dtype, elements.data() + i * size);
      }
      out_ += "]";
    }
    out_ += "}";
  }

  DescribeOptions options_;
  bool json_;
  std::string out_;
  std::vector<Frame> frames_;  // of shown containers
  std::size_t depth_ = 0;      // containers open
  std::uint64_t hidden_ = 0;   // open containers inside something that is left out
  bool skip_next_ = false;     // the next value belongs to an item that is left out
  bool continued_ = false;     // the next value belongs to an item whose label is written
  bool begun_ = false;
  bool in_key_ = false;
  Line line_;              // the current key
  std::size_t wraps_ = 0;  // JSON: objects to close after the next value
  SharedTable shared_{SharedTable::Overlap::allowed};
  std::uint64_t shared_count_ = 0;
};

Describer::Describer(const DescribeOptions& options) : visitor_(std::make_unique<Visitor>(options)) {}

Describer::~Describer() = default;

OutVisitor& Describer::visitor() noexcept { return *visitor_; }

std::string Describer::finish() { return visitor_->finish(); }

}  // namespace stele
