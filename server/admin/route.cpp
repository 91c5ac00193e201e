#include "server/admin/route.hpp"

namespace stentor::admin {

std::optional<std::string_view> path_value(std::string_view pattern, std::string_view path) {
    const std::size_t open = pattern.find('{');
    if (open == std::string_view::npos) {
        return path == pattern ? std::optional{std::string_view{}} : std::nullopt;
    }
    if (!path.starts_with(pattern.substr(0, open))) return std::nullopt;
    const std::size_t close = pattern.find('}', open);
    std::string_view value = path.substr(open);
    if (pattern.substr(open, close - open).ends_with("...")) return value;
    const std::string_view tail = pattern.substr(close + 1);
    if (!value.ends_with(tail)) return std::nullopt;
    value.remove_suffix(tail.size());
    if (value.empty() || value.find('/') != std::string_view::npos) return std::nullopt;
    return value;
}

std::string documented_path(std::string_view pattern) {
    std::string path{pattern};
    if (const std::size_t dots = path.find("..."); dots != std::string::npos) path.erase(dots, 3);
    return path;
}

}  // namespace stentor::admin
