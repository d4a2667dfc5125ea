// fuzz_replay FOLDER: every file of FOLDER/<target>/ through its target, whole and cut off at each of its first bytes. With any compiler, so that each
// ordinary test run covers what fuzzing has found.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "fuzz.h"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: fuzz_replay FOLDER\n");
        return 2;
    }
    constexpr std::size_t cuts_max = 600;
    bool all_there = true;
    for (const auto& target : weir::fuzz::targets) {
        const std::filesystem::path folder = std::filesystem::path(argv[1]) / target.name;
        std::vector<std::filesystem::path> files;
        if (std::filesystem::is_directory(folder))
            for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
        std::sort(files.begin(), files.end());
        std::size_t inputs = 0;
        for (const auto& file : files) {
            std::ostringstream bytes;
            bytes << std::ifstream(file, std::ios::binary).rdbuf();
            const std::string text = bytes.str();
            for (std::size_t size = 0; size < std::min(text.size(), cuts_max); ++size, ++inputs) target.run(std::string_view(text).substr(0, size));
            target.run(text);
            ++inputs;
        }
        std::printf("%-10s %4zu files %6zu inputs\n", target.name, files.size(), inputs);
        all_there = all_there && !files.empty();
    }
    return all_there ? 0 : 1;
}
