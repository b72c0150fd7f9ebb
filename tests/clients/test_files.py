"""Mail in files as others write it: the four kinds of mbox, octet by octet; empty files."""

import mailbox
import os
import shutil
import tempfile
import unicodedata
import unittest

from test_moving import imap
from test_program import Program

# What is hard to carry in an mbox: lines that look like the next message, with and without marks, and empty lines at the end.
BODIES = [
    "plain\n",
    "From the sea\n\nFrom a@b.test Sat Jan  3 01:05:34 2004\nnot a message\n",
    ">From one mark\n\n>From behind an empty line\n",
    ">>From two marks\n>>>From three\n > From none\n",
    "ends in empty lines\n\n\n",
    "\nbegins with one\n\n\n\nFrom  two blanks\n",
    "",
    "Content-Length: 7\n\nFrom x\n",
    "no line end",
]


def message(n):
    return f"From: b{n}@there.test\nTo: ann@here.test\nSubject: m {n}\nMessage-ID: <{n}@there.test>\n\n{BODIES[n]}"


def marked(text, kind):
    """The body's lines as this kind quotes them."""
    head, body = text.split("\n\n", 1)
    lines = []
    for line in body.split("\n"):
        bare = line.lstrip(">") if kind != "mboxo" else line
        lines.append(">" + line if bare.startswith("From ") else line)
    return head + "\n\n" + "\n".join(lines)


def written(kind, numbers):
    out = ""
    for n in numbers:
        text = message(n)
        if kind != "mboxcl2":
            text = marked(text, kind)
        if kind in ("mboxcl", "mboxcl2"):
            head, body = text.split("\n\n", 1)
            text = f"{head}\nContent-Length: {len(body)}\n\n{body}"
        elif not text.endswith("\n"):
            text += "\n"
        out += f"From b{n}@there.test Sat Jan  3 01:05:{n:02d} 2004\n{text}\n"
    return out


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="packetboat-files-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.mail = Program(self)
        self.mail.add("ann@here.test", "--imap", "imap://127.0.0.1:1", "--offline")

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", newline="") as f:
            f.write(text)
        return path

    def texts(self, mailbox):
        rows = self.mail("ls", mailbox)["messages"]
        self.assertTrue(all(row["date"] for row in rows))
        raw = self.mail("read", *(str(row["id"]) for row in rows), "--raw", "--in", mailbox, "--peek")["messages"]
        return [one["raw"].replace("\r\n", "\n") for one in raw]

    def test_the_four_kinds_of_mbox(self):
        for kind in ("mboxo", "mboxrd", "mboxcl", "mboxcl2"):
            # `>From ` of its own is what mboxo cannot tell from a mark: such text is not for it.
            numbers = [n for n in range(len(BODIES)) if kind != "mboxo" or n not in (2, 3)]
            expected = [message(n) if kind in ("mboxcl", "mboxcl2") or message(n).endswith("\n") else message(n) + "\n" for n in numbers]
            path = self.file(kind, written(kind, numbers))
            for end in ("\n", "\r\n") if kind == "mboxcl2" else ("\n",):
                if end != "\n":
                    # As a Windows program writes it; lengths count both octets.
                    text = written(kind, numbers)
                    for n in numbers:
                        body = (message(n) if kind == "mboxcl2" else marked(message(n), kind)).split("\n\n", 1)[1]
                        old, new = len(body), len(body) + body.count("\n")
                        text = text.replace(f"<{n}@there.test>\nContent-Length: {old}\n", f"<{n}@there.test>\nContent-Length: {new}\n")
                    path = self.file(f"{kind}-crlf", text.replace("\n", "\r\n"))
                into = os.path.basename(path)
                told = self.mail("import", f"{kind}:{path}")
                self.assertEqual(told["mailboxes"][into]["imported"], len(numbers), (kind, end))
                self.assertEqual(self.texts(into), expected, (kind, end))
                self.assertEqual(self.mail("import", f"{kind}:{path}")["imported"], 0)
                # Nobody has to say which kind it is.
                self.mail("import", path, "--into", f"{into}-seen")
                self.assertEqual(self.texts(f"{into}-seen"), expected, (kind, end, "as it is seen"))

    def test_an_mbox_of_another_program(self):
        box = mailbox.mbox(os.path.join(self.folder, "python"))
        for n in (0, 1, 4, 5):
            one = mailbox.mboxMessage(message(n))
            one.set_from("b@there.test", True)
            one.set_flags("ROAF" if n else "")
            box.add(one)
        box.close()
        self.assertEqual(self.mail("import", os.path.join(self.folder, "python"))["imported"], 4)
        self.assertEqual([row["flags"] for row in self.mail("ls", "python")["messages"]], [[]] + [["seen", "answered", "flagged"]] * 3)
        self.assertEqual([text.rstrip() for text in self.texts("python")], [message(n).rstrip() for n in (0, 1, 4, 5)])

    def test_wide_letters_keep_the_columns(self):
        def columns(text):
            return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)

        names = ["Bob", "日本の長い名前の人からのお手紙です", "Zoe\u0308", "👍👍", "한국어 이름", "Ａｎｎ", "مرحبا"]
        for n, name in enumerate(names):
            self.file(f"tree/{n}.eml", f"From: {name} <b@there.test>\nSubject: §{n}\nDate: Sat, 28 Nov 2026 23:30:{n:02d} +0000\n\nx\n")
        self.mail("import", os.path.join(self.folder, "tree"))
        for words in (["ls"], ["search", "x"]):
            lines = self.mail.people(*words).splitlines()
            self.assertEqual(len(lines), len(names))
            self.assertEqual({columns(line[:line.index("§")]) for line in lines}, {columns(lines[0].split("§")[0])}, lines)

    def test_an_empty_file_is_bad_input(self):
        for kind, name in (("eml", "tree/b.eml"), ("maildir", "box/cur/1.b.host:2,S"), ("mh", "mh/inbox/2")):
            whole = name.replace("b.eml", "a.eml").replace("1.b.", "0.a.").replace("inbox/2", "inbox/1")
            self.file(whole, message(0))
            if kind == "maildir":
                os.makedirs(os.path.join(self.folder, "box", "new"))
            path = self.file(name, "")
            source = f"{kind}:{os.path.join(self.folder, name.split('/')[0])}"
            self.assertIn("the file is empty", self.mail("import", source, ok=False)["error"])
            told = self.mail("import", source, "--skip-bad")
            self.assertEqual(told["bad"], [{"what": path, "why": "the file is empty"}])
            self.assertEqual(told["imported"] + told["known"], 1, told)
        empty = self.file("alone.eml", "")
        self.assertIn("the file is empty", self.mail("import", empty, ok=False)["error"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
