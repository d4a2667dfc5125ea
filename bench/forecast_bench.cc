// Forecasts beside published results, and on recorded series.
//
//     forecast_bench m4 FOLDER                      train.csv.gz and test.csv.gz of the M4 competition's hourly series
//     forecast_bench series SEASON HORIZON LEVEL    values on standard input, one a line, an empty line where there is none
//
// M4's series are not part of weir: github.com/Mcompetitions/M4-methods, Dataset/. Needs gzip for them.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "analytics/exponential_smoothing.h"
#include "analytics/forecaster.h"

using namespace weir::analytics;

namespace {

using Values = std::vector<double>;

std::map<std::string, Values> read_gz(const std::string& path) {
    std::map<std::string, Values> all;
    std::FILE* in = ::popen(("gzip -dc '" + path + "'").c_str(), "r");
    std::string text;
    char buffer[65536];
    for (std::size_t n; in && (n = std::fread(buffer, 1, sizeof buffer, in)) > 0;) text.append(buffer, n);
    if (!in || ::pclose(in) != 0) std::fprintf(stderr, "%s cannot be read\n", path.c_str()), std::exit(1);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        std::string id, field;
        std::getline(fields, id, ',');
        while (std::getline(fields, field, ',')) all[id].push_back(std::stod(field));
    }
    return all;
}

constexpr std::size_t season = 24, horizon = 48;

// Classical multiplicative decomposition: value / centred moving average, mean of each place, scaled to mean 1.
Values season_indices(const Values& y) {
    const std::size_t n = y.size(), half = season / 2;
    Values sums(season, 0), counts(season, 0);
    for (std::size_t t = half; t + half < n; ++t) {
        double mean = (y[t - half] + y[t + half]) / 2;
        for (std::size_t j = t - half + 1; j < t + half; ++j) mean += y[j];
        sums[t % season] += y[t] / (mean / season);
        counts[t % season] += 1;
    }
    double total = 0;
    for (std::size_t i = 0; i < season; ++i) total += sums[i] /= counts[i];
    for (double& s : sums) s *= season / total;
    return sums;
}

// The competition's test: autocorrelation at the season's lag beyond its 90 % limit (Bartlett).
bool is_seasonal(const Values& y) {
    const std::size_t n = y.size();
    double mean = 0, variance = 0, limit = 1;
    for (const double v : y) mean += v / static_cast<double>(n);
    for (const double v : y) variance += (v - mean) * (v - mean);
    const auto correlation = [&](std::size_t lag) {
        double sum = 0;
        for (std::size_t t = lag; t < n; ++t) sum += (y[t] - mean) * (y[t - lag] - mean);
        return sum / variance;
    };
    for (std::size_t lag = 1; lag < season; ++lag) limit += 2 * correlation(lag) * correlation(lag);
    return std::abs(correlation(season)) > 1.645 * std::sqrt(limit / static_cast<double>(n));
}

struct Score {
    double smape = 0, mase = 0;
};

Score score(const Values& train, const Values& test, const Values& forecast) {
    double scale = 0;
    for (std::size_t t = season; t < train.size(); ++t) scale += std::abs(train[t] - train[t - season]) / static_cast<double>(train.size() - season);
    Score s;
    for (std::size_t i = 0; i < test.size(); ++i) {
        s.smape += 200 * std::abs(test[i] - forecast[i]) / (std::abs(test[i]) + std::abs(forecast[i])) / static_cast<double>(test.size());
        s.mase += std::abs(test[i] - forecast[i]) / scale / static_cast<double>(test.size());
    }
    return s;
}

int m4(const std::string& folder) {
    const auto train = read_gz(folder + "/train.csv.gz"), test = read_gz(folder + "/test.csv.gz");
    const std::vector<std::string> names{"Naive", "sNaive", "Naive2", "SES", "Theta", "weir 24", "weir 168"};
    std::vector<Score> sums(names.size());
    std::size_t inside = 0, intervals = 0;
    for (const auto& [id, y] : train) {
        const Values& actual = test.at(id);
        const Values index = is_seasonal(y) ? season_indices(y) : Values(season, 1.0);
        Values adjusted(y);
        for (std::size_t t = 0; t < y.size(); ++t) adjusted[t] /= index[t % season];
        const auto with = [&](const std::function<double(std::size_t)>& of, bool seasonal) {
            Values f;
            for (std::size_t k = 1; k <= horizon; ++k) f.push_back(of(k) * (seasonal ? index[(y.size() + k - 1) % season] : 1));
            return f;
        };
        const SmoothingFit smoothing = fit_smoothing(adjusted);
        const ThetaFit theta = fit_theta(adjusted);
        std::vector<Values> forecasts{with([&](std::size_t) { return y.back(); }, false),
                                      with([&](std::size_t k) { return y[y.size() - season + (k - 1) % season]; }, false),
                                      with([&](std::size_t) { return adjusted.back(); }, true),
                                      with([&](std::size_t) { return smoothing.end.forecast(); }, true),
                                      with([&](std::size_t k) { return theta.forecast(k); }, true)};
        for (const std::uint32_t m : {24u, 168u}) {
            Forecaster forecaster({.horizon = horizon, .season = m});
            Forecast last;
            for (const double v : y) last = forecaster.add(v);
            Values f;
            for (std::size_t k = 0; k < horizon; ++k) {
                f.push_back(last.steps[k].value);
                if (m != 168 || !last.steps[k].lower) continue;
                ++intervals;
                inside += actual[k] >= *last.steps[k].lower && actual[k] <= *last.steps[k].upper;
            }
            forecasts.push_back(std::move(f));
        }
        for (std::size_t i = 0; i < names.size(); ++i) {
            const Score s = score(y, actual, forecasts[i]);
            sums[i].smape += s.smape / static_cast<double>(train.size());
            sums[i].mase += s.mase / static_cast<double>(train.size());
        }
    }
    std::printf("%zu series\n%-10s %8s %8s %8s\n", train.size(), "", "sMAPE", "MASE", "OWA");
    for (std::size_t i = 0; i < names.size(); ++i)
        std::printf("%-10s %8.3f %8.3f %8.3f\n", names[i].c_str(), sums[i].smape, sums[i].mase,
                    (sums[i].smape / sums[2].smape + sums[i].mase / sums[2].mase) / 2);
    std::printf("weir 168: 90 %% intervals hold %.1f %% of outcomes\n", 100.0 * static_cast<double>(inside) / static_cast<double>(intervals));
    return 0;
}

int series(std::uint32_t m, std::uint32_t steps, double level) {
    Forecaster forecaster({.horizon = steps, .season = m, .level = level});
    std::vector<Forecast> given;
    std::vector<std::optional<double>> values;
    std::string line;
    while (std::getline(std::cin, line)) values.push_back(line.empty() ? std::nullopt : std::optional(std::stod(line)));
    const auto begin = std::chrono::steady_clock::now();
    for (const auto& value : values)
        if (value || !given.empty()) given.push_back(forecaster.add(value));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    values.erase(values.begin(), values.end() - static_cast<std::ptrdiff_t>(given.size()));
    // `interval` is the interval score: width, and 2 / (1 - level) times what an outcome is outside by (Gneiting and Raftery 2007).
    // Each step ahead by itself, from the moment on at which all that is compared is there.
    std::printf("%zu values, %.1f us each\n%5s %9s %10s %10s %10s %8s %8s %9s %9s %10s\n", values.size(), 1e6 * seconds / static_cast<double>(values.size()), "steps", "outcomes", "error", "naive",
                "seasonal", "/naive", "/season", "inside", "ensemble", "interval");
    const std::size_t from = 2 * std::size_t{m} + 100;
    for (std::uint32_t k = 1; k <= steps; ++k) {
        double error = 0, naive = 0, seasonal = 0, spread = 0;
        std::size_t n = 0, inside = 0, intervals = 0, ensemble = 0;
        for (std::size_t t = from; t < values.size(); ++t) {
            const ForecastStep& step = given[t - k].steps[k - 1];
            const std::size_t back = m == 0 ? k : m * ((k + m - 1) / m);
            if (!values[t] || !values[t - back]) continue;
            ++n;
            error += std::abs(*values[t] - step.value);
            naive += std::abs(*values[t] - step.naive);
            seasonal += std::abs(*values[t] - *values[t - back]);
            ensemble += step.model == ForecastModel::ensemble;
            if (!step.lower) continue;
            ++intervals;
            inside += *values[t] >= *step.lower && *values[t] <= *step.upper;
            spread += *step.upper - *step.lower + 2 / (1 - level) * (std::max(0.0, *step.lower - *values[t]) + std::max(0.0, *values[t] - *step.upper));
        }
        const double count = static_cast<double>(n);
        std::printf("%5u %9zu %10.3f %10.3f %10.3f %8.3f %8.3f %8.1f%% %8.1f%% %10.3f\n", k, n, error / count, naive / count, seasonal / count, error / naive, error / seasonal,
                    100.0 * static_cast<double>(inside) / static_cast<double>(intervals), 100.0 * static_cast<double>(ensemble) / count, spread / static_cast<double>(intervals));
    }
    const Forecast& last = given.back();
    std::printf("at the end: %s, MASE %.3f (naive %.3f, seasonal naive %.3f), coverage %.3f over %llu\n", std::string(to_text(last.model)).c_str(), last.score.mase.value_or(-1),
                last.score.naive_mase.value_or(-1), last.score.seasonal_naive_mase.value_or(-1), last.score.coverage.value_or(-1),
                static_cast<unsigned long long>(last.score.interval_count));
    for (std::size_t i = 0; i < forecast_member_count; ++i) std::printf("%s %.3f  ", std::string(to_text(static_cast<ForecastModel>(i))).c_str(), last.weights[i]);
    std::printf("\n");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> args(argv + 1, argv + argc);
    if (args.size() == 2 && args[0] == "m4") return m4(args[1]);
    if (args.size() == 4 && args[0] == "series")
        return series(static_cast<std::uint32_t>(std::stoul(args[1])), static_cast<std::uint32_t>(std::stoul(args[2])), std::stod(args[3]));
    std::fprintf(stderr, "forecast_bench m4 FOLDER | forecast_bench series SEASON HORIZON LEVEL < values\n");
    return 2;
}
