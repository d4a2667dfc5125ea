#pragma once
// For tests only: a window processor fed by hand, under a clock that moves when told, with the ticks that a runner would commit.
#include <string>
#include <vector>

#include "event/json.h"
#include "processors/window_processor.h"

namespace weir {

inline WindowOptions five_minutes() {
    WindowOptions o;
    o.stream = "pools";
    o.output = "pools.5min";
    return o;
}

/// One written window, parsed.
struct WrittenWindow {
    std::string id, key, text;
    Timestamp time, ingested;
    Json data;

    const Json& at(std::string_view pointer) const {
        static const Json null;
        const Json* found = JsonPointer::parse(pointer)->find(data);
        return found ? *found : null;
    }
    double number(std::string_view pointer) const { return at(pointer).as_double(); }
    std::int64_t integer(std::string_view pointer) const { return at(pointer).as_integer().value_or(-1); }
    std::string string(std::string_view pointer) const { return at(pointer).is_string() ? at(pointer).as_string() : at(pointer).text(); }
    Timestamp start() const { return *parse_rfc3339(string("/window/start")); }
    Timestamp end() const { return *parse_rfc3339(string("/window/end")); }
    std::int64_t revision() const { return integer("/revision"); }
};

class WindowRig {
public:
    explicit WindowRig(WindowOptions options = five_minutes(), std::string window = "5min")
        : options_(options), window_(window), processor_(make()) {}

    std::unique_ptr<WindowProcessor> make() const {
        return std::make_unique<WindowProcessor>(window_, options_, std::vector{*JsonPath::parse("/v")});
    }
    WindowProcessor& processor() { return *processor_; }
    /// Lets time pass: commits ticks when they are due, as a runner does.
    void pass_to(Timestamp t) {
        for (auto due = processor_->next_due(); ticking && due && due->at <= t; due = processor_->next_due()) {
            now_ = std::max(now_, due->at);
            commit({}, {});
        }
        now_ = std::max(now_, t);
    }
    void commit(EventList events, Notes notes) {
        auto batch = std::make_shared<Batch>();
        batch->stream = options_.stream;
        batch->first_seq = Seq{next_seq_};
        batch->commit = CommitNo{++commit_no_};
        batch->commit_time = now_;
        next_seq_ += events.size();
        batch->events = std::move(events);
        batch->notes = std::move(notes);
        process(batch);
    }
    void process(const BatchPtr& batch) {
        recorded.push_back(batch);
        Output output;
        processor_->process(*batch, output);
        for (const auto& append : output.take())
            for (const EventView e : append.events)
                written.push_back({std::string(e.id), std::string(e.key), std::string(e.data), e.time, e.ingested, *Json::parse(e.data)});
    }
    static void add(EventList& events, Timestamp time, double value, std::string_view key = "SSD-7", std::string_view source = "websocket") {
        std::string data = "{\"v\":";
        append_json_number(data, value);
        data += '}';
        static std::uint64_t n = 0;
        const std::string id = "t/" + std::to_string(++n);
        EventView e;
        e.id = id, e.type = "reading", e.key = key, e.source = source, e.data = data, e.time = time, e.ingested = time;
        events.add(e);
    }
    /// A reading that arrives now.
    void reading(Timestamp time, double value, std::string_view key = "SSD-7", std::string_view source = "websocket") {
        EventList events;
        add(events, time, value, key, source);
        commit(std::move(events), {});
    }
    /// The same at the moment of the reading.
    void live(Timestamp time, double value, std::string_view key = "SSD-7") {
        pass_to(time);
        reading(time, value, key);
    }
    void interval(Duration spacing, bool learned = false) {
        Notes notes;
        notes.intervals.push_back({"pool", spacing, learned});
        commit({}, std::move(notes));
    }
    void state(std::string_view state, std::string_view cause, Timestamp since) {
        Notes notes;
        notes.feed_states.push_back({"pool", std::string(state), std::string(cause), "websocket", since, ""});
        commit({}, std::move(notes));
    }
    void rejected(std::string_view reason, std::string_view key, std::optional<Timestamp> time) {
        Notes notes;
        notes.rejected.push_back({std::string(reason), std::string(key), time, 1});
        commit({}, std::move(notes));
    }
    /// The newest revision of the window that starts there.
    const WrittenWindow* last(Timestamp start, std::string_view key = "SSD-7") const {
        const WrittenWindow* found = nullptr;
        for (const auto& w : written)
            if (w.key == key && w.start() == start) found = &w;
        return found;
    }
    Timestamp now() const { return now_; }
    void replace_processor(std::unique_ptr<WindowProcessor> p) { processor_ = std::move(p); }

    std::vector<WrittenWindow> written;
    std::vector<BatchPtr> recorded;
    bool ticking = true;

private:
    WindowOptions options_;
    std::string window_;
    std::unique_ptr<WindowProcessor> processor_;
    Timestamp now_;
    std::uint64_t next_seq_ = 1, commit_no_ = 0;
};

}  // namespace weir
