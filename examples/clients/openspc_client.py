"""The spc dialect in three examples: one client, several clients, a heartbeat.

    openspc_client.py [address] [basic|several|heartbeat] [samples to wait for]
"""
import asyncio
import json
import sys

import websockets


async def follow(address, ids, name, count, heartbeat=30):
    async with websockets.connect(address) as socket:
        await socket.send(json.dumps({'type': 'subscribe', 'characteristic_ids': ids}))

        async def ping():
            while True:
                await asyncio.sleep(heartbeat)
                await socket.send(json.dumps({'type': 'ping'}))

        pinging = asyncio.create_task(ping())
        try:
            async for text in socket:
                message = json.loads(text)
                print(f'{name}: {message["type"]}', json.dumps(message.get('payload', message.get('characteristic_ids'))), flush=True)
                if message['type'] == 'sample':
                    count -= 1
                if count == 0:
                    return
        finally:
            pinging.cancel()


async def main(address='ws://localhost:8000/ws', example='basic', count='10'):
    count = int(count)
    if example == 'basic':
        await follow(address, [1, 2, 3], 'client', count)
    elif example == 'several':
        await asyncio.gather(*(follow(address, ids, f'client {ids}', count) for ids in ([1], [2], [1, 2])))
    elif example == 'heartbeat':
        async with websockets.connect(address) as socket:
            for _ in range(count):
                await socket.send(json.dumps({'type': 'ping'}))
                print(json.loads(await socket.recv())['type'], flush=True)


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
