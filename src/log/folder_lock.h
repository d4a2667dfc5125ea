#pragma once
#include <string>
#include <utility>

#include "base/result.h"

namespace weir {

/// Holds a log's folder for one process (decisions.md 10). The kernel lets go of it when the process ends, however it ends.
class FolderLock {
public:
    /// Makes the folder if it is not there. Errors: `in_use`, naming the process that holds it; `not_found`, `read_only`.
    static Result<FolderLock> take(const std::string& folder);
    ~FolderLock();
    FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    FolderLock& operator=(FolderLock&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }

private:
    explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
    int descriptor_;
};

}  // namespace weir
