#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "event/event.h"
#include "event/excerpt.h"

namespace weir {

/// Where things are in a message: the rules of `[feeds.<name>.decode]`, one set for all sources of a feed (C-40).
/// All paths are JSON Pointers (RFC 6901) below the item; in a list the first that is present wins.
struct DecodeRules {
    enum class TimeFormat : std::uint8_t { rfc3339, unix_s, unix_ms };

    std::string items;               ///< pointer to the array to fan out over; what is there and no array is one item itself
    std::vector<std::string> key;    ///< text or number; empty: events without a key
    std::vector<std::string> value;  ///< a number must be there; empty: events without a number, as records
    std::vector<std::string> time;   ///< the first that is present and valid; else the arrival time
    std::string id;                  ///< empty, or not there: `<id_prefix><n>`
    std::string type = "reading";    ///< of the events
    std::vector<std::string> keep;   ///< what to keep in `data`; empty: all
    std::vector<std::string> keys;   ///< only events with these keys; empty: all
    bool numeric_text = false;       ///< every text that holds a JSON number is that number
    std::vector<std::string> numeric_text_paths;  ///< the same at these paths only
    TimeFormat time_format = TimeFormat::rfc3339;
};

/// From a message's text to events: step 2 of a reading's walk.
///
/// - A reading is where the value's path is **present** and holds a number: 0, 0.0 and, with numeric_text, "0" are readings
///   (S0-R13, C-7). Presence alone chooses in a list: a null at the first path does not fall through to the second.
/// - What is no reading is counted in `Notes::rejected`, with key and time where they can be read, and the rest goes on:
///   `malformed` (the message is no JSON), `no_items`, `not_an_object`, `no_key`, `bad_key`, `missing_value`, `null`,
///   `not_a_number`, `bad_id`, `too_large`.
/// - An item with another key than the wanted ones is no error (S0-R3), nor is an empty array.
/// - A malformed message yields no event at all, also where its beginning could be read.
/// - `data` is the item's object, compact, cut to `keep`; a numeric text is written as the number, in the digits it had. An
///   item that is itself a number (with the value at "") becomes `{"value":45}`. Of a repeated member the last one counts.
/// - Texts keep their escapes; a message that is not UTF-8 is malformed.
///
/// Thread: one owner (it keeps its buffers). Cost: one pass; no allocation in the usual case once the buffers have grown.
/// Source: simdjson on demand (Keiser and Lemire, 2023), plus the checks that it leaves out.
class Decoder {
public:
    /// Errors: `bad_pointer`; `bad_type` for a type above 255 bytes.
    static Result<Decoder> make(DecodeRules rules);
    Decoder(Decoder&&) noexcept;
    Decoder& operator=(Decoder&&) noexcept;
    ~Decoder();

    struct Arrival {
        Timestamp at;                ///< becomes `ingested`, and `time` where the message has none
        std::string_view source;     ///< `websocket`, `http`, ...
        std::string_view id_prefix;  ///< `<feed>/<connection>/`, at most 200 bytes
        std::uint64_t* next_number;  ///< of the next generated id; counted up
    };
    struct Outcome {
        std::uint32_t events = 0;
        std::uint32_t rejected = 0;
        std::uint32_t unwanted = 0;  ///< items with other keys
        /// The first rejection in words, for the operator: what was found where, what is expected. Empty where there was none.
        std::string problem;
    };
    /// Adds to `events` and `notes`.
    Outcome decode(std::string_view message, const Arrival& arrival, EventList& events, Notes& notes);

    const DecodeRules& rules() const;

private:
    struct State;
    explicit Decoder(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace weir
