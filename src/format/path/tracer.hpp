#pragma once
// An OutVisitor that only tracks the path of the current value.

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "stele/visitor.hpp"

namespace stele {

/// Finds the path of the next value, or of the value whose events have not ended. Used after an error in a visitor that
/// does not track paths: the object is walked again.
class PathTracer final : public OutVisitor {
 public:
  explicit PathTracer(const OutVisitor& other);

  /// Thrown if the object is nested deeper than any reader accepts.
  struct TooDeep {};
  static constexpr std::size_t most_depth = 1000;

  /// In the form of Error::path().
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
    std::uint64_t count = 0;  // number of values; in a map, keys count too
    std::uint64_t index = 0;  // values begun
    std::string key;          // map: the step of the current key
    std::vector<std::string> names;
  };

  void item();
  void begin_continued();
  void number(const Number& number);
  Frame& push(Form form, std::uint64_t count);
  /// The frame whose key has just begun, or null.
  Frame* at_key() noexcept;

  std::vector<Frame> frames_;
  bool continued_ = false;  // the next event belongs to the current item
  std::unordered_map<const void*, std::vector<const std::type_info*>> shared_;
  std::vector<std::shared_ptr<const void>> kept_;  // keeps objects alive, so that no other object gets a known address
};

}  // namespace stele
