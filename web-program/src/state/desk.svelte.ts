// What is being written: letters with their autosave (here after 300 ms, on the server after 3 s), uploads, and the way out,
// which holds an undo, waits for the network, and never sends twice.

import { SvelteMap, SvelteSet } from 'svelte/reactivity'
import * as answer from '../data/answer'
import { fileName, isAddress, parsed, same } from '../data/address'
import { email, isEmpty, localDate, SIGNATURE, weight, type Draft, type Piece } from '../data/draft'
import { files, pictured, shows } from '../data/inline'
import { part } from '../data/part'
import { apart } from '../data/safe'
import { ask, Jmap, Offline, OURS, Refused } from '../jmap/client'
import { SUBMISSION, type Address, type Email, type Id, type Identity, type Part, type SetAnswer, type Submission } from '../jmap/types'
import { t } from '../texts'
import { Ahead } from './ahead'
import type { App } from './app.svelte'
import type { Mail } from './mail.svelte'
import { toasts } from './toasts.svelte'

const HERE_MS = 300
const THERE_MS = 3000
/** So long after Send an answer may still be on its way. */
const FRESH_MS = 5000

/** One window at a time, where the browser can say so. */
function alone<T>(name: string, run: () => Promise<T>): Promise<T> {
  return 'locks' in navigator ? navigator.locks.request(name, run) as Promise<T> : run()
}

/** What a receiver's server takes is asked again after so long; after a failure sooner. */
const MEASURED_MS = 300_000
const UNMEASURED_MS = 30_000

const mega = (octets: number): string => (octets / 1e6).toLocaleString(undefined, { maximumFractionDigits: 1 })

/** Why a file could not be uploaded. A server that takes less than it said, and one in between that takes less than both, answer 413, or cut it off in the middle. */
async function whyNot(error: unknown, file: File, { jmap }: Mail): Promise<string> {
  const isTooLarge = error instanceof Refused && error.status === 413
  if (!isTooLarge && !(error instanceof Offline)) return error instanceof Error ? error.message : String(error)
  try {
    jmap.session = (await Jmap.open()).session
    const max = jmap.limit('maxSizeUpload', Infinity)
    if (file.size > max) return t.compose.tooLarge(file.name, mega(file.size), mega(max))
  } catch { if (!isTooLarge) return t.signIn.noServer }
  return isTooLarge ? t.compose.tooLargeBetween(mega(file.size)) : t.compose.cut
}

/** A picture's name in a text. */
const contentId = (): string => `${token()}@packetboat`

const pieceOf = (part: Part, blobId: Id | null, cid: string | null): Piece => ({ key: token(), name: part.name ?? (cid === null ? 'file' : 'picture'), type: part.type, size: part.size, blobId, cid, share: 1, error: null })

const token = (): string => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, '0')).join('')

export class Letter {
  to = $state.raw<Address[]>([])
  cc = $state.raw<Address[]>([])
  bcc = $state.raw<Address[]>([])
  subject = $state('')
  identityId = $state('')
  html = $state.raw('')
  text = ''
  quoteHtml = $state.raw('')
  quoteText = ''
  pieces = $state<Piece[]>([])
  plain = $state(false)
  status = $state<'' | 'local' | 'saving' | 'saved'>('')
  savedAt = $state<Date | undefined>(undefined)
  problem = $state('')
  minimised = $state(false)
  sendAt: string | null = null
  /** Grows when `html` is set from outside the editor. */
  fresh = $state(0)
  readonly aborts = new Map<string, AbortController>()
  readonly previews = new Map<string, string>()
  private here: ReturnType<typeof setTimeout> | undefined
  private there: ReturnType<typeof setTimeout> | undefined
  private saving: Promise<void> = Promise.resolve()
  /** How often it was changed, and as of which change the server has it. */
  private changes = 0
  private savedAs = -1
  ended = false
  /** Whose signature it has, or would have; not said: nobody knows. */
  signedAs: string | undefined
  /** Takes over what stands in the editor. */
  flush?: () => boolean
  /** It was sent and waits for its files; what is changed then is not meant to go yet. */
  waits: (() => void) | undefined

  rest: Pick<Draft, 'inReplyTo' | 'references' | 'answers' | 'forwards' | 'of' | 'messageId' | 'emailId'>
  /** Set: it is written in this account, not in the one that signed in. */
  private held = $state.raw<Mail | undefined>(undefined)
  /** As whom it is written as soon as its draft is there. */
  going = $state.raw<{ mail: Mail; identityId: Id } | undefined>(undefined)

  /** Of a draft that is taken up again only what nobody types: all else is the letter's own from now on. */
  constructor(readonly desk: Desk, mail: Mail, readonly key: string, readonly kind: Draft['kind'], { inReplyTo, references, answers, forwards, of, messageId, emailId }: Letter['rest']) {
    this.rest = { inReplyTo, references, answers, forwards, ...(of === undefined ? {} : { of }), messageId, emailId }
    this.held = mail === desk.mail ? undefined : mail
  }

  /** The account it is written in: its draft lies there, and it goes out from there. */
  get mail(): Mail { return this.held ?? this.desk.mail }

  /** As whom it is written. */
  get as(): string { return `${this.mail.account} ${this.identityId}` }

  get draft(): Draft {
    return {
      key: this.key, account: this.mail.account, kind: this.kind, identityId: this.identityId, to: [...this.to], cc: [...this.cc], bcc: [...this.bcc], subject: this.subject,
      html: this.html, text: this.text, quoteHtml: this.quoteHtml, quoteText: this.quoteText, ...this.rest, pieces: $state.snapshot(this.pieces) as Piece[], plain: this.plain, sendAt: this.sendAt, changedAt: Date.now(),
    }
  }

  take(draft: Draft): void {
    this.to = draft.to
    this.cc = draft.cc
    this.bcc = draft.bcc
    this.subject = draft.subject
    this.identityId = draft.identityId
    this.html = draft.html
    this.text = draft.text
    this.quoteHtml = draft.quoteHtml
    this.quoteText = draft.quoteText
    this.pieces = draft.pieces
    this.plain = draft.plain
    this.sendAt = draft.sendAt
    this.fresh += 1
  }

  touched(): void {
    if (this.ended) return
    this.changes += 1
    this.problem = ''
    this.waits = undefined
    clearTimeout(this.here)
    clearTimeout(this.there)
    this.here = setTimeout(() => { void this.desk.mail.cache.putDraft(this.draft).then(() => { if (this.status !== 'saving') this.status = 'local' }) }, HERE_MS)
    this.there = setTimeout(() => { void this.save() }, THERE_MS)
  }

  stop(): void {
    this.ended = true
    clearTimeout(this.here)
    clearTimeout(this.there)
    for (const url of this.previews.values()) URL.revokeObjectURL(url)
  }

  async settled(): Promise<void> { await this.saving }

  /** The page may have ended before it heard that its draft was taken: under which id it lies there is asked first. */
  meet(): void {
    this.saving = this.saving.then(async () => {
      const id = (await this.desk.named(this.draft)).find((e) => '$draft' in e.keywords)?.id
      if (id !== undefined) this.rest = { ...this.rest, emailId: id }
    }).catch((error: unknown) => this.mail.failed(error))
  }

  /** One draft on the server: the new one takes the place of the old in one call. */
  save(): Promise<void> {
    this.saving = this.saving.then(() => this.saveOnce())
    return this.saving
  }

  /** As another of one's addresses. Into another account the draft goes along, with its files. */
  writeAs(mail: Mail, identityId: Id): void {
    const going = { mail, identityId }
    this.going = going
    this.saving = this.saving.then(() => this.goTo(mail, identityId)).finally(() => { if (this.going === going) this.going = undefined })
  }

  private async goTo(mail: Mail, identityId: Id): Promise<void> {
    const from = this.mail
    if (mail === from) { this.identityId = identityId; this.touched(); return }
    try {
      if (this.adrift) await this.adopt()
      const copy = await this.desk.copied(from, mail, this.pieces.flatMap((p) => p.blobId ?? []))
      const old = this.rest.emailId
      for (const piece of this.pieces) piece.blobId = piece.blobId === null ? null : copy(piece.blobId)
      this.held = mail === this.desk.mail ? undefined : mail
      this.identityId = identityId
      this.rest = { ...this.rest, emailId: null }
      await this.saveOnce()
      // The one here has taken its place; one that goes out just now does so, too.
      if (old !== null && (this.ended || this.rest.emailId !== null || isEmpty(this.draft))) await from.removal.dropDraft(old)
    } catch (error) {
      mail.failed(error)
      this.problem = error instanceof Offline ? t.signIn.noServer : error instanceof Error ? error.message : String(error)
    }
  }

  private async saveOnce(): Promise<void> {
    if (this.ended) return
    const { mail } = this
    const { draft, changes } = this
    if (isEmpty(draft) && draft.emailId === null) return
    this.status = 'saving'
    try {
      if (this.adrift) { await this.adopt(); draft.pieces = this.draft.pieces }
      const drafts = await mail.needed('drafts')
      const create = email(draft, this.desk.facts(draft, mail, drafts))
      const answers = await mail.jmap.call([['Email/set', { accountId: mail.account, create: { d: create }, ...(draft.emailId ? { destroy: [draft.emailId] } : {}) }, 's']])
      const set = answers.of<SetAnswer>('s')
      const id = set.created?.d?.id as Id | undefined
      if (id === undefined) throw new Refused(set.notCreated?.d?.type ?? 'refused', set.notCreated?.d?.description ?? '')
      this.rest = { ...this.rest, emailId: id }
      this.savedAs = changes
      await this.adopt()
      this.status = 'saved'
      this.savedAt = new Date()
      if (!this.ended) await this.desk.mail.cache.putDraft(this.draft)
    } catch (error) {
      mail.failed(error)
      this.status = 'local'
      if (error instanceof Refused) this.problem = error.message
    }
  }

  /** All that was typed goes to the server now: whether it is there. */
  async kept(): Promise<boolean> {
    if (this.flush?.()) this.changes += 1
    const isThere = (): boolean => this.ended || (this.savedAs === this.changes && !this.uploading) || (isEmpty(this.draft) && this.rest.emailId === null)
    if (!isThere()) await this.save()
    return isThere()
  }

  // ---- files

  /** The draft that had the files is gone from the server, and it is not known yet what they are called in the one in its place. */
  adrift = false

  /** The files are those of the draft on the server: what was uploaded is not kept there for long, nor a draft that another replaced. */
  async adopt(): Promise<void> {
    const { emailId } = this.rest
    if (emailId === null || !this.pieces.some((p) => p.blobId !== null)) return
    this.adrift = true
    const { jmap, account } = this.mail
    const answers = await jmap.call([['Email/get', { accountId: account, ids: [emailId], properties: ['attachments', 'htmlBody'] }, 'e']])
    const there = answers.of<{ list: Email[] }>('e').list.flatMap(files)
    for (const piece of this.pieces) {
      const at = there.findIndex((p) => piece.cid === null ? !p.cid && p.name === piece.name && p.type.toLowerCase() === piece.type.toLowerCase() : p.cid === piece.cid)
      if (piece.blobId !== null && at !== -1) piece.blobId = there.splice(at, 1)[0]?.blobId ?? piece.blobId
    }
    this.adrift = false
  }

  async attach(files: Iterable<File>, inline = false): Promise<Piece[]> {
    const max = this.mail.jmap.limit('maxSizeUpload', 50_000_000)
    const added: Piece[] = []
    for (const file of files) {
      const piece: Piece = { key: token(), name: file.name || 'picture.png', type: file.type || 'application/octet-stream', size: file.size, blobId: null, cid: inline ? contentId() : null, share: 0, error: null }
      if (file.size > max) piece.error = t.compose.tooLarge(file.name, mega(file.size), mega(max))
      this.pieces.push(piece)
      added.push(piece)
      this.desk.files.set(piece.key, file)
      if (piece.cid !== null) this.previews.set(piece.cid, URL.createObjectURL(file))
      if (piece.error === null) void this.upload(piece.key)
    }
    return added
  }

  async upload(key: string): Promise<void> {
    const file = this.desk.files.get(key)
    const find = (): Piece | undefined => this.pieces.find((p) => p.key === key)
    if (!file || !find()) return
    const abort = new AbortController()
    this.aborts.set(key, abort)
    const started = find()
    const { mail } = this
    if (started) started.error = null
    try {
      const done = await mail.jmap.upload(mail.account, file, (share) => { const p = find(); if (p) p.share = share }, abort.signal)
      const piece = find()
      // It is written in another account meanwhile.
      if (piece && this.mail !== mail) void this.upload(key)
      else if (piece) {
        piece.blobId = done.blobId; piece.size = done.size; piece.share = 1
        const { waits } = this
        this.touched()
        waits?.()
      }
    } catch (error) {
      const why = await whyNot(error, file, mail)
      const piece = find()
      if (piece) piece.error = why
    } finally { if (this.aborts.get(key) === abort) this.aborts.delete(key) }
  }

  /** What the editor can show of the pictures in a text; of one that cannot be had now, its place. */
  async preview(html: string): Promise<void> {
    const missing = this.pieces.filter((p) => p.cid !== null && !this.previews.has(p.cid) && shows(html, p.cid))
    await Promise.all(missing.map(async ({ cid, blobId, name, type }) => {
      const { jmap, account } = this.mail
      const picture = blobId === null ? new Blob([]) : await ask(jmap.download(account, blobId, name, type)).then((a) => a.blob(), () => new Blob([]))
      // One that came meanwhile stands in the editor.
      if (cid !== null && !this.ended && !this.previews.has(cid)) this.previews.set(cid, URL.createObjectURL(picture))
    }))
  }

  drop(key: string): void {
    this.aborts.get(key)?.abort()
    this.pieces = this.pieces.filter((p) => p.key !== key)
    this.touched()
  }

  get recipients(): string[] { return [...this.to, ...this.cc, ...this.bcc].map((a) => a.email.toLowerCase()) }

  get uploading(): boolean { return this.pieces.some((p) => p.blobId === null && p.error === null) }
}

export class Desk {
  letters = $state.raw<Letter[]>([])
  active = $state.raw<Letter | undefined>(undefined)
  /** A letter was asked for and cannot be typed into yet: what is typed meanwhile is kept for it. */
  readonly ahead = new Ahead()
  /** That letter, as soon as it is there. */
  private upcoming: Letter | undefined
  readonly files = new Map<string, File>()
  /** Keys of the drafts that are on their way to the server, or wait for it. */
  readonly outbox = new SvelteSet<string>()

  constructor(readonly app: App) {}

  /** The account that signed in: what is written is kept there in this browser, whichever of one's own it is written in. */
  get mail(): Mail { return this.app.home as Mail }
  private get mine(): string[] { return this.app.writers.flatMap((mail) => mail.identities).map((i) => i.email) }
  /** Where what has to do with messages of this account is written: there if it is one's own, whoever shares it. */
  private writer(of: Mail | undefined): Mail { return of?.writes ? of : this.mail }
  /** The account of a draft that goes out: never another than it was written in. */
  private owner(draft: Draft): Mail {
    const found = this.app.writers.find((mail) => mail.account === draft.account)
    if (!found) throw new Refused('accountNotFound', '')
    return found
  }

  facts(draft: Draft, mail: Mail, drafts: Id): Parameters<typeof email>[1] {
    const identity = mail.identities.find((i) => i.id === draft.identityId) ?? mail.identities[0]
    return { from: { name: identity?.name || null, email: identity?.email ?? this.app.address }, drafts, replyTo: identity?.replyTo ?? null, bcc: identity?.bcc ?? [], now: localDate(new Date()) }
  }

  private fresh(kind: Draft['kind'], mail: Mail): Letter {
    const domain = (mail.identities[0]?.email ?? this.app.address).split('@')[1] ?? 'localhost'
    const letter = new Letter(this, mail, token(), kind, { inReplyTo: null, references: null, answers: null, forwards: null, messageId: `${token()}@${domain}`, emailId: null })
    letter.identityId = mail.identities[0]?.id ?? ''
    return letter
  }

  private begin(): void { this.upcoming = undefined; this.ahead.begin() }

  /** It is not seen any more: if it never could be typed into, nothing is kept for it. */
  left(letter: Letter): void { if (this.upcoming === letter) this.ahead.end() }

  private show(letter: Letter): void {
    this.upcoming = letter
    this.letters = [...this.letters, letter]
    this.active = letter
  }

  /** The page is about to begin anew: nothing that was typed is lost. */
  async keep(): Promise<void> {
    const { active } = this
    const typedAhead = this.ahead.text()
    // What is for somebody already begins in its text, all else with whom it is for (`Compose.svelte`).
    if (active && typedAhead !== '' && active.to.length > 0) { active.html = answer.htmlOf(typedAhead) + active.html; active.text = `${typedAhead}\n${active.text}` }
    else if (active && typedAhead !== '') active.to = [...active.to, ...parsed(typedAhead)]
    await Promise.all(this.letters.filter((letter) => !letter.ended && !isEmpty(letter.draft)).map((letter) => this.mail.cache.putDraft(letter.draft)))
  }

  /** Whether of what is being written nothing lies on this device alone. */
  async isKept(): Promise<boolean> {
    const kept = await Promise.all(this.letters.map((letter) => letter.kept()))
    return kept.every(Boolean)
  }

  focus(letter: Letter): void { letter.minimised = false; this.active = letter }

  /** Of who writes as that (`Letter.as`), with the mark by which an editor knows it. */
  signature(as: string): string {
    const [account, id] = as.split(' ')
    return this.marked(this.app.writers.find((mail) => mail.account === account)?.identities.find((i) => i.id === id))
  }

  private marked(identity: Identity | undefined): string {
    const html = identity?.htmlSignature || (identity?.textSignature ? answer.htmlOf(identity.textSignature) : '')
    return html === '' ? '' : `<div ${SIGNATURE}="">${html}</div>`
  }

  private signed(letter: Letter): string {
    letter.signedAs = letter.as
    const html = this.marked(letter.mail.identities.find((i) => i.id === letter.identityId))
    return html === '' ? '' : `<div><br></div>${html}`
  }

  /** `of`: the account of what it has to do with; else the one that is looked at, if it is looked at alone. */
  async write(to: Address[] = [], subject = '', body = '', of?: Mail, isBegun = false): Promise<Letter> {
    if (!isBegun) this.begin()
    const letter = this.fresh('new', this.writer(of ?? (this.app.isJoined ? undefined : this.app.mail)))
    letter.to = to
    letter.subject = subject
    letter.html = (body ? answer.htmlOf(body) : '<div><br></div>') + this.signed(letter)
    this.show(letter)
    return letter
  }

  /** What a link asks for (`mailto:`), of this program or of any other. */
  async writeTo(href: string, of?: Mail): Promise<void> {
    this.begin()
    try {
      const { mailto } = await part(() => import('../data/mailto'))
      const { to, cc, bcc, subject, body } = mailto(href)
      const letter = await this.write(to, subject, body, of, true)
      letter.cc = cc
      letter.bcc = bcc
    } catch (error) { this.ahead.end(); this.app.told(error) }
  }

  /** `from`: the account it lies in. */
  async answer(kind: 'reply' | 'reply-all' | 'forward', id: Id, from: NonNullable<App['mail']>): Promise<void> {
    this.begin()
    try {
      const { email: of, safe } = await from.body(id)
      const letter = this.fresh(kind, this.writer(from))
      const { identities } = letter.mail
      const identity = identities.find((i) => i.email === answer.writtenTo(of, identities.map((one) => one.email)))
      if (identity) letter.identityId = identity.id
      const { to, cc } = answer.recipients(kind, of, this.mine)
      letter.to = to
      letter.cc = cc
      letter.subject = answer.subject(kind, of.subject)
      letter.html = '<div><br></div>' + this.signed(letter)
      const { html, cids } = pictured(safe ? apart(safe.html).html : '', files(of), contentId)
      // Who sent HTML without a text beside it is quoted as text by what one reads in it; `html` is all of it, however many parts it came in.
      const text = of.textBody.some((p) => p.type === 'text/html') ? answer.textOf(new DOMParser().parseFromString(html, 'text/html').body)
        : of.textBody.map((p) => of.bodyValues[p.partId ?? '']?.value ?? '').join('\n')
      this.quote(letter, kind, of, text, safe ? html : null)
      // An answer has the pictures of what it quotes, a forward all files.
      const taken = files(of).filter((p) => kind === 'forward' || cids.has(p.blobId ?? ''))
      const ours = await this.copied(from, letter.mail, taken.map((p) => p.blobId ?? ''))
      letter.pieces = taken.map((p) => pieceOf(p, ours(p.blobId ?? ''), cids.get(p.blobId ?? '') ?? null))
      if (kind === 'forward') letter.rest = { ...letter.rest, forwards: from.writes ? id : null, of: from.account }
      else letter.rest = { ...letter.rest, ...answer.threading(of), answers: from.writes ? id : null, of: from.account }
      this.show(letter)
    } catch (error) { this.ahead.end(); this.app.told(error) }
  }

  /** What blobs of one account are called in another, once they are there as well. */
  async copied(from: Mail, to: Mail, blobs: Id[]): Promise<(id: Id) => Id | null> {
    if (from === to || blobs.length === 0) return (id) => id
    const answers = await from.jmap.call([['Blob/copy', { fromAccountId: from.account, accountId: to.account, blobIds: blobs }, 'b']])
    const copied = answers.of<{ copied: Record<Id, Id> | null }>('b').copied ?? {}
    return (id) => copied[id] ?? null
  }

  private quote(letter: Letter, kind: Draft['kind'], of: Email, text: string, html: string | null): void {
    const when = (iso: string): string => new Date(iso).toLocaleString(undefined, { dateStyle: 'full', timeStyle: 'short' })
    const inside = html ?? answer.htmlOf(text)
    if (kind === 'forward') {
      const head = answer.forwardHead(of, when)
      letter.quoteText = [`-------- ${t.compose.forwarded} --------`, ...head.map(([k, v]) => `${k}: ${v}`), '', text].join('\n')
      letter.quoteHtml = `<div>-------- ${t.compose.forwarded} --------</div>${head.map(([k, v]) => `<div><b>${k}:</b> ${answer.escaped(v)}</div>`).join('')}<div><br></div>${inside}`
      return
    }
    const line = answer.headLine(of, when, t.compose)
    letter.quoteText = `${line}\n${answer.quotedText(text)}`
    letter.quoteHtml = `<div>${answer.escaped(line)}</div><blockquote type="cite">${inside}</blockquote>`
  }

  /** A message, whole, as a file of a new one. */
  async attachMessage(id: Id): Promise<void> {
    const from = this.app.mail ?? this.mail
    const row = from.rows.get(id)
    if (!row) return
    this.begin()
    try {
      const blobId = (await this.copied(from, this.writer(from), [row.blobId]))(row.blobId)
      const letter = await this.write([], answer.subject('forward', row.subject), '', from, true)
      letter.rest = { ...letter.rest, forwards: from.writes ? id : null, of: from.account }
      letter.pieces = [{ key: token(), name: `${fileName(row.subject)}.eml`, type: 'message/rfc822', size: row.size, blobId, cid: null, share: 1, error: null }]
      letter.touched()
    } catch (error) { this.ahead.end(); this.app.told(error) }
  }

  /** A draft of the server, opened to go on with. */
  async edit(id: Id, mail: Mail): Promise<void> {
    const open = this.letters.find((l) => l.rest.emailId === id && l.mail === mail)
    if (open) { this.focus(open); return }
    try {
      const kept = (await this.mail.cache.drafts()).find((d) => d.emailId === id && d.account === mail.account)
      if (kept) { const letter = new Letter(this, mail, kept.key, kept.kind, kept); letter.take(kept); this.show(letter); return }
      const { email: of, safe } = await mail.body(id)
      const letter = this.fresh('new', mail)
      const as = mail.identities.find((i) => same(i.email, of.from?.[0]?.email ?? ''))
      if (as) letter.identityId = as.id
      letter.rest = { inReplyTo: of.inReplyTo, references: of.references, answers: null, forwards: null, messageId: of.messageId?.[0] ?? letter.rest.messageId, emailId: id }
      letter.to = of.to ?? []
      letter.cc = of.cc ?? []
      letter.bcc = of.bcc ?? []
      letter.subject = of.subject ?? ''
      const { html, cids } = pictured(safe ? apart(safe.html).html : '', files(of), contentId)
      letter.html = safe ? html : answer.htmlOf(of.textBody.map((p) => of.bodyValues[p.partId ?? '']?.value ?? '').join('\n'))
      letter.pieces = files(of).map((p) => pieceOf(p, p.blobId, cids.get(p.blobId ?? '') ?? null))
      this.show(letter)
    } catch (error) { this.app.told(error) }
  }

  /** Closing keeps it as a draft. */
  async close(letter: Letter): Promise<void> {
    this.letters = this.letters.filter((l) => l !== letter)
    if (this.active === letter) this.active = this.letters.at(-1)
    if (isEmpty(letter.draft) && letter.rest.emailId === null) { letter.stop(); await this.mail.cache.dropDraft(letter.key); return }
    await letter.save()
    letter.stop()
    if (letter.status === 'saved') await this.mail.cache.dropDraft(letter.key)
  }

  async discard(letter: Letter): Promise<void> {
    const { draft } = letter
    this.letters = this.letters.filter((l) => l !== letter)
    if (this.active === letter) this.active = this.letters.at(-1)
    letter.stop()
    await letter.settled()
    await this.mail.cache.dropDraft(letter.key)
    const id = letter.rest.emailId
    let back: Id[] = []
    const { mail } = letter
    try { if (id !== null) back = await mail.removal.dropDraft(id) } catch (e) { mail.failed(e) }
    if (isEmpty(draft)) return
    // The one on the server comes back as well: its files are nowhere else.
    const again = async (): Promise<void> => { await this.reopen({ ...draft, emailId: back.length > 0 ? (await mail.removal.restore(back))[0] ?? null : null }) }
    toasts.show(t.done.draftDropped, { action: { label: t.act.undo, run: () => { again().catch((e: unknown) => this.app.told(e)) } } })
  }

  async reopen(draft: Draft): Promise<void> {
    const letter = new Letter(this, this.app.writers.find((mail) => mail.account === draft.account) ?? this.mail, draft.key, draft.kind, draft)
    letter.take({ ...draft, sendAt: null })
    await letter.adopt().catch((e: unknown) => this.mail.failed(e))
    this.show(letter)
    letter.touched()
    // Not some moments later only: what has just been taken back is there after a reload, too.
    await this.mail.cache.putDraft(letter.draft).catch((e: unknown) => this.mail.failed(e))
  }

  /** What was being written when the program ended, and what still has to go out. */
  async restore(): Promise<void> {
    for (const draft of await this.mail.cache.drafts()) {
      const mail = this.app.writers.find((one) => one.account === draft.account)
      if (!mail || this.letters.some((l) => l.key === draft.key)) continue
      if (draft.sendAt !== null) void this.postAgain(draft, draft.sendAt)
      else { const letter = new Letter(this, mail, draft.key, draft.kind, draft); letter.take(draft); letter.minimised = true; this.letters = [...this.letters, letter]; letter.meet() }
    }
  }

  /** The largest message that the server of an address takes, where it is known. */
  private readonly largest = new SvelteMap<string, number>()
  /** When an address may be asked for again. Nothing on the screen hears of it: who asks would ask for ever. */
  private readonly measured = new Map<string, number>()

  /** Asks what the receivers of a letter with files take. */
  async measure(letter: Letter): Promise<void> {
    if (letter.pieces.length === 0) return
    const now = Date.now()
    const recipients = letter.recipients.filter((email) => isAddress(email) && (this.measured.get(email) ?? 0) <= now)
    if (recipients.length === 0) return
    for (const email of recipients) this.measured.set(email, now + MEASURED_MS)
    try {
      const { largest } = await (await ask('/api/largest', { method: 'POST', headers: OURS, body: JSON.stringify({ recipients }) })).json() as { largest: Record<string, number> }
      for (const email of recipients) if (!(email in largest)) this.largest.delete(email)
      for (const [email, octets] of Object.entries(largest)) this.largest.set(email, octets)
    } catch (error) {
      for (const email of recipients) this.measured.set(email, Date.now() + UNMEASURED_MS)
      this.mail.failed(error)
    }
  }

  /** Who would not take it, and why; empty: all would, as far as is known. */
  tooLarge(letter: Letter): string {
    if (letter.pieces.length === 0) return ''
    const octets = weight(letter)
    const mb = (n: number): string => (n / 1e6).toLocaleString(undefined, { maximumFractionDigits: 1 })
    const ours = this.mail.jmap.limit('maxSizeUpload', Infinity)
    if (octets > ours) return t.compose.tooLargeHere(mb(octets), mb(ours))
    for (const email of letter.recipients) {
      const most = this.largest.get(email) ?? Infinity
      if (octets > most) return t.compose.tooLargeFor(email, mb(octets), mb(most))
    }
    return ''
  }

  /** Why it cannot go; empty: it can. */
  problem(letter: Letter): string {
    if (!this.mail.jmap.has(SUBMISSION)) return t.compose.cannotSend
    const all = [...letter.to, ...letter.cc, ...letter.bcc]
    if (all.length === 0) return t.compose.noRecipient
    const bad = all.find((a) => !isAddress(a.email))
    if (bad) return t.compose.badAddress(bad.email)
    if (this.tooLarge(letter) !== '') return this.tooLarge(letter)
    if (letter.uploading) return t.compose.uploading
    return letter.pieces.find((p) => p.error !== null)?.error ?? ''
  }

  async send(letter: Letter, at?: Date): Promise<void> {
    const wanted = letter.going?.mail
    if (wanted) {
      await letter.settled()
      // It says why itself. As somebody else than was chosen it does not go.
      if (letter.mail !== wanted) return
    }
    if (letter.ended) return
    const why = this.problem(letter)
    if (why !== '') {
      letter.problem = why
      if (why === t.compose.uploading) letter.waits = () => { void this.send(letter, at) }
      return
    }
    if (letter.subject.trim() === '' && !confirm(t.compose.noSubject)) return
    if (letter.pieces.length === 0 && /\b(attach(ed|ment)?|enclosed|angehängt|im anhang)\b/i.test(letter.text) && !confirm(t.compose.missing)) return
    letter.stop()
    // Signing out waits for it from now on.
    this.outbox.add(letter.key)
    const gone = (): void => {
      this.letters = this.letters.filter((l) => l !== letter)
      if (this.active === letter) this.active = this.letters.at(-1)
    }
    // As long as the server is still at what was saved before, nobody types into it any more; and it is kept here.
    const late = setTimeout(() => { gone(); void this.mail.cache.putDraft(letter.draft) })
    await letter.settled()
    if (letter.adrift) await letter.adopt().catch((e: unknown) => this.mail.failed(e))
    clearTimeout(late)
    const draft: Draft = { ...letter.draft, sendAt: (at ?? new Date()).toISOString() }
    // It is kept before it goes, and goes before the screen is drawn anew.
    const kept = this.mail.cache.putDraft(draft)
    this.outbox.delete(letter.key)
    const going = this.post(draft, draft.sendAt ?? '', at !== undefined)
    gone()
    this.mail.meet([...draft.to, ...draft.cc, ...draft.bcc], 1)
    await Promise.all([kept, going])
  }

  /** What was to go out when the program ended: perhaps it went, and the server is at it still. */
  private async postAgain(draft: Draft, sendAt: string): Promise<void> {
    if (Date.now() - draft.changedAt < FRESH_MS) await new Promise((done) => setTimeout(done, FRESH_MS))
    // Another window may have sent it, or taken it back, meanwhile.
    if (!(await this.mail.cache.drafts()).some((kept) => kept.key === draft.key && kept.sendAt === sendAt)) return
    await this.post({ ...draft, changedAt: 0 }, sendAt, Date.parse(sendAt) > Date.now())
  }

  private async post(draft: Draft, sendAt: string, scheduled = false): Promise<void> {
    if (this.outbox.has(draft.key)) return
    this.outbox.add(draft.key)
    const tried = draft.changedAt
    try {
      const sent = await alone(`send ${draft.key}`, async () => {
        const sent = await this.submit(draft, sendAt, scheduled, Date.now() - tried > FRESH_MS)
        await this.mail.cache.dropDraft(draft.key)
        return sent
      })
      const mail = this.owner(draft)
      if (sent) { this.told(draft, sent, scheduled); mail.submissions.set(sent.emailId, sent); mail.followNew() }
      void mail.sync()
    } catch (error) {
      if (error instanceof Offline) {
        this.mail.lost()
        toasts.show(t.done.waiting)
        const again = setInterval(() => { if (this.mail?.live) { clearInterval(again); this.outbox.delete(draft.key); void this.post({ ...draft, changedAt: 0 }, sendAt, scheduled) } }, 1000)
        return
      }
      this.app.told(error)
      void this.reopen(draft)
    }
    this.outbox.delete(draft.key)
  }

  /** What lies on the server under a draft's Message-ID. */
  async named(draft: Draft): Promise<Email[]> {
    const mail = this.owner(draft)
    const answers = await mail.jmap.call([
      ['Email/query', { accountId: mail.account, filter: { header: ['Message-ID', draft.messageId] }, limit: 5 }, 'q'],
      ['Email/get', { accountId: mail.account, '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ['id', 'keywords'] }, 'e'],
    ])
    return answers.maybe<{ list: Email[] }>('e')?.list ?? []
  }

  /** After a lost answer the Message-ID is looked for first. */
  private async wasSent(draft: Draft): Promise<boolean> { return (await this.named(draft)).some((e) => !('$draft' in e.keywords)) }

  private async submit(draft: Draft, sendAt: string, scheduled: boolean, again: boolean): Promise<Submission | undefined> {
    const mail = this.owner(draft)
    if (again && await this.wasSent(draft)) return undefined
    const drafts = await mail.needed('drafts')
    const sent = await mail.needed('sent')
    const facts = this.facts(draft, mail, drafts)
    const rcptTo = [...draft.to, ...draft.cc, ...draft.bcc, ...facts.bcc].filter((a, i, all) => all.findIndex((b) => same(a.email, b.email)) === i).map((a) => ({ email: a.email, parameters: null }))
    const hold = this.holdFor(mail, sendAt, scheduled)
    const submission = { identityId: draft.identityId, emailId: '#d', envelope: { mailFrom: { email: facts.from.email, parameters: hold > 0 ? { HOLDFOR: String(hold) } : null }, rcptTo } }
    const update: Record<string, unknown> = { [`mailboxIds/${drafts}`]: null, [`mailboxIds/${sent}`]: true, 'keywords/$draft': null }
    const answers = await mail.jmap.call([
      ['Email/set', { accountId: mail.account, create: { d: email(draft, facts) }, ...(draft.emailId ? { destroy: [draft.emailId] } : {}) }, 'e'],
      ['EmailSubmission/set', { accountId: mail.account, create: { s: submission }, onSuccessUpdateEmail: { '#s': update } }, 's'],
      ...(draft.answers ? [['Email/set', { accountId: draft.of ?? mail.account, update: { [draft.answers]: { 'keywords/$answered': true } } }, 'a'] as [string, Record<string, unknown>, string]] : []),
      ...(draft.forwards ? [['Email/set', { accountId: draft.of ?? mail.account, update: { [draft.forwards]: { 'keywords/$forwarded': true } } }, 'f'] as [string, Record<string, unknown>, string]] : []),
    ])
    const made = answers.of<SetAnswer>('e')
    const created = made.created?.d?.id as Id | undefined
    if (created === undefined) throw new Refused(made.notCreated?.d?.type ?? 'refused', made.notCreated?.d?.description ?? '')
    draft.emailId = created
    const set = answers.of<SetAnswer>('s')
    const found = set.created?.s as unknown as Submission | undefined
    if (!found) throw new Refused(set.notCreated?.s?.type ?? 'refused', set.notCreated?.s?.description ?? '')
    return { ...found, emailId: created }
  }

  /** Seconds the server holds it back: what was asked for, or the time to think again. */
  private holdFor({ jmap, account: id }: Mail, sendAt: string, scheduled: boolean): number {
    const account = jmap.session.accounts[id]?.accountCapabilities[SUBMISSION]
    const max = Number(account?.maxDelayedSend ?? 0)
    if (scheduled) return Math.min(max, Math.max(1, Math.round((Date.parse(sendAt) - Date.now()) / 1000)))
    return Math.min(max, this.app.choices.undo)
  }

  private told(draft: Draft, sent: Submission, scheduled: boolean): void {
    if (scheduled) { toasts.show(t.done.scheduled(new Date(draft.sendAt ?? '').toLocaleString()), { action: { label: t.act.undo, run: () => { void this.cancel(draft, sent) } } }); return }
    const seconds = this.app.choices.undo
    if (seconds === 0 || this.holdFor(this.owner(draft), '', false) === 0) { toasts.show(t.done.sent); return }
    toasts.show(t.done.sending, { seconds, action: { label: t.compose.undoSend, run: () => { void this.cancel(draft, sent) } } })
  }

  /** Takes back what the server still holds; it is a draft again. */
  private async takenBack(sent: Submission, mail: Mail): Promise<boolean> {
    const drafts = await mail.needed('drafts')
    const box = await mail.needed('sent')
    const patch = { [`mailboxIds/${drafts}`]: true, [`mailboxIds/${box}`]: null, 'keywords/$draft': true }
    const answers = await mail.jmap.call([['EmailSubmission/set', { accountId: mail.account, update: { [sent.id]: { undoStatus: 'canceled' } }, onSuccessUpdateEmail: { [sent.id]: patch } }, 's']])
    if (answers.of<SetAnswer>('s').notUpdated?.[sent.id]) { toasts.show(t.done.tooLate, { kind: 'error' }); void mail.sync(); return false }
    mail.submissions.delete(sent.emailId)
    toasts.show(t.done.cancelled)
    void mail.sync()
    return true
  }

  async cancel(draft: Draft, sent: Submission): Promise<void> {
    try { if (await this.takenBack(sent, this.owner(draft))) await this.reopen({ ...draft, emailId: sent.emailId }) } catch (error) { this.app.told(error) }
  }

  /** The same for a message whose draft is long gone from here. */
  async recall(sent: Submission): Promise<void> {
    const mail = this.app.writers.find((one) => one.submissions.get(sent.emailId)?.id === sent.id) ?? this.mail
    try { if (await this.takenBack(sent, mail)) { this.app.close(); await this.edit(sent.emailId, mail) } } catch (error) { this.app.told(error) }
  }
}
