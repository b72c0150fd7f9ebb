"""Peers that are slow, silent, many or mad, against the real binary: a clear word or an answer in bounded time, bounded
memory, and the next client is served."""

import base64
import contextlib
import http.client
import imaplib
import itertools
import json
import os
import resource
import socket
import ssl
import threading
import time
import unittest

import lab
from test_attacks import Line

TLS = ("submissions", "imaps", "pop3s", "https")
SILENCE = 2
# How a ClientHello begins.
HELLO = [bytes([octet]) for octet in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60)]


def rss_mb(process):
    """Resident memory of the server, MB."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


class Abuse(unittest.TestCase):
    TOP, LIMITS, LISTEN = "message_bytes_max = 60000000", "", ""

    def setUp(self):
        self.open = contextlib.ExitStack()
        self.web = [lab.free_port(), lab.free_port()]
        server = lab.Server(extra=f"[limits]\n{self.LIMITS}\n", top=self.TOP, accounts=["ann", "bob"])
        with open(server.config, encoding="utf-8") as f:
            text = f.read()
        listen = f'[listen]\nhttp = ["127.0.0.1:{self.web[0]}"]\nhttps = ["127.0.0.1:{self.web[1]}"]\n{self.LISTEN}'
        self.unix = os.path.join(server.dir, "lmtp.socket")
        with open(server.config, "w", encoding="utf-8") as f:
            f.write(text.replace("[listen]\n", listen).replace('lmtp = ["127.0.0.1:0"]', f'lmtp = ["127.0.0.1:0", "unix:{self.unix}"]'))
        self.server = self.open.enter_context(server.start())
        self.server.ports.update(http=self.web[0], https=self.web[1], proxied=self.server.ports["smtp"])

    def tearDown(self):
        self.open.close()

    def plug(self, service, tls=False, source=None, room=None):
        """A connection; `room`: octets of its receive buffer. `proxied` comes from the address that speaks for others."""
        s = socket.socket(socket.AF_UNIX if service == "unix" else socket.AF_INET)
        self.open.callback(s.close)
        s.settimeout(30)
        if room:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        if source or service == "proxied":
            s.bind((source or "127.0.0.2", 0))
        s.connect(self.unix if service == "unix" else ("127.0.0.1", self.server.ports[service]))
        if tls:
            s = ssl.create_default_context(cafile=lab.certificate()[0]).wrap_socket(s, server_hostname="localhost")
            self.open.callback(s.close)
        return s

    def served(self):
        """The next client, of every kind."""
        for service, hello, word in (("smtp", "EHLO next.test", "250"), ("submission", "EHLO next.test", "250"), ("lmtp", "LHLO next.test", "250")):
            line = Line(self.server.ports[service], hello)
            self.assertTrue(line.hello.startswith(word), (service, line.hello))
            self.assertTrue(line.say("QUIT").startswith("221"))
            line.close()
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        c.login("ann", self.server.password)
        self.assertEqual(c.select("INBOX")[0], "OK")
        c.logout()
        s = self.plug("pop3")
        self.assertTrue(s.recv(100).startswith(b"+OK"))
        s.close()
        c = http.client.HTTPConnection("127.0.0.1", self.web[0], timeout=30)
        c.request("GET", "/api/me")
        self.assertEqual(c.getresponse().status, 401)
        c.close()

    def also_on(self, service):
        """An address of ours that is not loopback, where the service listens too."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # Nothing is sent: it only asks which address of ours would be used.
            probe.connect(("203.0.113.1", 9))
            ours = probe.getsockname()[0]
        port = lab.free_port()
        self.server.stop()
        with open(self.server.config, encoding="utf-8") as f:
            text = f.read()
        with open(self.server.config, "w", encoding="utf-8") as f:
            f.write(text.replace(f'{service} = ["127.0.0.1:0"]', f'{service} = ["127.0.0.1:0", "{ours}:{port}"]', 1))
        self.server.start()
        return ours, port

    def until_closed(self, s, seconds, trickle=None):
        """What is said until the server closes, and when it did; each half second it hears `trickle`, or the next of a list."""
        trickle = iter(trickle) if isinstance(trickle, list) else trickle and itertools.repeat(trickle)
        begun, said = time.monotonic(), b""
        # Not `select`: under TLS there are octets for it (tickets) that are none for us, and some that it does not see.
        s.settimeout(0.5)
        while time.monotonic() - begun < seconds:
            try:
                try:
                    piece = s.recv(65536)
                    if not piece:
                        return said, time.monotonic() - begun
                    said += piece
                except TimeoutError:
                    if trickle:
                        s.sendall(next(trickle))
            except OSError:
                return said, time.monotonic() - begun
        raise AssertionError(f"still open after {seconds} s; it said {said[-200:]!r}")


class Slow(Abuse):
    LISTEN = 'proxy_from = ["127.0.0.2"]\n'
    LIMITS = f"silence_secs = {SILENCE}\nsign_in_secs = {SILENCE}\nhandshake_secs = {SILENCE}\nbytes_per_sec_min = 100"

    def talk(self, s, *words):
        """To each word an answer, but for the last: it may be the beginning of something."""
        for n, word in enumerate(words, 1):
            s.sendall(word)
            time.sleep(0.05)
            s.settimeout(30 if n < len(words) else 0.2)
            with contextlib.suppress(TimeoutError):
                s.recv(65536)
        s.settimeout(30)

    def states(self):
        """(listener, TLS, what is said first, what then comes octet by octet, the last words)."""
        hello = (b"EHLO c.test\r\n",)
        mail = (*hello, b"MAIL FROM:<x@out.test>\r\n", b"RCPT TO:<bob@here.test>\r\n")
        lhlo = (b"LHLO c.test\r\n", *mail[1:])
        whole = (b"LHLO c.test\r\n", mail[1], b"RCPT TO:<ann@here.test>\r\n", b"DATA\r\n", b"Subject: whole\r\n\r\nx\r\n.\r\n")
        handed = (*hello, b"AUTH PLAIN " + base64.b64encode(b"\0ann@here.test\0correct horse") + b"\r\n", mail[1].replace(b"x@out", b"ann@here"), mail[2])
        signed = (b'a LOGIN ann "correct horse"\r\n',)
        popped = (b"USER ann\r\n", b"PASS correct horse\r\n")
        bye, gone, shut = b"421 4.4.2 ", b"* BYE ", b""
        # Before a handshake there are no words; POP3 has none either (RFC 1939 §3).
        yield from ((service, False, (), None, shut) for service in TLS)
        yield from ((service, False, (), HELLO, shut) for service in TLS)
        yield from ((service, True, (), None, {"submissions": bye, "imaps": gone}.get(service, shut)) for service in TLS)
        for service, first, octets in (
            ("smtp", (), None), ("smtp", hello, b"N"), ("smtp", mail[:2], None), ("smtp", mail, b"B"), ("submission", (), None),
            ("smtp", (*mail, b"DATA\r\n"), None), ("smtp", (*mail, b"DATA\r\n"), b"x"), ("smtp", (*mail, b"DATA\r\n"), b"x\r\n"),
            ("smtp", (*mail, b"BDAT 1000\r\n"), None), ("smtp", (*mail, b"BDAT 1000 LAST\r\n"), b"x"), ("smtp", (*mail, b"BDAT 9\r\nSubject: ", b"BDAT 9\r\n"), b"x"),
            ("submission", (*hello, b"AUTH PLAIN\r\n"), None), ("submission", (*hello, b"AUTH LOGIN\r\n"), b"A"), ("submission", handed[:2], None),
            ("submission", (*handed, b"DATA\r\n"), None), ("submission", (*handed, b"DATA\r\n"), b"x"), ("submission", (*handed, b"BDAT 1000 LAST\r\n"), b"x"),
            ("submissions", hello, b"N"), ("submissions", (*handed, b"DATA\r\n"), b"x"), ("submissions", (*handed, b"BDAT 1000\r\n"), None),
            ("lmtp", (), None), ("lmtp", (), b"L"), ("lmtp", lhlo[:1], None), ("lmtp", whole, None), ("lmtp", whole, b"M"),
            ("lmtp", (*lhlo, b"DATA\r\n"), None), ("lmtp", (*lhlo, b"DATA\r\n"), b"x"), ("lmtp", (*lhlo, b"BDAT 1000 LAST\r\n"), b"x"),
            ("unix", (), None), ("unix", lhlo[:1], b"M"), ("unix", (*lhlo, b"DATA\r\n"), b"x"),
        ):
            yield service, service == "submissions", first, octets, bye
        for service, first, octets in (
            ("imap", (), None), ("imap", (), b"a"), ("imap", (b"a AUTHENTICATE PLAIN\r\n",), b"A"), ("imap", (b"a AUTHENTICATE PLAIN\r\n",), None),
            ("imap", (b"a AUTHENTICATE SCRAM-SHA-256 biwsbj1hbm4scj1hYmNkZWZnaGlq\r\n",), None), ("imap", (b"a LOGIN {100}\r\n",), b"a"),
            ("imap", (b"a LOGIN {100}\r\n",), None), ("imap", (b"a LOGIN {3+}\r\nann {100+}\r\n",), b"x"), ("imap", signed, None), ("imap", signed, b"x"),
            ("imap", (*signed, b"b SELECT INBOX\r\n"), None), ("imap", (*signed, b"b IDLE\r\n"), None), ("imap", (*signed, b"b IDLE\r\n"), b"D"),
            ("imap", (*signed, b"b SELECT INBOX\r\n", b"c IDLE\r\n"), None), ("imap", (*signed, b"b APPEND INBOX {9999}\r\n"), b"x"),
            ("imap", (*signed, b"b APPEND INBOX {9999}\r\n"), None), ("imap", (*signed, b"b APPEND INBOX (\\Seen) ~{9999+}\r\n"), b"x"),
            ("imap", (*signed, b"b CREATE {999}\r\n"), b"x"), ("imap", (*signed, b"b SELECT INBOX\r\n", b"c SEARCH SUBJECT {99}\r\n"), b"x"), ("imaps", signed, b"x"),
        ):
            yield service, service == "imaps", first, octets, gone
        squeezed = (*signed, b"b COMPRESS DEFLATE\r\n")
        yield from (
            ("imap", False, squeezed, None, shut), ("imap", False, squeezed, b"\x00", shut), ("smtp", False, (*hello, b"STARTTLS\r\n"), None, shut),
            ("imap", False, (b"a STARTTLS\r\n",), None, shut), ("imap", False, (b"a STARTTLS\r\n",), HELLO, shut), ("pop3", False, (b"STLS\r\n",), None, shut),
            ("pop3", False, (), None, shut), ("pop3", False, (), b"U", shut), ("pop3", False, popped[:1], None, shut), ("pop3", False, (b"AUTH PLAIN\r\n",), None, shut),
            ("pop3", False, (b"AUTH PLAIN\r\n",), b"A", shut), ("pop3", False, popped, None, shut), ("pop3", False, popped, b"R", shut), ("pop3s", True, popped, None, shut),
            ("proxied", False, (), None, shut), ("proxied", False, (), b"P", shut), ("proxied", False, (b"PROXY TCP4 192.0.2.7 192.0.2.8 4242 25\r\n",), b"N", bye),
        )
        yield from self.states_of_http()

    def states_of_http(self):
        late, shut = b"HTTP/1.1 408 ", b""
        host = b"Host: localhost\r\n"
        basic = host + b"Authorization: Basic " + base64.b64encode(b"ann@here.test:correct horse") + b"\r\n"
        whole = b"GET /api/me HTTP/1.1\r\n" + host + b"\r\n"
        body = b"Content-Length: 1000\r\n\r\n"
        chunked = b"Transfer-Encoding: chunked\r\n\r\n"
        upgrade = (b"GET /jmap/ws HTTP/1.1\r\n" + basic + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   b"Sec-WebSocket-Protocol: jmap\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
        json, post = b"Content-Type: application/json\r\n", b"POST /jmap/api HTTP/1.1\r\n"
        # A masked text frame of 100 octets, its key 0; one whole but not the last of its message.
        half, part = b"\x81\xe4\0\0\0\0", b"\x01\x81\0\0\0\0{"
        for service in ("http", "https"):
            for first, octets, words in (
                ((), None, shut), ((), b"G", late), ((b"GET / HTTP/1.1\r\n",), None, late), ((b"GET / HTTP/1.1\r\n" + host + b"X: "), b"x", late),
                ((b"GET / HTTP/1.1\r\n" + host), b"X: y\r\n", late), ((whole,), None, shut), ((whole, whole), b"G", late),
                ((b"POST / HTTP/1.1\r\n" + host + body), b"x", late), ((post + basic + json + body), b" ", late), ((post + basic + json + body), None, late),
                ((post + basic + json + chunked), b"1\r\n \r\n", late), ((post + basic + json + chunked), b"0", late),
                ((b"POST /jmap/upload/%s/ HTTP/1.1\r\n" % self.account_id() + basic + body), b"x", late),
                ((b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\n" + host + body), b"x", late),
                ((b"POST /jmap/api HTTP/1.1\r\n" + host + body), b"x", b"HTTP/1.1 401 "),
                ((upgrade,), None, shut), ((upgrade, half), None, shut), ((upgrade, half), b"x", shut), ((upgrade, part), None, shut), ((upgrade,), b"\x01", shut),
            ):
                yield service, service == "https", (first,) if isinstance(first, bytes) else first, octets, words

    def account_id(self):
        c = http.client.HTTPConnection("127.0.0.1", self.web[0], timeout=30)
        c.request("GET", "/jmap/session", headers={"Authorization": "Basic " + base64.b64encode(b"ann@here.test:correct horse").decode()})
        found = json.load(c.getresponse())["primaryAccounts"]["urn:ietf:params:jmap:mail"]
        c.close()
        return found.encode()

    def test_silence_and_trickling_in_every_state_of_every_listener(self):
        cases, wrong = list(self.states()), []

        def suffer(service, tls, words, trickle, last):
            try:
                s = self.plug(service, tls)
                # Who comes for somebody else is greeted when it is said for whom; who speaks HTTP, never.
                if (service not in TLS or tls) and not service.startswith(("http", "proxied")):
                    s.recv(65536)
                self.talk(s, *words)
                # A WebSocket is asked three times whether it lives; a proxy has a time of its own.
                long = service == "proxied" or any(b"Upgrade" in word for word in words)
                said, seconds = self.until_closed(s, (12 if long else 6) * SILENCE, trickle)
                is_last = last in said and said.index(last) == said.rindex(last) if last else b" 408 " not in said
                if seconds < SILENCE - 1 or not is_last:
                    wrong.append((service, tls, words, trickle, last, seconds, said))
            except Exception as error:  # noqa: BLE001: told below
                wrong.append((service, tls, words, trickle, error))

        threads = [threading.Thread(target=suffer, args=case) for case in cases]
        for thread in threads:
            thread.start()
        self.served()
        for thread in threads:
            thread.join(60)
        for one in wrong:
            print("\n", one, flush=True)
        self.assertEqual(len(wrong), 0, f"of {len(cases)} states")
        self.assertGreater(len(cases), 100)
        self.served()
        self.assertEqual(self.inbox_count(), 0, "nothing of all that was mail")

    def inbox_count(self):
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        c.login("bob", self.server.password)
        count = int(c.select("INBOX")[1][0])
        c.logout()
        return count

    def test_slow_but_fast_enough_is_borne(self):
        line = Line(self.server.ports["smtp"])
        self.assertEqual(line.codes("MAIL FROM:<x@out.test>", "RCPT TO:<bob@here.test>", "DATA"), ["250", "250", "354"])
        for _ in range(2 * SILENCE * 2):
            line.socket.sendall(b"some hundred octets a second are enough, even if it takes twice as long.\r\n")
            time.sleep(0.5)
        self.assertRegex(line.raw(b".\r\n"), "^250 ")
        line.close()


class Many(Abuse):
    COUNT = 10_000
    LIMITS = f"connections = {COUNT + 200}\nsign_in_secs = 600"

    def test_ten_thousand_that_never_speak(self):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.COUNT + 1_000
        if before[0] < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, before[1])))
        self.open.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        self.served()
        base = rss_mb(self.server.process)
        services = ("smtp", "imap", "pop3", "submissions", "imaps")
        begun = time.monotonic()
        for n in range(self.COUNT):
            self.plug(services[n % len(services)], source=f"127.0.{n % 40}.{1 + n // 40 % 250}")
        seconds = time.monotonic() - begun
        # Connected is what waits in the kernel, too, for its listener's turn.
        lab.wait_for("all to be taken in", lambda: len(os.listdir(f"/proc/{self.server.process.pid}/fd")) > self.COUNT)
        self.served()
        grown = rss_mb(self.server.process) - base
        print(f"\n{self.COUNT} silent connections in {seconds:.1f} s: {base:.1f} MB before, {grown:.1f} MB more, "
              f"{grown * 1024 / self.COUNT:.1f} KB each", flush=True)
        self.assertLess(grown * 1024 / self.COUNT, 16, "KB each")
        # Past the limit there is a clear word, and as soon as some are gone the next is served.
        more = [self.plug("smtp") for _ in range(220)]
        words = [s.recv(200) for s in more]
        self.assertIn(b"421 4.7.0 Too many connections", words[-1])
        self.assertTrue(words[0].startswith(b"220 "))
        for s in more:
            s.close()
        lab.wait_for("a place", lambda: self.plug("smtp").recv(200).startswith(b"220 "))
        self.served()


class Elsewhere(Abuse):
    """Peers that do not come from loopback, which has privileges."""

    LIMITS = "connections_per_ip = 5"

    def test_guessing_gets_slow_where_it_comes_from_and_nowhere_else(self):
        ours, port = self.also_on("imaps")
        context = ssl.create_default_context(cafile=lab.certificate()[0])
        context.check_hostname = False

        def attempt(login, password):
            c = imaplib.IMAP4_SSL(ours, port, ssl_context=context)
            begun = time.monotonic()
            try:
                c.login(login, password)
                return time.monotonic() - begun, True
            except imaplib.IMAP4.error as error:
                self.assertIn("AUTHENTICATIONFAILED", str(error))
                return time.monotonic() - begun, False
            finally:
                c.shutdown()

        # A new connection each time changes nothing.
        waits = [attempt("ann", f"guess {n}")[0] for n in range(4)]
        for wait, least in zip(waits, (0, 0, 1, 2)):
            self.assertTrue(least <= wait < least + 8, waits)
        others = threading.Thread(target=attempt, args=("ann", "one more"))
        others.start()
        begun = time.monotonic()
        self.served()
        self.assertLess(time.monotonic() - begun, 8, "the owner, from another network, does not wait")
        self.assertLess(attempt("bob", self.server.password)[0], 4, "another login, from the same network, neither")
        # No ban: who waits gets in with the right password, and has nothing to wait for afterwards.
        others.join()
        wait, is_in = attempt("ann", self.server.password)
        self.assertTrue(is_in and wait > 1, wait)
        self.assertLess(attempt("ann", self.server.password)[0], 4)

    def test_one_address_has_its_share_and_loopback_all(self):
        ours, port = self.also_on("smtp")
        said = []
        for _ in range(7):
            s = socket.create_connection((ours, port), timeout=30)
            self.open.callback(s.close)
            said.append(s.recv(200)[:3])
        self.assertEqual(said, [b"220"] * 5 + [b"421"] * 2)
        self.served()


class Mad(Abuse):
    def test_garbage_plain_words_and_half_handshakes_on_tls_ports(self):
        garbage = [b"EHLO c.test\r\n", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 64, b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x16\x03\x01\x00\x05\x01\x00\x00",
                   b"\x80\x2e\x01\x00\x02", b"\x15\x03\x01\x00\x02\x02\x28"]
        context = ssl.create_default_context(cafile=lab.certificate()[0])
        for service in TLS:
            for octets in garbage:
                s = self.plug(service)
                s.sendall(octets)
                if octets[:1] != b"\x16" and len(octets) > 40:
                    self.until_closed(s, 20)
                s.close()
            # The ClientHello and no more; the first half of it; a whole handshake and then plain words.
            for part in (1.0, 0.5):
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                half = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
                with contextlib.suppress(ssl.SSLWantReadError):
                    half.do_handshake()
                hello = outgoing.read()
                s = self.plug(service)
                s.sendall(hello[: int(len(hello) * part)])
                s.close()
            s = self.plug(service, tls=True)
            raw = socket.socket(fileno=os.dup(s.fileno()))
            raw.sendall(b"NOOP\r\n" * 100)
            self.until_closed(s, 20)
            raw.close()
        # The same behind STARTTLS.
        for service, words in (("smtp", b"EHLO c\r\nSTARTTLS\r\n"), ("imap", b"a STARTTLS\r\n"), ("pop3", b"STLS\r\n")):
            for octets in garbage[:4]:
                s = self.plug(service)
                s.recv(4096)
                for word in words.splitlines(True):
                    s.sendall(word)
                    s.recv(4096)
                s.sendall(octets)
                s.close()
        self.served()
        # Renegotiation is not there to be had: rustls refuses it, and so does TLS 1.3.
        self.assertNotIn("panicked", self.server.log_text())

    def test_a_large_body_for_the_web_gets_its_answer(self):
        for size, word in ((1000, b"405"), (300_000, b"405"), (5_000_000, b"413")):
            s = socket.create_connection(("127.0.0.1", self.web[0]), timeout=30)
            s.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            self.assertIn(word, s.recv(4096).split(b"\r\n")[0], size)
            s.close()
        self.served()

    def test_oversize_lines_literals_and_nesting(self):
        imap = self.plug("imap")
        imap.recv(4096)
        imap.sendall(b'a LOGIN ann "correct horse"\r\n')
        imap.recv(4096)
        for said, word in (
            (b"b NOOP " + b"x" * 100_000 + b"\r\n", b"BAD"), (b"c CREATE {100000}\r\n", b"c NO"), (b"d CREATE {100000+}\r\n" + b"x" * 100_000 + b"\r\n", b"d NO"),
            (b"e SEARCH " + b"(" * 60_000 + b"\r\n", b"BAD"), (b"f SEARCH " + b"NOT " * 15_000 + b"ALL\r\n", b"f BAD"), (b"g FETCH " + b"1," * 30_000 + b"1 FLAGS\r\n", b"g BAD"),
            (b"h APPEND INBOX {99999999999}\r\n", b"h NO"), (b"i LIST \"\" \"" + b"*%" * 30_000 + b"\"\r\n", b"i "), (b"j NOOP\r\n", b"j OK"),
        ):
            imap.sendall(said)
            got = b""
            while word not in got:
                piece = imap.recv(65536)
                self.assertTrue(piece, (said[:30], got[-200:]))
                got += piece
        self.served()


def nested(levels):
    """Multiparts in multiparts."""
    head = b"Subject: nested\r\nMIME-Version: 1.0\r\n"
    for n in range(levels):
        head += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
    return head + b"\r\nin the middle\r\n"


def forwarded(levels):
    return b"Subject: forwarded\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * levels + b"\r\nx\r\n"


def mad_messages():
    many = b"Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    lines = lambda piece, octets: b"".join(b" " + piece * (70 // len(piece)) + b"\r\n" for _ in range(octets // 72))  # noqa: E731
    head = b"From: a@b.test\r\nMIME-Version: 1.0\r\n"
    yield "1,000 levels", nested(1_000)
    yield "5,000 forwarded", forwarded(5_000)
    yield "a million parts", many + b"--b\r\n\r\n" * 1_000_000
    yield "half-closed parts", many + b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n" * 100_000
    yield "encoded words", head + b"Subject: x\r\n" + lines(b"=?", 2_000_000) + b"\r\nx\r\n"
    yield "good encoded words", head + b"Subject: x\r\n" + lines(b"=?utf-8?q?=41?= ", 2_000_000) + b"\r\nx\r\n"
    yield "comments", head + b"To: x\r\n" + lines(b"(", 2_000_000) + b"Date: (\r\n" + lines(b"(", 100_000) + b"\r\nx\r\n"
    yield "addresses", head + b"To: x@y\r\n" + lines(b",a@b", 2_000_000) + b"\r\nx\r\n"
    yield "groups", head + b"Cc: x\r\n" + lines(b"a:;,", 1_000_000) + b"\r\nx\r\n"
    yield "quotes", head + b'To: "\r\n' + lines(b'\\"', 1_000_000) + b"\r\nx\r\n"
    yield "parameters", head + b"Content-Type: text/plain\r\n" + b"".join(b" ;a*%d*=%%41\r\n" % n for n in range(150_000)) + b"\r\nx\r\n"
    yield "references", head + b"References: <a@b>\r\n" + lines(b"<a@b> ", 2_000_000) + b"\r\nx\r\n"
    yield "ten megabytes of header", head + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 900) for n in range(11_000)) + b"\r\nx\r\n"
    yield "one field of ten megabytes", head + b"X-Long: x\r\n" + lines(b"z", 10_000_000) + b"\r\nx\r\n"
    yield "no header end", b"a: b\r\n" * 500_000


class Bombs(Abuse):
    def test_messages_made_to_hurt(self):
        """By SMTP, then all that IMAP can be asked about them: an answer or a clear no, in bounded time and memory."""
        self.served()
        base, slowest, taken = rss_mb(self.server.process), (0, ""), []
        for name, octets in mad_messages():
            with self.subTest(name):
                line = Line(self.server.ports["smtp"])
                line.socket.settimeout(60)
                self.assertEqual(line.codes("MAIL FROM:<x@out.test>", "RCPT TO:<ann@here.test>", "DATA"), ["250", "250", "354"])
                begun = time.monotonic()
                answer = line.raw(octets + b"\r\n.\r\n")
                slowest = max(slowest, (time.monotonic() - begun, f"SMTP {name}"))
                self.assertRegex(answer, "^(250 2|55[0-9] 5)")
                taken += [name] if answer.startswith("250") else []
                self.assertRegex(line.say("NOOP"), "^250 ")
                line.close()
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"], timeout=60)
        c.login("ann", self.server.password)
        self.assertEqual(int(c.select("INBOX")[1][0]), len(taken))
        for number, name in enumerate(taken, 1):
            for item in ("ENVELOPE", "BODYSTRUCTURE", "BODY", "BODY.PEEK[TEXT]<0.1000>", "BODY.PEEK[1.1.1]", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "BODY.PEEK[1.MIME]"):
                with self.subTest(name=name, item=item):
                    begun = time.monotonic()
                    kind, _ = c.fetch(str(number), f"({item})")
                    slowest = max(slowest, (time.monotonic() - begun, f"{item} {name}"))
                    self.assertIn(kind, ("OK", "NO"))
        for key in (b"SUBJECT zzz", b"BODY zzz", b"TEXT zzz", b"TO zzz", b"HEADER X-1 zzz"):
            begun = time.monotonic()
            kind, _ = c.search(None, *key.decode().split())
            slowest = max(slowest, (time.monotonic() - begun, f"SEARCH {key.decode()}"))
            self.assertEqual(kind, "OK")
        c.logout()
        self.served()
        grown = rss_mb(self.server.process) - base
        print(f"\n{len(taken)} mad messages taken, slowest {slowest[0]:.1f} s ({slowest[1]}), {grown:.0f} MB more", flush=True)
        self.assertLess(slowest[0], 20)
        self.assertLess(grown, 250)
        self.assertNotIn("panicked", self.server.log_text())


if __name__ == "__main__":
    unittest.main()
