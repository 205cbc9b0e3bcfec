// Keys that services of the machine lend.

#include <ctime>

#include "remote/support.hpp"

namespace stele {
namespace {

class Roles : public Remote {
 protected:
  void SetUp() override {
    Remote::SetUp();
    for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"}) {
      ::unsetenv(name);
    }
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server_.endpoint());
    server_.put("/bucket/key", "content");
    server_.set_fault([this](const Server::Asked& asked, Server::Reply& reply) {
      for (const auto& [target, answer] : services_) {
        if (asked.target == target) {
          ++asked_;
          reply = answer(asked);
          return true;
        }
      }
      return refused_ && refused_(asked, reply);
    });
  }
  void TearDown() override {
    for (const std::string& name : set_) {
      ::unsetenv(name.c_str());
    }
    ::setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
  }
  void set(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }

  using Service = std::function<Server::Reply(const Server::Asked&)>;
  static std::string time_in(int seconds) {
    const std::time_t at = std::time(nullptr) + seconds;
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&at));
    return text;
  }
  static std::string json(const std::string& key, int seconds) {
    return R"({ "Code" : "Success", "AccessKeyId" : ")" + key +
           R"(", "SecretAccessKey" : "a\/b+c", "Token" : "T\/of-)" + key + R"(", "Expiration" : ")" + time_in(seconds) +
           "\"}";
  }
  /// What a machine of Amazon answers.
  void be_a_machine(const std::function<std::string()>& keys) {
    const auto with_token = [](const std::string& text) {
      return [text](const Server::Asked& asked) {
        const auto token = asked.headers.find("x-aws-ec2-metadata-token");
        return token != asked.headers.end() && token->second == "TOKEN" ? Server::Reply{200, text}
                                                                        : Server::Reply{401, ""};
      };
    };
    services_["/latest/api/token"] = [](const Server::Asked& asked) {
      const bool good = asked.method == "PUT" && asked.headers.contains("x-aws-ec2-metadata-token-ttl-seconds");
      return good ? Server::Reply{200, "TOKEN"} : Server::Reply{400, ""};
    };
    services_["/latest/meta-data/iam/security-credentials/"] = with_token("the role");
    services_["/latest/meta-data/iam/security-credentials/the%20role"] = [=](const Server::Asked& asked) {
      return with_token(keys())(asked);
    };
  }
  /// The key and the token that the last request to the bucket was signed with.
  std::pair<std::string, std::string> signed_with() {
    std::pair<std::string, std::string> found;
    for (const Server::Asked& asked : server_.log) {
      if (asked.target.starts_with("/bucket")) {
        const auto signature = asked.headers.find("authorization");
        const auto token = asked.headers.find("x-amz-security-token");
        found = {};
        if (signature != asked.headers.end()) {
          const std::size_t at = signature->second.find("Credential=") + 11;
          found.first = signature->second.substr(at, signature->second.find('/', at) - at);
        }
        if (token != asked.headers.end()) {
          found.second = token->second;
        }
      }
    }
    return found;
  }
  static std::string content() { return read(*file_source("s3://bucket/key"), 0, 7); }

  std::map<std::string, Service> services_;
  Server::Fault refused_;
  std::atomic<int> asked_ = 0;
  std::vector<std::string> set_;
};
using Signed = std::pair<std::string, std::string>;

TEST_F(Roles, OfAMachineAreAskedForOnce) {
  be_a_machine([] { return json("MACHINE", 3600); });
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(signed_with(), Signed("MACHINE", "T/of-MACHINE"));
  EXPECT_EQ(asked_, 3);
}

TEST_F(Roles, AreAskedForAgainBeforeTheyExpire) {
  int number = 0;
  be_a_machine([&] {
    ++number;
    return json("KEY" + std::to_string(number), number == 1 ? 60 : 3600);
  });
  const auto source = file_source("s3://bucket/key");
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(signed_with(), Signed("KEY2", "T/of-KEY2"));
  EXPECT_EQ(number, 2);
}

TEST_F(Roles, StayWhileTheyAreValidIfNoneCanBeHad) {
  bool down = false;
  be_a_machine([&] { return down ? "{}" : json("KEY", 60); });
  EXPECT_EQ(content(), "content");
  down = true;
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(signed_with(), Signed("KEY", "T/of-KEY"));
}

TEST_F(Roles, ThatTheStoreCallsExpiredAreReplaced) {
  int number = 0;
  be_a_machine([&] { return json("KEY" + std::to_string(++number), 3600); });
  refused_ = [](const Server::Asked& asked, Server::Reply& reply) {
    reply = {400, "<Error><Code>ExpiredToken</Code></Error>"};
    return asked.headers.at("authorization").find("KEY1/") != std::string::npos;
  };
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(signed_with(), Signed("KEY2", "T/of-KEY2"));
}

TEST_F(Roles, WithoutAServiceRequestsAreNotSigned) {
  services_["/latest/api/token"] = [](const Server::Asked&) { return Server::Reply{404, ""}; };
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(signed_with(), Signed());
  EXPECT_EQ(asked_, 1);
  set("AWS_EC2_METADATA_DISABLED", "true");
  EXPECT_EQ(content(), "content");
}

TEST_F(Roles, OfAContainer) {
  const test::Folder folder;
  const std::string file = folder / "token";
  test::put(file, std::as_bytes(std::span(std::string_view("secret\n"))));
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_.endpoint() + "/keys");
  services_["/keys"] = [](const Server::Asked& asked) {
    const auto token = asked.headers.find("authorization");
    return token != asked.headers.end() && token->second == "secret" ? Server::Reply{200, json("CONTAINER", 3600)}
                                                                     : Server::Reply{403, "no"};
  };
  EXPECT_EQ(code_of([] { content(); }), Errc::denied);
  set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file);
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(signed_with(), Signed("CONTAINER", "T/of-CONTAINER"));
  services_["/keys"] = [](const Server::Asked&) { return Server::Reply{200, R"({"AccessKeyId": "half"})"}; };
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_.endpoint() + "/keys?other");
  services_["/keys?other"] = services_["/keys"];
  EXPECT_ERROR(content(), Errc::io, "no keys");
  for (const char* far : {"http://10.0.0.1/keys", "http://169.254.170.200/keys", "http://localhost.example.org/"}) {
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", far);
    EXPECT_ERROR(content(), Errc::invalid_argument, "neither https");
  }
}

TEST_F(Roles, OfAWebIdentity) {
  const test::Folder folder;
  const std::string file = folder / "token";
  test::put(file, std::as_bytes(std::span(std::string_view("a.b-c=\n"))));
  set("AWS_WEB_IDENTITY_TOKEN_FILE", file);
  set("AWS_ROLE_ARN", "arn:aws:iam::1:role/reader");
  set("AWS_ENDPOINT_URL_STS", server_.endpoint());
  services_["/"] = [](const Server::Asked& asked) {
    const bool good = asked.method == "POST" && !asked.headers.contains("authorization") &&
                      asked.content ==
                          "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2F"
                          "reader&RoleSessionName=stele&WebIdentityToken=a.b-c%3D";
    return good ? Server::Reply{200,
                                "<R><Credentials><AccessKeyId>WEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
                                "<SessionToken>session</SessionToken><Expiration>" +
                                    time_in(3600) + "</Expiration></Credentials></R>"}
                : Server::Reply{400, "<Error><Code>InvalidIdentityToken</Code></Error>"};
  };
  EXPECT_EQ(content(), "content");
  EXPECT_EQ(signed_with(), Signed("WEB", "session"));
  EXPECT_EQ(asked_, 1);
  set("AWS_WEB_IDENTITY_TOKEN_FILE", folder / "none");
  EXPECT_ERROR(content(), Errc::io, "token");
}

}  // namespace
}  // namespace stele
