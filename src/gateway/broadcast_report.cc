#include "gateway/broadcast_report.h"

#include <cstdio>

namespace weir {
namespace {

std::string clients_text(std::size_t n, std::string_view what) { return std::to_string(n) + " " + std::string(what) + (n == 1 ? "" : "s"); }

}  // namespace

BroadcastReport::BroadcastReport(std::string stream, const BroadcastOptions& options, Duration now, Line line)
    : stream_(std::move(stream)), label_(options.label), line_(std::move(line)), since_(now), second_(now) {}

std::string BroadcastReport::event(Seq seq, std::string_view data, Duration now) {
    ++events_;
    if (label_.empty()) return {};
    if (now - second_ >= 1s) {
        second_ = now;
        lines_ = 0;
    }
    if (lines_ == lines_per_second_max) {
        ++held_back_;
        return {};
    }
    ++lines_;
    std::string text = "Broadcast #" + std::to_string(seq.value) + ": " + label_.of(data);
    if (held_back_ > 0) text += " (after " + std::to_string(held_back_) + " that are not told)";
    held_back_ = 0;
    return text;
}

void BroadcastReport::tell(const std::string& event, std::size_t clients) { line_(event + " to " + clients_text(clients, "client")); }

void BroadcastReport::tell_minute(Seq head, std::size_t clients, Duration now) {
    const double minutes = static_cast<double>((now - since_).count()) / 60e6;
    const std::uint64_t events = std::exchange(events_, 0);
    since_ = now;
    if (events == 0 && clients == 0) return;
    char rate[32];
    std::snprintf(rate, sizeof rate, "%.1f", static_cast<double>(events) / minutes);
    line_("Stats: " + std::to_string(head.value) + " " + stream_ + " streamed, " + clients_text(clients, "active client") + ", " + rate + " " + stream_ + "/min");
}

}  // namespace weir
