"""`mail add` finds the servers by itself: SRV records, autoconfig files, guesses under TLS. Names come from a resolver of the
test, servers stand on addresses of their own in 127.0.0.0/8, and every certificate is looked at."""

import os
import random
import shutil
import socket
import ssl
import struct
import tempfile
import threading
import unittest

import lab
from dovecot import PASSWORD
from test_moving import fill, imap
from test_program import Program

SRV, A, MX = 33, 1, 15


def srv(priority, weight, port, target):
    return struct.pack(">HHH", priority, weight, port) + lab.Dns.name(target)


def srv_none():
    return struct.pack(">HHH", 0, 0, 0) + b"\0"


class Authority:
    """A root, and certificates for the names that a test wants."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self.root = os.path.join(folder, "root.pem")
        self.key = os.path.join(folder, "root.key")
        lab.client("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                   "-keyout", self.key, "-out", self.root, "-subj", "/CN=root of a test")

    def context(self, *names):
        self.count += 1
        base = os.path.join(self.folder, f"leaf{self.count}")
        lab.client("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                   "-keyout", base + ".key", "-out", base + ".csr", "-subj", f"/CN={names[0]}")
        with open(base + ".ext", "w") as f:
            f.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\nbasicConstraints=CA:FALSE\n")
        lab.client("openssl", "x509", "-req", "-in", base + ".csr", "-CA", self.root, "-CAkey", self.key, "-CAcreateserial",
                   "-days", "2", "-extfile", base + ".ext", "-out", base + ".pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(base + ".pem", base + ".key")
        return context


class Tls(threading.Thread):
    """TLS at (ip, port): hands the stream to `serve`."""

    def __init__(self, test, ip, port, context, serve):
        super().__init__(daemon=True)
        self.context, self.serve = context, serve
        self.listener = socket.create_server((ip, port))
        self.port = self.listener.getsockname()[1]
        test.addCleanup(self.listener.close)
        self.start()

    def run(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(plain,), daemon=True).start()

    def one(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as stream:
                self.serve(stream)
        except OSError:
            pass


def forward(port):
    """To a plain port of this machine."""
    def serve(stream):
        other = socket.create_connection(("127.0.0.1", port))

        def back():
            try:
                while data := other.recv(65536):
                    stream.sendall(data)
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

        threading.Thread(target=back, daemon=True).start()
        while data := stream.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    return serve


def site(pages, asked):
    """A web server of {path: (status, headers, body)}."""
    def serve(stream):
        text = b""
        while b"\r\n\r\n" not in text:
            piece = stream.recv(4096)
            if not piece:
                return
            text += piece
        path = text.split(b" ")[1].decode()
        asked.append(path)
        status, headers, body = pages.get(path.split("?")[0], ("404 Not Found", "", ""))
        stream.sendall(f"HTTP/1.1 {status}\r\n{headers}Content-Type: application/xml\r\nConnection: close\r\n\r\n{body}".encode())
        stream.unwrap()
    return serve


def autoconfig(host, imaps, smtps):
    return f"""<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="x"><domain>x</domain>
<incomingServer type="pop3"><hostname>{host}</hostname><port>1</port><socketType>SSL</socketType></incomingServer>
<incomingServer type="imap"><hostname>{host}</hostname><port>{imaps}</port><socketType>SSL</socketType>
<authentication>password-cleartext</authentication><username>%EMAILLOCALPART%</username></incomingServer>
<outgoingServer type="smtp"><hostname>{host}</hostname><port>{smtps}</port><socketType>SSL</socketType>
<username>%EMAILADDRESS%</username></outgoingServer></emailProvider></clientConfig>"""


class Discovery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="packetboat-names-")
        cls.authority = Authority(cls.folder)
        cls.provider = lab.Server(accounts=("ann",), password=PASSWORD).start()
        fill(imap(cls.provider.ports["imap"], "ann"), {"INBOX": 2})

    @classmethod
    def tearDownClass(cls):
        cls.provider.__exit__(None, None, None)
        shutil.rmtree(cls.folder, True)

    def setUp(self):
        chance = random.Random()
        self.ip = "127.%d.%d.%d" % tuple(chance.randrange(1, 250) for _ in range(3))

    def address(self):
        return [socket.inet_aton(self.ip)]

    def mail_servers(self, context, imaps=0, smtps=0):
        made = [Tls(self, self.ip, imaps, context, forward(self.provider.ports["imap"])),
                Tls(self, self.ip, smtps, context, forward(self.provider.ports["submission"]))]
        return [one.port for one in made]

    def add(self, records, ok=True, address="ann@here.test", words=()):
        dns = lab.Dns(records)
        self.addCleanup(dns.close)
        mail = Program(self)
        told = mail("add", address, "--dns", f"127.0.0.1:{dns.port}", "--tls-ca", self.authority.root, "--password-stdin", *words,
                    stdin=PASSWORD + "\n", ok=ok)
        if ok:
            self.assertEqual(told["warnings"], [])
            self.assertEqual(mail("sync")["downloaded"], 2)
        return told

    def found(self, told):
        return {one["service"]: (one["server"], one["how"], one["outside_the_domain"]) for one in told["found"]}

    def test_by_srv_records(self):
        imaps, smtps = self.mail_servers(self.authority.context("mail.here.test"))
        told = self.found(self.add({
            ("_imaps._tcp.here.test", SRV): [srv(10, 1, 1, "mail.here.test"), srv(5, 1, imaps, "mail.here.test")],
            ("_submissions._tcp.here.test", SRV): [srv(0, 1, smtps, "mail.here.test")],
            ("mail.here.test", A): self.address(),
        }))
        self.assertEqual(told["imap"][0], f"imaps://mail.here.test:{imaps}")
        self.assertEqual(told["submission"][0], f"smtps://mail.here.test:{smtps}")
        self.assertIn("SRV record _imaps._tcp.here.test", told["imap"][1])
        self.assertFalse(told["imap"][2])

    def test_a_server_outside_the_domain_is_told(self):
        imaps, smtps = self.mail_servers(self.authority.context("mx.provider.test"))
        told = self.found(self.add({
            # The domain says that there is no POP3, and nothing of IMAP without TLS.
            ("_pop3s._tcp.here.test", SRV): [srv_none()],
            ("_imaps._tcp.here.test", SRV): [srv(0, 1, imaps, "mx.provider.test")],
            ("_submissions._tcp.here.test", SRV): [srv(0, 1, smtps, "mx.provider.test")],
            ("mx.provider.test", A): self.address(),
        }))
        self.assertTrue(told["imap"][2] and told["submission"][2])

    def test_by_the_domains_own_autoconfig_after_a_redirect(self):
        imaps, smtps = self.mail_servers(self.authority.context("mail.here.test"))
        asked = []
        pages = {"/mail/config-v1.1.xml": ("302 Found", "Location: https://autoconfig.here.test/moved.xml\r\n", ""),
                 "/moved.xml": ("200 OK", "", autoconfig("mail.here.test", imaps, smtps))}
        Tls(self, self.ip, 443, self.authority.context("autoconfig.here.test"), site(pages, asked))
        told = self.add({("autoconfig.here.test", A): self.address(), ("mail.here.test", A): self.address()})
        self.assertEqual(self.found(told)["imap"][0], f"imaps://mail.here.test:{imaps}")
        self.assertIn("autoconfig file https://autoconfig.here.test/mail/config-v1.1.xml", self.found(told)["imap"][1])
        self.assertEqual(told["added"]["login"], "ann", "as the file says")
        self.assertEqual(asked, ["/mail/config-v1.1.xml?emailaddress=ann@here.test", "/moved.xml"])

    def test_by_the_well_known_place(self):
        imaps, smtps = self.mail_servers(self.authority.context("mail.here.test"))
        asked = []
        pages = {"/.well-known/autoconfig/mail/config-v1.1.xml": ("200 OK", "", autoconfig("mail.here.test", imaps, smtps))}
        Tls(self, self.ip, 443, self.authority.context("here.test"), site(pages, asked))
        told = self.add({("here.test", A): self.address(), ("mail.here.test", A): self.address()})
        self.assertIn("https://here.test/.well-known/autoconfig", self.found(told)["submission"][1])

    def test_by_the_provider_that_the_mx_names(self):
        imaps, smtps = self.mail_servers(self.authority.context("mail.provider.test"))
        asked = []
        pages = {"/mail/config-v1.1.xml": ("200 OK", "", autoconfig("mail.provider.test", imaps, smtps))}
        Tls(self, self.ip, 443, self.authority.context("autoconfig.provider.test"), site(pages, asked))
        told = self.add({("here.test", MX): [lab.Dns.mx(5, "mx1.provider.test")], ("autoconfig.provider.test", A): self.address(),
                         ("mail.provider.test", A): self.address()})
        self.assertEqual(self.found(told)["imap"][0], f"imaps://mail.provider.test:{imaps}")

    def test_by_a_guess_under_tls(self):
        self.mail_servers(self.authority.context("imap.here.test", "smtp.here.test"), imaps=993, smtps=465)
        told = self.found(self.add({("imap.here.test", A): self.address(), ("smtp.here.test", A): self.address()}))
        self.assertEqual((told["imap"][0], told["submission"][0]), ("imaps://imap.here.test:993", "smtps://smtp.here.test:465"))
        self.assertIn("guess", told["imap"][1])

    def test_a_certificate_of_another_name_is_no_server(self):
        imaps, _ = self.mail_servers(self.authority.context("eve.test"), imaps=993)
        records = {("_imaps._tcp.here.test", SRV): [srv(0, 1, imaps, "mail.here.test")], ("mail.here.test", A): self.address(),
                   ("imap.here.test", A): self.address()}
        told = self.add(records, ok=False)
        self.assertIn("no IMAP or POP3 server of here.test was found", told["error"])
        for step in ("SRV _imaps._tcp.here.test: no use", "https://autoconfig.here.test/mail/config-v1.1.xml: no such name", "imaps://imap.here.test:993: no use"):
            self.assertIn(step, told["error"])
