#include "stores/store_worker.h"

#include <algorithm>

#include "base/failpoint.h"

namespace weir {
namespace {

constexpr Duration stop_within = 5s;

}  // namespace

StoreWorker::StoreWorker(std::string name, const Manner& manner, std::vector<StreamName> streams, const Surroundings& around)
    : name_(std::move(name)),
      reader_("store/" + name_),
      log_(around.log),
      clock_(around.clock),
      status_(around.status),
      streams_(std::move(streams)),
      unit_(manner.unit),
      spacing_(manner.spacing),
      backoff_(manner.backoff, around.seed),
      failures_(around.metrics.counter("weir_store_failures_total", "Tries of a store that failed.", {{"store", name_}})),
      gaps_(around.metrics.counter("weir_store_gaps_total", "Times that retention had removed events before a store wrote them.", {{"store", name_}})),
      behind_(around.metrics.gauge("weir_store_behind_events", "Events that a store has not written yet.", {{"store", name_}})),
      wakes_(std::make_shared<Mailbox<CommitNo>>(1)) {}

Result<void> StoreWorker::prepare() {
    WEIR_TRY(const auto position, log_.position(reader_));
    position_ = logged_ = position.value_or(CommitNo{0});
    fresh_ = !position;
    holding_ = held();
    log_.hold_for(reader_, holding_);
    note_waiting();
    if (!wake_) wake_ = log_.on_commit([wakes = wakes_](CommitNo commit) { (void)wakes->try_send(std::move(commit)); });
    post_status("running");
    return ok();
}

// A store that cannot even begin says how far it is behind, too.
void StoreWorker::note_waiting() {
    for (const auto& [stream, head] : heads()) {
        const auto next = log_.read_commits({stream}, position_, 1);
        if (next.ok()) done_[stream] = next->empty() ? head : Seq{next->front()->first_seq.value - 1};
    }
}

std::optional<Timestamp> StoreWorker::poll() {
    const auto try_at = [&] { return clock_.now() + std::max<Duration>(0us, *retry_at_ - clock_.monotonic()); };
    if (retry_at_ && clock_.monotonic() < *retry_at_) return try_at();
    for (bool more = true; more;) {
        const auto done = step();
        if (!done.ok()) {
            failed(done.error());
            return try_at();
        }
        more = *done && !ending_.closed();
        if (retry_at_) diag::info(label() + ": works again");
        if (*done || retry_at_) {
            retry_at_.reset();
            last_error_.clear();
            backoff_.reset();
            post_status("running");
        }
    }
    return std::nullopt;
}

bool StoreWorker::reads(const StreamName& stream) const {
    // Without a list: all but weir's own.
    return streams_.empty() ? !stream.starts_with('_') : std::find(streams_.begin(), streams_.end(), stream) != streams_.end();
}

std::map<StreamName, Seq> StoreWorker::heads() const {
    std::map<StreamName, Seq> heads;
    if (streams_.empty()) {
        for (const StreamInfo& info : log_.streams())
            if (reads(info.name)) heads[info.name] = info.head;
    } else {
        for (const StreamName& stream : streams_)
            if (const auto info = log_.info(stream)) heads[stream] = info->head;
    }
    return heads;
}

bool StoreWorker::caught_up() const {
    const auto position = log_.position(reader_);
    const CommitNo reached = position.ok() ? position->value_or(CommitNo{}) : CommitNo{};
    for (const auto& [stream, head] : heads())
        if (const auto info = log_.info(stream); info && reached < info->last_commit) return false;
    return true;
}

std::vector<StreamName> StoreWorker::held() const {
    if (!streams_.empty()) return streams_;
    std::vector<StreamName> streams;
    for (const auto& [stream, head] : heads()) streams.push_back(stream);
    return streams;
}

void StoreWorker::hold_new_streams() {
    if (!streams_.empty()) return;
    auto holding = held();
    if (holding == holding_) return;
    log_.hold_for(reader_, holding);
    holding_ = std::move(holding);
}

Result<StoreWorker::Next> StoreWorker::read_next(CommitNo after, std::size_t events_max, const WasWritten& was_written) {
    auto batches = log_.read_commits(streams_, after, events_max);
    if (!batches.ok() && batches.error().code == "gap") {
        std::vector<StreamName> streams = streams_;
        if (streams.empty())
            for (const StreamInfo& info : log_.streams())
                if (reads(info.name)) streams.push_back(info.name);
        WEIR_TRY(auto left, read_left(log_, streams, after, events_max));
        tell_holes(left.holes, was_written);
        return Next{std::move(left.batches), left.upto};
    }
    if (!batches.ok()) return std::move(batches).error();
    const CommitNo upto = batches->empty() ? after : batches->back()->commit;
    return Next{*std::move(batches), upto};
}

void StoreWorker::tell_holes(const std::vector<StreamInfo>& holes, const WasWritten& was_written) {
    bool news = false;
    for (const StreamInfo& info : holes) {
        CommitNo& told = told_[info.name];
        news = news || (told < info.removed_commit && !(was_written && was_written(info)));
        told = info.removed_commit;
    }
    if (!news) return;
    if (fresh_) diag::info(label() + ": begins with the oldest " + unit_ + " that the log keeps");
    else lost();
}

void StoreWorker::note_begun(const std::vector<BatchPtr>& batches) {
    for (const BatchPtr& batch : batches) done_.try_emplace(batch->stream, Seq{batch->first_seq.value - 1});
    for (const auto& [stream, head] : heads()) done_.try_emplace(stream, head);
}

void StoreWorker::note_done(const std::vector<BatchPtr>& batches) {
    for (const BatchPtr& batch : batches) done_[batch->stream] = Seq{batch->first_seq.value + batch->events.size() - 1};
}

Result<void> StoreWorker::commit_position(CommitNo upto, std::vector<StatePut> state) {
    Commit commit;
    commit.reader = reader_;
    commit.position = upto;
    commit.expected_position = logged_;
    commit.state = std::move(state);
    WEIR_FAILPOINT("store.before_position");
    if (auto committed = log_.commit(std::move(commit)); !committed.ok()) {
        // Somebody else works for this store: the next try goes on from where the log says.
        if (committed.error().code == "stale_position") {
            WEIR_TRY(const auto there, log_.position(reader_));
            logged_ = there.value_or(CommitNo{0});
            position_ = std::max(position_, logged_);
        }
        return std::move(committed).error();
    }
    WEIR_FAILPOINT("store.after_position");
    logged_ = upto;
    fresh_ = false;
    return ok();
}

void StoreWorker::lost() { lost("retention has removed " + unit_ + " before they were written; it goes on with what the log keeps", warnings_); }

void StoreWorker::lost(const std::string& what, diag::RateLimiter& warnings) {
    gaps_.add();
    if (warnings.admit(clock_.monotonic().count())) diag::warn(label() + ": " + what);
}

void StoreWorker::failed(const Error& error) {
    failures_.add();
    const Duration wait = backoff_.failed();
    retry_at_ = clock_.monotonic() + wait;
    last_error_ = error.message;
    const Duration shown = wait - wait % (wait < 100ms ? Duration(1ms) : wait < 2s ? Duration(100ms) : Duration(1s));
    diag::warn(label() + ": " + error.message + "; retry in " + to_text(shown) + ", " + std::to_string(behind()) + " " + unit_ +
               " behind, nothing lost");
    post_status("failing");
}

std::uint64_t StoreWorker::behind() {
    std::uint64_t sum = 0;
    for (const auto& [stream, seq] : done_)
        if (const auto info = log_.info(stream); info && info->head > seq) sum += info->head.value - seq.value;
    return sum;
}

Result<void> StoreWorker::start() {
    WEIR_CHECK_OK(prepare());
    thread_ = std::thread([this] { loop(); });
    return ok();
}

void StoreWorker::loop() {
    while (!ending_.closed()) {
        const auto next = poll();
        Duration wait = 1s;
        if (next) wait = std::clamp<Duration>(*next - clock_.now(), 1ms, 1s);
        (void)wakes_->receive(wait);
        (void)ending_.receive(spacing_);
    }
    while (!retry_at_ && !is_over()) {
        const auto done = step();
        if (!done.ok()) failed(done.error());
        if (!done.ok() || !*done) break;
    }
    ended();
    post_status("stopped");
}

bool StoreWorker::is_over() {
    if (!ending_.closed()) return false;
    if (!stop_by_) stop_by_ = clock_.monotonic() + stop_within;
    return clock_.monotonic() >= *stop_by_;
}

void StoreWorker::stop() {
    ending_.close();
    ending(stop_within);
    (void)wakes_->try_send(CommitNo{});
    if (thread_.joinable()) thread_.join();
    wake_.reset();
}

void StoreWorker::post_status(std::string_view state) {
    const std::uint64_t lag = behind();
    behind_.set(static_cast<double>(lag));
    std::string text;
    JsonWriter json(text);
    json.object().member("name", name_).member("kind", kind()).member("state", state).member("position", position_.value);
    json.member("behind", lag).member("failures", failures_.value());
    show(json);
    json.name("last_error");
    if (last_error_.empty()) json.null();
    else json.value(last_error_);
    json.name("next_try");
    if (retry_at_) json.value(clock_.now() + std::max<Duration>(0us, *retry_at_ - clock_.monotonic()));
    else json.null();
    json.end();
    status_.post("stores/" + name_, std::move(text));
}

}  // namespace weir
