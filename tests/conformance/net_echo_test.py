#!/usr/bin/env python3
"""weir's serving floor against Python websockets 10.4 and raw sockets: `net_echo_test.py path/to/net_echo`.

Each test is a promise of RFC 6455, 7692 or 9112 that a foreign implementation can see. Needs only /usr/bin/python3 and python3-websockets.
"""
import asyncio, http.client, os, random, socket, ssl, struct, subprocess, sys, tempfile, unittest, zlib

import websockets
from websockets.extensions import permessage_deflate

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else os.environ["NET_ECHO"]


class Server:
    def __init__(self, *options):
        self.process = subprocess.Popen([PROGRAM, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline().decode().strip()
        if not line:
            raise RuntimeError(self.process.stderr.read().decode())
        self.address = line
        if not line.startswith("unix:"):
            host, _, port = line.rpartition(":")
            self.host, self.port = host.strip("[]"), int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.exit = self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process.stderr.close()

    def url(self, path="/", scheme="ws"):
        return f"{scheme}://{self.host}:{self.port}{path}"

    def connect(self):
        s = socket.create_connection((self.host, self.port), 10)
        s.settimeout(10)
        return s

    def upgraded(self, extensions=""):
        s = self.connect()
        s.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + (f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else "").encode() + b"\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += s.recv(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        return s, head.decode()


def masked(first, payload, mask=b"\x12\x34\x56\x78"):
    n = len(payload)
    head = bytes([first]) + (bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n))
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            raise EOFError(data)
        data += piece
    return data


def read_frame(s):
    first, second = read_exactly(s, 2)
    n = second
    if n == 126:
        n, = struct.unpack(">H", read_exactly(s, 2))
    elif n == 127:
        n, = struct.unpack(">Q", read_exactly(s, 8))
    return first, read_exactly(s, n)


def read_all(s):
    data = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            return data
        data += piece


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


class WebSocketTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        assert cls.server.exit == 0, cls.server.exit

    def expect_close(self, sent, code, pieces=False):
        s, _ = self.server.upgraded()
        with s:
            if pieces:
                for i in range(len(sent)):
                    s.sendall(sent[i:i + 1])
            else:
                s.sendall(sent)
            first, payload = read_frame(s)
            self.assertEqual(first, 0x88)
            self.assertEqual(struct.unpack(">H", payload[:2])[0], code)
            self.assertEqual(read_all(s), b"")

    def test_messages_of_every_size_come_back_as_they_were(self):
        async def go(compression):
            async with websockets.connect(self.server.url(), compression=compression, max_size=None) as ws:
                for n in [0, 1, 2, 125, 126, 127, 128, 1000, 16383, 16384, 65535, 65536, 65537, 300_000, 1 << 20]:
                    text = ("grüße €𝄞 " * (n // 8 + 1)).encode()[:n].decode(errors="ignore")
                    await ws.send(text)
                    self.assertEqual(await ws.recv(), text)
                    binary = random.Random(n).randbytes(n)
                    await ws.send(binary)
                    self.assertEqual(await ws.recv(), binary)
        run(go(None))
        run(go("deflate"))

    def test_many_messages_sent_at_once_come_back_in_order(self):
        async def go():
            async with websockets.connect(self.server.url(), compression=None) as ws:
                async def send():
                    for i in range(5000):
                        await ws.send(f"message {i}")
                sending = asyncio.ensure_future(send())
                for i in range(5000):
                    self.assertEqual(await ws.recv(), f"message {i}")
                await sending
        run(go())

    def test_fragments_are_joined_and_control_frames_come_between_them(self):
        async def go():
            async with websockets.connect(self.server.url()) as ws:
                async def parts():
                    for part in ["one ", "two ", "thr", "ee"]:
                        yield part
                        await (await ws.ping())
                await ws.send(parts())
                self.assertEqual(await ws.recv(), "one two three")
        run(go())

    def test_deflate_is_agreed_as_clients_offer_it(self):
        async def go(factory, expected):
            async with websockets.connect(self.server.url(), compression=None, extensions=[factory]) as ws:
                header = ws.response_headers.get("Sec-WebSocket-Extensions", "")
                self.assertEqual(header, expected)
                # Repeats near and far: a window that is larger than was agreed would be noticed by the library's zlib.
                far = "".join(f"{n * n}, " for n in range(60))
                for text in ("compress me " * 100, far * 5, (far[:250] + far[:240]) * 9):
                    await ws.send(text)
                    self.assertEqual(await ws.recv(), text)
        f = permessage_deflate.ClientPerMessageDeflateFactory
        both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"
        run(go(f(), both))
        run(go(f(client_max_window_bits=True), both))
        run(go(f(server_max_window_bits=12, client_max_window_bits=12), both + "; client_max_window_bits=12"))
        run(go(f(server_no_context_takeover=True, client_no_context_takeover=True), both))
        # All with a smaller window share a second compressor, whose window is zlib's smallest.
        for bits, answered in ((8, 8), (9, 9), (10, 9), (11, 9)):
            run(go(f(server_max_window_bits=bits), both.replace("=12", f"={answered}")))

    def test_a_compressed_bomb_is_closed_with_1009(self):
        s, head = self.server.upgraded("permessage-deflate")
        self.assertIn("permessage-deflate", head)
        with s:
            c = zlib.compressobj(9, zlib.DEFLATED, -15)
            bomb = c.compress(b"\0" * (1 << 28)) + c.flush(zlib.Z_SYNC_FLUSH)
            s.sendall(masked(0xC2, bomb[:-4]))
            first, payload = read_frame(s)
            self.assertEqual((first, payload[:2]), (0x88, struct.pack(">H", 1009)))

    def test_the_key_of_the_rfc_is_answered_as_in_the_rfc(self):
        s, head = self.server.upgraded()
        with s:
            self.assertIn("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", head)

    def test_what_breaks_the_protocol_is_closed_with_its_code(self):
        for name, sent, code in [
            ("unmasked", b"\x81\x02hi", 1002),
            ("reserved bit", masked(0xC1, b"hi"), 1002),
            ("reserved opcode", masked(0x83, b"hi"), 1002),
            ("reserved control opcode", masked(0x8B, b""), 1002),
            ("fragmented ping", masked(0x09, b"hi"), 1002),
            ("long ping", masked(0x89, b"x" * 126), 1002),
            ("continuation of nothing", masked(0x80, b"hi"), 1002),
            ("message within message", masked(0x01, b"a") + masked(0x81, b"b"), 1002),
            ("bad UTF-8", masked(0x81, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"), 1007),
            ("UTF-8 cut at the end", masked(0x81, b"\xce"), 1007),
            ("UTF-8 wrong before the message ends", masked(0x01, b"\xf4\x90"), 1007),
            ("too large", b"\x82\xff" + struct.pack(">Q", (1 << 20) + 1) + b"\0\0\0\0", 1009),
            ("length with its highest bit", b"\x82\xff" + struct.pack(">Q", 1 << 63) + b"\0\0\0\0", 1002),
            ("length not in its shortest form", b"\x82\xfe" + struct.pack(">H", 125) + b"\0\0\0\0", 1002),
            ("close with half a code", masked(0x88, b"\x03"), 1002),
            ("close with 1005", masked(0x88, struct.pack(">H", 1005)), 1002),
            ("close with 999", masked(0x88, struct.pack(">H", 999)), 1002),
            ("close with 2999", masked(0x88, struct.pack(">H", 2999)), 1002),
            ("close with a reason that is no text", masked(0x88, struct.pack(">H", 1000) + b"\xff"), 1007),
        ]:
            for pieces in (False, True):
                with self.subTest(name, pieces=pieces):
                    self.expect_close(sent, code, pieces)

    def test_a_close_is_answered_with_its_code_and_the_connection_ends(self):
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999]:
            with self.subTest(code):
                self.expect_close(masked(0x88, struct.pack(">H", code) + "tschüß".encode()), code)
        s, _ = self.server.upgraded()
        with s:
            s.sendall(masked(0x88, b""))
            self.assertEqual(read_frame(s), (0x88, b""))
            self.assertEqual(read_all(s), b"")

    def test_the_server_closes_with_code_and_reason(self):
        async def go():
            async with websockets.connect(self.server.url("/close/1008")) as ws:
                with self.assertRaises(websockets.ConnectionClosed) as raised:
                    await ws.recv()
                self.assertEqual((raised.exception.rcvd.code, raised.exception.rcvd.reason), (1008, "as asked"))
        run(go())

    def test_a_subprotocol_is_named_only_if_it_was_offered(self):
        async def go():
            async with websockets.connect(self.server.url(), subprotocols=["weir.json", "other"]) as ws:
                self.assertEqual(ws.subprotocol, "weir.json")
            async with websockets.connect(self.server.url()) as ws:
                self.assertIsNone(ws.subprotocol)
        run(go())

    def test_a_reader_that_stalls_does_not_delay_another_and_gets_all_later(self):
        async def go():
            async with websockets.connect(self.server.url(), compression=None) as other:
                s, _ = self.server.upgraded()
                with s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
                    for i in range(8):
                        s.sendall(masked(0x82, bytes([i]) * 100_000))
                    for i in range(100):
                        await other.send("still here")
                        self.assertEqual(await other.recv(), "still here")
                    for i in range(8):
                        self.assertEqual(read_frame(s), (0x82, bytes([i]) * 100_000))
        run(go())

    def test_wrong_handshakes_are_refused(self):
        good = {"Host": "x", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        for change, status in [({"Sec-WebSocket-Version": "8"}, 426), ({"Sec-WebSocket-Key": "short"}, 400), ({"Connection": "close"}, 400)]:
            with self.subTest(change):
                c = http.client.HTTPConnection(self.server.host, self.server.port, timeout=10)
                c.request("GET", "/", headers={**good, **change})
                self.assertEqual(c.getresponse().status, status)
                c.close()


class HttpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        assert cls.server.exit == 0, cls.server.exit

    def raw(self, data, pieces=None):
        with self.server.connect() as s:
            for part in [data] if pieces is None else [data[i:i + pieces] for i in range(0, len(data), pieces)]:
                s.sendall(part)
            return read_all(s)

    def test_requests_on_one_connection(self):
        c = http.client.HTTPConnection(self.server.host, self.server.port, timeout=10)
        for _ in range(3):
            c.request("GET", "/hello")
            self.assertEqual(c.getresponse().read(), b"hello\n")
            c.request("POST", "/body", body=b"x" * 100_000)
            self.assertEqual(c.getresponse().read(), b"x" * 100_000)
            c.request("POST", "/body", body=iter([b"in ", b"chunks"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
            self.assertEqual(c.getresponse().read(), b"in chunks")
            c.request("GET", "/stream")
            self.assertEqual(c.getresponse().read().count(b"piece"), 10)
            c.request("GET", "/late")
            self.assertEqual(c.getresponse().read(), b"late\n")
            c.request("HEAD", "/hello")
            r = c.getresponse()
            self.assertEqual((r.headers["Content-Length"], r.read()), ("6", b""))
            c.request("GET", "/nothing")
            r = c.getresponse()
            self.assertEqual((r.status, r.read()), (404, b"no such path\n"))
            c.request("POST", "/nothing", body=b"nobody wants this")
            self.assertEqual(c.getresponse().read(), b"no such path\n")
        c.close()

    def test_pipelined_requests_are_answered_in_order_however_they_are_cut(self):
        requests = (b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /late HTTP/1.1\r\nHost: x\r\n\r\nPOST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                    b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for pieces in [None, 1, 7, 64]:
            answer = self.raw(requests, pieces)
            order = [answer.index(b"\r\n\r\nhello"), answer.index(b"\r\n\r\nlate"), answer.index(b"\r\n\r\nabc"), answer.rindex(b"\r\n\r\nhello")]
            self.assertEqual(order, sorted(order))
            self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 4)

    def test_wrong_requests_are_answered_and_closed(self):
        h = b"Host: x\r\n"
        for data, status in [
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + h + h + b"\r\n", 400),
            (b"GET / HTTP/1.1\n" + h + b"\r\n", 400),
            (b"GET / HTTP/2.0\r\n" + h + b"\r\n", 505),
            (b"GET / HTTP/1.1\r\n" + h + b"A : b\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + h + b"A: b\r\n folded\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\n" + h + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\n" + h + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
            (b"POST / HTTP/1.1\r\n" + h + b"Content-Length: +1\r\n\r\na", 400),
            (b"POST / HTTP/1.1\r\n" + h + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
            (b"POST /body HTTP/1.1\r\n" + h + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + h + b"A: " + b"x" * 20_000 + b"\r\n\r\n", 431),
            (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n", 414),
            (b"\x16\x03\x01\x02\x00\x01", 400),
            (b"POST /body HTTP/1.1\r\n" + h + b"Content-Length: 99999999\r\n\r\n", 413),
        ]:
            with self.subTest(data[:60]):
                self.assertTrue(self.raw(data).startswith(b"HTTP/1.1 %d " % status), self.raw(data)[:80])

    def test_a_body_is_asked_for_with_100(self):
        with self.server.connect() as s:
            s.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
            self.assertEqual(read_exactly(s, 25), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(b"later")
            self.assertTrue(read_all(s).endswith(b"\r\n\r\nlater"))

    def test_http_1_0_is_answered_and_closed(self):
        self.assertTrue(self.raw(b"GET /hello HTTP/1.0\r\n\r\n").endswith(b"hello\n"))
        self.assertTrue(self.raw(b"GET /stream HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n" + b"".join(b"piece %d\n" % i for i in range(10))))

    def test_a_port_in_use_is_named(self):
        other = subprocess.run([PROGRAM, "--listen", self.server.address], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        self.assertEqual(other.returncode, 1)
        self.assertIn(f"cannot listen on {self.server.address}: address already in use; ", other.stderr.decode())


class OtherSockets(unittest.TestCase):
    def test_ipv6(self):
        async def go(server):
            async with websockets.connect(f"ws://[::1]:{server.port}/") as ws:
                await ws.send("six")
                self.assertEqual(await ws.recv(), "six")
        try:
            server = Server("--listen", "[::1]:0")
        except RuntimeError as e:
            self.skipTest(str(e))
        with server:
            run(go(server))

    def test_unix_socket(self):
        async def go(path):
            async with websockets.unix_connect(path) as ws:
                await ws.send("unix")
                self.assertEqual(await ws.recv(), "unix")
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/socket"
            with Server("--listen", "unix:" + path):
                run(go(path))
            self.assertFalse(os.path.exists(path))

    def test_silence_is_asked_about_and_then_ended(self):
        with Server("--ping", "60") as server:
            s, _ = server.upgraded()
            with s:
                self.assertEqual(read_frame(s), (0x89, b""))
                s.sendall(masked(0x8A, b""))
                self.assertEqual(read_frame(s), (0x89, b""))  # answered: asked again after the next silence
                first, payload = read_frame(s)                # not answered: ended
                self.assertEqual(first, 0x88)
                self.assertEqual(read_all(s), b"")

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = folder + "/cert.pem", folder + "/key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
            with Server("--cert", cert, "--key", key) as server:
                for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
                    context = ssl.create_default_context(cafile=cert)
                    context.minimum_version = context.maximum_version = version

                    async def go():
                        async with websockets.connect(server.url(scheme="wss"), ssl=context, compression=None, max_size=None) as ws:
                            for n in [0, 1, 200, 16_384, 70_000, 1 << 20]:
                                await ws.send(b"s" * n)
                                self.assertEqual(await ws.recv(), b"s" * n)
                            for i in range(200):
                                await ws.send(str(i))
                            for i in range(200):
                                self.assertEqual(await ws.recv(), str(i))
                    run(go())
                    c = http.client.HTTPSConnection(server.host, server.port, context=context, timeout=10)
                    for _ in range(2):
                        c.request("POST", "/body", body=b"b" * 200_000)
                        self.assertEqual(c.getresponse().read(), b"b" * 200_000)
                    c.close()
                with server.connect() as s:
                    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    try:
                        self.assertNotIn(b"HTTP/1.1", read_all(s))
                    except ConnectionResetError:
                        pass


if __name__ == "__main__":
    unittest.main()
