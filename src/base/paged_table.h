#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace weir {

/// Many objects of one type in pages, each at an address that stays: for what there are thousands of and each byte counts.
///
/// A slot is used again once its object has gone; a page is kept. One object costs its own size and a byte; allocated one by one it costs
/// the heap's bookkeeping too, and what lay between the objects while they were made stays behind as holes.
/// Thread: one owner. Cost: O(1) to make and to end one; no allocation while slots are free.
template <class T, std::uint32_t kPage = 64>
class PagedTable {
public:
    PagedTable() = default;
    PagedTable(const PagedTable&) = delete;
    PagedTable& operator=(const PagedTable&) = delete;
    ~PagedTable() {
        for (std::uint32_t slot = 0; slot < slots(); ++slot)
            if (find(slot)) std::destroy_at(find(slot));
    }

    std::size_t size() const { return size_; }
    /// The slot that `emplace` will take next: what an object may want to know about itself.
    std::uint32_t next_slot() const { return free_ == kNone ? slots() : free_; }
    template <class... Arguments>
    T& emplace(Arguments&&... arguments) {
        if (free_ == kNone) add_page();
        const std::uint32_t slot = free_;
        Page& page = *pages_[slot / kPage];
        const std::uint32_t after = next_free(page, slot);
        T& made = *std::construct_at(page.object(slot % kPage), std::forward<Arguments>(arguments)...);
        page.used[slot % kPage] = true;
        free_ = after;
        ++size_;
        return made;
    }
    void erase(std::uint32_t slot) {
        Page& page = *pages_[slot / kPage];
        std::destroy_at(page.object(slot % kPage));
        page.used[slot % kPage] = false;
        set_next_free(page, slot, free_);
        free_ = slot;
        --size_;
    }
    /// Null where nothing is.
    T* find(std::uint32_t slot) {
        if (slot >= slots()) return nullptr;
        Page& page = *pages_[slot / kPage];
        return page.used[slot % kPage] ? page.object(slot % kPage) : nullptr;
    }
    /// `f` may end the object that it is given, and make others.
    template <class F>
    void each(F&& f) {
        for (std::uint32_t slot = 0; slot < slots(); ++slot)
            if (T* object = find(slot)) f(*object);
    }

private:
    static constexpr std::uint32_t kNone = ~std::uint32_t(0);
    static_assert(sizeof(T) >= sizeof(std::uint32_t));

    struct Page {
        // A free slot holds the number of the next free one.
        alignas(T) std::byte bytes[kPage * sizeof(T)];
        std::array<bool, kPage> used{};
        std::byte* at(std::uint32_t i) { return bytes + i * sizeof(T); }
        T* object(std::uint32_t i) { return std::launder(reinterpret_cast<T*>(at(i))); }
    };
    static std::uint32_t next_free(Page& page, std::uint32_t slot) {
        std::uint32_t next;
        std::memcpy(&next, page.at(slot % kPage), sizeof next);
        return next;
    }
    static void set_next_free(Page& page, std::uint32_t slot, std::uint32_t next) { std::memcpy(page.at(slot % kPage), &next, sizeof next); }
    std::uint32_t slots() const { return static_cast<std::uint32_t>(pages_.size()) * kPage; }
    void add_page() {
        const std::uint32_t first = slots();
        pages_.push_back(std::make_unique_for_overwrite<Page>());
        for (std::uint32_t i = 0; i < kPage; ++i) set_next_free(*pages_.back(), first + i, i + 1 < kPage ? first + i + 1 : kNone);
        free_ = first;
    }

    std::vector<std::unique_ptr<Page>> pages_;
    std::uint32_t free_ = kNone;
    std::size_t size_ = 0;
};

}  // namespace weir
