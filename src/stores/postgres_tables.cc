#include "stores/postgres_tables.h"

#include <algorithm>

#include "stores/postgres_connection.h"

namespace weir {
namespace {

using Part = ColumnSource::Part;
using Kind = ColumnSource::Kind;

struct Typed {
    const char* column;
    const char* pointer;
    Kind kind;
};

// What is worth a column of its own beside `data`: what people filter, draw and join by.
constexpr Typed window_columns[] = {
    {"name", "/window/name", Kind::text},
    {"ends", "/window/end", Kind::time},
    {"input", "/stream", Kind::text},
    {"field", "/field", Kind::text},
    {"revision", "/revision", Kind::integer},
    {"count", "/statistics/count", Kind::integer},
    {"min", "/statistics/min", Kind::number},
    {"max", "/statistics/max", Kind::number},
    {"avg", "/statistics/avg", Kind::number},
    {"median", "/statistics/median", Kind::number},
    {"first", "/statistics/first", Kind::number},
    {"last", "/statistics/last", Kind::number},
    {"stddev", "/statistics/stddev", Kind::number},
    {"p95", "/statistics/p95", Kind::number},
    {"expected", "/coverage/expected", Kind::integer},
    {"received", "/coverage/received", Kind::integer},
    {"coverage", "/coverage/ratio", Kind::number},
    {"complete", "/coverage/complete", Kind::boolean},
    {"reason", "/coverage/reason", Kind::text},
};
constexpr Typed sample_columns[] = {
    {"characteristic_id", "/characteristic_id", Kind::integer}, {"sample_id", "/sample_id", Kind::integer},
    {"value", "/value", Kind::number},                          {"zone", "/zone", Kind::text},
    {"in_control", "/in_control", Kind::boolean},
};
constexpr Typed violation_columns[] = {
    {"characteristic_id", "/characteristic_id", Kind::integer}, {"sample_id", "/sample_id", Kind::integer},
    {"violation_id", "/violation_id", Kind::integer},           {"rule_id", "/rule_id", Kind::integer},
    {"rule_name", "/rule_name", Kind::text},                    {"severity", "/severity", Kind::text},
};
constexpr Typed acknowledgement_columns[] = {
    {"characteristic_id", "/characteristic_id", Kind::integer}, {"violation_id", "/violation_id", Kind::integer},
    {"acknowledged", "/acknowledged", Kind::boolean},           {"ack_user", "/ack_user", Kind::text},
    {"ack_reason", "/ack_reason", Kind::text},
};
constexpr Typed alert_columns[] = {
    {"name", "/name", Kind::text},         {"state", "/state", Kind::text}, {"severity", "/severity", Kind::text},
    {"message", "/message", Kind::text},   {"value", "/value", Kind::number},
};
constexpr Typed prediction_columns[] = {
    {"name", "/name", Kind::text},       {"model", "/model", Kind::text},   {"target", "/target", Kind::time},
    {"value", "/value", Kind::number},   {"lower", "/lower", Kind::number}, {"upper", "/upper", Kind::number},
};

std::span<const Typed> typed_columns(GenericTable table) {
    switch (table) {
        case GenericTable::events: return {};
        case GenericTable::windows: return window_columns;
        case GenericTable::samples: return sample_columns;
        case GenericTable::violations: return violation_columns;
        case GenericTable::acknowledgements: return acknowledgement_columns;
        case GenericTable::alerts: return alert_columns;
        case GenericTable::predictions: return prediction_columns;
    }
    return {};
}

constexpr GenericTable all_tables[generic_table_count] = {GenericTable::events,           GenericTable::windows, GenericTable::samples,    GenericTable::violations,
                                                          GenericTable::acknowledgements, GenericTable::alerts,  GenericTable::predictions};

struct Common {
    const char* column;
    const char* type;
    Part part;
};
constexpr Common common_columns[] = {
    {"time", "timestamptz NOT NULL", Part::time}, {"ingested", "timestamptz NOT NULL", Part::ingested}, {"stream", "text NOT NULL", Part::stream},
    {"epoch", "text NOT NULL", Part::epoch},      {"seq", "bigint NOT NULL", Part::seq},                {"id", "text NOT NULL", Part::id},
    {"type", "text NOT NULL", Part::type},        {"key", "text NOT NULL", Part::key},                  {"source", "text NOT NULL", Part::source},
};

const char* sql_type(Kind kind) {
    switch (kind) {
        case Kind::integer: return "bigint";
        case Kind::number: return "double precision";
        case Kind::boolean: return "boolean";
        case Kind::time: return "timestamptz";
        case Kind::json: return "jsonb";
        case Kind::any:
        case Kind::text: break;
    }
    return "text";
}

// Source 002's table as its system has it (S2-R8): 28 columns are written, and `created_at` is the row's own. Numbers of houses, postcodes and
// coordinates are texts, as there: "0042" and "SW1A 1AA" are postcodes.
struct UserColumn {
    const char* column;
    const char* type;
    const char* pointer;
};
constexpr UserColumn user_columns[] = {
    {"user_uuid", "uuid PRIMARY KEY", "/login/uuid"},
    {"gender", "text", "/gender"},
    {"title", "text", "/name/title"},
    {"first_name", "text", "/name/first"},
    {"last_name", "text", "/name/last"},
    {"email", "text", "/email"},
    {"username", "text", "/login/username"},
    {"date_of_birth", "timestamptz", "/dob/date"},
    {"age", "integer", "/dob/age"},
    {"registered_date", "timestamptz", "/registered/date"},
    {"registered_age", "integer", "/registered/age"},
    {"phone", "text", "/phone"},
    {"cell", "text", "/cell"},
    {"nationality", "text", "/nat"},
    {"street_number", "text", "/location/street/number"},
    {"street_name", "text", "/location/street/name"},
    {"city", "text", "/location/city"},
    {"state", "text", "/location/state"},
    {"country", "text", "/location/country"},
    {"postcode", "text", "/location/postcode"},
    {"latitude", "text", "/location/coordinates/latitude"},
    {"longitude", "text", "/location/coordinates/longitude"},
    {"timezone_offset", "text", "/location/timezone/offset"},
    {"timezone_description", "text", "/location/timezone/description"},
    {"picture_large", "text", "/picture/large"},
    {"picture_medium", "text", "/picture/medium"},
    {"picture_thumbnail", "text", "/picture/thumbnail"},
    {"synced_at", "timestamptz NOT NULL DEFAULT now()", "@now"},
};
static_assert(std::size(user_columns) == 28);

std::optional<Part> part_of(std::string_view text) {
    constexpr std::pair<std::string_view, Part> parts[] = {{"@id", Part::id},     {"@type", Part::type},         {"@key", Part::key}, {"@source", Part::source},
                                                           {"@time", Part::time}, {"@ingested", Part::ingested}, {"@seq", Part::seq}, {"@epoch", Part::epoch},
                                                           {"@stream", Part::stream}, {"@data", Part::data},     {"@now", Part::now}};
    for (const auto& [name, part] : parts)
        if (name == text) return part;
    return std::nullopt;
}

}  // namespace

GenericTable generic_table_of(std::string_view type) {
    constexpr std::pair<std::string_view, GenericTable> types[] = {
        {"window", GenericTable::windows},         {"sample", GenericTable::samples},   {"violation", GenericTable::violations},
        {"ack_update", GenericTable::acknowledgements}, {"acknowledgement", GenericTable::acknowledgements}, {"alert", GenericTable::alerts},
        {"prediction", GenericTable::predictions}, {"forecast", GenericTable::predictions}};
    for (const auto& [name, table] : types)
        if (name == type) return table;
    return GenericTable::events;
}

std::string_view name_of(GenericTable table) {
    constexpr std::string_view names[generic_table_count] = {"events", "windows", "samples", "violations", "acknowledgements", "alerts", "predictions"};
    return names[static_cast<std::size_t>(table)];
}

TableShape generic_shape(GenericTable table, std::string_view schema) {
    TableShape shape;
    shape.table = std::string(schema) + "." + std::string(name_of(table));
    shape.partitioned = true;
    for (const Common& common : common_columns) shape.columns.push_back({common.column, common.part});
    for (const Typed& typed : typed_columns(table)) shape.columns.push_back({typed.column, Part::pointer, typed.kind, *JsonPath::parse(typed.pointer)});
    shape.columns.push_back({"data", Part::data});
    return shape;
}

TableShape incoming_users_shape(std::string_view table) {
    TableShape shape;
    shape.table = table;
    shape.conflict = {"user_uuid"};
    shape.keep = {"created_at"};
    for (const UserColumn& user : user_columns) {
        if (const auto part = part_of(user.pointer)) shape.columns.push_back({user.column, *part});
        else shape.columns.push_back({user.column, Part::pointer, Kind::any, *JsonPath::parse(user.pointer)});
    }
    return shape;
}

std::string create_incoming_users(std::string_view table) {
    const std::string name(table), bare = name.substr(name.find('.') + 1);
    std::string sql = "CREATE TABLE IF NOT EXISTS " + sql_table(name) + " (";
    for (const UserColumn& user : user_columns) sql += sql_name(user.column) + " " + user.type + ", ";
    sql += "created_at timestamptz NOT NULL DEFAULT now());";
    for (const char* column : {"created_at", "country", "gender"})  // S2-R10
        sql += "CREATE INDEX IF NOT EXISTS " + sql_name(bare + "_" + column) + " ON " + sql_table(name) + " (" + column + ");";
    return sql;
}

Result<TableShape> mapped_shape(const MappedTable& mapped) {
    if (mapped.preset == MappedPreset::incoming_users) {
        TableShape shape = incoming_users_shape(mapped.table.empty() ? "public.incoming_users" : mapped.table);
        return shape;
    }
    TableShape shape;
    shape.table = mapped.table;
    shape.conflict = mapped.conflict;
    shape.keep = mapped.keep;
    for (const auto& [column, source] : mapped.columns) {
        if (const auto part = part_of(source)) {
            shape.columns.push_back({column, *part});
            continue;
        }
        WEIR_TRY(auto path, JsonPath::parse(source));
        shape.columns.push_back({column, Part::pointer, Kind::any, std::move(path)});
    }
    return shape;
}

std::vector<std::string> migrations(std::string_view schema) {
    const std::string s = sql_name(schema);
    std::string first =
        "CREATE TABLE " + s + ".stores (store text PRIMARY KEY, owner text NOT NULL, taken timestamptz NOT NULL DEFAULT now(), commit_number bigint NOT NULL);"
        "CREATE TABLE " + s + ".positions (store text NOT NULL, stream text NOT NULL, epoch text NOT NULL, seq bigint NOT NULL, PRIMARY KEY (store, stream));"
        "CREATE TABLE " + s + ".partitions (parent text NOT NULL, name text NOT NULL, starts timestamptz NOT NULL, ends timestamptz NOT NULL, PRIMARY KEY (parent, starts));";
    for (const GenericTable table : all_tables) {
        const std::string bare(name_of(table)), name = s + "." + bare;
        first += "CREATE TABLE " + name + " (";
        for (const Common& common : common_columns) first += std::string(common.column) + " " + common.type + ", ";
        for (const Typed& typed : typed_columns(table)) first += sql_name(typed.column) + " " + sql_type(typed.kind) + ", ";
        first += "data jsonb NOT NULL) PARTITION BY RANGE (time);";
        // A few kilobytes a partition find a stretch of time in rows that come in order of time; the other finds a series in it.
        first += "CREATE INDEX " + bare + "_time ON " + name + " USING brin (time);";
        first += "CREATE INDEX " + bare + "_series ON " + name + " (" + (table == GenericTable::windows ? "name, " : table == GenericTable::events ? "stream, " : "") + "key, time);";
    }
    // A place in each epoch of a stream: those of former ones are not forgotten when their events are read again.
    std::string second = "ALTER TABLE " + s + ".positions DROP CONSTRAINT positions_pkey, ADD COLUMN turn bigint NOT NULL DEFAULT 0, ADD PRIMARY KEY (store, stream, epoch);";
    return {std::move(first), std::move(second)};
}

PartitionRange partition_around(Timestamp moment, PartitionBy by) {
    const CivilTime t = to_civil(moment);
    if (by == PartitionBy::day) {
        const Timestamp from = from_civil(t.year, t.month, t.day);
        return {from, from + 24h};
    }
    const Timestamp from = from_civil(t.year, t.month, 1);
    return {from, t.month == 12 ? from_civil(t.year + 1, 1, 1) : from_civil(t.year, t.month + 1, 1)};
}

std::string partition_name(std::string_view table, const PartitionRange& range) {
    const std::string name(table.substr(table.find('.') + 1)), from = to_rfc3339_short(range.from), to = to_rfc3339_short(range.to);
    const auto digits = [](std::string text) {
        std::replace(text.begin(), text.end(), '-', '_');
        return text;
    };
    if (range == partition_around(range.from, PartitionBy::month)) return name + "_" + digits(from.substr(0, 7));
    if (range == partition_around(range.from, PartitionBy::day)) return name + "_" + digits(from.substr(0, 10));
    return name + "_" + digits(from.substr(0, 10)) + "_to_" + digits(to.substr(0, 10));
}

}  // namespace weir
