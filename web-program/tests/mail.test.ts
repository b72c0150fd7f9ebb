// The data layer against a server in memory: what is seen at once, what is told, what comes back.
import 'fake-indexeddb/auto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Fake } from './fake.js'
import type { Mailbox, Row } from '../src/jmap/types'
import type { Doing } from '../src/state/mail.svelte'

class Nothing {
  static OPEN = 1
  static made: Nothing[] = []
  onopen: (() => void) | null = null
  onerror: (() => void) | null = null
  readyState = 0
  constructor() { Nothing.made.push(this) }
  addEventListener(): void {}
  close(): void {}
}
vi.stubGlobal('EventSource', Nothing)
vi.stubGlobal('WebSocket', Nothing)
vi.stubGlobal('location', new URL('http://localhost/m/0/inbox'))
vi.stubGlobal('addEventListener', () => undefined)
vi.stubGlobal('removeEventListener', () => undefined)
vi.stubGlobal('navigator', {})
vi.stubGlobal('document', { addEventListener() {}, removeEventListener() {}, visibilityState: 'visible' })

const { Cache } = await import('../src/data/cache')
const { Jmap } = await import('../src/jmap/client')
const { Mail } = await import('../src/state/mail.svelte')
const { toasts } = await import('../src/state/toasts.svelte')

const settled = async (): Promise<void> => { for (let i = 0; i < 30; i++) await new Promise((r) => setTimeout(r, 0)) }
const inbox = { filter: { inMailbox: 'mi' }, collapse: false, sort: [{ property: 'receivedAt', isAscending: false }] }

let fake: Fake
let cache: Awaited<ReturnType<typeof Cache.open>>
let mail: InstanceType<typeof Mail>

async function fresh(): Promise<void> {
  mail = new Mail(await Jmap.open(), 'a1', cache, () => undefined)
  await mail.fromCache()
  await mail.boot()
  mail.current = mail.list(inbox)
  await mail.current.ensure(0, 50)
}

beforeEach(async () => {
  fake = new Fake()
  for (let i = 0; i < 120; i++) fake.deliver()
  vi.stubGlobal('fetch', (url: string, init?: RequestInit) => fake.fetch(url, init))
  await (await Cache.open()).purge()
  await (await Cache.open('b1')).purge()
  cache = await Cache.open()
  toasts.list = []
  await fresh()
})

describe('the line to the server', () => {
  it('fetches what came while it was broken, also when nobody asked meanwhile', async () => {
    Nothing.made.at(-1)?.onopen?.()
    await settled()
    expect(mail.live).toBe(true)
    const [made, before] = [fake.deliver({ subject: 'Slept' }), Nothing.made.length]
    Nothing.made.at(-1)?.onerror?.()
    expect([mail.live, mail.offlineSince]).toEqual([false, undefined])
    for (let i = 0; i < 100 && Nothing.made.length === before; i++) await new Promise((r) => setTimeout(r, 50))
    Nothing.made.at(-1)?.onopen?.()
    await settled()
    expect([mail.live, mail.current?.at(0), mail.current?.total]).toEqual([true, made.id, 121])
  })
})

/** A WebSocket that takes requests; the test answers them. */
class Socket extends Nothing {
  static all: Socket[] = []
  readonly OPEN = 1
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: (() => void) | null = null
  sent: { '@type': string; id: string; methodCalls: [string, Record<string, unknown>, string][] }[] = []
  constructor() { super(); Socket.all.push(this) }
  send(text: string): void { this.sent.push(JSON.parse(text) as Socket['sent'][0]) }
  get requests(): Socket['sent'] { return this.sent.filter((one) => one['@type'] === 'Request') }
  tells(what: Record<string, unknown>): void { this.onmessage?.({ data: JSON.stringify(what) }) }
  async answers(one = this.requests.at(-1)): Promise<void> { this.tells({ '@type': 'Response', requestId: one?.id, ...await (await fake.fetch('/jmap/api', { body: JSON.stringify(one) })).json() }) }
}

describe('requests on the line', () => {
  let line: Socket
  const asked = (): number => fake.calls.length
  beforeEach(async () => {
    fake.session.capabilities = { ...fake.session.capabilities, 'urn:ietf:params:jmap:websocket': { url: 'ws://localhost/jmap/ws' } } as never
    vi.stubGlobal('navigator', { onLine: true })
    vi.stubGlobal('WebSocket', Socket)
    await fresh()
    line = Socket.all.at(-1) as Socket
    line.readyState = 1
    line.onopen?.()
    // What is asked first when it stands.
    for (const one of line.requests) await line.answers(one)
    await settled()
  })
  afterEach(() => { mail.close(); vi.stubGlobal('WebSocket', Nothing); vi.stubGlobal('navigator', {}) })

  it('need none of their own, in any order', async () => {
    const before = asked()
    const [first, second] = [mail.jmap.call([['Mailbox/get', { accountId: 'a1', ids: null }, 'm']]), mail.jmap.call([['Email/get', { accountId: 'a1', ids: ['e1'] }, 'e']])]
    const [one, other] = line.requests.slice(-2)
    expect(asked()).toBe(before)
    await line.answers(other)
    await line.answers(one)
    expect((await first).of<{ list: unknown[] }>('m').list).toHaveLength(7)
    expect((await second).of<{ list: Row[] }>('e').list.map((row) => row.id)).toEqual(['e1'])
  })

  it('are refused as over HTTP, and one that nobody waits for holds nothing', async () => {
    const refused = mail.jmap.call([['Mailbox/get', { accountId: 'a1', ids: null }, 'm']])
    line.tells({ '@type': 'RequestError', requestId: line.requests.at(-1)?.id, type: 'urn:ietf:params:jmap:error:notRequest', status: 400, detail: 'No.' })
    await expect(refused).rejects.toMatchObject({ type: 'urn:ietf:params:jmap:error:notRequest', status: 400, message: 'No.' })
    const given = new AbortController()
    const aborted = mail.jmap.call([['Mailbox/get', { accountId: 'a1', ids: null }, 'm']], given.signal)
    given.abort()
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
    await line.answers()
  })

  it('that are long, or asked when the browser knows of no network, go by themselves', async () => {
    const before = line.requests.length
    await mail.jmap.call([['Email/get', { accountId: 'a1', ids: ['e1'], properties: ['x'.repeat(70_000)] }, 'e']])
    vi.stubGlobal('navigator', { onLine: false })
    await mail.jmap.call([['Email/get', { accountId: 'a1', ids: ['e1'] }, 'e']])
    expect(line.requests.length).toBe(before)
  })

  it('are asked again when it breaks, unless they change something: that waits', async () => {
    const read = mail.jmap.call([['Email/get', { accountId: 'a1', ids: ['e120'] }, 'e']])
    mail.act({ e120: { 'keywords/$flagged': true } }, 'Starred')
    await settled()
    expect(line.requests.slice(-2).map((one) => one.methodCalls[0]?.[0])).toEqual(['Email/get', 'Email/set'])
    line.readyState = 3
    line.onclose?.()
    expect((await read).of<{ list: Row[] }>('e').list.map((row) => row.id)).toEqual(['e120'])
    await settled()
    expect([mail.waiting, fake.emails.get('e120')?.keywords]).toEqual([1, {}])
    await mail.drain()
    expect([mail.waiting, fake.emails.get('e120')?.keywords]).toEqual([0, { $flagged: true }])
  })
})

describe('a session that became another', () => {
  it('is told of once, by whatever is asked', async () => {
    const jmap = await Jmap.open()
    let [times, state] = [0, 's']
    vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => url === '/jmap/api' ? Response.json({ ...await (await fake.fetch(url, init)).json(), sessionState: state }) : fake.fetch(url, init))
    jmap.outdated = () => { times += 1 }
    const ask = (): Promise<unknown> => jmap.call([['Email/get', { accountId: 'a1', ids: [] }, 'e']])
    await ask()
    expect(times).toBe(0)
    state = 's-b1'
    await ask()
    await ask()
    expect(times).toBe(1)
    jmap.session = { ...jmap.session, state }
    state = 's'
    await ask()
    expect(times).toBe(2)
  })
})

describe('a server that is busy with others of ours', () => {
  const busy = (times: number): void => {
    vi.stubGlobal('fetch', (url: string, init?: RequestInit) => {
      if (url === '/jmap/api' && times-- > 0) return Promise.resolve(new Response(JSON.stringify({ type: 'urn:ietf:params:jmap:error:limit', limit: 'maxConcurrentRequests', status: 400, detail: 'Too many.' }), { status: 400, headers: { 'Content-Type': 'application/problem+json' } }))
      return fake.fetch(url, init)
    })
  }
  it('is asked again: one begins all the same, and nothing that was done is taken back', async () => {
    mail = new Mail(await Jmap.open(), 'a1', cache, () => undefined)
    busy(2)
    await mail.boot()
    expect(mail.isBooted).toBe(true)
    mail.learn([fake.emails.get('e1') as unknown as Row])
    busy(1)
    mail.act({ e1: { 'keywords/$flagged': true } }, 'Starred')
    for (let i = 0; i < 100 && mail.waiting > 0; i++) await new Promise((r) => setTimeout(r, 20))
    expect([mail.waiting, fake.emails.get('e1')?.keywords, mail.rows.get('e1')?.keywords]).toEqual([0, { $flagged: true }, { $flagged: true }])
  })
})

describe('what comes while one begins', () => {
  const line = (): Nothing | undefined => Nothing.made.at(-1)
  it('after the list was asked for and before the account was, is in the list all the same', async () => {
    mail = new Mail(await Jmap.open(), 'a1', cache, () => undefined)
    await mail.fromCache()
    const list = mail.current = mail.list(inbox)
    await list.ensure(0, 50)
    const made = fake.deliver({ subject: 'Between' })
    await mail.boot()
    await settled()
    expect([list.at(0), list.total]).toEqual([made.id, 121])
  })
  it('the same, when the list is answered last', async () => {
    mail = new Mail(await Jmap.open(), 'a1', cache, () => undefined)
    await mail.fromCache()
    let letGo = (): void => undefined
    const held = new Promise<void>((go) => { letGo = go })
    vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => { const answer = await fake.fetch(url, init); await held; return answer })
    const list = mail.current = mail.list(inbox)
    const asked = list.ensure(0, 50)
    await settled()
    vi.stubGlobal('fetch', (url: string, init?: RequestInit) => fake.fetch(url, init))
    const made = fake.deliver({ subject: 'Between' })
    await mail.boot()
    letGo()
    await asked
    await settled()
    expect([list.at(0), list.total]).toEqual([made.id, 121])
  })
  it('after the account was asked and before its line stands, is in the list, and is told of', async () => {
    const made = fake.deliver({ subject: 'Between' })
    let told: string[] = []
    mail.arrived = (rows) => { told = rows.map((r) => r.id) }
    line()?.onopen?.()
    await settled()
    expect([mail.current?.at(0), mail.current?.total, told]).toEqual([made.id, 121, [made.id]])
  })
})

describe('a list', () => {
  it('that could not be brought up to date is asked for once more', async () => {
    const list = mail.current
    const made = fake.deliver({ subject: 'Refused' })
    let refusals = 2
    vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => /Email\/query/.test(String(init?.body)) && refusals-- > 0 ? new Response('{"type":"limit"}', { status: 400 }) : fake.fetch(url, init))
    await mail.sync()
    expect([list?.at(0), list?.lacks(0, 10), (list?.pause ?? 0) > 0]).toEqual(['e120', true, true])
    await list?.ensure(0, 10)
    expect([list?.at(0), list?.lacks(0, 10)]).toEqual([made.id, false])
  })
  it('fetches only the windows that are looked at', async () => {
    const list = mail.current
    expect([list?.total, list?.at(0), list?.at(49), list?.at(50)]).toEqual([120, 'e120', 'e71', undefined])
    await list?.ensure(60, 80)
    expect([list?.at(60), list?.at(110)]).toEqual(['e60', undefined])
  })
  it('takes in what came, where it belongs', async () => {
    const made = fake.deliver({ subject: 'New' })
    let told: string[] = []
    mail.arrived = (rows) => { told = rows.map((r) => r.id) }
    await mail.sync()
    expect([mail.current?.at(0), mail.current?.total, mail.rows.get(made.id)?.subject, told]).toEqual([made.id, 121, 'New', [made.id]])
    expect(mail.mailboxes.get('mi')?.totalEmails).toBe(121)
  })
  it('loses what another program moved away', async () => {
    fake.call([['Email/set', { update: { e119: { 'mailboxIds/mi': null, 'mailboxIds/ma': true } } }, 'x']])
    await mail.sync()
    expect([mail.current?.at(0), mail.current?.at(1), mail.current?.total]).toEqual(['e120', 'e118', 119])
  })
  it('is not left behind by an answer that was on its way when something changed', async () => {
    let letGo = (): void => undefined
    const held = new Promise<void>((go) => { letGo = go })
    vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => { const answer = await fake.fetch(url, init); await held; return answer })
    const list = mail.list({ ...inbox, filter: { inMailbox: 'mi', notKeyword: '$seen' } })
    mail.current = list
    const asked = list.ensure(0, 50)
    await settled()
    vi.stubGlobal('fetch', (url: string, init?: RequestInit) => fake.fetch(url, init))
    const made = fake.deliver({ subject: 'Meanwhile' })
    await mail.sync()
    letGo()
    await asked
    await settled()
    expect([list.at(0), list.total]).toEqual([made.id, 121])
  })
  it('tells of what came though a list showed it first', async () => {
    const made = fake.deliver({ subject: 'Early' })
    await mail.current?.again([0, 50])
    let told: string[] = []
    mail.arrived = (rows) => { told = rows.map((r) => r.id) }
    await mail.sync()
    expect([mail.current?.at(0), told]).toEqual([made.id, [made.id]])
  })
  it('asks anew when the server cannot tell what changed', async () => {
    fake.deliver()
    fake.log.splice(0)
    fake.state += 10
    fake.deliver({ subject: 'After' })
    fake.log.splice(0, 1)
    fake.log.unshift({ state: fake.state, id: 'e122', kind: 'created' })
    await mail.sync()
    expect([mail.current?.total, mail.current?.at(0)]).toEqual([122, 'e122'])
  })
})

describe('a search that one types on', () => {
  it('holds up none that comes after it', async () => {
    let letGo = (): void => undefined
    const held = new Promise<void>((go) => { letGo = go })
    const asked: string[] = []
    vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => { asked.push(/"subject":"(\w+)"/.exec(String(init?.body))?.[1] ?? ''); await held; return fake.fetch(url, init) })
    const lists = ['m', 'me', 'mes', 'mess', 'messa', 'messag', 'message'].map((subject) => {
      const list = mail.current = mail.list({ ...inbox, filter: { subject } })
      return { list, under: list.ensure(0, 1) }
    })
    await settled()
    letGo()
    await Promise.all(lists.map(({ under }) => under))
    await settled()
    expect(asked).toEqual(['m', 'me', 'mes', 'mess', 'message'])
    expect(lists.map(({ list }) => list.isFresh)).toEqual([false, false, false, false, true, true, false])
    // Gone back to, it is asked.
    mail.current = lists[5]?.list
    await mail.current?.ensure(0, 1)
    expect([asked.at(-1), mail.current?.isFresh]).toEqual(['messag', false])
  })
})

describe('an act', () => {
  it('is seen at once, told to the server, and undone', async () => {
    const before = mail.mailboxes.get('mi')?.unreadEmails
    await mail.toRole(['e120', 'e118'], 'archive', (n) => `${n} archived`)
    expect([mail.current?.at(0), mail.current?.at(1), mail.current?.total]).toEqual(['e119', 'e117', 118])
    expect(mail.mailboxes.get('mi')?.unreadEmails).toBe((before ?? 0) - 2)
    expect(toasts.list.at(-1)?.text).toBe('2 archived')
    await settled()
    expect([fake.emails.get('e120')?.mailboxIds, mail.waiting]).toEqual([{ ma: true }, 0])
    mail.undo()
    expect([mail.current?.at(0), mail.current?.at(2), mail.current?.total]).toEqual(['e120', 'e118', 120])
    await settled()
    expect(fake.emails.get('e118')?.mailboxIds).toEqual({ mi: true })
  })
  for (const first of ['what is there', 'the act']) {
    it(`that is taken back stays so, whatever is answered of before it, and the server says ${first} first`, async () => {
      await mail.toRole(['e120'], 'archive', (n) => `${n}`)
      await settled()
      // Held back: the answer with which the row is away, or both it and what is said to the undo.
      const held: (() => void)[] = []
      vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => {
        const answer = await fake.fetch(url, init)
        await new Promise<void>((go) => { held.push(go) })
        return answer
      })
      const synced = mail.sync()
      await settled()
      held.shift()?.()
      await settled()
      expect([held.length, mail.current?.at(0)]).toEqual([1, 'e119'])
      mail.undo()
      await settled()
      expect([held.length, mail.current?.at(0), mail.current?.total]).toEqual([2, 'e120', 120])
      if (first === 'the act') held.reverse()
      for (let n = 0; n < 8; n++) {
        held.shift()?.()
        await settled()
        expect([mail.current?.at(0), mail.current?.at(1), mail.current?.at(119), mail.current?.total]).toEqual(['e120', 'e119', undefined, 120])
      }
      vi.stubGlobal('fetch', (url: string, init?: RequestInit) => fake.fetch(url, init))
      while (held.length > 0) { held.shift()?.(); await settled() }
      await synced
      await mail.sync()
      expect([mail.current?.at(0), mail.current?.at(1), mail.current?.total, mail.rows.get('e120')?.mailboxIds]).toEqual(['e120', 'e119', 120, { mi: true }])
    })
  }
  it('that is refused comes back with the reason', async () => {
    fake.refuse.e120 = 'not yours'
    await mail.toRole(['e120'], 'trash', (n) => `${n}`)
    expect(mail.current?.at(0)).toBe('e119')
    await settled()
    expect([mail.rows.get('e120')?.mailboxIds, mail.current?.at(0)]).toEqual([{ mi: true }, 'e120'])
    expect(toasts.list.at(-1)?.text).toContain('not yours')
  })
  it('without a network waits, also over a restart, and is told once', async () => {
    fake.trouble = 'offline'
    mail.flag(['e120'], '$flagged', true, 'x')
    await settled()
    expect([mail.waiting, mail.offlineSince !== undefined, '$flagged' in (mail.rows.get('e120')?.keywords ?? {})]).toEqual([1, true, true])
    fake.trouble = null
    fake.calls = []
    await fresh()
    await settled()
    expect([fake.emails.get('e120')?.keywords, mail.waiting]).toEqual([{ $flagged: true }, 0])
    expect(fake.calls.filter((c) => c === 'Email/set').length).toBe(1)
  })
  it('is not undone by an answer that was under way', async () => {
    fake.trouble = 'offline'
    mail.seen(['e120'], true, true)
    await settled()
    mail.learn([fake.emails.get('e120') as never])
    expect('$seen' in (mail.rows.get('e120')?.keywords ?? {})).toBe(true)
  })
  it('on nothing is no act', () => { expect(mail.act({ e120: { 'keywords/$seen': null } }, 'x')).toBe(false) })
})

describe('a search', () => {
  it('shows at once what is known here, and then what the server has', async () => {
    const list = mail.list({ filter: { subject: 'Message e7' }, collapse: false, sort: inbox.sort })
    const answered = list.ensure(0, 1)
    list.guess()
    // Of the fifty newest alone.
    expect([list.state, list.known()]).toEqual(['kept', ['e79', 'e78', 'e77', 'e76', 'e75', 'e74', 'e73', 'e72', 'e71']])
    await answered
    expect([list.state, list.known()]).toEqual(['ready', ['e79', 'e78', 'e77', 'e76', 'e75', 'e74', 'e73', 'e72', 'e71', 'e70', 'e7']])
    list.guess()
    expect(list.total).toBe(11)
  })
})

describe('a search without a network', () => {
  const found = ['e79', 'e78', 'e77', 'e76', 'e75', 'e74', 'e73', 'e72', 'e71', 'e70', 'e7']
  const asked = { filter: { subject: 'Message e7' }, collapse: false, sort: inbox.sort }
  /** A program that has the thirty newest in memory and all hundred and twenty in the cache. */
  const begun = async (): Promise<InstanceType<typeof Mail>> => {
    await mail.current?.ensure(50, 120)
    await settled()
    const again = new Mail(mail.jmap, 'a1', cache, () => undefined)
    await again.fromCache()
    fake.trouble = 'offline'
    return again
  }
  it('finds what is kept as well as what lies in memory, the newest first', async () => {
    const again = await begun()
    again.learn([fake.emails.get('e75') as never], true)
    const list = again.list(asked)
    const answered = list.ensure(0, 1)
    list.guess()
    expect([list.known(), list.state]).toEqual([['e75'], 'kept'])
    await answered
    expect([list.known(), list.total, list.state]).toEqual([found, 11, 'kept'])
  })
  it('finds more than the same search found before', async () => {
    await cache.putQuery({ key: JSON.stringify(asked), ids: ['e79'], total: 1, threads: {} })
    const again = await begun()
    const list = again.list(asked)
    await list.fromCache()
    expect(list.known()).toEqual(['e79'])
    await list.ensure(0, 1)
    expect(list.known()).toEqual(found)
  })
  it('finds no less when what was found before is looked for after that', async () => {
    await cache.putQuery({ key: JSON.stringify(asked), ids: ['e79'], total: 1, threads: {} })
    const list = (await begun()).list(asked)
    await list.ensure(0, 1)
    await list.fromCache()
    expect(list.known()).toEqual(found)
  })
})

describe('what is selected in a guess', () => {
  it('stays so where the server has it in the list', async () => {
    const list = mail.list({ filter: { subject: 'Message e7' }, collapse: false, sort: inbox.sort })
    mail.current = list
    let letGo = (): void => undefined
    const held = new Promise<void>((go) => { letGo = go })
    vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => { await held; return fake.fetch(url, init) })
    const [answered, again] = [list.ensure(0, 1), list.ensure(0, 1)]
    list.guess()
    for (const id of ['e79', 'e78']) mail.selected.add(id)
    let isAnswered = false
    void again.then(() => { isAnswered = true })
    fake.emails.delete('e78')
    await settled()
    expect(isAnswered, 'who asks for what is under way waits for it').toBe(false)
    letGo()
    await Promise.all([answered, again])
    expect([[...mail.selected], list.known().includes('e78')]).toEqual([['e79'], false])
  })
})

describe('the beginning that is painted at once', () => {
  it('is that of one list, once, and has no row that is elsewhere now', async () => {
    await settled()
    const again = new Mail(mail.jmap, 'a1', cache, () => undefined)
    await again.fromCache()
    again.act({ e120: { 'mailboxIds/mi': null, 'mailboxIds/ma': true } }, '')
    expect([again.list(inbox).at(0), again.list(inbox).total]).toEqual(['e119', 29])
    for (let n = 0; n < 13; n++) again.list({ ...inbox, filter: { inMailbox: 'mi', hasKeyword: `k${n}` } })
    expect(again.list(inbox).total, 'made anew').toBe(0)
  })
})

describe('an account of others', () => {
  it('finds no server, and so does one\'s own, which hears when it is back', () => {
    const other = new Mail(mail.jmap, 'a2', cache, () => undefined, mail)
    other.lost()
    expect([other.offlineSince, mail.offlineSince, mail.live]).toEqual([expect.any(Date), expect.any(Date), false])
  })
})

describe('an account of others', () => {
  /** Mailboxes, and what may be done there: i(nsert), r(emove), k(eywords), s(een). */
  const theirs = async (boxes: Record<string, string>): Promise<InstanceType<typeof Mail>> => {
    const other = new Mail(mail.jmap, 'a1', await Cache.open('b1'), () => undefined, mail)
    for (const [id, letters] of Object.entries(boxes)) {
      const may = (letter: string): boolean => letters.includes(letter)
      other.mailboxes.set(id, { ...mail.mailboxes.get(id), myRights: { mayReadItems: true, mayAddItems: may('i'), mayRemoveItems: may('r'), maySetKeywords: may('k'), maySetSeen: may('s') } } as unknown as Mailbox)
    }
    return other
  }
  const row = (...boxes: string[]): Row => ({ ...mail.rows.get('e120'), mailboxIds: Object.fromEntries(boxes.map((id) => [id, true])) }) as unknown as Row
  it('lets one do what the mailboxes allow that each message lies in, whatever is shown', async () => {
    const other = await theirs({ mi: 'irks', mf: 's', ma: 'i', mj: '' })
    for (const [what, may, ...rows] of [
      ['archive', true, row('mi')], ['archive', false, row('mf')], ['archive', false, row('mi'), row('mf')], ['archive', false, row('mi', 'mf')], ['archive', true, row('ma')],
      ['junk', false, row('mi')], ['junk', true, row('mj')], ['trash', false, row('mi')], ['inbox', false, row('mj')], ['inbox', true, row('mi')],
      ['move', true, row('mi')], ['move', false, row('mf')], ['destroy', true, row('mi')], ['destroy', false, row('mi', 'mf')],
      ['keywords', true, row('mi')], ['keywords', false, row('mi', 'mf')], ['seen', true, row('mi', 'mf')], ['seen', false, row('mi'), row('ma')],
    ] as [Doing, boolean, ...Row[]][]) expect(other.can(what, rows), `${what} of ${JSON.stringify(rows.map((r) => Object.keys(r.mailboxIds)))}`).toBe(may)
    expect([other.lies(row('mj'), 'junk'), other.lies(row('mi', 'mj'), 'junk'), other.lies(row('mi'), 'trash')]).toEqual([true, false, false])
  })
  it('has moved what may not be marked', async () => {
    const other = await theirs({ mi: 'r', mj: 'i' })
    other.learn([fake.emails.get('e1') as never])
    await other.toRole(['e1'], 'junk', (n) => `${n}`, { 'keywords/$junk': true })
    await settled()
    expect([fake.emails.get('e1')?.mailboxIds, fake.emails.get('e1')?.keywords]).toEqual([{ mj: true }, {}])
  })
  it('leaves nothing here that was kept under other rights', async () => {
    const boot = async (): Promise<number> => {
      const other = new Mail(mail.jmap, 'a1', await Cache.open('b1'), () => undefined, mail)
      await other.fromCache()
      await other.boot()
      const kept = (await other.cache.allRows()).length
      other.current = other.list(inbox)
      await other.current.ensure(0, 50)
      await settled()
      return kept
    }
    fake.mark = '-one'
    expect([await boot(), await boot()]).toEqual([0, 50])
    fake.mark = '-two'
    expect([await boot(), await boot()]).toEqual([0, 50])
  })
  it('shows nothing any more that was painted from there', async () => {
    const open = async (): Promise<InstanceType<typeof Mail>> => {
      const other = new Mail(mail.jmap, 'a1', await Cache.open('b1'), () => undefined, mail)
      await other.fromCache()
      other.current = other.list(inbox)
      return other
    }
    fake.mark = '-one'
    const before = await open()
    await before.boot()
    await before.current?.ensure(0, 50)
    await settled()
    const other = await open()
    expect([other.current?.at(0), other.current?.total, other.peek('e120')?.id]).toEqual(['e120', 30, 'e120'])
    // Its owner took all of it back.
    fake.mark = '-two'
    fake.emails.clear()
    await other.boot()
    expect([other.current?.total, other.rows.size]).toEqual([0, 0])
    const search = other.list({ filter: { subject: 'Message' }, collapse: false, sort: inbox.sort })
    search.guess()
    expect([search.known(), other.list({ ...inbox }).total]).toEqual([[], 0])
  })
})

describe('the cache', () => {
  it('shows the list and reads a message without a network', async () => {
    await mail.body('e120')
    await settled()
    fake.trouble = 'offline'
    const again = new Mail(mail.jmap, 'a1', cache, () => undefined)
    expect(await again.fromCache()).toBe(true)
    const list = again.list(inbox)
    expect([list.at(0), list.total, list.state], 'painted with the page').toEqual(['e120', 30, 'kept'])
    await list.fromCache()
    expect(list.total).toBe(50)
    expect([list.at(0), again.mailboxes.get('mi')?.name, again.rows.get('e120')?.subject]).toEqual(['e120', 'Inbox', 'Message e120'])
    expect((await again.body('e120')).email.bodyValues[1]?.value).toContain('and more')
  })
  it('of accounts that the session does not name goes as well', async () => {
    const others = await Cache.open('b7')
    await others.set('x', 1)
    await cache.purgeAll({ accounts: {} } as never)
    expect((await indexedDB.databases()).filter(({ name }) => name?.startsWith('packetboat'))).toEqual([])
  })
  it('is empty after it was purged', async () => {
    await cache.purge()
    cache = await Cache.open()
    expect([await cache.kept(), (await cache.allRows()).length, (await cache.bodies()).length]).toEqual([undefined, 0, 0])
  })
})

describe('a folder', () => {
  it('with others under it is not removed, and nothing in it goes', async () => {
    const of = mail.mailboxes.get('mi') as Mailbox
    mail.mailboxes.set('mx', { ...of, id: 'mx', name: 'Old', role: null, parentId: 'mi' })
    const before = fake.emails.size
    await expect(mail.removal.removeMailbox(of)).rejects.toMatchObject({ type: 'mailboxHasChild' })
    expect([before, fake.emails.size]).toEqual([120, 120])
  })
})

describe('what one act changed', () => {
  const all = async (most: number): Promise<number> => {
    fake.most = most
    for (const [id, email] of fake.emails) { fake.patch(email, { 'keywords/$seen': true }); fake.note(id, 'updated') }
    const before = fake.calls.length
    await mail.sync()
    await settled()
    return fake.calls.slice(before).filter((method) => method === 'Email/changes').length
  }
  it('comes piece by piece, and of very much what is shown is asked for anew', async () => {
    expect(await all(50)).toBe(3)
    expect([...fake.emails.keys()].every((id) => mail.peek(id) === undefined || '$seen' in (mail.peek(id) as Row).keywords)).toBe(true)
    for (const email of fake.emails.values()) delete email.keywords.$seen
    expect(await all(2)).toBe(11)
    await mail.sync()
    await settled()
    expect(mail.current?.at(0)).toBe('e120')
    expect('$seen' in (mail.peek('e120') as Row).keywords).toBe(true)
  })
})
