#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "base/assert.h"
#include "processors/spc_chart.h"

namespace weir {

/// Charts and rules of one version, somewhere in the order of samples.
struct SpcChart::Pen {
    std::uint32_t version = 0;
    std::vector<analytics::ControlChart> charts;
    std::vector<analytics::RunRules> rules;
    int lookback = 1;
    std::array<std::vector<std::size_t>, 2> drawn;  ///< records with a point, newest last: what a pattern's bits mean. At most 64 are needed.

    Pen(const SpcVersion& v, const analytics::ConstantsTable& table) : version(v.number) {
        if (!v.limits) return;
        for (int i = 0; i < v.definition.chart_count(); ++i) {
            auto chart = analytics::ControlChart::with(v.definition.setup(i, *v.limits), table);
            WEIR_ASSERT(chart.ok());
            charts.push_back(*std::move(chart));
            rules.emplace_back(v.definition.rules_of(i));
            lookback = std::max(lookback, rules.back().lookback());
        }
    }
    void drew(std::size_t chart, std::size_t index) {
        auto& list = drawn[chart];
        if (list.size() >= 256) list.erase(list.begin(), list.end() - 64);
        list.push_back(index);
    }
};

}  // namespace weir
