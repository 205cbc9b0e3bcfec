#pragma once
// Makes text safe to show. Names, texts and paths come from files that anybody may have made: they must not control a
// terminal, hide text, or reverse its direction.

#include <cstddef>
#include <string>
#include <string_view>

namespace stele {

/// The bytes of the valid UTF-8 character (RFC 3629) at the start of `text`, 0 if there is none.
std::size_t character_bytes(std::string_view text) noexcept;

/// Appends `text`. Escapes control characters, invisible characters, those that change the direction of writing, and
/// bytes that are not UTF-8: \n, \t, \r, \xNN for a byte, \uNNNN or \UNNNNNNNN for a character beyond ASCII. Puts a
/// backslash before characters of `also`, which are ASCII.
void append_printable(std::string& out, std::string_view text, std::string_view also = {});
std::string printable(std::string_view text);

/// Appends `text`, which is UTF-8, in the form it has inside a JSON string. Also escapes the characters that
/// append_printable() escapes, in JSON's notation.
void append_json_text(std::string& out, std::string_view text);
/// A copy of a UTF-8 JSON document with such characters escaped. In valid JSON they occur only in strings.
std::string printable_json(std::string_view document);

}  // namespace stele
