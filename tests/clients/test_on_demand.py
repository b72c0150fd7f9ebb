"""Headers first, then bodies by policy: what is left on the server is listed, and fetched when somebody reads it."""

import imaplib
import socket
import threading
import time
import unittest

import lab
from dovecot import PASSWORD, Dovecot
from test_moving import imap
from test_program import Counting, Program

BODY = "x" * 70 + "\n" + "y\n" * 50_000


class Door(Counting):
    """A counting port that can be shut, and opened again as the same port."""

    def shut(self):
        # Whoever waits in accept() keeps the port alive: wake it.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(10)

    def open(self):
        again = Door.__new__(Door)
        threading.Thread.__init__(again, daemon=True)
        again.target, again.octets, again.port = self.target, 0, self.port
        again.listener = lab.wait_for("the port to be free", lambda: bound(self.port), 10)
        again.start()
        return again


def bound(port):
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def put(session, subject, age_days=0, text=BODY):
    date = imaplib.Time2Internaldate(time.time() - age_days * 86_400 - 60)
    m = lab.wire(lab.message("Bob <bob@there.test>", "ann@here.test", subject, text=text))
    assert session.append("INBOX", None, date, m)[0] == "OK"


def places(mail):
    return {row["subject"]: row["place"] for row in mail("ls")["messages"]}


class OnDemand(unittest.TestCase):
    def on_demand(self, port, login):
        session = imap(port, "ann")
        for n in range(10):
            put(session, f"large {n}", age_days=10 - n)
        door = Door(port)
        mail = Program(self)
        words = ("--imap", f"imap://127.0.0.1:{door.port}", "--login", login)
        mail.add("ann@here.test", *words, "--on-demand")
        told = mail("sync")
        self.assertEqual((told["downloaded"], told["left_there"], told["troubles"]), (0, 10, []))
        self.assertLess(door.octets, 40_000, "bodies were fetched")
        self.assertEqual(places(mail), {f"large {n}": "on server" for n in range(10)})
        # Without the server: it says why it cannot be read.
        door.shut()
        rows = {row["subject"]: row for row in mail("ls")["messages"]}
        self.assertEqual([row["from"] for row in rows.values()], ["Bob <bob@there.test>"] * 10)
        self.assertGreater(rows["large 3"]["size_bytes"], 100_000)
        name = rows["large 3"]["id"]
        why = mail("read", name, ok=False)["error"]
        self.assertIn("only on the server", why)
        self.assertIn("could not be fetched", why)
        door = door.open()
        before = door.octets
        found = mail("search", "LARGE", "bob@there")["messages"]
        self.assertEqual([(hit["place"], hit["subject"]) for hit in found], [("on server", f"large {n}") for n in range(10)])
        self.assertEqual([hit["id"] for hit in mail("search", "large 3")["messages"]], [name])
        self.assertEqual((mail("search", "xxxxxxxxxx")["messages"], door.octets), ([], before), "bodies are not known of, and nobody is asked")
        read = mail("read", name)["messages"][0]
        self.assertEqual((read["subject"], read["text"].strip()[:70]), ("large 3", "x" * 70))
        self.assertLess(door.octets, 160_000, "one body, and no other")
        self.assertEqual(places(mail)["large 3"], "both")
        self.assertEqual(list(places(mail).values()).count("on server"), 9)
        # Its old name goes on to mean it, without the server.
        before = door.octets
        self.assertEqual(mail("read", name)["messages"][0]["subject"], "large 3")
        self.assertEqual(door.octets, before)
        # What happens there to those that are only there is seen here, without a body.
        session.select("INBOX")
        session.store("5", "+FLAGS", "(\\Flagged)")
        session.store("7", "+FLAGS", "(\\Deleted)")
        session.expunge()
        put(session, "new")
        before = door.octets
        told = mail("sync")
        self.assertEqual((told["downloaded"], told["uploaded"], told["left_there"], told["removed_there"]), (0, 0, 1, 0))
        self.assertLess(door.octets - before, 30_000)
        rows = {row["subject"]: row for row in mail("ls")["messages"]}
        self.assertEqual(rows["large 4"]["flags"], ["flagged"])
        self.assertNotIn("large 6", rows)
        self.assertEqual(list(rows)[-1], "new")
        # An act on one of them brings it, does that, and tells the server.
        mail("flag", rows["large 5"]["id"], "--set", "+answered")
        mail("sync")
        session.select("INBOX")
        self.assertEqual(session.search(None, "ANSWERED")[1][0].split(), [b"6"])
        quiet = mail("sync")
        self.assertEqual([quiet[k] for k in ("downloaded", "uploaded", "left_there", "flags_here", "flags_there")], [0] * 5)
        # Deleted there by choice: it is in no list any more, at once.
        mail("delete", "--remote", rows["new"]["id"])
        self.assertNotIn("new", places(mail))
        # Another choice: now up to a size, and everything comes.
        mail.add("ann@here.test", *words, "--max-size", "1000000")
        self.assertEqual(mail("sync")["downloaded"], 7)
        self.assertEqual(set(places(mail).values()), {"both"})
        self.assertEqual(len(mail("search", "large")["messages"]), 9)
        door.shut()
        session.logout()

    def test_with_dovecot(self):
        with Dovecot() as server:
            self.on_demand(server.ports["imap"], "ann")

    def test_with_ourselves(self):
        with lab.Server(accounts=("ann",), password=PASSWORD) as server:
            self.on_demand(server.ports["imap"], "ann@here.test")

    def test_only_of_the_last_days_or_up_to_a_size(self):
        with lab.Server(accounts=("ann",), password=PASSWORD) as server:
            session = imap(server.ports["imap"], "ann")
            put(session, "old", age_days=40)
            put(session, "new and large", age_days=1)
            put(session, "new and small", age_days=2, text="short\n")
            session.logout()
            for words, here in ((("--days", "7"), {"new and large", "new and small"}), (("--max-size", "5000"), {"new and small"}),
                                (("--days", "7", "--max-size", "5000"), {"new and small"})):
                mail = Program(self)
                mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{server.ports['imap']}", *words)
                self.assertEqual(mail("sync")["downloaded"], len(here), words)
                self.assertEqual({s for s, place in places(mail).items() if place == "both"}, here, words)
                self.assertEqual({s for s, place in places(mail).items() if place == "on server"},
                                 {"old", "new and large", "new and small"} - here, words)
