#!/usr/bin/env python3
"""Weir's PostgreSQL store beside what people write by hand, on a PostgreSQL 15 of the bench's own with fsync on. Prints tables as Markdown.

    WEIR_BINARY=build/weir bench/postgres.py generic  [--events 100000] [--rounds 9] [--batch 5000]
                                             mapped   [--events 50000] [--rounds 9] [--batch 5000]
                                             latency  [--rate 5000] [--seconds 20]
                                             backlog  [--events 3600000]
                                             grafana  [--events 10000000]
    needs Debian's postgresql, python3-psycopg2, python3-pytest, python3-websockets

Ratios are of interleaved rounds: in each the hand-written way runs before and after weir, and weir is divided by the mean of the two; the one divided by
the other is the control (A/A), which says what two runs of the same differ by. Where the control spreads by more than 5 % nothing is claimed.
weir's time is the server's own: from the store's start in the database to the commit of its last row. CPU is what the processes have used: of the
server's one for this connection, and of weir; it says what a busy machine hides."""
import argparse
import http.client
import io
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
from conftest import DEADLINE, Weir, until  # noqa: E402
from postgres import PASSWORD, Postgres  # noqa: E402

SINGLE = 1000  # rows that are inserted one by one
LOG = '[log]\npath = "@FOLDER@/data"\n[gateway]\nport = @PORT@\n'
COLUMNS = "time, ingested, stream, epoch, seq, id, type, key, source, data"


def store(postgres, stream, more=""):
    return LOG + f'[stores.warehouse]\nkind = "postgresql"\nurl = "{postgres.url()}"\nstreams = ["{stream}"]\n{more}'


def reading(n):
    return {"id": f"e{n}", "key": f"SSD-{n % 30}", "type": "reading", "data": {"uid": f"SSD-{n % 30}", "name": "Hallenbad City", "currentfill": n % 97, "maxspace": 250}}


def person(n):
    return {"id": f"e{n}", "key": "", "type": "user", "data": {
        "gender": "female", "name": {"title": "Ms", "first": f"Zoë{n}", "last": "Özdenak"}, "email": f"u{n}@example.com", "login": {"uuid": str(uuid.UUID(int=n * 2654435761)), "username": f"user{n}"},
        "dob": {"date": "1992-02-07T17:56:13.316Z", "age": 34}, "registered": {"date": "2016-03-25T07:13:10.667Z", "age": 10}, "phone": "005", "cell": "0964", "nat": "IR",
        "location": {"street": {"number": n, "name": "Hauptstrasse"}, "city": "Zürich", "state": "ZH", "country": "Switzerland", "postcode": f"{n:04}",
                     "coordinates": {"latitude": "17.2334", "longitude": "88.9196"}, "timezone": {"offset": "+4:30", "description": "Kabul"}},
        "picture": {"large": f"https://randomuser.me/api/portraits/women/{n % 99}.jpg", "medium": "m", "thumbnail": "t"}}}


def fill(folder, stream, make, count):
    """A log with events, as clients push them."""
    weir = Weir(folder, LOG).start()
    for first in range(0, count, 1000):
        lines = "\n".join(json.dumps(make(n)) for n in range(first, min(first + 1000, count)))
        status, answer = weir.post(f"/api/v1/streams/{stream}/events", lines, "application/x-ndjson")
        assert status == 200, answer
    weir.stop()


def connect(postgres):
    return psycopg2.connect(host="127.0.0.1", port=postgres.port, user="analytics_user", password=PASSWORD, dbname="analytics")


def state(weir):
    return weir.get("/api/v1/status")["stores"][0]


def resident(weir):
    """Bytes of the process, now and at its highest."""
    text = pathlib.Path(f"/proc/{weir.process.pid}/status").read_text()
    return [int(line.split()[1]) * 1024 for name in ("VmRSS", "VmHWM") for line in text.splitlines() if line.startswith(name)]


def cpu(pid):
    """Seconds of CPU of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


CPU = {"server, weir": [], "weir": [], "server, by hand": []}  # microseconds a row, of each run


def by_weir(postgres, filled, folder, stream, count, table, more=""):
    """Rows a second of a weir that works off a log, and its memory: soon after its start, and at its highest."""
    shutil.copytree(filled / "data", folder / "data")
    weir = Weir(folder, store(postgres, stream, more), env={"DB_PASSWORD": PASSWORD}).start()
    until(lambda: state(weir)["rows"] >= count / 20, "the first rows are there", 600)
    early = resident(weir)[0]
    until(lambda: state(weir)["rows"] >= count, "all rows are there", 7200)
    highest = resident(weir)[1]
    assert state(weir)["dead_letters"] == 0
    backend = postgres.one("SELECT pid FROM pg_stat_activity WHERE application_name = 'weir warehouse'")
    CPU["server, weir"].append(1e6 * cpu(backend) / count)
    CPU["weir"].append(1e6 * cpu(weir.process.pid) / count)
    weir.stop()
    shutil.rmtree(folder)
    seconds = postgres.one(f"SELECT extract(epoch FROM (SELECT max(pg_xact_commit_timestamp(xmin)) FROM {table}) - taken) FROM weir.stores")
    return count / float(seconds), early, highest


def timed(postgres, work, rows):
    with connect(postgres) as connection, connection.cursor() as cursor:
        begin = time.monotonic()
        work(cursor)
        connection.commit()
        took = time.monotonic() - begin
        if rows > SINGLE:
            CPU["server, by hand"].append(1e6 * cpu(connection.get_backend_pid()) / rows)
        return rows / took


def copied(text, into):
    return lambda cursor: cursor.copy_expert(f"COPY {into} FROM STDIN", io.StringIO(text), size=1 << 20)


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def show_ratio(title, weir, before, after, goal):
    ratios = [w / ((a + b) / 2) for w, a, b in zip(weir, before, after)]
    control = [b / a for a, b in zip(before, after)]
    quiet = max(abs(c - 1) for c in control) <= 0.05
    print(f"| {title} | {statistics.median(weir):,.0f} | {statistics.median(before + after):,.0f} | {spread(ratios)} | {spread(control)} | {goal} | "
          f"{'yes' if quiet and statistics.median(ratios) >= goal else 'no' if quiet else 'the control spreads: nothing is claimed'} |")


def show_cpu():
    print("\n| CPU, microseconds a row | median | all runs |\n|---|---|---|")
    for name, used in CPU.items():
        print(f"| {name} | {statistics.median(used):.2f} | {min(used):.2f} to {max(used):.2f} |")
    print(f"\nThe server spends {statistics.median(CPU['server, by hand']) / statistics.median(CPU['server, weir']):.2f} of what it spends for weir on the same rows by hand.")


HEAD = "| | weir, rows/s | by hand, rows/s | ratio | control A/A | goal | met |\n|---|---|---|---|---|---|---|"


def texts(postgres, select):
    return "".join("\t".join(row) + "\n" for row in postgres.sql(f"COPY ({select}) TO STDOUT"))


def generic(postgres, root, options):
    """The table `weir.events` with its indexes, against one COPY of the same rows into it, and against an INSERT with a commit a row."""
    fill(root / "filled", "pools", reading, options.events)
    more = f"batch_events = {options.batch}\n"

    def ours():
        postgres.sql("DROP SCHEMA IF EXISTS weir CASCADE;\nCHECKPOINT")
        return by_weir(postgres, root / "filled", root / "run", "pools", options.events, "weir.events", more)[0]

    def bare():
        postgres.sql("TRUNCATE weir.events;\nCHECKPOINT")
        return timed(postgres, copied(text, f"weir.events ({COLUMNS})"), options.events)

    ours()  # not counted: it gives the rows
    text = texts(postgres, f"SELECT {COLUMNS} FROM weir.events ORDER BY seq")
    rows = postgres.sql(f"SELECT {COLUMNS} FROM weir.events LIMIT {SINGLE}")
    weir, before, after, single = [], [], [], []
    for n in range(options.rounds):
        before.append(bare())
        weir.append(ours())
        after.append(bare())

        def one_by_one(cursor):
            for row in rows:
                cursor.execute(f"INSERT INTO weir.events ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", row)
                cursor.connection.commit()

        single.append(timed(postgres, one_by_one, SINGLE))
        print(n, round(weir[-1]), round(before[-1]), round(after[-1]), round(single[-1]), file=sys.stderr)
    print(f"{options.events:,} events, {options.batch:,} a transaction, {options.rounds} rounds\n\n{HEAD}")
    show_ratio("generic table, beside one COPY", weir, before, after, 0.7)
    ratios = [w / s for w, s in zip(weir, single)]
    print(f"| generic table, beside an INSERT and a commit a row (psycopg2) | {statistics.median(weir):,.0f} | {statistics.median(single):,.0f} | {spread(ratios)} | | 18 | {'yes' if min(ratios) >= 18 else 'no'} |")
    show_cpu()


def mapped(postgres, root, options):
    """public.incoming_users, half of whose rows are there already, against COPY to a temporary table and INSERT ... ON CONFLICT by hand."""
    fill(root / "filled", "users", person, options.events)
    more = f'tables = false\nbatch_events = {options.batch}\n[[stores.warehouse.mapped]]\nstream = "users"\npreset = "incoming_users"\n'
    half = root / "half"
    fill(half, "users", person, options.events // 2)
    by_weir(postgres, half, root / "run", "users", options.events // 2, "public.incoming_users", more)
    columns = [row[0] for row in postgres.sql("SELECT attname FROM pg_attribute WHERE attrelid = 'public.incoming_users'::regclass AND attnum > 0 AND attname <> 'created_at' ORDER BY attnum")]
    listed = ", ".join(columns)
    postgres.sql("CREATE TABLE public.half AS SELECT * FROM public.incoming_users")

    def prepare():
        postgres.sql("TRUNCATE public.incoming_users;\nINSERT INTO public.incoming_users SELECT * FROM public.half;\nDROP SCHEMA IF EXISTS weir CASCADE;\nANALYZE public.incoming_users;\nCHECKPOINT")

    def by_hand(cursor):
        cursor.execute(f"CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT {listed} FROM public.incoming_users WITH NO DATA")
        copied(text, f"taken ({listed})")(cursor)
        cursor.execute(f"INSERT INTO public.incoming_users ({listed}) SELECT {listed} FROM taken ON CONFLICT (user_uuid) DO UPDATE SET " + ", ".join(f"{c} = EXCLUDED.{c}" for c in columns[1:]))

    text, weir, before, after = None, [], [], []
    prepare()
    by_weir(postgres, root / "filled", root / "run", "users", options.events, "public.incoming_users", more)
    text = texts(postgres, f"SELECT {listed} FROM public.incoming_users")
    for n in range(options.rounds):
        prepare()
        before.append(timed(postgres, by_hand, options.events))
        prepare()
        weir.append(by_weir(postgres, root / "filled", root / "run", "users", options.events, "public.incoming_users", more)[0])
        prepare()
        after.append(timed(postgres, by_hand, options.events))
        print(n, round(weir[-1]), round(before[-1]), round(after[-1]), file=sys.stderr)
    print(f"{options.events:,} records, half of them new, {options.batch:,} a transaction, {options.rounds} rounds\n\n{HEAD}")
    show_ratio("mapped table, beside COPY and ON CONFLICT by hand", weir, before, after, 0.85)
    show_cpu()


def latency(postgres, root, options):
    """From when an event should have been sent to the commit of its row: pushed at a fixed rate into `weir serve`, and at one a 20 ms through `weir consume` (S2-11)."""
    weir = Weir(root / "run", store(postgres, "pools"), env={"DB_PASSWORD": PASSWORD}).start()
    connection, each = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=DEADLINE), 0.01
    count, begin = int(options.rate * each), time.time() + 0.1
    turns = int(options.seconds / each)
    for turn in range(turns):
        due = begin + turn * each
        time.sleep(max(0.0, due - time.time()))
        lines = "\n".join(json.dumps({"id": f"{turn}/{k}", "key": f"K{k % 30}", "type": "reading", "data": {"due": round(due * 1e6), "value": k}}) for k in range(count))
        connection.request("POST", "/api/v1/streams/pools/events", lines, {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    late = time.time() - (begin + turns * each)
    until(lambda: state(weir)["rows"] >= turns * count, "all rows are there", 600)
    weir.stop()
    percentiles = "percentile_cont(array[0.5, 0.99, 0.999, 1]) WITHIN GROUP (ORDER BY 1000 * ({}))"
    query = "SELECT array_to_string({}, ' ') FROM weir.events WHERE stream = '{}'"
    committed = "extract(epoch FROM pg_xact_commit_timestamp(xmin))"
    due = postgres.one(query.format(percentiles.format(committed + " - (data->>'due')::numeric / 1e6"), "pools"))
    taken = postgres.one(query.format(percentiles.format(committed + " - extract(epoch FROM ingested)"), "pools"))
    print(f"{options.rate:,} events/s for {options.seconds:g} s; the generator ended {late * 1000:.0f} ms behind its schedule\n\n| from | to | p50, ms | p99 | p99.9 | most |\n|---|---|---|---|---|---|")
    for name, found in (("when it should have been sent", due), ("taken by weir", taken)):
        print(f"| {name} | its row's commit | " + " | ".join(f"{float(v):.1f}" for v in found.split()) + " |")

    postgres.sql("DROP SCHEMA weir CASCADE")
    api = LOG + '[feeds.users]\n[[feeds.users.sources]]\nkind = "simulate"\ngenerator = "users"\ninterval = "20ms"\n'
    weir = Weir(root / "users", api).start()
    with open(root / "consume.out", "wb") as out:
        consumer = subprocess.Popen([os.environ.get("WEIR_BINARY", "build/weir"), "consume", f"ws://127.0.0.1:{weir.port}/feed/users", "--to", postgres.url(), "--events", "--folder", str(root / "consume")],
                                    stdout=out, stderr=out, env={**os.environ, "DB_PASSWORD": PASSWORD})
    until(lambda: int(postgres.one("SELECT count(*) FROM weir.events WHERE stream = 'users'") or 0) >= 50 * options.seconds, "rows are there", 600)
    consumer.terminate()
    consumer.wait(DEADLINE)
    weir.stop()
    found = postgres.one(query.format(percentiles.format(committed + " - extract(epoch FROM ingested)"), "users"))
    print("| taken by weir, 50/s, through `weir consume` | its row's commit | " + " | ".join(f"{float(v):.1f}" for v in found.split()) + " |")


def backlog(postgres, root, options):
    """What has waited in the log while the database was away, and what it costs in memory."""
    fill(root / "filled", "pools", reading, options.events)
    rate, early, highest = by_weir(postgres, root / "filled", root / "run", "pools", options.events, "weir.events", f"batch_events = {options.batch}\n")
    sample = min(options.events, 300_000)
    text = texts(postgres, f"SELECT {COLUMNS} FROM weir.events WHERE seq <= {sample} ORDER BY seq")
    bare = []
    for _ in range(3):
        postgres.sql("TRUNCATE weir.events;\nCHECKPOINT")
        bare.append(timed(postgres, copied(text, f"weir.events ({COLUMNS})"), sample))
    print(f"| backlog | rows/s | one COPY of {sample:,} of them, 3 rounds | ratio | memory at 5 % | at the highest |\n|---|---|---|---|---|---|")
    print(f"| {options.events:,} | {rate:,.0f} | {spread(bare)} | {rate / statistics.median(bare):.2f} | {early / 1e6:.0f} MB | {highest / 1e6:.0f} MB |")


def grafana(postgres, root, options):
    """Each panel's query, as Grafana sends it, with many events stored: medians of five."""
    from test_grafana import SQL, substituted
    more = '[[stores.warehouse.mapped]]\nstream = "users"\npreset = "incoming_users"\n'
    weir = Weir(root / "run", store(postgres, "pools", more), env={"DB_PASSWORD": PASSWORD}).start()
    until(lambda: state(weir)["state"] == "running" and postgres.one("SELECT count(*) FROM weir.partitions") not in (None, "0"), "the tables are there")
    now = time.time()
    for stream, kind in [("pools", "reading"), ("pools.5min", "window"), ("spc", "sample"), ("spc", "violation"), ("spc", "ack_update")]:
        weir.post(f"/api/v1/streams/{stream}/events", [{"id": kind, "type": kind, "key": "old", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 86400 * 12)), "data": {}}])
    until(lambda: state(weir)["rows"] >= 1, "the partition is there")
    weir.stop()
    names = "time, ingested, stream, epoch, seq, id, type, key, source"
    # Ten a second of thirty series: ten million reach back eleven days and a half.
    common = "now() - g * interval '{}', now(), '{}', 'e', g, g::text, 't', 'K' || g % 30, 'push'"
    postgres.sql(f"INSERT INTO weir.events ({names}, data) SELECT {common.format('0.1 second', 'pools')}, jsonb_build_object('currentfill', g % 97) FROM generate_series(1, {options.events}) g")
    for table, columns, values in [("windows", "name, revision, avg, min, max, count, expected, coverage, complete", "'5min', 0, 1, 0, 2, 3, 4, 0.75, g % 2 = 0"),
                                   ("samples", "characteristic_id, value, zone, in_control", "1, 10.5, 'zone_a_upper', g % 9 > 0"), ("violations", "rule_id", "1"), ("acknowledgements", "acknowledged", "true")]:
        postgres.sql(f"INSERT INTO weir.{table} ({names}, {columns}, data) SELECT {common.format('10 seconds', 's')}, {values}, '{{}}' FROM generate_series(1, {options.events // 100}) g")
    postgres.sql(f"INSERT INTO public.incoming_users (user_uuid, gender, country, created_at) SELECT gen_random_uuid(), 'female', 'C' || g % 7, now() - g * interval '1 second' FROM generate_series(1, {options.events // 10}) g")
    postgres.sql("VACUUM ANALYZE")
    print(f"{options.events:,} events stored\n\n| dashboard | panel | ms, median of 5 | slowest |\n|---|---|---|---|")
    with connect(postgres) as session, session.cursor() as cursor:
        for uid, title, sql in SQL:
            cursor.execute("SELECT now() - interval '5 minutes', now()")
            start, end = cursor.fetchone()
            query, took = substituted(sql).replace("@FROM@", start.isoformat()).replace("@TO@", end.isoformat()), []
            for _ in range(5):
                begin = time.monotonic()
                cursor.execute(query)
                cursor.fetchall()
                took.append(1000 * (time.monotonic() - begin))
            print(f"| {uid} | {title} | {statistics.median(took):.1f} | {max(took):.1f} |")


def main():
    modes = {"generic": (generic, 100_000), "mapped": (mapped, 50_000), "latency": (latency, 0), "backlog": (backlog, 3_600_000), "grafana": (grafana, 10_000_000)}
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("mode", choices=modes)
    arguments.add_argument("--events", type=int)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--batch", type=int, default=5000, help="batch_events")
    arguments.add_argument("--rate", type=int, default=5000)
    arguments.add_argument("--seconds", type=float, default=20)
    options = arguments.parse_args()
    mode, standard = modes[options.mode]
    options.events = options.events or standard
    postgres = Postgres()
    root = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))
    try:
        postgres.crash()
        with open(postgres.folder / "data/postgresql.conf", "a") as conf:
            conf.write("fsync=on\ntrack_commit_timestamp=on\nshared_buffers=256MB\nmax_wal_size=4GB\n")
        postgres.start()
        print(f"Load average {os.getloadavg()[0]:.1f} at the start.\n")
        mode(postgres, root, options)
        print(f"\nLoad average {os.getloadavg()[0]:.1f} at the end.")
    finally:
        postgres.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
