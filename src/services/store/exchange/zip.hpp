#pragma once
// Zip files, by libzip.

#include <zip.h>

#include <memory>
#include <string>

#include "stele/error.hpp"

namespace stele {

/// Closes without writing.
struct ZipDiscard {
  void operator()(zip_t* zip) const noexcept { zip_discard(zip); }
};
using Zip = std::unique_ptr<zip_t, ZipDiscard>;

struct ZipFileClose {
  void operator()(zip_file_t* file) const noexcept { zip_fclose(file); }
};
using ZipFile = std::unique_ptr<zip_file_t, ZipFileClose>;

/// The kind of failure that libzip's code stands for.
inline Errc zip_code(const zip_error_t& error) noexcept {
  switch (zip_error_code_zip(&error)) {
    case ZIP_ER_NOENT:
      return Errc::not_found;
    case ZIP_ER_NOZIP:
    case ZIP_ER_INCONS:
    case ZIP_ER_ZLIB:
    case ZIP_ER_CRC:
    case ZIP_ER_EOF:
    case ZIP_ER_COMPRESSED_DATA:
      return Errc::damaged;
    case ZIP_ER_COMPNOTSUPP:
    case ZIP_ER_ENCRNOTSUPP:
    case ZIP_ER_MULTIDISK:
    case ZIP_ER_NOPASSWD:
    case ZIP_ER_OPNOTSUPP:
      return Errc::unsupported;
    case ZIP_ER_MEMORY:
      return Errc::limit_exceeded;
    default:
      return Errc::io;
  }
}

[[noreturn]] inline void fail_zip(const std::string& what, zip_error_t& error) {
  fail(zip_code(error), what + ": " + zip_error_strerror(&error));
}

inline Zip open_zip(const std::string& path, int flags) {
  int code = 0;
  Zip zip(zip_open(path.c_str(), flags, &code));
  if (zip == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    const Errc errc = zip_code(error);
    zip_error_fini(&error);
    fail(errc, path + ": " + reason);
  }
  return zip;
}

}  // namespace stele
