// Where samples lie on the charts of an SpcChart, and what violations they complete.
#include <algorithm>

#include "processors/processor.h"
#include "processors/spc_pen.h"

namespace weir {

using analytics::ChartPoint;
using analytics::RuleId;
using analytics::Signals;

const SpcChart::Pen& SpcChart::fresh(std::uint32_t number) {
    auto& pen = fresh_[number];
    if (!pen) pen = std::make_unique<Pen>(*version(number), *table_);
    return *pen;
}

void SpcChart::judge(std::size_t from, std::size_t until, Listener* listener) {
    if (from >= records_.size()) return;
    std::unique_ptr<Pen> pen;
    if (pen_ && from + 1 == records_.size() && pen_->version == version_at(records_[from].sample.time)) pen = std::move(pen_);
    pen_.reset();
    std::size_t same = 0;
    for (std::size_t i = from; i < records_.size(); ++i) {
        SpcRecord& record = records_[i];
        // What cannot change any more keeps the version that judged it.
        const std::uint32_t number = !listener && i < frozen() ? record.version : version_at(record.sample.time);
        if (!pen || pen->version != number) {
            pen = std::make_unique<Pen>(fresh(number));
            // Back to the last samples of this version that count, to pick up runs and sums where they stood.
            std::vector<std::size_t> back;
            std::size_t k = i;
            for (; k > 0 && back.size() < static_cast<std::size_t>(pen->lookback) + 1 && !pen->charts.empty(); --k) {
                const SpcRecord& earlier = records_[k - 1];
                if (earlier.version != number) break;
                if (!earlier.sample.excluded) back.push_back(k - 1);
            }
            for (std::size_t b = back.size(); b-- > 0;) {
                const SpcRecord& earlier = records_[back[b]];
                for (std::size_t c = 0; c < pen->charts.size(); ++c) {
                    if (!(earlier.has >> c & 1)) continue;
                    (void)pen->rules[c].add(earlier.points[c]);
                    pen->drew(c, back[b]);
                }
            }
            const SpcRecord* last = !back.empty() ? &records_[back.front()] : before_ && k == 0 && before_->version == number ? &*before_ : nullptr;
            if (last && !pen->charts.empty()) {
                pen->charts[0].restore(last->state);
                // The second chart remembers at most the last reading.
                if (pen->charts.size() > 1) pen->charts[1].restore({last->sample.values.front(), 1});
            }
        }
        const SpcJudgement old = record;
        static_cast<SpcJudgement&>(record) = {};
        record.version = number;
        if (!record.sample.excluded) {
            for (std::size_t c = 0; c < pen->charts.size(); ++c) {
                const auto point = pen->charts[c].add(record.sample.view());
                // Checked when it came; a version that was put under it later may refuse it, and then it has no point there.
                if (!point.ok() || !*point) continue;
                record.has = static_cast<std::uint8_t>(record.has | 1u << c);
                record.points[c] = **point;
                record.signals[c] = pen->rules[c].add(**point);
                pen->drew(c, i);
            }
            if (!pen->charts.empty()) {
                record.state = pen->charts[0].state();
                record.cusum_upper = pen->charts[0].last_cusum().upper;
                record.cusum_lower = pen->charts[0].last_cusum().lower;
            }
        }
        const bool as_before = old == static_cast<const SpcJudgement&>(record);
        if (!as_before && listener) {
            ++record.revision;
            touch(record);
            listener->sample_changed(*this, record);
        }
        violations_at(i, *pen, listener);
        same = as_before && i >= until ? same + !record.sample.excluded : 0;
        if (same > static_cast<std::size_t>(pen->lookback) + 1) return;
    }
    pen_ = std::move(pen);
}

std::string SpcChart::pattern_of(const Pen& pen, std::size_t chart, RuleId rule) const {
    // A pattern's bits count points of this chart, the newest first.
    const std::uint64_t pattern = pen.rules[chart].pattern(rule);
    const auto& drawn = pen.drawn[chart];
    std::string body = "[";
    for (int bit = 63; bit >= 0; --bit) {
        if (!(pattern >> bit & 1) || static_cast<std::size_t>(bit) >= drawn.size()) continue;
        const SpcRecord& r = records_[drawn[drawn.size() - 1 - static_cast<std::size_t>(bit)]];
        if (body.size() > 1) body += ',';
        JsonWriter json(body);
        json.object().member("sample_id", r.sample.id).member("timestamp", r.sample.time);
        // So that 64 samples still are a message of a usual size.
        if (r.sample.values.size() <= 25) {
            json.name("values").array();
            for (const double v : r.sample.values) json.value(v);
            json.end();
        }
        json.member("size", r.sample.size);
        ChartPoint p = r.points[chart];
        // Of a CUSUM the sum that the rule is about, which need not be the one further out.
        if (rule == RuleId::cusum_upper || rule == RuleId::cusum_lower) {
            p.statistic = rule == RuleId::cusum_upper ? r.cusum_upper : r.cusum_lower;
            p.zone = rule == RuleId::cusum_upper ? analytics::Zone::beyond_ucl : analytics::Zone::beyond_lcl;
        }
        json.member("statistic", p.statistic).member("centre", p.centre).member("lcl", p.lcl).member("ucl", p.ucl).member("zone_width", p.zone_width);
        json.member("zone", analytics::zone_name(p.zone)).end();
    }
    return body + "]";
}

void SpcChart::violations_at(std::size_t i, Pen& pen, Listener* listener) {
    SpcRecord& record = records_[i];
    const bool is_context = !listener && i < frozen();
    if (record.violations.empty() && (record.in_control() || is_context)) return;
    const std::vector<std::uint64_t> before = std::exchange(record.violations, {});
    for (std::size_t c = 0; c < pen.charts.size() && !is_context; ++c) {
        const Signals& signals = record.signals[c];
        signals.for_each([&](RuleId rule) {
            if (!signals.begins(rule)) return;
            const auto side = signals.side(rule);
            const std::uint64_t id = spc_hash({"violation", std::to_string(definition_.id), analytics::chart_kind_name(version(pen.version)->definition.kind(static_cast<int>(c))),
                                               std::to_string(static_cast<int>(rule)), analytics::side_name(side), std::to_string(record.sample.id), std::to_string(pen.version)});
            record.violations.push_back(id);
            if (!listener) return;
            SpcViolation& violation = violations_[id];
            const bool is_new = violation.id == 0;
            if (is_new) {
                violation.id = id;
                violation.chart = static_cast<std::uint8_t>(c);
                violation.rule = rule;
                violation.side = side;
                violation.sample = record.sample.id;
                violation.version = pen.version;
            }
            const bool back = std::exchange(violation.withdrawn, false);
            violation.time = record.sample.time;
            const std::string body = pattern_of(pen, c, rule);
            const std::uint64_t content = derived_hash({body});
            if (!is_new && !back && content == violation.content) return;
            violation.content = content;
            ++violation.revision;
            touch_violation(violation);
            listener->violation_raised(*this, violation, body);
        });
    }
    if (!listener) return;
    for (const std::uint64_t id : before)
        if (std::find(record.violations.begin(), record.violations.end(), id) == record.violations.end()) withdraw(id, *listener);
}

void SpcChart::withdraw(std::uint64_t id, Listener& listener) {
    const auto at = violations_.find(id);
    if (at == violations_.end()) return;  // forgotten at the bound
    SpcViolation& violation = at->second;
    // A sample that moved in time completes it elsewhere now: the same violation.
    if (const SpcRecord* now = find(violation.sample); now && std::find(now->violations.begin(), now->violations.end(), id) != now->violations.end()) return;
    if (violation.withdrawn) return;
    violation.withdrawn = true;
    ++violation.revision;
    touch_violation(violation);
    listener.violation_withdrawn(*this, violation);
    // What was acknowledged stays in the record; if the violation returns it has its acknowledgement again.
    if (!violation.ack) {
        violations_.erase(at);
        listener.violation_forgotten(id);
    }
}

Result<const SpcViolation*> SpcChart::acknowledge(std::uint64_t id, SpcAcknowledgement ack) {
    const auto at = violations_.find(id);
    if (at == violations_.end()) return Error{"unknown_violation", "there is no violation " + std::to_string(id)};
    SpcViolation& violation = at->second;
    if (violation.ack)
        return Error{"already_acknowledged", "violation " + std::to_string(id) + " was acknowledged by " + violation.ack->user + " at " + to_rfc3339(violation.ack->time)};
    violation.ack = std::move(ack);
    touch_violation(violation);
    return &violation;
}

}  // namespace weir
