#include "server/metrics/prometheus_text.hpp"

#include <gtest/gtest.h>

namespace stentor::metrics {
namespace {

TEST(PrometheusText, WritesFamiliesAndSamples) {
    PrometheusText text;
    text.family("stentor_sessions", Type::gauge, "Sessions.");
    text.sample({{"state", "connected"}, {"x", "a\"b\\c\nd"}}, std::uint64_t{12});
    text.sample({}, 0.5);
    text.counter("stentor_takeovers_total", "Take-overs.", 3);
    EXPECT_EQ(text.take(),
              "# HELP stentor_sessions Sessions.\n"
              "# TYPE stentor_sessions gauge\n"
              "stentor_sessions{state=\"connected\",x=\"a\\\"b\\\\c\\nd\"} 12\n"
              "stentor_sessions 0.5\n"
              "# HELP stentor_takeovers_total Take-overs.\n"
              "# TYPE stentor_takeovers_total counter\n"
              "stentor_takeovers_total 3\n");
}

TEST(PrometheusText, HistogramBucketsAddUp) {
    Histogram histogram;
    histogram.add(1);
    histogram.add(3);
    histogram.add(UINT64_C(1) << 40U);
    PrometheusText text;
    text.family("x_seconds", Type::histogram, "X.");
    text.histogram(histogram, 1e-6);
    const std::string written = text.take();
    EXPECT_NE(written.find("x_seconds_bucket{le=\"1e-06\"} 1\n"), std::string::npos) << written;
    EXPECT_NE(written.find("x_seconds_bucket{le=\"2e-06\"} 1\n"), std::string::npos);
    EXPECT_NE(written.find("x_seconds_bucket{le=\"4e-06\"} 2\n"), std::string::npos);
    EXPECT_NE(written.find("x_seconds_bucket{le=\"134.217728\"} 2\n"), std::string::npos);
    EXPECT_NE(written.find("x_seconds_bucket{le=\"+Inf\"} 3\n"), std::string::npos);
    EXPECT_NE(written.find("x_seconds_sum 1099511.62778\n"), std::string::npos);
    EXPECT_NE(written.find("x_seconds_count 3\n"), std::string::npos);
}

}  // namespace
}  // namespace stentor::metrics
