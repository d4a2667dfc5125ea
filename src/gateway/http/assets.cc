#include "gateway/http/assets.h"

namespace weir {

const Asset* find_asset(std::string_view path) {
    if (path.empty()) path = "index.html";
    for (const Asset& asset : assets())
        if (asset.path == path) return &asset;
    return nullptr;
}

}  // namespace weir
