"""Peers that ask for much and take nothing of it, against the real binary: let go in bounded time and in bounded memory,
and the next client is served meanwhile."""

import base64
import http.client
import json
import select
import socket
import ssl
import threading
import time

import lab
from test_abuse import SILENCE, Abuse, rss_mb
from test_attacks import Line

BASIC = b"Authorization: Basic " + base64.b64encode(b"ann@here.test:correct horse") + b"\r\n"
UPGRADE = (b"GET /jmap/ws HTTP/1.1\r\nHost: localhost\r\n" + BASIC + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Protocol: jmap\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
SIGNED = b'a LOGIN ann "correct horse"\r\nb SELECT INBOX\r\n'


def frame(text):
    """A masked text frame (RFC 6455 §5.2), its key 0."""
    return b"\x81" + bytes([0x80 | 127]) + len(text).to_bytes(8, "big") + bytes(4) + text


class Deaf(Abuse):
    LIMITS = f"silence_secs = {SILENCE}\nsign_in_secs = {SILENCE}\nhandshake_secs = {SILENCE}"
    MEGABYTES = 8

    def setUp(self):
        super().setUp()
        line = Line(self.server.ports["smtp"])
        self.assertEqual(line.codes("MAIL FROM:<x@out.test>", "RCPT TO:<ann@here.test>", "DATA"), ["250", "250", "354"])
        line.socket.settimeout(60)
        self.assertRegex(line.raw(b"Subject: much\r\n\r\n" + (b"x" * 76 + b"\r\n") * (self.MEGABYTES * 2**20 // 78) + b".\r\n"), "^250 ")
        line.close()
        self.account, self.blob = self.download_of("ann")

    def download_of(self, login):
        c = http.client.HTTPConnection("127.0.0.1", self.web[0], timeout=30)
        head = {"Authorization": "Basic " + base64.b64encode(f"{login}@here.test:correct horse".encode()).decode(), "Content-Type": "application/json"}
        c.request("GET", "/jmap/session", headers=head)
        account = json.load(c.getresponse())["primaryAccounts"]["urn:ietf:params:jmap:mail"]
        calls = [["Email/query", {"accountId": account}, "q"],
                 ["Email/get", {"accountId": account, "#ids": {"resultOf": "q", "name": "Email/query", "path": "/ids"}, "properties": ["blobId"]}, "g"]]
        c.request("POST", "/jmap/api", json.dumps({"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"], "methodCalls": calls}), head)
        answer = json.load(c.getresponse())
        c.close()
        return account, answer["methodResponses"][1][1]["list"][0]["blobId"]

    def is_held(self, s):
        """The server has its end open. With our window shut we hear of no end; the kernel knows who holds what."""
        if s.family == socket.AF_UNIX:
            hangs_up = select.poll()
            hangs_up.register(s, select.POLLHUP)
            return not any(event & select.POLLHUP for _, event in hangs_up.poll(0))
        try:
            theirs = f":{s.getpeername()[1]:04X} 0100007F:{s.getsockname()[1]:04X} "
        except OSError:
            return False
        with open("/proc/net/tcp", encoding="ascii") as f:
            return any(theirs in line and line.split()[9] != "0" for line in f)

    def ask(self, service, tls, *words):
        """Says it all, as far as it is taken; of what comes only the first of each answer but the last is read."""
        s = self.plug(service, tls, room=4096)
        if service.startswith("http"):
            lab.wait_for("it to be taken in", lambda: self.is_held(s))
        else:
            s.recv(4096)
        for n, word in enumerate(words, 1):
            if n == len(words):
                s.settimeout(SILENCE / 2)
            try:
                s.sendall(word)
                if n < len(words):
                    s.recv(4096)
            except (TimeoutError, ssl.SSLWantWriteError):
                break
        return s

    def wishes(self):
        """(listener, TLS, words): each asks for more than any buffer on the way holds."""
        core = json.dumps({"@type": "Request", "using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"x": "y" * 3_000_000}, "0"]]}).encode()
        download = f"GET /jmap/download/{self.account}/{self.blob}/x HTTP/1.1\r\nHost: localhost\r\n".encode() + BASIC + b"\r\n"
        for tls in (False, True):
            imap, pop, web = ("imaps", "pop3s", "https") if tls else ("imap", "pop3", "http")
            yield imap, tls, (SIGNED, b"c FETCH 1 BODY.PEEK[]\r\n")
            yield imap, tls, (SIGNED, b"c FETCH 1 (BODY.PEEK[] BODY.PEEK[TEXT] BODY.PEEK[]<0.4000000>)\r\n" * 50)
            yield imap, tls, (SIGNED, b"c FETCH 1 BODY.PEEK[]\r\nd IDLE\r\n")
            yield pop, tls, (b"USER ann\r\n", b"PASS correct horse\r\n", b"RETR 1\r\n")
            yield pop, tls, (b"USER bob\r\n", b"PASS correct horse\r\n", b"CAPA\r\n" * 200_000)
            yield web, tls, (download,)
            yield web, tls, (download * 100,)
            yield web, tls, (b"GET /api/me HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40_000,)
            yield web, tls, (UPGRADE, frame(core) * 8)
            yield web, tls, (UPGRADE, (b"\x89\xfd" + bytes(4) + b"p" * 125) * 100_000)
        yield "smtp", False, (b"EHLO c.test\r\n" * 100_000,)
        yield "submission", False, (b"EHLO c.test\r\n" * 100_000,)
        yield "lmtp", False, (b"LHLO c.test\r\n" * 100_000,)
        yield "unix", False, (b"LHLO c.test\r\n" * 100_000,)
        yield "imap", False, (b"a CAPABILITY\r\n" * 100_000,)
        yield "pop3", False, (b"CAPA\r\n" * 200_000,)

    def test_who_asks_for_much_and_reads_nothing_is_let_go(self):
        self.served()
        base = rss_mb(self.server.process)
        wishes, asked, wrong = list(self.wishes()), [], []

        def want(service, tls, words):
            try:
                asked.append((self.ask(service, tls, *words), service, tls, words))
            except Exception as error:  # noqa: BLE001: told below
                wrong.append((service, tls, words[-1][:60], error))

        threads = [threading.Thread(target=want, args=wish) for wish in wishes]
        for thread in threads:
            thread.start()
        self.served()
        for thread in threads:
            thread.join(60)
        grown = rss_mb(self.server.process) - base
        begun = time.monotonic()
        lab.wait_for("them to be let go", lambda: not any(self.is_held(s) for s, *_ in asked), 30)
        seconds = time.monotonic() - begun
        # What the kernel has is all that comes, and then the end: nobody got what he asked for.
        for s, service, tls, words in asked:
            octets, end = self.rest(s)
            if not end or octets > self.MEGABYTES * 2**20:
                wrong.append((service, tls, words[-1][:60], octets, end))
        for one in wrong:
            print("\n", one, flush=True)
        self.assertEqual(wrong, [])
        print(f"\n{len(wishes)} that read nothing: {grown:.0f} MB more while they wait, let go after {seconds:.1f} s", flush=True)
        self.assertLess(grown, 250)
        self.served()

    def rest(self, s):
        s.settimeout(5)
        octets = 0
        try:
            while piece := s.recv(1 << 20):
                octets += len(piece)
        except TimeoutError:
            return octets, False
        except OSError:
            pass
        return octets, True
