"""Thunderbird under Xvfb: an account is set up, mail read, answered with an attachment, deleted, and read offline."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402
from marionette import Display, Thunderbird  # noqa: E402
from test_clients import Clients, imap, inbox, send  # noqa: E402

# The account as its own set-up makes it: a server that comes in, one that goes out, an identity that uses both.
ACCOUNT = """
const [type, host, port, smtpPort, user, password, address] = args;
const incoming = MailServices.accounts.createIncomingServer(user, host, type);
incoming.port = port;
incoming.socketType = Ci.nsMsgSocketType.plain;
incoming.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
incoming.password = password;
const outgoing = MailServices.outgoingServer.createServer("smtp");
outgoing.QueryInterface(Ci.nsISmtpServer);
outgoing.hostname = host; outgoing.port = smtpPort; outgoing.username = user; outgoing.password = password;
outgoing.socketType = Ci.nsMsgSocketType.plain; outgoing.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
const identity = MailServices.accounts.createIdentity();
identity.email = address; identity.fullName = "Bob"; identity.smtpServerKey = outgoing.key;
const account = MailServices.accounts.createAccount();
account.addIdentity(identity); account.incomingServer = incoming;
MailServices.accounts.defaultAccount = account;
MailServices.outgoingServer.defaultServer = outgoing;
incoming.performExpand(null);
return incoming.key;
"""

INBOX = """
const server = MailServices.accounts.getIncomingServer(args[0]);
const inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
"""

NEWS = INBOX + """
if (!inbox) { server.performExpand(null); return null; }
await new Promise(done => inbox.updateFolderWithListener ? inbox.updateFolderWithListener(null, { OnStartRunningUrl() {}, OnStopRunningUrl() { done(); } }) : (inbox.updateFolder(null), done()));
return [...inbox.messages].map(m => m.mime2DecodedSubject);
"""

# What a reader sees: the message streamed and decoded by Thunderbird's own MIME code.
READ = INBOX + """
const { MsgHdrToMimeMessage } = ChromeUtils.importESModule("resource:///modules/gloda/MimeMessage.sys.mjs");
const header = [...inbox.messages].find(m => m.mime2DecodedSubject == args[1]);
const mime = await new Promise(done => MsgHdrToMimeMessage(header, null, (h, m) => done(m), true, { saneBodySize: false, partsOnDemand: false, examineEncryptedParts: false }));
header.folder.markMessagesRead([header], true);
return { body: mime.coerceBodyToPlaintext(inbox), attachments: mime.allUserAttachments.map(a => [a.name, a.contentType, a.size]) };
"""

REPLY = INBOX + """
const header = [...inbox.messages].find(m => m.mime2DecodedSubject == args[1]);
const identity = MailServices.accounts.defaultAccount.defaultIdentity;
MailServices.compose.OpenComposeWindow(null, header, header.folder.getUriForMsg(header), Ci.nsIMsgCompType.ReplyToSender, Ci.nsIMsgCompFormat.PlainText, identity, null, null);
"""

COMPOSER = "const window = Services.wm.getMostRecentWindow('msgcompose');"

WRITE = COMPOSER + """
const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
file.initWithPath(args[0]);
const attachment = Cc["@mozilla.org/messengercompose/attachment;1"].createInstance(Ci.nsIMsgAttachment);
attachment.url = Services.io.newFileURI(file).spec; attachment.name = file.leafName;
await window.AddAttachments([attachment]);
const editor = window.GetCurrentEditor();
editor.beginningOfDocument();
editor.insertText("Answer from Thunderbird. Grüße! ");
window.setTimeout(() => window.goDoCommand("cmd_sendNow"), 0);
return window.gMsgCompose.compFields.to;
"""

OFFLINE = INBOX + """
inbox.setFlag(Ci.nsMsgFolderFlags.Offline);
await new Promise(done => inbox.downloadAllForOffline({ OnStartRunningUrl() {}, OnStopRunningUrl() { done(); } }, null));
server.closeCachedConnections();
Services.io.offline = true;
return [...inbox.messages].every(m => m.flags & Ci.nsMsgMessageFlags.Offline);
"""


class ThunderbirdTest(Clients):
    def setUp(self):
        super().setUp()
        for subject in ("For Thunderbird ä", "To delete", "To keep"):
            send(self.server, lab.message("ann@here.test", "bob@here.test", subject, lab.ATTACHMENTS))
        self.got(3)

    def account(self, bird, kind, port):
        return bird.script(ACCOUNT, kind, "localhost", self.port[port], self.port["submission"], "bob@here.test", self.server.password, "bob@here.test")

    def test_imap_read_reply_delete_offline(self):
        prefs = {"network.proxy.type": 0, "signon.rememberSignons": False, "mail.imap.use_status_for_biff": True}
        with Display() as display, Thunderbird(display, prefs, self.cert) as bird:
            key = self.account(bird, "imap", "imap")
            subjects = lab.wait_for("three messages in its INBOX", lambda: (s := bird.script(NEWS, key)) and len(s) == 3 and s, 60, every=0.5)
            self.assertIn("For Thunderbird ä", subjects)
            read = bird.script(READ, key, "For Thunderbird ä")
            self.assertIn("Grüße", read["body"])
            self.assertEqual([(n, s) for n, _, s in read["attachments"]], [(n, len(d)) for n, _, _, d in lab.ATTACHMENTS])
            there = imap(self.server)
            there.select("INBOX")
            lab.wait_for(r"\Seen on the server", lambda: there.noop() and len(there.search(None, "SEEN")[1][0].split()) == 1, 20)
            # Reply, with a picture.
            picture = os.path.join(self.dir, "boat.png")
            with open(picture, "wb") as f:
                f.write(lab.png())
            bird.script(REPLY, key, "For Thunderbird ä")
            lab.wait_for("the composer", lambda: bird.script(COMPOSER + "return !!window?.composeEditorReady"), 30)
            self.assertIn("ann@here.test", bird.script(WRITE, picture))
            answer = self.got(1, "ann")[0]
            self.assertIn(b"In-Reply-To:", answer)
            lab.assert_attachments(answer, [("boat.png", "image", "png", lab.png())])
            lab.wait_for("the copy in Sent", lambda: there.select("Sent", readonly=True)[1][0] == b"1", 20)
            there.select("INBOX")
            lab.wait_for(r"\Answered", lambda: there.noop() and len(there.search(None, "ANSWERED")[1][0].split()) == 1, 20)
            # Delete: it goes to Trash, and away from INBOX.
            bird.script(INBOX + """
const header = [...inbox.messages].find(m => m.mime2DecodedSubject == args[1]);
await new Promise(done => inbox.deleteMessages([header], null, false, false, { onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() { return null; }, onStopCopy() { done(); },
  OnStartCopy() {}, OnProgress() {}, SetMessageKey() {}, GetMessageId() {}, OnStopCopy() { done(); } }, true));
""", key, "To delete")
            lab.wait_for("it in Trash", lambda: there.select("Trash", readonly=True)[1][0] == b"1", 20)
            # New mail comes by IDLE, without asking.
            send(self.server, lab.message("ann@here.test", "bob@here.test", "Pushed"))
            lab.wait_for("the pushed message", lambda: "Pushed" in bird.script(INBOX + "return [...inbox.messages].map(m => m.mime2DecodedSubject);", key), 30, every=0.3)
            # Offline: everything is here; the server may go.
            self.assertTrue(bird.script(OFFLINE, key))
            self.server.stop()
            read = bird.script(READ.replace("header.folder.markMessagesRead([header], true);", ""), key, "To keep")
            self.assertIn("Grüße", read["body"])
            self.assertEqual(len(read["attachments"]), 3)
            self.server.start()

    def test_pop3_downloads_all(self):
        with Display() as display, Thunderbird(display, {"network.proxy.type": 0}, self.cert) as bird:
            key = self.account(bird, "pop3", "pop3")
            bird.script(INBOX + """
server.QueryInterface(Ci.nsIPop3IncomingServer).leaveMessagesOnServer = true;
const done = Promise.withResolvers();
MailServices.pop3.GetNewMail(null, { OnStartRunningUrl() {}, OnStopRunningUrl(u, code) { done.resolve(code); } }, inbox, server.QueryInterface(Ci.nsIPop3IncomingServer));
return await done.promise;
""", key)
            subjects = bird.script(INBOX + "return [...inbox.messages].map(m => m.mime2DecodedSubject);", key)
            self.assertEqual(sorted(subjects), ["For Thunderbird ä", "To delete", "To keep"])
            read = bird.script(READ, key, "To keep")
            self.assertEqual([(n, s) for n, _, s in read["attachments"]], [(n, len(d)) for n, _, _, d in lab.ATTACHMENTS])
            self.assertEqual(len(inbox(self.server)), 3, "left on the server, as asked")


if __name__ == "__main__":
    unittest.main(verbosity=2)
