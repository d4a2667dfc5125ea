#include "event/decoder_tree_internal.h"

#include <charconv>

#include "event/json.h"

namespace weir::decoding {

Result<void> RuleTree::add(const std::string& path, void (*mark)(Node&, int), int rank) {
    WEIR_TRY(const auto pointer, JsonPointer::parse(path));
    std::size_t at = 0;
    for (const auto& step : pointer.steps()) {
        std::size_t child = 0;
        for (const auto c : nodes_[at].children)
            if (nodes_[c].name == step) child = c;
        if (child == 0) {
            child = nodes_.size();
            Node node;
            node.name = step;
            std::size_t index;
            const char* end = step.data() + step.size();
            if (const auto [p, e] = std::from_chars(step.data(), end, index); e == std::errc() && p == end && (step.size() == 1 || step[0] != '0'))
                node.index = index;
            nodes_.push_back(std::move(node));
            nodes_[at].children.push_back(child);
        }
        at = child;
    }
    mark(nodes_[at], rank);
    return ok();
}

void RuleTree::sum_up(std::size_t at) {
    Node& node = nodes_[at];
    node.wanted_below = node.key != no_rank || node.value != no_rank || node.time != no_rank || node.id;
    node.kept_below = node.keep;
    for (const auto c : node.children) {
        sum_up(c);
        node.wanted_below |= nodes_[c].wanted_below;
        node.kept_below |= nodes_[c].kept_below;
    }
}

Result<void> RuleTree::add_all(const std::vector<std::string>& paths, void (*mark)(Node&, int)) {
    for (std::size_t i = 0; i < paths.size(); ++i) WEIR_CHECK_OK(add(paths[i], mark, static_cast<int>(i)));
    return ok();
}

Result<RuleTree> RuleTree::make(const DecodeRules& rules) {
    RuleTree tree;
    WEIR_CHECK_OK(tree.add_all(rules.key, [](Node& n, int rank) { n.key = std::min(n.key, rank); }));
    WEIR_CHECK_OK(tree.add_all(rules.value, [](Node& n, int rank) { n.value = std::min(n.value, rank); }));
    WEIR_CHECK_OK(tree.add_all(rules.time, [](Node& n, int rank) { n.time = std::min(n.time, rank); }));
    WEIR_CHECK_OK(tree.add_all(rules.keep, [](Node& n, int) { n.keep = true; }));
    WEIR_CHECK_OK(tree.add_all(rules.numeric_text_paths, [](Node& n, int) { n.numeric = true; }));
    if (!rules.id.empty()) WEIR_CHECK_OK(tree.add(rules.id, [](Node& n, int) { n.id = true; }, 0));
    tree.sum_up(0);
    return tree;
}

}  // namespace weir::decoding
