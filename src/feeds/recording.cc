#include "feeds/recording.h"

namespace weir {
namespace {

constexpr std::string_view time_columns[] = {"received", "timestamp", "time", "ctime", "date"};

/// One CSV row (RFC 4180) from `text`; false when a quoted cell goes on in the next line.
bool split_row(std::string_view text, std::vector<std::string>& cells) {
    cells.clear();
    for (std::size_t i = 0;;) {
        std::string cell;
        if (i < text.size() && text[i] == '"') {
            for (++i;; ++i) {
                if (i >= text.size()) return false;
                if (text[i] != '"') {
                    cell += text[i];
                } else if (i + 1 < text.size() && text[i + 1] == '"') {
                    cell += '"';
                    ++i;
                } else {
                    break;
                }
            }
            ++i;
        }
        while (i < text.size() && text[i] != ',') cell += text[i++];
        cells.push_back(std::move(cell));
        if (i >= text.size()) return true;
        ++i;
    }
}

std::optional<Timestamp> time_of(const Json& document, std::string_view name) {
    const auto text = document.find_string(name);
    return text ? parse_rfc3339(*text, Offset::optional) : std::nullopt;
}

}  // namespace

Error Recording::bad(const std::string& what) const { return {"bad_recording", path_ + ":" + std::to_string(line_) + ": " + what}; }

Result<Recording> Recording::open(const std::string& path) {
    WEIR_TRY(auto file, net::LineFile::open(path));
    Recording recording(path, std::move(file));
    std::string first;
    WEIR_TRY(const bool any, recording.file_.next(first));
    if (!any) return recording;
    if (first.starts_with("\xef\xbb\xbf")) first.erase(0, 3);
    if (first.starts_with('{')) {
        WEIR_CHECK_OK(recording.file_.rewind());
        return recording;
    }
    recording.line_ = 1;
    if (!split_row(first, recording.columns_)) return recording.bad("the header of the CSV has an open quote");
    for (const auto name : time_columns) {
        for (std::size_t i = 0; i < recording.columns_.size(); ++i) {
            if (recording.columns_[i] != name) continue;
            recording.time_column_ = i;
            return recording;
        }
    }
    return recording.bad("neither NDJSON nor a CSV with a column `timestamp`, `time`, `received`, `ctime` or `date`");
}

Result<void> Recording::rewind() {
    WEIR_CHECK_OK(file_.rewind());
    line_ = 0;
    if (columns_.empty()) return ok();
    ++line_;
    std::string header;
    auto read = file_.next(header);
    return read.ok() ? ok() : Result<void>(std::move(read).error());
}

Result<bool> Recording::read_row(std::vector<std::string>& cells) {
    std::string line;
    text_.clear();
    do {
        WEIR_TRY(const bool more, file_.next(line));
        if (!more) {
            if (text_.empty()) return false;
            return bad("a quoted cell is not closed");
        }
        ++line_;
        if (!text_.empty()) text_ += '\n';
        text_ += line;
    } while (text_.empty() || (!split_row(text_, cells) && text_.size() < 1 << 20));
    return true;
}

Result<bool> Recording::next(Record& record) {
    record = {};
    if (columns_.empty()) {
        do {
            WEIR_TRY(const bool more, file_.next(text_));
            if (!more) return false;
            if (++line_ == 1 && text_.starts_with("\xef\xbb\xbf")) text_.erase(0, 3);
        } while (text_.find_first_not_of(" \t") == std::string::npos);
        WEIR_CHECK_OK(read_json(text_, record));
        return true;
    }
    std::vector<std::string> cells;
    WEIR_TRY(const bool more, read_row(cells));
    if (!more) return false;
    if (cells.size() <= time_column_) return bad("the row has no time");
    const auto at = parse_rfc3339(cells[time_column_], Offset::optional);
    if (!at) return bad("\"" + cells[time_column_] + "\" is no RFC 3339 time");
    record.at = *at;
    JsonWriter json(record.message);
    json.object();
    for (std::size_t i = 0; i < std::min(cells.size(), columns_.size()); ++i) {
        if (cells[i].empty()) continue;
        json.name(columns_[i]);
        if (i != time_column_ && is_json_number(cells[i]))
            json.raw(cells[i]);
        else
            json.value(cells[i]);
    }
    json.end();
    return true;
}

Result<void> Recording::read_json(std::string_view text, Record& record) {
    auto parsed = Json::parse(text);
    if (!parsed.ok() || !parsed->is_object()) return bad("no JSON object");
    const Json& line = *parsed;
    if (const Json* message = line.find("message")) {
        const auto at = time_of(line, "received");
        if (!at) return bad("`received` is no RFC 3339 time");
        record.at = *at;
        message->print(record.message);
        return ok();
    }
    const Json* data = line.find("data");
    const auto time = time_of(line, "time");
    if (!data || !data->is_object() || !time) return bad("neither an event (`time` and `data`) nor a message (`received` and `message`)");
    record.is_event = true;
    record.time = *time;
    record.ingested = record.at = time_of(line, "ingested").value_or(*time);
    const auto take = [&](std::string_view name, std::string& to) {
        if (const auto found = line.find_string(name)) to = *found;
        return to.size() <= 255;
    };
    if (!take("id", record.id) || !take("type", record.type) || !take("key", record.key) || !take("source", record.source))
        return bad("an id, type, key or source is longer than 255 bytes");
    data->print(record.message);
    if (record.message.size() > 256 * 1024) return bad("`data` is larger than 256 KiB");
    return ok();
}

}  // namespace weir
