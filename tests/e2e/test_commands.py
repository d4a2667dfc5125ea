"""The verbs of the command line, as people use them."""
import contextlib
import csv
import datetime
import gzip
import io
import itertools
import json
import pathlib
import sqlite3
import subprocess

from conftest import BINARY, ROOT

CONFIG = """
[log]
path = "{folder}/data"
[feeds.oerlikon]
interval = "5s"
[[feeds.oerlikon.sources]]
kind = "websocket"
url = "ws://127.0.0.1:1/"
[feeds.oerlikon.decode]
value = ["/occupancy"]
time = ["/timestamp"]
[windows.5min]
stream = "oerlikon"
value = "/occupancy"
[stores.files]
kind = "folder"
path = "{folder}/files"
"""


def run(*arguments, code=0):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    return done


def test_a_recording_is_imported_as_history_and_only_once(tmp_path):
    """S0-11, S1-18, D3: years of old readings become streams, windows and files; nothing of them is late."""
    config = tmp_path / "weir.toml"
    config.write_text(CONFIG.format(folder=tmp_path))
    recording = ROOT / "demo" / "ssd7-5s.csv.gz"
    run("import", "-c", config, recording)
    readings = [json.loads(line) for line in run("export", tmp_path / "data", "oerlikon").stdout.splitlines()]
    assert len(readings) == 17_596
    assert readings[0]["time"] == "2025-11-12T13:40:57.000Z" and readings[0]["data"]["occupancy"] == 147
    windows = [json.loads(line)["data"] for line in run("export", tmp_path / "data", "oerlikon.5min").stdout.splitlines()]
    # From 2025-11-12T13:40 to 2025-11-14T14:25 without a hole; the last one, not over in the recording, stays open.
    assert len({w["window"]["start"] for w in windows}) == 585
    newest = {w["window"]["start"]: w for w in windows}.values()
    assert all(w["coverage"]["late"] == 0 for w in newest)
    end = max(w["window"]["end"] for w in newest)
    assert sum(w["statistics"]["count"] for w in newest) == sum(r["time"] < end for r in readings)
    assert len(list((tmp_path / "files").rglob("summaries/**/*.json"))) == 585
    again = run("import", "-c", config, recording, code=1)
    assert "imported into feed oerlikon already" in again.stderr
    assert len(run("export", tmp_path / "data", "oerlikon").stdout.splitlines()) == 17_596
    assert "all of it is right" in run("verify", tmp_path / "data").stdout


def test_an_import_waits_for_a_store_that_fails_and_then_has_every_file(tmp_path):
    """C-14: the wall clock of an import stands still; what fails is tried again all the same."""
    config = tmp_path / "weir.toml"
    config.write_text(CONFIG.format(folder=tmp_path))
    recording = tmp_path / "short.csv"
    with gzip.open(ROOT / "demo" / "ssd7-5s.csv.gz", "rt") as whole:
        recording.write_text("".join(itertools.islice(whole, 500)))
    (tmp_path / "files").write_text("a file where the folder should be")
    process = subprocess.Popen([BINARY, "import", "-c", str(config), str(recording)], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    said = ""
    for line in process.stderr:
        said += line
        # It has failed twice: so it does try again.
        if said.count("retry in") == 2 and (tmp_path / "files").is_file():
            (tmp_path / "files").unlink()
    assert process.wait(60) == 0, said
    assert said.count("retry in") >= 2, said
    assert len(list((tmp_path / "files").rglob("summaries/**/*.json"))) >= 7


def test_an_exported_csv_has_no_formula_and_negative_numbers_stay_numbers(tmp_path):
    """S0-R14: what a feed calls its keys may not run in somebody's spreadsheet."""
    config = tmp_path / "weir.toml"
    config.write_text(CONFIG.format(folder=tmp_path).replace("[feeds.oerlikon.decode]", '[feeds.oerlikon.decode]\nkey = ["/uid"]'))
    keys = ["=1+1", "+cmd", "-2", "@x", "\tx", "plain"]
    recording = tmp_path / "keys.ndjson"
    recording.write_text("".join(json.dumps({"received": f"2026-02-17T10:00:0{i}Z", "message": {"uid": key, "occupancy": -5, "timestamp": f"2026-02-17T10:00:0{i}Z"}}) + "\n"
                                 for i, key in enumerate(keys)))
    run("import", "-c", config, recording)
    rows = list(csv.DictReader(io.StringIO(run("export", "--format", "csv", tmp_path / "data", "oerlikon").stdout)))
    assert [row["key"] for row in rows] == ["'=1+1", "'+cmd", "'-2", "'@x", "'\tx", "plain"]
    assert all(json.loads(row["data"])["occupancy"] == -5 for row in rows)


def test_an_import_of_sparse_readings_saves_little_state_beside_them(tmp_path):
    """Years of readings some minutes apart: a processor must not save its state after every few of them."""
    config, recording = tmp_path / "weir.toml", tmp_path / "old.csv"
    config.write_text(CONFIG.format(folder=tmp_path).replace('size = "5min"', 'size = "1d"'))
    start, rows = datetime.datetime(2024, 12, 30), 800
    recording.write_text("timestamp,occupancy\n" + "".join(f"{(start + i * datetime.timedelta(minutes=2)).isoformat()}Z,{i % 90}\n" for i in range(rows)))
    run("import", "-c", config, recording)
    assert len(run("export", tmp_path / "data", "oerlikon").stdout.splitlines()) == rows
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "log.db")) as log:
        # Readings, ticks and windows are blocks' marks; the rest moved positions and saved state, which once was one in three readings.
        (beside,) = log.execute("SELECT head_commit - (SELECT sum(marks) FROM block) FROM log").fetchone()
    assert beside < 50


def test_a_damaged_log_is_seen(tmp_path):
    config = tmp_path / "weir.toml"
    config.write_text(CONFIG.format(folder=tmp_path))
    run("import", "-c", config, ROOT / "demo" / "ssd7-5s.csv.gz")
    file = tmp_path / "data" / "log.db"
    with contextlib.closing(sqlite3.connect(file)) as log:
        (block,) = log.execute("SELECT bytes FROM body ORDER BY length(bytes) DESC LIMIT 1").fetchone()
    # Within a block, and within one page: pages that are free, or hold nothing but SQLite's own, are not weir's to check.
    raw = bytearray(file.read_bytes())
    place = next(at for at in (raw.find(block[i:i + 64]) for i in range(len(block) // 2, len(block) - 64)) if at >= 0)
    raw[place:place + 64] = bytes(64)
    file.write_bytes(raw)
    assert run("verify", tmp_path / "data", code=1).stdout


def test_mistakes_are_named(tmp_path):
    assert 'did you mean "serve"' in run("serv", code=2).stderr
    config = tmp_path / "weir.toml"
    config.write_text('[gateway]\nping_interval = "0s"\nprot = 1\n')
    message = run("check", "-c", config, code=2).stderr
    assert "weir.toml:2: gateway.ping_interval" in message and "allowed" in message
    assert "weir.toml:3" in message and "port" in message
    for example in sorted((ROOT / "examples").glob("*.toml")):
        run("check", "-c", example)


def test_a_url_that_is_none_is_a_misuse():
    """style.md 11: 2 is misused, and the message says what is allowed."""
    for verb in ("fanout", "idle"):
        assert "ws://" in run("bench", verb, "--url", "hello", "--server-pid", "1", code=2).stderr
    assert "9x" in run("replay", "--serve", "127.0.0.1:0", "--every", "9x", ROOT / "demo" / "ssd7-5s.csv.gz", code=2).stderr


def test_bench_ingest_begins_at_a_feeds_socket():
    """A reading's whole way, from the WebSocket that a feed taps to a subscriber: every one arrives once."""
    found = json.loads(run("bench", "ingest", "--from-feed", "--connections", "2", "--rate", "200", "--seconds", "0.5", "--warm-up", "0.1", "--json").stdout)
    assert (found["from"], found["events"], found["deliveries"]) == ("feed", 100, 200)
    assert (found["requests"], found["missing"], found["duplicates"]) == (0, 0, 0)
    assert "--url" in run("bench", "ingest", "--from-feed", "--url", "ws://127.0.0.1:1", code=2).stderr


def test_simulated_messages_repeat_with_their_seed():
    arguments = ("simulate", "line", "--keys", "bore", "--from", "2026-02-17T00:00:00Z", "--for", "5min", "--every", "5s", "--seed", "7")
    first = run(*arguments).stdout
    assert first == run(*arguments).stdout and len(first.splitlines()) == 60
    assert json.loads(first.splitlines()[0])["received"] == "2026-02-17T00:00:00.000Z"


def test_one_window_is_collected_for_a_timer(tmp_path):
    """S0-6, S0-25, S0-26, S0-35, S0-37: connect, listen until the window's end, save its documents, say what was saved, exit 0."""
    config = tmp_path / "weir.toml"
    config.write_text(f"""
[log]
path = "{tmp_path}/data"
[feeds.room]
interval = "100ms"
[[feeds.room.sources]]
kind = "simulate"
generator = "walk"
keys = ["a"]
interval = "100ms"
[feeds.room.decode]
key = ["/key"]
value = ["/value"]
[windows.short]
stream = "room"
value = "/value"
size = "3s"
lateness = "200ms"
[stores.files]
kind = "folder"
path = "{tmp_path}/files"
""")
    line = run("collect", "-c", config).stdout.splitlines()[-1]
    assert " a: " in line and "readings, min=" in line and "median=" in line
    assert list((tmp_path / "files").rglob("summaries/*/*.json")) and list((tmp_path / "files").rglob("raw-events/*/*.json.gz"))
    # C-1: a schedule that fires more often than the window is long is refused.
    assert "more often" in run("collect", "-c", config, "--every", "*/1 * * * * *", code=2).stderr
    config.write_text(config.read_text().replace(str(tmp_path) + "/data", "/proc/nowhere"))
    assert run("collect", "-c", config, code=1).stderr
