#include "stores/webhook_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/failpoint.h"
#include "event/excerpt.h"
#include "net/digest.h"
#include "stores/dead_letters.h"

namespace weir {
namespace {

constexpr std::size_t answer_bytes_max = 16 * 1024, excerpt_bytes = 200, read_events_first = 64;
constexpr std::size_t bytes_max_least = 4096;  // below it a peer that refuses all would make each event a request of its own, for ever

std::vector<StreamName> streams_of(const StoreOptions& options) {
    if (options.streams.empty() && options.format == WebhookFormat::alertmanager) return {"alerts"};
    return options.streams;
}

std::string lower_case(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

/// Chat services have the key in the path, so that only this much of a url can be shown.
std::string origin_of(const std::string& url) {
    const auto host = url.find("://");
    return url.substr(0, host == std::string::npos ? 0 : url.find_first_of("/?#", host + 3));
}

bool is_of_content(int status) { return status == 400 || status == 413 || status == 422; }

std::string advice_of(int status, const std::string& path) {
    if (status >= 300 && status < 400) return "redirects are not followed; set " + path + ".url to where it leads";
    if (status == 401 || status == 403) return "correct " + path + ".token or " + path + ".headers";
    if (status == 404 || status == 405 || status == 410) return "nothing takes events at this address; correct " + path + ".url";
    return {};
}

}  // namespace

WebhookStore::WebhookStore(Setup setup, std::unique_ptr<ServiceTransport> transport, const Surroundings& around)
    : StoreWorker(setup.name, {.unit = "events", .backoff = {.first = setup.options.backoff_first, .cap = setup.options.backoff_cap}}, streams_of(setup.options), around),
      setup_(std::move(setup)),
      peer_(origin_of(setup_.options.url.reveal())),
      transport_(std::move(transport)),
      read_events_(std::min<std::size_t>(setup_.options.batch_events, read_events_first)),
      posts_(around.metrics.counter("weir_store_requests_total", "Requests of a webhook that were answered.", {{"store", name_}})),
      sent_(around.metrics.counter("weir_store_events_sent_total", "Events that a webhook's peer has taken.", {{"store", name_}})),
      dead_(around.metrics.counter("weir_store_dead_letters_total", "Events that the other side refused; they are in the stream _dead/<store>.", {{"store", name_}})),
      bad_(around.metrics.counter("weir_store_bad_events_total", "Events that are not what their stream is read for.", {{"store", name_}})),
      seconds_(around.metrics.histogram("weir_store_request_seconds", "From a webhook's request to its answer.", {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
                                        {{"store", name_}})) {}

WebhookStore::~WebhookStore() { stop(); }

Result<bool> WebhookStore::step() {
    hold_new_streams();
    WEIR_CHECK_OK(load_told());
    if (requests_.empty() && !due_) {
        auto before = heads();
        WEIR_TRY(Next next, read_next(position_, read_events_));
        if (next.upto == position_) {
            note_idle(std::move(before));
            return false;
        }
        plan(std::move(next));
    }
    if (!due_) WEIR_CHECK_OK(deliver());
    if (due_) WEIR_CHECK_OK(keep_position());
    return true;
}

Result<void> WebhookStore::load_told() {
    if (told_loaded_ || setup_.options.format != WebhookFormat::alertmanager) return ok();
    WEIR_TRY(const auto state, log_.state(reader_));
    told_.clear();
    for (const auto& [id, value] : state) told_.insert(id);
    told_loaded_ = true;
    return ok();
}

// ---- what is sent

void WebhookStore::plan(Next next) {
    note_begun(next.batches);
    std::size_t events = 0, bytes = 0;
    for (const BatchPtr& batch : next.batches) {
        events += batch->events.size();
        bytes += batch->events.text_bytes();
    }
    // About a request at a time, whatever the size of an event.
    const std::size_t fit = bytes == 0 ? 2 * events : events * bytes_max_ / bytes;
    read_events_ = std::clamp<std::size_t>(std::min(fit, 2 * read_events_), 1, setup_.options.batch_events);

    const WebhookLimits limits{setup_.options.batch_events, bytes_max_};
    auto requests = setup_.options.format == WebhookFormat::alertmanager
                        ? plan_alerts(next, limits)
                        : event_requests(next.batches, next.upto, [this](const StreamName& stream) { return reads(stream); }, limits);
    requests_.assign(std::make_move_iterator(requests.begin()), std::make_move_iterator(requests.end()));
    batches_ = std::move(next.batches);
    if (requests_.empty()) due_ = next.upto;
}

std::vector<WebhookRequest> WebhookStore::plan_alerts(const Next& next, const WebhookLimits& limits) {
    const auto was_told = [this](const std::string& id) { return told_.contains(id) || told_.size() >= told_max; };
    const auto bad = [this](const Batch& batch, std::size_t event, const Error& error) {
        bad_.add();
        if (bad_warnings_.admit(clock_.monotonic().count()))
            diag::warn(label() + ", stream " + batch.stream + ": event " + std::to_string(batch.seq_of(event).value) + ": " + error.message + "; skipped (" +
                       std::to_string(bad_warnings_.held_back) + " more such events since the last such line)");
    };
    return alert_requests(next.batches, next.upto, [this](const StreamName& stream) { return reads(stream); }, limits, was_told, bad);
}

net::HttpClientRequest WebhookStore::post_of(const WebhookRequest& request, std::string body) const {
    const StoreOptions& options = setup_.options;
    net::HttpClientRequest post;
    post.method = "POST";
    post.url = options.url.reveal();
    post.headers = {{"Content-Type", "application/json"}, {"Idempotency-Key", idempotency_key(request)}};
    if (!options.token.empty()) post.headers.emplace_back("Authorization", "Bearer " + options.token.reveal());
    if (!options.secret.empty()) post.headers.emplace_back("X-Weir-Signature", "sha256=" + net::hex(net::hmac_sha256(options.secret.reveal(), body)));
    bool has_agent = false;
    for (const auto& [name, value] : options.headers) {
        has_agent = has_agent || lower_case(name) == "user-agent";
        post.headers.emplace_back(name, value.reveal());
    }
    if (!has_agent) post.headers.emplace_back("User-Agent", "weir/" + setup_.version);
    post.body = std::move(body);
    post.timeout = options.timeout;
    post.body_bytes_max = answer_bytes_max;
    post.cut_body = true;
    post.redirects_max = 0;
    post.tls_ca_file = options.tls_ca_file;
    return post;
}

// ---- what comes of it

Result<void> WebhookStore::deliver() {
    for (;;) {
        WebhookRequest& request = requests_.front();
        std::string body = webhook_body(request, name_);
        const std::size_t body_bytes = body.size();
        WEIR_FAILPOINT("store.before_request");
        const Duration started = clock_.monotonic();
        auto answer = transport_->send(post_of(request, std::move(body)));
        if (!answer.ok()) return without_path(std::move(answer).error());
        WEIR_FAILPOINT("store.after_request");
        seconds_.observe(static_cast<double>((clock_.monotonic() - started).count()) / 1e6);
        posts_.add();
        if (answer->ok()) {
            taken(request);
            break;
        }
        const std::size_t waiting = requests_.size();
        WEIR_CHECK_OK(refused(*answer, body_bytes));
        if (requests_.size() > waiting && !is_over()) continue;  // halved
        if (requests_.size() > waiting) return Error{"cancelled", "the request was not taken when weir stopped; the next start tries again"};
        break;  // set aside
    }
    due_ = requests_.front().upto;
    requests_.pop_front();
    return ok();
}

void WebhookStore::taken(const WebhookRequest& request) {
    sent_.add(request.items.size());
    for (const WebhookItem& item : request.items) {
        if (!item.alert) continue;
        if (item.alert->firing && told_.size() >= told_max) continue;
        if (item.alert->firing ? told_.insert(item.alert->id).second : told_.erase(item.alert->id) > 0) told_news_[item.alert->id] = item.alert->firing;
    }
}

// The front of `requests_` becomes two, is set aside, or stays as it is, which is the error.
Result<void> WebhookStore::refused(const net::HttpClientResponse& answer, std::size_t body_bytes) {
    Error error = error_of(answer);
    if (!is_of_content(answer.status)) return error;
    WebhookRequest& request = requests_.front();
    if (request.items.size() > 1) {
        // The peer's limit holds for what follows, too.
        if (answer.status == 413) bytes_max_ = std::max(bytes_max_least, body_bytes / 2);
        auto [first, second] = halves(std::move(request));
        requests_.front() = std::move(second);
        requests_.push_front(std::move(first));
        return ok();
    }
    if (++request.refusals < refusals_max) return error;
    return set_aside(request, error.message);
}

Result<void> WebhookStore::set_aside(const WebhookRequest& request, const std::string& reason) {
    std::vector<DeadLetter> letters;
    for (const WebhookItem& item : request.items) letters.push_back({{}, reason, item.batch.get(), item.event});
    WEIR_CHECK_OK(bury(log_, clock_, name_, letters));
    dead_.add(letters.size());
    last_dead_ = reason;
    if (dead_warnings_.admit(clock_.monotonic().count()))
        diag::warn(label() + ": event " + request.items.front().batch->stream + "/" + std::to_string(request.items.front().batch->seq_of(request.items.front().event).value) +
                   " was refused " + std::to_string(refusals_max) + " times: " + reason + "; it is in the stream _dead/" + name_ + ", and the next one follows (" +
                   std::to_string(dead_warnings_.held_back) + " more)");
    return ok();
}

Result<void> WebhookStore::keep_position() {
    std::vector<StatePut> state;
    for (const auto& [id, added] : told_news_) state.push_back({id, added ? std::optional<std::string>("") : std::nullopt});
    if (auto kept = commit_position(*due_, std::move(state)); !kept.ok()) {
        if (kept.error().code == "stale_position") {
            // Another one works for this store, and the position is now its.
            due_.reset();
            requests_.clear();
            batches_.clear();
            told_news_.clear();
            told_loaded_ = false;
        }
        return kept;
    }
    told_news_.clear();
    position_ = *due_;
    due_.reset();
    if (!requests_.empty()) return ok();
    note_done(batches_);
    batches_.clear();
    return ok();
}

// ---- what is said

Error WebhookStore::error_of(const net::HttpClientResponse& answer) const {
    std::string advice = advice_of(answer.status, "stores." + name_);
    if (const std::string told = excerpt_of(answer); !told.empty()) advice += (advice.empty() ? "it says " : "; it says ") + told;
    return service_error("POST to " + peer_, answer, "", advice);
}

// Some peers repeat what they were sent. Nothing is shown of an answer that holds a secret.
std::string WebhookStore::excerpt_of(const net::HttpClientResponse& answer) const {
    const StoreOptions& options = setup_.options;
    const auto holds = [&](const std::string& secret) { return secret.size() > 3 && answer.body.find(secret) != std::string::npos; };
    bool leaks = holds(options.token.reveal()) || holds(options.secret.reveal()) || holds(options.url.reveal().substr(peer_.size()));
    for (const auto& [name, value] : options.headers) leaks = leaks || holds(value.reveal());
    return leaks ? std::string() : excerpt(answer.body, excerpt_bytes);
}

Error WebhookStore::without_path(Error error) const {
    const std::string shown = net::shown_url(setup_.options.url.reveal());
    for (std::size_t at = 0; shown.size() > peer_.size() && (at = error.message.find(shown, at)) != std::string::npos; at += peer_.size()) error.message.replace(at, shown.size(), peer_);
    return error;
}

void WebhookStore::show(JsonWriter& json) const {
    json.member("peer", peer_).member("requests", posts_.value()).member("events", sent_.value()).member("dead_letters", dead_.value()).name("last_dead_letter");
    if (last_dead_.empty()) json.null();
    else json.value(last_dead_);
}

}  // namespace weir
