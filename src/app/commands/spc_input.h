#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analytics/control_chart.h"
#include "base/result.h"

namespace weir {

/// Which of a CSV file's columns hold what. Columns are named by their header, or by number from 1.
struct SpcColumns {
    std::vector<std::string> values;        ///< none: the only numeric column, or all of them where several readings make a sample
    std::string group;                      ///< long form: neighbouring rows with the same text are one sample
    std::string size, nominal, part_sigma;  ///< one number a sample
    double size_all = 0;                    ///< instead of `size`: the same for all; 0 = not given
    int subgroup_size = 0;                  ///< long form without a group column: so many readings are one sample; 0 = one row is one
    bool wants_subgroups = false;           ///< the chart is of several readings
};

/// Samples with the line that each began on.
struct SpcSamples {
    std::vector<std::vector<double>> values;
    std::vector<double> sizes, nominals, part_sigmas;  ///< empty, or one a sample
    std::vector<std::string> labels;                   ///< of the group column; empty without one
    std::vector<std::size_t> lines;

    std::size_t count() const { return values.size(); }
    std::vector<analytics::Sample> view() const;
};

/// Samples from the text of a CSV file (RFC 4180; `,` `;` or tab, told from the first line; a decimal comma where `;` separates; a byte
/// order mark and CRLF are taken). The first line is a header if a field of it is no number. Blank lines are skipped. In a wide file an
/// empty field makes its sample smaller; elsewhere it is an error.
/// `name` begins each message: `parts.csv:12: column "X2" is "n/a", expected a number`.
/// Errors: `malformed_csv`, `unknown_column`, `not_a_number`, `ambiguous_columns`, `no_samples`.
Result<SpcSamples> read_spc_samples(const std::string& name, std::string_view text, const SpcColumns& columns);

}  // namespace weir
