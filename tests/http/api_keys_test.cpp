#include "serving/http/api_keys.h"

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "tests/support/expect_error.h"

namespace llm::http {
namespace {

int status_of(const ApiKeys& keys, const std::string& header, Scope scope) {
  try {
    keys.authorize(header, scope);
    return 200;
  } catch (const HttpError& error) {
    return error.status();
  }
}

TEST(ApiKeys, WithoutKeysAllIsOpen) {
  const ApiKeys keys;
  EXPECT_TRUE(keys.empty());
  EXPECT_EQ(keys.authorize("", Scope::admin), "");
}

TEST(ApiKeys, OneCharacterOffIsAsWrongAsNone) {
  const ApiKeys keys({"sk-right-key"});
  for (const char* header :
       {"", "Bearer", "Bearer ", "Bearer wrong", "Bearer sk-right-ke", "Bearer sk-right-keyy",
        "Bearer SK-RIGHT-KEY", "Basic sk-right-key", "sk-right-key", "Bearersk-right-key",
        "Bearer\tsk-right-key", "Bearer sk-right-key x", "Token Bearer sk-right-key"}) {
    for (const Scope scope : {Scope::any_key, Scope::generate, Scope::embed, Scope::admin}) {
      EXPECT_EQ(status_of(keys, header, scope), 401) << header;
    }
    EXPECT_EQ(status_of(keys, header, Scope::open), 200) << header;
  }
  for (const char* header :
       {"Bearer sk-right-key", "bearer sk-right-key", "BEARER   sk-right-key"}) {
    EXPECT_EQ(keys.authorize(header, Scope::admin), sha256_hex("sk-right-key").substr(0, 8));
  }
}

TEST(ApiKeys, TheRefusalSaysWhatIsMissingAndNoMore) {
  const ApiKeys keys({"secret"});
  try {
    keys.authorize("Bearer guess", Scope::generate);
    ADD_FAILURE();
  } catch (const HttpError& error) {
    EXPECT_EQ(error.message(), "missing or wrong API key");
    EXPECT_EQ(error.code(), "invalid_api_key");
    EXPECT_EQ(error.headers, (Headers{{"WWW-Authenticate", "Bearer"}}));
  }
}

TEST(ApiKeys, AScopeOpensItsOwnRoutes) {
  const ApiKeys keys({"all", "gen:generate", "two:embed,generate", "adm:admin"});
  const auto allowed = [&](const std::string& key) {
    std::string text;
    for (const Scope scope : {Scope::any_key, Scope::generate, Scope::embed, Scope::admin}) {
      const int status = status_of(keys, "Bearer " + key, scope);
      text += status == 200 ? '+' : status == 403 ? '-' : '?';
    }
    return text;
  };
  EXPECT_EQ(allowed("all"), "++++");
  EXPECT_EQ(allowed("gen"), "++--");
  EXPECT_EQ(allowed("two"), "+++-");
  EXPECT_EQ(allowed("adm"), "+--+");
  EXPECT_EQ(allowed("gen:generate"), "????");
  try {
    keys.authorize("Bearer gen", Scope::admin);
    ADD_FAILURE();
  } catch (const HttpError& error) {
    EXPECT_EQ(error.message(), "this API key does not allow 'admin'");
    EXPECT_EQ(error.code(), "insufficient_scope");
  }
}

TEST(ApiKeys, MessagesNameAKeyByItsNumber) {
  const auto refuse = [](const std::vector<std::string>& given, const std::string& message) {
    expect_error([&] { ApiKeys keys(given); }, Exit::usage, message);
  };
  refuse({"good", ""}, "api key 2: must be printable characters without spaces");
  refuse({"a b"}, "api key 1: must be printable characters without spaces");
  refuse({":generate"}, "api key 1: must be printable characters without spaces");
  const std::string scopes = "api key 1: after the colon come scopes: generate, embed, admin";
  for (const char* text :
       {"key:", "key:secret", "key:generate,", "key:generate,,embed", "key:Admin"}) {
    refuse({text}, scopes);
  }
  refuse({"k", "k:admin"}, "api key 2: is given twice");
}

TEST(ApiKeys, OnlyNamesOfThisMachineAreAnsweredOnItAlone) {
  const auto with_host = [](const std::string& host) {
    Request request;
    request.headers = {{"Accept", "*/*"}, {"hOsT", host}};
    return request;
  };
  for (const char* host :
       {"localhost", "localhost:8000", "LocalHost:1", "localhost:", "127.0.0.1", "127.0.0.1:8000",
        "127.8.0.1:80", "[::1]", "[::1]:8000", "[::ffff:127.0.0.1]:9"}) {
    EXPECT_NO_THROW(require_loopback_name(with_host(host))) << host;
  }
  EXPECT_NO_THROW(require_loopback_name(Request{}));  // HTTP/1.0
  for (const char* host : {"evil.example",
                           "evil.example:8000",
                           "localhost.evil.example",
                           "127.0.0.1.evil.example",
                           "evil.example:localhost",
                           "localhost:80x",
                           "localhost@evil.example",
                           "128.0.0.1",
                           "127.1",
                           "0.0.0.0",
                           "[::1",
                           "[::1]x",
                           "[::]",
                           "::1",
                           "[2001:db8::1]:80",
                           "localhost.",
                           " ",
                           "",
                           "[",
                           "[]",
                           ":8000"}) {
    try {
      require_loopback_name(with_host(host));
      ADD_FAILURE() << host;
    } catch (const HttpError& error) {
      EXPECT_EQ(error.status(), 403) << host;
      EXPECT_EQ(error.code(), "host_not_allowed") << host;
    }
  }
  try {
    require_loopback_name(with_host("evil.example\x1b:1"));
    ADD_FAILURE();
  } catch (const HttpError& error) {
    EXPECT_EQ(error.message(),
              "Host: 'evil.example?:1' is no name of this machine; without --api-key only "
              "localhost, 127.0.0.1 and [::1] are answered");
  }
}

TEST(ApiKeys, APublicHostNeedsAKey) {
  for (const char* host :
       {"127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost", "::ffff:127.0.0.1"}) {
    EXPECT_NO_THROW(refuse_public_bind(host, false, false)) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "192.168.1.5", "example.org", "128.0.0.1", "", "127.1",
                           "::ffff:10.0.0.1"}) {
    expect_error([&] { refuse_public_bind(host, false, false); }, Exit::usage,
                 fmt::format("refusing to listen on {} without --api-key", host),
                 "--insecure to allow");
    EXPECT_NO_THROW(refuse_public_bind(host, true, false));
    EXPECT_NO_THROW(refuse_public_bind(host, false, true));
  }
}

}  // namespace
}  // namespace llm::http
