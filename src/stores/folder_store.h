#pragma once
#include <set>
#include <string>

#include "base/filesystem.h"
#include "stores/object_store.h"

namespace weir {

/// Objects as files below a folder. Each is written beside its name, synced and renamed: a reader sees the old bytes or the new.
///
/// Several processes may write to one folder: a file is made only where there is none, and replaced only while it is what was looked at
/// (`Filesystem::replace_atomically`).
///
/// The epoch and revision of a file that is in the way are read from its document (profile `weir`). Documents of the source profiles
/// cannot hold them, so beside such a file stands a small hidden one, `.<name>.weir`, with `<epoch> <revision> <hash of the bytes>` of the file, and
/// while it is replaced of both.
///
/// Thread: the store's worker. Cost: two waits for the disk a file (`Fsync::yes`).
class FolderStore final : public ObjectStore {
public:
    FolderStore(std::string folder, Filesystem filesystem = {}, Fsync fsync = Fsync::yes);
    Result<Put> put(const ObjectWrite& object) override;
    Result<void> remove(const std::string& name, Epoch epoch) override;

private:
    std::optional<ObjectVersion> known(const std::string& path, const std::string& bytes) const;
    static std::string note_of(const ObjectVersion& known, const std::string& bytes);
    /// The note of a file that is as it should be says nothing of what was there before.
    Result<void> tidy(const std::string& path, const ObjectWrite& object);
    Result<std::optional<std::string>> read(const std::string& path) const;
    /// False when the file is not (any more) what was read.
    Result<bool> write(const std::string& path, const std::optional<std::string>& there, const ObjectWrite& object, const std::string& bytes);

    std::string folder_;
    Filesystem files_;
    Fsync fsync_;
    std::set<std::string> made_;  ///< folders that exist; at most 1000 are remembered
};

}  // namespace weir
