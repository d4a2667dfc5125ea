#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/window_options.h"
#include "event/json_path.h"
#include "processors/feed_timeline.h"
#include "processors/processor.h"
#include "processors/window_bounds.h"
#include "processors/window_document.h"
#include "processors/window_pane.h"

namespace weir {

/// Statistics and coverage over time of one numeric field of a stream (spec.md 2, D1 to D4). Each closed window is an event on the
/// output stream: `type` "window", `key` the key, `time` the window's start (for sessions the first reading), `data` the window
/// document (docs/http-api.md).
///
/// **Which window**: by the reading's own time. **When it closes**: at the first event or tick after which
///     watermark = min(largest event time, commit time + 5 s) - lateness
/// has reached its end, judged event by event; a quiet stream's windows are closed by ticks, where the commit time stands for the
/// largest event time (less what the stream is behind the clock, if that is more than 5 s: a history that is being imported is not
/// late). **Late**: a reading that comes up to another `lateness` after the closing corrects the window; one that comes later
/// is counted in `late` for an hour, and stays in the log. Corrections are gathered for a second, then written as revision n + 1, if
/// anything but the time of writing changed. A reading more than 5 s ahead of the commit time is rejected as `future`.
///
/// **Counting**: distinct readings sent = received + late + missing + rejected, a window. `missing` is what the feed's interval
/// promises beyond the others (null while no interval is known). What was refused without a time counts where it arrived; what was
/// refused without a key counts in the window of the whole feed (key ""), which is also written when no key is known at all.
/// **Gaps** are stretches in which at least one expected reading is missing, between the readings around it; the cause
/// comes from the notes in the stream. `cut` is `outage` or `stop` where weir or the source was away for more than one and a half intervals,
/// `start` where the stream began inside.
///
/// Empty windows are written for every known key, at most 2016 in a row (a week of five minutes): a key that stays silent
/// longer is written again when it speaks. At most 100,000 keys; readings of more are rejected as `too_many_keys`.
///
/// **Windows over windows** (over any stream that a processor writes): for the commit time stands the time of what caused the events, their
/// `ingested`, so that a recording gives the same bytes however fast it is read. Ticks have their commit time there too.
///
/// Sessions: a reading that joins sessions which were closed apart withdraws the later ones (a revision with count 0 and the reason
/// `merged`). No empty sessions; `expected` is counted over the session's own length.
///
/// Thread: the runner's. Cost: some 100 ns a reading and O(n log n) a closed window; memory 16 bytes a reading of
/// open windows and of those closed within the last hour.
class WindowProcessor final : public Processor {
public:
    static constexpr Duration future_tolerance = 5s;
    static constexpr Duration late_memory = 1h;
    static constexpr Duration revision_delay = 1s;
    static constexpr std::uint32_t empty_windows_max = 2016;
    static constexpr std::size_t keys_max = 100'000;

    /// `values`: where the number is in an event's data, the first that is present; usually one. `options.output` is set.
    WindowProcessor(std::string window, WindowOptions options, std::vector<JsonPath> values);

    const std::string& name() const override { return name_; }
    std::uint64_t version() const override { return version_; }
    const std::vector<StreamName>& inputs() const override { return inputs_; }
    const std::vector<StreamName>& outputs() const override { return outputs_; }

    void input_is_derived(const StreamName&) override { over_derived_ = true; }
    Result<void> restore(const SavedState& state) override;
    void process(const Batch& batch, Output& output) override;
    std::vector<StatePut> save() override;
    std::optional<Due> next_due() const override;

    /// Readings that came too late even to be counted in their window.
    std::uint64_t forgotten_late() const { return forgotten_late_; }
    std::uint64_t revisions() const { return revisions_; }

private:
    struct Closed {
        std::uint32_t revision = 0;
        std::uint64_t content = 0;  ///< hash of the document without revision and closed_at
        std::optional<Duration> spacing;
        bool spacing_learned = false;
        bool changed = true;
    };
    struct Series {
        std::map<Timestamp, WindowPane> panes;   ///< by start
        std::map<Timestamp, Closed> closed;      ///< by the window's start
        std::optional<Timestamp> next_start;     ///< first window that is not closed; nullopt while silent for too long
        std::optional<Timestamp> before;         ///< last reading before the panes
        std::uint32_t empty_run = 0;
        bool implicit = false;                   ///< the whole feed's, in a stream with keys
        bool changed = true;
    };
    using SeriesTable = std::map<std::string, Series, std::less<>>;
    /// (end, start, key): the order in which windows are written.
    struct WindowName {
        Timestamp end, start;
        std::string key;
        auto operator<=>(const WindowName&) const = default;
    };

    Timestamp time_of(const Batch& batch) const;
    void begin();
    void take_notes(const Batch& batch);
    void take_event(const EventView& event, Seq seq, Output& output);
    void reject(std::string_view key, Timestamp time, std::string_view reason, std::uint32_t count);
    /// The pane that holds `t`, made if need be; nullptr if no window does or it is too long ago to matter.
    WindowPane* pane_at(Series& series, Timestamp t, bool& too_late);
    WindowPane* session_at(const std::string& key, Series& series, Timestamp t, bool& too_late);
    Series* series_of(std::string_view key);
    void changed_at(const std::string& key, Series& series, Timestamp t);

    /// The moment in the stream's own time that the clock's `t` stands for.
    Timestamp stream_time(Timestamp t) const { return t - behind_; }
    void close_until(Timestamp watermark, Timestamp now, Output& output);
    void close_next(const std::string& key, Series& series, Timestamp now, Output& output);
    void close_sessions(const std::string& key, Series& series, Timestamp watermark, Timestamp now, Output& output);
    void flush_changed(Timestamp now, Output& output);
    bool write(const std::string& key, Series& series, Timestamp start, Timestamp now, Output& output);
    /// Whether a key's window ends then, and whether one of them heard anything.
    enum class Voices : std::uint8_t { none, known, heard };
    Voices voices(Timestamp end) const;
    void forget();
    void remove_pane_keys(const std::string& key, Timestamp start, const WindowPane& pane);
    void find_next_end();
    WindowPane new_pane() const {
        WindowPane pane;
        pane.statistics = analytics::WindowStatistics(options_.exact_max);
        return pane;
    }
    void mark_changed(const WindowName& window);
    Timestamp window_end(const Series& series, Timestamp start) const;

    struct Content {
        Timestamp start, end;
        WindowPane pane;
        std::vector<Timestamp> times;
        std::optional<Timestamp> previous, next;
    };
    Content content_of(const Series& series, Timestamp start) const;
    std::vector<WindowGap> gaps_of(const Content& content, const Series& series, std::optional<Duration> spacing) const;
    std::string body_of(const Content& content, const Series& series, const Closed& closed, std::string& cut) const;

    std::string window_, name_;
    WindowOptions options_;
    WindowBounds bounds_;
    std::vector<JsonPath> values_;
    std::string field_;
    std::uint64_t version_;
    std::vector<StreamName> inputs_, outputs_;
    bool over_derived_ = false;

    SeriesTable series_;
    std::set<std::string, std::less<>> keys_seen_;  ///< with one window over all keys: how many readings to expect
    FeedTimeline timeline_;
    std::optional<Timestamp> watermark_;    ///< nullopt before the first event
    Timestamp event_clock_, event_arrival_; ///< largest event time, and the commit time it came at
    Duration behind_{0};                    ///< how far the stream is behind the clock, if more than 5 s
    std::optional<Timestamp> last_commit_;
    Timestamp now_;                         ///< time of the batch in hand: `time_of`
    std::set<WindowName> changed_windows_;
    std::optional<Timestamp> changed_due_;
    std::optional<Timestamp> next_end_;     ///< end of the first window to close
    Timestamp forgotten_until_;
    std::uint64_t forgotten_late_ = 0, revisions_ = 0;
    bool keys_changed_ = false;
    std::vector<std::string> removed_;      ///< state keys of what was forgotten
};

}  // namespace weir
