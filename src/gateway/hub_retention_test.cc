// What a gateway does when the log no longer has what follows its position: on a log that forgets when the test says so.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "event/json.h"
#include "gateway/gateway.h"
#include "log/empty_log.h"

using namespace weir;

namespace {

/// Streams in memory, an event of each a commit. `forget` is retention; `tell` is the wake that a commit gives.
class ForgetfulLog final : public EmptyLog {
public:
    explicit ForgetfulLog(std::vector<StreamName> names) : names_(std::move(names)) {}

    void grow(std::uint64_t commits) {
        std::lock_guard lock(mutex_);
        for (; commits > 0; --commits) {
            ++head_;
            for (const auto& name : names_) {
                auto batch = std::make_shared<Batch>();
                batch->stream = name;
                batch->epoch = Epoch{7};
                batch->first_seq = Seq{head_};
                batch->commit = CommitNo{head_};
                batch->commit_time = "2026-02-17T10:00:00Z"_utc + Duration(static_cast<std::int64_t>(head_));
                EventView event;
                const std::string id = name + std::to_string(head_), data = "{\"n\":" + std::to_string(head_) + "}";
                event.id = id;
                event.type = "reading";
                event.data = data;
                batch->events.add(event);
                batches_[name][head_] = std::move(batch);
            }
        }
    }
    void forget(const StreamName& name, std::uint64_t before) {
        std::lock_guard lock(mutex_);
        auto& batches = batches_[name];
        batches.erase(batches.begin(), batches.lower_bound(before));
        removed_[name] = before - 1;
    }
    void tell() {
        std::function<void(CommitNo)> wake;
        std::uint64_t head;
        {
            std::lock_guard lock(mutex_);
            wake = wake_;
            head = head_;
        }
        if (wake) wake(CommitNo{head});
    }

    Result<std::vector<BatchPtr>> read(std::string_view stream, Seq from, std::size_t) override {
        std::lock_guard lock(mutex_);
        std::vector<BatchPtr> found;
        if (from.value <= removed_[StreamName(stream)]) return Error{"gap", "gone"};
        for (const auto& [n, batch] : batches_[StreamName(stream)])
            if (n >= from.value) found.push_back(batch);
        return found;
    }
    Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>& streams, CommitNo after, std::size_t) override {
        std::lock_guard lock(mutex_);
        std::vector<BatchPtr> found;
        const auto& names = streams.empty() ? names_ : streams;
        for (const auto& name : names)
            if (removed_[name] > after.value) return Error{"gap", "gone"};
        for (std::uint64_t n = after.value + 1; n <= head_; ++n)
            for (const auto& name : names) found.push_back(batches_[name].at(n));
        return found;
    }
    std::vector<StreamInfo> streams() override {
        std::vector<StreamInfo> infos;
        for (const auto& name : names_) infos.push_back(*info(name));
        return infos;
    }
    std::optional<StreamInfo> info(std::string_view stream) override {
        std::lock_guard lock(mutex_);
        StreamInfo info;
        info.name = stream;
        info.epoch = Epoch{7};
        info.first = Seq{removed_[info.name] + 1};
        info.head = Seq{head_};
        info.last_commit = CommitNo{head_};
        info.removed_commit = CommitNo{removed_[info.name]};
        return info;
    }
    CommitNo head() override {
        std::lock_guard lock(mutex_);
        return CommitNo{head_};
    }
    std::vector<std::pair<Epoch, Seq>> epochs(std::string_view) override { return {{Epoch{7}, Seq{1}}}; }
    std::unique_ptr<Wake> on_commit(std::function<void(CommitNo)> wake) override {
        std::lock_guard lock(mutex_);
        wake_ = std::move(wake);
        return std::make_unique<Wake>();
    }

private:
    const std::vector<StreamName> names_;
    std::mutex mutex_;
    std::uint64_t head_ = 0;
    std::map<StreamName, std::map<std::uint64_t, BatchPtr>> batches_;
    std::map<StreamName, std::uint64_t> removed_;
};

/// A WebSocket client that waits for each answer.
class Client {
public:
    Client(std::uint16_t port, const char* path) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval deadline{60, 0};  // only ends a broken test
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
        REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        put(std::string("GET ") + path + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        std::string head;
        while (!head.ends_with("\r\n\r\n")) head += take(1);
    }
    ~Client() { ::close(fd_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void say(std::string_view text) {
        REQUIRE(text.size() < 126);
        std::string frame{'\x81', static_cast<char>(0x80 | text.size()), 0, 0, 0, 0};
        put(frame.append(text));
    }
    Json read() {
        const std::string head = take(2);
        std::size_t size = static_cast<unsigned char>(head[1]);
        if (size == 126) {
            const std::string more = take(2);
            size = static_cast<std::size_t>(static_cast<unsigned char>(more[0])) << 8 | static_cast<unsigned char>(more[1]);
        }
        const std::string text = take(size);
        const auto json = Json::parse(text);
        REQUIRE_MESSAGE(json.ok(), text);
        return *json;
    }

private:
    void put(std::string_view bytes) { REQUIRE(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
    std::string take(std::size_t size) {
        std::string bytes(size, '\0');
        REQUIRE(::recv(fd_, bytes.data(), size, MSG_WAITALL) == static_cast<ssize_t>(size));
        return bytes;
    }
    int fd_;
};

std::int64_t number(const Json& json, std::initializer_list<const char*> path) {
    const Json* at = &json;
    for (const char* step : path) {
        at = at->find(step);
        REQUIRE(at);
    }
    return at->as_integer().value_or(-1);
}

}  // namespace

TEST_CASE("gateway: what retention took before the hub read it is told in its place, and what is left of each stream is not skipped (D5)") {
    ForgetfulLog log({"events", "some", "kept"});
    StatusBoard status;
    Metrics metrics;
    const SystemClock clock;
    Gateway::Setup setup;
    setup.options.port = 0;
    setup.metrics_interval = Duration(0);
    auto gateway = Gateway::start({log, status, metrics, clock}, std::move(setup));
    REQUIRE(gateway.ok());
    Client client((*gateway)->port(), "/");
    client.say(R"({"type":"subscribe","data":{"type":"events"}})");
    CHECK(client.read().find_string("type") == "subscribed");

    log.grow(5);
    log.tell();
    for (int n = 1; n <= 5; ++n)
        for (int stream = 0; stream < 3; ++stream) CHECK(number(client.read(), {"metadata", "seq"}) == n);

    log.grow(15);
    log.forget("events", 16);
    log.forget("some", 9);
    log.tell();
    std::map<std::string, std::vector<std::int64_t>> seqs;
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> gaps;
    for (int i = 0; i < 2 + 5 + 12 + 15; ++i) {
        const Json message = client.read();
        if (message.find_string("type") == "gap") {
            const std::string stream(message.find("data")->find_string("stream").value_or(""));
            CHECK(message.find("data")->find_string("reason") == "retention");
            CHECK(seqs[stream].empty());
            gaps[stream] = {number(message, {"data", "from_seq"}), number(message, {"data", "to_seq"})};
        } else {
            seqs[std::string(message.find("metadata")->find_string("stream").value_or(""))].push_back(number(message, {"metadata", "seq"}));
        }
    }
    const auto up_to_20 = [](std::int64_t from) {
        std::vector<std::int64_t> numbers;
        for (; from <= 20; ++from) numbers.push_back(from);
        return numbers;
    };
    CHECK(gaps == std::map<std::string, std::pair<std::int64_t, std::int64_t>>{{"events", {6, 15}}, {"some", {6, 8}}});
    CHECK(seqs["events"] == up_to_20(16));
    CHECK(seqs["some"] == up_to_20(9));
    CHECK(seqs["kept"] == up_to_20(6));
    (*gateway)->stop();
}
