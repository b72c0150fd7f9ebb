"""The real server worked by jmapc, an independent JMAP client library.

It is not in Debian: `jmapc.txt` beside this file pins it and what it needs, installed once into a place of its own under the
target directory, with the same Python that runs the tests.
"""

import imaplib
import os
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
