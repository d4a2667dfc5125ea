#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/value.h"

/// What a row of the option table is, and how a member's type decides what may stand there. For src/config only; rooms see their
/// structs. Thread: any, since the table never changes. Cost: start and reload only.
namespace weir {

enum class When : std::uint8_t { reload, restart };  ///< takes effect on SIGHUP, or needs a restart
enum class Unit : std::uint8_t { none, seconds };    ///< of a bare number in an environment variable

std::vector<std::string> pattern_parts(std::string_view pattern);

/// Where a struct lives: `gateway`, `feeds.*` (a table by name), `feeds.*.sources.#` (an array of tables).
/// `names` are what stands for each `*` and `#`, in order.
struct Section {
    std::string pattern;
    std::string help;
    /// The struct, made if it is not there yet.
    void* (*locate)(Options& options, std::span<const std::string> names);
    using Visit = std::function<void(const std::vector<std::string>& names, const void* owner)>;
    void (*each)(const Options& options, const Visit& visit);
};

struct Option {
    std::string path;  ///< pattern: `feeds.*.interval`
    std::vector<std::string> parts;  ///< the same apart: reading a file compares every name in it with every row
    const Section* section = nullptr;
    std::string name;                 ///< last part of the path
    std::string alias;                ///< environment name of a source document
    Unit alias_unit = Unit::none;
    std::string alias_kind;           ///< the alias holds for this kind only, where there is exactly one such section
    std::string allowed;              ///< for people
    std::string standard;             ///< default as TOML; empty: unset
    std::string example;              ///< value in the example file; empty: the default
    std::vector<std::string> kinds;   ///< only where the section's `kind` is one of these; empty: always
    bool secret = false;
    bool url = false;  ///< printed without what opens doors
    When when = When::restart;
    std::string help;

    /// False: not allowed; then `detail` may say more than `allowed` does. Changes nothing in that case.
    std::function<bool(void* owner, const Value& value, std::string& detail)> read;
    std::function<std::string(const void* owner)> print;  ///< as TOML; empty: unset; secrets as [secret]
    std::function<bool(const void* a, const void* b)> equal;
    std::function<void(void* to, const void* from)> assign;

    bool applies_to(std::string_view kind) const {
        return kinds.empty() || std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
    }
};

/// What a row says beyond its member's type.
struct Limits {
    std::optional<double> low, high;
    std::string zero;  ///< what 0 means, where it lies outside the range
    bool bytes = false;
    bool (*check)(const std::string&) = nullptr;  ///< of a text, or of each in a list
};

template <class E>
struct Word {
    std::string_view text;
    E value;
};
/// The words of an enum, specialised in table.cc.
template <class E>
std::span<const Word<E>> words_of();

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
constexpr bool is_number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

inline bool within(double number, const Limits& limits) {
    if (number == 0 && !limits.zero.empty()) return true;
    return (!limits.low || number >= *limits.low) && (!limits.high || number <= *limits.high);
}

inline bool passes(const std::string& text, const Limits& limits) { return !limits.check || limits.check(text); }

template <class T>
bool read_value(const Value& value, const Limits& limits, T& out, std::string& detail) {
    if constexpr (IsOptional<T>::value) {
        typename T::value_type inner = [] {
            if constexpr (std::is_same_v<T, std::optional<Schedule>>) return Schedule::every(1s);
            else return typename T::value_type{};
        }();
        if (!read_value(value, limits, inner, detail)) return false;
        out = std::move(inner);
        return true;
    } else if constexpr (std::is_same_v<T, bool>) {
        const auto found = as_boolean(value);
        if (found) out = *found;
        return found.has_value();
    } else if constexpr (std::is_floating_point_v<T>) {
        const auto found = as_real(value);
        if (!found || !within(*found, limits)) return false;
        out = *found;
        return true;
    } else if constexpr (is_number<T>) {
        std::optional<std::int64_t> found;
        if (limits.bytes) {
            if (const auto bytes = as_bytes(value)) found = static_cast<std::int64_t>(*bytes);
        } else {
            found = as_integer(value);
        }
        if (!found || !std::in_range<T>(*found) || !within(static_cast<double>(*found), limits)) return false;
        out = static_cast<T>(*found);
        return true;
    } else if constexpr (std::is_same_v<T, Duration>) {
        const auto found = as_duration(value);
        if (!found) {
            if (value.kind == Value::Kind::integer || (value.loose && as_integer(value))) detail = "a unit is missing";
            return false;
        }
        if (!within(static_cast<double>(found->count()), limits)) return false;
        out = *found;
        return true;
    } else if constexpr (std::is_same_v<T, std::string>) {
        auto found = as_text(value);
        if (!found || !passes(*found, limits)) return false;
        out = std::move(*found);
        return true;
    } else if constexpr (std::is_same_v<T, Secret>) {
        auto found = as_text(value);
        if (!found || !passes(*found, limits)) return false;
        out = Secret(std::move(*found));
        return true;
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        auto found = as_texts(value);
        if (!found) return false;
        for (const std::string& text : *found)
            if (!passes(text, limits)) return false;
        out = std::move(*found);
        return true;
    } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>> || std::is_same_v<T, std::map<std::string, Secret>>) {
        if (value.kind != Value::Kind::table) return false;
        T found;
        for (const auto& [key, item] : value.table) {
            auto text = as_text(item);
            if (!text || !passes(*text, limits)) return false;
            found.emplace(key, typename T::mapped_type(std::move(*text)));
        }
        out = std::move(found);
        return true;
    } else if constexpr (std::is_same_v<T, NumericText>) {
        if (const auto everywhere = as_boolean(value)) {
            out = {*everywhere, {}};
            return true;
        }
        return read_value(value, limits, out.paths, detail);
    } else if constexpr (std::is_same_v<T, Zone>) {
        const auto text = as_text(value);
        if (!text) return false;
        auto found = Zone::find(*text);
        if (!found) {
            detail = found.error().message;
            return false;
        }
        out = *found;
        return true;
    } else if constexpr (std::is_same_v<T, Schedule>) {
        const auto text = as_text(value);
        if (!text) return false;
        auto found = Schedule::parse(*text);
        if (!found) {
            detail = found.error().message;
            return false;
        }
        out = *std::move(found);
        return true;
    } else {
        static_assert(std::is_enum_v<T>);
        std::optional<std::string> text = as_text(value);
        // `require_auth = true` stands beside `"auto"`: a truth value is the word of the same text.
        // Python writes `True` and `None` into an environment.
        const auto truth = value.kind == Value::Kind::boolean || value.loose ? as_boolean(value) : std::nullopt;
        if (value.loose)
            for (char& c : *text)
                if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        for (const auto& word : words_of<T>())
            if ((text && word.text == *text) || (truth && word.text == (*truth ? "true" : "false"))) {
                out = word.value;
                return true;
            }
        return false;
    }
}

template <class T>
std::string print_value(const T& value, const Limits& limits) {
    if constexpr (IsOptional<T>::value) {
        return value ? print_value(*value, limits) : "";
    } else if constexpr (std::is_same_v<T, bool>) {
        return value ? "true" : "false";
    } else if constexpr (std::is_floating_point_v<T>) {
        Value number;
        number.kind = Value::Kind::real;
        number.real = value;
        return shown(number);
    } else if constexpr (is_number<T>) {
        return limits.bytes ? bytes_text(static_cast<std::uint64_t>(value)) : std::to_string(value);
    } else if constexpr (std::is_same_v<T, Duration>) {
        return quoted(to_text(value));
    } else if constexpr (std::is_same_v<T, std::string>) {
        return quoted(value);
    } else if constexpr (std::is_same_v<T, Secret>) {
        return value.empty() ? "" : quoted("[secret]");
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        std::string out = "[";
        for (std::size_t i = 0; i < value.size(); ++i) out += (i ? ", " : "") + quoted(value[i]);
        return out + "]";
    } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>> || std::is_same_v<T, std::map<std::string, Secret>>) {
        std::string out;
        for (const auto& [key, item] : value) out += (out.empty() ? " " : ", ") + quoted(key) + " = " + print_value(item, limits);
        return out.empty() ? "{}" : "{" + out + " }";
    } else if constexpr (std::is_same_v<T, NumericText>) {
        return value.everywhere || value.paths.empty() ? print_value(value.everywhere, limits) : print_value(value.paths, limits);
    } else if constexpr (std::is_same_v<T, Zone>) {
        return quoted(value.name());
    } else if constexpr (std::is_same_v<T, Schedule>) {
        return quoted(value.text());
    } else {
        for (const auto& word : words_of<T>())
            if (word.value == value) return word.text == "true" || word.text == "false" ? std::string(word.text) : quoted(word.text);
        return "";
    }
}

/// What may stand there, where the row does not say it better.
template <class T>
std::string allowed_text(const Limits& limits) {
    if constexpr (IsOptional<T>::value) {
        return allowed_text<typename T::value_type>(limits);
    } else if constexpr (std::is_same_v<T, bool>) {
        return "true, false";
    } else if constexpr (is_number<T> || std::is_same_v<T, Duration>) {
        const auto bound = [&](double number) {
            std::string text;
            if constexpr (std::is_same_v<T, Duration>) text = to_text(Duration(static_cast<std::int64_t>(number)));
            else if constexpr (std::is_floating_point_v<T>) text = print_value(number, limits);
            else text = limits.bytes ? bytes_text(static_cast<std::uint64_t>(number)) : std::to_string(static_cast<std::int64_t>(number));
            std::erase(text, '"');
            return text;
        };
        std::string text = std::is_same_v<T, Duration> || limits.bytes || std::is_floating_point_v<T> ? "" : "a whole number, ";
        if (!limits.zero.empty()) text += bound(0) + " (" + limits.zero + "), or ";
        if (limits.low && limits.high) return text + bound(*limits.low) + " to " + bound(*limits.high);
        if (limits.low) return text + "at least " + bound(*limits.low);
        return text + (std::is_same_v<T, Duration> ? "a duration such as 5s, 10min, 1h30min, 7d"
                       : limits.bytes              ? "a size such as 64KiB, 10MB, 2GiB"
                                                   : "any");
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        return "a list of texts";
    } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>> || std::is_same_v<T, std::map<std::string, Secret>>) {
        return "a table of texts";
    } else if constexpr (std::is_same_v<T, NumericText>) {
        return "true, false, or a list of JSON Pointers";
    } else if constexpr (std::is_same_v<T, Zone>) {
        return "UTC or a name such as Europe/Zurich";
    } else if constexpr (std::is_same_v<T, Schedule>) {
        return "six fields {second} {minute} {hour} {day} {month} {day-of-week}, or an interval";
    } else if constexpr (std::is_enum_v<T>) {
        std::string text;
        for (const auto& word : words_of<T>()) text += (text.empty() ? "" : ", ") + std::string(word.text);
        return text;
    } else {
        return "a text";
    }
}

template <class Owner>
const Section& section_of();

/// One row while it is written down. The default is what a fresh `Owner` holds, so it stands in one place.
template <class Owner, class T>
class Row {
public:
    Row(std::string path, T Owner::*member) : member_(member) {
        option_.path = std::move(path);
        option_.parts = pattern_parts(option_.path);
        option_.section = &section_of<Owner>();
        option_.name = option_.path.substr(option_.path.rfind('.') + 1);
        option_.secret = std::is_same_v<T, Secret> || std::is_same_v<T, std::map<std::string, Secret>>;
    }

    template <class Low, class High>
    Row&& range(Low low, High high) && {
        limits_.low = number(low);
        limits_.high = number(high);
        return std::move(*this);
    }
    template <class N>
    Row&& at_least(N low) && {
        limits_.low = number(low);
        return std::move(*this);
    }
    Row&& zero(std::string meaning) && { limits_.zero = std::move(meaning); return std::move(*this); }
    Row&& bytes() && { limits_.bytes = true; return std::move(*this); }
    Row&& check(bool (*passes)(const std::string&), std::string what_passes) && {
        limits_.check = passes;
        option_.allowed = std::move(what_passes);
        return std::move(*this);
    }
    Row&& env(std::string name, Unit unit = Unit::none, std::string kind = {}) && {
        option_.alias = std::move(name);
        option_.alias_unit = unit;
        option_.alias_kind = std::move(kind);
        return std::move(*this);
    }
    Row&& url() && { option_.url = true; return std::move(*this); }
    Row&& only(std::vector<std::string> kinds) && { option_.kinds = std::move(kinds); return std::move(*this); }
    Row&& changes(When when) && { option_.when = when; return std::move(*this); }
    Row&& example(std::string toml) && { option_.example = std::move(toml); return std::move(*this); }
    Option help(std::string text) && {
        option_.help = std::move(text);
        if (option_.allowed.empty()) option_.allowed = allowed_text<T>(limits_);
        option_.standard = print_value(Owner{}.*member_, limits_);
        option_.read = [member = member_, limits = limits_](void* owner, const Value& value, std::string& detail) {
            return read_value(value, limits, static_cast<Owner*>(owner)->*member, detail);
        };
        option_.print = [member = member_, limits = limits_, url = option_.url](const void* owner) {
            std::string toml = print_value(static_cast<const Owner*>(owner)->*member, limits);
            return url ? without_secrets(std::move(toml)) : toml;
        };
        option_.equal = [member = member_](const void* a, const void* b) {
            return static_cast<const Owner*>(a)->*member == static_cast<const Owner*>(b)->*member;
        };
        option_.assign = [member = member_](void* to, const void* from) { static_cast<Owner*>(to)->*member = static_cast<const Owner*>(from)->*member; };
        return std::move(option_);
    }

private:
    template <class N>
    static double number(N n) {
        if constexpr (std::is_arithmetic_v<N>) return static_cast<double>(n);
        else return static_cast<double>(std::chrono::duration_cast<Duration>(n).count());
    }

    T Owner::*member_;
    Limits limits_;
    Option option_;
};

template <class Owner, class T>
Row<Owner, T> option(std::string path, T Owner::*member) {
    return {std::move(path), member};
}

/// Every option, in the order of the documents; and the sections they stand in.
const std::vector<Option>& option_table();
const std::vector<const Section*>& sections();

/// `feeds."my pools".sources[0].url` from and to its parts (`#` parts are numbers).
std::string path_text(std::span<const std::string> parts, const std::vector<std::string>& pattern);
/// `[feeds.*]`, `[[feeds.*.sources]]`
std::string heading(const Section& section);
/// The `kind` of the section that `owner` is, as a word; empty where it has none.
std::string kind_of(const Section& section, const void* owner);
/// The concrete path where `names` stand for the `*` and `#` of a pattern (Option::parts).
std::string path_of(const std::vector<std::string>& pattern, std::span<const std::string> names);

/// Rules between options; errors stop the start, notes are printed. In validate.cc.
void validate(const Config& config, std::vector<std::string>& errors, std::vector<std::string>& notes);

}  // namespace weir
