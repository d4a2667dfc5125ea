"""What goes wrong around a database: each is one line that says what to do, no password appears anywhere, and afterwards every event is in the table once.

Issue 5, "Exactly once" and "Clear"; S2-18."""
import contextlib
import json
import os
import pathlib
import random
import re
import subprocess
import tempfile
import threading

import pytest
from conftest import DEADLINE, free_port, until
from postgres import PASSWORD, PgBouncer, Postgres, Wire

CONFIG = """
[log]
path = "@FOLDER@/data"
[gateway]
port = @PORT@
[stores.warehouse]
kind = "postgresql"
url = "{url}"
batch_events = 50
backoff_first = "20ms"
backoff_cap = "200ms"
timeout = "{timeout}"
{more}
"""
WRONG = "s3cr3t-wr0ng"


@pytest.fixture(scope="module")
def server():
    postgres = Postgres()
    yield postgres
    postgres.stop()


@pytest.fixture
def postgres(server):
    return server.emptied()


@pytest.fixture
def serve(weir):
    """A weir with a store, and what it and the process list show is searched for passwords when the test ends."""
    started = []

    def start(url, more="", password=PASSWORD, timeout="5s", **env):
        w = weir(CONFIG.format(url=url, more=more, timeout=timeout), name=f"weir{len(started)}", env={**({"DB_PASSWORD": password} if password else {}), **env})
        started.append(w)
        return w

    yield start
    for w in started:
        shown = w.diagnostics()
        if w.process.poll() is None:
            shown += w.get("/metrics", raw=True) + json.dumps(w.get("/api/v1/status")) + pathlib.Path(f"/proc/{w.process.pid}/cmdline").read_text()
        for secret in (PASSWORD, WRONG):
            assert secret not in shown


def push(w, first, count, data=lambda n: {"n": n}):
    status, answer = w.post("/api/v1/streams/line/events", [{"id": f"e{n}", "key": f"K{n % 3}", "type": "reading", "data": data(n)} for n in range(first, first + count)])
    assert status == 200, answer


def all_there(w, postgres):
    return postgres.one("SELECT count(*) FROM weir.events WHERE stream = 'line'") == str(w.head("line"))


def same(w, postgres):
    """Every event is in the table once, and a count that is right says the rest."""
    until(lambda: all_there(w, postgres), "all rows are there")
    assert postgres.sql("SELECT seq, id FROM weir.events WHERE stream = 'line' ORDER BY seq") == [[str(e["seq"]), e["id"]] for e in w.events("line")]


def says(w, *parts):
    """One line of the diagnostics has all of it."""
    def found():
        return next((line for line in w.diagnostics().splitlines() if all(part in line for part in parts)), None)

    return until(found, f"a line says {parts}; there is: {w.diagnostics()[-2000:]}")


class Load:
    """Pushes events until it is told to stop."""

    def __init__(self, w):
        self.w, self.pushed, self.over = w, 0, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over.wait(0.005):
            push(self.w, self.pushed, 20)
            self.pushed += 20

    def stop(self):
        self.over.set()
        self.thread.join(DEADLINE)


def test_a_wrong_password_a_missing_database_and_a_missing_right_each_say_what_to_do(postgres, serve):
    w = serve(postgres.url(WRONG), password=None)
    push(w, 0, 10)
    line = says(w, "password authentication failed", "check the user and the password")
    assert "10 events behind, nothing lost" in line or "retry in" in line
    w = serve(postgres.url().removesuffix("analytics") + "absent")
    push(w, 0, 10)
    says(w, 'database "absent" does not exist', "create the database, or correct the url")
    postgres.sql("DROP ROLE IF EXISTS guest", database="postgres")
    postgres.sql(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'", database="postgres")
    w = serve(postgres.url().replace("analytics_user", "guest"))
    push(w, 0, 10)
    says(w, "permission denied for database analytics", "the user needs CREATE")
    postgres.sql("GRANT CREATE, TEMP ON DATABASE analytics TO guest")
    same(w, postgres)  # by itself, when it is right


def test_a_value_of_another_type_is_a_dead_letter_with_the_reason_and_a_missing_column_is_said(postgres, serve):
    postgres.sql("CREATE TABLE public.doors (name text PRIMARY KEY, people integer); ALTER TABLE public.doors OWNER TO analytics_user")
    mapped = '[[stores.warehouse.mapped]]\nstream = "line"\ntable = "public.doors"\nconflict = ["name"]\ncolumns = {{ name = "/name", {} = "/people" }}\n'
    w = serve(postgres.url(), mapped.format("people"))
    push(w, 0, 10, lambda n: {"name": f"door{n}", "people": "many" if n == 4 else n})
    says(w, 'invalid input syntax for type integer: "many"', "_dead/warehouse", "the rest is written")
    until(lambda: postgres.one("SELECT count(*) FROM public.doors") == "9", "the rest is written")
    w.stop()
    w = serve(postgres.url(), mapped.format("persons"))
    push(w, 0, 10)
    says(w, "table public.doors has no column persons", "add it, or correct the mapping")


def test_a_statement_that_takes_too_long_is_ended_and_tried_again(postgres, serve):
    w = serve(postgres.url(), timeout="300ms")
    push(w, 0, 10)
    same(w, postgres)
    postgres.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(60); RETURN NEW; END$$;"
                 "CREATE TRIGGER slow BEFORE INSERT ON weir.events FOR EACH ROW EXECUTE FUNCTION slow()")
    push(w, 10, 10)
    says(w, "canceling statement due to statement timeout", "if it is only slow, raise the store's timeout")
    postgres.sql("DROP TRIGGER slow ON weir.events")
    same(w, postgres)


def test_a_connection_that_is_cut_again_and_again_under_load(postgres, serve):
    """In mid-COPY, between statements, in the answer to a COMMIT: wherever the bytes happen to end."""
    wire = Wire(postgres.port)
    w = serve(postgres.url().replace(str(postgres.port), str(wire.port)))
    load = Load(w)
    until(lambda: postgres.one("SELECT count(*) FROM weir.events") not in (None, "0"), "rows arrive")
    wire.cut(20_000)
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir warehouse'")
    until(lambda: wire.cuts >= 20, "it was cut many times")
    wire.cut(0)
    load.stop()
    same(w, postgres)
    wire.stop()


def test_kill_9_of_the_server_under_load(postgres, serve):
    w = serve(postgres.url())
    load = Load(w)
    for _ in range(4):
        until(lambda: int(postgres.one("SELECT count(*) FROM weir.events") or 0) > 0, "rows arrive")
        had = int(postgres.one("SELECT count(*) FROM weir.events"))
        until(lambda: int(postgres.one("SELECT count(*) FROM weir.events")) > had + random.randint(0, 200), "rows arrive")
        postgres.kill()
        pushed = load.pushed
        until(lambda: load.pushed > pushed + 100, "the log goes on")
        postgres.start()
    load.stop()
    same(w, postgres)


@contextlib.contextmanager
def disk_of(size, postgres):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-small-", dir="/tmp"))
    owner = postgres.as_user.get("user", os.geteuid())
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700,uid={owner}", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"needs the right to mount: {mounted.stderr.strip()} (postgres_store_test.cc has the server's code for it)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


@pytest.fixture
def small_disk(postgres):
    with disk_of("16m", postgres) as folder:
        yield folder
        postgres.sql("DROP DATABASE IF EXISTS analytics WITH (FORCE)", database="postgres")
        postgres.sql("DROP TABLESPACE IF EXISTS small", database="postgres")


def test_a_disk_full_of_the_servers_own_journal(serve):
    """A server that cannot write its journal (WAL) ends itself, and does not start before there is room: for the store that is a server that is away."""
    postgres = Postgres()
    try:
        with disk_of("36m", postgres) as folder:
            postgres.shut()
            wal = postgres.folder / "data/pg_wal"
            subprocess.run(["mv", wal, folder / "pg_wal"], check=True)  # owners and all
            wal.symlink_to(folder / "pg_wal")
            postgres.start()
            w = serve(postgres.url())
            load, generator = 0, random.Random(7)
            panicked = lambda: "PANIC" in (postgres.folder / "output").read_text(errors="replace")
            while not panicked():
                assert load < 50_000, "the journal does not fill its disk"
                push(w, load, 200, lambda n: {"n": n, "blob": generator.randbytes(2000).hex()})
                load += 200
                until(lambda: panicked() or w.get("/api/v1/status")["stores"][0]["behind"] < 1000, "the store keeps up, or the server has ended")
            push(w, load, 200)
            says(w, "nothing lost")
            subprocess.run(["mount", "-o", "remount,size=512m", str(folder)], check=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                postgres.process.wait(1)  # it may have come up again by itself
                postgres.start()
            same(w, postgres)
            postgres.crash()
    finally:
        postgres.stop()


def test_a_full_disk_on_the_database_side(postgres, serve, small_disk):
    """A real one: the database's files lie on a disk of 16 MB."""
    postgres.sql(f"CREATE TABLESPACE small LOCATION '{small_disk}'", database="postgres")
    postgres.sql("DROP DATABASE analytics WITH (FORCE)", database="postgres")
    # Written now, not when there is no room left for it.
    postgres.sql("CREATE DATABASE analytics OWNER analytics_user TABLESPACE small;\nCHECKPOINT", database="postgres")
    w = serve(postgres.url())
    generator = random.Random(7)
    for first in range(0, 4000, 100):
        push(w, first, 100, lambda n: {"n": n, "blob": generator.randbytes(2000).hex()})
    says(w, "No space left on device", "the database's disk is full: make room there", "nothing lost")
    assert w.get("/api/v1/status")["stores"][0]["rows"] < 4000
    subprocess.run(["mount", "-o", "remount,size=256m", str(small_disk)], check=True)
    same(w, postgres)


@pytest.fixture(scope="module")
def authority(tmp_path_factory, server):
    """A certificate authority, and a server with a certificate of its for `localhost`."""
    folder = tmp_path_factory.mktemp("ca")

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=folder)

    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out", "server.pem")
    for name in ("server.pem", "server.key"):
        target = server.folder / "data" / name
        target.write_bytes((folder / name).read_bytes())
        target.chmod(0o600)
        if server.as_user:
            os.chown(target, server.as_user["user"], server.as_user["group"])
    return folder


@pytest.fixture
def tls(postgres, authority):
    """The server speaks TLS, and its users must."""
    hba = postgres.folder / "data/pg_hba.conf"
    before = hba.read_text()
    hba.write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    postgres.sql("ALTER SYSTEM SET ssl_cert_file = 'server.pem'; ALTER SYSTEM SET ssl_key_file = 'server.key'; ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()".replace("; ", ";\n"))
    until(lambda: postgres.one("SHOW ssl") == "on", "the server speaks TLS")
    yield authority
    hba.write_text(before)
    postgres.sql("ALTER SYSTEM RESET ALL;\nSELECT pg_reload_conf()")
    until(lambda: postgres.one("SHOW ssl") == "off", "the server does not speak TLS any more")


def test_tls_is_asked_for_and_the_certificate_is_checked(postgres, serve, tls):
    """sslmode=require, verify-full with an authority of one's own, and what is said where it does not fit."""
    named = postgres.url().replace("127.0.0.1", "localhost")
    encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'weir warehouse'"
    for url, more in [(postgres.url() + "?sslmode=require", ""), (named + "?sslmode=verify-full", f'tls_ca_file = "{tls}/ca.pem"')]:
        w = serve(url, more)
        push(w, 0, 10)
        until(lambda: postgres.one("SELECT count(*) FROM weir.events WHERE stream = 'line'") == "10", "rows are there")
        assert postgres.one(encrypted) == "1"
        w.stop()
        postgres.sql("DROP SCHEMA weir CASCADE")
    for url, more, *parts in [(named + "?sslmode=verify-full", f'tls_ca_file = "{tls}/other.pem"', "certificate verify failed", "tls_ca_file"),
                              (postgres.url() + "?sslmode=verify-full", f'tls_ca_file = "{tls}/ca.pem"', "does not match host name", "the name that the certificate is for"),
                              (named + "?sslmode=verify-full", f'tls_ca_file = "{tls}/absent.pem"', "absent.pem", "tls_ca_file"),
                              (named + "?sslmode=verify-full", "", "certificate verify failed", "tls_ca_file"),
                              (postgres.url() + "?sslmode=disable", "", "no encryption", "sslmode=require")]:
        w = serve(url, more)
        push(w, 0, 10)
        says(w, *parts)
        w.stop()


def test_a_server_without_tls_is_not_spoken_to_where_tls_is_required(postgres, serve):
    w = serve(postgres.url() + "?sslmode=require")
    push(w, 0, 10)
    says(w, "server does not support SSL", "switch TLS on there")


def test_the_password_may_come_from_a_file(postgres, serve, tmp_path):
    """PGPASSFILE (docs/postgresql.md)."""
    path = tmp_path / "passwords"
    path.write_text(f"127.0.0.1:{postgres.port}:analytics:analytics_user:{PASSWORD}\n")
    path.chmod(0o600)
    w = serve(postgres.url(), password=None, PGPASSFILE=str(path))
    push(w, 0, 10)
    same(w, postgres)
    w.stop()
    w = serve(postgres.url(), password=None, PGPASSFILE=str(tmp_path / "absent"))
    push(w, 0, 10)
    says(w, "no password supplied", "DB_PASSWORD or PGPASSFILE")


def test_pgbouncer_in_transaction_mode_with_two_stores_on_one_connection_under_load(postgres, serve):
    """decisions.md 29; the server behind it is killed as well."""
    bouncer = PgBouncer(postgres)
    try:
        postgres.sql("CREATE TABLE public.latest (key text PRIMARY KEY, n integer); ALTER TABLE public.latest OWNER TO analytics_user".replace("; ", ";\n"))
        w = serve(bouncer.url(), f"""
[stores.second]
kind = "postgresql"
url = "{bouncer.url()}"
tables = false
backoff_first = "20ms"
backoff_cap = "200ms"
[[stores.second.mapped]]
stream = "line"
table = "public.latest"
conflict = ["key"]
columns = {{ key = "@key", n = "/n" }}
""")
        load = Load(w)
        rows = lambda: int(postgres.one("SELECT count(*) FROM weir.events") or 0)
        until(lambda: rows() > 200, "rows arrive")
        # The store's connection, which the pooler keeps, may not notice: what the crash takes back has to be noticed all the same.
        for _ in range(4):
            postgres.kill()
            postgres.start()
            had = rows()
            until(lambda: rows() > had + 400, "rows arrive again")
        load.stop()
        same(w, postgres)
        newest = {f"K{n % 3}": str(n) for n in range(load.pushed)}
        until(lambda: dict(postgres.sql("SELECT key, n FROM public.latest")) == newest, "the mapped table has the newest of each key")
    finally:
        bouncer.stop()


def test_an_address_where_nobody_listens_and_a_name_that_nobody_has(serve):
    w = serve(f"postgresql://analytics_user@127.0.0.1:{free_port()}/analytics")
    push(w, 0, 10)
    assert re.search(r"Connection refused.*is the server running", says(w, "cannot be reached"))
    w = serve("postgresql://analytics_user@no-such-host.invalid/analytics")
    push(w, 0, 10)
    says(w, "could not translate host name", "check the host's name")
