"""Client of weir's analytics dialect that reconnects, and resumes without gap or duplicate.

    async with WeirClient("ws://localhost:8765") as weir:
        readings = await weir.subscribe("events", stream="pools", filters={"metadata.key": "SSD-7"})
        async for event in readings:
            print(event.stream, event.seq, event.data)

Needs Python 3.9 and `websockets` 10 or later. One event loop; not for several threads.

A lost connection is taken up again with backoff and jitter; the server is told the last position of each stream that was *handed out*, so what was
on its way when the connection broke comes again, and nothing that was handed out does. What the server can no longer give is an `Event` of kind
`gap` in its place. `websockets` reads at most `queue` messages ahead: a consumer that is slow makes the socket fill up, and the server acts as the
subscription's `delivery` says.

With `group` the events are shared out among all clients that name it. One counts as done when the next is asked for, and comes again, here or elsewhere, if this
client is gone before that: at least once. What was not asked for yet when a connection broke is left to the group.
"""
from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Callable, Optional

import websockets

__all__ = ["WeirClient", "Subscription", "Event", "WeirError"]


class WeirError(Exception):
    """What the server said no to. `code` is stable; see docs/protocol.md."""

    def __init__(self, error: dict):
        super().__init__(": ".join(filter(None, (error.get("error"), error.get("detail")))))
        self.code = error.get("code", "")
        self.retry_after = error.get("retry_after_ms", 0) / 1000


@dataclass
class Event:
    """One message of a subscription. `kind` is `data`, `gap` (events that will not come) or `delivery` (how many were merged and dropped)."""

    kind: str
    stream: str
    seq: int
    data: dict
    message: dict = field(repr=False)
    connection: int = field(default=0, repr=False)  # which one of its client's it came by


class Subscription:
    """An async iterator of `Event`s; ends when it is unsubscribed or its client is closed."""

    def __init__(self, client: "WeirClient", id: str, request: dict):
        self.client, self.id, self.request = client, id, request
        self.positions: dict[str, dict] = {}
        self.confirmed: asyncio.Future = asyncio.get_running_loop().create_future()
        self._queue: asyncio.Queue = asyncio.Queue(client.queue)
        self._over = False
        self._handed: Optional[Event] = None  # of a group: what is being worked on
        self._done: Optional[Event] = None    # and what is done but not acknowledged
        self._done_count = 0

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        await self._acknowledge()
        event = None if self._over and self._queue.empty() else await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        if "group" in self.request and event.kind == "data":
            self._handed = event
        return event

    async def _acknowledge(self) -> None:
        if self._handed:
            self._done, self._handed = self._handed, None
            self._done_count += 1
        # An acknowledgement covers what came before it by the same connection: one for many.
        if not self._done or (self._done_count < 100 and not self._queue.empty()):
            return
        at, current = self._done.message["metadata"], self._done.connection == self.client.connection
        self._done, self._done_count = None, 0
        if current:
            await self.client._send({"type": "ack", "data": {"subscription_id": self.id, "positions": {at["stream"]: {"epoch": at["epoch"], "seq": at["seq"]}}}})

    def _lost(self) -> None:
        """What waits was handed to a member that is no more: the group hands it out again."""
        while "group" in self.request and not self._queue.empty():
            self._queue.get_nowait()

    async def unsubscribe(self) -> None:
        await self.client._unsubscribe(self)

    async def update(self, **delivery: Any) -> None:
        """Changes how it is delivered: conflate, max_rate, batch_ms, at_bound."""
        self.request["delivery"] = delivery
        await self.client._send({"type": "update", "data": {"subscription_id": self.id, "delivery": delivery}})

    def _end(self) -> None:
        self._over = True
        if not self._queue.full():
            self._queue.put_nowait(None)


class WeirClient:
    def __init__(self, url: str, token: Optional[str] = None, *, backoff_first: float = 0.5, backoff_max: float = 30.0, queue: int = 1000,
                 on_state: Callable[[str], None] = lambda state: None):
        self.url, self.token, self.queue, self.on_state = url, token, queue, on_state
        self.backoff_first, self.backoff_max = backoff_first, backoff_max
        self.client_id: Optional[str] = None
        self.connection = 0
        self._subscriptions: dict[str, Subscription] = {}
        self._resume_token: Optional[str] = None
        self._published: dict[int, tuple[dict, asyncio.Future]] = {}
        self._next = 0
        self._socket = None
        self._ready = asyncio.Event()
        self._task: Optional[asyncio.Task] = None

    async def __aenter__(self) -> "WeirClient":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._socket:
            await self._socket.close()
        for subscription in self._subscriptions.values():
            subscription._end()

    async def subscribe(self, type: str, *, filters: Optional[dict] = None, stream: Any = None, since: Any = None, last: Optional[int] = None,
                        delivery: Optional[dict] = None, group: Optional[str] = None) -> Subscription:
        """Returns when the server has confirmed it; raises WeirError for what it refuses."""
        self._next += 1
        request = {"type": type, "filters": filters, "stream": stream, "since": since, "last": last, "delivery": delivery, "group": group, "ack": True if group else None}
        subscription = Subscription(self, f"py-{self._next}", {k: v for k, v in request.items() if v is not None})
        self._subscriptions[subscription.id] = subscription
        if self._ready.is_set():
            await self._ask_for(subscription)
        await subscription.confirmed
        return subscription

    async def publish(self, stream: str, events: list) -> dict:
        """Returns when they are committed: `{"accepted", "duplicates", "rejected", "events"}`. Events need an `id` of their own: what was
        not answered before a connection broke is sent again."""
        if any("id" not in event for event in events):
            raise ValueError("every event needs an id, so that a repeat is known as one")
        self._next += 1
        answer = asyncio.get_running_loop().create_future()
        message = {"type": "publish", "data": {"stream": stream, "events": events}, "metadata": {"request": self._next}}
        self._published[self._next] = (message, answer)
        if self._ready.is_set():
            await self._send(message)
        return await answer

    # The connection.

    async def _run(self) -> None:
        delay = self.backoff_first
        while True:
            try:
                self.on_state("connecting")
                async with websockets.connect(self.url, max_size=None, max_queue=64) as self._socket:
                    await self._open()
                    delay = self.backoff_first
                    async for text in self._socket:
                        await self._take(json.loads(text))
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                pass
            finally:
                self._ready.clear()
            self.on_state("waiting")
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            delay = min(self.backoff_max, delay * 2)

    async def _open(self) -> None:
        self.connection += 1
        for subscription in self._subscriptions.values():
            subscription._lost()
        await self._send({"type": "auth", "data": {"token": self.token or ""}})
        resumed = set()
        if self._resume_token:
            positions = {s.id: s.positions for s in self._subscriptions.values()}
            await self._send({"type": "resume", "data": {"token": self._resume_token, "positions": positions}})
            resumed = self._in_token
        for subscription in list(self._subscriptions.values()):
            if subscription.id not in resumed:
                await self._ask_for(subscription)
        for message, _ in list(self._published.values()):
            await self._send(message)
        self._ready.set()
        self.on_state("open")

    async def _send(self, message: dict) -> None:
        try:
            await self._socket.send(json.dumps(message))
        except websockets.ConnectionClosed:
            pass  # it is sent again when the next connection opens, or was about the last one only

    async def _ask_for(self, subscription: Subscription) -> None:
        request = dict(subscription.request)
        if subscription.positions:
            request.pop("last", None)
            request["since"] = subscription.positions
        await self._send({"type": "subscribe", "subscription_id": subscription.id, "data": request})

    async def _unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription.id, None)
        subscription._end()
        await self._send({"type": "unsubscribe", "data": {"subscription_id": subscription.id}})
        await self._renew_token()

    async def _renew_token(self) -> None:
        # Not before all are confirmed: what a token does not name is asked for by itself.
        if all(s.confirmed.done() for s in self._subscriptions.values()):
            self._in_next_token = set(self._subscriptions)
            await self._send({"type": "resume_token"})

    async def _confirmed(self, subscription: Subscription, data: dict) -> None:
        for stream, position in data["streams"].items():
            if "since" not in subscription.request and "last" not in subscription.request:
                subscription.positions.setdefault(stream, position)
        if not subscription.confirmed.done():
            subscription.confirmed.set_result(data)

    # What comes.

    async def _take(self, message: dict) -> None:
        kind, data = message["type"], message.get("data")
        subscription = self._subscriptions.get(message.get("subscription_id", ""))
        if kind == "batch":
            for one in data:
                await self._take(one)
        elif kind in ("data", "gap", "delivery"):
            if subscription:
                await self._hand_out(subscription, kind, message)
        elif kind == "subscribed":
            if subscription:
                await self._confirmed(subscription, data)
                await self._renew_token()
        elif kind == "resumed":
            for one in data["subscriptions"]:
                if one["subscription_id"] in self._subscriptions:
                    await self._confirmed(self._subscriptions[one["subscription_id"]], one)
            for one in data["refused"]:
                if one["subscription_id"] in self._subscriptions:
                    self._refuse(self._subscriptions[one["subscription_id"]], one)
        elif kind == "resume_token":
            self._resume_token, self._in_token = data["token"], self._in_next_token
        elif kind == "auth_success":
            self.client_id = data["client_id"]
        elif kind == "published":
            self._answer(message, lambda future: future.set_result(data))
        elif kind == "unsubscribed" and subscription:  # nobody asked for it: the token allows less than before
            self._subscriptions.pop(subscription.id, None)
            subscription._end()
        elif kind == "auth_failed":
            self._refused(data)
        elif kind == "error":
            await self._failed(message, subscription)

    async def _hand_out(self, subscription: Subscription, kind: str, message: dict) -> None:
        data = message["data"]
        if kind == "data":
            at = message["metadata"]
            body = data["event"]["payload"] if "event" in data else next(v for k, v in data.items() if k != "subscription_type")
            await subscription._queue.put(Event("data", at["stream"], at["seq"], body, message, self.connection))
            if "group" not in subscription.request:  # whose position is its own
                subscription.positions[at["stream"]] = {"epoch": at["epoch"], "seq": at["seq"]}
        else:
            await subscription._queue.put(Event(kind, data.get("stream", ""), data.get("to_seq") or 0, data, message))

    async def _failed(self, message: dict, subscription: Optional[Subscription]) -> None:
        error = message["data"]
        if error.get("code") == "bad_resume_token":  # another log: each by itself, from its positions
            self._resume_token = None
            for one in list(self._subscriptions.values()):
                await self._ask_for(one)
        elif error.get("code") == "auth_required":
            self._refused(error)
        elif subscription and not subscription.confirmed.done():
            self._refuse(subscription, error)
        elif message.get("metadata"):
            self._answer(message, lambda future: future.set_exception(WeirError(error)))

    def _refused(self, error: dict) -> None:
        """The token is not good. Who waits is told; what was confirmed before goes on should `token` be changed."""
        self.on_state("refused")
        for subscription in list(self._subscriptions.values()):
            if not subscription.confirmed.done():
                self._refuse(subscription, error)
        for _, answer in self._published.values():
            if not answer.done():
                answer.set_exception(WeirError(error))
        self._published.clear()

    def _refuse(self, subscription: Subscription, error: dict) -> None:
        self._subscriptions.pop(subscription.id, None)
        if not subscription.confirmed.done():
            subscription.confirmed.set_exception(WeirError(error))
        subscription._end()

    def _answer(self, message: dict, give: Callable[[asyncio.Future], None]) -> None:
        waiting = self._published.pop((message.get("metadata") or {}).get("request"), None)
        if waiting and not waiting[1].done():
            give(waiting[1])

    _in_token: set = set()
    _in_next_token: set = set()
