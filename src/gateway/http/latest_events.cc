#include "gateway/http/latest_events.h"

#include "gateway/auth/permissions.h"

#include <unordered_set>

#include "event/json.h"
#include "event/json_path.h"
#include "gateway/dialects/spc_messages.h"

namespace weir {

void LatestEvents::set_head(const StreamName& stream, Epoch epoch, Seq head) {
    Stream& s = streams_[stream];
    s.epoch = epoch;
    s.head = std::max(s.head, head);
}

void LatestEvents::add(const StreamName& stream, Epoch epoch, Seq seq, const EventView& event) {
    auto at = streams_.find(stream);
    if (at == streams_.end()) at = streams_.emplace(stream, Stream()).first;
    Stream& s = at->second;
    s.epoch = epoch;
    s.head = std::max(s.head, seq);
    auto entry = s.keys.find(event.key);
    if (entry == s.keys.end()) {
        if (s.keys.size() >= keys_max || bytes_ + event.data.size() > bytes_max) {
            ++s.left_out;
            return;
        }
        entry = s.keys.emplace(event.key, Entry()).first;
    }
    if (entry->second.seq > seq) return;
    bytes_ += event.data.size();
    bytes_ -= entry->second.data.size();
    entry->second.seq = seq;
    entry->second.time = event.time;
    entry->second.data = event.data;
}

const LatestEvents::Stream* LatestEvents::find(std::string_view stream) const {
    const auto at = streams_.find(stream);
    return at == streams_.end() ? nullptr : &at->second;
}

LatestFound read_latest(Log& log, const StreamInfo& info, std::size_t events_max, const Filter& filter) {
    Boundary boundary(filter);
    LatestFound found;
    static const JsonPath path(*JsonPointer::parse("/path"));
    std::unordered_set<std::string> keys;
    std::unordered_set<std::uint64_t> characteristics, placed;
    Seq before = info.head + 1;
    for (std::size_t read = 0; read < events_max && before > info.first && keys.size() < LatestEvents::keys_max;) {
        const auto batches = log.read_before(info.name, before, 1000);
        if (!batches.ok() || batches->empty()) break;
        for (std::size_t b = batches->size(); b-- > 0;) {
            const Batch& batch = *(*batches)[b];
            for (std::size_t i = batch.events.size(); i-- > 0;) {
                if (batch.seq_of(i) >= before) continue;
                ++read;
                const EventView event = batch.events[i];
                if (!boundary.sees(info.name, event)) continue;
                if (spc_messages::is_spc_type(event.type) || event.type.starts_with("characteristic")) {
                    const auto id = spc_messages::characteristic_id(event.data);
                    const bool fresh = id && characteristics.insert(*id).second;
                    const bool says_where = id && !placed.contains(*id) && path.string(event.data).value_or("") != "";
                    if (says_where) placed.insert(*id);
                    if (fresh || says_where) found.characteristics.add(event);
                }
                if (!keys.emplace(event.key).second) continue;
                found.events.add(event);
                found.seqs.push_back(batch.seq_of(i));
            }
        }
        if (batches->front()->first_seq >= before) break;
        before = batches->front()->first_seq;
    }
    return found;
}

}  // namespace weir
