#pragma once
// An object read by ranges.

#include <memory>
#include <string>

#include "remote/http/exchange.hpp"

namespace stele::remote {

/// The object of `get`, a request without a range, as it is when this is called: one request, for the end of the
/// object. Later reads fetch pieces, several at once, and keep the last ones.
/// Throws: Refused for an answer that is no success, Error(io), Error(changed), Error(unsupported) for a server without
/// ranges. Reads later throw Errors for what the server refuses.
std::unique_ptr<Source> object_source(Request get);

}  // namespace stele::remote
