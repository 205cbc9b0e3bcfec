#pragma once
// Everything of the core: include this, and eigen.hpp for matrices.

#include "stele/appended_array.hpp"   // rows appended to a file, as one array
#include "stele/appender.hpp"         // Appender, EntryReader
#include "stele/archive.hpp"          // save, load, open, Writer, Reader
#include "stele/array.hpp"            // Array<T, Rank>
#include "stele/block_codec.hpp"      // a compression format from two functions
#include "stele/codec.hpp"            // compression formats
#include "stele/describe.hpp"         // text and JSON of an object
#include "stele/error.hpp"            // Error
#include "stele/hash.hpp"             // 128-bit digest of an object
#include "stele/sharded_archive.hpp"  // one archive of many writers
#include "stele/storage.hpp"          // folders and object stores
#include "stele/value.hpp"            // objects without static types
#include "stele/version.hpp"
