#include "event/excerpt.h"

#include <simdjson.h>

namespace weir {

std::string excerpt(std::string_view text, std::size_t bytes_max) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const auto c = static_cast<unsigned char>(text[i]);
        std::size_t length = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
        if (i + length > text.size() || (c >= 0x80 && !simdjson::validate_utf8(text.data() + i, length))) length = 1;
        if (out.size() + length > bytes_max) return out + "...";
        const bool is_c1 = length == 2 && c == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;  // U+0080 to U+009F: terminals obey them
        if (is_c1 || (length == 1 && (c < 0x20 || c >= 0x7f)))
            out += '?';
        else
            out.append(text, i, length);
        i += length;
    }
    return out;
}

std::string cut(std::string_view text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return std::string(text);
    std::size_t end = bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    return std::string(text.substr(0, end));
}

}  // namespace weir
