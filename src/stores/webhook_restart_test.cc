// The promise of a webhook: whatever happens to weir or the peer, each event arrives, and none before one that stands before it.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/failpoint.h"
#include "log/log_test_support.h"
#include "stores/webhook_test_support.h"

using namespace weir;

namespace {

/// What was taken, on disk: it outlives a process that is killed.
class FileTransport final : public ServiceTransport {
public:
    explicit FileTransport(std::string path) : path_(std::move(path)) {}
    Result<net::HttpClientResponse> send(net::HttpClientRequest request) override {
        std::ofstream(path_, std::ios::app) << request.body << "\n";
        net::HttpClientResponse response;
        response.status = 200;
        return response;
    }

private:
    std::string path_;
};

/// A log that can be opened by one process after the other.
struct Process {
    Process(const std::string& folder, const std::string& taken, bool alertmanager) {
        SqliteLog::Setup setup;
        setup.options.path = folder + "/log";
        setup.options.durability = Durability::process;
        setup.clock = &clock;
        setup.keep_every = Duration(0);
        log = *SqliteLog::open(std::move(setup));
        WebhookStore::Setup hook{"hook", {}, "1"};
        hook.options.url = Secret("http://peer/");
        hook.options.batch_events = 3;
        if (alertmanager) hook.options.format = WebhookFormat::alertmanager;
        store = std::make_unique<WebhookStore>(hook, std::make_unique<FileTransport>(taken), StoreWorker::Surroundings{*log, clock, metrics, board, 1});
        REQUIRE(store->prepare().ok());
    }
    void commit(const std::string& stream, int events, const std::function<std::string(int)>& data) {
        Commit commit;
        commit.appends.push_back({stream, {}, {}});
        for (int i = 0; i < events; ++i) {
            const std::string id = stream + std::to_string(++made), text = data(made);
            EventView event;
            event.id = id, event.type = "reading", event.source = "push", event.data = text, event.time = event.ingested = clock.now();
            commit.appends.back().events.add(event);
        }
        REQUIRE(log->commit(std::move(commit)).ok());
    }

    ManualClock clock{"2026-02-17T12:00:00Z"_utc};
    Metrics metrics;
    StatusBoard board;
    std::unique_ptr<SqliteLog> log;
    std::unique_ptr<WebhookStore> store;
    int made = 0;
};

std::vector<Json> bodies(const std::string& path) {
    std::vector<Json> all;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) all.push_back(*Json::parse(line));
    return all;
}

void fill(Process& process, bool alerts) {
    // Commits of one, two and several requests.
    for (const int events : {1, 2, 7, 3, 1, 10})
        process.commit(alerts ? "alerts" : "pools", events, [&](int n) {
            const std::string number = std::to_string(n);
            return alerts ? R"({"id":"id)" + number + R"(","rule":"rule)" + std::to_string(n % 2) + R"(","state":"firing","change":"firing"})" : R"({"n":)" + number + "}";
        });
}

}  // namespace

TEST_CASE("webhook: killed at each point of its work it loses no event, and sends none before one that stands before it (decisions.md 34)") {
    for (const bool alerts : {false, true})
        for (const char* point : {"store.before_request", "store.after_request", "store.before_position", "store.after_position"})
            for (const std::uint32_t count : {1U, 2U, 4U}) {
                CAPTURE(alerts);
                CAPTURE(point);
                CAPTURE(count);
                // A batch of alerts is one position, however many rules it has.
                const std::uint32_t times = alerts && std::string_view(point).ends_with("position") ? std::min(count, 2U) : count;
                TemporaryFolder folder;
                const std::string taken = folder.path() + "/taken";
                {
                    Process before(folder.path(), taken, alerts);
                    fill(before, alerts);
                }
                const pid_t child = ::fork();
                REQUIRE(child >= 0);
                if (child == 0) {
                    Process process(folder.path(), taken, alerts);
                    failpoint::arm(point, times);
                    process.store->poll();
                    ::_exit(0);
                }
                int status = 0;
                REQUIRE(::waitpid(child, &status, 0) == child);
                REQUIRE(WIFSIGNALED(status));
                REQUIRE(WTERMSIG(status) == SIGKILL);
                Process after(folder.path(), taken, alerts);
                CHECK_FALSE(after.store->poll().has_value());
                CHECK(after.store->caught_up());
                std::set<std::string> ids;
                std::uint64_t last = 0;
                bool in_order = true;
                for (const Json& body : bodies(taken))
                    for (const Json& item : body.find(alerts ? "alerts" : "events")->items()) {
                        if (alerts) {
                            ids.emplace(*item.find_string("fingerprint"));
                            continue;
                        }
                        // The first time that an event comes, all before it have come.
                        const auto seq = static_cast<std::uint64_t>(*item.find("seq")->as_integer());
                        in_order = in_order && seq <= last + 1;
                        last = std::max(last, seq);
                        ids.emplace(*item.find_string("id"));
                    }
                CHECK(in_order);
                CHECK(ids.size() == 24);
            }
}
