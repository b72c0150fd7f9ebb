"""Moving house: import from Dovecot and from ourselves by IMAP and POP3, killed and begun again; files there and back."""

import hashlib
import imaplib
import json
import mailbox
import os
import poplib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import lab
from dovecot import PASSWORD, Dovecot


def imap(port, user, password=PASSWORD):
    session = imaplib.IMAP4("127.0.0.1", port)
    session.login(user, password)
    return session


def fill(session, plan, seed=1):
    """{mailbox: count}: messages with flags, keywords and dates of their own."""
    chance = random.Random(seed)
    for name, count in plan.items():
        session.create(f'"{name}"')
        for n in range(count):
            text = lab.wire(lab.message("bob@there.test", "ann@here.test", f"{name} {n}", text="x\r\n" * chance.randrange(1, 400)))
            flags = " ".join(w for w in ("\\Seen", "\\Flagged", "\\Answered", "$Work", "Later") if chance.random() < 0.3)
            date = imaplib.Time2Internaldate(1_700_000_000 + n * 60)
            assert session.append(f'"{name}"', f"({flags})" if flags else None, date, text)[0] == "OK"


def picture(session):
    """{mailbox: sorted [(hash, flags, INTERNALDATE)]} of all that is not empty."""
    whole = {}
    for line in session.list()[1]:
        if b"\\Noselect" in line:
            continue
        name = line.decode().split(' "/" ')[-1].strip('"')
        if session.select(f'"{name}"', readonly=True)[1] == [b"0"]:
            continue
        rows = []
        for part in session.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                text = part[0].decode()
                if b"FLAGS" in (last := part[0]):
                    flags = sorted(f.decode() for f in imaplib.ParseFlags(last) if f != b"\\Recent")
                rows.append((hashlib.sha256(part[1]).hexdigest()[:12], tuple(flags), time.mktime(imaplib.Internaldate2tuple(text.encode()))))
        whole[name] = sorted(rows)
    return whole


# What mail is exported as, and who takes it in again.
FORMS = {"maildir": "bob", "mbox": "carl", "eml": "dora", "mboxo": "emil", "mboxcl": "finn", "mboxcl2": "gil", "mh": "hal"}


class Moving(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="packetboat-moving-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def bring(self, server, source, account="ann", *more, ok=True):
        words = ("import", source, "--account", f"{account}@here.test", "--json", *more)
        stdin = (("--password-stdin",), PASSWORD + "\n") if "://" in source else ((), None)
        done = server.run(*words, *stdin[0], stdin=stdin[1], ok=ok)
        return json.loads(done.stdout)

    def test_dovecot_by_imap_with_the_server_stopped_and_running(self):
        plan = {"INBOX": 60, "Sent": 12, "Reisen/2026": 25, "Gr&APwA3w-e": 3}
        with Dovecot() as old, lab.Server(accounts=("ann", "bob"), password=PASSWORD) as new:
            fill(imap(old.ports["imap"], "ann"), plan)
            source = f"imap://ann@127.0.0.1:{old.ports['imap']}"
            wanted = picture(imap(old.ports["imap"], "ann"))
            self.assertEqual({name: len(rows) for name, rows in wanted.items()}, plan)
            told = self.bring(new, source)
            self.assertEqual((told["imported"], told["known"], told["bad"]), (100, 0, []))
            self.assertEqual(picture(imap(new.ports["imap"], "ann")), wanted)
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 2}, seed=2)
            new.stop()
            # The store itself, without a server; only what is new comes.
            self.assertEqual(self.bring(new, source)["imported"], 2)
            told = self.bring(new, source, "bob")
            self.assertEqual(told["imported"], 102)
            new.start()
            again = self.bring(new, source)
            self.assertEqual((again["imported"], again["known"]), (0, 102))
            for who in ("ann", "bob"):
                self.assertEqual(picture(imap(new.ports["imap"], who)), picture(imap(old.ports["imap"], "ann")))
            refused = new.run("import", source, "--account", "nobody@here.test", "--password-stdin", stdin="x\n", ok=False)
            self.assertEqual(refused.returncode, 1)
            wrong = new.run("import", source, "--account", "ann@here.test", "--password-stdin", stdin="wrong\n", ok=False)
            self.assertIn("does not let us in", wrong.stderr)

    def test_killed_again_and_again_it_ends_with_each_message_once(self):
        with Dovecot() as old, lab.Server(accounts=("ann",), password=PASSWORD) as new:
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 900})
            source = f"imap://ann@127.0.0.1:{old.ports['imap']}"
            kills, there = 0, imap(new.ports["imap"], "ann")
            count = lambda: int(there.status("INBOX", "(MESSAGES)")[1][0].rstrip(b")").split()[-1])  # noqa: E731
            # In the midst, however fast the machine is: seen from the other end, and from a process that goes first.
            for least in (1, 200, 400, 600):
                process = subprocess.Popen(
                    [lab.binary(), "import", source, "--account", "ann@here.test", "--password-stdin", "--config", new.config],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=lambda: os.nice(15))
                process.stdin.write((PASSWORD + "\n").encode())
                process.stdin.close()
                lab.wait_for(f"{least} messages", lambda: count() >= least or process.poll() is not None, 60, every=0.001)
                kills += process.poll() is None
                process.send_signal(signal.SIGKILL)
                process.wait()
            self.assertGreater(kills, 0)
            self.bring(new, source)
            self.assertEqual(picture(imap(new.ports["imap"], "ann")), picture(imap(old.ports["imap"], "ann")))

    def test_out_to_another_server_each_message_once(self):
        plan = {"INBOX": 20, "Sent": 5, "Reisen/2026": 4, "Gr&APwA3w-e": 3}
        with Dovecot() as far, lab.Server(accounts=("ann", "bob"), password=PASSWORD) as here:
            session = imap(here.ports["imap"], "ann")
            fill(session, plan)
            target = f"imap://ann@127.0.0.1:{far.ports['imap']}"
            words = ("export", target, "--account", "ann@here.test", "--password-stdin")
            out = lambda: json.loads(here.run(*words, "--json", stdin=PASSWORD + "\n").stdout)  # noqa: E731
            told = out()
            self.assertEqual((told["exported"], told["known"], told["mailboxes"]["INBOX"]), (32, 0, 20))
            self.assertEqual(picture(imap(far.ports["imap"], "ann")), picture(session))
            told = out()
            self.assertEqual((told["exported"], told["known"]), (0, 32))
            # Killed in the middle, whatever was under way; somebody else's mail comes there meanwhile.
            fill(session, {"INBOX": 400}, seed=5)
            count = lambda: int(imap(far.ports["imap"], "ann").select("INBOX", readonly=True)[1][0])  # noqa: E731
            for least in (40, 120, 250):
                process = subprocess.Popen([lab.binary(), *words, "--config", here.config], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
                process.stdin.write((PASSWORD + "\n").encode())
                process.stdin.close()
                lab.wait_for(f"{least} messages", lambda: count() >= least or process.poll() is not None)
                process.send_signal(signal.SIGKILL)
                process.wait()
                fill(imap(far.ports["imap"], "ann"), {"INBOX": 1}, seed=least)
            here.stop()
            out()
            here.start()
            wanted, got = picture(imap(here.ports["imap"], "ann"))["INBOX"], picture(imap(far.ports["imap"], "ann"))["INBOX"]
            self.assertEqual(len(got), len(wanted) + 3)
            self.assertEqual(set(wanted) - set(got), set())
            self.assertEqual(out()["exported"], 0)
            # A mailbox there is made anew, with another UIDVALIDITY and order: what lies in it is found by its octets.
            there = imap(far.ports["imap"], "ann")
            self.assertEqual([there.rename("Sent", "old")[0], there.create("Sent")[0]], ["OK", "OK"])
            there.select("old")
            for n in range(5, 0, -1):
                self.assertEqual(there.copy(str(n), "Sent")[0], "OK")
            fill(imap(here.ports["imap"], "ann"), {"Sent": 2}, seed=7)
            self.assertEqual(out()["exported"], 2)
            self.assertEqual(int(there.select("Sent", readonly=True)[1][0]), 7)
            refused = here.run("export", target.replace("imap", "pop3"), "--account", "ann@here.test", "--password-stdin", stdin="x\n", ok=False)
            self.assertIn("by IMAP", refused.stderr)

    def test_two_at_once_bring_each_message_once(self):
        """What a killed run left on its way, seen from the other side: two runs of the same at the same time."""
        for protocol in ("imap", "pop3"):
            with Dovecot() as old, lab.Server(accounts=("ann",), password=PASSWORD) as new:
                fill(imap(old.ports["imap"], "ann"), {"INBOX": 600})
                source = f"{protocol}://ann@127.0.0.1:{old.ports[protocol]}"
                words = [lab.binary(), "import", source, "--account", "ann@here.test", "--password-stdin", "--config", new.config]
                both = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
                for one in both:
                    one.stdin.write((PASSWORD + "\n").encode())
                    one.stdin.close()
                for one in both:
                    one.stderr.read()
                    one.stderr.close()
                    one.wait()
                self.bring(new, source)
                hashes = lambda session: sorted(row[0] for row in picture(session)["INBOX"])  # noqa: E731
                self.assertEqual(hashes(imap(new.ports["imap"], "ann")), hashes(imap(old.ports["imap"], "ann")), protocol)

    def test_pop3_once_and_the_unique_ids_stay(self):
        with Dovecot() as old, lab.Server(accounts=("ann",), password=PASSWORD) as new:
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 40})
            source = f"pop3://ann@127.0.0.1:{old.ports['pop3']}"
            self.assertEqual(self.bring(new, source)["imported"], 40)
            self.assertEqual(self.bring(new, source)["imported"], 0)

            def unique_ids(port):
                session = poplib.POP3("127.0.0.1", port)
                session.user("ann")
                session.pass_(PASSWORD)
                ids = [line.split()[1] for line in session.uidl()[1]]
                session.quit()
                return ids

            self.assertEqual(unique_ids(new.ports["pop3"]), unique_ids(old.ports["pop3"]))

    def test_a_list_with_a_master_user_in_parallel(self):
        with Dovecot() as old, lab.Server(accounts=("ann", "bob"), password=PASSWORD) as new:
            for who in ("ann", "bob"):
                fill(imap(old.ports["imap"], who), {"INBOX": 10})
            people = os.path.join(self.folder, "people.csv")
            with open(people, "w") as f:
                f.write(f"ann,ann@here.test,{PASSWORD}\nbob,bob@here.test,{PASSWORD}\neve,eve@here.test,{PASSWORD}\n")
            done = new.run("import", f"imap://127.0.0.1:{old.ports['imap']}", "--list", people, "--json", ok=False)
            told = {row["from"]: row for row in json.loads(done.stdout)["accounts"]}
            self.assertEqual((told["ann"]["imported"], told["bob"]["imported"]), (10, 10))
            self.assertIn("no account", told["eve"]["error"])

    def test_files_there_and_back(self):
        with Dovecot() as old, lab.Server(accounts=("ann", *FORMS.values()), password=PASSWORD) as new:
            fill(imap(old.ports["imap"], "ann"), {"INBOX": 30, "Sent": 5, "A/B": 7})
            self.bring(new, f"imap://ann@127.0.0.1:{old.ports['imap']}")
            wanted = picture(imap(new.ports["imap"], "ann"))
            for form, who in FORMS.items():
                out = os.path.join(self.folder, form)
                told = json.loads(new.run("export", out, "--account", "ann@here.test", "--as", form, "--json").stdout)
                self.assertEqual(told["exported"], 42)
                again = json.loads(new.run("export", out, "--account", "ann@here.test", "--as", form, "--json").stdout)
                self.assertEqual(again["exported"], 42 if form.startswith("mbox") else 0)
                self.assertEqual(self.bring(new, out, who)["imported"], 42, form)
                self.assertEqual(self.bring(new, out, who)["imported"], 0, form)
                got = picture(imap(new.ports["imap"], who))
                if form in ("eml", "mh"):
                    strip = lambda whole: {name: sorted(row[0] for row in rows) for name, rows in whole.items()}  # noqa: E731
                    self.assertEqual(strip(got), strip(wanted))
                else:
                    self.assertEqual(got, wanted, form)

    def test_python_reads_what_is_written(self):
        """Lines that look like the next message, in each kind of mbox and in MH, with Python's own readers."""
        text = "From here\n>From there\non\n"
        with lab.Server(accounts=("ann",), password=PASSWORD) as new:
            session = imap(new.ports["imap"], "ann")
            for n in range(3):
                m = lab.message("bob@there.test", "ann@here.test", f"m {n}", text=text)
                session.append("INBOX", r"(\Seen \Flagged)" if n == 1 else None, None, re.sub(rb"\r?\n", b"\r\n", m.as_bytes()))
            for form in ("mbox", "mboxo", "mboxcl", "mboxcl2", "mh"):
                out = os.path.join(self.folder, f"to-{form}")
                new.run("export", out, "--account", "ann@here.test", "--only", "INBOX", "--as", form)
                if form == "mh":
                    box = mailbox.MH(os.path.join(out, "INBOX"))
                    self.assertEqual(box.get_sequences(), {"unseen": [1, 3], "flagged": [2]})
                    self.assertEqual([m.get_payload() for m in box], [text] * 3)
                    continue
                with open(os.path.join(out, "INBOX.mbox")) as f:
                    whole = f.read()
                if form == "mboxcl2":
                    # Lengths alone tell where the next one begins.
                    for n in range(3):
                        head, rest = whole.split("\n\n", 1)
                        self.assertEqual(re.findall(r"(?m)^Subject: (.*)$", head), [f"m {n}"])
                        length = int(re.search(r"(?mi)^Content-Length: (\d+)$", head)[1])
                        self.assertEqual((rest[:length], rest[length]), (text, "\n"))
                        whole = rest[length + 1 :]
                    continue
                marked = {"mbox": ">From here\n>>From there\n", "mboxo": ">From here\n>From there\n", "mboxcl": ">From here\n>>From there\n"}
                box = mailbox.mbox(os.path.join(out, "INBOX.mbox"))
                self.assertEqual([m.get_payload() for m in box], [marked[form] + "on\n"] * 3, form)
                self.assertEqual([m.get_flags() for m in box], ["O", "ROF", "O"], form)

    def test_what_python_writes_is_read(self):
        """Python's own mailbox module as the other side: mbox and MH."""
        box = mailbox.mbox(os.path.join(self.folder, "work.mbox"))
        mh = mailbox.MH(os.path.join(self.folder, "mh"))
        for n in range(5):
            m = mailbox.mboxMessage(lab.message("bob@there.test", "ann@here.test", f"m {n}", text="From here\non\n"))
            m.set_flags("RF" if n % 2 else "O")
            box.add(m)
            key = mh.add(lab.message("bob@there.test", "ann@here.test", f"mh {n}"))
        mh.set_sequences({"unseen": [key], "flagged": [1]})
        box.flush()
        with lab.Server(accounts=("ann",), password=PASSWORD) as new:
            self.assertEqual(self.bring(new, os.path.join(self.folder, "work.mbox"))["mailboxes"]["work"]["imported"], 5)
            session = imap(new.ports["imap"], "ann")
            session.select("work")
            self.assertEqual(session.search(None, "SEEN", "FLAGGED")[1], [b"2 4"])
            self.assertEqual(session.search(None, "BODY", '"From here"')[1], [b"1 2 3 4 5"])
            self.assertEqual(self.bring(new, "mh:" + os.path.join(self.folder, "mh"))["imported"], 5)
            session.select("INBOX")
            self.assertEqual(session.search(None, "UNSEEN")[1], [b"5"])

    def test_a_takeout_comes_once(self):
        def entry(n, labels):
            text = lab.message("bob@there.test", "ann@here.test", f"t {n}").as_string()
            return f"From {n}@xxx Mon Nov 23 00:16:{n:02} +0000 2026\nX-GM-THRID: {n}\nX-Gmail-Labels: {labels}\n{text}\n\n"

        first = entry(1, "Inbox,Important,Unread,Work stuff")
        whole = first + entry(2, "Sent,Opened") + entry(3, "Archived,Starred,Opened") + entry(4, "Spam,Unread")
        folder = os.path.join(self.folder, "Takeout", "Mail")
        os.makedirs(folder)
        for name, text in (("All mail Including Spam and Trash.mbox", whole), ("Work stuff.mbox", first)):
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        with lab.Server(accounts=("ann",), password=PASSWORD) as new:
            told = self.bring(new, os.path.join(self.folder, "Takeout"))
            self.assertEqual((told["imported"], told["known"]), (4, 1))
            session = imap(new.ports["imap"], "ann")
            counts = {name: len(rows) for name, rows in picture(session).items()}
            self.assertEqual(counts, {"INBOX": 1, "Sent": 1, "Archive": 1, "Junk": 1})
            session.select("INBOX")
            self.assertEqual(session.search(None, "KEYWORD", "Work_stuff", "KEYWORD", "$Important", "UNSEEN")[1], [b"1"])
