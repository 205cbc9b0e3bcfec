// expect: stele: an object is made empty and then read; give its class a default constructor or a `static T
// stele_make()`
#include <map>
#include <optional>

#include "stele/stele.hpp"

namespace {

class Sized {
 public:
  explicit Sized(int n) : n_(n) {}
  static void visit(auto& v, auto& self) { v("n", self.n_); }

 private:
  int n_;
};

struct Holder {
  std::map<int, std::optional<Sized>> all;
};

}  // namespace

int main() { return static_cast<int>(stele::load<Holder>("holder.stele").all.size()); }
