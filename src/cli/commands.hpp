#pragma once
// The commands, one function each. They print to standard output, return the exit code and throw Error. Options have
// the names and defaults of the library.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stele/options.hpp"

namespace stele {
class Value;
}

namespace stele::cli {

struct InfoOptions {
  std::string file;
  std::uint64_t offset = 0;
  bool json = false;
};
int info(const InfoOptions& options);

struct CodecsOptions {
  bool json = false;
};
int codecs(const CodecsOptions& options);

struct LsOptions {
  std::string file;
  std::string path;
  std::uint64_t offset = 0;
  std::optional<std::size_t> depth;
  std::optional<std::uint64_t> max_items;
  bool all = false;
  bool arrays = false;
  bool json = false;
};
int ls(const LsOptions& options);

struct ShowOptions {
  std::string file;
  std::string path;
  std::uint64_t offset = 0;
  std::optional<std::size_t> items;
  std::optional<std::size_t> depth;
  bool full = false;
  Verify verify = Verify::automatic;
  unsigned threads = 0;
  bool json = false;
};
int show(const ShowOptions& options);
/// The text that show() prints for a value, without a line feed at its end.
std::string show_text(const Value& value, const ShowOptions& options);

struct ExtractOptions {
  std::string file;
  std::string path;
  std::string output;
  std::uint64_t offset = 0;
  bool raw = false;
  std::string codec;
  std::optional<int> level;
  std::string filter = "auto";
  unsigned threads = 0;
  Sync sync = Sync::none;
  bool in_place = false;
  bool json = false;
};
int extract(const ExtractOptions& options);

struct TypesOptions {
  std::string file;
  bool json = false;
};
int types(const TypesOptions& options);

struct VerifyOptions {
  std::vector<std::string> files;
  unsigned threads = 0;
  bool json = false;
};
int verify(const VerifyOptions& options);

struct ConvertOptions {
  std::string input;
  std::string output;
  std::string codec;
  std::optional<int> level;
  std::string filter;  // empty: arrays keep their filter, but are decoded if the output is plain
  unsigned threads = 0;
  Sync sync = Sync::none;
  bool in_place = false;
  bool json = false;
};
int convert(const ConvertOptions& options);

struct BenchOptions {
  std::string file;
  bool bytes = false;
  std::vector<std::string> codecs;  // empty: all
  std::vector<int> levels;          // empty: some of each codec
  std::vector<std::string> filters = {"none", "auto"};
  unsigned threads = 0;
  double seconds = 2;
  std::string folder;  // empty: the system's folder for temporary files
  bool memory = false;
  bool json = false;
};
int bench(const BenchOptions& options);

}  // namespace stele::cli
