"""From a live feed to the log, the windows, the files and the clients: weir's main job, with peers that we did not write."""
import asyncio
import gzip
import json
import pathlib

import websockets

from conftest import until

CONFIG = """
[log]
path = "@FOLDER@/data"
durability = "process"

[gateway]
port = @PORT@

[feeds.pools]
stream = "pools"
interval = "1s"
[[feeds.pools.sources]]
kind = "websocket"
url = "@URL@"
open_message = "all"
[feeds.pools.decode]
key = ["/uid"]
value = ["/currentfill"]
time = ["/time"]
id = "/id"
numeric_text = true

[windows.1min]
stream = "pools"
value = "/currentfill"
size = "1min"
lateness = "1s"

[stores.files]
kind = "folder"
path = "@FOLDER@/blobs"
"""


def reading(n, second, value, uid="SSD-7", minute=0):
    return {"id": f"r{n}", "uid": uid, "name": "Hallenbad", "freespace": 10, "maxspace": 200, "currentfill": str(value),
            "time": f"2026-02-17T10:{minute:02d}:{second:02d}Z"}


def test_a_reading_reaches_log_windows_files_and_clients(weir, feed_server):
    """S0-2, S0-R2 (opening text), S0-R3 (array, text numbers), C-7 (zero is a reading), S0-29, S1-17, S2-R1.

    S1-3, S1-4, C-14: a reading is in the log and with the clients before its window is over. C-4, S1-5: one connection outlives the
    windows. C-10: times are UTC with Z. C-12, C-37."""
    server = feed_server()
    w = weir(CONFIG.replace("@URL@", server.url()))
    until(lambda: server.clients, "weir is connected and has sent its text")
    assert server.opened == ["all"]

    async def watch():
        async with websockets.connect(w.ws("/feed/pools")) as raw, websockets.connect(w.ws("/")) as analytics:
            welcome = json.loads(await raw.recv())
            assert welcome["type"] == "welcome" and welcome["total_users_streamed"] == 0
            await analytics.send(json.dumps({"type": "subscribe", "data": {"type": "aggregations", "filters": {"payload.key": "SSD-7"}}}))
            assert json.loads(await analytics.recv())["type"] in ("subscribed", "data")
            loop = asyncio.get_running_loop()
            values = [0, 0, 5, 7]
            await loop.run_in_executor(None, lambda: [server.send([reading(i, 10 * i, v), reading(100 + i, 10 * i, 1, uid="SSD-4")]) for i, v in enumerate(values)])
            records = [json.loads(await raw.recv()) for _ in range(8)]
            # A later reading moves the watermark past the window's end and its lateness.
            await loop.run_in_executor(None, lambda: server.send([reading(50, 5, 9, minute=1), reading(150, 5, 9, uid="SSD-4", minute=1)]))
            window = json.loads(await asyncio.wait_for(analytics.recv(), 60))
            return records, window

    records, window = asyncio.run(watch())
    assert [r["stream_sequence"] for r in records] == list(range(1, 9))
    assert [r["currentfill"] for r in records if r["uid"] == "SSD-7"] == [0, 0, 5, 7]
    assert all("server_timestamp" in r and "type" not in r for r in records)
    assert window["type"] == "data" and window["data"]["subscription_type"] == "aggregations"

    name = w.get("/api/v1/windows")["windows"][0]["name"]
    found = until(lambda: [x for x in w.get(f"/api/v1/windows/{name}?key=SSD-7&limit=10")["results"] if x["window"]["start"] == "2026-02-17T10:00:00.000Z"], "the window is there")
    statistics = found[0]["statistics"]
    assert (statistics["count"], statistics["min"], statistics["max"], statistics["avg"], statistics["median"]) == (4, 0, 7, 3, 2.5)
    assert found[0]["coverage"]["received"] == 4 and found[0]["coverage"]["complete"] is False

    blobs = pathlib.Path(w.folder / "blobs")
    raw_file = blobs / "raw-events/SSD-7/2026-02-17/10-00-to-10-01.json.gz"
    until(raw_file.exists, "the raw file is there")
    document = json.loads(gzip.decompress(raw_file.read_bytes()))
    assert document["key"] == "SSD-7" and document["window"]["start"] == "2026-02-17T10:00:00.000Z"
    until((blobs / "summaries/SSD-7/2026-02-17/10-00.json").exists, "the summary is there")
    assert all(r["server_timestamp"].endswith("Z") for r in records)
    assert server.connections == 1
    assert w.stop() == 0


def test_a_second_start_goes_on_where_the_first_stopped(weir, feed_server):
    server = feed_server()
    w = weir(CONFIG.replace("@URL@", server.url()))
    until(lambda: server.clients, "connected")
    for i in range(10):
        server.send([reading(i, i, i)])
    until(lambda: w.head("pools") == 10, "ten readings are in the log")
    before = w.events("pools")
    assert w.stop() == 0
    w.start()
    assert w.events("pools") == before
    until(lambda: server.clients, "connected again")
    server.send([reading(3, 3, 3), reading(10, 10, 10)])  # r3 is known already
    until(lambda: w.head("pools") == 11, "the new reading is there, the repeated one is not twice")
    assert [e["id"] for e in w.events("pools")] == [f"r{i}" for i in range(11)]


def test_bad_messages_are_counted_and_end_nothing(weir, feed_server):
    """S0-18, S0-19, S0-21, S0-22, S1-12: what is wrong is counted by reason, what is right beside it is kept."""
    server = feed_server()
    w = weir(CONFIG.replace("@URL@", server.url()))
    until(lambda: server.clients, "connected")
    server.send("this is not JSON")
    server.send([{"uid": "SSD-1", "name": "no number", "id": "x1"}])
    server.send([{"uid": "SSD-1", "currentfill": "n/a", "id": "x2"}, reading(1, 1, 45)])
    server.send([{"uid": "SSD-1", "currentfill": None, "id": "x3"}])
    server.send([])
    server.send({"error": "unavailable"})
    server.send([reading(2, 2, 46)])
    until(lambda: w.head("pools") == 2, "both good readings are in the log")
    feed = until(lambda: next((f for f in w.get("/api/v1/feeds")["feeds"] if sum(f["rejected"].values()) >= 5), None), "five rejections are counted")
    assert feed["name"] == "pools" and feed["state"] == "live"
    assert server.connections == 1


def test_a_closed_upstream_is_tried_again_with_patience(weir, feed_server):
    """C-17, S0-R12: after a closed socket there is at most one line a second, and the feed comes back by itself."""
    server = feed_server()
    w = weir(CONFIG.replace("@URL@", server.url()))
    until(lambda: server.clients, "connected")
    server.send([reading(1, 1, 1)])
    until(lambda: w.head("pools") == 1, "first reading")
    port = server.port
    server.stop()
    until(lambda: w.get("/api/v1/feeds")["feeds"][0]["state"] in ("down", "degraded", "stale"), "the feed is seen to be down")
    # S0-24: a refused connection names the URL, and ends nothing.
    until(lambda: server.url() in w.diagnostics() and "refused" in w.diagnostics(), "the refused connection is told")
    again = feed_server(port=port)
    until(lambda: again.clients, "weir came back by itself")
    again.send([reading(2, 2, 2)])
    until(lambda: w.head("pools") == 2, "second reading")
    until(lambda: w.get("/api/v1/feeds")["feeds"][0]["state"] == "live", "live again")
    # The limit itself is held by src/feeds/feed_test.cc on a clock of its own; lines a second apart never share one.
    lines = [line for line in w.diagnostics().splitlines() if "pools" in line and (" warn" in line or " error" in line)]
    assert lines and len({line[:19] for line in lines}) == len(lines), lines
