#include "server/config/mosquitto_file.hpp"

#include "server/config/text_file.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

namespace stentor::config {
namespace {

namespace fs = std::filesystem;

constexpr int kIncludesDeepMax = 8;  // a directory that includes itself

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t\r");
    if (begin == text.npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

class Reader {
  public:
    Result<void, Diagnostic> read(const std::string& path, const MosquittoLine* from) {
        auto content = read_text_file(path, kConfigFileBytesMax);
        if (!content) return failure(path, from, content.error().what, content.error().hint);
        std::string_view rest = *content;
        for (std::uint32_t number = 1; !rest.empty(); ++number) {
            const auto end = std::min(rest.find('\n'), rest.size());
            STENTOR_TRY_VOID(take(path, number, rest.substr(0, end)));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return {};
    }

    std::vector<MosquittoLine> lines;

  private:
    Result<void, Diagnostic> take(const std::string& path,
                                  std::uint32_t number,
                                  std::string_view whole) {
        const std::string_view text = trimmed(whole);
        if (text.empty() || text.front() == '#') return {};
        const auto end = std::min(text.find_first_of(" \t"), text.size());
        MosquittoLine line;
        line.name = text.substr(0, end);
        line.value = trimmed(text.substr(end));
        line.source = path;
        line.place = {.line = number,
                      .column = static_cast<std::uint32_t>(whole.find(text.front())) + 1,
                      .length = static_cast<std::uint32_t>(text.size())};
        line.text = std::string{whole.substr(0, whole.find_last_not_of(" \t\r") + 1)};
        if (line.name == "include_dir") return include(line);
        lines.push_back(std::move(line));
        return {};
    }

    Result<void, Diagnostic> include(const MosquittoLine& line) {
        if (deep_ == kIncludesDeepMax) return line.says("this includes itself");
        std::vector<std::string> files;
        std::error_code error;
        for (fs::directory_iterator at{line.value, error}, end; !error && at != end;
             at.increment(error)) {
            if (at->path().extension() == ".conf") files.push_back(at->path().string());
        }
        if (error) return line.says("this directory cannot be read: " + error.message());
        std::sort(files.begin(), files.end());
        ++deep_;
        for (const std::string& file : files) STENTOR_TRY_VOID(read(file, &line));
        --deep_;
        return {};
    }

    static Diagnostic failure(const std::string& path,
                              const MosquittoLine* from,
                              const std::string& what,
                              const std::string& hint) {
        if (from != nullptr) return from->says(path + ": " + what, hint);
        return {.source = path, .place = {}, .line_text = {}, .what = what, .hint = hint};
    }

    int deep_ = 0;
};

}  // namespace

std::string MosquittoLine::where() const {
    return fs::path{source}.filename().string() + ':' + std::to_string(place.line);
}

Diagnostic MosquittoLine::says(std::string what, std::string hint) const {
    return {.source = source,
            .place = place,
            .line_text = text,
            .what = std::move(what),
            .hint = std::move(hint)};
}

Result<std::vector<MosquittoLine>, Diagnostic> read_mosquitto_file(const std::string& path) {
    Reader reader;
    STENTOR_TRY_VOID(reader.read(path, nullptr));
    return std::move(reader.lines);
}

}  // namespace stentor::config
