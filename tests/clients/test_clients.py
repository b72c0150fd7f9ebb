"""Real mail programs against the real binary: each sends or reads real mail and is checked for what it got."""

import imaplib
import mailbox
import os
import poplib
import smtplib
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import zlib

import lab


def context():
    """TLS that verifies: only the lab's certificate is trusted."""
    return ssl.create_default_context(cafile=lab.certificate()[0])


def send(server, message, sender="ann", to=("bob@here.test",)):
    """By Python's smtplib over implicit TLS, as `sender`."""
    with smtplib.SMTP_SSL("127.0.0.1", server.ports["submissions"], context=context()) as s:
        s.login(f"{sender}@{server.domain}", server.password)
        s.sendmail(f"{sender}@{server.domain}", list(to), lab.wire(message), mail_options=["BODY=8BITMIME"])


def imap(server, user="bob"):
    c = imaplib.IMAP4_SSL("127.0.0.1", server.ports["imaps"], ssl_context=context())
    c.login(f"{user}@{server.domain}", server.password)
    return c


def inbox(server, user="bob"):
    """All octets of INBOX by IMAP."""
    c = imap(server, user)
    try:
        c.select("INBOX", readonly=True)
        kind, data = c.uid("FETCH", "1:*", "(BODY.PEEK[])")
        assert kind == "OK"
        return [part[1] for part in data if isinstance(part, tuple)]
    finally:
        c.logout()


def fill(server, *subjects, user="bob"):
    """One message with attachments for each subject, by SMTP."""
    for subject in subjects:
        send(server, lab.message("ann@here.test", f"{user}@here.test", subject, lab.ATTACHMENTS), to=[f"{user}@here.test"])
    lab.wait_for("mail", lambda: len(inbox(server, user)) == len(subjects))


class Clients(unittest.TestCase):
    """A server with ann and bob; `self.dir` is for the client's files."""

    def setUp(self):
        self.server = lab.Server(accounts=["ann", "bob"]).start()
        self.temporary = tempfile.TemporaryDirectory(prefix="packetboat-client-")
        self.dir = self.temporary.name
        self.port = self.server.ports
        self.cert = lab.certificate()[0]

    def tearDown(self):
        failed = any(e for _, e in getattr(self._outcome, "errors", []) or [])
        if failed:
            print("--- server log\n" + self.server.log_text()[-6000:])
        self.temporary.cleanup()
        self.server.__exit__(None, None, None)

    def secret(self, name, text):
        return lab.secret(self.dir, name, text)

    def got(self, n=1, user="bob"):
        return lab.wait_for(f"{n} messages for {user}", lambda: (m := inbox(self.server, user)) and len(m) >= n and m)


class Curl(Clients):
    def test_curl_sends_and_reads_by_every_protocol(self):
        sent = lab.wire(lab.message("ann@here.test", "bob@here.test", "By curl", lab.ATTACHMENTS))
        path = os.path.join(self.dir, "mail.eml")
        with open(path, "wb") as f:
            f.write(sent)
        ann = self.secret("ann", f'user = "ann@here.test:{self.server.password}"\n')
        bob = self.secret("bob", f'user = "bob@here.test:{self.server.password}"\n')
        base = ["curl", "-sS", "--cacert", self.cert]
        for i, url in enumerate([f"smtps://127.0.0.1:{self.port['submissions']}", f"smtp://127.0.0.1:{self.port['submission']}"]):
            lab.client(*base, "-K", ann, "--ssl-reqd", url, "--mail-from", "ann@here.test", "--mail-rcpt", "bob@here.test", "-T", path)
            self.got(i + 1)
        for url in (f"pop3s://127.0.0.1:{self.port['pop3s']}/1", f"pop3://127.0.0.1:{self.port['pop3']}/2",
                    f"imaps://127.0.0.1:{self.port['imaps']}/INBOX;UID=1", f"imap://127.0.0.1:{self.port['imap']}/INBOX;UID=2"):
            with self.subTest(url):
                octets = lab.client(*base, "-K", bob, "--ssl-reqd", url).stdout
                self.assertEqual(lab.without_trace(octets).rstrip(b"\r\n"), sent.rstrip(b"\r\n"))
                lab.assert_attachments(octets, lab.ATTACHMENTS)
        # AUTH by the mechanisms that curl and we have (Debian's curl has no SCRAM; msmtp and mpop show that), without TLS on loopback.
        for mechanism in ("PLAIN", "LOGIN"):
            with self.subTest(mechanism):
                listing = lab.client("curl", "-sS", "-K", bob, "--login-options", f"AUTH={mechanism}",
                                     f"pop3://127.0.0.1:{self.port['pop3']}/").stdout
                self.assertEqual(len(listing.splitlines()), 2)
        upload = lab.client(*base, "-K", bob, "--ssl-reqd", f"imap://127.0.0.1:{self.port['imap']}/Archive", "-T", path)
        self.assertEqual(upload.returncode, 0)
        octets = lab.client(*base, "-K", bob, f"imaps://127.0.0.1:{self.port['imaps']}/Archive;UID=1").stdout
        self.assertEqual(octets, sent)
        wrong = self.secret("wrong", 'user = "bob@here.test:nonsense"\n')
        self.assertEqual(lab.client("curl", "-sS", "-K", wrong, f"pop3://127.0.0.1:{self.port['pop3']}/", ok=False).returncode, 67)


class Swaks(Clients):
    def swaks(self, *options, ok=True):
        return lab.client("swaks", "--suppress-data", "--server", "127.0.0.1", *options, ok=ok)

    def test_swaks_on_every_listener(self):
        rc = self.secret("swaksrc", f"--auth-user ann@here.test\n--auth-password {self.server.password}\n")
        picture = os.path.join(self.dir, "cat.png")
        with open(picture, "wb") as f:
            f.write(lab.png())
        n = 0
        for mechanism in ("PLAIN", "LOGIN"):
            for options in (["-p", str(self.port["submission"]), "-tls"], ["-p", str(self.port["submissions"]), "--tls-on-connect"]):
                self.swaks("--config", rc, "--auth", mechanism, "--from", "ann@here.test", "--to", "bob@here.test",
                           "--attach-type", "image/png", "--attach-name", "cat.png", "--attach", "@" + picture, *options)
                n += 1
        self.swaks("-p", str(self.port["smtp"]), "--from", "x@elsewhere.test", "--to", "bob@here.test,ann@here.test")
        self.swaks("-p", str(self.port["lmtp"]), "--protocol", "LMTP", "--from", "x@elsewhere.test", "--to", "bob@here.test")
        mail = self.got(n + 2)
        self.assertEqual(len(mail), n + 2)
        for octets in mail[:n]:
            lab.assert_attachments(octets, [("cat.png", "image", "png", lab.png())])
        self.assertEqual(len(self.got(1, "ann")), 1)

    def test_relaying_and_strangers_are_refused(self):
        done = self.swaks("-p", str(self.port["smtp"]), "--from", "x@elsewhere.test", "--to", "y@elsewhere.test", ok=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout.decode(), r"<\*\* 5\d\d 5\.7\.1 ")
        done = self.swaks("-p", str(self.port["smtp"]), "--from", "x@elsewhere.test", "--to", "nobody@here.test", ok=False)
        self.assertRegex(done.stdout.decode(), r"<\*\* 550 5\.1\.1 ")
        done = self.swaks("-p", str(self.port["submission"]), "--from", "ann@here.test", "--to", "bob@here.test", ok=False)
        self.assertRegex(done.stdout.decode(), r"<\*\* 530 5\.7\.0 ")
        rc = self.secret("swaksrc", f"--auth-user ann@here.test\n--auth-password {self.server.password}\n")
        done = self.swaks("--config", rc, "-tls", "-p", str(self.port["submission"]), "--from", "bob@here.test", "--to", "bob@here.test", ok=False)
        self.assertRegex(done.stdout.decode(), r"5\d\d 5\.7\.1 ")


class Msmtp(Clients):
    def test_msmtp_sends_by_starttls_and_tls_with_scram(self):
        for i, (port, starttls, auth) in enumerate([("submission", "on", "scram-sha-256"), ("submissions", "off", "plain"), ("submission", "on", "login")]):
            rc = self.secret("msmtprc", f"defaults\nauth {auth}\ntls on\ntls_starttls {starttls}\ntls_trust_file {self.cert}\n"
                             f"account a\nhost localhost\nport {self.port[port]}\nfrom ann@here.test\nuser ann@here.test\n"
                             f"passwordeval echo '{self.server.password}'\naccount default : a\n")
            sent = lab.wire(lab.message("ann@here.test", "bob@here.test", f"By msmtp {i}", lab.ATTACHMENTS))
            lab.client("msmtp", "-C", rc, "bob@here.test", stdin=sent.replace(b"\r\n", b"\n"))
            octets = self.got(i + 1)[i]
            self.assertEqual(lab.without_trace(octets).rstrip(), sent.rstrip())
            lab.assert_attachments(octets, lab.ATTACHMENTS)


class Mpop(Clients):
    def test_mpop_downloads_and_deletes(self):
        sent = [lab.message("ann@here.test", "bob@here.test", f"For mpop {i}", lab.ATTACHMENTS) for i in range(3)]
        for m in sent:
            send(self.server, m)
        self.got(3)
        box = os.path.join(self.dir, "box")
        for part in ("", "cur", "new", "tmp"):
            os.makedirs(os.path.join(box, part), exist_ok=True)
        rc = self.secret("mpoprc", f"defaults\ntls on\ntls_trust_file {self.cert}\nuidls_file {self.dir}/uidls\nreceived_header off\n"
                         f"account bob\nhost localhost\nport {self.port['pop3']}\ntls_starttls on\nauth scram-sha-256\nuser bob@here.test\n"
                         f"passwordeval echo '{self.server.password}'\nkeep on\ndelivery maildir {box}\n")
        lab.client("mpop", "-C", rc, "bob")
        lab.client("mpop", "-C", rc, "bob")  # the second run finds the same UIDLs: nothing new
        got = sorted(mailbox.Maildir(box, create=False).get_bytes(k) for k in mailbox.Maildir(box, create=False).keys())
        self.assertEqual(len(got), 3)
        for octets in got:
            lab.assert_attachments(octets, lab.ATTACHMENTS)
        lab.client("mpop", "-C", rc, "--keep=off", "--only-new=off", "bob")
        self.assertEqual(inbox(self.server), [])


class Fetchmail(Clients):
    def test_fetchmail_by_pop3_and_imap(self):
        for i, protocol in enumerate(("pop3", "imap")):
            for k in range(2):
                send(self.server, lab.message("ann@here.test", "bob@here.test", f"{protocol} {k}", lab.ATTACHMENTS))
            self.got(2)
            out = os.path.join(self.dir, protocol)
            rc = self.secret("fetchmailrc", f"poll localhost protocol {protocol} service {self.port[protocol + 's']} user 'bob@here.test' "
                             f"password '{self.server.password}' ssl sslcertck sslcertfile {self.cert} no keep fetchall no rewrite "
                             f"mda '/bin/sh -c \"cat >> {out}; echo ==end >> {out}\"'\n")
            lab.client("fetchmail", "-f", rc, "--nosyslog", "--pidfile", f"{self.dir}/pid", "--idfile", f"{self.dir}/ids", "--invisible",
                       env={"HOME": self.dir, "FETCHMAILHOME": self.dir})
            with open(out, "rb") as f:
                mails = f.read().split(b"==end\n")[:-1]
            self.assertEqual(len(mails), 2)
            for octets in mails:
                lab.assert_attachments(octets, lab.ATTACHMENTS)
            self.assertEqual(inbox(self.server), [], "fetchmail deletes what it has taken")


class Mbsync(Clients):
    def test_mbsync_two_way_and_a_second_run_changes_nothing(self):
        sent = [lab.message("ann@here.test", "bob@here.test", f"For mbsync {i}", lab.ATTACHMENTS) for i in range(5)]
        for m in sent:
            send(self.server, m)
        self.got(5)
        maildir = os.path.join(self.dir, "mail")
        os.makedirs(maildir)
        rc = self.secret("mbsyncrc", f"IMAPAccount bob\nHost localhost\nPort {self.port['imaps']}\nUser bob@here.test\n"
                         f"PassCmd \"echo '{self.server.password}'\"\nSSLType IMAPS\nCertificateFile {self.cert}\nSystemCertificates no\n\n"
                         f"IMAPStore far\nAccount bob\n\nMaildirStore near\nPath {maildir}/\nInbox {maildir}/INBOX\nSubFolders Verbatim\n\n"
                         "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nRemove Both\nExpunge Both\nSyncState *\nCopyArrivalDate yes\n")

        def sync():
            return lab.client("mbsync", "-c", rc, "-a", env={"HOME": self.dir})

        def tree():
            return sorted((os.path.relpath(os.path.join(d, f), maildir), open(os.path.join(d, f), "rb").read())
                          for d, _, fs in os.walk(maildir) for f in fs if not f.startswith("."))

        sync()
        first = tree()
        mails = [data for path, data in first if path.startswith("INBOX/")]
        self.assertEqual(len(mails), 5)
        for octets in mails:
            lab.assert_attachments(octets, lab.ATTACHMENTS)
        sync()
        self.assertEqual(tree(), first, "a second run changes nothing")
        # Both ways: a new folder with mail (isync 1.4 takes names as they are, so in modified UTF-7), a flag, a deletion here; all arrive there.
        near = mailbox.Maildir(os.path.join(maildir, "INBOX"), create=False)
        keys = sorted(near.keys())
        m = near[keys[0]]
        m.add_flag("SF")
        near[keys[0]] = m
        deleted = near[keys[1]]["Subject"]
        near.discard(keys[1])
        for part in ("", "cur", "new", "tmp"):
            os.makedirs(os.path.join(maildir, "Projekte &APw-", part), exist_ok=True)
        mailbox.Maildir(os.path.join(maildir, "Projekte &APw-"), create=False).add(lab.wire(lab.message("a@b.test", "c@d.test", "Upload")).replace(b"\r\n", b"\n"))
        sync()
        subjects = [s for s in (o.split(b"Subject: ", 1)[1].split(b"\r\n")[0].decode() for o in inbox(self.server))]
        self.assertEqual(len(subjects), 4)
        self.assertNotIn(deleted, subjects)
        c = imap(self.server)
        self.assertEqual(c.select('"Projekte &APw-"', readonly=True), ("OK", [b"1"]))
        c.select("INBOX", readonly=True)
        self.assertEqual(len(c.search(None, "FLAGGED")[1][0].split()), 1)
        c.logout()
        settled = tree()
        sync()
        self.assertEqual(tree(), settled)


class Neomutt(Clients):
    def rc(self, folder):
        return self.secret("muttrc", f"set ssl_ca_certificates_file={self.cert} ssl_starttls=yes ssl_force_tls=yes\n"
                           f"set imap_user=bob@here.test imap_pass='{self.server.password}'\n"
                           f"set smtp_url=smtps://bob@here.test@localhost:{self.port['submissions']} smtp_pass='{self.server.password}'\n"
                           f"set from=bob@here.test realname=Bob use_from=yes header_cache='' sleep_time=0 timeout=5 copy=yes\n"
                           f"set folder={folder} spoolfile={folder}INBOX record={folder}Sent postponed={folder}Drafts\n"
                           "set quit=yes move=no mail_check=1 delete=yes mbox_type=Maildir confirmappend=no confirmcreate=no wait_key=no\n"
                           "set resolve=no editor=true abort_unmodified=no fast_reply=yes include=no autoedit=yes edit_headers=no smtp_authenticators='' tmpdir=" + self.dir + "\n")

    def test_neomutt_sends_with_an_attachment(self):
        picture = os.path.join(self.dir, "cat.png")
        with open(picture, "wb") as f:
            f.write(lab.png())
        rc = self.rc(f"imaps://localhost:{self.port['imaps']}/")
        lab.client("neomutt", "-n", "-F", rc, "-s", "By neomutt", "-a", picture, "--", "ann@here.test", stdin=b"Hello from mutt\n",
                   env={"HOME": self.dir, "TERM": "xterm"})
        octets = self.got(1, "ann")[0]
        lab.assert_attachments(octets, [("cat.png", "image", "png", lab.png())])

    def test_neomutt_reads_flags_and_saves(self):
        for i in range(3):
            send(self.server, lab.message("ann@here.test", "bob@here.test", f"Read {i}", lab.ATTACHMENTS))
        self.got(3)
        box = os.path.join(self.dir, "saved")
        rc = self.rc(f"imaps://localhost:{self.port['imaps']}/")
        # Flag the first and answer it (a copy goes to Sent), copy all to a Maildir here, delete the last, leave with expunge.
        keys = (f"push '<first-entry><flag-message><reply><send-message><tag-pattern>~A<enter><tag-prefix><copy-message>{box}<enter>"
                "<untag-pattern>~A<enter><last-entry><delete-message><sync-mailbox><quit>'")
        script = os.path.join(self.dir, "drive.exp")
        with open(script, "w") as f:
            f.write("set timeout 60\nlog_user 1\nset stty_init \"rows 40 columns 120\"\nspawn neomutt -n -F " + rc + " -e {" + keys + "}\n"
                    "expect eof\nlassign [wait] a b c code\nexit $code\n")
        lab.client("expect", script, env={"HOME": self.dir, "TERM": "xterm"})
        saved = mailbox.Maildir(box, create=False)
        self.assertEqual(len(saved), 3)
        for key in saved.keys():
            lab.assert_attachments(saved.get_bytes(key), lab.ATTACHMENTS)
        c = imap(self.server)
        self.assertEqual(c.select("INBOX", readonly=True), ("OK", [b"2"]))
        self.assertEqual(c.search(None, "FLAGGED")[1], [b"1"])
        self.assertEqual(c.search(None, "ANSWERED")[1], [b"1"])
        self.assertEqual(c.select("Sent", readonly=True), ("OK", [b"1"]))
        c.logout()
        self.assertIn(b"Re: Read 0", self.got(1, "ann")[0])


class Python(Clients):
    def test_smtplib_poplib_imaplib_carry_a_film_bit_for_bit(self):
        big = [("film.bin", "application", "octet-stream", lab.film(20))] + lab.ATTACHMENTS
        send(self.server, lab.message("ann@here.test", "bob@here.test", "A film", big))
        lab.assert_attachments(self.got(1)[0], big)
        p = poplib.POP3_SSL("127.0.0.1", self.port["pop3s"], context=context())
        p.user("bob@here.test")
        p.pass_(self.server.password)
        count, size = p.stat()
        _, lines, octets = p.retr(1)
        self.assertEqual((count, size), (1, octets))
        lab.assert_attachments(b"\r\n".join(lines) + b"\r\n", big)
        self.assertEqual(len(p.top(1, 3)[1][-3:]), 3)
        p.quit()

    def test_pop3_deletes_nothing_without_quit_and_locks_the_maildrop(self):
        for i in range(4):
            send(self.server, lab.message("ann@here.test", "bob@here.test", f"POP {i}"))
        self.got(4)

        def connect():
            p = poplib.POP3("127.0.0.1", self.port["pop3"])
            p.stls(context())
            p.user("bob@here.test")
            p.pass_(self.server.password)
            return p

        p = connect()
        uidls = p.uidl()[1]
        p.dele(1)
        with self.assertRaisesRegex(poplib.error_proto, r"\[IN-USE\]"):
            connect()
        p.close()
        p = lab.wait_for("the maildrop lock to be free", lambda: _try(connect))
        self.assertEqual(p.uidl()[1], uidls)
        p.dele(2)
        p.rset()
        p.dele(3)
        p.quit()
        p = connect()
        self.assertEqual([u.split()[1] for u in p.uidl()[1]], [u.split()[1] for i, u in enumerate(uidls) if i != 2])
        self.assertIn("UTF8", p.capa())
        p.quit()

    def test_imaplib_lives_on_it(self):
        for i in range(10):
            send(self.server, lab.message("ann@here.test", "bob@here.test", f"Number {i}", lab.ATTACHMENTS))
        self.got(10)
        c = imap(self.server)
        self.assertEqual(c.create('"Ab &- &AOQ-"')[0], "OK")
        self.assertIn(b"Ab &- &AOQ-", b" ".join(c.list()[1]))
        c.select("INBOX")
        self.assertEqual(c.uid("COPY", "2:4", '"Ab &- &AOQ-"')[0], "OK")
        self.assertEqual(c.uid("MOVE", "5", "Trash")[0], "OK")
        self.assertEqual(c.response("EXPUNGE")[1], [b"5"], "MOVE tells of what it took away")
        self.assertEqual(c.store("1", "+FLAGS", r"(\Deleted)")[0], "OK")
        self.assertEqual(c.expunge(), ("OK", [b"1"]))
        self.assertEqual(c.search(None, "SUBJECT", '"Number 9"')[1], [b"8"])
        self.assertEqual(c.search(None, "TEXT", '"dots"')[1][0].split(), [str(i).encode() for i in range(1, 9)])
        self.assertEqual(len(c.uid("SEARCH", "NOT", "SEEN")[1][0].split()), 8)
        kind, data = c.fetch("8", "(ENVELOPE BODYSTRUCTURE BODY.PEEK[2] BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        self.assertEqual(kind, "OK")
        self.assertIn(b"Number 9", b" ".join(p[1] for p in data if isinstance(p, tuple)))
        self.assertEqual(c.append("Drafts", r"(\Draft \Seen)", None, b"Subject: x\r\n\r\ny\r\n")[0], "OK")
        self.assertEqual(c.status("Drafts", "(MESSAGES UNSEEN UIDNEXT)")[1], [b"Drafts (MESSAGES 1 UNSEEN 0 UIDNEXT 2)"])
        c.close()
        c.logout()

    def test_imaplib_sorts_threads_and_asks_for_quota(self):
        c = imap(self.server)
        # Beside one another by date, by subject and by size: three orders; two of one thread, and two of one subject.
        for number, subject, size, refers in ((1, "Cherry", 10, ""), (3, "apple", 3000, ""), (2, "Banana", 100, ""), (4, "Re: Cherry", 1, "<n1@x.test>")):
            text = (f"Message-ID: <n{number}@x.test>\r\nDate: {number} Nov 2026 10:00:00 +0000\r\nFrom: \"{'zyxw'[number - 1]}\" <{number}@x.test>\r\nSubject: {subject}\r\n"
                    + (f"In-Reply-To: {refers}\r\n" if refers else "") + "\r\n" + "x" * size + "\r\n")
            self.assertEqual(c.append("INBOX", None, None if number == 4 else f'"0{number}-Nov-2025 10:00:00 +0000"', text.encode())[0], "OK")
        self.assertEqual(c.select("INBOX"), ("OK", [b"4"]))
        for order, want in (("DATE", b"1 3 2 4"), ("REVERSE DATE", b"4 2 3 1"), ("SUBJECT", b"2 3 1 4"), ("REVERSE SIZE", b"2 3 4 1"), ("ARRIVAL", b"1 3 2 4"), ("DISPLAYFROM", b"4 2 3 1"), ("FROM", b"1 3 2 4")):
            with self.subTest(order):
                self.assertEqual(c.sort(f"({order})", "UTF-8", "ALL"), ("OK", [want]))
        self.assertEqual(c.uid("SORT", "(SUBJECT)", "UTF-8", "LARGER", "1000")[1], [b"2"])
        for algorithm, want in (("REFERENCES", b"(1 4)(3)(2)"), ("REFS", b"(3)(2)(1 4)"), ("ORDEREDSUBJECT", b"(1 4)(3)(2)")):
            with self.subTest(algorithm):
                self.assertEqual(c.thread(algorithm, "UTF-8", "ALL"), ("OK", [want]))
        self.assertEqual(c.search(None, "YOUNGER", "3600")[1], [b"4"])
        self.assertEqual(c.search(None, "OLDER", "3600")[1], [b"1 2 3"])
        kind, (roots, quotas) = c.getquotaroot("INBOX")
        self.assertEqual(kind, "OK")
        self.assertRegex(roots[0], rb"^INBOX ")
        self.assertRegex(quotas[0], rb"\(MESSAGE 4 \d+ MAILBOX \d+ \d+\)")
        # UNSELECT leaves what CLOSE would take away.
        self.assertEqual(c.store("1", "+FLAGS", r"(\Deleted)")[0], "OK")
        self.assertEqual(c.unselect()[0], "OK")
        self.assertEqual(c.select("INBOX"), ("OK", [b"4"]))
        self.assertEqual(c.close()[0], "OK")
        self.assertEqual(c.select("INBOX"), ("OK", [b"3"]))
        c.logout()

    def test_compress_with_python_s_zlib(self):
        texts = [lab.message("ann@here.test", "bob@here.test", f"Packed {i}", lab.ATTACHMENTS) for i in range(5)]
        for text in texts:
            send(self.server, text)
        self.got(5)
        c = imap(self.server)
        self.assertIn("COMPRESS=DEFLATE", c.capability()[1][0].decode())
        self.assertEqual(c.xatom("COMPRESS", "DEFLATE")[0], "OK")
        pack, unpack, held, came = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15), bytearray(), [0]

        def take(count):
            data = bytes(held[:count])
            del held[:count]
            return data

        def more():
            octets = c.sock.recv(65536)
            self.assertTrue(octets, "the server closed")
            came[0] += len(octets)
            held.extend(unpack.decompress(octets))

        def read(size):
            while len(held) < size:
                more()
            return take(size)

        def readline():
            while b"\n" not in held:
                more()
            return take(held.index(b"\n") + 1)

        c.read, c.readline = read, readline
        c.send = lambda data: c.sock.sendall(pack.compress(data) + pack.flush(zlib.Z_SYNC_FLUSH))
        c.select("INBOX")
        data = c.fetch("1:5", "(BODY.PEEK[])")[1]
        bodies = [part[1] for part in data if isinstance(part, tuple)]
        self.assertEqual(len(bodies), 5)
        self.assertTrue(all(b"dots" in body for body in bodies))
        self.assertLess(came[0], sum(map(len, bodies)) // 2, "it is packed")
        self.assertEqual(c.append("Drafts", None, None, b"Subject: x\r\n\r\n" + b"y" * 100_000)[0], "OK")
        c.unselect()
        self.assertEqual(c.xatom("COMPRESS", "DEFLATE")[0], "NO")
        c.logout()

    def test_idle_hears_of_new_mail_within_a_second(self):
        c = imap(self.server)
        c.select("INBOX")
        c.send(b"x1 IDLE\r\n")
        self.assertTrue(c.readline().startswith(b"+ "))
        begun = time.monotonic()
        send(self.server, lab.message("ann@here.test", "bob@here.test", "Ping"))
        line = c.readline()
        while b"EXISTS" not in line:
            line = c.readline()
        self.assertLess(time.monotonic() - begun, 1.0)
        self.assertIn(b"* 1 EXISTS", line)
        c.send(b"DONE\r\nx2 NOOP\r\n")
        lines = [c.readline()]
        while not lines[-1].startswith(b"x2 "):
            lines.append(c.readline())
        self.assertTrue(any(line.startswith(b"x1 OK") for line in lines), lines)
        c.logout()

    def test_smtputf8_and_bare_line_feeds(self):
        with smtplib.SMTP("127.0.0.1", self.port["submission"]) as s:
            s.starttls(context=context())
            s.login("ann@here.test", self.server.password)
            s.ehlo()
            self.assertTrue(s.has_extn("smtputf8"))
            s.mail("ann@here.test", ["SMTPUTF8", "BODY=8BITMIME"])
            s.rcpt("bob@here.test")
            code, text = s.data("Subject: Grüße ☺\r\nFrom: ann@here.test\r\nTo: bob@here.test\r\n\r\nÄ\r\n".encode())
            self.assertEqual(code, 250, text)
        self.assertIn("Subject: Grüße ☺\r\n".encode(), self.got(1)[0])
        # On port 25 a bare LF is refused by name; nothing is smuggled in.
        import socket
        with socket.create_connection(("127.0.0.1", self.port["smtp"])) as raw:
            f = raw.makefile("rwb")
            f.readline()
            for line in (b"HELO x\r\n", b"MAIL FROM:<x@elsewhere.test>\r\n", b"RCPT TO:<bob@here.test>\r\n", b"DATA\r\n"):
                f.write(line)
                f.flush()
                self.assertIn(f.readline()[:1], b"23")
            f.write(b"Subject: a\r\n\r\nx\n.\nMAIL FROM:<y@elsewhere.test>\n\r\n.\r\n")
            f.flush()
            self.assertRegex(f.readline(), rb"^5\d\d 5\.5\.2 ")
        self.assertEqual(len(inbox(self.server)), 1)

    def test_fifty_clients_at_once(self):
        def one(i):
            for k in range(4):
                send(self.server, lab.message("ann@here.test", "bob@here.test", f"Many {i} {k}"))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(50)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        mail = self.got(200)
        self.assertEqual(len({o.split(b"Subject: ", 1)[1].split(b"\r\n")[0] for o in mail}), 200)


def _try(act):
    try:
        return act()
    except (poplib.error_proto, OSError):
        return None


class Administration(Clients):
    def test_suspend_and_password_end_sessions_at_once(self):
        c = imap(self.server)
        c.select("INBOX")
        self.server.run("account", "suspend", "bob@here.test")
        lab.wait_for("the session to end", lambda: _ended(c), 5)
        with self.assertRaises(imaplib.IMAP4.error):
            imap(self.server)
        self.server.run("account", "resume", "bob@here.test")
        imap(self.server).logout()
        self.server.run("account", "password", "bob@here.test", "--password-stdin", stdin="another\n")
        with self.assertRaises(imaplib.IMAP4.error):
            imap(self.server)
        self.server.run("account", "password", "bob@here.test", "--password-stdin", stdin=self.server.password + "\n")

    def test_undo_brings_back_what_was_expunged(self):
        import json
        send(self.server, lab.message("ann@here.test", "bob@here.test", "Gone and back", lab.ATTACHMENTS))
        before = self.got(1)
        c = imap(self.server)
        c.select("INBOX")
        c.store("1", "+FLAGS", r"(\Deleted)")
        c.expunge()
        c.logout()
        self.assertEqual(inbox(self.server), [])
        listed = self.server.run("undo", "list", "bob@here.test", "--json").stdout
        self.assertIn("Gone and back", listed)
        self.assertTrue(json.loads(listed))
        self.server.run("undo", "restore", "bob@here.test", "--all")
        self.assertEqual(inbox(self.server), before)

    def test_destructive_commands_only_say_what_they_would_do(self):
        done = self.server.run("account", "remove", "ann@here.test")
        self.assertIn("would ", done.stdout)
        self.assertIn("ann@here.test", self.server.run("account", "list").stdout)
        self.server.run("account", "remove", "ann@here.test", "--yes")
        self.assertNotIn("ann@here.test", self.server.run("account", "list").stdout)

    def test_aliases_subaddresses_postmaster_and_quota(self):
        self.server.run("alias", "add", "team@here.test", "ann@here.test", "bob@here.test")
        self.server.account("carl", None, "--quota", "20000")
        for to in ("team@here.test", "bob+list@here.test", "postmaster@here.test"):
            lab.client("swaks", "--server", "127.0.0.1", "-p", str(self.port["smtp"]), "--from", "x@elsewhere.test", "--to", to)
        self.assertEqual(len(self.got(2)), 2)
        self.assertEqual(len(self.got(2, "ann")), 2)
        send(self.server, lab.message("ann@here.test", "carl@here.test", "Big", [("a", "application", "x", b"x" * 12000)]), to=["carl@here.test"])
        self.got(1, "carl")
        done = lab.client("swaks", "--server", "127.0.0.1", "-p", str(self.port["smtp"]), "--from", "x@elsewhere.test", "--to", "carl@here.test",
                          "--body", "y" * 5000, ok=False)
        self.assertRegex(done.stdout.decode(), r"452 4\.2\.2 ")


def _ended(c):
    try:
        c.noop()
        return False
    except (imaplib.IMAP4.abort, OSError):
        return True


class Thousands(unittest.TestCase):
    def test_csv_makes_thousands_of_accounts(self):
        with lab.Server(accounts=["ann"]) as server:
            lines = "".join(f"u{i}@here.test,pass{i}\n" for i in range(2000))
            begun = time.monotonic()
            done = subprocess.run([lab.binary(), "account", "add", "--csv", "-", "--config", server.config], input=lines, text=True, capture_output=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stderr)
            print(f"2,000 accounts in {time.monotonic() - begun:.1f} s", end=" ")
            with smtplib.SMTP("127.0.0.1", server.ports["submission"]) as s:
                s.login("u1999@here.test", "pass1999")


class Killed(unittest.TestCase):
    def test_rebuild_restores_a_store_without_index(self):
        with lab.Server(accounts=["ann", "bob"]) as server:
            for i in range(5):
                send(server, lab.message("ann@here.test", "bob@here.test", f"Keep {i}", lab.ATTACHMENTS))
            before = lab.wait_for("mail", lambda: (m := inbox(server)) and len(m) == 5 and m)
            server.stop()
            removed = []
            for folder, _, files in os.walk(os.path.join(server.dir, "data")):
                for name in files:
                    if "index" in name:
                        os.remove(os.path.join(folder, name))
                        removed.append(name)
            self.assertTrue(removed, "the index file is called index*")
            server.run("rebuild", "--yes")
            server.check()
            server.start()
            self.assertEqual(inbox(server), before)
