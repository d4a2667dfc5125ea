#pragma once
// For tests only.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "log/log.h"

namespace weir {

/// A log that has no stream and keeps nothing: what a test's own log begins with, which overrides what it is about.
class EmptyLog : public Log {
public:
    void submit(Commit commit, Done done) override { (void)try_submit(commit, std::move(done)); }
    bool try_submit(Commit&, Done done) override { return done(Committed{}), true; }
    Result<std::vector<BatchPtr>> read(std::string_view, Seq, std::size_t) override { return std::vector<BatchPtr>(); }
    Result<std::vector<BatchPtr>> read_before(std::string_view, Seq, std::size_t) override { return std::vector<BatchPtr>(); }
    Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>&, CommitNo, std::size_t) override { return std::vector<BatchPtr>(); }
    Result<Found> find(std::string_view, const TimeRange&) override { return Found(); }
    Result<Seq> seq_at(std::string_view, Timestamp) override { return Seq{1}; }
    std::vector<StreamInfo> streams() override { return {}; }
    std::optional<StreamInfo> info(std::string_view) override { return std::nullopt; }
    CommitNo head() override { return {}; }
    std::vector<std::pair<Epoch, Seq>> epochs(std::string_view) override { return {}; }
    Result<std::optional<CommitNo>> position(std::string_view) override { return std::optional<CommitNo>(); }
    Result<std::vector<std::pair<std::string, std::string>>> state(std::string_view) override { return std::vector<std::pair<std::string, std::string>>(); }
    /// Keeps what is to be called; the test calls it.
    std::unique_ptr<Wake> on_commit(std::function<void(CommitNo)> wake) override {
        wake_ = std::move(wake);
        return std::make_unique<Wake>();
    }

protected:
    std::function<void(CommitNo)> wake_;
};

}  // namespace weir
