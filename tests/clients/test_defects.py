"""What our client survives: defects that real servers have or had, each by a scripted server. The scripted server is a small
sound IMAP server; every test spoils one thing of it."""

import re
import socket
import threading
import unittest

from test_program import Program

PASSWORD = "correct-horse"


def text(n, size=200):
    return (f"From: bob@there.test\r\nTo: ann@here.test\r\nSubject: message {n}\r\nMessage-ID: <{n}@there.test>\r\n"
            f"Date: Sun, 15 Nov 2026 10:00:{n % 60:02d} +0000\r\n\r\n" + f"line {n}\r\n" * (size // 8)).encode()


class Closed(Exception):
    pass


class Scripted(threading.Thread):
    """Mailboxes of {uid: [flags, octets]}; `says` keeps every line that clients said."""

    capabilities = "IMAP4rev1 UIDPLUS ID"
    end = "\r\n"

    def __init__(self, test, messages=3):
        super().__init__(daemon=True)
        self.boxes = {"INBOX": {n: [{"\\Seen"} if n == 1 else set(), text(n)] for n in range(1, messages + 1)}}
        self.validity, self.next = {"INBOX": 7}, {"INBOX": messages + 1}
        self.says = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        test.addCleanup(self.listener.close)
        self.start()

    def run(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        session = Session(self, stream)
        try:
            session.line(f"* OK [CAPABILITY {self.capabilities}] scripted")
            while True:
                session.command(session.read())
        except (Closed, OSError):
            pass
        finally:
            stream.close()

    # ---- what a test spoils

    def authenticate(self, session, tag, mechanism, initial):
        if initial is None:
            session.line("+ ")
            session.read()
        session.line(f"{tag} OK [CAPABILITY {self.capabilities}] in")

    def selected(self, session, name, words):
        box = self.boxes[name]
        session.line("* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)")
        session.line("* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft \\*)] kept")
        self.exists(session, len(box))
        session.line(f"* OK [UIDVALIDITY {self.validity[name]}] valid")
        self.uid_next(session, name)

    def exists(self, session, count):
        session.line(f"* {count} EXISTS")

    def uid_next(self, session, name):
        session.line(f"* OK [UIDNEXT {self.next[name]}] next")

    def fetched(self, session, number, uid, items):
        flags, octets = session.box[uid]
        parts = [f"UID {uid}", f"FLAGS ({' '.join(sorted(flags))})"]
        if "INTERNALDATE" in items:
            parts.append('INTERNALDATE "15-Nov-2026 10:00:00 +0000"')
        if "RFC822.SIZE" in items:
            parts.append(f"RFC822.SIZE {len(octets)}")
        head = f"* {number} FETCH ({' '.join(parts)}"
        if "BODY.PEEK[]" in items:
            session.raw(f"{head} BODY[] {{{len(octets)}}}\r\n".encode() + octets + b")\r\n")
        elif "HEADER.FIELDS" in items:
            fields = octets.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
            session.raw(f"{head} BODY[HEADER.FIELDS (FROM SUBJECT DATE)] {{{len(fields)}}}\r\n".encode() + fields + b")\r\n")
        else:
            session.line(head + ")")

    def idles(self, session):
        """What it tells who idles."""

    def refuses(self, command):
        """BAD or NO for it, or None."""
        return None


class Session:
    def __init__(self, server, stream):
        self.server, self.stream, self.input = server, stream, b""
        self.name, self.box = None, {}

    def raw(self, octets):
        self.stream.sendall(octets)

    def line(self, words):
        self.raw((words + self.server.end).encode())

    def more(self):
        piece = self.stream.recv(65536)
        if not piece:
            raise Closed
        self.input += piece

    def octets(self, count):
        while len(self.input) < count:
            self.more()
        taken, self.input = self.input[:count], self.input[count:]
        return taken

    def read(self):
        """A command with its literals in place of their sizes."""
        whole = ""
        while True:
            while b"\r\n" not in self.input:
                self.more()
            line, self.input = self.input.split(b"\r\n", 1)
            whole += line.decode()
            literal = re.search(r"\{(\d+)(\+?)\}$", whole)
            if not literal:
                return whole
            if not literal[2]:
                self.line("+ go")
            self.literal = self.octets(int(literal[1]))
            whole = whole[:literal.start()] + "<literal>"

    def uids(self, words):
        wanted = []
        last = max(self.box, default=0)
        for part in words.split(","):
            first, _, end = part.partition(":")
            first = int(first) if first != "*" else last
            end = first if not end else (last if end == "*" else int(end))
            wanted += [uid for uid in sorted(self.box) if min(first, end) <= uid <= max(first, end)]
        return wanted

    def command(self, whole):
        server = self.server
        tag, _, rest = whole.partition(" ")
        server.says.append(rest)
        refusal = server.refuses(rest)
        if refusal:
            return self.line(f"{tag} {refusal}")
        word = rest.split(" ")[0].upper()
        if word == "UID":
            word = " ".join(rest.split(" ")[:2]).upper()
        done = getattr(self, "do_" + word.lower().replace(" ", "_"), None)
        if done is None:
            return self.line(f"{tag} BAD what is {word}?")
        done(tag, rest)

    def ok(self, tag, words="done"):
        self.line(f"{tag} OK {words}")

    def do_capability(self, tag, _):
        self.line(f"* CAPABILITY {self.server.capabilities}")
        self.ok(tag)

    def do_login(self, tag, _):
        self.ok(tag, f"[CAPABILITY {self.server.capabilities}] in")

    def do_authenticate(self, tag, rest):
        words = rest.split(" ")
        self.server.authenticate(self, tag, words[1], words[2] if len(words) > 2 else None)

    def do_id(self, tag, _):
        self.line("* ID NIL")
        self.ok(tag)

    def do_idle(self, tag, _):
        self.line("+ idling")
        self.server.idles(self)
        self.read()
        self.ok(tag)

    def do_enable(self, tag, rest):
        self.line("* ENABLED " + rest.split(" ", 1)[1])
        self.ok(tag)

    def do_list(self, tag, _):
        for name in self.server.boxes:
            self.line(f'* LIST () "/" "{name}"')
        self.ok(tag)

    def do_create(self, tag, rest):
        name = rest.split(" ", 1)[1].strip('"')
        if name in self.server.boxes:
            return self.line(f"{tag} NO it is there")
        self.server.boxes[name], self.server.validity[name], self.server.next[name] = {}, 99, 1
        self.ok(tag)

    def do_subscribe(self, tag, _):
        self.ok(tag)

    def do_noop(self, tag, _):
        self.ok(tag)

    def do_select(self, tag, rest, examine=False):
        name = re.match(r'\w+ "?([^"( ]+)', rest)[1]
        if name not in self.server.boxes:
            return self.line(f"{tag} NO there is no {name}")
        self.name, self.box = name, self.server.boxes[name]
        self.server.selected(self, name, rest)
        self.ok(tag, "[READ-ONLY] open" if examine else "[READ-WRITE] open")

    def do_examine(self, tag, rest):
        self.do_select(tag, rest, True)

    def do_uid_fetch(self, tag, rest):
        _, _, wanted, items = rest.split(" ", 3)
        for uid in self.uids(wanted):
            self.server.fetched(self, sorted(self.box).index(uid) + 1, uid, items)
        self.ok(tag)

    def do_uid_store(self, tag, rest):
        _, _, wanted, how, flags = rest.split(" ", 4)
        flags = set(flags.strip("()").split())
        for uid in self.uids(wanted):
            if how.startswith("+"):
                self.box[uid][0] |= flags
            else:
                self.box[uid][0] -= flags
        self.ok(tag)

    def do_uid_expunge(self, tag, rest):
        for uid in self.uids(rest.split(" ")[2]):
            if "\\Deleted" in self.box[uid][0]:
                del self.box[uid]
        self.ok(tag)

    def do_append(self, tag, rest):
        name = re.match(r'\w+ "?([^"( ]+)', rest)[1]
        uid = self.server.next[name]
        self.server.next[name] += 1
        flags = re.search(r"\(([^)]*)\)", rest)
        self.server.boxes[name][uid] = [set(flags[1].split()) if flags else set(), self.literal]
        if self.input.startswith(b"\r\n"):
            self.input = self.input[2:]
        self.ok(tag, f"[APPENDUID {self.server.validity[name]} {uid}] kept")

    def do_logout(self, tag, _):
        self.line("* BYE gone")
        self.ok(tag)
        raise Closed


class Defects(unittest.TestCase):
    def program(self, server):
        mail = Program(self)
        mail("add", "ann@here.test", "--imap", f"imap://127.0.0.1:{server.port}", "--no-discovery", "--password-stdin", stdin=PASSWORD + "\n")
        return mail

    def subjects(self, mail):
        return [row["subject"] for row in mail("ls")["messages"]]

    def sound(self, server, count=3, troubles=0):
        """Brings everything, both ways, twice; what is said at the end is all that was said."""
        mail = self.program(server)
        told = mail("sync", ok=troubles == 0)
        self.assertEqual((told["downloaded"], len(told["troubles"])), (count, troubles), told)
        self.assertEqual(self.subjects(mail), [f"message {n}" for n in range(1, count + 1)])
        server.boxes["INBOX"][2][0].add("\\Flagged")
        mail("flag", "3", "--set", "+answered")
        mail("sync", ok=troubles == 0)
        self.assertIn("flagged", mail("ls")["messages"][1]["flags"])
        self.assertIn("\\Answered", server.boxes["INBOX"][3][0])
        self.assertEqual(len(server.boxes["INBOX"]), count)
        self.by_uid_only(server)
        return mail

    def by_uid_only(self, server):
        for line in server.says:
            self.assertNotRegex(line, r"^(FETCH|STORE|COPY|MOVE|SEARCH)\b", "message numbers are never used")

    def test_the_scripted_server_itself_is_sound(self):
        self.sound(Scripted(self))

    def test_gmail_highestmodseq_without_a_number(self):
        class Gmail(Scripted):
            capabilities = Scripted.capabilities + " CONDSTORE"

            def selected(self, session, name, words):
                super().selected(session, name, words)
                session.line("* OK [HIGHESTMODSEQ]")

        self.sound(Gmail(self))

    def test_icloud_answers_rfc822_with_nothing_so_it_is_never_asked(self):
        server = Scripted(self)
        self.sound(server)
        self.assertFalse([line for line in server.says if re.search(r"RFC822(?!\.SIZE)|BODY\[", line)])
        self.assertTrue([line for line in server.says if "BODY.PEEK[]" in line])

    def test_exchange_and_gmail_broken_bodystructure_and_icloud_broken_envelope(self):
        class Broken(Scripted):
            def fetched(self, session, number, uid, items):
                session.line(f'* {number} FETCH (UID {uid} BODYSTRUCTURE ("ALTERNATIVE"))')
                session.line(f"* {number} FETCH (UID {uid} BODYSTRUCTURE (((NIL))")
                session.line(f"* {number} FETCH (UID {uid} ENVELOPE (NIL ((\"x\")) oops)")
                super().fetched(session, number, uid, items)

        server = Broken(self)
        mail = self.sound(server)
        self.assertEqual(len(mail("ls", "--remote")["messages"]), 3)
        self.assertFalse([line for line in server.says if "BODYSTRUCTURE" in line or "ENVELOPE" in line], "not asked for either")

    def test_office365_esearch_comes_back_empty_so_it_is_never_asked(self):
        class Office(Scripted):
            capabilities = "IMAP4rev1 IMAP4rev2 UIDPLUS ESEARCH ID"

            def refuses(self, command):
                # It says IMAP4rev2 and does not know it.
                return "BAD Command Argument Error. 12" if command.startswith(("ENABLE", "UID SEARCH", "SEARCH")) else None

        self.sound(Office(self))

    def test_coremail_breaks_sasl_ir_and_wants_id_before_select(self):
        class Coremail(Scripted):
            capabilities = "IMAP4rev1 UIDPLUS ID SASL-IR AUTH=PLAIN"

            def authenticate(self, session, tag, mechanism, initial):
                if initial is not None:
                    return session.line(f"{tag} BAD Parse command error")
                super().authenticate(session, tag, mechanism, initial)

            def refuses(self, command):
                known = any(line.startswith("ID") for line in self.says)
                return "NO SELECT Unsafe Login. Please contact kefu@188.com for help" if command.startswith(("SELECT", "EXAMINE")) and not known else None

        self.sound(Coremail(self))

    def test_select_without_uidnext(self):
        class Without(Scripted):
            def uid_next(self, session, name):
                pass

        self.sound(Without(self))

    def test_select_swallows_exists(self):
        class Swallows(Scripted):
            def exists(self, session, count):
                pass

        self.sound(Swallows(self))

    def test_fetch_answers_without_uid_remove_nothing(self):
        class Without(Scripted):
            spoilt = False

            def fetched(self, session, number, uid, items):
                if self.spoilt and uid == 2:
                    return session.line(f"* {number} FETCH (FLAGS (\\Seen))")
                super().fetched(session, number, uid, items)

        server = Without(self)
        mail = self.program(server)
        mail("sync")
        server.spoilt = True
        told = mail("sync", ok=False)
        self.assertEqual((told["removed_here"], told["removed_there"], len(told["troubles"])), (0, 0, 1), told)
        self.assertEqual(len(self.subjects(mail)), 3)
        self.assertNotIn("seen", mail("ls")["messages"][1]["flags"], "flags of nobody knows whom")

    def test_a_count_too_high_removes_nothing_and_new_mail_still_comes(self):
        class Wrong(Scripted):
            def exists(self, session, count):
                super().exists(session, count + 2)

        server = Wrong(self)
        self.sound(server, troubles=1)

    def test_a_count_too_low(self):
        class Wrong(Scripted):
            def exists(self, session, count):
                super().exists(session, max(1, count - 2))

        self.sound(Wrong(self))

    def test_a_new_uidvalidity_doubles_and_removes_nothing(self):
        server = Scripted(self)
        mail = self.sound(server)
        box = server.boxes["INBOX"]
        # The same mail under other UIDs; one of them belongs to another message now.
        server.boxes["INBOX"] = {1: box[3], 2: box[1], 5: box[2]}
        server.validity["INBOX"], server.next["INBOX"] = 8, 6
        mail("delete", "1")
        told = mail("sync")
        self.assertEqual((told["downloaded"], told["removed_there"]), (1, 0), "who deleted under the old numbers deletes nobody under the new")
        self.assertEqual(sorted(self.subjects(mail)), ["message 1", "message 2", "message 3"])
        self.assertEqual(len(server.boxes["INBOX"]), 3)

    def test_cut_in_the_middle_of_a_literal(self):
        class Cuts(Scripted):
            cuts = 3

            def fetched(self, session, number, uid, items):
                if "BODY.PEEK[]" in items and uid == 2 and self.cuts:
                    self.cuts -= 1
                    octets = session.box[uid][1]
                    session.raw(f"* {number} FETCH (UID {uid} FLAGS () BODY[] {{{len(octets)}}}\r\n".encode() + octets[:50])
                    raise Closed
                super().fetched(session, number, uid, items)

        server = Cuts(self)
        mail = self.program(server)
        for _ in range(3):
            self.assertIn("closed the connection", mail("sync", ok=False)["error"])
        mail("sync")
        self.assertEqual(sorted(self.subjects(mail)), ["message 1", "message 2", "message 3"])
        self.assertEqual(mail("sync")["downloaded"], 0)
        self.assertEqual(len(server.boxes["INBOX"]), 3)

    def test_capabilities_that_lie(self):
        class Lies(Scripted):
            capabilities = "IMAP4rev1 QRESYNC CONDSTORE ENABLE UIDPLUS ID NAMESPACE NOTIFY IDLE LITERAL+ MOVE"

            def refuses(self, command):
                lie = command.startswith(("ENABLE", "ID", "NAMESPACE", "NOTIFY", "UID EXPUNGE")) or "CONDSTORE" in command or "QRESYNC" in command
                return "BAD unknown" if lie else None

        server = Lies(self)
        mail = self.sound(server)
        # It cannot remove single messages: that is told, and nothing else is removed in its place.
        mail("delete", "1")
        told = mail("sync", ok=False)
        self.assertEqual(len(told["troubles"]), 1, told)
        self.assertEqual(len(server.boxes["INBOX"]), 3)
        self.assertFalse([line for line in server.says if line.startswith("EXPUNGE")])

    def test_qresync_that_is_enabled_and_then_refused(self):
        class Lies(Scripted):
            capabilities = "IMAP4rev1 QRESYNC CONDSTORE ENABLE UIDPLUS ID"

            def selected(self, session, name, words):
                super().selected(session, name, words)
                session.line("* OK [HIGHESTMODSEQ 9] high")

            def refuses(self, command):
                return "BAD unknown" if "(QRESYNC" in command else None

        self.sound(Lies(self))

    def test_uid_commands_refused_never_become_message_numbers(self):
        class Without(Scripted):
            def refuses(self, command):
                return "BAD no UID here" if command.startswith("UID ") else None

        server = Without(self)
        mail = self.program(server)
        told = mail("sync", ok=False)
        self.assertTrue(told.get("troubles") or told.get("error"), told)
        self.by_uid_only(server)
        self.assertEqual(len(server.boxes["INBOX"]), 3)

    def test_small_slips_of_grammar(self):
        class Slips(Scripted):
            capabilities = "IMAP4rev1 UIDPLUS ID "
            end = "\n"

            def selected(self, session, name, words):
                super().selected(session, name, words)
                for slip in ("* OK", "* SEARCH ", "* FLAGS ()", "* 0 RECENT ", "* STATUS INBOX (MESSAGES 3) ", "* ID NIL ", "* X-FOO", "* ", ""):
                    session.line(slip)

            def authenticate(self, session, tag, mechanism, initial):
                session.line(f"{tag} OK")

        self.sound(Slips(self))

    def test_no_uidvalidity_at_all_changes_nothing(self):
        class Without(Scripted):
            def selected(self, session, name, words):
                session.line(f"* {len(self.boxes[name])} EXISTS")

        server = Without(self)
        mail = self.program(server)
        told = mail("sync", ok=False)
        self.assertIn("tells no UIDVALIDITY", told["troubles"][0])
        self.assertEqual((told["downloaded"], len(server.boxes["INBOX"])), (0, 3))

    def test_bye_in_the_middle_is_told_and_the_next_run_goes_on(self):
        class Tired(Scripted):
            tired = True

            def fetched(self, session, number, uid, items):
                if "BODY.PEEK[]" in items and self.tired and uid == 3:
                    self.tired = False
                    session.line("* BYE shutting down")
                    raise Closed
                super().fetched(session, number, uid, items)

        server = Tired(self)
        mail = self.program(server)
        self.assertIn("error", mail("sync", ok=False))
        mail("sync")
        self.assertEqual(sorted(self.subjects(mail)), ["message 1", "message 2", "message 3"])
