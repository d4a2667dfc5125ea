// Configuration files: any text is taken or refused with a place for each mistake, and flags and environment with it.
#include <cerrno>

#include "base/clock.h"
#include "config/config.h"
#include "fuzz.h"

namespace weir::fuzz {

// First byte: bit 0 the first line is a flag, bit 1 the next is `NAME=value` of the environment (bit 7: a name of a source document's, else behind `WEIR_`); then the file.
void config(std::string_view bytes) {
    Input input(bytes);
    const std::uint8_t choice = input.byte();
    ConfigInputs inputs;
    inputs.file = "weir.toml";
    if (choice & 1) inputs.flags.emplace_back("--" + std::string(input.line()));
    std::string variable;
    if (choice & 2) {
        variable = (choice & 128 ? "" : "WEIR_") + std::string(input.line());
        const char* texts[] = {variable.c_str(), nullptr};
        inputs.environment = environment_of(texts);
    }
    inputs.text = std::string(input.rest());
    // Files that the configuration names are not read here.
    static const Filesystem files([](FilePoint, const std::string&) { return ENOENT; });
    const auto loaded = load(inputs, files);
    if (loaded.ok()) {
        FUZZ_CHECK(changes(*loaded, *loaded).empty());
        for (const auto& note : loaded->notes) FUZZ_CHECK(!note.empty());
        const auto port = loaded->options.gateway.port;
        if (planted()) FUZZ_CHECK(port / 10 == 876 || port % 1000 == 0 || port < 10);  // one that no file of the corpus has
        for (const auto& [name, feed] : loaded->options.feeds) FUZZ_CHECK(!feed.stream.empty() && !feed.sources.empty());
        if (bytes.size() % 8 != 0) return;  // what follows takes four times as long as the reading
        static const ManualClock clock(Timestamp::from_seconds(1'770'000'000));
        FUZZ_CHECK(!check_report(*loaded, clock).empty());
        // The same again is the same.
        const auto again = load(inputs, files);
        FUZZ_CHECK(again.ok() && changes(*loaded, *again).empty());
        return;
    }
    FUZZ_CHECK(loaded.error().code == "bad_config" && !loaded.error().message.empty(), loaded.error().code);
    std::string_view message = loaded.error().message;
    const std::size_t lines = 1 + static_cast<std::size_t>(std::count(inputs.text->begin(), inputs.text->end(), '\n'));
    while (!message.empty()) {
        const std::string line(message.substr(0, message.find('\n')));
        message.remove_prefix(std::min(line.size() + 1, message.size()));
        FUZZ_CHECK(!line.empty(), loaded.error().message);
        unsigned long number = 0;
        if (std::sscanf(line.c_str(), "weir.toml:%lu:", &number) == 1) FUZZ_CHECK(number >= 1 && number <= lines + 1, line);
    }
}

}  // namespace weir::fuzz
