#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace CLI {
class App;
}

namespace weir {

/// `-c FILE`, `--set PATH=VALUE` and `--gateway.port 9000` of the verbs that read a configuration.
class ConfigArguments {
public:
    /// Declares the options. `weir.toml` in the working folder is read when no file is named and there is one.
    void declare(CLI::App& app);
    /// Reads the configuration; flags that the verb did not know are option paths.
    Result<Config> load(const std::vector<std::string>& remaining) const;

private:
    std::string file_;
    std::vector<std::string> set_;
};

/// Parses, then wipes passwords of urls from argv; an exit code when the verb should end now: help printed (0) or a mistake (2, said on stderr).
std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv);

/// The mistakes of a configuration or a url, one a line on stderr, and exit code 2; other errors give 1.
int report(const Error& error);

}  // namespace weir
