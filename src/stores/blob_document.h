#pragma once
#include <span>
#include <string>
#include <vector>

#include "config/store_options.h"
#include "event/event.h"
#include "event/json.h"

namespace weir {

/// One raw reading as it goes into a window's document.
struct BlobReading {
    std::string id, source;
    std::string value;  ///< the number's text, as in the event
    Timestamp time, ingested;
    Seq seq;
};

/// A closed window of one key with what is in it.
struct BlobWindow {
    std::string name;  ///< of the window, `5min`
    std::string stream, key;
    Timestamp start, end;
    std::uint32_t revision = 0;
    std::uint64_t count = 0;
    std::string document;  ///< the window document, as it is in the log (docs/http-api.md)
    Json parsed;           ///< the same, read
    std::vector<BlobReading> readings;  ///< in order of time
};
/// Reads a window event's data. Error `bad_window` where it is none.
Result<BlobWindow> parse_window(std::string_view data);

/// What the documents of the source profiles cannot say they do not: an empty window has no document there (S0-32), because its
/// readers compute with `min` and `max`; profile `weir` writes it with its reason (C-15).
inline bool is_written(const BlobWindow& window, BlobProfile profile) { return profile == BlobProfile::weir || window.count > 0; }

/// The document with the readings. Profiles:
/// - `weir`: the window document, with `"epoch"` and `"readings":[{"time","value","source","ingested","id"}]` behind its members;
/// - `s0`: source 000's {window{start,end,duration_seconds}, updates[{occupancy,timestamp}], statistics{count,min,max,avg,median}};
/// - `s1_raw`, `s1_summary`: source 001's {window{start,end}, events[{occupancy,timestamp}], statistics{count,min,max,avg}}.
std::string raw_document(const BlobWindow& window, BlobProfile profile, Epoch epoch);
/// The document without them. `weir`: the window document with `"epoch"`; the others: source 001's {timestamp (the end),
/// window_duration_minutes, occupancy{current,min,max,avg,samples}}.
std::string summary_document(const BlobWindow& window, BlobProfile profile, Epoch epoch);
/// Member `readings` of the raw documents of profile `weir`.
void write_readings(JsonWriter& json, std::span<const BlobReading> readings);
/// All keys of a window in one: {"window":{…},"stream","revision","epoch","results":[document of each key]}. Profile `weir`. Its
/// revision counts the documents that ever went into it, so that it grows with each key that is added or corrected.
std::string bundle_document(const std::vector<BlobWindow>& windows, Epoch epoch, bool with_readings);

/// What an object is called (spec.md 2, decisions.md 12).
struct BlobName {
    BlobLayout layout = BlobLayout::hybrid;
    Zone zone;               ///< of dates and times
    std::string prefix;      ///< put before everything
    std::string window;      ///< the window's name, where a stream has several; else empty
    std::string stream;      ///< the stream's, where a store has several; else empty
    std::optional<std::string> key;  ///< where each key has its folder
    bool gzip_extension = false;     ///< `.json.gz`
};
/// `raw-events/2026-02-17/10-00-to-10-05.json.gz` (hybrid), `2026-02-17/10-00-to-10-05.json` (raw). Seconds where a bound has
/// some, microseconds likewise; the end's date where the end is after the next midnight; the offset where clocks show a time twice.
std::string raw_name(const BlobName& name, Timestamp start, Timestamp end);
/// `summaries/2026-02-17/10-00.json` (hybrid), `2026-02-17/10-00-summary.json` (summary).
std::string summary_name(const BlobName& name, Timestamp start);

}  // namespace weir
