#include "stores/object_store.h"

#include <charconv>

#include "event/json.h"
#include "net/gzip.h"

namespace weir {

std::optional<Epoch> epoch_from_text(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return error == std::errc() && end == text.data() + text.size() && text.size() == 16 ? std::optional(Epoch{value}) : std::nullopt;
}

std::optional<ObjectVersion> version_in_document(std::string_view bytes) {
    constexpr std::size_t document_bytes_max = 256u << 20;
    std::string text(bytes);
    if (net::is_gzip(text)) {
        auto plain = net::gunzip(text, document_bytes_max);
        if (!plain.ok()) return std::nullopt;
        text = *std::move(plain);
    }
    const auto document = Json::parse(text);
    if (!document.ok()) return std::nullopt;
    const auto epoch = document->find_string("epoch");
    const Json* revision = document->find("revision");
    if (!epoch || !revision || !revision->as_integer()) return std::nullopt;
    const auto parsed = epoch_from_text(*epoch);
    return parsed ? std::optional(ObjectVersion{*parsed, static_cast<std::uint64_t>(*revision->as_integer())}) : std::nullopt;
}

}  // namespace weir
