// drive.mjs FOLDER PORT LOGIN: jmap-jam works a mailbox; what it made of the answers is said as JSON. The password comes on standard input.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { text } from 'node:stream/consumers'

const [folder, port, login] = process.argv.slice(2)
const password = (await text(process.stdin)).trim()
const { JamClient } = await import(pathToFileURL(createRequire(`${folder}/`).resolve('jmap-jam')))

// It says Bearer and nothing else; a password goes as Basic.
const fetched = globalThis.fetch
const basic = `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}`
globalThis.fetch = (url, init) => fetched(url, { ...init, headers: { ...init.headers, Authorization: basic } })

const jam = new JamClient({ bearerToken: 'none', sessionUrl: `https://localhost:${port}/.well-known/jmap` })
const said = {}
const accountId = await jam.getPrimaryAccount()
said.username = (await jam.session).username

// A mailbox, and a message that was uploaded put into it: in one request, by what it is called there.
const octets = 'From: Zoë <zoe@there.test>\r\nTo: bob@here.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <jam@there.test>\r\n\r\nAt the lake.\r\n'
const blob = await jam.uploadBlob(accountId, new Blob([octets], { type: 'message/rfc822' }))
said.uploaded = [blob.type, blob.size]
const [made, { createdIds }] = await jam.requestMany((t) => {
  const box = t.Mailbox.set({ accountId, create: { lake: { name: 'Lake', parentId: null } } })
  const taken = t.Email.import({ accountId, emails: { one: { blobId: blob.blobId, mailboxIds: { '#lake': true }, keywords: { $seen: true } } } })
  return { box, taken }
}, { createdIds: {} })
const [lake, one] = [made.box.created.lake.id, made.taken.created.one.id]
said.made = [createdIds.lake === lake, createdIds.one === one]

// Found, and shown, by references from call to call.
const [view] = await jam.requestMany((t) => {
  const found = t.Email.query({ accountId, filter: { operator: 'AND', conditions: [{ inMailbox: lake }, { text: 'lake' }] }, calculateTotal: true })
  const emails = t.Email.get({ accountId, ids: found.$ref('/ids'), properties: ['threadId', 'subject', 'from', 'keywords', 'bodyValues', 'textBody', 'blobId'], fetchTextBodyValues: true })
  const threads = t.Thread.get({ accountId, ids: emails.$ref('/list/*/threadId') })
  const snippets = t.SearchSnippet.get({ accountId, filter: { text: 'lake' }, emailIds: found.$ref('/ids') })
  return { found, emails, threads, snippets }
})
const [email] = view.emails.list
said.view = [view.found.total, email.subject, email.from, email.keywords, email.bodyValues[email.textBody[0].partId].value, view.threads.list[0].emailIds.length, view.snippets.list[0].preview]
said.octets = await (await jam.downloadBlob({ accountId, blobId: email.blobId, mimeType: 'message/rfc822', fileName: 'Grüße.eml' })).text() === octets

// Changed and followed.
const [[before]] = [await jam.api.Email.get({ accountId, ids: [] })]
await jam.api.Email.set({ accountId, update: { [one]: { 'keywords/$flagged': true, 'keywords/$seen': null } } })
const [changes] = await jam.api.Email.changes({ accountId, sinceState: before.state })
said.changes = [changes.updated.length, changes.updated[0] === one, changes.created, changes.hasMoreChanges]

// Written and sent; the draft is filed by what its success asks for.
const [[boxes], [{ list: [identity] }]] = await Promise.all([jam.api.Mailbox.get({ accountId }), jam.api.Identity.get({ accountId })])
const [drafts, sent] = ['drafts', 'sent'].map((role) => boxes.list.find((box) => box.role === role).id)
const [done] = await jam.requestMany((t) => {
  const draft = t.Email.set({ accountId, create: { d: {
    mailboxIds: { [drafts]: true }, keywords: { $draft: true }, from: [{ email: login }], to: [{ name: 'Ann', email: 'ann@here.test' }], subject: 'From a jam jar',
    bodyValues: { t: { value: 'Hello' } }, textBody: [{ partId: 't', type: 'text/plain' }],
  } } })
  const submission = t.EmailSubmission.set({ accountId, create: { s: { identityId: identity.id, emailId: '#d' } }, onSuccessUpdateEmail: { '#s': { [`mailboxIds/${drafts}`]: null, [`mailboxIds/${sent}`]: true, 'keywords/$draft': null } } })
  return { draft, submission }
})
const [[gone]] = [await jam.api.Email.get({ accountId, ids: [done.draft.created.d.id], properties: ['mailboxIds', 'keywords'] })]
said.sent = [Object.keys(gone.list[0].mailboxIds)[0] === sent, gone.list[0].keywords]

// Trouble as it is told.
const trouble = async (act) => { try { await act(); return 'none' } catch (error) { return error.type ?? error[0]?.type ?? String(error) } }
said.trouble = [
  await trouble(() => jam.api.Email.get({ accountId: 'A99', ids: [] })),
  await trouble(() => jam.api.Email.query({ accountId, filter: { nonsense: true } })),
  await trouble(() => jam.request(['Email/nothing', { accountId }])),
  await trouble(() => jam.request(['Core/echo', {}], { using: ['urn:nothing'] })),
  await trouble(() => jam.downloadBlob({ accountId, blobId: 'none', mimeType: 'a/b', fileName: 'x' }).catch(({ cause }) => { throw cause })),
]
console.log(JSON.stringify(said))
