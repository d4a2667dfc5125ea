#include "stores/blob_store.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/diag.h"
#include "base/failpoint.h"
#include "net/gzip.h"

namespace weir {
namespace {

constexpr std::size_t read_events = 500, find_events = 50'000, bundle_from = 5;
constexpr std::size_t joined_bytes_max = 256u << 20;
constexpr Duration future_tolerance = 5s;  // decisions.md 7: the window refused what is further ahead of its commit

std::vector<StreamName> outputs(const std::vector<BlobSource>& sources) {
    std::vector<StreamName> streams;
    for (const BlobSource& source : sources) streams.push_back(source.output);
    return streams;
}

std::string_view kind_text(StoreKind kind) {
    return kind == StoreKind::azure ? "azure" : kind == StoreKind::s3 ? "s3" : "folder";
}

Seq seq_member(const BlobWindow& window, std::string_view name) {
    const Json* found = window.parsed.find(name);
    return Seq{found ? static_cast<std::uint64_t>(found->as_integer().value_or(0)) : 0};
}

}  // namespace

BlobStore::BlobStore(std::string name, StoreOptions options, std::vector<BlobSource> sources, std::unique_ptr<ObjectStore> objects, Log& log,
                     const Clock& clock, Metrics& metrics, StatusBoard& status, std::uint64_t seed)
    : StoreWorker(std::move(name), {.unit = "window events", .backoff = {.first = options.backoff_first, .cap = options.backoff_cap}},
                  outputs(sources), {log, clock, metrics, status, seed}),
      options_(std::move(options)),
      sources_(std::move(sources)),
      objects_(std::move(objects)),
      written_(metrics.counter("weir_store_objects_written_total", "Objects that a blob store has written.", {{"store", name_}})),
      unchanged_(metrics.counter("weir_store_objects_unchanged_total", "Objects that were there already.", {{"store", name_}})),
      siblings_(metrics.counter("weir_store_objects_siblings_total", "Objects written beside those of another epoch.", {{"store", name_}})),
      joined_(metrics.counter("weir_store_objects_joined_total", "Objects joined with those of another epoch.", {{"store", name_}})),
      empty_(metrics.counter("weir_store_windows_empty_total", "Empty windows that a source profile has no document for.", {{"store", name_}})),
      bad_(metrics.counter("weir_store_bad_events_total", "Events that are not what their stream is read for.", {{"store", name_}})) {
    std::map<std::string, std::set<std::string>> windows_of;
    for (const BlobSource& source : sources_) windows_of[source.input].insert(source.window);
    several_streams_ = windows_of.size() > 1;
    for (const auto& [stream, windows] : windows_of) several_windows_ = several_windows_ || windows.size() > 1;
}

BlobStore::~BlobStore() { stop(); }

std::vector<StreamName> BlobStore::held() const {
    // The readings of a window are read when its object is written: retention waits for that too.
    std::set<StreamName> held(streams_.begin(), streams_.end());
    for (const BlobSource& source : sources_) held.insert(source.input);
    return {held.begin(), held.end()};
}

Result<bool> BlobStore::step() {
    auto before = heads();
    WEIR_TRY(const Next next, read_next(position_, read_events));
    if (next.upto == position_) {
        note_idle(std::move(before));
        return false;
    }
    note_begun(next.batches);

    short_.clear();
    Due due;
    for (const BatchPtr& batch : next.batches) note(*batch, due);
    for (const auto& [group, keys] : due) {
        WEIR_CHECK_OK(write_group(group, keys));
        // The position stays where it is: the next start finds these objects, and writes the rest.
        if (is_over()) return false;
    }
    WEIR_CHECK_OK(objects_->flush());
    WEIR_CHECK_OK(commit_position(next.upto));
    position_ = next.upto;
    // Not before: a step that failed is taken again, and would tell it again.
    for (const std::string& what : short_) lost(what + " (" + std::to_string(short_warnings_.held_back) + " more such windows since the last such line)", short_warnings_);
    note_done(next.batches);
    return true;
}

void BlobStore::note(const Batch& batch, Due& due) {
    for (std::size_t s = 0; s < sources_.size(); ++s) {
        if (sources_[s].output != batch.stream) continue;
        for (const EventView event : batch.events) {
            const auto window = parse_window(event.data);
            // `history_of` looks for it at its start.
            if (window.ok() && window->name == sources_[s].window && window->start == event.time) {
                due[{window->start, s}].insert(window->key);
                continue;
            }
            bad_.add();
            if (warnings_.admit(clock_.monotonic().count()))
                diag::warn(label() + ", stream " + batch.stream + ": " +
                           (window.ok() ? "event " + std::string(event.id) + " is not of window " + sources_[s].window + " at its start"
                                        : window.error().message) + "; skipped");
        }
    }
}

Result<std::vector<BlobStore::Logged>> BlobStore::history_of(const Group& group) {
    std::vector<Logged> history;
    const BlobSource& source = sources_[group.source];
    Log::TimeRange range{group.start, group.start + Duration(1), std::nullopt, find_events, Seq{}};
    for (bool more = true; more;) {
        WEIR_TRY(const auto found, log_.find(source.output, range));
        for (std::size_t i = 0; i < found.size(); ++i) {
            auto window = parse_window(found.event(i).data);
            if (!window.ok() || window->name != source.window || window->start != group.start) continue;
            history.push_back({*std::move(window), found.batches[i]->commit, found.batches[i]->epoch});
        }
        more = found.more;
        if (more) range.after = found.positions.back().first;
    }
    return history;
}

std::vector<BlobStore::Planned> BlobStore::plan(const Group& group, std::span<const Logged> history) const {
    std::map<std::string_view, std::size_t> newest;
    for (std::size_t i = 0; i < history.size(); ++i) {
        const BlobWindow& window = history[i].window;
        const auto [known, first] = newest.emplace(window.key, i);
        // Of one revision twice the later one counts: a processor that began anew numbers from 0 again.
        if (!first && window.revision >= history[known->second].window.revision) known->second = i;
    }
    std::vector<std::size_t> windows;
    std::size_t keys = 0;
    bool one_end = true;
    for (const auto& [key, i] : newest) {
        windows.push_back(i);
        if (!key.empty()) ++keys;
        one_end = one_end && history[i].window.end == history[windows.front()].window.end;
    }
    // Sessions that begin together and end apart stay apart.
    const bool bundle = options_.profile == BlobProfile::weir && one_end &&
                        (options_.bundle == Bundle::always || (options_.bundle == Bundle::automatic && keys >= bundle_from));

    const BlobSource& source = sources_[group.source];
    BlobName name;
    name.layout = options_.layout;
    name.zone = options_.zone;
    name.prefix = options_.prefix;
    if (several_windows_) name.window = source.window;
    if (several_streams_) name.stream = source.input;
    name.gzip_extension = options_.layout == BlobLayout::hybrid && options_.compress == BlobCompression::gzip;
    std::vector<Planned> planned;
    const auto add = [&](Timestamp end, std::vector<std::size_t> held) {
        // The raw part first: where there is a summary, there is what it sums up.
        if (options_.layout != BlobLayout::summary) planned.push_back({raw_name(name, group.start, end), Part::raw, bundle, held});
        if (options_.layout != BlobLayout::raw) planned.push_back({summary_name(name, group.start), Part::summary, bundle, std::move(held)});
    };
    if (bundle) {
        const Timestamp end = history[windows.front()].window.end;
        add(end, std::move(windows));
        return planned;
    }
    for (const std::size_t i : windows) {
        const BlobWindow& window = history[i].window;
        if (!is_written(window, options_.profile)) continue;
        name.key.reset();
        if (options_.folder_per_key || keys > (window.key.empty() ? 0U : 1U)) name.key = window.key;
        add(window.end, {i});
    }
    return planned;
}

Result<void> BlobStore::add_readings(const BlobSource& source, std::vector<BlobWindow>& windows) {
    std::map<std::string_view, BlobWindow*> by_key;
    std::uint64_t wanted = 0;
    for (BlobWindow& w : windows) {
        by_key[w.key] = &w;
        wanted += w.count;
    }
    if (wanted == 0) return ok();
    // A window over all keys has the empty key, and more readings than events without a key.
    const bool all_keys = windows.size() == 1 && windows.front().key.empty();
    Log::TimeRange range{windows.front().start, windows.front().end, std::nullopt, find_events, Seq{}};
    if (windows.size() == 1 && !all_keys) range.key = windows.front().key;
    for (bool more = true; more;) {
        WEIR_TRY(const auto found, log_.find(source.input, range));
        for (std::size_t i = 0; i < found.size(); ++i) {
            const Seq seq = found.positions[i].first;
            const EventView event = found.event(i);
            if (event.time > found.batches[i]->commit_time + future_tolerance) continue;
            const auto to = by_key.find(all_keys ? std::string_view() : event.key);
            if (to == by_key.end()) continue;
            if (seq < seq_member(*to->second, "first_seq") || seq > seq_member(*to->second, "last_seq")) continue;
            std::optional<std::string_view> value;
            for (const JsonPath& path : source.values)
                if ((value = path.find(event.data))) break;
            if (!value || !parse_json_number(*value)) continue;
            to->second->readings.push_back({std::string(event.id), std::string(event.source), std::string(*value), event.time, event.ingested, seq});
        }
        more = found.more;
        if (more) range.after = found.positions.back().first;
    }
    for (BlobWindow& w : windows) {
        std::stable_sort(w.readings.begin(), w.readings.end(), [](const BlobReading& a, const BlobReading& b) { return a.time < b.time; });
        if (w.readings.size() < w.count)
            short_.push_back("window " + w.name + " of " + source.input + (w.key.empty() ? "" : "/" + w.key) + " from " + to_rfc3339(w.start) + " counts " + std::to_string(w.count) +
                             " readings, and the log has only " + std::to_string(w.readings.size()) + " of them, and so has its file; retention has removed the others: " +
                             "keep " + source.input + " for longer than its longest window and an outage of this store take");
    }
    return ok();
}

Result<void> BlobStore::write_group(const Group& group, const std::set<std::string>& keys) {
    WEIR_TRY(const auto history, history_of(group));
    if (history.empty()) {
        lost();  // it was read from the log's memory, and is no longer on disk
        return ok();
    }
    const std::vector<Planned> planned = plan(group, history);
    // What the windows asked for before, by the time of each commit: some of it may not be wanted any more. What they asked for at the
    // committed position has been written.
    std::map<std::string, Epoch> former;
    std::set<std::string> written;
    for (std::size_t i = 1; i < history.size(); ++i) {
        if (history[i].commit == history[i - 1].commit) continue;
        const bool at_position = history[i - 1].commit <= position_ && history[i].commit > position_;
        for (const Planned& object : plan(group, std::span(history).first(i))) {
            former[object.name] = history[i - 1].epoch;
            if (at_position) written.insert(object.name);
        }
    }

    std::vector<std::size_t> shown;
    std::vector<BlobWindow> windows;
    std::optional<std::string> joined;  // the raw document that stands there for what is shown, where it is not just written
    std::string raw_text;
    for (const Planned& object : planned) {
        const bool news = std::any_of(object.windows.begin(), object.windows.end(), [&](std::size_t i) { return keys.contains(history[i].window.key); });
        if (!news && written.contains(object.name)) continue;
        if (shown != object.windows) {
            shown = object.windows;
            joined.reset();
            windows.clear();
            for (const std::size_t i : shown) windows.push_back(history[i].window);
            if (options_.layout != BlobLayout::summary) WEIR_CHECK_OK(add_readings(sources_[group.source], windows));
        }
        const Epoch epoch = history[*std::max_element(shown.begin(), shown.end())].epoch;
        const bool raw = object.part == Part::raw;
        std::uint64_t revision = 0;
        std::string bytes;
        if (object.bundle) {
            for (const BlobWindow& w : windows) revision += w.revision + 1;
            bytes = bundle_document(windows, epoch, raw);
        } else {
            revision = windows.front().revision;
            bytes = raw ? raw_document(windows.front(), options_.profile, epoch) : summary_document(windows.front(), options_.profile, epoch);
        }
        if (raw && options_.profile == BlobProfile::weir) {
            raw_text = bytes;
            ObjectWrite raw_object = object_of(object, bytes, epoch, revision);
            WEIR_TRY(joined, put_raw(sources_[group.source], std::move(raw_object), std::move(bytes)));
        } else if (joined) {
            // The summary of all that the raw document holds; of this log alone it is what it would be anyway.
            const bool several = *joined != raw_text;
            ObjectWrite summary = several ? object_of(object, without_readings(*joined), several_epochs, revision_of(*joined))
                                          : object_of(object, std::move(bytes), epoch, revision);
            summary.merge = [text = summary.bytes](const std::string&) { return std::optional(text); };
            WEIR_TRY([[maybe_unused]] const auto outcome, put(std::move(summary)));
        } else {
            WEIR_TRY([[maybe_unused]] const auto outcome, put(object_of(object, std::move(bytes), epoch, revision)));
        }
    }
    for (const Planned& object : planned) former.erase(object.name);
    for (const auto& [name, epoch] : former) WEIR_CHECK_OK(objects_->remove(name, epoch));

    if (!planned.empty()) return ok();
    empty_.add();
    if (empty_warnings_.admit(clock_.monotonic().count()))
        diag::warn(label() + ": no readings in window " + sources_[group.source].window + " from " + to_rfc3339(group.start) +
                   "; nothing saved, as source profiles have no document for it (" + std::to_string(empty_warnings_.held_back) + " more since the last such line)");
    return ok();
}

ObjectWrite BlobStore::object_of(const Planned& planned, std::string bytes, Epoch epoch, std::uint64_t revision) const {
    ObjectWrite object;
    object.name = planned.name;
    const bool raw = planned.part == Part::raw;
    // In a folder a file must say by its name what it is; a service says it in a header, and `.json` stays.
    const bool named = object.name.ends_with(".gz");
    const bool gzip = raw && options_.compress == BlobCompression::gzip && (named || options_.kind != StoreKind::folder);
    object.bytes = gzip ? net::gzip(bytes) : std::move(bytes);
    if (gzip && !named) object.content_encoding = "gzip";
    object.content_type = named ? "application/gzip" : "application/json";
    object.tier = options_.layout == BlobLayout::hybrid ? (raw ? options_.raw_tier : options_.summary_tier) : BlobTier::standard;
    if (options_.layout == BlobLayout::hybrid) object.storage_class = raw ? options_.raw_storage_class : options_.summary_storage_class;
    object.epoch = epoch;
    object.revision = revision;
    object.self_describing = options_.profile == BlobProfile::weir;
    return object;
}

Result<std::optional<std::string>> BlobStore::put_raw(const BlobSource& source, ObjectWrite object, std::string text) {
    std::optional<std::string> joined;
    bool refused = false;
    if (source.join)
        object.merge = [&joined, &refused, &join = source.join, &ours = text](const std::string& there) -> std::optional<std::string> {
            const bool gzip = net::is_gzip(there);
            auto plain = gzip ? net::gunzip(there, joined_bytes_max) : Result<std::string>(there);
            joined = plain.ok() ? join_documents(*plain, ours, join) : std::nullopt;
            refused = !joined;
            if (!joined) return std::nullopt;
            if (*joined == *plain) return there;
            return gzip ? net::gzip(*joined) : *joined;
        };
    WEIR_TRY(const auto outcome, put(std::move(object)));
    // Ours lies beside it, perhaps since before a kill: the summary that stands there belongs to the other's.
    if (refused) return std::optional<std::string>();
    switch (outcome) {
        case ObjectStore::Put::merged: return joined;
        // A kill between the two objects of a joined window: the second may still be what was there before.
        case ObjectStore::Put::unchanged: return joined ? joined : std::optional(std::move(text));
        case ObjectStore::Put::written:
        case ObjectStore::Put::older:
        case ObjectStore::Put::sibling: break;
    }
    return std::optional<std::string>();
}

Result<ObjectStore::Put> BlobStore::put(ObjectWrite object) {
    WEIR_FAILPOINT("store.before_object");
    WEIR_TRY(const auto outcome, objects_->put(object));
    WEIR_FAILPOINT("store.after_object");
    switch (outcome) {
        case ObjectStore::Put::written: written_.add(); break;
        case ObjectStore::Put::sibling: siblings_.add(); break;
        case ObjectStore::Put::merged: joined_.add(); break;
        case ObjectStore::Put::unchanged:
        case ObjectStore::Put::older: unchanged_.add(); break;
    }
    last_object_ = object.name;
    return outcome;
}

std::string_view BlobStore::kind() const { return kind_text(options_.kind); }

void BlobStore::ending(Duration within) { objects_->end_within(within); }

void BlobStore::show(JsonWriter& json) const {
    json.member("objects", written_.value() + siblings_.value() + joined_.value()).name("last_object");
    if (last_object_.empty()) json.null();
    else json.value(last_object_);
}

}  // namespace weir
