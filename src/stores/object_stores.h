#pragma once
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "config/store_options.h"
#include "stores/azure_service.h"
#include "stores/object_store.h"

namespace weir {

/// The place that a blob store's options name. Nothing is asked of a service yet. Errors name the option.
Result<std::unique_ptr<ObjectStore>> make_object_store(const StoreOptions& options, const AzureIdentity& identity, const Clock& clock);

}  // namespace weir
