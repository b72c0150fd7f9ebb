"""Peers that are slow, silent, many or mad, against the real binary: a clear word or an answer in bounded time, bounded
memory, and the next client is served."""

import contextlib
import imaplib
import itertools
import os
import resource
import select
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
    TOP, LIMITS = "message_bytes_max = 60000000", ""

    def setUp(self):
        self.open = contextlib.ExitStack()
        self.web = [lab.free_port(), lab.free_port()]
        server = lab.Server(extra=f"[limits]\n{self.LIMITS}\n", top=self.TOP, accounts=["ann", "bob"])
        with open(server.config, encoding="utf-8") as f:
            text = f.read()
        listen = f'[listen]\nhttp = ["127.0.0.1:{self.web[0]}"]\nhttps = ["127.0.0.1:{self.web[1]}"]\n'
        with open(server.config, "w", encoding="utf-8") as f:
            f.write(text.replace("[listen]\n", listen))
        self.server = self.open.enter_context(server.start())

    def tearDown(self):
        self.open.close()

    def plug(self, service, tls=False, source=None):
        s = socket.socket()
        self.open.callback(s.close)
        s.settimeout(30)
        if source:
            s.bind((source, 0))
        s.connect(("127.0.0.1", self.server.ports[service]))
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

    def until_closed(self, s, seconds, trickle=None):
        """What is said until the server closes, and when it did; each half second it hears `trickle`, or the next of a list."""
        trickle = iter(trickle) if isinstance(trickle, list) else trickle and itertools.repeat(trickle)
        begun, said = time.monotonic(), b""
        while time.monotonic() - begun < seconds:
            try:
                # TLS may hold octets that select does not see.
                if (isinstance(s, ssl.SSLSocket) and s.pending()) or select.select([s], [], [], 0.5)[0]:
                    piece = s.recv(65536)
                    if not piece:
                        return said, time.monotonic() - begun
                    said += piece
                elif trickle:
                    s.sendall(next(trickle))
            except OSError:
                return said, time.monotonic() - begun
        raise AssertionError(f"still open after {seconds} s; it said {said[-200:]!r}")


class Slow(Abuse):
    LIMITS = f"silence_secs = {SILENCE}\nsign_in_secs = {SILENCE}\nhandshake_secs = {SILENCE}\nbytes_per_sec_min = 100"

    def talk(self, s, *words):
        for word in words:
            s.sendall(word)
            time.sleep(0.05)
            s.recv(65536)

    def test_silence_and_trickling_in_every_state_of_every_listener(self):
        hello = (b"EHLO c.test\r\n",)
        mail = (*hello, b"MAIL FROM:<x@out.test>\r\n", b"RCPT TO:<bob@here.test>\r\n")
        lhlo = (b"LHLO c.test\r\n", *mail[1:])
        signed = (b"a LOGIN ann {12+}\r\ncorrect horse\r\n".replace(b"{12+}\r\n", b'"').replace(b"horse", b'horse"'),)
        popped = (b"USER ann\r\n", b"PASS correct horse\r\n")
        # (listener, TLS, what is said first, what then comes octet by octet)
        cases = [(service, False, (), None) for service in ("smtp", "submission", "lmtp", "imap", "pop3", *TLS, "http")]
        cases += [(service, False, (), HELLO) for service in TLS]
        cases += [(service, True, (), None) for service in TLS]
        cases += [
            ("smtp", False, hello, b"N"), ("smtp", False, (b"EHLO c.test\r\n", b"STARTTLS\r\n"), None), ("smtp", False, mail[:2], None),
            ("smtp", False, (*mail, b"DATA\r\n"), None), ("smtp", False, (*mail, b"DATA\r\n"), b"x"), ("smtp", False, (*mail, b"DATA\r\n"), b"x\r\n"),
            ("smtp", False, mail, b"B"), ("lmtp", False, (*lhlo, b"DATA\r\n"), b"x"),
            ("submission", False, (*hello, b"AUTH PLAIN\r\n"), None), ("submission", False, (*hello, b"AUTH LOGIN\r\n"), b"A"),
            ("submissions", True, hello, b"N"), ("imap", False, (), b"a"), ("imap", False, (b"a STARTTLS\r\n",), None),
            ("imap", False, (b"a AUTHENTICATE PLAIN\r\n",), b"A"), ("imap", False, (b"a LOGIN {100}\r\n",), b"a"), ("imap", False, signed, None),
            ("imap", False, signed, b"x"), ("imap", False, (*signed, b"b SELECT INBOX\r\n"), None), ("imap", False, (*signed, b"b IDLE\r\n"), None),
            ("imap", False, (*signed, b"b IDLE\r\n"), b"D"), ("imap", False, (*signed, b"b APPEND INBOX {9999}\r\n"), b"x"),
            ("imap", False, (*signed, b"b APPEND INBOX {9999}\r\n"), None), ("imap", False, (*signed, b"b CREATE {999}\r\n"), b"x"),
            ("imaps", True, signed, b"x"), ("pop3", False, (b"STLS\r\n",), None), ("pop3", False, (), b"U"), ("pop3", False, (b"AUTH PLAIN\r\n",), b"A"),
            ("pop3", False, popped, None), ("pop3", False, popped, b"R"), ("pop3s", True, popped, None), ("http", False, (), b"G"), ("https", True, (), b"G"),
        ]
        self.server.ports.update(http=self.web[0], https=self.web[1])
        wrong = []

        def suffer(service, tls, words, trickle):
            try:
                s = self.plug(service, tls)
                if service not in TLS or tls:
                    if not service.startswith("http"):
                        s.recv(65536)
                self.talk(s, *words)
                said, seconds = self.until_closed(s, 6 * SILENCE, trickle)
                if seconds < SILENCE - 1:
                    wrong.append((service, tls, words, trickle, seconds, said))
            except Exception as error:  # noqa: BLE001: told below
                wrong.append((service, tls, words, trickle, error))

        threads = [threading.Thread(target=suffer, args=case) for case in cases]
        for thread in threads:
            thread.start()
        self.served()
        for thread in threads:
            thread.join(60)
        self.assertEqual(wrong, [])
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
        self.server.ports.update(https=self.web[1])
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
        for size, word in ((1000, b"404"), (300_000, b"404"), (5_000_000, b"413")):
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
