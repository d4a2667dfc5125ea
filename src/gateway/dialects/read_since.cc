#include "gateway/dialects/read_since.h"

#include <charconv>

namespace weir {

std::optional<Since> read_last(const Json& value) {
    const auto n = value.as_integer();
    if (!n || *n < 0 || *n > static_cast<std::int64_t>(HistoryReader::kLastMax)) return std::nullopt;
    Since since;
    since.at = Since::Last{static_cast<std::size_t>(*n)};
    return since;
}

std::optional<Since::Positions> read_positions(const Json& value) {
    if (!value.is_object()) return std::nullopt;
    Since::Positions positions;
    for (const auto& [name, position] : value.members()) {
        const Json* seq = position.find("seq");
        const auto epoch = position.find_string("epoch");
        const auto n = seq ? seq->as_integer() : std::nullopt;
        if (!n || *n < 0 || !epoch) return std::nullopt;
        Since::Position at;
        at.seq = Seq{static_cast<std::uint64_t>(*n)};
        const auto [end, error] = std::from_chars(epoch->data(), epoch->data() + epoch->size(), at.epoch.value, 16);
        if (error != std::errc() || end != epoch->data() + epoch->size()) return std::nullopt;
        positions.emplace(name, at);
    }
    return positions;
}

std::optional<Since> read_since(const Json& value) {
    Since since;
    if (value.is_string()) {
        const auto time = parse_rfc3339(value.as_string(), Offset::optional);
        if (!time) return std::nullopt;
        since.at = *time;
        return since;
    }
    if (const Json* last = value.find("last"); last && !last->is_object()) return value.members().size() == 1 ? read_last(*last) : std::nullopt;
    auto positions = read_positions(value);
    if (!positions) return std::nullopt;
    since.at = *std::move(positions);
    return since;
}

}  // namespace weir
