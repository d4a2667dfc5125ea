"""`weir function` behind a stand-in of the Azure Functions host, which posts what the host posts; `weir compare` on records whose answer is known."""
import json
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
import zipfile
from datetime import datetime, timedelta, timezone

import pytest

from conftest import BINARY, DEADLINE, ROOT, free_port, until

AZURE = ROOT / "deploy" / "azure"
CONFIG = """
[log]
path = "data"
durability = "process"

[feeds.pools]
stream = "pools"
interval = "1s"
[[feeds.pools.sources]]
kind = "websocket"
url = "ws://your-websocket-endpoint"
open_message = "all"
[feeds.pools.decode]
key = ["/uid"]
value = ["/anzahl_gaeste", "/occupancy"]

[windows.short]
stream = "pools"
size = "3s"
lateness = "200ms"

[stores.files]
kind = "folder"
path = "blobs"
profile = "weir"
"""


class Host:
    """What the Functions host does: it names a port, waits until it answers, and posts each call to /<function>."""

    def __init__(self, folder, config, env, args=()):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        (folder / "weir.toml").write_text(config)
        self.port = free_port()
        self.log = open(folder / "diagnostics.log", "ab")
        self.process = subprocess.Popen([BINARY, "function", *args], cwd=folder, stdout=self.log, stderr=self.log,
                                        env={**os.environ, **env, "FUNCTIONS_CUSTOMHANDLER_PORT": str(self.port)})
        until(self.answers, "the handler answers")

    def answers(self):
        assert self.process.poll() is None, self.diagnostics()
        try:
            return self.get("/healthz")["status"] == "healthy"
        except OSError:
            return False

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=DEADLINE) as answer:
            return json.loads(answer.read())

    def call(self, past_due=False, as_text=False, body=None):
        now = datetime.now(timezone.utc)
        timer = {"Schedule": {"AdjustForDST": True},
                 "ScheduleStatus": {"Last": (now - timedelta(minutes=5)).isoformat(), "Next": now.isoformat(), "LastUpdated": (now - timedelta(minutes=5)).isoformat()},
                 "IsPastDue": past_due}
        payload = {"Data": {"mytimer": json.dumps(timer) if as_text else timer},
                   "Metadata": {"sys": {"MethodName": "websocket_listener", "UtcNow": now.isoformat(), "RandGuid": "00000000-0000-0000-0000-000000000000"}}}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/websocket_listener", data=json.dumps(payload if body is None else body).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def diagnostics(self):
        return (self.folder / "diagnostics.log").read_text()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


@pytest.fixture
def host(tmp_path):
    started = []

    def start(config=CONFIG, env=None, args=()):
        started.append(Host(tmp_path / f"app{len(started)}", config, env or {}, args))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(DEADLINE)
        assert "internal error" not in one.diagnostics()


@pytest.fixture
def ticking(feed_server):
    """A feed that says its number every 100 ms, until the test ends; the number is how often it has."""
    server = feed_server()
    over = threading.Event()

    def run():
        n = 0
        while not over.wait(0.1):
            if server.clients:
                n += 1
                server.send({"uid": "SSD-7", "anzahl_gaeste": n})

    thread = threading.Thread(target=run)
    thread.start()
    yield server
    over.set()
    thread.join(DEADLINE)


def test_a_call_collects_a_window_and_nothing_is_lost_between_calls(host, ticking):
    """S0-1, S0-6, S0-10, S0-26, S0-31, S0-34 (WEBSOCKET_URL), S0-36, S0-37, S0-R7: the first call waits for a window, the next ones are answered with what was
    closed since; each number is in exactly one window, also at the edges."""
    app = host(env={"WEBSOCKET_URL": ticking.url()})
    status, first = app.call(past_due=True)
    assert status == 200 and set(first) == {"Outputs", "Logs", "ReturnValue"} and first["Outputs"] == {}
    logs = "\n".join(first["Logs"])
    assert "Timer is past due" in logs and "past due" in app.diagnostics()
    assert f"Listening to {ticking.url()}" in logs and re.search(r"window complete. Collected \d+ updates", logs) and re.search(r"avg=\d+\.\d\b", logs)
    assert re.search(r"Saved data to blob: summaries/\d{4}-\d\d-\d\d/", logs)
    calls = [first]
    for as_text in (True, False, True):
        status, answer = app.call(as_text=as_text)
        assert status == 200 and not any("past due" in line for line in answer["Logs"])
        calls.append(answer)
    windows = [window for answer in calls for window in answer["ReturnValue"]["windows"]]
    starts = [window["window"]["start"] for window in windows]
    assert starts == sorted(set(starts)), "each window is told once, in order"
    for before, after in zip(windows, windows[1:]):
        assert before["window"]["end"] == after["window"]["start"], "no window between two calls is missing"
        assert after["statistics"]["first"] == before["statistics"]["last"] + 1, "no reading at the edge is lost or counted twice"
    assert app.stop() == 0


def test_what_fails_is_a_failed_call(host, ticking):
    """S0-25: the host sees it by the status, and its log says why. Afterwards the handler goes on."""
    app = host(env={"WEBSOCKET_URL": ticking.url()}, args=["--patience", "1s"], config=CONFIG.replace('path = "blobs"', 'path = "/proc/weir"'))
    status, answer = app.call()
    assert status == 500 and any(line.startswith("Error: store files:") for line in answer["Logs"]), answer
    for body in ({"Data": {"req": {"Url": "http://x"}}}, [], {"Data": {}}):
        status, answer = app.call(body=body)
        assert status == 400 and answer["Logs"][0].startswith("Error: ")
    assert app.get("/healthz")["status"] == "healthy"
    app.stop()


def test_the_function_app_is_whole(tmp_path):
    """S0-36: files of deploy/azure have the shape that the host's schemas ask for, agree with each other, and are in the package."""
    settings = json.loads((AZURE / "local.settings.json").read_text())
    assert settings["Host"] == {"LocalHttpPort": 7071, "CORS": "*"}
    assert settings["Values"]["FUNCTIONS_WORKER_RUNTIME"] == "custom" and settings["Values"]["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    host_json = json.loads((AZURE / "host.json").read_text())
    hours, minutes, seconds = map(int, host_json["functionTimeout"].split(":"))
    patience = int(re.search(r"--patience (\d+)min", " ".join(host_json["customHandler"]["description"]["arguments"])).group(1))
    assert hours * 60 + minutes + seconds / 60 > 5 + patience, "the host waits longer than a window and its upload"
    (binding,) = json.loads((AZURE / "websocket_listener" / "function.json").read_text())["bindings"]
    assert binding["type"] == "timerTrigger" and binding["direction"] == "in" and binding["schedule"] == "0 */5 * * * *"
    checked = subprocess.run([BINARY, "check", "-c", str(AZURE / "weir.toml")], capture_output=True, text=True, timeout=DEADLINE,
                             env={**os.environ, **{k: v for k, v in settings["Values"].items() if k in ("WEBSOCKET_URL", "AZURE_STORAGE_CONNECTION_STRING")}})
    assert checked.returncode == 0, checked.stderr
    assert "AZURE_STORAGE_CONNECTION_STRING" in checked.stdout and "UseDevelopmentStorage" not in checked.stdout
    package = tmp_path / "function.zip"
    subprocess.run([str(AZURE / "package"), BINARY, str(package)], check=True, capture_output=True, timeout=300)
    with zipfile.ZipFile(package) as names:
        assert {"host.json", "weir.toml", "weir", "weir.bin", "websocket_listener/function.json"} <= set(names.namelist())
        names.extractall(tmp_path / "app")
        assert names.getinfo("weir").external_attr >> 16 & 0o111
    os.chmod(tmp_path / "app" / "weir", 0o755)
    os.chmod(tmp_path / "app" / "weir.bin", 0o755)
    subprocess.run([str(tmp_path / "app" / "weir"), "--version"], check=True, capture_output=True, timeout=DEADLINE)


def compare(*args):
    return subprocess.run([BINARY, "compare", *map(str, args)], capture_output=True, text=True, timeout=DEADLINE)


def test_compare_states_what_a_slow_collector_missed(tmp_path):
    """S1-22, S1-23, S0-38: known by hand. 10:00 to 10:10, a change every minute; the old one asks at 10:00, 10:05 and 10:10."""
    new, old = tmp_path / "new.ndjson", tmp_path / "old.csv"
    at = lambda s: (datetime(2026, 2, 17, 10, tzinfo=timezone.utc) + timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    new.write_text("".join(json.dumps({"received": at(s), "message": [{"uid": "SSD-7", "currentfill": 40 + s // 60}]}) + "\n" for s in range(0, 601, 5)))
    old.write_text("time,uid,currentfill\n" + "".join(f"{at(s)},SSD-7,{40 + s // 60}\n" for s in (0, 300, 600)) + f"{at(601)},SSD-7,\n")
    result = json.loads(compare(old, new, "--json").stdout)
    assert result["from"] == "2026-02-17T10:00:00.000Z" and result["to"] == "2026-02-17T10:10:00.000Z" and result["changes"] == 10
    a, b = result["records"]
    assert (a["readings"], a["caught"], a["missed"], a["capture_rate"]) == (3, 2, 8, 0.2)
    assert (b["readings"], b["caught"], b["missed"], b["capture_rate"]) == (121, 10, 0, 1.0)
    assert (a["median_spacing_seconds"], b["median_spacing_seconds"]) == (300, 5) and a["skipped"] == 1
    assert result["agreement"] == 0.2, "the first minute of each five"
    assert result["mean_difference"] == 2.0
    # Three windows (10:00, 10:05, 10:10) in ten minutes; a month has 4383 times that.
    for record in (a, b):
        assert abs(record["cost_month"]["windows"] - 3 * 4383) < 1e-6
        assert abs(record["cost_month"]["processor"] - 3 * 4383 * 7 * 0.000016) < 1e-9
    table = compare(old, new).stdout
    assert "capture rate" in table and "20.00 %" in table and "100.00 %" in table
    missing = compare(tmp_path / "none.csv", new)
    assert missing.returncode == 1 and "none.csv" in missing.stderr
    assert compare(old, new, "--from", "yesterday").returncode == 2


def test_compare_reads_window_files_and_logs(tmp_path):
    """Two folders of window files, of weir's own profile and of source 000's, and an export."""
    readings = [(0, 40), (60, 41), (120, 42)]
    own, theirs = tmp_path / "own" / "2026-02-17", tmp_path / "theirs"
    own.mkdir(parents=True)
    theirs.mkdir()
    own.joinpath("10-00-to-10-05.json").write_text(json.dumps({"key": "SSD-7", "readings": [{"time": f"2026-02-17T10:{s // 60:02d}:00.000Z", "value": v} for s, v in readings]}))
    own.joinpath("10-00.json").write_text(json.dumps({"key": "SSD-7", "statistics": {}}))
    theirs.joinpath("w.json").write_text(json.dumps({"window": {}, "updates": [{"occupancy": v, "timestamp": f"2026-02-17T10:{s // 60:02d}:00"} for s, v in readings[::2]]}))
    found = compare(tmp_path / "own", theirs, "--json")
    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout)
    assert [r["form"] for r in result["records"]] == ["documents", "documents"] and [r["readings"] for r in result["records"]] == [3, 2]
