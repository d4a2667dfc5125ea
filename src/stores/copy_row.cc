#include "stores/copy_row.h"

#include <algorithm>
#include <charconv>

namespace weir {
namespace {

using Part = ColumnSource::Part;
using Kind = ColumnSource::Kind;

constexpr std::string_view null_field = "\\N";

bool is_integer(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    return problem == std::errc() && end == text.data() + text.size();
}

// JSON may name the character 0; neither text nor jsonb of PostgreSQL may hold it.
bool has_nul_escape(std::string_view json) {
    for (std::size_t at = 0; (at = json.find("\\u0000", at)) != std::string_view::npos; at += 6) {
        std::size_t backslashes = 1;
        while (backslashes <= at && json[at - backslashes] == '\\') ++backslashes;
        if (backslashes % 2 == 1) return true;
    }
    return false;
}

Error nul_in(const ColumnSource& column) {
    return {"bad_row", "column " + column.column + ": the text has a NUL character (\\u0000), which PostgreSQL cannot store"};
}

// False: NULL.
Result<bool> append_value(std::string& out, const ColumnSource& column, std::string_view json) {
    if (json == "null") return false;
    const bool text = json.front() == '"';
    switch (column.kind) {
        case Kind::json:
            if (has_nul_escape(json)) return nul_in(column);
            append_copy_text(out, json);
            return true;
        case Kind::integer:
            if (!is_integer(json)) return false;
            out += json;
            return true;
        case Kind::number:
            if (text || !parse_json_number(json)) return false;
            out += json;
            return true;
        case Kind::boolean:
            if (json != "true" && json != "false") return false;
            out += json;
            return true;
        case Kind::time: {
            const auto time = text ? parse_rfc3339(json.substr(1, json.size() - 2), Offset::optional) : std::nullopt;
            if (!time) return false;
            append_rfc3339(out, *time);
            return true;
        }
        case Kind::text:
            if (!text) return false;
            break;
        case Kind::any:
            break;
    }
    if (has_nul_escape(json)) return nul_in(column);
    if (!text) {
        append_copy_text(out, json);
        return true;
    }
    const std::string_view between = json.substr(1, json.size() - 2);
    if (between.find('\\') == std::string_view::npos) {
        out += between;  // a JSON text without escapes has no control characters either
        return true;
    }
    std::string characters;
    if (!append_unescaped(characters, between)) return Error{"bad_row", "column " + column.column + ": the text has half of a surrogate pair"};
    append_copy_text(out, characters);
    return true;
}

}  // namespace

void append_copy_text(std::string& out, std::string_view text) {
    for (;;) {
        const std::size_t plain = text.find_first_of("\\\n\r\t");
        out += text.substr(0, plain);
        if (plain == std::string_view::npos) return;
        const char c = text[plain];
        out += '\\';
        out += c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\';
        text.remove_prefix(plain + 1);
    }
}

Result<void> append_copy_row(std::string& out, const TableShape& shape, const EventView& event, const RowOrigin& origin) {
    const std::size_t before = out.size();
    bool first = true;
    for (const ColumnSource& column : shape.columns) {
        if (!first) out += '\t';
        first = false;
        bool present = true;
        const auto text = [&](std::string_view value) -> bool {
            if (value.find('\0') != std::string_view::npos) return false;
            append_copy_text(out, value);
            return true;
        };
        bool clean = true;
        switch (column.part) {
            case Part::id: clean = text(event.id); break;
            case Part::type: clean = text(event.type); break;
            case Part::key: clean = text(event.key); break;
            case Part::source: clean = text(event.source); break;
            case Part::stream: clean = text(origin.stream); break;
            case Part::epoch: clean = text(origin.epoch); break;
            case Part::seq: out += std::to_string(origin.seq.value); break;
            case Part::time: append_rfc3339(out, event.time); break;
            case Part::ingested: append_rfc3339(out, event.ingested); break;
            case Part::now: out += "now"; break;  // read by the column's type: the time of the transaction
            case Part::data:
                clean = !has_nul_escape(event.data);
                if (clean) append_copy_text(out, event.data);
                break;
            case Part::pointer: {
                const auto found = column.path->find(event.data);
                auto written = found && !found->empty() ? append_value(out, column, *found) : Result<bool>(false);
                if (!written.ok()) {
                    out.resize(before);
                    return std::move(written).error();
                }
                present = *written;
                break;
            }
        }
        if (!clean) {
            out.resize(before);
            return nul_in(column);
        }
        if (present) continue;
        if (std::find(shape.conflict.begin(), shape.conflict.end(), column.column) != shape.conflict.end()) {
            out.resize(before);
            return Error{"bad_row", "column " + column.column + " is of the table's key, and the event has nothing at " + column.path->pointer().text()};
        }
        out += null_field;
    }
    out += '\n';
    return ok();
}

}  // namespace weir
