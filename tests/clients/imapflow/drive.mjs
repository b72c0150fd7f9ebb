// ImapFlow, driven by test_imapflow.py: `node drive.mjs FOLDER PORT CERTIFICATE USER`, the password on standard input; FOLDER holds
// node_modules. Prints what the library made of the answers, as JSON.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, port, certificate, user] = process.argv.slice(2);
const { ImapFlow } = createRequire(path.join(folder, 'package.json'))('imapflow');
const pass = readFileSync(0, 'utf8').trim();
const client = (more) => new ImapFlow({
    host: 'localhost', port: Number(port), secure: false, doSTARTTLS: true, auth: { user, pass }, logger: false,
    tls: { ca: readFileSync(certificate) }, clientInfo: { name: 'ImapFlow' }, ...more,
});
const sha256 = (octets) => createHash('sha256').update(octets).digest('hex');
async function read(stream) {
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    return Buffer.concat(pieces);
}

const c = client({ qresync: true });
const seen = { vanished: [], flags: [] };
c.on('expunge', (told) => seen.vanished.push([told.uid ?? told.seq, told.earlier ?? null]));
c.on('flags', (told) => seen.flags.push([told.uid, [...told.flags]]));
await c.connect();
const got = { enabled: [...c.enabled].sort(), server: c.serverInfo.name };

const listed = await c.list({ statusQuery: { messages: true, unseen: true, uidNext: true, highestModseq: true } });
got.inbox = listed.map((box) => [box.path, box.specialUse ?? null, box.status.messages]).filter(([name]) => ['INBOX', 'Trash'].includes(name));
got.quota = (await c.getQuota('INBOX')).messages ?? (await c.getQuota('INBOX')).message;
await c.mailboxCreate('Päckchen');
got.made = (await c.list()).some((box) => box.path === 'Päckchen');
await c.append('Päckchen', Buffer.from('Subject: nul\r\n\r\na\0b\r\n'), ['\\Seen']);

let lock = await c.getMailboxLock('INBOX');
const before = c.mailbox.highestModseq;
got.mailbox = [c.mailbox.exists, typeof c.mailbox.uidValidity, c.mailbox.noModseq ?? false, typeof c.mailbox.mailboxId];
const one = await c.fetchOne(1, { uid: true, emailId: true, threadId: true, size: true, envelope: true, bodyStructure: true, flags: true, internalDate: true });
got.one = [one.uid, typeof one.emailId, typeof one.threadId, one.envelope.subject, one.bodyStructure.childNodes.length];
const reply = await c.fetchOne(4, { threadId: true, envelope: true }), first = await c.fetchOne(2, { threadId: true });
got.thread = [reply.threadId === first.threadId, reply.envelope.subject];
got.png = sha256(await read((await c.download('1', '2', { uid: true })).content));
const inTwo = await c.fetchOne('1', { bodyParts: ['2'] }, { uid: true, binary: true });
got.binary = sha256(inTwo.bodyParts.get('2'));
const esearch = await c.search({ subject: 'a' }, { uid: true, returnOptions: ['MIN', 'MAX', 'COUNT', 'ALL'] });
got.esearch = [esearch.min, esearch.max, esearch.count, esearch.all];
const partial = await c.search({ all: true }, { uid: true, returnOptions: ['COUNT', { partial: '-1:-2' }] });
got.partial = [partial.count, partial.partial];
got.within = await c.search({ since: new Date(Date.now() - 3600_000) }, { uid: true });
got.umlaut = await c.search({ body: 'grüße' }, { uid: true });
got.added = await c.messageFlagsAdd('2', ['\\Flagged', '$Label1'], { uid: true, unchangedSince: before });
got.moved = [...(await c.messageMove('3', 'Päckchen', { uid: true })).uidMap];
got.copied = [...(await c.messageCopy('2', 'Päckchen', { uid: true })).uidMap];
got.changed = [];
for await (const message of c.fetch('1:*', { uid: true, flags: true }, { uid: true, changedSince: before })) got.changed.push([message.uid, [...message.flags].sort()]);
// What another connection does while this one idles.
const other = client({ disableAutoIdle: true });
await other.connect();
await other.mailboxOpen('INBOX');
seen.vanished.length = 0;
const idling = c.idle();
await new Promise((done) => setTimeout(done, 300));
await other.messageFlagsAdd('1', ['\\Answered'], { uid: true });
await other.messageDelete('4', { uid: true });
await other.logout();
for (let i = 0; i < 100 && !(seen.vanished.length && seen.flags.some(([uid]) => uid === 1)); i++) await new Promise((done) => setTimeout(done, 50));
lock.release();
got.idle = [seen.vanished, seen.flags.find(([uid]) => uid === 1)?.[1]];
await Promise.race([idling, c.noop()]);
got.status = await c.status('Päckchen', { messages: true, unseen: true, uidNext: true });
await c.logout();
console.log(JSON.stringify(got, (key, value) => (typeof value === 'bigint' ? `${value}` : value)));
