#include "app/commands/compare_input.h"

#include <filesystem>

#include "base/filesystem.h"
#include "event/json.h"
#include "feeds/recording.h"
#include "log/sqlite_log.h"
#include "net/gzip.h"

namespace weir {
namespace {

// {"time":"2026-02-17T10:00:00.000Z","value":45,"source":"websocket"}, and a comma: what a raw object holds for each (docs/formats/window-files.md).
constexpr std::uint64_t stored_bytes_a_reading = 68;

const Json* first_of(const std::vector<JsonPointer>& pointers, const Json& document) {
    for (const JsonPointer& pointer : pointers)
        if (const Json* found = pointer.find(document); found && !found->is_null()) return found;
    return nullptr;
}

std::optional<double> number_of(const Json* value) {
    if (!value) return std::nullopt;
    if (value->is_number()) return value->as_double();
    return value->is_string() ? parse_json_number(value->as_string()) : std::nullopt;
}

std::string key_of(const Json* key) { return !key ? std::string() : key->is_string() ? key->as_string() : key->text(); }

void add(CompareInput& input, const std::string& key, Timestamp time, double value) {
    input.readings[key].push_back({time, value});
    input.bytes += stored_bytes_a_reading;
}

// A message, or each of a list of them.
void add_message(CompareInput& input, const Json& message, const CompareFields& fields, Timestamp arrived) {
    if (message.is_array()) {
        for (const Json& item : message.items()) add_message(input, item, fields, arrived);
        return;
    }
    const auto value = number_of(first_of(fields.value, message));
    if (!value) {
        ++input.skipped;
        return;
    }
    Timestamp time = arrived;
    if (const Json* own = first_of(fields.time, message); own && own->is_string())
        if (const auto parsed = parse_rfc3339(own->as_string(), Offset::optional)) time = *parsed;
    add(input, key_of(first_of(fields.key, message)), time, *value);
}

Result<void> read_recording(CompareInput& input, const CompareFields& fields) {
    WEIR_TRY(auto recording, Recording::open(input.name));
    Recording::Record record;
    for (;;) {
        const auto more = recording.next(record);
        if (!more.ok()) {
            ++input.skipped;
            continue;
        }
        if (!*more) return ok();
        const auto message = Json::parse(record.message);
        if (!message.ok()) ++input.skipped;
        else if (!record.is_event) add_message(input, *message, fields, record.at);
        else if (const auto value = number_of(first_of(fields.value, *message))) add(input, record.key, record.time, *value);
        else ++input.skipped;
    }
}

Result<void> read_stream(CompareInput& input, const std::string& folder, const std::string& stream, const CompareFields& fields, const Clock& clock) {
    constexpr std::size_t events_a_read = 10'000;
    SqliteLog::Setup setup;
    setup.options.path = folder;
    setup.options.merge = false;
    setup.clock = &clock;
    WEIR_TRY(auto log, SqliteLog::open(std::move(setup)));
    const auto info = log->info(stream);
    if (!info) return Error{"not_found", folder + " has no stream \"" + stream + "\"; `weir export " + folder + "` lists them"};
    for (Seq next = info->first; next <= info->head;) {
        WEIR_TRY(const auto batches, log->read(stream, next, events_a_read));
        if (batches.empty()) break;
        for (const BatchPtr& batch : batches) {
            for (const EventView event : batch->events) {
                const auto data = Json::parse(event.data);
                const auto value = data.ok() ? number_of(first_of(fields.value, *data)) : std::nullopt;
                if (value) add(input, std::string(event.key), event.time, *value);
                else ++input.skipped;
            }
            next = batch->seq_of(batch->events.size());
        }
    }
    return ok();
}

// The raw part of a window's documents: `readings` of weir's own, of all keys in a bundle; `updates` and `events` of the sources'.
void add_document(CompareInput& input, const Json& document) {
    bool found = false;
    const auto add_all = [&](const Json& from, const std::string& key) {
        for (const char* list : {"readings", "updates", "events"}) {
            const Json* readings = from.find(list);
            if (!readings || !readings->is_array()) continue;
            found = true;
            for (const Json& reading : readings->items()) {
                const Json* value = reading.find("value");
                auto time = reading.find_string("time");
                if (!value) value = reading.find("occupancy");
                if (!time) time = reading.find_string("timestamp");
                const auto parsed = time ? parse_rfc3339(*time, Offset::optional) : std::nullopt;
                if (const auto number = number_of(value); number && parsed) add(input, key, *parsed, *number);
                else ++input.skipped;
            }
        }
    };
    if (const Json* results = document.find("results"); results && results->is_array())
        for (const Json& one : results->items()) add_all(one, key_of(one.find("key")));
    else add_all(document, key_of(document.find("key")));
    if (!found) ++input.skipped;
}

Result<void> read_documents(CompareInput& input) {
    constexpr std::size_t document_bytes_max = 256u << 20;
    const Filesystem files;
    std::error_code failed;
    std::vector<std::string> paths;
    for (auto at = std::filesystem::recursive_directory_iterator(input.name, failed); !failed && at != std::filesystem::recursive_directory_iterator(); at.increment(failed)) {
        const std::string name = at->path().filename().string();
        // Summaries have no readings.
        if (at->is_regular_file(failed) && !name.starts_with('.') && (name.ends_with(".json") || name.ends_with(".json.gz"))) paths.push_back(at->path().string());
    }
    if (failed) return Error{"io_error", input.name + ": " + failed.message()};
    for (const std::string& path : paths) {
        WEIR_TRY(std::string bytes, files.read(path, document_bytes_max));
        if (net::is_gzip(bytes)) {
            auto text = net::gunzip(bytes, document_bytes_max);
            if (!text.ok()) return std::move(text).error().within(path);
            bytes = *std::move(text);
        }
        if (const auto document = Json::parse(bytes); document.ok()) add_document(input, *document);
        else ++input.skipped;
    }
    return ok();
}

}  // namespace

Result<CompareInput> read_compare_input(const std::string& name, const CompareFields& fields, const Clock& clock) {
    CompareInput input;
    input.name = name;
    const auto colon = name.rfind(':');
    if (std::filesystem::is_directory(name)) {
        input.form = "documents";
        WEIR_CHECK_OK(read_documents(input));
    } else if (colon != std::string::npos && std::filesystem::is_directory(name.substr(0, colon))) {
        input.form = "stream";
        WEIR_CHECK_OK(read_stream(input, name.substr(0, colon), name.substr(colon + 1), fields, clock));
    } else {
        input.form = "recording";
        WEIR_CHECK_OK(read_recording(input, fields));
    }
    if (input.readings.empty())
        return Error{"no_readings", name + " holds no reading with a number where --value says (" + std::to_string(input.skipped) + " lines or documents without one)"};
    return input;
}

}  // namespace weir
