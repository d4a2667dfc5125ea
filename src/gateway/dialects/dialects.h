#pragma once
#include <memory>
#include <string>

#include "config/gateway_options.h"
#include "gateway/dialects/dialect.h"

namespace weir {

class Hub;

/// Source 004 at `/` and `/stream`: authentication, six subscription types, filters; and where the source leaves gaps, spec.md 5.
std::unique_ptr<Dialect> make_analytics_dialect(Hub& hub);
/// Source 003 at `/ws`: subscriptions to characteristics.
std::unique_ptr<Dialect> make_spc_dialect(Hub& hub);
/// Source 002 at `/feed/{stream}`: a welcome, then every event. What its clients send is read and ignored.
std::unique_ptr<Dialect> make_broadcast_dialect(Hub& hub, std::string stream, BroadcastOptions options);
/// Server-Sent Events at `/events`: no message ever comes in.
std::unique_ptr<Dialect> make_sse_dialect();

}  // namespace weir
