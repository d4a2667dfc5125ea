#pragma once
#include <list>
#include <memory>

#include "base/guarded.h"
#include "log/block_rows.h"
#include "log/schema.h"

namespace weir {

/// Decoded blocks that were asked for lately, so that reading on in small steps unpacks each block once.
/// Bound: bytes, the least used leave. Thread: any. Cost: one lock a look.
class BlockCache {
public:
    using Batches = std::shared_ptr<const std::vector<BatchPtr>>;
    explicit BlockCache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    Batches find(std::int64_t body);
    void put(std::int64_t body, Batches batches, std::size_t bytes);
    /// Lets go of what nobody has asked for since the last call: how many bytes.
    std::size_t forget_unused();

private:
    struct Entry {
        std::int64_t body;
        Batches batches;
        std::size_t bytes;
        bool used = true;  ///< since the last forget_unused
    };
    struct State {
        std::list<Entry> entries;  ///< newest use first
        std::unordered_map<std::int64_t, std::list<Entry>::iterator> by_body;
        std::size_t bytes = 0;
    };
    const std::size_t bytes_max_;
    Guarded<State> state_;
};

/// Reads a log's streams from disk over one connection of its own; each call sees one moment of the file.
///
/// Errors: `gap`, as in Log; `damaged`; those of Database. Thread: one at a time. Cost: a block is read and decoded whole.
class BlockReader {
public:
    static Result<std::unique_ptr<BlockReader>> open(const std::string& folder, const std::string& vfs, std::vector<Epoch> epochs,
                                                     std::shared_ptr<BlockCache> cache);

    Result<std::vector<BatchPtr>> read(std::string_view stream, Seq from, std::size_t events_max);
    Result<std::vector<BatchPtr>> read_before(std::string_view stream, Seq before, std::size_t events_max);
    Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>& streams, CommitNo after, std::size_t events_max);
    Result<Log::Found> find(std::string_view stream, const Log::TimeRange& range);
    Result<Seq> seq_at(std::string_view stream, Timestamp t);
    Result<std::optional<CommitNo>> position(std::string_view reader);
    Result<std::vector<std::pair<std::string, std::string>>> state(std::string_view reader);
    /// The number of a commit that is the value of this key of the reader's state; nullopt without one.
    Result<std::optional<CommitNo>> commit_in_state(std::string_view reader, std::string_view key);

    /// The batches of one block.
    Result<BlockCache::Batches> batches(const BlockRow& row, const StreamName& name);
    BlockRows& rows() { return *rows_; }
    StreamRows& streams() { return *streams_; }
    Database& database() { return database_; }

private:
    explicit BlockReader(Database database) : database_(std::move(database)) {}
    class Snapshot;

    Database database_;
    std::optional<BlockRows> rows_;
    std::optional<StreamRows> streams_;
    Statement position_, state_, state_value_, begin_, end_;
    std::vector<Epoch> epochs_;
    std::shared_ptr<BlockCache> cache_;
};

}  // namespace weir
