"""OfflineIMAP, imapfilter, and programs and libraries whose use of the extensions is read from the account's dialogue."""

import mailbox
import os
import unittest

import lab
from test_clients import Clients, fill, imap


class OfflineImap(Clients):
    def setUp(self):
        super().setUp()
        self.local = os.path.join(self.dir, "mail")
        self.there = imap(self.server)

    def sync(self, compression):
        rc = self.secret("offlineimaprc", f"""[general]
accounts = bob
metadata = {self.dir}/meta
ui = basic
[Account bob]
localrepository = local
remoterepository = remote
[Repository local]
type = Maildir
localfolders = {self.local}
sep = /
[Repository remote]
type = IMAP
remotehost = localhost
remoteport = {self.port['imaps']}
remoteuser = bob@here.test
remotepass = {self.server.password}
ssl = yes
sslcacertfile = {self.cert}
usecompression = {compression}
""")
        lab.client("offlineimap", "-o", "-c", rc, seconds=180)

    def folder(self, name="INBOX"):
        return mailbox.Maildir(os.path.join(self.local, name), create=False)

    def here(self, name="INBOX"):
        """{subject: flags} of a local folder."""
        return {m["Subject"]: m.get_flags() for m in self.folder(name)}

    def on_server(self, name="INBOX"):
        """The same of a mailbox, flags in a Maildir's letters."""
        self.there.select(name, readonly=True)
        found = {}
        for uid in self.there.uid("SEARCH", "ALL")[1][0].split():
            told = self.there.uid("FETCH", uid, "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            flags, subject = told[0][0] + b"".join(p for p in told if isinstance(p, bytes)), told[0][1]
            letters = {"Draft": "D", "Flagged": "F", "Answered": "R", "Seen": "S", "Deleted": "T"}
            found[subject.decode().strip().partition(": ")[2]] = "".join(letter for name, letter in letters.items() if b"\\" + name.encode() in flags)
        return found

    def change(self, subject, act):
        """`act(folder, key)` on the message of this subject."""
        folder = self.folder()
        (key,) = [key for key in folder.keys() if folder[key]["Subject"] == subject]
        act(folder, key)

    def flag(self, folder, key, flags):
        m = folder[key]
        m.set_subdir("cur")
        m.set_flags(flags)
        folder[key] = m

    def test_offlineimap_syncs_flags_and_deletions_both_ways(self):
        names = ["Read here", "Deleted here", "Flagged there", "Deleted there", "Left alone"]
        fill(self.server, *names)
        for name in ("Lists", "Lists/Rust", '"Entw&APw-rfe"'):
            self.assertEqual(self.there.create(name)[0], "OK")
        self.there.append('"Entw&APw-rfe"', r"(\Flagged \Draft)", None, lab.wire(lab.message("x@y.test", "bob@here.test", "A draft")))
        with lab.Wire(self.server) as dialogue:
            self.sync("yes")
            # What is compressed is not shown.
            dialogue.said("^ID .*OfflineIMAP", "^COMPRESS DEFLATE$")
        self.assertEqual(self.here(), dict.fromkeys(names, ""))
        for m in self.folder():
            lab.assert_attachments(m.as_bytes(), lab.ATTACHMENTS)
        self.assertTrue(os.path.isdir(os.path.join(self.local, "Lists", "Rust")))
        self.assertEqual(self.here("Entw&APw-rfe"), {"A draft": "DF"})

        # Here: one read and answered, one deleted, one written. There: one flagged, one deleted.
        self.change("Read here", lambda folder, key: self.flag(folder, key, "RS"))
        self.change("Deleted here", lambda folder, key: folder.remove(key))
        written = mailbox.MaildirMessage(lab.message("bob@here.test", "ann@here.test", "Written offline"))
        written.set_subdir("cur")
        written.set_flags("S")
        self.folder().add(written)
        self.there.select("INBOX")
        self.there.store("3", "+FLAGS", r"(\Flagged)")
        self.there.store("4", "+FLAGS", r"(\Deleted)")
        self.there.expunge()
        with lab.Wire(self.server) as dialogue:
            self.sync("no")
            dialogue.said("^APPEND ", r"^UID STORE .*Seen", r"^UID STORE .*Deleted", "^EXPUNGE")
        both = {"Read here": "RS", "Flagged there": "F", "Left alone": "", "Written offline": "S"}
        self.assertEqual(self.on_server(), both)
        self.assertEqual(self.here(), both)

        # Flags go away both ways too.
        self.change("Read here", lambda folder, key: self.flag(folder, key, ""))
        self.there.select("INBOX")
        self.there.uid("STORE", "3", "-FLAGS", r"(\Flagged)")
        self.sync("yes")
        both.update({"Read here": "", "Flagged there": ""})
        self.assertEqual((self.on_server(), self.here()), (both, both))
        before = self.there.status("INBOX", "(HIGHESTMODSEQ UIDNEXT)")
        self.sync("yes")
        self.assertEqual(self.there.status("INBOX", "(HIGHESTMODSEQ UIDNEXT)"), before, "a run without changes changes nothing")
        self.there.logout()


class ImapFilter(Clients):
    def test_imapfilter_sorts_mail_by_rules(self):
        fill(self.server, "[rust] One", "[rust] Two", "Private")
        config = self.secret("config.lua", f"""
options.timeout = 60
options.certificates = false
options.create = true
options.subscribe = true
bob = IMAP {{ server = 'localhost', port = {self.port['imaps']}, username = 'bob@here.test', password = '{self.server.password}', ssl = 'auto' }}
mail = bob.INBOX:contain_subject('[rust]') * bob.INBOX:is_unseen()
mail:mark_flagged()
mail:move_messages(bob['Lists/Rust'])
bob.INBOX:is_larger(100):mark_seen()
bob.INBOX:contain_body('Hello'):copy_messages(bob.Archive)
bob.INBOX:match_field('Subject', 'Priv'):add_flags({{ '$Label1' }})
""")
        with lab.Wire(self.server) as dialogue:
            lab.client("imapfilter", "-t", self.cert, "-c", config, env={"HOME": self.dir})
            dialogue.said("^NAMESPACE$", "^UID SEARCH ", "^UID STORE ", "^CREATE ", "^SUBSCRIBE ")
        there = imap(self.server)
        there.select("Lists/Rust")
        self.assertEqual(len(there.search(None, "FLAGGED")[1][0].split()), 2)
        there.select("INBOX")
        self.assertEqual(there.search(None, "ALL", "SEEN", "KEYWORD", "$Label1", "SUBJECT", "Private")[1][0].split(), [b"1"])
        there.select("Archive")
        self.assertEqual(len(there.search(None, "ALL")[1][0].split()), 1)
        self.assertIn(b"Lists/Rust", b"".join(x or b"" for x in there.lsub()[1]))
        there.logout()


if __name__ == "__main__":
    unittest.main(verbosity=2)
