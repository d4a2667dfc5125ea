#!/usr/bin/python3
"""The gateway's three dialects and its HTTP interface, spoken to by Python's `websockets` and plain sockets.

    gateway_test.py <gateway_server> [name of a test ...]

Each test starts a server of its own. Every wait is for a message or a condition; the deadline only ends a broken test.
"""
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import websockets

SERVER = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None
DEADLINE = 60


class Server:
    def __init__(self, *options, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="weir-gateway-")
        self.process = subprocess.Popen([SERVER, self.folder, *options, *os.environ.get("WEIR_GATEWAY_OPTIONS", "").split()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        line = self.process.stdout.readline()
        assert line.startswith("port "), line
        self.port = int(line.split()[1])

    def append(self, stream, data, type="reading", key="-"):
        self.process.stdin.write(f"append {stream} {type} {key} {json.dumps(data)}\n")

    def url(self, path="/"):
        return f"ws://127.0.0.1:{self.port}{path}"

    def request(self, path, body=None, headers=None, method=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def get(self, path):
        status, _, body = self.request(path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def push(self, stream, events):
        status, _, body = self.request(f"/api/v1/streams/{stream}/events", json.dumps(events).encode(), {"Content-Type": "application/json"})
        assert status == 200, body
        return json.loads(body)

    def metric(self, name, **labels):
        text = self.request("/metrics")[2].decode()
        wanted = name + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else "") + " "
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(wanted))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE)
        self.process.stdin.close()
        self.process.stdout.close()
        return code


class Case(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # which unittest sets, and which makes a thousand sockets slow

    def serve(self, *options, folder=None):
        server = Server(*options, folder=folder)

        def end():
            if server.process.poll() is None:
                self.assertEqual(server.stop(), 0)

        self.addCleanup(end)
        return server

    async def aside(self, function, *arguments, **named):
        return await asyncio.get_running_loop().run_in_executor(None, lambda: function(*arguments, **named))

    async def open(self, server, path="/", **options):
        socket = await websockets.connect(server.url(path), **{"max_size": None, "max_queue": None, **options})
        self.addAsyncCleanup(socket.close)
        return socket

    async def read(self, socket):
        return json.loads(await asyncio.wait_for(socket.recv(), DEADLINE))

    async def say(self, socket, message):
        await socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    async def ask(self, socket, message):
        await self.say(socket, message)
        return await self.read(socket)

    async def closed(self, socket):
        try:
            while True:
                await asyncio.wait_for(socket.recv(), DEADLINE)
        except websockets.ConnectionClosed:
            return socket.close_code

    def conserved(self, server, stream):
        """D14: matched = delivered + merged + dropped + queued, at this instant."""
        text = server.request("/metrics")[2].decode()
        sums = {}
        for line in text.splitlines():
            if line.startswith("weir_gateway_") and f'stream="{stream}"' in line:
                name = line.split("{")[0]
                sums[name] = sums.get(name, 0) + float(line.rsplit(" ", 1)[1])
        parts = [sums.get(f"weir_gateway_{n}", 0) for n in ("delivered_total", "merged_total", "dropped_total", "queued")]
        self.assertEqual(sums.get("weir_gateway_matched_total", 0), sum(parts), sums)
        return sums


class Analytics(Case):
    async def test_the_messages_of_source_004(self):
        """S4-2 to S4-13, S4-23, S4-24, C-42"""
        server = self.serve("stream=events")
        for path in ("/", "/stream"):
            socket = await self.open(server, path)
            self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})
            auth = await self.ask(socket, {"type": "auth", "data": {"token": "your-auth-token"}})
            self.assertEqual(auth["type"], "auth_success")
            self.assertRegex(auth["data"]["client_id"], "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            filters = {"event_type": "user_action", "user_id": ["user123", "user456"]}
            subscribed = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "filters": filters}})
            self.assertEqual(subscribed["type"], "subscribed")
            self.assertEqual(subscribed["data"]["filters"], filters)
            sid = subscribed["data"]["subscription_id"]
            answer = await self.aside(server.push, "events", [
                {"type": "user_action", "data": {"user_id": "user789"}},
                {"type": "user_action", "id": "evt_" + path, "time": "2024-01-01T00:00:00Z", "data": {"user_id": "user456", "n": 1}},
                {"type": "other", "data": {"user_id": "user456"}}])
            data = await self.read(socket)
            self.assertEqual(data["data"], {"event": {"event_id": "evt_" + path, "event_type": "user_action", "user_id": "user456",
                                                      "timestamp": "2024-01-01T00:00:00Z", "payload": {"user_id": "user456", "n": 1}},
                                            "subscription_type": "events"})
            self.assertEqual((data["type"], data["subscription_id"]), ("data", sid))
            self.assertEqual(data["metadata"]["seq"], answer["events"][1]["seq"])
            self.assertEqual(data["metadata"]["stream"], "events")
            self.assertTrue(data["timestamp"].endswith("Z"))
            unsubscribed = await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": sid}})
            self.assertEqual((unsubscribed["type"], unsubscribed["data"]["subscription_id"]), ("unsubscribed", sid))
            await self.aside(server.push, "events", [{"type": "user_action", "data": {"user_id": "user456"}}])
            self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})

    async def test_every_mistake_is_answered_and_none_closes(self):
        """S4-23, S4-24, S4-R7, C-32; spec.md 5"""
        server = self.serve("stream=events")
        socket = await self.open(server)
        mistakes = [
            ("{", "malformed_message", "Invalid message format"), ("[]", "malformed_message", None), ({"data": {}}, "malformed_message", None),
            ({"type": 5}, "malformed_message", None), (b"\x00", "binary_message", None), ({"type": "pong"}, "unknown_message_type", "Unknown message type"),
            ({"type": "no_such"}, "unknown_message_type", "Unknown message type"), ({"type": "subscribe"}, "malformed_message", None),
            ({"type": "subscribe", "data": {}}, "unknown_subscription_type", None), ({"type": "subscribe", "data": {"type": "event"}}, "unknown_subscription_type", None),
            ({"type": "subscribe", "data": {"type": "events", "filter": {}}}, "unknown_subscription_member", None),
            ({"type": "subscribe", "data": {"type": "events", "filters": {"a": {"regex": "x"}}}}, "unknown_operator", None),
            ({"type": "subscribe", "data": {"type": "events", "filters": []}}, "bad_filter", None),
            ({"type": "subscribe", "data": {"type": "events", "stream": "none"}}, "unknown_stream", None),
            ({"type": "subscribe", "data": {"type": "events", "stream": "_state/x"}}, "unknown_stream", None),
            ({"type": "subscribe", "data": {"type": "alerts", "stream": "events"}}, "unknown_stream", None),
            ({"type": "subscribe", "data": {"type": "events", "since": 5}}, "bad_since", None),
            ({"type": "subscribe", "data": {"type": "events", "since": {"other": {"epoch": "1", "seq": 1}}}}, "bad_since", None),
            ({"type": "subscribe", "data": {"type": "events", "subscription_id": "sub_mine"}}, "bad_subscription_id", None),
            ({"type": "subscribe", "data": {"type": "events", "subscription_id": ""}}, "bad_subscription_id", None),
            ({"type": "unsubscribe", "data": {}}, "subscription_id_required", "subscription_id required"),
            ({"type": "unsubscribe", "data": {"subscription_id": "sub_0"}}, "subscription_not_found", "Subscription not found")]
        for message, code, text in mistakes:
            answer = await self.ask(socket, message)
            self.assertEqual((answer["type"], answer["data"]["code"]), ("error", code), message)
            if text:
                self.assertEqual(answer["data"]["error"], text)
        self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})

    async def test_own_ids_are_echoed_and_kept_apart(self):
        """C-33, decision 17"""
        server = self.serve("stream=events")
        socket = await self.open(server)
        first = await self.ask(socket, {"type": "subscribe", "subscription_id": "mine", "data": {"type": "events"}})
        second = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "subscription_id": "mine too"}})
        self.assertEqual((first["subscription_id"], second["subscription_id"]), ("mine", "mine too"))
        other = await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "filters": {"a": 1}, "subscription_id": "mine"}})
        self.assertEqual(other["data"]["code"], "subscription_exists")
        self.assertEqual(other["subscription_id"], "mine")
        await self.aside(server.push, "events", {"data": {"a": 1}})
        self.assertEqual({(await self.read(socket))["subscription_id"] for _ in range(2)}, {"mine", "mine too"})
        # The longest one is found as it is, and one that only begins like it is another.
        longest = "m" * 128
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "subscription_id": longest}})
        for beyond in ({"type": "unsubscribe", "data": {"subscription_id": longest + "m"}}, {"type": "update", "data": {"subscription_id": longest + "m", "delivery": {}}}):
            self.assertEqual((await self.ask(socket, beyond))["data"]["code"], "subscription_not_found")
        self.assertEqual((await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": longest}}))["type"], "unsubscribed")
        await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": "mine"}})
        await self.aside(server.push, "events", {"data": {"a": 2}})
        self.assertEqual((await self.read(socket))["subscription_id"], "mine too")

    async def test_the_same_subscription_twice_is_delivered_once_and_ended_twice(self):
        """decision 17"""
        server = self.serve("stream=events")
        socket = await self.open(server)
        ids = {(await self.ask(socket, {"type": "subscribe", "data": d}))["subscription_id"]
               for d in ({"type": "events", "filters": {"a": [1]}}, {"type": "events", "filters": {"and": [{"a": 1.0}]}})}
        self.assertEqual(len(ids), 1)
        (sid,) = ids
        await self.aside(server.push, "events", {"data": {"a": 1, "n": 1}})
        self.assertEqual((await self.read(socket))["data"]["event"]["payload"]["n"], 1)
        for _ in range(2):
            answer = await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": sid}})
            self.assertEqual(answer["type"], "unsubscribed")
            if _ == 0:
                await self.aside(server.push, "events", {"data": {"a": 1, "n": 2}})
                self.assertEqual((await self.read(socket))["data"]["event"]["payload"]["n"], 2)
        self.assertEqual((await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": sid}}))["type"], "error")

    async def test_six_types_and_streams_that_appear_later(self):
        """S4-5, S4-R2, decision 21"""
        server = self.serve("aggregations=windows")
        socket = await self.open(server)
        for type_ in ("events", "metrics", "alerts", "predictions", "aggregations", "system_status"):
            answer = await self.ask(socket, {"type": "subscribe", "data": {"type": type_}})
            self.assertEqual(answer["type"], "subscribed")
            self.assertEqual(answer["data"].get("producer"), None if type_ == "aggregations" else "none", type_)
        for stream, type_, member in (("later", "events", "event"), ("windows", "aggregations", "aggregation"), ("alerts", "alerts", "alert"),
                                      ("predictions", "predictions", "prediction"), ("metrics", "metrics", "metric"), ("system_status", "system_status", "status")):
            await self.aside(server.append, stream, {"n": 0})
            data = (await self.read(socket))["data"]
            self.assertEqual(data["subscription_type"], type_)
            self.assertEqual(data[member] if member != "event" else data["event"]["payload"], {"n": 0})

    async def test_the_rate_limit_is_an_error_with_a_hint_and_pings_are_free(self):
        """S4-17, S4-19, C-34, decision 22"""
        server = self.serve("stream=events", "rate_limit_per_minute=60")
        socket = await self.open(server)
        for _ in range(200):
            self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})
        answers = [await self.ask(socket, {"type": "unsubscribe", "data": {"subscription_id": "x"}}) for _ in range(70)]
        limited = [a for a in answers if a["data"]["error"] == "Rate limit exceeded"]
        self.assertGreaterEqual(len(limited), 5)
        self.assertLessEqual(len(limited), 10)
        self.assertTrue(all(0 < a["data"]["retry_after_ms"] <= 1100 for a in limited))
        self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})


class Since(Case):
    async def test_history_then_live_without_gap_or_duplicate(self):
        """D5, decision 19: from every position, while events keep coming"""
        server = self.serve("stream=events", "tail_bytes=20000")
        for n in range(1, 301):
            server.append("events", {"n": n})
        await self.settled(server, "events", 300)
        epoch = server.get("/api/v1/streams/events")["epoch"]
        sockets = []
        done = asyncio.Event()

        async def writer():
            n = 300
            while not done.is_set() or n < 600:
                n += 1
                await self.aside(server.append, "events", {"n": n})
            return n

        task = asyncio.create_task(writer())
        for start in (0, 1, 17, 150, 299, 300):
            socket = await self.open(server)
            await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": {"events": {"epoch": epoch, "seq": start}}}})
            sockets.append((start, socket))
        for start, socket in sockets:
            for n in range(start + 1, 501):
                message = await self.read(socket)
                self.assertEqual((message["metadata"]["seq"], message["data"]["event"]["payload"]["n"]), (n, n), start)
        done.set()
        last = await task
        for start, socket in sockets:
            for n in range(501, last + 1):
                self.assertEqual((await self.read(socket))["metadata"]["seq"], n)
        self.conserved(server, "events")

    async def test_small_rings_neither_cut_off_who_keeps_up_nor_tear_history_from_live(self):
        """decision 18: a ring that overran a session's past sends it back to the log"""
        server = self.serve("stream=events", "tail_bytes=100000", "ring_bytes=70000", "max_message_size=50000", "session_queue_bytes=10000000")
        live = await self.open(server, "/feed/events")
        await self.read(live)
        task = asyncio.create_task(self.aside(lambda: [server.append("events", {"n": n, "pad": "x" * 1000}) for n in range(1, 4001)]))
        past = []
        for _ in range(5):
            socket = await self.open(server)
            await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": {"events": {"epoch": "0", "seq": 0}}}})
            past.append(socket)
        for n in range(1, 4001):
            self.assertEqual((await self.read(live))["n"], n)
            for socket in past:
                message = await self.read(socket)
                self.assertEqual((message["metadata"]["seq"], message["data"]["event"]["payload"]["n"]), (n, n))
        await task
        self.conserved(server, "events")

    async def settled(self, server, stream, head):
        for _ in range(DEADLINE * 50):
            if server.request(f"/api/v1/streams/{stream}")[0] == 200 and server.get(f"/api/v1/streams/{stream}")["head_seq"] >= head:
                return
            await asyncio.sleep(0.02)
        self.fail("the log did not take the events")

    async def test_last_n_counts_what_matches_and_a_time_is_a_position(self):
        server = self.serve("stream=events")
        for n in range(100):
            server.append("events", {"n": n}, key="even" if n % 2 == 0 else "odd")
        await self.settled(server, "events", 100)
        socket = await self.open(server)
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "filters": {"metadata.key": "odd"}, "since": {"last": 5}}})
        self.assertEqual([(await self.read(socket))["data"]["event"]["payload"]["n"] for _ in range(5)], [91, 93, 95, 97, 99])
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "last": 2, "subscription_id": "b"}})
        self.assertEqual([(await self.read(socket))["data"]["event"]["payload"]["n"] for _ in range(2)], [98, 99])
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": "2020-01-01T00:00:00Z", "subscription_id": "c"}})
        self.assertEqual([(await self.read(socket))["data"]["event"]["payload"]["n"] for _ in range(100)], list(range(100)))
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": "2999-01-01T00:00:00Z", "subscription_id": "d", "filters": {"n": 1000}}})
        await self.aside(server.append, "events", {"n": 1000})
        self.assertEqual({(await self.read(socket))["subscription_id"] for _ in range(3)}, {"b", "c", "d"})

    async def test_a_position_of_another_log_or_of_the_future_is_a_gap_that_is_told(self):
        """D5, decision 5"""
        server = self.serve("stream=events")
        for n in range(3):
            server.append("events", {"n": n})
        await self.settled(server, "events", 3)
        epoch = server.get("/api/v1/streams/events")["epoch"]
        socket = await self.open(server)
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": {"events": {"epoch": "00000000000000ab", "seq": 2}}, "subscription_id": "old"}})
        gap = await self.read(socket)
        self.assertEqual((gap["type"], gap["subscription_id"], gap["data"]["reason"], gap["data"]["stream"]), ("gap", "old", "unknown_epoch", "events"))
        self.assertEqual([(await self.read(socket))["metadata"]["seq"] for _ in range(3)], [1, 2, 3])
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": {"events": {"epoch": epoch, "seq": 99}}, "subscription_id": "ahead"}})
        self.assertEqual((await self.read(socket))["data"]["reason"], "future_position")

    async def test_a_position_holds_after_a_restart(self):
        server = self.serve("stream=events")
        for n in range(5):
            server.append("events", {"n": n})
        await self.settled(server, "events", 5)
        epoch = server.get("/api/v1/streams/events")["epoch"]
        self.assertEqual(server.stop(), 0)
        again = self.serve("stream=events", folder=server.folder)
        socket = await self.open(again)
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events", "since": {"events": {"epoch": epoch, "seq": 2}}}})
        self.assertEqual([(await self.read(socket))["metadata"]["seq"] for _ in range(3)], [3, 4, 5])


class Broadcast(Case):
    async def test_a_welcome_then_every_event_and_nothing_else(self):
        """S2-2, S2-4, S2-R1, C-24, decision 15"""
        server = self.serve("stream=users", "root=broadcast:users")
        await self.aside(server.push, "users", {"data": {"name": {"first": "Ana"}}})
        sockets = [await self.open(server, path) for path in ("/", "/feed/users")]
        for socket in sockets:
            self.assertEqual(await self.read(socket), {"type": "welcome", "message": "Connected to real-time user stream", "total_users_streamed": 1,
                                                       "stream_rate": "1 user/second"})
            await self.say(socket, {"type": "ping"})
            await self.say(socket, "anything")
        for n in range(2, 30):
            await self.aside(server.push, "users", {"data": {"name": {"first": "B"}, "n": n}})
        for socket in sockets:
            for n in range(2, 30):
                record = await self.read(socket)
                self.assertTrue(record.pop("server_timestamp").endswith("Z"))
                self.assertEqual(record, {"name": {"first": "B"}, "n": n, "stream_sequence": n})
        with self.assertRaises(websockets.InvalidStatusCode) as refused:
            await self.open(server, "/feed/none")
        self.assertEqual(refused.exception.status_code, 404)

    async def test_one_encoding_for_one_and_for_a_thousand(self):
        """performance.md 2: weir_gateway_encodes_total rises by one an event"""
        server = self.serve("stream=users", "max_connections=1100")
        grown = []
        for count in (1, 999):
            sockets = await asyncio.gather(*[self.open(server, "/feed/users", ping_interval=None, compression=None) for _ in range(count)])
            for socket in sockets:
                await self.read(socket)
            before = server.metric("weir_gateway_encodes_total")
            for n in range(10):
                await self.aside(server.append, "users", {"n": n})
            for socket in sockets:
                for n in range(10):
                    self.assertEqual((await self.read(socket))["n"], n)
            grown.append(server.metric("weir_gateway_encodes_total") - before)
        if "reactors" not in os.environ.get("WEIR_GATEWAY_OPTIONS", ""):  # else once for each that has subscribers
            self.assertEqual(grown, [10, 10])
        sums = self.conserved(server, "users")
        self.assertEqual(sums["weir_gateway_matched_total"], 10 + 10 * 1000)


class Spc(Case):
    SAMPLE = {"sample_id": 123, "characteristic_id": 1, "timestamp": "2026-02-02T12:00:00Z", "value": 10.5, "zone": "zone_c_upper", "in_control": True}
    VIOLATION = {"violation_id": 456, "characteristic_id": 1, "sample_id": 123, "rule_id": 1, "rule_name": "One point beyond 3 sigma", "severity": "CRITICAL"}
    ACK = {"violation_id": 456, "characteristic_id": 1, "acknowledged": True, "ack_user": "operator1", "ack_reason": "Process adjusted"}

    async def test_the_messages_of_source_003(self):
        """S3-1 to S3-5, S3-9, S3-12 to S3-19, C-25, C-27"""
        server = self.serve("stream=spc")
        socket, other = await self.open(server, "/ws"), await self.open(server, "/ws")
        for s in (socket, other):
            self.assertEqual(await self.ask(s, {"type": "ping"}), {"type": "pong"})
        self.assertEqual(await self.ask(socket, {"type": "subscribe", "characteristic_ids": [1, 2, 3]}), {"type": "subscribed", "characteristic_ids": [1, 2, 3]})
        error = await self.read(socket)  # nothing is known of them yet: they are told of, and deliver all the same
        self.assertEqual((error["type"], error["code"], error["characteristic_ids"]), ("error", "unknown_ids", [1, 2, 3]))
        await self.ask(other, {"type": "subscribe", "characteristic_ids": [2]})
        await self.read(other)
        for type_, payload in (("sample", self.SAMPLE), ("violation", self.VIOLATION), ("ack_update", self.ACK)):
            await self.aside(server.append, "spc", payload, type=type_)
            message = await self.read(socket)
            self.assertEqual((message["type"], message["payload"]), (type_, payload))
        self.assertEqual(await self.ask(socket, {"type": "subscribe", "characteristic_ids": [1]}), {"type": "subscribed", "characteristic_ids": [1]})
        self.assertEqual(await self.ask(socket, {"type": "unsubscribe", "characteristic_ids": [1]}), {"type": "unsubscribed", "characteristic_ids": [1]})
        await self.aside(server.append, "spc", self.SAMPLE, type="sample")
        await self.aside(server.append, "spc", {**self.SAMPLE, "characteristic_id": 2, "limits": {"ucl": 12}}, type="sample")
        for s in (socket, other):
            message = await self.read(s)
            self.assertEqual(message["payload"]["characteristic_id"], 2)
            self.assertEqual(message["details"], {"limits": {"ucl": 12}})

    async def test_mistakes_are_answered_at_the_top_level_and_close_nothing(self):
        """S3-20, S3-R2, S3-R3"""
        server = self.serve("stream=spc")
        socket = await self.open(server, "/ws")
        for message, code in (("{", "malformed_message"), ("5", "malformed_message"), ({}, "malformed_message"), ({"type": "nope"}, "unknown_message_type"),
                              ({"type": "subscribe"}, "ids_required"), ({"type": "subscribe", "characteristic_ids": 1}, "bad_ids"),
                              ({"type": "subscribe", "characteristic_ids": ["1"]}, "bad_ids"), ({"type": "subscribe", "characteristic_ids": [2**53]}, "bad_ids"),
                              ({"type": "unsubscribe", "characteristic_ids": [-1]}, "bad_ids")):
            answer = await self.ask(socket, message)
            self.assertEqual((answer["type"], answer["code"]), ("error", code), message)
            self.assertIn("message", answer)
            self.assertNotIn("payload", answer)
        self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})

    async def test_a_client_that_only_answers_pings_is_stale_and_really_closed(self):
        """S3-10, S3-11, S3-R4, C-26, decision 22"""
        server = self.serve("spc_timeout_ms=600")
        stale, alive = await self.open(server, "/ws"), await self.open(server, "/ws")
        closing = asyncio.create_task(self.closed(stale))
        while not closing.done():
            self.assertEqual(await self.ask(alive, {"type": "ping"}), {"type": "pong"})
            await asyncio.wait([closing], timeout=0.2)
        self.assertEqual(await closing, 1008)
        self.assertEqual(await self.ask(alive, {"type": "ping"}), {"type": "pong"})


class Limits(Case):
    async def test_at_capacity_the_next_one_is_told_1013_and_a_place_that_is_freed_is_given_again(self):
        """S4-14, S4-22, C-46"""
        server = self.serve("max_connections=3")
        sockets = [await self.open(server) for _ in range(3)]
        self.assertEqual(await self.closed(await self.open(server)), 1013)
        await sockets[0].close()
        for _ in range(DEADLINE * 50):
            socket = await self.open(server)
            try:
                self.assertEqual(await self.ask(socket, {"type": "ping"}), {"type": "pong"})
                break
            except websockets.ConnectionClosed:
                await asyncio.sleep(0.02)
        else:
            self.fail("the place was not given again")

    async def test_origins(self):
        """S4-21, S4-25, C-36, decision 16"""
        server = self.serve()
        self.assertEqual(await self.closed(await self.open(server, origin="http://evil.example")), 1008)
        own = await self.open(server, origin=f"http://127.0.0.1:{server.port}")
        self.assertEqual(await self.ask(own, {"type": "ping"}), {"type": "pong"})
        self.assertEqual(server.request("/api/v1/streams", headers={"Origin": "http://evil.example"})[0], 403)
        self.assertEqual(server.request("/api/v1/streams", headers={"Host": "evil.example"})[0], 421)
        self.assertEqual(server.request("/api/v1/streams", headers={"Host": "localhost"})[0], 200)

    async def test_too_large_a_message_closes_with_1009(self):
        """S4-15"""
        server = self.serve("max_message_size=10000")
        socket = await self.open(server, compression=None)
        await self.say(socket, "x" * 10001)
        self.assertEqual(await self.closed(socket), 1009)

    async def test_a_slow_reader_is_closed_with_1013_alone_and_everything_is_accounted_for(self):
        """S2-12, S2-R6, S3-7, C-22, D14"""
        server = self.serve("stream=events", "session_queue_bytes=200000", "compression=none")
        fast = await self.open(server, "/feed/events", compression=None)
        await self.read(fast)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
        writer.write(b"GET /feed/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        n = 0
        while server.metric("weir_gateway_dropped_total", stream="events", reason="slow") == 0:
            for _ in range(50):
                n += 1
                await self.aside(server.append, "events", {"n": n, "pad": "x" * 20000})
            for _ in range(50):
                await self.read(fast)
            self.conserved(server, "events")
            self.assertLess(n, 100000)
        writer.close()
        await self.aside(server.append, "events", {"n": n + 1})
        self.assertEqual((await self.read(fast))["n"], n + 1)
        self.conserved(server, "events")

    async def test_shutdown_says_1001_to_all_within_the_deadline(self):
        """spec.md 5: drains"""
        server = self.serve("stream=events", "drain_timeout_ms=3000")
        sockets = [await self.open(server, path) for path in ("/", "/ws", "/feed/events")]
        await self.read(sockets[2])
        stopping = asyncio.create_task(self.aside(server.stop))
        closed = asyncio.gather(*[self.closed(socket) for socket in sockets])
        self.assertEqual(await closed, [1001, 1001, 1001])
        self.assertEqual(await stopping, 0)


class Http(Case):
    async def test_pages_of_events(self):
        server = self.serve("stream=pools")
        self.assertEqual(server.get("/api/v1/streams/pools/events")["events"], [])
        server.push("pools", [{"key": "AB"[n % 2], "data": {"n": n}} for n in range(25)])
        seqs = lambda page: [e["seq"] for e in page["events"]]
        page = server.get("/api/v1/streams/pools/events?after=0&limit=10")
        self.assertEqual((seqs(page), page["next"], page["gap"]), (list(range(1, 11)), 10, None))
        page = server.get(f"/api/v1/streams/pools/events?after={page['next']}&limit=100")
        self.assertEqual((seqs(page), page["next"]), (list(range(11, 26)), None))
        page = server.get("/api/v1/streams/pools/events?limit=5")
        self.assertEqual((seqs(page), page["next"]), (list(range(21, 26)), 21))
        page = server.get("/api/v1/streams/pools/events?before=21&limit=30")
        self.assertEqual((seqs(page), page["next"]), (list(range(1, 21)), None))
        self.assertEqual(seqs(server.get("/api/v1/streams/pools/events?key=B&limit=3")), [20, 22, 24])
        self.assertEqual(seqs(server.get("/api/v1/streams/pools/events?key=A&after=5&limit=2")), [7, 9])
        self.assertEqual(seqs(server.get("/api/v1/streams/pools/events?from=2000-01-01T00:00:00Z&key=A&limit=100")), list(range(1, 26, 2)))
        lines = server.request("/api/v1/streams/pools/events?after=0&limit=1000000&format=ndjson")[2].decode().splitlines()
        self.assertEqual([json.loads(line)["seq"] for line in lines], list(range(1, 26)))
        lines = server.request("/api/v1/streams/pools/events?limit=3&format=ndjson")[2].decode().splitlines()
        self.assertEqual([json.loads(line)["seq"] for line in lines], [23, 24, 25])
        for query in ("limit=0", "limit=10001", "after=x", f"after={2**64 - 1}", f"after={2**63}", f"before={2**64}", "from=yesterday", "after=1&before=2", "format=xml"):
            status, _, body = server.request("/api/v1/streams/pools/events?" + query)
            self.assertEqual((status, json.loads(body)["error"]["code"]), (400, "bad_request"), query)
        status, _, body = server.request("/api/v1/streams/none/events")
        self.assertEqual((status, json.loads(body)["error"]["code"]), (404, "unknown_stream"))

    async def test_a_long_answer_is_streamed_at_the_clients_speed(self):
        server = self.serve("stream=pools", "tail_bytes=1000000")
        pad = "x" * 4000
        for n in range(30):
            server.push("pools", [{"data": {"n": n * 100 + i, "pad": pad}} for i in range(100)])
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=65536)
        writer.write(b"GET /api/v1/streams/pools/events?after=0&limit=3000&format=ndjson HTTP/1.0\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        n = 0
        while line := await asyncio.wait_for(reader.readline(), DEADLINE):
            self.assertEqual(json.loads(line)["data"]["n"], n)
            n += 1
            if n == 10:
                self.assertEqual(server.request("/healthz")[0], 200)  # the reactor does not wait for this client
        self.assertEqual(n, 3000)
        writer.close()

    async def test_push(self):
        server = self.serve()
        answer = server.push("new/stream", [{"id": "a", "data": {"x": 1}}, {"id": "b", "data": {}}, {"id": "a", "data": {"x": 2}}])
        self.assertEqual(answer["events"], [{"seq": 1, "duplicate": False}, {"seq": 2, "duplicate": False}, {"seq": 1, "duplicate": True}])
        self.assertEqual((answer["accepted"], answer["duplicates"]), (2, 1))
        answer = server.push("new/stream", [{"id": "b", "data": {}}, {"id": "c", "data": {}}, {"data": 5}, {"data": {}, "tpye": "x"}, {"data": {}, "time": "noon"}])
        self.assertEqual(answer["events"], [{"seq": 2, "duplicate": True}, {"seq": 3, "duplicate": False}, None, None, None])
        self.assertEqual([(r["index"], r["code"]) for r in answer["rejected"]], [(2, "bad_event"), (3, "bad_event"), (4, "bad_event")])
        body = b'{"data":{"n":1}}\n\n{bad\n{"data":{"n":2},"time":"1970-01-01T00:00:00Z","key":"k","type":"t"}\r\n'
        status, _, answer = server.request("/api/v1/streams/lines/events", body, {"Content-Type": "application/x-ndjson"})
        self.assertEqual(status, 200)
        self.assertEqual((json.loads(answer)["accepted"], [r["index"] for r in json.loads(answer)["rejected"]]), (2, [1]))
        event = server.get("/api/v1/streams/lines/events")["events"][1]
        self.assertEqual((event["time"], event["key"], event["type"], event["source"], event["data"]), ("1970-01-01T00:00:00.000Z", "k", "t", "push", {"n": 2}))
        self.assertEqual(server.get("/api/v1/streams/new%2Fstream")["head_seq"], 3)
        for path, body, type_, status in (("/api/v1/streams/bad%20name/events", b"{}", "application/json", 404), ("/api/v1/streams/_state/events", b"{}", "application/json", 404),
                                          ("/api/v1/streams/s/events", b"{", "application/json", 400), ("/api/v1/streams/s/events", b"{}", "text/plain", 415),
                                          ("/api/v1/streams/s/events", b'{"data":1}', "application/json", 400)):
            self.assertEqual(server.request(path, body, {"Content-Type": type_})[0], status, (path, body))
        large = server.push("large", [{"data": {"pad": "x" * 200000, "n": n}} for n in range(4)])  # more than one commit holds
        self.assertEqual([e["seq"] for e in large["events"]], [1, 2, 3, 4])
        self.assertEqual(server.request("/api/v1/streams/s/events", b" " * (1 << 20) + b"{}", {"Content-Type": "application/json"})[0], 413)

    async def test_the_page_and_its_files(self):
        server = self.serve()
        status, headers, body = server.request("/", headers={"Accept-Encoding": "identity"})
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertEqual(headers["Cache-Control"], "no-cache")
        self.assertEqual(server.request("/", headers={"If-None-Match": headers["ETag"]})[0], 304)
        status, headers, body = server.request("/assets/weir.js", headers={"Accept-Encoding": "gzip"})
        self.assertEqual((status, headers["Content-Encoding"]), (200, "gzip"))
        self.assertEqual(body[:2], b"\x1f\x8b")
        self.assertEqual(server.request("/assets/../index.html")[0], 404)
        self.assertEqual(server.request("/none")[0], 404)
        status, headers, _ = server.request("/", b"x", method="POST")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))

    async def test_server_sent_events_go_on_behind_the_last_id(self):
        server = self.serve("stream=pools")
        server.push("pools", [{"data": {"n": n}} for n in range(3)])
        epoch = server.get("/api/v1/streams/pools")["epoch"]

        async def events(count, last=None):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            extra = f"Last-Event-ID: {last}\r\n" if last else ""
            writer.write(f"GET /events?stream=pools HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            self.assertIn(b"text/event-stream", head)
            seen = []
            last_id = None
            while len(seen) < count:
                line = (await asyncio.wait_for(reader.readline(), DEADLINE)).decode().strip()
                if line == "retry: 1000" and not last:
                    await self.aside(server.push, "pools", [{"data": {"n": n}} for n in range(10, 13)])
                if line.startswith("id: "):
                    last_id = line[4:]
                if line.startswith("data: "):
                    seen.append(json.loads(line[6:])["data"]["n"])
            writer.close()
            return seen, last_id

        self.assertEqual(await events(3, f"{epoch}:0"), ([0, 1, 2], f"{epoch}:3"))
        seen, last = await events(2)
        self.assertEqual((seen, last), ([10, 11], f"{epoch}:5"))
        self.assertEqual((await events(1, last))[0], [12])
        self.assertEqual(server.request("/events?stream=pools", headers={"Last-Event-ID": "x"})[0], 400)
        self.assertEqual(server.request("/events?stream=pools", headers={"Last-Event-ID": f"7:{2**64 - 1}"})[0], 400)  # what comes behind it is not number 0
        self.assertEqual(server.request("/events")[0], 400)

    async def test_series_and_window_results(self):
        server = self.serve("stream=pools", "window=5min:pools:/currentfill")
        minute = lambda n: f"2026-02-17T{10 + n // 60:02}:{n % 60:02}:00Z"
        server.push("pools", [{"key": "A", "time": minute(n), "data": {"currentfill": n}} for n in range(60)])
        window = lambda n, revision, avg: {"window": {"name": "5min", "start": minute(n)}, "key": "A", "revision": revision,
                                           "statistics": {"count": 5, "min": n, "avg": avg, "max": n + 4}, "coverage": {"ratio": 1.0, "gaps": [
                                               {"from": minute(n), "to": minute(n + 5), "cause": "upstream_silent"}] if n in (10, 15) else []}}
        for n in range(0, 30, 5):
            body = window(n, 0, n + 2)
            line = json.dumps(body)
            self.assertEqual(server.request("/api/v1/streams/pools.5min/events", line.encode(), {"Content-Type": "application/json"})[0], 403)
        answer = server.get("/api/v1/series?stream=pools&key=A&field=/currentfill&from=2026-02-17T10:00:00Z&to=2026-02-17T11:00:00Z&points=100")
        self.assertEqual((answer["source"], answer["resolution_ms"], len(answer["points"]), answer["head_seq"]), ("raw", None, 60, 60))
        self.assertEqual(answer["points"][7][1:], [7, 7, 7, None])
        answer = server.get("/api/v1/series?stream=pools&key=A&field=/currentfill&from=2026-02-17T10:00:00Z&to=2026-02-17T11:00:00Z&points=12")
        self.assertEqual((answer["source"], answer["resolution_ms"], len(answer["points"])), ("5min", 300000, 12))
        self.assertEqual(answer["points"][1][1:], [5, 7, 9, None])  # no window is closed: the readings themselves, rolled up
        self.assertEqual(server.get("/api/v1/windows/5min?key=A")["results"], [])
        self.assertEqual(server.get("/api/v1/windows")["windows"][0]["field"], "/currentfill")
        self.assertEqual(server.request("/api/v1/windows/none")[0], 404)
        for query in ("", "stream=pools", "stream=pools&field=x", "stream=pools&field=/a&points=0", "stream=pools&field=/a&from=2030-01-01T00:00:00Z&to=2020-01-01T00:00:00Z"):
            self.assertEqual(server.request("/api/v1/series?" + query)[0], 400, query)

    async def test_what_operators_ask(self):
        server = self.serve("stream=pools")
        self.assertEqual(server.request("/healthz")[0], 200)
        self.assertEqual(server.request("/readyz")[0], 200)
        stats = server.get("/stats")
        for member in ("is_running", "active_clients", "total_connections", "total_subscriptions", "messages_sent", "messages_received", "config"):
            self.assertIn(member, stats)
        socket = await self.open(server)
        sid = (await self.ask(socket, {"type": "auth", "data": {}}))["data"]["client_id"]
        await self.ask(socket, {"type": "subscribe", "data": {"type": "events"}})
        await self.aside(server.push, "pools", [{"data": {}}] * 3)
        for _ in range(3):
            await self.read(socket)
        session = await self.aside(server.get, f"/api/v1/sessions/{sid}")
        self.assertEqual((session["matched"], session["delivered"], session["queued"], session["dropped"]), (3, 3, 0, 0))
        self.assertEqual(server.get("/api/v1/feeds")["feeds"], [{"name": "pools", "stream": "pools", "state": "live"}])
        self.assertIn("gateway", server.get("/api/v1/status"))
        self.assertEqual(server.request("/api/v1/none")[0], 404)


if __name__ == "__main__":
    if SERVER is None:
        sys.exit("usage: gateway_test.py <gateway_server> [test ...]")
    unittest.main(verbosity=1)
