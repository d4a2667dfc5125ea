#include "config/sections.h"

#include <charconv>

#include "base/assert.h"

namespace weir {
namespace {

using Names = std::span<const std::string>;

std::size_t index_of(const std::string& text) {
    std::size_t index = 0;
    std::from_chars(text.data(), text.data() + text.size(), index);
    return index;
}

template <class T>
T& at_index(std::vector<T>& items, const std::string& text) {
    const std::size_t index = index_of(text);
    if (index >= items.size()) items.resize(index + 1);
    return items[index];
}

template <class Table>
void each_of(const Table& table, const Section::Visit& visit) {
    for (const auto& [name, owner] : table) visit({name}, &owner);
}

bool is_bare_key(std::string_view key) {
    return !key.empty() && key.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

}  // namespace

template <>
const Section& section_of<diag::Options>() {
    static const Section section{"diag", "Diagnostics: lines for the operator.", [](Options& o, Names) -> void* { return &o.diag; },
                                 [](const Options& o, const Section::Visit& visit) { visit({}, &o.diag); }};
    return section;
}
template <>
const Section& section_of<LogOptions>() {
    static const Section section{"log", "The log: where every event lives.", [](Options& o, Names) -> void* { return &o.log; },
                                 [](const Options& o, const Section::Visit& visit) { visit({}, &o.log); }};
    return section;
}
template <>
const Section& section_of<RetentionOptions>() {
    static const Section section{"log", "", [](Options& o, Names) -> void* { return &o.log.retention; },
                                 [](const Options& o, const Section::Visit& visit) { visit({}, &o.log.retention); }};
    return section;
}
template <>
const Section& section_of<StreamOptions>() {
    static const Section section{"streams.*",
                                 "What differs from the defaults for one stream. Also declares a stream that only clients push to.",
                                 [](Options& o, Names n) -> void* { return &o.streams[n[0]]; },
                                 [](const Options& o, const Section::Visit& visit) { each_of(o.streams, visit); }};
    return section;
}
template <>
const Section& section_of<FeedOptions>() {
    static const Section section{"feeds.*", "A feed taps an outside source and appends events to a stream.",
                                 [](Options& o, Names n) -> void* { return &o.feeds[n[0]]; },
                                 [](const Options& o, const Section::Visit& visit) { each_of(o.feeds, visit); }};
    return section;
}
template <>
const Section& section_of<SourceOptions>() {
    static const Section section{
        "feeds.*.sources.#",
        "The feed's ways to the data, best first. One is active; the next takes over when it fails, and hands back when the better one is well again.",
        [](Options& o, Names n) -> void* { return &at_index(o.feeds[n[0]].sources, n[1]); },
        [](const Options& o, const Section::Visit& visit) {
            for (const auto& [name, feed] : o.feeds)
                for (std::size_t i = 0; i < feed.sources.size(); ++i) visit({name, std::to_string(i)}, &feed.sources[i]);
        }};
    return section;
}
template <>
const Section& section_of<DecodeOptions>() {
    static const Section section{"feeds.*.decode",
                                 "How a message becomes events. Paths are JSON Pointers below the item; in a list the first that is present wins, and 0 is present.",
                                 [](Options& o, Names n) -> void* { return &o.feeds[n[0]].decode; },
                                 [](const Options& o, const Section::Visit& visit) {
                                     for (const auto& [name, feed] : o.feeds) visit({name}, &feed.decode);
                                 }};
    return section;
}
template <>
const Section& section_of<WindowOptions>() {
    static const Section section{"windows.*", "Statistics over time of one number of a stream.",
                                 [](Options& o, Names n) -> void* { return &o.windows[n[0]]; },
                                 [](const Options& o, const Section::Visit& visit) { each_of(o.windows, visit); }};
    return section;
}
template <>
const Section& section_of<ForecastOptions>() {
    static const Section section{"forecasts.*", "Forecasts of one number of a window, made each time one closes, as events on the stream `predictions`.",
                                 [](Options& o, Names n) -> void* { return &o.forecasts[n[0]]; },
                                 [](const Options& o, const Section::Visit& visit) { each_of(o.forecasts, visit); }};
    return section;
}
template <>
const Section& section_of<SpcOptions>() {
    static const Section section{"spc", "Statistical process control in the stream.", [](Options& o, Names) -> void* { return &o.spc; },
                                 [](const Options& o, const Section::Visit& visit) { visit({}, &o.spc); }};
    return section;
}
template <>
const Section& section_of<CharacteristicOptions>() {
    static const Section section{"characteristics.#",
                                 "What is watched on a control chart. Clients can put more over REST, and change these until the configuration changes.",
                                 [](Options& o, Names n) -> void* { return &at_index(o.characteristics, n[0]); },
                                 [](const Options& o, const Section::Visit& visit) {
                                     for (std::size_t i = 0; i < o.characteristics.size(); ++i) visit({std::to_string(i)}, &o.characteristics[i]);
                                 }};
    return section;
}
template <>
const Section& section_of<AlertOptions>() {
    static const Section section{"alerts.*", "A rule that is looked at with every event of a stream; what it finds are events on the stream `alerts`.",
                                 [](Options& o, Names n) -> void* { return &o.alerts[n[0]]; },
                                 [](const Options& o, const Section::Visit& visit) { each_of(o.alerts, visit); }};
    return section;
}
template <>
const Section& section_of<StoreOptions>() {
    static const Section section{"stores.*", "A store copies streams and windows to other people's tools.",
                                 [](Options& o, Names n) -> void* { return &o.stores[n[0]]; },
                                 [](const Options& o, const Section::Visit& visit) { each_of(o.stores, visit); }};
    return section;
}
template <>
const Section& section_of<MappedTable>() {
    static const Section section{"stores.*.mapped.#", "Kind postgresql: events of a stream into a table of your own.",
                                 [](Options& o, Names n) -> void* { return &at_index(o.stores[n[0]].mapped, n[1]); },
                                 [](const Options& o, const Section::Visit& visit) {
                                     for (const auto& [name, store] : o.stores)
                                         for (std::size_t i = 0; i < store.mapped.size(); ++i) visit({name, std::to_string(i)}, &store.mapped[i]);
                                 }};
    return section;
}
template <>
const Section& section_of<GatewayOptions>() {
    static const Section section{"gateway", "One port for WebSocket and HTTP.", [](Options& o, Names) -> void* { return &o.gateway; },
                                 [](const Options& o, const Section::Visit& visit) { visit({}, &o.gateway); }};
    return section;
}
template <>
const Section& section_of<TokenOptions>() {
    static const Section section{"gateway.tokens.*", "A static token and what its holder may do. `weir token` makes the hash.",
                                 [](Options& o, Names n) -> void* { return &o.gateway.tokens[n[0]]; },
                                 [](const Options& o, const Section::Visit& visit) { each_of(o.gateway.tokens, visit); }};
    return section;
}
template <>
const Section& section_of<JwtOptions>() {
    static const Section section{"gateway.jwt", "Signed tokens (JWT). What a token's holder may do stands in its claim `weir`, with the members of `[gateway.tokens.*]`; without it, nothing.",
                                 [](Options& o, Names) -> void* { return &o.gateway.jwt; },
                                 [](const Options& o, const Section::Visit& visit) { visit({}, &o.gateway.jwt); }};
    return section;
}
template <>
const Section& section_of<BroadcastOptions>() {
    static const Section section{"gateway.broadcast.*", "The texts of one stream in the broadcast dialect, at `/feed/<stream>`.",
                                 [](Options& o, Names n) -> void* { return &o.gateway.broadcast[n[0]]; },
                                 [](const Options& o, const Section::Visit& visit) { each_of(o.gateway.broadcast, visit); }};
    return section;
}

const std::vector<const Section*>& sections() {
    // The retention of `[log]` shares its heading.
    static const std::vector<const Section*> all{
        &section_of<LogOptions>(),   &section_of<StreamOptions>(), &section_of<FeedOptions>(),    &section_of<SourceOptions>(),
        &section_of<DecodeOptions>(), &section_of<WindowOptions>(), &section_of<ForecastOptions>(), &section_of<SpcOptions>(), &section_of<CharacteristicOptions>(), &section_of<AlertOptions>(), &section_of<StoreOptions>(),   &section_of<MappedTable>(),
        &section_of<GatewayOptions>(), &section_of<TokenOptions>(),  &section_of<JwtOptions>(), &section_of<BroadcastOptions>(), &section_of<diag::Options>()};
    return all;
}

std::vector<std::string> pattern_parts(std::string_view pattern) {
    std::vector<std::string> parts;
    while (true) {
        const std::size_t dot = std::min(pattern.find('.'), pattern.size());
        parts.emplace_back(pattern.substr(0, dot));
        if (dot == pattern.size()) return parts;
        pattern.remove_prefix(dot + 1);
    }
}

std::string path_text(std::span<const std::string> parts, const std::vector<std::string>& pattern) {
    std::string out;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i < pattern.size() && pattern[i] == "#") {
            out += '[' + parts[i] + ']';
            continue;
        }
        if (!out.empty()) out += '.';
        out += is_bare_key(parts[i]) ? parts[i] : quoted(parts[i]);
    }
    return out;
}

std::string heading(const Section& section) {
    if (!section.pattern.ends_with(".#")) return "[" + section.pattern + "]";
    return "[[" + section.pattern.substr(0, section.pattern.size() - 2) + "]]";
}

std::string kind_of(const Section& section, const void* owner) {
    for (const Option& option : option_table()) {
        if (option.section != &section || option.name != "kind") continue;
        std::string kind = option.print(owner);
        std::erase(kind, '"');
        return kind;
    }
    return {};
}

std::string path_of(const std::vector<std::string>& pattern, std::span<const std::string> names) {
    std::vector<std::string> parts = pattern;
    std::size_t next = 0;
    for (std::string& part : parts) {
        if (part != "*" && part != "#") continue;
        WEIR_ASSERT(next < names.size());
        part = names[next++];
    }
    return path_text(parts, pattern);
}

}  // namespace weir
