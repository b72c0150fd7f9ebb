"""The other mail programs of a terminal: getmail6, s-nail, alpine, aerc. Those that write answer with an attachment."""

import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402
from test_clients import Clients, fill, imap, inbox  # noqa: E402


class Screen:
    """A terminal program on a screen of its own (tmux), typed at and read from."""

    def __init__(self, folder, *command, env=None):
        self.socket = os.path.join(folder, "tmux")
        words = [f"{k}={v}" for k, v in (env or {}).items()]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "env", *words, *command)

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True, timeout=20, env={**os.environ, "LC_ALL": "C.UTF-8"})

    def text(self):
        return self.tmux("capture-pane", "-p").stdout

    def see(self, pattern, seconds=30):
        try:
            return lab.wait_for(pattern, lambda: re.search(pattern, self.text()), seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{self.text()}") from e

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def close(self):
        self.tmux("kill-server")


def files(*folders):
    """Octets of the messages in Maildir folders."""
    found = []
    for folder in folders:
        for part in ("new", "cur"):
            path = os.path.join(folder, part)
            for name in sorted(os.listdir(path)) if os.path.isdir(path) else ():
                with open(os.path.join(path, name), "rb") as f:
                    found.append(f.read())
    return found


class Writing(Clients):
    """Clients that answer with a picture."""

    def picture(self):
        path = os.path.join(self.dir, "boat.png")
        with open(path, "wb") as f:
            f.write(lab.png())
        return path

    def answered(self, words):
        answer = self.got(1, "ann")[0]
        self.assertIn(words, answer)
        self.assertRegex(answer, rb"(?im)^In-Reply-To: <")
        self.assertRegex(answer, rb"(?im)^Subject: Re: ")
        lab.assert_attachments(answer, [("boat.png", "image", "png", lab.png())])


class Getmail(Clients):
    def rc(self, retriever, port, **options):
        maildir = os.path.join(self.dir, retriever)
        for part in ("new", "cur", "tmp"):
            os.makedirs(os.path.join(maildir, part), exist_ok=True)
        lines = "".join(f"{k} = {v}\n" for k, v in options.items())
        self.secret("getmailrc", f"[retriever]\ntype = {retriever}\nserver = localhost\nport = {port}\nusername = bob@here.test\n"
                                 f"password = {self.server.password}\nca_certs = {self.cert}\n"
                                 f"[destination]\ntype = Maildir\npath = {maildir}/\n[options]\nread_all = false\ndelivered_to = false\nreceived = false\n{lines}")
        return maildir

    def get(self):
        # It refuses to write mail as root.
        lab.client("chown", "-R", "nobody", self.dir)
        folder = os.path.dirname(self.cert)
        os.chmod(folder, 0o755)
        return lab.client("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "getmail", "--getmaildir", self.dir, "--rcfile", "getmailrc", env={"HOME": self.dir})

    def test_getmail_by_imap_and_pop3_each_message_once(self):
        fill(self.server, "One", "Two", "Three")
        for retriever, port in (("SimpleIMAPSSLRetriever", self.port["imaps"]), ("SimplePOP3SSLRetriever", self.port["pop3s"])):
            with self.subTest(retriever):
                maildir = self.rc(retriever, port)
                self.get()
                got = files(maildir)
                self.assertEqual(len(got), 3)
                for octets in got:
                    lab.assert_attachments(octets, lab.ATTACHMENTS)
                self.get()
                self.assertEqual(len(files(maildir)), 3, "a second run gets nothing")
        self.rc("SimplePOP3SSLRetriever", self.port["pop3s"], delete="true")
        self.get()
        self.assertEqual(inbox(self.server), [])


class SNail(Writing):
    def setUp(self):
        super().setUp()
        self.where = {"HOME": self.dir, "MAILRC": "/dev/null"}
        self.escaped = self.server.password.replace(" ", "%20")
        self.base = ["s-nail", "-:/", "-Sv15-compat", f"-Stls-ca-file={self.cert}", "-Stls-ca-no-defaults", "-Stls-verify=strict"]

    def sending(self, user):
        return [f"-Sfrom={user}@here.test", "-Ssmtp-auth=plain", "-Ssendwait",
                f"-Smta=smtps://{user}%40here.test:{self.escaped}@localhost:{self.port['submissions']}"]

    def reading(self, protocol, *options, commands):
        """What it says to these commands in bob's mailbox."""
        box = f"{protocol}://bob%40here.test:{self.escaped}@localhost:{self.port[protocol]}"
        said = lab.client(*self.base, *self.sending("bob"), "-#", "-~", "-Spop3-auth=plain", "-Simap-auth=login", *options, "-f", box, stdin=commands.encode(), env=self.where)
        return said.stdout.decode()

    def test_s_nail_sends_and_reads(self):
        lab.client(*self.base, *self.sending("ann"), "-s", "By s-nail", "-a", self.picture(), "bob@here.test", stdin="Grüße\n".encode(), env=self.where)
        lab.assert_attachments(self.got()[0], [("boat.png", "image", "png", lab.png())])
        for protocol in ("pop3s", "imaps"):
            with self.subTest(protocol):
                read = self.reading(protocol, "-R", commands="headers\ntype 1\nquit\n")
                self.assertIn("By s-nail", read)
                self.assertIn("Grüße", read)

    def test_s_nail_answers_deletes_and_reads_offline(self):
        picture = self.picture()
        fill(self.server, "To delete", "For s-nail")
        cache = f"-Simap-cache={self.dir}/cache"
        self.reading("imaps", cache, "-Smarkanswered", commands=f"type 2\nreply 2\n~@ {picture}\nAnswer from s-nail.\n~.\ndelete 1\nquit\n")
        self.answered(b"Answer from s-nail.")
        left = lab.wait_for("the expunge", lambda: (m := inbox(self.server)) and len(m) == 1 and m, 15)
        self.assertIn(b"For s-nail", left[0])
        there = imap(self.server)
        there.select("INBOX")
        self.assertEqual((there.search(None, "SEEN")[1][0], there.search(None, "ANSWERED")[1][0]), (b"1", b"1"))
        there.logout()
        self.server.stop()
        self.assertIn("Grüße", self.reading("imaps", cache, "-Sdisconnected", "-R", commands="type 1\nquit\n"))
        self.server.start()
        self.port = self.server.ports
        self.reading("pop3s", commands="delete 1\nquit\n")
        self.assertEqual(inbox(self.server), [])


class Alpine(Writing):
    def test_alpine_reads_replies_and_deletes(self):
        fill(self.server, "For alpine")
        pinerc = self.secret("pinerc", f"""personal-name=Bob
user-domain=here.test
inbox-path={{localhost:{self.port['imaps']}/imap/ssl/user=bob@here.test}}INBOX
smtp-server=localhost:{self.port['submissions']}/ssl/user=bob@here.test
default-fcc={{localhost:{self.port['imaps']}/imap/ssl/user=bob@here.test}}Sent
postponed-folder={{localhost:{self.port['imaps']}/imap/ssl/user=bob@here.test}}Drafts
customized-hdrs=From: Bob <bob@here.test>
feature-list=allow-changing-from,quit-without-confirm,expunge-without-confirm,expunge-only-manually
initial-keystroke-list=
""")
        screen = Screen(self.dir, "alpine", "-p", pinerc, "-I", "i", env={"HOME": self.dir, "SSL_CERT_FILE": self.cert})
        try:
            self.drive(screen)
        finally:
            screen.close()

    def enter_password(self, screen, until, seconds=30):
        """Types the password as often as it is asked for, until `until` is seen."""
        def step():
            text = screen.text()
            if re.search(until, text):
                return True
            if re.search(r"(?i)preserve password|store password", text):
                screen.keys("n")
            elif re.search(r"(?i)password: *$|ENTER PASSWORD.*: *$", text, re.M):
                screen.type(self.server.password)
                screen.keys("Enter")
            elif re.search(r"first time|greeting|Type .*to continue|press .*Enter.* to", text, re.I):
                screen.keys("E")
            return False
        try:
            lab.wait_for(until, step, seconds, every=0.4)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{screen.text()}") from e

    def drive(self, screen):
        self.enter_password(screen, "For alpine")
        screen.keys("Enter")
        screen.see("Grüße")
        screen.keys("r")
        screen.see(r"(?i)include .*original|reply to")
        screen.keys("y")
        lab.wait_for("the composer", lambda: "COMPOSE" in screen.text() or screen.keys("n"), 10, every=0.5)
        screen.see("COMPOSE")
        screen.type("Answer from alpine. ")
        # From the first line of the text up into the header, where it takes attachments.
        screen.keys("Up")
        screen.see(r"\^J Attach")
        screen.keys("C-j")
        screen.see(r"(?i)file to attach|attachment")
        screen.type(self.picture())
        screen.keys("Enter")
        screen.see(r"(?i)comment")
        screen.keys("Enter")
        screen.see(r"(?i)Attchmnt: *1\. .*boat\.png")
        screen.keys("C-x")
        screen.see(r"(?i)send message")
        screen.keys("y")
        self.enter_password(screen, r"(?i)message sent|copied to|sent.*copied")
        self.answered(b"Answer from alpine")
        there = imap(self.server)
        lab.wait_for("the copy in Sent", lambda: there.select("Sent")[1][0] == b"1", 15)
        screen.keys("i") if "MESSAGE TEXT" in screen.text() else None
        screen.see("For alpine")
        screen.keys("d")
        screen.keys("x")
        lab.wait_for("the expunge", lambda: inbox(self.server) == [], 15)
        there.logout()
        screen.keys("q")


class Aerc(Writing):
    def test_aerc_reads_replies_and_deletes(self):
        fill(self.server, "For aerc")
        config = os.path.join(self.dir, ".config", "aerc")
        os.makedirs(config)
        password = self.server.password.replace(" ", "%20")
        accounts = os.path.join(config, "accounts.conf")
        lab.secret(config, "accounts.conf", f"""[bob]
source = imaps://bob%40here.test:{password}@localhost:{self.port['imaps']}
outgoing = smtps+plain://bob%40here.test:{password}@localhost:{self.port['submissions']}
default = INBOX
from = Bob <bob@here.test>
copy-to = Sent
""")
        self.assertTrue(os.path.exists(accounts))
        editor = self.secret("editor", "#!/bin/sh\necho 'Answer from aerc.' >> \"$1\"\n")
        os.chmod(editor, 0o700)
        screen = Screen(self.dir, "aerc", env={"HOME": self.dir, "XDG_CONFIG_HOME": f"{self.dir}/.config", "XDG_DATA_HOME": f"{self.dir}/.data",
                                               "XDG_CACHE_HOME": f"{self.dir}/.cache", "SSL_CERT_FILE": self.cert, "EDITOR": editor, "TERM": "screen-256color"})
        try:
            screen.see("For aerc")
            screen.keys("Enter")
            screen.see("Hello")
            screen.keys("r", "r")
            screen.see(r"Send this email|\[?y\]?.*[Ss]end")
            screen.type(f":attach {self.picture()}")
            screen.keys("Enter")
            screen.see(r"boat\.png")
            screen.keys("y")
            self.answered(b"Answer from aerc.")
            there = imap(self.server)
            lab.wait_for("the copy in Sent", lambda: there.select("Sent")[1][0] == b"1", 15)
            there.select("INBOX")
            lab.wait_for(r"\Answered", lambda: there.noop() and there.search(None, "ANSWERED")[1][0] == b"1", 15)
            screen.type(":close")
            screen.keys("Enter")
            screen.see("For aerc")
            screen.type(":delete")
            screen.keys("Enter")
            lab.wait_for("the expunge", lambda: inbox(self.server) == [], 15)
            there.logout()
        finally:
            screen.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
