#include "feeds/source.h"

namespace weir {

std::string_view to_text(SourceKind kind) {
    switch (kind) {
        case SourceKind::websocket: return "websocket";
        case SourceKind::http: return "http";
        case SourceKind::html: return "html";
        case SourceKind::replay: return "replay";
        case SourceKind::simulate: return "simulate";
    }
    return "";
}

std::string_view to_text(Source::Health::State state) {
    switch (state) {
        case Source::Health::State::idle: return "idle";
        case Source::Health::State::connecting: return "connecting";
        case Source::Health::State::connected: return "connected";
        case Source::Health::State::waiting: return "waiting";
    }
    return "";
}

}  // namespace weir
