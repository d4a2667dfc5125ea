#include "event/event.h"

#include "base/assert.h"

namespace weir {

std::string to_text(Epoch epoch) {
    static constexpr char hex[] = "0123456789abcdef";
    std::string out(16, '0');
    for (std::size_t i = 0; i < 16; ++i) out[i] = hex[(epoch.value >> (60 - 4 * i)) & 15];
    return out;
}

bool is_stream_name(std::string_view name) {
    if (name.empty() || name.size() > 128) return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
               c == '/';
    });
}

void EventList::add(const EventView& event) {
    WEIR_ASSERT(event.id.size() <= 255);
    WEIR_ASSERT(event.type.size() <= 255);
    WEIR_ASSERT(event.key.size() <= 255);
    WEIR_ASSERT(event.source.size() <= 255);
    WEIR_ASSERT(event.data.size() <= 256 * 1024);
    records_.push_back({event.time, event.ingested, text_.size(), static_cast<std::uint32_t>(event.data.size()),
                        static_cast<std::uint8_t>(event.id.size()), static_cast<std::uint8_t>(event.type.size()),
                        static_cast<std::uint8_t>(event.key.size()), static_cast<std::uint8_t>(event.source.size())});
    text_ += event.id;
    text_ += event.type;
    text_ += event.key;
    text_ += event.source;
    text_ += event.data;
}

}  // namespace weir
