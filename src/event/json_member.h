#pragma once
#include <string_view>

#include "event/json.h"

namespace weir {

/// `document.object.member`; null where it is not there.
inline const Json& member_of(const Json& document, std::string_view object, std::string_view member) {
    static const Json null;
    const Json* found = document.find(object);
    if (found) found = found->find(member);
    return found ? *found : null;
}

}  // namespace weir
