#include "processors/members.h"

#include <cmath>

namespace weir::members {

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

Result<std::string> text_of(const Json& data, std::string_view name, std::size_t bytes_max, bool required) {
    const Json* found = member(data, name);
    if (!found && !required) return std::string();
    if (!found || !found->is_string() || found->as_string().size() > bytes_max || (required && found->as_string().empty()))
        return wrong(name, found, (required ? "a text of 1 to " : "a text of at most ") + std::to_string(bytes_max) + " bytes");
    return found->as_string();
}

Result<SaidAcknowledgement> acknowledgement_of(const Json& data, const std::map<std::string, std::string>& reasons) {
    SaidAcknowledgement said;
    WEIR_TRY(said.user, text_of(data, "user", 255, true));
    WEIR_TRY(said.on_behalf_of, text_of(data, "on_behalf_of", 255, false));
    if (said.on_behalf_of == said.user) said.on_behalf_of.clear();
    WEIR_TRY(said.reason, text_of(data, "reason", 1024, false));
    if (const Json* code = member(data, "reason_code")) {
        const auto known = code->is_string() ? reasons.find(code->as_string()) : reasons.end();
        if (known == reasons.end()) {
            std::string allowed;
            for (const auto& [name, text] : reasons) allowed.append(allowed.empty() ? "" : ", ").append(name);
            return wrong("reason_code", code, allowed);
        }
        said.code = known->first;
        if (said.reason.empty()) said.reason = known->second;
    }
    if (said.reason.empty()) return wrong("reason", member(data, "reason"), "a text, or a reason_code");
    return said;
}

}  // namespace weir::members
