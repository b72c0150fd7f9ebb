"""The lab: a real packetboat server on loopback, messages with attachments, and the neighbours.

Only the standard library. Every server that a test starts is stopped at the test's end and its store proven
sound by `packetboat check`.
"""

import atexit
import email
import email.policy
import email.utils
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import site
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from email.message import EmailMessage

# No test asks the Secret Service of whoever runs it.
for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
    os.environ.pop(name, None)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.environ.get("PACKETBOAT", os.path.join(target, "debug", "packetboat"))


def wait_for(what, condition, seconds=20.0, every=0.05):
    """Polls until `condition` gives something true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


CERTIFICATE = []


def certificate():
    """(certificate, key) for localhost, made once a run, so that clients really verify."""
    if not CERTIFICATE:
        folder = tempfile.mkdtemp(prefix="packetboat-tls-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        client("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        os.chmod(key, 0o600)
        CERTIFICATE[:] = [cert, key]
    return CERTIFICATE


class Dns(threading.Thread):
    """A tiny authoritative resolver: {(name, type): [rdata bytes]}; anything else does not exist."""

    A, MX = 1, 15

    def __init__(self, records):
        super().__init__(daemon=True)
        self.records = {(n.lower().rstrip("."), t): v for (n, t), v in records.items()}
        self.names = {n for n, _ in self.records}
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.start()

    @staticmethod
    def name(text):
        return b"".join(bytes([len(p)]) + p.encode() for p in text.rstrip(".").split(".")) + b"\0"

    @classmethod
    def mx(cls, preference, host):
        return struct.pack(">H", preference) + cls.name(host)

    def run(self):
        while True:
            try:
                data, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            labels, at = [], 12
            while data[at]:
                labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1"))
                at += 1 + data[at]
            at += 1
            (kind,) = struct.unpack(">H", data[at : at + 2])
            asked = ".".join(labels).lower()
            answers = self.records.get((asked, kind), [])
            known = asked in self.names
            question = data[12 : at + 4]
            head = data[:2] + struct.pack(">HHHHH", 0x8580 | (0 if known else 3), 1, len(answers), 0, 0)
            body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(a)) + a for a in answers)
            self.sock.sendto(head + question + body, peer)

    def close(self):
        self.sock.close()


class Server:
    """`packetboat serve` with every listener on a free loopback port."""

    def __init__(self, domain="here.test", extra="", top="", auth="loopback", accounts=(), data=None, keep=False, start_with=(), password="correct horse", also=()):
        self.domain = domain
        self.keep = keep
        self.dir = data or tempfile.mkdtemp(prefix="packetboat-lab-")
        self.config = os.path.join(self.dir, "packetboat.toml")
        self.password = password
        self.ports = {}
        self.process = None
        if not os.path.exists(self.config):
            self.write_config(extra, top, auth, also)
        for account in accounts:
            self.account(account)
        if start_with:
            lines = "".join(f"{name}@{domain},{self.password}\n" for name in start_with)
            self.run("account", "add", "--csv", "-", stdin=lines)

    def write_config(self, extra, top, auth, also=()):
        cert, key = certificate()
        listeners = "".join(
            f'{name} = ["127.0.0.1:0"]\n'
            for name in ("smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", *also)
        )
        with open(self.config, "w") as f:
            f.write(
                f'hostname = "mail.{self.domain}"\ndata_dir = "{self.dir}/data"\ndomains = ["{self.domain}"]\n{top}\n'
                f'[listen]\n{listeners}\n[tls]\ncertificate = "{cert}"\nprivate_key = "{key}"\n'
                f'[auth]\nplaintext = "{auth}"\n{extra}\n'
            )

    def run(self, *arguments, stdin=None, ok=True):
        done = subprocess.run(
            [binary(), *arguments, "--config", self.config],
            input=stdin, capture_output=True, text=True, timeout=120,
        )
        if ok and done.returncode != 0:
            raise AssertionError(f"packetboat {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def account(self, name, password=None, *options):
        address = name if "@" in name else f"{name}@{self.domain}"
        self.run("account", "add", address, "--password-stdin", *options, stdin=(password or self.password) + "\n")
        return address

    def start(self):
        self.log = open(os.path.join(self.dir, "server.log"), "ab")
        at = self.log.tell()
        self.process = subprocess.Popen(
            [binary(), "serve", "--config", self.config], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )

        def ready():
            if self.process.poll() is not None:
                raise AssertionError("the server ended:\n" + self.log_text(at))
            return re.search(r"^packetboat ready$", self.log_text(at), re.M)

        wait_for("packetboat ready", ready, 60)
        for name, port in re.findall(r"^listening (\w+) 127\.0\.0\.1:(\d+)", self.log_text(at), re.M):
            self.ports[name] = int(port)
        return self

    def log_text(self, at=0):
        with open(os.path.join(self.dir, "server.log"), "rb") as f:
            f.seek(at)
            return f.read().decode("utf-8", "replace")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("SIGTERM did not stop the server in 30 s\n" + self.log_text()[-4000:])
        finally:
            self.process = None
        assert code == 0, f"the server ended with {code}\n" + self.log_text()[-4000:]

    def check(self):
        done = self.run("check", ok=False)
        assert done.returncode == 0, "check:\n" + done.stdout + done.stderr

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
            if kind is None:
                self.check()
            else:
                print("--- server log\n" + self.log_text()[-6000:])
        finally:
            if not self.keep:
                shutil.rmtree(self.dir, ignore_errors=True)


class Wire:
    """The dialogues of an account from now on, as `packetboat wire` shows them."""

    def __init__(self, server, account="bob@here.test"):
        self.process = subprocess.Popen([binary(), "wire", "--account", account, "--json", "--config", server.config], stdout=subprocess.PIPE, text=True)
        self.steps = []
        assert json.loads(self.process.stdout.readline()) == {"watching": account}
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.steps.append(json.loads(line))

    def lines(self, side="client"):
        return [step["line"] for step in list(self.steps) if step["side"] == side and step["protocol"] == "imap"]

    def said(self, *patterns, side="client"):
        """Each pattern is found in a line of its own (`^` is behind the tag); what comes over the control socket may lag a little behind."""
        for pattern in patterns:
            try:
                wait_for(pattern, lambda p=pattern.replace("^", r"^\S+ "): any(re.search(p, line) for line in self.lines(side)), 5)
            except AssertionError as e:
                raise AssertionError(f"no {side} said {pattern}:\n" + "\n".join(self.lines(side))) from e

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()


def libraries(name):
    """Puts what `NAME.txt` beside this file pins into Python's path: installed once, anew when the list or the Python is another."""
    listed = os.path.join(ROOT, "tests", "clients", f"{name}.txt")
    with open(listed, "rb") as f:
        stamp = hashlib.sha256(f.read() + sys.version.encode()).hexdigest()[:12]
    folder = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), f"{name}-{stamp}")
    done = os.path.join(folder, "done")
    if not os.path.exists(done):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [os.path.join(folder, "bin", "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--no-deps", "-r", listed], check=True, timeout=600)
        open(done, "w").close()
    site.addsitedir(os.path.join(folder, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages"))


def modules(name):
    """The folder with the `node_modules` that `NAME/package-lock.json` beside this file pins: installed once, anew when it changes."""
    listed = os.path.join(ROOT, "tests", "clients", name)
    with open(os.path.join(listed, "package-lock.json"), "rb") as f:
        stamp = hashlib.sha256(f.read()).hexdigest()[:12]
    folder = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), f"{name}-{stamp}")
    done = os.path.join(folder, "done")
    if not os.path.exists(done):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(listed, file), folder)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True, timeout=600, stdout=subprocess.DEVNULL)
        open(done, "w").close()
    return folder


# ---- messages

def png(width=64, height=48):
    """A real PNG, made here."""
    rows = b"".join(b"\0" + bytes((x * 4 & 255, y * 5 & 255, 128) [i] for x in range(width) for i in range(3)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def pdf():
    return (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
            b"trailer<</Root 1 0 R>>\n%%EOF\n")


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("one.txt", "one\n" * 1000)
        z.writestr("zwei.bin", bytes(range(256)) * 16)
    return out.getvalue()


def film(megabytes=20, seed=7):
    return random.Random(seed).randbytes(megabytes * 1024 * 1024)


ATTACHMENTS = [("bild ä.png", "image", "png", png()), ("paper.pdf", "application", "pdf", pdf()), ("things.zip", "application", "zip", zipped())]


def message(sender, to, subject, attachments=(), text="Hello.\n.\n..dots\nGrüße\n", seed=None):
    m = EmailMessage(policy=email.policy.SMTP)
    m["From"], m["To"], m["Subject"] = sender, to, subject
    m["Date"] = email.utils.formatdate(1790000000)
    m["Message-ID"] = f"<{seed or hashlib.sha256(subject.encode()).hexdigest()[:16]}@lab.test>"
    m.set_content(text, cte="quoted-printable")
    for name, main, sub, data in attachments:
        m.add_attachment(data, maintype=main, subtype=sub, filename=name)
    return m


def wire(m):
    """The message as octets with CRLF."""
    return m.as_bytes(policy=email.policy.SMTP)


def attachments_of(octets):
    m = email.message_from_bytes(octets, policy=email.policy.default)
    return [(p.get_filename(), p.get_content_type(), p.get_payload(decode=True)) for p in m.iter_attachments()]


def assert_attachments(octets, expected):
    got = attachments_of(octets)
    want = [(n, f"{a}/{b}", d) for n, a, b, d in expected]
    assert [(n, t) for n, t, _ in got] == [(n, t) for n, t, _ in want], [(n, t) for n, t, _ in got]
    for (name, _, data), (_, _, sent) in zip(got, want):
        assert data == sent, f"{name}: {len(data or b'')} octets came of {len(sent)}, or others"


def without_trace(octets):
    """Drops the trace fields that servers put in front, to compare with what was sent."""
    while re.match(rb"(?i)(received|return-path|delivered-to|x-[a-z-]+):", octets):
        octets = re.sub(rb"\A[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*", b"", octets, count=1)
    return octets


def secret(directory, name, text):
    """A file that only the owner reads."""
    path = os.path.join(directory, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as f:
        f.write(text)
    return path


def client(*command, stdin=None, env=None, ok=True, seconds=120, cwd=None):
    """Runs a client; its output is the error's text."""
    done = subprocess.run(command, input=stdin or b"", capture_output=True, timeout=seconds, cwd=cwd,
                          env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})
    if ok and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout.decode(errors='replace')}\n{done.stderr.decode(errors='replace')}")
    return done
