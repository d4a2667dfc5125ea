#pragma once
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace weir::analytics {

/// Puts a number's bytes onto the end of a text, and takes them off the front again: for state that is kept in the log. Little
/// endian, as every machine is that weir runs on. `take_raw` is false, and takes nothing, when too little is there.
template <class T>
    requires std::is_arithmetic_v<T>
void put_raw(std::string& out, T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out.append(bytes, sizeof(T));
}

template <class T>
    requires std::is_arithmetic_v<T>
[[nodiscard]] bool take_raw(std::string_view& in, T& value) {
    if (in.size() < sizeof(T)) return false;
    std::memcpy(&value, in.data(), sizeof(T));
    in.remove_prefix(sizeof(T));
    return true;
}

}  // namespace weir::analytics
