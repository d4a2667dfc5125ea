#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/verbs.h"
#include "base/clock.h"

namespace weir {

int run_check(int argc, char** argv) {
    CLI::App app{"Checks a configuration and prints what is in force, with where each value comes from.\n\n  weir check -c weir.toml", "weir check"};
    ConfigArguments arguments;
    arguments.declare(app);
    bool reference = false, example = false;
    app.add_flag("--print-reference", reference, "Print the page of all options (docs/configuration.md) and end");
    app.add_flag("--print-example", example, "Print a file with every option and its default, and end");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    if (reference || example) {
        std::fputs((reference ? print_reference() : print_example()).c_str(), stdout);
        return exit_done;
    }
    const auto config = arguments.load(app.remaining());
    if (!config.ok()) return report(config.error());
    std::fputs(check_report(*config, SystemClock()).c_str(), stdout);
    return exit_done;
}

}  // namespace weir
