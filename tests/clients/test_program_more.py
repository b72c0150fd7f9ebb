"""More of the email program: what it says on the wire, mailboxes renamed and removed on either side, identities, send later,
notices, watching, POP3 that deletes, the browser program on loopback, completions and man pages."""

import http.client
import json
import os
import pty
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import lab
from dovecot import PASSWORD, Dovecot
from test_defects import Scripted
from test_moving import fill, imap
from test_program import Program, there


def running(mail, *words):
    return subprocess.Popen([lab.binary(), "mail", "--data", mail.dir, "--json", *words],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def on_a_terminal(words, env):
    """What a command writes to a terminal (standard error)."""
    master, slave = pty.openpty()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave, env={**os.environ, "TERM": "xterm", **env})
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(master)
    process.wait()
    return text.decode()


class OnTheWire(unittest.TestCase):
    def test_show_wire_explains_every_step_and_hides_secrets(self):
        with lab.Server(accounts=("ann", "bob"), password=PASSWORD) as provider:
            fill(imap(provider.ports["imap"], "ann"), {"INBOX": 1})
            mail = Program(self)
            mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{provider.ports['imap']}", "--smtp", f"smtp://127.0.0.1:{provider.ports['submission']}")
            words = [lab.binary(), "mail", "--data", mail.dir]

            def said(*more, env=None):
                done = subprocess.run([*words, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stderr

            text = said("sync", "--show-wire")
            self.assertRegex(text, r"1 imap S: \* OK")
            self.assertRegex(text, r"1 imap C: \S+ AUTHENTICATE SCRAM-SHA-256\S* ")
            self.assertIn("UID FETCH", text)
            self.assertIn("[RFC 9051 §6.4.5]", text)
            self.assertIn("(TLS handshake)", text)
            self.assertIn("octets)", text)
            said("send", "--to", "bob@here.test", "--subject", "Wire", "--text", "a private word", "--offline")
            text += said("--show-wire", "sync")
            self.assertRegex(text, r"smtp C: MAIL FROM:<ann@here.test>")
            self.assertIn("[RFC 5321", text)
            for secret in (PASSWORD, "a private word"):
                self.assertNotIn(secret, text)
            self.assertNotIn("\x1b[", text, "a pipe has no colours")
            coloured = on_a_terminal([*words, "sync", "--show-wire"], {"NO_COLOR": ""})
            self.assertIn("\x1b[36mC: ", coloured)
            self.assertIn("\x1b[33mS: ", coloured)
            self.assertNotIn("\x1b[36m", on_a_terminal([*words, "sync", "--show-wire"], {"NO_COLOR": "1"}))
            lines = [json.loads(line) for line in said("--json", "sync", "--show-wire").splitlines()]
            self.assertEqual({line["side"] for line in lines}, {"client", "server"})
            self.assertTrue(all(line["meaning"] for line in lines))
            with Dovecot() as old:
                fill(imap(old.ports["imap"], "ann"), {"INBOX": 1})
                for protocol in ("imap", "pop3"):
                    done = provider.run("import", f"{protocol}://ann@127.0.0.1:{old.ports[protocol]}", "--account", "bob@here.test",
                                        "--password-stdin", "--show-wire", stdin=PASSWORD + "\n")
                    self.assertIn(f"1 {protocol} C: ", done.stderr)
                    self.assertNotIn(PASSWORD, done.stderr)


class Mailboxes(unittest.TestCase):
    def renamed_and_removed(self, port):
        session = imap(port, "ann")
        fill(session, {"INBOX": 1, "Work": 2, "Work/2026": 3, "Old": 2, "Gone": 1, "Kept": 1})
        mail = Program(self)
        mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{port}", "--login", "ann", "--no-discovery")
        mail("sync")
        names = lambda: {name for name in mail.picture()}  # noqa: E731
        # Here: renamed with what is under it, removed, made. There: renamed, removed.
        mail("folders", "rename", "Work", "Jobs")
        self.assertIn("would", mail("folders", "remove", "Gone"))
        mail("folders", "remove", "Gone", "--yes")
        mail("folders", "remove", "Kept", "--yes")
        mail("folders", "add", "Fresh")
        session.rename("Old", "Older")
        session.append("Kept", None, None, lab.wire(lab.message("x@there.test", "ann@here.test", "came meanwhile")))
        told = mail("sync")
        self.assertEqual((told["troubles"], told["uploaded"]), ([], 0), told)
        self.assertEqual((told["mailboxes_here"], told["mailboxes_there"]), (1, 2), told)
        self.assertEqual(told["downloaded"], 2, "only what lies in the mailbox that comes back")
        self.assertEqual(names(), {"INBOX", "Jobs", "Jobs/2026", "Older", "Kept"})
        self.assertEqual(mail.picture(), there(imap(port, "ann")))
        self.assertIn("Fresh", {box["name"] for box in mail("folders")["mailboxes"]})
        self.assertTrue(any(b"Fresh" in line for line in imap(port, "ann").list()[1]))
        session = imap(port, "ann")
        session.delete("Older")
        told = mail("sync")
        self.assertEqual((told["mailboxes_here"], told["removed_here"]), (1, 2), told)
        self.assertNotIn("Older", {box["name"] for box in mail("folders")["mailboxes"]})
        quiet = mail("sync")
        self.assertEqual((quiet["downloaded"], quiet["uploaded"], quiet["mailboxes_here"], quiet["mailboxes_there"]), (0, 0, 0, 0))

    def test_renamed_and_removed_on_both_sides_with_dovecot(self):
        with Dovecot() as old:
            self.renamed_and_removed(old.ports["imap"])

    def test_renamed_and_removed_on_both_sides_with_ourselves(self):
        with lab.Server(accounts=("ann",), password=PASSWORD) as new:
            self.renamed_and_removed(new.ports["imap"])


class Sending(unittest.TestCase):
    def test_identities_later_undone_and_notices(self):
        with lab.Server(accounts=("ann", "bob"), password=PASSWORD) as provider:
            provider.run("alias", "add", "info@here.test", "ann@here.test")
            mail = Program(self)
            mail.add("ann@here.test", "--name", "Ann", "--imap", f"imap://127.0.0.1:{provider.ports['imap']}",
                     "--smtp", f"smtp://127.0.0.1:{provider.ports['submission']}")
            signature = lab.secret(mail.dir, "signature.txt", "The office\n")
            mail("identity", "add", "info@here.test", "--name", "Info", "--signature", signature)
            self.assertEqual([one["address"] for one in mail("identity", "list")["identities"]], ["ann@here.test", "info@here.test"])
            self.assertIn("no identity", mail("send", "--from", "eve@here.test", "--to", "bob@here.test", "--text", "x", ok=False)["error"])
            bob = imap(provider.ports["imap"], "bob")

            def received(subject):
                bob.select("INBOX")
                found = bob.search(None, "SUBJECT", f'"{subject}"')[1][0].split()
                return bob.fetch(found[0], "(BODY.PEEK[])")[1][0][1].decode() if found else None

            told = mail("send", "--from", "info@here.test", "--to", "bob@here.test", "--subject", "As info", "--text", "Hello",
                        "--notify", "--receipt")
            self.assertTrue(told["sent"], told)
            text = lab.wait_for("mail from info", lambda: received("As info"))
            self.assertIn("From: Info <info@here.test>", text)
            self.assertIn("-- \r\nThe office", text)
            self.assertIn("Disposition-Notification-To: info@here.test", text)
            self.assertIn("Return-Path: <info@here.test>", text)

            def notice():
                mail("sync")
                return [row for row in mail("ls")["messages"] if "deliver" in row["subject"].lower()]

            self.assertTrue(lab.wait_for("the notice of delivery", notice))
            # An answer comes from the address that was written to.
            provider_smtp = ["--to", "info@here.test", "--subject", "Question", "--text", "?"]
            other = Program(self)
            other.add("bob@here.test", "--imap", f"imap://127.0.0.1:{provider.ports['imap']}", "--smtp", f"smtp://127.0.0.1:{provider.ports['submission']}")
            other("send", *provider_smtp)
            question = lab.wait_for("the question", lambda: (mail("sync"), [r for r in mail("ls")["messages"] if r["subject"] == "Question"])[1])
            mail("reply", str(question[0]["id"]), "--text", "Yes")
            self.assertIn("From: Info <info@here.test>", lab.wait_for("the answer", lambda: received("Re: Question")))

            soon = int(time.time()) + 3
            later = mail("send", "--to", "bob@here.test", "--subject", "Later", "--text", "x", "--at", str(soon))
            never = mail("send", "--to", "bob@here.test", "--subject", "Never", "--text", "x", "--delay", "2")
            self.assertFalse(later["sent"] or never["sent"])
            self.assertEqual(mail("sync")["outbox"], [], "not before its time")
            mail("undo", str(never["id"]))
            self.assertIn("not in the outbox", mail("undo", str(never["id"]), ok=False)["error"])
            lab.wait_for("it to be sent when it is time", lambda: (mail("sync"), received("Later"))[1], every=0.5)
            self.assertGreaterEqual(time.time(), soon)
            self.assertIsNone(received("Never"))


class Watching(unittest.TestCase):
    def test_sync_watch_hears_of_new_mail_and_ends_by_ctrl_c(self):
        with lab.Server(accounts=("ann",), password=PASSWORD) as provider:
            mail = Program(self)
            mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{provider.ports['imap']}", "--no-discovery")
            watching = running(mail, "sync", "--watch")
            self.assertEqual(json.loads(watching.stdout.readline())["downloaded"], 0)
            begun = time.monotonic()
            fill(imap(provider.ports["imap"], "ann"), {"INBOX": 1})
            self.assertEqual(json.loads(watching.stdout.readline())["downloaded"], 1)
            self.assertLess(time.monotonic() - begun, 20, "by IDLE, not by the minute")
            # The mailbox is news by itself, so its message often comes in the middle of a round: it must be told all the same.
            for n in range(4):
                begun = time.monotonic()
                fill(imap(provider.ports["imap"], "ann"), {f"Work {n}": 1})
                while json.loads(watching.stdout.readline())["downloaded"] == 0:
                    pass
                self.assertLess(time.monotonic() - begun, 20, "of other mailboxes by NOTIFY")
            watching.send_signal(signal.SIGINT)
            self.assertEqual(watching.wait(20), 0)
            watching.stdout.close()
            watching.stderr.close()
            self.assertEqual([len(mail("ls", name)["messages"]) for name in ("INBOX", "Work 0", "Work 3")], [1, 1, 1])

    def test_ctrl_c_in_the_middle_of_a_round_is_heard(self):
        """The server answers the first look and the wait for news; the connection of the round that follows hears nothing at all."""
        silent = threading.Event()

        class Waits(Scripted):
            capabilities = "IMAP4rev1 IDLE UIDPLUS"

            def idles(self, session):
                session.line("* 4 EXISTS")

            def serve(self, stream):
                if "IDLE" in self.says:
                    silent.set()
                    stream.recv(1)
                else:
                    super().serve(stream)

        server = Waits(self)
        mail = Program(self)
        mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{server.port}", "--no-discovery")
        watching = running(mail, "sync", "--watch")
        self.addCleanup(watching.stderr.close)
        self.addCleanup(watching.stdout.close)
        self.addCleanup(watching.kill)
        self.assertEqual(json.loads(watching.stdout.readline())["downloaded"], 3)
        self.assertTrue(silent.wait(30), server.says)
        watching.send_signal(signal.SIGINT)
        self.assertEqual(watching.wait(20), 0)


class Pop3(unittest.TestCase):
    def test_deleted_there_when_old_or_when_deleted_here(self):
        with Dovecot() as old:
            session = imap(old.ports["imap"], "ann")
            now = time.time()
            for n, age in enumerate((40, 20, 1)):
                # POP3 has no dates: the first Received field tells when it came.
                stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(now - age * 86400))
                text = f"Received: from x by y; {stamp}\r\nSubject: {age} days\r\nFrom: b@there.test\r\n\r\nx\r\n"
                session.append("INBOX", None, None, text.encode())
            mail = Program(self)
            mail.add("ann@here.test", "--pop3", f"pop3://127.0.0.1:{old.ports['pop3']}", "--login", "ann", "--delete-after-days", "30",
                     "--delete-when-deleted", "--no-discovery")
            told = mail("sync")
            self.assertEqual((told["downloaded"], told["removed_there"]), (3, 1), told)
            left = lambda: {row["subject"] for row in mail("ls", "--remote")["messages"]}  # noqa: E731
            self.assertEqual(left(), {"20 days", "1 days"})
            gone = [row for row in mail("ls")["messages"] if row["subject"] == "1 days"]
            mail("delete", str(gone[0]["id"]))
            self.assertEqual(mail("fetch")["removed_there"], 1)
            self.assertEqual(left(), {"20 days"})
            self.assertEqual(mail("fetch")["downloaded"], 0)
            self.assertEqual({row["subject"] for row in mail("ls")["messages"]}, {"40 days", "20 days"})


class Importing(unittest.TestCase):
    def test_skip_bad_goes_on_and_lists_and_ctrl_c_resumes(self):
        class Bad(Scripted):
            def fetched(self, session, number, uid, items):
                if "BODY.PEEK[]" in items and uid == 2:
                    return session.line(f"* {number} FETCH (UID 2 FLAGS ())")
                super().fetched(session, number, uid, items)

        server = Bad(self)
        with lab.Server(accounts=("ann",), password=PASSWORD) as new:
            words = ("import", f"imap://ann@127.0.0.1:{server.port}", "--account", "ann@here.test", "--password-stdin", "--json")
            refused = json.loads(new.run(*words, stdin=PASSWORD + "\n", ok=False).stdout)
            self.assertIn("INBOX UID 2", refused["error"])
            told = json.loads(new.run(*words, "--skip-bad", stdin=PASSWORD + "\n").stdout)
            self.assertEqual([bad["what"] for bad in told["bad"]], ["INBOX UID 2"])
            self.assertEqual(imap(new.ports["imap"], "ann").select("INBOX")[1], [b"2"])

        class Slow(Scripted):
            def fetched(self, session, number, uid, items):
                if "BODY.PEEK[]" in items:
                    time.sleep(0.01)
                super().fetched(session, number, uid, items)

        server = Slow(self, 120)
        with lab.Server(accounts=("ann",), password=PASSWORD) as new:
            words = ("import", f"imap://ann@127.0.0.1:{server.port}", "--account", "ann@here.test", "--password-stdin", "--json")
            process = subprocess.Popen([lab.binary(), *words, "--config", new.config], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            process.stdin.write(PASSWORD + "\n")
            process.stdin.close()
            time.sleep(0.7)
            process.send_signal(signal.SIGINT)
            self.assertIn("the same command goes on from here", process.stdout.read())
            process.stdout.close()
            process.stderr.close()
            self.assertEqual(process.wait(), 1)
            new.run(*words, stdin=PASSWORD + "\n")
            self.assertEqual(imap(new.ports["imap"], "ann").select("INBOX")[1], [b"120"])
            self.assertEqual(json.loads(new.run(*words, stdin=PASSWORD + "\n").stdout)["imported"], 0)


class Searching(unittest.TestCase):
    def test_by_the_index_as_by_reading(self):
        with lab.Server(accounts=("ann",), password=PASSWORD) as provider:
            session = imap(provider.ports["imap"], "ann")
            for n, (subject, text) in enumerate((("Grüße vom Meer", "salt and shells"), ("Invoice 4711", "Meerrettich, 3 jars"), ("x", "nothing"))):
                session.append("INBOX", None, None, lab.wire(lab.message("Bob Seaman <bob@there.test>", "ann@here.test", subject, text=text, seed=str(n))))
            mail = Program(self)
            mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{provider.ports['imap']}", "--no-discovery")
            mail("sync")
            for _ in range(2):
                found = lambda *words: sorted(row["subject"] for row in mail("search", *words)["messages"])  # noqa: E731
                self.assertEqual(found("meer"), ["Grüße vom Meer", "Invoice 4711"])
                self.assertEqual(found("GRÜSSE") + found("grüße"), ["Grüße vom Meer"] * (2 if found("GRÜSSE") else 1))
                self.assertEqual(found("meer", "shell"), ["Grüße vom Meer"])
                self.assertEqual(found("seaman"), ["Grüße vom Meer", "Invoice 4711", "x"])
                self.assertEqual(found("absent"), [])
            self.assertTrue(os.listdir(os.path.join(mail.dir, "search")), "an index is kept")


class InTheBrowser(unittest.TestCase):
    def test_mail_web_shows_sends_and_keeps_in_step(self):
        with lab.Server(accounts=("ann", "bob"), password=PASSWORD) as provider:
            fill(imap(provider.ports["imap"], "ann"), {"INBOX": 2})
            mail = Program(self)
            mail.add("ann@here.test", "--imap", f"imap://127.0.0.1:{provider.ports['imap']}", "--smtp", f"smtp://127.0.0.1:{provider.ports['submission']}")
            self.assertIn("loopback", mail("web", "--listen", "0.0.0.0:0", ok=False)["error"])
            web = running(mail, "web")
            told = json.loads(web.stdout.readline())
            host = told["url"].split("/")[2]

            def ask(method, path, body=None, cookie=None):
                connection = http.client.HTTPConnection(host, timeout=30)
                headers = {"Origin": f"http://{host}", "X-Packetboat": "1", "Content-Type": "application/json", **({"Cookie": cookie} if cookie else {})}
                connection.request(method, path, json.dumps(body) if body is not None else None, headers)
                answer = connection.getresponse()
                text = answer.read()
                connection.close()
                return answer.status, answer.headers, text

            self.assertEqual(ask("GET", "/")[0], 200)
            self.assertEqual(ask("POST", "/api/sign-in", {"address": "ann@here.test", "password": "wrong"})[0], 401)
            for password in (PASSWORD, told["password"]):
                status, headers, _ = ask("POST", "/api/sign-in", {"address": "ann@here.test", "password": password})
                self.assertEqual(status, 200)
            cookie = headers["Set-Cookie"].split(";")[0]
            status, _, text = ask("GET", "/jmap/session", cookie=cookie)
            session = json.loads(text)
            self.assertEqual(status, 200, text)
            account = next(iter(session["accounts"]))
            using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:ietf:params:jmap:submission"]
            api = session["apiUrl"].split(host)[-1]

            def jmap(*calls):
                body = {"using": using, "methodCalls": [[name, {"accountId": account, **words}, str(n)] for n, (name, words) in enumerate(calls)]}
                status, _, text = ask("POST", api, body, cookie)
                self.assertEqual(status, 200, text)
                return [answer[1] for answer in json.loads(text)["methodResponses"]]

            inbox = lambda: len(jmap(("Email/query", {}))[0]["ids"])  # noqa: E731
            lab.wait_for("the mail to be here", lambda: inbox() == 2)
            # A change in the browser goes to the server by itself.
            first = jmap(("Email/query", {}))[0]["ids"][0]
            jmap(("Email/set", {"update": {first: {"keywords/blue": True}}}))
            session = imap(provider.ports["imap"], "ann")
            lab.wait_for("the keyword on the server", lambda: (session.select("INBOX"), session.search(None, "KEYWORD", "blue")[1][0])[1])
            boxes = {box["role"]: box["id"] for box in jmap(("Mailbox/get", {}))[0]["list"]}
            identity = jmap(("Identity/get", {}))[0]["list"][0]["id"]
            draft = {"mailboxIds": {boxes["drafts"]: True}, "from": [{"email": "ann@here.test"}], "to": [{"email": "bob@here.test"}],
                     "subject": "From the browser", "bodyValues": {"1": {"value": "Hello"}}, "textBody": [{"partId": "1", "type": "text/plain"}]}
            made = jmap(("Email/set", {"create": {"d": draft}}))[0]
            sent = jmap(("EmailSubmission/set", {"create": {"s": {"emailId": made["created"]["d"]["id"], "identityId": identity}}}))[0]
            self.assertIn("s", sent["created"] or {}, sent)
            bob = imap(provider.ports["imap"], "bob")
            lab.wait_for("it at Bob's", lambda: bob.select("INBOX")[1] == [b"1"], 30)
            web.send_signal(signal.SIGINT)
            self.assertEqual(web.wait(20), 0, web.stderr.read())
            web.stdout.close()
            web.stderr.close()
            self.assertEqual(len(mail("ls")["messages"]), 2)


class OnTheShell(unittest.TestCase):
    def test_completions_and_man_pages(self):
        for shell, sign in (("bash", "complete -F _packetboat"), ("zsh", "#compdef packetboat"), ("fish", "complete -c packetboat")):
            done = subprocess.run([lab.binary(), "completions", shell], capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 0)
            self.assertIn(sign, done.stdout)
            self.assertIn("outbox", done.stdout)
        done = subprocess.run(["bash", "-c", f'source <("{lab.binary()}" completions bash); COMP_WORDS=(packetboat mail ac); COMP_CWORD=2; '
                               '_packetboat packetboat ac mail; echo "${COMPREPLY[@]}"'], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.stdout.split(), ["accounts"], done.stderr)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([lab.binary(), "man", folder], check=True, capture_output=True, timeout=30)
            pages = os.listdir(folder)
            self.assertTrue({"packetboat.1", "packetboat-mail-send.1", "packetboat-import.1"} <= set(pages), pages)
            with open(os.path.join(folder, "packetboat-mail-send.1")) as f:
                text = f.read()
            self.assertTrue(re.search(r"^\.TH ", text, re.M) and "\\-\\-attach" in text)
