#pragma once
// An object read by ranges.

#include <memory>
#include <string>

#include "remote/http/exchange.hpp"

namespace stele::remote {

/// The object of `get`, a request without a range, as it is when this is called: one request, for the end of the
/// object. Later reads fetch pieces, several at once, and keep the last ones.
/// Throws: Refused for an answer with an error status, Error(io), Error(changed), Error(unsupported) for a server
/// without ranges. Reads later throw Errors for what the server refuses.
std::unique_ptr<Source> object_source(Request get);

/// Storage::read() of the object of `get`: a request for each range, several at once.
/// Throws: as object_source(), Error(truncated) for a range that is not within the object, Error(changed) for another
/// etag than `etag`, if that is not empty.
void read_ranges(const Request& get, std::span<const ByteRange> ranges, std::string_view etag);

}  // namespace stele::remote
