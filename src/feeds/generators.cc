#include "feeds/generators.h"

#include <numbers>
#include <utility>

#include "event/json.h"

namespace weir {
namespace {

constexpr Duration swiss_winter_offset = 1h;

/// What share of its usual visitors a pool has at an hour of the local day: nobody at night, a small peak at noon, a larger one
/// in the early evening.
double share_at(double hour) {
    if (hour < 6 || hour >= 22) return 0;
    const auto peak = [&](double at, double width) { return std::exp(-(hour - at) * (hour - at) / (2 * width * width)); };
    const double opening = std::min(1.0, (hour - 6) / 0.75), closing = std::min(1.0, (22 - hour) / 1.5);
    return std::min(opening, closing) * (0.15 + 0.45 * peak(12.25, 1.2) + 0.75 * peak(17.75, 2.0));
}

class Series final : public MessageGenerator {
public:
    explicit Series(const SourceOptions& o) : o_(o), prng_(o.seed) {
        for (std::size_t i = 0; i < o.keys.size(); ++i) at_.push_back(o.low + (o.high - o.low) * prng_.uniform());
    }
    std::string message(Timestamp at) override {
        std::string out;
        JsonWriter json(out);
        json.array();
        for (std::size_t i = 0; i < o_.keys.size(); ++i) {
            double value = o_.low;
            const double span = o_.high - o_.low;
            if (o_.generator == Generator::walk) {
                at_[i] = std::clamp(at_[i] + prng_.normal() * span / 50, o_.low, o_.high);
                value = at_[i];
            } else if (o_.generator == Generator::sine) {
                const double phase = static_cast<double>(at.micros() % 3'600'000'000) / 3.6e9 + static_cast<double>(i) / static_cast<double>(o_.keys.size());
                value = o_.low + span / 2 * (1 + std::sin(2 * std::numbers::pi * phase));
            }
            json.object().member("key", o_.keys[i]).member("value", std::round(value * 1000) / 1000).member("simulated", true).end();
        }
        json.end();
        return out;
    }

private:
    SourceOptions o_;
    Prng prng_;
    std::vector<double> at_;
};

class Day final : public MessageGenerator {
public:
    explicit Day(const SourceOptions& o) : o_(o) {
        for (std::size_t i = 0; i < o.keys.size(); ++i) pools_.emplace_back(o.seed * 1'000'003 + i, std::max(1, static_cast<int>(o.high)));
    }
    std::string message(Timestamp at) override {
        std::string out;
        JsonWriter json(out);
        json.array();
        for (std::size_t i = 0; i < o_.keys.size(); ++i) {
            const int now = pools_[i].visitors(at), most = pools_[i].capacity();
            json.object().member("uid", o_.keys[i]).member("name", o_.keys[i] + " (simulated)").member("freespace", most - now).member("maxspace", most);
            json.member("currentfill", std::to_string(now)).end();
        }
        json.end();
        return out;
    }

private:
    SourceOptions o_;
    std::vector<PoolDay> pools_;
};

/// Samples of five around the middle, sigma a sixth of the range; now and then something happens to the process, one kind after the other.
class Line final : public MessageGenerator {
public:
    explicit Line(const SourceOptions& o) : o_(o), prng_(o.seed), causes_(o.keys.size()) {
        for (std::size_t i = 0; i < causes_.size(); ++i) causes_[i].next = i % std::size(kinds);
    }
    std::string message(Timestamp) override {
        std::string out;
        JsonWriter json(out);
        json.array();
        const double middle = (o_.low + o_.high) / 2, sigma = (o_.high - o_.low) / 6;
        for (std::size_t i = 0; i < o_.keys.size(); ++i) {
            Cause& cause = causes_[i];
            if (cause.step == cause.length && prng_.chance(0.02)) {
                cause.kind = std::exchange(cause.next, (cause.next + 1) % std::size(kinds));
                cause.sign = prng_.chance(0.5) ? 1 : -1;
                cause.step = 0;
                cause.length = kinds[cause.kind].samples;
            }
            // In sigma of single readings; the noise's share of what it is.
            double shift = 0, noise = 1;
            const char* name = nullptr;
            if (cause.step < cause.length) {
                name = kinds[cause.kind].name;
                const int step = cause.step++;
                switch (cause.kind) {
                    case 0: shift = 4; break;
                    case 1: shift = 0.6; break;
                    case 2: shift = 0.3 * (step + 1), noise = 0.5; break;
                    case 3: shift = step % 2 == 0 ? 0.5 : -0.5, noise = 0.3; break;
                    case 4: noise = 0.25; break;
                    case 5: shift = prng_.chance(0.5) ? 0.9 : -0.9, noise = 0.4; break;
                    default: noise = 3; break;
                }
                shift *= cause.sign;
            }
            double sum = 0;
            std::array<double, 5> values;
            for (double& v : values) sum += v = std::round((middle + (noise * prng_.normal() + shift) * sigma) * 1000) / 1000;
            json.object().member("key", o_.keys[i]).member("value", std::round(sum * 200) / 1000).name("values").array();
            for (const double v : values) json.value(v);
            json.end().name("cause");
            if (name)
                json.value(name);
            else
                json.null();
            json.member("simulated", true).end();
        }
        json.end();
        return out;
    }

private:
    struct Kind {
        const char* name;
        int samples;
    };
    static constexpr Kind kinds[] = {{"outlier", 1}, {"shift", 12}, {"drift", 8}, {"alternation", 18}, {"stratification", 20}, {"mixture", 12}, {"spread", 6}};
    struct Cause {
        std::size_t kind = 0, next = 0;
        double sign = 1;
        int length = 0, step = 0;
    };
    SourceOptions o_;
    Prng prng_;
    std::vector<Cause> causes_;
};

class Users final : public MessageGenerator {
public:
    explicit Users(const SourceOptions& o) : prng_(o.seed) {}
    std::string message(Timestamp at) override {
        static constexpr const char* firsts[] = {"Ada", "Alan", "Barbara", "Edsger", "Grace", "Hedy", "John", "Katherine", "Ken", "Leslie", "Margaret", "Radia"};
        static constexpr const char* lasts[] = {"Almeida", "Baker", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ivanova", "Keller", "Lopez", "Meier"};
        static constexpr std::pair<const char*, const char*> countries[] = {{"Switzerland", "CH"}, {"Brazil", "BR"}, {"Canada", "CA"}, {"Denmark", "DK"}, {"France", "FR"},
                                                                            {"Germany", "DE"},     {"Norway", "NO"}, {"Spain", "ES"},  {"Turkey", "TR"},  {"Ukraine", "UA"}};
        const std::string first = firsts[prng_.below(std::size(firsts))], last = lasts[prng_.below(std::size(lasts))];
        const auto& [country, nat] = countries[prng_.below(std::size(countries))];
        const std::string id = random_uuid(prng_), user = first + last + std::to_string(prng_.below(1000));
        const auto birth = from_civil(1950 + static_cast<int>(prng_.below(55)), 1 + static_cast<int>(prng_.below(12)), 1 + static_cast<int>(prng_.below(28)));
        std::string out;
        JsonWriter json(out);
        json.object().name("results").array().object();
        json.member("gender", prng_.chance(0.5) ? "female" : "male");
        json.name("name").object().member("title", "Mx").member("first", first).member("last", last).end();
        json.name("location").object().name("street").object().member("number", 1 + prng_.below(9000)).member("name", "Example Street").end();
        json.member("city", "Example City").member("state", "Example State").member("country", country).member("postcode", 1000 + prng_.below(9000));
        json.name("coordinates").object().member("latitude", std::to_string(prng_.below(90)) + ".0000").member("longitude", std::to_string(prng_.below(180)) + ".0000").end().end();
        json.member("email", user + "@example.com");
        json.name("login").object().member("uuid", id).member("username", user).end();
        json.name("dob").object().member("date", birth).member("age", to_civil(at).year - to_civil(birth).year).end();
        json.member("phone", "000-000-0000").member("cell", "000-000-0000").member("nat", nat).end().end();
        json.name("info").object().member("results", 1).member("version", "1.4").member("simulated", true).end().end();
        return out;
    }

private:
    Prng prng_;
};

}  // namespace

std::string random_uuid(Prng& prng) {
    static constexpr char hex[] = "0123456789abcdef";
    std::string out;
    for (int i = 0; i < 36; ++i) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            out += '-';
        else
            out += i == 14 ? '4' : i == 19 ? hex[8 + prng.below(4)] : hex[prng.below(16)];
    }
    return out;
}

PoolDay::PoolDay(std::uint64_t seed, int capacity) : prng_(seed), capacity_(capacity), popularity_(0.25 + 0.6 * prng_.uniform()) {}

int PoolDay::visitors(Timestamp at) {
    const auto local = to_civil(at + swiss_winter_offset);
    const double hour = local.hour + local.minute / 60.0 + local.second / 3600.0;
    const double usual = capacity_ * popularity_ * share_at(hour);
    // Comes half-way to what is usual in ten minutes, with the scatter of people who come and go one by one.
    const double seconds = last_ ? std::clamp(static_cast<double>((at - *last_).count()) / 1e6, 0.0, 86'400.0) : 86'400.0;
    last_ = at;
    visitors_ = usual + (visitors_ - usual) * std::exp2(-seconds / 600);
    if (usual > 0) visitors_ += prng_.normal() * std::sqrt(std::max(usual, 1.0) * std::min(seconds, 600.0) / 600) * 0.5;
    visitors_ = std::max(0.0, visitors_);
    return static_cast<int>(std::lround(visitors_));
}

std::unique_ptr<MessageGenerator> MessageGenerator::make(const SourceOptions& options) {
    switch (options.generator) {
        case Generator::day: return std::make_unique<Day>(options);
        case Generator::line: return std::make_unique<Line>(options);
        case Generator::users: return std::make_unique<Users>(options);
        case Generator::walk:
        case Generator::sine:
        case Generator::constant: return std::make_unique<Series>(options);
    }
    return nullptr;
}

}  // namespace weir
