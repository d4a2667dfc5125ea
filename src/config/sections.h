#pragma once
#include "config/option.h"

/// Which struct lives where in the file.
namespace weir {

#define WEIR_SECTION(Owner) \
    template <>             \
    const Section& section_of<Owner>();
WEIR_SECTION(diag::Options)
WEIR_SECTION(LogOptions)
WEIR_SECTION(RetentionOptions)
WEIR_SECTION(StreamOptions)
WEIR_SECTION(FeedOptions)
WEIR_SECTION(SourceOptions)
WEIR_SECTION(DecodeOptions)
WEIR_SECTION(WindowOptions)
WEIR_SECTION(ForecastOptions)
WEIR_SECTION(AlertOptions)
WEIR_SECTION(StoreOptions)
WEIR_SECTION(MappedTable)
WEIR_SECTION(GatewayOptions)
WEIR_SECTION(TokenOptions)
WEIR_SECTION(JwtOptions)
WEIR_SECTION(BroadcastOptions)
#undef WEIR_SECTION

}  // namespace weir
