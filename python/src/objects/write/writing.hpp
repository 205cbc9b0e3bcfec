#pragma once
// What all walks through one graph remember: they meet the same objects.

#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "objects/graph.hpp"
#include "objects/write/arrays.hpp"
#include "objects/write/keys.hpp"
#include "objects/write/reduced.hpp"
#include "stele/visitor.hpp"

namespace stele::python {

class Writing {
 public:
  Writing(nb::handle root, bool all_shared) : all_shared(all_shared), root_(nb::borrow(root)) {}

  void write(OutVisitor& out);

  /// The names of those fields of an object that it has. They outlive the walk, as errors name them.
  std::span<const std::string_view> layout(const std::array<bool, 7>& has);

  const bool all_shared;
  RepeatedKeys keys;
  ArrayMemory arrays;
  Reducer reducer;
  const std::shared_ptr<void> life = std::make_shared<int>();  // of the objects met: as long as this
  std::vector<nb::object> keep;                                // owns what was made for a walk
  std::array<PlainItem, 256> run;                              // of the innermost container, until it is passed on

 private:
  nb::object root_;
  std::array<std::vector<std::string_view>, 128> layouts_;
};

}  // namespace stele::python
