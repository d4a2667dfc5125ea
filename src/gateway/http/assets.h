#pragma once
#include <span>
#include <string_view>

namespace weir {

/// A file of the page, embedded at build time from ui/dist (cmake/page.cmake). Lives as long as the process.
struct Asset {
    std::string_view path;   ///< below the root: "index.html", "assets/weir.js"
    std::string_view type;   ///< media type
    std::string_view bytes;
    std::string_view gzip;   ///< the same, compressed; empty where that does not pay
    std::string_view etag;   ///< in quotes, from the content
};

std::span<const Asset> assets();
/// Null if there is none. "" is the page itself.
const Asset* find_asset(std::string_view path);

}  // namespace weir
