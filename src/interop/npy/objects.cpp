#include "interop/npy/npy.hpp"
#include "interop/pickle/pickle.hpp"
#include "interop/pickle/read/window.hpp"

namespace stele {

Value read_npy_objects(Source& pickle, const NpyHeader&, const LoadOptions& options) {
  // In order, as offsets in the pickle are none of the file.
  pickle::Window window(pickle, options.limits.allocation);
  pickle::WindowSource source(window);
  return read_pickle({source, nullptr, {}, options});
}

}  // namespace stele
