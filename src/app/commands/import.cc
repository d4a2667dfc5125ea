#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <limits>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/verbs.h"
#include "app/server.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/failpoint.h"
#include "feeds/recording.h"
#include "log/sqlite_log.h"
#include "processors/processor.h"

namespace weir {
namespace {

/// Its wall clock stands where the recording begins, so that what is old is history and not late: time comes from the recording, commit
/// by commit. Durations are real: what fails is tried again.
class HistoryClock final : public Clock {
public:
    explicit HistoryClock(Timestamp begin) : begin_(begin) {}
    Timestamp now() const override { return begin_; }
    Duration monotonic() const override { return system_.monotonic(); }

private:
    Timestamp begin_;
    SystemClock system_;
};

Result<Timestamp> begin_of(const std::string& file) {
    WEIR_TRY(auto recording, Recording::open(file));
    Recording::Record record;
    for (;;) {
        const auto read = recording.next(record);
        // A bad line: the import itself counts it and says so.
        if (!read.ok() && read.error().code == "bad_recording") continue;
        if (!read.ok()) return read.error();
        if (!*read) return Error{"bad_recording", file + ": holds no reading"};
        return record.at;
    }
}

/// The reader in the log whose position is how many commits of a file are there. Its state: `of` says which file and rules they come
/// from, `done` is there when it is over. `broken` is there when the rest could not be read: what the file begins with, as far as it could.
std::string reader_of(const std::string& feed, const std::string& file) { return "import/" + feed + "/" + file.substr(file.rfind('/') + 1); }

/// What must be the same for an import to go on where another ended: the bytes, and how they are read.
Result<std::string> identity_of(const std::string& file, const FeedOptions& feed) {
    std::ifstream in(file, std::ios::binary);
    std::string part(1 << 20, '\0');
    std::uint64_t bytes = 0;
    while (in.read(part.data(), static_cast<std::streamsize>(part.size())), in.gcount() > 0)
        bytes = derived_hash({to_text(Epoch{bytes}), std::string_view(part.data(), static_cast<std::size_t>(in.gcount()))});
    if (in.bad()) return Error{"io_error", file + ": cannot be read to its end"};
    std::string rules = feed.stream + "\n" + std::to_string(feed.interval.count()) + "\n";
    const DecodeOptions& d = feed.decode;
    const auto list = [&](const std::vector<std::string>& texts) {
        for (const std::string& text : texts) rules += text + "\t";
        rules += "\n";
    };
    for (const auto* texts : {&d.key, &d.value, &d.time, &d.keep, &d.keys, &d.numeric_text.paths}) list(*texts);
    list({d.items, d.id, d.type, d.numeric_text.everywhere ? "all" : "", std::to_string(static_cast<int>(d.time_format))});
    return to_text(Epoch{bytes}) + to_text(Epoch{derived_hash({rules})});
}

/// The first records of a file, at most `most`, as far as it can be read: how many, and what they hold. A file that was repaired goes on where
/// the damaged one ended if it begins with the same.
std::string beginning_of(const std::string& file, std::uint64_t most) {
    std::uint64_t count = 0, hash = 0;
    auto recording = Recording::open(file);
    Recording::Record record;
    while (recording.ok() && count < most) {
        const auto read = recording->next(record);
        if (!read.ok() && read.error().code == "bad_recording") continue;  // not a commit, here or there
        if (!read.ok() || !*read) break;
        ++count;
        hash = derived_hash({to_text(Epoch{hash}), to_rfc3339(record.at), to_rfc3339(record.time), record.id, record.type, record.key, record.source, record.message});
    }
    return std::to_string(count) + " " + to_text(Epoch{hash});
}

bool begins_with(const std::string& file, const std::string& beginning) {
    return !beginning.empty() && beginning_of(file, std::strtoull(beginning.c_str(), nullptr, 10)) == beginning;
}

struct Earlier {
    bool unfinished = false;
};

/// Looked up before anything starts: what is refused appends nothing.
Result<Earlier> look_up(const LogOptions& options, const std::string& feed, const std::string& file, const std::string& identity, const Clock& clock) {
    const std::string reader = reader_of(feed, file);
    SqliteLog::Setup setup;
    setup.options = options;
    setup.clock = &clock;
    WEIR_TRY(auto log, SqliteLog::open(std::move(setup)));
    WEIR_TRY(const auto position, log->position(reader));
    WEIR_TRY(const auto state, log->state(reader));
    std::string of, broken;
    bool done = false;
    for (const auto& [key, value] : state) {
        if (key == "of") of = value;
        if (key == "broken") broken = value;
        if (key == "done") done = true;
    }
    if (position && (done || of.empty()))
        return Error{"imported_already", file + ": a file of this name was imported into feed " + feed +
                                             " already; a second time would append every reading again. If it is another recording, give it another name"};
    // The rules are the second half of it.
    const auto is_repaired = [&] { return of.substr(of.size() / 2) == identity.substr(identity.size() / 2) && begins_with(file, broken); };
    if (position && of != identity && !is_repaired())
        return Error{"import_changed", file + ": an import of a file of this name into feed " + feed + " was cut short, and the file or the feed's decode rules are not "
                                           "those of that time, so what is still missing cannot be told. Bring them back and import again, or give the file another name: "
                                           "then all of it is imported, beside what is there"};
    if (!position) {
        Commit begin;
        begin.reader = reader;
        begin.position = begin.expected_position = CommitNo{0};
        begin.state = {{"of", identity}};
        WEIR_TRY([[maybe_unused]] const auto begun, log->commit(std::move(begin)));
    }
    if (position && !broken.empty()) {
        Commit again;
        again.reader = reader;
        again.state = {{"of", identity}, {"broken", std::nullopt}};
        WEIR_TRY([[maybe_unused]] const auto begun, log->commit(std::move(again)));
    }
    return Earlier{position.has_value()};
}

Result<void> import_file(Config config, const std::string& feed, const std::string& file) {
    WEIR_TRY(const Timestamp begin, begin_of(file));
    FeedOptions options = config.options.feeds.at(feed);
    SourceOptions source;
    source.kind = SourceKind::replay;
    source.file = file;
    source.speed = 0;
    options.sources = {source};
    const std::string reader = reader_of(feed, file), stream = options.stream;
    WEIR_TRY(const std::string identity, identity_of(file, options));
    config.options.feeds = {{feed, std::move(options)}};

    const HistoryClock clock(begin);
    WEIR_TRY(const Earlier earlier, look_up(config.options.log, feed, file, identity, clock));
    if (earlier.unfinished) std::fprintf(stderr, "%s: an earlier import was cut short; it goes on where that ended\n", file.c_str());
    WEIR_TRY(auto server, Server::start(std::move(config), clock, Server::Mode::history, reader));
    const auto before = server->log().info(stream);
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    const auto imported = [&] {
        const auto now = server->log().info(stream);
        return (now ? now->head.value : 0) - (before ? before->head.value : 0);
    };
    for (;;) {
        const auto finished = server->feeds_finished();
        if (!finished.ok()) {
            Commit broken;
            broken.reader = reader;
            broken.state = {{"broken", beginning_of(file, std::numeric_limits<std::uint64_t>::max())}};
            const auto marked = server->log().commit(std::move(broken));
            const std::uint64_t events = imported();
            server->stop();
            if (!marked.ok()) return marked.error();
            return Error{finished.error().code, finished.error().message + "; the import ends behind " + std::to_string(events) + " events of it. Import the file again when it is repaired: it goes on there"};
        }
        if (*finished) break;
        if (terminal) std::fprintf(stderr, "\r%s: %llu events", file.c_str(), static_cast<unsigned long long>(imported()));
        ::usleep(20'000);
    }
    while (!server->caught_up()) ::usleep(20'000);
    const std::uint64_t events = imported();
    // Written last: an import that was cut short has no such mark and goes on, one that is repeated by mistake is refused.
    WEIR_FAILPOINT("import.before_done");
    Commit done;
    done.reader = reader;
    done.state = {{"done", to_rfc3339(SystemClock().now())}};
    const auto marked = server->log().commit(std::move(done));
    server->stop();
    if (!marked.ok()) return marked.error();
    std::fprintf(stderr, "%s%s: %llu events into stream %s\n", terminal ? "\r" : "", file.c_str(), static_cast<unsigned long long>(events), stream.c_str());
    return ok();
}

}  // namespace

int run_import(int argc, char** argv) {
    CLI::App app{
        "Takes old recordings (CSV or NDJSON, plain or .gz) into a feed's stream, with its windows and files, as history: nothing of\n"
        "it is late. Import before the live feed starts, oldest file first; weir must not be running on the folder. Time in the log\n"
        "never goes back, so what is older than the log's end is kept with its own event times but committed at the log's end.\n"
        "An import that was cut short is started again in the same way, and goes on where it ended.\n\n"
        "  weir import -c weir.toml --feed pools 2024.csv.gz 2025.csv.gz",
        "weir import"};
    ConfigArguments arguments;
    arguments.declare(app);
    std::vector<std::string> files;
    std::string feed;
    app.add_option("files", files, "Recordings, oldest first")->required();
    app.add_option("--feed", feed, "The feed whose stream and decode rules are used (default: the only one)");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    auto config = arguments.load(app.remaining());
    if (!config.ok()) return report(config.error());
    const auto& feeds = config->options.feeds;
    if (feed.empty() && feeds.size() == 1) feed = feeds.begin()->first;
    if (!feeds.contains(feed)) {
        std::fprintf(stderr, "weir import: --feed is \"%s\"; allowed:", feed.c_str());
        for (const auto& [name, options] : feeds) std::fprintf(stderr, " %s", name.c_str());
        std::fprintf(stderr, "\n");
        return exit_misused;
    }
    diag::configure({.level = diag::Level::warn, .format = config->options.diag.format, .file = config->options.diag.file});
    for (const std::string& file : files)
        if (const auto done = import_file(*config, feed, file); !done.ok()) return report(done.error());
    return exit_done;
}

}  // namespace weir
