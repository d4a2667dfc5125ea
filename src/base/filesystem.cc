#include "base/filesystem.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/failpoint.h"

namespace weir {
namespace {

constexpr std::string_view temporary_prefix = ".weir-tmp-";

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }
    bool valid() const { return fd_ >= 0; }
    /// 0, or the errno: network disks tell only here that a write failed.
    int close() { return ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno; }

private:
    int fd_;
};

Error system_error(std::string_view what, const std::string& path, int number) {
    std::string_view code = "io_error";
    switch (number) {
        case ENOSPC: case EDQUOT: case EFBIG: code = "disk_full"; break;
        case EACCES: case EPERM: case EROFS: code = "no_permission"; break;
        case ENOENT: case ENOTDIR: code = "not_found"; break;
        case EEXIST: code = "exists"; break;
        default: break;
    }
    const char* name = ::strerrorname_np(number);
    return {std::string(code), path + ": cannot " + std::string(what) + ": " + ::strerrordesc_np(number) + " (" +
                                   (name ? name : std::to_string(number)) + ")"};
}

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

template <class Call>
auto again_if_interrupted(Call call) {
    while (true) {
        const auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

int write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = again_if_interrupted([&] { return ::write(fd, bytes.data(), bytes.size()); });
        if (n < 0) return errno;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return 0;
}

int sync_folder(const std::string& folder) {
    const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return errno;
    return ::fsync(fd.get()) == 0 ? 0 : errno;
}

std::string temporary_name(const std::string& path) {
    // Not made from the file's own name: that may be as long as a name can be.
    static std::atomic<std::uint64_t> count{0};
    return folder_of(path) + "/" + std::string(temporary_prefix) + std::to_string(::getpid()) + "-" + std::to_string(count++);
}

Result<std::vector<std::string>> names_in(const std::string& folder) {
    DIR* open = ::opendir(folder.c_str());
    if (!open) return system_error("list", folder, errno);
    std::vector<std::string> names;
    while (true) {
        errno = 0;
        const dirent* entry = ::readdir(open);
        if (!entry) break;
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    const int number = errno;
    ::closedir(open);
    if (number != 0) return system_error("list", folder, number);
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

std::string_view to_text(FilePoint point) {
    switch (point) {
        case FilePoint::create_folder: return "create_folder";
        case FilePoint::create_temporary: return "create_temporary";
        case FilePoint::write_temporary: return "write_temporary";
        case FilePoint::sync_temporary: return "sync_temporary";
        case FilePoint::rename: return "rename";
        case FilePoint::sync_folder: return "sync_folder";
        case FilePoint::read: return "read";
        case FilePoint::list: return "list";
        case FilePoint::remove: return "remove";
        case FilePoint::free_space: return "free_space";
    }
    return "";
}

Result<std::string> Filesystem::read(const std::string& path, std::uint64_t bytes_max) const {
    if (const int number = fault(FilePoint::read, path)) return system_error("read", path, number);
    const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return system_error("open", path, errno);
    std::string bytes;
    char part[64 * 1024];
    while (true) {
        const ssize_t n = again_if_interrupted([&] { return ::read(fd.get(), part, sizeof part); });
        if (n < 0) return system_error("read", path, errno);
        if (n == 0) return bytes;
        if (bytes.size() + static_cast<std::size_t>(n) > bytes_max)
            return Error{"too_large", path + ": has more than the " + std::to_string(bytes_max) + " bytes allowed here"};
        bytes.append(part, static_cast<std::size_t>(n));
    }
}

Result<std::string> Filesystem::write_temporary(const std::string& path, std::string_view bytes, Fsync fsync) const {
    const std::string temporary = temporary_name(path);
    const auto failed = [&](std::string_view what, int number) {
        ::unlink(temporary.c_str());
        return system_error(what, path, number);
    };
    if (const int number = fault(FilePoint::create_temporary, path)) return system_error("create a temporary file beside it", path, number);
    Descriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd.valid()) return system_error("create a temporary file beside it", path, errno);

    int number = fault(FilePoint::write_temporary, path);
    if (number == 0) number = write_all(fd.get(), bytes);
    if (number != 0) return failed("write", number);

    if (fsync == Fsync::yes) {
        number = fault(FilePoint::sync_temporary, path);
        if (number == 0 && ::fsync(fd.get()) != 0) number = errno;
        if (number != 0) return failed("sync", number);
    }
    if (number = fd.close(); number != 0) return failed("close", number);
    WEIR_FAILPOINT("file.before_rename");
    if (number = fault(FilePoint::rename, path); number != 0) return failed("rename the temporary file to it", number);
    return temporary;
}

Result<void> Filesystem::sync_folder_of(const std::string& path, Fsync fsync) const {
    WEIR_FAILPOINT("file.after_rename");
    if (fsync == Fsync::no) return ok();
    int number = fault(FilePoint::sync_folder, path);
    if (number == 0) number = sync_folder(folder_of(path));
    if (number != 0) return system_error("sync the folder of", path, number);
    return ok();
}

Result<void> Filesystem::write_atomically(const std::string& path, std::string_view bytes, Fsync fsync) const {
    WEIR_TRY(const std::string temporary, write_temporary(path, bytes, fsync));
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        const int number = errno;
        ::unlink(temporary.c_str());
        return system_error("rename the temporary file to it", path, number);
    }
    return sync_folder_of(path, fsync);
}

Result<bool> Filesystem::replace_atomically(const std::string& path, std::optional<std::string_view> there, std::string_view bytes, Fsync fsync) const {
    WEIR_TRY(const std::string temporary, write_temporary(path, bytes, fsync));
    const auto rename = [&](unsigned flags) { return ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), flags) == 0 ? 0 : errno; };
    const auto holds = [&](const std::string& file, std::string_view wanted) {
        const auto found = read(file, wanted.size());
        return found.ok() && *found == wanted;
    };
    struct stat ours {}, found {};
    if (::stat(temporary.c_str(), &ours) != 0) return system_error("look at the temporary file beside it", path, errno);
    int number = rename(there ? RENAME_EXCHANGE : RENAME_NOREPLACE);
    // Network disks and some in user space cannot do it: what is left is to look, and to be quick.
    if (number == EINVAL || number == ENOSYS) {
        const bool as_expected = there ? holds(path, *there) : !exists(path);
        number = as_expected ? rename(0) : EEXIST;
    } else if (number == 0 && there) {
        // The temporary name now bears what stood there.
        const bool as_expected = holds(temporary, *there);
        // Not what was expected: it goes back, as often as yet another one comes between.
        const auto is_ours = [&] { return ::stat(temporary.c_str(), &found) == 0 && found.st_ino == ours.st_ino; };
        for (int tries = 0; !as_expected && !is_ours(); ++tries)
            if (number = tries < 100 ? rename(RENAME_EXCHANGE) : EBUSY; number != 0) return system_error("put back what another process wrote to", path, number);
        ::unlink(temporary.c_str());
        if (!as_expected) return false;
    }
    if (number != 0) ::unlink(temporary.c_str());
    if (number == EEXIST || (there && number == ENOENT)) return false;
    if (number != 0) return system_error("rename the temporary file to it", path, number);
    WEIR_CHECK_OK(sync_folder_of(path, fsync));
    return true;
}

Result<void> Filesystem::create_folders(const std::string& path, Fsync fsync) const {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        if (!part.empty() && part.back() != '/') {
            struct stat status;
            if (::stat(part.c_str(), &status) == 0) {
                if (!S_ISDIR(status.st_mode)) return system_error("create the folder", part, ENOTDIR);
            } else {
                int number = fault(FilePoint::create_folder, part);
                if (number == 0 && ::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) number = errno;
                if (number != 0) return system_error("create the folder", part, number);
                if (fsync == Fsync::yes) {
                    number = fault(FilePoint::sync_folder, part);
                    if (number == 0) number = sync_folder(folder_of(part));
                    if (number != 0) return system_error("sync the folder of", part, number);
                }
            }
        }
        if (end == std::string::npos) return ok();
    }
}

bool Filesystem::exists(const std::string& path) const {
    struct stat status;
    return ::stat(path.c_str(), &status) == 0;
}

Result<std::vector<std::string>> Filesystem::list(const std::string& folder) const {
    if (const int number = fault(FilePoint::list, folder)) return system_error("list", folder, number);
    WEIR_TRY(std::vector<std::string> names, names_in(folder));
    std::erase_if(names, [](const std::string& name) { return name.starts_with(temporary_prefix); });
    return names;
}

Result<void> Filesystem::remove(const std::string& path) const {
    int number = fault(FilePoint::remove, path);
    if (number == 0 && ::unlink(path.c_str()) != 0) number = errno;
    if (number != 0 && number != ENOENT) return system_error("remove", path, number);
    return ok();
}

Result<void> Filesystem::sweep_temporaries(const std::string& folder) const {
    WEIR_TRY(const std::vector<std::string> names, names_in(folder));
    for (const std::string& name : names) {
        if (!name.starts_with(temporary_prefix)) continue;
        int writer = 0;
        std::from_chars(name.data() + temporary_prefix.size(), name.data() + name.size(), writer);
        // Another process that lives may be about to rename its file. In a container every process has the same number, and one
        // that had ours is gone.
        if (writer > 0 && writer != ::getpid() && (::kill(writer, 0) == 0 || errno == EPERM)) continue;
        WEIR_CHECK_OK(remove(folder + "/" + name));
    }
    return ok();
}

Result<std::uint64_t> Filesystem::free_bytes(const std::string& path) const {
    if (const int number = fault(FilePoint::free_space, path)) return system_error("ask for the free space of", path, number);
    struct statvfs status;
    if (::statvfs(path.c_str(), &status) != 0) return system_error("ask for the free space of", path, errno);
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace weir
