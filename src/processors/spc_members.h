#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "event/json.h"

namespace weir::spc_members {

/// Members of a command's data, read with the mistake named: `bad_command` tells the member, what was found and what is allowed.
/// A member that is null is one that is not there.

Error wrong(std::string_view member, const Json* found, std::string_view allowed);

/// nullptr where there is none.
const Json* member(const Json& data, std::string_view name);
/// Required: 1 to spc_id_max.
Result<std::uint64_t> id_of(const Json& data, std::string_view name);
Result<std::optional<double>> number_of(const Json& data, std::string_view name);
/// A flag that is not there is false.
Result<bool> flag_of(const Json& data, std::string_view name);
Result<Timestamp> time_of(const Json& data, std::string_view name, Timestamp standard);
/// Finite numbers: a list of 1 to Characteristic::values_max, or one. Errors: `bad_command`, `not_a_number`, `subgroup_size_out_of_range`.
Result<std::vector<double>> values_from(const Json& json);

}  // namespace weir::spc_members
