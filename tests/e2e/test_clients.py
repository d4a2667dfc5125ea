"""The clients of examples/ and clients/ against a real weir: as the source documents have them, and corrected."""
import asyncio
import pathlib
import random
import subprocess
import sys
import threading

import pytest
from conftest import DEADLINE, ROOT, until

EXAMPLES = ROOT / "examples" / "clients"
NODE_MODULES = ROOT / "tests" / "e2e" / "node_modules"
sys.path.insert(0, str(ROOT / "clients" / "python"))
from weir_client import WeirClient, WeirError  # noqa: E402

CONFIG = """
[log]
path = "@FOLDER@/data"
durability = "process"
[gateway]
port = @PORT@
@GATEWAY@
[streams.users]
[streams.samples]
[streams.events]
"""


def config(gateway=""):
    return CONFIG.replace("@GATEWAY@", gateway)


class Program:
    """A client in its own process; what it prints is read as it comes."""

    def __init__(self, *command, cwd=None):
        self.lines = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)
        self.thread = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True)
        self.thread.start()

    def has(self, text):
        return any(text in line for line in self.lines)

    def wait_for(self, text):
        until(lambda: self.has(text) or self.process.poll() is not None, f"{text!r} in {self.lines}")
        assert self.has(text), self.lines

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)


@pytest.fixture
def program():
    started = []

    def start(*command, **options):
        started.append(Program(*command, **options))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture(scope="session")
def node():
    """Node with the `ws` package in reach of the examples, as a browser has WebSocket."""
    if not (NODE_MODULES / "ws").exists():
        subprocess.run(["npm", "ci", "--prefix", str(ROOT / "tests" / "e2e"), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], check=True, timeout=300)
    return "node"


def as_documented(tmp_path, name, address, port, url):
    """The sample of the document, letter by letter but for the address; under Node, with the WebSocket that a browser has."""
    text = (EXAMPLES / "as-documented" / name).read_text().replace(address, url)
    if name.endswith(".js"):
        text = f"globalThis.WebSocket = require({str(NODE_MODULES / 'ws')!r}).WebSocket;\n" + text
        path = tmp_path / name.replace(".js", ".cjs")
    else:
        path = tmp_path / name
    path.write_text(text)
    return str(path)


def corrected(tmp_path, name):
    """An example beside a node_modules that has `ws`."""
    link = tmp_path / "node_modules"
    if not link.exists():
        link.symlink_to(NODE_MODULES)
    path = tmp_path / name
    path.write_text((EXAMPLES / name).read_text())
    return str(path)


SAMPLE = {"type": "sample", "data": {"sample_id": 123, "characteristic_id": 1, "timestamp": "2026-02-02T12:00:00Z", "value": 10.5, "zone": "zone_c_upper", "in_control": True}}
USER = {"type": "user", "data": {"name": {"first": "John", "last": "Smith"}, "location": {"country": "United States"}}}


def push_until(w, stream, event, condition):
    """Pushes one after another, since a client says not always when it listens."""
    def once():
        assert w.post(f"/api/v1/streams/{stream}/events", event)[0] == 200
        return condition()
    until(once, f"{stream} reaches the client")


def test_the_samples_of_source_003_and_the_corrected_ones(weir, program, node, tmp_path):
    """S3-24, S3-25, S3-27, C-25: examples/openspc.toml's gateway, the browser sample as documented, corrected clients in JavaScript and Python"""
    w = weir(config('spc_path = "/ws"'))
    plain = program(node, as_documented(tmp_path, "openspc_client.js", "ws://localhost:8000/ws", w.port, w.ws("/ws")))
    push_until(w, "samples", SAMPLE, lambda: plain.has("New sample:"))
    plain.wait_for("zone_c_upper")
    better = program(node, corrected(tmp_path, "openspc_client.mjs"), w.ws("/ws"))
    better.wait_for("Subscribed: [1,2,3]")
    several = program(sys.executable, str(EXAMPLES / "openspc_client.py"), w.ws("/ws"), "several", "1")
    several.wait_for("client [1, 2]: subscribed")
    several.wait_for("client [1]: subscribed")
    several.wait_for("client [2]: subscribed")
    for event in (SAMPLE, {"type": "sample", "data": {**SAMPLE["data"], "characteristic_id": 2}},
                  {"type": "violation", "data": {"violation_id": 456, "characteristic_id": 1, "sample_id": 123, "rule_id": 1, "rule_name": "One point beyond 3 sigma", "severity": "CRITICAL"}},
                  {"type": "ack_update", "data": {"violation_id": 456, "characteristic_id": 1, "acknowledged": True, "ack_user": "operator1", "ack_reason": "Process adjusted"}}):
        w.post("/api/v1/streams/samples/events", event)
    better.wait_for('Violation: {"violation_id":456')
    better.wait_for('"ack_reason":"Process adjusted"')
    until(lambda: several.process.poll() == 0, f"each client has its sample: {several.lines}")
    beat = program(sys.executable, str(EXAMPLES / "openspc_client.py"), w.ws("/ws"), "heartbeat", "3")
    until(lambda: beat.process.poll() == 0, "three pongs")
    until(lambda: beat.lines == ["pong\n"] * 3, str(beat.lines))


def test_the_samples_of_source_004_and_the_corrected_ones(weir, program, node, tmp_path):
    """S4-26, S4-27, C-33, C-44"""
    w = weir(config())
    url = w.ws("/")
    js = program(node, as_documented(tmp_path, "streaming_client.js", "ws://localhost:8765", w.port, url))
    js.wait_for("Authentication successful")
    py = program(sys.executable, as_documented(tmp_path, "streaming_client.py", "ws://localhost:8765", w.port, url))
    until(lambda: w.get("/stats")["active_clients"] == 2, "both are connected")
    assert w.get("/stats")["total_subscriptions"] == 0  # C-44: neither can subscribe
    better = program(node, corrected(tmp_path, "streaming_client.mjs"), url)
    better.wait_for("Subscribed: metrics")
    python = program(sys.executable, str(EXAMPLES / "streaming_client.py"), url)
    python.wait_for("Subscribed")
    assert w.post("/api/v1/streams/events/events", [{"type": "user_action", "data": {"user_id": "user123"}}, {"type": "other", "data": {}}])[0] == 200
    better.wait_for('"payload":{"user_id":"user123"}')
    python.wait_for('"payload": {"user_id": "user123"}')
    assert js.process.poll() is None and py.process.poll() is None


def test_consumers_of_source_002_each_get_every_record(weir, program, node, tmp_path):
    """S2-2, S2-4, C-24: the document's consumer knows no path, so the root is the broadcast; a restart is survived and counted"""
    w = weir(config('root = "broadcast:users"'))
    first = program(sys.executable, str(EXAMPLES / "user_stream_client.py"), w.ws("/"))
    second = program(node, corrected(tmp_path, "user_stream_client.mjs"), w.ws("/"))
    for one in (first, second):
        one.wait_for("Connected to real-time user stream")
    w.post("/api/v1/streams/users/events", USER)
    for one in (first, second):
        one.wait_for("#1 (Stream #1): John Smith from United States")
    w.stop()
    w.start()
    w.post("/api/v1/streams/users/events", [USER] * 2)
    push_until(w, "users", USER, lambda: first.has("#2 (Stream") and second.has("#2 (Stream"))


def test_the_python_client_loses_nothing_and_repeats_nothing_when_weir_is_killed(weir):
    """S3-31, D5: spec.md 9. It publishes and follows while weir is killed again and again."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    w = weir(config("publish_limit_per_minute = 1000000"))
    count, seen = 400, []

    async def run():
        async with WeirClient(w.ws("/"), backoff_first=0.05, backoff_max=0.2) as client:
            events = await client.subscribe("events", stream="events", filters={"n": {"gte": 0}})
            with pytest.raises(WeirError) as refused:
                await client.subscribe("events", filters={"n": {"regex": "x"}})
            assert refused.value.code == "unknown_operator"

            async def follow():
                async for event in events:
                    assert event.kind == "data", event
                    seen.append((event.seq, event.data["n"]))
                    if len(seen) == count:
                        return

            async def publish():
                for n in range(count):
                    answer = await client.publish("events", [{"id": f"n{n}", "data": {"n": n}}])
                    assert answer["accepted"] + answer["duplicates"] == 1

            async def kill():
                for _ in range(4):
                    goal = len(seen) + chance.randint(10, 60)
                    while len(seen) < goal:
                        await asyncio.sleep(0.005)
                    await asyncio.get_running_loop().run_in_executor(None, lambda: (w.kill(), w.start()))

            await asyncio.wait_for(asyncio.gather(follow(), publish(), kill()), DEADLINE)
            await events.unsubscribe()
            assert [event async for event in events] == []

    asyncio.run(run())
    assert [n for _, n in seen] == list(range(count))
    assert [seq for seq, _ in seen] == list(range(1, count + 1))
