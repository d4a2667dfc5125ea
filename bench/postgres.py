#!/usr/bin/env python3
"""Rows a second into PostgreSQL, in interleaved rounds: weir's store, a bare COPY of the same rows into the same table, and an INSERT with a commit a
row (psycopg2), as source 002's consumer writes them. Prints a table as Markdown.

    WEIR_BINARY=build/weir bench/postgres.py [events] [rounds]      needs Debian's postgresql, python3-psycopg2, python3-pytest, python3-websockets

The time of weir's store is the server's own: from the store's start in the database to the commit of the last row. fsync is on."""
import io
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
from conftest import Weir, until  # noqa: E402
from postgres import PASSWORD, Postgres  # noqa: E402

EVENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
SINGLE = 2000
COLUMNS = "time, ingested, stream, epoch, seq, id, type, key, source, data"
LOG = '[log]\npath = "@FOLDER@/data"\n[gateway]\nport = @PORT@\n'


def fill(folder):
    """A log with readings of pools, as clients push them."""
    weir = Weir(folder, LOG).start()
    for first in range(0, EVENTS, 1000):
        lines = "\n".join(json.dumps({"id": f"e{n}", "key": f"SSD-{n % 30}", "type": "reading", "data": {"uid": f"SSD-{n % 30}", "name": "Hallenbad City", "currentfill": n % 97, "maxspace": 250}})
                          for n in range(first, min(first + 1000, EVENTS)))
        status, answer = weir.post("/api/v1/streams/pools/events", lines, "application/x-ndjson")
        assert status == 200, answer
    weir.stop()


def by_weir(postgres, filled, folder):
    shutil.copytree(filled / "data", folder / "data")
    store = f'[stores.warehouse]\nkind = "postgresql"\nurl = "{postgres.url()}"\nbatch_events = {os.environ.get("BATCH", 1000)}\n'
    weir = Weir(folder, LOG + store, env={"DB_PASSWORD": PASSWORD}).start()
    until(lambda: [s for s in weir.get("/api/v1/status")["stores"] if s.get("rows") == EVENTS], "all rows are there", 600)
    weir.stop()
    seconds = postgres.sql("SELECT extract(epoch FROM pg_xact_commit_timestamp((SELECT xmin FROM weir.events ORDER BY seq DESC LIMIT 1)) - taken) FROM weir.stores")
    return EVENTS / float(seconds[0][0])


def by_copy(postgres, rows):
    with psycopg2.connect(host="127.0.0.1", port=postgres.port, user="analytics_user", password=PASSWORD, dbname="analytics") as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE weir.events")
        connection.commit()
        begin = time.monotonic()
        cursor.copy_expert(f"COPY weir.events ({COLUMNS}) FROM STDIN", io.StringIO(rows))
        connection.commit()
        return EVENTS / (time.monotonic() - begin)


def one_by_one(postgres, rows):
    with psycopg2.connect(host="127.0.0.1", port=postgres.port, user="analytics_user", password=PASSWORD, dbname="analytics") as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE weir.events")
        connection.commit()
        begin = time.monotonic()
        for row in rows:
            cursor.execute(f"INSERT INTO weir.events ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", row)
            connection.commit()
        return len(rows) / (time.monotonic() - begin)


def main():
    postgres = Postgres()
    root = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))
    try:
        postgres.crash()
        with open(postgres.folder / "data/postgresql.conf", "a") as conf:
            conf.write("fsync=on\ntrack_commit_timestamp=on\nshared_buffers=256MB\nmax_wal_size=4GB\n")
        postgres.start()
        fill(root / "filled")
        found = {"weir": [], "COPY": [], "COPY again": [], "INSERT a row": []}
        for n in range(ROUNDS):
            postgres.sql("DROP SCHEMA IF EXISTS weir CASCADE")
            found["weir"].append(by_weir(postgres, root / "filled", root / f"round{n}"))
            text = "".join("\t".join(row) + "\n" for row in postgres.sql(f"COPY (SELECT {COLUMNS} FROM weir.events ORDER BY seq) TO STDOUT"))
            single = postgres.sql(f"SELECT {COLUMNS} FROM weir.events LIMIT {SINGLE}")
            found["COPY"].append(by_copy(postgres, text))
            found["INSERT a row"].append(one_by_one(postgres, single))
            found["COPY again"].append(by_copy(postgres, text))  # the control: what two runs of the same differ by
            print(n, {name: round(rates[-1]) for name, rates in found.items()}, file=sys.stderr)
        weir = statistics.median(found["weir"])
        print(f"| {EVENTS} events, {ROUNDS} rounds | rows/s, median | all rounds | weir is |\n|---|---|---|---|")
        for name, rates in found.items():
            print(f"| {name} | {statistics.median(rates):,.0f} | {' / '.join(f'{r:,.0f}' for r in rates)} | {weir / statistics.median(rates):.2f} x |")
    finally:
        postgres.stop()
        shutil.rmtree(root, ignore_errors=True)


main()
