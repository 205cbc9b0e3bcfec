#include "objects/write/writing.hpp"

#include "objects/no_collection.hpp"
#include "objects/write/pass.hpp"

namespace stele::python {

std::span<const std::string_view> Writing::layout(const std::array<bool, 7>& has) {
  static constexpr std::array<std::string_view, 7> all = {"callable", "new",   "args",   "kwargs",
                                                          "state",    "items", "entries"};
  std::size_t which = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    which |= std::size_t{has[i]} << i;
  }
  std::vector<std::string_view>& names = layouts_[which];
  if (names.empty()) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (has[i]) {
        names.push_back(all[i]);
      }
    }
  }
  return names;
}

void Writing::write(OutVisitor& out) {
  const nb::gil_scoped_acquire gil;  // the library may walk again while an array is written without it
  const NoCollection guard;
  const OutVisitor::AtOnce at_once(out);
  Pass(*this, out).value(root_.ptr(), 2);
}

GraphOut::GraphOut(nb::handle root, bool all_shared) : writing_(std::make_unique<Writing>(root, all_shared)) {}
GraphOut::~GraphOut() = default;

}  // namespace stele::python

namespace stele {

void Visit<python::GraphOut>::write(OutVisitor& out, const python::GraphOut& graph) { graph.writing_->write(out); }

}  // namespace stele
