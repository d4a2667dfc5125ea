#include "config/config.h"

#include <toml++/toml.h>

#include <sstream>

#include "base/spelling.h"
#include "config/option_path.h"

namespace weir {
namespace {

// A configuration is written by hand; what is larger is a wrong file.
constexpr std::uint64_t file_bytes_max = 16 * 1024 * 1024;

Value from_toml(const toml::node& node) {
    Value value;
    if (const auto* text = node.as_string()) {
        value.kind = Value::Kind::text;
        value.text = text->get();
    } else if (const auto* integer = node.as_integer()) {
        value.kind = Value::Kind::integer;
        value.integer = integer->get();
    } else if (const auto* real = node.as_floating_point()) {
        value.kind = Value::Kind::real;
        value.real = real->get();
    } else if (const auto* boolean = node.as_boolean()) {
        value.kind = Value::Kind::boolean;
        value.boolean = boolean->get();
    } else if (const auto* list = node.as_array()) {
        value.kind = Value::Kind::list;
        for (const toml::node& item : *list) value.list.push_back(from_toml(item));
    } else if (const auto* table = node.as_table()) {
        value.kind = Value::Kind::table;
        for (const auto& [key, item] : *table) value.table.push_back({std::string(key.str()), from_toml(item)});
    } else {
        value.kind = Value::Kind::other;
        std::ostringstream text_of_date;
        if (const auto* date = node.as_date()) text_of_date << date->get();
        if (const auto* time = node.as_time()) text_of_date << time->get();
        if (const auto* both = node.as_date_time()) text_of_date << both->get();
        value.text = text_of_date.str();
    }
    return value;
}

/// A text from the environment or a flag. One that looks like a list or table is read as such too.
Value from_text(std::string_view text) {
    Value value;
    if (text.starts_with('[') || text.starts_with('{')) {
        try {
            const toml::table parsed = toml::parse("x = " + std::string(text));
            if (const toml::node* node = parsed.get("x")) value = from_toml(*node);
        } catch (const toml::parse_error&) {
            value = {};  // a text after all
        }
    }
    value.text = std::string(text);
    value.loose = true;
    return value;
}

std::string joined(const Parts& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return text;
}

bool is_name(std::string_view name) {
    return !name.empty() && name.size() <= 100 &&
           name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/") == std::string_view::npos;
}

/// The same name written as an environment variable can: small letters, `_` for what cannot stand there.
std::string folded(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool upper = c >= 'A' && c <= 'Z';
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        out += upper ? static_cast<char>(c - 'A' + 'a') : plain ? c : '_';
    }
    return out;
}

class Loader {
public:
    Loader(const ConfigInputs& inputs, const Filesystem& files) : inputs_(inputs), files_(files) {}

    Result<Config> load() {
        read_file();
        read_aliases();
        read_environment();
        read_flags();
        complete();
        validate(config_, errors_, config_.notes);
        if (!errors_.empty()) {
            std::string all;
            for (const std::string& error : errors_) all += (all.empty() ? "" : "\n") + error;
            return Error{"bad_config", std::move(all)};
        }
        return std::move(config_);
    }

private:
    void fail(const std::string& where, const std::string& what) { errors_.push_back(where.empty() ? what : where + ": " + what); }

    // --- one value ---

    void set(const Match& at, const Value& value, const std::string& origin) {
        const Option& option = *at.option;
        const std::string path = path_of(option.parts, at.names);
        if (!names_allowed(at, origin)) return;
        std::string detail;
        void* owner = option.section->locate(config_.options, at.names);
        if (option.read(owner, value, detail)) {
            config_.origins[path] = origin;
            return;
        }
        const std::string found = option.secret ? "[secret]" : option.url ? without_secrets(shown(value)) : shown(value);
        const std::string standard = option.standard.empty() ? "" : " (default " + unquoted(option.standard) + ")";
        const bool says_it_all = detail.find("allowed:") != std::string::npos || detail.find("did you mean") != std::string::npos;
        if (says_it_all)
            fail(origin, path + ": " + detail + standard);
        else
            fail(origin, path + " is " + found + (detail.empty() ? "" : " (" + detail + ")") + "; allowed: " + option.allowed + standard);
    }

    /// `<secret>_file`: the value is what the file holds, without the line break that editors put at the end.
    bool set_from_file(Parts path, const Value& value, const std::string& origin) {
        constexpr std::string_view suffix = "_file";
        if (path.back().size() <= suffix.size() || !path.back().ends_with(suffix)) return false;
        path.back().resize(path.back().size() - suffix.size());
        const Match at = match(path);
        if (!at.option || !at.option->secret) return false;
        const std::string name = path_of(at.option->parts, at.names);
        if (const auto other = config_.origins.find(name); other != config_.origins.end() && same_place(other->second, origin)) {
            fail(origin, name + "_file and " + name + " (" + other->second + ") both give it; allowed: one of them");
            return true;
        }
        const auto file = as_text(value);
        if (!file) {
            fail(origin, name + "_file is " + shown(value) + "; allowed: the path of a file that holds the value");
            return true;
        }
        const auto bytes = files_.read(*file, 1024 * 1024);
        if (!bytes) {
            fail(origin, name + "_file: " + bytes.error().message);
            return true;
        }
        std::string text = *bytes;
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
        Value content;
        content.text = std::move(text);
        set(at, content, origin);
        return true;
    }

    static std::string unquoted(std::string text) {
        if (text.size() >= 2 && text.front() == '"' && text.back() == '"' && text.size() > 2) return text.substr(1, text.size() - 2);
        return text;
    }

    /// Two lines of one file, or the environment: neither outranks the other.
    bool same_place(const std::string& a, const std::string& b) const {
        const auto rank = [&](const std::string& origin) {
            return origin.starts_with(inputs_.file + ":") ? 0 : origin.starts_with("--") ? 2 : 1;
        };
        return rank(a) == rank(b);
    }

    bool names_allowed(const Match& at, const std::string& origin) {
        std::size_t next = 0;
        for (std::size_t i = 0; i < at.pattern.size(); ++i) {
            if (at.pattern[i] != "*" && at.pattern[i] != "#") continue;
            const std::string& name = at.names[next++];
            if (at.pattern[i] == "#" || is_name(name)) continue;
            fail(origin, path_text(std::span(at.pattern).first(i), {}) + " has the name " + quoted(name.substr(0, 100)) +
                             "; allowed: 1 to 100 of letters, digits, . _ - /");
            return false;
        }
        return true;
    }

    void unknown(const Parts& path, const std::string& origin) {
        Parts above(path.begin(), path.end() - 1);
        const Parts names = names_below(above);
        const Parts pattern = match(above).pattern;
        const std::string_view near = nearest_spelling(path.back(), names);
        std::string message = full_path(path) + " is not an option; ";
        if (!near.empty()) {
            above.emplace_back(near);
            message += "did you mean " + full_path(above) + "?";
        } else {
            message += "allowed" + (above.empty() ? std::string() : " in " + full_path(above)) + ": " + joined(names);
        }
        fail(origin, message);
    }

    static std::string full_path(const Parts& path) {
        Parts pattern;
        for (std::size_t i = 1; i <= path.size(); ++i) {
            const Match at = match(Parts(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(i)));
            pattern.push_back(at.pattern.empty() ? path[i - 1] : at.pattern.back());
        }
        return path_text(path, pattern);
    }

    // --- file ---

    void read_file() {
        if (inputs_.file.empty() && !inputs_.text) return;
        std::string text;
        if (inputs_.text) {
            text = *inputs_.text;
        } else {
            auto bytes = files_.read(inputs_.file, file_bytes_max);
            if (!bytes) return fail("", "configuration: " + bytes.error().message);
            text = *std::move(bytes);
        }
        try {
            const toml::table root = toml::parse(text, inputs_.file);
            Parts path;
            read_table(root, path);
        } catch (const toml::parse_error& e) {
            fail(line(e.source()), "not TOML: " + std::string(e.description()));
        }
    }

    std::string line(const toml::source_region& source) const { return inputs_.file + ":" + std::to_string(source.begin.line); }

    void read_table(const toml::table& table, Parts& path) {
        // In the order of the file, so that the messages are in that order too.
        std::vector<std::pair<const toml::key*, const toml::node*>> members;
        for (const auto& [key, node] : table) members.emplace_back(&key, &node);
        std::stable_sort(members.begin(), members.end(),
                         [](const auto& a, const auto& b) { return a.first->source().begin < b.first->source().begin; });
        for (const auto& [key, node] : members) {
            path.emplace_back(key->str());
            read_member(*node, line(key->source()), path);
            path.pop_back();
        }
    }

    void read_member(const toml::node& node, const std::string& origin, Parts& path) {
        const Match at = match(path);
        if (at.option) return set(at, from_toml(node), origin);
        if (!at.above) {
            if (!set_from_file(path, from_toml(node), origin)) unknown(path, origin);
            return;
        }
        if (!names_allowed(at, origin)) return;
        if (at.array_below) {
            const toml::array* items = node.as_array();
            bool tables = items != nullptr;
            for (std::size_t i = 0; tables && i < items->size(); ++i) tables = items->get(i)->is_table();
            const std::string name = full_path(path);
            if (!tables) return fail(origin, name + " is " + shown(from_toml(node)) + "; allowed: tables, each under [[" + name + "]]");
            for (std::size_t i = 0; i < items->size(); ++i) {
                path.push_back(std::to_string(i));
                make(path);
                config_.origins[full_path(path)] = line(items->get(i)->source());
                read_table(*items->get(i)->as_table(), path);
                path.pop_back();
            }
            return;
        }
        const toml::table* below = node.as_table();
        if (!below) {
            const std::string name = full_path(path);
            return fail(origin, name + " is " + shown(from_toml(node)) + "; allowed: a table, [" + name + (at.pattern == Parts{path[0]} && names_below(path).empty() ? ".<name>]" : "]"));
        }
        make(path);
        config_.origins[full_path(path)] = origin;
        read_table(*below, path);
    }

    /// A section that is named exists, whether or not it sets anything.
    void make(const Parts& path) {
        const Match at = match(path);
        for (const Section* section : sections())
            if (pattern_parts(section->pattern) == at.pattern) section->locate(config_.options, at.names);
    }

    // --- environment ---

    void read_aliases() {
        for (const auto& [name, text] : inputs_.environment) {
            if (text.empty()) continue;
            bool known = false;
            for (const Option& option : option_table()) {
                if (option.alias != name) continue;
                known = true;
                read_alias(option, name, text);
            }
            constexpr std::string_view prefix = "STREAMING_WEBSOCKET__";
            if (!known && name.starts_with(prefix)) {
                Parts names;
                for (const Option& option : option_table())
                    if (option.alias.starts_with(prefix)) names.push_back(option.alias);
                const std::string_view near = nearest_spelling(name, names);
                fail(name, "is not an option; " + (near.empty() ? "allowed: " + joined(names) : "did you mean " + std::string(near) + "?"));
            }
            if (name == "PGPASSFILE")
                config_.notes.push_back("PGPASSFILE is set: libpq takes the passwords of PostgreSQL stores from that file where none is given here");
        }
    }

    void read_alias(const Option& option, const std::string& name, const std::string& text) {
        std::vector<Parts> places;
        option.section->each(config_.options, [&](const Parts& names, const void* owner) {
            if (option.alias_kind.empty() || kind_of(*option.section, owner) == option.alias_kind) places.push_back(names);
        });
        const std::string kind = option.alias_kind.empty() ? "" : " of kind " + option.alias_kind;
        if (places.empty()) {
            config_.notes.push_back(name + " is set, but there is no " + heading(*option.section) + kind + " to take it");
            return;
        }
        if (!option.secret && !option.alias_kind.empty() && places.size() > 1) {
            fail(name, "sets " + option.path + ", but there are " + std::to_string(places.size()) + kind + "; allowed: one, or a WEIR_ name for each");
            return;
        }
        Value value = from_text(text);
        value.bare_seconds = option.alias_unit == Unit::seconds;
        for (const Parts& names : places) set({&option, false, false, option.parts, names}, value, name);
    }

    void read_environment() {
        constexpr std::string_view prefix = "WEIR_";
        for (const auto& [name, text] : inputs_.environment) {
            // Without `__` it is no option's name but a setting of something around weir, such as a script.
            if (!name.starts_with(prefix) || name.find("__") == std::string::npos || text.empty()) continue;
            Parts path;
            std::string_view rest = std::string_view(name).substr(prefix.size());
            while (true) {
                const std::size_t end = std::min(rest.find("__"), rest.size());
                path.push_back(folded(rest.substr(0, end)));
                if (end == rest.size()) break;
                rest.remove_prefix(end + 2);
            }
            resolve_names(path);
            read_text(path, from_text(text), name);
        }
    }

    /// `zurich_pools` in an environment name means the feed `Zurich-Pools` if there is one.
    void resolve_names(Parts& path) {
        for (std::size_t i = 1; i < path.size(); ++i) {
            const Parts above(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(i));
            for (const Section* section : sections()) {
                const Parts pattern = pattern_parts(section->pattern);
                if (pattern.size() != i + 1 || pattern.back() != "*" || match(above).pattern != Parts(pattern.begin(), pattern.end() - 1)) continue;
                section->each(config_.options, [&](const Parts& names, const void*) {
                    if (folded(names.back()) == path[i]) path[i] = names.back();
                });
            }
        }
    }

    void read_text(const Parts& path, const Value& value, const std::string& origin) {
        const Match at = match(path);
        if (at.option) return set(at, value, origin);
        if (set_from_file(path, value, origin)) return;
        if (at.above) return fail(origin, full_path(path) + " is a section; allowed: one of its options: " + joined(names_below(path)));
        unknown(path, origin);
    }

    // --- flags ---

    void read_flags() {
        for (std::size_t i = 0; i < inputs_.flags.size(); ++i) {
            std::string_view flag = inputs_.flags[i];
            if (!flag.starts_with("--")) {
                fail("", quoted(flag) + " is not expected here; allowed: --<option> <value> or --set <option>=<value>");
                continue;
            }
            flag.remove_prefix(2);
            const auto following = [&]() -> std::optional<std::string> {
                if (i + 1 == inputs_.flags.size()) return std::nullopt;
                return inputs_.flags[++i];
            };
            std::string path;
            std::optional<std::string> text;
            if (flag == "set" || flag.starts_with("set=")) {
                const std::optional<std::string> pair = flag == "set" ? following() : std::string(flag.substr(4));
                const std::size_t equals = pair ? pair->find('=') : std::string::npos;
                if (equals == std::string::npos) {
                    fail("--set", "is " + (pair ? quoted(*pair) : "alone") + "; allowed: --set <option>=<value>, such as --set gateway.port=9000");
                    continue;
                }
                path = pair->substr(0, equals);
                text = pair->substr(equals + 1);
            } else {
                const std::size_t equals = flag.find('=');
                path = std::string(flag.substr(0, equals));
                text = equals == std::string_view::npos ? following() : std::string(flag.substr(equals + 1));
                if (!text) {
                    fail("--" + path, "has no value; allowed: --" + path + " <value>");
                    continue;
                }
            }
            read_text(flag_parts(path), from_text(*text), "--" + path);
        }
    }

    /// `feeds."my pools".sources[0].url`
    static Parts flag_parts(std::string_view text) {
        Parts parts(1);
        bool quotes = false;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const char c = text[i];
            if (c == '"') {
                quotes = !quotes;
            } else if (!quotes && (c == '.' || c == '[')) {
                parts.emplace_back();
            } else if (!quotes && c == ']') {
                continue;
            } else {
                parts.back() += c;
            }
        }
        return parts;
    }

    // --- what follows from other options ---

    void complete() {
        for (auto& [name, feed] : config_.options.feeds) {
            if (feed.stream.empty()) feed.stream = name;
            for (std::size_t i = 0; i < feed.sources.size(); ++i)
                localise(feed.sources[i].schedule, feed.sources[i].zone);
        }
        for (auto& [name, window] : config_.options.windows) {
            if (window.output.empty()) window.output = window.stream + "." + name;
            localise(window.schedule, window.zone);
        }
        for (auto& [name, alert] : config_.options.alerts)
            if (alert.stream.empty() && alert.kind == AlertKind::violation) alert.stream = "spc.violations";
        // Whoever only raises the one gets bounds that hold it.
        GatewayOptions& gateway = config_.options.gateway;
        for (const auto& [path, bytes] : {std::pair("gateway.session_queue_bytes", &gateway.session_queue_bytes), std::pair("gateway.ring_bytes", &gateway.ring_bytes)})
            if (!config_.origins.contains(path)) *bytes = std::max(*bytes, gateway.max_message_size);
    }

    static void localise(std::optional<Schedule>& schedule, const Zone& zone) {
        if (!schedule || zone.is_utc()) return;
        if (auto local = Schedule::parse(schedule->text(), zone)) schedule = *std::move(local);
    }

    const ConfigInputs& inputs_;
    const Filesystem& files_;
    Config config_;
    std::vector<std::string> errors_;
};

}  // namespace

Result<Config> load(const ConfigInputs& inputs, const Filesystem& files) { return Loader(inputs, files).load(); }

std::string Config::where(const std::string& path) const {
    const auto found = origins.find(path);
    return found == origins.end() ? "" : found->second + ": ";
}

std::vector<std::pair<std::string, std::string>> environment_of(const char* const* texts) {
    std::vector<std::pair<std::string, std::string>> all;
    for (; texts && *texts; ++texts) {
        const std::string_view text = *texts;
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos) all.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
    return all;
}

}  // namespace weir
