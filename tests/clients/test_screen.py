"""The full-screen terminal program, in tmux: what it shows is read back from the terminal, what it did from the server."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import lab
from dovecot import PASSWORD
from test_moving import imap
from test_program import Program

EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31m"


class Screen:
    """`packetboat mail` in a tmux of its own."""

    def __init__(self, test, mail, size=(110, 32), editor="true", env=None):
        self.dir = tempfile.mkdtemp(prefix="packetboat-tmux-")
        test.addCleanup(shutil.rmtree, self.dir, True)
        self.socket = os.path.join(self.dir, "s")
        self.raw = os.path.join(self.dir, "raw")
        self.editor = os.path.join(self.dir, "editor")
        with open(self.editor, "w") as f:
            f.write(f"#!/bin/sh\n{editor}\n")
        os.chmod(self.editor, 0o755)
        self.env = {**os.environ, "LC_ALL": "C.UTF-8", "EDITOR": self.editor, "VISUAL": self.editor, **(env or {})}
        self.env.pop("TMUX", None)
        # What it writes is recorded from the first octet on.
        command = f"sleep 0.2; {lab.binary()} mail --data {mail.dir}; echo ended $?; exec cat"
        self.tmux("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "sh", "-c", command)
        test.addCleanup(self.tmux, "kill-server", ok=False)
        self.tmux("pipe-pane", f"exec cat > {self.raw}")

    def tmux(self, *words, ok=True):
        done = subprocess.run(["tmux", "-u", "-f", "/dev/null", "-S", self.socket, *words],
                              capture_output=True, text=True, timeout=30, env=self.env)
        if ok and done.returncode != 0:
            raise AssertionError(f"tmux {words}: {done.stderr}")
        return done.stdout

    def rows(self):
        return self.tmux("capture-pane", "-p").split("\n")

    def text(self):
        return "\n".join(self.rows())

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def wait(self, *words, gone=(), seconds=30):
        def there():
            text = self.text()
            return text if all(w in text for w in words) and not any(w in text for w in gone) else None
        try:
            return lab.wait_for(f"{words} on the screen, without {gone}", there, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}") from None

    def row_of(self, word):
        return next(row for row in self.rows() if word in row)


def put(session, subject, text="Hello\n", sender="Bob <bob@here.test>", to="ann@here.test", more=None, mailbox="INBOX", html=None, attachments=()):
    m = lab.message(sender, to, subject, attachments, text=text)
    if html is not None:
        m.clear_content()
        m.set_content(html, subtype="html")
    for name, value in (more or {}).items():
        m[name] = value
    assert session.append(mailbox, None, None, lab.wire(m))[0] == "OK"
    return m["Message-ID"]


class FullScreen(unittest.TestCase):
    def provider(self):
        return lab.Server(accounts=("ann", "bob"), password=PASSWORD)

    def program(self, server):
        mail = Program(self)
        mail.add("ann@here.test", "--name", "Ann", "--imap", f"imap://127.0.0.1:{server.ports['imap']}",
                 "--smtp", f"smtp://127.0.0.1:{server.ports['submission']}")
        return mail

    def test_see_read_reply_search_delete_undo_quit(self):
        with self.provider() as server:
            session = imap(server.ports["imap"], "ann")
            first = put(session, "Sea voyage", "Shall we sail?\n" + "".join(f"line {n}\n" for n in range(80)))
            put(session, "Lunch", "At noon.\n")
            put(session, "Re: Sea voyage", "Yes, on Monday.\n", sender="Zoë <zoe@here.test>", more={"References": first})
            put(session, "日本からの手紙", html="<p>Only <b>HTML</b> &amp; more</p><script>alert(1)</script>", text="")
            put(session, "With a file", attachments=lab.ATTACHMENTS[1:2])
            mail = self.program(server)
            screen = Screen(self, mail, editor='printf "Yes, gladly.\\n" >> "$1"')
            # It brings the mail by itself, and says so.
            screen.wait("Lunch", "└>Re: Sea voyage", "日本からの手紙", "With a file", "INBOX", "5 unread")
            subjects = [row.split("│", 1)[1] for row in screen.rows()[1:6]]
            order = [next(n for n, row in enumerate(subjects) if word in row) for word in ("Sea voyage", "Re: Sea voyage", "Lunch")]
            self.assertEqual(order[1], order[0] + 1, "an answer stands under what it answers")
            # Found while it is typed, and read.
            screen.keys("/")
            screen.type("sail")
            screen.wait("1 found: sail", "Sea voyage", gone=("Lunch",))
            screen.keys("Enter")
            screen.keys("Enter")
            screen.wait("From: Bob <bob@here.test>", "Shall we sail?")
            screen.keys("Space", "Space", "Space", "Space", "Space", "Space")
            screen.wait("line 79", gone=("Shall we sail?",))
            screen.keys("h")
            screen.wait("Message-ID: " + first)
            screen.keys("h")
            # Answer it: the editor adds a line, the screen shows what goes, y sends.
            screen.keys("r")
            screen.wait("y sends it", "To: Bob <bob@here.test>", "Subject: Re: Sea voyage", "> Shall we sail?")
            screen.keys("y")
            screen.wait("u takes it back")
            bob = imap(server.ports["imap"], "bob")
            lab.wait_for("the answer", lambda: bob.select("INBOX")[1] == [b"1"], 30)
            got = bob.fetch("1", "(BODY.PEEK[])")[1][0][1]
            self.assertIn(b"Yes, gladly.", got)
            self.assertIn(b"> Shall we sail?", got)
            self.assertIn(f"In-Reply-To: {first}".encode(), got)
            # Back in the mailbox: it is marked as answered there, and by the next round at the server.
            screen.keys("q")
            screen.keys("Escape")
            screen.wait("Lunch", "4 unread")
            self.assertRegex(screen.row_of("Bob                  Sea voyage"), r" r +2026")
            # Delete, and undo; then for good.
            screen.keys("/")
            screen.type("noon")
            screen.wait("1 found: noon")
            screen.keys("Enter")
            screen.keys("d")
            screen.wait("u takes it back", "Trash")
            screen.keys("u")
            screen.wait("back where it was")
            screen.keys("Escape")
            screen.wait("Lunch", "INBOX  ", "/5")
            # HTML is read as text; wide letters keep the columns.
            screen.keys("/")
            screen.type("HTML")
            screen.wait("1 found: HTML")
            screen.keys("Enter")
            screen.keys("Enter")
            screen.wait("Only HTML & more", gone=("<b>", "alert"))
            screen.keys("q")
            screen.keys("Escape")
            # The attachment, as it came.
            screen.wait("With a file")
            screen.keys("/")
            screen.type("With a file")
            screen.wait("1 found")
            screen.keys("Enter")
            screen.keys("Enter")
            screen.wait("[paper.pdf, application/pdf")
            screen.keys("v")
            screen.wait("Attachments", "paper.pdf")
            screen.keys("s")
            screen.wait("Save into folder: .")
            screen.keys("C-u")
            screen.type(os.path.join(screen.dir, "saved"))
            screen.keys("Enter")
            screen.wait("saved paper.pdf in")
            with open(os.path.join(screen.dir, "saved", "paper.pdf"), "rb") as f:
                self.assertEqual(f.read(), lab.ATTACHMENTS[1][3])
            # New mail shows up by itself, at any size.
            screen.keys("q")
            screen.keys("q")
            screen.keys("Escape")
            screen.tmux("resize-window", "-x", "60", "-y", "20")
            put(session, "Just in")
            screen.wait("Just in", gone=("│",))
            screen.keys("?")
            screen.wait("Keys", "next message")
            screen.keys("q")
            screen.keys("q")
            screen.wait("ended 0")
            self.assertNotIn("Lunch", screen.text(), "the terminal is as it was before")
            flags = imap(server.ports["imap"], "ann")
            flags.select("INBOX")
            self.assertEqual(flags.search(None, "ANSWERED", "SUBJECT", '"Sea voyage"')[1][0].split(), [b"1"])
            for one in (session, bob, flags):
                one.logout()

    def test_from_one_account_to_the_next(self):
        with self.provider() as server:
            session = imap(server.ports["imap"], "bob")
            put(session, "For Bob", to="bob@here.test")
            session.logout()
            mail = self.program(server)
            mail.add("bob@here.test", "--imap", f"imap://127.0.0.1:{server.ports['imap']}")
            screen = Screen(self, mail)
            screen.wait("ann@here.test ", "no messages here")
            screen.keys("A")
            screen.wait("bob@here.test ", "For Bob")
            screen.keys("A")
            screen.wait("ann@here.test ", "no messages here")
            screen.keys("q")
            screen.wait("ended 0")

    def test_nothing_in_a_message_commands_the_terminal(self):
        with self.provider() as server:
            session = imap(server.ports["imap"], "ann")
            encoded = "=?utf-8?q?" + "".join(f"={b:02X}" for b in (EVIL + "\u009b2Jsubject").encode()) + "?="
            head = f"From: {encoded} <bob@here.test>\r\nTo: ann@here.test\r\nSubject: {encoded}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            body = f"\r\nbefore{EVIL}after\r\n"
            session.append("INBOX", None, None, (head + body).encode())
            session.logout()
            mail = self.program(server)
            mail("sync")
            screen = Screen(self, mail, env={"NO_COLOR": "1"})
            screen.wait("subject")
            screen.keys("Enter")
            screen.wait("before", "after")
            screen.keys("h")
            screen.wait("Content-Type: text/plain")
            screen.keys("q")
            screen.keys("q")
            screen.wait("ended 0")
            with open(screen.raw, "rb") as f:
                raw = f.read()
            self.assertIn(b"before", raw)
            self.assertNotIn(b"\x1b]0;owned", raw)
            self.assertNotIn(b"\xc2\x9b", raw)
            self.assertNotIn(b"\x1b[31m", raw)
            colours = [c for c in re.findall(rb"\x1b\[([0-9;]*)m", raw) for c in c.split(b";") if re.fullmatch(rb"[349][0-7]", c)]
            self.assertEqual(colours, [], "no colours with NO_COLOR")

    def test_without_a_terminal_it_is_the_help_and_a_signal_leaves_the_terminal_in_order(self):
        with self.provider() as server:
            mail = self.program(server)
            done = subprocess.run([lab.binary(), "mail", "--data", mail.dir], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("Usage: packetboat mail", done.stderr)
            screen = Screen(self, mail)
            screen.wait("no messages here")
            # The store is ours meanwhile; nobody else's command breaks on that, it waits.
            pid = int(screen.tmux("display-message", "-p", "#{pane_pid}"))
            children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
            self.assertEqual(len(children), 1)
            os.kill(int(children[0]), signal.SIGTERM)
            screen.wait("ended 0", gone=("no messages here",))
            self.assertEqual(mail("ls")["messages"], [])
            # A terminal that goes away takes the program along; the store is free again.
            gone = Screen(self, mail)
            gone.wait("no messages here")
            gone.tmux("kill-server")
            self.assertEqual(mail("ls")["messages"], [])
