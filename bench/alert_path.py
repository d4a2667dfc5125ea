#!/usr/bin/python3
"""From a reading beyond its level to its alert on the wire (D15): HTTP in (batches of 10), rules, log, pushed to a subscriber of the analytics dialect.

    bench/alert_path.py --binary build/weir [--rate 1000] [--rules 10] [--seconds 20]

Each batch ends with a spike of one reading, which the first reading of the next one ends: an alert and its end for each batch. Latencies count from when a
batch should have been sent.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from spc_path import Subscriber, at_rate, cpu_of, free_port, percentile, post, ready

CONFIG = """
[log]
path = "{folder}/data"
durability = "{durability}"
[gateway]
port = {port}
page = false
[spc]
enabled = false
[diag]
level = "warn"
[streams.readings]
[alerts.spike]
stream = "readings"
value = "/value"
level = 100
"""
# Others that look at every reading and find nothing.
IDLE = """
[alerts.idle{n}]
stream = "readings"
value = "/value"
level = 1e12
clear = 1e11
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="build/weir")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--rules", type=int, default=10)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--durability", default="process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-alerts-") as folder:
        port = free_port()
        config = pathlib.Path(folder) / "weir.toml"
        config.write_text(CONFIG.format(folder=folder, port=port, durability=options.durability) + "".join(IDLE.format(n=n) for n in range(options.rules - 1)))
        server = subprocess.Popen([options.binary, "serve", "-c", str(config)])
        try:
            ready(port)
            run(options, port, server)
        finally:
            server.terminate()
            server.wait()


def run(options, port, server):
    due, took = {}, []
    # The alert's own number tells which spike it is.
    mark = re.compile(rb'"change":"firing".{0,400}?"value":(\d+)')

    def count(data, cut, now):
        for found in mark.finditer(data):
            at = due.pop(int(found.group(1)), None)
            if at is not None:
                took.append(now - at)

    subscriber = Subscriber(port, "/stream", {"type": "subscribe", "data": {"type": "alerts", "stream": "alerts"}}, count)
    subscriber.keep = 1024
    subscriber.start()
    batch = 10

    def send(connection, n, i, at):
        spike = 1_000_000 * (n + 1) + i
        events = [{"key": f"k{n}", "data": {"value": spike if k == batch - 1 else k}} for k in range(batch)]
        due[spike] = at
        status, answer = post(connection, "/api/v1/streams/readings/events", json.dumps(events))
        assert status == 200 and answer["accepted"] == batch, answer

    cpu, started = cpu_of(server.pid), time.monotonic()
    at_rate(options, port, batch, send)
    used = (cpu_of(server.pid) - cpu) / (time.monotonic() - started)
    until = time.monotonic() + 10
    while due and time.monotonic() < until:
        time.sleep(0.01)
    assert not due, f"{len(due)} alerts never came"
    print(f"{options.rate:.0f} readings/s, {options.rules} rules, an alert each {batch} readings: {len(took)} alerts; reading to alert on the wire "
          f"p50 {percentile(took, .5) * 1e3:.1f} ms, p99 {percentile(took, .99) * 1e3:.1f} ms, p99.9 {percentile(took, .999) * 1e3:.1f} ms; "
          f"weir {used:.2f} cores, load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
