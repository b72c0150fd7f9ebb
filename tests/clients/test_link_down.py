"""The email program's whole tour where the link really goes down: the provider (Debian's Dovecot, and ourselves for sending) in one
network namespace, the program in another, a veth pair between them, and `ip link set down` in the middle. Namespaces are root's."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import imaplib
import lab
from dovecot import PASSWORD, Dovecot
from test_program import Program, there

PROVIDER, PROGRAM, WIRE = "10.77.0.1", "10.77.0.2", "pbwire"
NEW_NET = 0x40000000
# Much more than the buffers of both ends hold.
LARGE = 16 * 1024 * 1024


class Namespace:
    """A network namespace that lives as long as a process in it."""

    def __init__(self):
        self.keeper = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo up; exec sleep infinity"], stdout=subprocess.PIPE)
        assert self.keeper.stdout.readline() == b"up\n", "no network namespace"
        self.pid = self.keeper.pid

    def within(self, work):
        """The outcome of `work`, done by a thread inside; what it starts or opens stays there."""
        outcome = []

        def thread():
            try:
                with open(f"/proc/{self.pid}/ns/net") as namespace:
                    if ctypes.CDLL(None).setns(namespace.fileno(), NEW_NET) != 0:
                        raise OSError("setns")
                outcome.append((work(), None))
            except BaseException as error:  # noqa: BLE001 (raised again below)
                outcome.append((None, error))

        worker = threading.Thread(target=thread)
        worker.start()
        worker.join()
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def ip(self, words):
        self.within(lambda: lab.client("ip", *words.split()))

    def close(self):
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdout.close()


class Inside(Program):
    """`packetboat mail` in a namespace."""

    def __init__(self, test, namespace):
        super().__init__(test)
        self.namespace = namespace

    def __call__(self, *words, **more):
        return self.namespace.within(lambda: super(Inside, self).__call__(*words, **more))

    def begin(self, *words):
        return self.namespace.within(lambda: subprocess.Popen([lab.binary(), "mail", "--data", self.dir, "--json", *words], stdin=subprocess.DEVNULL,
                                                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))


def certificate(folder):
    """(root, certificate, key) for the provider's address."""
    root, key, leaf = (os.path.join(folder, name) for name in ("root", "root.key", "leaf"))
    make = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    lab.client(*make, "-x509", "-days", "2", "-keyout", key, "-out", root, "-subj", "/CN=root of a test")
    lab.client(*make, "-new", "-keyout", leaf + ".key", "-out", leaf + ".csr", "-subj", "/CN=provider")
    with open(leaf + ".ext", "w") as f:
        f.write(f"subjectAltName=IP:{PROVIDER}\nbasicConstraints=CA:FALSE\n")
    lab.client("openssl", "x509", "-req", "-in", leaf + ".csr", "-CA", root, "-CAkey", key, "-CAcreateserial", "-days", "2", "-extfile", leaf + ".ext",
               "-out", leaf)
    os.chmod(leaf + ".key", 0o600)
    return root, leaf, leaf + ".key"


def rewrite(path, *pairs):
    with open(path) as f:
        text = f.read()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    with open(path, "w") as f:
        f.write(text)


class LinkDown(unittest.TestCase):
    def setUp(self):
        self.assertEqual(os.geteuid(), 0, "network namespaces with Dovecot in one need root")
        folder = tempfile.mkdtemp(prefix="packetboat-link-")
        self.addCleanup(shutil.rmtree, folder, True)
        self.near, self.far = Namespace(), Namespace()
        self.addCleanup(self.near.close)
        self.addCleanup(self.far.close)
        lab.client("ip", "link", "add", WIRE, "netns", str(self.near.pid), "type", "veth", "peer", "name", WIRE, "netns", str(self.far.pid))
        for namespace, address in ((self.near, PROGRAM), (self.far, PROVIDER)):
            for words in ("link set lo up", f"addr add {address}/24 dev {WIRE}", f"link set {WIRE} up"):
                namespace.ip(words)
        self.root, cert, key = certificate(folder)
        self.dovecot = Dovecot()
        rewrite(self.dovecot.config, ("listen = 127.0.0.1", "listen = *"), ("ssl = no", f"ssl = yes\nssl_cert = <{cert}\nssl_key = <{key}"),
                ("inet_listener imaps {\n    port = 0", "inet_listener imaps {\n    port = 993"))
        # With what it starts inside, a process stays inside.
        self.far.within(self.dovecot.__enter__)
        self.addCleanup(self.dovecot.__exit__)
        self.sender = lab.Server(accounts=("ann", "bob"), password=PASSWORD)
        rewrite(self.sender.config, ('submissions = ["127.0.0.1:0"', f'submissions = ["127.0.0.1:0", "{PROVIDER}:465"'),
                (lab.certificate()[0], cert), (lab.certificate()[1], key))
        self.far.within(self.sender.start)
        self.addCleanup(self.sender.__exit__, None, None, None)
        self.mail = Inside(self, self.near)

    def link(self, way):
        self.near.ip(f"link set {WIRE} {way}")

    def session(self, port, user):
        def connect():
            session = imaplib.IMAP4("127.0.0.1", port, timeout=60)
            session.login(user, PASSWORD)
            return session

        return self.far.within(connect)

    def received(self):
        """Octets that came over the wire to the program's side."""
        with open(f"/proc/{self.near.pid}/net/dev") as f:
            return next(int(line.split(":")[1].split()[0]) for line in f if WIRE in line)

    def begun(self, octets):
        """A `sync` that hangs in the middle of a literal, for the link went down there."""
        before = self.received()
        syncing = self.mail.begin("sync")
        lab.wait_for("the literal to be under way", lambda: self.received() - before > octets, 60, 0.002)
        self.link("down")
        self.assertLess(self.received() - before, LARGE, "down in the middle")
        self.assertIsNone(syncing.poll())
        return syncing

    @staticmethod
    def ended(syncing):
        said, why = syncing.communicate(timeout=100)
        return syncing.returncode, said, why

    def put(self, session, subject, megabytes=0):
        m = lab.message("Bob <bob@here.test>", "ann@here.test", subject)
        octets = lab.wire(m) + (b"x" * 894 + b"\r\n") * (megabytes * 1170)
        self.assertEqual(session.append("INBOX", None, None, octets)[0], "OK")

    def test_the_whole_tour(self):
        theirs = self.session(self.dovecot.ports["imap"], "ann")
        for subject in ("one", "two", "three"):
            self.put(theirs, subject)
        mail = self.mail
        mail.add("ann@here.test", "--name", "Ann", "--login", "ann", "--imap", f"imaps://{PROVIDER}", "--smtp", f"smtps://{PROVIDER}",
                 "--tls-ca", self.root, "--no-discovery", "--no-keyring")
        self.assertEqual(mail("sync")["downloaded"], 3)
        self.offline(mail)
        self.in_the_middle(theirs, mail)

    def offline(self, mail):
        self.link("down")
        rows = {row["subject"]: str(row["id"]) for row in mail("ls")["messages"]}
        self.assertIn("dots", mail("read", rows["one"])["messages"][0]["text"])
        self.assertEqual([row["subject"] for row in mail("search", "two")["messages"]], ["two"])
        failed = mail("sync", ok=False)["error"]
        self.assertRegex(failed, "(?i)unreachable|no route|network")
        told = mail("reply", rows["one"], "--text", "Yes, by the next boat")
        self.assertFalse(told["sent"])
        self.assertRegex(" ".join(told["said"]), "(?i)unreachable|no route|network")
        mail("flag", rows["two"], "--set", "+flagged")
        mail("folders", "add", "Work")
        mail("move", rows["three"], "--to", "Work")
        self.assertEqual(len(mail("outbox")["outbox"]), 1)
        self.link("up")
        told = mail("sync")
        self.assertEqual((told["troubles"], mail("outbox")["outbox"]), ([], []))
        bob = self.session(self.sender.ports["imap"], "bob")
        lab.wait_for("the answer", lambda: bob.select("INBOX")[1] == [b"1"], 20)
        for _ in range(2):
            mail("sync")
        self.assertEqual(bob.select("INBOX")[1], [b"1"], "sent once")
        self.assertIn(b"Yes, by the next boat", bob.fetch("1", "(BODY.PEEK[])")[1][0][1])
        # As another program of the user sees it, with eyes of its own.
        picture = there(self.session(self.dovecot.ports["imap"], "ann"))
        self.assertEqual(picture, mail.picture())
        self.assertEqual(dict(picture["INBOX"]), {"one": ("answered", "seen"), "two": ("flagged",)})
        self.assertEqual([subject for subject, _ in picture["Work"]], ["three"])
        self.assertEqual([subject for subject, _ in picture["Sent"]], ["Re: one"])

    def in_the_middle(self, theirs, mail):
        # Down and up again: the same connection goes on.
        self.put(theirs, "large", 16)
        syncing = self.begun(256 * 1024)
        self.link("up")
        code, said, why = self.ended(syncing)
        self.assertEqual((code, json.loads(said)["downloaded"]), (0, 1), why)
        # Down, and Ctrl-C, as the shell sees it: 130. Down, and kill -9. The next round begins where the last commit was.
        self.put(theirs, "larger", 16)
        for number in (signal.SIGINT, signal.SIGKILL):
            syncing = self.begun(256 * 1024)
            syncing.send_signal(number)
            self.assertEqual(self.ended(syncing)[0], -number)
            self.assertEqual([row["subject"] for row in mail("ls")["messages"]], ["one", "two", "large"])
            self.link("up")
        told = mail("sync")
        self.assertEqual((told["downloaded"], told["uploaded"], told["troubles"]), (1, 0, []))
        self.assertEqual([row["subject"] for row in mail("ls")["messages"]], ["one", "two", "large", "larger"])
        self.assertEqual(there(self.session(self.dovecot.ports["imap"], "ann")), mail.picture())
        quiet = mail("sync")
        self.assertEqual((quiet["downloaded"], quiet["uploaded"]), (0, 0))


if __name__ == "__main__":
    unittest.main()
