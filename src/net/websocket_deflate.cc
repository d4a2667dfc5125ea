#include "net/websocket_deflate.h"

#include <zlib.h>

#include <charconv>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "net/http_parser.h"

namespace weir::net {
namespace {

struct Parameter {
    std::string_view name;
    std::optional<std::string_view> value;
};
struct Extension {
    std::string_view name;
    std::vector<Parameter> parameters;
};

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// Cuts `text` at `separator`, not within quotes.
std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    bool quoted = false;
    std::size_t start = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i < text.size() && text[i] == '"') quoted = !quoted;
        if (i == text.size() || (text[i] == separator && !quoted)) {
            parts.push_back(trim(text.substr(start, i - start)));
            start = i + 1;
        }
    }
    return parts;
}

/// RFC 6455, 9.1. Empty elements of the list are skipped.
std::vector<Extension> parse_extensions(std::string_view header) {
    std::vector<Extension> extensions;
    for (const auto element : split(header, ',')) {
        if (element.empty()) continue;
        Extension extension;
        const auto parts = split(element, ';');
        extension.name = parts.front();
        for (std::size_t i = 1; i < parts.size(); ++i) {
            const auto equals = parts[i].find('=');
            Parameter parameter{trim(parts[i].substr(0, equals)), std::nullopt};
            if (equals != std::string_view::npos) {
                auto value = trim(parts[i].substr(equals + 1));
                if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
                parameter.value = value;
            }
            extension.parameters.push_back(parameter);
        }
        extensions.push_back(std::move(extension));
    }
    return extensions;
}

/// 8 to 15 without leading zeros (RFC 7692, 7.1.2).
std::optional<int> window_bits(std::string_view text) {
    int bits = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
    if (error != std::errc() || end != text.data() + text.size() || text.front() == '0' || bits < 8 || bits > 15) return std::nullopt;
    return bits;
}

constexpr std::string_view kName = "permessage-deflate";
constexpr std::string_view kTail("\x00\x00\xff\xff", 4);

/// What an offer or an answer holds, each parameter at most once. nullopt: something in it is not allowed.
struct Terms {
    bool server_no_context_takeover = false, client_no_context_takeover = false;
    std::optional<int> server_bits, client_bits;
    bool client_bits_named = false;
};
std::optional<Terms> read_terms(const Extension& extension, bool answer) {
    Terms terms;
    for (const auto& [name, value] : extension.parameters) {
        if (name == "server_no_context_takeover" || name == "client_no_context_takeover") {
            bool& flag = name.front() == 's' ? terms.server_no_context_takeover : terms.client_no_context_takeover;
            if (value || flag) return std::nullopt;
            flag = true;
        } else if (name == "server_max_window_bits") {
            if (!value || terms.server_bits || !(terms.server_bits = window_bits(*value))) return std::nullopt;
        } else if (name == "client_max_window_bits") {
            if (terms.client_bits_named || (answer && !value)) return std::nullopt;
            terms.client_bits_named = true;
            if (value && !(terms.client_bits = window_bits(*value))) return std::nullopt;
        } else {
            return std::nullopt;
        }
    }
    return terms;
}

}  // namespace

std::optional<DeflateParameters> accept_deflate_offer(std::string_view header, const DeflatePolicy& policy) {
    if (!policy.enabled) return std::nullopt;
    for (const auto& extension : parse_extensions(header)) {
        if (extension.name != kName) continue;
        const auto terms = read_terms(extension, false);
        if (!terms) continue;
        DeflateParameters agreed;
        agreed.server_no_context_takeover = true;
        agreed.client_no_context_takeover = policy.client_no_context_takeover || terms->client_no_context_takeover;
        const int room = terms->server_bits.value_or(15);
        agreed.server_max_window_bits = room >= policy.server_max_window_bits ? policy.server_max_window_bits : std::min(room, DeflatePolicy::small_window_bits);
        // What the client says of its own window is repeated to it. Not 8: few can compress with that (zlib cannot), and an answer of 8 would bind it to do so.
        if (const int bits = terms->client_bits.value_or(15); bits > 8) agreed.client_max_window_bits = bits;
        return agreed;
    }
    return std::nullopt;
}

std::string deflate_response(const DeflateParameters& agreed) {
    std::string text(kName);
    if (agreed.server_no_context_takeover) text += "; server_no_context_takeover";
    if (agreed.client_no_context_takeover) text += "; client_no_context_takeover";
    if (agreed.server_max_window_bits != 15) text += "; server_max_window_bits=" + std::to_string(agreed.server_max_window_bits);
    if (agreed.client_max_window_bits != 15) text += "; client_max_window_bits=" + std::to_string(agreed.client_max_window_bits);
    return text;
}

std::string deflate_offer() { return "permessage-deflate; client_max_window_bits"; }

Result<std::optional<DeflateParameters>> read_deflate_response(std::string_view header) {
    const auto extensions = parse_extensions(header);
    if (extensions.empty()) return std::optional<DeflateParameters>();
    const auto terms = extensions.size() == 1 && extensions[0].name == kName ? read_terms(extensions[0], true) : std::nullopt;
    if (!terms) {
        std::string message = "the server answered with extensions that were not offered: ";
        return Error{"bad_extension", message.append(header)};
    }
    DeflateParameters agreed;
    agreed.server_no_context_takeover = terms->server_no_context_takeover;
    agreed.client_no_context_takeover = terms->client_no_context_takeover;
    agreed.server_max_window_bits = terms->server_bits.value_or(15);
    agreed.client_max_window_bits = terms->client_bits.value_or(15);
    return std::optional<DeflateParameters>(agreed);
}

struct Deflater::State {
    z_stream stream{};
    bool keep;
};

Deflater::Deflater(int window_bits_, Context context, int level) : state_(std::make_unique<State>()) {
    state_->keep = context == Context::kept;
    // zlib clears its hash table for each message: 64 KiB at memory level 8, 8 KiB at 5, which is plenty for a small window.
    const int memory_level = window_bits_ <= 12 ? 5 : 8;
    const int failed = ::deflateInit2(&state_->stream, level, Z_DEFLATED, -std::max(window_bits_, 9), memory_level, Z_DEFAULT_STRATEGY);
    WEIR_ASSERT(failed == Z_OK);
}

Deflater::~Deflater() { ::deflateEnd(&state_->stream); }

bool Deflater::deflate(std::string_view message, std::string& out) {
    auto& stream = state_->stream;
    const std::size_t start = out.size();
    // An empty message is one empty block without its tail: a single zero byte (RFC 7692, 7.2.3.6).
    if (message.empty()) {
        if (!state_->keep) return false;
        out.push_back('\0');
        return true;
    }
    // Room for the worst case; without a kept context only for what would be a gain.
    const std::size_t room = state_->keep ? ::deflateBound(&stream, static_cast<uLong>(message.size())) + 16 : message.size() + 4;
    out.resize(start + room);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(message.data()));
    stream.avail_in = static_cast<uInt>(message.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + start);
    stream.avail_out = static_cast<uInt>(room);
    const int result = ::deflate(&stream, Z_SYNC_FLUSH);
    const std::size_t made = room - stream.avail_out;
    const bool complete = result == Z_OK && stream.avail_in == 0 && stream.avail_out > 0 && made >= 4;
    if (!state_->keep) ::deflateReset(&stream);
    if (state_->keep) WEIR_ASSERT(complete);
    if (!complete || (!state_->keep && made - 4 >= message.size())) {
        out.resize(start);
        return false;
    }
    out.resize(start + made - 4);
    return true;
}

struct Inflater::State {
    z_stream stream{};
    bool keep;
};

Inflater::Inflater(int window_bits_, Deflater::Context context) : state_(std::make_unique<State>()) {
    state_->keep = context == Deflater::Context::kept;
    const int failed = ::inflateInit2(&state_->stream, -std::max(window_bits_, 9));
    WEIR_ASSERT(failed == Z_OK);
}

Inflater::~Inflater() { ::inflateEnd(&state_->stream); }

Inflater::Outcome Inflater::inflate(std::string_view compressed, std::string& out, std::size_t bytes_max) {
    auto& stream = state_->stream;
    constexpr std::size_t kReadAhead = 64;  // WebSocketDecoder::kPadding
    out.clear();
    if (out.capacity() < 4096) out.reserve(4096);
    Outcome outcome = Outcome::done;
    bool ended = false;
    for (const std::string_view part : {compressed, kTail}) {
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
        stream.avail_in = static_cast<uInt>(part.size());
        while (outcome == Outcome::done && !ended) {
            const std::size_t before = out.size();
            // One byte above the bound tells a message that is too big from one that just fits.
            // In steps that grow, since what zlib may fill is cleared first: a small message does not pay for a large one before it.
            const std::size_t room = std::min(std::max({std::size_t(4096), 4 * compressed.size(), before}), bytes_max + 1 - before);
            out.resize(before + room);
            stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
            stream.avail_out = static_cast<uInt>(room);
            const int result = ::inflate(&stream, Z_SYNC_FLUSH);
            out.resize(before + room - stream.avail_out);
            if (out.size() > bytes_max)
                outcome = Outcome::too_big;
            else if (result == Z_STREAM_END)
                ended = true;  // a final block: what RFC 7692, 7.2.3.4 allows a compressor to send
            else if (result != Z_OK && result != Z_BUF_ERROR)
                outcome = Outcome::corrupt;
            else if (stream.avail_out > 0)
                break;  // all of this part is read
        }
        if (ended || outcome != Outcome::done) break;
    }
    // A final block ends zlib's stream; the window that a kept context would refer to goes with it.
    if (!state_->keep || ended || outcome != Outcome::done) ::inflateReset(&stream);
    if (out.capacity() < out.size() + kReadAhead) out.reserve(out.size() + kReadAhead);
    return outcome;
}

}  // namespace weir::net
