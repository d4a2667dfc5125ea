#include "event/filter_index.h"

#include <map>
#include <unordered_map>

#include "base/assert.h"
#include "event/filter_places_internal.h"
#include "event/filter_ranges_internal.h"

namespace weir {
namespace {

using namespace filtering;
using Kind = FilterCondition::Kind;

bool equal(const Value& a, const FilterValue& b) {
    if (static_cast<int>(a.kind) != static_cast<int>(b.kind)) return false;
    switch (b.kind) {
        case FilterValue::Kind::null: return true;
        case FilterValue::Kind::boolean: return a.truth == b.truth;
        case FilterValue::Kind::text: return a.text == b.text;
        default: return a.number == b.number;
    }
}
static_assert(static_cast<int>(Value::Kind::time) == static_cast<int>(FilterValue::Kind::time));

using Ids = std::vector<FilterIndex::Id>;

/// One path that filters name: where its value may stand, and who waits for which value.
struct Path {
    std::string text;
    std::uint32_t users = 0;
    std::vector<std::uint32_t> candidates;  ///< nodes, best first
    std::uint64_t stamp = 0;
    std::uint32_t found = kNone;  ///< node, for the event `stamp`
    std::uint64_t looked_up = 0;  ///< the event for which the tables below were asked

    ByText<Ids> texts;
    std::unordered_map<long double, Ids> numbers, times;
    Ids nulls, truths[2], present;
    std::map<std::size_t, ByText<Ids>> prefixes;  ///< by length
    Ranges<long double> number_ranges;
    Ranges<std::string> text_ranges;
};

/// A condition with its path's number in place of the path.
struct Compiled {
    Kind kind = Kind::all;
    std::uint32_t path = kNone;
    std::vector<FilterValue> values;
    std::vector<Compiled> children;
};

/// How a filter stands in the tables of a path: one leaf, or two bounds of one range.
struct Entry {
    const Compiled* leaf;
    const Compiled* other_bound = nullptr;
};
using Cover = std::vector<Entry>;

struct Slot {
    bool used = false;
    Compiled condition;
    Cover cover;              ///< if the filter matches, one of these holds; empty: evaluated always
    std::uint64_t stamp = 0;  ///< the event that it was last looked at for
};

bool is_lower_bound(Kind kind) { return kind == Kind::greater || kind == Kind::greater_equal; }
bool is_upper_bound(Kind kind) { return kind == Kind::less || kind == Kind::less_equal; }

/// The sibling that closes the range which `leaf` opens, if there is one.
const Compiled* other_bound(const Compiled& leaf, const std::vector<Compiled>& siblings) {
    for (const auto& other : siblings)
        if (other.path == leaf.path && other.values.size() == 1 && other.values[0].kind == leaf.values[0].kind &&
            (is_lower_bound(leaf.kind) ? is_upper_bound(other.kind) : is_lower_bound(other.kind)))
            return &other;
    return nullptr;
}

std::string path_key(const std::vector<std::string>& steps) {
    std::string key;
    for (const auto& step : steps) {
        key += std::to_string(step.size());
        key += ':';
        key += step;
    }
    return key;
}

void erase_one(Ids& ids, FilterIndex::Id id) {
    const auto at = std::find(ids.begin(), ids.end(), id);
    WEIR_ASSERT(at != ids.end());
    *at = ids.back();
    ids.pop_back();
}

template <class Map, class Key>
void erase_listed(Map& map, const Key& key, FilterIndex::Id id) {
    const auto at = map.find(key);
    WEIR_ASSERT(at != map.end());
    erase_one(at->second, id);
    if (at->second.empty()) map.erase(at);
}

template <class Map, class Key>
std::size_t count_listed(const Map& map, const Key& key) {
    const auto at = map.find(key);
    return at == map.end() ? 0 : at->second.size();
}

template <class Key, class Take>
typename Ranges<Key>::Range range_of(const Entry& entry, FilterIndex::Id id, const Take& take) {
    typename Ranges<Key>::Range range{.lower = {}, .upper = {}, .id = id};
    for (const Compiled* bound : {entry.leaf, entry.other_bound})
        if (bound) (is_lower_bound(bound->kind) ? range.lower : range.upper) = take(bound->values[0]);
    return range;
}

}  // namespace

struct FilterIndex::State {
    Places places;
    std::vector<Path> paths;
    std::vector<std::uint32_t> free_paths;
    ByText<std::uint32_t> path_numbers;
    std::vector<std::unique_ptr<Slot>> slots;
    Ids free_slots, always, residual;
    std::size_t count = 0;
    std::uint64_t malformed = 0;

    Ids matched;

    // Building.

    std::uint32_t acquire_path(const std::vector<std::string>& steps) {
        std::string key = path_key(steps);
        if (const auto at = path_numbers.find(key); at != path_numbers.end()) {
            ++paths[at->second].users;
            return at->second;
        }
        std::uint32_t number;
        if (free_paths.empty()) {
            number = static_cast<std::uint32_t>(paths.size());
            paths.emplace_back();
        } else {
            number = free_paths.back();
            free_paths.pop_back();
        }
        auto candidates = places.candidates_of(steps);
        for (const auto place : candidates) places.hold(place, number);
        paths[number].users = 1;
        paths[number].text = key;
        paths[number].candidates = std::move(candidates);
        path_numbers.emplace(std::move(key), number);
        return number;
    }
    void release_path(std::uint32_t number) {
        if (--paths[number].users > 0) return;
        path_numbers.erase(path_numbers.find(paths[number].text));
        const auto candidates = std::move(paths[number].candidates);
        for (const auto place : candidates) places.let_go(place, number);
        paths[number] = Path();
        free_paths.push_back(number);
    }

    Compiled compile(const FilterCondition& c) {
        Compiled compiled;
        compiled.kind = c.kind;
        compiled.values = c.values;
        if (c.is_leaf()) compiled.path = acquire_path(c.path);
        for (const auto& part : c.children) compiled.children.push_back(compile(part));
        return compiled;
    }
    void release(const Compiled& c) {
        if (c.path != kNone) release_path(c.path);
        for (const auto& part : c.children) release(part);
    }

    /// How many filters stand where this leaf would: what few ask for, few events have.
    std::size_t weight(const Entry& entry) const {
        const Compiled& leaf = *entry.leaf;
        const Path& path = paths[leaf.path];
        if (leaf.kind == Kind::prefix) return 20'000;
        if (leaf.kind == Kind::exists) return 1'000'000;
        if (leaf.kind != Kind::equals) return entry.other_bound ? 50'000 : 100'000;
        std::size_t sum = leaf.values.size();
        for (const auto& value : leaf.values) {
            switch (value.kind) {
                case FilterValue::Kind::null: sum += path.nulls.size(); break;
                case FilterValue::Kind::boolean: sum += path.truths[value.truth].size(); break;
                case FilterValue::Kind::text: sum += count_listed(path.texts, value.text); break;
                case FilterValue::Kind::number: sum += count_listed(path.numbers, value.number); break;
                case FilterValue::Kind::time: sum += count_listed(path.times, value.number); break;
            }
        }
        return sum;
    }

    /// The lightest set of entries of which one holds whenever `c` does. False if there is none.
    bool find_cover(const Compiled& c, Cover& cover, std::size_t& total) const {
        switch (c.kind) {
            case Kind::all:
            case Kind::none:
            case Kind::negated: return false;
            case Kind::both: {
                bool found = false;
                std::size_t best = 0;
                for (const auto& child : c.children) {
                    Cover candidate;
                    std::size_t w = 0;
                    if (is_lower_bound(child.kind) || is_upper_bound(child.kind)) {
                        candidate.push_back({&child, other_bound(child, c.children)});
                        w = weight(candidate[0]);
                    } else if (!find_cover(child, candidate, w)) {
                        continue;
                    }
                    if (found && w >= best) continue;
                    found = true;
                    best = w;
                    cover = std::move(candidate);
                }
                total += best;
                return found;
            }
            case Kind::either:
                for (const auto& child : c.children) {
                    Cover part;
                    if (!find_cover(child, part, total)) return false;
                    cover.insert(cover.end(), part.begin(), part.end());
                }
                return true;
            default:
                cover.push_back({&c});
                total += weight(cover.back());
                return true;
        }
    }

    void enter(const Entry& entry, Id id) {
        const Compiled& leaf = *entry.leaf;
        Path& path = paths[leaf.path];
        switch (leaf.kind) {
            case Kind::equals:
                for (const auto& value : leaf.values) {
                    switch (value.kind) {
                        case FilterValue::Kind::null: path.nulls.push_back(id); break;
                        case FilterValue::Kind::boolean: path.truths[value.truth].push_back(id); break;
                        case FilterValue::Kind::text: path.texts[value.text].push_back(id); break;
                        case FilterValue::Kind::number: path.numbers[value.number].push_back(id); break;
                        case FilterValue::Kind::time: path.times[value.number].push_back(id); break;
                    }
                }
                return;
            case Kind::prefix: path.prefixes[leaf.values[0].text.size()][leaf.values[0].text].push_back(id); return;
            case Kind::exists: path.present.push_back(id); return;
            default:
                if (leaf.values[0].kind == FilterValue::Kind::text)
                    path.text_ranges.add(range_of<std::string>(entry, id, [](const FilterValue& v) { return v.text; }));
                else
                    path.number_ranges.add(range_of<long double>(entry, id, [](const FilterValue& v) { return v.number; }));
        }
    }
    void leave(const Entry& entry, Id id) {
        const Compiled& leaf = *entry.leaf;
        Path& path = paths[leaf.path];
        switch (leaf.kind) {
            case Kind::equals:
                for (const auto& value : leaf.values) {
                    switch (value.kind) {
                        case FilterValue::Kind::null: erase_one(path.nulls, id); break;
                        case FilterValue::Kind::boolean: erase_one(path.truths[value.truth], id); break;
                        case FilterValue::Kind::text: erase_listed(path.texts, value.text, id); break;
                        case FilterValue::Kind::number: erase_listed(path.numbers, value.number, id); break;
                        case FilterValue::Kind::time: erase_listed(path.times, value.number, id); break;
                    }
                }
                return;
            case Kind::prefix: {
                const auto at = path.prefixes.find(leaf.values[0].text.size());
                WEIR_ASSERT(at != path.prefixes.end());
                erase_listed(at->second, leaf.values[0].text, id);
                if (at->second.empty()) path.prefixes.erase(at);
                return;
            }
            case Kind::exists: erase_one(path.present, id); return;
            default: leaf.values[0].kind == FilterValue::Kind::text ? path.text_ranges.remove(id) : path.number_ranges.remove(id);
        }
    }

    // Matching.

    const Value* find(std::uint32_t number) {
        Path& path = paths[number];
        if (path.stamp != places.stamp()) {
            path.stamp = places.stamp();
            path.found = kNone;
            for (const auto place : path.candidates) {
                if (!places.has(place)) continue;
                path.found = place;
                break;
            }
        }
        return path.found == kNone ? nullptr : &places.value(path.found);
    }

    bool holds(const Compiled& c) {
        switch (c.kind) {
            case Kind::all: return true;
            case Kind::none: return false;
            case Kind::both:
                for (const auto& part : c.children)
                    if (!holds(part)) return false;
                return true;
            case Kind::either:
                for (const auto& part : c.children)
                    if (holds(part)) return true;
                return false;
            case Kind::negated: return !holds(c.children[0]);
            default: break;
        }
        const Value* value = find(c.path);
        if (!value) return false;
        if (c.kind == Kind::exists) return true;
        if (c.kind == Kind::equals) {
            for (const auto& wanted : c.values)
                if (equal(*value, wanted)) return true;
            return false;
        }
        const FilterValue& bound = c.values[0];
        if (static_cast<int>(value->kind) != static_cast<int>(bound.kind)) return false;
        if (c.kind == Kind::prefix) return value->text.starts_with(bound.text);
        const int order = bound.kind == FilterValue::Kind::text ? value->text.compare(bound.text)
                                                                : (value->number > bound.number) - (value->number < bound.number);
        switch (c.kind) {
            case Kind::greater: return order > 0;
            case Kind::greater_equal: return order >= 0;
            case Kind::less: return order < 0;
            default: return order <= 0;
        }
    }

    void consider(Id id) {
        Slot& slot = *slots[id];
        if (slot.stamp == places.stamp()) return;
        slot.stamp = places.stamp();
        // A lone equality is proven by its table; everything else is checked as a whole.
        if (slot.condition.kind == Kind::equals || holds(slot.condition)) matched.push_back(id);
    }
    void consider(const Ids& ids) {
        for (const Id id : ids) consider(id);
    }

    void look_up(std::uint32_t number) {
        if (paths[number].looked_up == places.stamp()) return;
        paths[number].looked_up = places.stamp();
        const Value* found = find(number);
        if (!found) return;
        const Value& value = *found;
        Path& path = paths[number];
        consider(path.present);
        switch (value.kind) {
            case Value::Kind::null: consider(path.nulls); break;
            case Value::Kind::boolean: consider(path.truths[value.truth]); break;
            case Value::Kind::number:
            case Value::Kind::time: {
                const auto& table = value.kind == Value::Kind::time ? path.times : path.numbers;
                if (const auto at = table.find(value.number); at != table.end()) consider(at->second);
                if (!path.number_ranges.empty()) path.number_ranges.each(value.number, [&](Id id) { consider(id); });
                break;
            }
            case Value::Kind::text:
                if (!path.texts.empty())
                    if (const auto at = path.texts.find(value.text); at != path.texts.end()) consider(at->second);
                for (const auto& [length, table] : path.prefixes) {
                    if (length > value.text.size()) break;
                    if (const auto at = table.find(value.text.substr(0, length)); at != table.end()) consider(at->second);
                }
                if (!path.text_ranges.empty()) path.text_ranges.each(value.text, [&](Id id) { consider(id); });
                break;
            default: break;
        }
    }
};

FilterIndex::FilterIndex() : state_(std::make_unique<State>()) {}
FilterIndex::~FilterIndex() = default;

std::size_t FilterIndex::size() const { return state_->count; }
std::uint64_t FilterIndex::malformed() const { return state_->malformed; }

FilterIndex::Id FilterIndex::add(const Filter& filter) {
    State& s = *state_;
    Id id;
    if (s.free_slots.empty()) {
        id = static_cast<Id>(s.slots.size());
        s.slots.push_back(std::make_unique<Slot>());
    } else {
        id = s.free_slots.back();
        s.free_slots.pop_back();
        s.slots[id] = std::make_unique<Slot>();
    }
    Slot& slot = *s.slots[id];
    slot.used = true;
    slot.condition = s.compile(filter.root());
    ++s.count;
    if (slot.condition.kind == Kind::all) {
        s.always.push_back(id);
    } else if (slot.condition.kind != Kind::none) {
        std::size_t total = 0;
        if (!s.find_cover(slot.condition, slot.cover, total)) slot.cover.clear();
        for (const Entry& entry : slot.cover) s.enter(entry, id);
        if (slot.cover.empty()) s.residual.push_back(id);
    }
    return id;
}

void FilterIndex::remove(Id id) {
    State& s = *state_;
    WEIR_ASSERT(id < s.slots.size() && s.slots[id] && s.slots[id]->used);
    Slot& slot = *s.slots[id];
    if (slot.condition.kind == Kind::all) {
        erase_one(s.always, id);
    } else if (slot.condition.kind != Kind::none) {
        for (const Entry& entry : slot.cover) s.leave(entry, id);
        if (slot.cover.empty()) erase_one(s.residual, id);
    }
    s.release(slot.condition);
    s.slots[id].reset();
    s.free_slots.push_back(id);
    --s.count;
}

std::span<const FilterIndex::Id> FilterIndex::match(std::string_view stream, const EventView& event) {
    State& s = *state_;
    Places& places = s.places;
    places.begin_event();
    s.matched.assign(s.always.begin(), s.always.end());
    if (s.path_numbers.empty()) return s.matched;
    places.set_text(field_id, event.id);
    places.set_text(field_type, event.type);
    places.set_text(field_stream, stream);
    if (!event.key.empty()) places.set_text(field_key, event.key);
    if (!event.source.empty()) places.set_text(field_source, event.source);
    if (!places.paths(field_time).empty())
        places.set(field_time, {.kind = Value::Kind::time, .number = static_cast<long double>(event.time.micros()), .text = {}});
    if (!places.read_data(event.data)) ++s.malformed;
    for (const auto place : places.touched())
        if (places.has(place))
            for (const auto path : places.paths(place)) s.look_up(path);
    s.consider(s.residual);
    return s.matched;
}

}  // namespace weir
