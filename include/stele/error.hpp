#pragma once
// The one way to fail: every error of the library is a stele::Error, thrown through fail().

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace stele {

/// What went wrong, for programs; the message is for people.
enum class Errc : std::uint8_t {
  io,                // a system call failed; the message ends with its reason
  not_found,         // no such file, or no such path in the object graph
  not_an_archive,    // the bytes do not start as any known format does
  truncated,         // the input ends before the archive does
  damaged,           // a checksum, a length or the directory contradicts the bytes, or a part of an object another
  malformed,         // checksums hold, but not well-formed CBOR, or not in the form docs/format.md gives it
  type_mismatch,     // the stored type cannot become the requested one without loss
  out_of_range,      // a stored number does not fit the requested type
  missing_field,     // strict loading: a field of the type is not stored
  unknown_field,     // strict loading: a stored field is not one of the type's
  duplicate_field,   // a stored record names a field twice
  limit_exceeded,    // a limit of LoadOptions (depth, allocation, expansion) was reached
  not_mappable,      // mapping was asked for and is impossible
  read_only,         // a write to a read-only mapping or file
  unsupported,       // well-formed, but this build or version cannot do it
  unknown_codec,     // no codec of that name, or it was left out of this build
  unknown_type,      // a polymorphic type that the registry does not know
  invalid_argument,  // an option or argument makes no sense
  busy,              // another writer holds the lock
  denied,            // a store refuses: no, wrong or expired credentials, or no permission
  changed,           // a file or object was replaced while it was read
};

/// The enumerator's name, as in "type_mismatch".
std::string_view to_string(Errc code) noexcept;

/// Where an error arose: in which file, where in the object graph and where in the bytes. Unknown parts are empty.
struct Where {
  std::string_view path = {};                          // JSON Pointer without the leading slash
  std::optional<std::uint64_t> offset = std::nullopt;  // from the start of the plain archive
  std::string_view file = {};                          // as the user named it
};

/// Every failure of the library. `what()` reads "file: path: message (offset n)" on one line, without the file where
/// the message names it. It leaves out the middle of very long text and escapes characters that a terminal would obey.
class Error : public std::runtime_error {
 public:
  Error(Errc code, std::string message, Where where = {});

  Errc code() const noexcept { return code_; }
  /// The message without file, path and offset.
  const std::string& message() const noexcept { return message_; }
  /// The file as the user named it, or another source of the bytes: "descriptor 3", "the stream", the result of
  /// Source::name(). Empty for memory and where no file is at fault.
  const std::string& file() const noexcept { return file_; }
  /// The path in the object graph, empty for the root and where it is unknown.
  const std::string& path() const noexcept { return path_; }
  /// The byte offset from the start of the plain archive.
  std::optional<std::uint64_t> offset() const noexcept { return offset_; }

  /// The same error with those parts of `where` that it does not have yet.
  Error at(Where where) const;

 private:
  Errc code_;
  std::string message_;
  std::string path_;
  std::optional<std::uint64_t> offset_;
  std::string file_;
};

/// A part of a message: text or an integer.
class MessagePart {
 public:
  MessagePart(std::string_view text) noexcept : text_(text) {}
  MessagePart(const char* text) noexcept : text_(text) {}
  MessagePart(const std::string& text) noexcept : text_(text) {}
  template <std::unsigned_integral I>
  MessagePart(I number) noexcept : number_(number) {}

 private:
  friend std::string message(std::initializer_list<MessagePart> parts);
  std::string_view text_;
  std::optional<std::uint64_t> number_;
};

/// The parts joined. Out of line, so that headers need not join strings.
std::string message(std::initializer_list<MessagePart> parts);

/// Throws Error. Out of line, so that callers stay small.
[[noreturn]] void fail(Errc code, std::string message, Where where = {});

/// To be called while `error` is handled: throws it again, with those parts of `where` that it does not have yet.
/// Classes derived from Error are thrown unchanged.
[[noreturn]] void rethrow_at(const Error& error, Where where);

}  // namespace stele
