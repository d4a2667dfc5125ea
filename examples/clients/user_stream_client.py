"""The broadcast dialect: a welcome, then every record. Comes back after a lost connection and says what it missed."""
import asyncio
import json
import random
import sys

import websockets


async def main(address='ws://localhost:8765'):
    records, last = 0, None
    while True:
        try:
            async with websockets.connect(address) as socket:
                print('Connected to user stream!', flush=True)
                async for text in socket:
                    message = json.loads(text)
                    if message.get('type') == 'welcome':
                        print(message['message'], flush=True)
                        continue
                    sequence = message['stream_sequence']
                    if last is not None and sequence > last + 1:
                        print(f'Missed {sequence - last - 1} records', flush=True)
                    records, last = records + 1, sequence
                    print(f'#{records} (Stream #{last}): {message["name"]["first"]} {message["name"]["last"]} from {message["location"]["country"]}', flush=True)
        except (OSError, websockets.WebSocketException):
            pass
        await asyncio.sleep(1 + random.random())


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
