"""The peer of `weir bench fanout`: a Python websockets server that sends each event to each client itself.

    /usr/bin/python3 bench/peers/gather.py [gather|broadcast]

`gather` is the way of the documents that weir replaces: asyncio.gather over one send() for each client. `broadcast` is the library's own faster
way. Prints "WebSocket port, HTTP port, pid". Events come by POST, as weir takes them (NDJSON of {"id", "data"}), and leave as weir's broadcast
sends them, so both peers do the same job but for one thing: nothing is kept here.
"""
import asyncio
import datetime
import json
import os
import sys

import websockets

clients = set()
sequence = 0


async def client(socket, path=None):
    await socket.send(json.dumps({"type": "welcome", "message": "Connected"}))
    clients.add(socket)
    try:
        await socket.wait_closed()
    finally:
        clients.discard(socket)


async def fan_out(message):
    if MODE == "broadcast":
        websockets.broadcast(clients, message)
    elif clients:
        await asyncio.gather(*[socket.send(message) for socket in clients], return_exceptions=True)


async def take(body):
    global sequence
    accepted = 0
    for line in body.splitlines():
        data = json.loads(line)["data"]
        sequence += 1
        data["stream_sequence"] = sequence
        data["server_timestamp"] = datetime.datetime.utcnow().isoformat() + "Z"
        await fan_out(json.dumps(data, separators=(",", ":")))
        accepted += 1
    return accepted


async def http(reader, writer):
    """Just enough HTTP for the publisher: kept connections, Content-Length, one answer a request."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = 0
            for line in head.split("\r\n"):
                if line.lower().startswith("content-length:"):
                    length = int(line.split(":")[1])
            body = await reader.readexactly(length)
            async with publishing:  # one after another: the order is that of the sequence
                answer = json.dumps({"accepted": await take(body)}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    global publishing
    publishing = asyncio.Lock()
    sockets = await websockets.serve(client, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=1024)
    publisher = await asyncio.start_server(http, "127.0.0.1", 0)
    print(sockets.sockets[0].getsockname()[1], publisher.sockets[0].getsockname()[1], os.getpid(), flush=True)
    await asyncio.Future()


MODE = sys.argv[1] if len(sys.argv) > 1 else "gather"
asyncio.run(main())
