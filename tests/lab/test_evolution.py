"""Evolution on a desktop in memory: its accessibility tree is read and pressed, and the server is asked what came of it.

Of the programs of GNOME it is the one that speaks most of our IMAP: ENABLE, UTF8=ACCEPT, QRESYNC, NOTIFY, LIST with STATUS, IDLE.
"""

import os
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402
from desktop import PATIENCE, Desktop  # noqa: E402
from test_clients import Clients, imap, inbox, send  # noqa: E402

SETTINGS = """[org/gnome/evolution/mail]
prompt-check-if-default-mailer=false
[org/gnome/evolution/shell/network-config]
network-monitor-gio-name='always-online'
[org/gnome/evolution-data-server]
network-monitor-gio-name='always-online'
"""


class Evolution(Clients):
    def setUp(self):
        super().setUp()
        self.wire_log = os.path.join(self.dir, "wire.log")

    def write(self, path, text):
        path = os.path.join(self.dir, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def source(self, name, parent, text, port=None):
        """One of the files that Evolution keeps of an account."""
        where = ""
        if port:
            where = (f"[Authentication]\nHost=localhost\nPort={self.port[port]}\nMethod=PLAIN\nUser=bob@here.test\nRememberPassword=true\n"
                     "[Security]\nMethod=ssl-on-alternate-port\n")
        self.write(f".config/evolution/sources/{name}.source", f"[Data Source]\nDisplayName=bob\nEnabled=true\nParent={parent}\n{text}\n{where}")

    def configure(self):
        self.write(".config/glib-2.0/settings/keyfile", SETTINGS)
        self.source("bob", "", "[Mail Account]\nBackendName=imapx\nIdentityUid=bob-identity\nNeedsInitialSetup=false\n[Refresh]\nEnabled=false\n"
                    "[Imapx Backend]\nUseIdle=true\nUseQresync=true\nUseRealTrashPath=true\nRealTrashPath=Trash\nUseRealJunkPath=true\nRealJunkPath=Junk", "imaps")
        self.source("bob-identity", "bob", "[Mail Identity]\nAddress=bob@here.test\nName=Bob\n[Mail Composition]\nDraftsFolder=folder://bob/Drafts\n"
                    "[Mail Submission]\nSentFolder=folder://bob/Sent\nTransportUid=bob-transport")
        self.source("bob-transport", "bob", "[Mail Transport]\nBackendName=smtp", "submissions")

    def wire(self):
        """What the sessions said, without the explanations."""
        with open(self.wire_log) as f:
            return "".join(line for line in f if not line.startswith(" "))

    def said(self, pattern, text=None):
        self.assertRegex(self.wire() if text is None else text, re.compile(pattern, re.M))

    def test_evolution_reads_answers_deletes_and_hears_of_new_mail(self):
        for subject in ("To delete", "For Evolution ä"):
            send(self.server, lab.message("ann@here.test", "bob@here.test", subject, lab.ATTACHMENTS))
        self.got(2)
        self.configure()
        there = imap(self.server)
        with open(self.wire_log, "wb") as log:
            watcher = subprocess.Popen([lab.binary(), "wire", "--account", "bob@here.test", "--config", self.server.config], stdout=log)
            try:
                lab.wait_for("the watcher", lambda: "watching" in self.wire())
                with Desktop(self.dir) as desk:
                    self.on(desk, there)
            finally:
                watcher.terminate()
                watcher.wait()

    def on(self, desk, there):
        try:
            self.begin(desk)
            self.first_time(desk)
            self.read(desk, there)
            self.answer(desk, there)
            self.hear(desk, there)
            self.delete(desk, there)
            self.come_again(desk, there)
            there.logout()
            self.without_the_server(desk)
        except BaseException:
            print("windows:", desk.ask("windows"), "\n--- the programs\n" + desk.words(), "\n--- the dialogue\n" + self.wire()[-4000:])
            raise

    def begin(self, desk, *options):
        self.program = desk.begin("evolution", *options, "-c", "mail")
        window = lab.wait_for("its window", lambda: desk.windows("^(Mail|Inbox)"), PATIENCE, every=0.3)[-1]
        desk.x("windowsize", window, "1270", "880")

    def first_time(self, desk):
        """It does not know the certificate, nor the password: it asks."""
        desk.press(window="Certificate trust", role="push button", name="Accept Permanently")
        self.give_password(desk, "account")

    def give_password(self, desk, what):
        dialog = {"window": "Mail authentication request"}
        desk.see(**dialog, holds=f"password for mail {what}")
        self.assertTrue(desk.ask("write", **dialog, role="password text", words=self.server.password))
        desk.press(**dialog, role="push button", name="OK")

    def open_inbox(self, desk):
        """Its own INBOX, not the one of "On This Computer" above it."""
        def below():
            accounts = desk.look(role="table cell", name="bob")
            boxes = [n for n in desk.look(role="table cell", holds="Inbox") if accounts and n["place"][1] > accounts[0]["place"][1]]
            if accounts and not boxes:
                desk.ask("press", role="table cell", name="bob", action=accounts[0]["actions"].index("expand or contract"))
            return boxes
        desk.click(lab.wait_for("bob's Inbox", below, PATIENCE, every=1)[0])

    def row(self, desk, subject):
        """The row of the message list; its place on the screen is told a row too high."""
        return desk.see(window="Inbox", role="table cell", name=subject)

    def open(self, desk, subject, by):
        """Goes through the list until the message below it is the one. Which one is shown unasked at first it does not always mark as read."""
        self.row(desk, subject)
        lab.wait_for("a message below", lambda: desk.look(window="Inbox", role="section", holds="..dots\nGrüße"), PATIENCE, every=0.3)
        self.assertEqual(self.shown(desk, subject), [], "another is shown at first")
        for _ in range(3):
            desk.press(window="Inbox", role="push button", name=by)
            try:
                return lab.wait_for(subject, lambda: self.shown(desk, subject), 10, every=0.3)
            except AssertionError:
                continue
        self.fail(f"{subject} does not come up")

    def shown(self, desk, subject):
        return desk.look(window="Inbox", role="table cell", name="", text=subject)

    def read(self, desk, there):
        self.open_inbox(desk)
        there.select("INBOX")
        self.open(desk, "For Evolution ä", "Next")
        for kind in ("PNG image attachment (bild ä.png)", "PDF document attachment (paper.pdf)", "Zip archive attachment (things.zip)"):
            desk.see(window="Inbox", role="section", text=kind)
        # It marks what was shown for a second and a half; nobody else did.
        lab.wait_for(r"\Seen", lambda: there.noop() and there.search(None, "SEEN", "SUBJECT", '"For Evolution"')[1][0] == b"2", PATIENCE)
        for command in ("ENABLE UTF8=ACCEPT", "ENABLE CONDSTORE QRESYNC", r"NOTIFY SET \(selected \(MessageNew \(UID .*", r"LIST .* RETURN \(.*STATUS \(.*SPECIAL-USE\)"):
            self.said(rf"^\d+ imap C: \w+ {command}")

    def answer(self, desk, there):
        desk.press(window="Inbox", role="push button", name="Reply")
        composer = "Re: For Evolution"
        desk.see(window=composer, role="section", holds="wrote:")
        desk.type(f"^{composer}", "Answer from Evolution: Grüße! ")
        desk.see(window=composer, role="section", holds="Answer from Evolution: Grüße!")
        self.attach(desk, composer)
        desk.press(window=composer, role="push button", name="Send")
        self.give_password(desk, "transport")
        answer = self.got(1, "ann")[0]
        self.assertIn(b"Answer from Evolution: Gr=C3=BC=C3=9Fe!", answer)
        for line in (rb"From: Bob <bob@here\.test>", rb"User-Agent: Evolution ", rb"In-Reply-To: <\w+@lab\.test>", rb"\twith|\tby mail\.here\.test with ESMTPSA"):
            self.assertRegex(answer, rb"(?m)^" + line)
        lab.assert_attachments(answer, [("boat.png", "image", "png", lab.png())])
        lab.wait_for("the copy in Sent", lambda: there.select("Sent", readonly=True)[1][0] == b"1", PATIENCE)
        there.select("INBOX")
        lab.wait_for(r"\Answered", lambda: there.noop() and there.search(None, "ANSWERED")[1][0] == b"2", PATIENCE)

    def attach(self, desk, composer):
        """By its file chooser, which takes a path that is typed."""
        picture = os.path.join(self.dir, "boat.png")
        with open(picture, "wb") as f:
            f.write(lab.png())
        desk.key(f"^{composer}", "ctrl+m")
        chooser = {"window": "Add Attachment"}
        desk.press(**chooser, role="file chooser", name="File Chooser Widget")
        lab.wait_for("the place for a path", lambda: desk.ask("write", **chooser, role="text", words=picture), PATIENCE, every=0.3)
        desk.see(**chooser, role="text", text=picture)
        desk.press(**chooser, role="push button", name="Attach")
        desk.see(window=composer, holds="boat.png")

    def hear(self, desk, there):
        lab.wait_for("IDLE", lambda: re.search(r"imap S: \+ idling\n\Z", re.sub(r"(?m)^\d+ (?!imap).*\n", "", self.wire())), PATIENCE)
        before = len(self.wire())
        send(self.server, lab.message("ann@here.test", "bob@here.test", "Pushed ö"))
        self.row(desk, "Pushed ö")
        news = self.wire()[before:]
        first = re.search(r"^\d+ imap C: .*", news, re.M)
        pushed = news[: first.start() if first else None]
        # The whole row comes as NOTIFY promised, before the program says a word.
        self.said(r"^\d+ imap S: \* 3 EXISTS$", pushed)
        self.said(r"^\d+ imap S: \* 3 FETCH \(UID 3 RFC822.SIZE \d+ RFC822.HEADER", pushed)
        self.assertEqual(there.noop() and there.search(None, "UNSEEN", "SUBJECT", "Pushed")[1][0], b"3", "seen in the list, not opened")

    def delete(self, desk, there):
        self.open(desk, "To delete", "Previous")
        desk.press(window="Inbox", role="push button", name="Delete")
        lab.wait_for("it in Trash", lambda: there.select("Trash", readonly=True)[1][0] == b"1", PATIENCE)
        there.select("INBOX", readonly=True)
        lab.wait_for("INBOX without it", lambda: there.noop() and there.search(None, "SUBJECT", '"To delete"')[1][0] == b"", PATIENCE)
        # To Trash and back by QRESYNC on one connection.
        lab.wait_for("its INBOX again", lambda: re.search(r"(?m)^\d+ imap C: \w+ SELECT INBOX \(QRESYNC \(\d+ \d+", self.wire()), PATIENCE)
        self.said(r"^\d+ imap C: \w+ UID MOVE 1 Trash$")

    def quit(self, desk):
        desk.begin("evolution", "--quit").wait(PATIENCE)
        self.program.wait(PATIENCE)

    def without_the_server(self, desk):
        """What was read once is read again with nobody there."""
        for _ in range(3):
            if self.shown(desk, "While it was closed"):
                break
            desk.press(window="Inbox", role="push button", name="Next")
            time.sleep(2)
        lab.wait_for("the message below", lambda: desk.look(window="Inbox", role="section", holds="..dots\nGrüße"), PATIENCE, every=0.5)
        self.quit(desk)
        self.server.stop()
        self.begin(desk, "--offline")
        self.open_inbox(desk)
        self.row(desk, "While it was closed")
        self.row(desk, "Pushed ö")
        lab.wait_for("the message below", lambda: self.shown(desk, "While it was closed") and desk.look(window="Inbox", role="section", holds="..dots\nGrüße"), PATIENCE, every=0.5)

    def come_again(self, desk, there):
        """What happened while it was closed is made out, and no question asked a second time."""
        self.quit(desk)
        there.select("INBOX")
        there.uid("STORE", "2", "+FLAGS", r"(\Deleted)")
        there.expunge()
        send(self.server, lab.message("ann@here.test", "bob@here.test", "While it was closed"))
        self.got(2)
        before = len(self.wire())
        self.begin(desk)
        self.open_inbox(desk)
        self.row(desk, "While it was closed")
        self.row(desk, "Pushed ö")
        lab.wait_for("the row of what is gone to go", lambda: not desk.look(window="Inbox", role="table cell", name="For Evolution ä"), PATIENCE, every=0.3)
        # Of what it has it asks for the flags only.
        self.said(r"^\d+ imap C: \w+ UID FETCH 4 \(RFC822.SIZE RFC822.HEADER", self.wire()[before:])
        self.assertEqual(desk.look(window="authentication request"), [], "the keyring had the passwords")
        self.assertEqual(sorted(re.findall(rb"(?m)^Subject: ([^\r\n]*)", b"\n".join(inbox(self.server)))), [b"Pushed =?utf-8?q?=C3=B6?=", b"While it was closed"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
