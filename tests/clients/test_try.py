"""`packetboat try`: two post offices in one command, and its printed tour followed to the letter."""

import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import lab


def free_base():
    """A port base whose ports are all free, now."""
    for base in range(20000, 28000, 100):
        try:
            for number in (25, 53, 80, 110, 143, 465, 587, 993, 995):
                for office in (0, 1000):
                    with socket.socket() as s:
                        s.bind(("127.0.0.1", base + office + number))
            return base
        except OSError:
            continue
    raise AssertionError("no free ports")


class Trial:
    def __init__(self, data, base):
        self.data, self.base = data, base

    def __enter__(self):
        folder = os.path.dirname(self.data)
        self.output, self.errors = (open(os.path.join(folder, f"{name}-{time.monotonic_ns()}"), "w+") for name in ("out", "err"))
        self.process = subprocess.Popen([lab.binary(), "try", "--data", self.data, "--port-base", str(self.base)],
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.errors)

        def ready():
            self.errors.seek(0)
            log = self.errors.read()
            assert self.process.poll() is None, log
            return "packetboat ready" in log.splitlines()

        lab.wait_for("both post offices", ready, 60)
        self.output.seek(0)
        self.tour = self.output.read()
        return self

    def __exit__(self, kind, value, trace):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        self.output.close()
        self.errors.close()
        if kind is None:
            assert code == 0, f"Ctrl-C ended it with {code}"

    def command(self, start):
        """The tour's command that starts so, as words."""
        line = next(line for line in self.tour.splitlines() if line.startswith(start))
        return shlex.split(line.replace("packetboat ", lab.binary() + " ", 1) if line.startswith("packetboat ") else line)


class TryIt(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="packetboat-try-")
        self.data = os.path.join(self.temporary.name, "data")
        self.base = free_base()

    def tearDown(self):
        self.temporary.cleanup()

    def test_the_tour_to_the_letter_and_everything_stays(self):
        os.makedirs(self.data, mode=0o700)
        with Trial(self.data, self.base) as trial:
            first = trial.tour
            lab.client(*trial.command("curl -K"), "-sS")
            begun = time.monotonic()
            imap = [line for line in trial.tour.splitlines() if line.startswith("curl") and "imap://" in line][0]
            pop = [line for line in trial.tour.splitlines() if line.startswith("curl") and "pop3://" in line][0]
            def there():
                done = lab.client(*shlex.split(imap), "-sS", ok=False)
                return done.returncode == 0 and b"ann@here.test" in done.stdout and done.stdout
            by_imap = lab.wait_for("Ann's message at Carol's", there, 5, 0.02)
            self.assertLess(time.monotonic() - begun, 1.0, "a message crosses within a second")
            by_pop = lab.client(*shlex.split(pop), "-sS").stdout
            self.assertEqual(by_imap.rstrip(), by_pop.rstrip())
            self.assertIn(b"by mail.there.test", by_pop)
            self.assertIn(b"by mail.here.test", by_pop)
            tls = [line for line in trial.tour.splitlines() if line.startswith("curl") and "imaps://" in line][0]
            lab.client(*shlex.split(tls), "-sS")
            lab.client(*trial.command("swaks"))
            lab.wait_for("swaks's message", lambda: lab.client(*shlex.split(imap.replace("MAILINDEX=2", "MAILINDEX=3")), "-sS", ok=False).returncode == 0, 5)
            lab.client(*trial.command("packetboat account list"))
            lab.client(*trial.command("packetboat queue list"))
            # The welcome message: a picture inside, a file beside.
            welcome = lab.client(*shlex.split(imap.replace("MAILINDEX=2", "MAILINDEX=1")), "-sS").stdout
            self.assertIn(b"Content-Type: image/png", welcome)
            self.assertRegex(welcome, rb"(?i)content-disposition: attachment")
            # Nothing leaves the laptop, and it says why.
            swaks = trial.command("swaks")
            refused = lab.client(*swaks[:-1], "dora@example.org", ok=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertRegex(refused.stdout.decode(), r"<\*\* 5\d\d [^\n]*(leaves|trial|laptop|computer)")
            # A second one says which port is taken, and the flag.
            second = subprocess.run([lab.binary(), "try", "--data", self.data + "2", "--port-base", str(self.base)], capture_output=True, text=True, timeout=30)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn("--port-base", second.stderr)
            self.assertRegex(second.stderr, rf"{self.base // 100}\d\d")
            self.assertEqual(os.stat(self.data).st_mode & 0o777, 0o700)
        with Trial(self.data, self.base) as trial:
            keep = re.compile(r"password|here\.test  |there\.test  ")
            self.assertEqual([line for line in first.splitlines() if keep.search(line)], [line for line in trial.tour.splitlines() if keep.search(line)])
            self.assertEqual(lab.client(*shlex.split(pop), "-sS").stdout, by_pop, "the mail is still there, once")
        for office in ("here.test", "there.test"):
            lab.client(lab.binary(), "check", "--config", os.path.join(self.data, office + ".toml"))
