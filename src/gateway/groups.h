#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "config/gateway_options.h"
#include "gateway/errors.h"
#include "gateway/group.h"
#include "gateway/history.h"
#include "log/log.h"

namespace weir {

class GroupHome;

/// The book of all groups of the gateway: what each shares out, who is in it, and up to where that is acknowledged. It outlives their members, and in
/// the log (state of the reader `_gateway/groups`, a key a group) the process.
///
/// A group is run by one of the reactors, its home, which follows from its name; whoever wants in asks here first, on any reactor.
///
/// Thread: any; `add_home` before the reactors run. Memory: gateway.groups_max times a name, a subscription and its positions.
class Groups {
public:
    static constexpr std::string_view kReader = "_gateway/groups";
    using Begins = std::map<StreamName, Since::Begin, std::less<>>;

    /// Errors: the log's; `damaged_state`.
    static Result<std::unique_ptr<Groups>> open(Log& log, const GatewayOptions& options);

    void add_home(GroupHome& home) { homes_.push_back(&home); }
    GroupHome& home(std::string_view name) const;
    Group::Member next_member() { return next_member_.fetch_add(1, std::memory_order_relaxed); }

    struct Entry {
        std::optional<GatewayError> refused;
        Begins begins;  ///< where the group goes on; streams that are not named: at their beginning, since they are younger than the group
    };
    /// One member more. `subscription` is what it wants, canonical; `begins` is where a group begins that has no position yet.
    Entry enter(const std::string& name, const std::string& subscription, Begins begins, Timestamp now);
    void leave(const std::string& name, Timestamp now);

    struct Saved {
        std::string text;  ///< what the log is to keep under the group's name
        Begins begins;
    };
    /// The group has come so far. nullopt while it has not found its begin.
    std::optional<Saved> reached(const std::string& name, const Begins& positions, Timestamp now);
    /// The log has kept it.
    void committed(const std::string& name, const Begins& begins);
    /// Groups without a member for gateway.group_keep are no more. Answers their names: their keys go.
    std::vector<std::string> forget_old(Timestamp now);
    /// The same for one that is named. False: it has members.
    bool forget(const std::string& name);

    struct Shown {
        std::string name, subscription;
        std::size_t members;
        Since::Positions positions;  ///< committed
        Timestamp used;
    };
    std::vector<Shown> list() const;

private:
    struct Record {
        std::string subscription;
        Begins begins;
        Begins committed;
        std::size_t members = 0;
        Timestamp used;
    };
    using Records = std::map<std::string, Record, std::less<>>;
    explicit Groups(const GatewayOptions& options) : options_(options) {}

    const GatewayOptions& options_;
    std::vector<GroupHome*> homes_;
    std::atomic<Group::Member> next_member_{1};
    Guarded<Records> records_;
};

}  // namespace weir
