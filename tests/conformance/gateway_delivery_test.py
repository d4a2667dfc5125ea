#!/usr/bin/python3
"""What reaches a client of the gateway, and how: resuming, delivery policies, rooms, publishing, CBOR.

    gateway_delivery_test.py <gateway_server> [name of a test ...]

As gateway_test.py: every wait is for a message or a condition; the deadline only ends a broken test.
"""
import asyncio
import base64
import itertools
import json
import os
import random
import signal
import subprocess
import unittest

import cbor2
import websockets

import gateway_test
from gateway_test import DEADLINE, Case, Server

START = {"epoch": "0", "seq": 0}


class RawClient:
    """A WebSocket client that reads only when it is told to, so that the server's side of the socket fills up."""

    @classmethod
    async def connect(cls, server, path):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2048)
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        await self.reader.readuntil(b"\r\n\r\n")
        return self

    def say(self, message):
        payload = json.dumps(message).encode()
        head = bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else bytes([0x81, 0xFE]) + len(payload).to_bytes(2, "big")
        self.writer.write(head + b"\0\0\0\0" + payload)

    async def read(self):
        """The next text; pings and the like are passed over. A close is its code."""
        while True:
            first, length = await asyncio.wait_for(self.reader.readexactly(2), DEADLINE)
            if length == 126:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await self.reader.readexactly(8), "big")
            payload = await asyncio.wait_for(self.reader.readexactly(length), DEADLINE)
            if first & 15 == 8:
                return int.from_bytes(payload[:2], "big")
            if first & 15 in (1, 2):
                return json.loads(payload)

    def stop_reading(self):
        self.writer.transport.pause_reading()

    def go_on_reading(self):
        self.writer.transport.resume_reading()


def n_of(message):
    return message["data"]["event"]["payload"]["n"]


class DeliveryCase(Case):
    async def until(self, condition, what):
        for _ in range(DEADLINE * 50):
            if await self.aside(condition):
                return
            await asyncio.sleep(0.02)
        self.fail("did not happen: " + what)

    def head(self, server, stream):
        status, _, body = server.request(f"/api/v1/streams/{stream}")
        return json.loads(body)["head_seq"] if status == 200 else 0

    async def session(self, server, socket):
        sid = (await self.ask(socket, {"type": "auth", "data": {}}))["data"]["client_id"]
        return lambda: server.get(f"/api/v1/sessions/{sid}")

    def adds_up(self, session):
        """D14, decision 23: for one session too."""
        self.assertEqual(session["matched"], session["delivered"] + session["merged"] + session["dropped"] + session["queued"], session)
        self.assertEqual(session["dropped"], sum(session["dropped_by_reason"].values()), session)


class Resume(DeliveryCase):
    async def test_several_streams_come_in_the_order_of_their_commits(self):
        """D5, decisions 2 and 19"""
        server = self.serve("stream=a", "stream=b", "stream=c", "tail_bytes=20000")
        order = [random.Random(7).choice("abc") for _ in range(600)]
        for n, stream in enumerate(order):
            server.append(stream, {"n": n})
        await self.until(lambda: sum(self.head(server, s) for s in "abc") == 600, "600 events")
        socket = await self.open(server)
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": {s: START for s in "abc"}}})
        self.assertEqual([n_of(await self.read(socket)) for _ in range(600)], list(range(600)))
        server.append("b", {"n": 600})
        self.assertEqual(n_of(await self.read(socket)), 600)
        part = await self.open(server)  # one named: the others are live
        await self.ask(part, {"type": "subscribe", "data": {"type": "events", "since": {"a": START}}})
        self.assertEqual([n_of(await self.read(part)) for _ in range(order.count("a"))], [n for n, s in enumerate(order) if s == "a"])
        self.conserved(server, "a")

    async def test_a_token_brings_back_what_was_subscribed_and_nothing_else_is_taken_for_one(self):
        """S3-31, decision 19"""
        server = self.serve("stream=events", "stream=other", "window=5min:events:/v")
        socket = await self.open(server)
        asked = [{"type": "events", "filters": {"a": {"gt": 5}}, "subscription_id": "mine", "delivery": {"conflate": True}}, {"type": "events", "stream": ["other"]},
                 {"type": "aggregations"}]
        told = [(await self.ask(socket, {"type": "subscribe", "data": d}))["data"] for d in asked]
        await self.ask(socket, {"type": "subscribe", "data": asked[1]})  # twice
        token = (await self.ask(socket, {"type": "resume_token"}))["data"]["token"]
        await socket.close()

        socket = await self.open(server)
        resumed = await self.ask(socket, {"type": "resume", "data": {"token": token}})
        self.assertEqual((resumed["type"], resumed["data"]["refused"]), ("resumed", []))
        key = lambda s: s["subscription_id"]
        self.assertEqual(sorted(resumed["data"]["subscriptions"], key=key), sorted(told, key=key))
        for _ in range(2):
            self.assertEqual((await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": told[1]["subscription_id"]}}))["type"], "unsubscribed")
        self.assertEqual((await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": told[1]["subscription_id"]}}))["type"], "error")

        other = self.serve("stream=events")
        payload, _, signature = token.partition(".")
        forged = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        forged["subscriptions"][0]["filters"] = {}
        forged = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=") + "." + signature
        for place, path, message in ((server, "/", {"data": {"token": forged}}), (server, "/", {"data": {"token": token[:-2]}}), (server, "/", {"data": {"token": ""}}), (server, "/", {"data": {}}),
                                     (server, "/", {"data": {"token": token, "positions": 5}}), (server, "/", {"data": {"token": token, "positions": {"a": {"b": 5}}}}), (other, "/", {"data": {"token": token}}),
                                     (server, "/ws", {"token": token}), (server, "/ws", {})):
            socket = await self.open(place, path)
            answer = await self.ask(socket, {"type": "resume", **message})
            self.assertEqual((answer.get("data") or answer)["code"], "bad_resume_token", message)
            await self.aside(place.append, "events", {"a": 6})
            self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})

    async def test_a_stream_of_the_tokens_own_that_is_still_to_come_comes_back_too(self):
        """S3-31, decision 19: a bounded subscription covers it, so what brings the subscription back must"""
        server = self.serve("bounded_token=reader@later")
        bearer = {"extra_headers": {"Authorization": "Bearer reader"}}
        socket = await self.open(server, **bearer)
        told = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "subscription_id": "mine"}})
        token = (await self.ask(socket, {"type": "resume_token"}))["data"]["token"]
        await socket.close()
        socket = await self.open(server, **bearer)
        resumed = await self.ask(socket, {"type": "resume", "data": {"token": token}})
        self.assertEqual(resumed["data"], {"subscriptions": [told["data"]], "refused": []})
        await self.aside(server.append, "later", {"n": 1})
        self.assertEqual((await self.read(socket))["data"]["event"]["payload"], {"n": 1})
        # Named by hand it is unknown until it is there.
        again = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "stream": "never"}})
        self.assertEqual(again["data"]["code"], "unknown_stream")

    async def test_a_stream_that_appeared_while_the_client_was_away_is_there_from_its_beginning(self):
        server = self.serve("stream=events")
        socket = await self.open(server)
        subscribed = await self.ask(socket, {"type": "subscribe", "data": {"type": "events"}})
        token = (await self.ask(socket, {"type": "resume_token"}))["data"]["token"]
        await socket.close()
        for n in range(3):
            server.append("events" if n == 1 else "new", {"n": n})
        await self.until(lambda: self.head(server, "new") == 2, "the new stream")
        socket = await self.open(server)
        await self.say(socket, {"type": "resume", "data": {"token": token, "positions": subscribed["data"]["streams"]}})
        await self.read(socket)
        self.assertEqual([n_of(await self.read(socket)) for _ in range(3)], [0, 1, 2])

    async def test_an_event_that_no_message_can_hold_is_a_gap_in_its_place(self):
        """spec.md 5: no message is larger than max_message_size; each gets what it asked for, or is told what it did not get. Live and from the past, alike."""
        server = self.serve("stream=events", "max_message_size=2048")
        large = {"n": 2, "text": "x" * 3000}
        asked = [{"type": "events", "stream": "events"}, {"type": "events", "stream": "events", "group": "workers"}]

        async def check(open_one, kinds):
            sockets = [await open_one(data) for data in asked]
            if kinds == "live":
                for data in ({"n": 1}, large, {"n": 3}):
                    await self.aside(server.append, "events", data)
            for socket in sockets:
                self.assertEqual(n_of(await read(socket)), 1)
                gap = await read(socket)
                self.assertEqual((gap["type"], gap["data"]["from_seq"], gap["data"]["to_seq"], gap["data"]["reason"]), ("gap", 2, 2, "too_large"))
                self.assertEqual(n_of(await read(socket)), 3)
                await socket.close()

        async def read(socket):
            message = await asyncio.wait_for(socket.recv(), DEADLINE)
            return cbor2.loads(message) if isinstance(message, bytes) else json.loads(message)

        async def subscribe(data):
            socket = await self.open(server)
            self.assertEqual((await self.ask(socket, {"type": "subscribe", "data": data}))["type"], "subscribed")
            return socket

        async def from_the_beginning(data):
            return await subscribe({**data, "since": {"events": START}, **({"group": "others"} if "group" in data else {})})

        async def in_cbor(data):
            socket = await self.open(server, subprotocols=["weir.cbor"])
            await socket.send(cbor2.dumps({"type": "subscribe", "data": {**data, "since": {"events": START}, **({"group": "binary"} if "group" in data else {})}}))
            self.assertEqual((await read(socket))["type"], "subscribed")
            return socket

        await check(subscribe, "live")
        await check(from_the_beginning, "past")
        await check(in_cbor, "past")
        self.conserved(server, "events")
        self.assertEqual(server.metric("weir_gateway_dropped_total", stream="events", reason="too_large"), 6)
        epoch = server.get("/api/v1/streams/events")["epoch"]
        # Server-Sent Events say it too; a broadcast says nothing, its numbers jump.
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET /events?stream=events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {epoch}:0\r\n\r\n".encode())
        told = await asyncio.wait_for(reader.readuntil(b'"n": 3'), DEADLINE)
        self.assertIn(b'event: gap\ndata: {"stream":"events","from_seq":2,"to_seq":2,"reason":"too_large"}', told)
        writer.close()

    async def test_retention_between_position_and_present_is_a_gap_between_what_is_told(self):
        """D5: an explicit gap"""
        server = self.serve("stream=events", "stream=kept", "retention_events=50", "tail_bytes=10000")
        pad = "x" * 2000
        for n in range(400):
            server.append("events", {"n": n, "pad": pad})
        await self.until(lambda: server.get("/api/v1/streams/events")["first_seq"] > 1 and self.head(server, "events") == 400, "retention")
        epoch = server.get("/api/v1/streams/events")["epoch"]
        socket = await self.open(server)
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": {"events": {"epoch": epoch, "seq": 1}}}})
        gap = await self.read(socket)
        self.assertEqual((gap["type"], gap["data"]["from_seq"], gap["data"]["reason"]), ("gap", 2, "retention"))
        seqs = [(await self.read(socket))["metadata"]["seq"] for _ in range(400 - gap["data"]["to_seq"])]
        self.assertEqual(seqs, list(range(gap["data"]["to_seq"] + 1, 401)))


class Survivor:
    """A client that comes back: keeps a token and its last positions, and every event it was given."""

    def __init__(self, path, asked, cbor=False):
        self.path, self.asked, self.cbor = path, asked, cbor
        self.token, self.positions, self.got, self.gaps = None, {}, [], []
        self.socket = None

    def pack(self, message):
        return cbor2.dumps(message) if self.cbor else json.dumps(message)

    def unpack(self, message):
        return cbor2.loads(message) if isinstance(message, bytes) else json.loads(message)

    async def connect(self, port):
        self.socket = await websockets.connect(f"ws://127.0.0.1:{port}{self.path}", max_size=None, max_queue=None, ping_interval=None,
                                               subprotocols=["weir.cbor"] if self.cbor else None)
        spc = self.path == "/ws"
        if self.token is None:
            for one in self.asked:
                await self.socket.send(self.pack({"type": "subscribe", **one} if spc else {"type": "subscribe", "data": one}))
            await self.socket.send(self.pack({"type": "resume_token"}))
        elif spc:
            await self.socket.send(self.pack({"type": "resume", "token": self.token, "positions": self.positions}))
        else:
            await self.socket.send(self.pack({"type": "resume", "data": {"token": self.token, "positions": self.positions}}))

    async def run(self):
        """Until the connection ends."""
        try:
            while True:
                self.take(self.unpack(await self.socket.recv()))
        except (websockets.ConnectionClosed, OSError):
            pass

    def take(self, message):
        kind = message["type"]
        if kind == "resume_token":
            self.token = message.get("token") or message["data"]["token"]
        elif kind == "subscribed" and self.path != "/ws":
            self.positions[message["subscription_id"]] = dict(message["data"]["streams"])
        elif kind in ("data", "sample"):
            at = message["metadata"]
            own = self.positions.setdefault(message["subscription_id"], {}) if kind == "data" else self.positions
            own[at["stream"]] = {"epoch": at["epoch"], "seq": at["seq"]}
            payload = message["payload"] if kind == "sample" else message["data"]["event"]["payload"]
            self.got.append((message.get("subscription_id"), at["stream"], at["seq"], payload["sample_id"]))
        elif kind == "gap":
            self.gaps.append(message)
        elif kind == "error" and (message.get("code") or message["data"]["code"]) not in ("unknown_ids", "shutting_down"):
            raise AssertionError(message)


class Survival(DeliveryCase):
    async def test_clients_that_drop_and_servers_that_restart_lose_nothing_and_repeat_nothing(self):
        """S3-31, S3-34, D5, D6: events flow while clients are cut off and the server is stopped or killed at random; in the end each client has each matching
        event exactly once, in order"""
        seed = int(os.environ.get("WEIR_SEED", random.randrange(1 << 30)))
        print("seed", seed)
        chance = random.Random(seed)
        rounds = 60 if os.environ.get("WEIR_NIGHTLY") else 8
        options = ["stream=a", "stream=b", "tail_bytes=50000", "rate_limit_per_minute=100000"]
        server = Server(*options)
        options.append(f"port={server.port}")
        self.addCleanup(lambda: server.process.poll() is None and server.stop())
        clients = [Survivor("/", [{"type": "events"}]),
                   Survivor("/", [{"type": "events", "filters": {"characteristic_id": [1, 2]}, "subscription_id": "low"}, {"type": "events", "stream": "b", "subscription_id": "b"}]),
                   Survivor("/stream", [{"type": "events", "filters": {"sample_id": {"gte": 50}}}], cbor=True),
                   Survivor("/ws", [{"characteristic_ids": [1, 3]}]),
                   Survivor("/ws", [{"groups": ["plant/line2"]}], cbor=True)]
        sent = []
        numbers = itertools.count(1)
        alive = True

        def push():
            stream = chance.choice("ab")
            events = [{"id": f"e{n}", "type": "sample", "data": {"sample_id": n, "characteristic_id": n % 5, "path": f"plant/line{n % 5}"}} for n in itertools.islice(numbers, chance.randint(1, 20))]
            sent.extend((stream, e["data"]) for e in events)
            while alive:  # until it is acknowledged: the ids say what is a repeat
                try:
                    return server.push(stream, events)
                except (OSError, AssertionError, json.JSONDecodeError):
                    pass

        async def publisher():
            for _ in range(rounds * 12):
                await self.aside(push)

        async def client(c):
            while alive:
                try:
                    await c.connect(server.port)
                # A server that ends at this moment may also say so between the handshake and the first message.
                except (OSError, websockets.InvalidHandshake, websockets.ConnectionClosed, asyncio.TimeoutError):
                    await asyncio.sleep(0.01)
                    continue
                await c.run()

        for c in clients:  # the first time is the one without a position
            await c.connect(server.port)
            while c.token is None:
                c.take(c.unpack(await asyncio.wait_for(c.socket.recv(), DEADLINE)))
        await asyncio.gather(*(c.socket.close() for c in clients))
        tasks = [asyncio.create_task(client(c)) for c in clients]
        publishing = asyncio.create_task(publisher())
        for _ in range(rounds):
            goal = len(sent) + 60
            while len(sent) < goal and not publishing.done():
                await asyncio.sleep(0.01)
            if chance.random() < 0.5:
                for c in chance.sample(clients, 3):
                    if c.socket and c.socket.transport:
                        c.socket.transport.abort()
                continue
            if chance.random() < 0.5:
                await self.aside(server.stop)
            else:
                server.process.kill()
                server.process.wait()
                server.process.stdin.close()
                server.process.stdout.close()
            server = await self.aside(Server, *options, folder=server.folder)
        await asyncio.wait_for(publishing, DEADLINE)
        line = {n: f"plant/line{n}" for n in range(5)}
        wants = [[(None, lambda s, d: True)], [("low", lambda s, d: d["characteristic_id"] in (1, 2)), ("b", lambda s, d: s == "b")],
                 [(None, lambda s, d: d["sample_id"] >= 50)], [(None, lambda s, d: d["characteristic_id"] in (1, 3))],
                 [(None, lambda s, d: line[d["characteristic_id"]] == "plant/line2")]]
        for c, wanted in zip(clients, wants):
            for name, matches in wanted:
                expected = sorted(d["sample_id"] for s, d in sent if matches(s, d))
                own = lambda: [g for g in c.got if name is None or g[0] == name]
                await self.until(lambda: len(own()) >= len(expected), f"{c.path} {name}: {len(expected)} events, seed {seed}")
                self.assertEqual(sorted(g[3] for g in own()), expected, f"{c.path} {name}, seed {seed}")
                for stream in "ab":
                    seqs = [g[2] for g in own() if g[1] == stream]
                    self.assertEqual(seqs, sorted(seqs))
            self.assertEqual(c.gaps, [], f"seed {seed}")
        for stream in "ab":
            self.conserved(server, stream)
        self.conserved(server, "spc")
        alive = False
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(c.socket.close() for c in clients))


class Policies(DeliveryCase):
    async def blocked(self, server, asked, options_key="k", events=120, pad=20000):
        """A client that has asked for `asked` and stopped reading, with so much sent that the server's side is full."""
        raw = await RawClient.connect(server, "/")
        raw.say({"type": "auth", "data": {}})
        sid = (await raw.read())["data"]["client_id"]
        raw.say({"type": "subscribe", "data": {"type": "events", **asked}})
        subscribed = await raw.read()
        assert subscribed["type"] == "subscribed", subscribed
        raw.stop_reading()
        return raw, sid

    async def test_conflate_sends_the_newest_of_each_key_however_long_a_client_does_not_read(self):
        """spec.md 5, decision 18, D14; 'one slow session delays no other'"""
        for ring in ("ring_bytes=262144", "ring_bytes=4194304"):
            server = self.serve("stream=events", ring, "max_message_size=100000", "compression=none")
            watcher = await self.open(server, compression=None)
            await self.ask(watcher, {"type": "subscribe", "data": {"type": "events"}})
            raw, sid = await self.blocked(server, {"delivery": {"conflate": True}})
            server.append("events", {"n": 0, "k": "rare"}, key="rare")
            await self.read(watcher)
            pad, n = "x" * 20000, 0
            while n < 1000:
                for _ in range(50):
                    n += 1
                    server.append("events", {"n": n, "k": f"k{n % 7}", "pad": pad}, key=f"k{n % 7}")
                for _ in range(50):
                    await self.read(watcher)  # who reads is not delayed by who does not
                self.conserved(server, "events")
                self.adds_up(server.get(f"/api/v1/sessions/{sid}"))
            raw.go_on_reading()
            last, delivered, told = {}, 0, None
            while len(last) < 8 or any(last[f"k{i}"] < n - 7 for i in range(7)):
                message = await raw.read()
                if message["type"] == "delivery":
                    told = message["data"]
                    continue
                self.assertEqual(message["type"], "data")
                payload = message["data"]["event"]["payload"]
                self.assertGreater(payload["n"], last.get(payload["k"], -1))
                last[payload["k"]] = payload["n"]
                delivered += 1
            self.assertEqual(last, {"rare": 0, **{f"k{m % 7}": m for m in range(n - 6, n + 1)}})
            while told is None or told["merged"] + delivered < n + 1:
                told = (await raw.read())["data"]
            self.assertEqual((told["delivered"], told["merged"], told["dropped"]), (delivered, n + 1 - delivered, 0))
            session = server.get(f"/api/v1/sessions/{sid}")
            self.assertEqual((session["merged"], session["queued"]), (n + 1 - delivered, 0))
            self.assertGreater(session["merged"], 100)
            raw.writer.close()

    async def test_drop_oldest_keeps_the_session_and_says_what_it_cost(self):
        server = self.serve("stream=events", "session_queue_bytes=200000", "compression=none")
        raw, sid = await self.blocked(server, {"delivery": {"at_bound": "drop_oldest"}})
        pad, n = "x" * 20000, 0
        while server.metric("weir_gateway_dropped_total", stream="events", reason="oldest") == 0:
            for _ in range(50):
                n += 1
                server.append("events", {"n": n, "pad": pad})
            await self.until(lambda: self.head(server, "events") == n, "the events")
            self.conserved(server, "events")
        server.append("events", {"n": n + 1})
        await self.until(lambda: self.head(server, "events") == n + 1, "the events")
        raw.go_on_reading()
        seen, told = [], None
        while not seen or seen[-1] < n + 1 or told is None or told["dropped"] + len(seen) < n + 1:
            message = await raw.read()
            if message["type"] == "delivery":
                told = message["data"]
            else:
                seen.append(n_of(message))
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual((told["delivered"], told["dropped"], told["merged"]), (len(seen), n + 1 - len(seen), 0))
        self.adds_up(server.get(f"/api/v1/sessions/{sid}"))
        self.conserved(server, "events")
        raw.writer.close()

    async def test_at_the_bound_conflate_begins_and_ends_with_it(self):
        server = self.serve("stream=events", "session_queue_bytes=200000", "compression=none")
        raw, sid = await self.blocked(server, {"delivery": {"at_bound": "conflate"}})
        pad, n = "x" * 20000, 0
        session = lambda: server.get(f"/api/v1/sessions/{sid}")
        while session()["queued"] < 60:
            for _ in range(50):
                n += 1
                server.append("events", {"n": n, "pad": pad}, key=f"k{n % 3}")
            await self.until(lambda: self.head(server, "events") == n, "the events")
        raw.go_on_reading()
        seen, told = [], None
        while told is None or told["merged"] + len(seen) < n:
            message = await raw.read()
            if message["type"] == "delivery":
                told = message["data"]
            else:
                seen.append(n_of(message))
        self.assertEqual(seen[-3:], [n - 2, n - 1, n])
        self.assertGreater(told["merged"], 0)
        for _ in range(20):  # and now everything again
            n += 1
            server.append("events", {"n": n}, key="k0")
            self.assertEqual(n_of(await raw.read()), n)
        self.assertEqual(session()["merged"], told["merged"])
        raw.writer.close()

    async def test_max_rate_sends_the_newest_and_counts_the_others(self):
        server = self.serve("stream=events")
        socket = await self.open(server)
        session = await self.session(server, socket)
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "delivery": {"max_rate": 2}}})
        await self.aside(server.push, "events", [{"data": {"n": n}} for n in range(100)])
        seen, told = [], None
        while not seen or seen[-1] < 99 or told is None or told["dropped"] + len(seen) < 100:
            message = await self.read(socket)
            if message["type"] == "delivery":
                told = message["data"]
            else:
                seen.append(n_of(message))
        self.assertEqual(seen, sorted(set(seen)))
        self.assertLess(len(seen), 10)
        self.assertEqual((told["delivered"], told["dropped"]), (len(seen), 100 - len(seen)))
        self.adds_up(await self.aside(session))
        self.assertEqual((await self.aside(session))["dropped_by_reason"], {"rate": 100 - len(seen)})
        self.conserved(server, "events")

    async def test_batches_hold_all_in_order_and_are_split_at_the_largest_message(self):
        """spec.md 5: no message sent is larger than max_message_size; batches are split"""
        for compression in (None, "deflate"):
            server = self.serve("stream=events", "max_message_size=4000")
            socket = await self.open(server, compression=compression)
            told = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "delivery": {"batch_ms": 100}}})
            self.assertEqual(told["data"]["delivery"], {"conflate": False, "max_rate": None, "batch_ms": 100, "at_bound": "disconnect"})
            await self.aside(server.push, "events", [{"data": {"n": n, "pad": "a" * 200}} for n in range(15)])
            seen, messages = [], 0
            while len(seen) < 15:
                text = await asyncio.wait_for(socket.recv(), DEADLINE)
                self.assertLessEqual(len(text), 4000)
                batch = json.loads(text)
                self.assertEqual((batch["type"], batch["subscription_id"]), ("batch", told["subscription_id"]))
                seen += [n_of(message) for message in batch["data"]]
                messages += 1
            self.assertEqual(seen, list(range(15)))
            self.assertLess(messages, 15)
            self.conserved(server, "events")

    async def test_a_policy_is_changed_while_the_subscription_runs(self):
        server = self.serve("stream=events")
        socket = await self.open(server)
        session = await self.session(server, socket)
        sid = (await self.ask(socket, {"type": "subscribe", "data": {"type": "events"}}))["subscription_id"]
        update = lambda delivery: {"type": "update", "data": {"subscription_id": sid, "delivery": delivery}}
        n = 0
        for delivery, batched in (({"batch_ms": 1}, True), ({"conflate": True}, False), ({}, False), ({"batch_ms": 5, "conflate": True, "max_rate": 1000}, True), ({"at_bound": "drop_oldest"}, False)):
            answer = await self.ask(socket, update(delivery))
            self.assertEqual((answer["type"], answer["data"]["subscription_id"]), ("updated", sid))
            for _ in range(5):
                n += 1
                await self.aside(server.append, "events", {"n": n})
                message = await self.read(socket)
                self.assertEqual(message["type"], "batch" if batched else "data")
                self.assertEqual(n_of(message["data"][0] if batched else message), n)
        self.adds_up(await self.aside(session))
        for bad in (5, {"conflate": 1}, {"max_rate": 0}, {"max_rate": "2"}, {"batch_ms": -1}, {"at_bound": "wait"}, {"conflat": True}):
            self.assertEqual((await self.ask(socket, update(bad)))["data"]["code"], "bad_delivery")
        self.assertEqual((await self.ask(socket, {"type": "update", "data": {"subscription_id": "x", "delivery": {}}}))["data"]["code"], "subscription_not_found")
        self.conserved(server, "events")


class Rooms(DeliveryCase):
    def sample(self, n, characteristic, path=None):
        return {"type": "sample", "data": {"sample_id": n, "characteristic_id": characteristic, "value": n, **({"path": path} if path else {})}}

    async def test_a_room_holds_whoever_is_in_it_later_members_included_and_nothing_comes_twice(self):
        """S3-33"""
        server = self.serve("stream=samples")
        await self.aside(server.push, "samples", [self.sample(1, 1, "plant1/line1"), self.sample(2, 2, "plant1/line2"), self.sample(3, 3, "plant10/line1")])
        socket = await self.open(server, "/ws")
        self.assertEqual(await self.ask(socket, {"type": "subscribe", "groups": ["plant1/"], "characteristic_ids": [2]}),
                         {"type": "subscribed", "characteristic_ids": [2], "groups": ["plant1"]})
        await self.aside(server.push, "samples", [self.sample(4, 1), self.sample(5, 2), self.sample(6, 3), self.sample(7, 4, "plant1/line1/cell7"), self.sample(8, 3, "plant1/line9"), self.sample(9, 3),
                                                  self.sample(10, 1, "plant2"), self.sample(11, 1), self.sample(12, 2, "plant2"), self.sample(13, 5, "plant11")])
        seen = [(await self.read(socket))["payload"]["sample_id"] for _ in range(6)]
        self.assertEqual(seen, [4, 5, 7, 8, 9, 12])  # 2 is held by its own name too
        self.assertEqual((await self.ask(socket, {"type": "unsubscribe", "groups": ["plant1"]}))["groups"], ["plant1"])
        await self.aside(server.push, "samples", [self.sample(14, 4), self.sample(15, 3), self.sample(16, 2)])
        self.assertEqual((await self.read(socket))["payload"]["sample_id"], 16)
        for bad in ("plant1", [1], [""], ["x" * 256]):
            self.assertEqual((await self.ask(socket, {"type": "subscribe", "groups": bad}))["code"], "bad_groups")
        self.conserved(server, "spc")

    async def test_the_past_of_characteristics_is_there_too(self):
        """S3-34"""
        server = self.serve("stream=samples", "stream=more")
        for n in range(60):
            server.push("samples" if n % 2 else "more", [self.sample(n, n % 3, f"p/{n % 3}")])
        socket = await self.open(server, "/ws")
        await self.ask(socket, {"type": "subscribe", "characteristic_ids": [0, 1], "since": {"samples": START, "more": START}})
        self.assertEqual([(await self.read(socket))["payload"]["sample_id"] for _ in range(40)], [n for n in range(60) if n % 3 != 2])
        last = await self.open(server, "/ws")
        await self.ask(last, {"type": "subscribe", "groups": ["p"], "last": 3})
        self.assertEqual([(await self.read(last))["payload"]["sample_id"] for _ in range(6)], [54, 55, 56, 57, 58, 59])
        self.assertEqual((await self.ask(last, {"type": "subscribe", "characteristic_ids": [9], "since": "soon"}))["code"], "bad_since")
        self.conserved(server, "spc")


    async def test_a_ring_that_ran_over_while_the_past_was_read_loses_nothing_of_streams_that_are_live(self):
        """D5, decision 18: `since` names one stream, characteristics come from several, also from one that first carries them later"""
        server = self.serve("stream=past", "stream=live", "stream=quiet", "tail_bytes=100000", "ring_bytes=70000", "max_message_size=50000", "session_queue_bytes=10000000")
        past = 400
        for n in range(past):
            await self.aside(server.append, "past", {"sample_id": n, "characteristic_id": 1, "pad": "x" * 40_000}, "sample")
        await self.aside(server.append, "live", {"sample_id": -1, "characteristic_id": 1}, "sample")
        await self.aside(server.append, "quiet", {"sample_id": -1, "characteristic_id": 1}, "reading")
        await self.until(lambda: self.head(server, "quiet") == 1 and server.metric("weir_gateway_events_total") == past + 2, "all of it handed out")
        client = await RawClient.connect(server, "/ws")
        client.say({"type": "subscribe", "characteristic_ids": [1], "since": {"past": START}})
        seen = []

        async def sample():
            message = await client.read()
            if message["type"] == "sample":
                seen.append(message["payload"]["sample_id"])

        while len(seen) < 3:
            await sample()
        client.stop_reading()
        for n in range(past, past + 300):
            await self.aside(server.append, ("live", "quiet", "new")[n % 3], {"sample_id": n, "characteristic_id": 1, "pad": "x" * 1000}, "sample")
        await self.until(lambda: server.metric("weir_gateway_events_total") == past + 302, "the new ones handed out")
        client.go_on_reading()
        while len(seen) < past + 300:
            await sample()
        self.assertEqual(seen, list(range(past + 300)))
        server.append("live", {"sample_id": past + 300, "characteristic_id": 1}, "sample")
        await sample()
        self.assertEqual(seen[-1], past + 300)
        client.writer.close()
        self.conserved(server, "spc")

    async def test_rooms_and_their_past_are_complete_right_after_a_start(self):
        """S3-31, S3-33: who comes back before weir has looked at its log again misses nothing"""
        server = Server("stream=samples")
        for begin in range(0, 6000, 1000):
            await self.aside(server.push, "samples", [self.sample(n, n % 50, f"p{n % 2}/{n % 50}") for n in range(begin, begin + 1000)])
        folder = server.folder
        await self.aside(server.stop)
        for asked, wanted in (({"groups": ["p1"]}, range(1, 6000, 2)), ({"characteristic_ids": [3]}, range(3, 6000, 50))):
            server = self.serve(folder=folder)
            socket = await self.open(server, "/ws")
            await self.say(socket, {"type": "subscribe", "since": "2020-01-01T00:00:00Z", **asked})
            await self.say(socket, {"type": "ping"})
            seen = [await self.read(socket) for _ in range(len(wanted) + 2)]
            self.assertEqual([m["type"] for m in seen if m["type"] != "sample"], ["subscribed", "pong"])
            self.assertEqual([m["payload"]["sample_id"] for m in seen if m["type"] == "sample"], list(wanted))
            self.conserved(server, "spc")
            await socket.close()
            await self.aside(server.stop)


class Publish(DeliveryCase):
    async def test_one_answer_a_message_and_a_repeat_gets_the_first_seq(self):
        """spec.md 1, decision 4"""
        server = self.serve("stream=events", "window=5min:events:/v")
        socket = await self.open(server)
        publish = lambda data, **more: {"type": "publish", "data": data, **more}
        answer = await self.ask(socket, publish({"stream": "events", "event": {"id": "a", "data": {"n": 1}}}, metadata={"request": 7}))
        self.assertEqual(answer, {"type": "published", "data": {"stream": "events", "accepted": 1, "duplicates": 0, "rejected": [], "events": [{"seq": 1, "duplicate": False}]},
                                  "metadata": {"request": 7}})
        answer = (await self.ask(socket, publish({"stream": "events", "events": [{"id": "a", "data": {}}, {"id": "b", "data": {}}, {"data": 5}]})))["data"]
        self.assertEqual((answer["accepted"], answer["duplicates"], answer["events"], answer["rejected"][0]["code"]),
                         (1, 1, [{"seq": 1, "duplicate": True}, {"seq": 2, "duplicate": False}, None], "bad_event"))
        for n in range(200):  # without waiting: in order all the same
            await self.say(socket, publish({"stream": "ordered", "event": {"data": {"n": n}}}, metadata={"n": n}))
        for n in range(200):
            answer = await self.read(socket)
            self.assertEqual((answer["metadata"]["n"], answer["data"]["events"][0]["seq"]), (n, n + 1))
        large = await self.ask(socket, publish({"stream": "large", "events": [{"data": {"pad": "x" * 200000, "n": n}} for n in range(4)]}))
        self.assertEqual([e["seq"] for e in large["data"]["events"]], [1, 2, 3, 4])
        for data, code in (({}, "stream_required"), ({"stream": "_state/x", "event": {"data": {}}}, "stream_required"), ({"stream": "events.5min", "event": {"data": {}}}, "stream_required"),
                           ({"stream": "bad name", "event": {"data": {}}}, "stream_required"), ({"stream": "events"}, "bad_event"), ({"stream": "events", "events": {}}, "bad_event"),
                           ({"stream": "events", "event": {"data": {}}, "events": []}, "bad_event")):
            answer = await self.ask(socket, publish(data, metadata="m"))
            self.assertEqual((answer["type"], answer["data"]["code"], answer["metadata"]), ("error", code, "m"), data)

    async def test_publishing_has_a_bucket_of_its_own(self):
        """decision 22"""
        server = self.serve("publish_limit_per_minute=10", "rate_limit_per_minute=3")
        socket = await self.open(server)
        message = {"type": "publish", "data": {"stream": "events", "event": {"data": {}}}}
        answers = [await self.ask(socket, message) for _ in range(15)]
        self.assertEqual([a["type"] for a in answers[:10]], ["published"] * 10)
        self.assertIn("rate_limited", [a["data"].get("code") for a in answers[10:]])
        self.assertTrue(all(a["data"]["retry_after_ms"] > 0 for a in answers if a["type"] == "error"))
        self.assertEqual((await self.ask(socket, {"type": "subscribe", "data": {"type": "events"}}))["type"], "subscribed")


class Own(DeliveryCase):
    async def test_a_notice_reaches_every_session_but_broadcasts_and_a_group_only_its_own(self):
        """S3-6, spec.md 5"""
        server = self.serve("stream=samples")
        analytics, follower, other, broadcast = [await self.open(server, path) for path in ("/", "/ws", "/ws", "/feed/samples")]
        await self.read(broadcast)
        await self.ask(follower, {"type": "subscribe", "groups": ["plant1/line2"]})
        await self.ask(other, {"type": "subscribe", "groups": ["plant2"]})
        await self.ask(analytics, {"type": "ping"})
        send = lambda notice: server.request("/api/v1/notices", json.dumps(notice).encode(), {"Content-Type": "application/json"})
        self.assertEqual((await self.aside(send, {"message": "Maintenance at noon", "level": "warning"}))[0], 200)
        message = await self.read(analytics)
        self.assertEqual((message["type"], message["data"]), ("notice", {"message": "Maintenance at noon", "level": "warning"}))
        for socket in (follower, other):
            self.assertEqual(await self.read(socket), {"type": "notice", "payload": {"message": "Maintenance at noon", "level": "warning"}})
        await self.aside(send, {"message": "line 2 stops", "group": "plant1"})
        self.assertEqual((await self.read(follower))["payload"], {"message": "line 2 stops", "level": "info", "group": "plant1"})
        for socket in (other, analytics):
            self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})
        await self.aside(server.push, "samples", {"data": {"n": 1}})
        self.assertEqual((await self.read(broadcast))["n"], 1)
        for bad in ({}, {"message": ""}, {"message": "m", "level": "loud"}, {"message": "m", "to": "all"}, {"message": "m", "group": 5}, []):
            self.assertEqual((await self.aside(send, bad))[0], 400, bad)

    async def test_weirs_own_counters_and_state_are_events(self):
        """S4-5, decision 21: a producer of metrics and system_status"""
        server = self.serve("metrics_interval_ms=50")
        socket = await self.open(server)
        for type_ in ("metrics", "system_status"):
            answer = await self.ask(socket, {"type": "subscribe", "data": {"type": type_, "last": 1}})
            while answer["type"] != "subscribed":  # what was asked for before comes in between
                answer = await self.read(socket)
            self.assertNotIn("producer", answer["data"])
        metric = status = None
        while metric is None or status is None or metric["sessions"] != 1:
            message = await self.read(socket)
            metric = message["data"].get("metric", metric)
            status = message["data"].get("status", status)
        self.assertEqual(metric["matched"], metric["delivered"] + metric["merged"] + metric["dropped"] + metric["queued"])
        self.assertEqual((status["part"], status["state"]), ("weir", "ready"))


class Cbor(DeliveryCase):
    async def test_the_same_messages_in_both_directions(self):
        """S3-32, spec.md 5: weir.cbor, read and written by a foreign library (python3-cbor2)"""
        server = self.serve("stream=events")
        ask = lambda message: self.ask_cbor(socket, message)
        for compression in (None, "deflate"):
            texts = await self.open(server, compression=compression)
            self.assertIsNone(texts.subprotocol)
            socket = await self.open(server, subprotocols=["weir.cbor", "weir.json"], compression=compression)
            self.assertEqual(socket.subprotocol, "weir.cbor")
            self.assertEqual(await ask({"type": "ping"}), {"type": "pong"})
            asked = {"type": "subscribe", "data": {"type": "events", "filters": {"x": {"gte": 1.5}}, "delivery": {}}}
            subscribed = await ask(asked)
            self.assertEqual(subscribed, await self.ask(texts, asked))
            for data in ({"x": 1.5, "big": 2**53 + 1, "text": "水 \U0001d11e", "list": [1, -1, None, True, 1e300]}, {"x": 2, "pad": "a" * 1000}):
                await self.aside(server.push, "events", {"data": data})
                binary = await asyncio.wait_for(socket.recv(), DEADLINE)
                self.assertIsInstance(binary, bytes)
                message = cbor2.loads(binary)
                self.assertEqual(message, await self.read(texts))
                self.assertEqual(message["data"]["event"]["payload"], data)
            position = {"events": {"epoch": message["metadata"]["epoch"], "seq": message["metadata"]["seq"] - 1}}
            again = await ask({"type": "subscribe", "data": {"type": "events", "since": position, "subscription_id": "again"}})
            self.assertEqual(again["type"], "subscribed")
            history = cbor2.loads(await asyncio.wait_for(socket.recv(), DEADLINE))
            self.assertEqual((history["subscription_id"], history["data"], history["metadata"]), ("again", message["data"], message["metadata"]))
            await ask({"type": "unsubscribe", "data": {"subscription_id": "again"}})
            published = await ask({"type": "publish", "data": {"stream": "events", "event": {"data": {"x": 0}}}})
            self.assertEqual(published["data"]["accepted"], 1)
            await ask({"type": "update", "data": {"subscription_id": subscribed["subscription_id"], "delivery": {"batch_ms": 1}}})
            await self.aside(server.push, "events", [{"data": {"x": 7, "n": n}} for n in range(3)])
            seen = []
            while len(seen) < 3:
                batch = cbor2.loads(await asyncio.wait_for(socket.recv(), DEADLINE))
                self.assertEqual(batch["type"], "batch")
                seen += [one["data"]["event"]["payload"]["n"] for one in batch["data"]]
            self.assertEqual(seen, [0, 1, 2])
            await socket.send(b"\xff")
            self.assertEqual(cbor2.loads(await asyncio.wait_for(socket.recv(), DEADLINE))["data"]["code"], "malformed_message")

    async def test_what_is_repeated_is_cut_between_characters(self):
        """What a client sent is said back to it at a bounded length, as UTF-8 in either encoding."""
        server = self.serve("stream=events")
        cbor = await self.open(server, subprotocols=["weir.cbor"])
        text = await self.open(server)  # its library takes no text frame that is not UTF-8
        for size in (63, 127):
            name = "x" * size + "é" * 100
            for message in ({"type": name}, {"type": "subscribe", "data": {"type": name}}, {"type": "subscribe", "data": {"type": "events", name: 1}},
                            {"type": "subscribe", "data": {"type": "events", "stream": name}}, {"type": "unsubscribe", "data": {"subscription_id": name}},
                            {"type": "subscribe", "data": {"type": "events", "since": {name: {"epoch": "0000000000000001", "seq": 1}}}},
                            {"type": "subscribe", "data": {"type": "events", "delivery": {name: 1}}}, {"type": "subscribe", "data": {"type": "events", "filters": {"a": {name: 1}}}},
                            {"type": "publish", "data": {"stream": name, "event": {}}}, {"type": "update", "data": {"subscription_id": name, "delivery": {}}}):
                told = await self.ask(text, message)
                self.assertEqual(told["type"], "error", message)
                self.assertEqual(await self.ask_cbor(cbor, message), told)
            for path in ("/ws",):
                spc = await self.open(server, path, subprotocols=["weir.cbor"])
                self.assertEqual((await self.ask_cbor(spc, {"type": name}))["type"], "error")

    async def test_an_event_as_deep_as_may_be_is_delivered(self):
        """64 levels of an event's own, and those of a frame around it; live, from history and to a group."""
        server = self.serve("stream=events")
        socket = await self.open(server, subprotocols=["weir.cbor"])
        member = await self.open(server, subprotocols=["weir.cbor"])
        subscribed = await self.ask_cbor(socket, {"type": "subscribe", "data": {"type": "events"}})
        await self.ask_cbor(member, {"type": "subscribe", "data": {"type": "events", "group": "g"}})
        levels = 62
        data = json.loads('{"a":' * levels + "1" + "}" * levels)
        await self.aside(server.push, "events", {"data": data})
        for one in (socket, member):
            self.assertEqual(cbor2.loads(await asyncio.wait_for(one.recv(), DEADLINE))["data"]["event"]["payload"], data)
        again = {"type": "subscribe", "data": {"type": "events", "subscription_id": "again", "last": 1}}
        self.assertEqual((await self.ask_cbor(socket, again))["type"], "subscribed")
        self.assertEqual(cbor2.loads(await asyncio.wait_for(socket.recv(), DEADLINE))["data"]["event"]["payload"], data)
        self.assertEqual((await self.ask_cbor(socket, {"type": "unsubscribe", "data": {"subscription_id": subscribed["subscription_id"]}}))["type"], "unsubscribed")

    async def test_a_token_that_is_resumed_in_its_own_session_changes_nothing(self):
        server = self.serve("stream=events")
        socket = await self.open(server)
        asked = {"type": "subscribe", "data": {"type": "events"}}
        sid = (await self.ask(socket, asked))["subscription_id"]
        await self.ask(socket, asked)
        for _ in range(25):  # each would double it
            token = (await self.ask(socket, {"type": "resume_token"}))["data"]["token"]
            self.assertEqual((await self.ask(socket, {"type": "resume", "data": {"token": token}}))["type"], "resumed")
        give_up = {"type": "unsubscribe", "data": {"subscription_id": sid}}
        for answer in ("unsubscribed", "unsubscribed", "error"):
            self.assertEqual((await self.ask(socket, give_up))["type"], answer)

    async def test_the_spc_dialect_too_and_broadcast_has_only_json(self):
        server = self.serve("stream=samples")
        socket = await self.open(server, "/ws", subprotocols=["weir.cbor"])
        self.assertEqual((await self.ask_cbor(socket, {"type": "subscribe", "characteristic_ids": [1]}))["type"], "subscribed")
        self.assertEqual(cbor2.loads(await socket.recv())["code"], "unknown_ids")
        await self.aside(server.push, "samples", {"type": "sample", "data": {"sample_id": 1, "characteristic_id": 1, "value": 10.5}})
        self.assertEqual(cbor2.loads(await asyncio.wait_for(socket.recv(), DEADLINE))["payload"]["value"], 10.5)
        broadcast = await self.open(server, "/feed/samples", subprotocols=["weir.cbor"])
        self.assertIsNone(broadcast.subprotocol)
        self.assertEqual((await self.read(broadcast))["type"], "welcome")

    async def ask_cbor(self, socket, message):
        await socket.send(cbor2.dumps(message))
        answer = await asyncio.wait_for(socket.recv(), DEADLINE)
        self.assertIsInstance(answer, bytes)
        return cbor2.loads(answer)


if __name__ == "__main__":
    unittest.main(verbosity=1)
