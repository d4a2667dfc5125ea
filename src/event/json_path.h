#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/json.h"

namespace weir {

/// One value out of the text of an event's `data`, found by JSON Pointer without parsing the rest: for processors and stores
/// that read one or two fields of every event.
///
///     const auto field = *JsonPath::parse("/currentfill");
///     if (const auto reading = field.number(event.data)) windows.add(*reading);
///
/// The text must be JSON, as what the log holds is; on other bytes the answer is arbitrary but nothing outside the text is read.
/// Of a repeated member the first is found (the decoder lets none through).
///
/// Thread: any (immutable). Cost: one pass over what stands before the value, some 40 ns for a pool's reading; no allocation in
/// `find` and `number`.
class JsonPath {
public:
    /// Error: `bad_pointer`.
    static Result<JsonPath> parse(std::string_view pointer);
    explicit JsonPath(const JsonPointer& pointer);

    /// The value as it is written: `45`, `"a\n"` with its quotes, `{"b":1}`. nullopt where there is none.
    std::optional<std::string_view> find(std::string_view json) const;
    /// The value if it is a number that a double can hold; 0 is one. nullopt for all else.
    std::optional<double> number(std::string_view json) const;
    /// The value if it is a text, escapes resolved.
    std::optional<std::string> string(std::string_view json) const;

    const JsonPointer& pointer() const { return pointer_; }

private:
    struct Step {
        std::string name;                  ///< as it stands between quotes when it needs no escape
        std::optional<std::size_t> index;  ///< the same as a place in an array
    };
    JsonPointer pointer_;
    std::vector<Step> steps_;
};

/// A double from the text of a JSON number; nullopt where it is none or is beyond a double.
std::optional<double> parse_json_number(std::string_view text);

}  // namespace weir
