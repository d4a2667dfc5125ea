#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "event/event.h"
#include "event/filter.h"
#include "event/json.h"

namespace weir {

// The slow, obvious twin of the filter index, for tests and fuzzing: the same language, read from the documents' words, over a tree of values.

inline const Json* resolve(const Json& at, const std::vector<std::string>& steps, std::size_t from) {
    if (from + 1 < steps.size())
        if (const Json* inner = at.find(steps[from]))
            if (const Json* found = resolve(*inner, steps, from + 1)) return found;
    std::string rest = steps[from];
    for (std::size_t i = from + 1; i < steps.size(); ++i) rest += "." + steps[i];
    return at.find(rest);
}

inline std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> steps(1);
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] == '.') steps.emplace_back();
        else if (path[i] == '\\') steps.back() += path[++i];
        else steps.back() += path[i];
    }
    return steps;
}

inline const Json* naive_find(const Json& root, std::string_view path) {
    const auto steps = split(path);
    // `metadata` is three own fields, not an object of the event.
    if (steps[0] != "metadata" || path == "metadata.key" || path == "metadata.stream" || path == "metadata.source")
        if (const Json* found = resolve(root, steps, 0)) return found;
    return resolve(*root.find("payload"), steps, 0);
}

inline bool scalar_equal(const Json& a, const Json& b) {
    if (a.is_object() || a.is_array() || a.kind() != b.kind()) return false;
    return a.is_number() ? filter_number(a.number_text()) == filter_number(b.number_text()) : a == b;
}

inline bool same(std::string_view path, const Json& found, const Json& wanted) {
    if (split(path) == std::vector<std::string>{"timestamp"} && found.is_string() && wanted.is_string())
        return *parse_rfc3339(found.as_string()) == *parse_rfc3339(wanted.as_string());
    return scalar_equal(found, wanted);
}

inline bool naive(const Json& root, const Json& filter) {
    for (const auto& [name, wanted] : filter.members()) {
        if (name == "and" || name == "or") {
            std::size_t held = 0;
            for (const Json& part : wanted.items()) held += naive(root, part);
            if (name == "and" ? held < wanted.items().size() : held == 0) return false;
            continue;
        }
        if (name == "not") {
            if (naive(root, wanted)) return false;
            continue;
        }
        const Json* found = naive_find(root, name);
        if (wanted.is_array()) {
            bool any = false;
            for (const Json& one : wanted.items()) any = any || (found && same(name, *found, one));
            if (!any) return false;
        } else if (wanted.is_object()) {
            for (const auto& [op, operand] : wanted.members()) {
                if (op == "exists") {
                    if (operand.as_boolean() != (found != nullptr)) return false;
                    continue;
                }
                if (!found || found->kind() != operand.kind()) return false;
                if (op == "prefix") {
                    if (!found->as_string().starts_with(operand.as_string())) return false;
                    continue;
                }
                int order;
                if (found->is_number()) {
                    const auto a = filter_number(found->number_text()), b = filter_number(operand.number_text());
                    order = a < b ? -1 : a > b;
                } else if (split(name) == std::vector<std::string>{"timestamp"}) {
                    const auto a = *parse_rfc3339(found->as_string()), b = *parse_rfc3339(operand.as_string());
                    order = a < b ? -1 : a > b;
                } else {
                    order = found->as_string().compare(operand.as_string());
                }
                if (op == "gt" ? order <= 0 : op == "gte" ? order < 0 : op == "lt" ? order >= 0 : order > 0) return false;
            }
        } else if (!found || !same(name, *found, wanted)) {
            return false;
        }
    }
    return true;
}

/// An event as source 004 shows it (decisions.md 20); `data` is what `event.data` holds.
inline Json event_document(std::string_view stream, const EventView& event, const Json& data) {
    Json root = Json::object();
    root.set("event_id", Json::string(std::string(event.id)));
    root.set("event_type", Json::string(std::string(event.type)));
    root.set("timestamp", Json::string(to_rfc3339(event.time)));
    root.set("payload", data);
    Json metadata = Json::object();
    metadata.set("stream", Json::string(std::string(stream)));
    metadata.set("key", Json::string(std::string(event.key)));
    metadata.set("source", Json::string(std::string(event.source)));
    root.set("metadata", metadata);
    return root;
}

}  // namespace weir
