#include "gateway/groups.h"

#include "base/assert.h"
#include "event/json.h"
#include "gateway/dialects/read_since.h"

namespace weir {
namespace {

/// A group that has not found its begin yet has nothing to keep: whoever wants in again says where.
std::optional<std::string> printed(const std::string& subscription, const Groups::Begins& begins, Timestamp used) {
    std::string text;
    JsonWriter json(text);
    json.object().member("subscription", subscription).member("used", used.micros()).name("positions").object();
    for (const auto& [stream, begin] : begins) {
        const auto* position = std::get_if<Since::Position>(&begin);
        if (!position) return std::nullopt;
        json.name(stream).object().member("epoch", to_text(position->epoch)).member("seq", position->seq.value).end();
    }
    json.end().end();
    return text;
}

}  // namespace

Result<std::unique_ptr<Groups>> Groups::open(Log& log, const GatewayOptions& options) {
    WEIR_TRY(const auto state, log.state(kReader));
    std::unique_ptr<Groups> groups(new Groups(options));
    Records records;
    for (const auto& [name, value] : state) {
        const auto json = Json::parse(value);
        const auto subscription = json.ok() ? json->find_string("subscription") : std::nullopt;
        const Json* used = json.ok() ? json->find("used") : nullptr;
        const Json* given = json.ok() ? json->find("positions") : nullptr;
        const auto positions = given ? read_positions(*given) : std::nullopt;
        if (!subscription || !used || !positions) return Error{"damaged_state", "the position of group `" + name + "` cannot be read"};
        Record& record = records[name];
        record.subscription = *subscription;
        record.used = Timestamp::from_micros(used->as_integer().value_or(0));
        record.begins.insert(positions->begin(), positions->end());
        record.committed = record.begins;
    }
    groups->records_.with([&](Records& held) { held = std::move(records); });
    return groups;
}

GroupHome& Groups::home(std::string_view name) const {
    WEIR_ASSERT(!homes_.empty());
    return *homes_[std::hash<std::string_view>()(name) % homes_.size()];
}

Groups::Entry Groups::enter(const std::string& name, const std::string& subscription, Begins begins, Timestamp now) {
    return records_.with([&](Records& records) -> Entry {
        auto at = records.find(name);
        if (at == records.end()) {
            if (records.size() >= options_.groups_max) return {GatewayError::too_many_groups, {}};
            at = records.emplace(name, Record{subscription, std::move(begins), {}, 0, now}).first;
        } else if (at->second.subscription != subscription) {
            return {GatewayError::group_differs, {}};
        }
        ++at->second.members;
        at->second.used = now;
        return {std::nullopt, at->second.begins};
    });
}

void Groups::leave(const std::string& name, Timestamp now) {
    records_.with([&](Records& records) {
        const auto at = records.find(name);
        WEIR_ASSERT(at != records.end() && at->second.members > 0);
        at->second.used = now;
        if (--at->second.members == 0 && !printed(at->second.subscription, at->second.begins, now)) records.erase(at);
    });
}

std::optional<Groups::Saved> Groups::reached(const std::string& name, const Begins& positions, Timestamp now) {
    return records_.with([&](Records& records) -> std::optional<Saved> {
        const auto at = records.find(name);
        if (at == records.end()) return std::nullopt;
        for (const auto& [stream, begin] : positions) at->second.begins.insert_or_assign(stream, begin);
        at->second.used = now;
        auto text = printed(at->second.subscription, at->second.begins, now);
        if (!text) return std::nullopt;
        return Saved{*std::move(text), at->second.begins};
    });
}

void Groups::committed(const std::string& name, const Begins& begins) {
    records_.with([&](Records& records) {
        if (const auto at = records.find(name); at != records.end()) at->second.committed = begins;
    });
}

std::vector<std::string> Groups::forget_old(Timestamp now) {
    return records_.with([&](Records& records) {
        std::vector<std::string> old;
        for (auto at = records.begin(); at != records.end();) {
            if (at->second.members == 0 && now - at->second.used > options_.group_keep) {
                old.push_back(at->first);
                at = records.erase(at);
            } else {
                ++at;
            }
        }
        return old;
    });
}

bool Groups::forget(const std::string& name) {
    return records_.with([&](Records& records) {
        const auto at = records.find(name);
        if (at == records.end()) return true;
        if (at->second.members > 0) return false;
        records.erase(at);
        return true;
    });
}

std::vector<Groups::Shown> Groups::list() const {
    return records_.with([&](const Records& records) {
        std::vector<Shown> shown;
        for (const auto& [name, record] : records) {
            Shown& one = shown.emplace_back(Shown{name, record.subscription, record.members, {}, record.used});
            for (const auto& [stream, begin] : record.committed)
                if (const auto* position = std::get_if<Since::Position>(&begin)) one.positions.emplace(stream, *position);
        }
        return shown;
    });
}

}  // namespace weir
