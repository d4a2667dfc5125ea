"""Groups of the analytics dialect in a whole weir: boundaries of tokens, tokens that run out, the clients, and kills."""
import asyncio
import json
import random
import sys
import time

import jwt
import websockets

from conftest import DEADLINE, ROOT, until
from test_auth import ADMIN, BASE, ask, connect, publish, request, tokens

sys.path.insert(0, str(ROOT / "clients" / "python"))
from weir_client import WeirClient  # noqa: E402

SECRET = "an HMAC secret of 32 bytes or more"


def signed(seconds=600, **permissions):
    return jwt.encode({"sub": "someone", "exp": time.time() + seconds, "weir": permissions}, SECRET, algorithm="HS256")


def start(weir):
    return weir(BASE + "rate_limit_per_minute = 100000\npublish_limit_per_minute = 1000000\nreactors = 2\n" + tokens(admin=ADMIN) + f'[gateway.jwt]\nsecret = "{SECRET}"\nleeway = "0s"\n')


async def join(ws, token, **data):
    assert (await ask(ws, {"type": "auth", "data": {"token": token}}))["type"] == "auth_success"
    return await ask(ws, {"type": "subscribe", "data": {"type": "events", "group": "team", "ack": True, **data}})


async def numbers(ws, count):
    """Of the next `count` data messages, whatever else comes between."""
    found = []
    while len(found) < count:
        message = json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))
        if message["type"] == "data":
            found.append(message["data"]["event"]["payload"]["n"])
    return found


def test_a_group_never_crosses_a_boundary_and_only_who_may_see_the_same_shares_it(weir):
    """C-21, D7: the boundary of the token is part of what a group shares out"""
    w = start(weir)
    publish(w, "events", [{"key": "a", "data": {"n": 0, "mark": "open"}}])
    bounded = dict(streams=["events"], filter={"mark": "open"})

    async def run():
        async with connect(w) as first, connect(w) as other, connect(w) as same:
            assert (await join(first, signed(**bounded)))["type"] == "subscribed"
            for data in ({}, {"stream": "events"}, {"stream": "events", "filters": {"mark": "shut"}}):
                told = await join(other, signed(), **data)
                assert (told["type"], told["data"]["code"]) == ("error", "group_differs"), told
            assert (await join(same, signed(**bounded)))["type"] == "subscribed"
            publish(w, "events", [{"key": f"k{n}", "data": {"n": n, "mark": "open" if n % 2 else "shut"}} for n in range(1, 101)])
            got = []

            async def take(ws):
                while len(got) < 50:
                    got.extend(await numbers(ws, 1))

            tasks = [asyncio.create_task(take(ws)) for ws in (first, same)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=DEADLINE)
            for task in tasks:
                task.cancel()
            assert sorted(got) == list(range(1, 101, 2))

    asyncio.run(run())


def test_a_member_whose_token_runs_out_or_shrinks_hands_over(weir):
    """C-21: token expiry and a narrower token end the membership, and what was not acknowledged goes to the others"""
    w = start(weir)
    publish(w, "events", [{"data": {"n": -1}}])
    for ending in ("expires", "shrinks"):
        async def run():
            async with connect(w, max_queue=None) as leaving, connect(w, max_queue=None) as staying:
                assert (await join(leaving, signed(6 if ending == "expires" else 600)))["type"] == "subscribed"
                assert (await join(staying, signed()))["type"] == "subscribed"
                until(lambda: json.loads(request(w, "/api/v1/groups", "admin-token")[1])["groups"][0]["members"] == 2, "two members")
                publish(w, "events", [{"key": f"k{n}", "data": {"n": n}} for n in range(60)])
                got = []
                if ending == "shrinks":
                    lost = await numbers(leaving, 1)
                    await leaving.send(json.dumps({"type": "auth", "data": {"token": signed(streams=["events"])}}))
                while set(got) != set(range(60)):
                    got.extend(await numbers(staying, 1))
                assert len(got) == 60
                if ending == "expires":
                    try:
                        while True:
                            await asyncio.wait_for(leaving.recv(), DEADLINE)
                    except websockets.ConnectionClosed:
                        assert leaving.close_code == 1008
                else:
                    assert lost[0] in got
            until(lambda: json.loads(request(w, "/api/v1/groups", "admin-token")[1])["groups"][0]["members"] == 0, "none")
            assert request(w, "/api/v1/groups/team", "admin-token", "DELETE")[0] == 200

        asyncio.run(run())


def test_python_clients_share_a_stream_and_lose_nothing_when_weir_and_one_of_them_are_killed(weir):
    """C-21, S3-31: at least once, through clients/python, with a weir that is killed again and again"""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    w = weir(BASE + "publish_limit_per_minute = 1000000\nreactors = 2\n[streams.events]\n")
    count = 600
    done = [[], [], []]

    async def run():
        clients = [WeirClient(w.ws("/"), backoff_first=0.05, backoff_max=0.2) for _ in done]
        publisher = WeirClient(w.ws("/"), backoff_first=0.05, backoff_max=0.2)
        for one in (*clients, publisher):
            await one.__aenter__()
        shares = [await client.subscribe("events", stream="events", group="team") for client in clients]

        async def work(share, mine):
            async for event in share:
                if event.kind == "data":
                    await asyncio.sleep(0)
                    mine.append(event.data["n"])

        workers = [asyncio.create_task(work(*pair)) for pair in zip(shares, done)]

        async def send():
            for n in range(count):
                answer = await publisher.publish("events", [{"id": f"n{n}", "key": f"k{n % 30}", "data": {"n": n}}])
                assert answer["accepted"] + answer["duplicates"] == 1

        everything = lambda: {n for mine in done for n in mine}

        async def kill():
            for turn in range(3):
                goal = len(everything()) + chance.randint(20, 100)
                while len(everything()) < goal:
                    await asyncio.sleep(0.005)
                await asyncio.get_running_loop().run_in_executor(None, lambda: (w.kill(), w.start()))
            workers[0].cancel()  # in the midst of an event
            await clients[0].close()

        async def whole():
            while everything() != set(range(count)):
                await asyncio.sleep(0.01)

        await asyncio.wait_for(asyncio.gather(send(), kill(), whole()), DEADLINE)
        for one in (*clients, publisher):
            await one.close()

    asyncio.run(run())
    assert all(done), [len(mine) for mine in done]
    print("handed out twice:", sum(map(len, done)) - count)
