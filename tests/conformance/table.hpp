#pragma once
// Reads the conformance tables (README.md describes them) into rows of steps.
// Pure values; packets stay text here, because what they mean depends on the connection.

#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::conformance {

struct Step {
    enum class Kind {
        send,              // a>
        send_bytewise,     // a>1
        complete,          // a=    send, and expect the usual good answer
        expect,            // a<    one of `packets`
        expect_acked,      // a<=   and acknowledge it
        expect_any_order,  // a<~   all of `packets`
        close,
        nothing,
        open,
        drop,
        advance,  // +90s
        stop,     // server stop
    };
    Kind kind = Kind::nothing;
    std::vector<std::string> clients;  // several for `a|b<`, none for advance and stop
    std::vector<std::string> packets;
    std::chrono::milliseconds by{0};
    int line = 0;
    std::string text;
};

struct Row {
    std::string table;  // "v5/connect"
    int line = 0;
    std::string title;
    std::vector<std::string> clauses;
    int level = 5;  // protocol level of the folder: 4 or 5
    std::vector<std::pair<std::string, std::string>> settings;
    std::map<std::string, std::string> files;
    std::set<std::string> needs;  // "sim", "clock", "acl", ...
    std::vector<Step> steps;

    /// For GoogleTest: letters, digits and underscores, unique in a table.
    [[nodiscard]] std::string test_name() const;
};

/// what() is "file:line: why".
class BadTable : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Reads one table. `name` is its path below tests/conformance without ".txt"; its folder decides
/// the version.
[[nodiscard]] std::vector<Row> parse_table(std::string_view name, std::string_view text);

/// All tables below a folder, in the order of their names.
[[nodiscard]] std::vector<Row> load_tables(const std::filesystem::path& folder);

}  // namespace stentor::conformance
