#pragma once
// For tests only: an SpcProcessor fed by hand, and a client that applies its messages.
#include <map>
#include <string>
#include <vector>

#include "base/assert.h"
#include "event/json.h"
#include "processors/spc_processor.h"

namespace weir {

inline std::string spc_text(double value) {
    std::string text;
    append_json_number(text, value);
    return text;
}

/// What a client knows that has applied every message, and nothing else.
struct SpcClient {
    struct Violation {
        Json data;
        bool open = false, acknowledged = false, superseded = false;
    };
    std::map<std::int64_t, std::map<std::int64_t, Json>> samples;  ///< by characteristic and id
    std::map<std::int64_t, Violation> violations;
    std::vector<std::string> mistakes;

    static std::int64_t id(const Json& data, const char* name) { return data.find(name) ? data.find(name)->as_integer().value_or(-1) : -1; }

    void apply(std::string_view type, const Json& data) {
        if (type == "sample") samples[id(data, "characteristic_id")][id(data, "sample_id")] = data;
        if (type == "violation") {
            Violation& v = violations[id(data, "violation_id")];
            if (v.acknowledged && !data.find("acknowledged")->as_boolean()) mistakes.push_back("a violation lost its acknowledgement");
            v.data = data;
            v.open = true;
            v.superseded = false;
            v.acknowledged = data.find("acknowledged")->as_boolean();
        }
        if (type == "violation_withdrawn") {
            const auto at = violations.find(id(data, "violation_id"));
            if (at == violations.end() || !at->second.open) mistakes.push_back("withdrawn, but not open");
            else if (at->second.acknowledged != data.find("acknowledged")->as_boolean()) mistakes.push_back("withdrawn with another acknowledgement");
            else if (at->second.acknowledged) at->second.open = false, at->second.superseded = true;
            else violations.erase(at);
        }
        if (type == "ack_update") {
            const auto at = violations.find(id(data, "violation_id"));
            if (at == violations.end()) mistakes.push_back("acknowledged, but not known");
            else if (at->second.acknowledged) mistakes.push_back("acknowledged twice");
            else at->second.acknowledged = true;
        }
    }
};

class SpcRig {
public:
    explicit SpcRig(SpcOptions options = {}, std::vector<StreamName> sources = {}) : options_(std::move(options)), sources_(std::move(sources)) { processor = make(); }

    std::unique_ptr<SpcProcessor> make() const { return std::make_unique<SpcProcessor>(options_, sources_); }

    struct Message {
        std::string stream, type, key, id, text;
        Timestamp time;
        Json data() const { return *Json::parse(text); }
    };

    /// One event in one commit. Returns the messages that it gave.
    std::vector<Message> send(std::string_view type, const std::string& data, Timestamp time = {}, std::string_view stream = SpcProcessor::input, std::string_view source = "push",
                              std::string_view key = {}) {
        EventList events;
        const std::string id = "e/" + std::to_string(++sent_);
        EventView e;
        e.id = id, e.type = type, e.key = key, e.source = source, e.data = data, e.time = time, e.ingested = now;
        events.add(e);
        return commit(std::move(events), stream);
    }
    std::vector<Message> commit(EventList events, std::string_view stream = SpcProcessor::input) {
        auto batch = std::make_shared<Batch>();
        batch->stream = stream;
        batch->first_seq = Seq{++seqs_[batch->stream]};
        seqs_[batch->stream] += events.size() == 0 ? 0 : events.size() - 1;
        batch->commit = CommitNo{++commit_no_};
        batch->commit_time = now;
        batch->events = std::move(events);
        recorded.push_back(batch);
        return process(*batch);
    }
    std::vector<Message> process(const Batch& batch) {
        Output output;
        processor->process(batch, output);
        std::vector<Message> messages;
        for (const auto& append : output.take())
            for (const EventView e : append.events) {
                messages.push_back({append.stream, std::string(e.type), std::string(e.key), std::string(e.id), std::string(e.data), e.time});
                if (e.type != "answer" && e.type != "characteristic" && e.type != "capability" && e.type != "gathering") client.apply(e.type, *Json::parse(e.data));
                if (keep) written.push_back(messages.back());
            }
        return messages;
    }
    /// The answer to a command: its result, or its code.
    Result<Json> ask(std::string_view type, const std::string& data, Timestamp time = {}) {
        for (const auto& message : send(type, data, time)) {
            if (message.type != "answer") continue;
            const Json answer = message.data();
            if (answer.find("ok")->as_boolean()) return *answer.find("result");
            return Error{std::string(*answer.find_string("code")), std::string(*answer.find_string("message"))};
        }
        return Json();
    }
    /// Refused: the code; else "".
    std::string sample(std::int64_t characteristic, std::int64_t id, Timestamp time, const std::vector<double>& values, const std::string& more = "") {
        std::string data = "{\"characteristic_id\":" + std::to_string(characteristic) + ",\"sample_id\":" + std::to_string(id) + ",\"values\":[";
        for (std::size_t i = 0; i < values.size(); ++i) data += (i ? "," : "") + spc_text(values[i]);
        const auto answer = ask("put_sample", data + "]" + more + "}", time);
        return answer.ok() ? "" : answer.error().code;
    }
    void replace(std::unique_ptr<SpcProcessor> other) { processor = std::move(other); }

    std::unique_ptr<SpcProcessor> processor;
    SpcClient client;
    std::vector<Message> written;
    std::vector<BatchPtr> recorded;
    Timestamp now;
    bool keep = true;

private:
    SpcOptions options_;
    std::vector<StreamName> sources_;
    std::map<std::string, std::uint64_t> seqs_;
    std::uint64_t sent_ = 0, commit_no_ = 0;
};

/// Another processor goes on from what this one saved.
inline void restart(SpcRig& rig, std::map<std::string, std::string>& saved) {
    for (auto& put : rig.processor->save()) {
        if (put.value) saved[put.key] = *put.value;
        else saved.erase(put.key);
    }
    auto other = rig.make();
    WEIR_ASSERT(other->restore({saved.begin(), saved.end()}).ok());
    rig.replace(std::move(other));
}

inline const Timestamp origin = "2026-02-17T10:00:00Z"_utc;
inline Timestamp at(std::int64_t minute) { return origin + Duration(60'000'000) * minute; }

inline std::string define(std::int64_t id, const std::string& more) { return "{\"id\":" + std::to_string(id) + (more.empty() ? "" : "," + more) + "}"; }

inline const Json& newest(const SpcRig& rig, std::int64_t sample, std::int64_t characteristic = 1) { return rig.client.samples.at(characteristic).at(sample); }
inline std::string text_of(const Json& data, const char* name) { return data.find(name) ? data.find(name)->is_string() ? data.find(name)->as_string() : data.find(name)->text() : "absent"; }

}  // namespace weir
