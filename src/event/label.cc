#include "event/label.h"

#include "event/excerpt.h"

namespace weir {

Label::Label(std::string_view text) {
    while (!text.empty()) {
        const auto open = std::min(text.find('{'), text.size());
        const auto close = text.find('}', open);
        if (close == std::string_view::npos) {
            pieces_.emplace_back(std::string(text), std::nullopt);
            return;
        }
        auto path = JsonPath::parse(text.substr(open + 1, close - open - 1));
        pieces_.emplace_back(std::string(text.substr(0, open)), path.ok() ? std::optional(std::move(*path)) : std::nullopt);
        text.remove_prefix(close + 1);
    }
}

std::string Label::of(std::string_view data) const {
    std::string out;
    for (const auto& [before, path] : pieces_) {
        out += before;
        if (!path) continue;
        if (const auto text = path->string(data))
            out += excerpt(*text);
        else
            out += excerpt(path->find(data).value_or("?"));
    }
    return out;
}

}  // namespace weir
