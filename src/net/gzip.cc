#include "net/gzip.h"

#include <zlib.h>

#include "base/assert.h"

namespace weir::net {
namespace {

constexpr int gzip_window_bits = 15 + 16;  // zlib's way to say "gzip, 32 KiB window"

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b'; }

std::string gzip(std::string_view text) {
    z_stream stream{};
    WEIR_ASSERT(deflateInit2(&stream, 6, Z_DEFLATED, gzip_window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int result = deflate(&stream, Z_FINISH);
    WEIR_ASSERT(result == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

Result<std::string> gunzip(std::string_view bytes, std::size_t bytes_max) {
    if (!is_gzip(bytes)) return Error{"bad_gzip", "not gzip: the first bytes are not 1f 8b"};
    z_stream stream{};
    WEIR_ASSERT(inflateInit2(&stream, gzip_window_bits) == Z_OK);
    struct End {
        z_stream& stream;
        ~End() { inflateEnd(&stream); }
    } end{stream};
    std::string out;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    for (;;) {
        char piece[64 * 1024];
        stream.next_out = reinterpret_cast<Bytef*>(piece);
        stream.avail_out = sizeof piece;
        const int result = inflate(&stream, Z_NO_FLUSH);
        out.append(piece, sizeof piece - stream.avail_out);
        if (out.size() > bytes_max) return Error{"too_large", "gzip holds more than " + std::to_string(bytes_max) + " bytes"};
        if (result == Z_STREAM_END) {
            if (stream.avail_in == 0) return out;
            if (inflateReset(&stream) != Z_OK) return Error{"bad_gzip", "gzip cannot be read on"};
            continue;  // a further member
        }
        if (result != Z_OK) return Error{"bad_gzip", std::string("gzip is damaged or cut short after ") + std::to_string(out.size()) + " bytes of text"};
    }
}

}  // namespace weir::net
