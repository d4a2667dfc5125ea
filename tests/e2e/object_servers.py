"""Object services that others wrote, started for a test on a loopback port of their own, and a look at what they hold."""
import base64
import hashlib
import hmac
import http.client
import http.server
import pathlib
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml
from email.utils import formatdate

from conftest import DEADLINE, free_port, until

HERE = pathlib.Path(__file__).resolve().parent
ACCOUNT = "devstoreaccount1"
# The emulator's published key: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def node_module(path):
    found = HERE / "node_modules" / path
    if not found.exists():
        subprocess.run(["npm", "ci", "--prefix", str(HERE), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], check=True, timeout=900)
    return str(found)


class Server:
    """One process with its folder; it may be killed and started again on the same port."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.log = open(self.folder.parent / (self.folder.name + ".log"), "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log, cwd=self.folder)
        until(self.answers, f"{self.command()[1]} answers")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.folder.parent / (self.folder.name + ".log")).read_text()[-2000:]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=DEADLINE).read()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def stop(self):
        """A clean end: the emulator writes down what it holds, which kill -9 loses."""
        self.process.terminate()
        self.process.wait(DEADLINE)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)


class Azurite(Server):
    def command(self):
        return ["node", node_module("azurite/dist/src/blob/main.js"), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(self.folder),
                "--silent", "--disableTelemetry"]

    def connection_string(self, key=KEY, port=None):
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};BlobEndpoint=http://127.0.0.1:{port or self.port}/{ACCOUNT};"

    def head(self, path):
        return self.get(path, method="HEAD")[1]

    def get(self, path, method="GET", **query):
        """Signed as the documentation has it, by other code than weir's."""
        path = f"/{ACCOUNT}/{urllib.parse.quote(path)}"
        date = formatdate(usegmt=True)
        resource = f"/{ACCOUNT}{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        to_sign = method + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-12-02\n" + resource
        signature = base64.b64encode(hmac.new(base64.b64decode(KEY), to_sign.encode(), hashlib.sha256).digest()).decode()
        address = f"http://127.0.0.1:{self.port}{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(address, headers={"x-ms-date": date, "x-ms-version": "2021-12-02", "Authorization": f"SharedKey {ACCOUNT}:{signature}"}, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return answer.read(), {name.lower(): value for name, value in answer.getheaders()}

    def names(self, container="scraped-data"):
        try:
            listing, _ = self.get(container, restype="container", comp="list")
        except urllib.error.HTTPError as error:
            assert error.code == 404, error.read()
            return []
        return [name.text for name in xml.fromstring(listing.decode("utf-8-sig")).iter("Name")]

    def objects(self, container="scraped-data"):
        return {name: self.get(f"{container}/{name}")[0] for name in self.names(container)}

    def sas(self):
        """An account's shared access signature for blobs: read, write, delete, list, add, create."""
        fields = {"sp": "rwdlac", "ss": "b", "srt": "sco", "se": "2099-01-01T00:00:00Z", "spr": "https,http", "sv": "2021-12-02"}
        to_sign = "\n".join([ACCOUNT, fields["sp"], fields["ss"], fields["srt"], "", fields["se"], "", fields["spr"], fields["sv"], "", ""])
        fields["sig"] = base64.b64encode(hmac.new(base64.b64decode(KEY), to_sign.encode(), hashlib.sha256).digest()).decode()
        return urllib.parse.urlencode(fields)


class S3rver(Server):
    """Checks signatures and keeps metadata. It takes no notice of If-None-Match, If-Match, checksums and storage classes (s3_service_test.cc has those)."""

    def command(self):
        return ["node", node_module("s3rver/bin/s3rver.js"), "--directory", str(self.folder), "--address", "127.0.0.1", "--port", str(self.port),
                "--configure-bucket", "weir", "--silent"]

    def objects(self):
        bucket = self.folder / "weir"
        return {str(path.relative_to(bucket))[: -len("._S3rver_object")]: path.read_bytes() for path in bucket.rglob("*._S3rver_object")}


class Between:
    """Stands between weir and a service. `rule(method, path)` says what becomes of a request: None passes it on; "before" and "after" cut the
    connection before or after the service has done it; a number is answered instead."""

    def __init__(self, target_port):
        self.rule = lambda method, path: None
        self.hits = 0
        self.done = []  # (method, path, status) of what the service has done
        between = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                action = between.rule(self.command, self.path)
                between.hits += action is not None
                if action == "before":
                    self.close_connection = True
                    return
                if isinstance(action, int):
                    self.send_response(action)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                service = http.client.HTTPConnection("127.0.0.1", target_port, timeout=DEADLINE)
                try:
                    service.request(self.command, self.path, body, {name: value for name, value in self.headers.items() if name.lower() != "connection"})
                    answer = service.getresponse()
                    content = answer.read()
                except OSError:
                    self.close_connection = True
                    return
                finally:
                    service.close()
                between.done.append((self.command, self.path, answer.status))
                if action == "after":
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
