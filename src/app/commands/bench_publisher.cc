#include "app/commands/bench_publisher.h"

#include <unistd.h>

#include <thread>

#include "event/json.h"

namespace weir {
namespace {

// What the broadcast dialect adds to an event's data, and the members of the data beside the padding.
constexpr std::size_t added_bytes = std::string_view(",\"stream_sequence\":100000,\"server_timestamp\":\"2026-01-01T00:00:00.000000Z\"").size();
constexpr std::size_t data_bytes = std::string_view("{\"due_us\":100000000000,\"pad\":\"\"}").size();

}  // namespace

std::string bench_padding(std::size_t message_bytes) {
    return std::string(message_bytes > added_bytes + data_bytes ? message_bytes - added_bytes - data_bytes : 0, 'x');
}

BenchPublisher::BenchPublisher(Options options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      run_("bench-" + std::to_string(clock.now().micros()) + "-" + std::to_string(::getpid()) + "-"),
      pad_(bench_padding(options_.message_bytes)) {}

bool BenchPublisher::publish(std::uint64_t events, Measured measured, const std::atomic<bool>& interrupted) {
    const Duration start = clock_.monotonic();
    const auto due = [&](std::uint64_t i) { return start + Duration(static_cast<std::int64_t>(static_cast<double>(i) * 1e6 / options_.rate)); };
    std::uint64_t sent = 0;
    for (;;) {
        std::string body;
        {
            std::unique_lock lock(mutex_);
            const bool room = changed_.wait_for(lock, 100ms, [&] {
                return !problem_.empty() || (under_way_ < options_.under_way_max && (sent < events || !again_.empty())) || (sent == events && under_way_ == 0);
            });
            if (!problem_.empty() || interrupted) return false;
            if (!room) continue;
            if (!again_.empty()) {
                body = std::move(again_.back());
                again_.pop_back();
            } else if (sent == events) {
                return true;
            }
        }
        if (body.empty()) {
            const bool flat_out = options_.ahead_max > 0;
            std::size_t room = options_.events_a_request_max;
            if (flat_out) {
                const std::uint64_t ahead = sent_ - std::min(sent_, options_.received());
                room = static_cast<std::size_t>(std::min<std::uint64_t>(room, options_.ahead_max - std::min(options_.ahead_max, ahead)));
                if (room < options_.events_a_request_max / 4) room = 0;  // few large requests: what is measured is behind them
                if (room == 0) std::this_thread::sleep_for(200us);
            } else if (const Duration wait = due(sent) - clock_.monotonic(); wait > 0us) {
                std::this_thread::sleep_for(std::min(wait, Duration(200ms)));
            }
            const Duration now = clock_.monotonic();
            for (std::size_t n = 0; sent < events && (flat_out || due(sent) <= now) && n < room; ++n, ++sent, ++sent_) {
                JsonWriter json(body);
                json.object().member("id", run_ + std::to_string(next_id_++)).name("data").object();
                json.member("due_us", measured == Measured::no ? 0 : (flat_out ? now : due(sent)).count()).member("pad", pad_).end().end();
                body += '\n';
            }
            if (body.empty()) continue;
        }
        send(std::move(body));
    }
}

void BenchPublisher::send(std::string body) {
    {
        std::lock_guard lock(mutex_);
        ++under_way_;
        ++requests_;
    }
    net::HttpClientRequest request;
    request.method = "POST";
    request.url = options_.url;
    request.headers = {{"Content-Type", "application/x-ndjson"}};
    if (!options_.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + options_.token);
    request.timeout = 30s;
    request.body = body;
    client_.start(std::move(request), [this, kept = std::move(body)](Result<net::HttpClientResponse> answer) { answered(std::move(answer), kept); });
}

void BenchPublisher::answered(Result<net::HttpClientResponse> answer, const std::string& body) {
    std::uint64_t taken = 0;
    std::string problem;
    bool refused = false;
    if (!answer.ok()) {
        problem = answer.error().message;
    } else if (answer->status == 429 || answer->status == 503) {
        refused = true;
    } else if (const auto parsed = Json::parse(answer->body); answer->status != 200 || !parsed.ok()) {
        problem = "publishing was answered " + std::to_string(answer->status) + ": " + answer->body.substr(0, 200);
    } else {
        // A repeat of one whose first answer was lost is there as well.
        for (const char* name : {"accepted", "duplicates"})
            if (const Json* number = parsed->find(name)) taken += static_cast<std::uint64_t>(number->as_integer().value_or(0));
    }
    std::lock_guard lock(mutex_);
    --under_way_;
    acknowledged_ += taken;
    if (refused) {
        ++refusals_;
        again_.push_back(body);
    }
    if (!problem.empty() && problem_.empty()) problem_ = problem;
    changed_.notify_one();
}

}  // namespace weir
