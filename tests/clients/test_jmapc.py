"""The real server worked by jmapc, an independent JMAP client library.

It is not in Debian: `jmapc.txt` beside this file pins it and what it needs, installed once into a place of its own under the
target directory, with the same Python that runs the tests.
"""

import base64
import datetime
import email
import hashlib
import imaplib
import os
import re
import threading
import unittest

import lab

ANN, BOB = "ann@here.test", "bob@here.test"
SUBMISSION = "urn:ietf:params:jmap:submission"


class Jmapc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        lab.libraries("jmapc")
        # jmapc speaks TLS only, and verifies it.
        os.environ["REQUESTS_CA_BUNDLE"] = lab.certificate()[0]
        cls.server = lab.Server(start_with=("ann", "bob"), also=("https",)).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)
        del os.environ["REQUESTS_CA_BUNDLE"]

    def client(self, address, **more):
        import jmapc

        return jmapc.Client.create_with_password(f"localhost:{self.server.ports['https']}", address, self.server.password, **more)

    def mailbox(self, client, role):
        from jmapc import MailboxQueryFilterCondition, Ref
        from jmapc.methods import MailboxGet, MailboxQuery

        asked = [MailboxQuery(filter=MailboxQueryFilterCondition(role=role)), MailboxGet(ids=Ref("/ids"))]
        found = client.request(asked, raise_errors=True)[1].response.data
        self.assertEqual([one.role for one in found], [role])
        return found[0]

    def test_jmapc_writes_a_draft_sends_it_and_finds_it(self):
        import jmapc
        from jmapc import Email, EmailAddress, EmailBodyPart, EmailBodyValue, EmailSubmission, Ref
        from jmapc.methods import EmailChanges, EmailGet, EmailQuery, EmailSet, EmailSubmissionGet, EmailSubmissionSet, IdentityGet, ThreadGet

        ann, bob = self.client(ANN), self.client(BOB)
        self.assertEqual(ann.jmap_session.username, ANN)
        self.assertIn(SUBMISSION, ann.jmap_session.capabilities.urns)
        identity = ann.request(IdentityGet(ids=None), raise_errors=True).data[0]
        self.assertEqual(identity.email, ANN)
        drafts, sent = self.mailbox(ann, "drafts"), self.mailbox(ann, "sent")
        # An attachment goes up first.
        picture = os.path.join(self.server.dir, "dot.png")
        with open(picture, "wb") as f:
            f.write(octets := b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
        blob = ann.upload_blob(picture)
        self.assertEqual((blob.type, blob.size), ("image/png", len(octets)))
        draft = Email(
            mail_from=[EmailAddress(name="Ann", email=ANN)], to=[EmailAddress(email=BOB)], subject="Grüße von jmapc",
            keywords={"$draft": True}, mailbox_ids={drafts.id: True}, body_values={"b": EmailBodyValue(value="Ein Gruß\n")},
            text_body=[EmailBodyPart(part_id="b", type="text/plain")],
            attachments=[EmailBodyPart(blob_id=blob.id, type="image/png", name="dot.png", disposition="attachment")],
        )
        answers = ann.request([
            EmailSet(create={"draft": draft}),
            EmailSubmissionSet(
                create={"out": EmailSubmission(email_id="#draft", identity_id=identity.id)},
                on_success_update_email={"#out": {"keywords/$draft": None, f"mailboxIds/{drafts.id}": None, f"mailboxIds/{sent.id}": True}},
            ),
        ], raise_errors=True)
        made = answers[0].response.created["draft"]
        out = answers[1].response.created["out"]
        self.assertTrue(made.id and made.thread_id and out.id)
        # What was sent moved, in an answer of its own (RFC 8621 §7.5).
        self.assertIn(made.id, answers[2].response.updated)
        submission = ann.request(EmailSubmissionGet(ids=[out.id]), raise_errors=True).data[0]
        self.assertEqual((submission.email_id, submission.thread_id), (made.id, made.thread_id))
        moved = ann.request(EmailGet(ids=[made.id]), raise_errors=True).data[0]
        self.assertEqual(moved.mailbox_ids, {sent.id: True})
        self.assertNotIn("$draft", moved.keywords)

        inbox = self.mailbox(bob, "inbox")
        asked = [
            EmailQuery(filter=jmapc.EmailQueryFilterCondition(in_mailbox=inbox.id, text="Gruß"), sort=[jmapc.Comparator(property="receivedAt", is_ascending=False)]),
            EmailGet(ids=Ref("/ids"), fetch_text_body_values=True),
            ThreadGet(ids=Ref("/list/*/threadId")),
        ]
        found = lab.wait_for("it at bob's", lambda: (answers := bob.request(asked, raise_errors=True))[1].response.data and answers)
        got, state = found[1].response.data[0], found[1].response.state
        self.assertEqual((got.subject, got.mail_from, got.has_attachment), ("Grüße von jmapc", [EmailAddress(name="Ann", email=ANN)], True))
        self.assertEqual(got.body_values[got.text_body[0].part_id].value, "Ein Gruß\n")
        self.assertEqual(found[2].response.data[0].email_ids, [got.id])
        back = os.path.join(self.server.dir, "back.png")
        bob.download_attachment(got.attachments[0], back)
        with open(back, "rb") as f:
            self.assertEqual(f.read(), octets)
        # Read here, read there: IMAP sees it, and what IMAP does is in the changes.
        done = bob.request(EmailSet(update={got.id: {"keywords/$seen": True}}), raise_errors=True)
        self.assertIn(got.id, done.updated)
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(BOB, self.server.password)
            imap.select("INBOX")
            (number,) = imap.search(None, "SEEN", "SUBJECT", "jmapc")[1]
            imap.store(number, "+FLAGS", r"(\Flagged)")
        changes = bob.request(EmailChanges(since_state=state), raise_errors=True)
        self.assertEqual((changes.created, changes.updated, changes.destroyed), ([], [got.id], []))
        gone = bob.request(EmailSet(destroy=[got.id]), raise_errors=True)
        self.assertEqual(gone.destroyed, [got.id])
        changes = bob.request(EmailChanges(since_state=changes.new_state), raise_errors=True)
        self.assertEqual(changes.destroyed, [got.id])

    def test_jmapc_mailboxes_identities_and_errors(self):
        import jmapc
        from jmapc.methods import (CustomMethod, EmailChanges, EmailGet, IdentityChanges, IdentityGet, IdentitySet, MailboxChanges,
                                   MailboxGet, MailboxSet, SearchSnippetGet)

        ann = self.client(ANN)
        before = ann.request(MailboxGet(ids=None), raise_errors=True).state
        made = ann.request(MailboxSet(create={"m": jmapc.Mailbox(name="Verein", is_subscribed=True)}), raise_errors=True).created["m"].id
        changes = ann.request(MailboxChanges(since_state=before), raise_errors=True)
        self.assertEqual(changes.created, [made])
        renamed = ann.request(MailboxSet(update={made: {"name": "Club"}}), raise_errors=True)
        self.assertIn(made, renamed.updated)
        self.assertEqual(ann.request(MailboxGet(ids=[made]), raise_errors=True).data[0].name, "Club")
        twice = ann.request(MailboxSet(create={"m": jmapc.Mailbox(name="Club")}), raise_errors=True)
        self.assertEqual(twice.not_created["m"].type, "invalidProperties")
        self.assertEqual(ann.request(MailboxSet(destroy=[made]), raise_errors=True).destroyed, [made])

        state = ann.request(IdentityGet(ids=None), raise_errors=True).state
        changed = ann.request(IdentitySet(update={"main": {"name": "Ann B.", "textSignature": "-- \nAnn"}}), raise_errors=True)
        self.assertIn("main", changed.updated)
        self.assertEqual(ann.request(IdentityChanges(since_state=state), raise_errors=True).updated, ["main"])

        # What the library has no word for goes through it as it is.
        def ask(name, **arguments):
            method = CustomMethod(data={"accountId": ann.account_id, **arguments})
            method.jmap_method, method.using = name, {"urn:ietf:params:jmap:vacationresponse"}
            return ann.request(method, raise_errors=True).data

        done = ask("VacationResponse/set", update={"singleton": {"isEnabled": True, "textBody": "Away"}})
        self.assertEqual(done["updated"], {"singleton": None})
        self.assertEqual(ask("VacationResponse/get", ids=["singleton"])["list"][0]["textBody"], "Away")
        ask("VacationResponse/set", update={"singleton": {"isEnabled": False}})
        self.assertEqual(ann.request(EmailGet(ids=["nothing"]), raise_errors=True).not_found, ["nothing"])
        wrong = ann.request(EmailChanges(since_state="somebody else's"))
        self.assertIsInstance(wrong, jmapc.errors.CannotCalculateChanges)
        snippets = ann.request(SearchSnippetGet(ids=[], filter=jmapc.EmailQueryFilterCondition(text="x")), raise_errors=True)
        self.assertEqual(snippets.data, [])

    def put(self, address, mailbox, message, flags=None, date=None):
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(address, self.server.password)
            imap.create(mailbox)
            kind, _ = imap.append(mailbox, flags, date, message)
            self.assertEqual(kind, "OK")

    def by_imap(self, address, mailbox, *criteria):
        """Subjects that IMAP's SEARCH finds, and each message whole."""
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(address, self.server.password)
            imap.select(f'"{mailbox}"', readonly=True)
            (numbers,) = imap.search(None, *criteria)[1]
            found = {}
            for number in numbers.split():
                octets = imap.fetch(number, "(BODY.PEEK[])")[1][0][1]
                found[email.message_from_bytes(octets)["Subject"]] = octets
        return found

    @staticmethod
    def ask(client, name, using, **arguments):
        """What the library has no word for goes through it as it is."""
        from jmapc.methods import CustomMethod

        method = CustomMethod(data={"accountId": client.account_id, **arguments})
        method.jmap_method, method.using = name, {f"urn:ietf:params:jmap:{one}" for one in using}
        return client.request(method, raise_errors=True).data

    def test_jmapc_finds_what_imap_finds_and_follows_it(self):
        import jmapc
        from jmapc import EmailQueryFilterCondition as Has, EmailQueryFilterOperator, Operator
        from jmapc.methods import EmailGet, EmailQuery, EmailQueryChanges, MailboxQuery, SearchSnippetGet, ThreadChanges, ThreadGet

        ann = self.client(ANN)
        for at, (head, text, flags) in enumerate([
            ("From: carol@there.test\r\nTo: ann@here.test\r\nX-Thing: blue", "a heron stood", r"(\Seen)"),
            ("From: dan@there.test\r\nTo: ann@here.test\r\nCc: carol@there.test\r\nX-Thing: red", "two herons flew", r"(\Flagged)"),
            ("From: dan@there.test\r\nTo: list@there.test\r\nBcc: ann@here.test", "nothing of the kind", r"(\Seen \Answered $work)"),
            ("From: eve@there.test\r\nTo: ann@here.test\r\nReferences: <q0@x>", "x" * 5000 + " heron", ""),
        ]):
            message = f"{head}\r\nSubject: q{at}\r\nMessage-ID: <q{at}@x>\r\n\r\n{text}\r\n".encode()
            self.put(ANN, "Found", message, flags, f'"{10 + at}-May-2020 12:00:00 +0000"')
        condition = jmapc.MailboxQueryFilterCondition(name="Found")
        (box,) = ann.request(MailboxQuery(filter=condition), raise_errors=True).ids
        when = lambda day: datetime.datetime(2020, 5, day, tzinfo=datetime.UTC)
        both = lambda operator, *conditions: EmailQueryFilterOperator(operator=operator, conditions=[Has(in_mailbox=box), *conditions])
        for condition, criteria in [
            (Has(text="heron"), ("TEXT", "heron")), (Has(body="flew"), ("BODY", "flew")), (Has(mail_from="dan@there.test"), ("FROM", "dan@there.test")),
            (Has(to="list"), ("TO", "list")), (Has(cc="carol"), ("CC", "carol")), (Has(bcc="ann"), ("BCC", "ann")),
            (Has(has_keyword="$flagged"), ("FLAGGED",)), (Has(not_keyword="$seen"), ("UNSEEN",)), (Has(has_keyword="$work"), ("KEYWORD", "$work")),
            (Has(header=["X-Thing"]), ("HEADER", "X-Thing", '""')), (Has(header=["X-Thing", "red"]), ("HEADER", "X-Thing", "red")),
            (Has(min_size=4000), ("LARGER", "3999")), (Has(max_size=4000), ("SMALLER", "4000")),
            (Has(before=when(12)), ("BEFORE", "12-May-2020")), (Has(after=when(12)), ("SINCE", "12-May-2020")),
            (Has(has_attachment=False), ("ALL",)), (Has(some_in_thread_have_keyword="$seen", body="heron", not_keyword="$seen"), ("SUBJECT", "q3")),
        ]:
            asked = [EmailQuery(filter=both(Operator.AND, condition)), EmailGet(ids=jmapc.Ref("/ids"))]
            found = {one.subject for one in ann.request(asked, raise_errors=True)[1].response.data}
            there = set(self.by_imap(ANN, "Found", *criteria))
            self.assertEqual(found, there, condition)
            self.assertTrue(there, criteria)
        neither = EmailQueryFilterOperator(operator=Operator.NOT, conditions=[Has(mail_from="dan"), Has(has_keyword="$seen")])
        asked = [EmailQuery(filter=both(Operator.AND, neither)), EmailGet(ids=jmapc.Ref("/ids"))]
        found = {one.subject for one in ann.request(asked, raise_errors=True)[1].response.data}
        self.assertEqual(found, set(self.by_imap(ANN, "Found", "NOT", "OR", "FROM", "dan", "SEEN")))

        # In order, a window of it, and from one state to the next.
        sort = [jmapc.Comparator(property="receivedAt", is_ascending=False)]
        whole = ann.request(EmailQuery(filter=Has(in_mailbox=box), sort=sort, calculate_total=True), raise_errors=True)
        self.assertEqual((whole.total, whole.position, whole.can_calculate_changes), (4, 0, True))
        window = ann.request(EmailQuery(filter=Has(in_mailbox=box), sort=sort, anchor=whole.ids[1], anchor_offset=1, limit=1), raise_errors=True)
        self.assertEqual((window.ids, window.position), (whole.ids[2:3], 2))
        threads = ann.request(EmailQuery(filter=Has(in_mailbox=box), sort=sort, collapse_threads=True), raise_errors=True)
        self.assertEqual(threads.ids, whole.ids[:3], "the answer stands for what it answers")
        got = ann.request(EmailGet(ids=whole.ids[:1]), raise_errors=True)
        thread = ann.request(ThreadGet(ids=[got.data[0].thread_id]), raise_errors=True)
        self.assertEqual(thread.data[0].email_ids, [whole.ids[3], whole.ids[0]])
        snippet = ann.request(SearchSnippetGet(ids=whole.ids[2:3], filter=Has(text="herons")), raise_errors=True).data[0]
        self.assertEqual(snippet.preview, "two <mark>herons</mark> flew")
        self.put(ANN, "Found", b"Subject: q4\r\nReferences: <q0@x>\r\n\r\nx\r\n", None, '"20-May-2020 12:00:00 +0000"')
        changes = ann.request(EmailQueryChanges(filter=Has(in_mailbox=box), sort=sort, since_query_state=whole.query_state, calculate_total=True), raise_errors=True)
        self.assertEqual((changes.total, [one.index for one in changes.added]), (5, [0]))
        changes = ann.request(ThreadChanges(since_state=thread.state), raise_errors=True)
        self.assertIn(thread.data[0].id, changes.updated)

    def test_jmapc_mailboxes_as_a_tree_and_their_changes(self):
        import jmapc
        from jmapc import MailboxQueryFilterCondition as Has, MailboxQueryFilterOperator, Operator
        from jmapc.methods import CoreEcho, MailboxGet, MailboxQuery, MailboxQueryChanges, MailboxSet

        ann = self.client(ANN)
        self.assertEqual(ann.request(CoreEcho(data={"hello": True, "high": 5}), raise_errors=True).data, {"hello": True, "high": 5})
        before = ann.request(MailboxQuery(filter=Has(has_any_role=False)), raise_errors=True)
        made = ann.request(MailboxSet(create={"t": jmapc.Mailbox(name="Tree", is_subscribed=True), "a": jmapc.Mailbox(name="Leaf", parent_id="#t")}), raise_errors=True).created
        tree, leaf = made["t"].id, made["a"].id
        changes = ann.request(MailboxQueryChanges(filter=Has(has_any_role=False), since_query_state=before.query_state), raise_errors=True)
        self.assertLessEqual({tree, leaf}, {one.id for one in changes.added})
        ids = lambda filter, **more: ann.request(MailboxQuery(filter=filter, **more), raise_errors=True).ids
        self.assertEqual(ids(Has(parent_id=tree)), [leaf])
        self.assertEqual(ids(MailboxQueryFilterOperator(operator=Operator.AND, conditions=[Has(is_subscribed=True), Has(name="Tree")])), [tree])
        in_order = ids(None, sort=[jmapc.Comparator(property="name")], sort_as_tree=True)
        self.assertEqual(in_order.index(leaf), in_order.index(tree) + 1)
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(ANN, self.server.password)
            listed = b" ".join(imap.list()[1])
            self.assertIn(b"Tree/Leaf", listed)
            imap.append("Tree/Leaf", None, None, b"Subject: in a leaf\r\n\r\nx\r\n")
            self.assertEqual(ann.request(MailboxGet(ids=[leaf]), raise_errors=True).data[0].total_emails, 1)
            kept = ann.request(MailboxSet(destroy=[leaf]), raise_errors=True)
            self.assertEqual(kept.not_destroyed[leaf].type, "mailboxHasEmail")
            # Both at once, what lies above first.
            gone = ann.request(MailboxSet(destroy=[tree, leaf], on_destroy_remove_emails=True), raise_errors=True)
            self.assertEqual(set(gone.destroyed), {tree, leaf})
            self.assertNotIn(b"Tree", b" ".join(imap.list()[1]))

    def test_jmapc_takes_back_what_is_held_and_follows_what_went(self):
        from jmapc import Address, Email, EmailAddress, EmailBodyPart, EmailBodyValue, EmailSubmission, Envelope
        from jmapc import EmailSubmissionQueryFilterCondition as Has, Delivered, UndoStatus
        from jmapc.methods import (EmailSet, EmailSubmissionChanges, EmailSubmissionGet, EmailSubmissionQuery, EmailSubmissionQueryChanges,
                                   EmailSubmissionSet, IdentitySet)
        import jmapc

        ann = self.client(ANN)
        drafts = self.mailbox(ann, "drafts")
        draft = lambda subject: Email(
            mail_from=[EmailAddress(email=ANN)], to=[EmailAddress(email=BOB)], subject=subject, keywords={"$draft": True}, mailbox_ids={drafts.id: True},
            body_values={"b": EmailBodyValue(value="x")}, text_body=[EmailBodyPart(part_id="b", type="text/plain")])
        state = ann.request(EmailSubmissionGet(ids=[]), raise_errors=True).state
        queried = ann.request(EmailSubmissionQuery(), raise_errors=True)
        held = Envelope(mail_from=Address(email=ANN, parameters={"HOLDFOR": "600"}), rcpt_to=[Address(email=BOB)])
        answers = ann.request([
            EmailSet(create={"d": draft("held")}), EmailSubmissionSet(create={"s": EmailSubmission(email_id="#d", identity_id="main", envelope=held)}),
        ], raise_errors=True)
        held = answers[1].response.created["s"].id
        shown = ann.request(EmailSubmissionGet(ids=[held]), raise_errors=True).data[0]
        self.assertEqual((shown.undo_status, shown.envelope.rcpt_to[0].email), (UndoStatus.PENDING, BOB))
        self.assertGreater(shown.send_at, datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=8))
        self.assertEqual(ann.request(EmailSubmissionSet(update={held: {"undoStatus": "canceled"}}), raise_errors=True).not_updated, None)
        shown = ann.request(EmailSubmissionGet(ids=[held]), raise_errors=True).data[0]
        self.assertEqual(shown.undo_status, UndoStatus.CANCELED)
        answers = ann.request([
            EmailSet(create={"d": draft("goes")}), EmailSubmissionSet(create={"s": EmailSubmission(email_id="#d", identity_id="main")}, on_success_destroy_email=["#s"]),
        ], raise_errors=True)
        went = answers[1].response.created["s"].id
        self.assertEqual(answers[2].response.destroyed, [answers[0].response.created["d"].id])
        there = lab.wait_for("it at bob's", lambda: self.by_imap(BOB, "INBOX", "SUBJECT", "goes"))
        self.assertEqual((list(there), self.by_imap(BOB, "INBOX", "SUBJECT", "held")), (["goes"], {}))
        delivered = lambda: ann.request(EmailSubmissionGet(ids=[went]), raise_errors=True).data[0].delivery_status[BOB].delivered
        lab.wait_for("it is known", lambda: delivered() == Delivered.YES)
        # What is asked of the delivery is done, and its report belongs to the submission (RFC 8621 §7).
        asked = Envelope(mail_from=Address(email=ANN, parameters={"ENVID": "e 1"}),
                         rcpt_to=[Address(email=BOB, parameters={"NOTIFY": "SUCCESS", "ORCPT": f"rfc822;{BOB}"})])
        answers = ann.request([
            EmailSet(create={"d": draft("reported")}), EmailSubmissionSet(create={"s": EmailSubmission(email_id="#d", identity_id="main", envelope=asked)}),
        ], raise_errors=True)
        reported = answers[1].response.created["s"].id
        reports = lambda: ann.request(EmailSubmissionGet(ids=[reported]), raise_errors=True).data[0].dsn_blob_ids
        lab.wait_for("the report", reports)
        self.assertEqual(len(reports()), 1)
        found = ann.request(EmailSubmissionQuery(filter=Has(undo_status=UndoStatus.CANCELED)), raise_errors=True).ids
        self.assertEqual(found, [held])
        changes = ann.request(EmailSubmissionChanges(since_state=state), raise_errors=True)
        self.assertLessEqual({held, went}, set(changes.created))
        changes = ann.request(EmailSubmissionQueryChanges(since_query_state=queried.query_state), raise_errors=True)
        self.assertLessEqual({held, went}, {one.id for one in changes.added})
        stranger = ann.request(IdentitySet(create={"i": {"name": "Eve", "email": "eve@there.test"}}), raise_errors=True)
        self.assertEqual(stranger.not_created["i"].type, "forbiddenFrom")
        self.assertIsInstance(ann.request(EmailSubmissionChanges(since_state="x")), jmapc.errors.CannotCalculateChanges)

    def test_jmapc_copies_imports_and_uploads_what_imap_sees(self):
        from jmapc import Email, EmailQueryFilterCondition
        from jmapc.methods import EmailCopy, EmailGet, EmailQuery

        ann, bob = self.client(ANN), self.client(BOB)
        octets = b"From: bob@here.test\r\nSubject: to copy\r\nMessage-ID: <copy@x>\r\n\r\nWhole.\r\n"
        self.put(BOB, "Joint", octets, r"(\Flagged)")
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(BOB, self.server.password)
            imap.setacl("Joint", ANN, "lrte")
        mail = ("core", "mail", "blob")
        theirs = bob.request(EmailQuery(filter=EmailQueryFilterCondition(has_keyword="$flagged", text="Whole")), raise_errors=True).ids
        inbox = self.mailbox(ann, "inbox").id
        copy = EmailCopy(from_account_id=bob.account_id, create={"c": Email(id=theirs[0], mailbox_ids={inbox: True}, keywords={"$copied": True})}, on_success_destroy_original=True)
        answers = ann.request(copy)
        copied = answers[0] if isinstance(answers, list) else answers
        mine = copied.created["c"].id
        self.assertEqual(ann.request(EmailGet(ids=[mine]), raise_errors=True).data[0].keywords, {"$copied": True})
        self.assertEqual(self.by_imap(ANN, "INBOX", "KEYWORD", "$copied"), {"to copy": octets})
        self.assertEqual(self.by_imap(BOB, "Joint", "ALL"), {})

        # Put together here, imported, parsed, and found by what it is made of.
        text = {"data": [{"data:asText": "From: zoe@there.test\r\nSubject: made of pieces\r\n\r\n"}, {"data:asBase64": "R3LDvMOfZQ0K"}], "type": "message/rfc822"}
        blob = self.ask(ann, "Blob/upload", mail, create={"b": text})["created"]["b"]["id"]
        parsed = self.ask(ann, "Email/parse", mail, blobIds=[blob, "nothing"], properties=["subject", "preview"])
        self.assertEqual((parsed["parsed"], parsed["notFound"]), ({blob: {"subject": "made of pieces", "preview": "Gr\u00fc\u00dfe"}}, ["nothing"]))
        imported = self.ask(ann, "Email/import", mail, emails={"e": {"blobId": blob, "mailboxIds": {inbox: True}, "keywords": {"$seen": True}, "receivedAt": "2020-05-17T12:00:00Z"}})["created"]["e"]
        there = self.by_imap(ANN, "INBOX", "SEEN", "ON", "17-May-2020")
        self.assertEqual(there, {"made of pieces": "From: zoe@there.test\r\nSubject: made of pieces\r\n\r\nGr\u00fc\u00dfe\r\n".encode()})
        looked = self.ask(ann, "Blob/lookup", mail, ids=[imported["blobId"]], typeNames=["Email", "Mailbox"])["list"][0]
        self.assertEqual(looked["matchedIds"], {"Email": [imported["id"]], "Mailbox": [inbox]})
        got = self.ask(ann, "Blob/get", mail, ids=[imported["blobId"]], properties=["data:asText", "digest:sha-256", "size"])["list"][0]
        (whole,) = there.values()
        self.assertEqual((got["data:asText"].encode(), got["size"]), (whole, len(whole)))
        self.assertEqual(got["digest:sha-256"], base64.b64encode(hashlib.sha256(whole).digest()).decode())

        # The room that is left, as IMAP tells it. (Of push subscriptions the library takes no answer: they are of no account.)
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(ANN, self.server.password)
            by_imap = imap.getquotaroot("INBOX")
        quotas = self.ask(ann, "Quota/get", ("core", "mail", "quota"), ids=None)["list"]
        told = re.search(rb"STORAGE (\d+) (\d+)", b" ".join(by_imap[1][1] or [b""]) if by_imap[1][1] and by_imap[1][1][0] else b"")
        self.assertEqual(len(quotas), 1 if told else 0)

    def test_jmapc_hears_of_new_mail_by_its_event_source(self):
        bob = self.client(BOB, event_source_config=self.events())
        bob.jmap_session  # the address of the events
        heard, first = [], threading.Event()

        def listen():
            for event in bob.events:
                heard.append(event.data.changed)
                first.set()
                return

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        # What is sent before the stream is open is not told: so more comes until it is.
        for at in range(100):
            with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
                imap.login(BOB, self.server.password)
                imap.append("INBOX", None, None, b"Subject: news %d\r\n\r\nx\r\n" % at)
            if first.wait(0.3):
                break
        self.assertTrue(heard, "no event came")
        ((_, state),) = heard[0].items()
        self.assertTrue(state.email and state.mailbox)

    @staticmethod
    def events():
        import jmapc

        return jmapc.EventSourceConfig(types="Email,Mailbox,EmailDelivery", closeafter="state", ping=30)


if __name__ == "__main__":
    unittest.main()
