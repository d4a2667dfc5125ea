#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "event/event.h"
#include "event/json.h"
#include "net/line_file.h"

namespace weir {

/// A recorded feed in a file, plain or .gz. Three forms, told apart by the first line:
///
/// - NDJSON of events, as `weir export` writes: `{"id","type","key","source","time","ingested","data":{...}}`
/// - NDJSON of messages: `{"received":"...","message":...}`; the message goes through the feed's decode rules
/// - CSV with a header: one of the columns `received`, `timestamp`, `time`, `ctime` or `date` holds the time; each row becomes a
///   message that is an object of its columns: JSON numbers as numbers, nothing for empty cells, all else as text
///
/// Thread: one owner.
class Recording {
public:
    struct Record {
        Timestamp at;         ///< when it had arrived
        bool is_event = false;
        std::string message;  ///< or, of an event, its `data`
        std::string id, type, key, source;
        Timestamp time, ingested;
    };

    /// Errors: those of LineFile; `bad_recording`.
    static Result<Recording> open(const std::string& path);
    /// False at the end. Error `bad_recording` names the line; the next call goes on behind it.
    Result<bool> next(Record& record);
    Result<void> rewind();
    const std::string& path() const { return path_; }
    std::uint64_t line() const { return line_; }

private:
    Recording(std::string path, net::LineFile file) : path_(std::move(path)), file_(std::move(file)) {}
    Result<bool> read_row(std::vector<std::string>& cells);
    Result<void> read_json(std::string_view text, Record& record);
    Error bad(const std::string& what) const;

    std::string path_;
    net::LineFile file_;
    std::uint64_t line_ = 0;
    std::vector<std::string> columns_;  ///< empty: NDJSON
    std::size_t time_column_ = 0;
    std::string text_;
};

}  // namespace weir
