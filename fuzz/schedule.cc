// NCRONTAB and intervals: the next firing against the calendar, field by field.
#include "base/schedule.h"
#include "fuzz.h"

namespace weir::fuzz {
namespace {

/// One field, as the documentation reads; numbers alone (names are tried by the corpus). nullopt: not of that form.
std::optional<bool> allows(std::string_view field, int value, int first, int last) {
    bool any = false;
    while (true) {
        const std::size_t comma = field.find(',');
        const std::string item(field.substr(0, comma));
        int low = first, high = last, step = 1, used = 0;
        if (item == "*") {
        } else if (std::sscanf(item.c_str(), "*/%d%n", &step, &used) == 1 && used == static_cast<int>(item.size())) {
        } else if (std::sscanf(item.c_str(), "%d-%d/%d%n", &low, &high, &step, &used) == 3 && used == static_cast<int>(item.size())) {
        } else if (std::sscanf(item.c_str(), "%d-%d%n", &low, &high, &used) == 2 && used == static_cast<int>(item.size())) {
        } else if (std::sscanf(item.c_str(), "%d/%d%n", &low, &step, &used) == 2 && used == static_cast<int>(item.size())) {
            high = last;
        } else if (std::sscanf(item.c_str(), "%d%n", &low, &used) == 1 && used == static_cast<int>(item.size())) {
            high = low;
        } else {
            return std::nullopt;
        }
        if (step < 1) return std::nullopt;
        any = any || (value >= low && value <= high && (value - low) % step == 0);
        if (comma == field.npos) return any;
        field.remove_prefix(comma + 1);
    }
}

std::optional<bool> fires(const std::vector<std::string_view>& fields, const CivilTime& c) {
    const struct {
        int value, first, last;
    } parts[] = {{c.second, 0, 59}, {c.minute, 0, 59}, {c.hour, 0, 23}, {c.day, 1, 31}, {c.month, 1, 12}, {c.weekday, 0, 6}};
    for (std::size_t i = 0; i < 6; ++i) {
        auto one = allows(fields[i], parts[i].value, parts[i].first, parts[i].last);
        if (planted() && i == 2 && parts[i].value == 23 && fields[2] != "*") one = false;
        if (!one) return std::nullopt;
        if (!*one) return false;
    }
    return true;
}

}  // namespace

// Four bytes of a moment, one of the zone, then the schedule.
void schedule(std::string_view bytes) {
    Input input(bytes);
    std::uint32_t moment = 0;
    for (int i = 0; i < 4; ++i) moment = moment << 8 | input.byte();
    const bool zoned = input.byte() & 1;
    const std::string text(input.rest());
    static const Zone zurich = *Zone::find("Europe/Zurich");
    const auto parsed = Schedule::parse(text, zoned ? zurich : Zone());
    if (!parsed.ok()) {
        FUZZ_CHECK(parsed.error().code == "bad_schedule" && !parsed.error().message.empty());
        return;
    }
    std::vector<std::string_view> fields;
    for (std::string_view rest = text;;) {
        const std::size_t begin = rest.find_first_not_of(" \t");
        if (begin == rest.npos) break;
        rest.remove_prefix(begin);
        const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
        fields.push_back(rest.substr(0, end));
        rest.remove_prefix(end);
    }
    // As it was written; of an interval without the blanks around it.
    FUZZ_CHECK(parsed->text() == (fields.size() == 1 ? fields[0] : std::string_view(text)));
    const Timestamp after = Timestamp::from_micros(static_cast<std::int64_t>(moment) * 1'000'000 + moment % 1'000'000);
    const Timestamp next = parsed->next(after);
    FUZZ_CHECK(next > after);
    if (next == Timestamp::max()) return;
    FUZZ_CHECK(parsed->next(next - 1us) == next);
    FUZZ_CHECK(parsed->next(next) > next);
    if (zoned) return;
    // It walks up to 800 years of days, so not at each input.
    if (const Timestamp later = parsed->next(next); moment % 16 == 0 && later != Timestamp::max()) FUZZ_CHECK(later - next >= parsed->shortest_spacing());

    if (fields.size() != 6) {
        const auto interval = parse_duration(fields.at(0));
        FUZZ_CHECK(interval && next.micros() % interval->count() == 0 && next - after <= *interval);
        return;
    }
    if (const auto right = fires(fields, to_civil(next))) {
        FUZZ_CHECK(*right, to_rfc3339(next));
        // None was passed over: in the seconds right after, and at some further ones before it.
        const Timestamp begin = after.floor_to(1s) + 1s;
        for (int i = 0; i < 100 && begin + i * 1s < next; ++i) FUZZ_CHECK(!*fires(fields, to_civil(begin + i * 1s)), to_rfc3339(begin + i * 1s));
        for (int i = 1; i < 50; ++i) {
            const Timestamp between = (begin + (next - begin) / 50 * i).floor_to(1s);
            if (between >= begin && between < next) FUZZ_CHECK(!*fires(fields, to_civil(between)), to_rfc3339(between));
        }
    }
}

}  // namespace weir::fuzz
