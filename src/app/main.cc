#include <cstdio>
#include <string>

#include "app/commands/commands.h"
#include "app/version.h"
#include "base/heap.h"

namespace {

using weir::Command;

void print_help() {
    std::printf(
        "weir %s: taps live feeds, keeps every reading, and pushes windows, charts and alerts to many clients.\n\n"
        "  weir serve -c examples/zurich-pools.toml     records a feed and serves http://127.0.0.1:8765\n\n",
        weir::version);
    for (const Command& command : weir::commands())
        std::printf("  %-10.*s %.*s\n", static_cast<int>(command.verb.size()), command.verb.data(), static_cast<int>(command.summary.size()),
                    command.summary.data());
    std::printf("\n`weir <verb> --help` tells the rest. Exit codes: 0 done, 1 failed, 2 misused.\n");
}

// Levenshtein distance: which verb a mistyped one was meant to be.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

int unknown_verb(std::string_view verb) {
    const Command* nearest = nullptr;
    std::size_t best = 3;  // further away than two letters is no mistyping
    for (const Command& command : weir::commands())
        if (const std::size_t d = distance(verb, command.verb); d < best) best = d, nearest = &command;
    std::fprintf(stderr, "weir: there is no verb \"%.*s\"", static_cast<int>(verb.size()), verb.data());
    if (nearest) std::fprintf(stderr, "; did you mean \"%.*s\"?", static_cast<int>(nearest->verb.size()), nearest->verb.data());
    std::fprintf(stderr, " `weir --help` lists them.\n");
    return weir::exit_misused;
}

}  // namespace

int main(int argc, char** argv) {
    weir::heap::arrange();
    if (argc < 2) {
        print_help();
        return weir::exit_misused;
    }
    const std::string_view verb = argv[1];
    if (verb == "--help" || verb == "-h" || verb == "help") {
        print_help();
        return weir::exit_done;
    }
    if (verb == "--version" || verb == "version") {
        std::printf("weir %s\n", weir::version);
        return weir::exit_done;
    }
    for (const Command& command : weir::commands())
        if (command.verb == verb) return command.run(argc - 1, argv + 1);
    return unknown_verb(verb);
}
