#pragma once
// The InVisitor that reads archives: in order, or starting at any value.

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "archive/read/decoder/encoded_reader.hpp"
#include "archive/read/decoder/fields.hpp"
#include "archive/read/input.hpp"
#include "archive/value/later.hpp"
#include "stele/visitor.hpp"

namespace stele {

class Leaving;

/// What the decoder is told before it reads, from a directory that was read first.
struct DecoderContext {
  const Directory* directory = nullptr;  // null: read in order, the directory comes last
  const Trailer* trailer = nullptr;      // set: finish() need not read the directory, it was checked; see explain()
  std::shared_ptr<Mapping> mapping;      // set: arrays are mapped
  /// Called with the offset of each array's elements before they are given out in the mapping. Null if not needed.
  std::function<void(std::uint64_t offset)> handed_out = {};
  Verify verify = Verify::full;  // none, directory or full
  FieldRules field_rules;
  bool map_all = false;  // copying an array of 4 KiB or more is an error
  const TypeRegistry* types = nullptr;
  std::string path;  // of the value being read, for messages
  std::string file;  // as Error::file(), for messages
  /// After an Error: reads on in compressed data, up to a limit, and throws if that is damaged. Null if not needed.
  std::function<void()> read_on = {};
  Leaving* leaving = nullptr;  // set: leave() can leave arrays there
};

class Decoder final : public InVisitor, public LaterIn, private Input::Reader {
 public:
  /// `input` must outlive the decoder. It stands at a value, or at a label if begin() follows.
  Decoder(Input& input, DecoderContext context);
  ~Decoder() override;

  /// Reads the label. Throws: Error(not_an_archive), Error(truncated).
  void begin();
  /// Call after the root. Reads the directory and the trailer and checks everything that was read against them.
  void finish();
  /// The directory and the trailer, once finish() has checked them.
  const Directory& directory() const noexcept { return context_.trailer != nullptr ? *context_.directory : directory_; }
  const Trailer& trailer() const noexcept { return context_.trailer != nullptr ? *context_.trailer : trailer_; }

  Kind kind() override;
  void null() override;
  bool boolean() override;
  Number number() override;
  void text(std::string& out) override;
  void array(ArrayTarget& target) override;
  void booleans(BooleanTarget& target) override;
  std::optional<std::uint64_t> begin_sequence() override;
  std::optional<std::uint64_t> begin_map() override;
  bool next() override;
  std::size_t peek_plain_items(std::span<const PlainItem::Kind> kinds, std::span<PlainItem> out) override;
  void take_plain_items(std::size_t count) override;
  std::size_t peek_plain_values(std::span<const std::string_view> names, std::span<PlainPart> out) override;
  void take_plain_values(std::size_t count) override;
  std::uint64_t expected_items(std::uint64_t count) const override;
  void begin_record() override;
  bool next_field(std::string_view& name) override;
  void skip() override;
  SharedIn begin_shared() override;
  std::optional<std::uint64_t> next_reference() override;
  void define_shared(std::uint64_t index, SharedObject object) override;
  SharedObject shared(std::uint64_t index) override;
  void enter_shared(std::uint64_t index) override;
  void leave_shared() override;
  bool at_deferred() override;
  void defer(std::uint64_t index, SharedLater later) override;
  void finish_shared() override;
  std::optional<std::string> begin_typed() override;
  void end_typed() override;
  void abandon() noexcept override;
  void raise(Errc code, std::string message) override;
  Whereabouts place() const override { return {path(), item_at_, context_.file}; }
  void explain(const Error& error) const override;
  std::optional<Value> leave() override;
  std::shared_ptr<LaterArray> stream() override;

  /// Call instead of begin() to start inside an archive whose directory is known.
  void begin_inside() noexcept {
    shared_count_known_ = false;
    shared_offsets_complete_ = false;
    inside_ = true;
  }
  /// Call instead of begin() to start at a root value without an archive; only deferred values follow it.
  void begin_bare() noexcept {
    tail_bytes_ = 0;
    root_at_ = 0;
  }
  /// The next value is the elements of a listed array; the input stands at them.
  void begin_listed(const ArrayEntry& entry);
  /// The name of the target if the next value is a reference: "*3", or "~*3" for a deferred value. Does not consume it.
  std::optional<std::string> peek_reference();
  /// The offset of the target if the next value is a reference.
  std::optional<std::uint64_t> target();
  /// The offset of the deferred value with this index, if there is one.
  std::optional<std::uint64_t> find_deferred(std::uint64_t index);
  /// Whether this is the end of a run of deferred values.
  bool at_break() { return in_->peek() == cbor::break_byte; }
  /// The current offset.
  std::uint64_t here() const noexcept { return in_->position(); }
  /// The offset of the next value, after tags without a meaning.
  std::uint64_t position();
  /// The path of the last value read.
  std::string path() const;

  /// An array's place and type, read without its elements. For listing.
  struct ArrayItem {
    ArrayHeader header;
    bool big_endian = false;
    bool definite = true;                      // one byte string, not several chunks
    std::optional<std::uint64_t> items;        // elements as CBOR numbers, not bytes (RFC 8746, section 3.1.1)
    bool view = false;                         // of another array
    bool plain = false;                        // a byte string without a tag: read as uint8, never listed
    bool growing = false;                      // the first extent follows from the number of bytes
    std::uint64_t bytes = 0;                   // of the elements; definite only
    std::uint64_t stored_bytes = 0;            // in the file; differs from `bytes` if the array is encoded
    std::shared_ptr<const Encoding> encoding;  // null: the elements are not encoded
    std::uint64_t data_offset = 0;
    bool mappable = false;  // set by skip_array(): listed and stored as in memory, or a view of such an array
    std::vector<std::uint64_t> shared;  // the indices it is stored under

    /// As Entry::encoding.
    std::string encoding_name(bool of_view) const {
      return of_view ? "view" : !definite ? "pieces" : encoding != nullptr ? encoding->name() : "raw";
    }
    static constexpr std::uint64_t step_trusted = std::uint64_t{16} << 20;     // most a vector clears at a time
    static constexpr std::uint64_t step_claimed = ArrayTarget::claimed_bytes;  // allocated before any data has arrived
    /// Where the next piece ends. Allocates at most twice what has arrived, or everything if the size is certain.
    static std::uint64_t next_end(std::uint64_t have, std::uint64_t total, bool trusted) noexcept {
      const std::uint64_t step = trusted ? step_trusted : have > step_claimed ? have : step_claimed;
      return total - have < step ? total : have + step;
    }
  };
  /// Reads the header of the next value, an array, and skips its elements.
  ArrayItem skip_array();

  /// Bytes of an array: the first one's position in the array, and where they lie in the archive.
  struct Chunk {
    std::uint64_t first = 0;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  /// Where an array's elements lie, to read parts of it without the decoder.
  struct ArrayPlace {
    ArrayItem item;  // the array, or the one that it is a view of
    bool view = false;
    bool whole = false;         // it cannot be read in parts: it is stored number by number, or a view of a view
    bool listed = false;        // the item's bytes are not structure
    std::vector<Chunk> chunks;  // the item's bytes, without empty chunks
    bool heads_unread = false;  // the chunks are those of the directory; their heads were not compared
    std::uint64_t first = 0;    // the first element's position in the item
    Shape shape;
    std::int64_t strides[max_rank];  // in elements
  };
  /// Reads the next value, an array, except its elements.
  /// Throws: Error(type_mismatch) for another value.
  ArrayPlace place_array();
  /// An array whose elements are read in order, a few at a time.
  struct Rows {
    ArrayHeader header;       // 0 rows where their number is not known
    bool count_known = true;  // false: the array has as many rows as come
    bool big_endian = false;
  };
  /// Reads the next value, an array, up to its elements, for read_elements(). Nothing if they do not lie there row
  /// after row: then `whole` gets the array. Throws: Error(type_mismatch) if `wanted` cannot take it.
  std::optional<Rows> begin_rows(ArrayTarget& wanted, ArrayTarget& whole);
  /// Fills `to` with the next elements as they are stored, or less at the end of the array, whose checksum is then
  /// compared. Returns how many bytes there were.
  std::size_t read_elements(MutableBytes to);
  /// Throws: Error(type_mismatch), or what the field rules say, if `target` cannot take the stored array.
  void check_type(const ArrayHeader& stored, ArrayTarget& target);

 private:
  struct Frame;
  struct Reference;
  struct KnownArray;
  class StreamedArray;

  enum class Form : std::uint8_t { sequence, map, record_map, record_tuple, deferred };
  std::uint64_t bytes_to_come() const noexcept override;
  std::string current_path() const override { return path(); }

  void read_tail();
  void pass_tail();
  void check_tail(std::uint64_t structure);

  // heads and items
  cbor::Head peek_head(std::size_t& size) {
    const std::uint8_t info = static_cast<std::uint8_t>(in_->peek()) & 31;
    size = cbor::head_bytes(info);
    if (size == 0) {
      error(Errc::malformed, "a reserved CBOR head");
    }
    const std::byte* at = in_->need(size);
    return {static_cast<cbor::Major>(static_cast<std::uint8_t>(*at) >> 5), info, cbor::argument(at, size, info)};
  }
  bool at_tag() { return static_cast<std::uint8_t>(in_->peek()) >> 5 == static_cast<std::uint8_t>(cbor::Major::tag); }
  /// Passes tags without a meaning and records marks of shared values.
  void prepare() {
    if (at_tag()) {
      prepare_tags();
    }
  }
  void prepare_tags();
  bool next_is_tag(std::uint64_t tag);
  /// Prepares to read a value; true if it followed a reference.
  bool take() {
    if (listed_ || at_tag()) {
      return take_tagged();
    }
    item_at_ = in_->position();
    pending_shared_.clear();
    return false;
  }
  bool take_tagged();
  void pass_type_names();
  void done(bool followed) {
    if (followed) {
      leave_shared();
    }
  }
  cbor::Head expect(cbor::Major major, const char* wanted);
  [[noreturn]] void mismatch(const char* wanted);
  std::string found_text();
  Number read_number();
  void check_allocation(std::uint64_t have, std::uint64_t more);
  std::optional<std::uint64_t> begin_items();
  void begin_record_items(bool followed);
  Frame& push(Form form, const cbor::Head& head, bool followed);
  void pop();
  bool advance();
  bool at_key() const noexcept;
  void note_key(std::string_view key);
  void note_key(const Number& number);
  void read_text(const cbor::Head& head, std::string& out);
  std::uint64_t read_definition();
  const std::vector<std::string>& record_names(std::uint64_t id);
  bool items_closed(bool more);
  std::size_t scan_plain(std::span<const PlainItem::Kind> kinds, std::span<PlainItem> out);
  std::size_t scan_values(std::size_t most);

  // skipping
  void skip_value();
  void skip_string(const cbor::Head& head);
  std::vector<std::byte> capture();

  // sharing
  std::uint64_t new_shared(std::uint64_t tag_at);
  template <class F>
  void scan_shared(std::uint64_t from, std::uint64_t until, F&& stop);
  std::uint64_t shared_before(std::uint64_t offset);
  std::uint64_t shared_offset(std::uint64_t index);
  std::uint64_t read_index();
  std::uint64_t peek_index(std::size_t at);
  std::uint64_t peek_deferred();
  SharedIn read_deferred();
  bool next_is_reference();
  bool next_is_part();
  void read_parts();
  void read_part();
  void read_aside();
  void read_later(std::uint64_t index);
  [[noreturn]] void no_such_deferred();

  // arrays
  ArrayItem read_array_header();
  Shape read_shape();
  void read_dtype(ArrayItem& item);
  std::optional<std::uint64_t> read_encoding(ArrayItem& item);
  void check_limit(std::uint64_t bytes);
  void refuse_copy(std::uint64_t bytes, const std::string& why);
  static bool is_as_in_memory(const ArrayItem& item) noexcept;
  std::uint64_t checked_bytes(const ArrayHeader& wanted);
  bool is_listed(const ArrayItem& item) const noexcept;
  void deliver(ArrayItem& item, ArrayTarget& target);
  void deliver_booleans(const ArrayItem& item, BooleanTarget& target);
  void deliver_direct(const ArrayItem& item, const ArrayHeader& wanted, ArrayTarget& target);
  void deliver_converted(const ArrayItem& item, const ArrayHeader& wanted, ArrayTarget& target);
  void deliver_known(const KnownArray& known, ArrayTarget& target);
  void check_repeats(const KnownArray& known, std::uint64_t bytes);
  void check_rows(const KnownArray& known);
  void place_item(ArrayItem item, ArrayPlace& place);
  void begin_view();
  std::uint64_t read_view(std::uint64_t elements, bool dense, Shape& shape, std::int64_t (&strides)[max_rank]);
  std::shared_ptr<KnownArray> load_view();
  std::shared_ptr<KnownArray> load(ArrayItem& item);
  std::shared_ptr<KnownArray> load_in_place(const ArrayItem& item);
  std::shared_ptr<KnownArray> load_indefinite(ArrayItem& item);
  std::string read_items(ArrayItem& item);
  void for_each_chunk(const std::function<void(const cbor::Head&)>& use);
  void skip_chunks(ArrayItem& item);
  const PiecesEntry* listed_pieces(std::uint64_t begin);
  std::size_t read_chunks(MutableBytes to);
  void finish_rows(ArrayItem& item, std::uint64_t bytes);
  std::shared_ptr<KnownArray> load_reference();
  bool large_array_follows();
  std::optional<ArrayPlace> look_ahead();
  void read_data(const ArrayItem& item, MutableBytes to);
  void begin_data(const ArrayItem& item);
  void end_data(const ArrayItem& item);
  void skip_data(const ArrayItem& item);
  void check_booleans(const DType& dtype, const std::byte* elements, std::uint64_t count);
  /// What the directory says of the listed array whose elements are at `offset`; null if it is not known.
  const ArrayEntry* entry_at(std::uint64_t offset) const;
  void begin_listed_data(const ArrayItem& item);
  void end_listed_data(const ArrayItem& item, bool hashed);

  Input* in_;
  Input& main_;
  DecoderContext context_;
  std::vector<Frame> frames_;
  std::size_t depth_ = 0;
  std::uint64_t open_items_ = 0;  // in all open containers; each takes at least one byte
  std::uint64_t item_at_ = 0;
  std::uint64_t tail_bytes_ = 1 + frozen::trailer_bytes;  // that certainly follow the values: directory and trailer
  std::uint64_t referred_bytes_ = 0;                      // read again through references
  std::vector<std::uint64_t> pending_shared_;             // the marks before the next value
  std::uint64_t shared_count_ = 0;
  bool shared_count_known_ = true;
  bool shared_offsets_complete_ = true;  // they start with the archive's first shared value
  std::vector<std::uint64_t> shared_offsets_;
  std::unordered_map<std::uint64_t, SharedObject> shared_objects_;
  std::unordered_map<std::uint64_t, std::shared_ptr<KnownArray>> shared_arrays_;
  std::unordered_map<std::uint64_t, Value> left_;        // shared arrays that leave() left, by their index
  std::unordered_map<std::uint64_t, ArrayPlace> bases_;  // of views: where their elements lie
  /// What it left, by the first element's array and place in it, and the shape: views may be met again.
  std::map<std::tuple<std::uint64_t, std::uint64_t, Order, std::string>, Value> left_at_;
  std::deque<std::vector<std::string>> definitions_;
  std::unordered_map<std::uint64_t, const std::vector<std::string>*> records_;
  std::vector<Reference> references_;
  bool inside_ = false;
  std::uint64_t root_at_ = frozen::label.size();
  std::multimap<std::uint64_t, SharedLater> later_;  // deferred objects to read, by their index
  std::uint64_t deferred_passed_ = 0;                // deferred values passed while reading in order
  std::unique_ptr<Input> aside_;                     // reads deferred values out of order
  std::uint64_t aside_next_ = 0;                     // index of the deferred value it stands at
  struct RowsState {
    ArrayItem item;
    std::uint64_t left = 0;   // bytes of the array, or of the chunk
    std::uint64_t begin = 0;  // of the chunks
    std::uint64_t bytes = 0;  // read from chunks
    Xxh3 sizes;               // of the chunks
    bool ended = false;
  };
  std::unique_ptr<RowsState> rows_;         // after begin_rows()
  std::unique_ptr<EncodedReader> encoded_;  // between begin_data() and end_data() of an encoded array
  struct PlainRun {                         // what peek_plain_items() found
    std::span<const PlainItem::Kind> kinds;
    std::span<PlainItem> items;
    std::size_t count = 0;
    const std::byte* end = nullptr;
  };
  PlainRun run_;
  struct PlainValues {  // what peek_plain_values() found
    std::span<const std::string_view> names;
    std::span<PlainPart> parts;
    std::size_t count = 0;
    std::array<std::size_t, 2> keys = {};  // the parts that are the keys of the last two entries, the last one first
    const std::byte* end = nullptr;
  };
  PlainValues values_;
  std::optional<ArrayItem> listed_;   // begin_listed(): the header is known, the elements come next
  std::unique_ptr<InVisitor> items_;  // handles the calls while an array is read item by item
  std::size_t items_depth_ = 0;
  bool items_followed_ = false;
  struct Seen {
    std::uint64_t offset;
    std::uint64_t length;
    bool hashed;
    ArrayChecksum checksum;
    std::uint64_t in_one;
  };
  std::vector<Seen> seen_;
  struct SeenPieces {
    std::uint64_t begin;
    std::uint64_t sizes_checksum;
  };
  std::vector<SeenPieces> seen_pieces_;
  Directory directory_;
  Trailer trailer_;
};

/// A file in which arrays can be left.
class Leaving {
 public:
  /// The array whose elements lie there in one run; `header` is of the array or the view. `shareable`: as LaterArray's.
  virtual std::shared_ptr<LaterArray> leave(const Decoder::ArrayPlace& place, const ArrayHeader& header, bool shareable,
                                            const std::string& path) = 0;

 protected:
  ~Leaving() = default;
};

/// A decoder and what it reads.
struct Decoding {
  Decoding(Source& source, const Input::Options& options, DecoderContext context)
      : input(source, options), decoder(input, std::move(context)) {}
  Input input;
  Decoder decoder;
};

}  // namespace stele
