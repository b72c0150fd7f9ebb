"""Signing in by every mechanism with Python's own imaplib, poplib and smtplib, and the operator's commands around it."""

import base64
import hashlib
import hmac
import imaplib
import json
import os
import poplib
import re
import secrets
import shutil
import smtplib
import ssl
import tempfile
import time
import unittest

import lab

PASSWORD = "correct horse"
ANN = "ann@here.test"
# Off by itself: some programs choose -PLUS and cannot bind.
PLUS = 'mechanisms = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"]'


def b64(octets):
    return base64.b64encode(octets).decode()


def b64url(octets):
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


class Scram:
    """A client of SCRAM-SHA-256(-PLUS), RFC 5802; `binding` is (name, octets) or None."""

    def __init__(self, login, password, binding=None):
        self.password = password.encode()
        self.header = f"p={binding[0]},," if binding else "n,,"
        self.bound = binding[1] if binding else b""
        self.nonce = secrets.token_hex(12)
        self.bare = f"n={login},r={self.nonce}"
        self.proved = False

    def answer(self, challenge):
        challenge = bytes(challenge or b"")
        if not challenge:
            return (self.header + self.bare).encode()
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        if "v" in fields:
            self.proved = base64.b64decode(fields["v"]) == self.signature
            return b""
        assert fields["r"].startswith(self.nonce)
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        key = lambda name: hmac.digest(salted, name, "sha256")
        client_key = key(b"Client Key")
        last = f"c={b64(self.header.encode() + self.bound)},r={fields['r']}"
        everything = f"{self.bare},{challenge.decode()},{last}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), everything, "sha256")
        self.signature = hmac.digest(key(b"Server Key"), everything, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        return f"{last},p={b64(proof)}".encode()


class Token:
    """OAUTHBEARER (RFC 7628) and XOAUTH2; keeps what the server says of a token it does not take."""

    def __init__(self, first, end):
        self.first, self.end, self.why = first, end, None

    def answer(self, challenge):
        if not challenge:
            return self.first
        self.why = json.loads(bytes(challenge))
        return self.end


def bearer(login, token):
    return Token(f"n,a={login},\1auth=Bearer {token}\1\1".encode(), b"\1")


def xoauth2(login, token):
    return Token(f"user={login}\1auth=Bearer {token}\1\1".encode(), b"")


class Clients:
    """One sign-in by each protocol: True or False."""

    def __init__(self, server, chain=None):
        self.ports = server.ports
        self.tls = ssl.create_default_context(cafile=lab.certificate()[0])
        if chain:
            self.tls.load_cert_chain(*chain)

    def end_point(self, sock):
        return ("tls-server-end-point", hashlib.sha256(sock.getpeercert(binary_form=True)).digest())

    def imap(self, mechanism, make, implicit=True):
        if implicit:
            c = imaplib.IMAP4_SSL("localhost", self.ports["imaps"], ssl_context=self.tls)
        else:
            c = imaplib.IMAP4("localhost", self.ports["imap"])
            c.starttls(self.tls)
        with c:
            if f"AUTH={mechanism}" not in c.capabilities:
                return None
            try:
                c.authenticate(mechanism, make(c.sock).answer)
                return c.select()[0] == "OK"
            except imaplib.IMAP4.error:
                return False

    def smtp(self, mechanism, make, implicit=True):
        if implicit:
            c = smtplib.SMTP_SSL("localhost", self.ports["submissions"], context=self.tls)
        else:
            c = smtplib.SMTP("localhost", self.ports["submission"])
            c.starttls(context=self.tls)
        with c:
            c.ehlo()
            if mechanism not in c.esmtp_features.get("auth", "").split():
                return None
            client = make(c.sock)
            code, reply = c.docmd("AUTH", mechanism)
            while code == 334:
                code, reply = c.docmd(b64(client.answer(base64.b64decode(reply))))
            return code == 235

    def pop(self, mechanism, make, implicit=True):
        if implicit:
            c = poplib.POP3_SSL("localhost", self.ports["pop3s"], context=self.tls)
        else:
            c = poplib.POP3("localhost", self.ports["pop3"])
            c.stls(self.tls)
        try:
            if mechanism not in c.capa().get("SASL", []):
                return None
            client = make(c.sock)
            line = f"AUTH {mechanism}"
            while True:
                c._putcmd(line)
                try:
                    reply = c._getline()[0]
                except poplib.error_proto:
                    return False
                if not reply.startswith(b"+ ") and reply != b"+":
                    return reply.startswith(b"+OK")
                line = b64(client.answer(base64.b64decode(reply[2:])))
        finally:
            c.close()

    def each(self, mechanism, make, implicit=True):
        return [way(mechanism, make, implicit) for way in (self.imap, self.smtp, self.pop)]


class SignIn(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="packetboat-sign-in-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def test_scram_plus_binds_to_the_channel(self):
        """RFC 5802, RFC 5929: with the right end point in, with another out; by both kinds of TLS."""
        with lab.Server(extra=PLUS, start_with=["ann"]) as server:
            clients = Clients(server)
            right = lambda sock: Scram(ANN, PASSWORD, clients.end_point(sock))
            wrong = lambda sock: Scram(ANN, PASSWORD, ("tls-server-end-point", bytes(32)))
            for implicit in (True, False):
                self.assertEqual(clients.each("SCRAM-SHA-256-PLUS", right, implicit), [True] * 3)
                self.assertEqual(clients.each("SCRAM-SHA-256", lambda _: Scram(ANN, PASSWORD), implicit), [True] * 3)
            self.assertEqual(clients.each("SCRAM-SHA-256-PLUS", wrong), [False] * 3)
            self.assertEqual(clients.each("SCRAM-SHA-256-PLUS", lambda _: Scram(ANN, PASSWORD)), [False] * 3)
            # Where TLS does not end here there is nothing to bind to.
            with imaplib.IMAP4("localhost", server.ports["imap"]) as plain:
                self.assertNotIn("AUTH=SCRAM-SHA-256-PLUS", plain.capabilities)
                self.assertIn("AUTH=SCRAM-SHA-256", plain.capabilities)

    def test_gsasl_binds_to_the_channel(self):
        """RFC 9266: GNU SASL with GnuTLS binds by tls-exporter under TLS 1.3. Under TLS 1.2 it knows tls-unique only, which is not taken."""
        with lab.Server(extra=PLUS, start_with=["ann"]) as server:
            def signed_in(protocol, port, mechanism, *more, password=PASSWORD):
                """Did it, and the first thing it said of SASL."""
                done = lab.client("gsasl", f"--{protocol}", "--starttls", f"--connect=localhost:{server.ports[port]}", f"--mechanism={mechanism}",
                                  f"--authentication-id={ANN}", f"--password={password}", f"--x509-ca-file={lab.certificate()[0]}", "--verbose", *more, ok=False)
                told = done.stdout.decode()
                first = re.search(rf"{mechanism}\r?\n(?:\+|334) ?\r?\n(\S+)", told)
                self.assertIn("TLS session info", done.stderr.decode())
                return done.returncode == 0 and "finished (server trusted)" in done.stderr.decode(), first and base64.b64decode(first[1])[:16], told

            for protocol, port in (("imap", "imap"), ("smtp", "submission")):
                with self.subTest(protocol):
                    good, first, told = signed_in(protocol, port, "SCRAM-SHA-256-PLUS")
                    self.assertEqual((good, first), (True, b"p=tls-exporter,,"), told)
                    good, first, told = signed_in(protocol, port, "SCRAM-SHA-256-PLUS", password="wrong")
                    self.assertEqual((good, first), (False, b"p=tls-exporter,,"), told)
                    good, first, told = signed_in(protocol, port, "SCRAM-SHA-256-PLUS", "--priority=NORMAL:-VERS-TLS1.3")
                    self.assertEqual((good, first[:13]), (False, b"p=tls-unique,"), told)
                    good, first, told = signed_in(protocol, port, "SCRAM-SHA-256", "--no-cb")
                    self.assertEqual((good, first[:3]), (True, b"n,,"), told)

    def test_mechanisms_are_listed_per_listener(self):
        extra = 'mechanisms = ["PLAIN", "LOGIN on submissions", "SCRAM-SHA-256-PLUS on imaps"]'
        with lab.Server(extra=extra, start_with=["ann"]) as server:
            clients = Clients(server)
            scram = lambda sock: Scram(ANN, PASSWORD, clients.end_point(sock))
            self.assertEqual(clients.each("SCRAM-SHA-256-PLUS", scram), [True, None, None])
            with smtplib.SMTP_SSL("localhost", server.ports["submissions"], context=clients.tls) as c:
                c.ehlo()
                self.assertEqual(c.esmtp_features["auth"].split(), ["PLAIN", "LOGIN"])

    def test_app_passwords_come_and_go(self):
        with lab.Server(extra=PLUS, start_with=["ann"]) as server:
            clients = Clients(server)
            made = json.loads(server.run("account", "app-password", "add", ANN, "--name", "phone", "--json").stdout)
            word = made["password"]
            self.assertRegex(word, r"^[a-z2-7]{26}$")
            by_scram = lambda sock: Scram(ANN, word, clients.end_point(sock))
            self.assertEqual(clients.each("SCRAM-SHA-256-PLUS", by_scram), [True] * 3)
            self.assertEqual(clients.each("PLAIN", lambda _: Token(f"\0{ANN}\0{word}".encode(), b"")), [True] * 3)
            # A new password of the account leaves it alone.
            server.run("account", "password", ANN, "--password-stdin", stdin="another one\n")
            self.assertEqual(clients.each("SCRAM-SHA-256-PLUS", by_scram), [True] * 3)
            self.assertEqual(clients.imap("SCRAM-SHA-256", lambda _: Scram(ANN, "another one")), True)
            listed = json.loads(server.run("account", "app-password", "list", ANN, "--json").stdout)["app_passwords"]
            self.assertEqual([row["name"] for row in listed], ["phone"])
            self.assertIn("app-1", server.run("account", "app-password", "add", ANN).stdout)
            with imaplib.IMAP4_SSL("localhost", server.ports["imaps"], ssl_context=clients.tls) as open_one:
                open_one.login(ANN, word)
                server.run("account", "app-password", "remove", ANN, "--name", "phone")
                with self.assertRaises(imaplib.IMAP4.abort):
                    for _ in range(50):
                        open_one.noop()
                        time.sleep(0.1)
            self.assertEqual(clients.each("SCRAM-SHA-256-PLUS", by_scram), [False] * 3)
            self.assertNotEqual(server.run("account", "app-password", "remove", ANN, "--name", "phone", ok=False).returncode, 0)
            self.assertNotIn(word, server.log_text())

    def token(self, key, claims, key_id="one"):
        signed = b64url(json.dumps({"alg": "RS256", "kid": key_id}).encode()) + "." + b64url(json.dumps(claims).encode())
        return signed + "." + b64url(lab.client("openssl", "dgst", "-sha256", "-sign", key, stdin=signed.encode()).stdout)

    def test_tokens_of_a_token_server(self):
        """RFC 7628 and XOAUTH2, a JWT with RS256; the reason of a refusal is JSON."""
        key = os.path.join(self.dir, "token.key")
        lab.client("openssl", "genrsa", "-out", key, "2048")
        modulus = lab.client("openssl", "rsa", "-in", key, "-noout", "-modulus").stdout.decode().strip().split("=")[1]
        keys = {"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "n": b64url(bytes.fromhex(modulus)), "e": "AQAB"}]}
        jwks = lab.secret(self.dir, "jwks.json", json.dumps(keys))
        extra = f'[oauth]\nissuer = "https://id.test"\naudience = ["mail"]\njwks_file = "{jwks}"'
        with lab.Server(extra=extra, start_with=["ann", "bob"]) as server:
            clients = Clients(server)
            claims = {"iss": "https://id.test", "aud": "mail", "exp": int(time.time()) + 600, "email": ANN}
            good, old = self.token(key, claims), self.token(key, {**claims, "exp": int(time.time()) - 600})
            for mechanism, make in (("OAUTHBEARER", bearer), ("XOAUTH2", xoauth2)):
                self.assertEqual(clients.each(mechanism, lambda _: make(ANN, good)), [True] * 3)
                self.assertEqual(clients.each(mechanism, lambda _: make("bob@here.test", good)), [False] * 3)
                told = []
                refused = lambda _: told.append(make(ANN, old)) or told[-1]
                self.assertEqual(clients.each(mechanism, refused), [False] * 3)
                self.assertEqual({client.why["status"] for client in told}, {"invalid_token" if make is bearer else "401"})
            self.assertEqual(clients.imap("OAUTHBEARER", lambda _: bearer(ANN, PASSWORD)), False)
            self.assertNotIn(good, server.log_text())

    def test_a_client_certificate_signs_in(self):
        """EXTERNAL: a pinned certificate, one of an authority, and a stranger's, which is as if there were none."""
        def made(name, *more):
            paths = os.path.join(self.dir, name + ".pem"), os.path.join(self.dir, name + ".key")
            lab.client("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                       "2", "-keyout", paths[1], "-out", paths[0], "-subj", f"/CN={name}", *more)
            return paths

        pinned, stranger, authority = made("pinned"), made("stranger"), made("authority")
        bob = made("bob", "-CA", authority[0], "-CAkey", authority[1], "-addext", "subjectAltName=email:bob@here.test",
                   "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=clientAuth")
        with open(pinned[0], encoding="ascii") as f:
            fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()
        extra = f'client_certificates = ["{ANN} {fingerprint}"]\nclient_ca = "{authority[0]}"'
        with lab.Server(extra=extra, start_with=["ann", "bob"]) as server:
            say = lambda name: lambda _: Token(name.encode(), b"")
            for implicit in (True, False):
                self.assertEqual(Clients(server, pinned).each("EXTERNAL", say(ANN), implicit), [True] * 3)
                self.assertEqual(Clients(server, pinned).each("EXTERNAL", say("bob@here.test"), implicit), [False] * 3)
                self.assertEqual(Clients(server, bob).each("EXTERNAL", say("bob@here.test"), implicit), [True] * 3)
                self.assertEqual(Clients(server, stranger).each("EXTERNAL", say(ANN), implicit), [None] * 3)
                self.assertEqual(Clients(server).each("EXTERNAL", say(ANN), implicit), [None] * 3)
            self.assertEqual(Clients(server, stranger).imap("PLAIN", lambda _: Token(f"\0{ANN}\0{PASSWORD}".encode(), b"")), True)

    def test_c14_mail_comes_by_a_resumed_session(self):
        """Lessons C14 (outlook.com as sender): TLS that goes on from an earlier connection's brings mail as the first one did, by OpenSSL."""
        with lab.Server(start_with=["ann"]) as server:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(version):
                    tls = ssl.create_default_context(cafile=lab.certificate()[0])
                    tls.minimum_version = tls.maximum_version = version
                    session, resumed = None, []
                    for number in range(3):
                        with smtplib.SMTP("localhost", server.ports["smtp"]) as c:
                            c.ehlo()
                            self.assertEqual(c.docmd("STARTTLS")[0], 220)
                            c.sock = tls.wrap_socket(c.sock, server_hostname="localhost", session=session)
                            c.file, c.helo_resp, c.ehlo_resp, c.esmtp_features, c.does_esmtp = None, None, None, {}, False
                            resumed.append(c.sock.session_reused)
                            c.sendmail("x@outlook.test", [ANN], f"Subject: {version.name} {number}\r\n\r\nx\r\n")
                            session = c.sock.session
                    self.assertEqual(resumed, [False, True, True])
            with imaplib.IMAP4("localhost", server.ports["imap"]) as c:
                c.login(ANN, PASSWORD)
                self.assertEqual(c.select(), ("OK", [b"6"]))

    def test_c17_a_client_certificate_nobody_asked_for(self):
        """Lessons C17 (Gmail as SMTP client): whoever holds a stranger's certificate is served as if there were none, asked for one or not."""
        paths = os.path.join(self.dir, "stranger.pem"), os.path.join(self.dir, "stranger.key")
        lab.client("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                   "-keyout", paths[1], "-out", paths[0], "-subj", "/CN=mail.stranger.test")
        for extra in ("", f'client_ca = "{lab.certificate()[0]}"'):
            with self.subTest(extra), lab.Server(extra=extra, start_with=["ann"]) as server:
                for versions in ((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)):
                    tls = ssl.create_default_context(cafile=lab.certificate()[0])
                    tls.minimum_version, tls.maximum_version = versions
                    tls.load_cert_chain(*paths)
                    with smtplib.SMTP("localhost", server.ports["smtp"]) as c:
                        c.starttls(context=tls)
                        c.sendmail("x@stranger.test", [ANN], "Subject: by a stranger\r\n\r\nx\r\n")
                with imaplib.IMAP4_SSL("localhost", server.ports["imaps"], ssl_context=tls) as c:
                    c.login(ANN, PASSWORD)
                    self.assertEqual(c.select(), ("OK", [b"2"]))

    def test_unblock_works_with_and_without_a_server(self):
        with lab.Server(start_with=["ann"]) as server:
            self.assertEqual(json.loads(server.run("unblock", "--all", "--json").stdout), {"forgotten": 0, "running": True})
            server.run("unblock", ANN)
            server.run("unblock", "192.0.2.7")
            server.stop()
            self.assertEqual(json.loads(server.run("unblock", ANN, "--json").stdout), {"forgotten": 0, "running": False})
