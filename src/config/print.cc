#include "config/config.h"
#include "config/option.h"

// What people read of the option table: the reference, the example file, and the report of `weir check`.
namespace weir {
namespace {

/// Names that the example file uses where a section is named by its user.
const std::map<std::string, std::string> example_headings{
    {"streams.*", "[streams.pools]"},         {"feeds.*", "[feeds.pools]"},
    {"feeds.*.sources.#", "[[feeds.pools.sources]]"}, {"feeds.*.decode", "[feeds.pools.decode]"},
    {"windows.*", "[windows.5min]"},          {"forecasts.*", "[forecasts.occupancy]"},
    {"stores.*", "[stores.files]"},           {"characteristics.#", "[[characteristics]]"},
    {"alerts.*", "[alerts.pool_full]"},
    {"stores.*.mapped.#", "[[stores.files.mapped]]"}, {"gateway.tokens.*", "[gateway.tokens.alice]"},
    {"gateway.broadcast.*", "[gateway.broadcast.users]"}};

std::string kinds_text(const Option& option) {
    std::string text;
    for (const std::string& kind : option.kinds) text += (text.empty() ? "" : ", ") + kind;
    return text;
}

std::string cell(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
    return text;
}

std::string code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

/// Lines of at most 118 characters, each behind `# `.
std::string comment(const std::string& text) {
    std::string out, line = "#";
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        if (line.size() + 1 + (end - at) > 118) {
            out += line + "\n";
            line = "#";
        }
        line += " " + text.substr(at, end - at);
        at = end + 1;
    }
    return out + line + "\n";
}

}  // namespace

std::string print_reference() {
    std::string out =
        "# Configuration\n\n"
        "This page is printed from the option table in `src/config/table.cc`; a test holds it to that.\n\n"
        "weir reads a TOML file (`weir serve -c weir.toml`), then the environment, then flags; what comes later wins. An unknown key, a wrong\n"
        "type or an impossible value stops the start, and every mistake is reported at once, with its place, what was found and what is allowed.\n"
        "`weir check -c weir.toml` does only that, and prints the values in force, where each comes from, and the next times of each schedule.\n"
        "`examples/` holds files that work; `examples/all-options.toml` every option with its default.\n\n"
        "- **Environment.** `WEIR_<SECTION>__<OPTION>`: `WEIR_GATEWAY__PORT=9000`, `WEIR_FEEDS__POOLS__SOURCES__0__URL=wss://...`. A name of your own\n"
        "  (`pools`) is written in any case, with `_` for what an environment name cannot hold. Some options have another name too, from the\n"
        "  systems that weir replaces; it stands in the table, takes plain seconds where those did, and yields to the `WEIR_` name. An empty variable counts as unset.\n"
        "- **Flags.** `--gateway.port 9000`, `--gateway.port=9000` or `--set gateway.port=9000`; `--feeds.pools.sources[0].url wss://...`.\n"
        "- **Durations** carry their unit: `250ms`, `5s`, `10min`, `2h`, `7d`, `1h30min`. **Sizes** are bytes, or `64KiB`, `10MB`, `2GiB`.\n"
        "- **Lists** in the environment and in flags are JSON (`[\"a\", \"b\"]`) or parts between commas.\n"
        "- **Secrets** are never printed. Each can come from a file instead: `<option>_file = \"/run/secrets/x\"`.\n"
        "- **Schedules** have six fields, `{second} {minute} {hour} {day} {month} {day-of-week}`: `0 */5 * * * *` is every five minutes,\n"
        "  `*/5 * * * * *` every five seconds. Day and day-of-week must both match.\n"
        "- In *changes*, `reload` takes effect on SIGHUP, `restart` needs one.\n"
        "- `*` stands for a name of your choice. Where *for* names kinds, the option is an error in a section of another `kind`.\n";
    for (const Section* section : sections()) {
        out += "\n## " + code(heading(*section)) + "\n\n" + section->help + "\n\n";
        bool kinds = false;
        for (const Option& option : option_table()) kinds |= option.section->pattern == section->pattern && !option.kinds.empty();
        out += std::string("| option | default | allowed | changes |") + (kinds ? " for |" : "") + " meaning |\n|---|---|---|---|" + (kinds ? "---|" : "") + "---|\n";
        for (const Option& option : option_table()) {
            if (option.section->pattern != section->pattern) continue;
            out += "| " + code(option.name) + " | " + code(cell(option.standard)) + " | " + cell(option.allowed) +
                   (option.secret ? "; secret" : "") + " | " + (option.when == When::reload ? "reload" : "restart") + " |" +
                   (kinds ? " " + kinds_text(option) + " |" : "") + " " + cell(option.help) +
                   (option.alias.empty() ? "" : " Also " + code(option.alias) + (option.alias_unit == Unit::seconds ? " (seconds)." : ".")) + " |\n";
        }
    }
    return out;
}

std::string print_example() {
    std::string out =
        "# Every option of weir with its default, as a comment. Printed from the option table; a test holds it to that.\n"
        "# Take the lines you need; docs/configuration.md says more. Names such as pools and 5min are yours to choose.\n";
    for (const Section* section : sections()) {
        const auto named = example_headings.find(section->pattern);
        out += "\n\n" + comment(section->help);
        // A heading of a named section would make one that misses what it requires.
        out += (named == example_headings.end() ? heading(*section) : "# " + named->second) + "\n";
        for (const Option& option : option_table()) {
            if (option.section->pattern != section->pattern) continue;
            out += "\n" + comment(option.help);
            out += comment("Allowed: " + option.allowed + (option.kinds.empty() ? "" : " (for " + kinds_text(option) + ")"));
            const bool unset = option.standard.empty();
            std::string value = option.example.empty() ? option.standard : option.example;
            if (value.empty()) value = option.secret ? "\"...\"" : "...";
            out += "# " + option.name + " = " + value;
            if (unset) out += "    # unset by default";
            else if (!option.example.empty()) out += "    # default " + option.standard;
            out += "\n";
        }
    }
    return out;
}

std::string check_report(const Config& config, const Clock& clock) {
    struct Line {
        std::size_t section;
        std::vector<std::string> names;  // with the section: one table of the file, whose options stand together
        std::string path, value, origin;
    };
    std::vector<Line> lines;
    const auto number_of = [](const Section& section) {
        const auto& all = sections();
        return static_cast<std::size_t>(std::find_if(all.begin(), all.end(), [&](const Section* s) { return s->pattern == section.pattern; }) - all.begin());
    };
    for (const Option& option : option_table()) {
        option.section->each(config.options, [&](const std::vector<std::string>& names, const void* owner) {
            const std::string path = path_of(option.parts, names);
            const auto origin = config.origins.find(path);
            const std::string value = option.print(owner);
            if (!option.applies_to(kind_of(*option.section, owner))) return;
            if (value.empty() && origin == config.origins.end()) return;
            lines.push_back({number_of(*option.section), names, path, value.empty() ? "\"\"" : value, origin == config.origins.end() ? "default" : origin->second});
        });
    }
    std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return std::tie(a.section, a.names) < std::tie(b.section, b.names); });
    std::size_t path_width = 0, value_width = 0;
    for (const Line& line : lines) {
        path_width = std::max(path_width, line.path.size());
        value_width = std::max(value_width, std::min<std::size_t>(line.value.size(), 40));
    }
    std::string out;
    for (const Line& line : lines) {
        if (&line != &lines.front() && std::tie((&line)[-1].section, (&line)[-1].names) != std::tie(line.section, line.names)) out += "\n";
        out += line.path + std::string(path_width - line.path.size(), ' ') + " = " + line.value;
        out += std::string(value_width > line.value.size() ? value_width - line.value.size() : 0, ' ') + "  " + line.origin + "\n";
    }
    const auto schedule = [&](const std::string& path, const Schedule& times) {
        out += "\n" + path + " = " + quoted(times.text()) + (times.zone().is_utc() ? "" : " in " + times.zone().name()) + " fires next at\n";
        Timestamp t = clock.now();
        for (int i = 0; i < 5; ++i) {
            t = times.next(t);
            if (t == Timestamp::max()) break;
            out += "  " + to_rfc3339_short(t) + "\n";
        }
    };
    for (const auto& [name, feed] : config.options.feeds)
        for (std::size_t i = 0; i < feed.sources.size(); ++i)
            if (feed.sources[i].schedule)
                schedule(path_of(pattern_parts("feeds.*.sources.#.schedule"), std::vector<std::string>{name, std::to_string(i)}), *feed.sources[i].schedule);
    for (const auto& [name, window] : config.options.windows)
        if (window.schedule) schedule(path_of(pattern_parts("windows.*.schedule"), std::vector<std::string>{name}), *window.schedule);
    if (!config.notes.empty()) out += "\n";
    for (const std::string& note : config.notes) out += "note: " + note + "\n";
    return out;
}

}  // namespace weir
