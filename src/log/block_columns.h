#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "log/bytes.h"

namespace weir {

/// The columns of a block's body, each as it is written and read (docs/formats/log-block.md). Texts are views of the events or the
/// bytes that they came from. What does not fit fails the reader. Thread: one owner.

/// Writes a column of short texts that repeat: the different ones once, then each event's number among them.
class Dictionary {
public:
    explicit Dictionary(std::size_t events) { numbers_.reserve(events); }

    void add(std::string_view text) {
        // Types and sources hardly change within a block, so most events stop here.
        if (!texts_.empty() && texts_[last_] == text) {
            numbers_.push_back(last_);
            return;
        }
        const auto [it, is_new] = known_.try_emplace(text, static_cast<std::uint32_t>(texts_.size()));
        if (is_new) texts_.push_back(text);
        last_ = it->second;
        numbers_.push_back(last_);
    }
    void write(ByteWriter& w) const;
    const std::vector<std::string_view>& texts() const { return texts_; }

private:
    std::vector<std::string_view> texts_;
    std::vector<std::uint32_t> numbers_;
    std::unordered_map<std::string_view, std::uint32_t> known_;
    std::uint32_t last_ = 0;
};

/// What Dictionary wrote.
struct TextColumn {
    std::vector<std::string_view> texts;
    std::vector<std::uint32_t> numbers;  ///< empty: all are number 0

    std::string_view operator[](std::size_t i) const { return texts[numbers.empty() ? 0 : numbers[i]]; }

    static TextColumn read(ByteReader& r, std::uint64_t count);
};

/// Writes the ids: runs that count upwards (`pools/17/4711`, `pools/17/4712`, ...), and texts as they are between them.
class IdRuns {
public:
    void add(std::string_view id);
    void write(ByteWriter& w) const;

private:
    struct CountedId {
        std::string_view prefix;
        std::uint64_t number = 0;
        bool counted = false;
    };
    struct Run {
        CountedId head;
        std::string_view text;
        std::uint64_t count;
    };
    static CountedId parse_counted(std::string_view id);

    std::vector<Run> runs_;
};

/// What IdRuns wrote: calls `each(id)` for every id, which is valid within the call.
template <class Each>
void read_ids(ByteReader& r, std::uint64_t count, Each&& each) {
    std::string text;
    std::uint64_t given = 0;
    while (given < count && !r.failed()) {
        const std::uint8_t kind = r.byte();
        if (kind == 1) {
            const std::string_view prefix = r.text();
            const std::uint64_t first = r.number(), run = r.number();
            if (prefix.size() > 254 || run > count - given || run == 0) {
                r.fail();
                return;
            }
            text.assign(prefix);
            for (std::uint64_t i = 0; i < run; ++i) {
                char digits[20];
                const auto end = std::to_chars(digits, digits + 20, first + i).ptr;
                text.resize(prefix.size());
                text.append(digits, end);
                if (text.size() > 255) {
                    r.fail();
                    return;
                }
                each(std::string_view(text));
            }
            given += run;
        } else if (kind == 0) {
            const std::uint64_t run = r.number();
            if (run > count - given || run == 0) {
                r.fail();
                return;
            }
            for (std::uint64_t i = 0; i < run; ++i) {
                const std::string_view id = r.text();
                if (id.size() > 255) r.fail();
                if (r.failed()) return;
                each(id);
            }
            given += run;
        } else {
            r.fail();
        }
    }
}

/// A moment that is told as the distance to another.
Timestamp moment_after(Timestamp base, std::uint64_t micros, ByteReader& r);
/// A column of them, each from the one before.
std::vector<Timestamp> read_times(ByteReader& r, std::uint64_t count, Timestamp base);

}  // namespace weir
