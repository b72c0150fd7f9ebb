// The program: who is signed in, what is shown, and every command there is, by its name.

import { Cache, type Begun } from '../data/cache'
import { chosen, type Choices } from '../data/choices'
import { same, shown } from '../data/address'
import { part } from '../data/part'
import * as search from '../data/search'
import { SORTS, sortOf } from '../data/sorting'
import { Jmap, Offline, SignedOut } from '../jmap/client'
import { LEAVING, signIn, signOut, type Told } from '../jmap/sign-in'
import { tick } from 'svelte'
import { SvelteMap } from 'svelte/reactivity'
import { MAIL, type Filter, type Id, type Mailbox, type Row, type Session, type SetAnswer } from '../jmap/types'
import { t } from '../texts'
import { Ahead } from './ahead'
import { Desk } from './desk.svelte'
import { begin, known } from './early'
import type { First } from './first'
import { Joined, split } from './joined.svelte'
import type { Asked, List, Listing, Owner } from './list.svelte'
import { Mail, type Doing } from './mail.svelte'
import { ALL, router, type Route } from './route.svelte'
import { toasts } from './toasts.svelte'

export type Layer = '' | 'keys' | 'palette' | 'move' | 'go' | 'label' | 'snooze' | 'redirect' | 'nav' | 'folder'

/** What acts mean, and where one was when they were begun. */
interface Meaning { targets: [Mail, Id[]][]; list: Listing | undefined; cursor: Id; thread: Id }

/** So long what was typed last may take on its way to the server, before one is asked. */
const SAVING_MS = 10_000
/** So long what stood before stays on the screen, while nothing is known of what was searched for. */
const HELD_MS = 100
/** Of a conversation that is still on its way: the message it opens at. */
export const FIRST = '?'
/** After a beginning that failed it is tried again. */
const AGAIN_MS = 3000

/** Out of the search field into the list, once what is to stand in it does: who moves the focus before has the browser lay out what goes away. */
function enter(): void {
  void tick().then(() => { if (document.activeElement?.id === 'search') document.getElementById('list')?.focus({ preventScroll: true }) })
}

export class App {
  /** One's own account. */
  home = $state.raw<Mail | undefined>(undefined)
  /** The accounts that others share something of. */
  readonly others = new SvelteMap<Id, Mail>()
  address = $state('')
  phase = $state<'starting' | 'signed-out' | 'ready'>('starting')
  expired = $state(false)
  layer = $state<Layer>('')
  drawer = $state<'' | 'why'>('')
  cursor = $state<Id>('')
  choices = $state<Choices>(chosen())
  /** The message in the reader that acts mean. */
  reading = $state<Id>('')
  /** Whose pictures one asked for, of the conversation that is open. */
  pictures = $state<Id>('')
  /** How often one asked for other colours of what is read. */
  recolours = $state(0)
  /** All of that conversation is unfolded. */
  openAll = $state(0)
  /** Keys for the messages of a conversation that is still on its way. */
  readonly ahead = new Ahead(() => this.close())
  private leaving = false
  /** The worker tells of new mail. */
  private pushed = false
  desk = new Desk(this)

  choose(some: Partial<Choices>): void {
    this.choices = { ...this.choices, ...some }
    localStorage.setItem('choices', JSON.stringify(this.choices))
  }

  // ---- signing in and out

  async start(): Promise<void> {
    addEventListener('storage', this.stored)
    const { session, kept, first } = begin()
    const { cache } = kept ?? {}
    if (cache && first) this.came(new Jmap(first.session), cache, first)
    const begun = await kept?.begun
    if (this.home) { if (begun && same(this.address, begun.kept.session.username)) this.home.resume(begun) }
    else if (cache && begun && same(known() ?? '', begun.kept.session.username)) await this.enter(new Jmap(begun.kept.session), cache, begun)
    try {
      const jmap = await session
      const store = cache ?? await Cache.open()
      if (await this.anothers(jmap, store, begun?.kept.session)) return
      jmap.outdated = () => { void this.renew() }
      if (this.home) this.home.jmap = jmap
      else await this.enter(jmap, Cache.isBarred ? await Cache.open() : store)
      if (first) await this.welcome()
      await this.home?.boot()
      void this.share()
      void this.desk.restore()
      this.invited()
      if (this.choices.notify) void this.push(true)
    } catch (error) {
      if (error instanceof SignedOut) this.leave(this.home !== undefined)
      else if (this.home) { this.home.failed(error); void this.desk.restore(); this.invited(); this.retry() }
      else this.phase = 'signed-out'
    }
  }

  /** In another window one signed out, which clears all (no key), or somebody else signed in: what is shown here goes, and what lies in memory. */
  private readonly stored = ({ key, newValue }: StorageEvent): void => {
    if (this.address === '' || this.leaving) return
    if (key === null) { this.leaving = true; this.drop(); location.assign('/sign-in') }
    else if (key === 'signed-in' && newValue !== null && !same(newValue, this.address)) location.reload()
  }

  /** What is shown or kept is another's than who is signed in: it goes, and the page begins anew. */
  private async anothers(jmap: Jmap, cache: Cache, kept: Session | undefined): Promise<boolean> {
    const session = kept ?? this.home?.jmap.session ?? (await cache.kept())?.session
    if (!session || same(session.username, jmap.session.username)) return false
    this.drop()
    localStorage.setItem('signed-in', jmap.session.username)
    // Once: in a browser that keeps what it should not nothing is read of that, and nothing is kept.
    if (sessionStorage.getItem('anew') === jmap.session.username) { Cache.bar(); return false }
    sessionStorage.setItem('anew', jmap.session.username)
    await cache.purgeAll(session)
    location.reload()
    return true
  }

  /** Opened to write: by the icon of the installed program, by an address elsewhere, or with what another program shares (`manifest.webmanifest`). */
  private invited(): void {
    const asked = new URLSearchParams(location.search)
    const of = (name: string): string => asked.get(name) ?? ''
    if (!asked.has('write') && !asked.has('share')) return
    router.go(router.route, true)
    if (of('write') !== '') void this.desk.writeTo(of('write'))
    else void this.desk.write([], of('share'), [of('text'), of('url')].filter((text) => text !== '').join('\n'))
  }

  private retry(): void {
    setTimeout(() => {
      void Jmap.open().then(async (jmap) => {
        if (!this.home) return
        jmap.outdated = () => { void this.renew() }
        this.home.jmap = jmap
        await this.home.boot()
        void this.share()
      }).catch((e: unknown) => { if (e instanceof SignedOut) this.leave(true); else this.retry() })
    }, AGAIN_MS)
  }

  private async enter(jmap: Jmap, cache: Cache, begun?: Begun): Promise<void> {
    const mail = this.mailOf(jmap, cache)
    if (begun) mail.take(begun)
    else await mail.fromCache()
    this.settle(mail)
    await this.welcome()
    this.show()
  }

  /** The same, at once: all that is shown first came with the page. */
  private came(jmap: Jmap, cache: Cache, first: First): void {
    const mail = this.mailOf(jmap, cache)
    mail.give(first)
    this.settle(mail)
    this.show()
  }

  private mailOf(jmap: Jmap, cache: Cache): Mail {
    const account = jmap.session.primaryAccounts[MAIL] ?? Object.keys(jmap.session.accounts)[0] ?? ''
    return new Mail(jmap, account, cache, () => this.leave(true))
  }

  private settle(mail: Mail): void {
    this.address = mail.jmap.session.username
    localStorage.setItem('signed-in', this.address)
    this.home = mail
    mail.elsewhere = (states) => { void this.heard(states) }
    mail.again = () => { for (const other of this.others.values()) void other.revisit() }
    mail.beside = () => { for (const other of this.others.values()) if (other.isBooted) void other.compare() }
    mail.arrived = (rows) => this.notify(rows)
  }

  /** What others share, as far as it is kept here. */
  private async welcome(): Promise<void> {
    const { home } = this
    if (home) for (const id of this.shared(home)) if (!this.others.has(id)) await this.other(home, id).then((other) => this.others.set(id, other))
  }

  private show(): void {
    this.phase = 'ready'
    if (router.route.at === 'sign-in' || location.pathname === '/') router.go({ at: 'mail', box: 'inbox', thread: '', email: '', flat: false, only: '' }, true)
  }

  private shared({ jmap, account }: Mail): Id[] {
    return Object.entries(jmap.session.accounts).filter(([id, a]) => id !== account && MAIL in a.accountCapabilities).map(([id]) => id)
  }

  private async other(home: Mail, id: Id): Promise<Mail> {
    const mail = new Mail(home.jmap, id, await Cache.open(id), () => this.leave(true), home)
    await mail.fromCache()
    return mail
  }

  private sharing: Promise<void> = Promise.resolve()

  /** One after the other: two at once would make an account twice. */
  private share(): Promise<void> {
    const done = this.sharing.then(() => this.shareOnce())
    this.sharing = done.catch(() => undefined)
    return done
  }

  /** The accounts that others share, as the session says. What is kept of one that is not shared any more goes. */
  private async shareOnce(): Promise<void> {
    const { home } = this
    if (!home) return
    const there = this.shared(home)
    for (const known of this.others.values()) known.jmap = home.jmap
    for (const [id, gone] of [...this.others].filter(([id]) => !there.includes(id))) { gone.close(); this.others.delete(id); await gone.cache.purge() }
    await Promise.all(there.map(async (id) => {
      const known = this.others.get(id)
      if (known?.isBooted) return
      const mail = known ?? await this.other(home, id)
      try {
        await mail.boot()
        if (this.home !== home) return
        this.others.set(id, mail)
        if (home.live) void mail.compare()
      } catch (error) {
        home.failed(error)
        if (this.home === home) setTimeout(() => { void this.share() }, AGAIN_MS)
      }
    }))
    if (this.of !== '' && !this.isJoined && !this.others.has(this.of)) this.openBox('inbox')
  }

  /** Something happened there; an account that comes or goes changes the session. */
  private async heard(states: Record<string, Record<string, string>>): Promise<void> {
    const { home } = this
    if (!home) return
    const foreign = Object.entries(states).filter(([id]) => id !== home.account)
    for (const [id] of foreign) this.others.get(id)?.told(states)
    if (foreign.some(([id, types]) => !this.others.has(id) || Object.values(types).includes('gone'))) await this.renew()
  }

  /** The session is another one: what is shared may be. */
  private async renew(): Promise<void> {
    const { home } = this
    if (!home) return
    try {
      home.jmap.session = (await Jmap.open()).session
      await this.share()
    } catch (error) { home.failed(error) }
  }

  /** The browser is told of new mail, also when no page of ours is open; or no more. */
  async push(on: boolean): Promise<void> {
    const mail = this.home
    if (!mail) return
    try {
      const { subscribe, unsubscribe } = await import('../jmap/subscribe')
      this.pushed = on && await subscribe(mail.jmap)
      if (!on) await unsubscribe(mail.jmap)
    } catch (error) { mail.failed(error) }
  }

  /** New mail while nobody looks: the browser's own notice, if that was allowed. */
  private notify(rows: Row[]): void {
    if (!this.choices.notify || this.pushed || !('Notification' in globalThis) || Notification.permission !== 'granted' || document.visibilityState === 'visible') return
    const row = rows[0]
    if (!row) return
    const notice = new Notification(shown(row.from?.[0]), { body: row.subject ?? '', tag: 'mail', icon: '/icon.svg' })
    notice.onclick = () => { window.focus(); this.openBox('inbox'); this.open(row.id) }
  }

  async signIn(address: string, password: string, totp: string): Promise<Told> {
    const told = await signIn(address, password, totp)
    if (told === 'ok') await this.signedIn(address)
    return told
  }

  /** Begins for who signed in just now; nothing of anybody else stays. */
  async signedIn(address: string): Promise<void> {
    const before = known()
    const cache = await Cache.open()
    const kept = await cache.kept()
    const stays = before !== null && same(before, address)
    if (kept && !(stays && same(kept.session.username, before))) await cache.purgeAll(kept.session)
    // Nothing of the last one is painted, even where it could not be purged.
    if (!stays) localStorage.setItem('signed-in', address)
    // What the last one was writing lies in memory, too.
    if (this.address !== '' && !stays) { location.reload(); return }
    this.expired = false
    this.phase = 'starting'
    await this.start()
  }

  /** Nothing is only here that would go with what is kept: what was typed last, what is to be sent, what was done without a network. */
  private async isTold(): Promise<boolean> {
    const end = Date.now() + SAVING_MS
    const late = new Promise<boolean>((done) => { setTimeout(() => done(false), SAVING_MS) })
    const kept = await Promise.race([this.desk.isKept(), late])
    for (const mail of [this.home, ...this.others.values()]) void mail?.drain()
    while (this.waiting > 0 && this.home?.offlineSince === undefined && Date.now() < end) await new Promise((go) => setTimeout(go, 50))
    return kept && this.waiting === 0
  }

  async signOut(): Promise<void> {
    const mail = this.home
    if (mail && !await this.isTold() && !confirm(t.nav.signOutSure)) return
    // What is still being asked will hear "401": the form shows when nothing is left here, not before.
    this.leaving = true
    if (this.pushed) await this.push(false)
    // Before the server is told: it has the browser clear all at once, and what is cleared so answers nobody.
    for (const one of [mail, ...this.others.values()]) one?.close()
    await mail?.cache.purgeAll(mail.jmap.session)
    let isTold = true
    try { await signOut() } catch { isTold = false }
    localStorage.clear()
    if (!isTold) localStorage.setItem(LEAVING, '1')
    sessionStorage.clear()
    if ('caches' in globalThis) for (const name of await caches.keys()) if (name.startsWith('mail')) await caches.delete(name)
    location.assign('/sign-in')
  }

  private drop(): void {
    for (const one of [this.home, ...this.others.values()]) one?.close()
    this.home = undefined
    this.others.clear()
  }

  private leave(expired: boolean): void {
    if (this.leaving) return
    this.drop()
    // Whatever was asked hears it: the first says what was so.
    if (this.phase !== 'signed-out') this.expired = expired
    this.phase = 'signed-out'
  }

  // ---- what is shown

  /** Whose mail is shown, when it is somebody else's. */
  get of(): Id {
    const { route } = router
    return route.at === 'mail' || route.at === 'search' ? route.of ?? '' : ''
  }

  /** The accounts with an inbox that can be read: together they have one more. */
  get readable(): Mail[] {
    const all = this.home ? [this.home, ...this.others.values()] : []
    return all.filter((mail) => mail.role('inbox')?.myRights.mayReadItems === true)
  }

  /** The accounts that are one's own: as any of them one may write. */
  get writers(): Mail[] { return this.home ? [this.home, ...[...this.others.values()].filter((mail) => mail.writes)] : [] }

  /** All of them are shown as one. */
  get isJoined(): boolean { return this.of === ALL && this.readable.length > 1 }

  private account(id: Id): Mail | undefined { return this.home?.account === id ? this.home : this.others.get(id) }

  /** The account that is shown; of several that of the message that is open, or under the cursor. */
  get mail(): Mail | undefined {
    if (!this.isJoined) return this.others.get(this.of) ?? this.home
    const { route } = router
    const thread = route.at === 'mail' || route.at === 'search' ? route.thread : ''
    return this.account(split(thread || this.cursor)[0]) ?? this.home
  }

  get box(): Mailbox | undefined {
    const { route } = router
    if (route.at !== 'mail' || !this.mail || (this.of !== '' && !this.isJoined && !this.others.has(this.of))) return undefined
    if (this.isJoined) return this.mail.role('inbox')
    return this.mail.role(route.box) ?? this.mail.mailboxes.get(route.box)
  }

  /** Changes that the server has not heard of. */
  get waiting(): number { return [...(this.home ? [this.home] : []), ...this.others.values()].reduce((sum, mail) => sum + mail.waiting, this.desk.outbox.size) }

  /** What it is called. */
  get title(): string { return this.isJoined ? t.nav.all : this.box && this.mail ? this.mail.label(this.box) : '' }

  boxPath(box: Mailbox): string { return box.role ?? box.id }

  get list(): Listing | undefined {
    if (!this.isJoined) return this.mail && this.listOf(this.mail)
    const parts = this.readable.map((mail) => this.listOf(mail)).filter((list) => list !== undefined)
    // The same one while it joins the same: the very lists, not others that ask the same.
    const known = this.joined?.parts
    if (!this.joined || known?.length !== parts.length || parts.some((part, i) => part !== known[i])) this.joined = new Joined(parts)
    return this.joined
  }

  private joined: Joined | undefined

  /** What would be shown there. */
  private listAt(route: Route): Listing | undefined {
    if (!this.isJoined) return this.mail && this.listOf(this.mail, route)
    return new Joined(this.readable.map((mail) => this.listOf(mail, route)).filter((list) => list !== undefined))
  }

  /** What of an account is in what is shown. */
  private listOf(mail: Mail, route = router.route): List | undefined {
    if (route.at === 'search') {
      const hidden = ['trash', 'junk'].map((r) => mail.role(r)?.id).filter((id): id is Id => id !== undefined)
      return mail.list({ filter: search.filter(route.query, (n) => mail.named(n), hidden, new Date(new Date().toDateString()), mail.ownFilters), collapse: false, sort: sortOf(route.sort ?? '', false) })
    }
    if (route.at !== 'mail') return mail.current
    const box = this.isJoined ? mail.role('inbox') : this.box
    if (!box) return undefined
    const filter: Filter = { inMailbox: box.id }
    if (route.only === 'unread') filter.notKeyword = '$seen'
    if (route.only === 'files') filter.hasAttachment = true
    if (route.only === 'starred') filter.hasKeyword = '$flagged'
    const chosen = sortOf(route.sort ?? '', box.role === 'sent' || box.role === 'drafts')
    const sort = box.role === 'inbox' && mail.pins ? [{ property: 'hasKeyword', keyword: '$pinned', isAscending: false }, ...chosen] : chosen
    const asked: Asked = { filter, collapse: !route.flat && box.role !== 'drafts', sort }
    return mail.list(asked)
  }

  openBox(box: Mailbox | string, of = typeof box === 'string' ? '' : this.of): void {
    const path = typeof box === 'string' ? box : this.boxPath(box)
    this.layer = ''
    this.cursor = ''
    this.deselect()
    router.go({ at: 'mail', of, box: path, thread: '', email: '', flat: router.route.at === 'mail' && router.route.flat, only: '' }, false, () => this.begin())
  }

  /** How the list stands, as one chose it. */
  get sorted(): string {
    const { route } = router
    return (route.at === 'mail' || route.at === 'search' ? SORTS.find((name) => name === route.sort) : undefined) ?? SORTS[0]
  }

  sort(name: string): void {
    const { route } = router
    if (route.at === 'mail' || route.at === 'search') router.go({ ...route, sort: name === SORTS[0] ? '' : name, thread: '', email: '' }, true, () => this.begin())
  }

  /** Asks for what is to be shown before it is drawn. */
  private begin(): void { if (this.list?.isFresh) void this.list.ensure(0, 1) }

  /** The conversation that is open, in the account that is shown. */
  get openThread(): string {
    const { route } = router
    const thread = route.at === 'mail' || route.at === 'search' ? route.thread : ''
    return this.isJoined && thread !== '' ? split(thread)[1] : thread
  }

  private owner(name: string): Owner | undefined { return name === '' ? undefined : this.list?.owner(name) }
  rowOf(name: string): Row | undefined { const of = this.owner(name); return of?.mail.rows.get(of.id) }

  /** Opens a row of the list. */
  open(name: string): void {
    const { route } = router
    const of = this.owner(name)
    const row = of?.mail.rows.get(of.id)
    this.cursor = name
    if (!of || !row || (route.at !== 'mail' && route.at !== 'search')) return
    if (of.mail.writes && '$draft' in row.keywords && (of.mail.role('drafts')?.id ?? '') in row.mailboxIds) { void this.desk.edit(row.id, of.mail); return }
    // Asked for before anything is drawn, and before what may be read next.
    const asked = this.prefetch(name, true)
    const wasOpen = route.thread !== ''
    const email = route.at === 'search' || route.flat || !of.list.asked.collapse ? row.id : ''
    router.go({ ...route, thread: this.isJoined ? `${of.mail.account}.${row.threadId}` : row.threadId, email }, wasOpen)
    const at = this.list?.indexOf(name) ?? -1
    void asked.then(() => { for (const next of [at + 1, at + 2]) void this.prefetch(this.list?.at(next)) })
  }

  /** What will be read of a row. `now`: one waits for it. */
  prefetch(name: string | undefined, now = false): Promise<unknown> {
    const of = name === undefined ? undefined : this.owner(name)
    const row = of?.mail.rows.get(of.id)
    if (!of || !row) return Promise.resolve()
    const all = of.list.asked.collapse ? of.mail.thread(row) : [row]
    return of.mail.prefetch(all.find((r) => !('$seen' in r.keywords))?.id ?? all.at(-1)?.id, now)
  }

  close(): void {
    const { route } = router
    if ((route.at === 'mail' || route.at === 'search') && route.thread !== '') { this.drawer = ''; router.go({ ...route, thread: '', email: '' }, true) }
  }

  /** What is searched for, while nothing is known of it. `enters`: one went on into the list. */
  private sought: { query: string; from: Route; to: Route; enters: boolean } | undefined

  /** Nothing of it is known, and one has not gone elsewhere. */
  private get seeks(): boolean { return this.sought !== undefined && (router.route === this.sought.from || router.route === this.sought.to) }

  /** An empty list between that before and what is found would cost more than both: it is passed over, if the answer comes soon. */
  search(query: string): void {
    const { route } = router
    if (this.seeks && this.sought?.query === query) return
    this.sought = undefined
    if (query.trim() === '') { if (route.at === 'search') router.back({ at: 'mail', box: 'inbox', thread: '', email: '', flat: false, only: '' }); return }
    const to: Route = { at: 'search', of: this.of, query, thread: '', email: '', sort: route.at === 'search' ? route.sort : '' }
    const list = this.listAt(to)
    const parts = list?.parts ?? []
    for (const part of parts) part.mail.sought = part
    // Asked for before anything else is done.
    if (list?.isFresh) void list.ensure(0, 1)
    for (const part of parts) part.guess()
    const there = (): void => { if (route.at === 'search') router.go(to, true); else router.show(to) }
    if (!list?.isFresh || list.count > 0) { there(); return }
    const sought = { query, from: route, to, enters: false }
    this.sought = sought
    const show = (): void => {
      if (this.sought !== sought || router.route !== route) return
      there()
      if (sought.enters) enter()
    }
    const late = setTimeout(show, HELD_MS)
    const known = (): void => {
      clearTimeout(late)
      for (const part of parts) part.heard = undefined
      show()
      if (this.sought !== sought) return
      const { enters } = sought
      const isThere = router.route === to
      this.sought = undefined
      if (enters && isThere) this.step(1)
    }
    for (const part of parts) part.heard = known
  }

  /** From the search field into what it found, as soon as that stands. */
  goInto(): void {
    if (this.seeks && this.sought) { this.sought.enters = true; return }
    enter()
    this.step(1)
  }

  /** One is on the way there. */
  get enters(): boolean { return this.seeks && this.sought?.enters === true }

  // ---- what acts mean

  /** Selected rows, else the row under the cursor: by account. */
  get targets(): [Mail, Id[]][] {
    const selected = (this.list?.mails ?? []).filter((mail) => mail.selected.size > 0)
    if (selected.length > 0) return selected.map((mail) => [mail, [...mail.selected]])
    const of = this.owner(this.cursor)
    return of?.mail.rows.has(of.id) ? [[of.mail, [of.id]]] : []
  }

  /** Those of one's own accounts. */
  get own(): [Mail, Id[]][] { return this.targets.filter(([mail]) => mail.writes) }

  /** Their rows. */
  get target(): Row[] { return this.targets.flatMap(([mail, ids]) => ids.map((id) => mail.rows.get(id)).filter((row) => row !== undefined)) }

  /** The messages that acts mean. */
  get meant(): Row[] { return this.targets.flatMap(([mail, ids]) => mail.meant(ids)) }

  /** Whether every owner lets one do that with what acts mean. */
  can(what: Doing, targets = this.targets): boolean { return targets.every(([mail, ids]) => mail.can(what, mail.meant(ids))) }

  /** The same, and says so if not. */
  private allowed(what: Doing, targets = this.targets): boolean {
    const can = this.can(what, targets)
    if (!can) toasts.show(t.done.refused(t.done.noRight), { kind: 'error' })
    return can
  }

  private has(keyword: string): boolean { return this.target.every((row) => keyword in row.keywords) }

  deselect(): void { for (const mail of this.list?.mails ?? []) mail.selected.clear() }

  /** What acts mean, and where one is. */
  private get meaning(): Meaning { return { targets: this.targets, list: this.list, cursor: this.cursor, thread: this.openThread } }
  /** The same for an act that has to wait for something first: by then one may have gone on, and it means what it did. */
  get now(): Meaning { return { ...this.meaning, targets: this.targets.map(([mail, ids]) => [mail, mail.meant(ids).map(({ id }) => id)]) } }

  /** An act in every account that it means, as one that is taken back as one. */
  private each(act: (mail: Mail, ids: Id[]) => Promise<void> | void, targets = this.targets): Promise<void> {
    const { home } = this
    return home ? home.history.during(this.eachOf(home, act, targets)) : Promise.resolve()
  }

  private async eachOf(home: Mail, act: (mail: Mail, ids: Id[]) => Promise<void> | void, targets: [Mail, Id[]][]): Promise<void> {
    const { mark } = home.history
    for (const [mail, ids] of targets) await act(mail, ids)
    if (targets.length > 1) home.say(home.history.join(mark) ?? '')
  }

  /** Moves the cursor; with a conversation open the next is opened. */
  step(by: number, select = false): void {
    const list = this.list
    if (!list || list.total === 0) return
    const at = list.indexOf(this.cursor)
    const to = at === -1 ? (by > 0 ? 0 : list.total - 1) : Math.min(list.total - 1, Math.max(0, at + by))
    const id = list.at(to)
    if (id === undefined) { void list.ensure(to, to + 1); return }
    if (select) for (const of of [this.owner(this.cursor), this.owner(id)]) of?.mail.selected.add(of.id)
    this.cursor = id
    if (this.openThread !== '' && !select && this.rowOf(id)) this.open(id)
  }

  /** Runs an act that takes rows away, and puts the cursor on the row that comes into their place. */
  async away(act: (mail: Mail, ids: Id[]) => Promise<void> | void, by = 1, { targets, list, cursor, thread }: Meaning = this.meaning): Promise<void> {
    const gone = new Set(targets.flatMap(([mail, ids]) => ids.map((id) => list?.nameOf(mail, id) ?? '')))
    if (!list || gone.size === 0) return
    const at = Math.min(...[...gone].map((name) => list.indexOf(name)).filter((i) => i >= 0), Number.MAX_SAFE_INTEGER)
    let next: string | undefined
    for (let i = at; by > 0 && i < list.total; i++) { const id = list.at(i); if (id === undefined) break; if (!gone.has(id)) { next = id; break } }
    for (let i = at - 1; next === undefined && i >= 0; i--) { const id = list.at(i); if (id === undefined) break; if (!gone.has(id)) { next = id; break } }
    await this.each(act, targets)
    // Who has gone on meanwhile is not called back.
    if (this.list !== list || this.cursor !== cursor || this.openThread !== thread) return
    this.deselect()
    const open = this.openThread !== ''
    this.cursor = next ?? ''
    if (open) {
      if (next !== undefined && this.rowOf(next) && matchMedia('(min-width: 700px)').matches) this.open(next)
      else this.close()
    }
  }

  archive(by = 1): void { if (this.allowed('archive')) void this.away((mail, ids) => mail.toRole(ids, 'archive', t.done.archived, { 'keywords/$pinned': null }), by) }

  /** Whether all messages that acts mean lie there, each in its own account. */
  lie(role: string): boolean {
    const all = this.targets.flatMap(([mail, ids]) => mail.meant(ids).map((row) => mail.lies(row, role)))
    return all.length > 0 && all.every(Boolean)
  }

  /** What deleting and marking as spam would do with them. */
  get removing(): Doing { return this.lie('trash') ? 'destroy' : 'trash' }
  get judging(): Doing { return this.lie('junk') ? 'inbox' : 'junk' }

  remove(): void {
    const what = this.removing
    if (!this.allowed(what)) return
    if (what === 'trash') void this.away((mail, ids) => mail.toRole(ids, 'trash', t.done.deleted))
    else if (confirm(t.folder.emptySure(this.meant.length))) void this.away((mail, ids) => mail.removal.destroy(ids))
  }

  spam(): void {
    const what = this.judging
    if (!this.allowed(what)) return
    if (what === 'inbox') void this.away((mail, ids) => mail.toRole(ids, 'inbox', t.done.notSpam, { 'keywords/$junk': null, 'keywords/$notjunk': true }))
    else void this.away((mail, ids) => mail.toRole(ids, 'junk', t.done.spam, { 'keywords/$junk': true, 'keywords/$notjunk': null }))
  }

  /** Into a mailbox of the account that is shown; what is of another account goes into a copy there, and stays. */
  move(to: Id, of = this.mail, meaning: Meaning = this.meaning): void {
    const box = of?.mailboxes.get(to)
    if (!of || !box) return
    const { targets } = meaning
    const elsewhere = targets.filter(([mail]) => mail !== of)
    if (elsewhere.length < targets.length) { if (this.allowed('move', targets)) void this.away((mail, ids) => mail === of ? mail.move(ids, to, (n) => t.done.moved(n, mail.label(box))) : this.copy(mail, ids, of, box), 1, meaning) }
    else for (const [mail, ids] of elsewhere) void this.copy(mail, ids, of, box)
  }

  /** Into a mailbox of another account: the original stays. */
  private async copy(mail: Mail, ids: Id[], to: Mail, box: Mailbox): Promise<void> {
    const create = Object.fromEntries(mail.meant(ids).map((row, n) => [`c${n}`, { id: row.id, mailboxIds: { [box.id]: true } }]))
    try {
      const answers = await mail.jmap.call([['Email/copy', { fromAccountId: mail.account, accountId: to.account, create }, 'c']])
      const { created, notCreated } = answers.of<SetAnswer>('c')
      const refused = Object.values(notCreated ?? {})[0]
      if (refused) toasts.show(t.done.refused(refused.description ?? refused.type), { kind: 'error' })
      else toasts.show(t.done.copied(Object.keys(created ?? {}).length, to.label(box)))
      mail.selected.clear()
      void to.sync()
    } catch (error) { this.told(error) }
  }

  star(): void {
    if (!this.allowed('keywords')) return
    const on = !this.has('$flagged')
    void this.each((mail, ids) => { mail.act(Object.fromEntries(ids.map((id) => [id, { 'keywords/$flagged': on || null }])), on ? t.done.starred : t.done.unstarred) })
  }

  seen(on: boolean): void {
    if (!this.allowed('seen')) return
    void this.each((mail, ids) => mail.seen(ids, on))
    if (!on && this.openThread !== '') this.close()
  }

  /** All of a mailbox is read. */
  async readAll(mail = this.mail, box = this.box): Promise<void> {
    if (!mail || !box) return
    try { await (await part(() => import('./whole'))).readAll(mail, box) } catch (error) { this.told(error) }
  }

  /** Selects a row, or no longer. */
  select(name = this.cursor): void {
    const of = this.owner(name)
    if (of && !of.mail.selected.delete(of.id)) of.mail.selected.add(of.id)
  }

  /** On top of the inbox until it is let go. */
  pin(): void {
    if (!this.allowed('keywords')) return
    const on = !this.has('$pinned')
    void this.each((mail, ids) => {
      if (on) mail.pins = true
      mail.act(Object.fromEntries(ids.map((id) => [id, { 'keywords/$pinned': on || null }])), on ? t.done.pinned : t.done.unpinned)
    })
  }

  /** Out of the inbox with all answers to come: one's own. */
  mute(): void {
    const { own } = this
    if (own.length === 0) return
    const muted = own.every(([mail, ids]) => ids.every((id) => { const row = mail.rows.get(id); return row !== undefined && mail.thread(row).some((r) => '$muted' in r.keywords) }))
    if (muted) for (const [mail, ids] of own) mail.flag(ids, '$muted', false, t.done.unmuted, true)
    else void this.away((mail, ids) => mail.writes ? mail.mute(ids) : undefined)
  }

  /** Nothing more from this sender: the server puts it away before it is seen. */
  async block(): Promise<void> {
    const { mail, now } = this
    const from = mail?.rows.get(this.reading)?.from?.[0]?.email.toLowerCase()
    if (!mail || from === undefined) return
    try {
      const { read, write } = await part(() => import('./rules.svelte'))
      const { blocked } = await read(mail)
      if (!blocked.includes(from)) await write(mail, { blocked: [...blocked, from] })
      await this.away((of, ids) => of.toRole(ids, 'junk', t.done.spam), 1, now)
      toasts.show(t.done.blocked(from), { action: { label: t.act.undo, run: () => { mail.undo(); write(mail, { blocked }).catch((e: unknown) => this.told(e)) } } })
    } catch (error) { this.told(error) }
  }

  snooze(at: Date): void { if (this.own.length > 0) void this.away((mail, ids) => mail.writes ? mail.snooze(ids, at) : undefined) }

  label(keyword: string): void {
    if (keyword === '' || !this.allowed('keywords')) return
    const on = !this.has(keyword)
    void this.each((mail, ids) => mail.flag(ids, keyword, on, on ? t.done.labelled(keyword) : t.done.unlabelled(keyword)))
  }

  answer(kind: 'reply' | 'reply-all' | 'forward'): void {
    // What is read is of the account that is shown; what is selected may be of another.
    const [mail, ids] = this.reading !== '' && this.mail ? [this.mail, [this.reading]] : this.targets[0] ?? []
    const id = ids?.find((one) => mail?.rows.has(one))
    if (mail && id !== undefined) void this.desk.answer(kind, id, mail)
  }

  undo(): void { this.home?.undo() }

  told(error: unknown): void {
    this.mail?.failed(error)
    toasts.show(error instanceof Offline ? t.signIn.noServer : t.done.refused(error instanceof Error ? error.message : String(error)), { kind: 'error' })
  }
}

export const app = new App()
