"""A real weir process, real feeds, real client libraries. Every wait is for a condition, with a deadline that only ends a broken test."""
import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
import websockets

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = str(pathlib.Path(os.environ.get("WEIR_BINARY", ROOT / "build" / "weir")).resolve())
# A broken test ends by this; a slow machine or a sanitizer build must not.
DEADLINE = 60.0


def until(condition, what, deadline=DEADLINE):
    """Calls `condition` until it gives something true, and gives that back."""
    end = time.monotonic() + deadline
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"did not happen within {deadline} s: {what}"
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Weir:
    """One `weir serve` with its folder; may be killed and started again."""

    def __init__(self, folder, config, env=None, args=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.config = self.folder / "weir.toml"
        self.config.write_text(config.replace("@PORT@", str(self.port)).replace("@FOLDER@", str(self.folder)))
        self.env = {**os.environ, **(env or {})}
        self.args = list(args)
        self.log = open(self.folder / "diagnostics.log", "ab")
        self.process = None

    def start(self, ready=True):
        self.process = subprocess.Popen([BINARY, "serve", "-c", str(self.config), *self.args], stdout=self.log, stderr=self.log, cwd=self.folder, env=self.env)
        if ready:
            until(self.is_ready, "weir is ready")
        return self

    def is_ready(self):
        assert self.process.poll() is None, "weir ended by itself:\n" + self.diagnostics()[-3000:]
        with contextlib.suppress(OSError):
            return self.get("/readyz", raw=True) is not None
        return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)

    def stop(self):
        """SIGTERM; a clean end is exit code 0."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            return self.process.wait(DEADLINE)
        return self.process.returncode if self.process else None

    def diagnostics(self):
        return (self.folder / "diagnostics.log").read_text(errors="replace")

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def ws(self, path):
        return f"ws://127.0.0.1:{self.port}{path}"

    def get(self, path, raw=False):
        with urllib.request.urlopen(self.url(path), timeout=DEADLINE) as answer:
            body = answer.read()
        return body.decode() if raw else json.loads(body)

    def post(self, path, body, content_type="application/json"):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        request = urllib.request.Request(self.url(path), data=data, headers={"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def events(self, stream):
        """Every event of a stream, page by page."""
        after, found = 0, []
        while True:
            page = self.get(f"/api/v1/streams/{stream}/events?after={after}&limit=10000")
            found += page["events"]
            if not page["events"] or page["next"] is None:
                return found
            after = page["next"]

    def head(self, stream):
        with contextlib.suppress(urllib.error.HTTPError):
            return self.get(f"/api/v1/streams/{stream}")["head_seq"]
        return 0


@pytest.fixture
def weir(tmp_path):
    """weir(config) starts one (or makes one that is to be started, `begin=False`); all end with the test."""
    started = []

    def start(config, name="weir", ready=True, begin=True, **options):
        instance = Weir(tmp_path / name, config, **options)
        started.append(instance)
        return instance.start(ready) if begin else instance

    yield start
    for instance in started:
        if instance.process and instance.process.poll() is None:
            instance.kill()
        text = instance.diagnostics()
        assert "AddressSanitizer" not in text and "runtime error:" not in text and "ThreadSanitizer" not in text, text[-5000:]
        assert "internal error" not in text, text[-3000:]


class FeedServer:
    """An upstream that knows what it sent: a WebSocket server on a thread of its own.

    Says nothing before a client has sent a text, as the pool feed does; `send` then goes to every client that asked."""

    def __init__(self, port=0, needs_text=True):
        self.needs_text = needs_text
        self.clients = set()
        self.opened = []      # texts that clients sent first
        self.connections = 0
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.port = port
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(DEADLINE)

    def _run(self):
        asyncio.set_event_loop(self.loop)

        async def serve():
            self.server = await websockets.serve(self._client, "127.0.0.1", self.port, ping_interval=None)
            self.port = self.server.sockets[0].getsockname()[1]
            self.ready.set()

        self.loop.run_until_complete(serve())
        self.loop.run_forever()

    async def _client(self, socket_, path=None):
        self.connections += 1
        try:
            if self.needs_text:
                self.opened.append(await socket_.recv())
            self.clients.add(socket_)
            await socket_.wait_closed()
        except websockets.ConnectionClosed:
            pass
        finally:
            self.clients.discard(socket_)

    def url(self):
        return f"ws://127.0.0.1:{self.port}/api"

    def send(self, message):
        """To all clients; gives back how many were there."""
        text = message if isinstance(message, str) else json.dumps(message)

        async def go():
            reached = 0
            for client in list(self.clients):
                with contextlib.suppress(websockets.ConnectionClosed):
                    await client.send(text)
                    reached += 1
            return reached

        return asyncio.run_coroutine_threadsafe(go(), self.loop).result(DEADLINE)

    def drop_clients(self):
        async def go():
            for client in list(self.clients):
                await client.close(1001)

        asyncio.run_coroutine_threadsafe(go(), self.loop).result(DEADLINE)

    def stop(self):
        if not self.thread.is_alive():
            return

        async def go():
            self.server.close()
            await self.server.wait_closed()

        asyncio.run_coroutine_threadsafe(go(), self.loop).result(DEADLINE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(DEADLINE)


@pytest.fixture
def feed_server():
    servers = []

    def start(**options):
        servers.append(FeedServer(**options))
        return servers[-1]

    yield start
    for server in servers:
        with contextlib.suppress(Exception):
            server.stop()
