#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir {

/// CPU time that all threads of a process have taken, in nanoseconds; 0 when it cannot be read.
double process_cpu_ns(pid_t pid);
/// Memory of a process that is resident, in bytes.
double process_resident_bytes(pid_t pid);
/// "Linux 6.1, 2 processors, load 1.50 2.00 2.10": what a figure was measured on.
std::string machine_line();

/// A folder that goes with its owner.
class ScratchFolder {
public:
    /// Below `parent`, or the system's folder for such things when that is empty. Errors: `io_error`.
    static Result<ScratchFolder> make(const std::string& parent);
    ScratchFolder(ScratchFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
    ScratchFolder& operator=(ScratchFolder&&) = delete;
    ~ScratchFolder();
    const std::filesystem::path& path() const { return path_; }

private:
    explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
};

/// A `weir serve` of this same binary, in a process and a folder of its own, on a free port of loopback; it ends with its owner, and with
/// this process. Thread: main, before others are started.
class BenchServer {
public:
    /// `config`: the TOML text but for the port, which is weir's choice; @FOLDER@ in it becomes the folder. `arguments`: further ones of
    /// `weir serve`. Waits until it listens. `pinned`: it has the first processor, and this process and what it starts from now on the others.
    /// Errors: `not_started` with the last diagnostics.
    static Result<BenchServer> start(ScratchFolder folder, std::string config, const std::vector<std::string>& arguments, bool pinned = false);
    BenchServer(BenchServer&& other) noexcept;
    BenchServer& operator=(BenchServer&&) = delete;
    ~BenchServer();

    pid_t pid() const { return pid_; }
    /// "http://127.0.0.1:40123"
    const std::string& address() const { return address_; }

private:
    BenchServer(ScratchFolder folder, pid_t pid) : folder_(std::move(folder)), pid_(pid) {}
    ScratchFolder folder_;
    pid_t pid_;
    std::string address_;
};

}  // namespace weir
