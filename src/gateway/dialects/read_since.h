#pragma once
#include <optional>

#include "event/json.h"
#include "gateway/history.h"

namespace weir {

/// What a `since` may look like, for the detail of an error.
inline constexpr std::string_view kSinceForms =
    R"(allowed: {"<stream>":{"epoch":"<16 hex digits>","seq":n}}, "2026-02-17T10:00:00Z", {"last":n} with n up to 10000)";

/// `since` of a subscription; nullopt where it has none of its forms.
std::optional<Since> read_since(const Json& value);
/// `last`: how many events from the end.
std::optional<Since> read_last(const Json& value);
/// `{"<stream>":{"epoch","seq"}, ...}`
std::optional<Since::Positions> read_positions(const Json& value);

}  // namespace weir
