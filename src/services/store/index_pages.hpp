#pragma once
// Whether the pages of an LMDB file are what they must be. LMDB trusts them: what leads outside of a page or of the
// file would end the program.

#include <cstdint>
#include <string>

#include "stele/io.hpp"

namespace stele {

/// What the check is told of the state of the file that it looks at.
struct IndexPages {
  std::uint64_t transaction = 0;  // of a read transaction that is open all the while, so that its pages stay
  std::uint64_t page_size = 0;
};

/// Goes through all pages that a transaction can reach, and the list of free ones: forms, bounds, the order of keys, no
/// page in two places. `file` is the whole file; its pages are those of LMDB 0.9 on 64-bit machines (mdb.c, "Page
/// structures"). False if the transaction's own page is gone, because others have committed. Takes about 1 ms for 10 MiB.
/// Throws: Error(damaged).
bool check_index_pages(Bytes file, const IndexPages& pages);

}  // namespace stele
