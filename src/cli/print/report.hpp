#pragma once
// The output of the command line: standard output, error lines and exit codes.

#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele::cli {

/// The exit codes; `stele --help` lists them.
enum ExitCode : int {
  exit_fine = 0,
  exit_bad_input = 1,
  exit_wrong_usage = 2,
  exit_not_found = 3,
  exit_io = 4,
  exit_unsupported = 5,
};
ExitCode exit_code(Errc code) noexcept;

/// Writes to standard output, with buffering. Throws: Error(io).
void print(std::string_view text);
/// Writes one document, indented. Bytes that are not UTF-8 become U+FFFD.
void print_json(const nlohmann::ordered_json& document);
/// Must be the last call: writing the buffered bytes may fail. Throws: Error(io).
void flush_output();
/// Standard output as a Sink.
std::unique_ptr<Sink> output_sink();

/// "model.stele: layers/3/weights: message (offset 8192)": the file comes first unless the message names one.
std::string error_line(const Error& error, std::string_view file);
/// {"code", "message", "file", "path", "offset"}
nlohmann::ordered_json error_json(const Error& error, std::string_view file);
/// Prints the line to standard error, after everything printed before.
void print_error(std::string_view line) noexcept;

}  // namespace stele::cli
