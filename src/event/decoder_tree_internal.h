#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/decoder.h"

namespace weir::decoding {

inline constexpr int no_rank = 255;

/// The rules as a tree of the members they name, so that one walk over an item finds everything.
struct Node {
    std::string name;
    std::optional<std::size_t> index;
    std::vector<std::size_t> children;
    int key = no_rank, value = no_rank, time = no_rank;  ///< place in its list; the lowest present one wins
    bool id = false, keep = false, numeric = false;
    bool wanted_below = false;  ///< a key, value, time or id is here or below
    bool kept_below = false;    ///< something to keep is here or below
};

/// The tree of a Decoder's rules, made once. Thread: any (immutable).
class RuleTree {
public:
    /// Errors: `bad_pointer`.
    static Result<RuleTree> make(const DecodeRules& rules);

    const Node& root() const { return nodes_[0]; }
    /// The member of that name (unescaped) below `node`, or null.
    const Node* child(const Node& node, std::string_view name) const {
        for (const auto c : node.children)
            if (nodes_[c].name.size() == name.size() && nodes_[c].name == name) return &nodes_[c];
        return nullptr;
    }
    /// The element of an array there, or null.
    const Node* child(const Node& node, std::size_t index) const {
        for (const auto c : node.children)
            if (nodes_[c].index == index) return &nodes_[c];
        return nullptr;
    }

private:
    Result<void> add(const std::string& path, void (*mark)(Node&, int), int rank);
    Result<void> add_all(const std::vector<std::string>& paths, void (*mark)(Node&, int));
    void sum_up(std::size_t at);

    std::vector<Node> nodes_{1};
};

}  // namespace weir::decoding
