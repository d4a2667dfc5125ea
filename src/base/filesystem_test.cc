#include "base/filesystem.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

using namespace weir;

namespace {
struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/weir-fs-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
};
}  // namespace

TEST_CASE("filesystem: what was written is read back, and replaced whole") {
    Folder folder;
    const Filesystem files;
    const std::string path = folder.path + "/a.json";
    CHECK(files.write_atomically(path, "one").ok());
    CHECK(files.write_atomically(path, std::string(300'000, 'x'), Fsync::no).ok());
    CHECK(files.read(path).value() == std::string(300'000, 'x'));
    CHECK(files.write_atomically(path, "").ok());
    CHECK(files.read(path).value().empty());
    CHECK(files.list(folder.path).value() == std::vector<std::string>{"a.json"});
}

TEST_CASE("filesystem: a name as long as the system allows can be written") {
    Folder folder;
    const std::string path = folder.path + "/" + std::string(255, 'n');
    CHECK(Filesystem().write_atomically(path, "x").ok());
}

TEST_CASE("filesystem: a write that fails at any point leaves the old file and no temporary one (fault sweep)") {
    for (const int number : {ENOSPC, EACCES, EIO}) {
        for (int fail_at = 0;; ++fail_at) {
            Folder folder;
            const std::string path = folder.path + "/window.json";
            REQUIRE(Filesystem().write_atomically(path, "old").ok());
            int step = 0;
            FilePoint point{};
            const Filesystem files([&](FilePoint p, const std::string&) {
                if (step++ != fail_at) return 0;
                point = p;
                return number;
            });
            const auto written = files.write_atomically(path, "new");
            if (written.ok()) {
                CHECK(fail_at == 5);
                CHECK(Filesystem().read(path).value() == "new");
                break;
            }
            CAPTURE(to_text(point));
            CHECK(Filesystem().read(path).value() == (point == FilePoint::sync_folder ? "new" : "old"));
            CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
            CHECK(written.error().code == (number == ENOSPC ? "disk_full" : number == EACCES ? "no_permission" : "io_error"));
            CHECK(written.error().message.find(path + ": cannot ") == 0);
        }
    }
}

TEST_CASE("filesystem: under a precondition a file is made only where there is none, and replaced only while it holds what was read") {
    Folder folder;
    const Filesystem files;
    const std::string path = folder.path + "/a.json";
    CHECK_FALSE(files.replace_atomically(path, "old", "new").value());  // there is none
    CHECK_FALSE(files.exists(path));
    CHECK(files.replace_atomically(path, std::nullopt, "one").value());
    CHECK_FALSE(files.replace_atomically(path, std::nullopt, "two").value());
    CHECK_FALSE(files.replace_atomically(path, "other", "two").value());
    CHECK_FALSE(files.replace_atomically(path, "on", "two").value());
    CHECK(files.read(path).value() == "one");
    CHECK(files.replace_atomically(path, "one", "two", Fsync::no).value());
    CHECK(files.read(path).value() == "two");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("filesystem: a replacement that loses the race at the last moment gives back what the faster one wrote") {
    for (const bool there : {true, false}) {
        Folder folder;
        const std::string path = folder.path + "/a.json";
        if (there) REQUIRE(Filesystem().write_atomically(path, "one").ok());
        // The last step before the rename.
        const Filesystem files([&](FilePoint p, const std::string&) {
            if (p == FilePoint::rename) REQUIRE(Filesystem().write_atomically(path, "of another process").ok());
            return 0;
        });
        CHECK_FALSE(files.replace_atomically(path, there ? std::optional<std::string_view>("one") : std::nullopt, "two").value());
        CHECK(Filesystem().read(path).value() == "of another process");
        CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
    }
}

TEST_CASE("filesystem: errors name the path, what was tried and the system's text") {
    Folder folder;
    const Filesystem full([](FilePoint p, const std::string&) { return p == FilePoint::write_temporary ? ENOSPC : 0; });
    CHECK(full.write_atomically(folder.path + "/x", "1").error() ==
          Error{"disk_full", folder.path + "/x: cannot write: No space left on device (ENOSPC)"});
    CHECK(Filesystem().read(folder.path + "/none").error() ==
          Error{"not_found", folder.path + "/none: cannot open: No such file or directory (ENOENT)"});
    CHECK(Filesystem().write_atomically(folder.path + "/none/x", "1").error().code == "not_found");
    CHECK(Filesystem().list(folder.path + "/none").error().code == "not_found");
    CHECK(Filesystem().free_bytes(folder.path + "/none").error().code == "not_found");
}

TEST_CASE("filesystem: a file larger than the caller allows is refused") {
    Folder folder;
    REQUIRE(Filesystem().write_atomically(folder.path + "/x", "12345").ok());
    CHECK(Filesystem().read(folder.path + "/x", 5).ok());
    CHECK(Filesystem().read(folder.path + "/x", 4).error().code == "too_large");
}

TEST_CASE("filesystem: folders are made with all that is missing above them, and making them again is no error") {
    Folder folder;
    const Filesystem files;
    CHECK(files.create_folders(folder.path + "/a/b//c/").ok());
    CHECK(files.create_folders(folder.path + "/a/b/c").ok());
    CHECK(files.exists(folder.path + "/a/b/c"));
    REQUIRE(files.write_atomically(folder.path + "/a/file", "").ok());
    CHECK(!files.create_folders(folder.path + "/a/file/x").ok());
    const Filesystem refused([](FilePoint, const std::string&) { return EACCES; });
    CHECK(refused.create_folders(folder.path + "/q").error().code == "no_permission");
}

TEST_CASE("filesystem: temporary files of a killed process are swept, files are not") {
    Folder folder;
    const Filesystem files;
    REQUIRE(files.write_atomically(folder.path + "/keep", "1").ok());
    REQUIRE(files.write_atomically(folder.path + "/.weir-tmp-999999999-0", "1").ok());
    REQUIRE(files.write_atomically(folder.path + "/.weir-tmp-1-0", "1").ok());  // process 1 lives
    CHECK(files.list(folder.path).value() == std::vector<std::string>{"keep"});
    CHECK(files.sweep_temporaries(folder.path).ok());
    CHECK(!files.exists(folder.path + "/.weir-tmp-999999999-0"));
    CHECK(files.exists(folder.path + "/.weir-tmp-1-0"));
    CHECK(files.exists(folder.path + "/keep"));
}

TEST_CASE("filesystem: removing what is not there is no error, and free space is a number") {
    Folder folder;
    CHECK(Filesystem().remove(folder.path + "/none").ok());
    CHECK(Filesystem().free_bytes(folder.path).value() > 0);
}
