// One program for all targets: WEIR_FUZZ_TARGET names the one to run.
#include <cstring>

#include "fuzz.h"

namespace {
const weir::fuzz::Target* chosen = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    const char* name = std::getenv("WEIR_FUZZ_TARGET");
    for (const auto& target : weir::fuzz::targets)
        if (name && std::strcmp(target.name, name) == 0) chosen = &target;
    if (chosen) return 0;
    std::fprintf(stderr, "WEIR_FUZZ_TARGET names no target; there are:");
    for (const auto& target : weir::fuzz::targets) std::fprintf(stderr, " %s", target.name);
    std::fprintf(stderr, "\n");
    std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    chosen->run({reinterpret_cast<const char*>(data), size});
    return 0;
}
