"""The email program against other people's servers: Debian's Dovecot and ourselves as the provider; both ways, offline, look first."""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import lab
from dovecot import PASSWORD, Dovecot
from test_moving import fill, imap, picture


class Program:
    """`packetboat mail` with a data directory of its own."""

    def __init__(self, test):
        self.dir = tempfile.mkdtemp(prefix="packetboat-mail-")
        test.addCleanup(shutil.rmtree, self.dir, True)

    def __call__(self, *words, stdin=None, ok=True):
        done = subprocess.run([lab.binary(), "mail", "--data", self.dir, "--json", *words],
                              input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        if ok and done.returncode != 0:
            raise AssertionError(f"mail {words}: {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def people(self, *words):
        """What people see."""
        return subprocess.run([lab.binary(), "mail", "--data", self.dir, *words], stdin=subprocess.DEVNULL, check=True, capture_output=True,
                              text=True, timeout=120).stdout

    def add(self, address, *words, password=PASSWORD):
        return self("add", address, "--password-stdin", *words, stdin=password + "\n")

    def picture(self):
        """{mailbox: sorted [(subject, flags)]}"""
        whole = {}
        for mailbox in self("folders")["mailboxes"]:
            rows = self("ls", mailbox["name"], "--limit", "100000")["messages"]
            if rows:
                whole[mailbox["name"]] = sorted((r["subject"], tuple(sorted(r["flags"]))) for r in rows)
        return whole


def there(session, prefix=""):
    """The same of the server; `prefix` stands before the names of mailboxes there."""
    whole = {}
    for line in session.list()[1]:
        if b"\\Noselect" in line:
            continue
        name = re.split(' "[/.]" ', line.decode())[-1].strip('"')
        if session.select(f'"{name}"', readonly=True)[1] == [b"0"]:
            continue
        rows = []
        for part in session.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
            if isinstance(part, tuple):
                flags = part[0].decode().split("FLAGS (")[1].split(")")[0].split()
                flags = sorted(f.lstrip("\\").lower() if f.startswith("\\") else f for f in flags if f != "\\Recent")
                rows.append((part[1].decode().split(":", 1)[1].strip(), tuple(flags)))
        whole[name.removeprefix(prefix)] = sorted(rows)
    return whole


class Counting(threading.Thread):
    """A port that passes everything on and counts what the server says."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.target, self.octets = port, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            other = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self.pump, args=(one, other, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(other, one, True), daemon=True).start()

    def pump(self, source, sink, counted):
        try:
            while data := source.recv(65536):
                self.octets += len(data) if counted else 0
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def change_there(session, chance, model, prefix=""):
    """A random act on the server, as another program of the user would do it. The model knows what was made and what was
    removed for good by somebody."""
    names = ["INBOX", f"{prefix}Work", f"{prefix}Sent"]
    name = chance.choice(names)
    session.select(name)
    found = session.uid("SEARCH", "ALL")[1][0].split()
    act = chance.choice(["new", "flag", "flag", "unflag", "delete", "move"])
    if act == "new" or not found:
        subject = f"there {chance.random()}"
        model["made"].add(subject)
        text = lab.wire(lab.message("x@there.test", "ann@here.test", subject))
        session.append(name, chance.choice(["(\\Seen)", "($Later)", None]), None, text)
        return
    uid = chance.choice(found)
    flag = chance.choice(["\\Seen", "\\Flagged", "\\Answered", "$Later", "blue"])
    if act == "delete":
        head = session.uid("FETCH", uid, "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1]
        model["removed"].add(head.decode().split(":", 1)[1].strip())
        session.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
        session.uid("EXPUNGE", uid)
    elif act == "move":
        target = chance.choice(names)
        if "MOVE" in session.capabilities:
            session.uid("MOVE", uid, target)
        else:
            session.uid("COPY", uid, target)
            session.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
            session.uid("EXPUNGE", uid)
    else:
        session.uid("STORE", uid, "+FLAGS" if act == "flag" else "-FLAGS", f"({flag})")


def change_here(mail, chance):
    """The same here."""
    name = chance.choice(["INBOX", "Work", "Sent"])
    rows = mail("ls", name, "--limit", "1000")["messages"]
    if not rows:
        return
    uid = str(chance.choice(rows)["id"])
    act = chance.choice(["flag", "flag", "unflag", "delete", "move", "copy"])
    if act in ("flag", "unflag"):
        word = chance.choice(["seen", "flagged", "answered", "$Later", "blue"])
        mail("flag", uid, "--in", name, "--set", ("+" if act == "flag" else "-") + word)
    elif act == "delete":
        mail("delete", uid, "--in", name)
    else:
        mail(act, uid, "--in", name, "--to", chance.choice(["INBOX", "Work", "Sent"]))


class BothWays(unittest.TestCase):
    def both_ways(self, port, seed, rounds, user="ann", password=PASSWORD, prefix=""):
        """Random changes on both sides; after each round both are equal and nobody lost anything that nobody deleted."""
        chance = random.Random(seed)
        fill(imap(port, user, password), {"INBOX": 12, f"{prefix}Work": 6, f"{prefix}Sent": 3}, seed=seed)
        mail = Program(self)
        mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{port}", "--login", user, password=password)
        self.assertEqual(mail("sync")["downloaded"], 21)
        model = {"made": {row[0] for rows in mail.picture().values() for row in rows}, "removed": set()}
        until, done = time.monotonic() + float(os.environ.get("SECONDS", "0")), 0
        while done < rounds or time.monotonic() < until:
            done += 1
            session = imap(port, user, password)
            for _ in range(4):
                change_there(session, chance, model, prefix)
                change_here(mail, chance)
            session.logout()
            told = mail("sync")
            self.assertEqual(told["troubles"], [])
            here = mail.picture()
            self.assertEqual(here, there(imap(port, user, password), prefix))
            kept = {row[0] for rows in here.values() for row in rows}
            self.assertEqual(model["made"] - model["removed"] - kept, set(), "lost, and nobody removed it")
            quiet = mail("sync")
            moved = {name: quiet[name] for name in ("downloaded", "uploaded", "flags_here", "flags_there", "removed_here", "removed_there")}
            self.assertEqual(set(moved.values()), {0}, moved)
        print(f"{done} rounds, {len(model['made'])} messages, {len(model['removed'])} removed", flush=True)
        return mail

    def test_random_changes_on_both_sides_with_dovecot(self):
        seed = int(os.environ.get("SEED", "7"))
        with Dovecot() as old:
            self.both_ways(old.ports["imap"], seed, int(os.environ.get("ROUNDS", "2")))

    def test_random_changes_on_both_sides_with_ourselves(self):
        seed = int(os.environ.get("SEED", "8"))
        with lab.Server(accounts=("ann",), password=PASSWORD) as new:
            self.both_ways(new.ports["imap"], seed, int(os.environ.get("ROUNDS", "1")))

    def test_a_mailbox_with_a_new_uidvalidity_is_not_doubled(self):
        with Dovecot() as old:
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 8})
            mail = Program(self)
            mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{old.ports['imap']}", "--login", "ann")
            mail("sync")
            # Flagged here and answered there, and nobody has told the other before the server forgets its UIDs.
            mail("flag", "1", "--set", "+flagged")
            mail("flag", "1", "--set", "+Here")
            session = imap(old.ports["imap"], "ann")
            session.select("INBOX")
            session.store("1,2", "+FLAGS", "(\\Answered There)")
            session.logout()
            before = mail.picture()
            maildir = os.path.join(old.dir, "mail", "ann", "Maildir")
            for name in ("dovecot-uidlist", "dovecot.index", "dovecot.index.log", "dovecot.index.cache"):
                if os.path.exists(os.path.join(maildir, name)):
                    os.unlink(os.path.join(maildir, name))
            time.sleep(1.1)
            told = mail("sync")
            self.assertEqual((told["downloaded"], told["uploaded"], told["removed_there"]), (0, 0, 0), told)
            after = mail.picture()
            self.assertEqual([subject for subject, _ in after["INBOX"]], [subject for subject, _ in before["INBOX"]])
            for had, has in zip(before["INBOX"], after["INBOX"]):
                self.assertLessEqual(set(had[1]), set(has[1]), "a flag is lost")
            flags = dict(after["INBOX"])
            self.assertLessEqual({"flagged", "Here", "answered", "There"}, set(flags["INBOX 0"]))
            self.assertLessEqual({"answered", "There"}, set(flags["INBOX 1"]))
            session = imap(old.ports["imap"], "ann")
            self.assertEqual(there(session)["INBOX"], after["INBOX"], "one round is enough")
            session.logout()
            quiet = mail("sync")
            self.assertEqual((quiet["flags_here"], quiet["flags_there"]), (0, 0))


class Tour(unittest.TestCase):
    def test_add_sync_read_offline_write_offline_send_on_reconnect(self):
        with lab.Server(accounts=("ann", "bob"), password=PASSWORD) as provider:
            fill(imap(provider.ports["imap"], "ann"), {"INBOX": 3}, seed=4)
            mail = Program(self)
            mail.add("ann@here.test", "--name", "Ann", "--imap", f"imap://127.0.0.1:{provider.ports['imap']}",
                     "--smtp", f"smtp://127.0.0.1:{provider.ports['submission']}")
            wrong = mail("add", "eve@here.test", "--imap", f"imap://127.0.0.1:{provider.ports['imap']}", "--password-stdin",
                         stdin="wrong\n", ok=False)
            self.assertIn("does not let us in", wrong["error"])
            self.assertEqual(mail("sync")["downloaded"], 3)
            ports = dict(provider.ports)
            provider.stop()
            # No server any more: reading, flagging, answering.
            first = mail("ls")["messages"][0]
            self.assertEqual(mail("read", str(first["id"]))["messages"][0]["subject"], first["subject"])
            told = mail("send", "--to", "Bob <bob@here.test>", "--bcc", "ann@here.test", "--subject", "Offline", "--text", "Hello Bob")
            self.assertFalse(told["sent"])
            self.assertTrue(told["said"], told)
            mail("reply", str(first["id"]), "--to", "bob@here.test", "--text", "Yes", "--offline")
            self.assertEqual(len(mail("outbox")["outbox"]), 2)
            later = mail("send", "--to", "bob@here.test", "--subject", "Never", "--text", "x", "--delay", "3600")
            mail("undo", str(later["id"]))
            self.assertIn("error", mail("sync", ok=False))
            provider.start()
            path = os.path.join(mail.dir, "accounts.json")
            with open(path) as f:
                text = f.read()
            for name in ("imap", "submission"):
                text = text.replace(f":{ports[name]}", f":{provider.ports[name]}")
            with open(path, "w") as f:
                f.write(text)
            self.assertEqual(oct(os.stat(os.path.join(mail.dir, "passwords.json")).st_mode & 0o777), "0o600")
            with self.subTest("what waited goes when it is due"):
                lab.wait_for("the outbox to be empty", lambda: (mail("sync"), mail("outbox")["outbox"] == [])[1], 30, 1)
            bob = imap(provider.ports["imap"], "bob")
            lab.wait_for("two messages for Bob", lambda: bob.select("INBOX")[1] == [b"3"] or bob.select("INBOX")[1] == [b"2"], 20)
            got = b"".join(p[1] for p in bob.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(p, tuple))
            self.assertIn(b"Subject: Offline", got)
            self.assertNotIn(b"Bcc:", got)
            self.assertIn(b"In-Reply-To:", got)
            mail("sync")
            session = imap(provider.ports["imap"], "ann")
            self.assertEqual(session.select("Sent")[1], [b"3"] if there(session).get("Sent", [])[2:] else [b"2"])
            session.select("INBOX")
            self.assertIn(b"1", session.search(None, "ANSWERED")[1][0].split())


class LookFirst(unittest.TestCase):
    def test_no_body_is_fetched_and_a_choice_is(self):
        with Dovecot() as old:
            session = imap(old.ports["imap"], "ann")
            for n in range(10):
                session.append("INBOX", None, None, lab.wire(lab.message("b@there.test", "a@here.test", f"large {n}", text="x" * 70 + "\n" + "y\n" * 50_000)))
            for protocol in ("imap", "pop3"):
                counting = Counting(old.ports[protocol])
                mail = Program(self)
                mail.add("ann@here.test", f"--{protocol}", f"{protocol}://127.0.0.1:{counting.port}", "--login", "ann", "--max-size", "1000")
                if protocol == "imap":
                    told = mail("sync")
                    self.assertEqual((told["downloaded"], told["left_there"]), (0, 10))
                rows = mail("ls", "--remote")["messages"]
                self.assertEqual([r["subject"] for r in rows], [f"large {n}" for n in range(10)])
                self.assertEqual({r["place"] for r in rows}, {"on server"})
                self.assertLess(counting.octets, 40_000, "bodies were fetched")
                if protocol == "imap":
                    self.assertEqual(mail("download", rows[3]["id"], rows[5]["id"])["messages"], 2)
                    self.assertLess(counting.octets, 2 * 160_000 + 60_000)
                    places = [r["place"] for r in mail("ls", "--remote")["messages"]]
                    self.assertEqual([n for n, place in enumerate(places) if place == "both"], [3, 5])
                self.assertEqual(mail("delete", "--remote", rows[0]["id"])["messages"], 1)
                self.assertEqual(len(mail("ls", "--remote")["messages"]), 9)
                if protocol == "pop3":
                    self.assertEqual(mail("sync")["downloaded"], 9)
                    self.assertEqual(mail("sync")["downloaded"], 0)
                    self.assertEqual({r["place"] for r in mail("ls", "--remote")["messages"]}, {"both"})
                session.append("INBOX", None, None, lab.wire(lab.message("b@there.test", "a@here.test", "large 0", text="y\n" * 50_000)))
                session.select("INBOX")
                # In the order of the first time for the second protocol.
                session.store("1:*", "+FLAGS", "\\Deleted")
                session.expunge()
                for n in range(10):
                    session.append("INBOX", None, None, lab.wire(lab.message("b@there.test", "a@here.test", f"large {n}", text="y\n" * 50_000)))
