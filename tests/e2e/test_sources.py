"""What the systems of sources 002, 003 and 004 got wrong, or left to the future, against one running weir."""
import asyncio
import json
import re

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from conftest import DEADLINE, until
from test_auth import BASE, ask, connect


def counter(w, name):
    return int(re.search(rf"^{name} (\d+)$", w.get("/metrics", raw=True), re.M)[1])


async def take(ws):
    return json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))


def push(w, events, stream="s"):
    status, answer = w.post(f"/api/v1/streams/{stream}/events", events)
    assert status == 200 and not answer["rejected"], answer


def test_one_server_speaks_the_dialects_of_the_sources_at_once(weir):
    """D13, S3-26: each event, pushed once, reaches clients of all three dialects, each in the shape of its source."""
    w = weir(BASE)
    push(w, [{"type": "sample", "key": "bore", "data": {"characteristic_id": 1, "value": 9.5}}])

    async def go():
        async with connect(w) as analytics, connect(w, "/ws") as spc, connect(w, "/feed/s") as broadcast:
            assert (await ask(analytics, {"type": "subscribe", "data": {"type": "events", "stream": "s"}}))["type"] == "subscribed"
            assert (await ask(spc, {"type": "subscribe", "characteristic_ids": [1]}))["type"] == "subscribed"
            assert (await take(broadcast))["type"] == "welcome"
            await asyncio.to_thread(push, w, [{"type": "sample", "key": "bore", "data": {"characteristic_id": 1, "value": 10.5}}])
            assert (await take(analytics))["data"]["event"]["payload"]["value"] == 10.5
            told = await take(spc)
            assert told["type"] == "sample" and told["payload"]["characteristic_id"] == 1
            assert "10.5" in json.dumps(await take(broadcast))

    asyncio.run(go())


def test_only_type_is_required_and_unknown_members_are_ignored_and_counted(weir):
    """C-43: a bare envelope is enough, and what a newer client adds to it does no harm and is seen in the metrics."""
    w = weir(BASE)

    async def go():
        async with connect(w) as ws:
            assert (await ask(ws, {"type": "ping"}))["type"] == "pong"
            before = counter(w, "weir_gateway_ignored_members_total")
            assert (await ask(ws, {"type": "resume_token", "trace": "x", "priority": 3}))["type"] == "resume_token"
            assert counter(w, "weir_gateway_ignored_members_total") == before + 2

    asyncio.run(go())


def test_an_event_with_a_date_reaches_its_subscriber_and_the_confirmation_says_what_was_taken(weir):
    """S4-R1, S4-R3, S4-R9, S4-R10: times go out with their zone whatever zone they came with, under the id that the confirmation named."""
    w = weir(BASE)

    async def go():
        async with connect(w) as ws:
            confirmed = await ask(ws, {"type": "subscribe", "data": {"type": "events", "filters": {"event_type": "user_action"}}})
            assert confirmed["type"] == "subscribed" and confirmed["data"]["filters"] == {"event_type": "user_action"}
            name = confirmed["data"]["subscription_id"]
            await asyncio.to_thread(push, w, [{"type": "user_action", "time": "2024-01-01T12:00:00.5+02:00", "data": {"user_id": "u1", "at": "2024-01-01"}}])
            told = await take(ws)
            assert told["type"] == "data" and told["subscription_id"] == name
            assert told["data"]["event"]["timestamp"] == "2024-01-01T10:00:00.500Z" and told["timestamp"].endswith("Z")
            assert told["data"]["event"]["payload"]["at"] == "2024-01-01"
            ended = await ask(ws, {"type": "unsubscribe", "data": {"subscription_id": name}})
            assert ended["type"] == "unsubscribed"
            again = await ask(ws, {"type": "unsubscribe", "data": {"subscription_id": name}})
            assert again["type"] == "error" and "not found" in again["data"]["error"].lower()

    asyncio.run(go())


def test_messages_are_compressed_for_those_who_ask_for_it(weir):
    """S3-29, C-28: permessage-deflate is agreed to with a foreign client, what it reads is what others read, and far fewer bytes go out."""
    w = weir(BASE)
    text = "the same words again and again, " * 200

    async def go():
        async def bytes_of(compression, *extensions):
            before = counter(w, "weir_gateway_bytes_sent_total")
            async with websockets.connect(w.ws("/"), compression=compression, extensions=extensions or None, ping_interval=None, open_timeout=DEADLINE) as ws:
                assert ("deflate" in ws.response_headers.get("Sec-WebSocket-Extensions", "")) == (compression == "deflate" or bool(extensions))
                assert (await ask(ws, {"type": "subscribe", "data": {"type": "events", "stream": "s"}}))["type"] == "subscribed"
                await asyncio.to_thread(push, w, [{"data": {"text": text}}] * 10)
                for _ in range(10):
                    assert (await take(ws))["data"]["event"]["payload"]["text"] == text
            return counter(w, "weir_gateway_bytes_sent_total") - before

        push(w, [{"data": {}}])
        plain, packed = await bytes_of(None), await bytes_of("deflate")
        small = await bytes_of(None, ClientPerMessageDeflateFactory(server_max_window_bits=9))  # has a compressor of its own kind
        assert packed * 3 < plain and small * 3 < plain, (packed, small, plain)

    asyncio.run(go())


def test_statistics_have_the_fields_of_the_source_and_nothing_of_a_client_stays_behind(weir):
    """S4-28 to S4-30, S3-35: connections, rates and messages are counted; clients that are gone, cleanly or not, leave no session and no subscription."""
    w = weir(BASE)
    push(w, [{"data": {}}])

    async def go():
        sockets = []
        for n in range(20):
            ws = await connect(w)
            assert (await ask(ws, {"type": "subscribe", "data": {"type": "events", "filters": {"payload.n": n % 5}}}))["type"] == "subscribed"
            sockets.append(ws)
        during = w.get("/stats")
        assert {"is_running", "active_clients", "total_connections", "total_subscriptions", "messages_sent", "messages_received", "config"} <= set(during)
        assert {"host", "port", "max_connections", "require_auth"} <= set(during["config"]) and during["config"]["port"] == w.port
        assert during["is_running"] is True and during["active_clients"] == 20 and during["total_connections"] >= 20
        assert during["total_subscriptions"] == 20 and during["messages_received"] >= 20
        for n, ws in enumerate(sockets):
            if n % 2:
                ws.transport.abort()
            else:
                await ws.close()
        await asyncio.to_thread(until, lambda: w.get("/stats")["active_clients"] == 0, "nobody is left")
        assert w.get("/stats")["total_subscriptions"] == 0 and w.get("/stats")["queued"] == 0

    asyncio.run(go())
