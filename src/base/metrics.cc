#include "base/metrics.h"

#include <charconv>

namespace weir {
namespace {

// `{a="b",c="d"}`, or nothing; quotes, backslashes and newlines escaped as the format asks.
std::string print_labels(const Metrics::Labels& labels) {
    if (labels.empty()) return {};
    std::string out = "{";
    for (const auto& [name, value] : labels) {
        if (out.size() > 1) out += ',';
        out += name;
        out += "=\"";
        for (const char c : value) {
            if (c == '\\' || c == '"') out += '\\';
            if (c == '\n')
                out += "\\n";
            else
                out += c;
        }
        out += '"';
    }
    return out + "}";
}

void append_number(std::string& out, double v) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, v).ptr;
    out.append(digits, end);
}

void append_line(std::string& out, std::string_view name, std::string_view labels, double v) {
    out += name;
    out += labels;
    out += ' ';
    append_number(out, v);
    out += '\n';
}

}  // namespace

Metrics::Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(new std::atomic<std::uint64_t>[bounds_.size() + 1]()) {}

void Metrics::Histogram::observe(double v) noexcept {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin();
    counts_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    count_.fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(v, std::memory_order_relaxed);
}

void Metrics::Histogram::print(std::string& out, std::string_view name, std::string_view labels) const {
    const std::string inner = labels.empty() ? "" : std::string(labels.substr(1, labels.size() - 2)) + ",";
    std::uint64_t below = 0;
    for (std::size_t i = 0; i <= bounds_.size(); ++i) {
        below += counts_[i].load(std::memory_order_relaxed);
        out += name;
        out += "_bucket{" + inner + "le=\"";
        if (i < bounds_.size())
            append_number(out, bounds_[i]);
        else
            out += "+Inf";
        out += "\"} " + std::to_string(below) + "\n";
    }
    append_line(out, std::string(name) + "_sum", labels, sum_.load(std::memory_order_relaxed));
    append_line(out, std::string(name) + "_count", labels, static_cast<double>(below));
}

Metrics::Family& Metrics::family(std::string_view name, std::string_view help, const char* type) {
    auto it = families_.find(name);
    if (it == families_.end()) {
        it = families_.try_emplace(std::string(name)).first;
        it->second.help = help;
        it->second.type = type;
    }
    return it->second;
}

Metrics::Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
    std::lock_guard lock(mutex_);
    auto& slot = family(name, help, "counter").counters[print_labels(labels)];
    if (!slot) slot = std::make_unique<Counter>();
    return *slot;
}

Metrics::Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
    std::lock_guard lock(mutex_);
    auto& slot = family(name, help, "gauge").gauges[print_labels(labels)];
    if (!slot) slot = std::make_unique<Gauge>();
    return *slot;
}

Metrics::Histogram& Metrics::histogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                                       const Labels& labels) {
    std::lock_guard lock(mutex_);
    auto& slot = family(name, help, "histogram").histograms[print_labels(labels)];
    if (!slot) slot = std::make_unique<Histogram>(std::move(bounds));
    return *slot;
}

Metrics::Handle Metrics::computed(Kind kind, std::string_view name, std::string_view help, const Labels& labels,
                                  std::function<double()> read) {
    std::lock_guard lock(mutex_);
    const std::uint64_t id = next_id_++;
    family(name, help, kind == Kind::counter ? "counter" : "gauge").computed.emplace(id, std::pair(print_labels(labels), std::move(read)));
    return {this, id};
}

void Metrics::Handle::reset() {
    if (!owner_) return;
    std::lock_guard lock(owner_->mutex_);
    for (auto& [name, family] : owner_->families_) family.computed.erase(id_);
    owner_ = nullptr;
}

std::string Metrics::print() const {
    std::lock_guard lock(mutex_);
    std::string out;
    for (const auto& [name, family] : families_) {
        out += "# HELP " + name + " " + family.help + "\n# TYPE " + name + " " + family.type + "\n";
        for (const auto& [labels, counter] : family.counters) append_line(out, name, labels, static_cast<double>(counter->value()));
        for (const auto& [labels, gauge] : family.gauges) append_line(out, name, labels, gauge->value());
        for (const auto& [labels, histogram] : family.histograms) histogram->print(out, name, labels);
        for (const auto& [id, entry] : family.computed) append_line(out, name, entry.first, entry.second());
    }
    return out;
}

std::vector<std::pair<std::string, double>> Metrics::snapshot() const {
    std::lock_guard lock(mutex_);
    std::vector<std::pair<std::string, double>> out;
    for (const auto& [name, family] : families_) {
        for (const auto& [labels, counter] : family.counters) out.emplace_back(name + labels, static_cast<double>(counter->value()));
        for (const auto& [labels, gauge] : family.gauges) out.emplace_back(name + labels, gauge->value());
        for (const auto& [id, entry] : family.computed) out.emplace_back(name + entry.first, entry.second());
    }
    return out;
}

}  // namespace weir
