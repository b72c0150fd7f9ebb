"""Passwords with the system's Secret Service, here a `secret-tool` that writes down how it was called."""

import json
import os
import subprocess
import sys
import tempfile
import time
import shutil
import unittest

import lab
from dovecot import PASSWORD
from test_moving import fill, imap
from test_oauth import Provider

FAKE = f"""#!{sys.executable}
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
calls, kept = os.path.join(folder, "calls"), os.path.join(folder, "kept")
with open(calls, "a") as f:
    f.write(json.dumps([sys.argv[1:], sorted(os.environ.values())]) + "\\n")
if os.path.exists(os.path.join(folder, "locked")):
    sys.exit("secret-tool: Cannot get secret of a locked object")
words = [w for w in sys.argv[2:] if not w.startswith("--")]
key = "|".join(words)
known = json.load(open(kept)) if os.path.exists(kept) else {{}}
if sys.argv[1] == "store":
    known[key] = sys.stdin.read()
elif sys.argv[1] == "lookup":
    if key not in known:
        sys.exit(1)
    sys.stdout.write(known[key])
elif sys.argv[1] == "clear":
    known.pop(key, None)
json.dump(known, open(kept, "w"))
"""


class Keyring(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="packetboat-keyring-")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.bin = os.path.join(self.dir, "bin")
        os.mkdir(self.bin)
        tool = os.path.join(self.bin, "secret-tool")
        with open(tool, "w") as f:
            f.write(FAKE)
        os.chmod(tool, 0o755)
        self.data = os.path.join(self.dir, "data")

    def mail(self, *words, stdin=None, ok=True):
        env = {**os.environ, "PATH": self.bin + ":" + os.environ["PATH"], "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
        done = subprocess.run([lab.binary(), "mail", "--data", self.data, "--json", *words], input=stdin or "", env=env,
                              capture_output=True, text=True, timeout=60)
        if ok:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_tokens_are_kept_there_too_also_when_they_are_renewed(self):
        provider = Provider(self, lives=1)
        with lab.Server(extra=provider.options(), accounts=("ann",), password=PASSWORD) as server:
            fill(imap(server.ports["imap"], "ann"), {"INBOX": 2})
            base = ("add", "ann@here.test", "--imap", f"imap://127.0.0.1:{server.ports['imap']}", "--no-discovery")
            by_token = (*base, "--oauth", "my-program", "--oauth-issuer", provider.issuer)
            tokens = os.path.join(self.data, "tokens.json")
            # A password first, in the file: it goes when tokens come.
            self.mail(*base, "--password-stdin", "--no-keyring", stdin=PASSWORD + "\n")
            self.assertTrue(self.mail(*by_token)["added"]["in_keyring"])
            self.assertEqual((self.on_disk(), os.path.exists(tokens)), ([], False))
            first = json.loads(list(self.kept().values())[0])
            self.assertEqual(first["refresh"], "r-1")
            lab.wait_for("the token to be old", lambda: time.time() > first["expires_secs"] + 1)
            self.assertEqual(self.mail("sync")["downloaded"], 2)
            self.assertNotEqual(json.loads(list(self.kept().values())[0])["access"], first["access"], "renewed, and kept there")
            self.assertFalse(os.path.exists(tokens))
            # Locked in the meantime: told, and where they are.
            open(os.path.join(self.bin, "locked"), "w").close()
            self.assertIn("tokens of ann@here.test are with the system's Secret Service", self.mail("sync", ok=False)["error"])
            os.unlink(os.path.join(self.bin, "locked"))
            # Into the file, and to a password again: nothing of them stays anywhere.
            self.mail(*by_token, "--no-keyring")
            self.assertEqual((self.kept(), os.stat(tokens).st_mode & 0o777), ({}, 0o600))
            self.mail(*base, "--password-stdin", stdin=PASSWORD + "\n")
            with open(tokens) as f:
                self.assertEqual(json.load(f), {})
            self.assertEqual(list(self.kept().values()), [PASSWORD])
            self.assertEqual(self.mail("sync")["downloaded"], 0)

    def kept(self):
        with open(os.path.join(self.bin, "kept")) as f:
            return json.load(f)

    def on_disk(self):
        found = []
        for folder, _, names in os.walk(self.data):
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    if PASSWORD.encode() in f.read():
                        found.append(name)
        return found

    def test_a_password_is_kept_there_and_nowhere_else(self):
        with lab.Server(accounts=("ann",), password=PASSWORD) as server:
            fill(imap(server.ports["imap"], "ann"), {"INBOX": 2})
            add = ("add", "ann@here.test", "--imap", f"imap://127.0.0.1:{server.ports['imap']}", "--password-stdin")
            self.mail(*add, stdin=PASSWORD + "\n")
            self.assertEqual(list(self.kept().values()), [PASSWORD])
            self.assertEqual(self.mail("sync")["downloaded"], 2)
            self.assertEqual(self.on_disk(), [])
            with open(os.path.join(self.bin, "calls")) as f:
                self.assertNotIn(PASSWORD, f.read(), "neither in arguments nor in the environment")
            # Locked: it says where the password is.
            open(os.path.join(self.bin, "locked"), "w").close()
            self.assertIn("Secret Service: secret-tool: Cannot get secret of a locked object", self.mail("sync", ok=False)["error"])
            os.unlink(os.path.join(self.bin, "locked"))
            # Somebody wants the file; then what is there is forgotten.
            self.mail(*add, "--no-keyring", stdin=PASSWORD + "\n")
            self.assertEqual((self.kept(), self.on_disk()), ({}, ["passwords.json"]))
            self.assertEqual(oct(os.stat(os.path.join(self.data, "passwords.json")).st_mode & 0o777), "0o600")
            self.assertEqual(self.mail("sync")["downloaded"], 0)
            # And back; one that does not work costs nothing but its comfort.
            self.mail(*add, stdin=PASSWORD + "\n")
            self.assertEqual((len(self.kept()), self.on_disk()), (1, []))
            open(os.path.join(self.bin, "locked"), "w").close()
            self.mail(*add, stdin=PASSWORD + "\n")
            self.assertEqual(self.on_disk(), ["passwords.json"])
            self.assertEqual(self.mail("sync")["downloaded"], 0)
