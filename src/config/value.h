#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace weir {

/// A value as it was found, before it is known what it should be: in a file with a type, in the environment or a flag as a
/// bare text that may stand for any type (`loose`). Only for the reading of configuration.
struct Value {
    enum class Kind : std::uint8_t { boolean, integer, real, text, list, table, other };

    Kind kind = Kind::text;
    bool loose = false;
    bool bare_seconds = false;  ///< a number without a unit is one of seconds, as in source 004's environment
    bool boolean = false;
    std::int64_t integer = 0;
    double real = 0;
    std::string text;  ///< of a text; of a loose value always; of `other` (a date) as it was written
    std::vector<Value> list;
    struct Member;
    std::vector<Member> table;
};
struct Value::Member {
    std::string name;
    Value value;
};

std::optional<bool> as_boolean(const Value& value);
std::optional<std::int64_t> as_integer(const Value& value);
std::optional<double> as_real(const Value& value);  ///< finite
std::optional<std::string> as_text(const Value& value);
std::optional<Duration> as_duration(const Value& value);
/// A whole number, or a text such as `512KiB`, `10MB`, `2GiB`.
std::optional<std::uint64_t> as_bytes(const Value& value);
/// A list of texts. A loose value: JSON (`["a", "b"]`), or parts between commas.
std::optional<std::vector<std::string>> as_texts(const Value& value);

/// As a message shows it: texts in quotes, long ones cut.
std::string shown(const Value& value);

/// A URL without what opens doors: the password before `@`, and values in the query whose names sound like it (token, key, ...).
std::string without_secrets(std::string url);

/// A text as TOML writes it, in quotes.
std::string quoted(std::string_view text);
/// A number of bytes as TOML: `"1MiB"` where it is a whole number of a unit, else the number.
std::string bytes_text(std::uint64_t bytes);

}  // namespace weir
