"""A PostgreSQL of one's own on a free loopback port, with source 002's database and user, gone with the test; and what may stand or happen in between."""
import contextlib
import glob
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

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

    def shut(self):
        """As an administrator does it: all is written first."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(DEADLINE)

    def crash(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(DEADLINE)

    def kill(self):
        """kill -9 of all its processes, as the kernel does it when memory runs out."""
        pids = [int(p.parent.name) for p in pathlib.Path("/proc").glob("[0-9]*/stat") if self._is_child(p)]
        self.process.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(DEADLINE)
        # What is left of the dead ones holds the shared memory for a moment, and a new server would refuse to start.
        until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids), "the server's processes are gone")

    def _is_child(self, stat):
        with contextlib.suppress(OSError):
            return int(stat.read_text().rsplit(")", 1)[1].split()[1]) == self.process.pid
        return False

    def stop(self):
        if self.process.poll() is None:
            self.crash()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def emptied(self):
        """Running, with an empty database: what a test begins with."""
        if self.process.poll() is not None:
            self.start()
        self.sql("DROP DATABASE IF EXISTS analytics WITH (FORCE)", database="postgres")
        self.sql("CREATE DATABASE analytics OWNER analytics_user", database="postgres")
        self.sql("GRANT ALL ON SCHEMA public TO analytics_user")
        return self

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


class Wire:
    """Between a client and the database. `cut(n)`: each connection is cut when the client has sent about n bytes on it; 0: never again."""

    def __init__(self, target_port):
        self.target_port, self.bytes_max, self.cuts = target_port, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, bytes_max):
        self.bytes_max = bytes_max

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.target_port)) as server:
            threading.Thread(target=self._pass, args=(server, client), daemon=True).start()
            left = random.randint(self.bytes_max // 2, self.bytes_max) if self.bytes_max else None
            while data := client.recv(4096):
                if left is not None and (left := left - len(data)) < 0:
                    self.cuts += 1
                    break
                server.sendall(data)
            for end in (server, client):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pass(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.listener.close()


class PgBouncer:
    """In transaction mode before a server, with one connection for all."""

    def __init__(self, postgres):
        self.port = free_port()
        self.folder = postgres.folder / f"bouncer-{self.port}"
        self.folder.mkdir()
        (self.folder / "users").write_text(f'"analytics_user" "{PASSWORD}"\n')
        (self.folder / "bouncer.ini").write_text(f"""[databases]
* = host=127.0.0.1 port={postgres.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self.folder}/users
pool_mode = transaction
default_pool_size = 1
server_login_retry = 1
logfile = {self.folder}/log
""")
        if postgres.as_user:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, postgres.as_user["user"], postgres.as_user["group"])
        self.process = subprocess.Popen(["/usr/sbin/pgbouncer", "-q", self.folder / "bouncer.ini"], stdout=postgres.log, stderr=postgres.log, cwd="/", **postgres.as_user)
        until(self.answers, "pgbouncer answers")

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def url(self):
        return f"postgresql://analytics_user@127.0.0.1:{self.port}/analytics"

    def stop(self):
        self.process.kill()
        self.process.wait(DEADLINE)
