#pragma once
// For tests only: a way to files that fails when told (fault sweep), or kills the process (crash tests).
#include <cstdint>
#include <string>

namespace weir {

/// Wraps SQLite's own VFS under the name `weir-faulty`. What is counted: writes and truncations of files, or their syncs, or both, as the fault is.
/// Thread: any; one plan at a time.
class FaultyVfs {
public:
    enum class Fault : std::uint8_t { none, disk_full, write_error, sync_error, kill };
    /// `database`: only the file itself, not what stands beside it. While it has a write-ahead log, checkpoints alone write it.
    enum class Files : std::uint8_t { all, database };

    /// Registers it once; the name for `SqliteLog::Setup::vfs`.
    static std::string name();
    /// From the `first` counted operation on (1 is the next), `count` of them fail.
    static void plan(Fault fault, std::uint64_t first, std::uint64_t count, Files files = Files::all);
    /// Operations that failed since `plan`.
    static std::uint64_t hits();
};

}  // namespace weir
