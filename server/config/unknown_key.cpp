#include "server/config/unknown_key.hpp"

#include "base/suggest.hpp"
#include "server/config/options_table.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace stentor::config {
namespace {

std::string quoted(std::string_view text) { return '"' + std::string{text} + '"'; }

std::string bracketed(std::string_view section) {
    const std::string name{section};
    return section == "listener" ? "[[" + name + "]]" : '[' + name + ']';
}

/// Names of the keys and sections directly below `section`.
std::vector<std::string_view> names_in(std::string_view section) {
    std::vector<std::string_view> names;
    for (const Key& key : keys()) {
        if (key.section() == section) names.push_back(key.name());
    }
    for (const Section& inner : sections()) {
        const auto dot = inner.path.rfind('.');
        const std::string_view parent =
            dot == std::string_view::npos ? "" : inner.path.substr(0, dot);
        if (parent == section) names.push_back(inner.path.substr(dot + 1));
    }
    return names;
}

std::string list_of(const std::vector<std::string_view>& names) {
    std::string out;
    for (const std::string_view name : names) out.append(out.empty() ? "" : ", ").append(name);
    return out;
}

/// A key of that very name in another section, or nothing.
const Key* namesake(std::string_view name) {
    for (const Key& key : keys()) {
        if (key.name() == name) return &key;
    }
    return nullptr;
}

}  // namespace

ValueError unknown_key(std::string_view section, std::string_view name) {
    const std::vector<std::string_view> candidates = names_in(section);
    ValueError error{.what = section.empty()
                                 ? "unknown section or key " + quoted(name)
                                 : "unknown key " + quoted(name) + " in " + bracketed(section),
                     .hint = {}};
    if (const Key* other = namesake(name)) {
        error.hint = quoted(name) + " belongs into " + bracketed(other->section());
    } else if (const std::string_view guess = nearest(name, candidates); !guess.empty()) {
        error.hint = "did you mean " + quoted(guess) + "?";
    } else if (section.empty()) {
        error.hint = "sections are " + list_of(candidates);
    } else {
        error.hint = bracketed(section) + " has " + list_of(candidates);
    }
    return error;
}

ValueError unknown_path(std::string_view path) {
    ValueError error{.what = "unknown key " + quoted(path), .hint = {}};
    std::vector<std::string_view> paths;
    for (const Key& key : keys()) paths.push_back(key.path);
    const auto is_in_section = [&](std::string_view key) {
        return key.starts_with(path) && key.substr(path.size()).starts_with('.');
    };
    if (std::any_of(paths.begin(), paths.end(), is_in_section)) {
        error.what = quoted(path) + " is a section";
        error.hint = "a key of it is set like this: " + std::string{path} + ".KEY=VALUE";
        return error;
    }
    if (const std::string_view guess = nearest(path, paths); !guess.empty()) {
        error.hint = "did you mean " + quoted(guess) + "?";
    } else if (const Key* other = namesake(path.substr(path.rfind('.') + 1))) {
        error.hint = "did you mean " + quoted(other->path) + "?";
    } else {
        error.hint = "`stentor check --print-reference` lists all keys";
    }
    return error;
}

}  // namespace stentor::config
