#include "net/listener.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

using namespace weir;
using namespace weir::net;

namespace {

int connect_to(const ListenAddress& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
    return fd;
}

const ListenAddress kAnyPort{.host = "127.0.0.1", .port = 0, .unix_path = {}};

}  // namespace

TEST_CASE("address: what is printed is parsed back, and what is no address is named") {
    for (const char* text : {"127.0.0.1:8765", "[::1]:0", "localhost:80", "0.0.0.0:65535", "unix:/run/weir.sock", "[2001:db8::1]:443"}) {
        const auto address = ListenAddress::parse(text);
        REQUIRE_MESSAGE(address.ok(), text);
        CHECK(address->to_text() == text);
    }
    for (const char* text : {"", "8765", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:8x", "::1:80", "example.com:80", "unix:", "[::1]", "256.1.1.1:1"}) {
        const auto address = ListenAddress::parse(text);
        CHECK_MESSAGE(!address.ok(), text);
        if (!address.ok()) CHECK(address.error().code == "bad_address");
    }
    CHECK(ListenAddress::parse("127.0.0.9:1")->is_loopback());
    CHECK(ListenAddress::parse("localhost:1")->is_loopback());
    CHECK(ListenAddress::parse("[::1]:1")->is_loopback());
    CHECK(ListenAddress::parse("unix:/x")->is_loopback());
    CHECK(!ListenAddress::parse("0.0.0.0:1")->is_loopback());
    CHECK(!ListenAddress::parse("[::]:1")->is_loopback());
}

TEST_CASE("address: one host has one form, IPv4 within IPv6 included") {
    CHECK(IpAddress::parse("192.0.2.1") == IpAddress::parse("::ffff:192.0.2.1"));
    CHECK(IpAddress::parse("::ffff:192.0.2.1").to_text() == "192.0.2.1");
    CHECK(IpAddress::parse("2001:DB8:0::1").to_text() == "2001:db8::1");
    CHECK(IpAddress::parse("127.1.2.3").is_loopback());
    CHECK(!IpAddress::parse("128.0.0.1").is_loopback());
    CHECK(!IpAddress::parse("host").known);
}

TEST_CASE("listener: a port in use is said so, with what to do (S2-18)") {
    SystemClock clock;
    Reactor reactor(clock);
    const auto first = Listener::open(reactor, kAnyPort, {}, [](int fd, const PeerAddress&) { ::close(fd); });
    REQUIRE(first.ok());
    const auto address = (*first)->address();
    CHECK(address.port != 0);
    for (const auto share : {ListenOptions::Share::no, ListenOptions::Share::first}) {
        ListenOptions options;
        options.share = share;
        const auto second = Listener::open(reactor, address, options, [](int fd, const PeerAddress&) { ::close(fd); });
        REQUIRE(!second.ok());
        CHECK(second.error().code == "address_in_use");
        CHECK(second.error().message.starts_with("cannot listen on " + address.to_text() + ": address already in use; "));
    }
}

TEST_CASE("listener: several reactors share one port, and another process still finds it in use") {
    SystemClock clock;
    Reactor reactor(clock);
    int accepted = 0;
    const auto count = [&](int fd, const PeerAddress& peer) {
        ++accepted;
        CHECK(peer.ip.is_loopback());
        CHECK(peer.port != 0);
        ::close(fd);
    };
    ListenOptions first, more;
    first.share = ListenOptions::Share::first;
    more.share = ListenOptions::Share::more;
    const auto a = Listener::open(reactor, kAnyPort, first, count);
    REQUIRE(a.ok());
    const auto b = Listener::open(reactor, (*a)->address(), more, count);
    REQUIRE(b.ok());
    CHECK(!Listener::open(reactor, (*a)->address(), first, count).ok());
    std::vector<int> clients;
    for (int i = 0; i < 40; ++i) clients.push_back(connect_to((*a)->address()));
    while (accepted < 40) reactor.turn(1s);
    CHECK((*a)->accepted() + (*b)->accepted() == 40);
    for (const int fd : clients) ::close(fd);
}

TEST_CASE("listener: an address that this machine does not have is said so") {
    SystemClock clock;
    Reactor reactor(clock);
    const auto listener = Listener::open(reactor, {.host = "192.0.2.77", .port = 0, .unix_path = {}}, {}, nullptr);
    REQUIRE(!listener.ok());
    CHECK(listener.error().code == "address_not_available");
}

TEST_CASE("listener: a Unix socket replaces what a killed process left, but neither a living one nor another file") {
    SystemClock clock;
    Reactor reactor(clock);
    char folder[] = "/tmp/weir-listener-XXXXXX";
    REQUIRE(::mkdtemp(folder));
    const ListenAddress address{.host = {}, .port = 0, .unix_path = std::string(folder) + "/socket"};
    const auto drop = [](int fd, const PeerAddress&) { ::close(fd); };
    {
        const auto first = Listener::open(reactor, address, {}, drop);
        REQUIRE(first.ok());
        const auto second = Listener::open(reactor, address, {}, drop);
        REQUIRE(!second.ok());
        CHECK(second.error().code == "address_in_use");
        // A hard link keeps the name when the listener goes: what a killed process leaves behind.
        std::filesystem::create_hard_link(address.unix_path, address.unix_path + ".left");
    }
    CHECK(!std::filesystem::exists(address.unix_path));
    std::filesystem::rename(address.unix_path + ".left", address.unix_path);
    CHECK(Listener::open(reactor, address, {}, drop).ok());
    ::close(::open(address.unix_path.c_str(), O_CREAT | O_WRONLY, 0600));
    CHECK(!Listener::open(reactor, address, {}, drop).ok());
    std::filesystem::remove_all(folder);
}

TEST_CASE("listener: when descriptors run out accepting rests instead of spinning, and goes on when there are some (decisions 24)") {
    ManualClock clock;
    Reactor reactor(clock);
    std::vector<int> accepted;
    ListenOptions options;
    options.pause = 1s;
    const auto listener = Listener::open(reactor, kAnyPort, options, [&](int fd, const PeerAddress&) { accepted.push_back(fd); });
    REQUIRE(listener.ok());
    const int client = connect_to((*listener)->address());
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int highest = ::dup(0);
    ::close(highest);
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(highest);  // the next descriptor would be this one
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    while ((*listener)->exhausted() == 0) reactor.turn(Duration(10'000));
    for (int i = 0; i < 100; ++i) reactor.turn();
    CHECK((*listener)->exhausted() == 1);  // not once in all these turns was it tried again
    CHECK(accepted.empty());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    clock.advance(1s);
    for (int i = 0; i < 100 && accepted.empty(); ++i) reactor.turn(Duration(10'000));
    CHECK(accepted.size() == 1);
    for (const int fd : accepted) ::close(fd);
    ::close(client);
}
