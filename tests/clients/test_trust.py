"""Keys of a domain, their signatures as OpenSSL sees them, the catch-all, the doctor: from the outside."""

import base64
import hashlib
import imaplib
import json
import os
import re
import smtplib
import subprocess
import tempfile
import unittest

import lab


def relaxed(field):
    """RFC 6376 section 3.4.2, written from the RFC once more."""
    name, value = field.split(":", 1)
    return name.strip().lower() + ":" + re.sub(r"[ \t]+", " ", value.replace("\r\n", "")).strip()


def fields_of(header):
    return re.findall(r"^[^\s:]+:.*?\r\n(?![ \t])", header, re.M | re.S)


def tags_of(field):
    return {k.strip(): re.sub(r"\s", "", v) for k, v in (p.split("=", 1) for p in field.split(":", 1)[1].split(";") if "=" in p)}


class Trust(unittest.TestCase):
    def openssl(self, folder, key, data, signature, *how):
        for name, octets in (("key.der", key), ("data", data), ("signature", signature)):
            with open(os.path.join(folder, name), "wb") as f:
                f.write(octets)
        subprocess.run(["openssl", "pkey", "-pubin", "-inform", "DER", "-in", "key.der", "-out", "key.pem"], cwd=folder, check=True)
        done = subprocess.run(["openssl", *how], cwd=folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def verify(self, folder, octets, field, record):
        text = octets.decode()
        header, body = text.split("\r\n\r\n", 1)
        tags, fields = tags_of(field), fields_of(header + "\r\n")
        lines = [re.sub(r"[ \t]+", " ", line).rstrip() for line in body.split("\r\n")]
        canonical = "\r\n".join(lines).rstrip("\r\n") + "\r\n"
        self.assertEqual(tags["bh"], base64.b64encode(hashlib.sha256(canonical.encode()).digest()).decode())
        left, data = list(fields), ""
        for name in tags["h"].split(":"):
            found = [f for f in left if f.split(":", 1)[0].strip().lower() == name.lower()]
            if found:
                left.reverse()
                left.remove(found[-1])
                left.reverse()
                data += relaxed(found[-1]) + "\r\n"
        data += relaxed(re.sub(r"(;\s*b=)[^;]*$", r"\1", field.rstrip("\r\n")))
        public = base64.b64decode(re.search(r"p=(\S+)", record).group(1))
        signature = base64.b64decode(tags["b"])
        if tags["a"] == "rsa-sha256":
            self.openssl(folder, public, data.encode(), signature, "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "data")
        else:
            public = bytes.fromhex("302a300506032b6570032100") + public
            digest = hashlib.sha256(data.encode()).digest()
            self.openssl(folder, public, digest, signature, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "data", "-sigfile", "signature")

    def test_keys_signatures_and_the_zone(self):
        with lab.Server(accounts=("ann", "bob")) as server:
            # The first call makes the keys, whichever it is; the next ones tell of them.
            zone = server.run("domain", "records", "here.test", "--no-dns").stdout
            answer = json.loads(server.run("domain", "add", "here.test", "--json").stdout)
            self.assertEqual(sorted(k["kind"] for k in answer["keys"]), ["ed25519", "rsa"])
            for key in answer["keys"]:
                self.assertIn(f'{key["selector"]}._domainkey.here.test. TXT "v=DKIM1', zone)
            for part in ("here.test. MX 10 mail.here.test.", 'here.test. TXT "v=spf1 mx -all"', '_dmarc.here.test. TXT "v=DMARC1;', "_submissions._tcp.here.test. SRV 0 1 465 mail.here.test."):
                self.assertIn(part, zone)
            self.assertNotEqual(server.run("domain", "add", "elsewhere.test", ok=False).returncode, 0)
            server.run("alias", "add", "@here.test", "bob@here.test")
            with smtplib.SMTP("127.0.0.1", server.ports["submission"]) as smtp:
                smtp.login("ann@here.test", server.password)
                smtp.sendmail("ann@here.test", ["whoever@here.test"], "From: Ann <ann@here.test>\r\nTo: x@here.test\r\nSubject: a  long\r\n\tone\r\n\r\nHello \t there\r\n\r\n.dot\r\n\r\n\r\n")
            with imaplib.IMAP4("127.0.0.1", server.ports["imap"]) as imap:
                imap.login("bob@here.test", server.password)
                imap.select()
                octets = imap.fetch("1", "BODY.PEEK[]")[1][0][1]
            signatures = [f for f in fields_of(octets.decode().split("\r\n\r\n")[0] + "\r\n") if f.startswith("DKIM-Signature:")]
            self.assertEqual(len(signatures), 2)
            folder = tempfile.mkdtemp(prefix="packetboat-keys-", dir=server.dir)
            for signature in signatures:
                tags = tags_of(signature)
                record = next(k["record"] for k in answer["keys"] if k["selector"] == tags["s"])
                self.verify(folder, octets, signature, record)
            rotated = json.loads(server.run("domain", "rotate", "here.test", "--json").stdout)
            self.assertEqual(sorted(k["state"] for k in rotated["keys"]), ["signing", "signing", "waiting", "waiting"])
            self.assertNotEqual(server.run("domain", "rotate", "here.test", ok=False).returncode, 0)
            self.assertEqual(json.loads(server.run("reports", "list", "--json").stdout), {"reports": []})
            found = json.loads(server.run("doctor", "--offline", "--json", ok=False).stdout)
            self.assertEqual([f["about"] for f in found["findings"]], ["clock", "disk", "sync", "certificate"])


if __name__ == "__main__":
    unittest.main()
