#pragma once
// Prometheus' text format, version 0.0.4: families of samples, each with help and type, as
// `promtool check metrics` wants them.
// A value being written; one thread.
//
//     text.family("stentor_sessions", Type::gauge, "Sessions.");
//     text.sample({{"state", "connected"}}, 12);

#include "server/metrics/histogram.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace stentor::metrics {

enum class Type : std::uint8_t { counter, gauge, histogram };

class PrometheusText {
  public:
    static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

    struct Label {
        std::string_view name;
        std::string_view value;
    };
    using Labels = std::initializer_list<Label>;

    /// The samples that follow belong to it. Each family once.
    void family(std::string_view name, Type type, std::string_view help);

    void sample(Labels labels, std::uint64_t value);
    void sample(Labels labels, double value);
    /// A family of one sample.
    void counter(std::string_view name, std::string_view help, std::uint64_t value);
    void gauge(std::string_view name, std::string_view help, std::uint64_t value);
    /// Of a family of Type::histogram: buckets, sum and count. `unit` turns what was added into
    /// what is shown (1e-6: microseconds into seconds).
    void histogram(const Histogram& histogram, double unit);

    [[nodiscard]] std::string take() noexcept { return std::move(text_); }

  private:
    void begin(std::string_view suffix, Labels labels);
    void number(double value);

    std::string text_;
    std::string family_;
};

}  // namespace stentor::metrics
