"""The email program by POP3: where each message is, a choice of them, and several accounts at once."""

import json
import signal
import subprocess
import unittest

import lab
from dovecot import PASSWORD, Dovecot
from test_moving import fill, imap
from test_program import Program


class Pop3(unittest.TestCase):
    def account(self, old, *words):
        mail = Program(self)
        mail.add("ann@here.test", "--pop3", f"pop3://127.0.0.1:{old.ports['pop3']}", "--login", "ann", "--no-discovery", *words)
        return mail

    def test_each_says_where_it_is(self):
        def places(mail, *words):
            return {row["subject"]: row["place"] for row in mail("ls", *words)["messages"]}

        with Dovecot() as old:
            session = imap(old.ports["imap"], "ann")
            for n in range(5):
                session.append("INBOX", None, None, lab.wire(lab.message("b@there.test", "a@here.test", f"m {n}")))
            mail = self.account(old)
            rows = mail("ls", "--remote")["messages"]
            self.assertEqual({row["place"] for row in rows}, {"on server"})
            ids = {row["subject"]: row["id"] for row in rows}
            # One alone, and then the others.
            self.assertEqual(mail("download", ids["m 2"])["messages"], 1)
            self.assertEqual(places(mail), {"m 2": "both"})
            self.assertEqual([s for s, place in places(mail, "--remote").items() if place == "both"], ["m 2"])
            self.assertIn("nowhere", mail("download", "nowhere", ok=False)["error"])
            self.assertEqual(mail("sync")["downloaded"], 4)
            self.assertEqual(set(places(mail).values()), {"both"})
            # Filed elsewhere it is here all the same; gone for good it is only there, and can be had again.
            here = {row["subject"]: str(row["id"]) for row in mail("ls")["messages"]}
            mail("move", here["m 0"], "--to", "Letters")
            mail("delete", here["m 1"])
            for row in mail("ls", "Trash")["messages"]:
                mail("delete", str(row["id"]), "--in", "Trash")
            self.assertEqual(places(mail, "Letters"), {"m 0": "both"})
            self.assertEqual(mail("search", "m 0")["messages"][0]["place"], "both")
            there = places(mail, "--remote")
            self.assertEqual((there["m 0"], there["m 1"], there["m 2"]), ("both", "on server", "both"))
            self.assertEqual(mail("sync")["downloaded"], 0, "what was deleted here does not come back by itself")
            self.assertEqual(mail("download", ids["m 1"])["messages"], 1)
            self.assertEqual(places(mail, "--remote")["m 1"], "both")
            # Gone there, by us or by somebody else: only here.
            self.assertEqual(mail("delete", "--remote", ids["m 3"])["messages"], 1)
            self.assertEqual(places(mail)["m 3"], "here")
            session.select("INBOX")
            session.store("4", "+FLAGS", "\\Deleted")
            session.expunge()
            mail("sync")
            self.assertEqual(places(mail)["m 4"], "here")
            self.assertEqual(places(mail, "--remote"), {"m 0": "both", "m 1": "both", "m 2": "both"})

    def test_filed_is_not_deleted(self):
        with Dovecot() as old:
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 3})
            mail = self.account(old, "--delete-when-deleted")
            self.assertEqual(mail("sync")["downloaded"], 3)
            mail("move", "1", "--to", "Letters")
            self.assertEqual(mail("sync")["removed_there"], 0)
            mail("delete", "2")
            self.assertEqual(mail("sync")["removed_there"], 1)
            self.assertEqual(mail("sync")["removed_there"], 0)
            self.assertEqual(imap(old.ports["imap"], "ann").select("INBOX")[1], [b"2"])

    def test_what_was_downloaded_and_filed_before_a_sync_is_not_deleted(self):
        with Dovecot() as old:
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 2})
            mail = self.account(old, "--delete-when-deleted")
            mail("download", mail("ls", "--remote")["messages"][0]["id"])
            mail("move", "1", "--to", "Letters")
            told = mail("sync")
            self.assertEqual((told["downloaded"], told["removed_there"]), (1, 0))
            self.assertEqual([row["place"] for row in mail("ls", "Letters")["messages"]], ["both"])
            self.assertEqual(imap(old.ports["imap"], "ann").select("INBOX")[1], [b"2"])


class Accounts(unittest.TestCase):
    def test_sync_is_of_all_of_them_and_fetch_of_those_by_pop3(self):
        with Dovecot() as old:
            for who in ("ann", "bob"):
                fill(imap(old.ports["imap"], who), {"INBOX": 2})
            mail = Program(self)
            mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{old.ports['imap']}", "--login", "ann", "--no-discovery")
            self.assertEqual(mail("sync")["downloaded"], 2)
            self.assertIn("POP3", mail("fetch", ok=False)["error"])
            mail.add("bob@here.test", "--pop3", f"pop3://127.0.0.1:{old.ports['pop3']}", "--login", "bob", "--no-discovery")
            self.assertEqual(mail("sync", "--account", "ann@here.test")["downloaded"], 0)
            told = {one["account"]: one["downloaded"] for one in mail("sync")["accounts"]}
            self.assertEqual(told, {"ann@here.test": 0, "bob@here.test": 2})
            fill(imap(old.ports["imap"], "bob"), {"INBOX": 1}, seed=9)
            self.assertEqual(mail("fetch")["downloaded"], 1)
            self.assertEqual(mail.people("fetch"), "nothing new\n")
            lines = mail.people("ls", "--remote", "--account", "bob@here.test").splitlines()
            self.assertEqual(len({line.index(" both ") for line in lines}), 1, lines)
            # All are watched, and what comes to one of them by IMAP is heard at once.
            watching = subprocess.Popen([lab.binary(), "mail", "--data", mail.dir, "--json", "sync", "--watch"], stdout=subprocess.PIPE, text=True)
            self.addCleanup(watching.stdout.close)
            self.addCleanup(watching.kill)
            self.assertEqual([one["downloaded"] for one in json.loads(watching.stdout.readline())["accounts"]], [0, 0])
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 1}, seed=9)
            self.assertEqual([one["downloaded"] for one in json.loads(watching.stdout.readline())["accounts"]], [1, 0])
            watching.send_signal(signal.SIGINT)
            self.assertEqual(watching.wait(20), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
