#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stores/blob_document.h"

namespace weir {

/// The window document (without `epoch` and `readings`) for all readings of two documents of one window; where they are of different
/// windows, an error. Who knows statistics makes it: `app` gives it to the store.
using BlobJoin = std::function<Result<std::string>(const Json& one, const Json& other, const std::vector<BlobReading>& readings, std::uint64_t revision)>;

/// Joins two raw documents of profile `weir` that stand for the same name, by the ids of their readings (decisions.md 12): `there` of
/// another log, `ours` of this one. Where one holds everything of the other, it is taken as it is. Else the readings are put
/// together, `epoch` is null and `joined` lists (epoch, revision) of what went in; the revision grows with each.
/// The order does not matter, and joining the same again changes nothing.
///
/// nullopt: they cannot be joined, because one is no such document, or because together they hold more readings than the feed sends: two
/// logs of one feed whose readings bear no ids of their own would count everything twice. Or because one id stands for two readings.
/// Cost: parses both; O(n log n) in the readings.
std::optional<std::string> join_documents(const std::string& there, const std::string& ours, const BlobJoin& join);

/// A raw document of profile `weir` without its readings: the summary that belongs to it.
std::string without_readings(const std::string& document);
/// The document's own revision; 0 where it says none.
std::uint64_t revision_of(const std::string& document);

}  // namespace weir
