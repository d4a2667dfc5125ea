"""Windows as objects in services that others wrote: the same names and bytes as in a folder, whatever happens in between.

S0-33 (Azure Blob, emulator), S0-34 (connection string from the environment), S1-15 to S1-19, C-12, C-14."""
import contextlib
import gzip
import json
import os
import subprocess

import pytest

from conftest import BINARY, DEADLINE, until
from object_servers import KEY, Azurite, Between, S3rver, Signed

CONFIG = """
[log]
path = "@FOLDER@/data"

[gateway]
port = @PORT@

[feeds.pools]
stream = "pools"
interval = "10s"
[[feeds.pools.sources]]
kind = "websocket"
url = "@URL@"
[feeds.pools.decode]
key = ["/uid"]
value = ["/currentfill"]
time = ["/time"]
id = "/id"

[windows.1min]
stream = "pools"
value = "/currentfill"
size = "1min"
lateness = "1s"
"""
FOLDER = """
[stores.files]
kind = "folder"
path = "@FOLDER@/blobs"
"""
AZURE = """
[stores.cloud]
kind = "azure"
timeout = "5s"
backoff_first = "20ms"
backoff_cap = "100ms"
"""
S3 = """
[stores.bucket]
kind = "s3"
endpoint = "http://127.0.0.1:@S3@"
bucket = "weir"
access_key = "S3RVER"
path_style = true
backoff_first = "20ms"
backoff_cap = "100ms"
"""


@pytest.fixture
def server(tmp_path):
    started = []

    def start(kind):
        started.append(kind(tmp_path / kind.__name__).start())
        return started[-1]

    yield start
    for one in started:
        one.kill()


def send_minutes(feed, first, last):
    """Readings of two pools for the minutes first .. last - 1, and one later, which closes the last of them."""
    for minute in range(first, last):
        for n in range(3):
            feed.send([{"id": f"{uid}{minute}.{n}", "uid": uid, "currentfill": minute * 3 + n, "time": f"2026-02-17T10:{minute:02d}:{n * 20:02d}Z"} for uid in ("SSD-7", "Zürich 2%")])
    feed.send([{"id": f"end{last}", "uid": "SSD-7", "currentfill": 1, "time": f"2026-02-17T10:{last:02d}:05Z"}])


def folder(weir_instance):
    blobs = weir_instance.folder / "blobs"
    return {str(path.relative_to(blobs)): path.read_bytes() for path in blobs.rglob("*") if path.is_file() and not path.name.startswith(".")}


def count(w, metric, store):
    for line in w.get("/metrics", raw=True).splitlines():
        if line.startswith(metric) and f'store="{store}"' in line:
            return float(line.split()[-1])
    return 0.0


def written(minutes):
    """Two keys, a raw part and a summary each."""
    return 4 * minutes


def same(w, service, minutes):
    """All that was asked for is there, in the folder and in the service, with the same bytes. (The plain name of a key that was alone for a moment has gone again.)"""
    expected = folder(w)
    return len(expected) == written(minutes) and service.objects() == expected


def test_the_same_windows_in_a_folder_in_azure_and_in_s3(weir, feed_server, server):
    """S0-33, S0-34, S1-15 to S1-19: one run writes to all three; names and bytes are compared. Tiers and types are what the service says of the blobs."""
    feed, azurite, s3 = feed_server(needs_text=False), server(Azurite), server(S3rver)
    w = weir((CONFIG + FOLDER + AZURE + S3).replace("@URL@", feed.url()).replace("@S3@", str(s3.port)),
             env={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string(), "AWS_SECRET_ACCESS_KEY": "S3RVER"})
    until(lambda: feed.clients, "weir is connected")
    send_minutes(feed, 0, 5)
    until(lambda: same(w, azurite, 5), "Azure has the same as the folder")
    until(lambda: same(w, s3, 5), "S3 has the same as the folder")
    expected = folder(w)
    raw, summary = "raw-events/SSD-7/2026-02-17/10-00-to-10-01.json.gz", "summaries/SSD-7/2026-02-17/10-00.json"
    assert raw in expected and summary in expected, sorted(expected)
    assert [reading["value"] for reading in json.loads(gzip.decompress(azurite.get(f"scraped-data/{raw}")[0]))["readings"]] == [0, 1, 2]
    assert azurite.head(f"scraped-data/{raw}")["x-ms-access-tier"] == "Cool"
    headers = azurite.head(f"scraped-data/{summary}")
    assert headers["x-ms-access-tier"] == "Hot" and headers["content-type"] == "application/json"
    for secret in (KEY, "AccountKey"):
        assert secret not in w.diagnostics()
    assert w.stop() == 0


def test_what_two_logs_have_of_a_window_is_joined_in_a_service_as_in_a_folder(weir, feed_server, server, tmp_path):
    """decisions.md 12: a second log on the same container, such as a restored backup's, joins by the ids of the readings: the bytes that a folder has, and no sibling."""
    azurite, s3, shared = server(Azurite), server(S3rver), tmp_path / "shared"
    for name, seconds in (("before", (0, 20)), ("restored", (0, 40))):
        feed = feed_server(needs_text=False)
        w = weir((CONFIG + FOLDER.replace("@FOLDER@/blobs", str(shared)) + AZURE + S3).replace("@URL@", feed.url()).replace("@S3@", str(s3.port)), name=name,
                 env={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string(), "AWS_SECRET_ACCESS_KEY": "S3RVER"})
        until(lambda: feed.clients, "weir is connected")
        for second in seconds:
            feed.send([{"id": f"r{second}", "uid": "SSD-7", "currentfill": second, "time": f"2026-02-17T10:00:{second:02d}Z"}])
        feed.send([{"id": "end", "uid": "SSD-7", "currentfill": 1, "time": "2026-02-17T10:01:05Z"}])
        for store in ("files", "cloud", "bucket"):
            until(lambda: count(w, "weir_store_objects_written_total", store) + count(w, "weir_store_objects_joined_total", store) == 2, f"{store} has both objects")
        assert w.stop() == 0
    expected = {str(path.relative_to(shared)): path.read_bytes() for path in shared.rglob("*") if path.is_file() and not path.name.startswith(".")}
    raw, summary = "raw-events/2026-02-17/10-00-to-10-01.json.gz", "summaries/2026-02-17/10-00.json"
    assert sorted(expected) == [raw, summary]
    document = json.loads(gzip.decompress(expected[raw]))
    assert [reading["id"] for reading in document["readings"]] == ["r0", "r20", "r40"] and len(document["joined"]) == 2
    assert json.loads(expected[summary])["statistics"]["count"] == 3
    assert s3.objects() == expected
    assert azurite.objects() == expected


def test_layout_raw_is_gzip_by_header_in_a_service_and_plain_in_a_folder(weir, feed_server, server):
    """S1-15: the name is `.json` in both. This is the one case in which the stored bytes differ."""
    feed, azurite = feed_server(needs_text=False), server(Azurite)
    w = weir((CONFIG + FOLDER + 'layout = "raw"\n' + AZURE + 'layout = "raw"\n').replace("@URL@", feed.url()),
             env={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string()})
    until(lambda: feed.clients, "weir is connected")
    send_minutes(feed, 0, 1)
    until(lambda: len(folder(w)) == 2 and set(azurite.names()) == set(folder(w)), "both have all")
    for name, plain in folder(w).items():
        body, headers = azurite.get(f"scraped-data/{name}")
        assert headers["content-encoding"] == "gzip" and gzip.decompress(body) == plain


def test_a_service_that_is_down_costs_only_lag_and_nothing_is_written_twice(weir, feed_server, server):
    """Issue 5, "What must hold": the service goes away and comes back; what was there is not written again."""
    feed, azurite = feed_server(needs_text=False), server(Azurite)
    w = weir((CONFIG + FOLDER + AZURE).replace("@URL@", feed.url()), env={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string()})
    until(lambda: feed.clients, "weir is connected")
    send_minutes(feed, 0, 2)
    until(lambda: same(w, azurite, 2), "the first are there")
    before = {name: azurite.head(f"scraped-data/{name}")["etag"] for name in azurite.names()}
    azurite.stop()
    send_minutes(feed, 2, 10)
    until(lambda: len(folder(w)) == written(10), "the folder goes on")
    until(lambda: count(w, "weir_store_failures_total", "cloud") >= 3, "the store has tried again and again")
    azurite.start()
    until(lambda: same(w, azurite, 10), "what was missing is written")
    assert {name: azurite.head(f"scraped-data/{name}")["etag"] for name in before} == before, "what was there was not written again"
    until(lambda: count(w, "weir_store_behind_events", "cloud") == 0, "nothing is behind")
    assert "nothing lost" in w.diagnostics()


@pytest.fixture
def between():
    started = []

    def start(port):
        started.append(Between(port))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("nth", [1, 4, 7])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_in_mid_write_leaves_the_same_objects(weir, feed_server, server, between, when, nth):
    """decisions.md 34: weir is killed at its nth write, before or after the service has done it; started again, each object is there once, with the folder's bytes."""
    feed, azurite = feed_server(needs_text=False), server(Azurite)
    middle = between(azurite.port)
    w = weir((CONFIG + FOLDER + AZURE).replace("@URL@", feed.url()), env={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string(port=middle.port)})
    writes = []

    def rule(method, path):
        if method != "PUT" or "restype=container" in path:
            return None
        writes.append(path)
        if len(writes) != nth:
            return None
        w.process.send_signal(9)
        return when

    middle.rule = rule
    until(lambda: feed.clients, "weir is connected")
    with contextlib.suppress(Exception):
        send_minutes(feed, 0, 3)
    assert w.process.wait(60) == -9 and middle.hits == 1, "the point was hit"
    middle.rule = lambda method, path: None
    until(lambda: not feed.clients, "the dead client is gone")
    w.start()
    until(lambda: feed.clients, "weir is connected again")
    send_minutes(feed, 0, 5)  # ids that are in the log already are not taken twice
    until(lambda: same(w, azurite, 5), "the service has all")


def test_a_service_that_often_fails_ends_with_every_object_once(weir, feed_server, server, between):
    """Every third request is refused, cut before or cut after it was done: what is ambiguous is looked at, and nothing is written twice."""
    feed, azurite = feed_server(needs_text=False), server(Azurite)
    middle = between(azurite.port)
    asked = []

    def rule(method, path):
        asked.append(path)
        return None if len(asked) % 3 else [503, "before", "after"][len(asked) // 3 % 3]

    middle.rule = rule
    w = weir((CONFIG + FOLDER + AZURE).replace("@URL@", feed.url()), env={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string(port=middle.port)})
    until(lambda: feed.clients, "weir is connected")
    send_minutes(feed, 0, 8)
    until(lambda: same(w, azurite, 8), "the service has all")
    until(lambda: count(w, "weir_store_behind_events", "cloud") == 0, "nothing is behind")
    puts = [path for method, path, status in middle.done if method == "PUT" and status == 201 and "restype" not in path]
    assert len(puts) == len(set(puts)) >= written(8), "each was put once"


def test_a_wrong_key_is_one_line_that_says_what_to_do(weir, feed_server, server):
    """Issue 5, "Clear"; secrets never appear."""
    feed, azurite = feed_server(needs_text=False), server(Azurite)
    wrong = "d3Jvbmcga2V5"
    w = weir((CONFIG + AZURE).replace("@URL@", feed.url()), env={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string(wrong)})
    until(lambda: feed.clients, "weir is connected")
    send_minutes(feed, 0, 1)
    until(lambda: "AccountKey is not this account's" in w.diagnostics(), "the line")
    assert wrong not in w.diagnostics() and "wrong key" not in w.diagnostics()
    w.stop()


@pytest.mark.parametrize("secret, ahead, says", [("S3RVER", 0, None), ("wr0ng-s3cret", 0, "secret_key does not belong to access_key"),
                                                 ("S3RVER", 3600, "behind the service's; set it right"), ("S3RVER", -3600, "ahead of the service's; set it right")])
def test_requests_to_s3_are_signed_and_a_wrong_secret_or_clock_is_one_line_that_says_what_to_do(weir, feed_server, server, secret, ahead, says):
    """Issue 5, "Clear"; the signature is checked by other code than weir's, and no secret appears."""
    feed, s3 = feed_server(needs_text=False), server(S3rver)
    checked = Signed(s3.port, "S3RVER", ahead)
    w = weir((CONFIG + S3).replace("@URL@", feed.url()).replace("@S3@", str(checked.port)), env={"AWS_SECRET_ACCESS_KEY": secret})
    until(lambda: feed.clients, "weir is connected")
    send_minutes(feed, 0, 1)
    if says is None:
        until(lambda: len(s3.objects()) == written(1), "all are there")
        assert checked.signed >= 2 * written(1), "looked for and written"
    else:
        until(lambda: says in w.diagnostics(), "the line")
        assert s3.objects() == {} and checked.signed == 0
    if secret != "S3RVER":
        assert secret not in w.diagnostics() + json.dumps(w.get("/api/v1/status")) + w.get("/metrics", raw=True)
    w.stop()
    checked.stop()


def test_a_shared_access_signature_is_enough(weir, feed_server, server):
    """Spec 6: SAS. The emulator checks the signature that this test made."""
    feed, azurite = feed_server(needs_text=False), server(Azurite)
    config = CONFIG + AZURE + f'account_url = "http://127.0.0.1:{azurite.port}/devstoreaccount1"\n'
    w = weir(config.replace("@URL@", feed.url()), env={"WEIR_STORES__CLOUD__SAS": azurite.sas()})
    until(lambda: feed.clients, "weir is connected")
    send_minutes(feed, 0, 1)
    until(lambda: len(azurite.names()) == written(1), "all are there")
    assert "sig=" not in w.diagnostics()


def test_history_is_written_to_a_service_with_signatures_of_today(server, tmp_path):
    """D3: an import's log has the recording's time; a service takes no request that is signed with it."""
    s3 = server(S3rver)
    signed = Signed(s3.port, "S3RVER")
    config = (CONFIG + S3).replace("@FOLDER@", str(tmp_path)).replace("@URL@", "ws://127.0.0.1:1/").replace("@S3@", str(signed.port)).replace("@PORT@", "0")
    (tmp_path / "weir.toml").write_text(config)
    (tmp_path / "old.ndjson").write_text("".join(
        json.dumps({"received": f"2022-02-17T10:0{minute}:01Z", "message": {"id": f"r{minute}", "uid": "SSD-7", "currentfill": minute, "time": f"2022-02-17T10:0{minute}:00Z"}}) + "\n"
        for minute in range(4)))
    done = subprocess.run([BINARY, "import", "-c", tmp_path / "weir.toml", tmp_path / "old.ndjson"], env={**os.environ, "AWS_SECRET_ACCESS_KEY": "S3RVER"}, capture_output=True, text=True,
                          timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert "summaries/2022-02-17/10-00.json" in s3.objects() and signed.signed > 0, sorted(s3.objects())
    signed.stop()
