"""Neighbours that we did not write: Debian's Postfix relays to us and we to it, and two of our own servers."""

import os
import pwd
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
import unittest

import lab
from test_clients import imap, inbox, send


class Postfix:
    """A private Postfix on a high port; mail for its own domain lands in a Maildir-like mbox folder."""

    def __init__(self, domain, routes=()):
        self.dir = tempfile.mkdtemp(prefix="packetboat-postfix-")
        os.chmod(self.dir, 0o755)
        self.domain = domain
        self.port = lab.free_port()
        self.config = os.path.join(self.dir, "etc")
        self.queue = os.path.join(self.dir, "queue")
        self.mail = os.path.join(self.dir, "mail")
        for folder in (self.config, self.queue, self.mail, os.path.join(self.dir, "lib")):
            os.makedirs(folder)
        owner = pwd.getpwnam("postfix")
        os.chown(os.path.join(self.dir, "lib"), owner.pw_uid, owner.pw_gid)
        nobody = pwd.getpwnam("nobody")
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        cert, key = lab.certificate()
        for path, name in ((cert, "cert.pem"), (key, "key.pem")):
            shutil.copy(path, os.path.join(self.config, name))
        with open(os.path.join(self.config, "transport"), "w") as f:
            f.writelines(f"{domain} smtp:[127.0.0.1]:{port}\n" for domain, port in routes)
        with open(os.path.join(self.config, "main.cf"), "w") as f:
            f.write(f"""compatibility_level = 3.6
queue_directory = {self.queue}
data_directory = {self.dir}/lib
myhostname = mx.{domain}
mydestination =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {self.mail}
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{nobody.pw_uid}
virtual_gid_maps = static:{nobody.pw_gid}
virtual_mailbox_limit = 0
message_size_limit = 60000000
transport_maps = texthash:{self.config}/transport
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_tls_cert_file = {self.config}/cert.pem
smtpd_tls_key_file = {self.config}/key.pem
smtpd_tls_security_level = may
smtp_tls_security_level = may
smtputf8_enable = yes
maillog_file = {self.dir}/lib/log
maillog_file_prefixes = {self.dir}
disable_dns_lookups = yes
minimal_backoff_time = 5s
""")
        with open(os.path.join(self.config, "master.cf"), "w") as f:
            f.write(f"""127.0.0.1:{self.port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
""")

    def __enter__(self):
        lab.client("postfix", "-c", self.config, "start")
        lab.wait_for("postfix", self.answers)
        return self

    def answers(self):
        try:
            with smtplib.SMTP("127.0.0.1", self.port):
                return True
        except OSError:
            return False

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("--- postfix log\n" + self.log())
        subprocess.run(["postfix", "-c", self.config, "stop"], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        try:
            with open(os.path.join(self.dir, "lib", "log")) as f:
                return f.read()[-5000:]
        except OSError:
            return ""

    def mails(self):
        """All mail it has delivered, as octets."""
        box = os.path.join(self.mail, "all")
        mails = []
        for part in ("new", "cur"):
            folder = os.path.join(box, part)
            if os.path.isdir(folder):
                for name in sorted(os.listdir(folder)):
                    with open(os.path.join(folder, name), "rb") as f:
                        mails.append(f.read())
        return mails


FILM = [("film.bin", "application", "octet-stream", lab.film(20))] + lab.ATTACHMENTS


class Neighbours(unittest.TestCase):
    def test_postfix_relays_to_us(self):
        with lab.Server(accounts=["ann"]) as server, Postfix("there.test", [("here.test", server.ports["smtp"])]) as postfix:
            sent = [lab.message("carol@there.test", "ann@here.test", "From Postfix", lab.ATTACHMENTS),
                    lab.message("carol@there.test", "ann@here.test", "From Postfix, a film", FILM)]
            with smtplib.SMTP("127.0.0.1", postfix.port) as s:
                for m in sent:
                    s.sendmail("carol@there.test", ["ann@here.test"], lab.wire(m))
            mail = lab.wait_for("mail from Postfix", lambda: (m := inbox(server, "ann")) and len(m) == 2 and m, 60)
            for octets, attachments in zip(sorted(mail, key=len), (lab.ATTACHMENTS, FILM)):
                lab.assert_attachments(octets, attachments)
                self.assertIn(b"by mail.here.test", octets)

    def test_we_relay_to_postfix_by_mx(self):
        with Postfix("there.test") as postfix:
            dns = lab.Dns({("there.test", lab.Dns.MX): [lab.Dns.mx(10, "mx.there.test")],
                           ("mx.there.test", lab.Dns.A): [socket.inet_aton("127.0.0.1")]})
            extra = f'[dns]\nservers = ["127.0.0.1:{dns.port}"]\n[outbound]\nport = {postfix.port}\n'
            with lab.Server(accounts=["ann", "bob"], extra=extra) as server:
                begun = time.monotonic()
                send(server, lab.message("ann@here.test", "carol@there.test", "To Postfix", lab.ATTACHMENTS), to=["carol@there.test", "bob@here.test"])
                send(server, lab.message("ann@here.test", "carol@there.test", "To Postfix, a film", FILM), to=["carol@there.test"])
                mails = lab.wait_for("mail at Postfix", lambda: (m := postfix.mails()) and len(m) == 2 and m, 60)
                print(f"both there after {time.monotonic() - begun:.1f} s", end=" ")
                for octets, attachments in zip(sorted(mails, key=len), (lab.ATTACHMENTS, FILM)):
                    lab.assert_attachments(octets, attachments)
                    self.assertIn(b"ESMTPS", octets, "opportunistic STARTTLS was used")
                self.assertEqual(len(inbox(server)), 1)
                lab.wait_for("an empty queue", lambda: server.run("queue", "list", "--json").stdout.strip() in ("[]", '{"entries":[]}'), 10)
            dns.close()

    def test_we_use_postfix_as_smarthost(self):
        with Postfix("there.test") as postfix:
            extra = f'[outbound.relay]\nhost = "127.0.0.1"\nport = {postfix.port}\ntls = "none"\n'
            with lab.Server(accounts=["ann"], extra=extra) as server:
                send(server, lab.message("ann@here.test", "carol@there.test", "By a smarthost", lab.ATTACHMENTS), to=["carol@there.test"])
                lab.assert_attachments(lab.wait_for("mail at Postfix", postfix.mails, 30)[0], lab.ATTACHMENTS)

    def test_a_refusal_comes_back_as_a_bounce_in_plain_words(self):
        with lab.Server("there.test", accounts=["carol"]) as there:
            dns = lab.Dns({("there.test", lab.Dns.MX): [lab.Dns.mx(10, "mx.there.test")], ("mx.there.test", lab.Dns.A): [socket.inet_aton("127.0.0.1")]})
            extra = f'[dns]\nservers = ["127.0.0.1:{dns.port}"]\n[outbound]\nport = {there.ports["smtp"]}\n'
            with lab.Server(accounts=["ann"], extra=extra) as here:
                begun = time.monotonic()
                send(here, lab.message("ann@here.test", "carol@there.test", "Across", lab.ATTACHMENTS), to=["carol@there.test", "nobody@there.test"])
                mail = lab.wait_for("the message", lambda: inbox(there, "carol"), 10)
                self.assertLess(time.monotonic() - begun, 3.0)
                lab.assert_attachments(mail[0], lab.ATTACHMENTS)
                bounce = lab.wait_for("the bounce", lambda: inbox(here, "ann"), 10)[0]
                self.assertIn(b"nobody@there.test", bounce)
                self.assertRegex(bounce, rb"(?i)content-type: multipart/report")
                self.assertRegex(bounce, rb"Status: 5\.1\.1")
                self.assertRegex(bounce, rb"(?im)^return-path: <>")
                send(here, lab.message("ann@here.test", "x@nowhere.test", "No such domain"), to=["x@nowhere.test"])
                lab.wait_for("the second bounce", lambda: len(inbox(here, "ann")) == 2, 15)
            dns.close()

    def test_the_queue_survives_kill_and_the_neighbour_s_absence(self):
        port = lab.free_port()
        dns = lab.Dns({("there.test", lab.Dns.MX): [lab.Dns.mx(10, "mx.there.test")], ("mx.there.test", lab.Dns.A): [socket.inet_aton("127.0.0.1")]})
        extra = f'[dns]\nservers = ["127.0.0.1:{dns.port}"]\n[outbound]\nport = {port}\n'
        with lab.Server(accounts=["ann"], extra=extra) as here:
            for i in range(10):
                send(here, lab.message("ann@here.test", "carol@there.test", f"Waiting {i}"), to=["carol@there.test"])
            here.kill()
            here.start()
            listed = here.run("queue", "list").stdout
            self.assertEqual(len(re.findall(r"carol@there\.test|there\.test", listed)) >= 10, True, listed)
            received = []

            class Sink(lab.threading.Thread):
                """Takes mail with the least SMTP there is."""

                def run(self):
                    s = socket.create_server(("127.0.0.1", port))
                    while True:
                        c, _ = s.accept()
                        lab.threading.Thread(target=self.talk, args=(c,), daemon=True).start()

                def talk(self, c):
                    f = c.makefile("rwb")

                    def say(t):
                        f.write(t + b"\r\n")
                        f.flush()

                    say(b"220 sink")
                    for line in iter(f.readline, b""):
                        verb = line[:4].upper()
                        if verb == b"DATA":
                            say(b"354 go")
                            body = b""
                            while not body.endswith(b"\r\n.\r\n"):
                                body += f.readline()
                            received.append(body)
                            say(b"250 ok")
                        elif verb == b"QUIT":
                            say(b"221 bye")
                            return
                        elif verb == b"EHLO":
                            say(b"250 sink")
                        else:
                            say(b"250 ok")

            Sink(daemon=True).start()
            here.run("queue", "retry", "--all")
            lab.wait_for("ten messages", lambda: len(received) >= 10, 20)
            time.sleep(0.5)
            self.assertEqual(len(received), 10)
        dns.close()
