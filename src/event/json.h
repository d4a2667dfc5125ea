#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir {

/// A JSON value that owns its texts: for control messages, configuration-sized documents and tests, not for the path of an
/// event (there: `Decoder`, `JsonPath`). Objects keep their order; of a repeated member the last one counts. Numbers keep the
/// text they were written with, so that nothing is lost beyond a double.
class Json {
public:
    enum class Kind : std::uint8_t { null, boolean, number, string, array, object };
    using Member = std::pair<std::string, Json>;

    Json() = default;
    static Json boolean(bool b);
    static Json number(double v);
    static Json integer(std::int64_t v);
    /// `text` is a JSON number (`is_json_number`), and stays as it is written.
    static Json number_from_text(std::string text);
    static Json string(std::string s);
    static Json array(std::vector<Json> items = {});
    static Json object(std::vector<Member> members = {});

    /// Strict RFC 8259, at most 64 levels deep. Error `malformed_json` with the offset of the first bad byte.
    /// Cost: about as fast as the text is copied; a hash of names where an object has more than 32 members.
    static Result<Json> parse(std::string_view text) { return parse(text, foreign_levels_max); }
    /// For texts of weir's own around foreign ones, whose levels come on top.
    static Result<Json> parse(std::string_view text, int levels_max);
    static constexpr int foreign_levels_max = 64, own_levels_max = 80;

    Kind kind() const { return kind_; }
    bool is_null() const { return kind_ == Kind::null; }
    bool is_object() const { return kind_ == Kind::object; }
    bool is_array() const { return kind_ == Kind::array; }
    bool is_string() const { return kind_ == Kind::string; }
    bool is_number() const { return kind_ == Kind::number; }
    bool is_boolean() const { return kind_ == Kind::boolean; }

    bool as_boolean() const { return boolean_; }
    double as_double() const;
    /// The number if it is an integer that fits: `5`, `5.0` and `5e0` are, `5.5` is not.
    std::optional<std::int64_t> as_integer() const;
    const std::string& as_string() const { return text_; }
    /// A number's text as it was written.
    const std::string& number_text() const { return text_; }
    const std::vector<Json>& items() const { return items_; }
    std::vector<Json>& items() { return items_; }
    const std::vector<Member>& members() const { return members_; }
    std::vector<Member>& members() { return members_; }

    /// The member of that name, or nullptr (also when this is no object).
    const Json* find(std::string_view name) const;
    /// A string member's text, or nullopt.
    std::optional<std::string_view> find_string(std::string_view name) const;
    void set(std::string_view name, Json value);

    void print(std::string& out) const;
    std::string text() const;
    bool operator==(const Json& other) const;

private:
    Kind kind_ = Kind::null;
    bool boolean_ = false;
    std::string text_;
    std::vector<Json> items_;
    std::vector<Member> members_;
};

/// Writes JSON onto the end of a text, without building anything first; commas and quotes are its business.
///
///     JsonWriter json(out);
///     json.object().member("key", key).member("count", 3).name("bounds").array().value(1.5).end().end();
///
/// Doubles are printed in the shortest form that reads back the same; NaN and infinities as null. Thread: one owner.
class JsonWriter {
public:
    explicit JsonWriter(std::string& out) : out_(out) {}

    JsonWriter& object();
    JsonWriter& array();
    JsonWriter& end();
    JsonWriter& name(std::string_view name);
    JsonWriter& value(std::string_view text);
    JsonWriter& value(const char* text) { return value(std::string_view(text)); }
    JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
    JsonWriter& value(double number);
    JsonWriter& value(bool truth);
    JsonWriter& value(Timestamp time);
    template <class Integer>
        requires(std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>)
    JsonWriter& value(Integer number) {
        return integer(static_cast<std::int64_t>(number), std::is_unsigned_v<Integer>);
    }
    template <class T>
    JsonWriter& value(const std::optional<T>& maybe) {
        return maybe ? value(*maybe) : null();
    }
    JsonWriter& null();
    /// A JSON text that is known to be right.
    JsonWriter& raw(std::string_view json);

    template <class T>
    JsonWriter& member(std::string_view member_name, const T& v) {
        return name(member_name).value(v);
    }

private:
    JsonWriter& integer(std::int64_t number, bool is_unsigned);
    void separate();

    std::string& out_;
    // One bit a level: whether something stands there already. 64 levels are enough for all that weir writes.
    std::uint64_t started_ = 0, arrays_ = 0;
    int depth_ = 0;
    bool after_name_ = false;
};

/// `text` in quotes, escaped as RFC 8259 asks, control characters as \u00xx; other UTF-8 stays as it is.
void append_json_string(std::string& out, std::string_view text);
/// The shortest text that reads back as the same double: `48.3`, `5`, `1e+300`; `null` for NaN and infinities.
void append_json_number(std::string& out, double number);
/// True when `text` is one JSON number and nothing else: `45`, `-0.5`, `1e3`; not `007`, `+1`, `.5`, `NaN`, ` 1`.
bool is_json_number(std::string_view text);
/// Appends what stands between the quotes of a JSON string, its escapes resolved. False (and `out` as it was) for an escape that
/// RFC 8259 does not know, and for half a surrogate pair.
bool append_unescaped(std::string& out, std::string_view between_quotes);

/// A JSON Pointer (RFC 6901), parsed once. "" is the whole document.
class JsonPointer {
public:
    static Result<JsonPointer> parse(std::string_view text);
    const std::vector<std::string>& steps() const { return steps_; }
    std::string text() const;
    const Json* find(const Json& document) const;
    bool operator==(const JsonPointer&) const = default;

private:
    std::vector<std::string> steps_;
};

}  // namespace weir
