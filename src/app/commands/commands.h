#pragma once
#include <span>
#include <string_view>

namespace weir {

/// Exit codes of every verb (docs/commands.md): 0 done, 1 failed, 2 misused.
enum ExitCode : int { exit_done = 0, exit_failed = 1, exit_misused = 2 };

/// One verb of `weir <verb>`: a file of its own under app/commands.
struct Command {
    std::string_view verb;
    std::string_view summary;  ///< one line for `weir --help`
    int (*run)(int argc, char** argv);  ///< argv[0] is the verb
};

/// Every verb, in the order in which `weir --help` shows them.
std::span<const Command> commands();

}  // namespace weir
