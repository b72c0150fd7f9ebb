"""Signing in with tokens: a scripted provider on loopback gives them out by device code and by browser, and renews them; our own
server, which knows the provider's key, is the mail server."""

import base64
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

import lab
from dovecot import PASSWORD
from test_moving import fill, imap
from test_program import Program
from test_sign_in import b64url


class Provider:
    """Issuer, token endpoint, device endpoint and browser page of one client."""

    def __init__(self, test, lives=600, email="ann@here.test"):
        self.dir = tempfile.mkdtemp(prefix="packetboat-oauth-")
        test.addCleanup(shutil.rmtree, self.dir, True)
        self.key = os.path.join(self.dir, "token.key")
        lab.client("openssl", "genrsa", "-out", self.key, "2048")
        modulus = lab.client("openssl", "rsa", "-in", self.key, "-noout", "-modulus").stdout.decode().strip().split("=")[1]
        keys = {"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "n": b64url(bytes.fromhex(modulus)), "e": "AQAB"}]}
        self.jwks = lab.secret(self.dir, "jwks.json", json.dumps(keys))
        self.lives, self.asked, self.pending, self.challenge, self.email = lives, [], 2, None, email
        self.refuses = {}
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def say(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                url = urllib.parse.urlparse(self.path)
                if url.path == "/.well-known/openid-configuration":
                    base = provider.issuer
                    return self.say(200, {"authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token",
                                          "device_authorization_endpoint": base + "/device"})
                if url.path == "/authorize":
                    query = dict(urllib.parse.parse_qsl(url.query))
                    provider.challenge = query["code_challenge"]
                    assert query["code_challenge_method"] == "S256" and query["client_id"] == "my-program"
                    back = urllib.parse.urlencode({"code": "c-1", "state": query["state"]})
                    self.send_response(302)
                    self.send_header("Location", query["redirect_uri"] + "?" + back)
                    return self.end_headers()
                if url.path == "/keys":
                    return self.say(200, keys)
                self.say(404, {})

            def do_POST(self):
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                provider.asked.append((self.path, form))
                self.say(*provider.answer(self.path, form))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)

    def token(self):
        claims = {"iss": "https://id.test", "aud": "mail", "exp": int(time.time()) + 600, "email": self.email}
        signed = b64url(json.dumps({"alg": "RS256", "kid": "one"}).encode()) + "." + b64url(json.dumps(claims).encode())
        return signed + "." + b64url(lab.client("openssl", "dgst", "-sha256", "-sign", self.key, stdin=signed.encode()).stdout)

    def answer(self, path, form):
        if form.get("client_id") != "my-program":
            return 401, {"error": "invalid_client"}
        if path == "/device":
            return 200, {"device_code": "d-1", "user_code": "ABCD-EFGH", "verification_uri": "https://id.test/device", "interval": 1, "expires_in": 60}
        kind = form["grant_type"]
        if kind.rsplit(":")[-1] in self.refuses:
            return 400, {"error": self.refuses[kind.rsplit(":")[-1]]}
        if kind.endswith("device_code") and form["device_code"] == "d-1":
            self.pending -= 1
            if self.pending >= 0:
                return 400, {"error": "authorization_pending"}
        elif kind == "authorization_code":
            digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
            if form["code"] != "c-1" or digest != self.challenge:
                return 400, {"error": "invalid_grant"}
        elif kind != "refresh_token" or form["refresh_token"] != "r-1":
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": self.token(), "token_type": "Bearer", "expires_in": self.lives,
                     **({} if kind == "refresh_token" else {"refresh_token": "r-1"})}

    def options(self, by_url=False):
        keys = f'jwks_url = "{self.issuer}/keys"' if by_url else f'jwks_file = "{self.jwks}"'
        return f'[oauth]\nissuer = "https://id.test"\naudience = ["mail"]\n{keys}'


class OAuth(unittest.TestCase):
    def add(self, mail, server, provider, flow, on_line):
        """Runs `mail add`; what it says on standard error is handed on line by line."""
        process = subprocess.Popen(
            [lab.binary(), "mail", "--data", mail.dir, "--json", "add", "ann@here.test", "--imap", f"imap://127.0.0.1:{server.ports['imap']}",
             "--smtp", f"smtp://127.0.0.1:{server.ports['submission']}", "--oauth", "my-program", "--oauth-issuer", provider.issuer,
             "--oauth-flow", flow], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        said = ""
        for line in process.stderr:
            said += line
            on_line(line)
        out = process.stdout.read()
        process.stdout.close()
        process.stderr.close()
        self.assertEqual(process.wait(), 0, said + out)
        self.assertEqual(json.loads(out)["warnings"], [])
        return said

    def test_by_device_code_and_renewed(self):
        provider = Provider(self, lives=2)
        with lab.Server(extra=provider.options(), accounts=("ann",), password=PASSWORD) as server:
            fill(imap(server.ports["imap"], "ann"), {"INBOX": 2})
            mail = Program(self)
            said = self.add(mail, server, provider, "device", lambda _: None)
            self.assertIn("https://id.test/device", said)
            self.assertIn("ABCD-EFGH", said)
            self.assertEqual(mail("sync")["downloaded"], 2)
            kinds = [form.get("grant_type", "").rsplit(":")[-1] for path, form in provider.asked if path == "/token"]
            self.assertEqual(kinds[:3], ["device_code"] * 3, "asked again while nobody had typed it")
            self.assertIn("refresh_token", kinds, "it lived two seconds")
            told = mail("send", "--to", "ann@here.test", "--subject", "By token", "--text", "x")
            self.assertTrue(told["sent"], told)
            with open(os.path.join(mail.dir, "tokens.json")) as f:
                kept = json.load(f)["ann@here.test"]
            self.assertEqual(os.stat(os.path.join(mail.dir, "tokens.json")).st_mode & 0o777, 0o600)
            self.assertEqual(kept["refresh"], "r-1")
            shown = subprocess.run([lab.binary(), "mail", "--data", mail.dir, "sync", "--show-wire"], capture_output=True, text=True, timeout=60)
            self.assertIn("OAUTHBEARER", shown.stderr)
            self.assertNotIn(kept["access"].split(".")[2][:20], shown.stderr)
            provider.answer = lambda path, form: (400, {"error": "invalid_grant"})
            self.assertIn("renews the token no more", mail("sync", ok=False)["error"])

    def test_by_a_browser_on_this_machine(self):
        """And our server fetches the provider's keys from the provider."""
        provider = Provider(self)
        with lab.Server(extra=provider.options(by_url=True), accounts=("ann",), password=PASSWORD) as server:
            mail = Program(self)

            def browse(line):
                page = re.search(r"http://127\.0\.0\.1:\d+/authorize\S+", line)
                if page:
                    back = urllib.parse.parse_qs(urllib.parse.urlparse(page[0]).query)["redirect_uri"][0]
                    with self.assertRaises(urllib.error.HTTPError):
                        urllib.request.urlopen(back + "?code=evil&state=guessed", timeout=20)
                    self.assertIn(b"Signed in", urllib.request.urlopen(page[0], timeout=20).read())

            self.add(mail, server, provider, "loopback", browse)
            self.assertEqual(mail("sync")["downloaded"], 0)
