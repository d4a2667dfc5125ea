#pragma once
// For tests only: an AlertProcessor fed by hand.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "event/json.h"
#include "processors/alert_processor.h"

namespace weir {

class AlertRig {
public:
    struct Message {
        std::string stream, type, key, id, text;
        Timestamp time, ingested;
        bool operator==(const Message&) const = default;
        std::string operator[](const char* member) const {
            const auto data = Json::parse(text);
            const Json* found = data.ok() ? data->find(member) : nullptr;
            return !found ? "absent" : found->is_string() ? found->as_string() : found->text();
        }
    };

    explicit AlertRig(std::vector<StreamName> sources = {"pools", "spc.violations"}) : sources_(std::move(sources)) { processor = make(); }
    std::unique_ptr<AlertProcessor> make() const { return std::make_unique<AlertProcessor>(sources_, std::map<std::string, std::string>{{"false_alarm", "False alarm"}}); }

    /// One commit of events of one stream, at `now`; without any it is a tick. Returns the alerts that it told.
    std::vector<Message> commit(EventList events, std::string_view stream) {
        auto batch = std::make_shared<Batch>();
        batch->stream = stream;
        batch->first_seq = Seq{seqs_[batch->stream] + 1};
        seqs_[batch->stream] += events.size();
        batch->commit = CommitNo{++commit_no_};
        batch->commit_time = now;
        batch->events = std::move(events);
        recorded.push_back(batch);
        return process(*batch);
    }
    std::vector<Message> process(const Batch& batch) {
        Output output;
        processor->process(batch, output);
        std::vector<Message> told;
        for (const auto& append : output.take())
            for (const EventView e : append.events) {
                Message message{append.stream, std::string(e.type), std::string(e.key), std::string(e.id), std::string(e.data), e.time, e.ingested};
                written.push_back(message);
                if (append.stream == AlertProcessor::alerts_out) told.push_back(std::move(message));
                else last_answer = std::move(message);
            }
        return told;
    }
    std::vector<Message> send(std::string_view type, const std::string& data, std::string_view stream, std::string_view key = {}, std::optional<Timestamp> time = {}) {
        EventList events;
        add(events, type, data, key, time);
        return commit(std::move(events), stream);
    }
    void add(EventList& events, std::string_view type, const std::string& data, std::string_view key, std::optional<Timestamp> time = {}) {
        const std::string id = "e/" + std::to_string(++sent_);
        EventView e;
        e.id = id, e.type = type, e.key = key, e.source = "push", e.data = data, e.time = time.value_or(now), e.ingested = now;
        events.add(e);
    }
    std::vector<Message> reading(std::string_view key, const std::string& value, std::optional<Timestamp> time = {}) {
        return send("reading", R"({"fill":)" + value + R"(,"name":"Pool )" + std::string(key) + "\"}", "pools", key, time);
    }
    /// The clock goes on, and what is due until then is ticked, as the runner does.
    std::vector<Message> pass(Duration wait) {
        std::vector<Message> told;
        const Timestamp end = now + wait;
        for (auto due = processor->next_due(); due && due->at <= end; due = processor->next_due()) {
            now = std::max(now, due->at);
            for (auto& message : commit({}, due->stream)) told.push_back(std::move(message));
        }
        now = end;
        return told;
    }
    /// The rules from now on: JSON objects.
    std::vector<Message> rules(const std::string& list) {
        auto told = send("put_rules", "{\"rules\":[" + list + "]}", AlertProcessor::input);
        WEIR_ASSERT(last_answer["ok"] == "true");
        return told;
    }
    /// The answer's code where it was refused; else "".
    std::string ask(std::string_view type, const std::string& data) {
        told_by_command = send(type, data, AlertProcessor::input);
        return last_answer["ok"] == "true" ? "" : last_answer["code"];
    }
    void restart() {
        for (auto& put : processor->save()) {
            if (put.value) saved[put.key] = *put.value;
            else saved.erase(put.key);
        }
        processor = make();
        const auto restored = processor->restore({saved.begin(), saved.end()});
        WEIR_ASSERT(restored.ok());
    }

    std::unique_ptr<AlertProcessor> processor;
    std::map<std::string, std::string> saved;
    std::vector<Message> written, told_by_command;
    Message last_answer;
    std::vector<BatchPtr> recorded;
    Timestamp now = Timestamp::from_seconds(1'771'322'400);  // 2026-02-17T10:00:00Z

private:
    std::vector<StreamName> sources_;
    std::map<std::string, std::uint64_t> seqs_;
    std::uint64_t sent_ = 0, commit_no_ = 0;
};

}  // namespace weir
