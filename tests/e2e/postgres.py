"""A PostgreSQL of one's own on a free loopback port, with source 002's database and user, gone with the test."""
import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from conftest import DEADLINE, free_port, until

PASSWORD = "analytics_pass"  # the document's, for development


def program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    assert found, f"no {name} below /usr/lib/postgresql: run scripts/dependencies test"
    return found[-1]


class Postgres:
    def __init__(self):
        # Below /tmp itself: pytest's own folders are closed to the server's unprivileged user.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-pg-"))
        self.port = free_port()
        self.as_user = {}
        if os.geteuid() == 0:  # the server refuses root
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.log = open(self.folder / "output", "ab")
        subprocess.run([program("initdb"), "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"],
                       check=True, stdout=self.log, stderr=self.log, cwd="/", **self.as_user)
        with open(self.folder / "data/postgresql.conf", "a") as conf:
            conf.write(f"listen_addresses='127.0.0.1'\nport={self.port}\nunix_socket_directories='{self.folder}'\nfsync=off\nshared_buffers=16MB\n")
        (self.folder / "data/pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.process = None
        self.start()
        self.sql(f"CREATE ROLE analytics_user LOGIN PASSWORD '{PASSWORD}'", database="postgres")
        self.sql("CREATE DATABASE analytics OWNER analytics_user", database="postgres")
        # As in a container of PostgreSQL 14 or older, and for the owner of the database in any.
        self.sql("GRANT ALL ON SCHEMA public TO analytics_user")

    def start(self):
        self.process = subprocess.Popen([program("postgres"), "-D", self.folder / "data"], stdout=self.log, stderr=self.log, cwd="/", **self.as_user)
        until(lambda: subprocess.run(["pg_isready", "-q", "-h", self.folder, "-p", str(self.port)]).returncode == 0, "PostgreSQL is ready")

    def crash(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(DEADLINE)

    def stop(self):
        if self.process.poll() is None:
            self.crash()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, text, database="analytics"):
        """As the owner of the server: rows as lists of texts."""
        done = subprocess.run(["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port), "-U", "postgres", database],
                              input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def one(self, text):
        try:
            rows = self.sql(text)
        except AssertionError as error:
            if "does not exist" in str(error):  # not made yet
                return None
            raise
        return rows[0][0] if rows else None

    def psql(self, text):
        """As the document's user runs it, over TCP with its password."""
        done = subprocess.run(["psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "analytics_user", "-d", "analytics"],
                              input=text, capture_output=True, text=True, env={**os.environ, "PGPASSWORD": PASSWORD})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def url(self, password=""):
        return f"postgresql://analytics_user{':' + password if password else ''}@127.0.0.1:{self.port}/analytics"
