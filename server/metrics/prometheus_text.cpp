#include "server/metrics/prometheus_text.hpp"

#include <fmt/format.h>

#include <iterator>

namespace stentor::metrics {

namespace {

std::string_view name_of(Type type) noexcept {
    switch (type) {
        case Type::counter:
            return "counter";
        case Type::gauge:
            return "gauge";
        case Type::histogram:
            return "histogram";
    }
    return "untyped";
}

void append_escaped(std::string& out, std::string_view value) {
    for (const char c : value) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n') {
            out += "\\n";
        } else {
            out += c;
        }
    }
}

}  // namespace

void PrometheusText::family(std::string_view name, Type type, std::string_view help) {
    family_ = name;
    fmt::format_to(
        std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, name_of(type));
}

void PrometheusText::begin(std::string_view suffix, Labels labels) {
    text_.append(family_).append(suffix);
    char before = '{';
    for (const Label& label : labels) {
        text_.append(1, before).append(label.name).append("=\"");
        append_escaped(text_, label.value);
        text_ += '"';
        before = ',';
    }
    text_.append(labels.size() == 0 ? " " : "} ");
}

void PrometheusText::number(double value) {
    fmt::format_to(std::back_inserter(text_), "{:.12g}\n", value);
}

void PrometheusText::sample(Labels labels, std::uint64_t value) {
    begin("", labels);
    fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

void PrometheusText::sample(Labels labels, double value) {
    begin("", labels);
    number(value);
}

void PrometheusText::counter(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, Type::counter, help);
    sample({}, value);
}

void PrometheusText::gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, Type::gauge, help);
    sample({}, value);
}

void PrometheusText::histogram(const Histogram& histogram, double unit) {
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < Histogram::kBounds; ++i) {
        below += histogram.counts[i];
        const std::string bound =
            fmt::format("{:.12g}", static_cast<double>(Histogram::bound(i)) * unit);
        begin("_bucket", {{"le", bound}});
        fmt::format_to(std::back_inserter(text_), "{}\n", below);
    }
    below += histogram.counts[Histogram::kBounds];
    begin("_bucket", {{"le", "+Inf"}});
    fmt::format_to(std::back_inserter(text_), "{}\n", below);
    begin("_sum", {});
    number(static_cast<double>(histogram.sum) * unit);
    begin("_count", {});
    fmt::format_to(std::back_inserter(text_), "{}\n", below);
}

}  // namespace stentor::metrics
