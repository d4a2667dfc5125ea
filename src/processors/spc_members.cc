#include "processors/spc_members.h"

#include <cmath>

#include "processors/characteristic.h"

namespace weir::spc_members {

using namespace members;

Result<std::uint64_t> id_of(const Json& data, std::string_view name) {
    const Json* found = member(data, name);
    const auto value = found && found->is_number() ? found->as_integer() : std::nullopt;
    if (!value || *value < 1 || *value > static_cast<std::int64_t>(spc_id_max)) return wrong(name, found, "a whole number from 1 to 9007199254740991");
    return static_cast<std::uint64_t>(*value);
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
