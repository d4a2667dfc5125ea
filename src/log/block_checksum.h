#pragma once
#include <cstdint>
#include <string_view>

#include "log/block.h"

namespace weir {

/// What `BlockHeader::checksum` must be: of the header's other members and the stored body (docs/formats/log-block.md).
std::uint64_t checksum_of(const BlockHeader& header, std::string_view body);

}  // namespace weir
