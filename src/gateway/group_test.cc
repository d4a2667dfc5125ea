// How a group shares events out, without threads, sockets or a log.
#include "gateway/group.h"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <vector>

#include "base/prng.h"

using namespace weir;

namespace {

GroupEvent event(std::uint64_t seq, std::uint64_t key, std::uint32_t stream = 0) {
    GroupEvent made;
    made.stream = stream;
    made.seq = Seq{seq};
    made.key = key;
    made.text = std::make_shared<const std::string>("{}");
    return made;
}

/// Members and what each was handed, in order.
struct Hands {
    std::map<Group::Member, std::vector<GroupEvent>> by_member;
    Group::Hand hand = [this](Group::Member member, const GroupEvent& given) { by_member[member].push_back(given); };
};

}  // namespace

TEST_CASE("group: each event goes to one member, all of a key to the same one, and every member has its share (C-21)") {
    Group group;
    Hands hands;
    for (Group::Member member = 1; member <= 3; ++member) group.join(member);
    for (std::uint64_t seq = 1; seq <= 3000; ++seq) group.add(event(seq, seq % 300), hands.hand);
    std::map<std::uint64_t, std::set<Group::Member>> by_key;
    std::size_t all = 0;
    for (const auto& [member, given] : hands.by_member) {
        all += given.size();
        CHECK(given.size() > 600);
        for (std::size_t i = 0; i < given.size(); ++i) {
            by_key[given[i].key].insert(member);
            if (i > 0) CHECK(given[i - 1].seq < given[i].seq);
        }
    }
    CHECK(all == 3000);
    for (const auto& [key, members] : by_key) CHECK(members.size() == 1);
}

TEST_CASE("group: who comes takes only keys of which nothing is unacknowledged, and of those only its own") {
    Group group;
    Hands before, after;
    group.join(1);
    group.join(2);
    for (std::uint64_t key = 1; key <= 200; ++key) group.add(event(key, key), before.hand);
    group.acknowledge(1, 1000);  // all that 1 has; 2 still works on its own
    group.join(3);
    for (std::uint64_t key = 1; key <= 200; ++key) group.add(event(1000 + key, key), after.hand);
    std::map<std::uint64_t, Group::Member> old;
    for (const auto& [member, given] : before.by_member)
        for (const auto& one : given) old[one.key] = member;
    std::size_t moved = 0;
    for (const auto& [member, given] : after.by_member)
        for (const auto& one : given)
            if (old[one.key] != member) {
                ++moved;
                CHECK(old[one.key] == 1);
                CHECK(member == 3);
            }
    CHECK(moved > 10);
    CHECK(moved < 80);
}

TEST_CASE("group: what a member leaves unacknowledged goes to the others, a key's events in their order, and of the last one is forgotten") {
    Group group;
    Hands hands;
    group.join(1);
    group.join(2);
    for (std::uint64_t seq = 1; seq <= 100; ++seq) group.add(event(seq, seq % 10), hands.hand);
    const auto ones = hands.by_member[1];
    REQUIRE(ones.size() > 4);
    CHECK(group.acknowledge(1, 3) == 3);
    Hands handed;
    group.leave(1, handed.hand);
    CHECK(group.unacknowledged() == 97);
    CHECK(group.unacknowledged(2) == 97);
    REQUIRE(handed.by_member.size() == 1);
    REQUIRE(handed.by_member[2].size() == ones.size() - 3);
    for (std::size_t i = 3; i < ones.size(); ++i) CHECK(handed.by_member[2][i - 3].seq == ones[i].seq);
    group.leave(1, handed.hand);  // it is gone: nothing happens
    group.leave(2, handed.hand);
    CHECK(group.members() == 0);
    CHECK(group.unacknowledged() == 0);
    CHECK(group.bytes() == 0);
}

TEST_CASE("group: it is done up to the first event that nobody has acknowledged, of each stream by itself") {
    Group group;
    Hands hands;
    group.join(1);
    CHECK(group.done(0, Seq{11}) == Seq{10});
    for (std::uint64_t seq = 11; seq <= 13; ++seq) group.add(event(seq, seq), hands.hand);
    group.add(event(5, 7, 1), hands.hand);
    CHECK(group.done(0, Seq{20}) == Seq{10});
    CHECK(group.done(1, Seq{6}) == Seq{4});
    CHECK(group.acknowledge(1, 2) == 2);
    CHECK(group.done(0, Seq{20}) == Seq{12});
    CHECK(group.acknowledge(1, 5) == 2);
    CHECK(group.done(0, Seq{20}) == Seq{19});
    CHECK(group.done(1, Seq{6}) == Seq{5});
}

TEST_CASE("group: whoever comes, goes and acknowledges, no event is lost and no key has two members at a time (random)") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        Prng chance(seed);
        Group group;
        std::map<Group::Member, std::vector<GroupEvent>> has;  // unacknowledged, in order
        std::set<std::uint64_t> done;
        std::map<std::uint64_t, std::uint64_t> newest;  // by key: acknowledged last
        const Group::Hand hand = [&](Group::Member member, const GroupEvent& given) {
            for (const auto& [other, held] : has)
                for (const auto& one : held)
                    if (one.key == given.key) REQUIRE(other == member);
            if (!has[member].empty() && has[member].back().key == given.key) REQUIRE(has[member].back().seq < given.seq);
            has[member].push_back(given);
        };
        Group::Member next = 1;
        std::uint64_t seq = 0;
        for (int step = 0; step < 400; ++step) {
            const auto what = chance.below(10);
            if (has.empty() || what == 0) {
                group.join(next);
                has[next++];
            } else if (what == 1 && has.size() > 1) {
                const auto at = std::next(has.begin(), static_cast<std::ptrdiff_t>(chance.below(has.size())));
                const auto member = at->first;
                has.erase(at);
                group.leave(member, hand);
            } else if (what < 5) {
                auto& [member, held] = *std::next(has.begin(), static_cast<std::ptrdiff_t>(chance.below(has.size())));
                const std::size_t n = group.acknowledge(member, chance.below(4));
                for (std::size_t i = 0; i < n; ++i) {
                    REQUIRE(done.insert(held[i].seq.value).second);
                    REQUIRE(newest[held[i].key] < held[i].seq.value);
                    newest[held[i].key] = held[i].seq.value;
                }
                held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(n));
            } else {
                ++seq;
                group.add(event(seq, chance.below(8)), hand);
            }
            std::uint64_t first_open = seq + 1;
            std::size_t open = 0;
            for (const auto& [member, held] : has) {
                open += held.size();
                for (const auto& one : held) first_open = std::min(first_open, one.seq.value);
            }
            REQUIRE(open + done.size() == seq);
            REQUIRE(group.unacknowledged() == open);
            REQUIRE(group.done(0, Seq{seq + 1}).value == first_open - 1);
        }
    }
}
