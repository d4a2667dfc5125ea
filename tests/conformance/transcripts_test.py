#!/usr/bin/python3
"""Plays the transcripts of the three dialects, which are taken line by line from their source documents, with Python's `websockets`.

    transcripts_test.py <gateway_server>                                              all of them
    transcripts_test.py <gateway_server> transcripts/analytics/08-unsubscribe.txt     one, said aloud as it is played

Every wait is for a message or a condition; the deadline only ends a broken test.
"""
import asyncio
import json
import pathlib
import socket as sockets
import sys
import unittest

import websockets

import gateway_test
import transcript
from gateway_test import DEADLINE, Server

FOLDER = pathlib.Path(__file__).parent / "transcripts"


class Client(websockets.WebSocketClientProtocol):
    """Tells of pings, which `websockets` answers without a word."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.pinged = asyncio.Event()

    async def pong(self, data=b""):
        self.pinged.set()
        await super().pong(data)


class Player:
    """One transcript against a server of its own."""

    def __init__(self, path, aloud=False):
        self.path = path
        self.aloud = aloud
        self.names = {}
        self.clients = {}
        self.server = None
        self.refused = None   # by what the last connection was
        self.method = self.ask = None  # the last request, and what came of it
        self.answered = None
        self.headers = {"Content-Type": "application/json"}

    async def play(self):
        step = None
        try:
            lines = pathlib.Path(self.path).read_text(encoding="utf-8").splitlines()
            for step in transcript.read(self.path):
                if self.aloud:
                    print(f"{step.number:5}  {lines[step.number - 1]}", flush=True)
                if self.refused and step.what != "refused":
                    self.fail(step, "the connection before this line was refused", [str(self.refused)])
                await getattr(self, "do_" + step.what)(step)
            # Whoever is still there has been told all that the transcript says, and no more.
            for who, client in self.clients.items():
                await client.close()
                if client.messages:
                    self.fail(step, f"at the end of the transcript weir has said more to {who}", [str(m) for m in client.messages])
        except transcript.Mistake as mistake:
            raise AssertionError(str(mistake) if str(self.path) in str(mistake) else f"{self.path}:{step.number}: {mistake}") from None
        finally:
            for client in self.clients.values():
                await client.close()
            if self.server and self.server.process.poll() is None:
                self.server.stop()

    def fail(self, step, what, lines, said=None):
        text = f"{self.path}:{step.number}: {what}" + "".join(f"\n    {line}" for line in lines)
        if step.message is not None:
            text += f"\n  transcript  {json.dumps(step.message)}"
        if said is not None:
            text += f"\n  weir said   {said}"
        raise AssertionError(text)

    def client(self, step):
        if step.who not in self.clients:
            raise transcript.Mistake(f"nobody called {step.who} has connected")
        return self.clients[step.who]

    async def aside(self, function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    async def next(self, step):
        """What the client is told next, as text; None where the connection ends instead."""
        client = self.client(step)
        try:
            return await asyncio.wait_for(client.recv(), DEADLINE)
        except websockets.ConnectionClosed:
            return None
        except asyncio.TimeoutError:
            self.fail(step, f"{step.who} was told nothing for {DEADLINE} s", [])

    # The lines of a transcript.

    async def do_server(self, step):
        self.server = Server(*step.words)
        tokens = [word.partition("=")[2] for word in step.words if word.startswith("token=")]
        if tokens:
            self.headers["Authorization"] = f"Bearer {tokens[0]}"

    async def do_connect(self, step):
        path, header = step.words
        name, _, value = header.partition(": ")
        try:
            self.clients[step.who] = await websockets.connect(self.server.url(path), create_protocol=Client, max_size=None, max_queue=None, ping_interval=None,
                                                              extra_headers={name: value} if name else {})
        except websockets.InvalidStatusCode as refused:
            self.refused = refused

    async def do_refused(self, step):
        if not self.refused:
            self.fail(step, "the connection was not refused", [])
        if self.refused.status_code != step.words[0]:
            self.fail(step, f"the connection was refused with {self.refused.status_code}", [])
        self.refused = None

    async def do_disconnect(self, step):
        await self.client(step).close()
        del self.clients[step.who]

    async def do_send(self, step):
        text = step.text or json.dumps(transcript.filled(step.message, self.names))
        client = self.client(step)
        raw = client.transport.get_extra_info("socket")
        # Many at once arrive at once: what a limit says to them does not depend on how fast this machine is.
        if step.times > 1:
            raw.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_CORK, 1)
        for _ in range(step.times):
            await client.send(text)
        if step.times > 1:
            raw.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_CORK, 0)

    async def do_receive(self, step):
        for _ in range(step.times):
            text = await self.next(step)
            if text is None:
                client = self.client(step)
                self.fail(step, f"the connection was closed with {client.close_code} {client.close_reason}", [])
            found = transcript.differences(step.message, json.loads(text), self.names)
            if found:
                self.fail(step, "the message is another", found, text)

    async def do_closed(self, step):
        code, reason = step.words
        text = await self.next(step)
        if text is not None:
            self.fail(step, f"expected the connection to be closed with {code}", [], text)
        client = self.client(step)
        if client.close_code != code or (reason and client.close_reason != reason):
            self.fail(step, f"the connection was closed with {client.close_code} {client.close_reason}", [])
        del self.clients[step.who]

    async def do_pinged(self, step):
        await asyncio.wait_for(self.client(step).pinged.wait(), DEADLINE)
        self.client(step).pinged.clear()

    async def do_event(self, step):
        body = json.dumps(transcript.filled(step.message, self.names)).encode()
        status, _, answer = await self.aside(self.server.request, f"/api/v1/streams/{step.words[0]}/events", body, self.headers)
        if status != 200:
            self.fail(step, f"the event was answered with {status}", [], answer.decode())

    async def do_request(self, step):
        self.method, target = step.words
        body = None if step.message is None else json.dumps(step.message).encode()
        self.ask = lambda: self.server.request(target, body, self.headers, self.method)
        self.answered = await self.aside(self.ask)

    async def do_answer(self, step):
        """Of the request before it. What is counted may lag behind by a turn of the server: a GET is asked again until it fits."""
        for last in [*[False] * (DEADLINE * 20), True]:
            status, _, body = self.answered
            found = [f"the status is {status}, expected {step.words[0]}"] if status != step.words[0] else []
            found += transcript.differences(step.message, json.loads(body), self.names)
            if not found:
                return
            if last or self.method != "GET":
                self.fail(step, "the answer is another", found, body.decode())
            await asyncio.sleep(0.05)
            self.answered = await self.aside(self.ask)


class Transcripts(unittest.TestCase):
    def play(self, dialect):
        files = sorted((FOLDER / dialect).glob("*.txt"))
        self.assertTrue(files)
        for path in files:
            with self.subTest(path.name):
                failure = None  # told without the way through the player, which is no help
                try:
                    asyncio.run(Player(path).play())
                except AssertionError as failed:
                    failure = str(failed)
                self.assertIsNone(failure, "\n" + str(failure))

    def test_broadcast_says_what_source_002_shows(self):
        """S2-2, S2-4, S2-20, S2-24, C-24"""
        self.play("broadcast")

    def test_spc_says_what_source_003_shows(self):
        """S3-1 to S3-6, S3-9 to S3-21, S3-28, S3-31, S3-33, S3-34, C-25, C-27"""
        self.play("spc")

    def test_analytics_says_what_source_004_shows(self):
        """S4-2 to S4-13, S4-17, S4-19 to S4-26, S4-29, C-25, C-32, C-33, C-42 to C-45"""
        self.play("analytics")


class Comparison(unittest.TestCase):
    """A test that compares too little proves nothing, so what it must tell apart is tested too."""

    def different(self, wanted, there):
        return transcript.differences(wanted, there, {})

    def test_a_member_too_many_too_few_or_of_another_type_is_a_difference(self):
        for wanted, there in (({"a": 1}, {"a": 1, "b": 2}), ({"a": 1}, {}), ({"a": 1}, {"a": True}), ({"a": 1}, {"a": "1"}), ({"a": None}, {}), ({"a": [1, 2]}, {"a": [2, 1]}),
                              ({"a": {"b": 1}}, {"a": {"b": 1, "c": 1}}), ({"+a": 1}, {}), ({"a": "<number>"}, {"a": True}), ({"a": "<uuid>"}, {"a": "x"}), ({"a": "<time>"}, {"a": "2026-02-02 12:00"})):
            self.assertNotEqual(self.different(wanted, there), [], (wanted, there))
        for wanted, there in (({"a": 1, "b": {"c": []}}, {"b": {"c": []}, "a": 1}), ({"+a": 1}, {"a": 1}), ({"a": 1, "+...": "more"}, {"a": 1, "b": 2}), ({"a": "<time>"}, {"a": "2026-02-02T12:00:00Z"})):
            self.assertEqual(self.different(wanted, there), [], (wanted, there))

    def test_what_was_named_is_known_afterwards(self):
        names = {}
        self.assertEqual(transcript.differences({"id": "<text: own>"}, {"id": "sub_1"}, names), [])
        self.assertEqual(transcript.filled({"data": ["<own>"]}, names), {"data": ["sub_1"]})
        self.assertEqual(transcript.differences({"id": "<own>"}, {"id": "sub_2"}, names), ['id is "sub_2", expected "sub_1"'])
        with self.assertRaises(transcript.Mistake):
            transcript.filled({"id": "<nobody>"}, names)


if __name__ == "__main__":
    if gateway_test.SERVER is None:
        sys.exit(__doc__)
    chosen = [argument for argument in sys.argv[1:] if argument.endswith(".txt")]
    for one in chosen:
        print(one)
        try:
            asyncio.run(Player(one, aloud=True).play())
        except AssertionError as failure:
            sys.exit(str(failure))
    if not chosen:
        unittest.main(verbosity=1)
