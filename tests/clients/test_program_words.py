"""What the email program's command line answers: to people, to scripts, to pipes; exit codes; undo; moving house into its own store."""

import json
import os
import subprocess
import tempfile
import shutil
import unittest

import lab
from dovecot import PASSWORD, Dovecot
from test_moving import fill, imap
from test_program import Program

LATIN = (b"From: a@there.test\r\nSubject: Latin\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
         b"Content-Transfer-Encoding: 8bit\r\nDate: Sat, 28 Nov 2026 23:30:00 +0000\r\n\r\nGr\xfc\xdfe\r\n")
EVIL = (b"From: evil\x1b[31m@there.test\r\nSubject: esc \x1b]0;owned\x07\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/html\r\n\r\n<p>hi \x1b[31m</p>\r\n--b\r\nContent-Type: application/pdf; name=\"e\x1b[31mvil.pdf\"\r\n"
        b"Content-Disposition: attachment; filename=\"../e\x1b[31mvil.pdf\"\r\n\r\nabc\r\n--b--\r\n")


class Words(unittest.TestCase):
    def people(self, mail, *words, env=None, stdout=subprocess.PIPE, stdin=None):
        return subprocess.run([lab.binary(), "mail", "--data", mail.dir, *words], stdin=subprocess.DEVNULL if stdin is None else None,
                              input=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=60, env={**os.environ, **(env or {})})

    def refused(self, mail, *words):
        done = self.people(mail, *words)
        self.assertEqual((done.returncode, done.stdout), (1, b""), words)
        return done.stderr.decode()

    def account(self, port, *words):
        mail = Program(self)
        told = mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{port}", "--login", "ann", "--no-discovery", *words)
        self.assertIn("no submission server", told["warnings"][0])
        return mail

    def test_what_people_scripts_and_pipes_get(self):
        with Dovecot() as old:
            session = imap(old.ports["imap"], "ann")
            fill(session, {"INBOX": 2})
            for text in (LATIN, EVIL):
                self.assertEqual(session.append("INBOX", None, None, text)[0], "OK")
            mail = self.account(old.ports["imap"])
            dates = [m["date"] for m in mail("ls", "--remote")["messages"]]
            self.assertEqual((dates[2], dates[3]), ("2026-11-28T23:30:00Z", ""))
            self.assertEqual(mail("sync")["downloaded"], 4)
            # Octets are octets, and JSON says them too.
            self.assertEqual(self.people(mail, "read", "3", "--raw").stdout, LATIN)
            self.assertIn("raw_base64", mail("read", "3", "--raw")["messages"][0])
            self.assertNotIn("raw_base64", mail("read", "4", "--raw")["messages"][0])
            # Nothing of a message commands a terminal.
            for words in (["ls"], ["ls", "--remote"], ["read", "4"], ["read", "4", "--html"], ["read", "4", "--headers"],
                          ["attachments", "4"], ["search", "esc"]):
                done = self.people(mail, *words)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn(b"\x1b", done.stdout, words)
            # Times of people are in their zone; those of programs in UTC.
            self.assertIn(b"2026-11-29 08:30", self.people(mail, "ls", env={"TZ": "JST-9"}).stdout)
            self.assertIn(b"2026-11-28 23:30", self.people(mail, "ls", env={"TZ": "UTC"}).stdout)
            self.assertEqual(mail("ls")["messages"][2]["date"], "2026-11-28T23:30:00Z")
            # A search says where each is.
            hit = mail("search", "Latin")["messages"][0]
            self.assertEqual((hit["mailbox"], hit["place"]), ("INBOX", "both"))
            self.assertIn(b"INBOX", self.people(mail, "search", "Latin").stdout)
            # What is not there is an error, and nothing is done.
            for words in (["read", "99"], ["move", "1", "99", "--to", "Work"], ["flag", "99", "--set", "+seen"], ["delete", "1", "99"],
                          ["mark", "99"], ["download", "99"], ["delete", "--remote", "99"], ["read", "3", "--html"]):
                self.assertIn(words[-1] if words[0] in ("read", "download") and words[-1] != "--html" else "", self.refused(mail, *words))
            self.assertEqual(len(mail("ls")["messages"]), 4)
            self.assertEqual(subprocess.run([lab.binary(), "mail", "--json"], stdin=subprocess.DEVNULL, capture_output=True).returncode, 2)
            # Without a submission server it says so, wherever one looks.
            sent = mail("send", "--to", "bob@there.test", "--cc", "carl@there.test", "--bcc", "Bob@there.test", "--text", "x")
            self.assertIn("no submission server", sent["said"][0])
            self.assertEqual(sent["recipients"], ["bob@there.test", "carl@there.test"])
            self.assertIn("no submission server", mail("outbox")["outbox"][0]["recipients"][0]["said"])
            # Pipes that close, and a full disk.
            with open("/dev/full", "wb") as full:
                done = self.people(mail, "ls", stdout=full)
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"No space left on device", done.stderr)
            reader, writer = os.pipe()
            os.close(reader)
            done = self.people(mail, "read", "1", stdout=writer)
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_undo_takes_deletions_back_one_after_the_other(self):
        with Dovecot() as old:
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 4, "Work": 1})
            mail = self.account(old.ports["imap"])
            mail("sync")
            names = lambda mailbox: sorted(m["subject"] for m in mail("ls", mailbox)["messages"])
            before = names("INBOX"), names("Work")
            mail("delete", "1", "2")
            mail("delete", "1", "--in", "Work")
            trashed = [str(m["id"]) for m in mail("ls", "Trash")["messages"] if m["subject"] == "Work 0"]
            mail("delete", *trashed, "--in", "Trash")
            self.assertEqual((len(names("INBOX")), names("Work"), len(names("Trash"))), (2, [], 2))
            mail("sync")
            self.assertEqual(mail("undo")["messages"], 1)
            self.assertEqual(len(names("Trash")), 3)
            self.assertEqual(mail("undo")["messages"], 1)
            self.assertEqual(names("Work"), before[1])
            self.assertEqual(mail("undo")["messages"], 2)
            self.assertEqual((names("INBOX"), names("Trash")), (before[0], []))
            self.assertEqual(mail("undo", ok=False)["error"], "nothing was deleted")
            self.assertEqual(mail("sync")["troubles"], [])
            session = imap(old.ports["imap"], "ann")
            self.assertEqual([session.select(name)[1] for name in ("INBOX", "Work", "Trash")], [[b"4"], [b"1"], [b"0"]])

    def test_a_name_that_stands_for_a_use_and_names_that_clash(self):
        with Dovecot() as old:
            session = imap(old.ports["imap"], "ann")
            fill(session, {"INBOX": 2, "work": 1, "Work": 2, "Entw&APw-rfe": 1})
            mail = self.account(old.ports["imap"])
            self.assertEqual(mail("sync")["downloaded"], 6)
            # The server's Entwürfe is Drafts here, and goes by either name.
            self.assertEqual(mail("ls", "Entwürfe")["mailbox"], "Drafts")
            mail("move", "1", "--to", "Entwürfe")
            self.assertEqual([m["name"] for m in mail("folders")["mailboxes"] if "Entw" in m["name"]], [])
            self.assertEqual((len(mail("ls", "work")["messages"]), len(mail("ls", "Work")["messages"])), (1, 2))
            # Somebody makes one of that name here all the same: it gets a name of its own there, once.
            mail("folders", "add", "Entwürfe")
            mail("copy", "2", "--to", "Entwürfe")
            self.assertEqual(mail("sync")["troubles"], [])
            self.assertEqual(mail("sync")["troubles"], [])
            listed = b" ".join(session.list()[1])
            self.assertEqual((listed.count(b"Entw&APw-rfe"), listed.count(b"Entw&APw-rfe (2)")), (2, 1))
            self.assertEqual([session.select(f'"{name}"')[1] for name in ("Entw&APw-rfe", "Entw&APw-rfe (2)")], [[b"2"], [b"1"]])

    def test_what_is_refused_or_taken_back_is_told_and_goes_to_drafts(self):
        with lab.Server(accounts=("ann", "bob"), password=PASSWORD) as server:
            mail = Program(self)
            mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{server.ports['imap']}", "--no-discovery",
                     "--smtp", f"smtp://127.0.0.1:{server.ports['submission']}")
            sent = mail("send", "--to", "bob@here.test", "--subject", "- a list", "--text", "- one")
            self.assertEqual((sent["sent"], sent["refused"]), (True, False))
            refused = mail("send", "--to", "nobody@here.test", "--subject", "No", "--text", "x", ok=False)
            self.assertEqual((refused["sent"], refused["refused"]), (False, True))
            for words in (["send", "--to", "nobody@here.test", "--subject", "No", "--text", "x"],):
                done = self.people(mail, *words)
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"refused: nobody@here.test: 550", done.stdout)
            self.assertEqual(self.people(mail, "outbox").returncode, 0)
            later = mail("send", "--to", "bob@here.test", "--subject", "Later", "--text", "x", "--at", "2099-01-01T00:00:00Z")
            mail("undo", str(refused["id"]), str(later["id"]))
            subjects = lambda name: [(m["subject"], "draft" in m["flags"]) for m in mail("ls", name)["messages"]]
            self.assertEqual(subjects("Sent"), [("- a list", False), ("No", False)])
            self.assertEqual(sorted(subjects("Drafts")), [("Later", True), ("No", True)])
            self.assertEqual(mail("sync")["troubles"], [])

    def test_every_account_has_its_turn(self):
        with Dovecot() as old:
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 2})
            fill(imap(old.ports["imap"], "bob"), {"INBOX": 3})
            mail = self.account(old.ports["imap"])
            mail.add("gone@here.test", "--imap", "imap://127.0.0.1:1", "--offline")
            mail.add("bob@here.test", "--pop3", f"pop3://127.0.0.1:{old.ports['pop3']}", "--login", "bob", "--no-discovery")
            done = self.people(mail, "--json", "sync", "--all")
            told = json.loads(done.stdout)["accounts"]
            self.assertEqual(done.returncode, 1)
            self.assertEqual([one["account"] for one in told], ["ann@here.test", "gone@here.test", "bob@here.test"])
            self.assertEqual((told[0]["downloaded"], told[2]["downloaded"]), (2, 3))
            self.assertIn("refused", told[1]["error"])
            self.assertIn(b"gone@here.test: not done: ", self.people(mail, "sync", "--all").stdout)
            self.assertEqual(len(mail("ls", "--account", "bob@here.test")["messages"]), 3)

    def test_moving_house_into_the_programs_own_store(self):
        folder = tempfile.mkdtemp(prefix="packetboat-words-")
        self.addCleanup(shutil.rmtree, folder, True)
        with Dovecot() as old:
            fill(imap(old.ports["imap"], "old"), {"INBOX": 3, "Letters": 2})
            imap(old.ports["imap"], "ann").logout()
            mail = Program(self)
            mail.dir = os.path.join(folder, "packetboat", "mail")
            mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{old.ports['imap']}", "--login", "ann", "--no-discovery")
            source = (f"imap://old@127.0.0.1:{old.ports['imap']}", "--password-stdin")
            told = mail("import", *source, stdin=PASSWORD + "\n")
            self.assertEqual((told["imported"], told["known"]), (5, 0))
            # The same without `mail`, where no server was ever set up.
            env = {**os.environ, "XDG_DATA_HOME": folder}
            again = subprocess.run([lab.binary(), "import", *source, "--account", "ann@here.test", "--json"], input=PASSWORD + "\n",
                                   env=env, capture_output=True, text=True, timeout=60)
            self.assertEqual((again.returncode, json.loads(again.stdout)["known"]), (0, 5), again.stdout + again.stderr)
            # An empty mbox is no mistake, and one that is named by a year is no message of MH.
            box = os.path.join(folder, "boxes")
            os.mkdir(box)
            open(os.path.join(box, "empty"), "wb").close()
            with open(os.path.join(box, "2004"), "w") as f:
                f.write("From a@b.test Sat Jan  3 01:05:34 2004\nFrom: a@b.test\nSubject: of 2004\n\nx\n\n")
            self.assertEqual(mail("import", os.path.join(box, "empty"))["imported"], 0)
            self.assertEqual(mail("import", box)["mailboxes"]["2004"]["imported"], 1)
            with open(os.path.join(folder, "Re: hello.eml"), "w") as f:
                f.write("From: a@b.test\nSubject: alone\n\nx\n")
            self.assertEqual(mail("import", os.path.join(folder, "Re: hello.eml"))["mailboxes"], {"INBOX": {"imported": 1, "known": 0}})
            self.assertIn("schemes", mail("import", "http://ann@here.test", ok=False)["error"])
            self.assertEqual(mail("sync")["uploaded"], 7)
            out = os.path.join(folder, "out")
            self.assertEqual(mail("export", out, "--as", "eml")["exported"], 7)
            self.assertEqual(sum(name.endswith(".eml") for _, _, names in os.walk(out) for name in names), 7)

    def test_one_account_of_a_list_that_fails_is_told_by_the_exit_code(self):
        with Dovecot() as old, lab.Server(accounts=("ann", "bob"), password=PASSWORD) as server:
            fill(imap(old.ports["imap"], "u1"), {"INBOX": 2})
            people = f"u1,ann@here.test,{PASSWORD}\nu2,bob@here.test,wrong\n"
            for form in (["--json"], []):
                done = server.run("import", f"imap://127.0.0.1:{old.ports['imap']}", "--list", "-", *form, stdin=people, ok=False)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn("does not let us in", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
