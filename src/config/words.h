#pragma once
#include "config/option.h"

/// The words of each enum that an option holds. The first is not always the default; that stands in the struct.
namespace weir {

#define WEIR_WORDS(E, ...)                                       \
    template <>                                                  \
    inline std::span<const Word<E>> words_of<E>() {              \
        using enum E;                                            \
        static constexpr Word<E> words[] = {__VA_ARGS__};        \
        return words;                                            \
    }

template <>
inline std::span<const Word<diag::Level>> words_of<diag::Level>() {
    using diag::Level;
    static constexpr Word<Level> words[] = {
        {"debug", Level::debug}, {"info", Level::info}, {"warn", Level::warn}, {"error", Level::error}, {"off", Level::off}};
    return words;
}
template <>
inline std::span<const Word<diag::Format>> words_of<diag::Format>() {
    static constexpr Word<diag::Format> words[] = {{"text", diag::Format::text}, {"json", diag::Format::json}};
    return words;
}
WEIR_WORDS(Durability, {"full", full}, {"process", process})
WEIR_WORDS(StreamType, {"data", data}, {"aggregations", aggregations}, {"alerts", alerts}, {"predictions", predictions},
           {"metrics", metrics}, {"system_status", system_status})
WEIR_WORDS(SourceKind, {"websocket", websocket}, {"http", http}, {"html", html}, {"replay", replay}, {"simulate", simulate})
WEIR_WORDS(Generator, {"day", day}, {"walk", walk}, {"sine", sine}, {"constant", constant}, {"line", line}, {"users", users})
WEIR_WORDS(TimeFormat, {"rfc3339", rfc3339}, {"unix_s", unix_s}, {"unix_ms", unix_ms})
WEIR_WORDS(WindowKind, {"tumbling", tumbling}, {"hopping", hopping}, {"session", session})
WEIR_WORDS(Median, {"true", exact}, {"upper", upper})
WEIR_WORDS(AlertKind, {alert_kinds[0], threshold}, {alert_kinds[1], rate}, {alert_kinds[2], silence}, {alert_kinds[3], violation})
WEIR_WORDS(AlertCondition, {alert_conditions[0], above}, {alert_conditions[1], below}, {alert_conditions[2], equals}, {alert_conditions[3], not_equals})
WEIR_WORDS(AlertSeverity, {alert_severities[0], info}, {alert_severities[1], warning}, {alert_severities[2], critical}, {alert_severities[3], fatal})
WEIR_WORDS(StoreKind, {"folder", folder}, {"azure", azure}, {"s3", s3}, {"postgresql", postgresql}, {"webhook", webhook})
WEIR_WORDS(BlobLayout, {"hybrid", hybrid}, {"raw", raw}, {"summary", summary})
WEIR_WORDS(BlobProfile, {"weir", weir}, {"s0", s0}, {"s1-raw", s1_raw}, {"s1-summary", s1_summary})
WEIR_WORDS(BlobCompression, {"none", none}, {"gzip", gzip})
WEIR_WORDS(Bundle, {"auto", automatic}, {"always", always}, {"never", never})
WEIR_WORDS(BlobTier, {"standard", standard}, {"hot", hot}, {"cool", cool}, {"cold", cold}, {"archive", archive})
WEIR_WORDS(PartitionBy, {"month", month}, {"day", day})
WEIR_WORDS(MappedPreset, {"none", none}, {"incoming_users", incoming_users})
WEIR_WORDS(WebhookFormat, {"events", events}, {"alertmanager", alertmanager})
WEIR_WORDS(RequireAuth, {"auto", automatic}, {"true", yes}, {"false", no})
WEIR_WORDS(Compression, {"none", none}, {"deflate", deflate})

#undef WEIR_WORDS

}  // namespace weir
