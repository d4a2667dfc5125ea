#pragma once
#include "processors/processor.h"

namespace weir {

/// Turns the notes in data streams about their feeds' states into events on a system_status stream (decisions.md 6), so that a
/// feed's state is told once, where its readings are, and yet can be subscribed to: `type` "feed_status", `key` the feed's name, `time`
/// since when, `data` {"feed","stream","state","cause","source","since","detail"}.
///
/// Keeps no state. Thread: the runner's.
class FeedStatusProcessor final : public Processor {
public:
    explicit FeedStatusProcessor(std::vector<StreamName> streams, StreamName output = "system_status");

    const std::string& name() const override { return name_; }
    std::uint64_t version() const override { return 1; }
    const std::vector<StreamName>& inputs() const override { return inputs_; }
    const std::vector<StreamName>& outputs() const override { return outputs_; }
    Result<void> restore(const SavedState&) override { return ok(); }
    void process(const Batch& batch, Output& output) override;
    std::vector<StatePut> save() override { return {}; }

private:
    std::string name_ = "feed_status";
    std::vector<StreamName> inputs_, outputs_;
};

}  // namespace weir
