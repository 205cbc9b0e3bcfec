// expect: stele: load<T>() makes a T and then reads it; give it a default constructor
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
