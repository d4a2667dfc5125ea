#include "app/commands/bench_server.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace weir {
namespace {

std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

/// This process and what it starts from now on, to the first processor or to all the others.
void pin(bool first) {
    cpu_set_t all, some;
    CPU_ZERO(&some);
    if (::sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < 2) return;
    bool seen = false;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
        if (!CPU_ISSET(i, &all)) continue;
        if (seen != first) CPU_SET(i, &some);
        seen = true;
    }
    ::sched_setaffinity(0, sizeof some, &some);
}

}  // namespace

double process_cpu_ns(pid_t pid) {
    double sum = 0;
    std::error_code error;
    for (std::filesystem::directory_iterator thread("/proc/" + std::to_string(pid) + "/task", error), end; !error && thread != end; thread.increment(error)) {
        double ns = 0;
        std::ifstream(thread->path() / "schedstat") >> ns;
        sum += ns;
    }
    return sum;
}

double process_resident_bytes(pid_t pid) {
    double pages = 0;
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    file >> pages >> pages;
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

std::string machine_line() {
    utsname system{};
    ::uname(&system);
    double load[3] = {};
    ::getloadavg(load, 3);
    char text[200];
    std::snprintf(text, sizeof text, "%s %s, %ld processors, load %.2f %.2f %.2f", system.sysname, system.release, ::sysconf(_SC_NPROCESSORS_ONLN), load[0],
                  load[1], load[2]);
    return text;
}

Result<ScratchFolder> ScratchFolder::make(const std::string& parent) {
    std::error_code error;
    const auto in = parent.empty() ? std::filesystem::temp_directory_path(error) : std::filesystem::path(parent);
    std::string path = (in / "weir-bench-XXXXXX").string();
    if (error || !::mkdtemp(path.data())) return Error{"io_error", "no folder can be made in " + in.string() + ": " + std::strerror(errno)};
    return ScratchFolder(path);
}

ScratchFolder::~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<BenchServer> BenchServer::start(ScratchFolder folder, std::string config, const std::vector<std::string>& arguments, bool pinned) {
    const std::string file = (folder.path() / "weir.toml").string(), diagnostics = (folder.path() / "diagnostics").string();
    for (std::size_t at; (at = config.find("@FOLDER@")) != std::string::npos;) config.replace(at, 8, folder.path().string());
    std::ofstream(file) << config;
    std::vector<std::string> words{"weir", "serve", "-c", file, "--set", "gateway.port=0"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    const pid_t parent = ::getpid(), pid = ::fork();
    if (pid < 0) return Error{"not_started", std::string("no process for the server: ") + std::strerror(errno)};
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) ::_exit(1);
        // Ctrl-C at the terminal is for the bench, which ends its server itself.
        ::setpgid(0, 0);
        if (pinned) pin(true);
        const int fd = ::open(diagnostics.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ::dup2(fd, STDOUT_FILENO);
        ::dup2(fd, STDERR_FILENO);
        ::execv("/proc/self/exe", argv.data());
        ::_exit(127);
    }
    if (pinned) pin(false);
    BenchServer server(std::move(folder), pid);
    constexpr std::string_view mark = "listening on ";
    for (;;) {
        const std::string said = text_of(diagnostics);
        if (const auto at = said.find(mark); at != std::string::npos) {
            const auto end = said.find_first_of(" \"\n", at + mark.size());
            if (end != std::string::npos) {
                server.address_ = said.substr(at + mark.size(), end - at - mark.size());
                return server;
            }
        }
        int status = 0;
        if (::waitpid(pid, &status, WNOHANG) == pid) {
            server.pid_ = -1;
            return Error{"not_started", "weir serve did not start: " + said};
        }
        ::usleep(10'000);
    }
}

BenchServer::BenchServer(BenchServer&& other) noexcept
    : folder_(std::move(other.folder_)), pid_(std::exchange(other.pid_, -1)), address_(std::move(other.address_)) {}

BenchServer::~BenchServer() {
    if (pid_ < 0) return;
    // Nothing in its folder is wanted any more.
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

}  // namespace weir
