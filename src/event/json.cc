#include "event/json.h"

#include <charconv>

#include "base/assert.h"

namespace weir {

Json Json::boolean(bool b) {
    Json j;
    j.kind_ = Kind::boolean;
    j.boolean_ = b;
    return j;
}
Json Json::number(double v) {
    Json j;
    if (!std::isfinite(v)) return j;
    append_json_number(j.text_, v);
    j.kind_ = Kind::number;
    return j;
}
Json Json::integer(std::int64_t v) {
    Json j;
    j.kind_ = Kind::number;
    j.text_ = std::to_string(v);
    return j;
}
Json Json::number_from_text(std::string text) {
    WEIR_ASSERT(is_json_number(text));
    Json j;
    j.kind_ = Kind::number;
    j.text_ = std::move(text);
    return j;
}
Json Json::string(std::string s) {
    Json j;
    j.kind_ = Kind::string;
    j.text_ = std::move(s);
    return j;
}
Json Json::array(std::vector<Json> items) {
    Json j;
    j.kind_ = Kind::array;
    j.items_ = std::move(items);
    return j;
}
Json Json::object(std::vector<Member> members) {
    Json j;
    j.kind_ = Kind::object;
    j.members_ = std::move(members);
    return j;
}

double Json::as_double() const {
    if (kind_ != Kind::number) return 0;
    double v = 0;
    const auto [p, e] = std::from_chars(text_.data(), text_.data() + text_.size(), v);
    // from_chars leaves `v` alone outside a double's range; strtod says infinity or 0, as JSON readers do.
    return e == std::errc::result_out_of_range ? std::strtod(text_.c_str(), nullptr) : v;
}

std::optional<std::int64_t> Json::as_integer() const {
    if (kind_ != Kind::number) return std::nullopt;
    std::int64_t v;
    const char* end = text_.data() + text_.size();
    if (const auto [p, e] = std::from_chars(text_.data(), end, v); e == std::errc() && p == end) return v;
    const double d = as_double();
    if (d == std::floor(d) && std::abs(d) < 0x1p53) return static_cast<std::int64_t>(d);
    return std::nullopt;
}

const Json* Json::find(std::string_view name) const {
    for (const auto& member : members_)
        if (member.first == name) return &member.second;
    return nullptr;
}

std::optional<std::string_view> Json::find_string(std::string_view name) const {
    const Json* member = find(name);
    if (!member || !member->is_string()) return std::nullopt;
    return member->as_string();
}

void Json::set(std::string_view name, Json value) {
    for (auto& member : members_) {
        if (member.first == name) {
            member.second = std::move(value);
            return;
        }
    }
    members_.emplace_back(std::string(name), std::move(value));
}

void Json::print(std::string& out) const {
    switch (kind_) {
        case Kind::null: out += "null"; return;
        case Kind::boolean: out += boolean_ ? "true" : "false"; return;
        case Kind::number: out += text_; return;
        case Kind::string: append_json_string(out, text_); return;
        case Kind::array:
            out += '[';
            for (std::size_t i = 0; i < items_.size(); ++i) {
                if (i) out += ',';
                items_[i].print(out);
            }
            out += ']';
            return;
        case Kind::object:
            out += '{';
            for (std::size_t i = 0; i < members_.size(); ++i) {
                if (i) out += ',';
                append_json_string(out, members_[i].first);
                out += ':';
                members_[i].second.print(out);
            }
            out += '}';
            return;
    }
}

std::string Json::text() const {
    std::string out;
    print(out);
    return out;
}

bool Json::operator==(const Json& other) const {
    if (kind_ != other.kind_) return false;
    if (kind_ == Kind::number) {
        if (text_ == other.text_) return true;
        const auto a = as_integer(), b = other.as_integer();
        return a && b ? *a == *b : as_double() == other.as_double();
    }
    return boolean_ == other.boolean_ && text_ == other.text_ && items_ == other.items_ && members_ == other.members_;
}

void append_json_string(std::string& out, std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    out += '"';
    std::size_t clean = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        out.append(text, clean, i - clean);
        clean = i + 1;
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                out += "\\u00";
                out += hex[c >> 4];
                out += hex[c & 15];
        }
    }
    out.append(text, clean);
    out += '"';
}

void append_json_number(std::string& out, double number) {
    if (!std::isfinite(number)) {
        out += "null";
        return;
    }
    char digits[32];
    // Whole numbers below 2^53 without an exponent: `3600`, never `3.6e+03`, as people and other tools expect them.
    const bool whole = number == std::floor(number) && std::abs(number) < 0x1p53;
    const auto end = whole ? std::to_chars(digits, digits + sizeof digits, static_cast<std::int64_t>(number)).ptr
                           : std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

void JsonWriter::separate() {
    if (after_name_) {
        after_name_ = false;
        return;
    }
    const std::uint64_t bit = std::uint64_t{1} << depth_;
    if (depth_ > 0 && (started_ & bit)) out_ += ',';
    started_ |= bit;
}

JsonWriter& JsonWriter::object() {
    separate();
    out_ += '{';
    WEIR_ASSERT(depth_ < 63);
    ++depth_;
    started_ &= ~(std::uint64_t{1} << depth_);
    arrays_ &= ~(std::uint64_t{1} << depth_);
    return *this;
}
JsonWriter& JsonWriter::array() {
    separate();
    out_ += '[';
    WEIR_ASSERT(depth_ < 63);
    ++depth_;
    started_ &= ~(std::uint64_t{1} << depth_);
    arrays_ |= std::uint64_t{1} << depth_;
    return *this;
}
JsonWriter& JsonWriter::end() {
    WEIR_ASSERT(depth_ > 0);
    out_ += (arrays_ >> depth_) & 1 ? ']' : '}';
    --depth_;
    return *this;
}
JsonWriter& JsonWriter::name(std::string_view name) {
    separate();
    append_json_string(out_, name);
    out_ += ':';
    after_name_ = true;
    return *this;
}
JsonWriter& JsonWriter::value(std::string_view text) {
    separate();
    append_json_string(out_, text);
    return *this;
}
JsonWriter& JsonWriter::value(double number) {
    separate();
    append_json_number(out_, number);
    return *this;
}
JsonWriter& JsonWriter::value(bool truth) {
    separate();
    out_ += truth ? "true" : "false";
    return *this;
}
JsonWriter& JsonWriter::value(Timestamp time) {
    separate();
    out_ += '"';
    append_rfc3339(out_, time);
    out_ += '"';
    return *this;
}
JsonWriter& JsonWriter::integer(std::int64_t number, bool is_unsigned) {
    separate();
    char digits[24];
    const auto end = is_unsigned ? std::to_chars(digits, digits + sizeof digits, static_cast<std::uint64_t>(number)).ptr
                                 : std::to_chars(digits, digits + sizeof digits, number).ptr;
    out_.append(digits, end);
    return *this;
}
JsonWriter& JsonWriter::null() {
    separate();
    out_ += "null";
    return *this;
}
JsonWriter& JsonWriter::raw(std::string_view json) {
    separate();
    out_ += json;
    return *this;
}

Result<JsonPointer> JsonPointer::parse(std::string_view text) {
    JsonPointer pointer;
    if (text.empty()) return pointer;
    if (text.front() != '/')
        return Error{"bad_pointer", "JSON Pointer \"" + std::string(text) + "\" does not start with \"/\" (RFC 6901; \"\" is the whole document)"};
    std::string step;
    for (std::size_t i = 1; i <= text.size(); ++i) {
        if (i == text.size() || text[i] == '/') {
            pointer.steps_.push_back(std::move(step));
            step.clear();
        } else if (text[i] == '~') {
            if (i + 1 >= text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))
                return Error{"bad_pointer", "JSON Pointer \"" + std::string(text) + "\" has a \"~\" that is not \"~0\" or \"~1\""};
            step += text[++i] == '0' ? '~' : '/';
        } else {
            step += text[i];
        }
    }
    return pointer;
}

std::string JsonPointer::text() const {
    std::string out;
    for (const auto& step : steps_) {
        out += '/';
        for (const char c : step) {
            if (c == '~')
                out += "~0";
            else if (c == '/')
                out += "~1";
            else
                out += c;
        }
    }
    return out;
}

const Json* JsonPointer::find(const Json& document) const {
    const Json* at = &document;
    for (const auto& step : steps_) {
        if (at->is_object()) {
            at = at->find(step);
        } else if (at->is_array()) {
            std::size_t index;
            const char* end = step.data() + step.size();
            const auto [p, e] = std::from_chars(step.data(), end, index);
            if (e != std::errc() || p != end || (step.size() > 1 && step[0] == '0') || index >= at->items().size()) return nullptr;
            at = &at->items()[index];
        } else {
            return nullptr;
        }
        if (!at) return nullptr;
    }
    return at;
}

}  // namespace weir
