"""Who connects through a proxy, and what `packetboat wire` shows of a dialogue."""

import imaplib
import json
import poplib
import smtplib
import socket
import ssl
import struct
import subprocess
import unittest

import lab

ANN, PASSWORD = "ann@here.test", "correct horse"


class Line:
    """A raw connection, line by line."""

    def __init__(self, port, first=b""):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.sendall(first)
        self.file = self.sock.makefile("rb")

    def read(self):
        try:
            return self.file.readline()
        except ConnectionResetError:
            return b""

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")
        while True:
            line = self.read()
            if line[3:4] != b"-":
                return line

    def close(self):
        self.file.close()
        self.sock.close()


def v2(ip, command=0x21):
    body = socket.inet_aton(ip) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 4000, 25)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", command, 0x11, len(body)) + body


class Proxied(unittest.TestCase):
    def server(self):
        server = lab.Server(start_with=["ann"])
        with open(server.config, encoding="utf-8") as f:
            text = f.read()
        with open(server.config, "w", encoding="utf-8") as f:
            f.write(text.replace("[listen]\n", '[listen]\nproxy_from = ["127.0.0.1"]\n'))
        return server

    def test_the_real_peer_counts_and_nonsense_is_closed(self):
        with self.server() as server:
            for header in (b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 25\r\n", v2("192.0.2.7")):
                line = Line(server.ports["smtp"], header)
                self.assertTrue(line.read().startswith(b"220 "))
                for text in ("EHLO there.test", "MAIL FROM:<bob@there.test>", f"RCPT TO:<{ANN}>"):
                    self.assertTrue(line.say(text).startswith(b"250"), text)
                self.assertTrue(line.say("DATA").startswith(b"354"))
                self.assertTrue(line.say("Subject: x\r\n\r\nbody\r\n.").startswith(b"250"))
                line.close()
                # Not loopback any more: no password in the clear.
                line = Line(server.ports["submission"], header)
                line.read()
                line.sock.sendall(b"EHLO x\r\n")
                offers = b""
                while b"250 " not in offers:
                    offers += line.read()
                self.assertNotIn(b"AUTH", offers)
                line.close()
            for nonsense in (b"EHLO there.test\r\nQUIT\r\n", b"PROXY TCP4 192.0.2.7\r\n", v2("192.0.2.7", 0x31)):
                line = Line(server.ports["smtp"], nonsense)
                self.assertEqual(line.read(), b"")
                line.close()
            # A health check of the proxy itself, and TLS behind a header.
            line = Line(server.ports["pop3"], b"PROXY UNKNOWN\r\n")
            self.assertTrue(line.read().startswith(b"+OK"))
            line.close()
            raw = socket.create_connection(("127.0.0.1", server.ports["pop3s"]), timeout=20)
            raw.sendall(v2("192.0.2.7"))
            tls = ssl.create_default_context(cafile=lab.certificate()[0])
            with tls.wrap_socket(raw, server_hostname="localhost") as s:
                self.assertTrue(s.makefile("rb").readline().startswith(b"+OK"))
                s.sendall(f"USER {ANN}\r\nPASS {PASSWORD}\r\nRETR 1\r\n".encode())
                got = b""
                while b"Subject: x" not in got:
                    got += s.recv(4096)
            self.assertIn(b"[192.0.2.7]", got)


class Watched(unittest.TestCase):
    def test_a_dialogue_is_shown_without_its_secrets(self):
        """Every protocol and way to sign in; whoever watches another account sees nothing of it."""
        with lab.Server(start_with=["ann", "bob"]) as server:
            watch = lambda who: subprocess.Popen(
                [lab.binary(), "wire", "--account", who, "--json", "--config", server.config], stdout=subprocess.PIPE, text=True)
            watching = watch(ANN)
            self.assertEqual(json.loads(watching.stdout.readline()), {"watching": ANN})
            other = watch("bob@here.test")
            other.stdout.readline()
            tls = ssl.create_default_context(cafile=lab.certificate()[0])
            with smtplib.SMTP("localhost", server.ports["submission"]) as c:
                c.starttls(context=tls)
                c.login(ANN, PASSWORD)
                c.sendmail(ANN, [ANN], "Subject: hidden text\r\n\r\nhidden text\r\n")
            with imaplib.IMAP4_SSL("localhost", server.ports["imaps"], ssl_context=tls) as c:
                c.login(ANN, PASSWORD)
                c.select()
                self.assertIn(b"hidden text", c.fetch("1", "BODY[]")[1][0][1])
            c = poplib.POP3("localhost", server.ports["pop3"])
            c.user(ANN)
            c.pass_(PASSWORD)
            c.retr(1)
            c.quit()
            steps = []
            while not (steps and steps[-1]["protocol"] == "pop3" and "goodbye" in steps[-1]["meaning"]):
                steps.append(json.loads(watching.stdout.readline()))
            watching.kill()
            everything = json.dumps(steps)
            for secret in ("correct", "horse", "hidden", "AGFub", "Y29ycmVjdCBob3JzZQ"):
                self.assertNotIn(secret, everything)
            lines = [step["line"] for step in steps]
            for expected in ("STARTTLS", "(TLS handshake)", f"mail FROM:<{ANN}> size=37", "PASS ********", "RETR 1"):
                self.assertIn(expected, lines)
            self.assertEqual({step["protocol"] for step in steps}, {"smtp", "imap", "pop3"})
            self.assertTrue(all(step["meaning"].endswith((".", "?")) for step in steps))
            other.kill()
            self.assertEqual(other.stdout.read(), "")
            for process in (watching, other):
                process.wait()
                process.stdout.close()
            self.assertNotEqual(server.run("wire", "--account", "nobody@here.test", ok=False).returncode, 0)

    def test_connections_that_stand_are_shown_too(self):
        """By every protocol, also one that waits in IDLE; a message that is on its way is not taken for commands."""
        with lab.Server(start_with=["ann"]) as server:
            imap = imaplib.IMAP4("localhost", server.ports["imap"])
            imap.login(ANN, PASSWORD)
            imap.select()
            imap.send(b"i1 IDLE\r\n")
            self.assertTrue(imap.readline().startswith(b"+"))
            smtp, sending = smtplib.SMTP("localhost", server.ports["submission"]), smtplib.SMTP("localhost", server.ports["submission"])
            for c in (smtp, sending):
                c.login(ANN, PASSWORD)
            sending.mail(ANN)
            sending.rcpt(ANN)
            self.assertEqual(sending.docmd("DATA")[0], 354)
            sending.send(b"Subject: hidden\r\n")
            pop = poplib.POP3("localhost", server.ports["pop3"])
            pop.user(ANN)
            pop.pass_(PASSWORD)
            with lab.Wire(server, ANN) as dialogue:
                def said(protocol, line):
                    told = lambda: [step for step in list(dialogue.steps) if (step["protocol"], step["line"]) == (protocol, line)]
                    lab.wait_for(f"{protocol}: {line}", told, 10)
                    self.assertNotIn("hidden", json.dumps(dialogue.steps))

                sending.send(b"\r\nNOOP hidden\r\n.\r\n")
                self.assertEqual(sending.getreply()[0], 250)
                said("imap", "* 1 EXISTS")
                imap.send(b"DONE\r\n")
                said("imap", "DONE")
                said("imap", "i1 OK IDLE ended")
                for c in (smtp, sending):
                    c.docmd("VRFY", "somebody")
                pop.noop()
                said("pop3", "NOOP")
                said("smtp", "VRFY somebody")
                lab.wait_for("two of SMTP", lambda: len({s["connection"] for s in list(dialogue.steps) if s["protocol"] == "smtp"}) == 2, 10)
            for c in (smtp, sending, pop):
                c.quit()
            imap.shutdown()
