#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/assert.h"

namespace weir {

/// The encoded frames of one audience, oldest to newest, numbered from 0: each is encoded once, and every session of the audience
/// sends from here, wherever its cursor stands (decisions.md 18; performance.md, 2).
///
/// Frames lie behind one another in one circular piece of memory, so that a run of them leaves in one or two pieces. It starts empty,
/// doubles while frames are needed, and at `bytes_max` the oldest go, needed or not: whoever still wanted them finds its cursor
/// below `begin()`.
/// Thread: the reactor's. Cost: one copy a frame; 32 bytes a frame beside its bytes.
class FrameRing {
public:
    /// `bytes_max`: at most 4 GiB, since a frame's place has 32 bits.
    explicit FrameRing(std::size_t bytes_max) : bytes_max_(bytes_max) { WEIR_ASSERT(bytes_max <= std::size_t(1) << 32); }

    /// Number of the oldest frame that is there, and of the next to come.
    std::uint64_t begin() const { return begin_; }
    std::uint64_t end() const { return end_; }
    /// The bytes of all frames from `from` (not below begin) to the end.
    std::uint64_t bytes_from(std::uint64_t from) const { return from >= end_ ? 0 : written_ - slot(from).position; }
    /// The place of a frame in the order of all events of the hub.
    std::uint64_t order(std::uint64_t frame) const { return slot(frame).order; }
    std::size_t size_of(std::uint64_t frame) const { return slot(frame).size; }
    /// A hash of the event's key: what tells that a newer frame is about the same thing.
    std::uint64_t key(std::uint64_t frame) const { return slot(frame).key; }
    std::string_view bytes(std::uint64_t frame) const { return {bytes_.get() + slot(frame).offset, slot(frame).size}; }
    /// The first frame from `from` on behind which (itself included) at most `bytes` lie.
    std::uint64_t find_bytes(std::uint64_t from, std::uint64_t bytes) const;

    /// Whether `append` would have to grow or drop: the moment to say what nobody needs any more.
    bool tight(std::size_t size) const;
    /// Whether `append` would drop the oldest frame: whoever wants to keep that takes it now, and releases it.
    bool drops(std::size_t size) const;
    /// Frames before `frame` are needed by nobody.
    void release_before(std::uint64_t frame);
    /// Room for a frame of `size` bytes, to be filled at once; its number is end() - 1 then. `size` is at most bytes_max.
    char* append(std::uint64_t order, std::size_t size, std::uint64_t key = 0);

    /// Pieces of memory that hold the frames [from, to); at most `pieces.size()` of them, so possibly fewer frames: `covered` is
    /// the number of the first frame that is not in them. Valid until the next append.
    std::size_t gather(std::uint64_t from, std::uint64_t to, std::span<iovec> pieces, std::uint64_t& covered) const;
    /// The first frame from `from` on whose order is not below `order`, at most end(): frames up to there go before it.
    std::uint64_t find_order(std::uint64_t from, std::uint64_t order) const;

    /// Gives the memory back if every frame was released.
    void shrink();
    std::size_t capacity() const { return capacity_; }

private:
    struct Slot {
        std::uint64_t order, position;  ///< position: bytes of all frames before it
        std::uint64_t key;
        std::uint32_t offset, size;
    };
    const Slot& slot(std::uint64_t frame) const { return slots_[frame & (slots_.size() - 1)]; }
    bool place(std::size_t size, std::size_t& offset) const;
    void grow(std::size_t capacity);

    std::size_t bytes_max_;
    std::unique_ptr<char[]> bytes_;
    std::size_t capacity_ = 0, write_ = 0;  ///< write_: behind the newest frame
    std::vector<Slot> slots_;               ///< a power of two of them, by frame number
    std::uint64_t begin_ = 0, end_ = 0, written_ = 0;
};

}  // namespace weir
