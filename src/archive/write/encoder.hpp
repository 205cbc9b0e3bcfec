#pragma once
// The OutVisitor that writes archives.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "archive/shared_table.hpp"
#include "archive/write/output.hpp"
#include "encoding/encoding.hpp"
#include "format/directory.hpp"
#include "stele/options.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// Walks the object being written once more, with another visitor: how views of one buffer find each other.
struct Rewalk {
  void (*walk)(OutVisitor& out, const void* value) = nullptr;
  const void* value = nullptr;
};

class ItemSink;
class SharedBuffers;

class Encoder final : public OutVisitor {
 public:
  /// `compressor` is `sink`, if that compresses. `behind`: another thread may write to `sink` while the encoder is
  /// there, one at a time.
  Encoder(Sink& sink, CompressingSink* compressor, const SaveOptions& options, bool behind);
  ~Encoder() override;

  /// One archive: begin(), the events of one value, finish().
  void begin(const Rewalk& rewalk);
  void finish();

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
  void bits(Bytes packed, std::uint64_t count) override;
  void begin_sequence(std::uint64_t count, Ordering ordering) override;
  void begin_map(std::uint64_t count, Ordering ordering) override;
  void begin_record(const RecordInfo& info) override;
  void end() override;
  bool begin_shared(const SharedOut& object) override;
  void begin_typed(std::string_view name) override;
  std::optional<Whereabouts> place() const override { return Whereabouts{.path = path(true), .file = file_}; }

  /// What is written to, as Error::file(), for messages.
  void set_file(std::string file) { file_ = std::move(file); }
  /// A map whose number of entries is not known yet; closed by end(). Before each entry begin_entry(): what was written
  /// before may have changed.
  void begin_open_map();
  void begin_entry(std::string_view key);
  void end_entry();
  /// An array whose number of rows comes last: begin, any number of batches of whole rows, end.
  void begin_growing(const DType& dtype, const Shape& row);
  void growing_rows(const ArrayView& rows);
  void end_growing();

 private:
  enum class Form : std::uint8_t { root, sequence, map, record_map, record_tuple, deferred };
  struct Frame {
    Form form = Form::root;
    bool repeats = false;  // some enclosing container has several items, so that record names pay off
    bool sorted = true;    // map: all keys are text and ascend so far
    enum class Key : std::uint8_t { other, text, number } key_form = Key::other;  // map: of the current key
    bool by_place = false;    // map: the entry has no step of its own, as its key is no text or reads as the one before
    std::uint64_t count = 0;  // items to come in all; keys and values count apart
    std::uint64_t index = 0;  // items begun
    std::uint64_t start = 0;  // where the container begins, its tags included
    std::uint64_t item_at = 0;  // where the current item begins
    std::uint64_t stepped = 0;  // where the last step was
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
  /// Called before each value: counts it, writes a record's next name, notes steps.
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
  /// Of the item that was begun last, or of the `next` one, if that is complete.
  std::string path(bool next = false) const;
  std::size_t definition_of(const RecordInfo& info, bool& is_new);
  std::uint64_t define_shared();
  void reference(std::uint64_t index);
  /// An array without sharing; `shareable` puts tag 28 around it and returns its index through the count.
  /// Stands before the elements of a listed array: pads, writes the header in scratch_ and fills the entry in.
  ArrayEntry begin_listed(const ArrayView& value, Order order, std::uint64_t bytes, const Encoding* encoding,
                          bool shareable, std::string_view path_suffix);
  /// Returns the checksum of the elements, if that is asked for.
  std::uint64_t array_body(const ArrayView& value, bool shareable, std::string_view path_suffix = {});
  std::uint64_t array_view(const ArrayView& view, const ArrayView& base, std::uint64_t index, bool base_is_new);
  /// The bytes before an array's data: tags, extents and the byte string's head, wide ones where they change later.
  void array_header(const DType& dtype, const Shape& shape, Order order, std::uint64_t bytes, bool shareable, bool wide,
                    const Encoding* encoding = nullptr);
  /// How to encode an array for the compressor; nothing: as it is.
  std::optional<Encoding> choose_encoding_of(const ArrayView& value, Order order);
  /// Writes the encoded bytes; returns the XXH3-64 of the elements.
  std::uint64_t encoded_payload(const Encoding& encoding, const ArrayView& value, Order order);

  Output out_;
  Sink& sink_;
  ItemSink* item_sink_;  // the same, if it is one
  CompressingSink* compressor_;
  SaveOptions options_;
  std::string file_;
  Rewalk rewalk_;
  std::vector<Frame> frames_;
  std::size_t depth_ = 0;
  bool continued_ = false;  // the next event belongs to an item that has begun: a tag was written before it
  Directory directory_;
  std::vector<Definition> definitions_;
  std::size_t last_definition_ = 0;
  SharedTable shared_{SharedTable::Overlap::refused};
  std::uint64_t shared_count_ = 0;
  std::size_t marks_ = 0;                  // of shared values, directly in one another
  std::size_t base_ = 0;                   // the depth from which on containers count as open
  std::deque<SharedOut::Later> deferred_;  // to be written; the first is deferred value number deferred_done_
  std::uint64_t deferred_done_ = 0;        // written or begun
  std::unique_ptr<SharedBuffers> buffers_;
  bool in_parts_ = false;  // what is written may change between one part and the next
  std::unique_ptr<Growing> growing_;
  std::vector<std::byte> scratch_;
};

}  // namespace stele
