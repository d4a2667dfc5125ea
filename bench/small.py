#!/usr/bin/python3
"""How small weir stays on its main job: the demo's feed of 32 pools every 4 seconds, beside a day of them in the log.

    WEIR_BINARY=build/weir bench/small.py [minutes of the live feed, default 10] [line]

`line` leaves the demo's production line with its control charts in; without it there are the pools alone.

A message is taken from the stand-in of the feed, a day of such messages (one each 5 s, counts that walk) is imported, and `serve` runs on that log
with the demo's windows and files. Printed: bytes a reading on disk after merging, memory (PSS) and CPU after the minutes, and how soon it is ready
when it is killed and started again.
"""
import asyncio
import contextlib
import datetime
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import websockets

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEIR = os.environ.get("WEIR_BINARY", str(ROOT / "build" / "weir"))
FEED, HTTP = 18766, 18765


def started(*arguments):
    return subprocess.Popen([WEIR, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ended(process, how=signal.SIGTERM):
    process.send_signal(how)
    process.wait()


def until(condition, what):
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        with contextlib.suppress(OSError):
            if condition():
                return
        time.sleep(0.002)
    sys.exit(f"after 60 s there is still no {what}")


def is_ready():
    return urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/readyz", timeout=5).status == 200


async def one_message():
    async with websockets.connect(f"ws://127.0.0.1:{FEED}/api", max_size=None) as socket:
        await socket.send("all")
        return json.loads(await socket.recv())


def write_day(path, pools):
    """One message a line, as `weir import` takes recordings: {"received": ..., "message": ...}."""
    draw = random.Random(7)
    begin = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - datetime.timedelta(days=1, minutes=5)
    fill = [draw.randrange(200) for _ in pools]
    count = 24 * 3600 // 5
    with open(path, "w") as out:
        for i in range(count):
            at = (begin + datetime.timedelta(seconds=5 * i)).isoformat().replace("+00:00", "Z")
            fill = [max(0, count + draw.choice((-1, 0, 0, 0, 1))) for count in fill]
            message = [{**pool, "currentfill": str(count)} for pool, count in zip(pools, fill)]
            out.write(json.dumps({"received": at, "message": message}) + "\n")
    return count * len(pools)


def pss_of(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no PSS")


def cpu_of(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size_of(folder):
    return sum(f.stat().st_size for f in folder.iterdir() if f.name.startswith("log.db"))


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    with_line = sys.argv[2:] == ["line"]
    with tempfile.TemporaryDirectory(prefix="weir-small-") as name:
        folder = pathlib.Path(name)
        config = folder / "weir.toml"
        demo = (ROOT / "demo" / "weir.toml").read_text()
        pools, _ = demo.split("# A simulated production line")
        demo = demo if with_line else pools
        config.write_text(demo.replace("weir-data", str(folder / "data")).replace("port = 8765", f"port = {HTTP}").replace(":8766/", f":{FEED}/"))
        feed = started("replay", "--serve", f"127.0.0.1:{FEED}", "--pools", "--every", "4s", str(ROOT / "demo" / "ssd7-5s.csv.gz"))
        server = None
        try:
            until(lambda: asyncio.run(one_message()), "message of the feed")
            readings = write_day(folder / "day.ndjson", asyncio.run(one_message()))
            began = time.monotonic()
            subprocess.run([WEIR, "import", "-c", str(config), "--feed", "pools", str(folder / "day.ndjson")], check=True, stdout=subprocess.DEVNULL)
            print(f"import of a day, {readings} readings with windows and files: {time.monotonic() - began:.1f} s", flush=True)
            print(f"on disk: {size_of(folder / 'data') / readings:.2f} bytes a reading (all of log.db, windows included)", flush=True)

            server = started("serve", "-c", str(config))
            until(is_ready, "ready server")
            time.sleep(30)  # the start is not what is measured here
            cpu, at = cpu_of(server.pid), time.monotonic()
            time.sleep(minutes * 60)
            print(f"CPU over {minutes:g} minutes: {100 * (cpu_of(server.pid) - cpu) / (time.monotonic() - at):.2f} % of a core", flush=True)
            print(f"memory: {pss_of(server.pid):.1f} MB (PSS)", flush=True)
            print(f"on disk: {size_of(folder / 'data') / readings:.2f} bytes a reading, now that the keeper has merged", flush=True)
            ended(server, signal.SIGKILL)
            began = time.monotonic()
            server = started("serve", "-c", str(config))
            until(is_ready, "ready server")
            print(f"killed and started again: ready after {1000 * (time.monotonic() - began):.0f} ms", flush=True)
        finally:
            if server:
                ended(server)
            ended(feed)


main()
