#include "remote/s3/listing.hpp"

#include <curl/curl.h>
#include <expat.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>

#include "io/storage/urls.hpp"
#include "stele/error.hpp"

namespace stele::remote {
namespace {

/// Follows the elements of an answer; texts count at their end.
struct Reading {
  Listing listing;
  std::vector<std::string> open;  // names of the elements around
  std::string text;
  StoredObject object;
  bool truncated = false;
  std::string token;
  std::string error;
};

/// "2026-11-30T12:00:00.000Z" in seconds since 1970; 0 for other texts.
double seconds_of(std::string text) {
  std::erase(text, '-');
  text = text.substr(0, text.find_first_of(".Z"));
  std::replace(text.begin(), text.end(), 'T', ' ');
  return std::max(0.0, static_cast<double>(curl_getdate(text.c_str(), nullptr)));
}

void on_begin(void* data, const char* name, const char**) {
  Reading& reading = *static_cast<Reading*>(data);
  reading.open.emplace_back(name);
  reading.text.clear();
  if (reading.open.back() == "Contents") {
    reading.object = {};
  }
}

void on_text(void* data, const char* text, int size) {
  static_cast<Reading*>(data)->text.append(text, static_cast<std::size_t>(size));
}

void on_end(void* data, const char* ended) {
  Reading& reading = *static_cast<Reading*>(data);
  const std::string_view name = ended;
  reading.open.pop_back();
  const bool in_object = !reading.open.empty() && reading.open.back() == "Contents";
  if (in_object && name == "Key") {
    reading.object.key = percent_decoded(reading.text, true);
  } else if (in_object && name == "Size") {
    const std::string& text = reading.text;
    if (std::from_chars(text.data(), text.data() + text.size(), reading.object.bytes).ec != std::errc()) {
      reading.error = "a size that is not a number";
    }
  } else if (in_object && name == "ETag") {
    reading.object.etag = reading.text;
  } else if (in_object && name == "LastModified") {
    reading.object.modified = seconds_of(reading.text);
  } else if (name == "Contents") {
    reading.listing.objects.push_back(std::move(reading.object));
  } else if (reading.open.size() == 1 && name == "IsTruncated") {
    reading.truncated = reading.text == "true";
  } else if (reading.open.size() == 1 && name == "NextContinuationToken") {
    reading.token = reading.text;
  }
  reading.text.clear();
}

}  // namespace

Listing read_listing(std::string_view xml, const std::string& name) {
  Reading reading;
  const std::unique_ptr<XML_ParserStruct, void (*)(XML_Parser)> parser(XML_ParserCreate(nullptr), XML_ParserFree);
  if (parser == nullptr) {
    fail(Errc::limit_exceeded, "cannot allocate a reader of XML");
  }
  XML_SetUserData(parser.get(), &reading);
  XML_SetElementHandler(parser.get(), on_begin, on_end);
  XML_SetCharacterDataHandler(parser.get(), on_text);
  if (XML_Parse(parser.get(), xml.data(), static_cast<int>(xml.size()), 1) != XML_STATUS_OK) {
    reading.error = XML_ErrorString(XML_GetErrorCode(parser.get()));
  } else if (reading.truncated && reading.token.empty()) {
    reading.error = "no token for the next page";
  }
  if (!reading.error.empty()) {
    fail(Errc::io, "cannot list " + name + ": the server's answer is not a listing (" + reading.error + ")",
         {.file = name});
  }
  reading.listing.next = reading.truncated ? reading.token : std::string();
  return std::move(reading.listing);
}

}  // namespace stele::remote
