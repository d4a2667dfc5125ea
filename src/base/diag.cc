#include "base/diag.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

namespace weir::diag {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::debug: return spdlog::level::debug;
        case Level::info: return spdlog::level::info;
        case Level::warn: return spdlog::level::warn;
        case Level::error: return spdlog::level::err;
        case Level::off: return spdlog::level::off;
    }
    return spdlog::level::info;
}

// spdlog cannot escape for JSON, so the message is escaped before it gets there.
std::string json_escaped(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 8);
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (u < 0x20) {
            static constexpr char hex[] = "0123456789abcdef";
            out += "\\u00";
            out += hex[u >> 4];
            out += hex[u & 15];
        } else {
            out += c;
        }
    }
    return out;
}

struct State {
    std::shared_ptr<spdlog::logger> logger;
    Format format = Format::text;
};

std::shared_ptr<spdlog::logger> make_logger(const Options& options) {
    spdlog::sink_ptr sink;
    if (options.file.empty())
        sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    else
        sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    auto logger = std::make_shared<spdlog::logger>("weir", std::move(sink));
    const char* pattern = options.format == Format::json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%v"})"
                                                         : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v";
    logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
    logger->set_level(to_spdlog(options.level));
    logger->flush_on(spdlog::level::info);
    return logger;
}

State& state() {
    static State instance{make_logger({}), Format::text};
    return instance;
}

std::atomic<Level> current_level{Level::info};

}  // namespace

void configure(const Options& options) {
    state() = {make_logger(options), options.format};
    current_level.store(options.level, std::memory_order_relaxed);
}

void set_level(Level level) {
    state().logger->set_level(to_spdlog(level));
    current_level.store(level, std::memory_order_relaxed);
}

bool enabled(Level level) noexcept { return level >= current_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view message) {
    State& s = state();
    if (s.format == Format::json)
        s.logger->log(to_spdlog(level), spdlog::string_view_t(json_escaped(message)));
    else
        s.logger->log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

void flush() { state().logger->flush(); }

}  // namespace weir::diag
