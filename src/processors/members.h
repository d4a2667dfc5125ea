#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "event/json.h"

namespace weir::members {

/// Members of a command's data, read with the mistake named: `bad_command` tells the member, what was found and what is allowed.
/// A member that is null is one that is not there.

Error wrong(std::string_view member, const Json* found, std::string_view allowed);

/// nullptr where there is none.
const Json* member(const Json& data, std::string_view name);
Result<std::optional<double>> number_of(const Json& data, std::string_view name);
/// A flag that is not there is false.
Result<bool> flag_of(const Json& data, std::string_view name);
Result<Timestamp> time_of(const Json& data, std::string_view name, Timestamp standard);
/// At most `bytes_max`; empty where it is not there, unless it is `required`.
Result<std::string> text_of(const Json& data, std::string_view name, std::size_t bytes_max, bool required);

/// Who acknowledges and why: `user`, and a `reason`, or a `reason_code` of `reasons`, whose meaning is the reason then.
struct SaidAcknowledgement {
    std::string user, on_behalf_of, reason, code;
};
Result<SaidAcknowledgement> acknowledgement_of(const Json& data, const std::map<std::string, std::string>& reasons);

}  // namespace weir::members
