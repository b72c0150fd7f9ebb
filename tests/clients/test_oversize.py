"""Lines, literals, heads, frames and lists far past every limit, in each state of each listener, against the real binary: a clear
word or the end, in bounded time and memory, and the next client is served."""

import base64
import json
import struct
import threading
import time
import unittest
import zlib

from test_abuse import Abuse, rss_mb
from test_attacks import Line

PASSWORD = b"correct horse"
SIGNED = b'a LOGIN ann "correct horse"\r\n'
LONG = b"x" * 1_000_000
HOST = b"Host: localhost\r\n"
BASIC = b"Authorization: Basic " + base64.b64encode(b"ann@here.test:" + PASSWORD) + b"\r\n"
POST = b"POST /jmap/api HTTP/1.1\r\n" + HOST + BASIC + b"Content-Type: application/json\r\n"
UPGRADE = (b"GET /jmap/ws HTTP/1.1\r\n" + HOST + BASIC + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Protocol: jmap\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")


def frame(first, octets, announced=None):
    """A masked frame (RFC 6455 §5.2), its key 0; `announced`: as long as it says it is."""
    return bytes([first, 0x80 | 127]) + struct.pack(">Q", len(octets) if announced is None else announced) + bytes(4) + octets


def squeezed(octets):
    """For COMPRESS DEFLATE (RFC 4978): flushed, not ended."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(octets) + packer.flush(zlib.Z_SYNC_FLUSH)


class Oversize(Abuse):
    LIMITS = "silence_secs = 10\nsign_in_secs = 10"

    def cases(self):
        """(listener, TLS, words in turn with an answer to each but the last, any of what is said then; None: only the end)."""
        hello, lhlo = b"EHLO c.test\r\n", b"LHLO c.test\r\n"
        mail = (b"MAIL FROM:<x@out.test>\r\n", b"RCPT TO:<bob@here.test>\r\n")
        for service, greet in (("smtp", hello), ("submission", hello), ("lmtp", lhlo), ("unix", lhlo), ("submissions", hello)):
            tls = service == "submissions"
            yield service, tls, (LONG + b"\r\n",), (b"500 ", b"421 ")
            yield service, tls, (greet, b"NOOP " + LONG + b"\r\n"), (b"500 ", b"421 ")
            yield service, tls, (greet, LONG * 20), (b"500 ", b"421 ")
            yield service, tls, (greet, mail[0], b"RCPT TO:<" + LONG + b"@here.test>\r\n"), (b"500 ", b"421 ", b"530 ")
            yield service, tls, (greet, b"MAIL FROM:<x@out.test> SIZE=" + b"9" * 100_000 + b"\r\n"), (b"500 ", b"501 ", b"530 ", b"552 ")
        yield "smtp", False, (hello, *mail, b"BDAT 99999999999999999999999\r\n"), (b"501 ", b"500 ", b"552 ")
        yield "submission", False, (hello, b"AUTH PLAIN " + LONG + b"\r\n"), (b"500 ", b"501 ", b"421 ")
        yield "submission", False, (hello, b"AUTH PLAIN\r\n", LONG + b"\r\n"), (b"500 ", b"501 ", b"421 ")
        yield "submission", False, (hello, b"AUTH LOGIN\r\n", b"YW5u\r\n", LONG + b"\r\n"), (b"500 ", b"501 ", b"421 ", b"535 ")
        # POP3, before and after sign-in.
        user, word = b"USER ann\r\n", b"PASS correct horse\r\n"
        for service in ("pop3", "pop3s"):
            for words in ((LONG + b"\r\n",), (user, b"PASS " + LONG + b"\r\n"), (b"AUTH PLAIN\r\n", LONG + b"\r\n"), (user, word, b"RETR " + b"1" * 100_000 + b"\r\n"),
                          (user, word, LONG * 20), (b"APOP ann " + LONG + b"\r\n",)):
                yield service, service == "pop3s", words, (b"-ERR", None)
        yield from self.cases_of_imap()
        yield from self.cases_of_http()

    def cases_of_imap(self):
        no = (b" BAD ", b" NO ", b"* BYE ")
        idle = (SIGNED, b"b SELECT INBOX\r\n", b"c IDLE\r\n")
        for words in (
            (LONG + b"\r\n",), (b"a LOGIN " + LONG + b"\r\n",), (b"a LOGIN {1000000}\r\n",), (b"a LOGIN {1000000+}\r\n" + LONG,), (b"a LOGIN {3+}\r\nann {99999999999999999999}\r\n",),
            (b"a AUTHENTICATE PLAIN\r\n", LONG + b"\r\n"), (b"a AUTHENTICATE PLAIN " + LONG + b"\r\n",), (LONG * 20,), (b"a" * 5000 + b" NOOP\r\n",),
            (SIGNED, LONG * 20), (*idle, LONG + b"\r\n"), (*idle, LONG * 20), (SIGNED, b"b APPEND INBOX {9999999999999}\r\n"), (SIGNED, b"b APPEND INBOX {99999999+}\r\n" + LONG * 2),
            (SIGNED, b"b APPEND INBOX (" + b"k" * 900_000 + b") {3}\r\n"), (SIGNED, b"b APPEND INBOX {3}\r\n", b"abc" + LONG * 3), (SIGNED, b"b ID (" + b'"a" "b" ' * 60_000 + b")\r\n"),
            (SIGNED, b"b LIST (" + b"(" * 60_000 + b"\r\n"), (SIGNED, b"b SELECT INBOX\r\n", b"c UID STORE 1 FLAGS (" + b"k " * 30_000 + b")\r\n"),
            (SIGNED, b'b SETMETADATA "" (/private/x {99999999}\r\n'), (SIGNED, b"b GETQUOTAROOT {999999999+}\r\n" + LONG),
        ):
            yield "imap", False, words, no
        # COMPRESS: a hundred megabytes that come as a tenth of one.
        press = (SIGNED, b"b COMPRESS DEFLATE\r\n")
        bomb = squeezed(b"c NOOP " + b"x" * 100_000_000 + b"\r\n")
        self.assertLess(len(bomb), 200_000)
        yield "imap", False, (*press, bomb), (None,)
        yield "imap", False, (*press, squeezed(b"c APPEND INBOX {99999999+}\r\n" + bytes(90_000_000))), (None,)
        yield "imap", False, (*press, b"\xff" * 100_000), (None,)

    def cases_of_http(self):
        no = (b"HTTP/1.1 4", None)
        deep = b'{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"x":' + b"[" * 200_000 + b"]" * 200_000 + b'},"0"]]}'
        many = json.dumps({"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {}, "0"]] * 100_000}).encode()
        filters = b'{"operator":"NOT","conditions":[' * 100_000
        query = b'{"using":["urn:ietf:params:jmap:core","urn:ietf:params:jmap:mail"],"methodCalls":[["Email/query",{"accountId":"A1","filter":' + filters
        whole = lambda body: POST + b"Content-Length: %d\r\n\r\n" % len(body) + body  # noqa: E731
        for service in ("http", "https"):
            for said in (
                b"GET /" + LONG + b" HTTP/1.1\r\n" + HOST + b"\r\n", LONG * 3, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + LONG + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\n", b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 150 + b"\r\n",
                POST + b"Content-Length: 99999999999999999999999\r\n\r\n", POST + b"Content-Length: 9223372036854775807\r\n\r\n" + LONG, POST + b"Content-Length: -1\r\n\r\n",
                POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + LONG + b"\r\n \r\n",
                whole(deep), whole(many), whole(query), whole(b"[" * 9_000_000),
                POST + b"Content-Length: 20000000\r\n\r\n" + LONG * 20, b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: " + b"a=b; " * 20_000 + b"\r\n\r\n",
            ):
                yield service, service == "https", (said,), no
            for octets in (
                frame(0x81, b"x", announced=2**63 - 1), frame(0x81, b"x", announced=2**64 - 1), frame(0x81, LONG * 20), frame(0x01, LONG) + frame(0x00, LONG) * 40,
                frame(0x89, LONG), frame(0xC1, b"{}"), frame(0x82, LONG * 2), b"\x81\x05hello", frame(0x83, b"x"), frame(0x81, b"\xff\xfe"), frame(0x80, b"x"),
            ):
                yield service, service == "https", (UPGRADE, octets), (b'"urn:ietf:params:jmap:error:', b"\x88", None)

    def one(self, service, tls, words, wanted):
        s = self.plug(service, tls)
        s.settimeout(30)
        if not service.startswith("http"):
            s.recv(65536)
        for word in words[:-1]:
            s.sendall(word)
            s.recv(65536)
        if tls:
            # One thread alone may use it: it does not hear while it speaks, and what was said may be lost with the connection.
            self.send(s, words[-1])
            wanted = (*wanted, None)
        else:
            threading.Thread(target=self.send, args=(s, words[-1]), daemon=True).start()
        said, begun = b"", time.monotonic()
        while not any(word is not None and word in said for word in wanted):
            left = 30 - (time.monotonic() - begun)
            s.settimeout(max(left, 0.1))
            try:
                piece = s.recv(65536)
            except TimeoutError:
                return f"neither a word nor the end after 30 s; it said {said[-100:]!r}"
            except OSError:
                piece = b""
            if not piece:
                return None if None in wanted else f"closed; it said {said[-100:]!r}"
            said += piece
        s.close()
        return None

    @staticmethod
    def send(s, octets):
        try:
            s.sendall(octets)
        except OSError:
            pass

    def test_far_past_every_limit_in_every_state(self):
        self.served()
        base, wrong, slowest, count = rss_mb(self.server.process), [], (0, None), 0
        most = base
        for service, tls, words, wanted in self.cases():
            begun = time.monotonic()
            try:
                why = self.one(service, tls, words, wanted)
            except OSError as error:
                why = repr(error)
            slowest = max(slowest, (time.monotonic() - begun, (service, words[-1][:60])))
            most = max(most, rss_mb(self.server.process))
            count += 1
            if why:
                wrong.append((service, tls, [word[:60] for word in words], why))
        for one in wrong:
            print("\n", one, flush=True)
        print(f"\n{count} things too large, slowest {slowest[0]:.1f} s {slowest[1]}, {most - base:.0f} MB more at most", flush=True)
        self.assertEqual(len(wrong), 0, f"of {count}")
        self.assertLess(most - base, 150)
        self.assertNotIn("panicked", self.server.log_text())
        self.served()

    def test_ten_thousand_recipients_by_lmtp_and_submission(self):
        flood = b"".join(b"RCPT TO:<bob+%d@here.test>\r\n" % n for n in range(10_000))
        for service, hello in (("lmtp", "LHLO c.test"), ("submission", "EHLO c.test")):
            line = Line(self.server.ports[service], hello)
            if service == "submission":
                self.assertRegex(line.sign_in(), "^235 ")
            line.say("MAIL FROM:<ann@here.test>")
            threading.Thread(target=self.send, args=(line.socket, flood), daemon=True).start()
            codes = [line.reply()[:3] for _ in range(10_000)]
            self.assertEqual((codes.count("250"), codes.count("452")), (1000, 9000), service)
            self.assertRegex(line.say("DATA"), "^354 ")
            # LMTP answers for each recipient that was taken (RFC 2033 §4.2).
            line.socket.sendall(b"Subject: many\r\n\r\nx\r\n.\r\n")
            answers = [line.reply()[:3] for _ in range(1000 if service == "lmtp" else 1)]
            self.assertEqual(set(answers), {"250"})
            self.assertRegex(line.say("QUIT"), "^221 ")
            line.close()
        self.served()


if __name__ == "__main__":
    unittest.main()
