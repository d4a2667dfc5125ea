#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir {

class Json;

/// What a filter compares with: one JSON scalar, canonical, so that `5`, `5.0` and `5e0` are one value and `"5"` another.
struct FilterValue {
    enum class Kind : std::uint8_t { null, boolean, number, text, time };
    Kind kind = Kind::null;
    bool truth = false;
    long double number = 0;  ///< holds every 64-bit integer and every double exactly; also a time's microseconds
    std::string text;

    bool operator==(const FilterValue&) const = default;
};
static_assert(__LDBL_MANT_DIG__ >= 64, "64-bit integers must compare exactly");

/// One condition of a filter, or several joined. Leaves have a path and values.
struct FilterCondition {
    enum class Kind : std::uint8_t { all, none, both, either, negated, equals, greater, greater_equal, less, less_equal, prefix, exists };
    Kind kind = Kind::all;
    std::vector<std::string> path;           ///< steps, unescaped
    std::vector<FilterValue> values;         ///< equals: any of them, sorted, not empty; comparisons and prefix: one; exists: none
    std::vector<FilterCondition> children;   ///< both, either: two or more; negated: one

    bool is_leaf() const { return kind >= Kind::equals; }
};

/// Which events a subscriber wants, or a token's holder may see (spec.md 5; S4-6, D7, C-35, C-45).
///
///     {"event_type": ["login", "purchase"], "payload.amount": {"gte": 100, "lt": 500}, "not": {"user.country": "CH"}}
///
/// Members are joined by AND. A scalar is equality, a list is any-of, an object holds operators: `gt`, `gte`, `lt`, `lte`
/// (number with number, text with text by code point, `timestamp` as a time), `prefix` (texts), `exists` (true or false).
/// `and` and `or` take lists of filters, `not` takes one. `{}` is every event; an empty list never matches.
///
/// A path starts at the event as source 004 shows it: `event_id`, `event_type`, `timestamp`, `user_id`, `payload.…`; and
/// `metadata.stream`, `metadata.key`, `metadata.source`. At each object the path is tried first, then what is left of it as one literal
/// key with dots; `\.` is a dot that does not separate. What fails from the root is tried under `payload`. A path that an event lacks
/// matches nothing but `"exists": false` (and is true under `not`). Of a repeated member the last one counts. `"1"` is not `1`.
///
/// Immutable; copying is cheap enough for control messages only. Thread: any.
class Filter {
public:
    static constexpr std::size_t kConditionsMax = 1000, kValuesMax = 10'000, kPathStepsMax = 16, kDepthMax = 16;

    /// Every event.
    Filter() : canonical_("{}") {}
    /// Errors: `bad_filter`, `unknown_operator`, `bad_path`, `filter_too_large`; the message names the place.
    static Result<Filter> parse(const Json& filter);
    static Result<Filter> parse_text(std::string_view json);

    /// What both let through: how a token's filter bounds a subscription's.
    Filter and_also(const Filter& other) const;

    bool matches_all() const { return root_.kind == FilterCondition::Kind::all; }
    const FilterCondition& root() const { return root_; }
    /// One text for all ways of writing the same conditions, itself a filter: what audiences are shared by.
    const std::string& canonical() const { return canonical_; }
    /// What bounds count: the bytes of its text, and 64 for each condition and each value, which is about what a value takes beside its
    /// text. 0 for every event. Cost: one visit of each condition.
    std::size_t weight() const;

private:
    explicit Filter(FilterCondition root);
    FilterCondition root_;
    std::string canonical_;
};

/// A number's text (as JSON writes it) as filters compare it.
long double filter_number(std::string_view json_number);

}  // namespace weir
