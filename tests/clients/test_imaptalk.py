"""Mail::IMAPTalk, Cyrus' own test client (Debian's libmail-imaptalk-perl), for extensions that no mail program is known to use: it
writes each command and reads each answer. What it made of them is checked, and what the server was told."""

import json
import os
import random
import signal
import subprocess
import time
import unittest

import lab
from test_clients import Clients, fill, imap
from test_jmap_access import session

BOB = "bob@here.test"


SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "imaptalk.pl")


class ImapTalk(Clients):
    def act(self, name, *said, server=None):
        server = server or self.server
        with lab.Wire(server) as dialogue:
            done = lab.client("perl", SCRIPT, str(server.ports["imap"]), BOB, name, stdin=server.password.encode() + b"\n")
            dialogue.said(*said)
        self.assertEqual(done.stderr.decode(), "")
        got = json.loads(done.stdout)
        self.assertEqual(set(got.pop("announced", [True])), {True})
        return got

    def test_imaptalk_replaces(self):
        got = self.act("replace", r"^uid replace 1 Drafts \(\\Draft\) \{\d+\}$")
        self.assertEqual(got, {"missing": "no [NONEXISTENT]", "uid": "2", "there": [2]})
        there = imap(self.server)
        there.select("Drafts")
        self.assertIn(b"Subject: new", there.fetch("1", "(FLAGS RFC822)")[1][0][1])
        there.logout()

    def test_imaptalk_lists_metadata_and_rights(self):
        got = self.act("lists", r'^list "" \(INBOX Trash\) RETURN \(METADATA \(/private/comment\) MYRIGHTS\)$')
        self.assertEqual(got["names"], ["INBOX", "Trash"])
        self.assertEqual(got["metadata"], {"INBOX": {"/private/comment": "Mine (all of it)"}, "Trash": {"/private/comment": None}})
        self.assertEqual({name: set(rights) for name, rights in got["rights"].items()}, {"INBOX": set("lrswipkxteacd"), "Trash": set("lrswipkxteacd")})

    def test_imaptalk_signs_and_fetches_urls(self):
        fill(self.server, "One")
        got = self.act("urls", "^genurlauth ", "^urlfetch \\(", r"^append Drafts \(\\Draft\) CATENATE \(URL ", "^resetkey INBOX INTERNAL$")
        self.assertTrue(got["same"])
        self.assertRegex(got["signed"], "^imap://bob@here.test@mail.here.test/INBOX/;UID=1/;SECTION=1;URLAUTH=user\\+bob:internal:[0-9a-f]+$")
        self.assertIn("Gr=C3=BC=C3=9Fe", got["text"])
        self.assertIn("Grüße", got["binary"].encode("latin-1").decode())
        self.assertEqual(got["structure"][:2], ["TEXT", "PLAIN"])
        self.assertIsNone(got["after"])
        there = imap(self.server)
        there.select("Drafts")
        self.assertEqual(there.fetch("1", "(RFC822)")[1][0][1], b"Subject: Ochanged\r\n\r\nNew.\r\n")
        there.logout()

    def test_imaptalk_works_by_uids_only(self):
        fill(self.server, "One", "Two", "Three")
        got = self.act("uidonly", "^enable UIDONLY$", "^uid expunge 2$")
        self.assertEqual((got["enabled"], got["numbers"]), (["uidonly"], "bad [UIDREQUIRED]"))
        self.assertEqual((got["fetched"], set(got["items"])), (["1", "2", "3"], {"FLAGS", "RFC822.SIZE"}))
        self.assertEqual([(uid, "\\Deleted" in flags) for uid, (_, flags) in got["stored"]], [("2", True)])
        self.assertEqual((got["gone"], got["left"]), ([["2"]], [1, 3]))

    def test_imaptalk_asks_by_batches(self):
        there = imap(self.server)
        for subject in range(5):
            there.append("INBOX", None, None, b"Subject: %d\r\n\r\nx\r\n" % subject)
        there.select("INBOX")
        for _ in range(7):
            self.assertEqual(there.uid("COPY", "1:*", "INBOX")[0], "OK")
            there.noop()
        there.logout()
        got = self.act("batches", "^uidbatches 500$", "^uidbatches 500 2:2$")
        self.assertEqual(got.pop("tag")[0], "TAG")
        self.assertEqual(got, {"batches": "640:141,140:1", "sizes": [500, 140], "second": "140:1", "few": "no [TOOFEW]"})

    def test_imaptalk_is_limited(self):
        self.server.stop()
        with open(self.server.config, "a", encoding="utf-8") as f:
            f.write("[imap]\nmessages_max = 3\nsaved_max = 2\n")
        self.server.start()
        there = imap(self.server)
        for subject in range(7):
            there.append("INBOX", None, None, b"Subject: %d\r\n\r\nx\r\n" % subject)
        there.logout()
        got = self.act("limits", r"^uid fetch 1:4 \(flags\)$")
        self.assertEqual(got["rounds"], [[5, 6, 7], [2, 3, 4], [1]])
        self.assertEqual((got["copied"], got["uids"]), ("no [MESSAGELIMIT 2 6]", "1:2"))

    def test_imaptalk_searches_many_mailboxes(self):
        fill(self.server, "Apple", "Banana", "Cherry")
        got = self.act("multisearch", r"^esearch IN \(mailboxes INBOX subtree Lists\) RETURN \(COUNT ALL\) SUBJECT Banana$")
        self.assertEqual(got["found"], {"INBOX": ["ours", "valid", "UID", "COUNT", "1", "ALL", "2"], "Lists/Rust": ["ours", "valid", "UID", "COUNT", "1", "ALL", "1"]})

    def test_imaptalk_is_told_what_becomes_of_its_searches(self):
        fill(self.server, "C", "A")
        got = self.act("context", r"^uid search RETURN \(UPDATE CONTEXT ALL\)", r"^uid sort RETURN \(UPDATE ALL\)", "^cancelupdate ")
        self.assertEqual(got, {
            "asked": [["search", "UID", "ALL", "1:2"]], "sorted": [["sort", "UID", "ALL", "2,1"]],
            "added": [["search", "UID", "ADDTO", ["0", "3"]], ["sort", "UID", "ADDTO", ["2", "3"]]],
            "flagged": [["search", "UID", "REMOVEFROM", ["0", "1"]]],
            "gone": [["search", "UID", "REMOVEFROM", ["0", "2"]], ["sort", "UID", "REMOVEFROM", ["1", "2"]]], "after": [],
        })

    def test_imaptalk_searches_by_filters(self):
        fill(self.server, "Cherry", "Apple", "Banana")
        got = self.act("filters", '^setmetadata "" \\("/private/filters/values/fruit" ', "^uid search FILTER fruit$")
        self.assertEqual(got, {"found": [2, 3], "others": [1], "sorted": [3, 2], "none": "no [UNDEFINED-FILTER none]"})

    def test_imaptalk_is_told_that_a_long_search_goes_on(self):
        """What it looks through takes a while; that the server is stopped for ten seconds of it makes it long on any machine."""
        rng, there = random.Random(1), imap(self.server)
        words = [b"%06x" % rng.getrandbits(24) for _ in range(3000)]
        for subject in range(40):
            lines = b"\r\n".join(b" ".join(rng.choices(words, k=10)) for _ in range(300))
            there.append("INBOX", None, None, b"Subject: %d\r\n\r\n%s\r\n" % (subject, lines))
        there.select("INBOX")
        for _ in range(5):
            there.uid("COPY", "1:*", "INBOX")
            there.noop()
        there.logout()
        with lab.Wire(self.server) as dialogue:
            client = subprocess.Popen(["perl", SCRIPT, str(self.port["imap"]), BOB, "progress"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            client.stdin.write(self.server.password.encode() + b"\n")
            client.stdin.flush()
            dialogue.said("^uid search ")
            os.kill(self.server.process.pid, signal.SIGSTOP)
            time.sleep(10.5)
            os.kill(self.server.process.pid, signal.SIGCONT)
            out, _ = client.communicate(timeout=180)
        self.assertEqual(json.loads(out), {"announced": [True], "found": 1280, "told": "of this search"})

    def test_imaptalk_is_shown_to_jmap(self):
        with lab.Server(accounts=("bob",), also=("https",)) as server:
            got = self.act("jmap", "^getjmapaccess$", server=server)
            self.assertEqual(session(got["url"], server.ports["https"], server, False, BOB)["username"], BOB)

    def test_imaptalk_serves_one_account_after_the_other(self):
        fill(self.server, "One", "Two")
        got = self.act("unauthenticate", "^unauthenticate$")
        self.assertEqual(got, {"counts": ["2", "0"], "between": "bad "})


if __name__ == "__main__":
    unittest.main(verbosity=2)
