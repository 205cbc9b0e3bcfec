#pragma once
// Where a user's S3 is and who they are, from the places where the AWS tools look.

#include <string>

#include "remote/http/engine.hpp"

namespace stele::remote {

struct S3Setup {
  Signing signing;       // without a key: requests are not signed
  std::string endpoint;  // "http://127.0.0.1:9000"; empty: Amazon's
};

/// Reads the environment and the files; a part that is in neither stays empty.
/// Throws: Error(invalid_argument) for a profile that AWS_PROFILE names and no file has.
S3Setup s3_setup();

}  // namespace stele::remote
