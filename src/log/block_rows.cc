#include "log/block_rows.h"

namespace weir {
namespace {

constexpr const char* select =
    "SELECT stream, last_commit, first_commit, first_seq, count, marks, epoch, first_commit_time, last_commit_time, "
    "min_time, max_time, min_ingested, max_ingested, raw_bytes, stored_bytes, format, checksum, body, keys, level FROM block ";

BlockRow row_of(const Statement& s) {
    BlockRow row;
    BlockHeader& h = row.header;
    const auto time = [&](int column) { return Timestamp::from_micros(s.integer(column)); };
    h.stream = static_cast<std::uint32_t>(s.integer(0));
    h.last_commit = {s.number(1)};
    h.first_commit = {s.number(2)};
    h.first_seq = {s.number(3)};
    h.count = static_cast<std::uint32_t>(s.integer(4));
    h.marks = static_cast<std::uint32_t>(s.integer(5));
    h.epoch = static_cast<std::uint32_t>(s.integer(6));
    h.first_commit_time = time(7);
    h.last_commit_time = time(8);
    h.min_time = time(9);
    h.max_time = time(10);
    h.min_ingested = time(11);
    h.max_ingested = time(12);
    h.raw_bytes = static_cast<std::uint32_t>(s.integer(13));
    h.stored_bytes = static_cast<std::uint32_t>(s.integer(14));
    h.format = static_cast<std::uint8_t>(s.integer(15));
    h.checksum = s.number(16);
    h.level = static_cast<std::int8_t>(s.integer(19));
    row.body = s.integer(17);
    h.keys = s.text(18);
    return row;
}

}  // namespace

Result<BlockRows> BlockRows::prepare(Database& database) {
    BlockRows rows;
    rows.database_ = &database;
    const auto selecting = [&](const char* rest) { return database.prepare(std::string(select) + rest); };
    WEIR_TRY(rows.insert_, database.prepare("INSERT INTO block (stream, last_commit, first_commit, first_seq, count, marks, epoch, first_commit_time, "
                                            "last_commit_time, min_time, max_time, min_ingested, max_ingested, raw_bytes, stored_bytes, format, checksum, "
                                            "body, keys, level) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)"));
    WEIR_TRY(rows.insert_body_, database.prepare("INSERT INTO body (id, bytes) VALUES (?1, ?2)"));
    WEIR_TRY(rows.remove_, database.prepare("DELETE FROM block WHERE stream=?1 AND last_commit BETWEEN ?2 AND ?3"));
    WEIR_TRY(rows.remove_bodies_, database.prepare("DELETE FROM body WHERE id IN (SELECT body FROM block WHERE stream=?1 AND last_commit BETWEEN ?2 AND ?3)"));
    WEIR_TRY(rows.at_seq_, selecting("INDEXED BY block_by_seq WHERE stream=?1 AND first_seq<=?2 ORDER BY first_seq DESC, last_commit DESC LIMIT 1"));
    WEIR_TRY(rows.after_, selecting("WHERE stream=?1 AND last_commit>?2 ORDER BY last_commit LIMIT 1"));
    WEIR_TRY(rows.before_, selecting("WHERE stream=?1 AND last_commit<?2 ORDER BY last_commit DESC LIMIT 1"));
    WEIR_TRY(rows.list_, selecting("WHERE stream=?1 AND last_commit>?2 ORDER BY last_commit LIMIT ?3"));
    WEIR_TRY(rows.list_times_, selecting("WHERE stream=?1 AND last_commit>?2 AND count>0 AND max_time>=?3 AND min_time<?4 ORDER BY last_commit LIMIT ?5"));
    WEIR_TRY(rows.times_, database.prepare("SELECT min(min_time), max(max_time) FROM block WHERE stream=?1 AND last_commit>?2 AND count>0"));
    WEIR_TRY(rows.body_, database.prepare("SELECT bytes FROM body WHERE id=?1"));
    return rows;
}

Result<void> BlockRows::insert(const Block& block, std::int64_t body) {
    WEIR_CHECK_OK(insert_body_.bind(1, body).bind_blob(2, block.body).run());
    const BlockHeader& h = block.header;
    insert_.bind(1, std::int64_t{h.stream}).bind(2, h.last_commit.value).bind(3, h.first_commit.value).bind(4, h.first_seq.value);
    insert_.bind(5, std::int64_t{h.count}).bind(6, std::int64_t{h.marks}).bind(7, std::int64_t{h.epoch});
    insert_.bind(8, h.first_commit_time.micros()).bind(9, h.last_commit_time.micros());
    insert_.bind(10, h.min_time.micros()).bind(11, h.max_time.micros()).bind(12, h.min_ingested.micros()).bind(13, h.max_ingested.micros());
    insert_.bind(14, std::int64_t{h.raw_bytes}).bind(15, std::int64_t{h.stored_bytes}).bind(16, std::int64_t{h.format});
    insert_.bind(17, h.checksum).bind(18, body).bind_blob(19, h.keys).bind(20, std::int64_t{h.level});
    return insert_.run();
}

Result<std::int64_t> BlockRows::remove(std::uint32_t stream, CommitNo first, CommitNo last) {
    const auto bind = [&](Statement& s) -> Statement& { return s.bind(1, std::int64_t{stream}).bind(2, first.value).bind(3, last.value); };
    WEIR_CHECK_OK(bind(remove_bodies_).run());
    WEIR_CHECK_OK(bind(remove_).run());
    return database_->changes();
}

Result<std::optional<BlockRow>> BlockRows::one(Statement& statement) {
    Use s(statement);
    WEIR_TRY(const bool there, s->step());
    if (!there) return std::optional<BlockRow>();
    return std::optional<BlockRow>(row_of(*s));
}

Result<std::optional<BlockRow>> BlockRows::at_seq(std::uint32_t stream, Seq seq) {
    return one(at_seq_.bind(1, std::int64_t{stream}).bind(2, seq.value));
}
Result<std::optional<BlockRow>> BlockRows::after(std::uint32_t stream, CommitNo commit) {
    return one(after_.bind(1, std::int64_t{stream}).bind(2, commit.value));
}
Result<std::optional<BlockRow>> BlockRows::before(std::uint32_t stream, CommitNo commit) {
    return one(before_.bind(1, std::int64_t{stream}).bind(2, commit.value));
}

static Result<std::vector<BlockRow>> rows_of(Statement& statement) {
    Use s(statement);
    std::vector<BlockRow> rows;
    while (true) {
        WEIR_TRY(const bool there, s->step());
        if (!there) return rows;
        rows.push_back(row_of(*s));
    }
}

Result<std::vector<BlockRow>> BlockRows::list(std::uint32_t stream, CommitNo after, std::size_t count_max) {
    return rows_of(list_.bind(1, std::int64_t{stream}).bind(2, after.value).bind(3, count_max));
}
Result<std::vector<BlockRow>> BlockRows::list_times(std::uint32_t stream, CommitNo after, Timestamp from, Timestamp to, std::size_t count_max) {
    return rows_of(list_times_.bind(1, std::int64_t{stream}).bind(2, after.value).bind(3, from.micros()).bind(4, to.micros()).bind(5, count_max));
}

Result<std::optional<TimeBounds>> BlockRows::times(std::uint32_t stream, CommitNo after) {
    Use s(times_);
    s->bind(1, std::int64_t{stream}).bind(2, after.value);
    WEIR_TRY(const bool there, s->step());
    if (!there || s->is_null(0)) return std::optional<TimeBounds>();
    return std::optional<TimeBounds>({Timestamp::from_micros(s->integer(0)), Timestamp::from_micros(s->integer(1))});
}

Result<std::string> BlockRows::body(const BlockRow& row) {
    Use s(body_);
    s->bind(1, row.body);
    WEIR_TRY(const bool there, s->step());
    if (!there)
        return Error{"damaged", "log: the body of block " + std::to_string(row.header.first_seq.value) + " of stream number " +
                                    std::to_string(row.header.stream) + " is missing"};
    return std::string(s->text(0));
}

}  // namespace weir
