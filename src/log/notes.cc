#include "log/block.h"
#include "log/bytes.h"

namespace weir {

void encode_notes(std::string& out, const Notes& notes) {
    ByteWriter w(out);
    w.number(notes.rejected.size());
    for (const auto& r : notes.rejected) {
        w.text(r.reason);
        w.text(r.key);
        w.byte(r.time ? 1 : 0);
        if (r.time) w.integer(r.time->micros());
        w.number(r.count);
    }
    w.number(notes.duplicates.size());
    for (const auto& d : notes.duplicates) {
        w.text(d.key);
        w.integer(d.time.micros());
        w.number(d.count);
    }
    w.number(notes.feed_states.size());
    for (const auto& s : notes.feed_states) {
        w.text(s.feed);
        w.text(s.state);
        w.text(s.cause);
        w.text(s.source);
        w.integer(s.time.micros());
        w.text(s.detail);
    }
    w.number(notes.intervals.size());
    for (const auto& i : notes.intervals) {
        w.text(i.feed);
        w.integer(i.spacing.count());
        w.byte(i.learned ? 1 : 0);
    }
}

Notes decode_notes(std::string_view bytes, bool& good) {
    ByteReader r(bytes);
    Notes notes;
    const auto text = [&] { return std::string(r.text()); };
    const auto count = [&] { return static_cast<std::uint32_t>(r.number()); };
    for (std::uint64_t n = r.number(); n > 0 && !r.failed(); --n) {
        Notes::Rejected& x = notes.rejected.emplace_back();
        x.reason = text();
        x.key = text();
        if (r.byte() != 0) x.time = Timestamp::from_micros(r.integer());
        x.count = count();
    }
    for (std::uint64_t n = r.number(); n > 0 && !r.failed(); --n) {
        Notes::Duplicate& x = notes.duplicates.emplace_back();
        x.key = text();
        x.time = Timestamp::from_micros(r.integer());
        x.count = count();
    }
    for (std::uint64_t n = r.number(); n > 0 && !r.failed(); --n) {
        Notes::FeedState& x = notes.feed_states.emplace_back();
        x.feed = text();
        x.state = text();
        x.cause = text();
        x.source = text();
        x.time = Timestamp::from_micros(r.integer());
        x.detail = text();
    }
    for (std::uint64_t n = r.number(); n > 0 && !r.failed(); --n) {
        Notes::Interval& x = notes.intervals.emplace_back();
        x.feed = text();
        x.spacing = Duration(r.integer());
        x.learned = r.byte() != 0;
    }
    // What follows was written by a later weir, which knows more kinds of notes: this one passes over it.
    if (r.failed()) good = false;
    return notes;
}

}  // namespace weir
