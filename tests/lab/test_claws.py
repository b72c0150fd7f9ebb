"""Claws Mail under Xvfb: its windows are typed at, and the server is asked what came of it."""

import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402
from marionette import Display  # noqa: E402
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

    def window(self, name, seconds=30):
        """The window whose title matches; passwords are typed where they are asked for meanwhile."""
        def look():
            self.give_passwords()
            return self.windows(name)
        return lab.wait_for(f"a window {name}", look, seconds, every=0.5)[-1]

    def give_passwords(self):
        """To every window that asks for one."""
        for asked in self.windows("Input password"):
            self.x("windowfocus", asked, "type", self.server.password)
            self.x("key", "Return")

    def windows(self, name):
        return self.x("search", "--onlyvisible", "--name", name).split()

    def x(self, *words):
        return subprocess.run(["xdotool", *words], env=self.env, capture_output=True, text=True, timeout=20).stdout

    def claws(self, *words):
        return subprocess.Popen([*self.run, *words], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def test_claws_reads_replies_and_deletes(self):
        send(self.server, lab.message("ann@here.test", "bob@here.test", "For claws", lab.ATTACHMENTS))
        self.got()
        there = imap(self.server)
        there.create("Queue")
        config = self.configure()
        with Display() as display:
            self.env = {**os.environ, "DISPLAY": display.name, "HOME": self.dir, "LC_ALL": "C.UTF-8", "NO_AT_BRIDGE": "1"}
            self.run = ["claws-mail", "--alternate-config-dir", config]
            program = self.claws("--receive-all")
            try:
                self.drive(there)
            except BaseException:
                print("windows:", [self.x("getwindowname", w) for w in self.windows(".")])
                raise
            finally:
                program.terminate()
                program.wait(10)
                shutil.rmtree(config, ignore_errors=True)
        there.logout()

    def drive(self, there):
        main = self.window("^bob - Claws Mail")
        there.select("INBOX")
        self.claws("--select", "#imap/bob/INBOX/1").wait(20)
        # Selecting shows it, which fetches it and marks it read.
        def seen():
            self.x("windowfocus", main, "key", "Return")
            there.noop()
            return there.search(None, "SEEN")[1][0] == b"1"
        lab.wait_for(r"\Seen", seen, 30, every=1)
        self.x("windowfocus", main, "key", "ctrl+r")
        composer = self.window("Compose|Re: For claws")
        self.x("windowfocus", composer, "type", "Answer from Claws. ")
        self.x("windowfocus", composer, "key", "ctrl+Return")

        def answered():
            self.give_passwords()
            return inbox(self.server, "ann")
        answer = lab.wait_for("the answer", answered, 40, every=0.5)[0]
        self.assertIn(b"Answer from Claws.", answer)
        self.assertIn(b"Re: For claws", answer)
        lab.wait_for("the copy in Sent", lambda: there.select("Sent", readonly=True)[1][0] == b"1", 20)
        there.select("INBOX")
        lab.wait_for(r"\Answered", lambda: there.noop() and there.search(None, "ANSWERED")[1][0] == b"1", 20)
        self.x("windowfocus", main, "key", "ctrl+d")
        lab.wait_for("it in Trash", lambda: there.select("Trash", readonly=True)[1][0] == b"1", 20)
        lab.wait_for("INBOX without it", lambda: inbox(self.server) == [], 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
