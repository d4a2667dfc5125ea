#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

/// Writes numbers and texts onto the end of a byte string, as docs/formats/log-block.md lays down. Thread: one owner.
class ByteWriter {
public:
    explicit ByteWriter(std::string& out) : out_(out) {}

    /// 7 bits a byte, low ones first, the top bit set on all but the last: at most 10 bytes.
    void number(std::uint64_t v) {
        char buffer[10];
        std::size_t n = 0;
        while (v >= 0x80) {
            buffer[n++] = static_cast<char>(v | 0x80);
            v >>= 7;
        }
        buffer[n++] = static_cast<char>(v);
        out_.append(buffer, n);
    }
    /// Small numbers of either sign stay short: 0, -1, 1, -2 become 0, 1, 2, 3.
    void integer(std::int64_t v) { number((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63)); }
    void byte(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
    void raw(std::string_view bytes) { out_.append(bytes); }
    void text(std::string_view bytes) {
        number(bytes.size());
        out_.append(bytes);
    }

private:
    std::string& out_;
};

/// Reads what ByteWriter wrote. Past the end, or at a number that is too long, it gives zeros and empty texts, and
/// `failed()` stays true: look once, after a group of reads. Thread: one owner.
class ByteReader {
public:
    explicit ByteReader(std::string_view bytes) : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    std::uint64_t number() {
        std::uint64_t v = 0;
        for (int shift = 0; shift < 70; shift += 7) {
            if (next_ == end_) break;
            const auto b = static_cast<std::uint8_t>(*next_++);
            if (shift == 63 && b > 1) break;
            v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
            if (b < 0x80) return v;
        }
        return fail();
    }
    std::int64_t integer() {
        const std::uint64_t v = number();
        return static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
    }
    std::uint8_t byte() { return next_ == end_ ? static_cast<std::uint8_t>(fail()) : static_cast<std::uint8_t>(*next_++); }
    std::string_view raw(std::uint64_t size) {
        if (size > left()) {
            fail();
            return {};
        }
        const std::string_view bytes(next_, size);
        next_ += size;
        return bytes;
    }
    std::string_view text() { return raw(number()); }

    std::size_t left() const { return static_cast<std::size_t>(end_ - next_); }
    bool failed() const { return failed_; }
    /// Everything was read, and nothing went wrong.
    bool finished() const { return !failed_ && next_ == end_; }
    std::uint64_t fail() {
        failed_ = true;
        next_ = end_;
        return 0;
    }

private:
    const char* next_;
    const char* end_;
    bool failed_ = false;
};

}  // namespace weir
