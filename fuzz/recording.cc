// Files that people bring: recordings as NDJSON and CSV, plain and gzip, and the windows whose documents are written from the log.
#include <sys/mman.h>
#include <unistd.h>

#include "event/json.h"
#include "feeds/recording.h"
#include "fuzz.h"
#include "stores/blob_document.h"

namespace weir::fuzz {
namespace {

/// A file in memory, since recordings are read by path.
std::string file_of(std::string_view bytes) {
    static const int fd = ::memfd_create("recording", 0);
    FUZZ_CHECK(fd >= 0 && ::ftruncate(fd, 0) == 0 && ::pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    return "/proc/self/fd/" + std::to_string(fd);
}

std::string play(Recording& recording) {
    std::string out;
    for (int errors = 0; errors < 20;) {
        Recording::Record record;
        const auto more = recording.next(record);
        if (!more.ok()) {
            FUZZ_CHECK(!more.error().message.empty());
            out += "error " + more.error().code + "\n";
            ++errors;
            // A broken stream does not go on; a bad line does.
            if (more.error().code != "bad_recording") return out;
            continue;
        }
        if (!*more) return out;
        if (record.is_event) FUZZ_CHECK(record.id.size() <= 255 && Json::parse(record.message).ok(), record.message);
        out += to_rfc3339(record.at) + " " + record.id + " " + record.type + " " + record.key + " " + record.message + "\n";
    }
    return out;
}

void documents(std::string_view text, std::uint8_t choice) {
    const auto parsed = parse_window(text);
    if (!parsed.ok()) {
        FUZZ_CHECK(parsed.error().code == "bad_window");
        return;
    }
    BlobWindow window = *parsed;
    window.readings = {{"r1", "websocket", "0", window.start, window.start + 1s, {1}}, {"r2", "http", "4.50", window.start + 1s, window.start + 2s, {2}}};
    for (const auto profile : {BlobProfile::weir, BlobProfile::s0, BlobProfile::s1_raw, BlobProfile::s1_summary}) {
        if (!is_written(window, profile)) continue;
        for (const std::string& document : {raw_document(window, profile, {7}), summary_document(window, profile, {7})}) FUZZ_CHECK(Json::parse(document).ok(), document);
    }
    FUZZ_CHECK(Json::parse(bundle_document({window, window}, {7}, true)).ok());
    BlobName name;
    name.layout = choice & 2 ? BlobLayout::hybrid : choice & 4 ? BlobLayout::raw : BlobLayout::summary;
    if (choice & 8) name.zone = *Zone::find("Europe/Zurich");
    if (choice & 16) name.key = window.key;
    name.stream = window.stream;
    const std::string raw = raw_name(name, window.start, window.end), summary = summary_name(name, window.start);
    for (const std::string& path : {raw, summary}) {
        FUZZ_CHECK(path.find("..") == path.npos || path.find("/../") == path.npos, path);
        FUZZ_CHECK(!path.starts_with('/') && path.find("//") == path.npos && path.find('\0') == path.npos, path);
    }
}

}  // namespace

// First byte: odd for a window's data, even for a file.
void recording(std::string_view bytes) {
    Input input(bytes);
    const std::uint8_t choice = input.byte();
    if (choice & 1) return documents(input.rest(), choice);
    auto opened = Recording::open(file_of(input.rest()));
    if (!opened.ok()) {
        FUZZ_CHECK(!opened.error().message.empty());
        return;
    }
    const std::string first = play(*opened);
    FUZZ_CHECK(opened->rewind().ok());
    std::string second = play(*opened);
    if (planted() && first.find("\\\"") != first.npos) second.clear();
    FUZZ_CHECK(first == second);
}

}  // namespace weir::fuzz
