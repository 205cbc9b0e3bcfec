#pragma once
// Text on its way to a person. Names, texts and paths come from files that anybody may have made: nothing in them may
// command a terminal, hide, or turn other text around.

#include <cstddef>
#include <string>
#include <string_view>

namespace stele {

/// The bytes of the valid UTF-8 character (RFC 3629) at the start of `text`, 0 if there is none.
std::size_t character_bytes(std::string_view text) noexcept;

/// Appends `text`. Control characters, invisible ones and those that change the direction of writing are escaped, as
/// are bytes that are not UTF-8: \n, \t, \r, \xNN for a byte, \uNNNN or \UNNNNNNNN for a character beyond ASCII. A
/// backslash goes before characters of `also`, which are ASCII.
void append_printable(std::string& out, std::string_view text, std::string_view also = {});
std::string printable(std::string_view text);

/// Appends `text`, which is UTF-8, as it stands between the quotes of a JSON string: characters that append_printable()
/// escapes are escaped too, as JSON does.
void append_json_text(std::string& out, std::string_view text);
/// The same JSON document, which is UTF-8, with such characters escaped. In valid JSON they are found in strings only.
std::string printable_json(std::string_view document);

}  // namespace stele
