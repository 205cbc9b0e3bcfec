#pragma once
// Walks an object and visits only its arrays.

#include <vector>

#include "archive/shared_table.hpp"
#include "archive/value/later.hpp"
#include "base/stack.hpp"
#include "format/frozen.hpp"
#include "stele/visitor.hpp"

namespace stele {

/// Sees every array of a value once, at any depth. Call finish() after the events of the value.
class ArrayScanner : public OutVisitor, public LaterOut {
 public:
  explicit ArrayScanner(const TypeRegistry* types) { types_ = types; }
  void null() final {}
  void boolean(bool) final {}
  void integer(std::int64_t) final {}
  void natural(std::uint64_t) final {}
  void real(float16) final {}
  void real(float) final {}
  void real(double) final {}
  void text(std::string_view) final {}
  void bytes(Bytes) final {}
  void bits(Bytes, std::uint64_t) final {}
  void plain_items(std::span<const PlainItem>) final {}
  /// An array that has not been read shares nothing.
  void later(LaterArray&) final {}
  void begin_sequence(std::uint64_t, Ordering) final { open(); }
  void begin_map(std::uint64_t, Ordering) final { open(); }
  void begin_record(const RecordInfo&) final { open(); }
  void end() final { --depth_; }
  bool begin_shared(const SharedOut& object) final {
    if (!seen_.meet(object).is_first()) {
      return false;
    }
    if (depth_ < frozen::deferring_depth && !stack_is_low()) {
      return true;
    }
    later_.push_back(object.later());
    return false;
  }
  void begin_typed(std::string_view) final {}

  void finish() {
    while (!later_.empty()) {
      const SharedOut::Later later = std::move(later_.back());
      later_.pop_back();
      later.write(*this, later.value.get());
    }
  }

 private:
  void open() {
    ++depth_;
    if (stack_is_low()) {
      fail(Errc::limit_exceeded, "values are nested so deep that the stack of this thread has no room for more");
    }
  }

  SharedTable seen_{SharedTable::Overlap::allowed};
  std::size_t depth_ = 0;
  std::vector<SharedOut::Later> later_;
};

}  // namespace stele
