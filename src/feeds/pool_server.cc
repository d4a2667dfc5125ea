#include "feeds/pool_server.h"

#include <charconv>
#include <thread>

#include "base/filesystem.h"
#include "event/json.h"
#include "net/gzip.h"
#include "net/http_server.h"
#include "net/reactor.h"

namespace weir {
namespace {

constexpr Duration day = 24h;
constexpr Duration recording_gap_max = 10min;  // longer without a reading: the pool was closed, or the recorder was

}  // namespace

Result<PoolRecording> PoolRecording::load(const std::string& file) {
    WEIR_TRY(std::string text, Filesystem().read(file));
    if (net::is_gzip(text)) {
        auto unpacked = net::gunzip(text, 256 << 20);
        if (!unpacked.ok()) return std::move(unpacked).error().within(file);
        text = *std::move(unpacked);
    }
    PoolRecording recording;
    std::size_t line_number = 0;
    for (std::string_view rest = text; !rest.empty();) {
        ++line_number;
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (line_number == 1 || line.empty()) continue;
        const std::size_t comma = line.find(',');
        const auto time = parse_rfc3339(line.substr(0, comma));
        std::int64_t value = 0;
        const char* last = line.data() + line.size();
        const bool number = comma != line.npos && std::from_chars(line.data() + comma + 1, last, value).ptr == last;
        if (!time || !number || (!recording.readings_.empty() && *time < recording.readings_.back().time))
            return Error{"bad_recording", file + ":" + std::to_string(line_number) + ": \"" + std::string(line) +
                                              "\"; expected `timestamp,occupancy` in order of time"};
        recording.readings_.push_back({*time, value});
    }
    if (recording.readings_.empty()) return Error{"bad_recording", file + ": holds no reading"};
    return recording;
}

std::int64_t PoolRecording::at(Timestamp now) const {
    const Timestamp first_day = readings_.front().time.floor_to(day);
    const std::int64_t days = (readings_.back().time.floor_to(day) - first_day) / day + 1;
    const Duration time_of_day = now - now.floor_to(day);
    const std::int64_t turn = ((now.floor_to(day) - first_day) / day % days + days) % days;
    for (std::int64_t k = 0; k < days; ++k) {
        const Timestamp moment = first_day + (turn + k) % days * day + time_of_day;
        const auto after = std::upper_bound(readings_.begin(), readings_.end(), moment,
                                            [](Timestamp t, const Reading& reading) { return t < reading.time; });
        if (after == readings_.begin()) continue;
        const Reading& reading = *std::prev(after);
        if (moment - reading.time <= recording_gap_max) return reading.value;
    }
    return 0;
}

PoolMessages::PoolMessages(PoolRecording recording, std::uint64_t seed)
    : recording_(std::move(recording)),
      prng_(seed),
      pools_{{"IMBAD-1", "Adliswil", 2000, false}, {"WEYERMANNSHAUS-1", "Bern", 3500, false}, {"MARZILI-1", "Bern", 14999, false},
             {"WYLERBAD-1", "Bern", 2500, false},  {"BADI-1", "Enge", 420, false},            {"FREIBAD-1", "Entfelden", 1300, false},
             {"flb6939", "Flussbad Au-Höngg", 1000, false},  {"flb6940", "Flussbad Oberer Letten", 800, false},
             {"flb8803", "Flussbad Schanzengraben", 800, false}, {"flb6941", "Frauenbad Stadthausquai", 350, false},
             {"fb006", "Freibad Allenmoos", 2500, false}, {"fb008", "Freibad Auhof", 2001, false}, {"fb012", "Freibad Heuried", 2600, false},
             {"LETZI-1", "Freibad Letzigraben", 3800, false}, {"SSD-11", "Freibad Seebach", 2000, false},
             {"fb018", "Freibad Zwischen den Hölzern", 2000, false}, {"SSD-1", "Hallenbad Altstetten", 0, true},
             {"SSD-2", "Hallenbad Bläsi", 70, true}, {"SSD-3", "Hallenbad Bungertwies", 70, true}, {"SSD-4", "Hallenbad City", 220, true},
             {"SSD-6", "Hallenbad Leimbach", 80, true}, {"SSD-7", "Hallenbad Oerlikon", 200, true}, {"SSD-8", "Hallenbad Käferberg", 200, true},
             {"LIDO-1", "Lido Luzern", 3500, false}, {"RISCH-1", "Rotkreuz", 600, false}, {"SSD-10", "Seebad Utoquai", 800, false},
             {"seb6946", "Strandbad Mythenquai", 4500, false}, {"seb6947", "Strandbad Tiefenbrunnen", 3500, false},
             {"seb6948", "Strandbad Wollishofen", 700, false}, {"SSD-5", "Wärmebad Käferberg", 70, true}, {"WEN-1", "Wengen", 70, true},
             {"HUENENBERG-1", "Hünenberg", 1000, false}} {
    for (Pool& pool : pools_) pool.popularity = 0.15 + 0.6 * prng_.uniform();
}

// A day in Zürich's hours (UTC + 1 is near enough for a simulation): opens at 6 or 9, fills towards the afternoon, empties until 22 or 20.
// Between two messages the level moves a little towards what the hour asks for, with noise, so that most readings repeat.
std::int64_t PoolMessages::simulate(Pool& pool, Timestamp now) {
    const double hour = static_cast<double>((now - now.floor_to(day)).count()) / 3.6e9 + 1;
    const double opens = pool.indoor ? 6 : 9, closes = pool.indoor ? 22 : 20;
    double wanted = 0;
    if (hour > opens && hour < closes) wanted = std::sin((hour - opens) / (closes - opens) * 3.14159265) * pool.popularity * pool.capacity;
    const double pull = last_ ? std::min(1.0, static_cast<double>((now - *last_).count()) / 6e8) : 1.0;
    pool.level += (wanted - pool.level) * pull;
    if (wanted > 0 && prng_.chance(0.13)) pool.level += prng_.normal() * std::sqrt(wanted) * 0.25;
    pool.level = std::max(0.0, pool.level);
    return std::llround(pool.level);
}

std::string PoolMessages::next(Timestamp now) {
    std::string message;
    message.reserve(4096);
    JsonWriter json(message);
    json.array();
    for (Pool& pool : pools_) {
        const bool recorded = std::string_view(pool.uid) == "SSD-7";
        const std::int64_t fill = recorded ? recording_.at(now) : simulate(pool, now);
        json.object().member("uid", pool.uid);
        json.member("name", recorded ? std::string(pool.name) : std::string(pool.name) + " (simulated)");
        json.member("freespace", pool.capacity - fill).member("maxspace", pool.capacity).member("currentfill", std::to_string(fill)).end();
    }
    json.end();
    last_ = now;
    return message;
}

struct PoolServer::Impl final : net::HttpHandler, net::ConnectionHandler {
    Impl(Options o, PoolRecording recording, const Clock& k)
        : options(std::move(o)), clock(k), reactor(k), messages(std::move(recording), options.seed), tick(reactor, [this] { send_all(); }),
          server(reactor, net::ServerOptions{}, *this) {}

    void on_request(net::HttpExchange& exchange) override {
        if (exchange.upgrade() != net::UpgradeCheck::good) {
            exchange.respond(200, {{"Content-Type", "text/plain"}}, "The stand-in of the pool feed: connect a WebSocket and send the text all.\n");
            return;
        }
        net::Connection& connection = exchange.accept_websocket({.handler = *this});
        silent.push_back(std::make_unique<Silent>(*this, connection.ref()));
    }

    // Whatever the text says: the real server answers an empty one as well.
    void on_message(net::Connection& connection, net::MessageKind, std::string_view) override { open(connection.ref()); }

    void on_closed(net::Connection&, const net::Closed&) override {
        std::erase_if(clients, [](const net::ConnectionRef& client) { return !client.get(); });
        std::erase_if(silent, [](const auto& waiting) { return !waiting->client.get(); });
    }

    void open(net::ConnectionRef client) {
        if (std::find(clients.begin(), clients.end(), client) != clients.end()) return;
        clients.push_back(client);
        if (net::Connection* connection = client.get()) connection->send(net::MessageKind::text, messages.next(clock.now()));
    }

    void send_all() {
        tick.start(options.every);
        if (clients.empty()) return;
        const std::string message = messages.next(clock.now());
        for (const net::ConnectionRef& client : clients)
            // A client that does not read misses messages, as with the real server.
            if (net::Connection* connection = client.get()) (void)connection->send(net::MessageKind::text, message);
    }

    // A client that has not said anything yet: after half a second of silence it is served all the same.
    struct Silent {
        Silent(Impl& impl, net::ConnectionRef c) : client(c), timer(impl.reactor, [this, &impl] { impl.open(client); }) {
            timer.start(impl.options.silence);
        }
        net::ConnectionRef client;
        net::Timer timer;
    };

    Options options;
    const Clock& clock;
    net::Reactor reactor;
    PoolMessages messages;
    net::Timer tick;
    std::vector<net::ConnectionRef> clients;
    std::vector<std::unique_ptr<Silent>> silent;
    net::HttpServer server;
    std::string address;
    std::thread thread;
};

Result<std::unique_ptr<PoolServer>> PoolServer::start(Options options, PoolRecording recording, const Clock& clock) {
    WEIR_TRY(const auto where, net::ListenAddress::parse(options.listen));
    auto impl = std::make_unique<Impl>(std::move(options), std::move(recording), clock);
    WEIR_TRY(const auto bound, impl->server.listen(where));
    impl->address = bound.to_text();
    impl->tick.start(impl->options.every);
    Impl& running = *impl;
    impl->thread = std::thread([&running] { running.reactor.run(); });
    return std::unique_ptr<PoolServer>(new PoolServer(std::move(impl)));
}

PoolServer::PoolServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PoolServer::~PoolServer() { stop(); }

void PoolServer::stop() {
    if (!impl_ || !impl_->thread.joinable()) return;
    impl_->reactor.stop();
    impl_->thread.join();
}

const std::string& PoolServer::address() const { return impl_->address; }

}  // namespace weir
