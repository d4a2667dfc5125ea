"""The consumer of source 002, as that document describes its websocket_client.py: it connects to SERVER_URI, greets, takes every message that is not
the welcome for a record, logs it with its own counter and the stream's sequence, and reconnects after five seconds, for ever.

Where the document's consumer inserts into PostgreSQL, `insert` is called; `python consumer_of_source_002.py` writes records to stdout instead."""
import asyncio
import json
import logging
import os
import sys

import websockets

SERVER_URI = os.environ.get("SERVER_URI", "ws://localhost:8765")
RECONNECT_DELAY = 5
COLUMNS = {
    "uuid": ("login", "uuid"), "gender": ("gender",), "title": ("name", "title"), "first_name": ("name", "first"), "last_name": ("name", "last"),
    "email": ("email",), "username": ("login", "username"), "dob_date": ("dob", "date"), "dob_age": ("dob", "age"), "registered_date": ("registered", "date"),
    "phone": ("phone",), "cell": ("cell",), "street_number": ("location", "street", "number"), "street_name": ("location", "street", "name"),
    "city": ("location", "city"), "state": ("location", "state"), "country": ("location", "country"), "postcode": ("location", "postcode"),
    "latitude": ("location", "coordinates", "latitude"), "longitude": ("location", "coordinates", "longitude"),
    "timezone_offset": ("location", "timezone", "offset"), "picture_large": ("picture", "large"), "nationality": ("nat",),
}

logging.basicConfig(level=logging.INFO, format="%(asctime)s - %(levelname)s - %(message)s", stream=sys.stderr)
log = logging.getLogger("consumer")


def row(record):
    def at(path):
        value = record
        for step in path:
            value = value[step]
        return value

    return {column: at(path) for column, path in COLUMNS.items()}


async def consume(insert, stop_after=None):
    inserted = 0
    while True:
        try:
            async with websockets.connect(SERVER_URI) as socket:
                log.info("✅ Connected to user stream!")
                async for text in socket:
                    message = json.loads(text)
                    if message.get("type") == "welcome":
                        log.info("👋 %s", message["message"])
                        continue
                    user = row(message)
                    insert(user, message)
                    inserted += 1
                    log.info("✅ #%d (Stream #%d): %s %s from %s", inserted, message["stream_sequence"], user["first_name"], user["last_name"], user["country"])
                    if inserted % 60 == 0:
                        log.info("📊 Milestone: %d users inserted!", inserted)
                    if inserted == stop_after:
                        return
        except (websockets.ConnectionClosed, OSError) as error:
            log.info("connection lost (%s), next try in %d s", error, RECONNECT_DELAY)
            await asyncio.sleep(RECONNECT_DELAY)


if __name__ == "__main__":
    asyncio.run(consume(lambda user, message: print(json.dumps(message), flush=True), int(os.environ.get("STOP_AFTER", "0")) or None))
