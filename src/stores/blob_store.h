#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "config/store_options.h"
#include "event/json_path.h"
#include "stores/blob_document.h"
#include "stores/blob_join.h"
#include "stores/object_store.h"
#include "stores/store_worker.h"

namespace weir {

/// One stream of windows that a blob store writes.
struct BlobSource {
    std::string window;            ///< its name
    StreamName output;             ///< where its documents are
    StreamName input;              ///< where its readings are
    std::vector<JsonPath> values;  ///< as the window reads them
    BlobJoin join{};               ///< with what another log wrote; absent: siblings
};

/// Closed windows to objects: reads the streams of windows in commit order, fetches each window's readings from the log, and writes
/// its documents under the names that the window gives (spec.md 2, S0-29 to S0-32, S1-15 to S1-19).
///
/// **An object is a pure function of the log.** A window event only says that the objects of its window and start are due. What they
/// hold is then read from the log: the newest revision of each key, with the readings up to the `last_seq` that it counted, whatever
/// has come since. The position is committed when the objects are durable. So a crash repeats at most the last objects, and it does not
/// matter how often the work was interrupted, or in how many commits the keys of a window came: the same names and bytes are there
/// in the end. What only an earlier state asked for (the plain name of a key that was alone then, the old end of a session) is
/// removed again, if this log made it. The one exception: where another log's readings of the same window stand already, the two are
/// joined (blob_join.h), so that a restored backup or a second weir loses nothing of what files had.
///
/// **Keys.** With one key in a window its object has the plain name; else each key has a folder above the date; with more than four
/// keys (or `bundle = always`) one object holds all. The window of the whole feed, whose key is empty, does not count as one. Bundles
/// exist in profile `weir`. They are made from the newest revisions of all keys, so a corrected key replaces the whole.
/// **Empty windows** are written in profile `weir` (C-15). The source profiles cannot say why there is nothing: a warning, and no
/// object (S0-32).
///
/// **Retention that was faster than a window**, or than this store, leaves its object with fewer readings than it counts: that is told with both
/// numbers, and counted as a gap.
///
/// When an object cannot be written (disk full, service away) it is tried again, as StoreWorker says.
///
/// Thread: StoreWorker's. Cost: two range reads of the log a window and start, one or two objects.
class BlobStore final : public StoreWorker {
public:
    BlobStore(std::string name, StoreOptions options, std::vector<BlobSource> sources, std::unique_ptr<ObjectStore> objects, Log& log,
              const Clock& clock, Metrics& metrics, StatusBoard& status, std::uint64_t seed = 0);
    ~BlobStore() override;

private:
    /// All windows of one name that begin at one time: what is looked at together. Ordered by time, so that a long catching up can be followed.
    struct Group {
        Timestamp start;
        std::size_t source;
        auto operator<=>(const Group&) const = default;
    };
    using Due = std::map<Group, std::set<std::string>>;  ///< with the keys that have news
    struct Logged {
        BlobWindow window;
        CommitNo commit;
        Epoch epoch;
    };
    enum class Part : std::uint8_t { raw, summary };
    struct Planned {
        std::string name;
        Part part;
        bool bundle;
        std::vector<std::size_t> windows;  ///< places in the history
    };
    Result<bool> step() override;
    std::vector<StreamName> held() const override;
    void show(JsonWriter& json) const override;
    std::string_view kind() const override;
    void ending(Duration within) override;
    void note(const Batch& batch, Due& due);
    Result<void> write_group(const Group& group, const std::set<std::string>& keys);
    /// All revisions of all keys, in seq order.
    Result<std::vector<Logged>> history_of(const Group& group);
    /// The objects that a history asks for.
    std::vector<Planned> plan(const Group& group, std::span<const Logged> history) const;
    /// Those of which there are fewer than the window counts go to `short_`.
    Result<void> add_readings(const BlobSource& source, std::vector<BlobWindow>& windows);
    ObjectWrite object_of(const Planned& planned, std::string bytes, Epoch epoch, std::uint64_t revision) const;
    Result<ObjectStore::Put> put(ObjectWrite object);
    /// A raw object of profile `weir`, joined where another log's stands there. `text`: what it holds, not compressed. Gives the
    /// document that is known to stand there then: a joined one, or what stood there before. nullopt where it is just the object.
    Result<std::optional<std::string>> put_raw(const BlobSource& source, ObjectWrite object, std::string text);

    StoreOptions options_;
    std::vector<BlobSource> sources_;
    std::unique_ptr<ObjectStore> objects_;
    bool several_windows_ = false, several_streams_ = false;
    std::string last_object_;
    std::vector<std::string> short_;  ///< of this step: windows of which the log has not all readings any more, in words
    diag::RateLimiter empty_warnings_{60'000'000}, short_warnings_{60'000'000};
    Metrics::Counter &written_, &unchanged_, &siblings_, &joined_, &empty_, &bad_;
};

}  // namespace weir
