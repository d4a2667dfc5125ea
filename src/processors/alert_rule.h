#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/alert_options.h"
#include "event/json.h"
#include "event/json_path.h"
#include "event/label.h"

namespace weir {

/// A rule as the processor holds it. It comes as JSON, because it comes through the log: what fired at 03:12 was judged by the rules that stand
/// in the log before it (docs/decisions/0004).
struct AlertRule {
    std::string name;
    AlertOptions options;
    std::vector<JsonPath> values;  ///< where the number stands: the first that is there counts
    Label title{""};
    std::string text;              ///< the JSON that it was read from: two rules with one text are the same

    /// What `options` says, with `values` where they name no place of the number. Durations are texts, as in the file.
    static Json json_of(const std::string& name, const AlertOptions& options, const std::vector<std::string>& values);
    /// Error `bad_rule`: the member, what was found and what is allowed.
    static Result<AlertRule> parse(const Json& json);

    /// Whether events with this key are its business. Cost: a search among the keys that it names.
    bool wants(std::string_view key) const;
    /// Where an alert stands among those of its rule: the key, or nothing where there is one for all.
    std::string_view place_of(std::string_view key) const { return options.per_key ? key : std::string_view(); }
    /// Whose signal an event with this key is: of a silence that is one for all, anybody's.
    std::string_view signal_of(std::string_view key) const { return options.kind == AlertKind::silence ? place_of(key) : key; }
    /// How long the condition must hold. Of a silence it holds only when it has lasted.
    Duration hold() const { return options.kind == AlertKind::silence ? Duration(0) : options.holds; }
    /// `level`, or `clear` where it is given: where a condition that holds ends.
    double clear() const { return options.clear.value_or(options.level.value_or(0)); }
};

}  // namespace weir
