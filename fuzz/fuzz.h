#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace weir::fuzz {

/// One thing that reads foreign bytes. `run` gives it some and checks what came of it; it aborts when a property does not hold.
struct Target {
    const char* name;
    void (*run)(std::string_view input);
};

void websocket(std::string_view input);
void http(std::string_view input);
void json(std::string_view input);
void decoder(std::string_view input);
void filter(std::string_view input);
void block(std::string_view input);
void schedule(std::string_view input);
void recording(std::string_view input);
void config(std::string_view input);
void time(std::string_view input);
void analytics(std::string_view input);
void spc(std::string_view input);
void broadcast(std::string_view input);
void door(std::string_view input);
void tokens(std::string_view input);
void resume(std::string_view input);
void alerts(std::string_view input);

inline constexpr Target targets[] = {{"websocket", websocket}, {"http", http},           {"json", json}, {"decoder", decoder},     {"filter", filter},
                                     {"block", block},         {"schedule", schedule},   {"recording", recording}, {"config", config}, {"time", time},
                                     {"analytics", analytics}, {"spc", spc},             {"broadcast", broadcast}, {"door", door}, {"tokens", tokens},
                                     {"resume", resume},       {"alerts", alerts}};

/// The self-test (WEIR_FUZZ_PLANT=1): each target then sees one answer falsified, in a case that its corpus does not hold but that mutation
/// reaches. A run that does not end by a failed check proves nothing about the code, but a lot about the target.
inline bool planted() {
    static const bool on = std::getenv("WEIR_FUZZ_PLANT") != nullptr;
    return on;
}

[[noreturn]] inline void fail(const char* condition, const char* file, int line, const std::string& what) {
    std::fprintf(stderr, "%s:%d: does not hold: %s%s%s\n", file, line, condition, what.empty() ? "" : "\n", what.c_str());
    std::abort();
}

/// Takes an input apart: a few bytes that choose, then the rest.
class Input {
public:
    explicit Input(std::string_view bytes) : bytes_(bytes) {}
    /// 0 at the end.
    std::uint8_t byte() {
        if (bytes_.empty()) return 0;
        const auto b = static_cast<std::uint8_t>(bytes_.front());
        bytes_.remove_prefix(1);
        return b;
    }
    /// Up to a newline, which is taken too.
    std::string_view line() {
        const std::size_t end = bytes_.find('\n');
        const std::string_view found = bytes_.substr(0, end);
        bytes_.remove_prefix(end == bytes_.npos ? bytes_.size() : end + 1);
        return found;
    }
    std::string_view rest() const { return bytes_; }

private:
    std::string_view bytes_;
};

}  // namespace weir::fuzz

#define FUZZ_CHECK(condition, ...) \
    ((condition) ? void() : ::weir::fuzz::fail(#condition, __FILE__, __LINE__, std::string{__VA_ARGS__}))
