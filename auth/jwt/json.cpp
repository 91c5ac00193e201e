#include "auth/jwt/json.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace stentor::auth {
namespace {

namespace json = boost::json;

constexpr std::size_t kShownBytesMax = 64;
// The end of the year 9999: milliseconds, leeway included, stay far from overflowing.
constexpr double kUnixSecondsMax = 253'402'300'799.0;

/// Collects the names of the objects that are open, and stops at the second of a kind. Boost.JSON's
/// own handler would take the last one.
class UniqueNames {
  public:
    static constexpr std::size_t max_object_size = std::size_t(-1);
    static constexpr std::size_t max_array_size = std::size_t(-1);
    static constexpr std::size_t max_key_size = std::size_t(-1);
    static constexpr std::size_t max_string_size = std::size_t(-1);

    bool on_document_begin(json::error_code& /*error*/) { return true; }
    bool on_document_end(json::error_code& /*error*/) { return true; }
    bool on_object_begin(json::error_code& /*error*/) {
        open_.emplace_back();
        return true;
    }
    bool on_object_end(std::size_t /*size*/, json::error_code& /*error*/) {
        open_.pop_back();
        return true;
    }
    bool on_array_begin(json::error_code& /*error*/) { return true; }
    bool on_array_end(std::size_t /*size*/, json::error_code& /*error*/) { return true; }
    bool on_key_part(json::string_view part, std::size_t /*size*/, json::error_code& /*error*/) {
        name_.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view part, std::size_t /*size*/, json::error_code& error) {
        name_.append(part.data(), part.size());
        const bool is_new = open_.back().insert(name_).second;
        if (is_new) {
            name_.clear();
        } else {
            error = make_error_code(boost::system::errc::invalid_argument);
        }
        return is_new;
    }
    bool on_string_part(json::string_view /*s*/, std::size_t /*n*/, json::error_code& /*error*/) {
        return true;
    }
    bool on_string(json::string_view /*s*/, std::size_t /*n*/, json::error_code& /*error*/) {
        return true;
    }
    bool on_number_part(json::string_view /*s*/, json::error_code& /*error*/) { return true; }
    bool on_int64(std::int64_t /*i*/, json::string_view /*s*/, json::error_code& /*error*/) {
        return true;
    }
    bool on_uint64(std::uint64_t /*u*/, json::string_view /*s*/, json::error_code& /*error*/) {
        return true;
    }
    bool on_double(double /*d*/, json::string_view /*s*/, json::error_code& /*error*/) {
        return true;
    }
    bool on_bool(bool /*b*/, json::error_code& /*error*/) { return true; }
    bool on_null(json::error_code& /*error*/) { return true; }
    bool on_comment_part(json::string_view /*s*/, json::error_code& /*error*/) { return true; }
    bool on_comment(json::string_view /*s*/, json::error_code& /*error*/) { return true; }

    /// The one that stood twice; empty if none did.
    [[nodiscard]] const std::string& twice() const noexcept { return name_; }

  private:
    std::vector<std::set<std::string>> open_;
    std::string name_;
};

}  // namespace

Result<json::object, JsonMistake> parse_json_object(std::string_view text) {
    json::parse_options options;
    options.max_depth = kJsonDepthMax;
    json::basic_parser<UniqueNames> names{options};
    json::error_code error;
    const std::size_t read = names.write_some(false, text.data(), text.size(), error);
    if (error == boost::system::errc::invalid_argument) {
        const std::string name = names.handler().twice().substr(0, kShownBytesMax);
        return JsonMistake{.at = read, .what = '"' + name + "\" stands twice in an object"};
    }
    if (!error && read < text.size()) error = json::error::extra_data;
    if (error) return JsonMistake{.at = read, .what = error.message()};
    json::value value = json::parse({text.data(), text.size()}, error, {}, options);
    if (error) return JsonMistake{.at = 0, .what = error.message()};
    if (!value.is_object()) return JsonMistake{.at = 0, .what = "not a JSON object"};
    return std::move(value.get_object());
}

std::optional<std::int64_t> unix_ms_of(const json::value& date) noexcept {
    if (!date.is_number()) return std::nullopt;
    const auto seconds = date.to_number<double>();
    if (!std::isfinite(seconds)) return std::nullopt;
    return static_cast<std::int64_t>(std::clamp(seconds, -kUnixSecondsMax, kUnixSecondsMax) *
                                     1000.0);
}

std::vector<std::size_t> element_places(std::string_view object_text, std::string_view name) {
    std::vector<std::size_t> places;
    std::size_t depth = 0;
    bool inside = false;        // the array
    bool expects_one = false;   // an element begins with what comes
    std::string_view last_key;  // the last string at depth 1
    for (std::size_t i = 0; i < object_text.size(); ++i) {
        const char c = object_text[i];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ':') continue;
        if (expects_one && c != ']') {
            places.push_back(i);
            expects_one = false;
        }
        if (c == '"') {
            const std::size_t begin = i + 1;
            for (++i; i < object_text.size() && object_text[i] != '"'; ++i) {
                if (object_text[i] == '\\') ++i;
            }
            if (depth == 1) last_key = object_text.substr(begin, i - begin);
        } else if (c == '{' || c == '[') {
            ++depth;
            if (depth == 2 && c == '[' && last_key == name) inside = expects_one = true;
        } else if (c == '}' || c == ']') {
            if (depth-- == 2 && inside) return places;
        } else if (c == ',' && depth == 2 && inside) {
            expects_one = true;
        }
    }
    return places;
}

}  // namespace stentor::auth
