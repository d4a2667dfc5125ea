#include "app/commands/spc_input.h"

#include <charconv>
#include <cmath>

namespace weir {

namespace {

struct Row {
    std::size_t line;
    std::vector<std::string> fields;
};

struct Csv {
    char separator = ',';
    std::vector<std::string> names;  // empty without a header
    std::vector<Row> rows;
    std::size_t width = 0;
};

std::string trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return std::string(text);
}

std::optional<double> number(std::string text, char separator) {
    if (separator == ';') {
        for (char& c : text) c = c == ',' ? '.' : c;
    }
    if (!text.empty() && text.front() == '+') text.erase(0, 1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

Result<Csv> parse(const std::string& name, std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    Csv csv;
    const std::string_view first = text.substr(0, text.find('\n'));
    const auto count = [&](char c) { return std::count(first.begin(), first.end(), c); };
    if (count(';') > 0 && count(';') >= count(',')) csv.separator = ';';
    else if (count('\t') > 0 && count('\t') >= count(',')) csv.separator = '\t';

    std::size_t line = 1;
    for (std::size_t i = 0; i < text.size();) {
        Row row{line, {}};
        bool end_of_row = false;
        while (!end_of_row) {
            std::string field;
            if (i < text.size() && text[i] == '"') {
                const std::size_t opened = line;
                for (++i;; ++i) {
                    if (i >= text.size()) return Error{"malformed_csv", name + ":" + std::to_string(opened) + ": a quote is opened and never closed"};
                    if (text[i] == '"') {
                        if (i + 1 < text.size() && text[i + 1] == '"') ++i;
                        else break;
                    }
                    line += text[i] == '\n';
                    field += text[i];
                }
                ++i;
                if (i < text.size() && text[i] != csv.separator && text[i] != '\n' && text[i] != '\r')
                    return Error{"malformed_csv", name + ":" + std::to_string(line) + ": text after a closing quote"};
            } else {
                while (i < text.size() && text[i] != csv.separator && text[i] != '\n' && text[i] != '\r') field += text[i++];
                field = trimmed(field);
            }
            row.fields.push_back(std::move(field));
            if (i < text.size() && text[i] == csv.separator) {
                ++i;
            } else {
                if (i < text.size() && text[i] == '\r') ++i;
                if (i < text.size() && text[i] == '\n') ++i;
                end_of_row = true;
            }
        }
        ++line;
        if (row.fields.size() == 1 && row.fields[0].empty()) continue;
        csv.width = std::max(csv.width, row.fields.size());
        csv.rows.push_back(std::move(row));
    }
    if (csv.rows.empty()) return Error{"no_samples", name + " is empty; expected rows of comma-separated values"};
    bool header = false;
    for (const std::string& field : csv.rows[0].fields) header = header || !number(field, csv.separator);
    if (header) {
        csv.names = csv.rows[0].fields;
        csv.rows.erase(csv.rows.begin());
        if (csv.rows.empty()) return Error{"no_samples", name + " has a header and no row below it"};
    }
    return csv;
}

/// Looks up columns and reads their fields, with messages that say where.
class Reader {
public:
    Reader(const std::string& name, const Csv& csv) : name_(name), csv_(csv) {}

    Result<std::size_t> column(const std::string& wanted) const {
        for (std::size_t i = 0; i < csv_.names.size(); ++i) {
            if (csv_.names[i] == wanted) return i;
        }
        std::size_t position = 0;
        const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), position);
        if (error == std::errc() && end == wanted.data() + wanted.size() && position >= 1 && position <= csv_.width) return position - 1;
        std::string known;
        for (const std::string& each : csv_.names) known += (known.empty() ? "" : ", ") + each;
        return Error{"unknown_column", name_ + " has no column \"" + wanted + "\"; it has " +
                                           (known.empty() ? "no header and " + std::to_string(csv_.width) + " columns (use their number, from 1)" : known)};
    }

    std::string title(std::size_t column) const {
        return column < csv_.names.size() ? "column \"" + csv_.names[column] + "\"" : "column " + std::to_string(column + 1);
    }

    const std::string& field(const Row& row, std::size_t column) const {
        static const std::string nothing;
        return column < row.fields.size() ? row.fields[column] : nothing;
    }

    Result<double> read(const Row& row, std::size_t column) const {
        const std::string& text = field(row, column);
        if (const auto value = number(text, csv_.separator)) return *value;
        return Error{"not_a_number", name_ + ":" + std::to_string(row.line) + ": " + title(column) + " is " + (text.empty() ? "empty" : "\"" + text + "\"") +
                                         ", expected a number"};
    }

    bool numeric(std::size_t column) const {
        bool any = false;
        for (const Row& row : csv_.rows) {
            if (field(row, column).empty()) continue;
            any = true;
            if (!number(field(row, column), csv_.separator)) return false;
        }
        return any;
    }

private:
    const std::string& name_;
    const Csv& csv_;
};

Result<std::vector<std::size_t>> value_columns(const std::string& name, const Csv& csv, const Reader& reader, const SpcColumns& columns) {
    std::vector<std::size_t> found;
    for (const std::string& wanted : columns.values) {
        WEIR_TRY(const std::size_t column, reader.column(wanted));
        found.push_back(column);
    }
    if (!found.empty()) return found;
    std::vector<std::size_t> taken;
    for (const std::string& other : {columns.group, columns.size, columns.nominal, columns.part_sigma}) {
        if (other.empty()) continue;
        WEIR_TRY(const std::size_t column, reader.column(other));
        taken.push_back(column);
    }
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < csv.width; ++i) {
        if (std::find(taken.begin(), taken.end(), i) == taken.end()) open.push_back(i);
    }
    // The only column there is must be meant; a field of it that is no number is then named with its line.
    if (open.size() == 1) return open;
    for (std::size_t column : open) {
        if (reader.numeric(column)) found.push_back(column);
    }
    if (found.empty()) return Error{"unknown_column", name + " has no column of numbers"};
    const bool one_each = !columns.group.empty() || columns.subgroup_size > 0 || !columns.wants_subgroups;
    if (found.size() > 1 && one_each) {
        std::string candidates;
        for (std::size_t column : found) candidates += (candidates.empty() ? "" : ", ") + reader.title(column);
        return Error{"ambiguous_columns", name + " has several columns of numbers (" + candidates + "); say with --column which holds the readings, or with --chart xbar-R that each row is a sample"};
    }
    return found;
}

}  // namespace

std::vector<analytics::Sample> SpcSamples::view() const {
    std::vector<analytics::Sample> samples;
    samples.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        analytics::Sample sample{.values = values[i]};
        if (!sizes.empty()) sample.size = sizes[i];
        if (!nominals.empty()) sample.nominal = nominals[i];
        if (!part_sigmas.empty()) sample.part_sigma = part_sigmas[i];
        samples.push_back(sample);
    }
    return samples;
}

Result<SpcSamples> read_spc_samples(const std::string& name, std::string_view text, const SpcColumns& columns) {
    WEIR_TRY(const Csv csv, parse(name, text));
    const Reader reader(name, csv);
    WEIR_TRY(const auto value_at, value_columns(name, csv, reader, columns));
    std::optional<std::size_t> group, size, nominal, part_sigma;
    for (auto [wanted, place] : {std::pair{&columns.group, &group}, {&columns.size, &size}, {&columns.nominal, &nominal}, {&columns.part_sigma, &part_sigma}}) {
        if (wanted->empty()) continue;
        WEIR_TRY(const std::size_t column, reader.column(*wanted));
        *place = column;
    }
    SpcSamples samples;
    for (const Row& row : csv.rows) {
        const std::string label = group ? reader.field(row, *group) : "";
        const bool continues = !samples.values.empty() &&
                               (group ? label == samples.labels.back()
                                      : columns.subgroup_size > 0 && samples.values.back().size() < static_cast<std::size_t>(columns.subgroup_size));
        if (!continues) {
            samples.values.emplace_back();
            samples.lines.push_back(row.line);
            if (group) samples.labels.push_back(label);
            for (auto [column, list] : {std::pair{&size, &samples.sizes}, {&nominal, &samples.nominals}, {&part_sigma, &samples.part_sigmas}}) {
                if (!*column) continue;
                WEIR_TRY(const double value, reader.read(row, **column));
                list->push_back(value);
            }
            if (columns.size_all > 0) samples.sizes.push_back(columns.size_all);
        }
        for (std::size_t column : value_at) {
            // A wide row may be short of readings; a single one must be there.
            if (value_at.size() > 1 && reader.field(row, column).empty()) continue;
            WEIR_TRY(const double value, reader.read(row, column));
            samples.values.back().push_back(value);
        }
        if (samples.values.back().empty()) return Error{"not_a_number", name + ":" + std::to_string(row.line) + ": the row holds no reading"};
    }
    if (columns.subgroup_size > 0 && samples.values.back().size() < static_cast<std::size_t>(columns.subgroup_size)) {
        return Error{"no_samples", name + ":" + std::to_string(samples.lines.back()) + ": the last subgroup has " + std::to_string(samples.values.back().size()) +
                                       " readings, expected " + std::to_string(columns.subgroup_size)};
    }
    return samples;
}

}  // namespace weir
