#include "stores/blob_document.h"

#include <algorithm>
#include <cstdio>

#include "event/json_member.h"
#include "stores/object_store.h"

namespace weir {
namespace {

// A number of the document with the digits it has there.
JsonWriter& copy(JsonWriter& json, std::string_view name, const Json& value) { return json.name(name).raw(value.text()); }

// The window document with members behind its own.
std::string weir_document(const BlobWindow& window, Epoch epoch, bool with_readings) {
    std::string more;
    JsonWriter json(more);
    json.object().member("epoch", to_text(epoch));
    if (with_readings) write_readings(json, window.readings);
    json.end();
    std::string out = window.document;
    out.pop_back();
    out += ',';
    out.append(more, 1);
    return out;
}

std::string digits(int value, int width) {
    char text[16];
    std::snprintf(text, sizeof text, "%0*d", width, value);
    return text;
}

std::string date_of(const CivilTime& c) { return digits(c.year, 4) + "-" + digits(c.month, 2) + "-" + digits(c.day, 2); }

struct Clockface {
    bool seconds, micros;
};

std::string time_of(const BlobName& name, Timestamp t, Clockface shown) {
    const CivilTime c = name.zone.to_local(t);
    std::string text = digits(c.hour, 2) + "-" + digits(c.minute, 2);
    if (shown.seconds) text += "-" + digits(c.second, 2);
    if (shown.micros) text += "-" + digits(c.micros, 6);
    // Clocks that are put back show this time a second time: two windows must not share a name.
    if (!name.zone.is_utc() && name.zone.from_local(c.year, c.month, c.day, c.hour, c.minute, c.second) + Duration(c.micros) != t) {
        const auto minutes = static_cast<int>(name.zone.offset(t) / 1min);
        text += (minutes < 0 ? "-" : "+") + digits(std::abs(minutes) / 60, 2) + digits(std::abs(minutes) % 60, 2);
    }
    return text;
}

Clockface clockface(const BlobName& name, Timestamp start, Timestamp end) {
    const CivilTime a = name.zone.to_local(start), b = name.zone.to_local(end);
    const bool micros = a.micros != 0 || b.micros != 0;
    return {micros || a.second != 0 || b.second != 0, micros};
}

std::string folder_of(const BlobName& name, std::string_view kind, Timestamp start) {
    std::string path = name.prefix;
    if (!path.empty() && path.back() != '/') path += '/';
    path += kind;
    if (!name.stream.empty()) path += path_step(name.stream) + "/";
    if (name.key) path += path_step(*name.key) + "/";
    return path + date_of(name.zone.to_local(start)) + "/";
}

}  // namespace

std::string path_step(std::string_view text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    constexpr std::size_t bytes_max = 200;  // file systems take 255
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+' ||
                           (c == '.' && !out.empty());
        if (plain) {
            out += c;
        } else {
            out += '%';
            out += hex[static_cast<unsigned char>(c) >> 4];
            out += hex[static_cast<unsigned char>(c) & 15];
        }
    }
    if (out.size() > bytes_max) {
        // FNV-1a, as for the ids of derived events; `~` stands in no other step.
        std::uint64_t hash = 0xcbf29ce484222325;
        for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
        out = out.substr(0, bytes_max - 17) + "~" + to_text(Epoch{hash});
    }
    return out.empty() ? "%" : out;  // no other text gives a lone percent sign
}

std::string sibling_name(std::string_view name, Epoch epoch) {
    const auto slash = name.rfind('/');
    const auto file = slash == std::string_view::npos ? 0 : slash + 1;
    auto dot = name.rfind(".json");
    if (dot == std::string_view::npos || dot < file) dot = name.size();
    return std::string(name.substr(0, dot)) + "~" + to_text(epoch) + std::string(name.substr(dot));
}

void write_readings(JsonWriter& json, std::span<const BlobReading> readings) {
    json.name("readings").array();
    for (const BlobReading& r : readings) {
        json.object().member("time", r.time).name("value").raw(r.value).member("source", r.source);
        json.member("ingested", r.ingested).member("id", r.id).end();
    }
    json.end();
}

Result<BlobWindow> parse_window(std::string_view data) {
    BlobWindow w;
    const Error bad{"bad_window", "an event on a window stream is no window document: " + std::string(data.substr(0, 100))};
    auto parsed = Json::parse(data);
    if (!parsed.ok()) return bad;
    w.parsed = *std::move(parsed);
    const auto text = [&](std::string_view member) { return std::string(member_of(w.parsed, "window", member).as_string()); };
    const auto start = parse_rfc3339(text("start")), end = parse_rfc3339(text("end"));
    const auto stream = w.parsed.find_string("stream"), key = w.parsed.find_string("key");
    const Json* revision = w.parsed.find("revision");
    const std::int64_t number = revision ? revision->as_integer().value_or(-1) : -1;
    if (!start || !end || !stream || !key || number < 0 || number > std::numeric_limits<std::uint32_t>::max()) return bad;
    w.name = text("name");
    w.stream = *stream;
    w.key = *key;
    w.start = *start;
    w.end = *end;
    w.revision = static_cast<std::uint32_t>(number);
    w.count = static_cast<std::uint64_t>(std::max<std::int64_t>(0, member_of(w.parsed, "statistics", "count").as_integer().value_or(0)));
    // Members are put before its last brace, so that must be the last character.
    w.document = data.substr(0, data.rfind('}') + 1);
    return w;
}

std::string raw_document(const BlobWindow& window, BlobProfile profile, Epoch epoch) {
    if (profile == BlobProfile::weir) return weir_document(window, epoch, true);
    const bool s0 = profile == BlobProfile::s0;
    std::string out;
    JsonWriter json(out);
    json.object().name("window").object();
    json.member("start", to_rfc3339_short(window.start)).member("end", to_rfc3339_short(window.end));
    if (s0) copy(json, "duration_seconds", member_of(window.parsed, "window", "duration_seconds"));
    json.end().name(s0 ? "updates" : "events").array();
    for (const BlobReading& r : window.readings)
        json.object().name("occupancy").raw(r.value).member("timestamp", s0 ? to_rfc3339_short(r.time) : to_rfc3339(r.time)).end();
    json.end().name("statistics").object();
    for (const char* name : {"count", "min", "max", "avg"}) copy(json, name, member_of(window.parsed, "statistics", name));
    if (s0) copy(json, "median", member_of(window.parsed, "statistics", "median"));
    json.end().end();
    return out;
}

std::string summary_document(const BlobWindow& window, BlobProfile profile, Epoch epoch) {
    if (profile == BlobProfile::weir) return weir_document(window, epoch, false);
    std::string out;
    JsonWriter json(out);
    const auto micros = (window.end - window.start).count();
    json.object().member("timestamp", to_rfc3339_short(window.end)).member("window_duration_minutes", static_cast<double>(micros) / 60e6);
    json.name("occupancy").object();
    copy(json, "current", member_of(window.parsed, "statistics", "last"));
    for (const char* name : {"min", "max", "avg"}) copy(json, name, member_of(window.parsed, "statistics", name));
    copy(json, "samples", member_of(window.parsed, "statistics", "count"));
    json.end().end();
    return out;
}

std::string bundle_document(const std::vector<BlobWindow>& windows, Epoch epoch, bool with_readings) {
    std::string out;
    JsonWriter json(out);
    std::uint64_t revision = 0;
    for (const BlobWindow& w : windows) revision += w.revision + 1;
    const BlobWindow& first = windows.front();
    json.object().name("window").object().member("name", first.name).member("start", first.start).member("end", first.end).end();
    json.member("stream", first.stream).member("revision", revision).member("epoch", to_text(epoch)).name("results").array();
    for (const BlobWindow& w : windows) json.raw(weir_document(w, epoch, with_readings));
    json.end().end();
    return out;
}

std::string raw_name(const BlobName& name, Timestamp start, Timestamp end) {
    std::string path = folder_of(name, name.layout == BlobLayout::hybrid ? "raw-events/" : "", start);
    const Clockface shown = clockface(name, start, end);
    path += time_of(name, start, shown) + "-to-";
    if (end > name.zone.start_of_next_day(start)) path += date_of(name.zone.to_local(end)) + "-";
    path += time_of(name, end, shown);
    if (!name.window.empty()) path += "-" + path_step(name.window);
    return path + (name.gzip_extension ? ".json.gz" : ".json");
}

std::string summary_name(const BlobName& name, Timestamp start) {
    std::string path = folder_of(name, name.layout == BlobLayout::hybrid ? "summaries/" : "", start);
    path += time_of(name, start, clockface(name, start, start));
    if (!name.window.empty()) path += "-" + path_step(name.window);
    return path + (name.layout == BlobLayout::hybrid ? ".json" : "-summary.json");
}

}  // namespace weir
