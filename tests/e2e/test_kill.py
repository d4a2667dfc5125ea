"""Nothing lost, nothing twice: weir is killed with SIGKILL again and again, and what it acknowledged is there exactly once."""
import contextlib
import json
import os
import pathlib
import random
import threading
import time
import urllib.error

from conftest import until

KILLS = 200 if os.environ.get("WEIR_NIGHTLY") else 10

CONFIG = """
[log]
path = "@FOLDER@/data"
durability = "process"
[gateway]
port = @PORT@
enable_rate_limiting = false
[windows.1min]
stream = "line"
value = "/v"
size = "1min"
lateness = "60s"
[stores.files]
kind = "folder"
path = "@FOLDER@/blobs"
bundle = "never"
folder_per_key = true
"""


def batches(count):
    """Readings of three keys whose times run ahead by a second a batch; the last batch closes all windows."""
    start = 1_771_322_400  # 2026-02-17T10:00:00Z
    for n in range(count):
        t = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start + n))
        yield [{"id": f"b{n}-{k}", "key": f"K{k}", "time": t, "type": "reading", "data": {"v": (n * (k + 3)) % 17}} for k in range(3)]


def push_until_acknowledged(w, batch, restart):
    """At least once from the client, exactly once in the log: the ids say what is a repeat."""
    while True:
        try:
            status, answer = w.post("/api/v1/streams/line/events", batch)
            if status == 200:
                return answer
        except (OSError, ValueError, urllib.error.URLError):
            pass
        restart()


def windows_of(w):
    keep = []
    for event in w.events("line.1min"):
        document = event["data"]
        keep.append((event["key"], document["window"]["start"], document["revision"], json.dumps(document["statistics"], sort_keys=True),
                     document["coverage"]["received"], document["first_seq"], document["last_seq"]))
    return keep


def files_of(w):
    blobs = pathlib.Path(w.folder / "blobs")
    return sorted(str(p.relative_to(blobs)) for p in blobs.rglob("*") if p.is_file())


def test_killed_at_random_the_log_windows_and_files_equal_those_of_an_uninterrupted_run(weir):
    """D2. The same batches go into a weir that is left alone and into one that is killed at random moments."""
    everything = list(batches(400))
    quiet = weir(CONFIG, name="quiet")
    for batch in everything:
        push_until_acknowledged(quiet, batch, lambda: None)

    seed = int(os.environ.get("WEIR_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    chance = random.Random(seed)
    killed = weir(CONFIG, name="killed")
    lock = threading.Lock()
    stop = threading.Event()
    kills = [0]

    def killer():
        while kills[0] < KILLS and not stop.is_set():
            stop.wait(chance.uniform(0.01, 0.25))
            with lock:
                killed.kill()
                kills[0] += 1
                killed.start()

    def restart():
        with lock:
            pass  # the killer starts it again before it gives the lock back

    thread = threading.Thread(target=killer)
    thread.start()
    acknowledged = []
    try:
        for n, batch in enumerate(everything):
            answer = push_until_acknowledged(killed, batch, restart)
            acknowledged += [e["seq"] for e in answer["events"]]
            # The kills are spread over the run rather than over its first second.
            until(lambda: kills[0] >= KILLS * n // len(everything) or not thread.is_alive(), "the killer keeps up")
    finally:
        stop.set()
        thread.join()
    assert kills[0] >= KILLS

    ids = [e["id"] for e in killed.events("line")]
    assert ids == [e["id"] for b in everything for e in b], f"seed {seed}"
    assert acknowledged == list(range(1, len(ids) + 1)), f"seed {seed}"
    expected = until(lambda: (lambda x: x if len(x) >= 15 else None)(windows_of(quiet)), "five minutes of three keys are closed")
    until(lambda: len(windows_of(killed)) >= len(expected), "as many windows in the killed one")
    # What is derived later depends on ticks of the wall clock; the first minutes are closed by the readings themselves. The
    # lateness is longer than any restart takes, since a quiet stream's time runs on.
    closed = lambda rows: sorted(r for r in rows if r[1] < "2026-02-17T10:05:00" and r[2] == 0)
    assert closed(windows_of(killed)) == closed(expected), f"seed {seed}"
    assert len(set((r[0], r[1], r[2]) for r in windows_of(killed))) == len(windows_of(killed)), "no window twice"
    names = until(lambda: (lambda x: x if len(x) >= 30 else None)(files_of(quiet)), "files of five minutes")
    until(lambda: set(names) <= set(files_of(killed)), f"the same files in the killed one, seed {seed}")
    assert not [n for n in files_of(killed) if n.endswith(".tmp")]


def test_retention_leaves_what_the_windows_need_again_after_a_kill(weir):
    """Windows were saved before the first reading, and stand far behind it: what is between is read again, however little is to be kept."""
    w = weir(CONFIG.replace('lateness = "60s"', 'lateness = "5min"') + """
[streams.line]
retention_events = 30
[streams.other]
retention_events = 30
""")
    everything = list(batches(800))
    for batch in everything[:420]:
        push_until_acknowledged(w, batch, lambda: None)
    until(lambda: w.head("line.1min") >= 3, "the first minute is closed, so the position is far ahead")
    # Retention goes over all streams in one go: where it has shortened this one, it has looked at the other.
    for n in range(100):
        assert w.post("/api/v1/streams/other/events", [{"id": f"o{n}", "data": {"v": n}}])[0] == 200
    until(lambda: w.get("/api/v1/streams/other")["first_seq"] > 1, "retention has come by")
    w.kill()
    w.start()
    for batch in everything[420:]:
        push_until_acknowledged(w, batch, lambda: None)
    minutes = lambda: [row for row in windows_of(w) if row[1] < "2026-02-17T10:07:00"]
    until(lambda: len(minutes()) >= 7 * 3, "seven minutes of three keys are closed")
    assert {row[4] for row in minutes()} == {60}
    assert "is no longer kept" not in w.diagnostics()
