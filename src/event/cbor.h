#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

class Json;

/// CBOR (RFC 8949) as the binary form of what weir says in JSON: the same values, by the conversions of RFC 8949, sections 6.1 and 6.2.

/// Appends `json` in preferred serialization (section 4.1): shortest heads, the shortest float that holds the number; a number
/// written without point or exponent is an integer where 64 bits hold it. Members keep their order.
void append_cbor(std::string& out, const Json& json);
/// The same of a text of weir's own. False, and nothing appended, if it is no JSON: it is foreign in part, and may be wrong in ways that nobody thought of.
bool append_cbor_of(std::string& out, std::string_view json);
/// The head of an item of `major` type (0 to 7) with its argument: for messages that are put together from encoded pieces.
void append_cbor_head(std::string& out, int major, std::uint64_t argument);
void append_cbor_text(std::string& out, std::string_view text);

/// One whole item and nothing behind it; untrusted. Indefinite lengths are read, tags passed over, byte strings become base64url text,
/// `undefined` and numbers that JSON has not (NaN, infinities) null. Error `malformed_cbor` with the offset: not well-formed, a map's key that
/// is no text, text that is no UTF-8, more than 64 levels. Memory: bounded by the input's size, whatever its heads claim.
Result<Json> read_cbor(std::string_view bytes);

}  // namespace weir
