"""Claws Mail on a desktop in memory: its windows are typed at, and the server is asked what came of it."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402
from desktop import PATIENCE, Desktop  # noqa: E402
from test_clients import Clients, imap, inbox, send  # noqa: E402

PLAIN = 64


class Claws(Clients):
    def configure(self):
        config = os.path.join(self.dir, ".claws-mail")
        os.makedirs(config)
        with open(os.path.join(config, "clawsrc"), "w") as f:
            f.write("[Common]\nwizard_shown=1\nuse_master_passphrase=0\nsend_dialog_invisible=1\nenable_aspell=0\n")
        with open(os.path.join(config, "accountrc"), "w") as f:
            f.write(f"""[Account: 1]
account_name=bob
is_default=1
name=Bob
address=bob@here.test
protocol=3
receive_server=127.0.0.1
smtp_server=127.0.0.1
user_id=bob@here.test
use_smtp_auth=1
smtp_auth_method=16
smtp_user_id=bob@here.test
set_imapport=1
imap_port={self.port['imap']}
set_smtpport=1
smtp_port={self.port['submission']}
ssl_imap=0
ssl_smtp=0
imap_auth_method={PLAIN}
receive_at_get_all=1
""")
        kinds = (("inbox", "INBOX"), ("outbox", "Sent"), ("draft", "Drafts"), ("queue", "Queue"), ("trash", "Trash"))
        items = "".join(f'  <folderitem type="{kind}" name="{name}" path="{name}" mtime="0"/>\n' for kind, name in kinds)
        with open(os.path.join(config, "folderlist.xml"), "w") as f:
            f.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<folderlist>\n <folder type="imap" name="bob" account_id="1" collapsed="0" sort="0">\n{items} </folder>\n</folderlist>\n')
        return config

    def until(self, what, condition):
        """Passwords are typed where they are asked for meanwhile."""
        def look():
            # Once in each window, by its number: one that is slow to go is not typed at again.
            for asked in set(self.desk.windows("^Input password")) - self.asked:
                self.asked.add(asked)
                self.desk.type("^Input password", self.server.password)
                self.desk.x("key", "Return")
            return condition()
        return lab.wait_for(what, look, PATIENCE, every=0.5)

    def begin(self, *options):
        program = self.desk.begin("claws-mail", "--alternate-config-dir", self.config, *options)
        self.until("its window", lambda: self.desk.windows("^bob - Claws Mail"))
        return program

    def remote(self, *words):
        """The running program does it."""
        self.desk.begin("claws-mail", "--alternate-config-dir", self.config, *words).wait(PATIENCE)

    def test_claws_reads_replies_deletes_and_reads_offline(self):
        for subject in ("For claws", "To keep"):
            send(self.server, lab.message("ann@here.test", "bob@here.test", subject, lab.ATTACHMENTS))
        self.got(2)
        there = imap(self.server)
        there.create("Queue")
        self.config, self.asked = self.configure(), set()
        with Desktop(self.dir) as self.desk:
            try:
                program = self.begin("--receive-all")
                self.drive(there)
                there.logout()
                self.remote("--exit")
                program.wait(PATIENCE)
                self.without_the_server()
            except BaseException:
                print("windows:", self.desk.ask("windows"), "\n--- the programs\n" + self.desk.words())
                raise

    def open(self, number):
        """Shows a message: its text stands below the list."""
        self.remote("--select", f"#imap/bob/INBOX/{number}")
        self.until(f"message {number}", lambda: self.desk.look(role="text", holds="..dots\nGrüße") or self.desk.key("^bob - Claws Mail", "Return"))

    def drive(self, there):
        there.select("INBOX")
        # Selecting shows it, which fetches it and marks it read.
        for number, seen in ((2, b"2"), (1, b"1 2")):
            self.open(number)
            self.until(r"\Seen", lambda: there.noop() and there.search(None, "SEEN")[1][0] == seen)
        self.desk.key("^bob - Claws Mail", "ctrl+r")
        self.until("the composer", lambda: self.desk.windows("Re: For claws"))
        self.desk.type("Re: For claws", "Answer from Claws. ")
        self.attach()
        # With the mouse: the tree would wait for the button's work, which asks for a password.
        self.desk.click(self.desk.see(window="Re: For claws", role="push button", name="Send"))
        answer = self.until("the answer", lambda: inbox(self.server, "ann"))[0]
        self.assertIn(b"Answer from Claws.", answer)
        self.assertIn(b"Subject: Re: For claws", answer)
        lab.assert_attachments(answer, [("boat.png", "image", "png", lab.png())])
        self.until("the copy in Sent", lambda: there.select("Sent", readonly=True)[1][0] == b"1")
        there.select("INBOX")
        self.until(r"\Answered", lambda: there.noop() and there.search(None, "ANSWERED")[1][0] == b"1")
        self.desk.key("^bob - Claws Mail", "ctrl+d")
        self.until("it in Trash", lambda: there.select("Trash", readonly=True)[1][0] == b"1")
        left = self.until("INBOX without it", lambda: len(mail := inbox(self.server)) == 1 and mail)
        self.assertIn(b"Subject: To keep", left[0])

    def attach(self):
        """By its file chooser, which takes a path."""
        picture = os.path.join(self.dir, "boat.png")
        with open(picture, "wb") as f:
            f.write(lab.png())
        self.desk.key("Re: For claws", "ctrl+m")
        chooser = {"window": "Select file"}
        self.desk.press(**chooser, role="file chooser", name="File Chooser Widget")
        lab.wait_for("the place for a path", lambda: self.desk.ask("write", **chooser, role="text", words=picture), PATIENCE, every=0.3)
        self.desk.see(**chooser, role="text", text=picture)
        self.desk.press(**chooser, role="push button", name="Open")
        self.desk.see(holds="boat.png")

    def without_the_server(self):
        """What was read once is read again with nobody there."""
        self.server.stop()
        self.begin("--offline")
        self.open(2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
