#pragma once
#include <functional>
#include <string_view>

#include "event/event.h"
#include "gateway/auth/permissions.h"
#include "gateway/hub.h"

namespace weir {

/// The events of a stream that `who` sees, newest first, until `use` says false. False when it ended at `searched_max` events instead of at the
/// oldest one. Thread: any; it reads the log, so a worker of the reader pool.
Result<bool> read_backwards(Hub& hub, const Permissions& who, std::string_view stream, std::size_t searched_max, const std::function<bool(const EventView&)>& use);

}  // namespace weir
