"""A peer of `weir bench fanout`: nats-server (Debian's package) with its WebSocket, fed through HTTP as weir is.

    /usr/bin/python3 bench/peers/nats.py

Prints "WebSocket port, HTTP port, pid of nats-server", and ends it when it is ended. Subscribers are to say what NATS wants to hear first:

    weir bench fanout --url ws://127.0.0.1:PORT --path / --publish-url http://127.0.0.1:PORT/ --server-pid PID \
        --hello 'CONNECT {"verbose":false}\\r\\nSUB bench 1\\r\\nPING\\r\\n'

The POSTs are taken and turned into PUB by this process, whose time is not the server's. Nothing is kept (core NATS).
"""
import asyncio
import json
import os
import signal
import socket
import subprocess
import tempfile
import datetime

sequence = 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def publication(body):
    """What the broadcast of weir would send, as NATS takes it."""
    global sequence
    out = []
    for line in body.splitlines():
        data = json.loads(line)["data"]
        sequence += 1
        data["stream_sequence"] = sequence
        data["server_timestamp"] = datetime.datetime.utcnow().isoformat() + "Z"
        text = json.dumps(data, separators=(",", ":")).encode()
        out.append(b"PUB bench %d\r\n%s\r\n" % (len(text), text))
    return b"".join(out), len(out)


async def main():
    tcp, websocket = free_port(), free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(f'listen: 127.0.0.1:{tcp}\nwebsocket {{ listen: "127.0.0.1:{websocket}", no_tls: true }}\nwrite_deadline: "60s"\nmax_pending: 512MB\n')
        config.flush()
        server = subprocess.Popen(["nats-server", "-c", config.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                nats_reader, nats = await asyncio.open_connection("127.0.0.1", tcp)
                break
            except ConnectionError:
                if server.poll() is not None:
                    raise SystemExit("nats-server ended at once; is it installed?")
                await asyncio.sleep(0.02)
    pongs = asyncio.Queue()

    async def listen():
        while line := await nats_reader.readline():
            if line == b"PING\r\n":
                nats.write(b"PONG\r\n")
            elif line == b"PONG\r\n":
                pongs.put_nowait(True)

    listening = asyncio.create_task(listen())
    nats.write(b'CONNECT {"verbose":false}\r\n')
    publishing = asyncio.Lock()

    async def http(reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
                body = await reader.readexactly(length)
                async with publishing:
                    text, accepted = publication(body)
                    nats.write(text + b"PING\r\n")  # its PONG says that the server has taken them
                    await nats.drain()
                    await pongs.get()
                answer = json.dumps({"accepted": accepted}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    publisher = await asyncio.start_server(http, "127.0.0.1", 0)
    ended = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, ended.set)
    print(websocket, publisher.sockets[0].getsockname()[1], server.pid, flush=True)
    await ended.wait()
    listening.cancel()
    server.terminate()
    server.wait()
    os._exit(0)


asyncio.run(main())
