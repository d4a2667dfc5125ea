// Where a client goes on: `since` and positions as it sends them, what is then read of the past against an obvious twin, and tokens of what it had subscribed to.
#include <set>

#include "fuzz.h"
#include "gateway/auth/base64url.h"
#include "gateway/dialects/read_since.h"
#include "gateway/history.h"
#include "gateway/resume_token.h"
#include "memory_log.h"

namespace weir::fuzz {
namespace {

const Timestamp began = Timestamp::from_seconds(1'770'000'000);
const char* const streams[] = {"a", "b", "c"};
constexpr std::uint64_t of_older_epoch = 15;

/// Three streams whose commits alternate: `a` has lost its oldest, `b` is whole, `c` is empty.
MemoryLog& past() {
    static MemoryLog log({std::begin(streams), std::end(streams)}, began, of_older_epoch);
    static const bool filled = [] {
        for (int n = 0; n < 60; ++n) {
            Commit commit;
            for (int part = 0; part < (n % 5 == 0 ? 2 : 1); ++part) {
                auto& append = commit.appends.emplace_back();
                append.stream = n % 3 == 0 && part == 0 ? "b" : "a";
                for (int i = 0; i <= n % 2; ++i) {
                    const std::string id = std::to_string(n) + "/" + std::to_string(part) + "/" + std::to_string(i);
                    EventView event;
                    event.id = id;
                    event.type = i == 0 ? "even" : "odd";
                    event.data = "{}";
                    append.events.add(event);
                }
            }
            log.submit(std::move(commit), [](const Result<Committed>&) {});
        }
        return true;
    }();
    (void)filled;
    return log;
}

struct Event {
    CommitNo commit;
    std::string stream;
    std::uint64_t seq;
    bool operator==(const Event&) const = default;
};
struct Told {
    std::vector<Event> events;
    std::vector<std::string> gaps;
};

/// What is asked for, in words: a stream at a time, all of it looked at.
Told expected(const Since& since, bool odd) {
    Told told;
    std::vector<std::pair<std::pair<CommitNo, int>, Event>> ordered;
    for (int s = 0; s < 3; ++s) {
        const auto begin = since.begin(streams[s]);
        if (!begin) continue;
        const StreamInfo info = *past().info(streams[s]);
        std::vector<Event> kept;
        std::vector<Timestamp> times;
        std::vector<bool> wanted;
        const auto batches = *past().read(streams[s], info.first, 1'000'000);
        for (const auto& batch : batches)
            for (std::size_t i = 0; i < batch->events.size(); ++i) {
                kept.push_back({batch->commit, streams[s], batch->seq_of(i).value});
                times.push_back(batch->commit_time);
                wanted.push_back(!odd || batch->events[i].type == "odd");
            }
        std::uint64_t from = 1;
        if (const auto* position = std::get_if<Since::Position>(&*begin)) {
            from = position->seq.value + 1;
            if (position->seq.value != 0 && position->epoch == MemoryLog::older) {
                if (position->seq.value > of_older_epoch) {
                    told.gaps.push_back(std::string(streams[s]) + " epoch");
                    from = of_older_epoch + 1;
                }
                if (from < info.first.value && from <= info.head.value) told.gaps.push_back(std::string(streams[s]) + " retention " + std::to_string(from) + " " + std::to_string(info.first.value - 1));
            } else if (position->seq.value != 0 && position->epoch != MemoryLog::epoch) {
                told.gaps.push_back(std::string(streams[s]) + " unknown_epoch");
                from = info.first.value;
            } else if (position->seq.value > info.head.value) {
                told.gaps.push_back(std::string(streams[s]) + " future_position");
            } else if (from < info.first.value && from <= info.head.value) {
                told.gaps.push_back(std::string(streams[s]) + " retention " + std::to_string(from) + " " + std::to_string(info.first.value - 1));
            }
        } else if (const auto* time = std::get_if<Timestamp>(&*begin)) {
            from = info.head.value + 1;
            for (std::size_t i = kept.size(); i-- > 0;)
                if (times[i] >= *time) from = kept[i].seq;
        } else {
            std::size_t count = std::get<Since::Last>(*begin).count;
            from = info.head.value + 1;
            for (std::size_t i = kept.size(); i-- > 0 && count > 0;)
                if (wanted[i]) from = kept[i].seq, --count;
        }
        for (std::size_t i = 0; i < kept.size(); ++i)
            if (kept[i].seq >= from && wanted[i]) ordered.push_back({{kept[i].commit, s}, kept[i]});
    }
    std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [order, event] : ordered) told.events.push_back(std::move(event));
    std::sort(told.gaps.begin(), told.gaps.end());
    return told;
}

/// In one go, or to the middle first: what has become history meanwhile is read behind it.
Told read(const Since& since, bool odd, bool in_two) {
    std::vector<HistoryRange> ranges;
    for (const char* name : streams) {
        const StreamInfo info = *past().info(name);
        const auto begin = since.begin(name);
        if (!begin) continue;
        const auto* position = std::get_if<Since::Position>(&*begin);
        const Seq middle{(info.first.value + info.head.value) / 2};
        // By time and count it is the end that says where to begin.
        in_two = in_two && position && position->seq < middle && middle <= info.head;
        ranges.push_back({name, *begin, info.head + 1, MemoryLog::epoch});
    }
    if (in_two)
        for (auto& range : ranges) range.end = Seq{(past().info(range.stream)->first.value + past().info(range.stream)->head.value) / 2};
    Told told;
    if (ranges.empty()) return told;
    const auto all = ranges;
    HistoryReader reader(past(), std::move(ranges), {.target = [&](const Batch& batch, std::size_t i) {
                                                         if (odd && batch.events[i].type != "odd") return -1;
                                                         for (std::size_t r = 0; r < all.size(); ++r)
                                                             if (all[r].stream == batch.stream) return static_cast<int>(r);
                                                         return -1;
                                                     },
                                                     .encode = [&](std::string& out, std::uint32_t target, const Batch& batch, std::size_t i) {
                                                         FUZZ_CHECK(all[target].stream == batch.stream);
                                                         out += batch.stream;
                                                         told.events.push_back({batch.commit, batch.stream, batch.seq_of(i).value});
                                                         return true;
                                                     }});
    for (int steps = 0;; ++steps) {
        FUZZ_CHECK(steps < 1000, "it does not end");
        const HistoryStep step = reader.step();
        for (const auto& gap : step.gaps)
            told.gaps.push_back(gap.stream + " " + gap.reason + (gap.from ? " " + std::to_string(gap.from->value) : "") + (gap.to ? " " + std::to_string(gap.to->value) : ""));
        if (!step.done) continue;
        if (!std::exchange(in_two, false)) break;
        for (const auto& name : reader.streams()) reader.extend(name, past().info(name)->head + 1, MemoryLog::epoch);
    }
    std::sort(told.gaps.begin(), told.gaps.end());
    return told;
}

void since(std::uint8_t choice, std::string_view text) {
    const bool odd = choice & 4;
    const auto json = Json::parse(text);
    if (!json.ok()) return;
    auto from = read_since(*json);
    // A time, a count, or an object of positions: nothing else is one.
    const bool time = json->is_string() && parse_rfc3339(json->as_string(), Offset::optional);
    if (!from) return FUZZ_CHECK(!time);
    FUZZ_CHECK(json->is_object() || time);
    if (choice & 8) from->otherwise = began + 40ms;
    Told wanted = expected(*from, odd);
    const Told told = read(*from, odd, choice & 16);
    if (planted() && std::get_if<Since::Last>(&from->at) && std::get<Since::Last>(from->at).count > 10 && std::get<Since::Last>(from->at).count < 100) wanted.events.pop_back();
    FUZZ_CHECK(told.gaps == wanted.gaps, std::string(text));
    if (!(choice & 16)) FUZZ_CHECK(told.events == wanted.events, std::string(text));
    // In two goes the order is that of the commits within each.
    auto order = [](const Event& a, const Event& b) { return std::tie(a.stream, a.seq) < std::tie(b.stream, b.seq); };
    std::vector<Event> sorted = told.events;
    std::stable_sort(sorted.begin(), sorted.end(), order);
    std::stable_sort(wanted.events.begin(), wanted.events.end(), order);
    FUZZ_CHECK(sorted == wanted.events, std::string(text));
}

const ResumeTokens& tokens() {
    static const ResumeTokens all = *ResumeTokens::open(past());
    return all;
}

/// What a token holds comes back; bent, of another log or another path it is none.
void made(std::uint8_t where, std::uint8_t bit, std::string_view text) {
    const auto subscriptions = Json::parse(text);
    if (!subscriptions.ok()) return;
    const std::string token = tokens().make("spc", {began, *subscriptions});
    const auto back = tokens().read("spc", token);
    FUZZ_CHECK(back.ok() && back->at == began && back->subscriptions == *subscriptions);
    FUZZ_CHECK(!tokens().read("analytics", token).ok());
    static const ResumeTokens others(*net::SigningKey::from_secret("the key of another log, 32 bytes"));
    FUZZ_CHECK(!others.read("spc", token).ok());
    std::string other = token;
    other[where * 16u % other.size()] ^= static_cast<char>(1 << (bit & 7));
    const auto bent = tokens().read("spc", other);
    FUZZ_CHECK(!bent.ok() && bent.error().code == "bad_resume_token");
}

/// A foreign text is none; signed, it still has to hold what ours do.
void foreign(std::string_view text) {
    const auto read = tokens().read("spc", text);
    FUZZ_CHECK(!read.ok() && read.error().code == "bad_resume_token" && !read.error().message.empty());
}

}  // namespace

// First byte: what the rest is.
void resume(std::string_view bytes) {
    Input input(bytes);
    const auto choice = input.byte();
    switch (choice % 4) {
        case 0: return since(choice, input.rest());
        case 1: {
            const auto where = input.byte(), bit = input.byte();
            return made(where, bit, input.rest());
        }
        case 2: return foreign(input.rest());
        default: return since(choice, input.rest());
    }
}

}  // namespace weir::fuzz
