#!/usr/bin/python3
"""Groups of the analytics dialect: sessions that share a subscription out among them.

    gateway_group_test.py <gateway_server> [name of a test ...]

As gateway_test.py: every wait is for a message or a condition; the deadline only ends a broken test.
"""
import asyncio
import json
import signal
import unittest

import cbor2
import websockets

from gateway_delivery_test import START, DeliveryCase, RawClient, n_of
from gateway_test import DEADLINE

STREAM = "events"


class Member:
    """A client in a group: reads what it is handed, and says that it is done with it when it is told to."""

    def __init__(self, socket, sid, acknowledges):
        self.socket, self.id, self.acknowledges = socket, sid, acknowledges
        self.got, self.keys, self.gaps = [], {}, []
        self.newest = self.sid = None
        self.task = asyncio.create_task(self.read())

    async def read(self):
        try:
            async for text in self.socket:
                message = json.loads(text)
                if message["type"] == "auth_success":
                    self.sid = message["data"]["client_id"]
                if message["type"] == "gap":
                    self.gaps.append(message["data"])
                if message["type"] != "data":
                    continue
                self.got.append(n_of(message))
                at = message["metadata"]
                self.keys.setdefault(at.get("key"), []).append(at["seq"])
                self.newest = {at["stream"]: {"epoch": at["epoch"], "seq": at["seq"]}}
                if self.acknowledges == "at once":
                    await self.acknowledge()
        except websockets.ConnectionClosed:
            pass

    async def acknowledge(self):
        await self.socket.send(json.dumps({"type": "ack", "data": {"subscription_id": self.id, "positions": self.newest}}))

    def cut(self):
        """As if its machine had lost power: nothing more is read, nothing said."""
        self.task.cancel()
        self.socket.transport.abort()


class GroupCase(DeliveryCase):
    async def member(self, server, name="workers", acknowledges="at once", **data):
        socket = await self.open(server)
        request = {"type": "events", "stream": STREAM, "group": name, **data}
        if acknowledges:
            request["ack"] = True
        told = await self.ask(socket, {"type": "subscribe", "data": request})
        self.assertEqual(told["type"], "subscribed", told)
        self.assertEqual((told["data"]["group"], told["data"]["ack"]), (name, bool(acknowledges)))
        member = Member(socket, told["subscription_id"], acknowledges)
        member.told = told["data"]
        self.addCleanup(member.task.cancel)
        return member

    async def append(self, server, numbers, keys=40):
        for n in numbers:
            await self.aside(server.append, STREAM, {"n": n}, key=f"k{n % keys}")

    async def handed_out(self, server, seq):
        """The gateway has come to this event, which the log may have had before it."""
        socket = await self.open(server)
        nothing = {"type": "events", "stream": STREAM, "filters": {"n": -1}, "subscription_id": "probe"}
        for _ in range(10_000):
            told = await self.ask(socket, {"type": "subscribe", "data": nothing})
            if told["data"]["streams"][STREAM]["seq"] == seq:
                return
            await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": "probe"}})
        self.fail(f"the gateway did not come to event {seq}")

    async def have(self, members, numbers):
        """All of these were handed out, to whomever."""
        numbers = set(numbers)
        await self.until(lambda: numbers <= {n for m in members for n in m.got}, f"{len(numbers)} events")

    def group(self, server, name="workers"):
        return next((g for g in server.get("/api/v1/groups")["groups"] if g["name"] == name), None)

    async def stands_at(self, server, seq, name="workers"):
        await self.until(lambda: ((self.group(server, name) or {"positions": {}})["positions"].get(STREAM) or {}).get("seq") == seq, f"position {seq}")

    async def has_members(self, server, count, name="workers"):
        await self.until(lambda: (self.group(server, name) or {"members": 0})["members"] == count, f"{count} members")

    async def unacknowledged(self, server, count):
        await self.until(lambda: server.metric("weir_gateway_group_unacknowledged") == count, f"{count} unacknowledged")


class Sharing(GroupCase):
    async def test_three_members_have_disjoint_shares_and_together_each_event_once_in_order_of_its_key(self):
        """C-21, issue 3 point 4: also where the members are on several reactors"""
        for options in ((), ("reactors=3",)):
            server = self.serve(f"stream={STREAM}", *options)
            members = [await self.member(server, acknowledges=how) for how in ("at once", "at once", None)]
            everybody = await self.open(server)  # beside the group, a broadcast to all
            await self.ask(everybody, {"type": "subscribe", "data": {"type": "events"}})
            await self.has_members(server, 3)
            for m in members:
                await self.say(m.socket, {"type": "auth", "data": {}})
            await self.until(lambda: all(m.sid for m in members), "their ids")
            await self.append(server, range(600))
            await self.have(members, range(600))
            for m in members:
                session = await self.aside(server.get, f"/api/v1/sessions/{m.sid}")
                self.adds_up(session)
                self.assertEqual((session["matched"], session["queued"]), (len(m.got), 0))
            self.assertEqual(sorted(n for m in members for n in m.got), list(range(600)))
            self.assertTrue(all(len(m.got) > 50 for m in members), [len(m.got) for m in members])
            owners = [set(m.keys) for m in members]
            self.assertEqual(sum(map(len, owners)), 40)  # no key has two members
            for m in members:
                for seqs in m.keys.values():
                    self.assertEqual(seqs, sorted(seqs))
            self.assertEqual([n_of(await self.read(everybody)) for _ in range(600)], list(range(600)))
            await self.stands_at(server, 600)
            sums = await self.aside(self.conserved, server, STREAM)
            self.assertEqual(sums["weir_gateway_delivered_total"], 1200)
            await self.aside(server.stop)

    async def test_members_share_several_streams_and_those_that_appear_later_through_one_filter(self):
        server = self.serve("stream=a")
        members = [await self.member(server, stream=None, filters={"n": {"gte": 10}}) for _ in range(2)]
        for n in range(100):
            await self.aside(server.append, "ab"[n % 2], {"n": n}, key=str(n))
        await self.have(members, range(10, 100))
        self.assertEqual(sorted(n for m in members for n in m.got), list(range(10, 100)))
        self.assertTrue(all(m.got for m in members))
        await self.until(lambda: {s: p["seq"] for s, p in self.group(server)["positions"].items()} == {"a": 50, "b": 50}, "both streams' positions")

    async def test_a_group_is_one_subscription_and_a_wrong_request_says_what_is_wrong(self):
        server = self.serve(f"stream={STREAM}", "stream=other", "groups_max=2")
        member = await self.member(server, filters={"a": 1})
        socket = await self.open(server)
        refused = [({"filters": {"a": 2}, "group": "workers"}, "group_differs"), ({"group": "workers"}, "group_differs"), ({"stream": "other", "filters": {"a": 1}, "group": "workers"}, "group_differs"),
                   ({"group": ""}, "bad_group"), ({"group": 5}, "bad_group"), ({"group": "x" * 129}, "bad_group"), ({"group": "a\0b"}, "bad_group"), ({"ack": True}, "bad_group"), ({"group": "x", "ack": 1}, "bad_group"),
                   ({"group": "x", "delivery": {"conflate": True}}, "bad_group"), ({"group": "x", "delivery": {"max_rate": 5}}, "bad_group")]
        for data, code in refused:
            answer = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "stream": STREAM, **data}})
            self.assertEqual((answer["type"], answer["data"].get("code")), ("error", code), data)
        # The same written otherwise, with or without acks, is the same.
        told = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "stream": [STREAM], "filters": {"and": [{"a": 1}]}, "group": "workers"}})
        self.assertEqual(told["type"], "subscribed", told)
        self.assertEqual((await self.ask(socket, {"type": "update", "data": {"subscription_id": told["subscription_id"], "delivery": {"batch_ms": 5}}}))["data"]["code"], "bad_group")
        self.assertEqual((await self.ask(socket, {"type": "update", "data": {"subscription_id": told["subscription_id"], "delivery": {}}}))["type"], "updated")
        for message, code in (({"positions": {STREAM: START}}, "bad_ack"), ({"positions": 5}, "bad_ack"), ({}, "bad_ack")):
            answer = await self.ask(socket, {"type": "ack", "data": {"subscription_id": told["subscription_id"], **message}})
            self.assertEqual(answer["data"]["code"], code)
        self.assertEqual((await self.ask(socket, {"type": "ack", "data": {"positions": {}}}))["data"]["code"], "subscription_id_required")
        self.assertEqual((await self.ask(socket, {"type": "ack", "data": {"subscription_id": "nobody", "positions": {}}}))["data"]["code"], "subscription_not_found")
        await self.member(server, "second")
        answer = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "group": "third"}})
        self.assertEqual(answer["data"]["code"], "too_many_groups")
        self.assertEqual(self.group(server)["members"], 2)
        member.cut()

    async def test_acks_are_free_of_the_rate_limit_and_cover_what_was_sent_before(self):
        server = self.serve(f"stream={STREAM}", "rate_limit_per_minute=5")
        member = await self.member(server, acknowledges="later")
        await self.append(server, range(50))
        await self.have([member], range(50))
        await self.unacknowledged(server, 50)
        member.newest[STREAM]["seq"] = 30
        for _ in range(20):
            await member.acknowledge()
        await self.stands_at(server, 30)
        await self.unacknowledged(server, 20)
        self.assertEqual(member.task.done(), False)

    async def test_compressed_members_get_what_is_worth_compressing_compressed(self):
        server = self.serve(f"stream={STREAM}")
        member = await self.member(server)  # the library offers permessage-deflate
        self.assertTrue(member.socket.extensions)
        plain = await self.open(server, compression=None)
        await self.ask(plain, {"type": "subscribe", "data": {"type": "events"}})
        before = server.metric("weir_gateway_bytes_sent_total")
        for n in range(50):
            await self.aside(server.append, STREAM, {"n": n, "text": "abcdefgh" * 100}, key=str(n))
        await self.have([member], range(50))
        for _ in range(50):
            await self.read(plain)
        # Once plain and once compressed, beside the answers to this test's questions.
        sent = server.metric("weir_gateway_bytes_sent_total") - before
        self.assertLess(sent, 50 * 1100 + 50 * 500)

    async def test_cbor_members_get_their_share_as_cbor(self):
        server = self.serve(f"stream={STREAM}")
        socket = await self.open(server, subprotocols=["weir.cbor"])
        await socket.send(cbor2.dumps({"type": "subscribe", "data": {"type": "events", "group": "workers"}}))
        self.assertEqual(cbor2.loads(await asyncio.wait_for(socket.recv(), DEADLINE))["data"]["group"], "workers")
        await self.append(server, range(3))
        self.assertEqual([n_of(cbor2.loads(await asyncio.wait_for(socket.recv(), DEADLINE))) for _ in range(3)], [0, 1, 2])


class Handover(GroupCase):
    async def test_what_a_killed_or_leaving_member_has_not_acknowledged_goes_to_the_others(self):
        """C-21: at least once, nothing lost; and members who come in mid-flow"""
        for reactors in ("1", "3"):
            server = self.serve(f"stream={STREAM}", f"reactors={reactors}")
            steady = await self.member(server)
            killed = await self.member(server, acknowledges="later")
            leaving = await self.member(server, acknowledges="later")
            await self.has_members(server, 3)
            await self.append(server, range(200))
            await self.have([steady, killed, leaving], range(200))
            self.assertTrue(killed.got and leaving.got)
            # The first half of what it has is done; and it is not given again.
            half = killed.got[: len(killed.got) // 2]
            killed.newest[STREAM]["seq"] = half[-1] + 1
            await killed.acknowledge()
            await self.unacknowledged(server, len(killed.got) - len(half) + len(leaving.got))
            killed.cut()
            await self.append(server, range(200, 250))
            await self.say(leaving.socket, {"type": "unsubscribe", "data": {"subscription_id": leaving.id}})
            late = await self.member(server)
            await self.append(server, range(250, 300))
            # Whoever is there in the end has done everything but what `killed` was done with.
            await self.until(lambda: set(range(300)) == {*steady.got, *late.got, *half}, "everything")
            self.assertEqual(len(steady.got), len(set(steady.got)))
            self.assertFalse(set(half) & {*steady.got, *late.got})
            await self.stands_at(server, 300)
            await self.aside(self.conserved, server, STREAM)
            await self.aside(server.stop)

    async def test_members_come_and_go_while_events_flow_and_each_event_is_handed_out(self):
        server = self.serve(f"stream={STREAM}", "reactors=2")
        members = [await self.member(server), await self.member(server)]
        gone = []
        for round in range(8):
            await self.append(server, range(round * 50, round * 50 + 50))
            members.append(await self.member(server))
            lost = members.pop(round % 2)
            lost.cut()
            gone.append(lost)
            await self.aside(self.conserved, server, STREAM)
        await self.have(members + gone, range(400))
        await self.stands_at(server, 400)
        await self.has_members(server, 2)

    async def test_the_last_member_of_a_group_leaves_and_the_next_goes_on_at_its_position(self):
        server = self.serve(f"stream={STREAM}")
        first = await self.member(server, acknowledges="later")
        await self.append(server, range(20))
        await self.have([first], range(20))
        first.newest[STREAM]["seq"] = 12
        await first.acknowledge()
        await self.stands_at(server, 12)
        await first.socket.close()
        await self.has_members(server, 0)
        await self.append(server, range(20, 30))
        # `since` says where a group begins that has no position; this one has.
        second = await self.member(server, since={STREAM: START})
        self.assertEqual(second.told["streams"][STREAM]["seq"], 12)
        await self.have([second], range(12, 30))
        self.assertEqual(second.got, list(range(12, 30)))

    async def test_the_past_is_shared_out_from_where_the_first_member_says(self):
        for since, first in (({STREAM: START}, 0), ({"last": 30}, 470), ("2020-01-01T00:00:00Z", 0)):
            server = self.serve(f"stream={STREAM}", "tail_bytes=20000", "rate_limit_per_minute=100000")
            await self.append(server, range(500))
            await self.until(lambda: self.head(server, STREAM) == 500, "500 events")
            await self.handed_out(server, 500)  # `last` counts from there
            members = [await self.member(server, since=since), await self.member(server)]
            await self.have(members, range(first, 500))
            await self.append(server, range(500, 520))
            await self.have(members, range(first, 520))
            self.assertEqual(sorted({n for m in members for n in m.got}), list(range(first, 520)))
            await self.stands_at(server, 520)
            await self.aside(server.stop)

    async def test_a_killed_server_goes_on_at_the_committed_position(self):
        """C-21, decision 19: kill -9, at least once, nothing skipped; then a resume token brings a member back"""
        options = (f"stream={STREAM}", "reactors=2")
        server = self.serve(*options)
        members = [await self.member(server), await self.member(server, acknowledges="later")]
        await self.append(server, range(200))
        await self.have(members, range(200))
        first_open = min(members[1].got)
        await self.stands_at(server, first_open)
        server.process.send_signal(signal.SIGKILL)
        await self.aside(server.process.communicate)
        for m in members:
            m.cut()
        server = self.serve(*options, folder=server.folder)
        self.assertEqual(self.group(server)["positions"][STREAM]["seq"], first_open)
        again = [await self.member(server), await self.member(server)]
        await self.append(server, range(200, 260))
        await self.have(again, range(first_open, 260))
        self.assertEqual(sorted(n for m in again for n in m.got), list(range(first_open, 260)))
        await self.stands_at(server, 260)

        sub = again[0].id
        socket = await self.open(server)
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "stream": STREAM, "group": "workers", "ack": True}})
        token = (await self.ask(socket, {"type": "resume_token"}))["data"]["token"]
        await socket.close()
        for m in again:
            await m.socket.close()
        await self.has_members(server, 0)
        await self.append(server, range(260, 270))
        await self.until(lambda: self.head(server, STREAM) == 270, "270 events")
        self.assertEqual(await self.aside(server.stop), 0)  # an orderly end keeps positions too
        server = self.serve(*options, folder=server.folder)
        socket = await self.open(server)
        resumed = await self.ask(socket, {"type": "resume", "data": {"token": token, "positions": {STREAM: START}}})
        self.assertEqual([s["subscription_id"] for s in resumed["data"]["subscriptions"]], [sub])
        self.assertEqual(resumed["data"]["subscriptions"][0]["streams"][STREAM]["seq"], 260)
        self.assertEqual([n_of(await self.read(socket)) for _ in range(10)], list(range(260, 270)))

    async def test_what_retention_removed_is_told_as_a_gap(self):
        server = self.serve(f"stream={STREAM}", "retention_events=100")
        first = await self.member(server)
        await self.append(server, range(10))
        await self.stands_at(server, 10)
        await first.socket.close()
        await self.has_members(server, 0)
        await self.append(server, range(10, 3000))
        await self.until(lambda: server.get(f"/api/v1/streams/{STREAM}")["first_seq"] > 11, "retention")
        second = await self.member(server)
        await self.until(lambda: 2999 in second.got, "the last event")
        self.assertEqual((second.gaps[0]["stream"], second.gaps[0]["from_seq"]), (STREAM, 11))
        self.assertEqual({gap["reason"] for gap in second.gaps}, {"retention"})
        # Retention may go on while it reads: what did not come is told, and nothing else.
        told = [seq - 1 for gap in second.gaps for seq in range(gap["from_seq"], gap["to_seq"] + 1)]
        self.assertEqual(sorted(told + second.got), list(range(10, 3000)))


class Bound(GroupCase):
    async def test_at_its_bound_a_group_waits_and_who_acknowledges_nothing_is_closed_and_loses_its_share(self):
        """Slow-reader close hands over; memory is bounded by gateway.group_unacked_bytes"""
        server = self.serve(f"stream={STREAM}", "group_unacked_bytes=65536", "group_timeout_ms=1500", "reactors=2")
        steady = await self.member(server)
        stuck = await self.member(server, acknowledges="later")
        await self.has_members(server, 2)
        await self.append(server, range(2000))
        await self.until(lambda: server.metric("weir_gateway_group_unacknowledged") >= 60, "the bound")
        most = 0
        while not stuck.socket.closed:
            most = max(most, await self.aside(server.metric, "weir_gateway_group_unacknowledged"))
            await asyncio.sleep(0.02)
        self.assertEqual(stuck.socket.close_code, 1013)
        self.assertLess(most, 65536 / 400)  # each is at least 200 bytes of text and 200 beside it
        await self.have([steady], range(2000))
        self.assertEqual(sorted(steady.got), list(range(2000)))
        await self.stands_at(server, 2000)
        await self.aside(self.conserved, server, STREAM)

    async def test_a_member_that_does_not_read_is_closed_and_the_others_get_what_it_was_handed(self):
        server = self.serve(f"stream={STREAM}", "group_unacked_bytes=100000", "group_timeout_ms=1500")
        raw = await RawClient.connect(server, "/stream")
        raw.say({"type": "subscribe", "data": {"type": "events", "stream": STREAM, "group": "workers"}})
        self.assertEqual((await raw.read())["type"], "subscribed")
        raw.stop_reading()
        steady = await self.member(server)
        await self.has_members(server, 2)
        big = "x" * 20000
        await self.until(lambda: server.push(STREAM, [{"key": str(n), "data": {"n": -1, "big": big}} for n in range(20)]) and server.metric("weir_gateway_queued", stream=STREAM) > 3, "a full socket")
        await self.aside(self.conserved, server, STREAM)
        await self.append(server, range(300))
        await self.have([steady], range(300))
        await self.has_members(server, 1)
        sums = await self.aside(self.conserved, server, STREAM)
        self.assertGreater(server.metric("weir_gateway_dropped_total", stream=STREAM, reason="slow"), 0)
        raw.writer.close()


class Book(GroupCase):
    async def test_a_group_without_members_is_forgotten_on_request_or_when_it_is_old_and_not_before(self):
        server = self.serve(f"stream={STREAM}", "group_keep_ms=1500")
        member = await self.member(server)
        await self.append(server, range(5))
        await self.stands_at(server, 5)
        status = lambda name: server.request(f"/api/v1/groups/{name}", method="DELETE")[0]
        self.assertEqual(await self.aside(status, "workers"), 409)
        await member.socket.close()
        await self.has_members(server, 0)
        self.assertEqual(await self.aside(status, "workers"), 200)
        self.assertIsNone(self.group(server))
        # Then its name is free for something else, which begins anew.
        other = await self.member(server, filters={"n": {"gte": 0}})
        self.assertEqual(other.told["streams"][STREAM]["seq"], 5)
        await self.append(server, range(5, 8))
        await self.have([other], range(5, 8))
        await asyncio.sleep(2)  # longer than it is kept without members: with one it stays
        self.assertEqual(self.group(server)["members"], 1)
        await other.socket.close()
        await self.until(lambda: self.group(server) is None, "forgotten")
        self.assertEqual(await self.aside(server.stop), 0)
        server = self.serve(f"stream={STREAM}", folder=server.folder)
        self.assertIsNone(self.group(server))


if __name__ == "__main__":
    unittest.main(verbosity=1)
