"""Shared mailboxes with Python's imaplib: two people, a shared account, rights given, used, refused and taken back."""

import imaplib
import json
import unittest

import lab


def message(subject):
    return f"From: ann@here.test\r\nTo: bob@here.test\r\nSubject: {subject}\r\n\r\n{subject}\r\n".encode()


class Shared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lab.Server(start_with=["ann", "bob", "cay"]).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def imap(self, user):
        client = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        client.login(f"{user}@here.test", self.server.password)
        self.addCleanup(client.shutdown)
        return client

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def test_share_read_flag_refuse(self):
        ann, bob, cay = self.imap("ann"), self.imap("bob"), self.imap("cay")
        self.ok(ann.create("Club"))
        for subject in ("one", "two"):
            self.ok(ann.append("Club", "", None, message(subject)))
        theirs = '"Other Users/ann@here.test/Club"'
        self.assertEqual(bob.select(theirs)[0], "NO")
        self.ok(ann.setacl("Club", "bob@here.test", "lrs"))
        self.assertIn(b"bob@here.test lrs", self.ok(ann.getacl("Club"))[0])
        self.assertIn(b"Other Users/", self.ok(bob.namespace())[0])
        listed = b" ".join(self.ok(bob.list('""', '"Other Users/*"')))
        self.assertIn(b"ann@here.test/Club", listed)
        self.assertEqual(self.ok(bob.select(theirs)), [b"2"])
        self.assertIn(b"lrs", self.ok(bob.myrights(theirs))[0])
        self.assertIn(b"Subject: one", self.ok(bob.fetch("1", "(BODY[])"))[0][1])
        self.ok(bob.store("2", "+FLAGS", r"(\Seen)"))
        self.assertEqual(bob.store("1", "+FLAGS", r"(\Flagged)")[0], "NO")
        self.assertEqual(bob.expunge()[0], "NO")
        self.assertEqual(bob.append(theirs, "", None, message("three"))[0], "NO")
        # What bob saw ann sees; cay sees nothing at all.
        self.ok(ann.select("Club"))
        self.assertEqual(self.ok(ann.search(None, "SEEN")), [b"1 2"])
        self.assertEqual(cay.select(theirs)[0], "NO")
        self.assertEqual(self.ok(cay.list('""', '"Other Users/*"')), [None])
        # More rights, then none.
        self.ok(ann.setacl("Club", "bob@here.test", "+wite"))
        self.ok(bob.append(theirs, r"(\Flagged)", None, message("three")))
        self.assertEqual(self.ok(bob.search(None, "FLAGGED")), [b"3"])
        self.ok(bob.copy("1:2", "INBOX"))
        self.ok(bob.store("3", "+FLAGS", r"(\Deleted)"))
        self.assertEqual(self.ok(bob.expunge()), [b"3"])
        self.ok(ann.deleteacl("Club", "bob@here.test"))
        with self.assertRaises((imaplib.IMAP4.abort, imaplib.IMAP4.error)):
            bob.noop()
            bob.fetch("1", "(FLAGS)")

    def test_the_operator_shares(self):
        def run(*arguments):
            return self.server.run(*arguments).stdout

        run("shared", "add", "club@here.test", "--admin", "ann@here.test")
        self.assertIn("club@here.test", run("shared", "list"))
        run("acl", "set", "club@here.test", "*", "anyone", "lr")
        run("acl", "set", "club@here.test", "INBOX", "-cay@here.test", "lr")
        told = json.loads(run("acl", "list", "club@here.test", "INBOX", "--json"))
        self.assertTrue(told["shared"])
        self.assertEqual(
            told["access"],
            [{"mailbox": "INBOX", "entries": [
                {"identifier": "-cay@here.test", "rights": "lr"},
                {"identifier": "ann@here.test", "rights": "lrswipkxtea"},
                {"identifier": "anyone", "rights": "lr"},
            ]}],
        )
        ann, bob, cay = self.imap("ann"), self.imap("bob"), self.imap("cay")
        inbox = "Shared/club@here.test/INBOX"
        self.ok(ann.append(inbox, "", None, message("for all")))
        self.assertEqual(self.ok(bob.select(inbox, readonly=True)), [b"1"])
        # imaplib's word for a mailbox that is opened READ-ONLY although it was not asked so.
        with self.assertRaises(imaplib.IMAP4.readonly):
            bob.select(inbox)
        self.assertEqual(cay.select(inbox)[0], "NO")
        self.ok(ann.create("Shared/club@here.test/Minutes"))
        self.assertEqual(self.ok(bob.select("Shared/club@here.test/Minutes", readonly=True)), [b"0"])
        run("acl", "remove", "club@here.test", "*", "anyone")
        self.assertEqual(bob.select("Shared/club@here.test/Minutes", readonly=True)[0], "NO")
        # Nobody signs in to it.
        with self.assertRaises(imaplib.IMAP4.error):
            imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]).login("club@here.test", "")
        for refused in (("nobody@here.test", "lr"), ("bob@here.test", "xyz"), ("club@here.test", "lr")):
            self.assertEqual(self.server.run("acl", "set", "club@here.test", "INBOX", *refused, ok=False).returncode, 1, refused)
