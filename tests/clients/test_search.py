"""SEARCH held against an oracle that shares no code with it: Python's `email` package decodes a corpus in many charsets, Python looks for
the substring, and the UIDs must be the same by IMAP, without an index and with one."""

import base64
import email
import email.header
import email.policy
import html.parser
import json
import os
import quopri
import random
import re
import shutil
import unicodedata
import unittest

import lab
from test_clients import imap

WORDS = {
    "us-ascii": "boat Boathouse harbour anchor e-mail no.1 foo_bar 2026-11-28 supercalifragilistic don't",
    "koi8-r": "привет Мир корабль Ёлка ЩУКА море якорь boat",
    "shift_jis": "東京都庁 日本語 カタカナ 船 港 会議 ひらがな boat",
    "gb18030": "你好 世界 轮船 海港 會議 €uro 𠀀字 boat",
    "iso-2022-jp": "東京 日本語 カタカナ 船便 港町 会議室 harbour",
    "windows-1252": "Grüße Straße Œuvre naïve – „Anker“ Škoda café boat",
    "iso-8859-7": "Σίσυφος ΟΔΟΣ πλοίο λιμάνι anchor",
    "utf-8": "Grüße привет 東京 Σίσυφος e\u0301te\u0301 \u2468 \ufb01sh \uff26\uff35\uff2c\uff2c \U0001f6a2 boat",
}
CODECS = {"windows-1252": "cp1252"}


def encode(charset, text):
    return text.encode(CODECS.get(charset, charset))


class Corpus:
    def __init__(self, seed, count):
        self.chance = random.Random(seed)
        self.mails = [self.mail(number) for number in range(count)]

    def text(self, charset, most):
        words = WORDS[charset].split()
        rare = lambda: f"w{self.chance.randrange(1 << 16):x}z"
        return " ".join(self.chance.choice(words) if self.chance.random() < 0.8 else rare() for _ in range(self.chance.randint(1, most)))

    def header(self, text, charset):
        """RFC 2047, folded; sometimes more words than one, sometimes Q."""
        if charset == "us-ascii":
            return text
        if charset == "utf-8" and self.chance.random() < 0.3:
            return text
        if self.chance.random() < 0.5:
            return email.header.Header(text, CODECS.get(charset, charset), maxlinelen=70).encode(linesep="\r\n")
        quoted = "".join(f"={octet:02X}" for octet in encode(charset, text))
        return f"=?{charset}?q?{quoted}?="

    def part(self):
        charset = self.chance.choice(list(WORDS))
        text = "\r\n".join(self.text(charset, 12) for _ in range(self.chance.randint(1, 4)))
        kind = "plain"
        if self.chance.random() < 0.25:
            kind, text = "html", "".join(f"<p>{line}</p>\r\n" for line in text.split("\r\n"))
        octets = encode(charset, text)
        how = self.chance.choice(["base64", "quoted-printable", "8bit"])
        if how == "base64" or charset in ("shift_jis", "gb18030") and how == "8bit":
            how, octets = "base64", base64.encodebytes(octets).replace(b"\n", b"\r\n")
        elif how == "quoted-printable":
            octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        return f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {how}\r\n\r\n".encode() + octets + b"\r\n"

    def entity(self, deep=0):
        if self.chance.random() < 0.6:
            return self.part()
        boundary = f"=_{deep}_b"
        inside = [self.part() for _ in range(self.chance.randint(1, 3))]
        if deep == 0 and self.chance.random() < 0.3:
            inside.append(b"Content-Type: message/rfc822\r\n\r\n" + self.message(deep + 1))
        body = b"".join(f"--{boundary}\r\n".encode() + one + b"\r\n" for one in inside)
        return f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n'.encode() + body + f"--{boundary}--\r\n".encode()

    def message(self, deep=0):
        charset, other = (self.chance.choice(list(WORDS)) for _ in range(2))
        name = self.header(self.text(other, 3), other)
        head = f"From: {name} <u{self.chance.randrange(9)}@there.test>\r\nTo: bob@here.test\r\n"
        if self.chance.random() < 0.9:
            head += f"Subject: {self.header(self.text(charset, 9), charset)}\r\n"
        return head.encode() + self.entity(deep)

    def mail(self, number):
        return f"Message-ID: <{number}@oracle.test>\r\n".encode() + self.message()


class Words(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.words = []
        self.feed(text)

    def handle_data(self, data):
        self.words.append(data)


def decoded(value):
    """A header's value: unfolded, its encoded words read."""
    value = re.sub(r"\r?\n(?=[ \t])", "", str(value))
    return str(email.header.make_header(email.header.decode_header(value)))


def fold(text):
    """i;unicode-casemap (RFC 5051 §2), and ß as SS, as docs have it."""
    titled = "".join(t if len(t := c.title()) == 1 else c for c in text)
    return unicodedata.normalize("NFKD", titled).replace("ß", "SS").replace("ẞ", "SS")


class Read:
    """What each key of SEARCH looks through, as Python has it."""

    def __init__(self, octets):
        m = email.message_from_bytes(octets, policy=email.policy.compat32)
        self.subject, self.sender = self.field(m, "Subject"), self.field(m, "From")
        self.body, heads = [], []
        inside = set()
        for part in m.walk():
            head = [f"{name}: {self.raw(value)}" for name, value in part.raw_items()]
            heads += head
            if id(part) in inside:
                self.body += head
            if part.get_content_type() == "message/rfc822":
                inside.update(id(inner) for inner in part.get_payload())
            elif part.get_content_maintype() == "text":
                charset = part.get_content_charset("us-ascii")
                text = part.get_payload(decode=True).decode(CODECS.get(charset, charset))
                self.body.append(" ".join(Words(text).words) if part.get_content_subtype() == "html" else text)
        self.text = heads + self.body
        self.folded = {key: [fold(text) for text in texts] for key, texts in
                       (("SUBJECT", self.subject), ("FROM", self.sender), ("BODY", self.body), ("TEXT", self.text))}

    @staticmethod
    def raw(value):
        # 8-bit octets stand as surrogates in what `email` gives.
        return decoded(value.encode("ascii", "surrogateescape").decode("utf-8") if isinstance(value, str) else value)

    def field(self, m, name):
        return [self.raw(value) for key, value in m.raw_items() if key.lower() == name.lower()]

    def has(self, key, needle):
        return any(needle in text for text in self.folded[key])


class Oracle(unittest.TestCase):
    def needles(self, chance, reads):
        """Pieces of what is there, in another case; words of all; what is nowhere."""
        found = [word for words in WORDS.values() for word in words.split()]
        while len(found) < 110:
            read = chance.choice(reads)
            line = chance.choice(chance.choice(chance.choice([read.subject or [""], read.sender, read.body or [""], read.text])).splitlines() or [""])
            at = chance.randrange(max(1, len(line)))
            piece = line[at:at + chance.randint(1, 14)].strip()
            if piece:
                found.append(chance.choice([piece, piece.upper(), piece.lower()]))
        return found + ["nowhere at all", "zq", "Gruesse", "боат", "海の", "=?", "0LjR", "PD9w", "=D0"]

    def ask(self, c, key, needle):
        c.literal = needle.encode()
        kind, data = c.uid("SEARCH", "CHARSET", "UTF-8", key)
        self.assertEqual(kind, "OK", (key, needle))
        return [int(uid) for uid in data[0].split()]

    def compare(self, server, reads, asked):
        c = imap(server)
        c.select("INBOX", readonly=True)
        hits = 0
        for needle in asked:
            looked = fold(needle)
            for key in ("TEXT", "BODY", "SUBJECT", "FROM"):
                want = [uid for uid, read in enumerate(reads, 1) if read.has(key, looked)]
                got = self.ask(c, key, needle)
                self.assertEqual(got, want, f"{key} {needle!r}; for one {set(got) ^ set(want)}")
                hits += len(want)
        c.logout()
        self.assertGreater(hits, 10 * len(asked), "the needles find something")

    def test_search_finds_what_python_finds(self):
        seed = int(os.environ.get("SEARCH_SEED", "1"))
        corpus = Corpus(seed, 300)
        reads = [Read(octets) for octets in corpus.mails]
        asked = self.needles(random.Random(seed + 1), reads)
        with lab.Server(accounts=["bob"]) as server:
            # Where its folder should be stands a file: nothing can be indexed, and nothing is missed.
            server.stop()
            search = os.path.join(server.dir, "data", "search")
            if os.path.isdir(search):
                shutil.rmtree(search)
            open(search, "w").close()
            server.start()
            c = imap(server)
            for octets in corpus.mails:
                self.assertEqual(c.append("INBOX", None, None, octets)[0], "OK")
            c.logout()
            self.assertEqual(self.behind(server), 300)
            # Reading everything is slow in a debug build: every third needle.
            self.compare(server, reads, asked[::3])
            server.stop()
            os.remove(search)
            server.start()
            lab.wait_for("the index", lambda: self.behind(server) == 0, 60)
            self.compare(server, reads, asked)

    def behind(self, server):
        (account,) = json.loads(server.run("index", "status", "bob@here.test", "--json").stdout)["accounts"]
        return account["behind"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
