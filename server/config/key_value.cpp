// Values of keys: understood from text and TOML, and written back.
#include "base/suggest.hpp"
#include "server/config/options_table.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

namespace stentor::config {
namespace {

using Assigned = Result<void, ValueError>;

std::string quoted(std::string_view text) {
    std::string out{"\""};
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

std::string joined(const std::vector<std::string_view>& words, std::string_view last_separator) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i != 0) out += i + 1 == words.size() ? last_separator : ", ";
        out += words[i];
    }
    return out;
}

/// How people call what they wrote.
std::string_view type_name(const RawValue& value) noexcept {
    struct Namer {
        std::string_view operator()(const std::string&) const noexcept { return "a text"; }
        std::string_view operator()(std::int64_t) const noexcept { return "a number"; }
        std::string_view operator()(double) const noexcept { return "a number with a fraction"; }
        std::string_view operator()(bool) const noexcept { return "true or false"; }
        std::string_view operator()(const std::vector<std::string>&) const noexcept {
            return "a list";
        }
        std::string_view operator()(const FromText&) const noexcept { return "a text"; }
        std::string_view operator()(const OtherType& other) const noexcept { return other.name; }
    };
    return std::visit(Namer{}, value);
}

ValueError wrong_type(const Key& key, const RawValue& value, std::string hint = {}) {
    return {.what = "expected " + describe_values(key) + ", not " + std::string{type_name(value)},
            .hint = std::move(hint)};
}

ValueError out_of_range(const Key& key, const std::string& given) {
    return {.what = given + " is out of range", .hint = "give " + describe_values(key)};
}

/// The text, whether it stood in quotes or came from the environment.
const std::string* text_of(const RawValue& value) noexcept {
    if (const auto* text = std::get_if<std::string>(&value)) return text;
    if (const auto* loose = std::get_if<FromText>(&value)) return &loose->text;
    return nullptr;
}

Result<std::int64_t, ValueError> number_of(const Key& key, const RawValue& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
    if (const auto* loose = std::get_if<FromText>(&value)) {
        std::int64_t number = 0;
        const char* const end = loose->text.data() + loose->text.size();
        const auto read = std::from_chars(loose->text.data(), end, number);
        if (read.ec == std::errc{} && read.ptr == end) return number;
        return ValueError{.what = quoted(loose->text) + " is not a whole number",
                          .hint = "give " + describe_values(key)};
    }
    const auto* text = std::get_if<std::string>(&value);
    const bool quoted_number = text != nullptr && !text->empty() &&
                               text->find_first_not_of("0123456789") == std::string::npos;
    return wrong_type(key, value, quoted_number ? "write it without quotes: " + *text : "");
}

bool in_range(const Key& key, std::uint64_t value) noexcept {
    return value >= key.min && value <= key.max;
}

template <class T>
Assigned assign_count(const Key& key, T& to, const RawValue& value) {
    STENTOR_TRY(const std::int64_t number, number_of(key, value));
    if (number < 0 || !in_range(key, static_cast<std::uint64_t>(number)) ||
        static_cast<std::uint64_t>(number) > std::numeric_limits<T>::max()) {
        return out_of_range(key, std::to_string(number));
    }
    to = static_cast<T>(number);
    return {};
}

/// The text of a size or duration; a bare number becomes digits, so that the parser of units can
/// say how to write it.
std::optional<std::string> text_with_unit(const RawValue& value) {
    if (const auto* text = text_of(value)) return *text;
    const auto* number = std::get_if<std::int64_t>(&value);
    if (number == nullptr || *number < 0) return std::nullopt;
    return std::to_string(*number);
}

template <class T>
Assigned assign_size(const Key& key, T& to, const RawValue& value) {
    const auto text = text_with_unit(value);
    if (!text) return wrong_type(key, value);
    STENTOR_TRY(const std::uint64_t bytes, parse_size(*text));
    if (!in_range(key, bytes) || bytes > std::numeric_limits<T>::max()) {
        return out_of_range(key, quoted(*text));
    }
    to = static_cast<T>(bytes);
    return {};
}

Assigned assign_duration(const Key& key, Milliseconds& to, const RawValue& value) {
    const auto text = text_with_unit(value);
    if (!text) return wrong_type(key, value);
    STENTOR_TRY(const Milliseconds duration, parse_duration(*text));
    if (!in_range(key, static_cast<std::uint64_t>(duration.count()))) {
        return out_of_range(key, quoted(*text));
    }
    to = duration;
    return {};
}

Assigned assign_boolean(const Key& key, bool& to, const RawValue& value) {
    if (const auto* flag = std::get_if<bool>(&value)) {
        to = *flag;
        return {};
    }
    const auto* loose = std::get_if<FromText>(&value);
    if (loose != nullptr && (loose->text == "true" || loose->text == "false")) {
        to = loose->text == "true";
        return {};
    }
    const auto* text = std::get_if<std::string>(&value);
    const bool quoted_flag = text != nullptr && (*text == "true" || *text == "false");
    return wrong_type(key, value, quoted_flag ? "write it without quotes: " + *text : "");
}

Assigned assign_text(const Key& key, std::string& to, const RawValue& value) {
    const std::string* text = text_of(value);
    if (text == nullptr) return wrong_type(key, value, "texts stand in quotes: \"...\"");
    if (text->find('\0') != std::string::npos) {
        return ValueError{.what = "a text cannot contain U+0000", .hint = {}};
    }
    if (key.check != nullptr) STENTOR_TRY_VOID(key.check(*text));
    to = *text;
    return {};
}

Assigned assign_list(const Key& key, std::vector<std::string>& to, const RawValue& value) {
    std::vector<std::string> items;
    if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
        items = *list;
    } else if (const auto* loose = std::get_if<FromText>(&value)) {
        std::string_view rest = loose->text;
        while (!rest.empty()) {
            const auto comma = std::min(rest.find(','), rest.size());
            items.emplace_back(rest.substr(0, comma));
            rest.remove_prefix(std::min(comma + 1, rest.size()));
        }
    } else {
        const auto* text = std::get_if<std::string>(&value);
        return wrong_type(key, value, text != nullptr ? "write [" + quoted(*text) + "]" : "");
    }
    if (key.check != nullptr) {
        for (const std::string& item : items) STENTOR_TRY_VOID(key.check(item));
    }
    to = std::move(items);
    return {};
}

Assigned assign_url(const Key& key, ListenUrl& to, const RawValue& value) {
    const std::string* text = text_of(value);
    if (text == nullptr) return wrong_type(key, value, "for example \"mqtt://127.0.0.1:1883\"");
    auto url = parse_listen_url(*text);
    if (!url) {
        UrlError error = std::move(url).error();
        return ValueError{.what = std::move(error.what), .hint = std::move(error.hint)};
    }
    to = *std::move(url);
    return {};
}

Assigned assign_choice(const Key& key,
                       const ChoiceAccessor& accessor,
                       Target target,
                       const RawValue& value) {
    const std::string* text = text_of(value);
    if (text == nullptr) return wrong_type(key, value);
    for (std::size_t i = 0; i < key.choices.size(); ++i) {
        if (key.choices[i] != *text) continue;
        accessor.set(target, static_cast<std::uint8_t>(i));
        return {};
    }
    const std::string_view guess = nearest(*text, key.choices);
    return ValueError{.what = quoted(*text) + " is not one of " + joined(key.choices, " and "),
                      .hint = guess.empty() ? "" : "did you mean " + quoted(guess) + "?"};
}

struct Assigner {
    const Key& key;
    Target target;
    const RawValue& value;

    Assigned operator()(Accessor<std::string> at) const {
        return assign_text(key, at(target), value);
    }
    Assigned operator()(Accessor<Milliseconds> at) const {
        return assign_duration(key, at(target), value);
    }
    Assigned operator()(Accessor<bool> at) const { return assign_boolean(key, at(target), value); }
    Assigned operator()(Accessor<std::vector<std::string>> at) const {
        return assign_list(key, at(target), value);
    }
    Assigned operator()(Accessor<ListenUrl> at) const { return assign_url(key, at(target), value); }
    Assigned operator()(const ChoiceAccessor& at) const {
        return assign_choice(key, at, target, value);
    }
    template <class T>
    Assigned operator()(Accessor<T> at) const {
        if (key.kind == Kind::size) return assign_size(key, at(target), value);
        return assign_count(key, at(target), value);
    }
};

struct Formatter {
    const Key& key;
    Target target;

    std::string operator()(Accessor<std::string> at) const { return quoted(at(target)); }
    std::string operator()(Accessor<Milliseconds> at) const {
        const Milliseconds duration = at(target);
        return duration.count() == 0 ? "0" : quoted(format_duration(duration));
    }
    std::string operator()(Accessor<bool> at) const { return at(target) ? "true" : "false"; }
    std::string operator()(Accessor<std::vector<std::string>> at) const {
        std::string out{"["};
        for (const std::string& item : at(target)) {
            if (out.size() > 1) out += ", ";
            out += quoted(item);
        }
        return out + ']';
    }
    std::string operator()(Accessor<ListenUrl> at) const { return quoted(to_string(at(target))); }
    std::string operator()(const ChoiceAccessor& at) const {
        return quoted(key.choices[at.get(target)]);
    }
    template <class T>
    std::string operator()(Accessor<T> at) const {
        const std::uint64_t number = at(target);
        if (key.kind == Kind::size && number != 0) return quoted(format_size(number));
        return std::to_string(number);
    }
};

std::string described_range(const Key& key, std::string_view noun) {
    const auto format = [&](std::uint64_t value) {
        if (key.kind == Kind::size) return format_size(value);
        if (key.kind == Kind::duration) {
            return format_duration(Milliseconds{static_cast<std::int64_t>(value)});
        }
        return std::to_string(value);
    };
    return std::string{noun} + " from " + format(key.min) + " to " + format(key.max);
}

}  // namespace

Result<void, ValueError> assign(const Key& key, Target target, const RawValue& value) {
    if (key.status == Status::in_effect) return std::visit(Assigner{key, target, value}, key.field);
    // A planned key: understood like any other, but only its default may stand there.
    Options options;
    ListenerOptions listener;
    STENTOR_TRY_VOID(std::visit(Assigner{key, Target{options, listener}, value}, key.field));
    const bool is_default =
        std::visit(Formatter{key, Target{options, listener}}, key.field) == format_default(key);
    if (is_default) return {};
    return ValueError{.what = "this version of stentor does not do that yet",
                      .hint = "remove the key, or leave it at its default " + format_default(key)};
}

std::string format_value(const Key& key, const Options& options) {
    // Accessors are for writing too; a copy is cheap enough for what this is used for.
    Options copy = options;
    ListenerOptions listener;
    return std::visit(Formatter{key, Target{copy, listener}}, key.field);
}

std::string format_value(const Key& key, const ListenerOptions& listener) {
    Options options;
    ListenerOptions copy = listener;
    return std::visit(Formatter{key, Target{options, copy}}, key.field);
}

std::string format_default(const Key& key) {
    return key.of_listener() ? format_value(key, ListenerOptions{}) : format_value(key, Options{});
}

std::string describe_values(const Key& key) {
    switch (key.kind) {
        case Kind::text:
            return "a text";
        case Kind::count:
            return described_range(key, "a whole number");
        case Kind::size:
            return described_range(key, "a size");
        case Kind::duration:
            return described_range(key, "a duration");
        case Kind::boolean:
            return "true or false";
        case Kind::choice:
            return joined(key.choices, " or ");
        case Kind::list:
            return "a list of texts";
        case Kind::url:
            return "a listener URL";
    }
    STENTOR_ASSERT(false, "kinds are closed");
}

}  // namespace stentor::config
