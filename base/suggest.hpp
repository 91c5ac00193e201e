#pragma once
// "Did you mean ...": the nearest of the names that exist.
// Pure. Any thread.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace stentor {

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
/// Costs size(a) * size(b) steps; callers bound what strangers can pass.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, or an empty view if none is near enough to be meant. Case, '-'
/// and '_' do not count as differences. The view is one of the candidates'.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> candidates);

}  // namespace stentor
