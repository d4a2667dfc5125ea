#include "event/filter_places_internal.h"

#include "event/filter.h"

namespace weir::filtering {
namespace {

namespace od = simdjson::ondemand;

std::string joined(const std::vector<std::string>& steps, std::size_t from) {
    std::string text = steps[from];
    for (std::size_t i = from + 1; i < steps.size(); ++i) text.append(1, '.').append(steps[i]);
    return text;
}

}  // namespace

std::uint32_t Places::child(std::uint32_t parent, const std::string& name) {
    if (const auto at = nodes_[parent].children.find(name); at != nodes_[parent].children.end()) return at->second;
    std::uint32_t number;
    if (free_nodes_.empty()) {
        number = static_cast<std::uint32_t>(nodes_.size());
        nodes_.emplace_back();
    } else {
        number = free_nodes_.back();
        free_nodes_.pop_back();
        nodes_[number] = Node();
    }
    nodes_[number].parent = parent;
    nodes_[number].name = name;
    nodes_[parent].children.emplace(name, number);
    ++nodes_[parent].users;
    return number;
}

void Places::release(std::uint32_t number) {
    if (--nodes_[number].users > 0 || number < field_count) return;
    const std::uint32_t parent = nodes_[number].parent;
    nodes_[parent].children.erase(nodes_[parent].children.find(nodes_[number].name));
    nodes_[number] = Node();
    free_nodes_.push_back(number);
    release(parent);
}

/// Where a path may end below `node`: each step in turn, then what is left as one literal key.
void Places::add_candidates(std::vector<std::uint32_t>& candidates, std::uint32_t node, const std::vector<std::string>& steps, std::size_t from) {
    if (from + 1 < steps.size()) add_candidates(candidates, child(node, steps[from]), steps, from + 1);
    candidates.push_back(child(node, joined(steps, from)));
}

std::vector<std::uint32_t> Places::candidates_of(const std::vector<std::string>& steps) {
    std::vector<std::uint32_t> candidates;
    const std::string& first = steps[0];
    if (steps.size() == 1) {
        if (first == "event_id") candidates.push_back(field_id);
        if (first == "event_type") candidates.push_back(field_type);
        if (first == "timestamp") candidates.push_back(field_time);
        if (first == "payload") candidates.push_back(field_data);
    } else if (first == "payload") {
        add_candidates(candidates, field_data, steps, 1);
    } else if (first == "metadata" && steps.size() == 2) {
        if (steps[1] == "stream") candidates.push_back(field_stream);
        if (steps[1] == "key") candidates.push_back(field_key);
        if (steps[1] == "source") candidates.push_back(field_source);
    }
    add_candidates(candidates, field_data, steps, 0);
    return candidates;
}

void Places::hold(std::uint32_t place, std::uint32_t path) {
    ++nodes_[place].users;
    nodes_[place].paths.push_back(path);
}

void Places::let_go(std::uint32_t place, std::uint32_t path) {
    std::erase(nodes_[place].paths, path);
    release(place);
}

/// A member was there already in this event: the last one counts, so what was found below the first is gone.
void Places::forget(std::uint32_t node) {
    nodes_[node].stamp = 0;
    for (const auto& entry : nodes_[node].children)
        if (nodes_[entry.second].stamp == stamp_) forget(entry.second);
}

bool Places::walk(od::object object, std::uint32_t node) {
    for (auto field : object) {
        std::string_view name;
        if (field.unescaped_key().get(name)) return false;
        const auto& children = nodes_[node].children;
        const auto at = children.find(name);
        if (at == children.end()) continue;
        const std::uint32_t number = at->second;
        if (nodes_[number].stamp == stamp_) forget(number);
        od::value value;
        od::json_type type;
        if (field.value().get(value) || value.type().get(type)) return false;
        Value found;
        switch (type) {
            case od::json_type::null: break;
            case od::json_type::boolean:
                found.kind = Value::Kind::boolean;
                if (value.get_bool().get(found.truth)) return false;
                break;
            case od::json_type::number: {
                found.kind = Value::Kind::number;
                std::string_view token = value.raw_json_token();
                while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') token.remove_suffix(1);
                found.number = filter_number(token);
                break;
            }
            case od::json_type::string:
                found.kind = Value::Kind::text;
                if (value.get_string().get(found.text)) return false;
                break;
            case od::json_type::array: found.kind = Value::Kind::array; break;
            case od::json_type::object: found.kind = Value::Kind::object; break;
        }
        set(number, found);
        if (type == od::json_type::object && !nodes_[number].children.empty()) {
            od::object inner;
            if (value.get_object().get(inner) || !walk(inner, number)) return false;
        }
    }
    return true;
}

bool Places::read(std::string_view data) {
    if (padded_.size() < data.size() + simdjson::SIMDJSON_PADDING) padded_.resize(data.size() * 2 + simdjson::SIMDJSON_PADDING);
    std::memcpy(padded_.data(), data.data(), data.size());
    od::document document;
    od::object root;
    if (parser_.iterate(padded_.data(), data.size(), padded_.size()).get(document) || document.get_object().get(root)) return false;
    set(field_data, {.kind = Value::Kind::object, .text = {}});
    return walk(root, field_data);
}

bool Places::read_data(std::string_view data) {
    if (nodes_[field_data].children.empty() && nodes_[field_data].paths.empty()) return true;
    if (read(data)) return true;
    forget(field_data);  // what was found before the error is not to be trusted
    return false;
}

}  // namespace weir::filtering
