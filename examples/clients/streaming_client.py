"""The analytics dialect: authenticate, subscribe, receive."""
import asyncio
import json
import sys

import websockets


class StreamingClient:
    def __init__(self, uri, token):
        self.uri = uri
        self.token = token
        self.subscriptions = {}  # id -> callback
        self.answers = {}        # id -> future of its confirmation

    async def connect(self):
        """Returns when the server knows us; messages are read in the background."""
        self.websocket = await websockets.connect(self.uri)
        await self.send({'type': 'auth', 'data': {'token': self.token}})
        self.authenticated = asyncio.get_running_loop().create_future()
        self.reader = asyncio.create_task(self.read())
        await self.authenticated

    async def read(self):
        async for message in self.websocket:
            self.handle_message(json.loads(message))

    async def send(self, message):
        await self.websocket.send(json.dumps(message))

    async def subscribe(self, sub_type, filters=None, callback=print):
        """Returns the server's confirmation; raises what it says no to."""
        subscription_id = f'{sub_type}-{len(self.subscriptions) + 1}'
        self.subscriptions[subscription_id] = callback
        self.answers[subscription_id] = asyncio.get_running_loop().create_future()
        await self.send({'type': 'subscribe', 'subscription_id': subscription_id, 'data': {'type': sub_type, 'filters': filters or {}}})
        return await self.answers[subscription_id]

    def handle_message(self, message):
        kind, data = message['type'], message.get('data', {})
        waiting = self.answers.pop(message.get('subscription_id'), None) if kind in ('subscribed', 'error') else None
        if kind == 'auth_success':
            print('Authentication successful', flush=True)
            self.authenticated.set_result(data['client_id'])
        elif kind == 'auth_failed':
            self.authenticated.set_exception(PermissionError(data['error']))
        elif kind == 'subscribed':
            if waiting:
                waiting.set_result(data)
        elif kind == 'data':
            self.subscriptions[message['subscription_id']](data)
        elif kind == 'error':
            if waiting:
                waiting.set_exception(ValueError(data['error'] + ': ' + data.get('detail', '')))
            else:
                print('Error:', data['error'], flush=True)


async def main(uri='ws://localhost:8765', token='your-token'):
    client = StreamingClient(uri, token)
    await client.connect()
    await client.subscribe('events', {'event_type': 'user_action'}, lambda data: print('Received data:', json.dumps(data), flush=True))
    print('Subscribed', flush=True)
    await client.reader


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
