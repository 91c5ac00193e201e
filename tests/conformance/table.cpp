#include "tests/conformance/table.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <sstream>

namespace stentor::conformance {
namespace {

using std::chrono::milliseconds;

bool is_name(std::string_view text) {
    return !text.empty() && std::islower(static_cast<unsigned char>(text[0])) != 0 &&
           std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0; });
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// Splits at a two-character separator that stands outside quotes.
std::vector<std::string> split(std::string_view text, std::string_view separator) {
    std::vector<std::string> parts;
    std::size_t from = 0;
    char quote = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (quote != 0) {
            if (text[at] == '\\') {
                ++at;
            } else if (text[at] == quote) {
                quote = 0;
            }
        } else if (text[at] == '"' || text[at] == '\'') {
            quote = text[at];
        } else if (text.substr(at, 2) == separator) {
            parts.emplace_back(trim(text.substr(from, at - from)));
            from = at + 2;
            ++at;
        }
    }
    parts.emplace_back(trim(text.substr(from)));
    return parts;
}

milliseconds parse_duration(std::string_view text) {
    std::size_t digits = 0;
    while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])) != 0) {
        ++digits;
    }
    const std::string_view unit = text.substr(digits);
    using Unit = std::pair<std::string_view, std::int64_t>;
    static constexpr std::array<Unit, 5> kUnits{
        Unit{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
    const auto* found = std::ranges::find(kUnits, unit, &Unit::first);
    if (digits == 0 || found == kUnits.end()) throw std::invalid_argument{"not a duration"};
    return milliseconds{std::stoll(std::string{text.substr(0, digits)}) * found->second};
}

Step::Kind parse_word(std::string_view word) {
    if (word == "close") return Step::Kind::close;
    if (word == "nothing") return Step::Kind::nothing;
    if (word == "open") return Step::Kind::open;
    throw std::invalid_argument{"expected close, nothing or open behind the dot"};
}

Step parse_step(std::string_view line) {
    Step step;
    step.text = line;
    if (line[0] == '+') {
        step.kind = Step::Kind::advance;
        step.by = parse_duration(line.substr(1));
        return step;
    }
    if (line == "server stop") {
        step.kind = Step::Kind::stop;
        return step;
    }
    const auto end = line.find_first_of("<>=.!");
    if (end == std::string_view::npos) throw std::invalid_argument{"not a step"};
    std::string_view names = line.substr(0, end);
    while (true) {
        const auto bar = names.find('|');
        const std::string_view client = names.substr(0, bar);
        if (!is_name(client)) throw std::invalid_argument{"not a client's name"};
        step.clients.emplace_back(client);
        if (bar == std::string_view::npos) break;
        names.remove_prefix(bar + 1);
    }
    using Operator = std::pair<std::string_view, Step::Kind>;
    static constexpr std::array<Operator, 6> kOperators{Operator{">1", Step::Kind::send_bytewise},
                                                        {">", Step::Kind::send},
                                                        {"<=", Step::Kind::expect_acked},
                                                        {"<~", Step::Kind::expect_any_order},
                                                        {"<", Step::Kind::expect},
                                                        {"=", Step::Kind::complete}};
    const std::string_view rest = line.substr(end);
    if (rest[0] == '.') {
        step.kind = parse_word(trim(rest.substr(1)));
    } else if (rest[0] == '!') {
        if (trim(rest.substr(1)) != "drop") throw std::invalid_argument{"expected drop"};
        step.kind = Step::Kind::drop;
    } else {
        const auto* op = std::ranges::find_if(
            kOperators, [&](const Operator& one) { return rest.starts_with(one.first); });
        step.kind = op->second;
        const bool alternatives =
            step.kind == Step::Kind::expect || step.kind == Step::Kind::expect_acked;
        step.packets = split(rest.substr(op->first.size()), alternatives ? "||" : ";;");
    }
    const bool several_may =
        step.kind == Step::Kind::expect || step.kind == Step::Kind::expect_acked;
    if (step.clients.size() > 1 && !several_may) {
        throw std::invalid_argument{"several clients can only expect"};
    }
    return step;
}

std::vector<std::string> words(std::string_view text) {
    std::istringstream in{std::string{text}};
    std::vector<std::string> out;
    for (std::string word; in >> word;) out.push_back(word);
    return out;
}

void parse_head(Row& row, std::string_view line) {
    const auto bar = line.rfind('|');
    if (bar == std::string_view::npos) throw std::invalid_argument{"== title | clauses"};
    row.title = trim(line.substr(2, bar - 2));
    row.clauses = words(line.substr(bar + 1));
    if (row.title.empty() || row.clauses.empty()) {
        throw std::invalid_argument{"a row needs a title and at least one clause"};
    }
}

// `set`, `needs`, `file`; false for anything else.
bool parse_directive(Row& row, std::string_view line) {
    const auto space = line.find(' ');
    const std::string_view word = line.substr(0, space);
    const std::string_view rest = space == std::string_view::npos ? "" : trim(line.substr(space));
    if (word == "set") {
        const auto equals = rest.find('=');
        if (equals == std::string_view::npos) throw std::invalid_argument{"set key=value"};
        row.settings.emplace_back(rest.substr(0, equals), rest.substr(equals + 1));
    } else if (word == "needs") {
        for (auto& need : words(rest)) {
            static const std::set<std::string> kNeeds{"acl", "clock", "sim", "test-auth"};
            if (!kNeeds.contains(need)) throw std::invalid_argument{"nothing is called " + need};
            row.needs.insert(std::move(need));
        }
        if (row.needs.contains("sim") && row.needs.contains("acl")) {
            throw std::invalid_argument{"what needs sim and acl runs nowhere"};
        }
    } else if (word == "file") {
        const auto colon = rest.find(": ");
        if (colon == std::string_view::npos) throw std::invalid_argument{"file NAME: text"};
        row.files[std::string{rest.substr(0, colon)}]
            .append(rest.substr(colon + 2))
            .append(1, '\n');
    } else {
        return false;
    }
    return true;
}

void parse_line(std::vector<Row>& rows, std::string_view table, std::string_view line, int number) {
    if (line.starts_with("==")) {
        Row& row = rows.emplace_back();
        row.table = table;
        row.line = number;
        row.level = table.starts_with("v311/") ? 4 : 5;
        parse_head(row, line);
        return;
    }
    if (rows.empty()) throw std::invalid_argument{"a step before the first row"};
    Row& row = rows.back();
    if (row.steps.empty() && parse_directive(row, line)) return;
    Step step = parse_step(line);
    step.line = number;
    if (step.kind == Step::Kind::advance) row.needs.insert("clock");
    row.steps.push_back(std::move(step));
}

}  // namespace

std::string Row::test_name() const {
    std::string name;
    bool gap = false;
    const auto append = [&](std::string_view text) {
        for (const char c : text) {
            const std::string_view spelled = c == '#'   ? "hash"
                                             : c == '+' ? "plus"
                                             : c == '$' ? "dollar"
                                                        : "";
            if (spelled.empty() && std::isalnum(static_cast<unsigned char>(c)) == 0) {
                gap = true;
                continue;
            }
            if (gap && !name.empty()) name += '_';
            gap = false;
            name += spelled.empty() ? std::string_view{&c, 1} : spelled;
        }
        gap = true;
    };
    append(table);
    append(clauses.front());
    append(title);
    return name;
}

std::vector<Row> parse_table(std::string_view name, std::string_view text) {
    std::vector<Row> rows;
    std::istringstream in{std::string{text}};
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
        const std::string_view content = trim(line);
        if (content.empty() || content[0] == '#') continue;
        try {
            parse_line(rows, name, content, number);
        } catch (const std::logic_error& error) {
            throw BadTable{std::string{name} + ".txt:" + std::to_string(number) + ": " +
                           error.what() + ": " + std::string{content}};
        }
    }
    return rows;
}

std::vector<Row> load_tables(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    for (const char* version : {"v311", "v5"}) {
        for (const auto& entry : std::filesystem::directory_iterator{folder / version}) {
            if (entry.path().extension() == ".txt") paths.push_back(entry.path());
        }
    }
    std::ranges::sort(paths);
    std::vector<Row> rows;
    for (const auto& path : paths) {
        std::ifstream in{path};
        const std::string text{std::istreambuf_iterator<char>{in}, {}};
        const std::string name = path.parent_path().filename() / path.stem();
        for (auto& row : parse_table(name, text)) rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace stentor::conformance
