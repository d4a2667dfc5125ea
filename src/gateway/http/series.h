#pragma once
#include <optional>
#include <string>
#include <vector>

#include "gateway/http/answer.h"
#include "event/filter.h"
#include "event/json.h"
#include "log/log.h"

namespace weir {

/// A window as the API knows it: where its results are, and what they are about.
struct WindowInfo {
    std::string name, stream, output, field, kind;
    Duration size{}, hop{};
    bool per_key = true;
};

/// What `GET /api/v1/series` asks for.
struct SeriesRequest {
    static constexpr std::size_t points_default = 500, points_max = 20000;
    static constexpr std::size_t raw_max = 2'000'000;  ///< readings rolled up where no window is configured

    StreamName stream;
    std::optional<std::string> key;
    JsonPointer field;
    Timestamp from, to;
    Filter boundary;  ///< of the token: where there is one, only the readings themselves are used, since a window holds others' too
    std::size_t points = points_default;
};

/// One series for a chart: the readings themselves where there are at most `points`; else the finest tumbling window of
/// this field that gives no more, merged further where even the coarsest gives more; else the readings, rolled up here. Behind the
/// last closed window come the readings that no window has yet, rolled up alike, so that all up to `head_seq` is in it.
/// Reads the log: not on a reactor. Cost: 30 days of a key in five-minute windows some 100 ms (bench/series_bench).
HttpAnswer answer_series(Log& log, const SeriesRequest& request, const std::vector<WindowInfo>& windows);

/// What `GET /api/v1/windows/{name}` asks for.
struct ResultsRequest {
    WindowInfo window;
    std::optional<std::string> key;
    std::optional<Timestamp> from, to;  ///< of the windows' starts
    std::size_t limit = 100;
    Filter boundary;  ///< of the token
};
/// The newest `limit` closed windows, each in its newest revision, newest first. Reads the log.
HttpAnswer answer_results(Log& log, const ResultsRequest& request);

}  // namespace weir
