#include "processors/runner.h"

#include <charconv>

#include "base/assert.h"
#include "base/diag.h"
#include "base/failpoint.h"
#include "event/json.h"

namespace weir {
namespace {

constexpr std::string_view version_key = "@version", snapshot_key = Runner::snapshot_key, partial_key = "@partial";

std::string version_text(const Processor& processor) { return to_text(Epoch{processor.version()}); }

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::size_t bytes_of(const EventView& e) { return e.id.size() + e.type.size() + e.key.size() + e.source.size() + e.data.size() + 40; }

}  // namespace

Runner::Runner(Log& log, const Clock& clock, Metrics& metrics, StatusBoard& status, RunnerOptions options)
    : log_(log),
      clock_(clock),
      metrics_(metrics),
      status_(status),
      options_(std::move(options)) {
    // Answers are taken before the bound is passed, so the writer never waits here; ticks need a little more room.
    answers_ = std::make_shared<Mailbox<Answer>>(options.pending_max + 1024);
    wakes_ = std::make_shared<Mailbox<CommitNo>>(1);
}

Runner::~Runner() { stop(); }

void Runner::add(std::unique_ptr<Processor> processor, Start start) {
    Slot slot;
    slot.reader = processor->name();
    slot.start = start;
    const Metrics::Labels labels{{"processor", slot.reader}};
    slot.events_in = &metrics_.counter("weir_processor_events_read_total", "Events that a processor has read.", labels);
    slot.events_out = &metrics_.counter("weir_processor_events_derived_total", "Events that a processor has derived.", labels);
    slot.at = &metrics_.gauge("weir_processor_position_commit", "Commit up to which a processor has read.", labels);
    slot.gaps = &metrics_.counter("weir_processor_gaps_total", "Times that retention had removed input before a processor read it.", labels);
    slot.processor = std::move(processor);
    slots_.push_back(std::move(slot));
}

Result<void> Runner::prepare() {
    std::vector<const Processor*> processors;
    for (const Slot& slot : slots_) processors.push_back(slot.processor.get());
    WEIR_CHECK_OK(check_streams(processors));
    for (const Slot& slot : slots_)
        for (const auto& input : slot.processor->inputs())
            if (is_derived(input)) slot.processor->input_is_derived(input);
    inputs_.clear();
    for (const Slot& slot : slots_)
        for (const auto& input : slot.processor->inputs())
            if (std::find(inputs_.begin(), inputs_.end(), input) == inputs_.end()) inputs_.push_back(input);
    if (!wake_)
        wake_ = log_.on_commit([wakes = wakes_](CommitNo commit) { (void)wakes->try_send(std::move(commit)); });
    bool resumed = false;
    for (Slot& slot : slots_) {
        WEIR_CHECK_OK(restore(slot));
        resumed = resumed || slot.position.value > 0;
    }
    if (options_.announce_restart && resumed) {
        // A fact that only the log can tell a window: nothing was read since its last commit, because nobody was there to read.
        for (const auto& stream : inputs_) {
            const auto info = log_.info(stream);
            if (!info || info->last_commit.value == 0) continue;
            if (is_derived(stream) || std::find(options_.told_by_feeds.begin(), options_.told_by_feeds.end(), stream) != options_.told_by_feeds.end()) continue;
            Append append{stream, {}, {}};
            append.notes.feed_states.push_back({"weir", "live", "weir_down", "", clock_.now(), "weir started"});
            Commit commit;
            commit.appends.push_back(std::move(append));
            WEIR_TRY(auto done, log_.commit(std::move(commit)));
            (void)done;
        }
    }
    return ok();
}

bool Runner::is_derived(const StreamName& stream) const {
    return std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
        const auto& outputs = slot.processor->outputs();
        return std::find(outputs.begin(), outputs.end(), stream) != outputs.end();
    });
}

Result<void> Runner::restore(Slot& slot) {
    WEIR_TRY(const auto position, log_.position(slot.reader));
    WEIR_TRY(auto saved, log_.state(slot.reader));
    std::string version, partial;
    std::optional<std::uint64_t> snapshot;
    SavedState state;
    for (auto& [key, value] : saved) {
        if (key == version_key) version = value;
        else if (key == snapshot_key) snapshot = number(value);
        else if (key == partial_key) partial = value;
        else state.emplace_back(std::move(key), std::move(value));
    }
    slot.events_since_snapshot = 0;
    slot.has_snapshot_time = false;
    slot.partial_commit = {};
    slot.partial_skip = 0;
    const bool known = position && version == version_text(*slot.processor);
    slot.submitted = position.value_or(CommitNo{});
    if (known) {
        const CommitNo from{snapshot.value_or(0)}, until = *position;
        if (auto restored = slot.processor->restore(state); restored.ok()) {
            if (const auto blank = partial.find(' '); blank != std::string::npos) {
                slot.partial_commit = CommitNo{number(std::string_view(partial).substr(0, blank)).value_or(0)};
                slot.partial_skip = number(std::string_view(partial).substr(blank + 1)).value_or(0);
            }
            slot.snapshot = slot.position = from;
            WEIR_CHECK_OK(replay(slot, from, until));
            slot.position = until;
            return ok();
        } else {
            diag::warn("processor " + slot.reader + ": its saved state cannot be read (" + restored.error().message + "); it starts anew");
        }
    } else if (position) {
        diag::info("processor " + slot.reader + ": its configuration changed; a new version starts " +
                   (slot.start.at == Start::At::now ? std::string("now") : "after commit " + std::to_string(slot.start.after.value)));
    }
    // A new beginning is committed at once: a crash before the first output must not move it.
    WEIR_CHECK_OK(slot.processor->restore({}));
    const CommitNo from = slot.start.at == Start::At::now ? log_.head() : slot.start.after;
    Commit commit = fenced(slot);
    commit.position = slot.submitted = from;
    for (auto& [key, value] : state) commit.state.push_back({std::move(key), std::nullopt});
    if (!partial.empty()) commit.state.push_back({std::string(partial_key), std::nullopt});
    commit.state.push_back({std::string(version_key), version_text(*slot.processor)});
    commit.state.push_back({std::string(snapshot_key), std::to_string(from.value)});
    WEIR_TRY(auto done, log_.commit(std::move(commit)));
    (void)done;
    slot.position = slot.snapshot = from;
    return ok();
}

Result<void> Runner::replay(Slot& slot, CommitNo from, CommitNo to) {
    CommitNo at = from;
    bool told = false;
    while (at < to) {
        auto read = log_.read_commits(slot.processor->inputs(), at, options_.read_events);
        CommitNo next = to;  // where nothing is left to read
        if (!read.ok() && read.error().code == "gap") {
            const std::string gap = std::move(read).error().message;
            auto left = read_left(log_, slot.processor->inputs(), at, options_.read_events);
            if (!left.ok() && left.error().code != "gap") return std::move(left).error();
            if (!std::exchange(told, true)) {
                diag::error("processor " + slot.reader + ": " + gap + "; its state is restored from its snapshot and what is left");
                // What reaches behind its position as well is counted where it goes on from there.
                if (removed_upto(slot.processor->inputs()) <= to) slot.gaps->add();
            }
            if (!left.ok()) continue;  // removed just now: the next round sees how far
            if (!left->holes.empty()) next = left->upto;
            read = std::move(left->batches);
        }
        if (!read.ok()) return std::move(read).error();
        if (read->empty()) at = next;
        for (const BatchPtr& batch : *read) {
            if (batch->commit > to) return ok();
            Output discarded;
            slot.processor->process(*batch, discarded);
            slot.events_since_snapshot += batch->events.size();
            if (!slot.has_snapshot_time) slot.snapshot_time = batch->commit_time;
            slot.has_snapshot_time = true;
            at = batch->commit;
        }
    }
    return ok();
}

std::optional<Timestamp> Runner::poll() {
    take_answers(false);
    const Timestamp now = clock_.now();
    if (failed_) {
        if (pending_ > 0) return now + 10ms;
        const Duration monotonic = clock_.monotonic();
        if (!retry_at_) {
            retry_at_ = monotonic + retry_wait_;
            retry_wait_ = std::min<Duration>(retry_wait_ * 2, 30s);
        }
        if (monotonic < *retry_at_) return now + (*retry_at_ - monotonic);
        retry_at_.reset();
        failed_ = false;
        for (Slot& slot : slots_) {
            if (auto restored = restore(slot); !restored.ok()) {
                fail(slot.reader + " could not be restored from the log", restored.error());
                return now + retry_wait_;
            }
        }
    }
    for (;;) {
        auto worked = work();
        if (!worked.ok()) {
            fail("the log could not be read", worked.error());
            return now + retry_wait_;
        }
        if (failed_) return now;
        if (!*worked) break;
        if (stopping_) break;
    }
    if (pending_ == 0) retry_wait_ = 1s;
    std::optional<Timestamp> next;
    tick(now, next);
    if (now - status_posted_ >= 1s || now < status_posted_) post_status();
    return next;
}

Result<bool> Runner::work() {
    if (slots_.empty()) return false;
    CommitNo from = slots_.front().position;
    for (const Slot& slot : slots_) from = std::min(from, slot.position);
    auto read = log_.read_commits(inputs_, from, options_.read_events);
    CommitNo upto = from;
    if (!read.ok() && read.error().code == "gap") {
        WEIR_TRY(auto left, read_left(log_, inputs_, from, options_.read_events));
        tell_holes(left.holes);
        read = std::move(left.batches);
        upto = left.upto;
    }
    if (!read.ok()) return std::move(read).error();
    const auto& batches = *read;
    for (std::size_t begin = 0; begin < batches.size();) {
        std::size_t end = begin + 1;
        while (end < batches.size() && batches[end]->commit == batches[begin]->commit) ++end;
        for (std::size_t i = begin; i < end; ++i)
            if (batches[i]->is_tick()) ticks_.erase(batches[i]->stream);
        for (Slot& slot : slots_) process_commit(slot, batches, begin, end);
        position_.store(batches[begin]->commit.value, std::memory_order_release);
        if (failed_) return true;
        begin = end;
    }
    // After a gap nothing may be left to read, and yet more behind it.
    for (Slot& slot : slots_) slot.position = std::max(slot.position, upto);
    return std::all_of(slots_.begin(), slots_.end(), [&](const Slot& slot) { return slot.position > from; });
}

Commit Runner::fenced(Slot& slot) {
    Commit commit;
    commit.reader = slot.reader;
    commit.expected_position = slot.submitted;
    return commit;
}

CommitNo Runner::removed_upto(const std::vector<StreamName>& streams) const {
    CommitNo removed{};
    for (const StreamName& stream : streams)
        if (const auto info = log_.info(stream)) removed = std::max(removed, info->removed_commit);
    return removed;
}

void Runner::tell_holes(const std::vector<StreamInfo>& holes) {
    for (Slot& slot : slots_) {
        const StreamInfo* farthest = nullptr;
        for (const StreamInfo& hole : holes) {
            const auto& inputs = slot.processor->inputs();
            if (std::find(inputs.begin(), inputs.end(), hole.name) == inputs.end()) continue;
            if (!farthest || hole.removed_commit > farthest->removed_commit) farthest = &hole;
        }
        if (!farthest || farthest->removed_commit <= std::max(slot.position, slot.told)) continue;
        slot.told = farthest->removed_commit;
        slot.gaps->add();
        diag::error("processor " + slot.reader + ": retention has removed what it had not seen of stream " + farthest->name + ", up to commit " +
                    std::to_string(farthest->removed_commit.value) + "; it goes on with what is left");
    }
}

void Runner::process_commit(Slot& slot, const std::vector<BatchPtr>& batches, std::size_t begin, std::size_t end) {
    const CommitNo commit_no = batches[begin]->commit;
    if (commit_no <= slot.position) return;
    const auto& inputs = slot.processor->inputs();
    Output output;
    bool mine = false;
    for (std::size_t i = begin; i < end; ++i) {
        const Batch& batch = *batches[i];
        if (std::find(inputs.begin(), inputs.end(), batch.stream) == inputs.end()) continue;
        mine = true;
        slot.processor->process(batch, output);
        slot.events_since_snapshot += batch.events.size();
        slot.events_in->add(batch.events.size());
        if (!slot.has_snapshot_time) slot.snapshot_time = batch.commit_time;
        slot.has_snapshot_time = true;
    }
    slot.position = commit_no;
    slot.at->set(static_cast<double>(commit_no.value));
    if (!mine) return;
    const bool snapshot = slot.events_since_snapshot >= options_.snapshot_events || slot.processor->unsaved_bytes() >= options_.snapshot_bytes ||
                          batches[begin]->commit_time - slot.snapshot_time >= options_.snapshot_interval;
    if (output.empty() && !snapshot) return;
    slot.events_out->add(output.event_count());

    // What of this output is in the log already, after a crash between the commits of one large output.
    std::uint64_t skip = slot.partial_commit == commit_no ? slot.partial_skip : 0;
    const bool was_partial = slot.partial_commit.value != 0;
    slot.partial_commit = {};
    slot.partial_skip = 0;

    Commit commit = fenced(slot);
    std::uint64_t committed = skip;
    std::size_t size = 0;
    bool split = was_partial;
    for (Append& append : output.take()) {
        Append part{append.stream, {}, {}};
        for (const EventView event : append.events) {
            if (skip > 0) {
                --skip;
                continue;
            }
            if (size > 0 && size + bytes_of(event) > options_.commit_bytes) {
                if (!part.events.empty()) commit.appends.push_back(std::exchange(part, {append.stream, {}, {}}));
                split = true;
                commit.state.push_back({std::string(partial_key), std::to_string(commit_no.value) + " " + std::to_string(committed)});
                submit(std::exchange(commit, fenced(slot)));
                WEIR_FAILPOINT("runner.within_output");
                // It leaves the position where it is, so that would not keep a later part from being taken without it.
                if (!settle()) return;
                size = 0;
            }
            part.events.add(event);
            size += bytes_of(event);
            ++committed;
        }
        if (!part.events.empty()) commit.appends.push_back(std::move(part));
    }
    commit.position = commit_no;
    if (split) commit.state.push_back({std::string(partial_key), std::nullopt});
    if (snapshot) {
        // A snapshot holds what changed since the one before, so it must not be taken while an earlier output can still fail.
        if (!settle()) return;
        auto changed = slot.processor->save();
        std::move(changed.begin(), changed.end(), std::back_inserter(commit.state));
        commit.state.push_back({std::string(snapshot_key), std::to_string(commit_no.value)});
        WEIR_FAILPOINT("runner.before_snapshot");
        slot.snapshot = commit_no;
        slot.snapshot_time = batches[begin]->commit_time;
        slot.events_since_snapshot = 0;
    }
    slot.submitted = commit_no;
    WEIR_FAILPOINT("runner.before_output");
    submit(std::move(commit));
    WEIR_FAILPOINT("runner.after_output");
    if (snapshot) {
        (void)settle();
        WEIR_FAILPOINT("runner.after_snapshot");
    }
}

void Runner::submit(Commit commit) {
    while (pending_ >= options_.pending_max && !failed_) take_answers(true);
    if (failed_) return;
    ++pending_;
    log_.submit(std::move(commit), [answers = answers_](Result<Committed> result) {
        Answer answer;
        answer.good = result.ok();
        if (!result.ok()) answer.error = result.error();
        (void)answers->send(std::move(answer));
    });
}

void Runner::take_answers(bool wait) {
    auto answers = wait ? answers_->receive(100ms) : answers_->poll();
    for (Answer& answer : answers) {
        if (!answer.tick.empty()) {
            --ticks_pending_;
            if (!answer.good) ticks_.erase(answer.tick);
            continue;
        }
        WEIR_ASSERT(pending_ > 0);
        --pending_;
        if (!answer.good) fail("the log refused a commit", answer.error);
    }
}

void Runner::fail(std::string_view what, const Error& error) {
    if (!failed_)
        diag::error("processors: " + std::string(what) + " (" + error.code + ": " + error.message + "); they go on from the log in " +
                    to_text(retry_wait_) + ", nothing is lost");
    failed_ = true;
}

bool Runner::settle() {
    while (pending_ + ticks_pending_ > 0) take_answers(true);
    return !failed_;
}

void Runner::tick(Timestamp now, std::optional<Timestamp>& next) {
    const auto not_after = [&](Timestamp t) { next = next ? std::min(*next, t) : t; };
    for (const Slot& slot : slots_) {
        const auto due = slot.processor->next_due();
        if (!due) continue;
        if (due->at > now) {
            not_after(due->at);
            continue;
        }
        // One tick at a time and stream; a lost one is sent again after a second.
        if (const auto sent = ticks_.find(due->stream); sent != ticks_.end() && now - sent->second < 1s && now >= sent->second) {
            not_after(sent->second + 1s);
            continue;
        }
        ticks_[due->stream] = now;
        ++ticks_pending_;
        Commit commit;
        commit.appends.push_back({due->stream, {}, {}});
        log_.submit(std::move(commit), [answers = answers_, stream = due->stream](Result<Committed> result) {
            Answer answer;
            answer.tick = stream;
            answer.good = result.ok();
            (void)answers->send(std::move(answer));
        });
        not_after(now + std::max<Duration>(options_.tick_spacing, 1ms));
    }
}

void Runner::snapshot_all() {
    for (Slot& slot : slots_) {
        if (failed_) return;
        if (slot.snapshot == slot.position || slot.partial_commit.value != 0) continue;
        Commit commit = fenced(slot);
        commit.position = slot.submitted = slot.position;
        commit.state = slot.processor->save();
        commit.state.push_back({std::string(snapshot_key), std::to_string(slot.position.value)});
        slot.snapshot = slot.position;
        slot.events_since_snapshot = 0;
        submit(std::move(commit));
    }
}

Result<void> Runner::start() {
    WEIR_CHECK_OK(prepare());
    stopping_ = false;
    thread_ = std::thread([this] { loop(); });
    return ok();
}

void Runner::loop() {
    while (!stopping_) {
        const auto next = poll();
        Duration wait = 1s;
        if (next) wait = std::clamp<Duration>(*next - clock_.now(), 0us, 1s);
        if (pending_ > 0) wait = std::min<Duration>(wait, 20ms);
        if (wait > 0us) (void)wakes_->receive(wait);
    }
    poll();
    if (!failed_) snapshot_all();
    if (!settle()) diag::warn("processors: the last commits failed; the next start goes on from the log");
    post_status();
}

void Runner::stop() {
    stopping_ = true;
    (void)wakes_->try_send(CommitNo{});
    if (thread_.joinable()) thread_.join();
    wake_.reset();
}

CommitNo Runner::position() const { return CommitNo{position_.load(std::memory_order_acquire)}; }

void Runner::post_status() {
    status_posted_ = clock_.now();
    for (const Slot& slot : slots_) {
        std::string json;
        JsonWriter(json)
            .object()
            .member("name", slot.reader)
            .member("position", slot.position.value)
            .member("snapshot", slot.snapshot.value)
            .member("events_read", slot.events_in->value())
            .member("events_derived", slot.events_out->value())
            .member("state", failed_ ? "waiting_for_log" : "running")
            .end();
        status_.post("processors/" + slot.reader, std::move(json));
    }
}

}  // namespace weir
