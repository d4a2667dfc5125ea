#pragma once
#include <string_view>
#include <vector>

#include "processors/members.h"

namespace weir::spc_members {

/// What is peculiar to commands about samples, beside `members`.

/// Required: 1 to spc_id_max.
Result<std::uint64_t> id_of(const Json& data, std::string_view name);
/// Finite numbers: a list of 1 to Characteristic::values_max, or one. Errors: `bad_command`, `not_a_number`, `subgroup_size_out_of_range`.
Result<std::vector<double>> values_from(const Json& json);

}  // namespace weir::spc_members
