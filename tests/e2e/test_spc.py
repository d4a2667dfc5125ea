"""Control charts of a real weir: over REST, to subscribers of source 003's dialect, over kill -9."""
import asyncio
import json
import urllib.error
import urllib.request

import websockets

from conftest import DEADLINE, until
from test_auth import ADMIN, tokens
from test_auth import request as as_token

CONFIG = """
[log]
path = "@FOLDER@/data"
durability = "process"
[gateway]
port = @PORT@
page = false
[[characteristics]]
id = 1
name = "Bore"
centre = 10
sigma = 1
requires_ack = true
"""


def request(weir, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(weir.url(path), data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=DEADLINE) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def sample(weir, number, value, minute, characteristic=1):
    return weir.post("/api/v1/samples", {"characteristic_id": characteristic, "sample_id": number, "value": value, "timestamp": f"2026-02-02T12:{minute:02}:00Z"})


def test_samples_violations_and_acknowledgements_reach_subscribers_in_the_shapes_of_source_003(weir):
    """S3-5, S3-15 to S3-17, S3-21, S3-26, D8: each of the three interfaces triggers its push."""
    w = weir(CONFIG)
    until(lambda: w.get("/api/v1/characteristics")["characteristics"], "the configured characteristic is there")

    async def run():
        async with websockets.connect(w.ws("/ws")) as socket:
            async def message():
                return json.loads(await asyncio.wait_for(socket.recv(), DEADLINE))

            await socket.send('{"type":"subscribe","characteristic_ids":[1]}')
            assert await message() == {"type": "subscribed", "characteristic_ids": [1]}
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, sample, w, 122, 10.5, 0) == (200, {"accepted": 1, "duplicates": 0, "rejected": []})
            told = await message()
            assert told["type"] == "sample"
            assert told["payload"] == {"sample_id": 122, "characteristic_id": 1, "timestamp": "2026-02-02T12:00:00Z", "value": 10.5, "zone": "zone_c_upper", "in_control": True}
            assert (await loop.run_in_executor(None, sample, w, 123, 14.0, 1))[0] == 200
            assert (await message())["payload"]["in_control"] is False
            told = await message()
            violation = told["payload"]["violation_id"]
            assert told["type"] == "violation"
            assert told["payload"] == {"violation_id": violation, "characteristic_id": 1, "sample_id": 123, "rule_id": 1, "rule_name": "One point beyond 3 sigma", "severity": "CRITICAL"}
            assert told["details"]["samples"][0]["values"] == [14.0] and told["details"]["limits"]["version"] == 1
            assert told["details"]["requires_ack"] is True

            ack = {"user": "operator1", "reason": "Process adjusted"}
            status, answer = await loop.run_in_executor(None, request, w, "POST", f"/api/v1/violations/{violation}/acknowledge", ack)
            assert (status, answer["acknowledged"]) == (200, [violation])
            told = await message()
            assert told["type"] == "ack_update"
            assert told["payload"] == {"violation_id": violation, "characteristic_id": 1, "acknowledged": True, "ack_user": "operator1", "ack_reason": "Process adjusted"}
            status, answer = await loop.run_in_executor(None, request, w, "POST", f"/api/v1/violations/{violation}/acknowledge", ack)
            assert (status, answer["error"]["code"]) == (409, "already_acknowledged")

            # A typing error: the violation falls away, and the record of it stays (D9).
            status, answer = await loop.run_in_executor(None, request, w, "PATCH", "/api/v1/samples/1/123", {"value": 10.4})
            assert status == 200 and answer["in_control"] is True
            assert (await message())["payload"]["value"] == 10.4
            told = await message()
            assert told["type"] == "violation_withdrawn" and told["payload"]["violation_id"] == violation and told["payload"]["acknowledged"] is True

    asyncio.run(run())
    one = w.get("/api/v1/violations?state=withdrawn")["violations"]
    assert [v["ack_user"] for v in one] == ["operator1"]
    assert w.get("/api/v1/violations")["violations"] == []


def test_characteristics_and_limits_over_rest_with_precise_errors(weir):
    """S3-20, S3-R12, S3-R13: what cannot be is refused with what was found and what is allowed."""
    w = weir(CONFIG)
    until(lambda: w.get("/api/v1/characteristics")["characteristics"], "the configured characteristic is there")
    assert request(w, "POST", "/api/v1/characteristics", {"id": 2, "chart": "i_mr", "phase1": {"samples": 0}})[0] == 201
    status, answer = request(w, "POST", "/api/v1/characteristics", {"id": 2})
    assert (status, answer["error"]["code"]) == (409, "characteristic_exists")
    status, answer = request(w, "POST", "/api/v1/characteristics", {"id": 3, "chart": "pie"})
    assert status == 422 and answer["error"]["code"] == "bad_characteristic" and "xbar_r" in answer["error"]["detail"]
    assert request(w, "PATCH", "/api/v1/characteristics/2", {"name": "Shaft", "spec": {"lsl": 4, "target": 0}})[0] == 200
    assert w.get("/api/v1/characteristics/2")["name"] == "Shaft"
    assert request(w, "GET", "/api/v1/characteristics/9")[0] == 404
    assert request(w, "DELETE", "/api/v1/violations")[0] == 405
    status, answer = w.post("/api/v1/samples", [{"characteristic_id": 2, "value": v} for v in (10, None, 11, 9, "x")] + [{"characteristic_id": 9, "value": 1}, {"value": 1}])
    assert status == 200 and answer["accepted"] == 3
    assert {(r["index"], r["code"]) for r in answer["rejected"]} == {(1, "bad_command"), (4, "not_a_number"), (5, "unknown_characteristic"), (6, "bad_sample")}
    status, answer = request(w, "POST", "/api/v1/characteristics/2/limits", {"dry_run": True})
    assert status == 201 and answer["version"] is None and answer["centre"] == 10
    status, answer = request(w, "POST", "/api/v1/characteristics/2/limits", {"limits": {"centre": 10, "sigma": 0}})
    assert (status, answer["error"]["code"]) == (422, "limits_not_usable")
    status, answer = request(w, "POST", "/api/v1/characteristics/2/limits", {"limits": {"centre": 0, "sigma": 1}, "apply_from": "2026-01-01T00:00:00Z"})
    assert status == 201 and answer["version"] == 2
    assert [v["centre"] for v in w.get("/api/v1/characteristics/2/limits")["limits_versions"]] == [None, 0]
    assert w.get("/api/v1/characteristics/2/capability")["cp_l"]["value"] > 0
    # Without times they stand in the order in which they were sent.
    assert [s["value"] for s in w.get("/api/v1/samples?characteristic_id=2")["samples"]] == [10, 11, 9]
    # All of them lie far above 0 now: acknowledged at once, each once.
    status, answer = request(w, "POST", "/api/v1/violations/acknowledge", {"characteristic_id": 2, "user": "operator1", "reason_code": "setup"})
    assert status == 200 and len(answer["acknowledged"]) >= 1 and answer["refused"] == []
    assert w.get("/api/v1/violations?characteristic_id=2")["violations"] == []
    assert request(w, "DELETE", "/api/v1/characteristics/2")[0] == 200
    status, answer = sample(w, 1, 10, 0, characteristic=2)
    assert status == 422 and answer["rejected"][0]["code"] == "characteristic_retired"


def test_kill_9_loses_no_sample_and_no_acknowledgement(weir):
    """S3-8, D11: state rebuilds from the log; runs go on across the kill."""
    w = weir(CONFIG)
    until(lambda: w.get("/api/v1/characteristics")["characteristics"], "the configured characteristic is there")
    assert sample(w, 1, 13.5, 0)[0] == 200
    violation = w.get("/api/v1/violations")["violations"][0]["violation_id"]
    assert request(w, "POST", f"/api/v1/violations/{violation}/acknowledge", {"user": "operator1", "reason": "seen"})[0] == 200
    for i in range(8):
        assert sample(w, 10 + i, 10.3 + (i % 2) / 10, 1 + i)[0] == 200
    w.kill()
    w.start()
    assert request(w, "POST", f"/api/v1/violations/{violation}/acknowledge", {"user": "operator2", "reason": "mine"})[1]["error"]["code"] == "already_acknowledged"
    assert sample(w, 20, 10.3, 20)[0] == 200
    # Ten above the centre since the first: rule 2, found at the ninth.
    found = w.get("/api/v1/violations")["violations"]
    assert [v["rule_id"] for v in found] == [2] and len(found[0]["samples"]) == 9
    assert len(w.get("/api/v1/samples?characteristic_id=1")["samples"]) == 10
    ids = [e["id"] for stream in ("spc.samples", "spc.violations", "spc.characteristics", "spc.answers") for e in w.events(stream)]
    assert len(ids) == len(set(ids))


def test_a_token_does_over_rest_what_it_may_and_sees_what_is_inside_its_boundary(weir):
    """S3-28, spec.md 5: samples need `publish`, acknowledging `acknowledge`, characteristics and limits `administer`; what lies outside is not there."""
    bounded = """filter = '{"characteristic_id":1}'"""
    w = weir(CONFIG.replace("[[characteristics]]", tokens(admin=ADMIN, wall="", sensor="publish = true", near="publish = true\n" + bounded, operator="acknowledge = true\n" + bounded, keeper="publish = true\nacknowledge = true\n" + bounded, other="acknowledge = true\nstreams = [\"line\"]") + "[[characteristics]]"))

    def ask(token, method, path, body=None):
        status, text, _ = as_token(w, path, token + "-token", method, body)
        return status, json.loads(text)

    until(lambda: ask("admin", "GET", "/api/v1/characteristics")[1]["characteristics"], "the configured characteristic is there")
    two = {"id": 2, "limits": {"centre": 10, "sigma": 1}}
    for token in ("wall", "sensor", "operator"):
        status, answer = ask(token, "POST", "/api/v1/characteristics", two)
        assert status == 403 and answer["error"]["detail"] == "needs `administer`"
        for method, path, body in (("DELETE", "/api/v1/characteristics/1", None), ("PATCH", "/api/v1/characteristics/1", {"name": "mine"}), ("POST", "/api/v1/characteristics/1/limits", {})):
            assert ask(token, method, path, body)[0] == 403
    assert ask("admin", "POST", "/api/v1/characteristics", two)[0] == 201
    samples = [{"characteristic_id": c, "sample_id": i, "value": 14} for c in (1, 2) for i in (1,)]
    assert ask("wall", "POST", "/api/v1/samples", samples)[0] == 403
    assert ask("operator", "POST", "/api/v1/samples", samples)[0] == 403
    assert ask("sensor", "POST", "/api/v1/samples", samples)[1]["accepted"] == 2
    # No way around by events: what is a command needs what the command needs.
    forged = {"type": "retire_characteristic", "data": {"characteristic_id": 1}}
    assert ask("sensor", "POST", "/api/v1/streams/spc.in/events", forged)[0] == 403
    assert ask("admin", "POST", "/api/v1/streams/spc.violations/events", {"type": "violation", "data": {}})[0] == 403

    found = {v["characteristic_id"]: v["violation_id"] for v in ask("admin", "GET", "/api/v1/violations")[1]["violations"]}
    assert set(found) == {1, 2}
    assert [c["characteristic_id"] for c in ask("operator", "GET", "/api/v1/characteristics")[1]["characteristics"]] == [1]
    assert [v["characteristic_id"] for v in ask("operator", "GET", "/api/v1/violations")[1]["violations"]] == [1]
    assert ask("operator", "GET", "/api/v1/samples?characteristic_id=2")[1]["samples"] == []
    assert ask("operator", "GET", "/api/v1/characteristics/2")[0] == ask("operator", "GET", "/api/v1/characteristics/2/capability")[0] == 404
    assert ask("other", "GET", "/api/v1/characteristics")[1]["characteristics"] == [] and ask("other", "GET", "/api/v1/violations?state=all")[1]["violations"] == []
    ack = {"user": "operator1", "reason": "seen"}
    for token in ("wall", "sensor"):
        assert ask(token, "POST", f"/api/v1/violations/{found[1]}/acknowledge", ack)[0] == 403
    for token, which in (("operator", 2), ("other", 1)):
        status, answer = ask(token, "POST", f"/api/v1/violations/{found[which]}/acknowledge", ack)
        assert (status, answer["error"]["code"]) == (404, "unknown_violation")
    assert ask("operator", "POST", "/api/v1/violations/acknowledge", {"violation_ids": list(found.values()), **ack})[0] == 404
    assert ask("operator", "POST", "/api/v1/violations/acknowledge", {"characteristic_id": 2, **ack})[0] == 404
    assert ask("operator", "POST", "/api/v1/violations/acknowledge", {"characteristic_id": 1, **ack})[1]["acknowledged"] == [found[1]]
    assert ask("operator", "POST", "/api/v1/violations/acknowledge", {"characteristic_id": 1, **ack})[1]["acknowledged"] == []
    assert ask("operator", "PATCH", "/api/v1/samples/1/1", {"excluded": True})[0] == 403
    assert ask("near", "PATCH", "/api/v1/samples/2/1", {"excluded": True})[0] == 404
    assert ask("near", "PATCH", "/api/v1/samples/1/1", {"excluded": True})[0] == 200
    assert ask("sensor", "PATCH", "/api/v1/samples/2/1", {"value": 10})[0] == 200
    # Nor do events lead out of a boundary.
    for token, forged in (("near", {"type": "exclude_sample", "data": {"characteristic_id": 2, "sample_id": 1}}), ("keeper", {"type": "acknowledge", "data": {"violation_id": found[2], **ack}})):
        status, answer = ask(token, "POST", "/api/v1/streams/spc.in/events", forged)
        assert status == 403 and answer["error"]["detail"] == "needs `administer`"
    assert ask("near", "POST", "/api/v1/streams/spc.in/events", {"type": "put_sample", "data": {"characteristic_id": 1, "sample_id": 2, "value": 10}})[0] == 200


def test_a_retired_or_changed_characteristic_is_so_after_a_restart_and_configuration_does_not_bring_it_back(weir):
    """S3-26, D11: what was done over REST holds over restarts; the configuration speaks again when it changes."""
    w = weir(CONFIG)
    until(lambda: w.get("/api/v1/characteristics")["characteristics"], "the configured characteristic is there")
    assert request(w, "POST", "/api/v1/characteristics", {"id": 2, "name": "Shaft", "limits": {"centre": 5, "sigma": 1}})[0] == 201
    assert request(w, "PATCH", "/api/v1/characteristics/1", {"name": "Bore, station 2", "requires_ack": None})[0] == 200
    assert request(w, "DELETE", "/api/v1/characteristics/2")[0] == 200
    for end in (w.kill, w.stop):
        end()
        w.start()
        until(lambda: sample(w, 1, 10, 0)[0] == 200, "samples are judged")
        assert w.get("/api/v1/characteristics/1")["name"] == "Bore, station 2" and "requires_ack" not in w.get("/api/v1/characteristics/1")
        assert w.get("/api/v1/characteristics/2")["retired"] is True
        assert sample(w, 1, 10, 0, characteristic=2)[1]["rejected"][0]["code"] == "characteristic_retired"
    assert request(w, "PUT", "/api/v1/characteristics/2", {"name": "Shaft again", "limits": {"centre": 5, "sigma": 1}})[0] == 200
    # What was refused before is taken now, and again is the same.
    assert sample(w, 1, 10, 0, characteristic=2) == (200, {"accepted": 1, "duplicates": 0, "rejected": []})
    assert sample(w, 1, 10, 0, characteristic=2) == (200, {"accepted": 0, "duplicates": 1, "rejected": []})
    assert sample(w, 1, 11, 0, characteristic=2)[1]["rejected"][0]["code"] == "sample_exists"
    w.stop()
    w.config.write_text(w.config.read_text().replace('name = "Bore"', 'name = "Bore, new drawing"'))
    w.start()
    until(lambda: w.get("/api/v1/characteristics/1")["name"] == "Bore, new drawing", "the configuration changed")


def test_excluding_acknowledging_many_and_a_missed_collection_over_rest(weir):
    """S3-R12, D9: exclusion withdraws what it touches, and taking it back brings it again with its acknowledgement."""
    w = weir(CONFIG + "expected_every = \"1s\"\n")
    until(lambda: w.get("/api/v1/characteristics")["characteristics"], "the configured characteristic is there")
    status, answer = w.post("/api/v1/samples", [{"characteristic_id": 1, "sample_id": i, "value": v, "timestamp": f"2026-02-02T12:{i:02}:00Z"} for i, v in enumerate([14, 10, 15, 10, 6], start=1)])
    assert (status, answer["accepted"]) == (200, 5)
    found = {v["sample_id"]: v["violation_id"] for v in w.get("/api/v1/violations")["violations"] if v["rule_id"] == 1 and v["chart"] != "mr"}
    assert set(found) == {1, 3, 5}
    status, answer = request(w, "POST", "/api/v1/violations/acknowledge", {"violation_ids": [found[1], found[3], 77], "user": "operator1", "reason_code": "tool_wear"})
    assert status == 200 and answer["acknowledged"] == [found[1], found[3]] and [(r["violation_id"], r["code"]) for r in answer["refused"]] == [(77, "unknown_violation")]
    assert w.get(f"/api/v1/violations/{found[1]}")["ack_reason"] == "Tool wear"

    status, answer = request(w, "PATCH", "/api/v1/samples/1/3", {"excluded": True})
    assert (status, answer["excluded"]) == (200, True)
    assert w.get(f"/api/v1/violations/{found[3]}")["state"] == "withdrawn"
    assert request(w, "PATCH", "/api/v1/samples/1/3", {"excluded": False})[0] == 200
    back = w.get(f"/api/v1/violations/{found[3]}")
    assert (back["state"], back["ack_user"]) == ("acknowledged", "operator1")
    # An acknowledgement may leave the sample out at once.
    assert request(w, "POST", f"/api/v1/violations/{found[5]}/acknowledge", {"user": "operator1", "reason": "probe slipped", "exclude_sample": True})[0] == 200
    assert [s["sample_id"] for s in w.get("/api/v1/samples?characteristic_id=1")["samples"] if s["excluded"]] == [5]
    assert request(w, "PATCH", "/api/v1/samples/1/3", {"excluded": "yes"})[0] == 400
    assert request(w, "PATCH", "/api/v1/samples/1/99", {"excluded": True})[1]["error"]["code"] == "unknown_sample"

    missed = until(lambda: [e for e in w.events("spc.violations") if e["type"] == "collection_missed"], "nothing came for one and a half seconds")
    assert missed[0]["data"]["characteristic_id"] == 1 and missed[0]["data"]["expected_every"] == "1s"
    assert sample(w, 6, 10, 6)[0] == 200
    assert [e["type"] for e in w.events("spc.violations")].count("collection_resumed") >= 1


def test_samples_come_over_websocket_and_from_any_feed_whole_or_reading_by_reading(weir):
    """S3-26: a stream's field is a source; a client may publish samples; single readings become subgroups, over a kill too."""
    w = weir(CONFIG + """
[[characteristics]]
id = 2
chart = "xbar_r"
subgroup_size = 3
stream = "line"
value = "/diameter"
centre = 10
sigma = 1
""")
    until(lambda: len(w.get("/api/v1/characteristics")["characteristics"]) == 2, "the configured characteristics are there")
    assert w.post("/api/v1/streams/line/events", [{"id": f"r{i}", "data": {"diameter": 9 + i}} for i in range(2)])[0] == 200
    until(lambda: (w.get("/api/v1/characteristics/2")["gathering"] or {}).get("gathered") == 2, "a subgroup that is not complete is shown")
    gathering = w.get("/api/v1/characteristics")["characteristics"][1]["gathering"]
    assert (gathering["of"], gathering["values"]) == (3, [9, 10])
    w.kill()
    w.start()
    assert w.post("/api/v1/streams/line/events", {"id": "r2", "data": {"diameter": 11}})[0] == 200
    first = until(lambda: w.get("/api/v1/samples?characteristic_id=2")["samples"], "three readings are a sample")
    assert w.get("/api/v1/characteristics/2")["gathering"]["gathered"] == 0
    assert [s["values"] for s in first] == [[9, 10, 11]]

    async def publish():
        async with websockets.connect(w.ws("/stream")) as socket:
            data = {"stream": "spc.in", "events": [{"id": "over-ws", "type": "put_sample", "data": {"characteristic_id": 2, "sample_id": 5, "values": [10, 10, 10]}}]}
            await socket.send(json.dumps({"type": "publish", "data": data}))
            while json.loads(await asyncio.wait_for(socket.recv(), DEADLINE))["type"] != "published":
                pass

    asyncio.run(publish())
    until(lambda: [s for s in w.get("/api/v1/samples?characteristic_id=2")["samples"] if s["sample_id"] == 5], "a published sample is judged")


def test_samples_and_violations_of_long_ago_are_found_however_many_came_since(weir):
    """S3-R15, spec.md 3 (live and over REST): 210,000 newer samples lie between; pages go back to the first one, through samples of one time and one that was moved."""
    w = weir(CONFIG + """
[[characteristics]]
id = 2
chart = "individuals"
centre = 10
sigma = 1
rules = ["1"]
""")
    until(lambda: len(w.get("/api/v1/characteristics")["characteristics"]) == 2, "the configured characteristics are there")
    old = [{"characteristic_id": 2, "sample_id": i, "value": 10 + i / 100, "timestamp": "2020-01-01T00:00:00Z" if i < 15 else f"2020-01-02T00:00:{i:02}Z"} for i in range(1, 31)]
    old[6]["value"] = 99
    assert w.post("/api/v1/samples", old)[1]["accepted"] == 30
    assert request(w, "PATCH", "/api/v1/samples/2/30", {"timestamp": "2019-06-01T00:00:00Z"})[0] == 200
    violation = w.get("/api/v1/violations?characteristic_id=2")["violations"][0]["violation_id"]
    assert request(w, "POST", f"/api/v1/violations/{violation}/acknowledge", {"user": "operator1", "reason": "seen"})[0] == 200

    for batch in range(21):
        # Every tenth beyond the limit and back: as many events of violations, too.
        lines = "\n".join(json.dumps({"characteristic_id": 2, "value": 14 if i % 10 == 0 else 10, "timestamp": f"2026-02-{1 + batch:02}T{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z"}) for i in range(10_000))
        assert w.post("/api/v1/samples", lines, "application/x-ndjson")[1]["accepted"] == 10_000
    assert w.head("spc.samples") > 210_000

    answer = w.get("/api/v1/samples?characteristic_id=2&from=2019-01-01T00:00:00Z&to=2021-01-01T00:00:00Z")
    assert answer["complete"] is True and answer["earlier"] is None
    assert [s["sample_id"] for s in answer["samples"]] == [30, *range(1, 30)]
    # Page by page, whatever the page cuts in two.
    found, more = [], {"to": "2021-01-01T00:00:00Z", "before": 0}
    while more:
        answer = w.get(f"/api/v1/characteristics/2/samples?to={more['to']}&before={more['before']}&limit=4")
        assert answer["complete"] and len(answer["samples"]) <= 4
        found = [s["sample_id"] for s in answer["samples"]] + found
        more = answer["earlier"]
    assert found == [30, *range(1, 30)]
    # Where it moved from, it is not any more.
    assert [s["sample_id"] for s in w.get("/api/v1/samples?characteristic_id=2&from=2020-01-02T00:00:28Z&to=2020-01-03T00:00:00Z")["samples"]] == [28, 29]
    newest = w.get("/api/v1/samples?characteristic_id=2&limit=3")
    assert [s["timestamp"] for s in newest["samples"]] == [f"2026-02-21T02:46:{s}Z" for s in (37, 38, 39)] and newest["earlier"]["before"] == newest["samples"][0]["sample_id"]
    assert len(w.get("/api/v1/samples?characteristic_id=2&limit=10000")["samples"]) == 10_000

    old_ones = w.get("/api/v1/violations?state=all&characteristic_id=2&from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z")
    assert old_ones["complete"] is True
    assert [(v["violation_id"], v["state"], v["ack_user"]) for v in old_ones["violations"]] == [(violation, "acknowledged", "operator1")]
    assert w.get("/api/v1/violations?characteristic_id=2&limit=5")["complete"] is False
    # The other characteristic has said nothing since: it is found all the same.
    assert [c["characteristic_id"] for c in w.get("/api/v1/characteristics")["characteristics"]] == [1, 2]


def test_who_acknowledges_is_who_holds_the_token(weir):
    """S3-17, S3-28, S3-R12: the record has the token's holder, and whom the request named beside; over HTTP, in bulk, and as an event."""
    config = CONFIG.replace("[[characteristics]]", tokens(admin=ADMIN, operator="publish = true\nacknowledge = true") + "[[characteristics]]")
    w = weir(config)

    def ask(token, method, path, body=None):
        status, text, _ = as_token(w, path, token + "-token", method, body)
        return status, json.loads(text)

    until(lambda: ask("admin", "GET", "/api/v1/characteristics")[1]["characteristics"], "the configured characteristic is there")
    beyond = [{"characteristic_id": 1, "sample_id": i, "value": 14, "timestamp": f"2026-02-02T12:{i:02}:00Z"} for i in (1, 3, 5, 7)]
    back = [{**s, "sample_id": s["sample_id"] + 1, "value": 10, "timestamp": s["timestamp"].replace(":00Z", ":30Z")} for s in beyond]
    assert ask("operator", "POST", "/api/v1/samples", beyond + back)[1]["accepted"] == 8
    found = {v["sample_id"]: v["violation_id"] for v in ask("admin", "GET", "/api/v1/violations")[1]["violations"] if v["rule_id"] == 1 and v["chart"] != "mr"}
    assert set(found) == {1, 3, 5, 7}

    def record(sample):
        violation = ask("admin", "GET", f"/api/v1/violations/{found[sample]}")[1]
        return violation.get("ack_user"), violation.get("ack_on_behalf_of")

    assert ask("operator", "POST", f"/api/v1/violations/{found[1]}/acknowledge", {"user": "the director", "reason": "seen"})[0] == 200
    assert record(1) == ("operator", "the director")
    assert ask("operator", "POST", f"/api/v1/violations/{found[3]}/acknowledge", {"reason": "seen"})[0] == 200
    assert record(3) == ("operator", None)
    assert ask("admin", "POST", "/api/v1/violations/acknowledge", {"violation_ids": [found[5]], "user": "admin", "reason": "seen"})[0] == 200
    assert record(5) == ("admin", None)
    event = {"type": "acknowledge", "data": {"violation_id": found[7], "user": "the director", "reason": "seen"}}
    assert ask("operator", "POST", "/api/v1/streams/spc.in/events", event)[0] == 200
    until(lambda: record(7) == ("operator", "the director"), "an acknowledgement that is pushed names its holder too")


# Each kind of chart that is more than limits around readings, as configuration says it and as a client does. Samples are the same for both.
SHORT_RUN = [(20.1, 20, 0.1), (19.95, 20, 0.1), (50.5, 50, 1), (52.0, 50, 1), (20.5, 20, 0.1), (49.0, 50, 1)]
KINDS = {
    1: ('chart = "short_run_deviation"\ncentre = 0\nsigma = 0.5\nsubgroup_size = 1',
        {"chart": "short_run_deviation", "limits": {"centre": 0, "sigma": 0.5}, "subgroup_size": 1},
        [{"value": v, "nominal": n} for v, n, _ in SHORT_RUN]),
    2: ('chart = "short_run_z"\nsubgroup_size = 1',
        {"chart": "short_run_z", "subgroup_size": 1},
        [{"value": v, "nominal": n, "part_sigma": s} for v, n, s in SHORT_RUN]),
    3: ('chart = "laney_p"\nphase1_samples = 8',
        {"chart": "laney_p", "phase1": {"samples": 8}},
        [{"value": c, "size": 1000} for c in (50, 80, 45, 90, 40, 85, 55, 75)]),
    4: ('chart = "laney_u"\ncentre = 0.5\nsigma_z = 1.5',
        {"chart": "laney_u", "limits": {"centre": 0.5, "sigma_z": 1.5}},
        [{"value": c, "size": s} for c, s in ((5, 10), (40, 36), (60, 100))]),
    5: ('chart = "ewma"\nlambda = 0.1\nlimit_sigmas = 2.7\ncentre = 10\nsigma = 1',
        {"chart": "ewma", "ewma": {"lambda": 0.1}, "limit_sigmas": 2.7, "limits": {"centre": 10, "sigma": 1}},
        [{"value": v} for v in (9.45, 7.99, 9.29, 11.66, 12.16)]),
    6: ('chart = "cusum"\nk = 0.5\nh = 4\nhead_start = 2\nreset_after_signal = true\ncentre = 100\nsigma = 6',
        {"chart": "cusum", "cusum": {"k": 0.5, "h": 4, "head_start": 2, "reset_after_signal": True}, "limits": {"centre": 100, "sigma": 6}},
        [{"value": v} for v in (112, 118, 124, 100, 94)]),
    7: ('chart = "i_mr"\nphase1_samples = 12\nphase1_exclude = true\nphase1_method = "sample_standard_deviation"',
        {"chart": "i_mr", "phase1": {"samples": 12, "exclude_out_of_control": True, "method": "sample_standard_deviation"}},
        [{"value": v} for v in (10, 11, 9, 10, 11, 9, 10, 50, 10, 11, 9, 10)]),
}


def test_every_kind_of_chart_is_there_by_configuration_and_over_rest_and_judges_alike(weir):
    """S3-R13, spec.md 3: short run (deviation, Z), Laney p' and u', EWMA with limits of its time, CUSUM with head start and reset, phase I with exclusion and method."""
    w = weir(CONFIG + "".join(f"[[characteristics]]\nid = {10 + id}\n{config}\n" for id, (config, _, _) in KINDS.items()))
    until(lambda: len(w.get("/api/v1/characteristics")["characteristics"]) == 1 + len(KINDS), "the configured characteristics are there")
    points, versions = {}, {}
    for id, (_, definition, samples) in KINDS.items():
        assert request(w, "POST", "/api/v1/characteristics", {"id": 100 + id, **definition})[0] == 201
        found = []
        for characteristic in (10 + id, 100 + id):
            status, answer = w.post("/api/v1/samples", [{"characteristic_id": characteristic, "sample_id": i, "timestamp": f"2026-02-02T12:{i:02}:00Z", **s} for i, s in enumerate(samples, start=1)])
            assert (status, answer["accepted"]) == (200, len(samples)), answer
            told = w.get(f"/api/v1/samples?characteristic_id={characteristic}")["samples"]
            found.append([{k: v for k, v in s.items() if k not in ("characteristic_id", "revision", "limits_version")} for s in told])
        assert found[0] == found[1] and len(found[0]) == len(samples)
        points[id], versions[id] = found[0], w.get(f"/api/v1/characteristics/{100 + id}/limits")["limits_versions"]

    def close(a, b):
        return abs(a - b) < 1e-9 * max(1, abs(b))

    def column(id, name):
        return [s[name] for s in points[id]]

    assert all(map(close, column(1, "statistic"), (0.1, -0.05, 0.5, 2.0, 0.5, -1.0))) and column(1, "ucl")[0] == 1.5
    assert column(1, "zone")[3] == "beyond_ucl" and [s["in_control"] for s in points[1]].count(False) == 1
    assert all(map(close, column(2, "statistic"), (1, -0.5, 0.5, 2, 5, -1))) and column(2, "zone")[4] == "beyond_ucl"
    # p of 0.065 in samples of 1000 varies by sqrt(p (1 - p) / n); it really varies sigma_z times as much: mean moving range / 1.128.
    p = 0.065
    sigma_z = sum(abs(a - b) for a, b in zip((50, 80, 45, 90, 40, 85, 55), (80, 45, 90, 40, 85, 55, 75))) / 1000 / (p * (1 - p) / 1000) ** 0.5 / 7 / 1.1283791670955126
    assert close(versions[3][-1]["centre"], p) and close(versions[3][-1]["sigma_z"], sigma_z)
    assert close(column(3, "ucl")[0], p + 3 * sigma_z * (p * (1 - p) / 1000) ** 0.5)
    assert close(column(4, "ucl")[1], 0.5 + 3 * 1.5 * (0.5 / 36) ** 0.5) and column(4, "zone")[1] == "beyond_ucl"
    # Montgomery, Introduction to Statistical Quality Control, example 9.2, table 9.10: the first z are 9.945, 9.7495, ...; limits of i = 1: 9.73 and 10.27.
    assert all(map(close, column(5, "statistic"), (9.945, 9.7495, 9.70355, 9.899195, 10.1252755)))
    assert close(column(5, "ucl")[0], 10.27) and close(column(5, "lcl")[1], 10 - 2.7 * (0.1 / 1.9 * (1 - 0.9**4)) ** 0.5)
    # y = 2, 3, 4, 0, -1: up from 2 by 1.5 to 3.5, by 2.5 to 6: a signal, and again from 2: 5.5, a signal; 2 - 0.5, ...
    assert [s["cusum"]["upper"] for s in points[6]] == [3.5, 6, 5.5, 1.5, 0]
    assert [s["in_control"] for s in points[6]] == [True, False, False, True, True]
    assert versions[7][-1]["origin"]["excluded"] == [8] and close(versions[7][-1]["centre"], 10) and points[7][7]["zone"] == "beyond_ucl"


def test_what_configuration_changes_counts_from_the_time_that_it_names(weir):
    """spec.md 3, decisions.md 25: limits from an event time, by configuration as over REST; samples before keep what judged them."""
    w = weir(CONFIG)
    until(lambda: w.get("/api/v1/characteristics")["characteristics"], "the configured characteristic is there")
    for i, value in enumerate((10, 12, 10, 12, 10)):
        assert sample(w, i + 1, value, i)[0] == 200
    assert w.get("/api/v1/violations")["violations"] == []
    w.stop()
    w.config.write_text(w.config.read_text().replace("sigma = 1", 'sigma = 0.5\nfrom = "2026-02-02T12:03:00Z"'))
    w.start()
    limits = until(lambda: (v := w.get("/api/v1/characteristics/1/limits")["limits_versions"]) and len(v) == 2 and v, "the configuration changed")
    assert limits[1]["from"] == "2026-02-02T12:03:00.000Z" and limits[1]["sigma"] == 0.5
    assert [s["limits_version"] for s in w.get("/api/v1/samples?characteristic_id=1")["samples"]] == [1, 1, 1, 2, 2]
    assert [v["sample_id"] for v in w.get("/api/v1/violations")["violations"] if v["chart"] != "mr"] == [4]
    status, answer = request(w, "PUT", "/api/v1/characteristics/1", {"limits": {"centre": 10, "sigma": 0.5}, "name": "Bore", "from": "2026-02-02T12:01:00Z", "requires_ack": True, "rules": [1]})
    assert (status, answer["limits_version"]) == (200, 3)
    assert [s["limits_version"] for s in w.get("/api/v1/samples?characteristic_id=1")["samples"]] == [1, 3, 3, 3, 3]


def test_capability_over_a_range_has_intervals_and_the_running_one_is_pushed(weir):
    """S3-R13, spec.md 3: Cp, Cpk, Pp, Ppk, Cpm with confidence limits, of all readings, of a range, and as it runs."""
    w = weir(CONFIG + """
[[characteristics]]
id = 2
chart = "individuals"
lsl = -3
target = 0
usl = 3
centre = 0
sigma = 1
""")
    until(lambda: len(w.get("/api/v1/characteristics")["characteristics"]) == 2, "the configured characteristics are there")
    values = [(-1) ** i * (i % 5) / 4 for i in range(40)]
    samples = [{"characteristic_id": 2, "value": v + (5 if i >= 30 else 0), "timestamp": f"2026-02-02T12:{i:02}:00Z"} for i, v in enumerate(values)]
    assert w.post("/api/v1/samples", samples)[1]["accepted"] == 40
    status, found = request(w, "GET", "/api/v1/characteristics/2/capability?from=2026-02-02T12:00:00Z&to=2026-02-02T12:30:00Z")
    assert status == 200 and found["count"] == 30
    first = values[:30]
    mean = sum(first) / 30
    s = (sum((v - mean) ** 2 for v in first) / 29) ** 0.5
    within = sum(abs(a - b) for a, b in zip(first, first[1:])) / 29 / 1.1283791670955126
    assert abs(found["pp"]["value"] - 6 / (6 * s)) < 1e-12 and abs(found["cp"]["value"] - 6 / (6 * within)) < 1e-12
    assert abs(found["ppk"]["value"] - (3 - abs(mean)) / (3 * s)) < 1e-12
    for index in ("cp", "cpk", "cpm", "pp", "ppk", "ppm"):
        assert found[index]["low"] < found[index]["value"] < found[index]["high"]
    assert found["observed_above"] == 0 and 0 < found["expected_above"] < 0.01
    # chi-square with 29 degrees of freedom: 16.0471 and 45.7223 (any table).
    assert abs(found["pp"]["low"] / found["pp"]["value"] - (16.0471 / 29) ** 0.5) < 1e-5 and abs(found["pp"]["high"] / found["pp"]["value"] - (45.7223 / 29) ** 0.5) < 1e-5
    everything = request(w, "GET", "/api/v1/characteristics/2/capability")[1]
    assert everything["count"] == 40 and everything["observed_above"] == 0.25 and everything["ppk"]["value"] < found["ppk"]["value"]
    # Told while it runs: the characteristic has the newest.
    assert w.get("/api/v1/characteristics/2")["capability"]["count"] == 40
    assert request(w, "GET", "/api/v1/characteristics/2/capability?from=2027-01-01T00:00:00Z")[0] == 422
