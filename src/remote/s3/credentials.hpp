#pragma once
// Where a user's S3 is and who they are, from the places where the AWS tools look.

#include <limits>
#include <string>

#include "remote/http/engine.hpp"

namespace stele::remote {

struct S3Setup {
  Signing signing;                                           // without a key: requests are not signed
  std::string endpoint;                                      // "http://127.0.0.1:9000"; empty: Amazon's
  double expires = std::numeric_limits<double>::infinity();  // of the keys, in seconds since 1970
};

/// A variable of the environment; empty if there is none.
std::string environment(const char* name);

/// Keys are those of the environment, of the web identity, of the files, of the container, of the machine: the first
/// that there are. With `renew` lent keys are asked for anew.
/// Throws: Error(invalid_argument) for a profile that AWS_PROFILE names and no file has, and what
/// keys_of_web_identity() and keys_of_machine() throw.
S3Setup s3_setup(bool renew = false);

}  // namespace stele::remote
