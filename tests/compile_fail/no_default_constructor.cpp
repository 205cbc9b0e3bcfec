// expect: stele: an object is made empty and then read; give its class a default constructor or a `static T
// stele_make()`
#include <vector>

#include "stele/stele.hpp"

namespace {

class Sized {
 public:
  explicit Sized(int n) : n_(n) {}
  static void visit(auto& v, auto& self) { v("n", self.n_); }
  int n() const { return n_; }

 private:
  int n_;
};

}  // namespace

int main() { return stele::load<Sized>("sized.stele").n(); }
