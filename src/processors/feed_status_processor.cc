#include "processors/feed_status_processor.h"

#include "event/json.h"

namespace weir {

FeedStatusProcessor::FeedStatusProcessor(std::vector<StreamName> streams, StreamName output)
    : inputs_(std::move(streams)), outputs_{std::move(output)} {}

void FeedStatusProcessor::process(const Batch& batch, Output& output) {
    std::size_t n = 0;
    for (const auto& state : batch.notes.feed_states) {
        std::string data;
        JsonWriter(data)
            .object()
            .member("feed", state.feed)
            .member("stream", batch.stream)
            .member("state", state.state)
            .member("cause", state.cause)
            .member("source", state.source)
            .member("since", state.time)
            .member("detail", state.detail)
            .end();
        // The commit is part of it: the same state may be entered twice at one moment's time.
        const std::string id = derived_id({name_, batch.stream, std::to_string(batch.commit.value), std::to_string(n++), state.feed});
        EventView event;
        event.id = id;
        event.type = "feed_status";
        event.key = state.feed;
        event.source = name_;
        event.data = data;
        event.time = state.time;
        event.ingested = batch.commit_time;
        output.add(outputs_.front(), event);
    }
}

}  // namespace weir
