// One query as a list on the screen: its order, of which only windows are known, and how they are fetched and kept true.

import { untrack } from 'svelte'
import { Offline, Refused, type Answers, type Call } from '../jmap/client'
import { ROW, type Filter, type Id, type QueryAnswer, type QueryChanges, type Row } from '../jmap/types'
import { afterwards } from '../data/cache'
import { matches } from '../data/local'
import { Order, WINDOW } from '../data/order'
import { inOrder, type Step } from '../data/sorting'
import { t } from '../texts'
import type { Mail } from './mail.svelte'

const KEPT = 200
const FIRST = 30
/** After a failure it is not asked again by itself for so long; twice as long after each more, up to a minute. */
const PAUSE_MS = 5000
const PAUSE_MAX_MS = 60_000

/** The question itself is not taken (RFC 8620 3.6.2, 5.5). What failed else may go well another time. */
const FINAL = new Set(['unsupportedFilter', 'unsupportedSort', 'invalidArguments', 'unknownMethod', 'accountNotFound', 'forbidden'])
/** It is more than a request may be. Too many at once may be few later. */
const isTooLarge = ({ type, status, limit }: Refused): boolean => type === 'requestTooLarge' || status === 413 || (type.endsWith(':error:limit') && limit !== 'maxConcurrentRequests')

export interface Asked { filter: Filter; collapse: boolean; sort: Step[] }

/** Where a row of a list comes from. */
export interface Owner { list: List; mail: Mail; id: Id }

/** What the screen shows as a list: of one account, or of several as one (`Joined`). A row's name is its id, or says the account as well. */
export interface Listing {
  readonly id: string
  readonly parts: readonly List[]
  readonly mails: readonly Mail[]
  readonly version: number
  readonly state: List['state']
  readonly error: string
  /** It failed, and will fail again however often it is asked for. */
  readonly isFinal: boolean
  /** How many there are, and how many can be scrolled to. */
  readonly count: number
  readonly total: number
  /** Nothing was asked yet. */
  readonly isFresh: boolean
  /** It failed: for how many milliseconds it is not to be asked again by itself. */
  readonly pause: number
  at(index: number): string | undefined
  indexOf(name: string): number
  known(): string[]
  lacks(from: number, to: number): boolean
  owner(name: string): Owner | undefined
  nameOf(mail: Mail, id: Id): string
  /** These rows are on the screen. */
  look(from: number, to: number): void
  /** `byItself`: nobody pressed anything; what failed just now is not asked again. */
  ensure(from: number, to: number, byItself?: boolean): Promise<void>
}

export class List implements Listing {
  /** Grows when `order` changes. */
  version = $state(0)
  state = $state<'loading' | 'ready' | 'error' | 'kept'>('loading')
  error = $state('')
  isFinal = $state(false)
  readonly order = new Order()
  readonly key: string
  private readonly under = new Map<number, Promise<void>>()
  /** It stands by what was found in memory: there may be more here, and other things there. */
  private guessed = false
  /** All that is kept was judged: what was found once says less. */
  private judged = false
  /** Something changed while it was asked: what is answered may be older. */
  private behind = false
  private failedAt = 0
  private failures = 0
  /** It failed because no server was there. */
  private wasOffline = false
  /** Told of the next change: something is known now. */
  heard: (() => void) | undefined
  /** The account's state before this was asked, while the account itself was still being asked for its own. */
  private asOf: string | undefined

  constructor(readonly mail: Mail, readonly asked: Asked) {
    this.key = JSON.stringify(asked)
  }

  /** What is painted at once, without waiting for anything. */
  begin(ids: readonly Id[]): void {
    this.order.ids = ids.filter((id) => { const row = this.mail.peek(id); return row !== undefined && this.holds(row) })
    this.order.total = this.order.ids.length
    this.hidePending()
    this.state = 'kept'
  }

  get id(): string { return `${this.mail.account} ${this.key}` }
  get parts(): readonly List[] { return [this] }
  get mails(): readonly Mail[] { return [this.mail] }
  /** Of no mailbox alone: something was typed. */
  get isSearch(): boolean { return typeof this.asked.filter.inMailbox !== 'string' }
  get count(): number { return this.total }
  get total(): number { void this.version; return this.order.total }
  get isFresh(): boolean { void this.version; return this.order.state === undefined }
  get pause(): number {
    void this.version
    // Once the server is back there is nothing to wait for.
    if (this.failures === 0 || (this.wasOffline && this.mail.offlineSince === undefined)) return 0
    return Math.max(0, this.failedAt + Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** (this.failures - 1)) - Date.now())
  }
  known(): Id[] { return this.order.ids.filter((id) => id !== undefined) }
  lacks(from: number, to: number): boolean { return this.isFresh || this.order.missing(from, to).length > 0 }
  owner(id: Id): Owner { return { list: this, mail: this.mail, id } }
  nameOf(_mail: Mail, id: Id): Id { return id }
  look(from: number, to: number): void { this.mail.visible = [from, to] }
  at(index: number): Id | undefined { void this.version; return this.order.at(index) }
  indexOf(id: Id): number { void this.version; return this.order.indexOf(id) }
  changed(): void { this.version += 1; this.heard?.() }

  /** What is painted before the server has answered. */
  async fromCache(): Promise<void> {
    if (this.order.state !== undefined || this.judged) return
    const painted = this.order.total
    const kept = await this.mail.cache.query(this.key)
    if (!kept || this.order.state !== undefined || this.judged || this.order.total !== painted) return
    for (const [thread, ids] of Object.entries(kept.threads)) if (!this.mail.threads.has(thread)) this.mail.threads.set(thread, ids)
    // Those on the screen first.
    if (painted === 0) await this.paint(kept.ids.slice(0, FIRST))
    await this.paint(kept.ids)
  }

  private async paint(ids: readonly Id[]): Promise<void> {
    const { mail } = this
    const learn = async (wanted: readonly Id[]): Promise<void> => { mail.learn(await mail.cache.rows([...new Set(wanted)].filter((id) => !mail.peek(id))), true) }
    await learn(ids)
    await learn(ids.flatMap((id) => mail.threads.get(mail.peek(id)?.threadId ?? '') ?? []))
    if (this.order.state !== undefined || this.judged) return
    this.begin(ids)
    this.changed()
  }

  /** Until the server has answered: what is known here of what it will find. What cannot be told from rows is not guessed. */
  guess(): void {
    if (this.order.state !== undefined || this.order.total > 0 || /"operator":"NOT"|"b?cc":/.test(this.key)) return
    const rows = untrack(() => [...this.mail.rows.values()].filter((row) => matches(row, this.asked.filter)).sort(inOrder(this.asked.sort)))
    if (rows.length === 0) return
    this.begin(rows.slice(0, WINDOW).map((row) => row.id))
    this.guessed = true
    this.changed()
  }

  /** Without a network: what is kept, judged here. */
  private async fromKept(): Promise<void> {
    const { mail, asked, order } = this
    this.state = 'kept'
    // A mailbox that was looked at is kept in its order. What a search found before, here or there, may be but a part of what is kept.
    if (order.total > 0 && !this.guessed && !this.isSearch) return
    this.judged = true
    const kept = new Map((await mail.cache.allRows()).map((row) => [row.id, row]))
    if (order.state !== undefined) return
    // In memory is what came just now, and without a cache all there is.
    for (const [id, row] of untrack(() => [...mail.rows])) kept.set(id, row)
    const before = new Set(this.known())
    const rows = [...kept.values()].filter((row) => before.has(row.id) ? this.holds(row) : matches(row, asked.filter)).sort(inOrder(asked.sort))
    mail.learn(rows, true)
    const seen = new Set<Id>()
    order.ids = rows.filter((r) => !asked.collapse || (!seen.has(r.threadId) && seen.add(r.threadId))).map((r) => r.id)
    order.total = order.ids.length
    this.guessed = false
  }

  /** Fetches the windows that are looked at and not known. */
  async ensure(from: number, to: number): Promise<void> {
    const windows = this.order.state === undefined ? [Math.floor(from / WINDOW) * WINDOW] : this.order.missing(from, to)
    await Promise.all(windows.map((w) => this.under.get(w) ?? this.fetch(w)))
  }

  private fetch(position: number): Promise<void> {
    const asked = this.fetchOnce(position).finally(() => {
      this.under.delete(position)
      this.caughtUp()
    })
    this.under.set(position, asked)
    return asked
  }

  /** With the account's own state known: what came after this was asked and before that is in no change that anybody will tell. */
  caughtUp(): void {
    const { mail } = this
    if (this.asOf !== undefined && mail.emailState !== undefined) {
      if (this.asOf !== mail.emailState) this.behind = true
      this.asOf = undefined
    }
    if (!this.behind || this.under.size > 0) return
    this.behind = false
    if (mail.current === this) void this.refresh(mail.visible)
    else this.order.forget()
  }

  private async fetchOnce(position: number): Promise<void> {
    const { mail, asked } = this
    const isEarly = mail.emailState === undefined
    try {
      const account = mail.account
      const refer = (of: string, name: string, path: string): Record<string, string> => ({ resultOf: of, name, path })
      const answers = await mail.ask([
        ...(isEarly ? [['Email/get', { accountId: account, ids: [] }, 's'] as Call] : []),
        ['Email/query', { accountId: account, filter: asked.filter, sort: asked.sort, collapseThreads: asked.collapse, position, limit: WINDOW, calculateTotal: true }, 'q'],
        ['Email/get', { accountId: account, '#ids': refer('q', 'Email/query', '/ids'), properties: ROW }, 'e'],
        ...(asked.collapse ? [
          ['Thread/get', { accountId: account, '#ids': refer('e', 'Email/get', '/list/*/threadId') }, 't'] as Call,
          ['Email/get', { accountId: account, '#ids': refer('t', 'Thread/get', '/list/*/emailIds'), properties: ROW }, 'te'] as Call,
        ] : []),
      ], () => this.isPassed)
      if (isEarly) this.asOf = answers.maybe<{ state: string }>('s')?.state
      this.take(answers, position)
    } catch (error) {
      // It is asked for when somebody looks at it again.
      if (error instanceof DOMException && error.name === 'AbortError') return
      // Windows that fail together fail once.
      if (this.pause === 0) this.failures += 1
      this.failedAt = Date.now()
      this.wasOffline = error instanceof Offline
      if (error instanceof Offline) {
        mail.lost()
        if (this.order.state === undefined) await this.fromKept()
      } else {
        // What is typed asks for nothing that is not known there: it is too much of it.
        const isTooMuch = this.isSearch && error instanceof Refused && (error.type === 'unsupportedFilter' || isTooLarge(error))
        this.isFinal = error instanceof Refused && (FINAL.has(error.type) || isTooLarge(error))
        this.error = isTooMuch ? t.list.tooMuch : error instanceof Error ? error.message : String(error)
        this.state = this.order.total === 0 ? 'error' : this.state
        mail.failed(error)
      }
      this.changed()
    }
  }

  /** A search that was typed on: nobody waits for it. */
  private get isPassed(): boolean { return this.isSearch && this.mail.current !== this && this.mail.sought !== this }

  /** What the server answered for a window. */
  take(answers: Answers, position: number): void {
    const { mail } = this
    const found = answers.of<QueryAnswer>('q')
    mail.learn(answers.of<{ list: Row[] }>('e').list)
    const threads = answers.maybe<{ list: { id: Id; emailIds: Id[] }[] }>('t')
    for (const thread of threads?.list ?? []) mail.threads.set(thread.id, thread.emailIds)
    const others = answers.maybe<{ list: Row[] }>('te')
    if (others) mail.learn(others.list)
    this.keeping(() => this.order.put(found.position ?? position, found.ids.filter((id) => mail.rows.has(id)), found.total ?? found.ids.length, found.queryState))
    this.failures = 0
    if (this.state === 'kept') this.deselect()
    this.guessed = false
    this.state = 'ready'
    this.changed()
    if (position === 0) afterwards(() => this.keep())
  }

  /** Of what was selected while the list was a guess, what the server does not have in it. */
  private deselect(): void {
    const { mail, order } = this
    if (mail.current === this) for (const id of [...mail.selected]) if (!order.ids.includes(id)) mail.selected.delete(id)
  }

  /** It is not looked at, and something changed: it is asked anew when it is. */
  outdated(): void {
    this.behind = this.under.size > 0
    this.order.forget()
  }

  /** These are not to be seen any more; what else there is, is asked anew. */
  without(gone: ReadonlySet<Id>): void {
    this.order.remove(gone)
    this.outdated()
    this.changed()
  }

  /** What we moved away and the server has not heard of yet stays away. */
  private hidePending(): void {
    const gone = new Set<Id>()
    for (const id of this.mail.pendingIds()) {
      const row = this.mail.rows.get(id)
      if (row && !this.holds(row)) gone.add(id)
    }
    if (gone.size > 0) this.order.remove(gone)
  }

  /** What we brought here and the server has not heard of yet stays where it stands, whatever is answered meanwhile. */
  private keeping<T>(change: () => T): T {
    const { inMailbox } = this.asked.filter
    const stood = typeof inMailbox === 'string' ? this.order.remove(this.mail.brought(inMailbox)) : []
    const done = change()
    this.order.restore(stood)
    this.hidePending()
    return done
  }

  /** Whether the row can still be in this list, as far as mailboxes tell. */
  holds(row: Row): boolean {
    const box = this.asked.filter.inMailbox
    if (typeof box !== 'string') return true
    if (box in row.mailboxIds) return true
    if (!this.asked.collapse) return false
    return (this.mail.threads.get(row.threadId) ?? []).some((id) => box in (this.mail.rows.get(id)?.mailboxIds ?? {}))
  }

  async refresh(visible: [number, number]): Promise<void> {
    const { mail, asked, order } = this
    if (this.under.size > 0) { this.behind = true; return }
    if (order.state === undefined) return this.ensure(...visible)
    try {
      const known = order.ids.findLast((id) => id !== undefined)
      const answers = await mail.ask([
        ['Email/queryChanges', { accountId: mail.account, filter: asked.filter, sort: asked.sort, collapseThreads: asked.collapse, sinceQueryState: order.state, calculateTotal: true, maxChanges: 500, ...(order.ids.includes(undefined) && known ? { upToId: known } : {}) }, 'c'],
        ['Email/get', { accountId: mail.account, '#ids': { resultOf: 'c', name: 'Email/queryChanges', path: '/added/*/id' }, properties: ROW }, 'e'],
        ['Thread/get', { accountId: mail.account, '#ids': { resultOf: 'e', name: 'Email/get', path: '/list/*/threadId' } }, 't'],
        ['Email/get', { accountId: mail.account, '#ids': { resultOf: 't', name: 'Thread/get', path: '/list/*/emailIds' }, properties: ROW }, 'te'],
      ])
      const changes = answers.maybe<QueryChanges>('c')
      if (!changes || changes.oldQueryState !== order.state) throw new Error('cannotCalculateChanges')
      mail.learn(answers.maybe<{ list: Row[] }>('e')?.list ?? [])
      for (const thread of answers.maybe<{ list: { id: Id; emailIds: Id[] }[] }>('t')?.list ?? []) mail.threads.set(thread.id, thread.emailIds)
      mail.learn(answers.maybe<{ list: Row[] }>('te')?.list ?? [])
      if (!this.keeping(() => order.change(changes))) throw new Error('cannotCalculateChanges')
      this.changed()
      afterwards(() => this.keep())
    } catch (error) {
      if (error instanceof Offline) { mail.lost(); return }
      await this.again(visible)
      if (this.pause > 0) return
    }
    await this.ensure(...visible)
  }

  /** Asks anew for what is looked at; what is on the screen stays until the answer is there. */
  async again(visible: [number, number]): Promise<void> {
    const before = this.order.state
    await this.fetch(Math.floor(visible[0] / WINDOW) * WINDOW)
    // What failed is asked for once more, in a while: nobody will tell of the same change again.
    const hasFailed = this.failures > 0 && !this.wasOffline
    if (hasFailed || (before === this.order.state && visible[0] >= WINDOW)) { this.order.forget(); this.changed() }
  }

  private async keep(): Promise<void> {
    const ids = this.order.head(KEPT)
    const threads: Record<Id, Id[]> = {}
    for (const id of ids) {
      const thread = this.mail.rows.get(id)?.threadId
      const all = thread === undefined ? undefined : this.mail.threads.get(thread)
      if (thread !== undefined && all) threads[thread] = [...all]
    }
    const { mail, key, order: { total } } = this
    // Together: what is painted first is never of another time than the rest.
    const begin = ids.slice(0, FIRST)
    const of = (id: Id): Id[] => threads[mail.peek(id)?.threadId ?? ''] ?? []
    const rows = [...new Set(begin.flatMap((id) => [id, ...of(id)]))].map((id) => mail.peek(id)).filter((row): row is Row => row !== undefined)
    const few = Object.fromEntries(begin.map((id) => [mail.peek(id)?.threadId ?? '', of(id)]))
    await Promise.all([mail.cache.putQuery({ key, ids, total, threads }), mail.current === this && mail.cache.putFirst({ query: { key, ids: begin, total, threads: few }, rows })])
  }
}
