#!/usr/bin/python3
"""The whole path of samples: HTTP in (batches), rules, log, pushed to a subscriber of the spc dialect (D8).

    bench/spc_path.py --binary build/weir [--seconds 20] [--batch 1000] [--connections 2]      throughput
    bench/spc_path.py --binary build/weir --rate 1000                                          sample to violation on the wire

Nothing but the standard library: bodies are made once and sent again, and the subscriber counts frames in what it reads without parsing them, so
that the load generator is not the limit. Its own CPU time is printed beside weir's. Latencies count from when a sample should have been sent.
"""
import argparse
import base64
import http.client
import json
import os
import pathlib
import re
import resource
import socket
import subprocess
import tempfile
import threading
import time

CONFIG = """
[log]
path = "{folder}/data"
durability = "{durability}"
[gateway]
port = {port}
page = false
session_queue_bytes = "256MiB"
ring_bytes = "256MiB"
[diag]
level = "warn"
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def post(connection, path, body, content_type="application/json"):
    connection.request("POST", path, body, {"Content-Type": content_type})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


class Subscriber(threading.Thread):
    """Sends one message after the handshake, and hands on what it reads: `on_bytes(data, cut, now)`, of which what stands behind `cut` comes again."""

    def __init__(self, port, path, message, on_bytes):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1)
        text = json.dumps(message).encode()
        mask = os.urandom(4)
        length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
        self.socket.sendall(b"\x81" + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text)))
        self.on_bytes = on_bytes
        self.keep = 80  # bytes that one mark may take

    def run(self):
        rest = b""
        while data := self.socket.recv(1 << 20):
            now = time.monotonic()
            data = rest + data
            # What may be cut in two stays for the next read.
            cut = max(0, len(data) - self.keep)
            self.on_bytes(data, cut, now)
            rest = data[cut:]


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="build/weir")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--characteristics", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--durability", default="process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-spc-") as folder:
        port = free_port()
        config = pathlib.Path(folder) / "weir.toml"
        config.write_text(CONFIG.format(folder=folder, port=port, durability=options.durability))
        server = subprocess.Popen([options.binary, "serve", "-c", str(config)])
        try:
            run(options, port, server)
        finally:
            server.terminate()
            server.wait()


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ready(port):
    for _ in range(200):
        try:
            control = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            control.request("GET", "/readyz")
            if control.getresponse().read() == b"ok\n":
                return control
        except OSError:
            time.sleep(0.05)
    raise SystemExit("weir is not ready")


def run(options, port, server):
    control = ready(port)
    ids = list(range(1, options.characteristics + 1))
    for i in ids:
        status, answer = post(control, "/api/v1/characteristics", json.dumps({"id": i, "limits": {"centre": 10, "sigma": 1}, "spec": {"lsl": 5, "usl": 15}}))
        assert status == 201, answer
    (latency if options.rate else throughput)(options, port, server, ids)


def throughput(options, port, server, ids):
    import random

    seen = {"sample": 0, "violation": 0}
    mark = re.compile(rb'"type":"(sample|violation)","payload"')

    def count(data, cut, now):
        for found in mark.finditer(data):
            # The part that is read again next time counts there.
            if found.start() < cut:
                seen[found.group(1).decode()] += 1

    Subscriber(port, "/ws", {"type": "subscribe", "characteristic_ids": ids}, count).start()
    prng = random.Random(1)
    bodies = ["\n".join(json.dumps({"characteristic_id": prng.choice(ids), "value": round(prng.gauss(10, 1), 3)}) for _ in range(options.batch)).encode() for _ in range(8)]
    sent = [0] * options.connections
    end = time.monotonic() + options.seconds

    def push(n):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        at = n
        while time.monotonic() < end:
            status, answer = post(connection, "/api/v1/samples", bodies[at % len(bodies)], "application/x-ndjson")
            assert status == 200 and answer["accepted"] == options.batch, answer
            sent[n] += options.batch
            at += 1

    began, cpu = time.monotonic(), cpu_of(server.pid)
    threads = [threading.Thread(target=push, args=(n,)) for n in range(options.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    deadline = time.monotonic() + 10
    while seen["sample"] < sum(sent) and time.monotonic() < deadline:
        time.sleep(0.01)
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(f"samples sent and judged: {sum(sent)} in {took:.1f} s = {sum(sent) / took:,.0f}/s; pushed to the subscriber: {seen['sample']} samples, {seen['violation']} violations")
    print(f"CPU: weir {(cpu_of(server.pid) - cpu) / took:.2f} cores, generator and subscriber {(own.ru_utime + own.ru_stime) / took:.2f} cores; load average {os.getloadavg()[0]:.1f}")


def at_rate(options, port, batch, send):
    """Batches at fixed moments, whatever the last one took, on some connections in turn: `send(connection, number of it, number of the batch, when it is due)`."""
    step = batch * options.connections / options.rate
    began = time.monotonic() + 0.2

    def push(n):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        i = 0
        while True:
            at = began + step * (i + n / options.connections)
            if at > began + options.seconds:
                return
            time.sleep(max(0, at - time.monotonic()))
            send(connection, n, i, at)
            i += 1

    threads = [threading.Thread(target=push, args=(n,)) for n in range(options.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def latency(options, port, server, ids):
    due, took = {}, []
    mark = re.compile(rb'"type":"violation","payload":\{"violation_id":\d+,"characteristic_id":\d+,"sample_id":(\d+),"rule_id":1,')

    def count(data, cut, now):
        for found in mark.finditer(data):
            at = due.pop(int(found.group(1)), None)
            if at is not None:
                took.append(now - at)

    Subscriber(port, "/ws", {"type": "subscribe", "characteristic_ids": ids}, count).start()
    batch = 10

    def send(connection, n, i, at):
        number = (n * 10_000_000) + i * batch + 1
        own = ids[n]
        samples = [{"characteristic_id": own, "sample_id": number + k, "value": 20 if k == batch - 1 else 10 + (k % 3 - 1) / 2} for k in range(batch)]
        due[number + batch - 1] = at
        status, answer = post(connection, "/api/v1/samples", json.dumps(samples))
        assert status == 200 and answer["accepted"] == batch, answer

    at_rate(options, port, batch, send)
    time.sleep(1)
    assert not due, f"{len(due)} violations never came"
    print(f"{options.rate:.0f} samples/s, a violation each {batch} samples: {len(took)} violations; sample to violation on the wire "
          f"p50 {percentile(took, .5) * 1e3:.1f} ms, p99 {percentile(took, .99) * 1e3:.1f} ms, p99.9 {percentile(took, .999) * 1e3:.1f} ms; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
