#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/event.h"

namespace weir {

/// What `weir verify` found.
struct VerifyReport {
    struct Problem {
        StreamName stream;      ///< empty: of the file as a whole
        Seq first_seq, end_seq; ///< of the block; `end_seq` is behind its last event
        CommitNo first_commit;
        std::string what;
        bool is_unreadable = false;  ///< the block's events cannot be read
    };
    std::vector<Problem> problems;
    std::uint64_t streams = 0, blocks = 0, commits = 0, events = 0, stored_bytes = 0, raw_bytes = 0;
    bool ok() const { return problems.empty(); }
};

/// Reads every block of a log and checks: checksum, decoding, that seqs, commits and commit times continue, counts, times and keys
/// against the header, the streams' rows against their blocks, and SQLite's own structure. Changes nothing; a log that is being
/// written may be verified, as of one moment.
/// `progress`: called after each block with (bytes done, bytes in all). Errors: those of Database, where the file cannot be opened.
/// Cost: reads all of the file twice. Thread: any.
Result<VerifyReport> verify_log(const std::string& folder, const std::function<void(std::uint64_t, std::uint64_t)>& progress = {},
                                const std::string& vfs = {});

/// What `repair_log` removed.
struct RepairReport {
    struct Cut {
        StreamName stream;
        Seq first_seq, head_before;  ///< every event from `first_seq` to `head_before` is gone
        std::uint64_t blocks = 0;
    };
    std::vector<Cut> cuts;
    Epoch epoch;  ///< the new one; unchanged where there was nothing to repair
};

/// Cuts each stream before its first unreadable block, and begins a new epoch, so that no client trusts a position of what was
/// lost (decisions.md 5). Only on explicit request: what stands behind the damage goes too, since seqs may have no hole.
/// Errors: `in_use` while a weir has the folder; those of Database. `dry_run` only reports.
enum class DryRun : bool { no, yes };
Result<RepairReport> repair_log(const std::string& folder, std::uint64_t epoch_seed, DryRun dry_run, const std::string& vfs = {});

/// Begins a new epoch: after a folder was restored from a backup, whose positions clients may be ahead of.
Result<Epoch> begin_new_epoch(const std::string& folder, std::uint64_t epoch_seed, const std::string& vfs = {});

}  // namespace weir
