"""Forecasts of windows, live: pushed with their score, exactly once over kill -9, beside those of an outside model."""
import asyncio
import json
import math
import time
import zlib

import websockets

from conftest import DEADLINE, until

CONFIG = """
[log]
path = "@FOLDER@/data"
durability = "process"
[gateway]
port = @PORT@
enable_rate_limiting = false
[windows.1s]
stream = "line"
value = "/v"
size = "1s"
lateness = "60s"
[forecasts.soon]
window = "1s"
horizon = 4
season = "12s"
"""

START = 1_771_322_400  # 2026-02-17T10:00:00Z


def at(second):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(START + second))


def value(second):
    """A season of twelve seconds and something that no model knows."""
    noise = zlib.crc32(str(second).encode()) % 1000 / 100
    return round(50 + 30 * math.sin(second * math.pi / 6) + noise, 3)


def push(w, seconds):
    """Readings with times of their own, so that each run is the same one; a window closes when the times have moved on by its lateness."""
    batch = [{"id": f"r{s}-{k}", "key": f"K{k}", "time": at(s), "type": "reading", "data": {"v": value(s) + 10 * k}} for s in seconds for k in range(2)]
    status, answer = w.post("/api/v1/streams/line/events", batch)
    assert status == 200 and not answer["rejected"], answer


def made_until(w, second):
    """Waits for the prediction that the window of this second gives to both keys."""
    return until(lambda: {(e["key"], e["data"]["from"]["start"]) for e in w.events("predictions") if e["data"]["name"] == "soon"} >= {("K0", at(second)), ("K1", at(second))},
                 f"predictions from {at(second)}")


async def subscribed(w, collect):
    """Predictions over the socket until both keys' newest windows are there."""
    async with websockets.connect(w.ws("/stream")) as socket:
        await socket.send(json.dumps({"type": "subscribe", "data": {"type": "predictions", "since": {"predictions": {"epoch": w.get("/api/v1/streams/predictions")["epoch"], "seq": 0}}}}))
        while True:
            message = json.loads(await asyncio.wait_for(socket.recv(), DEADLINE))
            assert message["type"] != "error", message
            if message["type"] == "subscribed":
                assert "producer" not in message["data"], "the forecasts are configured, so there is a producer"
            if message["type"] == "data" and collect(message):
                return


def test_predictions_are_pushed_with_their_score_and_each_step_is_scored_once_over_kills(weir):
    """D16, S4-R2. Windows of a pushed stream are forecast; the subscription brings interval, naive forecast and score; kill -9 changes nothing."""
    seconds = range(0, 360, 12)
    quiet = weir(CONFIG, name="quiet")
    killed = weir(CONFIG, name="killed")
    for n, first in enumerate(seconds):
        push(quiet, range(first, first + 12))
        push(killed, range(first, first + 12))
        if n % 7 == 6:
            killed.kill()
            killed.start()
    # The watermark is 60 s behind the newest reading: the last window that it has passed.
    last = 360 - 1 - 60 - 1
    made_until(quiet, last)
    made_until(killed, last)

    def told(w):
        got = {}

        def collect(message):
            assert message["metadata"]["seq"] not in got, "a seq came twice"
            got[message["metadata"]["seq"]] = message["data"]["prediction"]
            return {(p["key"], p["from"]["start"]) for p in got.values()} >= {("K0", at(last)), ("K1", at(last))}

        asyncio.run(subscribed(w, collect))
        return got

    expected, found = told(quiet), told(killed)
    assert list(found) == list(range(1, len(found) + 1)), "the sequence goes on without holes"
    # What a window says of when it closed is the clock's; all else is the same to the last digit.
    def facts(predictions):
        rows = {}
        for p in predictions.values():
            if p["key"] in ("K0", "K1") and p["from"]["start"] <= at(last):
                row = (p["key"], p["from"]["start"])
                assert row not in rows, f"{row} was forecast twice"
                rows[row] = json.dumps({name: part for name, part in p.items() if name != "made_at"}, sort_keys=True)
        return rows

    assert facts(found) == facts(expected)
    assert len(facts(found)) == 2 * (last + 1)

    series = [p for p in found.values() if p["key"] == "K1"]
    assert series[0]["model"] == "naive" and series[0]["lower"] is None and series[0]["score"]["n"] == 0
    for before, after in zip(series, series[1:]):
        assert 0 <= after["score"]["total"] - before["score"]["total"] <= 4, "each outcome is scored once, with the four forecasts for it"
    end = series[-1]
    assert end["score"]["total"] == 4 * (len(series) - 1) - 6
    assert end["name"] == "soon" and end["stream"] == "line.1s" and end["model"] == "ensemble"
    assert end["steps"][0]["target"] == end["target"] == at(last + 1) and len(end["steps"]) == 4
    assert all(s["lower"] < s["value"] < s["upper"] and abs(s["naive"] - end["from"]["value"]) < 0.1 for s in end["steps"]), "rounded as forecasts are"
    assert end["score"]["mase"] < min(end["score"]["naive_mase"], end["score"]["seasonal_naive_mase"])
    assert 0.8 <= end["score"]["coverage"] <= 1
    assert abs(sum(end["weights"].values()) - 1) < 0.01


def test_predictions_of_an_outside_model_are_pushed_and_delivered_beside_weirs_own(weir):
    """D16, S4-1. A model elsewhere pushes to the stream `predictions`; subscribers of predictions get what it says, by name if they like."""
    w = weir(CONFIG)
    prediction = {"name": "lstm", "model": "lstm-3", "target": at(90), "value": 42, "lower": 40, "upper": 44}
    status, answer = w.post("/api/v1/streams/predictions/events", {"type": "prediction", "key": "K0", "time": at(60), "data": prediction})
    assert status == 200 and answer["accepted"] == 1, answer
    push(w, range(0, 70))
    made_until(w, 5)
    names = [e["data"]["name"] for e in w.events("predictions")]
    assert names.count("lstm") == 1 and names.count("soon") >= 12

    async def by_name():
        async with websockets.connect(w.ws("/stream")) as socket:
            await socket.send(json.dumps({"type": "subscribe", "data": {"type": "predictions", "filters": {"name": "lstm"}, "last": 10}}))
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), DEADLINE))
                if message["type"] == "data":
                    return message

    message = asyncio.run(by_name())
    assert message["data"]["prediction"] == prediction
    assert message["data"]["subscription_type"] == "predictions"
