"""What no client should do, done to the real binary: relaying, forging, smuggling, injecting, flooding, and ends at bad moments."""

import base64
import email
import email.utils
import http.client
import imaplib
import json
import os
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import unittest

import lab

HEADER = b"Subject: t\r\nTo: bob@here.test\r\n"


class Line:
    """A conversation in bare SMTP, a reply at a time; several lines of one reply come joined."""

    def __init__(self, address, hello="EHLO client.test"):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(30)
        self.socket.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()
        self.hello = self.say(hello) if hello else ""

    def reply(self):
        lines = []
        while line := self.file.readline():
            lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
            if line[3:4] != b"-":
                break
        return "\n".join(lines)

    def say(self, line):
        return self.raw((line if isinstance(line, bytes) else line.encode()) + b"\r\n")

    def raw(self, octets):
        try:
            self.socket.sendall(octets)
            return self.reply()
        except (BrokenPipeError, ConnectionResetError):
            return ""

    def codes(self, *lines):
        return [self.say(line)[:3] for line in lines]

    def sign_in(self, login="ann@here.test", password="correct horse"):
        return self.say("AUTH PLAIN " + base64.b64encode(f"\0{login}\0{password}".encode()).decode())

    def start_tls(self):
        assert self.say("STARTTLS").startswith("220 ")
        context = ssl.create_default_context(cafile=lab.certificate()[0])
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()


class Attacks(unittest.TestCase):
    EXTRA, TOP, AUTH = "", "message_bytes_max = 100000", "loopback"

    def setUp(self):
        self.server = lab.Server(extra=self.EXTRA, top=self.TOP, auth=self.AUTH, accounts=["ann", "bob"]).start()
        self.lines = []

    def tearDown(self):
        for line in self.lines:
            line.close()
        self.server.__exit__(None, None, None)

    def line(self, service="smtp", hello=None):
        self.lines.append(Line(self.server.ports[service], hello or ("LHLO x" if service == "lmtp" else "EHLO client.test")))
        return self.lines[-1]

    def signed_in(self):
        line = self.line("submission")
        self.assertRegex(line.sign_in(), "^235 ")
        return line

    def begin(self, line, sender="x@elsewhere.test", to="bob@here.test"):
        self.assertEqual(line.codes(f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>", "DATA"), ["250", "250", "354"])

    def inbox(self, user="bob"):
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        c.login(user, self.server.password)
        c.select("INBOX", readonly=True)
        found = [part[1] for part in c.uid("FETCH", "1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]
        c.logout()
        return found


class Strangers(Attacks):
    def test_nobody_relays(self):
        line = self.line()
        line.say("MAIL FROM:<x@elsewhere.test> SMTPUTF8")
        for path in ("x@out.test", "@here.test:x@out.test", "@here.test,@b.test:x@out.test", "x%out.test@here.test", "out.test!x@here.test",
                     '"x@out.test"@here.test', "x@out.test@here.test", "x@sub.here.test", "x@[127.0.0.1]", "x@[IPv6:::1]", "x@here.test.",
                     "x@here.test.out.test", "x@her\u0395.test", "bob@here.test> <x@out.test", "bob", ""):
            with self.subTest(path):
                self.assertRegex(line.say(f"RCPT TO:<{path}>"), "^5")
        for path in ("BOB@HERE.TEST", '"bob"@here.test', "bob+list@here.test", "@out.test:bob@here.test", "postmaster", "PostMaster@here.test"):
            with self.subTest(path):
                self.assertRegex(line.say(f"RCPT TO:<{path}>"), "^250 ")
        delivery = self.line("lmtp")
        delivery.say("MAIL FROM:<>")
        self.assertRegex(delivery.say("RCPT TO:<x@out.test>"), "^550 5.7.1 ")

    def test_only_crlf_dot_crlf_ends_a_message(self):
        second = b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<bob@here.test>\r\nDATA\r\n" + HEADER + b"\r\nevil\r\n.\r\n"
        for end in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r.\r", b"\r\n.\r", b"\r\r\n.\r\r\n", b"\n..\r\n"):
            with self.subTest(end):
                line = self.line()
                self.begin(line)
                self.assertRegex(line.raw(HEADER + b"\r\nx" + end + second), "^550 5.5.2 ")
                self.assertRegex(line.say("NOOP"), "^250 ", "nothing of it was a command")
                chunk = self.line()
                chunk.codes("MAIL FROM:<x@b.test>", "RCPT TO:<bob@here.test>")
                octets = HEADER + b"\r\nx" + end + second
                self.assertRegex(chunk.raw(b"BDAT %d LAST\r\n" % len(octets) + octets), "^550 5.5.2 ")
                submitted = self.signed_in()
                self.begin(submitted, "ann@here.test")
                self.assertRegex(submitted.raw(HEADER + b"\r\nx" + end + second), "^250 ")
                self.assertRegex(submitted.say("NOOP"), "^250 ")
        mail = self.inbox()
        self.assertEqual(len(mail), 8, "one message each of those that were repaired")
        for octets in mail:
            self.assertNotIn(b"\n", octets.replace(b"\r\n", b""))
            self.assertIn(b"MAIL FROM:<evil@b.test>\r\n", octets)

    def test_nothing_breaks_out_of_the_trace_fields(self):
        for name in ("a\tb", "a\rX-Evil: y", "a\0b", "a b", "gr\u00e5"):
            self.assertRegex(self.line(hello=f"EHLO {name}").hello, "^50[01] ", name)
        line = self.line(hello="EHLO a)(<x>;X-Evil:\"y\"")
        self.begin(line, sender='"x>\\"<y;X-Evil: z"@elsewhere.test', to='"bob"@here.test')
        self.assertRegex(line.raw(HEADER + b"Return-Path: <forged@here.test>\r\n\r\nx\r\n.\r\n"), "^250 ")
        message = email.message_from_bytes(self.inbox()[0])
        self.assertEqual(message.keys(), ["Return-Path", "Received", "Subject", "To"])
        self.assertEqual(message["Return-Path"], '<"x>\\"<y;X-Evil: z"@elsewhere.test>')
        self.assertRegex(message["Received"], r"^from a[^()<>;]* \(\[127\.0\.0\.1\]\)\s+by mail\.here\.test with ESMTP id \w+\s+for <bob@here\.test>;")
        original = self.line()
        original.say("MAIL FROM:<x@elsewhere.test>")
        self.assertRegex(original.say("RCPT TO:<bob@here.test> ORCPT=rfc822;x+0D+0AX-Evil:+20y"), "^501 ")

    def test_limits_of_size_recipients_and_errors(self):
        big = HEADER + b"\r\n" + b"x" * 70 + b"\r\n"
        big += b"y" * 78 * 2000
        line = self.line()
        self.assertIn("SIZE 100000", line.hello)
        for size, code in (("100001", "552"), ("99999999999999999999", "552"), ("-1", "501"), ("", "501"), ("1 SIZE=1", "501")):
            self.assertEqual(line.codes(f"MAIL FROM:<x@b.test> SIZE={size}"), [code], size)
        self.begin(line)
        self.assertRegex(line.raw(big + b"\r\n.\r\n"), "^552 5.3.4 ")
        self.assertEqual(line.codes("NOOP", "MAIL FROM:<x@b.test>", "RCPT TO:<bob@here.test>"), ["250"] * 3)
        self.assertRegex(line.raw(b"BDAT 60000\r\n" + big[:60000]), "^250 ")
        self.assertRegex(line.raw(b"BDAT 60000 LAST\r\n" + big[60000:120000]), "^552 5.3.4 ")
        self.assertEqual(line.codes("NOOP", "MAIL FROM:<x@b.test>", "RCPT TO:<bob@here.test>"), ["250"] * 3)
        self.assertRegex(line.say("BDAT 99999999999 LAST"), "^552 5.3.4 ")
        self.assertEqual(line.reply(), "", "so much is not waited for")

        many = self.line()
        many.say("MAIL FROM:<x@b.test>")
        flood = b"".join(b"RCPT TO:<bob+%d@here.test>\r\n" % i for i in range(10_000))
        threading.Thread(target=many.socket.sendall, args=(flood,)).start()
        codes = [many.reply()[:9] for _ in range(10_000)]
        self.assertEqual((codes.count("250 2.1.5"), codes.count("452 4.5.3")), (1000, 9000))
        self.assertRegex(many.say("DATA"), "^354 ")
        self.assertRegex(many.raw(HEADER + b"\r\nonce\r\n.\r\n"), "^250 ")
        self.assertEqual(len(self.inbox()), 1, "one account, one copy")

        lost = self.line()
        self.assertRegex(lost.say("NOOP " + "x" * 100_000), "^500 5.5.2 ")
        self.assertEqual(set(lost.codes(*["FOO"] * 19)), {"500"})
        self.assertRegex(lost.say("FOO") + lost.reply(), "421 4.7.0 ")
        self.assertRegex(self.line(hello="GET / HTTP/1.1").hello, "^421 ")


class Signed(Attacks):
    def test_nobody_writes_as_somebody_else(self):
        line = self.signed_in()
        for path in ("evil@bank.test", "bob@here.test", "@here.test:evil@bank.test", "ann@here.test.", "annx@here.test", '"ann@here.test"@bank.test'):
            self.assertRegex(line.say(f"MAIL FROM:<{path}>"), "^5", path)
        bad = [
            "From: evil@bank.test", "From: bob@here.test", "From: ann@here.test, evil@bank.test", "From: ann@here.test\r\nFrom: evil@bank.test",
            "From:\r\n evil@bank.test", "From : evil@bank.test", "FROM:evil@bank.test", "From: <ann@here.test> <evil@bank.test>",
            "From: <evil@bank.test> <ann@here.test>", "From: evil@bank.test <ann@here.test>", 'From: "a" <ann@here.test>evil@bank.test',
            "From: g: ann@here.test, evil@bank.test;", "From: ann@here.test" + ", x" * 10_100 + ", evil@bank.test",
            "From: ann@here.test, " + "a:;," * 5_100 + "evil@bank.test", "From: =?utf-8?q?evil=40bank.test?=, ann@here.test",
            "From: =?utf-8?q?evil=40bank.test?=", "From: <@bank.test:ann@here.test>", "From: ann@here.test\rFrom: evil@bank.test",
            "From: ann@here.test\nFrom: evil@bank.test", "From: ann@here.test\r\n\x0bFrom: evil@bank.test", "garbage\r\nFrom: evil@bank.test",
            "From: ann@here.test\r\nFr\0om: evil@bank.test", 'From: "ann@here.test" <evil@bank.test>', "From: <>",
            "From: ann@here.test\r\nSender: evil@bank.test", "Sender: bob@here.test", "From: ann@here.test\r\nResent-From: Evil <evil@bank.test>",
        ]
        for field in bad:
            with self.subTest(field[:60]):
                self.begin(line, "ann@here.test")
                self.assertRegex(line.raw(field.encode() + b"\r\n" + HEADER + b"\r\nx\r\n.\r\n"), "^550 5.[67].[01] ")
        self.server.run("alias", "add", "team@here.test", "ann@here.test", "bob@here.test")
        good = ["From: Ann <ann@here.test>", "From: ann@here.test\r\nSender: team@here.test\r\nResent-From: ann@here.test", "From: team@HERE.test", "From: ann+news@here.test", 'From: "evil@bank.test" <ann@here.test>',
                "From: ann@here.test <ann@here.test>", "From: =?utf-8?q?=C3=84nn?= <ann@here.test>", "From: ann@here.test, team@here.test", ""]
        for field in good:
            with self.subTest(field):
                self.begin(line, "ann@here.test")
                self.assertRegex(line.raw((field + "\r\n" if field else "").encode() + HEADER + b"\r\nx\r\n.\r\n"), "^250 ")
        # A From that we add is made of the reverse-path, and that may hold anything in quotes.
        self.begin(line, '"ann+x>, <evil@bank.test>, <a"@here.test')
        self.assertRegex(line.raw(HEADER + b"\r\nlast\r\n.\r\n"), "^250 ")
        mail = self.inbox()
        self.assertEqual(len(mail), len(good) + 1)
        self.assertIn(b'\r\nFrom: <"ann+x>, <evil@bank.test>, <a"@here.test>\r\n', mail[-1])

    def test_only_a_literal8_may_carry_nul(self):
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        c.login("bob", self.server.password)
        for head, octets, answer in ((b"{14}", b"Subject: x\r\n\0\0", b"BAD"), (b"{14}", b"Subject: x\r\nab", b"OK")):
            tag = c._new_tag()
            c.send(tag + b" APPEND INBOX " + head + b"\r\n")
            self.assertTrue(c.readline().startswith(b"+"))
            c.send(octets + b"\r\n")
            while not (line := c.readline()).startswith(tag):
                self.assertTrue(line)
            self.assertTrue(line.startswith(tag + b" " + answer), line)
        c.logout()
        self.assertEqual(len(self.inbox()), 1)

    def test_a_suspended_account_is_gone_in_the_middle_of_a_message(self):
        line = self.signed_in()
        self.begin(line, "ann@here.test")
        line.socket.sendall(HEADER)
        self.server.run("account", "suspend", "ann@here.test")
        self.assertRegex(line.reply(), "^421 4.7.0 ")
        self.assertRegex(self.line("submission").sign_in(), "^525 5.7.13 ")
        self.assertEqual(self.inbox(), [])

    def test_a_message_under_way_is_taken_when_the_server_stops(self):
        line, idle = self.line(), self.line()
        self.begin(line)
        line.socket.sendall(HEADER)
        self.server.process.send_signal(signal.SIGHUP)
        lab.wait_for("the reload", lambda: "the certificate is read again" in self.server.log_text())
        self.server.process.send_signal(signal.SIGTERM)
        self.assertRegex(idle.reply(), "^421 4.3.2 ")
        self.assertRegex(line.raw(b"\r\nthe rest\r\n.\r\n"), "^250 ")
        self.assertRegex(line.reply(), "^421 4.3.2 ")
        self.assertEqual(self.server.process.wait(30), 0)
        self.server.process = None
        self.server.start()
        self.assertIn(b"the rest", self.inbox()[0])


class Hours(Attacks):
    EXTRA = "[limits]\nmessages_per_hour = 3\nrecipients_per_hour = 5\n"

    def test_an_account_has_limits_per_hour(self):
        line = self.signed_in()
        line.say("MAIL FROM:<ann@here.test>")
        self.assertEqual(line.codes(*[f"RCPT TO:<bob+{i}@here.test>" for i in range(6)]), ["250"] * 6)
        self.assertRegex(line.say("DATA"), "^450 4.7.1 At most 5 recipients an hour")
        for _ in range(3):
            self.begin(line, "ann@here.test")
            self.assertRegex(line.raw(HEADER + b"\r\nx\r\n.\r\n"), "^250 ")
        self.assertEqual(line.codes("MAIL FROM:<ann@here.test>", "RCPT TO:<bob@here.test>"), ["250", "250"])
        self.assertRegex(line.say("DATA"), "^450 4.7.1 At most 3 messages an hour")


class Never(Attacks):
    AUTH = "never"

    def test_no_password_in_the_clear_and_nothing_before_tls(self):
        line = self.line("submission")
        self.assertNotIn("AUTH", line.hello)
        self.assertRegex(line.sign_in(), "^538 5.7.11 ")
        self.assertEqual(line.codes("AUTH LOGIN", "MAIL FROM:<ann@here.test>", "RCPT TO:<bob@here.test>", "DATA"), ["538", "530", "503", "503"])
        line.start_tls()
        self.assertEqual(line.codes("MAIL FROM:<ann@here.test>"), ["503"], "what was said before TLS is forgotten")
        self.assertIn("AUTH SCRAM-SHA-256 PLAIN LOGIN", line.say("EHLO x"))
        self.assertRegex(line.sign_in(), "^235 ")
        for service in ("smtp", "submission"):
            injected = self.line(service)
            injected.socket.sendall(b"STARTTLS\r\nEHLO evil\r\n")
            self.assertRegex(injected.reply(), "^421 ")
            self.assertEqual(injected.reply(), "")

    def inbox(self, user="bob"):
        raise NotImplementedError


class Neighbour(socketserver.StreamRequestHandler):
    """Refuses `no@`, puts off `later@`, takes the rest."""

    def handle(self):
        def say(line):
            self.wfile.write(line + b"\r\n")
            self.wfile.flush()

        say(b"220 mx.evil.test ESMTP")
        while line := self.rfile.readline().strip():
            verb = line[:4].upper()
            if verb == b"RCPT":
                say(b"550-5.1.1 no such \x1b[31m\xff user\r\n550 5.1.1 really" if b"no@" in line else b"451 4.3.0 later" if b"later@" in line else b"250 ok")
            elif verb == b"DATA":
                say(b"354 go")
                octets = b""
                while not octets.endswith(b"\r\n.\r\n"):
                    octets += self.rfile.readline()
                self.server.got.append(octets)
                say(b"250 2.0.0 ok")
            elif verb == b"MAIL":
                self.server.senders.append(line)
                say(b"250 ok")
            elif verb == b"QUIT":
                return say(b"221 bye")
            else:
                say(b"250 mx.evil.test")


class Reports(Attacks):
    def setUp(self):
        self.neighbour = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Neighbour)
        self.neighbour.daemon_threads, self.neighbour.got, self.neighbour.senders = True, [], []
        threading.Thread(target=self.neighbour.serve_forever, daemon=True).start()
        self.dns = lab.Dns({("evil.test", lab.Dns.MX): [lab.Dns.mx(10, "mx.evil.test")], ("mx.evil.test", lab.Dns.A): [bytes([127, 0, 0, 1])]})
        self.EXTRA = f'[dns]\nservers = ["127.0.0.1:{self.dns.port}"]\n[outbound]\nport = {self.neighbour.server_address[1]}\n'
        super().setUp()

    def tearDown(self):
        super().tearDown()
        self.neighbour.shutdown()
        self.neighbour.server_close()
        self.dns.close()

    def send(self, line, sender, *to, parameters=""):
        self.assertRegex(line.say(f"MAIL FROM:<{sender}>{parameters}"), "^250 ")
        for address in to:
            self.assertRegex(line.say(f"RCPT TO:<{address}>"), "^250 ")
        line.say("DATA")
        self.assertRegex(line.raw(HEADER + b"Message-ID: <m@here.test>\r\n\r\nhello\r\n.\r\n"), "^250 ")

    def test_who_is_told_what_and_who_never(self):
        self.server.run("alias", "add", "gone@here.test", "no@evil.test")
        self.send(self.signed_in(), "ann@here.test", "no@evil.test", "x@nowhere.test", "later@evil.test", parameters=" ENVID=a+2Bb RET=HDRS")
        told = lab.wait_for("two reports", lambda: (m := self.inbox("ann")) and len(m) == 2 and m)
        seen = {}
        for octets in told:
            message = email.message_from_bytes(octets)
            self.assertEqual((message["Return-Path"], message.get_content_type(), message.get_param("report-type")),
                             ("<>", "multipart/report", "delivery-status"))
            author = email.utils.parseaddr(message["From"])[1]
            self.assertEqual(self.line().codes("MAIL FROM:<x@b.test>", f"RCPT TO:<{author}>"), ["250", "250"], "an answer arrives")
            words, status, original = message.get_payload()
            self.assertIn("You need not wait", words.get_payload(decode=True).decode())
            whole, recipient = status.get_payload() if status.is_multipart() else [email.message_from_string(b) for b in
                                                                                    status.get_payload(decode=True).decode().split("\r\n\r\n")[:2]]
            self.assertEqual((whole["Reporting-MTA"], whole["Original-Envelope-Id"]), ("dns; mail.here.test", "a+b"))
            self.assertTrue(email.utils.parsedate_to_datetime(whole["Arrival-Date"]))
            seen[recipient["Final-Recipient"]] = (recipient["Action"], recipient["Status"], recipient["Diagnostic-Code"].split(";")[0])
            self.assertNotIn(b"\x1b", octets)
            self.assertIn("<m@here.test>", original.as_string())
            self.assertNotIn("hello", original.as_string(), "RET=HDRS")
        self.assertEqual(seen, {"rfc822; no@evil.test": ("failed", "5.1.1", "smtp"), "rfc822; x@nowhere.test": ("failed", "5.1.2", "x-packetboat")})

        stranger = self.line()
        self.send(stranger, "remote@evil.test", "gone@here.test")
        lab.wait_for("a report to a stranger", lambda: self.neighbour.got)
        # Forwarded mail goes out by a rewritten reverse-path (SRS); the report is written to it and finds its way back.
        self.assertRegex(self.neighbour.got[0], rb"To: SRS0=[A-Z0-9]{8}=[A-Z0-9]{2}=evil\.test=remote@here\.test\r\n")
        self.assertTrue(self.neighbour.senders[-1].startswith(b"MAIL FROM:<>"), "a report has no sender")
        # Nobody is told about these: the second would be a report about a report.
        self.send(stranger, "", "gone@here.test")
        self.send(stranger, "no@evil.test", "gone@here.test")
        lab.wait_for("the queue to be tried", lambda: len(self.queue()) == 1)
        self.assertEqual((len(self.neighbour.got), len(self.inbox("ann"))), (1, 2))

        (entry,) = self.queue()
        self.assertIn("451 4.3.0 later", self.server.run("queue", "list").stdout, "what was said about who waits")
        number = str(entry["id"])
        self.assertIn("user really", self.server.run("queue", "show", number).stdout)
        self.server.run("queue", "hold", number)
        self.assertTrue(self.queue()[0]["held"])
        self.server.run("queue", "release", number)
        lab.wait_for("another attempt", lambda: self.queue()[0]["attempts"] == 2)
        self.assertIn("would drop 1 queue entries", self.server.run("queue", "drop", number).stdout)
        self.server.run("queue", "drop", number, "--yes")
        self.assertEqual(self.queue(), [])
        self.assertEqual(len(self.inbox("ann")), 2, "dropped without a bounce")

    def queue(self):
        return json.loads(self.server.run("queue", "list", "--json").stdout)["entries"]


class Doors(unittest.TestCase):
    def test_a_socket_for_lmtp_no_web_yet_and_ports_in_use(self):
        server = lab.Server(accounts=["bob"])
        with open(server.config, encoding="utf-8") as f:
            text = f.read()
        path, web = os.path.join(server.dir, "lmtp.sock"), lab.free_port()
        with open(server.config, "w", encoding="utf-8") as f:
            f.write(text.replace('lmtp = ["127.0.0.1:0"]', f'lmtp = ["unix:{path}"]\nhttp = ["127.0.0.1:{web}"]'))
        with server:
            line = Line(path, "LHLO x")
            self.assertRegex(line.hello, "^250-mail.here.test")
            self.assertEqual(line.codes("MAIL FROM:<>", "RCPT TO:<no@here.test>", "RCPT TO:<bob@here.test>", "DATA"), ["250", "550", "250", "354"])
            self.assertRegex(line.raw(HEADER + b"\r\nx\r\n.\r\n"), "^250 ")
            line.close()
            for method, status in (("GET", 200), ("POST", 405)):
                asked = http.client.HTTPConnection("127.0.0.1", web, timeout=10)
                asked.request(method, "/")
                self.assertEqual(asked.getresponse().status, status)
                asked.close()
            self.assertEqual(os.stat(os.path.join(server.dir, "data")).st_mode & 0o777, 0o700)
            self.assertEqual(os.stat(os.path.join(server.dir, "data", "control.sock")).st_mode & 0o777, 0o600)
            second = subprocess.run([lab.binary(), "serve", "--config", server.config], capture_output=True, text=True, timeout=30)
            self.assertEqual(second.returncode, 1)
            for place in (f"127.0.0.1:{web}", f"unix:{path}"):
                self.assertIn(f"cannot listen on {place}: the address is already in use", second.stderr)


if __name__ == "__main__":
    unittest.main()
