"""Shared mailboxes with Python's imaplib: two people, a shared account, rights given, used, refused and taken back."""

import base64
import http.client
import imaplib
import json
import unittest

import lab

MAIL = "urn:ietf:params:jmap:mail"


def message(subject):
    return f"From: ann@here.test\r\nTo: bob@here.test\r\nSubject: {subject}\r\n\r\n{subject}\r\n".encode()


class Shared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lab.Server(start_with=["ann", "bob", "cay"], also=("http",)).start()

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

    def jmap(self, user, path, body=None):
        basic = base64.b64encode(f"{user}@here.test:{self.server.password}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.ports["http"], timeout=30)
        self.addCleanup(connection.close)
        headers = {"Host": "localhost", "Authorization": f"Basic {basic}", "Content-Type": "application/json"}
        connection.request("POST" if body else "GET", path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        return json.loads(answer.read())

    def call(self, user, account, name, **arguments):
        using = ["urn:ietf:params:jmap:core", MAIL]
        asked = {"using": using, "methodCalls": [[name, {"accountId": account, **arguments}, "c"]]}
        answered, answer, _ = self.jmap(user, "/jmap/api", asked)["methodResponses"][0]
        return answer if answered == name else answer["type"]

    def test_what_imap_gives_jmap_shows_at_once(self):
        ann = self.imap("ann")
        self.ok(ann.create("Team"))
        self.ok(ann.append("Team", "", None, message("for the team")))
        accounts = lambda: {one["name"]: key for key, one in self.jmap("bob", "/jmap/session")["accounts"].items()}
        theirs = self.jmap("ann", "/jmap/session")["primaryAccounts"][MAIL]
        boxes = lambda: self.call("bob", theirs, "Mailbox/get", ids=None)["list"]
        self.assertEqual(self.call("bob", theirs, "Mailbox/get", ids=None), "accountNotFound")
        self.ok(ann.setacl("Team", "bob@here.test", "lrs"))
        self.assertEqual(accounts().get("ann@here.test"), theirs)
        (team,) = [box for box in boxes() if box["name"] == "Team"]
        self.assertEqual((team["totalEmails"], team["myRights"]["maySetSeen"], team["myRights"]["maySetKeywords"]), (1, True, False))
        (found,) = self.call("bob", theirs, "Email/query", filter={"inMailbox": team["id"], "text": "team"})["ids"]
        flag = lambda word: self.call("bob", theirs, "Email/set", update={found: {f"keywords/{word}": True}})
        self.assertEqual(flag("$flagged")["notUpdated"][found]["type"], "forbidden")
        self.assertIn(found, flag("$seen")["updated"])
        self.ok(ann.select("Team"))
        self.assertEqual(self.ok(ann.search(None, "SEEN")), [b"1"])
        # Subscribed by one protocol, subscribed for the other.
        self.assertIsNone(self.call("bob", theirs, "Mailbox/set", update={team["id"]: {"isSubscribed": True}})["notUpdated"])
        bob = self.imap("bob")
        self.assertIn(b"Other Users/ann@here.test/Team", b" ".join(self.ok(bob.lsub())))
        # A copy into bob's own INBOX, which IMAP sees.
        own = self.jmap("bob", "/jmap/session")["primaryAccounts"][MAIL]
        inbox = next(box["id"] for box in self.call("bob", own, "Mailbox/get", ids=None)["list"] if box["role"] == "inbox")
        copied = self.call("bob", own, "Email/copy", fromAccountId=theirs, create={"c": {"id": found, "mailboxIds": {inbox: True}}})
        self.assertTrue(copied["created"]["c"]["id"])
        self.ok(bob.select("INBOX"))
        self.assertEqual(len(self.ok(bob.search(None, "SUBJECT", "team"))[0].split()), 1)
        self.ok(ann.deleteacl("Team", "bob@here.test"))
        self.assertEqual(self.call("bob", theirs, "Email/get", ids=[found]), "accountNotFound")
        self.assertNotIn("ann@here.test", accounts())

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
