"""Source 002 whole: an API that makes people up -> weir -> `weir consume` -> PostgreSQL, and what must hold when parts of it are killed."""
import asyncio
import http.server
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import threading
import uuid

import pytest
import websockets
from conftest import BINARY, DEADLINE, ROOT, FeedServer, free_port, until
from postgres import PASSWORD, Postgres

NAMES = [("John", "Smith", "United States"), ("María", "García", "Spain"), ("Çetin", "Özdenak", "Türkiye"), ("آیناز", "کریمی", "Iran"), ("Zoë", "O'Brien\\", "Ireland")]


def person(n):
    """A record in the shape of randomuser.me's, invented."""
    first, last, country = NAMES[n % len(NAMES)]
    return {"gender": "female" if n % 2 else "male", "name": {"title": "Ms", "first": first, "last": last},
            "location": {"street": {"number": n, "name": "Hauptstrasse"}, "city": "Zürich", "state": "ZH", "country": country, "postcode": f"{n:04}",
                         "coordinates": {"latitude": "17.2334", "longitude": "88.9196"}, "timezone": {"offset": "+4:30", "description": "Kabul"}},
            "email": f"u{n}@example.com", "login": {"uuid": str(uuid.UUID(int=n + 1)), "username": f"user{n}", "password": "x"},
            "dob": {"date": "1992-02-07T17:56:13.316Z", "age": 34}, "registered": {"date": "2016-03-25T07:13:10.667Z", "age": 10},
            "phone": "005", "cell": "0964", "picture": {"large": "l", "medium": "m", "thumbnail": "t"}, "nat": "IR"}


class RandomUsers(http.server.ThreadingHTTPServer):
    """Answers like the API: one new person a request."""

    def __init__(self):
        self.made = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.made += 1
                body = json.dumps({"results": [person(outer.made)], "info": {"seed": "s", "results": 1, "page": 1, "version": "1.4"}}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/api/"


@pytest.fixture(scope="module")
def server():
    postgres = Postgres()
    yield postgres
    postgres.stop()


@pytest.fixture
def postgres(server):
    return server.emptied()


class Consume:
    """A `weir consume`, with what it printed."""

    def __init__(self, folder, *args, password=PASSWORD):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.args = [BINARY, "consume", *args]
        self.env = {**os.environ}
        self.env.pop("DB_PASSWORD", None)
        if password:
            self.env["DB_PASSWORD"] = password  # S2-23
        self.path = self.folder / f"consume-{random.getrandbits(32):08x}.out"
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.args, stdout=open(self.path, "ab"), stderr=subprocess.STDOUT, cwd=self.folder, env=self.env)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def text(self):
        return self.path.read_text()

    def says(self, part):
        until(lambda: part in self.text() or self.process.poll() is not None, f"the consumer says {part!r}")
        assert part in self.text(), self.text()


@pytest.fixture
def consume(tmp_path):
    started = []

    def start(*args, folder="consumer", **options):
        started.append(Consume(tmp_path / folder, *args, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def stand_in(tmp_path):
    """The API's stand-in with recorded people."""
    port = free_port()
    with open(tmp_path / "api.log", "wb") as log:
        process = subprocess.Popen([BINARY, "replay", "--serve", f"127.0.0.1:{port}", "--users", str(ROOT / "demo/randomuser-stream1.json.gz"),
                                    str(ROOT / "demo/randomuser-stream1-page2.json.gz")], stdout=log, stderr=log)
    until(lambda: b"listens on" in (tmp_path / "api.log").read_bytes(), "the stand-in listens")
    yield f"http://127.0.0.1:{port}/api/"
    process.terminate()
    process.wait(DEADLINE)


def example(api, interval="20ms"):
    """examples/random-users.toml as it is, but for the API's address, the port and the pace."""
    text = (ROOT / "examples/random-users.toml").read_text()
    assert 'url = "https://randomuser.me/api/' in text and "port = 8765" in text  # S2-6
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    url = api if isinstance(api, str) else api.url()
    text = "\n".join(lines).replace("https://randomuser.me/api/", url).replace("port = 8765", "port = @PORT@")
    return '[log]\npath = "@FOLDER@/data"\n' + text.replace('interval = "1s"', f'interval = "{interval}"')


LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - INFO - ✅ #(\d+) \(Stream #(\d+)\): (.+) from (.+)$", re.M)


def rows(postgres):
    return int(postgres.one("SELECT count(*) FROM public.incoming_users") or 0)


def test_api_to_weir_to_consumer_to_table_as_the_document_shows(weir, postgres, consume, stand_in):
    """S2-1 to S2-5, S2-8, S2-13, S2-16, S2-17."""
    w = weir(example(stand_in))
    consumer = consume(f"ws://127.0.0.1:{w.port}", "--to", postgres.url())
    consumer.says("📊 Milestone: 60 users inserted!")
    banner = consumer.text()
    rule = "=" * 60
    assert banner.startswith(f"{rule}\n🎧 Real-time User Data Consumer\n{rule}\n🔗 Connecting to: ws://127.0.0.1:{w.port}\n"
                             f"💾 Database: 127.0.0.1:{postgres.port}/analytics\n{rule}\n"), banner
    assert "✅ Connected to user stream!\n" in banner and "👋 Connected to real-time user stream\n" in banner
    inserted = LINE.findall(banner)
    assert [int(own) for own, *_ in inserted] == list(range(1, len(inserted) + 1))
    numbers = [int(seq) for _, seq, *_ in inserted]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a number of the stream is missing or twice"
    assert all(n % 60 == 0 for n in map(int, re.findall(r"Milestone: (\d+) users", banner)))
    people = {(e["seq"], f"{e['data']['name']['first']} {e['data']['name']['last']}", e["data"]["location"]["country"]) for e in w.events("users")}
    assert {(int(seq), name, country) for _, seq, name, country in inserted} <= people

    # S2-17, verbatim.
    newest = postgres.psql("""-- Check latest users
SELECT first_name, last_name, country, created_at 
FROM public.incoming_users 
ORDER BY created_at DESC 
LIMIT 10;
""")
    assert "(10 rows)" in newest
    rate = postgres.psql("""-- Check ingestion rate (last minute)
SELECT COUNT(*) 
FROM public.incoming_users 
WHERE created_at >= NOW() - INTERVAL '1 minute';
""")
    assert int(re.search(r"\n\s+(\d+)\n", rate)[1]) >= 60
    assert consumer.stop() == 0
    assert re.search(r"👋 Stopped, \d+ users inserted", consumer.text())
    # What the last line counts is what the table has: every line was a commit.
    assert rows(postgres) == len(LINE.findall(consumer.text()))


def test_a_consumer_as_the_document_has_it_runs_unchanged(weir, stand_in):
    """S2-R1: the consumer tells greeting from record by `type` alone, and reads nested members of randomuser.me's record."""
    w = weir(example(stand_in))

    async def the_documents_consumer(count):
        seen = []
        async with websockets.connect(f"ws://127.0.0.1:{w.port}") as websocket:
            async for message in websocket:
                data = json.loads(message)
                if data.get("type") == "welcome":
                    seen.append(f"👋 {data.get('message')}")
                    continue
                seen.append(f"✅ #{len(seen)} (Stream #{data['stream_sequence']}): {data['name']['first']} {data['name']['last']} from {data['location']['country']}")
                if len(seen) > count:
                    return seen

    seen = asyncio.run(asyncio.wait_for(the_documents_consumer(5), DEADLINE))
    assert seen[0] == "👋 Connected to real-time user stream"
    assert all(re.fullmatch(r"✅ #\d+ \(Stream #\d+\): .+ from .+", line) for line in seen[1:])


def test_nothing_is_lost_or_twice_whatever_is_killed(weir, postgres, consume):
    """S2-3, S2-R8, S2-R9: source, consumer and database are killed in turn, at random moments."""
    api = RandomUsers()
    w = weir(example(api, "5ms"))
    consumer = consume(f"ws://127.0.0.1:{w.port}", "--to", postgres.url(), "--events")
    count = lambda: int(postgres.one("SELECT count(*) FROM weir.events") or 0)
    until(lambda: count() > 5, "rows arrive")
    for kind in ["consumer", "weir", "postgres", "consumer", "postgres", "weir"]:
        before = w.head("users") if kind != "weir" else 0
        if kind == "consumer":
            consumer.kill()
            until(lambda: w.head("users") > before + 10, "the stream goes on")
            consumer.start()
        elif kind == "weir":
            w.kill()
            w.start()
        else:
            postgres.crash()
            until(lambda: w.head("users") > before + 10, "the stream goes on")
            postgres.start()
        had = count()
        until(lambda: count() > had, f"rows arrive again after {kind}")
    api.shutdown()
    until(lambda: int(postgres.one("SELECT coalesce(max(seq), 0) FROM weir.events") or 0) == w.head("users"), "the consumer has caught up")
    consumer.stop()
    first = int(postgres.one("SELECT min(seq) FROM weir.events"))
    # By seq: after a crash of the database a row may come to lie in a page before its predecessor's.
    found = postgres.sql("SELECT seq, data->'login'->>'uuid' FROM weir.events ORDER BY seq")
    expected = [[str(e["seq"]), e["data"]["login"]["uuid"]] for e in w.events("users") if e["seq"] >= first]
    assert found == expected


def test_the_consumer_loses_its_own_folder_and_goes_on_from_the_database(weir, postgres, consume, tmp_path):
    api = RandomUsers()
    w = weir(example(api, "10ms"))
    count = lambda: int(postgres.one("SELECT count(*) FROM weir.events") or 0)
    first = consume(f"ws://127.0.0.1:{w.port}", "--to", postgres.url(), "--events", folder="first")
    until(lambda: count() > 5, "rows arrive")
    first.kill()
    had, head = count(), w.head("users")
    until(lambda: w.head("users") > head + 10, "the stream goes on")
    consume(f"ws://127.0.0.1:{w.port}", "--to", postgres.url(), "--events", folder="second")
    until(lambda: count() > had + 20, "rows arrive again")
    assert postgres.one("SELECT max(seq) - min(seq) + 1 = count(*) AND count(*) = count(DISTINCT seq) FROM weir.events") == "t"


def test_two_consumers_each_write_all_and_the_table_has_it_once(weir, postgres, consume):
    """S2-4, C-21: broadcast; the second takes a name of its own by itself."""
    api = RandomUsers()
    w = weir(example(api))
    a = consume(f"ws://127.0.0.1:{w.port}", "--to", postgres.url())
    a.says("Connected to user stream!")
    b = consume(f"ws://127.0.0.1:{w.port}", "--to", postgres.url())
    a.says("#20 ")
    b.says("#20 ")
    assert a.stop() == 0 and b.stop() == 0
    numbers = [{int(seq) for _, seq, *_ in LINE.findall(one.text())} for one in (a, b)]
    assert len(numbers[0] & numbers[1]) >= 10
    assert rows(postgres) == len(numbers[0] | numbers[1])


def test_a_group_shares_the_stream(weir, postgres, consume):
    """C-21: each item to one member, and one goes on when the other is killed."""
    api = RandomUsers()
    w = weir(example(api))
    a = consume(f"ws://127.0.0.1:{w.port}", "--to", postgres.url(), "--group", "team", folder="a")
    b = consume(f"ws://127.0.0.1:{w.port}", "--to", postgres.url(), "--group", "team", folder="b")
    until(lambda: rows(postgres) > 60, "rows arrive")
    a.kill()
    had = rows(postgres)
    until(lambda: rows(postgres) > had + 10, "the other goes on")
    assert b.stop() == 0
    numbers = [{int(seq) for _, seq, *_ in LINE.findall(one.text())} for one in (a, b)]
    # Printed after the commit: of the killed one at most its last batch is not.
    assert not numbers[0] & numbers[1]
    found = sorted(int(row[0]) for row in postgres.sql("SELECT street_number FROM public.incoming_users"))
    assert found == list(range(found[0], found[-1] + 1))


def test_any_socket_of_json_and_a_table_of_ones_own(postgres, consume):
    """S2-24: a foreign socket counts from receipt on; a jump in its numbers is told (S2-R9)."""
    postgres.sql("CREATE TABLE public.doors (name text PRIMARY KEY, people integer); ALTER TABLE public.doors OWNER TO analytics_user")
    feed = FeedServer(needs_text=False)
    consumer = consume(feed.url(), "--to", postgres.url(), "--table", "public.doors", "--column", "name=/door", "--column", "people=/count", "--key", "name")
    until(lambda: feed.clients, "the consumer has connected")
    feed.send({"type": "welcome", "message": "hello there"})
    feed.send({"door": "north", "count": 1, "stream_sequence": 1})
    feed.send("no json")
    feed.send({"door": "south", "count": "many", "stream_sequence": 2})
    feed.send({"door": "north", "count": 2, "stream_sequence": 6})
    until(lambda: postgres.sql("SELECT * FROM public.doors") == [["north", "2"]], "the rows are there")
    consumer.says("👋 hello there")
    consumer.says("Gap: 3 missed (stream #3 to #5)")
    feed.drop_clients()
    consumer.says("next try in")
    until(lambda: feed.clients, "it has connected again")
    feed.send({"door": "east", "count": 3, "stream_sequence": 7})
    until(lambda: postgres.one("SELECT count(*) FROM public.doors") == "2", "it goes on")
    assert consumer.stop() == 0
    feed.stop()


def test_what_is_wrong_is_said_with_what_to_do(postgres, consume):
    """S2-18: connection refused, no database, a wrong password; the password appears nowhere, nor in `ps`."""
    gone = free_port()
    consumer = consume(f"ws://127.0.0.1:{gone}", "--to", postgres.url("s3cr3t-wrong"), password="")
    consumer.says("is the server running, and the address right?")
    consumer.says("check the user and the password")
    assert "s3cr3t-wrong" not in consumer.text()
    assert "s3cr3t-wrong" not in pathlib.Path(f"/proc/{consumer.process.pid}/cmdline").read_text()
    assert consumer.stop() == 0
    other = consume(f"ws://127.0.0.1:{gone}", "--to", f"postgresql://analytics_user@127.0.0.1:{gone}/analytics", folder="other")
    other.says("cannot be reached")
    assert other.stop() == 0


def test_weir_serve_writes_its_streams_by_itself_and_survives_kills(weir, postgres):
    """decisions.md 29 with the whole program: rows equal the log after kill -9 of weir and of PostgreSQL."""
    w = weir(f"""
[log]
path = "@FOLDER@/data"
[gateway]
port = @PORT@
[windows.1min]
stream = "line"
value = "/v"
size = "1min"
[stores.warehouse]
kind = "postgresql"
url = "{postgres.url()}"
batch_events = 7
backoff_first = "50ms"
""", env={"DB_PASSWORD": PASSWORD})
    n = 0
    for kind in ["", "weir", "postgres", "weir", "postgres", ""]:
        for _ in range(20):
            n += 1
            status, _ = w.post("/api/v1/streams/line/events", [{"id": f"e{n}-{k}", "key": "K", "type": "reading", "data": {"v": n}} for k in range(3)])
            assert status == 200
        if kind == "weir":
            w.kill()
            w.start()
        elif kind == "postgres":
            postgres.crash()
            postgres.start()
    until(lambda: postgres.one("SELECT max(seq) FROM weir.events WHERE stream = 'line'") == str(3 * n), "all rows are there")
    # By seq: after a crash of the database a row may come to lie in a page before its predecessor's.
    assert postgres.sql("SELECT seq, id FROM weir.events WHERE stream = 'line' ORDER BY seq") == [[str(e["seq"]), e["id"]] for e in w.events("line")]
    store = [s for s in w.get("/api/v1/status")["stores"] if s["name"] == "warehouse"][0]
    assert store["kind"] == "postgresql" and store["database"] == f"127.0.0.1:{postgres.port}/analytics" and store["dead_letters"] == 0
    assert 'weir_store_rows_total{store="warehouse"}' in w.get("/metrics", raw=True)
    assert PASSWORD not in w.diagnostics() and PASSWORD not in json.dumps(w.get("/api/v1/status"))


def test_years_of_history_reach_the_database(postgres, tmp_path):
    """D3, decisions.md 34: the recording's time is the log's; the store goes by today, so that what lies more than 400 days behind the recording's begin is not ahead of time."""
    (tmp_path / "old.ndjson").write_text("".join(
        json.dumps({"id": f"r{year}", "type": "reading", "key": "P", "source": "s", "time": f"{year}-01-01T00:00:00Z", "ingested": f"2022-01-01T00:00:0{n}Z", "data": {"v": n}}) + "\n"
        for n, year in enumerate((2022, 2023, 2024))))
    (tmp_path / "weir.toml").write_text(f"""
[log]
path = "{tmp_path}/data"
[feeds.pools]
[[feeds.pools.sources]]
kind = "websocket"
url = "ws://127.0.0.1:1/"
[stores.warehouse]
kind = "postgresql"
url = "{postgres.url()}"
""")
    done = subprocess.run([BINARY, "import", "-c", tmp_path / "weir.toml", tmp_path / "old.ndjson"], env={**os.environ, "DB_PASSWORD": PASSWORD}, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert postgres.sql("SELECT extract(year FROM time) FROM weir.events WHERE stream = 'pools' ORDER BY time") == [["2022"], ["2023"], ["2024"]], done.stderr
