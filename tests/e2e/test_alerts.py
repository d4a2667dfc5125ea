"""Alerts of a real weir: over REST, to subscribers of the analytics dialect, over kill -9 (D15, S4-R14)."""
import asyncio
import csv
import datetime
import gzip
import json
import subprocess

import websockets

from conftest import BINARY, DEADLINE, ROOT, until
from test_auth import ADMIN, tokens
from test_auth import request as as_token
from test_spc import request

RECORDED = """
[log]
path = "@FOLDER@/data"
durability = "process"
[gateway]
port = @PORT@
page = false
[feeds.pools]
[[feeds.pools.sources]]
kind = "replay"
file = "@FILE@"
speed = 0
[feeds.pools.decode]
value = ["/occupancy"]
time = ["/timestamp"]
[alerts.crowded]
stream = "pools"
level = 100
clear = 90
for = "1min"
[alerts.silent]
stream = "pools"
kind = "silence"
for = "10min"
per_key = false
"""

CONFIG = """
[log]
path = "@FOLDER@/data"
durability = "process"
[gateway]
port = @PORT@
page = false
[alerts.full]
stream = "pools"
value = "/fill"
level = 100
clear = 90
severity = "critical"
title = "{/name} is full"
labels = { team = "pools" }
[alerts.silent]
kind = "silence"
stream = "beats"
for = "1s"
per_key = false
[alerts.spc]
kind = "violation"
[[characteristics]]
id = 1
name = "Bore"
centre = 10
sigma = 1
"""


def reading(weir, fill, key="A"):
    return weir.post("/api/v1/streams/pools/events", {"key": key, "data": {"fill": fill, "name": f"Pool {key}"}})


def alerts(weir, state="open", **more):
    query = "".join(f"&{name}={value}" for name, value in more.items())
    answer = weir.get(f"/api/v1/alerts?state={state}{query}")
    assert answer["complete"] is True and answer["reason_codes"]["false_alarm"] == "False alarm"
    return answer["alerts"]


def test_an_alert_fires_is_acknowledged_shelved_and_resolved_before_the_eyes_of_a_subscriber(weir):
    """D15, S4-R14, S4-5: live over the gateway and over REST, and the same in both."""
    w = weir(CONFIG)

    async def run():
        loop = asyncio.get_running_loop()

        def do(*call):
            return loop.run_in_executor(None, *call)

        async with websockets.connect(w.ws("/stream")) as socket:
            async def told():
                while True:
                    message = json.loads(await asyncio.wait_for(socket.recv(), DEADLINE))
                    if message["type"] == "event" or "alert" in message.get("data", {}):
                        alert = message["data"]["alert"]["payload"] if "payload" in message["data"]["alert"] else message["data"]["alert"]
                        if alert["rule"] == "full":
                            return alert

            await socket.send('{"type":"subscribe","data":{"type":"alerts","stream":"alerts"}}')
            await asyncio.wait_for(socket.recv(), DEADLINE)
            for fill in (50, 99, 101, 99, 102, 95, 91):
                await do(reading, w, fill)
            alert = await told()
            assert (alert["state"], alert["title"], alert["severity"], alert["value"], alert["threshold"]) == ("firing", "Pool A is full", "critical", 101, 100)
            assert alert["labels"] == {"team": "pools"} and alert["message"] == "101 is above 100"
            path = f"/api/v1/alerts/{alert['id']}"
            listed, = await do(lambda: alerts(w, rule="full"))
            assert listed == alert == await do(w.get, path)
            assert await do(lambda: alerts(w, rule="other")) == [] and await do(lambda: alerts(w, "resolved", rule="full")) == []

            status, answer = await do(request, w, "POST", path + "/acknowledge", {"user": "ann", "reason_code": "nonsense"})
            assert (status, answer["error"]["code"]) == (422, "bad_command") and "false_alarm" in answer["error"]["detail"]
            status, answer = await do(request, w, "POST", path + "/acknowledge", {"user": "ann", "reason": "on it"})
            assert status == 200 and (answer["acknowledged"], answer["ack_user"], answer["ack_reason"]) == (True, "ann", "on it")
            alert = await told()
            assert alert["change"] == "acknowledged" and alert["ack_user"] == "ann"
            status, answer = await do(request, w, "POST", path + "/acknowledge", {"user": "bob", "reason": "me too"})
            assert (status, answer["error"]["code"]) == (409, "already_acknowledged") and "ann" in answer["error"]["detail"]

            # Commands come over the same WebSocket too.
            await socket.send(json.dumps({"type": "publish", "data": {"stream": "alert.in", "events": [{"type": "shelve", "data": {"alert_id": alert["id"], "user": "ann", "for": "1h", "reason": "filter"}}]}}))
            alert = await told()
            assert alert["change"] == "shelved" and alert["shelf_reason"] == "filter"
            status, answer = await do(request, w, "POST", path + "/unshelve", {"user": "ann"})
            assert status == 200 and (await told())["change"] == "unshelved"
            status, answer = await do(request, w, "POST", path + "/unshelve", {"user": "ann"})
            assert (status, answer["error"]["code"]) == (409, "not_shelved")

            await do(reading, w, 90)
            alert = await told()
            assert alert["state"] == "resolved" and alert["duration_seconds"] > 0 and alert["acknowledged"] is True
            assert await do(lambda: alerts(w, rule="full")) == [] and [a["id"] for a in await do(lambda: alerts(w, "all", key="A"))] == [alert["id"]]
            status, answer = await do(request, w, "GET", "/api/v1/alerts/none")
            assert (status, answer["error"]["code"]) == (404, "unknown_alert")
            status, answer = await do(request, w, "GET", "/api/v1/alerts?state=odd")
            assert (status, answer["error"]["code"]) == (400, "bad_request")

    asyncio.run(run())


def test_alerts_outlive_kill_9_and_no_change_of_them_is_told_twice_or_never(weir):
    """D15: state and output are checkpointed with the input's position."""
    w = weir(CONFIG)
    reading(w, 150)
    fired, = until(lambda: alerts(w, rule="full"), "it fires")
    assert request(w, "POST", f"/api/v1/alerts/{fired['id']}/acknowledge", {"user": "ann", "reason": "seen"})[0] == 200
    for turn in range(3):
        w.kill()
        w.start()
        still, = until(lambda: alerts(w, rule="full"), "it is there again")
        assert (still["id"], still["state"], still["ack_user"]) == (fired["id"], "firing", "ann")
        reading(w, 120 + turn)
    reading(w, 10)
    until(lambda: alerts(w, "resolved", rule="full"), "it is resolved")
    page = w.get("/api/v1/streams/alerts/events?limit=1000")["events"]
    assert [event["data"]["change"] for event in page if event["data"]["rule"] == "full"] == ["firing", "acknowledged", "resolved"]
    assert len({event["id"] for event in page}) == len(page)


def test_a_rule_that_is_changed_ends_its_alerts_and_one_that_is_wrong_stops_the_start(weir):
    """D15: rules stand in the log before what they judge."""
    w = weir(CONFIG)
    reading(w, 150)
    fired, = until(lambda: alerts(w, rule="full"), "it fires")
    w.stop()
    w.config.write_text(w.config.read_text().replace("level = 100", "level = 120"))
    w.start()
    ended = until(lambda: [a for a in alerts(w, "resolved", rule="full") if a["id"] == fired["id"]], "the changed rule's alert ends")[0]
    assert ended["message"] == "its rule was changed or removed"
    reading(w, 110)
    reading(w, 121)
    again, = until(lambda: alerts(w, rule="full"), "the new rule fires")
    assert again["threshold"] == 120 and again["value"] == 121


def test_silence_and_violations_fire_and_end(weir):
    """D15: absence of data, by the clock; SPC violation, until it is acknowledged."""
    w = weir(CONFIG)
    silent, = until(lambda: alerts(w, rule="silent"), "nothing has come")
    assert silent["message"].startswith("nothing since ") and silent["value"] is None
    w.post("/api/v1/streams/beats/events", {"key": "x", "data": {}})
    until(lambda: [a for a in alerts(w, "resolved", rule="silent") if a["id"] == silent["id"]], "a sign of life ends it")
    until(lambda: alerts(w, rule="silent"), "and silence begins again")

    assert request(w, "POST", "/api/v1/samples", {"characteristic_id": 1, "value": 99})[0] == 200
    violation, = until(lambda: alerts(w, rule="spc"), "the violation fires")
    assert violation["key"] == "1" and violation["value"] == 1
    open_one = w.get("/api/v1/violations")["violations"][0]["violation_id"]
    assert request(w, "POST", f"/api/v1/violations/{open_one}/acknowledge", {"user": "ann", "reason": "tool"})[0] == 200
    until(lambda: not alerts(w, rule="spc"), "its acknowledgement ends it")


def test_who_may_acknowledge_and_shelve_and_in_whose_name(weir):
    """D15, D7: `acknowledge` is needed, by REST and by events; the token's holder is the user; what a token does not see is not there."""
    w = weir(CONFIG + tokens(admin=ADMIN, ann="acknowledge = true\npublish = true", reader="", bob='acknowledge = true\nfilter = \'{"payload.key":"B"}\''))
    for key in ("A", "B"):
        assert as_token(w, "/api/v1/streams/pools/events", "admin-token", "POST", {"key": key, "data": {"fill": 150}})[0] == 200

    def listed(token, query=""):
        return json.loads(as_token(w, f"/api/v1/alerts{query}", token)[1])["alerts"]

    until(lambda: len(listed("admin-token", "?rule=full")) == 2, "both fire")
    ids = {alert["key"]: alert["id"] for alert in listed("admin-token", "?rule=full")}
    assert [alert["key"] for alert in listed("bob-token")] == ["B"]
    said = {"user": "somebody else", "reason": "seen"}

    def command(token, key, what="acknowledge", body=said):
        status, text, *_ = as_token(w, f"/api/v1/alerts/{ids[key]}/{what}", token, "POST", body)
        return status, json.loads(text)

    assert command("reader-token", "A")[0] == 403
    assert command("bob-token", "A")[1]["error"]["code"] == "unknown_alert"
    status, alert = command("bob-token", "B")
    assert (status, alert["ack_user"], alert["ack_on_behalf_of"]) == (200, "bob", "somebody else")
    status, alert = command("ann-token", "A", "shelve", {"for": "1h"})
    assert (status, alert["shelved_by"]) == (200, "ann")

    def pushed(token, kind, data):
        return as_token(w, "/api/v1/streams/alert.in/events", token, "POST", {"type": kind, "data": data})[0]

    assert pushed("reader-token", "acknowledge", {"alert_id": ids["A"], **said}) == 403
    assert pushed("bob-token", "acknowledge", {"alert_id": ids["A"], **said}) == 403
    assert pushed("ann-token", "put_rules", {"rules": []}) == 403
    assert pushed("ann-token", "acknowledge", {"alert_id": ids["A"], **said}) == 200
    until(lambda: listed("admin-token", "?rule=full&key=A")[0]["ack_user"] == "ann", "an event acknowledges too, in the name of its token's holder")
    assert as_token(w, "/api/v1/streams/alert.answers/events", "admin-token", "POST", {"data": {}})[0] == 403


def test_a_recording_gives_the_same_alerts_as_history_and_as_a_replay_and_those_are_right(weir, tmp_path):
    """D15, spec.md 8 (replay is deterministic): SSD-7 as it was recorded; what a plain loop over the file finds."""
    recording = ROOT / "tests/data/ssd7-5s.csv.gz"
    with gzip.open(recording, "rt") as lines:
        rows = [(datetime.datetime.fromisoformat(row["timestamp"]), float(row["occupancy"])) for row in csv.DictReader(lines)]
    expected, since, firing = [], None, None
    for at, value in rows:
        holds = value > (90 if since else 100)
        if since and not firing and at - since >= datetime.timedelta(minutes=1):
            firing = since + datetime.timedelta(minutes=1)
        if holds and not since:
            since = at
        if not holds and firing:
            expected.append((firing, at))
        if not holds:
            since = firing = None
    assert len(expected) > 3

    def crowded(w):
        time = lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return [(time(a["triggered_at"]), time(a["resolved_at"])) for a in reversed(w.get("/api/v1/alerts?state=resolved&rule=crowded")["alerts"])]

    replayed = weir(RECORDED.replace("@FILE@", str(recording)), name="replayed")
    until(lambda: crowded(replayed) == expected, "the replay found what there is")

    empty = tmp_path / "empty.csv"
    empty.write_text("timestamp,occupancy\n")
    w = weir(RECORDED.replace("@FILE@", str(empty)), name="imported", begin=False)
    subprocess.run([BINARY, "import", "-c", str(w.config), "--feed", "pools", str(recording)], check=True, timeout=DEADLINE, cwd=w.folder, capture_output=True)
    w.start()
    assert crowded(w) == expected
    # Time is the recording's there: what was not heard for ten minutes then is an alert then.
    pauses = [(b - a) for (a, _), (b, _) in zip(rows, rows[1:]) if b - a > datetime.timedelta(minutes=10)]
    silent = w.get("/api/v1/alerts?state=resolved&rule=silent")["alerts"]
    assert len(silent) == len(pauses) and [round(a["duration_seconds"]) for a in reversed(silent)] == [round((pause - datetime.timedelta(minutes=10)).total_seconds()) for pause in pauses]
