#pragma once
// What torch.save() writes: a pickle in which ids stand for the storages of the tensors. Since 2020 a zip file with the
// pickle "NAME/data.pkl" and the storages "NAME/data/0" and so on; before, pickles one after the other and the
// storages after them.
//
// Tensors and parameters become arrays with the strides that they had; those that share a storage share it. A storage
// by itself is an array with one axis. torch.Size is a tuple. What else there is, such as sparse and quantised tensors,
// devices and modules, becomes generic objects, as in any pickle.

#include <optional>
#include <string>

#include "interop/neighbour.hpp"
#include "interop/pickle/pickle.hpp"
#include "interop/zip/contents.hpp"
#include "stele/value.hpp"

namespace stele {

/// The pickle of a zip file that torch.save() wrote; null for any other.
const ZipMember* torch_pickle(const ZipContents& contents) noexcept;
/// Reads the file of that pickle. With a mapping, storages that are aligned are views of it.
/// Throws: as read_pickle() and ZipContents::array(); Error(malformed) for tensors outside their storage and for
/// storages whose size is not what the pickle says, Error(not_found) for storages that are not there,
/// Error(unsupported) for element types that are not known and for what a big-endian machine wrote.
Value read_torch(const ZipContents& contents, const ZipMember& pickle);

/// As many pickles a file of the older form begins with.
inline constexpr std::size_t old_torch_pickles = 5;
/// Whether a file that begins so may be of the older form.
bool may_be_old_torch(Bytes first) noexcept;
/// Reads a file of that form. Throws: as above. `inside`: as PickleOptions::inside.
Value read_old_torch(const Neighbour& file, unsigned inside = 0);

}  // namespace stele
