#include "remote/s3/roles.hpp"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>

#include "base/process.hpp"
#include "base/threads/interruption.hpp"
#include "io/storage/urls.hpp"
#include "remote/http/exchange.hpp"
#include "remote/s3/credentials.hpp"
#include "stele/error.hpp"

namespace stele::remote {
namespace {

constexpr double due_s = 300;
constexpr double machine_s = 1;  // for an answer of a service on the same machine, which others do not have
constexpr double container_s = 5;

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

/// The text of a member of a JSON object without nesting; nothing if there is none.
std::optional<std::string> json_text(std::string_view json, std::string_view name) {
  const std::string quoted = '"' + std::string(name) + '"';
  std::size_t at = json.find(quoted);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  const auto skip = [&](char wanted) {
    at = json.find_first_not_of(" \t\r\n", at);
    return at != std::string_view::npos && json[at++] == wanted;
  };
  at += quoted.size();
  if (!skip(':') || !skip('"')) {
    return std::nullopt;
  }
  std::string text;
  for (; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] != '\\') {
      text += json[at];
    } else if (++at < json.size() && json[at] != 'u') {
      text += json[at];  // keys and tokens have "\/" at most
    } else {
      return std::nullopt;
    }
  }
  return at < json.size() ? std::optional(std::move(text)) : std::nullopt;
}

/// "2026-11-30T12:00:00Z" in seconds since 1970; never for what is not a time.
double time_of(const std::string& text) {
  std::tm time{};
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d", &time.tm_year, &time.tm_mon, &time.tm_mday, &time.tm_hour,
                  &time.tm_min, &time.tm_sec) != 6) {
    return std::numeric_limits<double>::infinity();
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  return static_cast<double>(::timegm(&time));
}

LentKeys keys_in(const std::function<std::string(std::string_view name)>& text, std::string_view token,
                 const std::string& from) {
  LentKeys keys;
  keys.signing.key = text("AccessKeyId");
  keys.signing.secret = text("SecretAccessKey");
  keys.signing.token = text(token);
  keys.expires = time_of(text("Expiration"));
  if (keys.signing.key.empty() || keys.signing.secret.empty()) {
    fail(Errc::io, "cannot get credentials from " + from + ": its answer has no keys", {.file = from});
  }
  return keys;
}

LentKeys keys_in_json(const std::string& json, const std::string& from) {
  return keys_in([&](std::string_view name) { return json_text(json, name).value_or(""); }, "Token", from);
}

Answer ask(Request request) {
  request.name = request.name.empty() ? request.url : request.name;
  const std::string name = request.name;
  Answer answer = exchange(std::move(request));
  if (!answer.succeeded()) {
    fail_answer("get credentials from", name, answer);
  }
  return answer;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    fail(Errc::io, "cannot read the token that stands for credentials", {.file = path});
  }
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

/// Keys by the place they are from, for all of the process.
class Lent {
 public:
  static Lent& of_process() {
    static PerProcess<Lent> lent;
    return lent.get();
  }
  /// Those of a place, which `find` asks if there are none or they are due. If it fails, those that are still valid.
  std::optional<LentKeys> get(const std::string& place, bool renew,
                              const std::function<std::optional<LentKeys>()>& find) {
    const std::unique_lock lock = Waiting::lock(mutex_);
    const auto known = places_.find(place);
    const bool is_new = known == places_.end();
    if (!is_new && !renew && (!known->second || !is_due(known->second->expires))) {
      return known->second;
    }
    const bool still_good = !is_new && !renew && known->second->expires > now();
    try {
      std::optional<LentKeys> found = find();
      return found || !still_good ? places_[place] = std::move(found) : known->second;
    } catch (const Error&) {
      if (!still_good) {
        throw;
      }
      return known->second;
    }
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::optional<LentKeys>> places_;
};

bool is_loopback(std::string_view url) {
  for (const std::string_view host : {"http://localhost", "http://127.", "http://[::1]", "http://169.254.170.2",
                                      "http://169.254.170.23", "http://[fd00:ec2::23]"}) {
    if (url.starts_with(host)) {
      const std::string_view rest = url.substr(host.size());
      return host.ends_with('.') || rest.empty() || rest[0] == '/' || rest[0] == ':';
    }
  }
  return false;
}

std::optional<LentKeys> keys_of_container(const std::string& url) {
  if (!url.starts_with("https://") && !is_loopback(url)) {
    fail(Errc::invalid_argument, "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https:// nor on this machine: " + url);
  }
  Request request;
  request.url = url;
  request.most_s = container_s;
  std::string token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    token = content_of(file);
  }
  if (token.find_first_of("\r\n") != std::string::npos) {
    fail(Errc::invalid_argument, "the authorization token of the container has more than one line");
  }
  if (!token.empty()) {
    request.headers.push_back("Authorization: " + token);
  }
  return keys_in_json(ask(std::move(request)).text, url);
}

/// Nothing where there is no such service, or no role.
std::optional<LentKeys> keys_of_instance(const std::string& endpoint) {
  try {
    Request request;
    request.method = "PUT";
    request.url = endpoint + "/latest/api/token";
    request.headers.emplace_back("X-aws-ec2-metadata-token-ttl-seconds: 21600");
    request.most_s = machine_s;
    const std::string token = "X-aws-ec2-metadata-token: " + ask(std::move(request)).text;
    if (token.find_first_of("\r\n") != std::string::npos) {
      return std::nullopt;
    }
    const auto get = [&](const std::string& path) {
      Request one;
      one.url = endpoint + "/latest/meta-data/iam/security-credentials/" + path;
      one.headers.push_back(token);
      one.most_s = machine_s;
      return ask(std::move(one)).text;
    };
    std::string role = get("");
    role = role.substr(0, role.find_first_of("\r\n"));
    return keys_in_json(get(percent_encoded(role, false)), endpoint);
  } catch (const Error& error) {
    if (error.code() != Errc::io && error.code() != Errc::not_found && error.code() != Errc::denied) {
      throw;
    }
    return std::nullopt;
  }
}

}  // namespace

bool is_due(double expires) { return now() + due_s > expires; }

std::optional<LentKeys> keys_of_web_identity(const std::string& region, bool renew) {
  const std::string file = environment("AWS_WEB_IDENTITY_TOKEN_FILE");
  const std::string role = environment("AWS_ROLE_ARN");
  if (file.empty() || role.empty()) {
    return std::nullopt;
  }
  std::string endpoint = environment("AWS_ENDPOINT_URL_STS");
  endpoint = endpoint.empty() ? "https://sts." + region + ".amazonaws.com" : endpoint;
  return Lent::of_process().get(message({endpoint, "\n", role, "\n", file}), renew, [&] {
    std::string session = environment("AWS_ROLE_SESSION_NAME");
    session = session.empty() ? "stele" : session;
    const std::string form =
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=" + percent_encoded(role, false) +
        "&RoleSessionName=" + percent_encoded(session, false) +
        "&WebIdentityToken=" + percent_encoded(content_of(file), false);
    Request request;
    request.method = "POST";
    request.url = endpoint + "/";
    request.name = endpoint;
    request.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
    request.content = std::as_bytes(std::span(form));
    const Answer answer = ask(std::move(request));
    return std::optional(keys_in([&](std::string_view name) { return std::string(xml_text(answer.text, name)); },
                                 "SessionToken", endpoint));
  });
}

std::optional<LentKeys> keys_of_machine(bool renew) {
  std::string container = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (const std::string path = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); !path.empty()) {
    container = "http://169.254.170.2" + path;
  }
  if (!container.empty()) {
    return Lent::of_process().get(container, renew, [&] { return keys_of_container(container); });
  }
  const std::string disabled = environment("AWS_EC2_METADATA_DISABLED");
  if (disabled == "true" || disabled == "TRUE" || disabled == "True") {
    return std::nullopt;
  }
  std::string endpoint = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  endpoint = endpoint.empty() ? "http://169.254.169.254" : endpoint;
  return Lent::of_process().get(endpoint, renew, [&] { return keys_of_instance(endpoint); });
}

}  // namespace stele::remote
