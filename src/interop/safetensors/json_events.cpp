#include "interop/safetensors/json_events.hpp"

#include "stele/error.hpp"

#if STELE_WITH_JSON

#include <nlohmann/json.hpp>

#include "base/float_mode.hpp"

namespace stele {
namespace {

class Forwarding final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Forwarding(JsonEvents& events) : events_(events) {}

  bool null() override { return scalar(Scalar::null, {}); }
  bool boolean(bool value) override { return scalar(Scalar::boolean, {.natural = value ? 1U : 0U}); }
  bool number_integer(number_integer_t value) override {
    return scalar(Scalar::negative, {.natural = static_cast<std::uint64_t>(value)});
  }
  bool number_unsigned(number_unsigned_t value) override { return scalar(Scalar::natural, {.natural = value}); }
  bool number_float(number_float_t value, const string_t&) override { return scalar(Scalar::real, {.real = value}); }
  bool string(string_t& value) override {
    events_.scalar(Scalar::text, {}, std::move(value));
    return true;
  }
  bool binary(binary_t& value) override {
    static_cast<void>(value);
    return false;  // JSON has none
  }
  bool start_object(std::size_t) override { return begin(true); }
  bool start_array(std::size_t) override { return begin(false); }
  bool key(string_t& value) override {
    events_.key(std::move(value));
    return true;
  }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    if (dynamic_cast<const nlohmann::detail::out_of_range*>(&error) != nullptr) {
      fail(Errc::out_of_range, "a number at byte " + std::to_string(position) + " does not fit a float");
    }
    fail(Errc::malformed, "no valid JSON at byte " + std::to_string(position));
  }

 private:
  using Scalar = JsonEvents::Scalar;

  bool scalar(Scalar kind, const JsonEvents::Number& number) {
    events_.scalar(kind, number, {});
    return true;
  }
  bool begin(bool is_object) {
    if (++depth_ > deepest_json) {
      fail(Errc::limit_exceeded,
           "lists and objects lie more than " + std::to_string(deepest_json) + " deep in each other");
    }
    events_.begin(is_object);
    return true;
  }
  bool end() {
    --depth_;
    events_.end();
    return true;
  }

  JsonEvents& events_;
  std::size_t depth_ = 0;
};

}  // namespace

void parse_json_events(std::string_view text, JsonEvents& events) {
  if (const std::size_t at = text.find('\0'); at != std::string_view::npos) {  // ends the text for the parser
    fail(Errc::malformed, "no valid JSON at byte " + std::to_string(at + 1));
  }
  const StandardFloats standard;
  Forwarding forwarding(events);
  if (!nlohmann::json::sax_parse(text, &forwarding)) {
    fail(Errc::malformed, "no valid JSON");
  }
}

}  // namespace stele

#else

namespace stele {

void parse_json_events(std::string_view, JsonEvents&) { fail(Errc::unsupported, "this build of stele reads no JSON"); }

}  // namespace stele

#endif  // STELE_WITH_JSON
