"""The gateway of a whole `weir serve`: what it says of itself, and good clients beside hostile ones."""
import asyncio
import contextlib
import http.client
import json
import pathlib
import random
import re
import zlib

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from conftest import BINARY, DEADLINE, until
from test_auth import BASE, ask, connect, tokens


def test_weir_says_of_itself_what_it_does(weir):
    """S4-1, S4-5, S4-R2, decisions.md 21: `metrics` and `system_status` have a producer in a plain `serve`; counters come every 5 s, and are kept for a day unless the configuration says else."""
    w = weir(BASE)

    async def go():
        async with connect(w) as ws:
            for kind in ("metrics", "system_status"):
                subscribed = await ask(ws, {"type": "subscribe", "data": {"type": kind, "subscription_id": kind, "last": 1}})
                assert subscribed["type"] == "subscribed" and "producer" not in subscribed["data"]
            told = {}
            while len(told) < 2 or told["metrics"]["metric"]["sessions"] == 0:
                message = json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))
                assert message["type"] == "data"
                told[message["subscription_id"]] = message["data"]
            metric = told["metrics"]["metric"]
            assert metric["sessions"] == 1 and metric["subscriptions"] == 2 and metric["sessions_opened"] >= 1
            status = told["system_status"]["status"]
            assert status["part"] == "weir" and status["state"] == "ready"

    asyncio.run(go())


def frame(opcode, payload, rsv1=False, length=None):
    """A masked frame whose header may lie about its length."""
    size = len(payload) if length is None else length
    first = bytes([0x80 | (0x40 if rsv1 else 0) | opcode])
    head = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")
    return first + head + bytes(4) + payload  # a mask of zeros leaves it as it is


async def raw_socket(w, extensions="", path="/"):
    """A WebSocket without a library, so that it can misbehave."""
    reader, writer = await asyncio.open_connection("127.0.0.1", w.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)
    assert head.startswith(b"HTTP/1.1 101"), head
    return reader, writer, head


async def close_frame(reader):
    """Reads frames of a server until it closes; its code."""
    while True:
        first, second = await asyncio.wait_for(reader.readexactly(2), DEADLINE)
        size = second & 0x7f
        if size > 125:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        payload = await asyncio.wait_for(reader.readexactly(size), DEADLINE)
        if first & 0x0f == 8:
            return int.from_bytes(payload[:2], "big")


async def slowloris(w):
    """A request that never ends, a byte at a time: cut off at handshake_timeout, however busy it looks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", w.port)
    text = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 100_000
    with contextlib.suppress(ConnectionError):
        for i in range(len(text)):
            writer.write(text[i:i + 1])
            await writer.drain()
            with contextlib.suppress(asyncio.TimeoutError):
                if await asyncio.wait_for(reader.read(4096), 0.25) == b"":
                    break
    writer.close()
    return i


async def huge_header(w):
    reader, writer, _ = await raw_socket(w)
    writer.write(frame(1, b"x" * 1000, length=1 << 30))
    assert await close_frame(reader) == 1009
    writer.close()


def packed_zeros(size):
    packed = zlib.compressobj(wbits=-15)
    return packed.compress(bytes(size)) + packed.flush(zlib.Z_SYNC_FLUSH)


async def bomb(w, text):
    """What unpacks to a thousand times its size, in one message and in fragments."""
    for pieces in (1, 20):
        reader, writer, head = await raw_socket(w, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
        assert b"permessage-deflate" in head
        step = len(text) // pieces + 1
        parts = [text[at:at + step] for at in range(0, len(text), step)]
        for n, part in enumerate(parts):
            made = bytearray(frame(1 if n == 0 else 0, part, rsv1=n == 0))
            if n + 1 < len(parts):
                made[0] &= 0x7f
            writer.write(bytes(made))
        assert await close_frame(reader) == 1009
        writer.close()


async def garbage(w, seed):
    """Bytes of no protocol; a thousand requests at once whose answers nobody reads; frames that are none."""
    chance = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", w.port)
    with contextlib.suppress(ConnectionError):
        writer.write(chance.randbytes(200_000))
        await asyncio.wait_for(reader.read(-1), DEADLINE)
    writer.close()
    _, unread = await asyncio.open_connection("127.0.0.1", w.port, limit=1024)
    unread.write(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1000)
    reader, writer, _ = await raw_socket(w)
    with contextlib.suppress(ConnectionError):
        writer.write(b"\xff" + chance.randbytes(50_000))
        await asyncio.wait_for(reader.read(-1), DEADLINE)
    writer.close()
    return unread


def test_the_filters_of_a_session_are_bounded_together(weir):
    """A thousand subscriptions of ten thousand values each would take all memory; one filter of that size is what anybody may have."""
    w = weir(BASE + 'rate_limit_per_minute = 1000\nfilter_bytes_per_session = "256KiB"\n')

    def wanted(n, values):
        return {"type": "subscribe", "data": {"type": "events", "subscription_id": f"s{n}", "filters": {"payload.x": [n * 100_000 + i for i in range(values)]} if values else {}}}

    async def go():
        async with connect(w) as ws:
            assert (await ask(ws, wanted(0, 0)))["type"] == "subscribed"
            assert (await ask(ws, wanted(1, 10_000)))["type"] == "subscribed"
            refused = (await ask(ws, wanted(2, 1)))["data"]
            assert refused["code"] == "too_many_subscriptions" and "gateway.filter_bytes_per_session" in refused["detail"], refused
            assert (await ask(ws, wanted(3, 0)))["type"] == "subscribed"  # without a filter it costs nothing
            assert (await ask(ws, {"type": "unsubscribe", "data": {"subscription_id": "s1"}}))["type"] == "unsubscribed"
            answers = [(await ask(ws, wanted(n, 1000)))["type"] for n in range(10, 15)]
            assert answers == ["subscribed"] * 3 + ["error"] * 2, answers
        async with connect(w) as ws:
            assert {(await ask(ws, wanted(n, 1)))["type"] for n in range(500)} == {"subscribed"}

    asyncio.run(go())


async def greedy(w):
    """More subscriptions than there may be, then more messages than there may be: told so, and ended with 1008."""
    async with connect(w) as ws:
        codes = set()
        with contextlib.suppress(websockets.ConnectionClosed):
            for n in range(2000):
                await ws.send(json.dumps({"type": "subscribe", "data": {"type": "events", "subscription_id": f"s{n}", "filters": {"payload.x": n}}}))
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                message = json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))
                codes.add(message["data"].get("code"))
        assert ws.close_code == 1008 and {"too_many_subscriptions", "rate_limited"} <= codes, (ws.close_code, codes)


def test_good_clients_get_everything_beside_hostile_ones(weir):
    """Issue 3, hostile input; S4-26, S2-22: slow handshakes, a frame of 1 GiB, decompression bombs, garbage, subscriptions without end. Good clients get every event in order, and memory stays under what was declared."""
    message, queue, ring, sockets = 64 * 1024, 256 * 1024, 256 * 1024, 300
    w = weir(BASE + f'handshake_timeout = "2s"\nconnections_per_address = 1000\nmax_connections = {sockets}\nmax_message_size = "64KiB"\nsession_queue_bytes = "256KiB"\nring_bytes = "256KiB"\n'
                    'subscriptions_per_session = 40\n')
    memory = lambda name: int(re.search(rf"{name}:\s+(\d+)", pathlib.Path(f"/proc/{w.process.pid}/status").read_text())[1]) * 1024
    before, goods, hostile = memory("VmRSS"), 10, 120

    zeros = packed_zeros(60_000_000)

    async def good():
        async with connect(w, max_queue=None) as ws:
            assert (await ask(ws, {"type": "subscribe", "data": {"type": "events", "stream": "s", "subscription_id": "good", "last": 10000}}))["type"] == "subscribed"
            n = 0
            while True:
                event = json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))["data"]["event"]["payload"]
                assert event["n"] == n, "an event is missing, or comes twice"
                n += 1
                if event["last"]:
                    return n

    async def go():
        pushed, over = 0, False

        async def push():
            nonlocal pushed
            while True:
                last = over
                events = [{"data": {"n": pushed + i, "last": last and i == 19, "pad": "x" * 200}} for i in range(20)]
                await asyncio.to_thread(w.post, "/api/v1/streams/s/events", events)
                pushed += 20
                if last:
                    return
                await asyncio.sleep(0.01)

        w.post("/api/v1/streams/s/events", [{"data": {"n": 0, "last": False}}])
        pushed = 1
        clients = [asyncio.create_task(good()) for _ in range(goods)]
        pushing = asyncio.create_task(push())
        bad = [slowloris(w) for _ in range(hostile)] + [huge_header(w) for _ in range(8)] + [bomb(w, zeros) for _ in range(8)] + [garbage(w, n) for n in range(8)] + [greedy(w) for _ in range(4)]
        results = await asyncio.gather(*bad)
        over = True
        await pushing
        for unread in results:
            if isinstance(unread, asyncio.StreamWriter):
                unread.transport.abort()
        assert [await c for c in clients] == [pushed] * goods
        assert all(sent < 100 for sent in results[:hostile]), "a slow handshake was waited for"

    asyncio.run(go())
    if b"__asan_init" not in pathlib.Path(BINARY).read_bytes():
        # What was declared: a message and a queue a connection, a ring a subscription; nobody held more of them than that.
        declared = (goods + hostile + 40) * (message + queue) + (goods + 4 * 40) * ring
        assert memory("VmHWM") - before < declared, (memory("VmHWM") - before, declared)
    until(lambda: w.get("/stats")["active_clients"] == 0, "everybody has left")
    assert w.get("/stats")["queued"] == 0


def test_the_echo_of_conformance_suites_is_there_when_it_is_configured_and_for_whoever_may_come_in(weir):
    """RFC 6455 and 7692 through the product itself; what tests/conformance/net_echo_test.py has in detail of its serving floor."""
    assert "404" in str(asyncio.run(refusal(weir(BASE, name="plain"), "/echo")))
    w = weir(BASE + 'echo_path = "/echo"\nmax_message_size = "20MiB"\n', name="echo")
    texts = ["", "e", "é" * 70, "x" * 65535, "y" * 65536, "ü" * (8 << 20)]

    async def go():
        for extensions in (None, [ClientPerMessageDeflateFactory()], [ClientPerMessageDeflateFactory(True, True, 9, 9)], [ClientPerMessageDeflateFactory(server_max_window_bits=15)]):
            async with websockets.connect(w.ws("/echo"), compression=None, extensions=extensions, max_size=None, ping_interval=None, open_timeout=DEADLINE) as ws:
                for text in texts:
                    for message in (text, text.encode()):
                        await ws.send(message)
                        assert await asyncio.wait_for(ws.recv(), DEADLINE) == message
                await ws.send(text[at:at + 1000] for at in range(0, 50_000, 1000))
                assert await asyncio.wait_for(ws.recv(), DEADLINE) == text[:50_000]
                await ws.close(4321, "enough")
                assert ws.close_code == 4321
        # Who sends and does not read is not read from; nothing is lost when he does, and weir has not kept it for him.
        reader, writer, _ = await raw_socket(w, path="/echo")
        count, size = 1000, 100_000
        for _ in range(count):
            writer.write(frame(2, b"z" * size))
        left = -1
        while left != (left := writer.transport.get_write_buffer_size()):
            await asyncio.sleep(0.2)
        assert left > count * size // 2  # the rest is in the kernel's buffers, and a little in weir
        for _ in range(count):
            head = await asyncio.wait_for(reader.readexactly(10), DEADLINE)
            assert head == b"\x82\x7f" + size.to_bytes(8, "big")
            assert await asyncio.wait_for(reader.readexactly(size), DEADLINE) == b"z" * size
        writer.close()

    asyncio.run(go())
    closed = weir(BASE + 'echo_path = "/echo"\nrequire_auth = true\n' + tokens(user=""), name="closed")
    assert "401" in str(asyncio.run(refusal(closed, "/echo")))


async def refusal(w, path):
    try:
        async with websockets.connect(w.ws(path), open_timeout=DEADLINE):
            return "accepted"
    except websockets.InvalidStatusCode as refused:
        return refused


def test_a_body_that_is_too_large_is_refused_like_any_other_request(weir):
    """docs/http-api.md: an error is `{"error":{"code","message","detail"}}`, 413 above `gateway.max_message_size` too, whether the length was said or not."""
    w = weir(BASE + 'max_message_size = "8KiB"\n')
    large = json.dumps({"data": {"s": "x" * 9000}})
    for path in ("/api/v1/streams/room/events", "/api/v1/samples"):
        status, answer = w.post(path, large)
        assert status == 413 and answer["error"]["code"] == "too_large" and "8192 bytes" in answer["error"]["detail"]
    connection = http.client.HTTPConnection("127.0.0.1", w.port, timeout=DEADLINE)
    with contextlib.closing(connection):
        connection.request("POST", "/api/v1/streams/room/events", iter([large.encode()]), {"Content-Type": "application/json"}, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 413 and json.load(answer)["error"]["code"] == "too_large"


def test_a_page_of_an_allowed_origin_may_read_what_it_is_answered(weir):
    """docs/http-api.md: with `gateway.allowed_origins` a browser's `fetch` and EventSource work from there, not only its WebSocket; other origins are told nothing."""
    w = weir(BASE + 'allowed_origins = ["http://wall.example"]\n[streams.room]\n' + tokens(user="publish = true"))
    connection = http.client.HTTPConnection("127.0.0.1", w.port, timeout=DEADLINE)

    def ask_as(origin, method, path, **headers):
        connection.close()
        connection.request(method, path, headers={"Origin": origin, **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers

    with contextlib.closing(connection):
        for path in ("/api/v1/streams", "/events?stream=room&", "/healthz"):
            status, headers = ask_as("http://wall.example", "GET", path + ("token=user-token" if path.endswith("&") else "?token=user-token"))
            assert status == 200 and headers["Access-Control-Allow-Origin"] == "http://wall.example" and "Origin" in headers.get_all("Vary")
        # A refusal too: the page must be able to read why.
        status, headers = ask_as("http://wall.example", "GET", "/api/v1/streams")
        assert status == 401 and headers["Access-Control-Allow-Origin"] == "http://wall.example"
        preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        status, headers = ask_as("http://wall.example", "OPTIONS", "/api/v1/streams/room/events", **preflight)
        assert status == 204 and "POST" in headers["Access-Control-Allow-Methods"]
        assert {"authorization", "content-type"} <= {name.strip().lower() for name in headers["Access-Control-Allow-Headers"].split(",")}
        for method in ("GET", "OPTIONS"):
            status, headers = ask_as("http://evil.example", method, "/api/v1/streams?token=user-token", **preflight)
            assert status == 403 and "Access-Control-Allow-Origin" not in headers


def test_clients_cannot_make_streams_without_end(weir):
    """Issue of memory that stays: with gateway.streams_max streams a push to a new name is refused, by HTTP and by WebSocket; those that are there go on."""
    w = weir(BASE + "streams_max = 20\n")
    made = []
    for n in range(30):
        status, answer = w.post(f"/api/v1/streams/made.{n}/events", {"data": {"n": n}})
        if status != 200:
            assert (status, answer["error"]["code"]) == (409, "too_many_streams"), answer
            break
        made.append(n)
        until(lambda: f"made.{n}" in {stream["name"] for stream in w.get("/api/v1/streams")["streams"]}, "the stream is there")
    assert 5 <= len(made) <= 20
    assert len(w.get("/api/v1/streams")["streams"]) == 20
    assert w.post("/api/v1/streams/made.0/events", {"data": {"n": 1}})[0] == 200

    async def publish(stream):
        async with websockets.connect(w.ws("/stream")) as socket:
            await socket.send(json.dumps({"type": "publish", "data": {"stream": stream, "event": {"data": {"n": 2}}}}))
            return json.loads(await asyncio.wait_for(socket.recv(), DEADLINE))

    assert asyncio.run(publish("another"))["data"]["code"] == "too_many_streams"
    assert asyncio.run(publish("made.0"))["type"] == "published"
