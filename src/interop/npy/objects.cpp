#include "interop/npy/npy.hpp"
#include "stele/error.hpp"

namespace stele {

Value read_npy_objects(Source&, const NpyHeader&, const LoadOptions&) {
  fail(Errc::unsupported, "an array of Python objects, which is a pickle");
}

}  // namespace stele
