"""Odd but legal readers against the real binary, on raw sockets: what mail programs rarely say, and what must hold anyway."""

import re
import socket
import time
import unittest
import zlib

import lab


class Line:
    """One plain connection on loopback."""

    def __init__(self, server, protocol, patience=30):
        self.socket = socket.create_connection(("127.0.0.1", server.ports[protocol]))
        self.socket.settimeout(patience)
        self.file = self.socket.makefile("rb")
        self.greeting = self.file.readline()

    def send(self, octets):
        self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def close(self):
        self.file.close()
        self.socket.close()


class Imap(Line):
    def __init__(self, server, user="ann", mailbox=None):
        super().__init__(server, "imap")
        self.count = 0
        self.ok(f'LOGIN {user} "{server.password}"')
        if mailbox:
            self.ok(f"SELECT {mailbox}")

    def response(self):
        """One response with its literals."""
        whole = b""
        while True:
            line = self.file.readline()
            whole += line
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            if not literal:
                return whole
            whole += self.file.read(int(literal[1]))

    def say(self, command):
        """Everything up to the tagged answer, which comes last."""
        self.count += 1
        tag = b"t%d " % self.count
        self.send(tag + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        told = []
        while not told or not told[-1].startswith(tag):
            told.append(self.response())
            assert told[-1], f"the connection ended after {told}"
        return told[:-1], told[-1][len(tag):]

    def ok(self, command):
        told, answer = self.say(command)
        assert answer.startswith(b"OK "), (command, answer)
        return told

    def append(self, octets, mailbox="INBOX"):
        return self.ok(b"APPEND %s {%d+}\r\n" % (mailbox.encode(), len(octets)) + octets)


def resident_anonymous(server):
    """Memory that is the server's own (not pages of its files), in KiB."""
    with open(f"/proc/{server.process.pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])


class Readers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lab.Server(accounts=["ann", "bob", "cay", "dan"]).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_c2_a_partial_flush_is_read_at_once(self):
        line = Imap(self.server, "dan")
        line.ok("COMPRESS DEFLATE")
        pack, unpack = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)
        for number in range(5):
            line.socket.sendall(pack.compress(b"p%d NOOP\r\n" % number) + pack.flush(zlib.Z_PARTIAL_FLUSH))
            told = b""
            while b"p%d OK" % number not in told:
                octets = line.socket.recv(4096)
                self.assertTrue(octets, told)
                told += unpack.decompress(octets)
        line.close()

    def test_a_full_house_is_no_wrong_password(self):
        lines = [Imap(self.server, "cay") for _ in range(500)]
        late = Line(self.server, "imap")
        late.send(f'a LOGIN cay "{self.server.password}"\r\n')
        self.assertRegex(late.file.readline(), rb"^a NO \[UNAVAILABLE\] ")
        late.close()
        for line in lines:
            line.close()

    def test_odd_messages_are_described_as_they_are_served(self):
        """RFC822.SIZE, BODY[] and the parts agree on what has no header, no body, no end or no sense."""
        mailbox = "Archive"
        odd = [
            b"Subject: header only", b"Subject: header only\r\n", b"\r\n", b"\r\nbody only", b"no colon\r\nmore\r\n",
            b"Subject: \xe4\xff\r\n\r\n\xc3\xa4\xff\r\n", b"Subject: bare\r\n\r\na\nb\rc",
            b"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n", b"Content-Type: multipart/mixed; boundary=z\r\n\r\n--z",
            b"Content-Type: multipart/mixed; boundary=z\n\n--z\n\nlf only\n--z--\n",
            b"Content-Type: message/rfc822\r\n\r\n", b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx",
            b"Content-Type: multipart/digest; boundary=q\r\n\r\n--q\r\n\r\nSubject: d\r\n\r\nd1\r\n--q--\r\n",
            b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(300)) + b"\r\ndeep",
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 12_000,
            b"To: " + b", ".join(b"a%d@x" % n for n in range(20_000)) + b"\r\n\r\nx",
        ]
        c = Imap(self.server)
        for octets in odd:
            c.append(octets, mailbox)
        c.ok(f"SELECT {mailbox}")
        for n, octets in enumerate(odd, 1):
            with self.subTest(octets[:60]):
                [told] = c.ok(f"FETCH {n} (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
                self.assertIn(b"RFC822.SIZE %d " % len(octets), told)
                self.assertTrue(told.endswith(b"BODY[] {%d}\r\n" % len(octets) + octets + b")\r\n"), told[-200:])
                [told] = c.ok(f"FETCH {n} (BODY.PEEK[HEADER] BODY.PEEK[TEXT])")
                header = re.match(rb"\* \d+ FETCH \(BODY\[HEADER\] \{(\d+)\}\r\n", told)
                length = int(header[1])
                self.assertEqual(told[header.end() : header.end() + length], octets[:length])
                text = octets[length:]
                self.assertTrue(told.endswith(b" BODY[TEXT] {%d}\r\n" % len(text) + text + b")\r\n"), told[-200:])
                [told] = c.ok(f"FETCH {n} (BODY.PEEK[1] BODY.PEEK[99.1] BINARY.SIZE[1])")
                self.assertRegex(told, rb"^\* \d+ FETCH \(BODY\[1\] (?s:.*) BODY\[99\.1\] NIL BINARY\.SIZE\[1\] \d+\)")
        c.close()

    def test_a_thousand_commands_in_one_packet(self):
        c = Imap(self.server, mailbox="INBOX")
        c.send(b"".join(b"p%d NOOP\r\n" % n for n in range(1000)) + b"q LOGOUT\r\nr NOOP\r\n")
        answers = [line for line in c.file.read().splitlines() if not line.startswith(b"*")]
        self.assertEqual(answers[:1000], [b"p%d OK Done" % n for n in range(1000)])
        self.assertEqual(len(answers), 1001, "nothing is answered after LOGOUT")
        c.close()
        p = Line(self.server, "pop3")
        p.send(f"USER dan\r\nPASS {self.server.password}\r\n" + "NOOP\r\n" * 1000 + "QUIT\r\nNOOP\r\n")
        answers = p.file.read().splitlines()
        self.assertEqual(len(answers), 1003)
        self.assertTrue(all(answer.startswith(b"+OK") for answer in answers), answers[-3:])
        p.close()

    def test_slow_readers_and_idle_connections_cost_little(self):
        """Twelve readers of 16 MB that never read, and 400 that idle: memory stays bounded."""
        c = Imap(self.server, "cay", "Archive")
        c.append(b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * (16 * 1024 * 1024 // 78), "Archive")
        before = resident_anonymous(self.server)
        slow = [Imap(self.server, "cay", "Archive") for _ in range(12)]
        for reader in slow:
            reader.send(b"s FETCH 1 BODY.PEEK[]\r\n" + b"n NOOP\r\n" * 2000)
        idle = [Imap(self.server, "cay", "INBOX") for _ in range(400)]
        for connection in idle:
            connection.send(b"i IDLE\r\n")
            self.assertEqual(connection.response(), b"+ idling\r\n")
        time.sleep(0.5)
        grown = resident_anonymous(self.server) - before
        # 12 x (what waits to be written and a piece being read) and 400 x some KiB: far from 12 x 16 MiB.
        self.assertLess(grown, 32 * 1024, f"grew by {grown} KiB")
        # They are served none the less, and what comes is whole.
        octets = slow[0].response()
        self.assertEqual(len(octets), octets.index(b"Subject: large") + len(b"Subject: large\r\n\r\n") + 78 * (16 * 1024 * 1024 // 78) + 3)
        for connection in [c, *slow, *idle]:
            connection.close()

    def test_flags_and_expunges_of_another_session(self):
        """What the other does comes when it may, and the numbers stay right."""
        a, b = Imap(self.server, "bob"), Imap(self.server, "bob")
        for n in range(6):
            a.append(b"Subject: %d\r\n\r\n%d" % (n, n))
        a.ok("SELECT INBOX")
        b.ok("SELECT INBOX")
        a.ok("STORE 2,4 +FLAGS.SILENT (\\Deleted)")
        self.assertEqual(a.ok("EXPUNGE"), [b"* 4 EXPUNGE\r\n", b"* 2 EXPUNGE\r\n"])
        told = b.ok("FETCH 1:* (UID)")
        self.assertEqual(told, [b"* %d FETCH (UID %d)\r\n" % (n, n) for n in range(1, 7)], "no EXPUNGE during FETCH")
        self.assertFalse([line for line in b.ok("STORE 1:* +FLAGS.SILENT (\\Flagged)") if b"EXPUNGE" in line])
        self.assertEqual(b.ok("NOOP"), [b"* 4 EXPUNGE\r\n", b"* 2 EXPUNGE\r\n"])
        self.assertEqual(b.ok("UID SEARCH FLAGGED"), [b"* SEARCH 1 3 5 6\r\n"])
        b.send(b"i IDLE\r\n")
        self.assertEqual(b.response(), b"+ idling\r\n")
        a.ok("UID STORE 3 +FLAGS.SILENT (\\Deleted)")
        a.ok("EXPUNGE")
        told = b""
        while b"EXPUNGE" not in told:
            told = b.response()
        self.assertEqual(told, b"* 2 EXPUNGE\r\n")
        b.send(b"DONE\r\n")
        self.assertEqual(b.response(), b"i OK IDLE ended\r\n")
        a.close()
        b.close()

    def test_nothing_before_tls_is_heard_after_it(self):
        for protocol, words, after in (("imap", b"a STARTTLS\r\nb NOOP\r\n", b"b OK"), ("pop3", b"STLS\r\nCAPA\r\n", b"TOP")):
            with self.subTest(protocol):
                line = Line(self.server, protocol)
                line.send(words)
                rest = line.file.read()
                self.assertNotIn(after, rest)
                self.assertNotIn(b"+OK", rest)
                self.assertNotIn(b"a OK", rest)
                line.close()

    def test_who_was_shown_out_of_a_maildrop_may_come_back_at_once(self):
        line = Line(self.server, "pop3")
        line.send(f"USER bob\r\nPASS {self.server.password}\r\n" + "NONSENSE\r\n" * 20)
        self.assertIn(b"too many errors", line.file.read())
        # The client's side is still open here.
        again = Line(self.server, "pop3")
        again.send(f"USER bob\r\nPASS {self.server.password}\r\nQUIT\r\n")
        answers = again.file.read().splitlines()
        self.assertTrue(answers[1].startswith(b"+OK"), answers)
        line.close()
        again.close()

    def test_pop3_numbers_dots_and_ends(self):
        sent = [b"Subject: dots\r\n\r\n.\r\n..x\r\nno end", b"Subject: no body", b"\r\n."]
        a = Imap(self.server, "dan")
        for octets in sent:
            a.append(octets)
        p = Line(self.server, "pop3")
        p.send(f"USER dan\r\nPASS {self.server.password}\r\nRETR 1\r\nRETR 2\r\nRETR 3\r\nTOP 1 0\r\nTOP 1 4294967295\r\n"
               "DELE 2\r\nDELE 2\r\nLIST 2\r\nUIDL 2\r\nRETR 99999999999999999999\r\nLIST\r\nRSET\r\nSTAT\r\nQUIT\r\n")
        answer = p.file.read()
        self.assertIn(b"octets\r\nSubject: dots\r\n\r\n..\r\n...x\r\nno end\r\n.\r\n", answer)
        self.assertIn(b"octets\r\nSubject: no body\r\n.\r\n", answer)
        self.assertIn(b"octets\r\n\r\n..\r\n.\r\n", answer)
        self.assertIn(b"follows\r\nSubject: dots\r\n\r\n.\r\n", answer)
        self.assertEqual(answer.count(b"-ERR"), 4)
        self.assertRegex(answer, rb"\r\n1 \d+\r\n3 \d+\r\n\.\r\n")
        self.assertRegex(answer, rb"\+OK 3 \d+\r\n\+OK [^\r]*\r\n$")
        p.close()
        a.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
