// From a message's text to events, beside nlohmann/json doing the same job in the usual way (parse, walk, dump each item).
// The message is the pool feed's: 32 pools with invented numbers. Rounds are interleaved; medians are printed.
//
//     cmake -S . -B build -DWEIR_BENCH=ON && ninja -C build decode_bench && build/bench/decode_bench
#define NDEBUG  // neither side pays for its library's own checks
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "event/decoder.h"
#include "event/json_path.h"

using namespace weir;

namespace {

std::string pool_message() {
    std::string message = "[";
    for (int i = 0; i < 32; ++i) {
        const int most = 70 + i * 113, now = (i * 37) % most;
        message += (i ? ",{" : "{") + std::string("\"uid\":\"SSD-") + std::to_string(i) + "\",\"name\":\"Freibad zwischen den H\xc3\xb6lzern\",\"freespace\":" + std::to_string(most - now) +
                   ",\"maxspace\":" + std::to_string(most) + ",\"currentfill\":\"" + std::to_string(now) + "\"}";
    }
    return message + "]";
}

std::size_t with_nlohmann(const std::string& message, std::uint64_t& next, EventList& events) {
    auto root = nlohmann::json::parse(message, nullptr, false);
    if (root.is_discarded() || !root.is_array()) return 0;
    for (auto& item : root) {
        const auto uid = item.find("uid"), fill = item.find("currentfill");
        if (uid == item.end() || fill == item.end() || !fill->is_string()) continue;
        *fill = std::stoll(fill->get_ref<const std::string&>());
        const std::string data = item.dump(), id = "pools/1/" + std::to_string(next++);
        EventView event;
        event.id = id;
        event.type = "reading";
        event.key = uid->get_ref<const std::string&>();
        event.source = "websocket";
        event.data = data;
        events.add(event);
    }
    return events.size();
}

/// CPU time of this thread: what else the machine does is left out.
double cpu_nanoseconds() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

double nanoseconds(int rounds, const auto& work) {
    const double start = cpu_nanoseconds();
    for (int i = 0; i < rounds; ++i) work();
    return (cpu_nanoseconds() - start) / rounds;
}

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

}  // namespace

int main() {
    const std::string message = pool_message();
    DecodeRules rules;
    rules.key = {"/uid"};
    rules.value = {"/currentfill"};
    rules.numeric_text_paths = {"/currentfill"};
    auto decoder = *Decoder::make(rules);
    auto one_rules = rules;
    one_rules.keys = {"SSD-7"};
    auto one_key = *Decoder::make(one_rules);
    Notes notes;
    std::uint64_t next = 1;
    std::size_t total = 0;

    const auto ours = [&](Decoder& d) {
        EventList events;
        d.decode(message, {Timestamp(), "websocket", "pools/1/", &next}, events, notes);
        total += events.size();
    };
    std::vector<double> a, b, c, control;
    for (int round = 0; round < 15; ++round) {
        a.push_back(nanoseconds(4000, [&] { ours(decoder); }));
        b.push_back(nanoseconds(400, [&] {
            EventList events;
            total += with_nlohmann(message, next, events);
        }));
        c.push_back(nanoseconds(4000, [&] { ours(one_key); }));
        control.push_back(nanoseconds(4000, [&] { ours(decoder); }));
    }
    EventList events;
    decoder.decode(message, {Timestamp(), "websocket", "pools/1/", &next}, events, notes);
    const auto path = *JsonPath::parse("/currentfill");
    double sum = 0;
    std::vector<double> p;
    for (int round = 0; round < 15; ++round) {
        p.push_back(nanoseconds(4000, [&] {
                        for (const EventView e : events) sum += *path.number(e.data);
                    }) /
                    static_cast<double>(events.size()));
    }
    std::printf("message of 32 pools, %zu bytes, wire text to EventList (medians of 15 interleaved rounds)\n", message.size());
    std::printf("weir      %8.0f ns a message, %5.0f ns a reading (control %.0f ns)\n", median(a), median(a) / 32, median(control));
    std::printf("nlohmann  %8.0f ns a message, %5.0f ns a reading\n", median(b), median(b) / 32);
    std::printf("ratio     %8.1f\n", median(b) / median(a));
    std::printf("weir, one wanted key  %.0f ns a message\n", median(c));
    std::printf("JsonPath::number      %.0f ns a reading\n", median(p));
    return total > 0 && sum > 0 && notes.rejected.empty() ? 0 : 1;
}
