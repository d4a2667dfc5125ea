#pragma once
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// Where parts pin what people may want to see of them, and the gateway reads it: `feeds/pools`, `stores/files`, `log`.
/// Showing a part's health so needs no edge from the gateway to that part. A value is the text of one JSON object.
/// Thread: any. Cost: one lock; post on a change or at most a few times a second.
class StatusBoard {
public:
    void post(std::string_view part, std::string json_object) {
        std::lock_guard lock(mutex_);
        parts_.insert_or_assign(std::string(part), std::move(json_object));
    }
    void remove(std::string_view part) {
        std::lock_guard lock(mutex_);
        if (const auto it = parts_.find(part); it != parts_.end()) parts_.erase(it);
    }
    /// All parts whose name starts with `prefix`, in order of name, as (name, JSON object).
    std::vector<std::pair<std::string, std::string>> read(std::string_view prefix = {}) const {
        std::lock_guard lock(mutex_);
        std::vector<std::pair<std::string, std::string>> found;
        for (auto it = parts_.lower_bound(prefix); it != parts_.end() && it->first.starts_with(prefix); ++it)
            found.emplace_back(it->first, it->second);
        return found;
    }

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::string, std::less<>> parts_;
};

}  // namespace weir
