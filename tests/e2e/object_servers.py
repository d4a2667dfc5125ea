"""Object services that others wrote, started for a test on a loopback port of their own, and a look at what they hold."""
import base64
import calendar
import hashlib
import hmac
import http.client
import http.server
import pathlib
import subprocess
import threading
import time
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
    """Keeps objects and metadata. It takes no notice of signatures of version 4 (`Signed` in front of it does), nor of If-None-Match, If-Match,
    checksums and storage classes (s3_service_test.cc has those)."""

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
        self.refuse = lambda request, body: None  # (status, headers, body) of an answer in place of the service's
        self.hits = 0
        self.done = []  # (method, path, status) of what the service has done
        between = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if refusal := between.refuse(self, body):
                    status, headers, text = refusal
                    self.send_response_only(status)
                    for name, value in {**headers, "Content-Length": str(len(text))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(text)
                    return
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


class Signed(Between):
    """In front of an S3 server: checks Signature Version 4 (AWS General Reference, "Create a signed request"), by other code than weir's, and the time of the
    request as S3 does, by a clock that may be wrong by `ahead` seconds."""

    def __init__(self, target_port, secret, ahead=0):
        super().__init__(target_port)
        self.secret, self.ahead, self.signed = secret, ahead, 0
        self.refuse = self._refuse

    def _refuse(self, request, body):
        now = time.time() + self.ahead
        sent = calendar.timegm(time.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        code = "RequestTimeTooSkewed" if abs(now - sent) > 900 else None if self._is_signed(request, body) else "SignatureDoesNotMatch"
        self.signed += code is None
        return code and (403, {"Date": formatdate(now, usegmt=True), "Content-Type": "application/xml"},
                         f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>m</Message></Error>'.encode())

    def _is_signed(self, request, body):
        algorithm, rest = request.headers["Authorization"].split(" ", 1)
        fields = dict(part.strip().split("=", 1) for part in rest.split(","))
        _, date, region, service, end = fields["Credential"].split("/")
        if algorithm != "AWS4-HMAC-SHA256" or request.headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
            return False
        path, _, query = request.path.partition("?")
        names = fields["SignedHeaders"].split(";")
        headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names)
        canonical = "\n".join([request.command, path, "&".join(sorted(query.split("&"))), headers, fields["SignedHeaders"], request.headers["x-amz-content-sha256"]])
        to_sign = "\n".join([algorithm, request.headers["x-amz-date"], f"{date}/{region}/{service}/{end}", hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in (date, region, service, end):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        # What changes the meaning of a request must be signed.
        return {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names) and hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest() == fields["Signature"]
