// expect: stele: this class looks like a container or another type of the standard library, but may hold more than it
// shows (a matrix its shape
#include <vector>

#include "stele/stele.hpp"

namespace {

class Matrix {
 public:
  using value_type = double;
  Matrix() = default;
  Matrix(int rows, int columns) : rows_(rows), values_(static_cast<std::size_t>(rows * columns)) {}
  int rows() const { return rows_; }
  const double* data() const { return values_.data(); }
  double* data() { return values_.data(); }
  std::size_t size() const { return values_.size(); }
  void resize(std::size_t size) { values_.resize(size); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  int rows_ = 0;
  std::vector<double> values_;
};

}  // namespace

int main() { stele::save(Matrix(3, 2), "matrix.stele"); }
