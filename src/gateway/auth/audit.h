#pragma once
#include <cstdint>
#include <string_view>

namespace weir {

/// One line in the diagnostics for each security event (S4-R17), behind the word `audit`:
///
///     audit: auth_failed peer=192.0.2.1:4711 who=- path=/stream: the token has expired
///
/// `what`: auth_ok, auth_failed, auth_timeout, reauth_ok, reauth_failed, auth_expired, subscribed, denied, disconnected, refused, reloaded. What a peer chose is printed without what
/// could end a line; a token is never among it. Above 500 lines of one `what` a second the rest are counted in its next line: who floods weir must not fill its disk.
/// Thread: any.
struct AuditLine {
    std::string_view what;
    std::string_view peer = {};
    std::string_view who = {};    ///< an identity's name
    std::string_view path = {};
    std::string_view detail = {};
};
enum class Audit : std::uint8_t { note, warning };
void audit(Audit level, const AuditLine& line);

}  // namespace weir
