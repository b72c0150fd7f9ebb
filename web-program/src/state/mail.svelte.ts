// One account: its mailboxes, the rows known, what waits to be told to the server, and how all of it is kept true.
// A change is on the screen first, in the journal second, with the server third; refused, its inverse brings it back.

import { untrack } from 'svelte'
import { SvelteMap, SvelteSet } from 'svelte/reactivity'
import { afterwards, waits, type Begun, type Body, type Cache, type KeptQuery, type Waiting } from '../data/cache'
import { same } from '../data/address'
import { applied, brought, counted, effective, inverse, moved, path, type Patch, type Patches } from '../data/patch'
import { met, type Person } from '../data/people'
import { strip } from '../data/row'
import { safe, type Safe } from '../data/safe'
import { askAgain } from '../data/sent'
import { keyword, LATER, ROOM, setting, until } from '../data/snooze'
import { Answers, Offline, Refused, SignedOut, type Call, type Jmap } from '../jmap/client'
import { Push, type States } from '../jmap/push'
import { MAIL, PROGRAM, ROW, SUBMISSION, WHOLE, type Changes, type Email, type Id, type Identity, type Mailbox, type Row, type SetAnswer, type Submission } from '../jmap/types'
import { t } from '../texts'
import { Book } from './book'
import type { First } from './first'
import { History, type Stood, type Waited } from './history'
import { List, type Asked } from './list.svelte'
import { Removal } from './removal'
import { toasts } from './toasts.svelte'

const LISTS_MAX = 12
/** So long a search is the server's alone, before what it found once is looked for here. */
const ANSWER_MS = 40

/** What a right is needed for; one that is a role is a move there. */
export type Doing = 'archive' | 'trash' | 'junk' | 'inbox' | 'move' | 'destroy' | 'keywords' | 'seen'

/** See Mail.pieces: of 400 each. */
const PIECES_MAX = 10

export class Mail {
  readonly mailboxes = new SvelteMap<Id, Mailbox>()
  readonly rows = new SvelteMap<Id, Row>()
  readonly threads = new SvelteMap<Id, Id[]>()
  readonly submissions = new SvelteMap<Id, Submission>()
  readonly people: SvelteMap<string, Person>
  readonly selected = new SvelteSet<Id>()
  identities = $state.raw<Identity[]>([])
  current = $state.raw<List | undefined>(undefined)
  /** What is searched for, before it is shown. */
  sought: List | undefined
  live = $state(false)
  offlineSince = $state<Date | undefined>(undefined)
  waiting = $state(0)
  /** The server was asked what is there. */
  isBooted = false
  /** What it says first came with the page. */
  private isGiven = false
  visible: [number, number] = [0, 50]
  /** Something in the inbox is, or was just now, pinned. */
  pins = $state(false)
  /** Some conversation is muted. */
  private mutes = false
  private waking: ReturnType<typeof setTimeout> | undefined

  /** The beginning of the list that was looked at last, whose rows are here already. */
  private first: KeptQuery | undefined
  /** Rows that are known from here alone: the server has not said them since. */
  private readonly unsaid = new Set<Id>()
  private readonly lists = new Map<string, List>()
  private readonly bodies = new Map<Id, Body>()
  private readonly loading = new Map<Id, Promise<Body>>()
  readonly book = new Book(this)
  readonly removal = new Removal(this)
  /** One for all accounts. */
  readonly history: History
  private pending: (Waiting & { sent?: boolean })[] = []
  private draining = false
  /** How many acts the server has answered. */
  private settled = 0
  private push: Push | undefined
  private following: ReturnType<typeof setTimeout> | undefined
  private followed = 0
  private states: Record<string, string> = {}
  private syncing: Promise<void> | undefined
  private syncAgain = false
  /** Pieces of what changed, in a row, behind which there was more. */
  private pieces = 0

  /** `home`: one's own, when this is an account of others who share something of it. */
  constructor(public jmap: Jmap, readonly account: Id, readonly cache: Cache, private readonly signedOut: () => void, readonly home?: Mail) {
    this.people = home?.people ?? new SvelteMap<string, Person>()
    this.identities = this.writes ? [] : home?.identities ?? []
    this.history = home?.history ?? new History()
  }

  // ---- start and end

  async fromCache(): Promise<boolean> {
    const begun = await this.cache.begun()
    if (!begun) return false
    this.take(begun)
    return true
  }

  take({ kept, first, journal, people }: Begun): void {
    for (const box of kept.mailboxes) this.mailboxes.set(box.id, box)
    this.pending = journal.filter((w) => w.account === this.account)
    this.waiting = this.pending.length
    if (first) {
      for (const [thread, ids] of Object.entries(first.query.threads)) this.threads.set(thread, ids)
      this.learn(first.rows, true)
      this.first = first.query
    }
    if (this.writes) this.identities = kept.identities
    if (this.home) return
    for (const person of people) this.people.set(person.email, person)
  }

  /** What came with the page, instead of asking for it. */
  give({ about, list }: First): void {
    this.about(new Answers(about))
    this.isGiven = true
    if (!list) return
    const { filter, collapse, sort } = list.asked
    const named = sort.map(({ property, keyword, isAscending }) => ({ property, ...(keyword === undefined ? {} : { keyword }), isAscending }))
    this.list({ filter, collapse, sort: named }).take(new Answers(list.answers), 0)
  }

  /** What was kept, when the rest came with the page. What waits for the server was done before anything that one did since. */
  resume({ kept, journal, people }: Begun): void {
    if (this.identities.length === 0) this.identities = kept.identities
    for (const person of people) if (!this.people.has(person.email)) this.people.set(person.email, person)
    const before = journal.filter((w) => w.account === this.account && !this.pending.some((p) => p.seq === w.seq))
    this.pending = [...before, ...this.pending]
    this.waiting = this.pending.length
    for (const { patches } of before) { this.apply(patches); this.leave(patches) }
  }

  private about(answers: Answers): void {
    this.takeMailboxes(answers.of('m'))
    this.states.Email = answers.of<{ state: string }>('e').state
    if (!this.writes) return
    if ((answers.maybe<{ ids: Id[] }>('pins')?.ids.length ?? 0) > 0) this.pins = true
    this.mutes = (answers.maybe<{ ids: Id[] }>('mutes')?.ids.length ?? 0) > 0
  }

  async boot(): Promise<void> {
    const any = (keyword: string): Record<string, unknown> => ({ accountId: this.account, filter: { hasKeyword: keyword }, limit: 1 })
    const { isGiven } = this
    const calls: Call[] = isGiven ? [] : [['Mailbox/get', { accountId: this.account, ids: null }, 'm'], ['Email/get', { accountId: this.account, ids: [] }, 'e'], ['Email/query', any('$pinned'), 'pins'], ['Email/query', any('$muted'), 'mutes']]
    if (this.sends) calls.push(['Identity/get', { accountId: this.account, ids: null }, 'i'], ...this.submissionCalls())
    calls.push(...this.book.calls)
    const answers = calls.length === 0 ? new Answers([]) : await this.jmap.call(calls)
    this.isGiven = false
    if (!isGiven) this.about(answers)
    await this.narrowed(this.states.Email ?? '')
    const identities = answers.maybe<{ list: Identity[] }>('i')
    if (identities) this.identities = identities.list
    this.takeSubmissions(answers.maybe('s'))
    this.book.take(answers.maybe('people'))
    this.keep()
    this.found()
    this.isBooted = true
    for (const list of this.lists.values()) list.caughtUp()
    // What was not done by its owner's programs is not done by others'.
    if (this.home) {
      if (this.writes) { void this.passMuted(); void this.wake() }
      void this.drain()
      void this.current?.refresh(this.visible)
      return
    }
    if (!this.push) this.push = new Push(this.jmap.session, (s) => this.told(s), (l) => { if (l === 'live') this.back(); else { this.live = false; this.missed = true } }, () => { void this.sync() })
    this.jmap.line = this.push
    void this.passMuted()
    void this.wake()
    void this.drain()
    if (this.people.size === 0) void this.meetSent()
  }

  /** Whom one wrote to before: the first time on this device. */
  private async meetSent(): Promise<void> {
    const sent = this.role('sent')
    if (!sent || sent.totalEmails === 0) return
    try {
      const answers = await this.jmap.call([['Email/query', { accountId: this.account, filter: { inMailbox: sent.id }, sort: [{ property: 'receivedAt', isAscending: false }], limit: 200 }, 'q'], ['Email/get', { accountId: this.account, '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ['to', 'cc'] }, 'e']])
      for (const email of answers.of<{ list: Email[] }>('e').list) this.meet([...(email.to ?? []), ...(email.cc ?? [])], 1)
    } catch (error) { this.failed(error) }
  }

  close(): void { this.push?.close(); clearTimeout(this.following); clearTimeout(this.waking) }

  private keep(): void {
    void this.cache.keep({ session: this.jmap.session, mailboxes: [...this.mailboxes.values()], identities: this.identities })
  }

  /** The server is there again: an account that is not one's own has no line to it. */
  async revisit(): Promise<void> {
    try {
      if (!this.isBooted) await this.boot()
      else { void this.drain(); await this.sync() }
    } catch (error) { this.failed(error) }
  }

  /** The line broke, and what came meanwhile was not told; nobody need have asked for anything in that time. */
  private missed = false

  private back(): void {
    this.live = true
    const was = this.offlineSince !== undefined || this.missed
    this.missed = false
    this.found()
    void this.drain()
    if (was) { void this.sync({ Email: '', Mailbox: '', EmailSubmission: '', Identity: '', Person: '' }); this.again?.() }
    else { void this.compare(); this.beside?.() }
  }

  /** What happened after the account was asked and before the line stood is told by nobody. */
  async compare(): Promise<void> {
    const types = ['Email', 'Mailbox']
    try {
      const answers = await this.jmap.call(types.map((type) => [`${type}/get`, { accountId: this.account, ids: [] }, type]))
      this.told({ [this.account]: Object.fromEntries(types.map((type) => [type, answers.of<{ state: string }>(type).state])) })
    } catch (error) { this.failed(error) }
  }

  /** What the account is known as. */
  get emailState(): string | undefined { return this.states.Email }

  /** The server answered. */
  found(): void { this.offlineSince = undefined }
  /** It did not; that it is back, the line of one's own account tells. */
  lost(): void { this.live = false; this.offlineSince ??= new Date(); this.home?.lost() }

  failed(error: unknown): void {
    if (error instanceof SignedOut) this.signedOut()
    else if (error instanceof Offline) this.lost()
    else if (!(error instanceof DOMException && error.name === 'AbortError')) console.warn('packetboat:', error)
  }

  // ---- mailboxes

  private takeMailboxes(answer: { list: Mailbox[]; state: string }): void {
    this.states.Mailbox = answer.state
    const ids = new Set(answer.list.map((b) => b.id))
    for (const id of this.mailboxes.keys()) if (!ids.has(id)) this.mailboxes.delete(id)
    for (const box of answer.list) this.mailboxes.set(box.id, box)
  }

  role(role: string): Mailbox | undefined {
    for (const box of this.mailboxes.values()) if (box.role === role) return box
    return undefined
  }

  label(box: Mailbox): string { return (box.role !== null && t.roles[box.role]) || box.name }

  /** The path of names, for pickers. */
  pathOf(box: Mailbox): string {
    const parent = box.parentId === null ? undefined : this.mailboxes.get(box.parentId)
    return parent ? `${this.pathOf(parent)} / ${this.label(box)}` : this.label(box)
  }

  named(name: string): Id | undefined {
    const wanted = name.toLowerCase()
    for (const box of this.mailboxes.values()) {
      if (box.role === wanted || box.name.toLowerCase() === wanted || this.label(box).toLowerCase() === wanted || box.id === name) return box.id
    }
    for (const box of this.mailboxes.values()) if (this.pathOf(box).toLowerCase() === wanted) return box.id
    return undefined
  }

  async create(name: string, parentId: Id | null, role: string | null = null): Promise<Id> {
    const answers = await this.jmap.call([['Mailbox/set', { accountId: this.account, create: { n: { name, parentId, isSubscribed: true, ...(role ? { role } : {}) } } }, 's'], ['Mailbox/get', { accountId: this.account, ids: null }, 'm']])
    const set = answers.of<SetAnswer>('s')
    const id = set.created?.n?.id as Id | undefined
    if (id === undefined) throw new Refused(set.notCreated?.n?.type ?? 'refused', set.notCreated?.n?.description ?? '')
    this.takeMailboxes(answers.of('m'))
    this.keep()
    return id
  }

  async changeMailbox(id: Id, patch: Record<string, unknown> | null): Promise<void> {
    const change = patch === null ? { destroy: [id], onDestroyRemoveEmails: true } : { update: { [id]: patch } }
    const answers = await this.jmap.call([['Mailbox/set', { accountId: this.account, ...change }, 's'], ['Mailbox/get', { accountId: this.account, ids: null }, 'm']])
    const set = answers.of<SetAnswer>('s')
    const refused = set.notUpdated?.[id] ?? set.notDestroyed?.[id]
    if (refused) throw new Refused(refused.type, refused.description ?? '')
    this.takeMailboxes(answers.of('m'))
    this.keep()
  }

  /** The archive, the trash ...: made when it is first needed. */
  async needed(role: string): Promise<Id> {
    return this.role(role)?.id ?? await this.create(t.roles[role] ?? role, null, role)
  }

  // ---- rows

  /** Whose mail it is. */
  get owner(): string { return this.jmap.session.accounts[this.account]?.name ?? this.account }

  /** A row, for who need not hear of its changes. */
  peek(id: Id): Row | undefined { return untrack(() => this.rows.get(id)) }

  /** Rows from the server (or the cache), with what we changed and it does not know yet on top. */
  learn(rows: readonly Row[], fromCache = false): void {
    for (const row of rows) {
      if (fromCache && this.rows.has(row.id)) continue
      let now = row
      for (const waiting of this.pending) {
        const patch = waiting.patches[row.id]
        if (patch) now = applied(now, patch)
      }
      this.rows.set(row.id, now)
      if (fromCache) this.unsaid.add(row.id)
      else this.unsaid.delete(row.id)
    }
    if (!fromCache && rows.length > 0) afterwards(() => this.cache.putRows(rows))
  }

  *pendingIds(): Iterable<Id> { for (const w of this.pending) yield* Object.keys(w.patches) }

  /** What acts that the server has not heard of yet bring into a mailbox. */
  brought(box: Id): Set<Id> { return new Set(this.pending.flatMap((w) => brought(w.patches, box)).filter((id) => box in (this.peek(id)?.mailboxIds ?? {}))) }

  /** Asks for what the screen shows; once more when an act of ours went through meanwhile, for the answer may be of before it. Who goes on acting does not wait for ever. */
  async ask(calls: Call[], isPassed?: () => boolean): Promise<Answers> {
    for (let tries = 1, settled = this.settled; ; tries++, settled = this.settled) {
      const answers = await this.jmap.call(calls, undefined, isPassed)
      if (settled === this.settled || tries === 3) return answers
    }
  }

  list(asked: Asked): List {
    const key = JSON.stringify(asked)
    let list = this.lists.get(key)
    if (!list) {
      const made = new List(this, asked)
      list = made
      // Once: later on it is of another time.
      const { first } = this
      if (first?.key === key) { this.first = undefined; untrack(() => made.begin(first.ids)) }
      this.lists.set(key, list)
      // First the server is asked. What it finds it mostly says before what was found once could be read.
      if (made.isSearch && untrack(() => this.offlineSince) === undefined) setTimeout(() => { void made.fromCache() }, ANSWER_MS)
      else queueMicrotask(() => { void made.fromCache() })
      if (this.lists.size > LISTS_MAX) {
        const oldest = this.lists.keys().next().value
        if (oldest !== undefined && oldest !== this.current?.key) this.lists.delete(oldest)
      }
    } else {
      this.lists.delete(key)
      this.lists.set(key, list)
    }
    return list
  }

  thread(row: Row): Row[] {
    const ids = this.threads.get(row.threadId)
    const all = ids?.map((id) => this.rows.get(id)).filter((r): r is Row => r !== undefined) ?? []
    return all.length > 0 ? all : [row]
  }

  // ---- changes

  /** The messages an act on a row means: of a conversation all that lie in the mailbox that is shown. */
  meant(ids: Iterable<Id>, everywhere = false): Row[] {
    const box = this.current?.asked.filter.inMailbox
    const found = new Map<Id, Row>()
    for (const id of ids) {
      const row = this.rows.get(id)
      if (!row) continue
      const all = this.current?.asked.collapse ? this.thread(row) : [row]
      for (const one of all) {
        if (everywhere || one.id === id || typeof box !== 'string' || box in one.mailboxIds) found.set(one.id, one)
      }
    }
    return [...found.values()]
  }

  /** `text`: what to say of it, or of so many. `until`: they go away until then; `waited`: until when they did before. */
  act(patches: Patches, text: string | ((n: number) => string), keep = true, until?: string, waited: Waited = {}): boolean {
    const told: Patches = {}
    const back: Patches = {}
    for (const [id, patch] of Object.entries(patches)) {
      const row = this.rows.get(id)
      if (!row) continue
      const real = effective(row, patch)
      // Another time to come back changes nothing that is seen.
      if (Object.keys(real).length === 0 && until === undefined) continue
      told[id] = real
      back[id] = inverse(row, real)
    }
    if (Object.keys(told).length === 0) return false
    this.apply(told)
    const stood = this.leave(told)
    if (keep) {
      const n = Object.keys(patches).length
      const say = typeof text === 'string' ? () => text : text
      this.history.push({ mail: this, patches: back, stood, waited: until === undefined ? undefined : waited }, { n, text: say })
      this.say(say(n))
    }
    void this.record(told, back, keep, until)
    return true
  }

  private apply(patches: Patches): void {
    for (const [id, patch] of Object.entries(patches)) {
      const row = this.rows.get(id)
      if (!row) continue
      const after = applied(row, patch)
      this.rows.set(id, after)
      const kept = this.bodies.get(id)
      if (kept) kept.email = applied(kept.email, patch)
      for (const [box, by] of counted(row, after)) {
        const had = this.mailboxes.get(box)
        if (had) this.mailboxes.set(box, { ...had, totalEmails: had.totalEmails + by.total, unreadEmails: Math.max(0, had.unreadEmails + by.unread), unreadThreads: Math.max(0, had.unreadThreads + by.unread) })
      }
    }
  }

  /** Takes rows out of the lists they no longer belong to. */
  private leave(patches: Patches): Stood {
    const stood: Stood = []
    for (const list of this.lists.values()) {
      const gone = new Set(Object.keys(patches).filter((id) => { const row = this.rows.get(id); return row !== undefined && !list.holds(row) }))
      if (gone.size === 0) continue
      const removed = list.order.remove(gone)
      if (removed.length > 0) { stood.push([list, removed]); list.changed() }
      for (const id of gone) this.selected.delete(id)
    }
    return stood
  }

  /** What was done, with its way back. */
  say(text: string): void { if (text !== '') toasts.show(text, { action: { label: t.act.undo, run: () => this.undo() } }) }

  /** Takes back the last act, in whichever accounts it was. */
  undo(): void {
    const { settled } = this.history
    if (settled) void settled.then(() => { this.undoLast() })
    else this.undoLast()
  }

  private undoLast(): void {
    const last = this.history.pop()
    if (!last) { toasts.show(t.done.nothing); return }
    const asked: Promise<unknown>[] = []
    for (const part of last) {
      if ('run' in part) asked.push(part.run())
      else part.mail.takeUp(part.patches, part.stood, part.waited)
    }
    if (asked.length === 0) toasts.show(t.done.undone)
    else void Promise.all(asked).then(() => toasts.show(t.done.undone), (e: unknown) => { this.failed(e); toasts.show(t.done.refused(e instanceof Error ? e.message : ''), { kind: 'error' }) })
  }

  /** Something was done that no patch of messages takes back. */
  did(text: string | ((n: number) => string), run: () => Promise<unknown>, n = 1): void {
    const say = typeof text === 'string' ? () => text : text
    this.history.push({ run }, { n, text: say })
    this.say(say(n))
  }

  private takeUp(patches: Patches, stood: Stood, waited?: Waited): void {
    const told: Patches = {}
    const back: Patches = {}
    for (const [id, patch] of Object.entries(patches)) {
      const row = this.rows.get(id)
      if (!row) continue
      told[id] = effective(row, patch)
      back[id] = inverse(row, patch)
    }
    this.apply(told)
    for (const [list, rows] of stood) {
      list.order.restore(rows)
      list.changed()
    }
    if (!waited) { void this.record(told, back); return }
    // Those that waited before wait again as they did, each until its own time; the others do not any more.
    const times = new Map<string | null, Id[]>()
    for (const id of Object.keys(told)) { const at = waited[id] ?? null; times.set(at, [...times.get(at) ?? [], id]) }
    const of = (all: Patches, ids: Id[]): Patches => Object.fromEntries(ids.map((id) => [id, all[id] ?? {}]))
    for (const [at, ids] of times) void this.record(of(told, ids), of(back, ids), true, at)
  }

  private async record(patches: Patches, back: Patches, keep = true, until?: string | null): Promise<void> {
    const entry: Waiting = { account: this.account, patches, inverse: back, ...(keep ? {} : { quiet: true }), ...(until === undefined ? {} : { until }) }
    this.pending.push(entry)
    this.waiting = this.pending.length
    if (!this.home) waits.is = true
    const seq = await this.cache.write({ ...entry })
    if (seq > 0) entry.seq = seq
    await this.drain()
  }

  async drain(): Promise<void> {
    if (this.draining) return
    this.draining = true
    try {
      while (this.pending.length > 0) {
        const entry = this.pending[0] as Waiting
        const answers = await this.jmap.call(entry.until === undefined ? [['Email/set', { accountId: this.account, update: entry.patches }, 's']] : this.snoozeCalls(entry))
        const set = answers.of<SetAnswer>('s')
        const snoozed = answers.maybe<SetAnswer>('z')
        this.settle(entry)
        this.found()
        const failed = [...Object.entries(set.notUpdated ?? {}), ...Object.entries(snoozed?.notCreated ?? {})]
        const refused = failed.filter(([, e]) => e.type !== 'notFound') // that has no way back, but may stand in the list
        if (failed.length > 0) this.takeBack(entry, refused.map(([id]) => id), refused[0]?.[1].description ?? refused[0]?.[1].type ?? '')
      }
    } catch (error) {
      if (error instanceof Refused) {
        const entry = this.pending[0]
        if (entry) { this.settle(entry); this.takeBack(entry, Object.keys(entry.patches), error.message) }
      } else this.failed(error)
    } finally {
      this.draining = false
      if (!this.home && this.pending.length === 0) waits.is = false
    }
  }

  private settle(entry: Waiting): void {
    this.pending.shift()
    this.waiting = this.pending.length
    this.settled += 1
    if (entry.seq !== undefined) void this.cache.strike(entry.seq)
  }

  private takeBack(entry: Waiting, ids: Id[], why: string): void {
    const back: Patches = {}
    for (const id of ids) { const patch = entry.inverse[id]; if (patch) back[id] = patch }
    this.apply(back)
    // What the program did by itself is taken back without a word.
    if (ids.length > 0 && !entry.quiet) toasts.show(t.done.refused(why), { kind: 'error' })
    if (this.current) void this.current.again(this.visible)
  }

  // ---- the acts

  flag(ids: Iterable<Id>, keyword: string, on: boolean, text: string, everywhere = false): void {
    const patches: Patches = {}
    for (const row of this.meant(ids, everywhere)) patches[row.id] = { [path('keywords', keyword)]: on || null }
    this.act(patches, text)
  }

  seen(ids: Iterable<Id>, on: boolean, quiet = false): void {
    const patches: Patches = {}
    for (const id of ids) {
      const row = this.rows.get(id)
      const all = row && !quiet && this.current?.asked.collapse ? this.meant([id]) : row ? [row] : []
      for (const one of all) patches[one.id] = { [path('keywords', '$seen')]: on || null }
    }
    this.act(patches, quiet ? '' : on ? t.done.read : t.done.unread, !quiet)
  }

  async move(ids: Iterable<Id>, to: Id, text: (n: number) => string, keywords: Patch = {}): Promise<void> {
    const patches: Patches = {}
    const rows = this.meant(ids)
    // Where its owner lets nobody mark it, it is moved all the same.
    for (const row of rows) patches[row.id] = { ...moved(row, to), ...(this.may(row, 'maySetKeywords') ? keywords : {}) }
    this.act(patches, text)
  }

  async toRole(ids: Iterable<Id>, role: string, text: (n: number) => string, keywords: Patch = {}): Promise<void> {
    try {
      await this.move(ids, await this.needed(role), text, keywords)
    } catch (error) {
      this.failed(error)
      toasts.show(t.done.refused(error instanceof Error ? error.message : ''), { kind: 'error' })
    }
  }

  /** Whole conversations; what lies in the inbox goes to the archive. */
  async mute(ids: Iterable<Id>): Promise<void> {
    try {
      const archive = await this.needed('archive')
      const inbox = this.role('inbox')?.id
      const patches: Patches = {}
      for (const row of this.meant(ids, true)) patches[row.id] = { [path('keywords', '$muted')]: true, ...(inbox !== undefined && inbox in row.mailboxIds ? moved(row, archive, inbox) : {}) }
      this.mutes = true
      this.act(patches, t.done.muted)
    } catch (error) { this.failed(error) }
  }

  /** Answers in conversations that are muted go past the inbox: done by whichever of one's programs is open. */
  private async passMuted(): Promise<void> {
    const inbox = this.role('inbox')?.id
    const archive = this.role('archive')?.id
    if (!this.mutes || inbox === undefined || archive === undefined) return
    try {
      const filter = { operator: 'AND', conditions: [{ inMailbox: inbox }, { someInThreadHaveKeyword: '$muted' }] }
      const answers = await this.jmap.call([['Email/query', { accountId: this.account, filter, limit: 200 }, 'q'], ['Email/get', { accountId: this.account, '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ROW }, 'e']])
      const rows = answers.of<{ list: Row[] }>('e').list
      this.learn(rows)
      this.act(Object.fromEntries(rows.map((row) => [row.id, { ...moved(row, archive, inbox), [path('keywords', '$muted')]: true as const }])), '', false)
    } catch (error) { this.failed(error) }
  }

  /** Out of the way until then: by the server's clock, or where it has none in the mailbox Later, with its time as a keyword. */
  async snooze(ids: Iterable<Id>, at: Date): Promise<void> {
    const said = t.done.snoozed(at.toLocaleString(undefined, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }))
    try {
      if (this.isOurs) {
        const room = [...this.mailboxes.values()].find((b) => b.parentId === null && b.name === ROOM)?.id ?? await this.create(ROOM, null)
        const rows = this.meant(ids)
        const waited = await this.waited(rows.filter((row) => room in row.mailboxIds).map((row) => row.id))
        // It comes back on top of the inbox.
        this.pins = true
        this.act(Object.fromEntries(rows.map((row) => [row.id, { ...moved(row, room), [path('keywords', '$pinned')]: true as const }])), said, true, at.toISOString(), waited)
        return
      }
      const box = this.named(LATER) ?? await this.create(LATER, null)
      const patches: Patches = {}
      for (const row of this.meant(ids)) {
        const before = until(row.keywords)
        patches[row.id] = { ...moved(row, box), ...(before ? { [path('keywords', before.keyword)]: null } : {}), [path('keywords', keyword(at))]: true }
      }
      this.act(patches, said)
      this.wakeAt(at.getTime())
    } catch (error) { this.failed(error); toasts.show(t.done.refused(error instanceof Error ? error.message : ''), { kind: 'error' }) }
  }

  /** Until when these wait already. Without a network nobody can say: they would be called back. */
  private async waited(ids: readonly Id[]): Promise<Waited> {
    if (ids.length === 0) return {}
    try {
      const answers = await this.jmap.call([['Snooze/get', { accountId: this.account, ids }, 'w']])
      return Object.fromEntries(answers.of<{ list: { id: Id; until: string }[] }>('w').list.map(({ id, until }) => [id, until]))
    } catch (error) { if (!(error instanceof Offline)) throw error; return {} }
  }

  /** How the server is told of what goes away until a time, or comes back before it. */
  private snoozeCalls(entry: Waiting): Call[] {
    const inbox = this.role('inbox')?.id ?? ''
    const isSeen = (id: Id): boolean => '$seen' in (this.rows.get(id)?.keywords ?? {})
    return setting(entry, this.account, inbox, isSeen, Date.now())
  }

  private wakeAt(time: number): void {
    clearTimeout(this.waking)
    this.waking = setTimeout(() => { void this.wake() }, Math.min(600_000, Math.max(500, time - Date.now() + 500)))
  }

  /** What is due in Later comes back to the inbox, unread and on top: done by whichever of one's programs is open. */
  async wake(): Promise<void> {
    const inbox = this.role('inbox')?.id
    const box = this.named(LATER)
    if (inbox === undefined || box === undefined) return
    try {
      const answers = await this.jmap.call([['Email/query', { accountId: this.account, filter: { inMailbox: box }, limit: 500 }, 'q'], ['Email/get', { accountId: this.account, '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ROW }, 'e']])
      const rows = answers.of<{ list: Row[] }>('e').list
      this.learn(rows)
      const patches: Patches = {}
      let next = Infinity
      for (const row of rows) {
        const due = until(row.keywords)
        if (!due) continue
        if (due.at.getTime() > Date.now()) { next = Math.min(next, due.at.getTime()); continue }
        patches[row.id] = { ...moved(row, inbox), [path('keywords', due.keyword)]: null, [path('keywords', '$seen')]: null, [path('keywords', '$pinned')]: true }
      }
      if (Object.keys(patches).length > 0) { this.pins = true; this.act(patches, '', false); void this.drain().then(() => this.sync()) }
      if (next !== Infinity) this.wakeAt(next)
    } catch (error) { this.failed(error) }
  }

  /** These are there no more. */
  dropRows(ids: readonly Id[]): void {
    for (const list of this.lists.values()) { if (list.order.remove(new Set(ids)).length > 0) list.changed() }
    for (const id of ids) { this.rows.delete(id); this.selected.delete(id) }
    void this.cache.forget(ids)
  }

  /** Another name, or another place. */
  async renameMailbox({ id, name, parentId }: Mailbox, to: { name: string; parentId: Id | null }): Promise<void> {
    await this.changeMailbox(id, to)
    if (name !== to.name || parentId !== to.parentId) this.did(t.folder.renamed(to.name), () => this.changeMailbox(id, { name, parentId }))
  }

  // ---- bodies

  keptBody(id: Id): Body | undefined { return this.bodies.get(id) }

  /** `now`: one waits for it. Its HTML is asked for with the rest then, though there may be none. */
  body(id: Id, now = false): Promise<Body> {
    const here = this.bodies.get(id)
    if (here) return Promise.resolve(here)
    let under = this.loading.get(id)
    if (!under) {
      under = this.fetchBody(id, now).finally(() => this.loading.delete(id))
      this.loading.set(id, under)
    }
    return under
  }

  private async fetchBody(id: Id, now: boolean): Promise<Body> {
    const kept = await this.cache.body(id)
    if (kept) {
      const row = this.rows.get(id)
      if (row) kept.email = { ...kept.email, keywords: row.keywords, mailboxIds: row.mailboxIds }
      this.bodies.set(id, kept)
      return kept
    }
    const early = now ? safe(this.account, id, false) : undefined
    early?.catch(() => undefined)
    const answers = await this.jmap.call([['Email/get', { accountId: this.account, ids: [id], properties: WHOLE, fetchTextBodyValues: true, maxBodyValueBytes: 1_000_000 }, 'e']])
    const email = answers.of<{ list: Email[] }>('e').list[0]
    if (!email) throw new Refused('notFound', t.reader.gone)
    this.learn([strip(email)])
    const html = email.htmlBody.some((p) => p.type === 'text/html')
    const clean = html ? await (early ?? safe(this.account, id, false)) : null
    return this.holdBody(email, clean)
  }

  holdBody(email: Email, clean: Safe | null): Body {
    const body: Body = { id: email.id, email, safe: clean, at: Date.now(), size: (clean?.html.length ?? 0) * 2 + JSON.stringify(email.bodyValues).length * 2 + 2000 }
    this.bodies.set(email.id, body)
    if (this.bodies.size > 300) { const first = this.bodies.keys().next().value; if (first !== undefined) this.bodies.delete(first) }
    void this.cache.putBody(body)
    return body
  }

  async prefetch(id: Id | undefined, now = false): Promise<void> { if (id !== undefined && !this.bodies.has(id)) await this.body(id, now).catch(() => undefined) }

  async loadThread(id: Id): Promise<Id[]> {
    const answers = await this.jmap.call([
      ['Thread/get', { accountId: this.account, ids: [id] }, 't'],
      ['Email/get', { accountId: this.account, '#ids': { resultOf: 't', name: 'Thread/get', path: '/list/*/emailIds' }, properties: ROW }, 'e'],
    ])
    const thread = answers.of<{ list: { id: Id; emailIds: Id[] }[] }>('t').list[0]
    this.learn(answers.of<{ list: Row[] }>('e').list)
    if (thread) this.threads.set(thread.id, thread.emailIds)
    return thread?.emailIds ?? []
  }

  // ---- what the server tells

  told(states: States): void {
    if (!this.home && Object.keys(states).some((id) => id !== this.account)) this.elsewhere?.(states)
    const ours = states[this.account]
    if (!ours) return
    const news = Object.entries(ours).some(([type, state]) => this.states[type] !== state)
    if (news) void this.sync(ours)
  }

  /** One at a time; what is told meanwhile makes one more. */
  sync(told: Record<string, string> = { Email: '', Mailbox: '', EmailSubmission: '', Identity: '' }): Promise<void> {
    if (this.syncing) { this.syncAgain = true; return this.syncing }
    this.syncing = this.syncOnce(told).catch((e: unknown) => this.failed(e)).finally(() => {
      this.syncing = undefined
      if (this.syncAgain) { this.syncAgain = false; void this.sync() }
    })
    return this.syncing
  }

  private submissionCalls(): Call[] {
    const accountId = this.account
    return [
      ['EmailSubmission/query', { accountId, sort: [{ property: 'sentAt', isAscending: false }], limit: 100 }, 'sq'],
      ['EmailSubmission/get', { accountId, '#ids': { resultOf: 'sq', name: 'EmailSubmission/query', path: '/ids' } }, 's'],
    ]
  }

  private takeSubmissions(answer: { list: Submission[]; state: string } | undefined): void {
    if (!answer) return
    this.states.EmailSubmission = answer.state
    for (const s of answer.list) this.submissions.set(s.emailId, s)
    this.follow()
  }

  /** The state of submissions tells what becomes of a message on its way; while one waits it is asked besides, seldom. */
  private follow(): void {
    clearTimeout(this.following)
    const wait = askAgain(this.submissions.values(), this.followed, Date.now())
    if (wait === undefined) { this.followed = 0; return }
    this.following = setTimeout(() => {
      this.followed += 1
      this.jmap.call(this.submissionCalls()).then((a) => this.takeSubmissions(a.maybe('s')), (e: unknown) => { this.failed(e); this.follow() })
    }, wait)
  }

  /** Something was just sent: its way is followed from near. */
  followNew(): void { this.followed = 0; this.follow() }

  private async syncOnce(told: Record<string, string>): Promise<void> {
    const accountId = this.account
    const refer = (of: string, name: string, at: string): Record<string, string> => ({ resultOf: of, name, path: at })
    const calls: Call[] = [['Mailbox/get', { accountId, ids: null }, 'm']]
    const mailChanged = ('Email' in told || 'Thread' in told) && this.states.Email !== undefined
    if (mailChanged) {
      calls.push(
        ['Email/changes', { accountId, sinceState: this.states.Email, maxChanges: 400 }, 'c'],
        ['Email/get', { accountId, '#ids': refer('c', 'Email/changes', '/updated'), properties: ROW }, 'u'],
        ['Email/get', { accountId, '#ids': refer('c', 'Email/changes', '/created'), properties: ROW }, 'n'],
        ['Thread/get', { accountId, '#ids': refer('n', 'Email/get', '/list/*/threadId') }, 'nt'],
      )
    }
    if ('EmailSubmission' in told && this.sends) calls.push(...this.submissionCalls())
    if ('Person' in told) calls.push(...this.book.calls)
    if ('Identity' in told && this.sends) calls.push(['Identity/get', { accountId, ids: null }, 'i'])
    const answers = await this.ask(calls)
    this.found()
    this.takeSubmissions(answers.maybe('s'))
    this.book.take(answers.maybe('people'))
    const identities = answers.maybe<{ list: Identity[] }>('i')
    if (identities) this.identities = identities.list
    if (mailChanged) {
      const changes = answers.maybe<Changes>('c')
      this.pieces = changes?.hasMoreChanges ? this.pieces + 1 : 0
      // One act may change a hundred thousand: past some pieces what is shown is asked for anew.
      const endless = this.pieces > PIECES_MAX
      if (changes && !endless) this.takeChanges(changes, answers.maybe<{ list: Row[] }>('u')?.list, answers.maybe<{ list: Row[] }>('n')?.list, answers.maybe<{ list: { id: Id; emailIds: Id[] }[] }>('nt')?.list)
      else await this.forgetStates()
      if (endless) this.pieces = 0
      else if (changes?.hasMoreChanges) this.syncAgain = true
    }
    this.takeMailboxes(answers.of('m'))
    this.keep()
    for (const list of this.lists.values()) if (list !== this.current) list.outdated()
    await this.current?.refresh(this.visible)
  }

  private takeChanges(changes: Changes, updated: Row[] = [], created: Row[] = [], threads: { id: Id; emailIds: Id[] }[] = []): void {
    this.states.Email = changes.newState
    this.first = undefined
    this.learn(updated)
    if (updated.some((row) => '$pinned' in row.keywords)) this.pins = true
    for (const row of updated) {
      const kept = this.bodies.get(row.id)
      if (kept) kept.email = { ...kept.email, keywords: row.keywords, mailboxIds: row.mailboxIds }
    }
    this.learn(created)
    for (const thread of threads) this.threads.set(thread.id, thread.emailIds)
    for (const id of changes.destroyed) {
      const row = this.rows.get(id)
      if (row) this.threads.set(row.threadId, (this.threads.get(row.threadId) ?? []).filter((e) => e !== id))
      this.rows.delete(id)
      this.selected.delete(id)
      this.bodies.delete(id)
    }
    if (changes.destroyed.length > 0) void this.cache.forget(changes.destroyed)
    const inbox = this.role('inbox')?.id
    const news = created.filter((r) => inbox !== undefined && inbox in r.mailboxIds && !('$seen' in r.keywords))
    if (news.length > 0) { void this.passMuted(); this.arrived?.(news.filter((r) => !this.thread(r).some((o) => '$muted' in o.keywords))) }
  }

  /** Told of what happened in accounts that others share. */
  elsewhere: ((states: States) => void) | undefined
  /** Told when the server is there again. */
  again: (() => void) | undefined
  /** Told when the line stands. */
  beside: (() => void) | undefined
  /** Told of new mail in the inbox. */
  arrived: ((rows: Row[]) => void) | undefined

  private async forgetStates(): Promise<void> {
    const answers = await this.jmap.call([['Email/get', { accountId: this.account, ids: [] }, 'e']])
    this.states.Email = answers.of<{ state: string }>('e').state
    await this.narrowed(this.states.Email)
    this.current?.outdated()
  }

  /** A state of an account of others ends with a mark of the rights in it. Under another one its owner may have taken something back: nothing that was kept stays. */
  private async narrowed(state: string): Promise<void> {
    if (!this.home) return
    const mark = state.split('-')[1] ?? ''
    if (await this.cache.setting<string>('mark') === mark) return
    await this.cache.clear()
    await this.cache.set('mark', mark)
    this.first = undefined
    for (const id of this.unsaid) { this.rows.delete(id); this.bodies.delete(id); this.selected.delete(id) }
    this.threads.clear()
    for (const list of this.lists.values()) list.without(this.unsaid)
    this.unsaid.clear()
  }

  // ---- people

  meet(addresses: readonly { name: string | null; email: string }[], by: number): void {
    const now = Date.now()
    const changed = addresses.map((a) => met(this.people.get(a.email.toLowerCase()), a, by, now))
    for (const person of changed) this.people.set(person.email, person)
    void this.cache.putPeople(changed)
  }

  /** Whether another message that is known here is from that address. Nobody hears of changes: there may be very many. */
  wrote(email: string, but: Id): boolean {
    return untrack(() => {
      for (const row of this.rows.values()) if (row.id !== but && row.from?.[0] !== undefined && same(row.from[0].email, email)) return true
      return false
    })
  }

  /** There is one message from this address, and no more. */
  async isOnlyFrom(email: string): Promise<boolean> {
    const answers = await this.jmap.call([['Email/query', { accountId: this.account, filter: { from: email }, limit: 2 }, 'q']])
    return answers.of<{ ids: Id[] }>('q').ids.length < 2
  }

  /** One's own: what is written may be written here, and goes out from here. */
  get writes(): boolean { return !this.home || this.jmap.session.accounts[this.account]?.isPersonal === true }
  private get sends(): boolean { return this.writes && this.jmap.has(SUBMISSION) }

  /** Whether its owner lets one do that with a message, wherever it lies but there. */
  may(row: Row, right: string, but = ''): boolean {
    return Object.keys(row.mailboxIds).every((id) => id === but || this.mailboxes.get(id)?.myRights[right] !== false)
  }

  /** Whether a message lies in the mailbox of that role, and nowhere else. */
  lies(row: Row, role: string): boolean { return Object.keys(row.mailboxIds).join() === this.role(role)?.id }

  /** Whether its owner lets one do all of that with these messages: the mailboxes that each lies in decide, and the one that it would go to. */
  can(what: Doing, rows: readonly Row[]): boolean {
    if (!this.home) return true
    if (what === 'keywords') return rows.every((row) => this.may(row, 'maySetKeywords'))
    if (what === 'seen') return rows.every((row) => this.may(row, 'maySetSeen'))
    if (what === 'destroy') return rows.every((row) => this.may(row, 'mayRemoveItems'))
    const mayGo = (row: Row, to: Mailbox): boolean => this.may(row, 'mayRemoveItems', to.id) && (to.id in row.mailboxIds || to.myRights.mayAddItems === true)
    if (what === 'move') return [...this.mailboxes.values()].some((to) => rows.every((row) => !(to.id in row.mailboxIds) && mayGo(row, to)))
    const to = this.role(what)
    if (to) return rows.every((row) => mayGo(row, to))
    // It is not there, or not to be seen: it would be made.
    return rows.every((row) => this.may(row, 'mayRemoveItems')) && this.jmap.session.accounts[this.account]?.accountCapabilities[MAIL]?.mayCreateTopLevelMailbox === true
  }

  get hasProgram(): boolean { return !this.home && this.jmap.has(PROGRAM) }
  /** One's own, at a server of ours: it calls back what waits, and keeps for a while what was removed. */
  get isOurs(): boolean { return this.writes && this.jmap.has(PROGRAM) }
  /** Old accounts elsewhere can be linked. */
  /** Conditions of a search that this server has beyond RFC 8621. */
  get ownFilters(): readonly string[] {
    const told = this.jmap.session.capabilities[PROGRAM]?.emailQueryFilters
    return Array.isArray(told) ? told as string[] : []
  }

  get hasLinks(): boolean { return this.jmap.session.accounts[this.account]?.accountCapabilities[PROGRAM]?.hasLinks === true }
}
