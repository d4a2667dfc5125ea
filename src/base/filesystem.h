#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

enum class Fsync : std::uint8_t { no, yes };

/// The steps of file work, by name, at which a test can fail or kill (decisions.md 34). Each is reported before it is done.
enum class FilePoint : std::uint8_t {
    create_folder,
    create_temporary,
    write_temporary,
    sync_temporary,
    rename,
    sync_folder,
    read,
    list,
    remove,
    free_space
};
std::string_view to_text(FilePoint point);

/// Files, as far as weir needs them: whole ones, written so that a reader sees the old or the new bytes and never a part.
///
/// Errors: `disk_full` (no space, quota, file too large), `no_permission` (also a read-only disk), `not_found`, `exists`,
/// `too_large` (by `read`'s limit), else `io_error`. The message names the path, what was tried and the system's text.
/// Thread: any. Cost: with Fsync::yes two waits for the disk.
class Filesystem {
public:
    /// Called before each step with the path it is about; a number other than 0 is the errno that the step fails with instead
    /// of being done. For tests: ENOSPC, EACCES, or to end the process at a point.
    using Fault = std::function<int(FilePoint point, const std::string& path)>;

    Filesystem() = default;
    explicit Filesystem(Fault fault) : fault_(std::move(fault)) {}

    /// The whole file.
    Result<std::string> read(const std::string& path, std::uint64_t bytes_max = 1u << 30) const;

    /// Writes a temporary file beside `path` (named `.weir-tmp-...`), makes it durable, and renames it over `path`. After an error
    /// the old file is as it was, and the temporary one is gone where the disk lets it be removed. The folder must exist.
    /// If only the last step failed (`sync_folder`), the new file is there, but a power loss may bring back the old one.
    Result<void> write_atomically(const std::string& path, std::string_view bytes, Fsync fsync = Fsync::yes) const;

    /// The same under a precondition: only while the file holds just `there`, or with nullopt, while there is no file. Returns false, and has
    /// changed nothing, if that is not so: another process was faster, and no bytes of its are lost. (By exchanging the two names and
    /// looking at what came out; on a disk that cannot exchange names, by looking just before the rename.)
    Result<bool> replace_atomically(const std::string& path, std::optional<std::string_view> there, std::string_view bytes, Fsync fsync = Fsync::yes) const;

    /// Makes `path` and what is missing above it. A folder that is there is no error.
    Result<void> create_folders(const std::string& path, Fsync fsync = Fsync::yes) const;

    bool exists(const std::string& path) const;

    /// Names in a folder, sorted, without `.`, `..` and temporary files.
    Result<std::vector<std::string>> list(const std::string& folder) const;

    /// Removes a file; one that is not there is no error.
    Result<void> remove(const std::string& path) const;

    /// Removes temporary files that a killed process left in `folder`. Call it at the start, before this process writes there.
    Result<void> sweep_temporaries(const std::string& folder) const;

    /// What an ordinary user may still write on the disk of `path`.
    Result<std::uint64_t> free_bytes(const std::string& path) const;

private:
    Result<std::string> write_temporary(const std::string& path, std::string_view bytes, Fsync fsync) const;
    Result<void> sync_folder_of(const std::string& path, Fsync fsync) const;
    int fault(FilePoint point, const std::string& path) const { return fault_ ? fault_(point, path) : 0; }

    Fault fault_;
};

}  // namespace weir
