#pragma once
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/auth/permissions.h"
#include "gateway/errors.h"

namespace weir {

/// What the HTTP interface answers to, in one table: `/openapi.json` is printed from it, and a test asks every row of it.
struct Endpoint {
    struct Parameter {
        std::string_view name;
        std::string_view in;      ///< `path`, `query` or `header`
        std::string_view schema;  ///< JSON Schema
        bool required;
        std::string_view doc;
    };
    std::string_view method, path;  ///< path: with {names}, as OpenAPI writes it
    std::string_view id;            ///< operationId
    std::string_view summary;
    std::vector<Parameter> parameters;
    std::string_view body;         ///< JSON Schema of what is sent; empty: nothing
    std::string_view answer_type;  ///< of what is answered when it is done
    std::string_view answer;       ///< JSON Schema of it
    std::vector<GatewayError> errors;
    Needs needs = Needs::undeclared;  ///< checked in one place, before the endpoint is asked (Api::handle)
    int status = 200;              ///< when it is done
    bool ndjson = false;           ///< the body may be NDJSON too
};
std::span<const Endpoint> endpoints();

/// Whose request that is. `method` as it stands in the request; HEAD is a GET without a body. `path` is not decoded: a `{name}` is what stands between its neighbours, with slashes only
/// for a stream's.
struct FoundEndpoint {
    const Endpoint* endpoint = nullptr;
    std::string allowed;  ///< where the path has other methods only: these, as `Allow` has them
};
FoundEndpoint find_endpoint(std::string_view method, std::string_view path);

/// A message of a WebSocket dialect: `/asyncapi.json` is printed from it.
struct DialectMessage {
    enum class From : std::uint8_t { client, server };
    std::string_view dialect;  ///< `analytics`, `spc`, `broadcast`
    std::string_view name;
    From from;
    std::string_view doc;
    std::string_view schema;   ///< JSON Schema of the whole message
    std::string_view example;
    Needs needs = Needs::undeclared;  ///< of what a client sends: checked before it is looked at
};
std::span<const DialectMessage> dialect_messages();
/// What a client's message of this type needs; nullopt where the dialect has none: what is not in the table cannot be asked.
std::optional<Needs> message_needs(std::string_view dialect, std::string_view type);

/// OpenAPI 3.0.3. `version` is weir's.
std::string openapi_document(std::string_view version);
/// AsyncAPI 2.6.0, with the table of errors as `x-errors`.
std::string asyncapi_document(std::string_view version, std::string_view spc_path);

}  // namespace weir
