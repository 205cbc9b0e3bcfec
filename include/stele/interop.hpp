#pragma once
// Files of other programs through save(), load(), open() and Reader: NumPy's .npy and .npz, .safetensors, pickles and
// joblib's files. Those of torch.save() and HDF5 files are read, not written. Component stele::interop.
// docs/guide/neighbours.md lists how each type is converted.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stele/error.hpp"
#include "stele/io.hpp"
#include "stele/options.hpp"
#include "stele/value.hpp"

namespace stele {

/// The formats of this build, for SaveOptions::formats and LoadOptions::formats:
///
///     const stele::LoadOptions any{.formats = &stele::neighbours()};
///     auto weights = stele::open("model.joblib", any).load<stele::Array<double>>("coef_");
///
/// A file is recognised by its first bytes, then by its extension, also inside compressed files; when saving, the
/// extension decides. Nothing that is read is ever executed: what is not data becomes a generic object
/// (docs/format.md). A plain file that is opened by its path is mapped, so that only those arrays are read that are
/// loaded; others are read whole. Their Info has the format's name as its writer. Thread-safe.
const Formats& neighbours() noexcept;

/// A class or function that a file names.
struct Reference {
  enum class Risk : std::uint8_t {
    data,       // a type or reconstructor of Python or NumPy that only makes data
    code,       // a class or function of some package, which runs when the file is loaded in Python
    dangerous,  // reaches the system, files, the network or the interpreter
  };
  std::string name;  // "module.qualname", "module:Outer.Inner", or "extension 5"
  Risk risk = Risk::code;
  std::uint64_t offset = 0;  // where it is first named, of the plain bytes; 0 in a Value
  std::uint64_t count = 0;   // how often it is named
};
std::string_view to_string(Reference::Risk risk) noexcept;

/// The references of the objects in a Value that came from a pickle, a joblib file or an archive of them, the most
/// dangerous first, then by name.
std::vector<Reference> references_of(const Value& value);

struct References {
  std::vector<Reference> found;  // as references_of() orders them
  std::optional<Error> error;    // why reading ended early, if it did
};
/// The same of a file. Of a pickle nothing is built, so that what it names up to an error is found too; other files are
/// loaded. Throws: what load() throws.
References references_in(const Path& path, const LoadOptions& options = {});

}  // namespace stele
