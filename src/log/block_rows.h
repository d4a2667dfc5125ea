#pragma once
#include <optional>

#include "log/block.h"
#include "log/database.h"

namespace weir {

/// A block's header, and where its body stands.
struct BlockRow {
    BlockHeader header;
    std::int64_t body = 0;
};

struct TimeBounds {
    Timestamp min, max;
};

/// Blocks as rows of a log's file, over one connection. Thread: that of the connection.
class BlockRows {
public:
    static Result<BlockRows> prepare(Database& database);

    Result<void> insert(const Block& block, std::int64_t body);
    /// Removes the blocks of a stream whose last commit is in [first, last], with their bodies. How many there were.
    Result<std::int64_t> remove(std::uint32_t stream, CommitNo first, CommitNo last);

    /// The last block that begins at or before `seq`: the one that holds it, if any does.
    Result<std::optional<BlockRow>> at_seq(std::uint32_t stream, Seq seq);
    /// The first block with something after `commit`.
    Result<std::optional<BlockRow>> after(std::uint32_t stream, CommitNo commit);
    /// The last block whose last commit is before `commit`.
    Result<std::optional<BlockRow>> before(std::uint32_t stream, CommitNo commit);
    /// Up to `count_max` headers after `commit`, oldest first.
    Result<std::vector<BlockRow>> list(std::uint32_t stream, CommitNo after, std::size_t count_max);
    /// The same, only of blocks with an event whose time is in [from, to).
    Result<std::vector<BlockRow>> list_times(std::uint32_t stream, CommitNo after, Timestamp from, Timestamp to, std::size_t count_max);

    /// The smallest and the largest time of the events after `commit`; nullopt without any. Reads all their headers.
    Result<std::optional<TimeBounds>> times(std::uint32_t stream, CommitNo after);

    /// The stored body. Error `damaged` when it is missing.
    Result<std::string> body(const BlockRow& row);

private:
    Result<std::optional<BlockRow>> one(Statement& statement);

    Database* database_ = nullptr;
    Statement insert_, insert_body_, remove_, remove_bodies_, at_seq_, after_, before_, list_, list_times_, times_, body_;
};

}  // namespace weir
