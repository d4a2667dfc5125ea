#include "stores/object_stores.h"

#include "stores/folder_store.h"
#include "stores/s3_service.h"

namespace weir {

Result<std::unique_ptr<ObjectStore>> make_object_store(const StoreOptions& options, const AzureIdentity& identity, const Clock& clock) {
    std::unique_ptr<ObjectStore> store;
    std::unique_ptr<ObjectService> service;
    const auto transport = std::make_shared<HttpTransport>(clock);
    if (options.kind == StoreKind::azure) {
        WEIR_TRY(AzureAccount account, AzureAccount::from(options));
        service = std::make_unique<AzureService>(std::move(account), options, identity, transport, clock);
    }
    if (options.kind == StoreKind::s3) service = std::make_unique<S3Service>(options, transport, clock);
    if (service) store = std::make_unique<ServiceStore>(std::move(service), transport);
    else store = std::make_unique<FolderStore>(options.path);
    return store;
}

}  // namespace weir
