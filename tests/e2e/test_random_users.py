"""Source 002's server side: an API polled once a second, everyone broadcast to all clients, its own consumer unchanged."""
import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from conftest import BINARY, DEADLINE, ROOT, until

BODIES = [ROOT / "demo" / "randomuser-stream1.json.gz", ROOT / "demo" / "randomuser-stream1-page2.json.gz"]
CONSUMER = ROOT / "tests" / "e2e" / "consumer_of_source_002.py"


@pytest.fixture
def users_api():
    """users_api(*arguments) starts the stand-in of randomuser.me and gives its URL."""
    started = []

    def start(*arguments):
        process = subprocess.Popen([BINARY, "replay", "--serve", "127.0.0.1:0", "--users", *map(str, arguments), *map(str, BODIES)], stderr=subprocess.PIPE, text=True)
        started.append(process)
        url = re.search(r"listens on (http://\S+)", process.stderr.readline()).group(1)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        return url

    yield start
    for process in started:
        process.terminate()
        assert process.wait(DEADLINE) == 0


def example(url, interval=None):
    """examples/random-users.toml, against the stand-in, on a free port and with its log in the test's folder; nothing else is changed."""
    text = (ROOT / "examples" / "random-users.toml").read_text()
    text, pointed = re.subn(r"https://randomuser\.me/api/", url, text.split("\n", 2)[2])
    assert pointed == 1
    text, ported = re.subn(r"(?m)^port = 8765$", "port = @PORT@", text)
    assert ported == 1
    if interval:
        text, n = re.subn(r'(?m)^interval = "1s"$', f'interval = "{interval}"', text)
        assert n == 2
        text = text.replace('backoff_first = "5s"', 'backoff_first = "100ms"')
    return text + '\n[log]\npath = "@FOLDER@/data"\ndurability = "process"\n'


def consumer(weir, stop_after):
    return subprocess.Popen([sys.executable, str(CONSUMER)], env={**os.environ, "SERVER_URI": weir.ws(""), "STOP_AFTER": str(stop_after)},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_documents_own_consumers_run_unchanged_against_the_example(weir, users_api):
    """S2-1, S2-2, S2-4, S2-6, S2-13, S2-14, S2-R1, S2-R2, decisions.md 15: two consumers get the same people, with the same numbers."""
    w = weir(example(users_api()))
    for line in (f"WebSocket URL: ws://127.0.0.1:{w.port}", "Stream rate: 1 user/second", "API source: http://127.0.0.1:", "Server started successfully"):
        assert line in w.diagnostics()
    consumers = [consumer(w, 4), consumer(w, 4)]
    finished = [c.communicate(timeout=DEADLINE) for c in consumers]
    assert [c.returncode for c in consumers] == [0, 0], finished
    records = [{r["stream_sequence"]: r for r in map(json.loads, out.splitlines())} for out, _ in finished]
    for out, log in finished:
        assert "Connected to user stream!" in log and "Connected to real-time user stream" in log
        assert re.search(r"✅ #1 \(Stream #\d+\): \S.* from \S", log)
    both = records[0].keys() & records[1].keys()
    assert len(both) >= 2 and all(records[0][n] == records[1][n] for n in both)
    for of in records:
        assert list(of) == list(range(min(of), min(of) + 4))
        for record in of.values():
            assert set(record) == {"gender", "name", "location", "email", "login", "dob", "registered", "phone", "cell", "picture", "nat", "stream_sequence", "server_timestamp"}
    # In the operator's log each of them, with the label's text and the clients that it went to.
    for number, record in records[0].items():
        label = re.escape(f"{record['name']['first']} {record['name']['last']} ({record['location']['country']})")
        assert re.search(rf"Broadcast #{number}: {label} to [12] clients?$", w.diagnostics(), re.M), (number, w.diagnostics())
    # The sequence counts from 1 and goes on without clients as well; nobody who was asked for is thrown away (S2-R3).
    assert w.head("users") >= max(both)
    assert [e["seq"] for e in w.events("users")] == list(range(1, len(w.events("users")) + 1))


def test_a_429_is_waited_out_and_ends_nothing(weir, users_api):
    """S2-10, S2-R5, S2-R11: above the API's limit weir stops asking until the API's own time is over, tells so, and goes on."""
    url = users_api("--limit", "3", "--per", "4s")
    w = weir(example(url, interval="200ms"))
    until(lambda: "status 429" in w.diagnostics(), "weir was told 429")
    until(lambda: w.head("users") >= 7, "weir went on after two resets")
    # Between two refusals lie the three people of one period: it was not asked in vain meanwhile.
    assert w.get("/api/v1/feeds")["feeds"][0]["sources"][0]["failures"] <= w.head("users") / 3 + 1
    uuids = [e["data"]["login"]["uuid"] for e in w.events("users")]
    assert len(set(uuids)) == len(uuids)


def test_the_stand_in_answers_like_the_service(users_api):
    url = users_api("--limit", "150")
    with urllib.request.urlopen(url + "?results=100&inc=name,nat,login") as answer:
        body = json.loads(answer.read())
        assert answer.headers["Cache-Control"] == "no-cache"
    assert len(body["results"]) == 100 and set(body["results"][0]) == {"name", "nat", "login"}
    assert body["info"]["results"] == 100 and body["info"]["version"] == "1.4"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url + "?results=100")
    assert refused.value.code == 429 and 1 <= int(refused.value.headers["Retry-After"]) <= 300
    assert "Whoa, ease up" in json.loads(refused.value.read())["error"]
