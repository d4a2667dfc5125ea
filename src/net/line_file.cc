#include "net/line_file.h"

#include <errno.h>
#include <zlib.h>

namespace weir::net {

struct LineFile::State {
    std::string path;
    gzFile file = nullptr;
    std::string buffer;
    std::size_t at = 0;
    ~State() {
        if (file) ::gzclose(file);
    }
};

LineFile::LineFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineFile::LineFile(LineFile&&) noexcept = default;
LineFile& LineFile::operator=(LineFile&&) noexcept = default;
LineFile::~LineFile() = default;

Result<LineFile> LineFile::open(const std::string& path) {
    auto state = std::make_unique<State>();
    state->path = path;
    errno = 0;
    state->file = ::gzopen(path.c_str(), "rb");
    if (!state->file) return Error{errno == ENOENT ? "file_not_found" : "io_error", path + " cannot be opened: " + std::strerror(errno)};
    ::gzbuffer(state->file, 256 * 1024);
    return LineFile(std::move(state));
}

Result<bool> LineFile::next(std::string& line) {
    State& s = *state_;
    for (;;) {
        if (const auto end = s.buffer.find('\n', s.at); end != std::string::npos) {
            line.assign(s.buffer, s.at, end - s.at);
            s.at = end + 1;
            if (!line.empty() && line.back() == '\r') line.pop_back();
            return true;
        }
        s.buffer.erase(0, s.at);
        s.at = 0;
        if (s.buffer.size() > line_bytes_max) return Error{"corrupt", s.path + " has a line above 64 MiB"};
        const auto had = s.buffer.size();
        s.buffer.resize(had + 256 * 1024);
        const int n = ::gzread(s.file, s.buffer.data() + had, 256 * 1024);
        s.buffer.resize(had + static_cast<std::size_t>(std::max(n, 0)));
        int code = Z_OK;
        const char* why = ::gzerror(s.file, &code);
        if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
            return Error{code == Z_ERRNO ? "io_error" : "corrupt", s.path + (code == Z_ERRNO ? std::string(" cannot be read: ") + std::strerror(errno) : std::string(" is damaged: ") + why)};
        if (n > 0) continue;
        if (s.buffer.empty()) return false;
        line = std::move(s.buffer);
        s.buffer.clear();
        if (!line.empty() && line.back() == '\r') line.pop_back();
        return true;
    }
}

Result<void> LineFile::rewind() {
    state_->buffer.clear();
    state_->at = 0;
    if (::gzrewind(state_->file) != 0) return Error{"io_error", state_->path + " cannot be read again"};
    return ok();
}

}  // namespace weir::net
