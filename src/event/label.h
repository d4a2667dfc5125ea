#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/json_path.h"

namespace weir {

/// A line for people out of an event's `data`: text with JSON Pointers in braces.
///
///     Label("{/name/first} from {/location/country}").of(data)     "Jane from Canada"
///
/// What is not there is `?`; long texts are cut, and nothing that a line must not hold gets through (`excerpt`). A brace that opens nothing
/// right stays out. Thread: any (immutable). Cost: a JsonPath a brace.
class Label {
public:
    explicit Label(std::string_view text);
    bool empty() const { return pieces_.empty(); }
    std::string of(std::string_view data) const;

private:
    std::vector<std::pair<std::string, std::optional<JsonPath>>> pieces_;
};

}  // namespace weir
