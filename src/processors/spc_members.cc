#include "processors/spc_members.h"

#include <cmath>

#include "processors/characteristic.h"

namespace weir::spc_members {

Error wrong(std::string_view member, const Json* found, std::string_view allowed) {
    std::string text = found ? found->text() : std::string("missing");
    if (text.size() > 100) {
        text.resize(97);
        text += "...";
    }
    return {"bad_command", "`" + std::string(member) + "` is " + text + "; allowed: " + std::string(allowed)};
}

const Json* member(const Json& data, std::string_view name) {
    const Json* found = data.find(name);
    return found && !found->is_null() ? found : nullptr;
}

Result<std::uint64_t> id_of(const Json& data, std::string_view name) {
    const Json* found = member(data, name);
    const auto value = found && found->is_number() ? found->as_integer() : std::nullopt;
    if (!value || *value < 1 || *value > static_cast<std::int64_t>(spc_id_max)) return wrong(name, found, "a whole number from 1 to 9007199254740991");
    return static_cast<std::uint64_t>(*value);
}

Result<std::optional<double>> number_of(const Json& data, std::string_view name) {
    const Json* found = member(data, name);
    if (!found) return std::optional<double>();
    if (!found->is_number() || !std::isfinite(found->as_double())) return wrong(name, found, "a finite number");
    return std::optional(found->as_double());
}

Result<bool> flag_of(const Json& data, std::string_view name) {
    const Json* found = member(data, name);
    if (found && !found->is_boolean()) return wrong(name, found, "true or false");
    return found && found->as_boolean();
}

Result<Timestamp> time_of(const Json& data, std::string_view name, Timestamp standard) {
    const Json* found = member(data, name);
    if (!found) return standard;
    const auto time = found->is_string() ? parse_rfc3339(found->as_string(), Offset::optional) : std::nullopt;
    if (!time) return wrong(name, found, "a time such as 2026-02-17T10:00:00Z");
    return *time;
}

Result<std::vector<double>> values_from(const Json& json) {
    std::vector<double> values;
    const auto take = [&](const Json& item) {
        if (!item.is_number() || !std::isfinite(item.as_double())) return false;
        values.push_back(item.as_double());
        return true;
    };
    if (json.is_array()) {
        if (json.items().empty()) return wrong("values", &json, "at least one number");
        if (json.items().size() > Characteristic::values_max)
            return Error{"subgroup_size_out_of_range", "a sample has " + std::to_string(json.items().size()) + " values; allowed: at most " + std::to_string(Characteristic::values_max)};
        for (const Json& item : json.items())
            if (!take(item)) return Error{"not_a_number", "`values` holds " + item.text().substr(0, 100) + "; expected finite numbers"};
    } else if (!take(json)) {
        return Error{"not_a_number", "a value is " + json.text().substr(0, 100) + "; expected a finite number"};
    }
    return values;
}

}  // namespace weir::spc_members
