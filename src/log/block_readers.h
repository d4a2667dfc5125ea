#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "log/block_reader.h"

namespace weir {

/// The connections over which a log's streams are read from disk, and the decoded blocks that these share.
///
///     readers.lend([&](BlockReader& reader) { return reader.read(stream, from, 100); });
///
/// Bound: `idle_max` connections stay open, those of more readers at once are closed behind them; the cache's bytes. What nobody asks for
/// any more leaves with `forget_unused`. Thread: any. Cost: a lock; a connection that has to be opened takes about a millisecond.
class BlockReaders {
public:
    static constexpr std::size_t idle_max = 4;

    BlockReaders(std::string folder, std::string vfs, std::vector<Epoch> epochs, std::size_t cache_bytes)
        : folder_(std::move(folder)), vfs_(std::move(vfs)), epochs_(std::move(epochs)), cache_(std::make_shared<BlockCache>(cache_bytes)) {}

    template <class Use>
    auto lend(Use&& use) -> decltype(use(std::declval<BlockReader&>())) {
        std::unique_ptr<BlockReader> reader = take();
        if (!reader) {
            auto opened = BlockReader::open(folder_, vfs_, epochs_, cache_);
            if (!opened) return std::move(opened).error();
            reader = std::move(opened).value();
        }
        auto result = use(*reader);
        put_back(std::move(reader));
        return result;
    }

    /// Lets go of the decoded blocks and closes the connections that nobody has used since the last call. Bytes, about.
    std::size_t forget_unused();
    std::size_t idle() const;
    /// Closes all that are not lent.
    void close();

private:
    struct Idle {
        std::vector<std::unique_ptr<BlockReader>> readers;  ///< the last one is lent first
        std::size_t unused = 0;                             ///< the first so many were not lent since the last `forget_unused`
    };
    std::unique_ptr<BlockReader> take();
    void put_back(std::unique_ptr<BlockReader> reader);

    const std::string folder_, vfs_;
    const std::vector<Epoch> epochs_;
    const std::shared_ptr<BlockCache> cache_;
    Guarded<Idle> idle_;
};

}  // namespace weir
