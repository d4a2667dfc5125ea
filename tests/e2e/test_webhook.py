"""A webhook of a real weir: its receiver is down, refuses, hangs and takes; weir is killed. Each event arrives, in order, and no secret is said."""
import hashlib
import hmac
import http.server
import json
import subprocess
import threading

import pytest
from conftest import BINARY, DEADLINE, free_port, until

CONFIG = """
[log]
path = "@FOLDER@/data"
durability = "process"
[gateway]
port = @PORT@
[stores.hook]
kind = "webhook"
url = "http://127.0.0.1:{port}/take/s3cr3t-path?key=s3cr3t-query"
token = "s3cr3t-token"
secret = "s3cr3t-signing"
streams = ["line"]
batch_events = 50
backoff_first = "20ms"
backoff_cap = "200ms"
timeout = "{timeout}"
{more}
"""


class Receiver:
    """Answers as `answer` says: a status, or `hang`. Keeps the bodies that it took and counts the others."""

    def __init__(self, port):
        self.port, self.answer, self.bodies, self.refused, self.headers = port, 200, [], [], []
        self.over = threading.Event()
        self.server = None

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.headers.append(dict(self.headers))
                assert self.headers["X-Weir-Signature"] == "sha256=" + hmac.new(b"s3cr3t-signing", body, hashlib.sha256).hexdigest()
                answer = receiver.answer
                if answer == "hang":
                    receiver.refused.append(answer)
                    receiver.over.wait(DEADLINE)
                    self.close_connection = True
                    return
                (receiver.bodies if answer < 300 else receiver.refused).append(json.loads(body))
                told = b"" if answer < 300 else b"no: " + self.headers["Authorization"].encode()
                self.send_response(answer)
                if answer == 503:
                    self.send_header("Retry-After", "0")
                if answer == 302:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.over.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()

    def seqs(self):
        return [event["seq"] for body in list(self.bodies) for event in body["events"]]


@pytest.fixture
def receiver():
    receivers = []

    def make():
        receivers.append(Receiver(free_port()))
        return receivers[-1]

    yield make
    for r in receivers:
        r.stop()


@pytest.fixture
def serve(weir):
    started = []

    def start(receiver, more="", timeout="1s"):
        started.append(weir(CONFIG.format(port=receiver.port, more=more, timeout=timeout), name=f"weir{len(started)}"))
        return started[-1]

    yield start
    for w in started:
        shown = w.diagnostics()
        if w.process.poll() is None:
            shown += w.get("/metrics", raw=True) + json.dumps(w.get("/api/v1/status"))
        assert "s3cr3t" not in shown


def push(w, first, count, stream="line"):
    status, answer = w.post(f"/api/v1/streams/{stream}/events", [{"id": f"e{n}", "key": f"K{n % 3}", "type": "reading", "data": {"n": n}} for n in range(first, first + count)])
    assert status == 200, answer


def store(w):
    return next(s for s in w.get("/api/v1/status")["stores"] if s["name"] == "hook")


def all_there(w, r):
    until(lambda: r.seqs() and max(r.seqs()) == w.head("line"), "the newest event has arrived")
    # The first time that an event comes, all before it have come.
    last = 0
    for seq in r.seqs():
        assert seq <= last + 1
        last = max(last, seq)
    logged = {e["seq"]: e for e in w.events("line")}
    for body in r.bodies:
        for event in body["events"]:
            assert event.pop("stream") == "line" and len(event.pop("epoch")) == 16
            assert event == logged[event["seq"]]
            event.update(stream="line", epoch="0" * 16)


def test_a_receiver_that_is_down_busy_moved_silent_and_restarted_gets_every_event_in_order_while_weir_is_killed(receiver, serve):
    r = receiver()
    w = serve(r)
    push(w, 0, 120)
    until(lambda: store(w)["state"] == "failing" and "connection refused" in store(w)["last_error"], "it says that nobody listens")
    assert store(w)["behind"] == 120 and store(w)["peer"] == f"http://127.0.0.1:{r.port}"
    w.kill()
    r.answer = 503
    r.start()
    w.start()
    until(lambda: len(r.refused) >= 3, "it tries again and again")
    until(lambda: "answered with 503" in (store(w)["last_error"] or ""), "it says the status")
    push(w, 120, 30)
    w.kill()
    r.answer = "hang"
    w.start()
    until(lambda: "hang" in r.refused, "a request hangs")
    until(lambda: "did not answer in 1s" in w.diagnostics(), "and is given up")
    w.kill()
    r.answer = 302
    w.start()
    until(lambda: "redirects are not followed" in w.diagnostics(), "a redirect is said")
    assert not r.bodies
    r.answer = 204
    until(lambda: r.seqs(), "it takes")
    for n in range(5):
        push(w, 150 + 40 * n, 40)
        w.kill()
        w.start()
    all_there(w, r)
    until(lambda: store(w)["state"] == "running" and store(w)["behind"] == 0, "it is done")
    sent = r.headers[-1]
    assert sent["Authorization"] == "Bearer s3cr3t-token" and sent["Content-Type"] == "application/json" and sent["User-Agent"].startswith("weir/") and len(sent["Idempotency-Key"]) == 32
    # A clean stop and start sends nothing again.
    count = len(r.seqs())
    assert w.stop() == 0
    w.start()
    push(w, 350, 1)
    all_there(w, r)
    assert len(r.seqs()) == count + 1


def test_a_stop_does_not_wait_for_a_receiver_that_hangs(receiver, serve):
    r = receiver().start()
    r.answer = "hang"
    w = serve(r, timeout="10min")
    push(w, 0, 10)
    until(lambda: r.refused, "a request hangs")
    assert w.stop() == 0
    r.answer = 200
    w.start()
    all_there(w, r)


def test_what_is_refused_for_good_is_set_aside_with_the_reason_and_the_rest_arrives(receiver, serve):
    r = receiver().start()
    w = serve(r)
    r.answer = 422
    push(w, 0, 1)
    until(lambda: store(w)["dead_letters"] == 1, "it is set aside")
    r.answer = 200
    push(w, 1, 20)
    until(lambda: r.seqs() == list(range(2, 22)), "the rest arrives")
    assert 'weir_store_dead_letters_total{store="hook"} 1' in w.get("/metrics", raw=True)
    assert w.stop() == 0
    exported = subprocess.run([BINARY, "export", str(w.folder / "data"), "_dead/hook"], capture_output=True, text=True, check=True).stdout
    [letter] = [json.loads(line) for line in exported.splitlines()]
    assert letter["data"]["seq"] == 1 and letter["data"]["data"] == {"n": 0} and "422" in letter["data"]["reason"] and "s3cr3t" not in exported


def alert(change, state, n, **more):
    return {"id": f"a{n}", "type": "alert", "key": "pool_full/SSD-7",
            "data": {"id": "3f0c", "rule": "pool_full", "name": "pool_full", "title": "Pool is full", "severity": "critical", "state": state, "change": change, "stream": "pools",
                     "key": "SSD-7", "message": "104 is above 100", "pending_at": "2026-02-17T11:59:00.000Z", "triggered_at": "2026-02-17T12:00:00.000Z", "resolved_at": None,
                     "acknowledged": False, "shelved_until": None, "labels": {"team": "pools"}, **more}}


def test_alerts_are_told_as_alertmanager_tells_them(receiver, serve):
    r = receiver().start()
    w = serve(r, more='format = "alertmanager"')

    def push_alert(event):
        status, answer = w.post("/api/v1/streams/line/events", event)
        assert status == 200, answer

    push_alert(alert("pending", "pending", 0))
    push_alert(alert("firing", "firing", 1))
    until(lambda: len(r.bodies) == 1, "it is told")
    labels = {"alertname": "pool_full", "severity": "critical", "stream": "pools", "key": "SSD-7", "team": "pools"}
    annotations = {"summary": "Pool is full", "description": "104 is above 100"}
    assert r.bodies[0] == {
        "version": "4", "groupKey": '{}:{alertname="pool_full"}', "truncatedAlerts": 0, "status": "firing", "receiver": "hook", "groupLabels": {"alertname": "pool_full"},
        "commonLabels": labels, "commonAnnotations": annotations, "externalURL": "",
        "alerts": [{"status": "firing", "labels": labels, "annotations": annotations, "startsAt": "2026-02-17T12:00:00.000Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "3f0c"}]}
    shelf = {"shelved_until": "2026-02-17T14:00:00.000Z", "shelved_by": "ann"}
    push_alert(alert("shelved", "firing", 2, **shelf))
    push_alert(alert("escalated", "firing", 3, **shelf))
    push_alert(alert("acknowledged", "firing", 4, **shelf))
    until(lambda: store(w)["behind"] == 0, "nothing of it is told")
    w.kill()
    w.start()
    push_alert(alert("resolved", "resolved", 5, resolved_at="2026-02-17T12:10:00.000Z", **shelf))
    until(lambda: len(r.bodies) >= 2 and r.bodies[-1]["status"] == "resolved", "who was told of it is told its end")
    assert all(b["alerts"][0]["status"] == "firing" for b in r.bodies[:-1])  # a repeat after the kill, if any
    assert r.bodies[-1]["alerts"][0]["endsAt"] == "2026-02-17T12:10:00.000Z"


def test_an_alert_of_a_rule_goes_to_the_webhook_by_itself(receiver, serve):
    r = receiver().start()
    w = serve(r, more='format = "alertmanager"\n[alerts.too_much]\nstream = "room"\nvalue = "/n"\nlevel = 5\n[stores.plain]\nkind = "webhook"\nformat = "alertmanager"\n'
              f'secret = "s3cr3t-signing"\ntoken = "s3cr3t-token"\nurl = "http://127.0.0.1:{r.port}/"')
    push(w, 3, 10, stream="room")
    until(lambda: r.bodies, "the alert is told")
    assert r.bodies[0]["receiver"] == "plain" and r.bodies[0]["groupLabels"] == {"alertname": "too_much"} and r.bodies[0]["status"] == "firing"
