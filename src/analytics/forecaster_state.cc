// How a Forecaster stands in a processor's state. Parts of the bank are `b` and its name, of the interval `v` and its name, its own are `f`
// what changes always, `r<n>` rows of pending forecasts, `u<n>` outcomes.
#include <algorithm>

#include "analytics/bytes.h"
#include "analytics/forecaster.h"

namespace weir::analytics {
namespace {

using Parts = std::vector<std::pair<std::string, std::string>>;

std::optional<std::size_t> index_of(std::string_view digits, std::size_t below) {
    std::size_t index = 0;
    if (digits.empty() || digits.size() > 6) return std::nullopt;
    for (const char digit : digits) {
        if (digit < '0' || digit > '9') return std::nullopt;
        index = index * 10 + static_cast<std::size_t>(digit - '0');
    }
    return index < below ? std::optional(index) : std::nullopt;
}

}  // namespace

Parts Forecaster::save() {
    Parts parts;
    std::string head;
    put_raw(head, now_), put_raw(head, last_);
    put_raw(head, change_), put_raw(head, change_weight_), put_raw(head, step_change_), put_raw(head, step_weight_);
    put_raw(head, outcome_count_), put_raw(head, total_);
    for (const Record& r : records_) {
        put_raw(head, r.outcomes), put_raw(head, r.seasonal_outcomes);
        put_raw(head, r.own), put_raw(head, r.naive), put_raw(head, r.seasonal_own), put_raw(head, r.seasonal);
    }
    parts.emplace_back("f", std::move(head));
    const std::size_t row_size = std::size_t{options_.horizon} * column_count;
    for (std::size_t i = 0; i < rows_changed_.size(); ++i) {
        if (!rows_changed_[i]) continue;
        rows_changed_[i] = false;
        std::string bytes;
        for (std::size_t j = i * row_chunk * row_size; j < std::min(rows_.size(), (i + 1) * row_chunk * row_size); ++j) put_raw(bytes, rows_[j]);
        parts.emplace_back("r" + std::to_string(i), std::move(bytes));
    }
    for (std::size_t i = 0; i < outcomes_changed_.size(); ++i) {
        if (!outcomes_changed_[i]) continue;
        outcomes_changed_[i] = false;
        std::string bytes;
        for (std::size_t j = i * outcome_chunk; j < std::min(outcomes_.size(), (i + 1) * outcome_chunk); ++j) {
            const Outcome& o = outcomes_[j];
            put_raw(bytes, o.error), put_raw(bytes, o.naive_error), put_raw(bytes, o.seasonal_error);
            put_raw(bytes, o.count), put_raw(bytes, o.seasonal_count), put_raw(bytes, o.interval_count), put_raw(bytes, o.inside);
        }
        parts.emplace_back("u" + std::to_string(i), std::move(bytes));
    }
    Parts inner;
    bank_.save(inner);
    for (auto& [name, bytes] : inner) parts.emplace_back("b" + name, std::move(bytes));
    inner.clear();
    interval_.save(inner);
    for (auto& [name, bytes] : inner) parts.emplace_back("v" + name, std::move(bytes));
    return parts;
}

std::size_t Forecaster::unsaved_bytes() const {
    const auto changed = [](const std::vector<bool>& chunks) { return static_cast<std::size_t>(std::count(chunks.begin(), chunks.end(), true)); };
    return 64 + records_.size() * sizeof(Record) + changed(rows_changed_) * row_chunk * options_.horizon * column_count * 8 +
           changed(outcomes_changed_) * outcome_chunk * sizeof(Outcome) + bank_.unsaved_bytes() + interval_.unsaved_bytes();
}

std::size_t Forecaster::step_bytes(const ForecasterOptions& o) {
    // A step changes one chunk of each; a fresh one says what the heads are.
    return Forecaster({.horizon = o.horizon}).unsaved_bytes() + row_chunk * o.horizon * column_count * 8 + outcome_chunk * sizeof(Outcome) +
           ForecastBank::step_bytes() + ForecastInterval::step_bytes(o.horizon);
}

bool Forecaster::load(std::string_view name, std::string_view bytes) {
    if (name.empty()) return false;
    const std::string_view rest = name.substr(1);
    if (name[0] == 'b') return bank_.load(rest, bytes);
    if (name[0] == 'v') return interval_.load(rest, bytes);
    bool good = true;
    const auto take = [&](auto& value) { good = good && take_raw(bytes, value); };
    if (name == "f") {
        take(now_), take(last_), take(change_), take(change_weight_), take(step_change_), take(step_weight_), take(outcome_count_), take(total_);
        for (Record& r : records_) take(r.outcomes), take(r.seasonal_outcomes), take(r.own), take(r.naive), take(r.seasonal_own), take(r.seasonal);
        return good && bytes.empty();
    }
    if (name[0] == 'r') {
        const auto i = index_of(rest, rows_changed_.size());
        if (!i) return false;
        rows_changed_[*i] = false;
        const std::size_t chunk = row_chunk * options_.horizon * column_count;
        for (std::size_t j = *i * chunk; j < std::min(rows_.size(), (*i + 1) * chunk); ++j) take(rows_[j]);
        return good && bytes.empty();
    }
    if (name[0] == 'u') {
        const auto i = index_of(rest, outcomes_changed_.size());
        if (!i) return false;
        outcomes_changed_[*i] = false;
        for (std::size_t j = *i * outcome_chunk; j < std::min(outcomes_.size(), (*i + 1) * outcome_chunk); ++j) {
            Outcome& o = outcomes_[j];
            take(o.error), take(o.naive_error), take(o.seasonal_error), take(o.count), take(o.seasonal_count), take(o.interval_count), take(o.inside);
        }
        return good && bytes.empty();
    }
    return false;
}

}  // namespace weir::analytics
