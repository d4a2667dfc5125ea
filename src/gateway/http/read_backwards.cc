#include "gateway/http/read_backwards.h"

#include "gateway/stream_directory.h"

namespace weir {

Result<bool> read_backwards(Hub& hub, const Permissions& who, std::string_view stream, std::size_t searched_max, const std::function<bool(const EventView&)>& use) {
    Log& log = hub.log();
    const auto info = log.info(stream);
    if (!info || !who.sees(stream, hub.directory().type_of(stream))) return true;
    Boundary boundary(who.filter);
    Seq before = info->head + 1;
    for (std::size_t read = 0; before > info->first && read < searched_max;) {
        WEIR_TRY(const auto batches, log.read_before(stream, before, 1000));
        if (batches.empty()) return true;
        for (std::size_t b = batches.size(); b-- > 0;)
            for (std::size_t i = batches[b]->events.size(); i-- > 0;) {
                if (batches[b]->seq_of(i) >= before) continue;
                ++read;
                if (boundary.sees(stream, batches[b]->events[i]) && !use(batches[b]->events[i])) return true;
            }
        if (batches.front()->first_seq >= before) return true;
        before = batches.front()->first_seq;
    }
    return before <= info->first;
}

}  // namespace weir
