#pragma once
#include <string>
#include <utility>

namespace weir {

/// A text that must not be shown: a password, a token, a connection string. It has no conversion to a text and no printing, so
/// that whoever needs the characters says so with `reveal`. Thread: any.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}

    bool empty() const { return text_.empty(); }
    const std::string& reveal() const { return text_; }
    bool operator==(const Secret&) const = default;

private:
    std::string text_;
};

}  // namespace weir
