#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "analytics/bytes.h"
#include "base/time.h"

namespace weir {

/// A text with its length before it, behind what is in `out`: for state that is kept in the log.
inline void put_text(std::string& out, std::string_view text) {
    analytics::put_raw(out, static_cast<std::uint32_t>(text.size()));
    out += text;
}

/// Takes values off the front; `good` turns false at the first that is not there, and everything after it is a zero or empty.
struct Taker {
    std::string_view in;
    bool good = true;

    template <class T>
    T number() {
        T value{};
        good = good && analytics::take_raw(in, value);
        return value;
    }
    Timestamp time() { return Timestamp::from_micros(number<std::int64_t>()); }
    std::optional<Timestamp> maybe_time() { return number<std::uint8_t>() != 0 ? std::optional(time()) : std::nullopt; }
    std::string text() {
        const auto size = number<std::uint32_t>();
        good = good && in.size() >= size;
        if (!good) return {};
        std::string value(in.substr(0, size));
        in.remove_prefix(size);
        return value;
    }
};

}  // namespace weir
