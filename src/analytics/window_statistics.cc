#include "analytics/window_statistics.h"

#include <algorithm>
#include <cmath>

#include "analytics/bytes.h"
#include "base/assert.h"

namespace weir::analytics {
namespace {

constexpr std::size_t parts_max = 512;

bool earlier(const TimedValue& a, const TimedValue& b) { return a.time != b.time ? a.time < b.time : a.value < b.value; }

double percentile_type7(std::span<const double> sorted, double p) {
    const double h = static_cast<double>(sorted.size() - 1) * p;
    const auto below = static_cast<std::size_t>(h);
    if (below + 1 >= sorted.size()) return sorted.back();
    const double part = h - static_cast<double>(below);
    return part == 0 ? sorted[below] : sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

// Neumaier's sum: what a plain sum rounds away is kept beside it.
struct CompensatedSum {
    double sum = 0, rest = 0;
    void add(double x) {
        const double t = sum + x;
        rest += std::abs(sum) >= std::abs(x) ? (sum - t) + x : (x - t) + sum;
        sum = t;
    }
    double value() const { return sum + rest; }
};

}  // namespace

void WindowStatistics::add(Timestamp time, double value) {
    WEIR_ASSERT(std::isfinite(value));
    if (!folded_) {
        readings_.push_back({time, value});
        if (readings_.size() > exact_max_) fold();
        return;
    }
    folded_->add(time, value);
}

void WindowStatistics::fold() {
    if (folded_) return;
    folded_ = std::make_unique<Folded>();
    std::stable_sort(readings_.begin(), readings_.end(), earlier);
    for (const TimedValue& r : readings_) folded_->add(r.time, r.value);
    readings_ = {};
}

void WindowStatistics::merge(const WindowStatistics& other) {
    if (!folded_ && !other.folded_ && readings_.size() + other.readings_.size() <= exact_max_) {
        readings_.insert(readings_.end(), other.readings_.begin(), other.readings_.end());
        return;
    }
    if (other.empty()) return;
    fold();
    if (other.folded_) {
        folded_->merge(*other.folded_);
    } else {
        std::vector<TimedValue> sorted(other.readings_);
        std::stable_sort(sorted.begin(), sorted.end(), earlier);
        for (const TimedValue& r : sorted) folded_->add(r.time, r.value);
    }
}

void WindowStatistics::Moments::add(double t, double x) {
    ++n;
    const auto count = static_cast<double>(n);
    const double dt = t - mean_t, dx = x - mean_x;
    mean_t += dt / count;
    mean_x += dx / count;
    stt += dt * (t - mean_t);
    sxx += dx * (x - mean_x);
    stx += dt * (x - mean_x);
}

void WindowStatistics::Moments::merge(const Moments& other) {
    if (other.n == 0) return;
    if (n == 0) {
        *this = other;
        return;
    }
    const auto a = static_cast<double>(n), b = static_cast<double>(other.n);
    const double dt = other.mean_t - mean_t, dx = other.mean_x - mean_x, share = a * b / (a + b);
    n += other.n;
    mean_t += dt * b / (a + b);
    mean_x += dx * b / (a + b);
    stt += other.stt + dt * dt * share;
    sxx += other.sxx + dx * dx * share;
    stx += other.stx + dt * dx * share;
}

void WindowStatistics::Folded::add(Timestamp time, double value) {
    if (moments.n == 0) {
        origin = time;
        first = last = {time, value};
        min = max = latest_value = value;
    }
    if (value != latest_value) ++distinct_changes;
    latest_value = value;
    min = std::min(min, value);
    max = std::max(max, value);
    if (earlier({time, value}, first)) first = {time, value};
    if (earlier(last, {time, value})) last = {time, value};
    const double t = static_cast<double>((time - origin).count()) / 60e6;
    moments.add(t, value);
    sketch.add(value);
    if (parts.empty() || parts.back().n >= static_cast<double>(part_size)) {
        if (parts.size() == parts_max) halve_parts();
        parts.emplace_back();
    }
    Part& part = parts.back();
    part.n += 1;
    part.t += (t - part.t) / part.n;
    part.x += (value - part.x) / part.n;
}

void WindowStatistics::Folded::halve_parts() {
    std::vector<Part> halved;
    for (std::size_t i = 0; i < parts.size(); i += 2) {
        Part sum = parts[i];
        if (i + 1 < parts.size()) {
            const Part& b = parts[i + 1];
            const double n = sum.n + b.n;
            sum = {n, sum.t + (b.t - sum.t) * b.n / n, sum.x + (b.x - sum.x) * b.n / n};
        }
        halved.push_back(sum);
    }
    parts = std::move(halved);
    part_size *= 2;
}

void WindowStatistics::Folded::merge(const Folded& other) {
    if (other.moments.n == 0) return;
    if (moments.n == 0) {
        *this = other;
        return;
    }
    const double shift = static_cast<double>((other.origin - origin).count()) / 60e6;
    Moments moved = other.moments;
    moved.mean_t += shift;
    moments.merge(moved);
    if (other.first.value != latest_value) ++distinct_changes;
    distinct_changes += other.distinct_changes;
    latest_value = other.latest_value;
    min = std::min(min, other.min);
    max = std::max(max, other.max);
    if (earlier(other.first, first)) first = other.first;
    if (earlier(last, other.last)) last = other.last;
    sketch.merge(other.sketch);
    for (Part part : other.parts) {
        part.t += shift;
        parts.push_back(part);
    }
    part_size = std::max(part_size, other.part_size);
    std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.t < b.t; });
    while (parts.size() > parts_max) halve_parts();
}

StatisticsSummary WindowStatistics::summary(MedianKind median) const {
    StatisticsSummary s;
    s.count = count();
    if (s.count == 0) return s;
    if (folded_) {
        const Folded& f = *folded_;
        s.min = f.min;
        s.max = f.max;
        s.avg = f.moments.mean_x;
        s.median = f.sketch.quantile(0.5);
        s.p95 = f.sketch.quantile(0.95);
        s.first = f.first.value;
        s.last = f.last.value;
        if (s.count > 1) s.stddev = std::sqrt(f.moments.sxx / static_cast<double>(s.count - 1));
        s.distinct_changes = f.distinct_changes;
        s.exact = false;
        s.rank_error = f.sketch.rank_error();
        std::vector<TimedValue> means;
        means.reserve(f.parts.size());
        for (const Part& part : f.parts)
            means.push_back({f.origin + Duration(static_cast<std::int64_t>(part.t * 60e6)), part.x});
        // The direction is judged on the means of neighbours, which hang together much less than readings do; the slope is
        // that of all readings.
        s.trend = analytics::trend(means);
        if (s.trend && f.moments.stt > 0) s.trend->slope_per_minute = f.moments.stx / f.moments.stt;
        return s;
    }

    std::vector<TimedValue> by_time(readings_);
    if (!std::is_sorted(by_time.begin(), by_time.end(), earlier)) std::sort(by_time.begin(), by_time.end(), earlier);
    std::vector<double> sorted;
    sorted.reserve(by_time.size());
    for (const TimedValue& r : by_time) sorted.push_back(r.value);
    s.first = sorted.front();
    s.last = sorted.back();

    const double origin = sorted.front();
    const auto n = static_cast<double>(by_time.size());
    CompensatedSum sum;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        sum.add(sorted[i]);
        if (i > 0 && sorted[i] != sorted[i - 1]) ++s.distinct_changes;
    }
    s.avg = sum.value() / n;
    if (s.count > 1) {
        // Two passes around the mean, with the correction for the mean's own rounding.
        CompensatedSum shifted;
        for (const double x : sorted) shifted.add(x - origin);
        const double mean = shifted.value() / n;
        CompensatedSum squares, drift;
        for (const double x : sorted) {
            const double d = (x - origin) - mean;
            squares.add(d * d);
            drift.add(d);
        }
        const double corrected = squares.value() - drift.value() * drift.value() / n;
        s.stddev = std::sqrt(std::max(0.0, corrected) / (n - 1));
    }
    s.trend = analytics::trend(by_time);

    std::sort(sorted.begin(), sorted.end());
    s.min = sorted.front();
    s.max = sorted.back();
    s.median = median == MedianKind::upper ? sorted[sorted.size() / 2] : percentile_type7(sorted, 0.5);
    s.p95 = percentile_type7(sorted, 0.95);
    return s;
}

std::string WindowStatistics::save_folded() const {
    std::string out;
    if (!folded_) return out;
    const Folded& f = *folded_;
    put_raw(out, f.moments.n);
    for (const double v : {f.moments.mean_t, f.moments.mean_x, f.moments.stt, f.moments.sxx, f.moments.stx}) put_raw(out, v);
    put_raw(out, f.origin.micros());
    for (const TimedValue& r : {f.first, f.last}) {
        put_raw(out, r.time.micros());
        put_raw(out, r.value);
    }
    for (const double v : {f.min, f.max, f.latest_value}) put_raw(out, v);
    put_raw(out, f.distinct_changes);
    put_raw(out, f.part_size);
    put_raw(out, static_cast<std::uint32_t>(f.parts.size()));
    for (const Part& part : f.parts)
        for (const double v : {part.n, part.t, part.x}) put_raw(out, v);
    f.sketch.save(out);
    return out;
}

bool WindowStatistics::load_folded(std::string_view in) {
    auto f = std::make_unique<Folded>();
    bool good = take_raw(in, f->moments.n);
    for (double* v : {&f->moments.mean_t, &f->moments.mean_x, &f->moments.stt, &f->moments.sxx, &f->moments.stx})
        good = good && take_raw(in, *v);
    const auto take_time = [&](Timestamp& t) {
        std::int64_t micros = 0;
        good = good && take_raw(in, micros);
        t = Timestamp::from_micros(micros);
    };
    take_time(f->origin);
    for (TimedValue* r : {&f->first, &f->last}) {
        take_time(r->time);
        good = good && take_raw(in, r->value);
    }
    for (double* v : {&f->min, &f->max, &f->latest_value}) good = good && take_raw(in, *v);
    std::uint32_t parts = 0;
    good = good && take_raw(in, f->distinct_changes) && take_raw(in, f->part_size) && take_raw(in, parts);
    if (!good || parts > parts_max) return false;
    f->parts.resize(parts);
    for (Part& part : f->parts)
        for (double* v : {&part.n, &part.t, &part.x}) good = good && take_raw(in, *v);
    if (!good) return false;
    auto sketch = QuantileSketch::load(in);
    if (!sketch || !in.empty()) return false;
    f->sketch = *std::move(sketch);
    readings_ = {};
    folded_ = std::move(f);
    return true;
}

}  // namespace weir::analytics
