#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/store_options.h"
#include "event/event.h"

namespace weir {

/// One object to be: a file, a blob, an S3 object. Its name is a path with `/` between folders, in which everything but
/// `A-Z a-z 0-9 . _ - ~ +` is percent-encoded.
struct ObjectWrite {
    std::string name;
    std::string bytes;
    std::string content_type = "application/json";
    std::string content_encoding;  ///< `gzip` where the bytes are, but the name does not say so
    BlobTier tier = BlobTier::standard;
    std::string storage_class;     ///< s3; empty: the bucket's
    Epoch epoch;                   ///< of the log that it comes from
    std::uint64_t revision = 0;
    bool self_describing = false;  ///< the document says epoch and revision itself
    /// Joins this object with what another log wrote under its name (`there`: the bytes as they are stored): gives what holds both, or
    /// nullopt where they cannot be joined. Absent: never. It may be called again with other bytes, when somebody was faster.
    std::function<std::optional<std::string>(const std::string& there)> merge{};
};

/// The epoch that a store keeps beside a joined object: no log's own, so that each log joins again and none replaces.
constexpr Epoch several_epochs{0};

/// Where objects go: a folder, Azure Blob Storage, S3.
///
/// **An object is replaced only by a higher revision of the same epoch** (decisions.md 12). Same bytes: nothing is done. A lower or the
/// same revision of this epoch with other bytes: nothing is done either (a repeat after a crash that more has been written since).
/// Another epoch, or what nobody knows: `merge` is asked; what it gives replaces the object, and is kept as of `several_epochs`. Where
/// there is no answer, a sibling is written, named with `~<epoch>` before the extension. A store that cannot keep the epoch beside the
/// object (a folder) reads it from the document where it stands there.
/// **Under a precondition**: an object is created only where there is none, and replaced only while it is what was looked at (If-None-Match,
/// If-Match; rename). Who was slower looks again and decides anew.
///
/// Thread: the store's worker. Errors: `disk_full`, `no_permission`, `io_error`, for remote ones also `timeout`, `refused`: all are
/// tried again with the same object.
class ObjectStore {
public:
    enum class Put : std::uint8_t { written, unchanged, older, sibling, merged };
    virtual ~ObjectStore() = default;
    /// Durable when it returns a value.
    virtual Result<Put> put(const ObjectWrite& object) = 0;
    /// Removes an object that this epoch wrote, its sibling too. What is not there, or another epoch's, or joined, is no error and stays.
    virtual Result<void> remove(const std::string& name, Epoch epoch) = 0;
    /// What must happen before a position is committed that covers all puts so far.
    virtual Result<void> flush() { return ok(); }
    /// The store is stopping: from now on nothing may take longer than this. Thread: any.
    virtual void end_within(Duration) {}
};

/// Who wrote an object, and how often its window had been corrected by then.
struct ObjectVersion {
    Epoch epoch;
    std::uint64_t revision = 0;
};
std::optional<Epoch> epoch_from_text(std::string_view text);
/// As a document of profile `weir` says it, gzip or not; nullopt where it does not.
std::optional<ObjectVersion> version_in_document(std::string_view bytes);

/// `scraped-data/2026-02-17/10-00.json` to `scraped-data/2026-02-17/10-00~<epoch>.json`.
std::string sibling_name(std::string_view name, Epoch epoch);
/// Percent-encodes a key or name for use as one step of a path. A first dot is encoded too (no `.`, no `..`, no hidden folder), the empty
/// text has a form of its own, and what would be longer than a file system takes is cut, with a hash of the whole.
std::string path_step(std::string_view text);

}  // namespace weir
