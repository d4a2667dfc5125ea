#include "log/block_columns.h"

namespace weir {

void Dictionary::write(ByteWriter& w) const {
    w.number(texts_.size());
    for (const auto text : texts_) w.text(text);
    if (texts_.size() > 1)
        for (const auto number : numbers_) w.number(number);
}

TextColumn TextColumn::read(ByteReader& r, std::uint64_t count) {
    TextColumn column;
    const std::uint64_t different = r.number();
    if (different > count || (count > 0 && different == 0)) {
        r.fail();
        return column;
    }
    column.texts.reserve(different);
    for (std::uint64_t i = 0; i < different; ++i) {
        column.texts.push_back(r.text());
        if (column.texts.back().size() > 255) r.fail();
    }
    if (different > 1) {
        column.numbers.resize(count);
        for (auto& number : column.numbers) {
            const std::uint64_t n = r.number();
            if (n >= different) r.fail();
            number = r.failed() ? 0 : static_cast<std::uint32_t>(n);
        }
    }
    return column;
}

IdRuns::CountedId IdRuns::parse_counted(std::string_view id) {
    std::size_t digits = id.size();
    while (digits > 0 && id.size() - digits < 18 && id[digits - 1] >= '0' && id[digits - 1] <= '9') --digits;
    // A leading zero would not be printed again.
    while (digits < id.size() && id[digits] == '0' && digits + 1 < id.size()) ++digits;
    if (digits == id.size()) return {};
    CountedId counted{id.substr(0, digits), 0, true};
    std::from_chars(id.data() + digits, id.data() + id.size(), counted.number);
    return counted;
}

void IdRuns::add(std::string_view id) {
    const CountedId c = parse_counted(id);
    if (c.counted && !runs_.empty()) {
        Run& run = runs_.back();
        if (run.head.counted && run.head.number + run.count == c.number && run.head.prefix == c.prefix) {
            ++run.count;
            return;
        }
    }
    runs_.push_back({c, id, 1});
}

void IdRuns::write(ByteWriter& w) const {
    // Neighbouring runs of one become one run of plain texts: a prefix each would cost more.
    std::size_t i = 0;
    while (i < runs_.size()) {
        if (runs_[i].count > 1) {
            w.byte(1);
            w.text(runs_[i].head.prefix);
            w.number(runs_[i].head.number);
            w.number(runs_[i].count);
            ++i;
            continue;
        }
        std::size_t end = i;
        while (end < runs_.size() && runs_[end].count == 1) ++end;
        w.byte(0);
        w.number(end - i);
        for (; i < end; ++i) w.text(runs_[i].text);
    }
}

Timestamp moment_after(Timestamp base, std::uint64_t micros, ByteReader& r) {
    // Unsigned: in a damaged block the sum may overflow.
    const auto t = Timestamp::from_micros(static_cast<std::int64_t>(static_cast<std::uint64_t>(base.micros()) + micros));
    if (t >= Timestamp::min() && t <= Timestamp::max()) return t;
    r.fail();
    return base;
}

std::vector<Timestamp> read_times(ByteReader& r, std::uint64_t count, Timestamp base) {
    std::vector<Timestamp> times(count);
    for (auto& time : times) time = base = moment_after(base, static_cast<std::uint64_t>(r.integer()), r);
    return times;
}

}  // namespace weir
