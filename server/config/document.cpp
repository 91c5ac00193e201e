#include "server/config/document.hpp"

#include "server/config/options_table.hpp"
#include "server/config/syntax_mistake.hpp"
#include "server/config/unknown_key.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <sstream>
#include <utility>

// toml++ 3.3 asserts, and with NDEBUG lets the compiler assume, that "[" is followed by a key; on
// "[{" it would abort or worse. Without either it goes on to report the error, which is right.
#undef NDEBUG
#define TOML_ASSERT(expr) static_assert(true)
#define TOML_EXCEPTIONS 0         // NOLINT(readability-identifier-naming): the library's name
#define TOML_ENABLE_FORMATTERS 0  // NOLINT(readability-identifier-naming): the library's name
#include <toml++/toml.h>

namespace stentor::config {
namespace {

constexpr std::size_t kSyntaxErrorsMax = 20;

FilePlace place_of(const toml::source_region& region) noexcept {
    FilePlace place{.line = region.begin.line, .column = region.begin.column};
    if (region.end.line == region.begin.line && region.end.column > region.begin.column) {
        place.length = region.end.column - region.begin.column;
    }
    return place;
}

RawValue raw_value(const toml::node& node) {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* number = node.as_integer()) return number->get();
    if (const auto* number = node.as_floating_point()) return number->get();
    if (const auto* flag = node.as_boolean()) return flag->get();
    if (const auto* array = node.as_array()) {
        std::vector<std::string> items;
        for (const toml::node& item : *array) {
            const auto* text = item.as_string();
            if (text == nullptr) return OtherType{"a list of other things than texts"};
            items.push_back(text->get());
        }
        return items;
    }
    return node.is_table() ? OtherType{"a table"} : OtherType{"a date or time"};
}

/// Walks the tables of one parsed file.
class Walker {
  public:
    Walker(std::string_view text,
           const std::string& file_name,
           Options& options,
           Origins& origins,
           std::vector<Diagnostic>& errors)
        : text_{text},
          file_name_{file_name},
          options_{options},
          origins_{origins},
          errors_{errors} {}

    void walk_file(const toml::table& root) {
        const std::size_t first = errors_.size();
        for (const auto& [name, node] : root) {
            const FilePlace place = place_of(name.source());
            if (name.str() == "listener") {
                walk_listeners(node, place);
            } else if (const toml::table* table = node.as_table();
                       table != nullptr && is_section(name.str())) {
                walk_table(*table, std::string{name.str()}, std::string{name.str()}, unused_);
            } else if (is_section(name.str())) {
                const std::string section{name.str()};
                fail(place, section + " is a section, not a value", "write [" + section + "]");
            } else {
                fail(place, unknown_key("", name.str()));
            }
        }
        // Tables are kept by name; people read by line.
        std::stable_sort(errors_.begin() + static_cast<std::ptrdiff_t>(first),
                         errors_.end(),
                         [](const Diagnostic& a, const Diagnostic& b) {
                             return std::pair{a.place.line, a.place.column} <
                                    std::pair{b.place.line, b.place.column};
                         });
    }

  private:
    static bool is_section(std::string_view path) {
        return std::any_of(sections().begin(), sections().end(), [&](const Section& section) {
            return section.path == path;
        });
    }

    void walk_listeners(const toml::node& node, FilePlace place) {
        const toml::array* array = node.as_array();
        if (array == nullptr || !array->is_homogeneous<toml::table>()) {
            const bool empty = array != nullptr && array->empty();
            fail(place,
                 empty ? "there is no listener: nobody could connect" : "listeners are a list",
                 "write [[listener]] with two brackets, and url = \"mqtt://127.0.0.1:1883\" below");
            return;
        }
        options_.listeners.clear();
        for (const toml::node& item : *array) {
            const std::string origin = "listener." + std::to_string(options_.listeners.size());
            ListenerOptions& listener = options_.listeners.emplace_back();
            const toml::table& table = *item.as_table();
            if (!table.contains("url")) {
                fail(place_of(item.source()),
                     "this listener has no url",
                     "for example url = \"mqtt://0.0.0.0:1883\"");
            }
            walk_table(table, "listener", origin, listener);
        }
    }

    /// `section` is the path in the table of keys, `origin` the same with the listener's number.
    // NOLINTNEXTLINE(misc-no-recursion): the depth is that of the table of sections
    void walk_table(const toml::table& table,
                    const std::string& section,
                    const std::string& origin,
                    ListenerOptions& listener) {
        for (const auto& [name, node] : table) {
            const std::string path = section + '.' + std::string{name.str()};
            const std::string path_here = origin + '.' + std::string{name.str()};
            if (const Key* key = find_key(path)) {
                take(*key, node, path_here, listener);
            } else if (!is_section(path)) {
                fail(place_of(name.source()), unknown_key(section, name.str()));
            } else if (const toml::table* inner = node.as_table()) {
                walk_table(*inner, path, path_here, listener);
            } else {
                fail(place_of(node.source()),
                     path + " is a table, not a value",
                     std::string{name.str()} + " = { key = value, ... }");
            }
        }
    }

    void take(const Key& key,
              const toml::node& node,
              const std::string& path,
              ListenerOptions& listener) {
        const FilePlace place = place_of(node.source());
        auto done = assign(key, Target{options_, listener}, raw_value(node));
        if (done) {
            origins_[path] = Origin{file_name_, place, line(place)};
            return;
        }
        ValueError error = std::move(done).error();
        error.what = path + ": " + error.what;
        fail(place, std::move(error));
    }

    [[nodiscard]] std::string line(FilePlace place) const {
        return std::string{line_of(text_, place.line)};
    }

    void fail(FilePlace place, std::string what, std::string hint) {
        fail(place, ValueError{.what = std::move(what), .hint = std::move(hint)});
    }
    void fail(FilePlace place, ValueError error) {
        errors_.push_back(Diagnostic{.source = file_name_,
                                     .place = place,
                                     .line_text = line(place),
                                     .what = std::move(error.what),
                                     .hint = std::move(error.hint)});
    }

    std::string_view text_;
    const std::string& file_name_;
    Options& options_;
    Origins& origins_;
    std::vector<Diagnostic>& errors_;
    ListenerOptions unused_;  // what keys outside [[listener]] are given
};

/// Replaces one line by blanks, so that what follows keeps its place.
void blank_line(std::string& text, std::uint32_t line) {
    const std::string_view bad = line_of(text, line);
    const auto offset = static_cast<std::size_t>(bad.data() - text.data());
    std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(offset), bad.size(), ' ');
}

}  // namespace

void read_document(std::string_view text,
                   const std::string& file_name,
                   Options& options,
                   Origins& origins,
                   std::vector<Diagnostic>& errors) {
    std::vector<Diagnostic> syntax_errors;
    std::string rest{text};
    bool readable = true;  // what remains still means what it did
    std::uint32_t last_line = 0;
    while (true) {
        const toml::parse_result parsed = toml::parse(std::string_view{rest});
        if (parsed) {
            std::vector<Diagnostic> others;
            if (readable) {
                Walker{text, file_name, options, origins, others}.walk_file(parsed.table());
            }
            errors.insert(errors.end(), syntax_errors.begin(), syntax_errors.end());
            errors.insert(errors.end(), others.begin(), others.end());
            return;
        }
        const FilePlace place = place_of(parsed.error().source());
        const std::string line{line_of(text, place.line)};
        const std::string_view about = parsed.error().description();
        SyntaxMistake mistake = explain_syntax(text, place, about);
        // A parser reports the first mistake only: take out its line and look for more.
        const bool further = place.line > last_line;
        last_line = place.line;
        // Without its header, a section's keys repeat those of the one above.
        if (further && (readable || !mistake.is_repetition)) {
            syntax_errors.push_back(Diagnostic{.source = file_name,
                                               .place = place,
                                               .line_text = line,
                                               .what = std::move(mistake.error.what),
                                               .hint = std::move(mistake.error.hint)});
        }
        if (!further || line.empty() || mistake.reach == SyntaxReach::rest ||
            syntax_errors.size() == kSyntaxErrorsMax) {
            break;
        }
        // Without its header, a section's keys would be blamed for being in the wrong one.
        readable =
            readable && !trimmed(line).starts_with('[') && line.find('=') != std::string::npos;
        blank_line(rest, place.line);
    }
    errors.insert(errors.end(), syntax_errors.begin(), syntax_errors.end());
}

}  // namespace stentor::config
