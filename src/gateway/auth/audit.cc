#include "gateway/auth/audit.h"

#include <chrono>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/diag.h"
#include "base/guarded.h"
#include "event/excerpt.h"

namespace weir {
namespace {

constexpr std::uint64_t kLinesPerSecond = 500;  // of one kind

/// Names and paths are what a peer likes: they end no line, and look like no field of the line's own.
void append(std::string& out, std::string_view text) {
    const std::string shown = excerpt(text, 200);
    for (std::size_t i = 0; i < shown.size(); ++i) {
        const std::string_view rest = std::string_view(shown).substr(i);
        out += rest.starts_with(" peer=") || rest.starts_with(" who=") || rest.starts_with(" path=") ? '?' : shown[i];
    }
}

struct Flood {
    std::int64_t second = 0;
    std::uint64_t lines = 0, held_back = 0;
};

}  // namespace

void audit(Audit level, const AuditLine& line) {
    // Each kind has its own: whoever makes lines of one kind without end (wrong tokens, subscriptions) must not hide the others.
    // Never destroyed: what ends at the very end of the process has its line too.
    static auto& floods = *new Guarded<std::map<std::string, Flood, std::less<>>>;
    static const auto& clock = *new SystemClock;  // only for the bound on lines: nothing that can be seen in a test depends on it
    const std::int64_t second = clock.monotonic() / 1s;
    std::uint64_t held_back = 0;
    const bool write = floods.with([&](auto& kinds) {
        auto at = kinds.find(line.what);
        if (at == kinds.end()) at = kinds.emplace(line.what, Flood()).first;
        Flood& f = at->second;
        if (f.second != second) {
            f.second = second;
            f.lines = 0;
        }
        if (++f.lines > kLinesPerSecond) {
            ++f.held_back;
            return false;
        }
        held_back = std::exchange(f.held_back, 0);
        return true;
    });
    if (!write) return;
    std::string text = "audit: ";
    append(text, line.what);
    for (const auto& [name, value] : {std::pair{" peer=", line.peer}, std::pair{" who=", line.who}, std::pair{" path=", line.path}}) {
        text += name;
        append(text, value.empty() ? std::string_view("-") : value);
    }
    if (!line.detail.empty()) {
        text += ": ";
        append(text, line.detail);
    }
    if (held_back > 0) text += " (" + std::to_string(held_back) + " lines were held back)";
    level == Audit::warning ? diag::warn(text) : diag::info(text);
}

}  // namespace weir
