#include "app/commands/config_arguments.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "app/commands/commands.h"

namespace weir {

void ConfigArguments::declare(CLI::App& app) {
    app.add_option("-c,--config", file_, "TOML file (default: weir.toml in this folder, if there is one)");
    app.add_option("--set", set_, "One option by its path: --set gateway.port=9000. May be repeated; --gateway.port 9000 is the same")
        ->take_all();
    app.allow_extras();
}

Result<Config> ConfigArguments::load(const std::vector<std::string>& remaining) const {
    ConfigInputs inputs;
    inputs.file = file_;
    std::error_code ignored;
    if (file_.empty() && std::filesystem::exists("weir.toml", ignored)) inputs.file = "weir.toml";
    inputs.environment = environment_of(environ);
    for (const std::string& set : set_) {
        inputs.flags.push_back("--set");
        inputs.flags.push_back(set);
    }
    inputs.flags.insert(inputs.flags.end(), remaining.begin(), remaining.end());
    return weir::load(inputs);
}

namespace {

// A command line is for everybody to read (`ps`): what is a password in a url there is overwritten once it has been taken.
void wipe_passwords(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        char* const user = std::strstr(argv[i], "://");
        if (!user) continue;
        char* const end = user + 3 + std::strcspn(user + 3, "/?#");
        char* at = nullptr;
        for (char* c = user + 3; c < end; ++c)
            if (*c == '@') at = c;
        char* const colon = at ? static_cast<char*>(std::memchr(user + 3, ':', static_cast<std::size_t>(at - user - 3))) : nullptr;
        if (colon) std::memset(colon + 1, 'x', static_cast<std::size_t>(at - colon - 1));
        if (char* parameter = std::strstr(end, "password=")) std::memset(parameter + 9, 'x', std::strcspn(parameter + 9, "&#"));
    }
}

}  // namespace

std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv) {
    try {
        app.parse(argc, argv);
        wipe_passwords(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? exit_done : exit_misused;
    }
    return std::nullopt;
}

int report(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    // What a person typed, in a file or on the command line.
    return error.code == "bad_config" || error.code == "bad_url" ? exit_misused : exit_failed;
}

}  // namespace weir
