#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/feed_options.h"
#include "feeds/http_source.h"

namespace weir {

/// The last resort: a page, and an XPath to the element that holds the number (S0-4, S1-1). Polled like an HttpSource; from the
/// number a message is made that the feed's own decode rules read (C-40): the number at the first value path, and at the first
/// key path the wanted key where exactly one is wanted.
///
/// The text is taken without blanks around it and without separators of thousands (' ’ and narrow blanks). `-` and nothing are "no reading
/// yet" (the page's script has not filled it in): the value is left out, and the decoder counts `missing_value`. Other text is
/// passed on as text, and counted as `not_a_number`.
HttpSource::Read html_reader(const SourceOptions& options, const DecodeOptions& decode);

/// The text of the first element that `xpath` finds, or of the expression itself. Errors: `bad_xpath`, `element_missing`, `bad_page`.
Result<std::string> text_at(std::string_view page, const std::string& xpath);

/// A message as described above.
std::string message_with_number(std::string_view text, const DecodeOptions& decode);

}  // namespace weir
