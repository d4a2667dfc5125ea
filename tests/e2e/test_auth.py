"""Who may come in, and what they see: source 004's exchange, tokens of foreign libraries, and holders who try every path around their boundary."""
import asyncio
import base64
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import jwt
import pytest
import websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from conftest import BINARY, DEADLINE, ROOT, until

sys.path.insert(0, str(ROOT / "clients" / "python"))
from weir_client import WeirClient, WeirError  # noqa: E402

BASE = """
[log]
path = "@FOLDER@/data"
[gateway]
port = @PORT@
"""


def hashed(token):
    return "sha256:5a17:" + hashlib.sha256(("5a17" + token).encode()).hexdigest()


def tokens(**rows):
    """[gateway.tokens.*] for token texts `<name>-token`."""
    return "".join(f'[gateway.tokens.{name}]\nhash = "{hashed(name + "-token")}"\n{more}\n' for name, more in rows.items())


ADMIN = "publish = true\nacknowledge = true\nadminister = true"


def request(weir, path, token=None, method="GET", body=None, headers=()):
    headers = dict(headers)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
    if data is not None:
        headers.setdefault("Content-Type", "application/json")
    asked = urllib.request.Request(weir.url(path), data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def publish(weir, stream, events, token="admin-token"):
    status, text, _ = request(weir, f"/api/v1/streams/{stream}/events", token, "POST", events)
    assert status == 200, text


def connect(weir, path="/", **options):
    return websockets.connect(weir.ws(path), ping_interval=None, compression=None, open_timeout=DEADLINE, close_timeout=DEADLINE, **options)


async def ask(ws, message):
    await ws.send(json.dumps(message))
    return json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))


async def close_code(ws):
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await asyncio.wait_for(ws.recv(), DEADLINE)
    return ws.close_code


def auth(token):
    return {"type": "auth", "data": {"token": token}}


def test_the_golden_exchange_of_source_004(weir):
    """S4-4, S4-9, S4-13, S4-16, S4-24, S4-R4, S4-R7, C-32: auth first, its answers, unknown types, and authentication again."""
    w = weir(BASE + tokens(user="", admin=ADMIN))
    publish(w, "events", [{"type": "user_action", "data": {"user_id": "user_456"}}])

    async def go():
        async with connect(w) as ws:
            assert await ask(ws, {"type": "ping"}) == {"type": "pong"}
            refused = await ask(ws, {"type": "subscribe", "data": {"type": "events"}})
            assert refused["type"] == "error" and refused["data"]["error"] == "Authentication required" and refused["data"]["code"] == "auth_required"
            assert await ask(ws, auth("your-auth-token")) == {"type": "auth_failed", "data": {"error": "Invalid credentials", "code": "auth_failed"}}
            right = await ask(ws, auth("user-token"))
            assert right["type"] == "auth_success" and len(right["data"]["client_id"]) == 36
            assert (await ask(ws, {"type": "no_such"}))["data"]["error"] == "Unknown message type"
            subscribed = await ask(ws, {"type": "subscribe", "data": {"type": "events", "filters": {"event_type": "user_action"}, "last": 1}})
            assert subscribed["type"] == "subscribed"
            data = json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))
            assert data["data"]["event"]["user_id"] == "user_456" and data["subscription_id"] == subscribed["data"]["subscription_id"]
            # Again, on the live connection: wrong changes nothing, right renews; the subscription stays.
            assert (await ask(ws, auth("wrong")))["type"] == "auth_failed"
            assert (await ask(ws, auth("admin-token")))["data"] == right["data"]
            publish(w, "events", [{"type": "user_action", "data": {"user_id": "user_789"}}])
            assert json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))["data"]["event"]["user_id"] == "user_789"

    asyncio.run(go())
    for what in ("auth_failed", "auth_ok", "reauth_failed", "reauth_ok", "subscribed", "disconnected"):  # S4-R17
        until(lambda: f"audit: {what} " in w.diagnostics(), what)
    # Who has gone is told by the address that came, although its socket is gone.
    peers = {what: re.findall(rf"audit: {what} peer=(\S+)", w.diagnostics()) for what in ("auth_ok", "disconnected")}
    assert peers["disconnected"] == peers["auth_ok"] and peers["auth_ok"][0].startswith("127.0.0.1:"), peers
    for text in ("your-auth-token", "user-token", "admin-token"):
        assert text not in w.diagnostics()


def test_messages_sent_behind_auth_wait_for_its_result(weir):
    """spec.md 5: a client that does not wait for auth_success (source 004's samples) loses nothing."""
    w = weir(BASE + tokens(user=""))

    async def go():
        async with connect(w, "/stream") as ws:
            for message in (auth("user-token"), {"type": "subscribe", "data": {"type": "metrics"}}, {"type": "ping"}):
                await ws.send(json.dumps(message))
            assert [json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))["type"] for _ in range(3)] == ["auth_success", "subscribed", "pong"]

    asyncio.run(go())


def test_every_way_in_and_none_without(weir):
    """S2-20, S3-28, S4-16, decisions.md 16: header, query, first message, on every path; no token, no answer."""
    w = weir(BASE + tokens(user="", admin=ADMIN))
    publish(w, "users", [{"data": {"n": 1}}])
    for path in ("/api/v1/streams", "/api/v1/streams/users/events", "/api/v1/keys?stream=users", "/api/v1/windows", "/api/v1/feeds", "/api/v1/status", "/stats", "/metrics",
                 "/events?stream=users", "/api/v1/nothing", "/api/v1/series?stream=users&field=/n"):
        status, text, headers = request(w, path)
        assert status == 401 and json.loads(text)["error"]["code"] == "auth_required" and headers["WWW-Authenticate"] == "Bearer", path
        assert request(w, path, "wrong")[0] == 401, path
        assert request(w, path, headers={"Authorization": "Basic dXNlcjp1c2VyLXRva2Vu"})[0] == 401, path
        assert request(w, path, headers={"Cookie": "token=user-token"})[0] == 401, path
    assert request(w, "/api/v1/streams", "user-token")[0] == 200
    assert request(w, "/api/v1/streams?token=user-token")[0] == 200
    assert request(w, "/healthz")[0] == 200 and request(w, "/readyz")[0] == 200 and request(w, "/")[0] in (200, 404)

    async def go():
        for path in ("/", "/stream", "/ws"):
            async with connect(w, path + "?token=user-token") as ws:
                answer = await ask(ws, {"type": "subscribe", "data": {"type": "events"}, "characteristic_ids": []})
                assert answer["type"] == "subscribed"
            async with connect(w, path, extra_headers={"Authorization": "Bearer user-token"}) as ws:
                assert (await ask(ws, auth("user-token")))["type"] == "auth_success"
        async with connect(w, "/ws") as ws:
            assert (await ask(ws, {"type": "subscribe", "characteristic_ids": [1]}))["code"] == "auth_required"
            assert (await ask(ws, auth("no"))) == {"type": "error", "message": "Invalid credentials", "code": "auth_failed"}
            assert (await ask(ws, {"type": "auth", "token": "user-token"}))["type"] == "auth_success"
        # Broadcast says nothing but records: a right token is answered with the welcome, a wrong one with the end.
        async with connect(w, "/feed/users") as ws:
            assert (await ask(ws, auth("user-token")))["type"] == "welcome"
        async with connect(w, "/feed/users") as ws:
            await ws.send(json.dumps(auth("wrong")))
            assert await close_code(ws) == 1008
        # What exists is told to nobody who has not shown a token.
        for path in ("/feed/users", "/feed/no-such"):
            async with connect(w, path) as ws:
                await ws.ping()

    asyncio.run(go())
    assert "user-token" not in w.diagnostics()


def test_with_auth_off_auth_is_answered_with_success(weir):
    """S4-R6 is the bug that this is not: without authentication everything can be used, and an explicit `auth` succeeds."""
    w = weir(BASE)

    async def go():
        for path, message in (("/", auth("anything")), ("/ws", auth("anything")), ("/", {"type": "auth"})):
            async with connect(w, path) as ws:
                assert (await ask(ws, message))["type"] == "auth_success"

    asyncio.run(go())


def test_too_late_and_too_often(weir):
    """S4-20, decisions.md 22: no right token in time is 1008; so is the tenth refusal."""
    w = weir(BASE + 'auth_timeout = "1s"\n' + tokens(user=""))

    async def go():
        async with connect(w) as quiet, connect(w) as talker:
            assert (await ask(talker, auth("wrong")))["type"] == "auth_failed"  # and the socket stays until the time is over
            assert await close_code(quiet) == 1008 and quiet.close_reason == "Authentication timeout"
            assert await close_code(talker) == 1008
        for wrong in ({"type": "subscribe", "data": {"type": "events"}}, auth("guess"), "not JSON"):
            async with connect(w) as ws:
                for _ in range(10):
                    with contextlib.suppress(websockets.ConnectionClosed):
                        await ws.send(wrong if isinstance(wrong, str) else json.dumps(wrong))
                assert await close_code(ws) == 1008 and ws.close_reason == "Too many messages above the rate limit"

        # A stranger's message is no longer than a token; a session's may be, also right behind its token.
        long = json.dumps({"type": "unsubscribe", "data": {"subscription_id": "x"}, "pad": "p" * 100_000})
        async with connect(w) as ws:
            await ws.send(long)
            assert await close_code(ws) == 1009
        async with connect(w) as ws:
            await ws.send(json.dumps(auth("user-token")))
            await ws.send(long)
            assert [json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))["type"] for _ in range(2)] == ["auth_success", "error"]

    asyncio.run(go())
    assert "audit: auth_timeout" in w.diagnostics()


def test_origin_capacity_rate_and_size(weir):
    """S4-19, S4-21, S4-22, S4-25, S3-30, S2-22: each limit, its code and its text."""
    w = weir(BASE + 'max_connections = 2\nallowed_origins = ["https://wall.example"]\nrate_limit_per_minute = 5\nmax_message_size = "4KiB"\n' + tokens(user=""))

    async def go():
        async with connect(w, origin="https://evil.example") as ws:
            assert await close_code(ws) == 1008 and ws.close_reason == "Origin not allowed"
        async with connect(w, "/?token=user-token", origin="https://wall.example") as one:
            async with connect(w) as waiting:  # who only waits at the door takes a place too
                await waiting.ping()
                async with connect(w) as third:
                    assert await close_code(third) == 1013
                async with connect(w, "/?token=user-token") as third:
                    assert await close_code(third) == 1013
                assert (await asyncio.to_thread(request, w, "/events?stream=system_status", "user-token"))[0] == 503
            for _ in range(5):
                assert (await ask(one, {"type": "unsubscribe", "data": {"subscription_id": "x"}}))["data"]["code"] == "subscription_not_found"
            over = (await ask(one, {"type": "unsubscribe", "data": {"subscription_id": "x"}}))["data"]
            assert over["error"] == "Rate limit exceeded" and 0 < over["retry_after_ms"] <= 12_100
            assert await ask(one, {"type": "ping"}) == {"type": "pong"}
            await one.send("x" * 5000)
            assert await close_code(one) == 1009

    asyncio.run(go())
    for line in (r"origin_not_allowed", r"at_capacity"):  # S4-R17: the operator learns who was turned away
        until(lambda: re.search(rf"audit: refused peer=127\.0\.0\.1:\d+ who=- path=/: {line}\n", w.diagnostics()), line)
    for path in ("/", "/events"):
        until(lambda: re.search(rf"audit: refused peer=127\.0\.0\.1:\d+ who=token user path={path}: at_capacity\n", w.diagnostics()), path)


def test_an_address_above_its_bound_is_named_not_its_proxy(weir):
    """S2-22, S4-R17: behind a proxy a bound is that of the client's address, and so is the line about it."""
    w = weir(BASE + 'trusted_proxies = ["127.0.0.1"]\nconnections_per_address = 1\n' + tokens(user=""))
    from_one = {"extra_headers": {"X-Forwarded-For": "203.0.113.9"}}

    async def go():
        async with connect(w, "/?token=user-token", **from_one) as one:
            assert await ask(one, {"type": "ping"}) == {"type": "pong"}
            async with connect(w, "/?token=user-token", **from_one) as two:
                assert await close_code(two) == 1013 and two.close_reason == "Too many connections from this address"
            async with connect(w, "/?token=user-token", extra_headers={"X-Forwarded-For": "203.0.113.10"}) as other:
                assert await ask(other, {"type": "ping"}) == {"type": "pong"}

    asyncio.run(go())
    until(lambda: "audit: refused peer=203.0.113.9 who=- path=/: address_at_capacity" in w.diagnostics(), "the client's address")


def test_publishing_has_a_bucket_of_its_own_for_each_token(weir):
    """S2-22, decisions.md 22: events above the limit are refused with the time to wait; another token is not held back."""
    w = weir(BASE + "publish_limit_per_minute = 10\n" + tokens(one="publish = true", two="publish = true", reader=""))
    batch = [{"data": {"n": n}} for n in range(10)]
    assert request(w, "/api/v1/streams/s/events", "one-token", "POST", batch)[0] == 200
    status, text, headers = request(w, "/api/v1/streams/s/events", "one-token", "POST", batch)
    error = json.loads(text)["error"]
    assert status == 429 and error["message"] == "Rate limit exceeded" and error["retry_after_ms"] > 0 and int(headers["Retry-After"]) >= 1
    assert request(w, "/api/v1/streams/s/events", "two-token", "POST", batch)[0] == 200
    status, text, _ = request(w, "/api/v1/streams/s/events", "reader-token", "POST", batch)
    assert status == 403 and json.loads(text)["error"]["detail"] == "needs `publish`"  # S4-R5


def test_a_refusal_names_the_permission_and_no_stream(weir):
    """S4-R5, S3-R12: which type is missing is said; whether a stream exists is not."""
    w = weir(BASE + tokens(admin=ADMIN, metrics='types = ["metrics"]', one='streams = ["open"]'))
    publish(w, "open", [{"data": {"n": 1}}])
    publish(w, "hidden", [{"data": {"n": 2}}])

    async def go():
        async with connect(w, "/?token=metrics-token") as ws:
            refused = await ask(ws, {"type": "subscribe", "data": {"type": "events"}})
            assert refused["data"]["code"] == "forbidden" and refused["data"]["detail"] == "needs `events` among the token's types"
            assert (await ask(ws, {"type": "subscribe", "data": {"type": "metrics"}}))["type"] == "subscribed"
        async with connect(w, "/?token=one-token") as ws:
            answers = []
            for name in ("hidden", "absent"):
                answer = await ask(ws, {"type": "subscribe", "data": {"type": "events", "stream": name}})
                answers.append(json.dumps(answer).replace(name, "X"))
            assert answers[0] == answers[1] and "unknown_stream" in answers[0]
            for name in ("hidden", "absent"):
                answer = await ask(ws, {"type": "subscribe", "data": {"type": "events", "since": {name: {"epoch": "1", "seq": 0}}}})
                answers.append(json.dumps(answer).replace(name, "X"))
            assert answers[2] == answers[3]
            assert set((await ask(ws, {"type": "subscribe", "data": {"type": "events"}}))["data"]["streams"]) == {"open"}

    asyncio.run(go())
    for path in ("/api/v1/streams/X", "/api/v1/streams/X/events", "/api/v1/keys?stream=X", "/api/v1/series?stream=X&field=/n", "/events?stream=X"):
        hidden, absent = (request(w, path.replace("X", name), "one-token") for name in ("hidden", "absent"))
        assert hidden[0] == absent[0] == 404 and hidden[1].replace("hidden", "X") == absent[1].replace("absent", "X"), path
    assert [s["name"] for s in json.loads(request(w, "/api/v1/streams", "one-token")[1])["streams"]] == ["open"]
    for path in ("/stats", "/metrics", "/api/v1/status"):
        assert request(w, path, "one-token")[0] == 403 and request(w, path, "admin-token")[0] == 200
    assert request(w, "/api/v1/sessions/x", "one-token")[0] == 403


def test_the_holder_of_a_filter_never_sees_an_event_outside_it_by_any_path(weir):
    """D7, spec.md 5: a boundary by WebSocket in three dialects, history and live, Server-Sent Events, pages, export, keys, series, windows; whatever the holder asks for."""
    filter_text = json.dumps({"payload.owner": "mine", "payload.level": {"lt": 5}})
    w = weir(BASE + "rate_limit_per_minute = 100000\npublish_limit_per_minute = 1000000\n" + tokens(admin=ADMIN, holder=f"filter = '{filter_text}'") +
             '[windows.minute]\nstream = "s"\nvalue = "/n"\nsize = "1min"\n')
    chance = random.Random(17)
    secret = "outside"

    def event(n):
        mine, level = chance.random() < 0.5, chance.randrange(10)
        inside = mine and level < 5
        return {"key": chance.choice("AB"), "type": "sample", "data": {"owner": "mine" if mine else "yours", "level": level, "n": n, "characteristic_id": 1 if mine else 2,
                                                                      "mark": "inside" if inside else secret}}

    def batch(n):
        return [event(i) for i in range(n)]

    # The newest of characteristic 1 is within the boundary, so that its holder may know of it.
    publish(w, "s", batch(300) + [{"key": "A", "type": "sample", "data": {"owner": "mine", "level": 0, "n": 0, "characteristic_id": 1, "mark": "inside"}}])
    filters = [{}, {"payload.owner": "yours"}, {"or": [{"payload.owner": "mine"}, {"payload.owner": "yours"}]}, {"not": {"payload.owner": "mine"}}, {"payload.mark": secret},
               {"payload.level": {"gte": 5}}, {"or": [{}, {"payload.mark": secret}]}, {"metadata.key": ["A", "B"]}]
    seen = []

    async def go():
        sockets = []
        for filters_ in filters:
            ws = await connect(w, "/?token=holder-token", max_queue=None)
            await ws.send(json.dumps({"type": "subscribe", "data": {"type": "events", "filters": filters_, "last": 1000}}))
            sockets.append(ws)
        for _ in range(40):
            random_filter = {chance.choice(["payload.owner", "payload.level", "payload.mark", "event_type"]): chance.choice(["mine", "yours", secret, {"exists": True}, {"gte": 0}, "sample"])}
            await sockets[0].send(json.dumps({"type": "subscribe", "data": {"type": "events", "filters": chance.choice([random_filter, {"not": random_filter}, {"or": [random_filter, {}]}]), "last": 50}}))
        spc = await connect(w, "/ws?token=holder-token", max_queue=None)
        await spc.send(json.dumps({"type": "subscribe", "characteristic_ids": [1, 2, 3]}))
        broadcast = await connect(w, "/feed/s", extra_headers={"Authorization": "Bearer holder-token"}, max_queue=None)
        sockets += [spc, broadcast]
        # Who subscribed first as somebody else's audience must not be joined.
        other = await connect(w, "/?token=admin-token", max_queue=None)
        await ask(other, {"type": "subscribe", "data": {"type": "events"}})
        publish(w, "s", batch(300) + [{"key": "Z", "type": "sample", "data": {"owner": "mine", "level": 0, "characteristic_id": 1, "mark": "inside", "last": True, "n": 0}}])
        ended = 0
        for ws in (sockets[0], spc, broadcast):
            while True:
                text = await asyncio.wait_for(ws.recv(), DEADLINE)
                seen.append(text)
                if '"last":true' in text:
                    ended += 1
                    break
        assert ended == 3
        for ws in sockets:
            if ws not in (sockets[0], spc, broadcast):
                await ws.send(json.dumps({"type": "ping"}))
                while (text := await asyncio.wait_for(ws.recv(), DEADLINE)) != '{"type":"pong"}':
                    seen.append(text)
        spc_unknown = [json.loads(t) for t in seen if '"unknown_ids"' in t]
        assert spc_unknown and spc_unknown[0]["characteristic_ids"] == [2, 3]  # there, and not for us: the same as not there (S3-R12)
        for ws in sockets + [other]:
            await ws.close()

    asyncio.run(go())
    assert sum('"inside"' in text for text in seen) > 300
    for path in ("/api/v1/streams/s/events?limit=10000", "/api/v1/streams/s/events?after=0&limit=1000", "/api/v1/streams/s/events?after=100", "/api/v1/streams/s/events?key=A",
                 "/api/v1/streams/s/events?format=ndjson&limit=100000", "/api/v1/streams/s/events?format=ndjson&after=0&limit=1000", "/api/v1/streams/s/events?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z",
                 "/api/v1/streams/s/events?before=300&limit=50", "/api/v1/keys?stream=s", "/api/v1/windows/minute", "/api/v1/feeds"):
        status, text, _ = request(w, path, "holder-token")
        assert status == 200, (path, text)
        if "/events" in path or "/keys" in path:
            assert "inside" in text, path
        seen.append(text)
    # A series is of the readings inside alone: their number is that of the events that may be seen.
    inside = [e["data"]["n"] for e in json.loads(request(w, "/api/v1/streams/s/events?after=0&limit=10000", "holder-token")[1])["events"]]
    series = json.loads(request(w, "/api/v1/series?stream=s&field=/n&points=10000", "holder-token")[1])
    assert series["source"] == "raw" and len(series["points"]) == len(inside)
    with socket.create_connection(("127.0.0.1", w.port)) as s:
        epoch = json.loads(request(w, "/api/v1/streams/s", "holder-token")[1])["epoch"]
        quoted = urllib.parse.quote(json.dumps({"or": [{}, {"payload.mark": secret}]}))
        s.sendall(f"GET /events?stream=s&filters={quoted}&token=holder-token&since={epoch}:1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        s.settimeout(DEADLINE)
        text = ""
        while '"last":true' not in text:
            piece = s.recv(65536).decode()
            assert piece
            text += piece
        seen.append(text)
    for text in seen:
        if text.startswith('{"type":"subscribed"'):
            continue  # says the filter that the holder wrote
        assert f'"mark":"{secret}"' not in text, text[:400]


def test_a_token_that_runs_out_closes_unless_it_is_renewed(weir):
    """spec.md 5: expiry on a live connection is 1008; a renewed one goes on."""
    secret = "an HMAC secret of 32 bytes or more"
    w = weir(BASE + f'[gateway.jwt]\nsecret = "{secret}"\nleeway = "0s"\n')

    def token(seconds):
        return jwt.encode({"sub": "alice", "exp": time.time() + seconds, "weir": {"types": ["events"]}}, secret, algorithm="HS256")

    async def go():
        async with connect(w) as one, connect(w) as two:
            assert (await ask(one, auth(token(2))))["type"] == "auth_success"
            assert (await ask(two, auth(token(2))))["type"] == "auth_success"
            assert (await ask(two, auth(token(600))))["type"] == "auth_success"
            assert await close_code(one) == 1008 and one.close_reason == "Token expired"
            assert await ask(two, {"type": "ping"}) == {"type": "pong"}
            # A narrower token ends what it does not cover, and says so.
            assert (await ask(two, {"type": "subscribe", "data": {"type": "events", "subscription_id": "mine"}}))["type"] == "subscribed"
            narrow = jwt.encode({"exp": time.time() + 600, "weir": {"types": ["metrics"]}}, secret, algorithm="HS256")
            assert (await ask(two, auth(narrow)))["type"] == "auth_success"
            assert json.loads(await asyncio.wait_for(two.recv(), DEADLINE)) == {"type": "unsubscribed", "data": {"subscription_id": "mine"}, "subscription_id": "mine"}

    asyncio.run(go())


class KeyServer:
    """A JWK Set at a URL, which counts who asks."""

    def __init__(self):
        self.keys, self.asked, self.broken = [], 0, False
        self.answers = threading.Event()  # cleared: who asks waits
        self.answers.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                outer.answers.wait(DEADLINE)
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(500 if outer.broken else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/jwks.json"


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key, kid):
    algorithm = {"RSA": jwt.algorithms.RSAAlgorithm, "EC": jwt.algorithms.ECAlgorithm, "OKP": jwt.algorithms.OKPAlgorithm}[
        "RSA" if isinstance(key, rsa.RSAPrivateKey) else "EC" if isinstance(key, ec.EllipticCurvePrivateKey) else "OKP"]
    if algorithm is jwt.algorithms.ECAlgorithm:
        numbers = key.public_key().public_numbers()
        encode = lambda n: base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode()
        return {"kty": "EC", "crv": "P-256", "x": encode(numbers.x), "y": encode(numbers.y), "kid": kid}
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid}


CLAIMS = {"sub": "alice", "iss": "https://issuer.example/", "aud": "weir", "weir": {"types": ["events"]}}


def test_tokens_of_a_foreign_library_and_keys_that_change(weir, tmp_path):
    """S3-28, S2-20: RS256, ES256 and EdDSA made by PyJWT; a key set at a URL whose keys are rotated; PEM files; `weir token` both ways."""
    keys = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate()}
    server = KeyServer()
    server.keys = [jwk(key, name) for name, key in keys.items()]
    w = weir(BASE + f'[gateway.jwt]\njwks_url = "{server.url}"\nissuers = ["https://issuer.example/"]\naudiences = ["weir"]\n')

    def made(algorithm, key=None, kid=None, **claims):
        return jwt.encode({**CLAIMS, "exp": time.time() + 600, **claims}, key or keys[algorithm], algorithm=algorithm, headers={"kid": kid or algorithm})

    def status(token):
        return request(w, "/api/v1/streams", token)[0]

    for algorithm in keys:
        assert status(made(algorithm)) == 200, algorithm
        assert status(made(algorithm, exp=time.time() - 600)) == 401
        assert status(made(algorithm, nbf=time.time() + 600)) == 401
        assert status(made(algorithm, iss="https://evil.example/")) == 401
        assert status(made(algorithm, aud="another")) == 401
        assert status(made(algorithm, weir=None)) == 401
    asked, since = server.asked, time.monotonic()
    # Confusion: the public key as an HMAC's secret; no signature at all.
    head = lambda h: base64.urlsafe_b64encode(json.dumps(h).encode()).rstrip(b"=").decode()
    forged = jwt.encode({**CLAIMS, "exp": time.time() + 600}, "x" * 40, algorithm="HS256", headers={"kid": "RS256"})
    assert status(forged) == 401
    assert status(head({"alg": "none"}) + "." + head({**CLAIMS, "exp": time.time() + 600}) + ".") == 401
    # Mutations of a right token never get in.
    right, chance = made("ES256"), random.Random(5)
    for _ in range(150):
        at = chance.randrange(len(right))
        changed = right[:at] + chance.choice("ABCxyz019-_.") + right[at + 1:]
        assert changed == right or status(changed) == 401, changed
    # A new key is found within one request, and a flood of unknown names asks the server no more than once in 10 s.
    new = ec.generate_private_key(ec.SECP256R1())
    server.keys = [jwk(new, "new")]
    until(lambda: status(made("ES256", new, "new")) == 200, "the rotated key is known")
    for n in range(30):
        assert status(made("ES256", ec.generate_private_key(ec.SECP256R1()), f"unknown-{n}")) == 401
    assert server.asked - asked <= 1 + (time.monotonic() - since) / 10
    assert status(made("RS256")) == 401  # what was taken out of the set is believed no more
    server.broken = True
    assert status(made("ES256", new, "new")) == 200  # and keys that are there hold while the server is away

    async def go():  # over a socket, too
        async with connect(w) as ws:
            assert (await ask(ws, auth(made("ES256", new, "new"))))["type"] == "auth_success"

    asyncio.run(go())

    for algorithm, key in keys.items():
        private, public = tmp_path / f"{algorithm}.pem", tmp_path / f"{algorithm}.pub"
        private.write_text(pem(key))
        public.write_text(public_pem(key))
        signed = subprocess.run([BINARY, "token", "sign", "--key", private, "--for", "5min", "--kid", "k", "--claims", '{"sub":"bob","weir":{"publish":true}}'], capture_output=True, text=True)
        assert signed.returncode == 0, signed.stderr
        claims = jwt.decode(signed.stdout.strip(), public.read_text(), algorithms=[algorithm])  # the foreign library believes ours
        assert claims["sub"] == "bob" and 0 < claims["exp"] - time.time() <= 301
        config = tmp_path / f"{algorithm}.toml"
        config.write_text(f'[gateway.jwt]\nkey_files = ["{public}"]\n')
        checked = subprocess.run([BINARY, "token", "check", "-c", config], input=signed.stdout, capture_output=True, text=True)
        assert checked.returncode == 0 and checked.stdout.startswith("jwt bob\n"), checked.stderr
        other = subprocess.run([BINARY, "token", "check", "-c", config], input=made("ES256", new), capture_output=True, text=True)
        assert other.returncode == 1


def test_a_body_waits_until_the_key_of_its_token_is_there(weir):
    """S2-20: requests whose token names a key that is being fetched, whole ones with bodies and what is pipelined behind them, are answered as if it had been there."""
    key, server = ec.generate_private_key(ec.SECP256R1()), KeyServer()
    server.keys = [jwk(key, "new")]
    server.answers.clear()
    w = weir(BASE + f'[gateway.jwt]\njwks_url = "{server.url}"\nissuers = ["https://issuer.example/"]\naudiences = ["weir"]\n')
    until(lambda: server.asked == 1, "the key set is being fetched")
    token = jwt.encode({**CLAIMS, "exp": time.time() + 600, "weir": {"publish": True}}, key, algorithm="ES256", headers={"kid": "new"})
    head = f"Host: 127.0.0.1:{w.port}\r\nAuthorization: Bearer {token}\r\n"
    get = f"GET /api/v1/streams HTTP/1.1\r\n{head}\r\n"

    def post(body, how):
        return f"POST /api/v1/streams/events/events HTTP/1.1\r\n{head}Content-Type: application/json\r\n{how}\r\n{body}"

    event = '{"type":"t","data":{"n":1}}'
    conversations = {
        "with a length": ([post(event, f"Content-Length: {len(event)}\r\n")], 1, 1),
        "in chunks": ([post(f"{len(event):x}\r\n{event}\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n")], 1, 1),
        "behind 100": ([post("", f"Content-Length: {len(event)}\r\nExpect: 100-continue\r\n"), event], 1, 1),
        "none": ([post("", "Content-Length: 0\r\n")], 1, 0),
        "pipelined": ([get + post(event, f"Content-Length: {len(event)}\r\n") + get], 3, 1),
    }
    sockets = {}

    def more(name):
        piece = sockets[name].recv(65536)
        assert piece, f"{name}: the connection ended"
        return piece

    for name, (pieces, _, _) in conversations.items():
        sockets[name] = socket.create_connection(("127.0.0.1", w.port), DEADLINE)
        sockets[name].settimeout(DEADLINE)
        sockets[name].sendall(pieces[0].encode())
    assert request(w, "/healthz")[0] == 200  # what was sent before it has been read
    server.answers.set()
    for name, (pieces, answers, accepted) in conversations.items():
        got = b""
        if len(pieces) > 1:
            while b"\r\n\r\n" not in got:
                got += more(name)
            assert got.startswith(b"HTTP/1.1 100 "), got
            got = got.split(b"\r\n\r\n", 1)[1]
            sockets[name].sendall(pieces[1].encode())
        statuses, bodies = [], []
        for _ in range(answers):
            while b"\r\n\r\n" not in got:
                got += more(name)
            top, got = got.split(b"\r\n\r\n", 1)
            size = int(re.search(rb"Content-Length: (\d+)", top)[1])
            while len(got) < size:
                got += more(name)
            statuses.append(int(top.split()[1]))
            bodies.append(got[:size])
            got = got[size:]
        assert statuses == ([200] * answers if accepted else [400]), (name, statuses, bodies)
        if accepted:
            assert json.loads(bodies[answers // 2])["accepted"] == accepted, name
        sockets[name].close()

    async def go():
        async with connect(w) as ws:
            assert (await ask(ws, auth(token)))["type"] == "auth_success"

    asyncio.run(go())


def test_weir_token_makes_a_token_that_opens_the_door_and_a_line_that_does_not(weir, tmp_path):
    """S2-20, S2-23: 256 random bits, shown once; the configuration holds a salted hash."""
    made = subprocess.run([BINARY, "token", "make", "wall"], capture_output=True, text=True)
    assert made.returncode == 0
    token, config = made.stdout.split("\n", 1)
    assert token.startswith("weir_") and len(token) == 5 + 43 and token not in config
    again = subprocess.run([BINARY, "token", "make", "wall"], capture_output=True, text=True).stdout.split("\n", 1)
    assert again[0] != token and again[1] != config
    w = weir(BASE + config)
    assert request(w, "/api/v1/streams", token)[0] == 200
    assert request(w, "/api/v1/streams", again[0])[0] == 401
    assert request(w, "/api/v1/streams", config.split('"')[1])[0] == 401
    checked = subprocess.run([BINARY, "token", "check", "-c", w.config], input=token + "\n", capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stdout.splitlines()[0] == "token wall"
    # A name is one line, whatever an issuer lets its users call themselves.
    secret = "of the issuer, 32 bytes or more of it"
    w.config.write_text(w.config.read_text() + f'[gateway.jwt]\nsecret = "{secret}"\n')
    named = jwt.encode({"sub": 'eve\n{"administer":true}\x1b[31m', "exp": int(time.time()) + 600, "weir": {}}, secret, "HS256")
    checked = subprocess.run([BINARY, "token", "check", "-c", w.config], input=named + "\n", capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stdout.splitlines()[0] == 'jwt eve?{"administer":true}?[31m', checked


def test_a_token_taken_out_of_the_configuration_ends_its_connections(weir):
    """Reload on SIGHUP: revoked tokens are closed with 1008, the others stay; nothing else is dropped."""
    import signal

    w = weir(BASE + tokens(stays="", goes=""))

    async def go():
        async with connect(w, "/?token=stays-token") as stays, connect(w, "/?token=goes-token") as goes:
            text = w.config.read_text()
            w.config.write_text(text[: text.index("[gateway.tokens.stays]")] + tokens(stays="", fresh=""))
            w.process.send_signal(signal.SIGHUP)
            assert await close_code(goes) == 1008
            assert await ask(stays, {"type": "ping"}) == {"type": "pong"}
            assert request(w, "/api/v1/streams", "fresh-token")[0] == 200
            assert request(w, "/api/v1/streams", "goes-token")[0] == 401

    asyncio.run(go())


def test_an_export_under_way_is_cut_when_its_token_no_longer_holds(weir):
    """spec.md 5: a token's end ends what it opened. The answer is cut, not finished: nobody takes the half for the whole."""
    w = weir(BASE + tokens(admin=ADMIN, reader="streams = [\"big\"]"))
    for part in range(40):
        publish(w, "big", [{"id": f"{part}-{i}", "data": {"pad": "x" * 5000, "n": part * 100 + i}} for i in range(100)])
    host, port = urllib.parse.urlsplit(w.url("/")).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as export:
        export.sendall(f"GET /api/v1/streams/big/events?format=ndjson&limit=1000000 HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer reader-token\r\n\r\n".encode())
        begun = export.recv(4096)
        assert begun.startswith(b"HTTP/1.1 200 OK") and b"chunked" in begun
        w.config.write_text(w.config.read_text().replace(hashed("reader-token"), hashed("another")))
        w.process.send_signal(1)
        until(lambda: request(w, "/api/v1/streams", "reader-token")[0] == 401, "the token is gone")
        text = begun
        with contextlib.suppress(ConnectionResetError):
            while piece := export.recv(1 << 20):
                text += piece
    assert not text.endswith(b"0\r\n\r\n")
    assert text.count(b'"pad"') < 4000
    until(lambda: "auth_expired" in w.diagnostics(), "the audit line")


def test_limits_origins_and_the_level_of_diagnostics_change_on_sighup(weir):
    """What docs/configuration.md says of a reload: it holds for what happens next, nobody is dropped, and what needs a restart is named."""
    w = weir(BASE + tokens(admin=ADMIN) + "[diag]\nlevel = \"info\"\n")

    async def go():
        async with connect(w, "/?token=admin-token") as stays:
            text = w.config.read_text()
            w.config.write_text(text.replace("[gateway]\n", '[gateway]\nmax_connections = 2\nallowed_origins = ["https://a.example"]\nrate_limit_per_minute = 3\nspc_path = "/other"\n'))
            w.process.send_signal(1)
            await asyncio.to_thread(until, lambda: "gateway.max_connections has changed" in w.diagnostics(), "the reload")
            await asyncio.to_thread(until, lambda: "limits" in w.diagnostics().split("audit: reloaded")[-1], "its end")
            assert "gateway.spc_path has changed; it takes effect at the next start" in w.diagnostics()
            assert await ask(stays, {"type": "ping"}) == {"type": "pong"}
            async with connect(w, "/?token=admin-token", origin="https://b.example") as foreign:
                assert await close_code(foreign) == 1008
            async with connect(w, "/?token=admin-token", origin="https://a.example") as second:
                answers = [await ask(second, {"type": "unsubscribe", "data": {"subscription_id": "none"}}) for _ in range(4)]
                assert [a["data"]["code"] for a in answers][-1] == "rate_limited" and "rate_limited" not in [a["data"]["code"] for a in answers[:3]]
                async with connect(w, "/?token=admin-token") as third:
                    assert await close_code(third) == 1013
            w.config.write_text(w.config.read_text().replace('level = "info"', 'level = "off"'))
            w.process.send_signal(1)
            # The level holds from the reload on: a refusal, which is a warning, is not written any more.
            def silent():
                before = len(w.diagnostics())
                assert request(w, "/api/v1/streams", "wrong")[0] == 401
                return len(w.diagnostics()) == before
            await asyncio.to_thread(until, silent, "silence")

    asyncio.run(go())


def certificate(folder, name):
    cert, key = pathlib.Path(folder) / "cert.pem", pathlib.Path(folder) / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", f"{key}.new", "-out", f"{cert}.new",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    os.replace(f"{cert}.new", cert)
    os.replace(f"{key}.new", key)
    return cert, key


def test_a_new_certificate_is_taken_on_sighup_and_no_connection_is_dropped(weir, tmp_path):
    """S2-21, S4-R11: TLS 1.2 and 1.3; reload."""
    import signal

    folder = tmp_path / "tls"
    folder.mkdir()
    cert, key = certificate(folder, "first")
    w = weir(BASE + f'tls_cert_file = "{cert}"\ntls_key_file = "{key}"\n' + tokens(user=""), ready=False)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def subject(version):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", w.port), timeout=DEADLINE) as plain, context.wrap_socket(plain) as s:
            return s.getpeercert(binary_form=True), s.version()

    def listening():
        with contextlib.suppress(OSError):
            return subject(ssl.TLSVersion.TLSv1_3)

    before, version = until(listening, "TLS answers")
    until(lambda: f"listening on https://127.0.0.1:{w.port}\n" in w.diagnostics(), "where it listens")
    assert version == "TLSv1.3" and subject(ssl.TLSVersion.TLSv1_2) == (before, "TLSv1.2")

    async def go():
        async with websockets.connect(f"wss://127.0.0.1:{w.port}/?token=user-token", ssl=trusting, ping_interval=None) as ws:
            assert await ask(ws, {"type": "ping"}) == {"type": "pong"}
            certificate(folder, "second")
            w.process.send_signal(signal.SIGHUP)
            until(lambda: subject(ssl.TLSVersion.TLSv1_3)[0] != before, "the new certificate is shown")
            assert await ask(ws, {"type": "ping"}) == {"type": "pong"}
            # A damaged one changes nothing.
            cert.write_text("no certificate")
            w.process.send_signal(signal.SIGHUP)
            until(lambda: "the certificate stays as it was" in w.diagnostics(), "the reload is refused")
            assert subject(ssl.TLSVersion.TLSv1_3)[0] != before
            assert await ask(ws, {"type": "ping"}) == {"type": "pong"}

    asyncio.run(go())


def test_weir_does_not_listen_to_the_world_without_auth_unless_told(tmp_path):
    """C-29, spec.md 5."""
    config = tmp_path / "weir.toml"
    config.write_text(f'[log]\npath = "{tmp_path}/data"\n[gateway]\nhost = "0.0.0.0"\nport = 0\nrequire_auth = false\n')
    done = subprocess.run([BINARY, "serve", "-c", config], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 2 and "public_without_auth" in done.stderr


def test_our_own_clients_show_tokens_and_say_when_they_are_refused(weir):
    """S2-20, S4-31: weir publish, weir tail and the Python client on a weir that asks for tokens; a wrong one is an error, not a wait without end."""
    w = weir(BASE + tokens(admin=ADMIN, reader='streams = ["s"]'))

    def run(*arguments, token, text=None):
        return subprocess.run([BINARY, *arguments], input=text, capture_output=True, text=True, timeout=DEADLINE, env={**os.environ, "WEIR_TOKEN": token})

    done = run("publish", w.url(""), "s", token="admin-token", text='{"id":"1","data":{"n":1}}\n')
    assert done.returncode == 0, done.stderr
    done = run("publish", w.url(""), "s", token="reader-token", text='{"id":"2","data":{"n":2}}\n')
    assert done.returncode == 1 and "needs `publish`" in done.stderr, done.stderr
    done = run("tail", w.ws("/stream"), "--stream", "s", "--last", "1", "--count", "1", token="reader-token")
    assert done.returncode == 0 and '"n":1' in done.stdout, (done.stdout, done.stderr)

    async def go():
        async with WeirClient(w.ws("/"), "reader-token") as client:
            events = await asyncio.wait_for(client.subscribe("events", stream="s", last=1), DEADLINE)
            assert (await asyncio.wait_for(events.__anext__(), DEADLINE)).data == {"n": 1}
            with pytest.raises(WeirError) as refused:
                await asyncio.wait_for(client.publish("s", [{"id": "3", "data": {}}]), DEADLINE)
            assert refused.value.code == "forbidden"
        states = []
        async with WeirClient(w.ws("/"), "wrong-token", on_state=states.append) as client:
            for _ in range(2):
                with pytest.raises(WeirError) as refused:
                    await asyncio.wait_for(client.subscribe("events", stream="s"), DEADLINE)
                assert refused.value.code in ("auth_failed", "auth_required")
            with pytest.raises(WeirError):
                await asyncio.wait_for(client.publish("s", [{"id": "4", "data": {}}]), DEADLINE)
        assert "refused" in states

    asyncio.run(go())


NODE = """
import WebSocket from 'ws';
const [url, token] = process.argv.slice(-2);
const ws = new WebSocket(url), got = [];
ws.on('open', () => { for (const m of [{type:'auth',data:{token:'wrong'}},{type:'auth',data:{token}},{type:'subscribe',data:{type:'events'}}]) ws.send(JSON.stringify(m)); });
ws.on('message', text => { got.push(JSON.parse(text).type); if (got.length === 3) { console.log(got.join(' ')); ws.close(); } });
setTimeout(() => process.exit(1), 50000).unref();
"""


@pytest.mark.skipif(not (ROOT / "tests/e2e/node_modules/ws").exists(), reason="npm ci --prefix tests/e2e")
def test_node_ws_gets_in(weir):
    """S4-4 with Node's ws."""
    w = weir(BASE + tokens(user=""))
    done = subprocess.run(["node", "--input-type=module", "-e", NODE, w.ws("/"), "user-token"], capture_output=True, text=True, cwd=ROOT / "tests/e2e", timeout=DEADLINE)
    assert done.stdout.strip() == "auth_failed auth_success subscribed", done.stderr


def test_of_several_forwarded_lines_only_the_proxys_own_counts(weir):
    """A client may send an X-Forwarded-For of its own; a proxy that adds a line instead of appending to it changes nothing about whom to believe."""
    w = weir(BASE + 'trusted_proxies = ["127.0.0.1"]\n' + tokens(user=""))
    with socket.create_connection(("127.0.0.1", w.port)) as s:
        s.sendall(b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.9\r\nAuthorization: Bearer wrong\r\n"
                  b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        until(lambda: "audit: auth_failed peer=203.0.113.9:0 " in w.diagnostics(), "the client's address is the proxy's word")
