"""Horde's IMAP library (Debian's php-horde-imap-client, what Horde's webmail stands on): it uses more extensions than any other
client that Debian has. What it made of the answers is checked, and that it asked with the extension's own words."""

import base64
import json
import os
import unittest

import lab
from test_clients import Clients, fill, imap, send

BOB = "bob@here.test"


class Horde(Clients):
    """bob may set anybody's quota."""

    def setUp(self):
        super().setUp()
        self.server.stop()
        with open(self.server.config, "a") as f:
            f.write(f'[imap]\nquota_administrators = ["{BOB}"]\n')
        self.server.start()

    def act(self, name, **env):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "horde.php")
        done = lab.client("php", script, str(self.port["imap"]), self.cert, BOB, name, stdin=self.server.password.encode() + b"\n", env=env)
        self.assertEqual(done.stderr.decode(), "")
        return json.loads(done.stdout)

    def test_horde_makes_and_lists_mailboxes(self):
        fill(self.server, "One", "Two")
        with lab.Wire(self.server) as dialogue:
            got = self.act("mailboxes")
            dialogue.said("^STARTTLS$", r'^CREATE "Meeting notes" \(USE \(\\Flagged\)\)$', r"^LIST .*RETURN \(.*CHILDREN SPECIAL-USE STATUS \(MESSAGES UNSEEN\)",
                          r"^LIST \(.*SUBSCRIBED.*\)")
        attributes, status = got["all"]["INBOX"]
        self.assertEqual((status["messages"], status["unseen"]), (2, 2))
        self.assertIn("\\hasnochildren", attributes)
        attributes, status = got["all"]["Meeting notes"]
        self.assertLessEqual({"\\flagged", "\\haschildren"}, set(attributes))
        self.assertEqual(status["messages"], 0)
        self.assertIn("Meeting notes/2026", got["subscribed"])

    def test_horde_searches_and_sorts(self):
        fill(self.server, "Cherry", "Apple", "Banana")
        reply = lab.message("ann@here.test", BOB, "Re: Apple")
        reply["References"] = lab.message("x@x.test", BOB, "Apple")["Message-ID"]
        send(self.server, reply)
        self.got(4)
        with lab.Wire(self.server) as dialogue:
            got = self.act("find")
            dialogue.said(r"^UID SEARCH RETURN \(.*MIN.*MAX.*\)", r"^UID SEARCH RETURN \(SAVE COUNT\)", r"^UID FETCH \$ ", r"^UID SORT RETURN \(.*\) \(SUBJECT\)",
                          r"^UID SORT .*\(DISPLAYFROM ARRIVAL\)", "YOUNGER 3600",
                          "^UID SEARCH .*FUZZY ", "^UID THREAD REFS")
        self.assertEqual(got, {
            "found": [[2, 3, 4], 2, 4, 3], "kept": [True, 1, [3]], "sorted": [[2, 4, 3, 1], 4], "shown": [1, 2, 3, 4],
            "younger": [1, 2, 3, 4], "fuzzy": [3], "umlaut": [1, 2, 3, 4], "threads": 4,
        })

    def test_horde_reads_parts_and_builds_messages(self):
        fill(self.server, "One")
        with lab.Wire(self.server) as dialogue:
            got = self.act("messages")
            dialogue.said(r"BINARY\.PEEK\[2\]", r"BINARY\.SIZE\[2\]", r"^APPEND Drafts \(\\draft\) CATENATE \(URL ", r"^UID MOVE 2:3 Archive")
        self.assertEqual(base64.b64decode(got["decoded"]), lab.png())
        self.assertIn(got["how"], ("8bit", "binary"))
        self.assertEqual(got["size"], len(lab.png()))
        self.assertIn("image/png", got["parts"])
        self.assertEqual((got["made"], got["two"], got["moved"]), ([1], [2, 3], {"2": 1, "3": 2}))
        there = imap(self.server)
        there.select("Drafts")
        text = there.fetch("1", "(FLAGS RFC822)")[1][0]
        self.assertIn(b"\\Draft", text[0])
        self.assertIn(b"Subject: One\r\n", text[1])
        self.assertTrue(text[1].endswith(b"\r\n\r\nAnother body.\r\n"), text[1][-80:])
        there.logout()

    def test_horde_keeps_facts_and_shares(self):
        with lab.Wire(self.server) as dialogue:
            got = self.act("facts")
            dialogue.said(r'^SETMETADATA INBOX \(/private/comment "Mine, and only mine" /shared/comment "For all"\)', '^GETMETADATA INBOX ',
                          '^SETMETADATA "" ', "^SETACL INBOX ann@here.test lrs$", r"^SETACL INBOX ann@here.test \+w$", "^GETACL ", "^MYRIGHTS ",
                          "^LISTRIGHTS ", "^DELETEACL ", "^GETQUOTAROOT ", "^COMPARATOR")
        self.assertEqual(got["inbox"], {"INBOX": {"/private/comment": "Mine, and only mine", "/shared/comment": "For all", "/shared/admin": None}})
        self.assertEqual(got["server"], {"": {"/private/vendor/horde/theme": "dark"}})
        self.assertEqual(got["gone"], {"INBOX": {"/private/comment": None}})
        self.assertEqual((got["acl"], got["after"]), ({BOB: "lrswipkxtea", "ann@here.test": "lrsw"}, [BOB]))
        self.assertEqual((set(got["may_have"]), set("lrswi") - set(got["mine"])), (set("lrswipkxtea"), set()))
        self.assertEqual(got["quota"][""]["mailbox"]["limit"], "10000")
        self.assertEqual(got["comparators"], ["i;unicode-casemap"] * 2)
        self.assertEqual((got["id"], got["namespaces"]), ("Packetboat", ["", "Other Users/", "Shared/"]))

    def test_horde_sets_quotas(self):
        with lab.Wire(self.server) as dialogue:
            got = self.act("quota")
            dialogue.said('^SETQUOTA "Other Users/ann@here.test" \\(STORAGE 5000\\)$', '^SETQUOTA "" \\(STORAGE 700\\)$', '^GETQUOTA "Other Users/ann@here.test"$')
        self.assertEqual(got["ann"]["storage"], {"limit": "5000", "usage": "0"})
        self.assertEqual(got["mine"][""]["storage"]["limit"], "700")
        self.assertTrue(got["announced"])
        # What is over it is not taken.
        there = imap(self.server)
        self.assertEqual(there.append("INBOX", None, None, b"Subject: x\r\n\r\n" + b"x" * 720_000)[0], "NO")
        there.logout()

    def test_horde_learns_what_changed(self):
        fill(self.server, "One", "Two", "Three")
        token = self.act("token")["token"]
        there = imap(self.server)
        there.select("INBOX")
        there.store("2", "+FLAGS", r"(\Flagged)")
        there.store("1", "+FLAGS", r"(\Deleted)")
        there.expunge()
        there.append("INBOX", None, None, b"Subject: Four\r\n\r\nx\r\n")
        there.logout()
        with lab.Wire(self.server) as dialogue:
            got = self.act("sync", TOKEN=token)
            dialogue.said("^ENABLE .*QRESYNC", "VANISHED")
        self.assertEqual(got, {"new": [4], "flags": [2, 4], "gone": [1]})


if __name__ == "__main__":
    unittest.main(verbosity=2)
