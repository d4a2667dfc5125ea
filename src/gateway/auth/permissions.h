#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/gateway_options.h"
#include "config/log_options.h"
#include "event/event.h"
#include "event/filter.h"
#include "event/filter_index.h"

namespace weir {

class Json;

/// What somebody must be allowed before a request or a message is looked at: it stands in the row of each endpoint and message (http/endpoints.h). Where nothing was
/// declared only who may administer gets by, and a test fails.
enum class Needs : std::uint8_t {
    undeclared,
    nothing,   ///< not even a token
    token,     ///< any right one: what it does concerns its holder alone
    reading,   ///< may see something: what it shows is bounded by what that is
    overview,  ///< sees everything, or may administer: what it shows is of all that weir does
    publish,
    acknowledge,
    administer
};
/// As the documents and refusals name it: `publish`.
std::string_view needs_name(Needs needs);

/// What a token's holder may do (spec.md 5). Its types, streams and filter together are a boundary: no event outside it reaches the holder, by
/// any path. Made without anything it allows nothing. Immutable once made; thread: any.
struct Permissions {
    std::uint8_t types = 0;           ///< a bit a StreamType
    bool every_stream = false;
    std::vector<StreamName> streams;  ///< sorted; where not every one
    Filter filter;
    bool publish = false, acknowledge = false, administer = false;

    /// All of it: without authentication.
    static Permissions all();
    /// `[gateway.tokens.*]`. Error: `bad_filter` and the like, where the filter is none.
    static Result<Permissions> of(const TokenOptions& token);
    /// The claim of a token: `{"types":[...],"streams":[...],"filter":{...},"publish":true,...}`. What is left out of types, streams and
    /// filter is not bounded, what is left out of the rest is not allowed. Error `bad_permissions` for anything else, so that a
    /// misspelt boundary is never none.
    static Result<Permissions> of_claim(const Json& claim);

    bool allows(StreamType type) const { return types >> static_cast<unsigned>(type) & 1; }
    bool sees(std::string_view stream, StreamType type) const;
    /// Whether some event lies outside.
    bool bounded() const;
    /// Whether nothing whatever can be seen.
    bool blind() const { return types == 0 || (!every_stream && streams.empty()); }
    bool meets(Needs needs) const;
    /// Whether all that `other` lets through is let through here: a subscription made under `other` may go on.
    bool covers(const Permissions& other) const;
    bool operator==(const Permissions& other) const;
};

/// Asks the filter of some permissions about single events. Thread: one owner. Cost: nothing where there is no filter.
class Boundary {
public:
    explicit Boundary(const Filter& filter);
    bool sees(std::string_view stream, const EventView& event);

private:
    std::unique_ptr<FilterIndex> index_;
};

}  // namespace weir
