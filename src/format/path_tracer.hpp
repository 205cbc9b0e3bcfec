#pragma once
// The OutVisitor that only knows where in the object it is.

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "stele/visitor.hpp"

namespace stele {

/// Tells the path of the value whose events come next or have not ended: for visitors that do not keep it, where
/// writing has failed and the object is walked once more.
class PathTracer final : public OutVisitor {
 public:
  explicit PathTracer(const OutVisitor& other);

  /// Thrown where the object is nested deeper than anybody would read, and perhaps than the stack.
  struct TooDeep {};
  static constexpr std::size_t most_depth = 1000;

  /// In Error::path()'s form.
  std::string path() const;

  void null() override { item(); }
  void boolean(bool) override { item(); }
  void integer(std::int64_t value) override;
  void natural(std::uint64_t value) override { number({Number::Type::natural, value}); }
  void real(float16 value) override { number({Number::Type::float16, value.bits}); }
  void real(float value) override;
  void real(double value) override;
  void text(std::string_view value) override;
  void bytes(Bytes) override { item(); }
  void array(const ArrayView&) override { item(); }
  void begin_sequence(std::uint64_t count, Ordering) override { push(Form::sequence, count); }
  void begin_map(std::uint64_t count, Ordering) override { push(Form::map, 2 * count); }
  void begin_record(const RecordInfo& info) override;
  void end() override;
  bool begin_shared(const SharedOut& object) override;
  void begin_typed(std::string_view) override { begin_continued(); }

 private:
  enum class Form : std::uint8_t { sequence, map, record };
  struct Frame {
    Form form = Form::sequence;
    std::uint64_t count = 0;  // values in all; in a map keys count
    std::uint64_t index = 0;  // values begun
    std::string key;          // map: the step of the current one
    std::vector<std::string> names;
  };

  void item();
  void begin_continued();
  void number(const Number& number);
  Frame& push(Form form, std::uint64_t count);
  /// The frame whose key has just begun, or null.
  Frame* at_key() noexcept;

  std::vector<Frame> frames_;
  bool continued_ = false;  // the next event belongs to an item that has begun
  std::unordered_map<const void*, std::vector<const std::type_info*>> shared_;
  std::vector<std::shared_ptr<const void>> kept_;  // so that no other object gets an address that is known
};

}  // namespace stele
