#include "remote/s3/credentials.hpp"

#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>

#include "remote/s3/roles.hpp"
#include "stele/error.hpp"

namespace stele::remote {
namespace {

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return first == std::string::npos ? std::string() : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

using Section = std::map<std::string, std::string>;

/// The section "[name]" of a file in the form of the AWS tools; nothing if there is none. Nested lines are left out.
std::optional<Section> section_of(const std::string& file, const std::string& name) {
  std::ifstream in(file);
  std::optional<Section> found;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    const std::string text = trimmed(line);
    if (text.empty() || text[0] == '#' || text[0] == ';') {
      continue;
    }
    if (text[0] == '[') {
      inside = trimmed(text.substr(1, text.find(']') - 1)) == name;
      if (inside && !found) {
        found.emplace();
      }
      continue;
    }
    const std::size_t equals = text.find('=');
    if (inside && equals != std::string::npos && line[0] != ' ' && line[0] != '\t') {
      (*found)[trimmed(text.substr(0, equals))] = trimmed(text.substr(equals + 1));
    }
  }
  return found;
}

std::string file_of(const char* variable, const char* standard) {
  const std::string given = environment(variable);
  return given.empty() ? environment("HOME") + "/.aws/" + standard : given;
}

void take(std::string& to, const std::optional<Section>& section, const char* key) {
  if (to.empty() && section) {
    const auto found = section->find(key);
    to = found == section->end() ? std::string() : found->second;
  }
}

}  // namespace

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

S3Setup s3_setup(bool renew) {
  S3Setup setup;
  setup.endpoint = environment("AWS_ENDPOINT_URL_S3");
  if (setup.endpoint.empty()) {
    setup.endpoint = environment("AWS_ENDPOINT_URL");
  }
  setup.signing.region = environment("AWS_REGION");
  if (setup.signing.region.empty()) {
    setup.signing.region = environment("AWS_DEFAULT_REGION");
  }
  const std::string named = environment("AWS_PROFILE");
  const std::string profile = named.empty() ? "default" : named;
  const std::string credentials_file = file_of("AWS_SHARED_CREDENTIALS_FILE", "credentials");
  const std::string config_file = file_of("AWS_CONFIG_FILE", "config");
  const std::optional<Section> credentials = section_of(credentials_file, profile);
  const std::optional<Section> config = section_of(config_file, profile == "default" ? profile : "profile " + profile);
  if (!named.empty() && !credentials && !config) {
    fail(Errc::invalid_argument, "AWS_PROFILE names the profile \"" + named + "\", which is neither in " +
                                     credentials_file + " nor in " + config_file);
  }
  take(setup.signing.region, config, "region");
  take(setup.signing.region, credentials, "region");
  take(setup.endpoint, config, "endpoint_url");
  take(setup.endpoint, credentials, "endpoint_url");
  if (setup.signing.region.empty()) {
    setup.signing.region = "us-east-1";
  }
  while (setup.endpoint.ends_with('/')) {
    setup.endpoint.pop_back();
  }
  // All of a set of keys is from one place.
  Signing& signing = setup.signing;
  const auto lent = [&](std::optional<LentKeys> keys) {
    if (keys) {
      keys->signing.region = std::move(signing.region);
      signing = std::move(keys->signing);
      setup.expires = keys->expires;
    }
    return keys.has_value();
  };
  signing.key = environment("AWS_ACCESS_KEY_ID");
  signing.secret = environment("AWS_SECRET_ACCESS_KEY");
  if (!signing.key.empty() && !signing.secret.empty()) {
    signing.token = environment("AWS_SESSION_TOKEN");
  } else if (named.empty() && lent(keys_of_web_identity(signing.region, renew))) {
    return setup;
  } else {
    const auto* const from = credentials && credentials->contains("aws_access_key_id") ? &credentials : &config;
    signing.key.clear();
    signing.secret.clear();
    take(signing.key, *from, "aws_access_key_id");
    take(signing.secret, *from, "aws_secret_access_key");
    take(signing.token, *from, "aws_session_token");
    if (signing.key.empty()) {
      lent(keys_of_machine(renew));
    }
  }
  return setup;
}

}  // namespace stele::remote
