#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/spc_options.h"
#include "gateway/auth/permissions.h"
#include "gateway/http/answer.h"
#include "gateway/hub.h"

namespace weir {

/// What there is of characteristics, samples and violations, as HTTP answers: the newest events of the derived streams, folded.
///
/// `who` bounds what is shown, as if the rest were not there. Thread: any; it reads the log, so a worker of the reader pool.
class SpcReader {
public:
    static constexpr std::string_view samples_stream = "spc.samples", violations_stream = "spc.violations", characteristics_stream = "spc.characteristics";
    static constexpr std::size_t limit_max = 10'000, searched_max = 200'000;

    SpcReader(Hub& hub, const SpcOptions& options) : hub_(hub), options_(options) {}

    HttpAnswer characteristics(const Permissions& who) const;
    HttpAnswer characteristic(const Permissions& who, std::uint64_t id) const;
    HttpAnswer limits(const Permissions& who, std::uint64_t id) const;

    struct SampleQuery {
        std::uint64_t characteristic = 0;
        std::optional<Timestamp> from{}, to{};
        std::size_t limit = 200;
    };
    HttpAnswer samples(const Permissions& who, const SampleQuery& query) const;

    struct ViolationQuery {
        std::string state = "open";  ///< `open`, `acknowledged`, `withdrawn`, `all`
        std::optional<std::uint64_t> characteristic{};
        std::size_t limit = 500;
    };
    HttpAnswer violations(const Permissions& who, const ViolationQuery& query) const;
    HttpAnswer violation(const Permissions& who, std::uint64_t id) const;

    /// The first characteristic or violation of a command that `who` does not see. All open violations of a characteristic become a list
    /// of those that are seen.
    std::optional<std::pair<GatewayError, std::uint64_t>> what_is_outside(const Permissions& who, Json& data) const;

private:
    /// Newest first, what `who` sees, until `use` says false or enough was searched.
    Result<void> backwards(const Permissions& who, std::string_view stream, const std::function<bool(const EventView&)>& use) const;
    /// The newest definition of each characteristic, or of one, with its running capability.
    Result<std::map<std::uint64_t, std::string>> definitions(const Permissions& who, std::optional<std::uint64_t> only) const;

    Hub& hub_;
    const SpcOptions& options_;
};

}  // namespace weir
