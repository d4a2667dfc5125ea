#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "analytics/control_chart.h"

/// The data sets and reference results of tests/data/spc, for tests only. A broken file throws, which fails the test.
namespace weir::analytics::reference {

inline std::string path(const std::string& name) { return WEIR_SOURCE_DIR "/tests/data/spc/" + name; }

inline nlohmann::json json(const std::string& name) { return nlohmann::json::parse(std::ifstream(path(name))); }

struct Table {
    std::vector<std::string> names;
    std::vector<std::vector<double>> rows;  // TRUE and FALSE as 1 and 0

    std::vector<double> column(const std::string& name) const {
        for (std::size_t i = 0; i < names.size(); ++i) {
            if (names[i] != name) continue;
            std::vector<double> values;
            for (const auto& row : rows) values.push_back(row.at(i));
            return values;
        }
        throw std::runtime_error("no column " + name);
    }
};

inline Table table(const std::string& name) {
    std::ifstream file(path(name));
    if (!file) throw std::runtime_error("cannot read " + name);
    Table result;
    const auto fields_of = [](const std::string& line) {
        std::vector<std::string> fields;
        std::stringstream rest(line);
        for (std::string field; std::getline(rest, field, ',');)
            fields.push_back(field.size() > 1 && field.front() == '"' ? field.substr(1, field.size() - 2) : field);
        return fields;
    };
    std::string line;
    std::getline(file, line);
    result.names = fields_of(line);
    while (std::getline(file, line)) {
        std::vector<double> row;
        for (const std::string& field : fields_of(line)) row.push_back(field == "TRUE" ? 1 : field == "FALSE" ? 0 : std::stod(field));
        if (!row.empty()) result.rows.push_back(row);
    }
    return result;
}

/// Samples that own their readings.
struct Samples {
    std::vector<std::vector<double>> values;
    std::vector<double> sizes;

    std::vector<Sample> view() const {
        std::vector<Sample> samples;
        for (std::size_t i = 0; i < values.size(); ++i) samples.push_back({.values = values[i], .size = sizes.empty() ? 1 : sizes[i]});
        return samples;
    }
};

inline Samples singles(const std::vector<double>& values) {
    Samples samples;
    for (double value : values) samples.values.push_back({value});
    return samples;
}

inline Samples grouped(const std::vector<double>& groups, const std::vector<double>& values) {
    Samples samples;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i == 0 || groups[i] != groups[i - 1]) samples.values.emplace_back();
        samples.values.back().push_back(values[i]);
    }
    return samples;
}

/// The samples of one element of charts.json.
inline Samples samples_of(const nlohmann::json& element) {
    const std::string dataset = element["dataset"], id = element["id"];
    const Table data = table("datasets/" + dataset + ".csv");
    if (dataset == "pistonrings") return grouped(data.column("sample"), data.column("diameter"));
    if (dataset == "montgomery_tbl_6_3_rings") return grouped(data.column("sample"), data.column("obs"));
    if (dataset == "humidity_pb2") return grouped(data.column("pb.group"), data.column("pb.humidity"));
    if (dataset == "parts") return {.values = data.rows, .sizes = {}};
    if (dataset == "viscosity") return singles(data.column("viscosity"));
    if (dataset == "montgomery_tbl_6_7_loan_cost") return singles(data.column("cost"));
    if (dataset == "newproduct") return singles(data.column("V1"));
    if (dataset == "paintmaterial") return singles(data.column("x"));
    if (dataset == "montgomery_tbl_9_1") return singles(data.column("x"));
    if (dataset == "volume_ca") return singles(data.column("Volume"));
    // Attribute data: the revised charts leave out the samples that their notes name, the others stop at the trial samples.
    Samples all = singles(data.column(dataset == "orangejuice" ? "D" : "x"));
    all.sizes = data.column("size");
    Samples samples;
    for (std::size_t i = 0; i < all.values.size(); ++i) {
        const std::size_t position = i + 1;
        if (id == "orangejuice_p_revised" && (position == 15 || position == 23)) continue;
        if (id == "circuit_c_revised" && (position == 6 || position == 20)) continue;
        samples.values.push_back(all.values[i]);
        samples.sizes.push_back(all.sizes[i]);
    }
    samples.values.resize(element["statistics"].size());
    samples.sizes.resize(element["statistics"].size());
    return samples;
}

}  // namespace weir::analytics::reference
