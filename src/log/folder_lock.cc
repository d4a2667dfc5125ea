#include "log/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace weir {

Result<FolderLock> FolderLock::take(const std::string& folder) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure) return Error{"not_found", "log folder " + folder + " cannot be made: " + failure.message()};
    const std::string file = folder + "/lock";
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0)
        return Error{errno == EACCES || errno == EROFS ? "read_only" : "not_found", "log folder " + folder + ": " + file + " cannot be opened: " + std::strerror(errno)};
    FolderLock lock(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        char text[32] = {};
        const ssize_t n = ::pread(descriptor, text, sizeof text - 1, 0);
        std::string holder(text, n > 0 ? static_cast<std::size_t>(n) : 0);
        while (!holder.empty() && holder.back() == '\n') holder.pop_back();
        return Error{"in_use", "log folder " + folder + " is in use by process " + (holder.empty() ? "unknown" : holder) +
                                   "; stop that one first, or give this one another folder"};
    }
    const std::string holder = std::to_string(::getpid()) + "\n";
    if (::ftruncate(descriptor, 0) != 0 || ::pwrite(descriptor, holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size())) {
        // Only the message of a second process would miss it: a full disk must not stop the first.
    }
    return lock;
}

FolderLock::~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace weir
