#pragma once
// The OutVisitor that writes archives.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "archive/shared_table.hpp"
#include "archive/value/later.hpp"
#include "archive/write/output.hpp"
#include "encoding/encoding.hpp"
#include "format/directory.hpp"
#include "stele/options.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// An object, and how to walk it with any visitor: a second time, to find views of the same buffer.
struct Walkable {
  void (*walk)(OutVisitor& out, const void* value) = nullptr;
  const void* value = nullptr;
};

class SharedBuffers;

class Encoder : public OutVisitor, public LaterOut {
 public:
  /// `compressor` is `sink` if that compresses. With `behind`, another thread may write to `sink` during the lifetime
  /// of the encoder; only one thread writes at a time.
  Encoder(Sink& sink, CompressingSink* compressor, const SaveOptions& options, bool behind);
  ~Encoder() override;

  /// One archive: begin(), the events of one value, finish().
  void begin(const Walkable& value);
  void finish() {
    finish_value();
    finish_archive();
  }

  void null() override;
  void boolean(bool value) override;
  void integer(std::int64_t value) override;
  void natural(std::uint64_t value) override;
  void real(float16 value) override;
  void real(float value) override;
  void real(double value) override;
  void text(std::string_view value) override;
  void bytes(Bytes value) override;
  void plain_items(std::span<const PlainItem> items) override;
  void array(const ArrayView& value) override;
  void later(LaterArray& value) override;
  void bits(Bytes packed, std::uint64_t count) override;
  void begin_sequence(std::uint64_t count, Ordering ordering) override;
  void begin_map(std::uint64_t count, Ordering ordering) override;
  void begin_record(const RecordInfo& info) override;
  void end() override;
  bool begin_shared(const SharedOut& object) override;
  void begin_typed(std::string_view name) override;
  std::optional<Whereabouts> place() const override { return Whereabouts{.path = path(true), .file = file_}; }

  /// The name of the output, as Error::file(), for messages.
  void set_file(std::string file) { file_ = std::move(file); }
  /// A map whose number of entries is not known yet; end() closes it. Call begin_entry() before each entry: data
  /// written earlier may have changed.
  void begin_open_map();
  void begin_entry(std::string_view key);
  void end_entry();
  /// An array whose number of rows is written last: begin, any number of batches of whole rows, end.
  void begin_growing(const DType& dtype, const Shape& row);
  void growing_rows(const ArrayView& rows);
  void end_growing();

  /// After begin(): the directory says so of the archive.
  void set_appended(const AppendedEntry& appended) { directory_.appended = appended; }
  /// Whether an array was written that the directory lists.
  bool lists_arrays() const noexcept { return !directory_.arrays.empty(); }

 protected:
  /// Whether nothing was written since begin().
  bool at_start() const noexcept { return out_.position() == frozen::label.size(); }
  /// The parts of finish(): what belongs to the value, and what follows it.
  void finish_value();
  void finish_archive();
  Output out_;

 private:
  enum class Form : std::uint8_t { root, sequence, map, record_map, record_tuple, deferred };
  struct Frame {
    Form form = Form::root;
    bool repeats = false;  // an enclosing container has several items, so record names pay off
    bool sorted = true;    // map: all keys are text and ascend so far
    enum class Key : std::uint8_t { other, text, number } key_form = Key::other;  // map: of the current key
    bool by_place = false;      // map: the entry's path is its index: its key is not text or equals the previous
    std::uint64_t count = 0;    // items expected; keys and values count separately
    std::uint64_t index = 0;    // items begun
    std::uint64_t start = 0;    // offset of the container, including its tags
    std::uint64_t item_at = 0;  // offset of the current item
    std::uint64_t stepped = 0;  // offset of the last step
    std::size_t steps = 0;      // index + 1 in directory_.steps, 0: none
    RecordInfo record;
    std::size_t definition = 0;  // record_tuple
    std::string key;
    Number number;
  };
  struct Definition {
    const void* type_id = nullptr;
    std::uint32_t version = 0;
    std::vector<std::string> names;
  };
  struct Growing;

  Frame& push(Form form, std::uint64_t count);
  /// Called before each value: counts it, writes the next name of a record, records steps.
  void item() {
    if (continued_) {
      continued_ = false;
      return;
    }
    Frame& frame = frames_[depth_];
    if (frame.form == Form::record_map) {
      put_name(frame);
    } else if (out_.position() - frame.stepped >= frozen::step_bytes) {
      note_step(frame);
    }
    frame.item_at = out_.position();
    ++frame.index;
  }
  bool at_key() const noexcept {
    const Frame& frame = frames_[depth_];
    return frame.form == Form::map && frame.index % 2 == 1;
  }
  void put_name(Frame& frame);
  void note_step(Frame& frame);
  void key_text(std::string_view key);
  void order_key(Frame& frame, std::string_view last, std::string_view key);
  void key_number(Number::Type type, std::uint64_t bits);
  void key_other();
  bool defers() const noexcept {
    return at_once_ == 0 && (depth_ - base_ >= frozen::deferring_depth || marks_ >= frozen::deferring_depth);
  }
  void refer_deferred(const SharedOut& object, std::uint64_t index);
  void put_deferred();
  [[noreturn]] void too_deep();
  void drop_steps(Frame& frame);
  void scalar(cbor::Major major, std::uint64_t value);
  void put_text(std::string_view value);
  void put_float(std::uint8_t info, std::uint64_t bits);
  /// The path of the item begun last. With `next`: of the next one, if that item is complete.
  std::string path(bool next = false) const;
  std::size_t definition_of(const RecordInfo& info, bool& is_new);
  std::uint64_t define_shared();
  void reference(std::uint64_t index);
  /// Prepares for the elements of a listed array: pads, writes the header to scratch_ and fills in the entry.
  /// `shareable` adds tag 28.
  ArrayEntry begin_listed(const ArrayView& value, Order order, std::uint64_t bytes, const Encoding* encoding,
                          bool shareable, std::string_view path_suffix);
  /// Returns the checksum of the elements if it was asked for.
  std::uint64_t array_body(const ArrayView& value, bool shareable, std::string_view path_suffix = {});
  std::uint64_t array_view(const ArrayView& view, const ArrayView& base, std::uint64_t index, bool base_is_new);
  /// The bytes before an array's data: tags, extents and the byte string's head. The heads are wide if the values
  /// change later.
  void array_header(const DType& dtype, const Shape& shape, Order order, std::uint64_t bytes, bool shareable, bool wide,
                    const Encoding* encoding = nullptr);
  /// Chooses an encoding for the compressor; nothing: store the array as it is.
  std::optional<Encoding> choose_encoding_of(const ArrayView& value, Order order);
  /// The same of an array whose first elements are `sample`; nothing, too, where only all elements tell how it is
  /// stored best.
  struct Choice {
    std::optional<Encoding> encoding;
    bool takes_all = false;
  };
  Choice choose_encoding_by(const ArrayView& sample, Order order);
  /// Writes the encoded bytes; returns the XXH3-64 of the elements.
  ArrayChecksum encoded_payload(const Encoding& encoding, const ArrayView& value, Order order);
  /// The same of the next elements, whole blocks but for the last; the caller makes their checksum.
  void encoded_piece(const Encoding& encoding, const ArrayView& piece, Order order);

  Shape grown_shape(std::uint64_t rows) const;
  void put_rows(Bytes piece);
  void put_chunks(Bytes piece);
  void put_chunk(Bytes chunk);

  Sink& sink_;
  CompressingSink* compressor_;
  SaveOptions options_;
  std::string file_;
  Walkable value_;
  std::vector<Frame> frames_;
  std::size_t depth_ = 0;
  bool continued_ = false;  // a tag was written, and the next event belongs to the same item
  Directory directory_;
  std::vector<Definition> definitions_;
  std::size_t last_definition_ = 0;
  SharedTable shared_{SharedTable::Overlap::refused};
  std::uint64_t shared_count_ = 0;
  std::size_t marks_ = 0;                  // marks of shared values that are nested directly
  std::size_t base_ = 0;                   // containers deeper than this count as open
  std::deque<SharedOut::Later> deferred_;  // still to be written; the first has number deferred_done_
  std::uint64_t deferred_done_ = 0;        // written or begun
  std::unique_ptr<SharedBuffers> buffers_;
  bool in_parts_ = false;  // the object may change between two parts
  std::unique_ptr<Growing> growing_;
  std::vector<std::byte> scratch_;
};

}  // namespace stele
