"""`packetboat mime` against other people's MIME programs: what we write they read, what they write we read, bit for bit."""

import email
import email.policy
import hashlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import tempfile
import unittest
from email.message import EmailMessage

import lab


def files(seed):
    """Names and octets that are hard on encodings."""
    rng = random.Random(seed)
    return {
        "empty.bin": b"",
        "one.bin": b"\0",
        "all.bin": bytes(range(256)) * 7,
        "crlf.bin": b"\r\n\n\r\r\n.\r\n..\n" * 50,
        "dots.txt": b".\n..\nFrom me\n--=_001_1_x\n-- \n" * 20,
        "utf16.txt": "Grüße aus 東京 ⛵\n".encode("utf-16"),
        "long.txt": b"x" * 5000,
        "no end": b"no line end",
        "Grüße aus 東京.pdf": rng.randbytes(10_007),
        "a b;c=\"d\".bin": rng.randbytes(57 * 3),
        "noise.bin": rng.randbytes(300_001),
    }


class Mime(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="packetboat-mime-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.files = files(4)
        os.mkdir(self.path("in"))
        for name, octets in self.files.items():
            with open(self.path("in", name), "wb") as f:
                f.write(octets)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, octets):
        with open(self.path(name), "wb") as f:
            f.write(octets if isinstance(octets, bytes) else octets.encode())
        return self.path(name)

    def run_it(self, *words, code=0, input=b""):
        done = subprocess.run([lab.binary(), "mime", *words], input=input, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stderr.decode(errors="replace"))
        return done.stdout

    def json(self, *words, **more):
        return json.loads(self.run_it(*words, "--json", **more))

    def build(self, *words):
        """A message with every file attached, and its octets."""
        attached = [word for name in self.files for word in ("--attach", self.path("in", name))]
        octets = self.run_it(
            "build", "--from", "Ann Müller <ann@here.test>", "--to", "Bob <bob@there.test>", "--subject", "Schöne Grüße ⛵",
            "--date", "Mon, 23 Nov 2026 01:00:00 +0100", "--message-id", "m1@here.test", *words, *attached,
        )
        for line in octets.split(b"\r\n"):
            self.assertLessEqual(len(line), 998)
            self.assertNotIn(b"\n", line)
        return octets

    def read_dir(self, name):
        out = {}
        for entry in os.listdir(self.path(name)):
            with open(self.path(name, entry), "rb") as f:
                out[entry] = f.read()
        return out

    def contents(self):
        return sorted(self.files.values())

    def test_out_and_back_bit_for_bit(self):
        message = self.write("m.eml", self.build("--text", self.write("t", "Hallo Bob,\nschöne Grüße\n")))
        told = self.json(message, "--extract", self.path("out"))
        self.assertEqual(len(told["extracted"]), len(self.files))
        out = self.read_dir("out")
        self.assertEqual(sorted(out.values()), self.contents())
        self.assertEqual(out["Grüße aus 東京.pdf"], self.files["Grüße aus 東京.pdf"])
        self.assertEqual(out["a b;c=_d_.bin"], self.files['a b;c="d".bin'])
        view = self.json(message)
        self.assertEqual(view["defects"], [])
        self.assertEqual(view["facts"]["subject"], "Schöne Grüße ⛵")
        self.assertEqual(view["facts"]["from"], [{"name": "Ann Müller", "address": "ann@here.test", "group": None}])
        self.assertEqual([a["name"] for a in view["attachments"]], list(self.files))
        hashes = [hashlib.sha256(octets).hexdigest() for octets in self.files.values()]
        self.assertEqual([a["sha256"] for a in view["attachments"]], hashes)
        words = self.run_it(message).decode()
        self.assertIn("Subject: Schöne Grüße ⛵\n", words)
        self.assertIn("attachment: Grüße aus 東京.pdf, file, application/pdf, 10007 octets\n", words)

    def test_python_reads_what_we_write(self):
        text = "Hallo Bob,\nschöne Grüße\n"
        html = "<p>Hallo <img src=\"cid:boat@here.test\"></p>\n"
        octets = self.build(
            "--text", self.write("t", text), "--html", self.write("h", html),
            "--inline", "boat@here.test=" + self.path("in", "all.bin") + ":image/png", "--header", "X-Test: ja, schön",
            "--in-reply-to", "m0@there.test", "--references", "m0@there.test",
        )
        message = email.message_from_bytes(octets, policy=email.policy.default)
        self.assertEqual(message["Subject"], "Schöne Grüße ⛵")
        self.assertEqual(message["From"].addresses[0].display_name, "Ann Müller")
        self.assertEqual(message["X-Test"], "ja, schön")
        self.assertEqual(message["Date"].datetime.isoformat(), "2026-11-23T01:00:00+01:00")
        self.assertEqual(message.get_body(("plain",)).get_content(), text.replace("\n", "\r\n"))
        self.assertEqual(message.get_body(("html",)).get_content(), html.replace("\n", "\r\n"))
        attached = list(message.iter_attachments())
        self.assertEqual([part.get_filename() for part in attached], list(self.files))
        self.assertEqual([part.get_payload(decode=True) for part in attached], list(self.files.values()))
        picture = next(part for part in message.walk() if part["Content-ID"] == "<boat@here.test>")
        self.assertEqual(picture.get_payload(decode=True), self.files["all.bin"])
        for part in message.walk():
            self.assertEqual(part.defects, [])

    def test_we_read_what_python_writes(self):
        message = EmailMessage()
        message["From"] = "Ann Müller <ann@here.test>"
        message["Subject"] = "Schöne Grüße aus dem schönen München an alle, die es lesen wollen ⛵"
        message.set_content("Grüße\n", cte="quoted-printable")
        for name, octets in self.files.items():
            message.add_attachment(octets, maintype="application", subtype="x-test", filename=name)
        path = self.write("p.eml", message.as_bytes())
        view = self.json(path)
        self.assertEqual(view["facts"]["subject"], message["Subject"])
        self.assertEqual([a["name"] for a in view["attachments"]], list(self.files))
        self.assertEqual(view["parts"][1]["text"], "Grüße\n")
        self.run_it(path, "--extract", self.path("out"))
        self.assertEqual(sorted(self.read_dir("out").values()), self.contents())

    def test_munpack_ripmime_and_reformime_read_what_we_write(self):
        message = self.write("m.eml", self.build("--text", self.write("t", "Hello\n")))
        commands = {
            "munpack": ["munpack", "-q", "-f", "-C", self.path("munpack"), message],
            "ripmime": ["ripmime", "-i", message, "-d", self.path("ripmime"), "--overwrite"],
        }
        for name, command in commands.items():
            os.mkdir(self.path(name))
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            found = list(self.read_dir(name).values())
            for octets in self.contents():
                # munpack writes no file for nothing.
                self.assertTrue(octets in found or octets == b"", f"{name}: {octets[:40]!r} is missing")
        with open(message, "rb") as f:
            shown = subprocess.run(["reformime", "-s", "1.5", "-e"], stdin=f, check=True, capture_output=True, timeout=60).stdout
        self.assertEqual(shown, list(self.files.values())[3])
        with open(message, "rb") as f:
            info = subprocess.run(["reformime", "-i"], stdin=f, check=True, capture_output=True, timeout=60).stdout.decode()
        self.assertEqual(info.count("\nsection: 1."), 1 + len(self.files))

    def test_we_read_what_mpack_writes(self):
        subprocess.run(
            ["mpack", "-s", "noise", "-o", self.path("mpack.eml"), self.path("in", "noise.bin")], check=True, timeout=60,
        )
        self.run_it(self.path("mpack.eml"), "--extract", self.path("out"))
        self.assertIn(self.files["noise.bin"], self.read_dir("out").values())

    def test_sections_are_octets_of_the_file(self):
        inner = self.build("--text", self.write("t", "inner\n"))
        octets = self.run_it(
            "build", "--from", "ann@here.test", "--text", self.write("t", "outer\n"), "--attach", self.write("inner.eml", inner))
        message = self.write("m.eml", octets)
        self.assertEqual(self.run_it(message, "--raw", ""), octets)
        self.assertEqual(self.run_it(message, "--raw", "2"), inner)
        self.assertEqual(self.run_it(message, "--raw", "2.1"), b"inner\r\n")
        header, _, text = octets.partition(b"\r\n\r\n")
        self.assertEqual(self.run_it(message, "--raw", "HEADER"), header + b"\r\n\r\n")
        self.assertEqual(self.run_it(message, "--raw", "text"), text)
        for part in self.json(message)["parts"]:
            body = octets[part["body"]["start"]:part["body"]["end"]]
            self.assertEqual(self.run_it(message, "--raw", part["section"]), body, part["section"])
        self.run_it(message, "--raw", "9", code=1)
        self.run_it(message, "--raw", "HEADERS", code=1)

    def test_a_film_does_not_enter_the_memory(self):
        film = self.path("film.mp4")
        with open(film, "wb") as f:
            f.truncate(40 * 1024 * 1024)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        told = subprocess.run(
            ["/usr/bin/env", "python3", "-c", (
                "import resource,subprocess,sys\n"
                "subprocess.run(sys.argv[1:], check=True)\n"
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
             , lab.binary(), "mime", "build", "--from", "ann@here.test", "--attach", film, "--output", self.path("film.eml")],
            check=True, capture_output=True, timeout=300)
        resident_kib = int(told.stdout.split()[-1])
        self.assertGreater(os.path.getsize(self.path("film.eml")), 40 * 1024 * 1024 * 76 // 57)
        self.assertLess(resident_kib, 36 * 1024, f"{before} before")

    def test_nothing_can_be_smuggled_in(self):
        build = ["build", "--from", "ann@here.test"]
        self.run_it(*build, "--header", "Bcc: x@y.test", code=1)
        self.run_it(*build, "--header", "X-A: b\r\nBcc: x@y.test", code=1)
        self.run_it(*build, "--to", "a@b.test\r\nBcc: x@y.test", code=1)
        self.run_it(*build, "--message-id", "a@b>\r\nBcc: x", code=1)
        octets = self.run_it(*build, "--subject", "a\r\nBcc: x@y.test\r\n\r\nbody")
        self.assertNotIn("Bcc", email.message_from_bytes(octets).keys())
        self.run_it(*build, "--output", self.write("there", "mine"), code=1)
        with open(self.path("there"), "rb") as f:
            self.assertEqual(f.read(), b"mine")

    def test_reports(self):
        sent = self.write("sent.eml", self.build())
        for kind, action, part in [
            ("delivery", "delayed", "message/delivery-status"),
            ("disposition", "deleted", "message/disposition-notification"),
            ("abuse", "fraud", "message/feedback-report"),
        ]:
            octets = self.run_it(
                "build", "--from", "postmaster@here.test", "--to", "ann@here.test", "--report", kind, "--original", sent,
                "--recipient", "bob@there.test", "--action", action)
            report = email.message_from_bytes(octets, policy=email.policy.default)
            self.assertEqual(report.get_content_type(), "multipart/report")
            self.assertEqual([p.get_content_type() for p in report.iter_parts()][1], part)
            self.assertIn(action, octets.decode(errors="replace"))

    def test_what_needs_smtputf8_is_told(self):
        build = ["build", "--output"]
        told = self.json(*build, self.path("a"), "--from", "jörg@here.test")
        self.assertEqual((told["smtputf8"], told["eight_bit"]), (True, False))
        told = self.json(*build, self.path("b"), "--from", "Jörg <joerg@bücher.example>", "--text", self.write("t", "ö"), "--eight-bit")
        self.assertEqual((told["smtputf8"], told["eight_bit"]), (False, True))
        with open(self.path("b"), "rb") as f:
            self.assertTrue(re.search(rb"^From: .*<joerg@xn--bcher-kva\.example>\r$", f.read(), re.M))
