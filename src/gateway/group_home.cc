#include "gateway/group_home.h"

#include <algorithm>

#include "base/assert.h"
#include "base/diag.h"
#include "event/filter_index.h"
#include "gateway/hub.h"

namespace weir {
namespace {

constexpr Duration kTick = 200ms;     ///< between two commits of positions: what a killed weir hands out again is what was acknowledged since
constexpr Duration kIdleTick = 60s;   ///< while nothing happens

}  // namespace

/// What the pool needs to read for a group. Touched by one step at a time, and by the home between steps.
struct GroupHome::Reading {
    StreamType type;
    FilterIndex index;
    std::map<StreamName, int, std::less<>> targets;
    std::vector<GroupEvent> events;  ///< of the step that is being made
    std::unique_ptr<HistoryReader> reader;

    int target(const Batch& batch, std::size_t i) {
        return index.match(batch.stream, batch.events[i]).empty() ? -1 : targets.find(batch.stream)->second;
    }
    void encode(std::string& out, std::uint32_t target, const Batch& batch, std::size_t i) {
        Hub::append_rest(out, DialectKind::analytics, type, batch, i);
        GroupEvent& event = events.emplace_back();
        event.stream = target;
        event.epoch = batch.epoch;
        event.seq = batch.seq_of(i);
        const auto key = batch.events[i].key;
        event.key = key.empty() ? Hub::fingerprint(batch.stream + '/' + std::to_string(event.seq.value)) : Hub::fingerprint(key);
    }
};

GroupHome::GroupHome(Hub& hub, Groups& groups)
    : hub_(hub), groups_(groups), signal_(hub.reactor(), [this] { take(); }), timer_(hub.reactor(), [this] { tick(); }) {
    groups_.add_home(*this);
}
GroupHome::~GroupHome() = default;

void GroupHome::tell(std::function<void()> task) {
    told_.with([&](auto& told) { told.push_back(std::move(task)); });
    signal_.raise();
}

bool GroupHome::take() {
    const auto told = told_.with([](auto& waiting) { return std::exchange(waiting, {}); });
    for (const auto& task : told) task();
    return !told.empty();
}

// Who is in a group.

void GroupHome::join(const Joining& joining, const Groups::Begins& begins) {
    Running& running = running_[joining.name];
    const bool is_new = running.number == 0;
    if (is_new) {
        running.number = next_number_++;
        running.type = joining.type;
        running.streams = joining.streams;
        running.begins = begins;
        running.noted = hub_.clock().now();
        running.reading = std::make_shared<Reading>();
        Reading& reading = *running.reading;
        reading.type = joining.type;
        reading.index.add(joining.filter);
        reading.reader = std::make_unique<HistoryReader>(hub_.log(), std::vector<HistoryRange>(), HistoryReader::Frames{
            .target = [&reading](const Batch& batch, std::size_t i) { return reading.target(batch, i); },
            .encode = [&reading](std::string& out, std::uint32_t target, const Batch& batch, std::size_t i) {
                reading.encode(out, target, batch, i);
                return true;  // how large a message is, is for each member to see
            }});
    }
    running.group.join(joining.member);
    running.members[joining.member] = {joining.at, joining.session, hub_.reactor().now()};
    if (is_new) {
        // Its begin is in the log before much has come: a weir that is killed right now knows of the group.
        note(joining.name, running);
        save();
    }
    hurry();
    go_on(joining.name, running);
}

void GroupHome::leave(const std::string& name, Group::Member member) {
    const auto at = running_.find(name);
    if (at == running_.end() || !at->second.group.has(member)) return;
    Running& running = at->second;
    running.members.erase(member);
    if (running.members.empty()) {
        // The next who comes begins at the first event that nobody has acknowledged.
        note(name, running);
        hurry();
        running_.erase(at);
    } else {
        std::map<Group::Member, std::vector<GroupDelivery>> handed;
        running.group.leave(member, [&](Group::Member to, const GroupEvent& event) { handed[to].push_back({running.parts[event.stream].name, event}); });
        send(running, handed);
    }
    // Only now, so that a group of another kind cannot come into being under the name before this one is gone.
    groups_.leave(name, hub_.clock().now());
}

void GroupHome::acknowledge(const std::string& name, Group::Member member, std::size_t count) {
    const auto at = running_.find(name);
    if (at == running_.end()) return;
    Running& running = at->second;
    if (running.group.acknowledge(member, count) == 0) return;
    running.changed = true;
    hurry();
    running.members.at(member).progress = hub_.reactor().now();
    go_on(name, running);
}

void GroupHome::remove(const std::string& name) {
    if (running_.contains(name)) return;  // it has come into being anew meanwhile
    unsaved_[name] = std::nullopt;
    hurry();
}

// Reading.

void GroupHome::advanced() {
    for (auto& [name, running] : running_) go_on(name, running);
}

/// Streams that have appeared, and how far each may be read.
void GroupHome::cover(Running& running) {
    for (Part& part : running.parts) {
        if (part.stream->next <= part.end) continue;
        part.end = part.stream->next;
        running.reading->reader->extend(part.stream->name, part.end, part.stream->epoch);
        running.rest = true;
    }
    if (running.streams_seen == hub_.streams().size()) return;
    bool all = true;
    for (const auto& [name, stream] : hub_.streams()) {
        Reading& reading = *running.reading;
        if (stream->type != running.type || reading.targets.contains(name)) continue;
        if (!running.streams.empty() && !std::binary_search(running.streams.begin(), running.streams.end(), name)) continue;
        const auto known = running.begins.find(name);
        const Since::Begin begin = known == running.begins.end() ? Since::Begin(Since::Position{stream->epoch, Seq{0}}) : known->second;
        // A position that another reactor has reached already and this one has not is no position of the future.
        if (const auto* position = std::get_if<Since::Position>(&begin);
            position && position->seq.value > 0 && (stream->epoch.value == 0 || (position->epoch == stream->epoch && position->seq >= stream->next))) {
            all = false;
            continue;
        }
        reading.targets[name] = static_cast<int>(running.parts.size());
        reading.reader->add({name, begin, stream->next, stream->epoch});
        running.parts.push_back({stream.get(), std::make_shared<const StreamName>(name), std::nullopt, stream->next});
        running.rest = true;
    }
    if (all) running.streams_seen = hub_.streams().size();
}

void GroupHome::go_on(const std::string& name, Running& running) {
    if (running.in_flight || is_full(running)) return;
    cover(running);
    if (!running.rest) return;
    // Texts of 200 bytes and more, as most are, count at most twice (Group::kEventBytes).
    const std::size_t room = std::min<std::uint64_t>(HistoryReader::kStepBytes, (hub_.options().group_unacked_bytes - running.group.bytes()) / 2);
    // The pool is stopped before a reactor goes, so `this` is there when it comes to it.
    running.in_flight = hub_.pool().submit([this, name, number = running.number, room, reading = running.reading] {
        auto step = std::make_shared<HistoryStep>(reading->reader->step(room));
        auto events = std::make_shared<std::vector<GroupEvent>>(std::exchange(reading->events, {}));
        WEIR_ASSERT(events->size() == step->frames.size());
        std::size_t at = 0;
        for (std::size_t i = 0; i < events->size(); ++i) {
            (*events)[i].text = std::make_shared<const std::string>(step->bytes, at, step->frames[i].size);
            at += step->frames[i].size;
        }
        tell([this, name, number, step, events] { arrived(name, number, *step, *events); });
    });
    if (!running.in_flight) hurry();  // the pool is full: the tick asks again
}

void GroupHome::arrived(const std::string& name, std::uint64_t number, HistoryStep& step, std::vector<GroupEvent>& events) {
    const auto at = running_.find(name);
    if (at == running_.end() || at->second.number != number) return;  // the last member has left meanwhile
    Running& running = at->second;
    running.in_flight = false;
    running.rest = !step.done;
    hub_.count_encodes(events.size());
    for (const auto& gap : step.gaps)
        for (const auto& [id, member] : running.members)
            member.at->tell([to = member.at, session = member.session, id = id, gap] {
                if (Session* found = to->hub_.find(session)) found->group_gap(id, gap);
            });
    std::map<Group::Member, std::vector<GroupDelivery>> handed;
    for (GroupEvent& event : events)
        running.group.add(std::move(event), [&](Group::Member to, const GroupEvent& given) { handed[to].push_back({running.parts[given.stream].name, given}); });
    for (Part& part : running.parts) {
        const auto next = running.reading->reader->next(*part.name);
        if (next == part.next) continue;
        part.next = next;
        running.changed = true;
    }
    hurry();
    send(running, handed);
    go_on(name, running);
}

void GroupHome::send(Running& running, std::map<Group::Member, std::vector<GroupDelivery>>& handed) {
    for (auto& [id, deliveries] : handed) {
        Member& member = running.members.at(id);
        if (running.group.unacknowledged(id) == deliveries.size()) member.progress = hub_.reactor().now();  // it had nothing to acknowledge
        member.at->tell([to = member.at, session = member.session, id = id, all = std::make_shared<std::vector<GroupDelivery>>(std::move(deliveries))] {
            if (Session* found = to->hub_.find(session)) found->group_arrived(id, *all);
        });
    }
}

// The bound, and positions.

/// Less than a quarter is free: reading for less than that would be a step for each event.
bool GroupHome::is_full(const Running& running) const {
    const std::uint64_t bound = hub_.options().group_unacked_bytes;
    return running.group.bytes() > bound - bound / 4;
}

void GroupHome::watch_bound(Running& running) {
    const Duration now = hub_.reactor().now();
    if (!is_full(running)) {
        running.full_since = Duration(0);
        return;
    }
    if (running.full_since == Duration(0)) running.full_since = now;
    for (auto& [id, member] : running.members) {
        if (running.group.unacknowledged(id) == 0 || now - std::max(member.progress, running.full_since) < hub_.options().group_timeout) continue;
        member.progress = now;
        member.at->tell([to = member.at, session = member.session] {
            if (Session* found = to->hub_.find(session); found && !found->connection().closing()) found->end(GatewayError::slow_reader, Drop::slow);
        });
    }
}

Groups::Begins GroupHome::positions(const Running& running) const {
    Groups::Begins found;
    for (std::uint32_t i = 0; i < running.parts.size(); ++i) {
        const Part& part = running.parts[i];
        if (part.next) found.emplace(*part.name, Since::Position{part.stream->epoch, running.group.done(i, *part.next)});
    }
    return found;
}

void GroupHome::note(const std::string& name, Running& running) {
    running.changed = false;
    running.noted = hub_.clock().now();
    if (auto value = groups_.reached(name, positions(running), running.noted)) unsaved_[name] = std::move(value);
}

/// Something is to be committed, or asked again.
void GroupHome::hurry() {
    if (std::exchange(soon_, true)) return;
    timer_.start(kTick);
}

void GroupHome::tick() {
    soon_ = false;
    bool full = false;
    const Timestamp now = hub_.clock().now();
    for (auto& [name, running] : running_) {
        // One in use says so in the log now and then, so that it is not taken for an old one.
        if (running.changed || now - running.noted > hub_.options().group_keep / 4) note(name, running);
        watch_bound(running);
        full = full || is_full(running);
        go_on(name, running);
    }
    save();
    if (full || !unsaved_.empty() || answer_) hurry();
    else if (!soon_ && !running_.empty()) timer_.start(kIdleTick);
}

Commit GroupHome::commit_of(const Unsaved& unsaved) {
    Commit commit;
    commit.reader = Groups::kReader;
    for (const auto& [name, value] : unsaved) commit.state.push_back({name, value ? std::optional(value->text) : std::nullopt});
    return commit;
}

void GroupHome::save() {
    if (answer_) {
        const auto answer = answer_->with([](const auto& held) { return held; });
        if (!answer) return;
        answer_ = nullptr;
        if (!answer->empty()) {
            if (warnings_.admit(hub_.reactor().now().count())) diag::warn("gateway: positions of groups were not committed: " + *answer + "; tried again");
            for (auto& [name, value] : saving_) unsaved_.try_emplace(name, std::move(value));
        } else {
            for (const auto& [name, value] : saving_)
                if (value) groups_.committed(name, value->begins);
        }
        saving_.clear();
    }
    if (unsaved_.empty()) return;
    Commit commit = commit_of(unsaved_);
    // It may come after the gateway has gone.
    const auto answer = std::make_shared<Guarded<std::optional<std::string>>>();
    if (!hub_.log().try_submit(commit, [answer](const Result<Committed>& done) { answer->with([&](auto& held) { held = done.ok() ? std::string() : done.error().message; }); })) return;
    answer_ = answer;
    saving_ = std::exchange(unsaved_, {});
}

void GroupHome::save_all() {
    for (auto& [name, running] : running_)
        if (running.changed) note(name, running);
    for (auto& [name, value] : saving_) unsaved_.try_emplace(name, std::move(value));
    if (unsaved_.empty()) return;
    const auto done = hub_.log().commit(commit_of(unsaved_));
    if (!done.ok()) diag::warn("gateway: positions of groups were not committed: " + done.error().message + "; what was acknowledged last comes again");
    unsaved_.clear();
}

// Counts.

GroupHome::Counts GroupHome::counts() const {
    Counts counts;
    for (const auto& [name, running] : running_) {
        ++counts.groups;
        counts.members += running.members.size();
        counts.unacknowledged += running.group.unacknowledged();
    }
    return counts;
}

}  // namespace weir
