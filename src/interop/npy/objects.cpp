#include "interop/npy/npy.hpp"
#include "interop/pickle/pickle.hpp"

namespace stele {

Value read_npy_objects(Source& pickle, const NpyHeader&, const LoadOptions& options) {
  return read_pickle({pickle, nullptr, {}, options});
}

}  // namespace stele
