#pragma once
// Keys that are lent to a machine, a container or a pod, from the services that the AWS tools ask.

#include <limits>
#include <optional>

#include "remote/http/engine.hpp"

namespace stele::remote {

struct LentKeys {
  Signing signing;                                           // without a region
  double expires = std::numeric_limits<double>::infinity();  // seconds since 1970
};

/// When lent keys are asked for anew: some minutes before they expire.
bool is_due(double expires);

/// The role AWS_ROLE_ARN for the web identity in the file AWS_WEB_IDENTITY_TOKEN_FILE, from the security token service;
/// nothing if these are not set. Keys are kept until they are due, or `renew`.
/// Throws: Error(io), Error(denied).
std::optional<LentKeys> keys_of_web_identity(const std::string& region, bool renew);
/// Those of the container's service (AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI), else of the machine's
/// (IMDSv2, unless AWS_EC2_METADATA_DISABLED is "true"); nothing if there is neither. That there is no machine's
/// service is learned once. Throws: Error(io), Error(denied) of a container's service, Error(invalid_argument) for one
/// on another host without TLS.
std::optional<LentKeys> keys_of_machine(bool renew);

}  // namespace stele::remote
