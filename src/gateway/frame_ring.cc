#include "gateway/frame_ring.h"

#include <cstring>

#include "base/assert.h"

namespace weir {

/// Where a frame fits without touching one that is there, in one piece.
bool FrameRing::place(std::size_t size, std::size_t& offset) const {
    if (begin_ == end_) {
        offset = 0;
        return size <= capacity_;
    }
    const std::size_t oldest = slot(begin_).offset;
    if (write_ > oldest) {
        if (size <= capacity_ - write_) return offset = write_, true;
        return offset = 0, size <= oldest;
    }
    return offset = write_, size <= oldest - write_;
}

bool FrameRing::tight(std::size_t size) const {
    std::size_t offset;
    return end_ - begin_ == slots_.size() || !place(size, offset);
}

bool FrameRing::drops(std::size_t size) const {
    std::size_t offset;
    return begin_ != end_ && capacity_ >= bytes_max_ && !place(size, offset);
}

void FrameRing::release_before(std::uint64_t frame) {
    if (frame > begin_) begin_ = std::min(frame, end_);
}

void FrameRing::grow(std::size_t capacity) {
    auto bytes = std::make_unique<char[]>(capacity);
    std::size_t at = 0;
    for (std::uint64_t i = begin_; i < end_; ++i) {
        Slot& s = slots_[i & (slots_.size() - 1)];
        std::memcpy(bytes.get() + at, bytes_.get() + s.offset, s.size);
        s.offset = static_cast<std::uint32_t>(at);
        at += s.size;
    }
    bytes_ = std::move(bytes);
    capacity_ = capacity;
    write_ = at;
}

char* FrameRing::append(std::uint64_t order, std::size_t size, std::uint64_t key) {
    WEIR_ASSERT(size <= bytes_max_);
    WEIR_ASSERT(begin_ == end_ || slot(end_ - 1).order <= order);
    if (end_ - begin_ == slots_.size()) {
        std::vector<Slot> slots(slots_.empty() ? 4 : slots_.size() * 2);
        for (std::uint64_t i = begin_; i < end_; ++i) slots[i & (slots.size() - 1)] = slot(i);
        slots_ = std::move(slots);
    }
    std::size_t offset;
    while (!place(size, offset)) {
        if (capacity_ < bytes_max_)
            grow(std::min(bytes_max_, std::max({capacity_ * 2, std::size_t(1024), capacity_ + size})));
        else
            ++begin_;
    }
    Slot& s = slots_[end_ & (slots_.size() - 1)];
    s = {.order = order, .position = written_, .key = key, .offset = static_cast<std::uint32_t>(offset), .size = static_cast<std::uint32_t>(size)};
    ++end_;
    written_ += size;
    write_ = offset + size;
    return bytes_.get() + offset;
}

std::size_t FrameRing::gather(std::uint64_t from, std::uint64_t to, std::span<iovec> pieces, std::uint64_t& covered) const {
    WEIR_ASSERT(from >= begin_ && to <= end_);
    std::size_t count = 0;
    while (from < to && count < pieces.size()) {
        const Slot& first = slot(from);
        // A run goes on until the memory wraps around. Frames before the wrap have rising offsets.
        std::uint64_t low = from, high = to;
        if (slot(to - 1).offset < first.offset) {
            while (high - low > 1) {
                const std::uint64_t middle = low + (high - low) / 2;
                (slot(middle).offset >= first.offset ? low : high) = middle;
            }
        } else {
            low = to - 1;
        }
        const Slot& last = slot(low);
        pieces[count++] = {bytes_.get() + first.offset, last.offset + last.size - first.offset};
        from = low + 1;
    }
    covered = from;
    return count;
}

std::uint64_t FrameRing::find_order(std::uint64_t from, std::uint64_t order) const {
    std::uint64_t low = from, high = end_;
    while (low < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        if (slot(middle).order < order) low = middle + 1;
        else high = middle;
    }
    return low;
}

std::uint64_t FrameRing::find_bytes(std::uint64_t from, std::uint64_t bytes) const {
    std::uint64_t low = from, high = end_;
    while (low < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        if (bytes_from(middle) > bytes) low = middle + 1;
        else high = middle;
    }
    return low;
}

void FrameRing::shrink() {
    if (begin_ != end_ || capacity_ == 0) return;
    bytes_.reset();
    capacity_ = write_ = 0;
    slots_ = {};
}

}  // namespace weir
