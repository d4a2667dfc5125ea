#pragma once
#include <memory>
#include <string>

#include "base/result.h"

namespace weir::net {

/// The lines of a file, plain or gzip (told apart by the content, not the name). Lines end with LF or CRLF, which are not part of them.
/// Thread: one owner. Cost: reads as it goes, one line in memory.
class LineFile {
public:
    static constexpr std::size_t line_bytes_max = 64 * 1024 * 1024;

    /// Errors: `file_not_found`, `io_error`.
    static Result<LineFile> open(const std::string& path);
    LineFile(LineFile&&) noexcept;
    LineFile& operator=(LineFile&&) noexcept;
    ~LineFile();

    /// False at the end. Errors: `io_error`, `corrupt` for broken gzip data or an overlong line; what came before it was right.
    Result<bool> next(std::string& line);
    /// Starts over.
    Result<void> rewind();

private:
    struct State;
    explicit LineFile(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace weir::net
