// What is taken back, joined and asked again, by itself: the state without a screen.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Offline, Refused } from '../src/jmap/client'
import { Push } from '../src/jmap/push'
import type { Row, Session } from '../src/jmap/types'
import type { Person } from '../src/data/people'
import type { Card } from '../src/data/vcard'
import type { App } from '../src/state/app.svelte'
import { Book } from '../src/state/book'
import { Desk } from '../src/state/desk.svelte'
import { History } from '../src/state/history'
import { Joined } from '../src/state/joined.svelte'
import { List } from '../src/state/list.svelte'
import type { Mail } from '../src/state/mail.svelte'
import { toasts } from '../src/state/toasts.svelte'
import { t } from '../src/texts'

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('addEventListener', () => undefined)
  vi.stubGlobal('removeEventListener', () => undefined)
})
afterEach(() => { vi.useRealTimers(); vi.unstubAllGlobals() })

describe('the word of what was done', () => {
  const stands = (id: number): boolean => toasts.list.some((one) => one.id === id)
  const act = { label: 'Undo', run: (): void => undefined }
  it('goes by itself, the later where it can be answered', () => {
    for (const [more, ms] of [[{}, 6000], [{ action: act }, 10_000], [{ kind: 'error' }, 12_000], [{ action: act, seconds: 5 }, 5000]] as const) {
      const id = toasts.show('Done', more)
      vi.advanceTimersByTime(ms - 1)
      expect([stands(id), more]).toEqual([true, more])
      vi.advanceTimersByTime(1)
      expect([stands(id), more]).toEqual([false, more])
    }
  })

  it('stays as long as one is at it, and goes some time after that; what is over is not offered', () => {
    const id = toasts.show('Archived', { action: act })
    vi.advanceTimersByTime(9000)
    toasts.hold(id)
    vi.advanceTimersByTime(60_000)
    expect(stands(id)).toBe(true)
    toasts.leave(id)
    toasts.leave(id)
    vi.advanceTimersByTime(2999)
    expect(stands(id)).toBe(true)
    vi.advanceTimersByTime(1)
    expect(stands(id)).toBe(false)
    toasts.leave(id)
    const sending = toasts.show('Sending', { action: act, seconds: 5 })
    toasts.hold(sending)
    vi.advanceTimersByTime(5000)
    expect(stands(sending)).toBe(false)
  })
})

describe('what can be taken back', () => {
  const part = (name: string): Parameters<History['push']>[0] => ({ mail: name as unknown as Mail, patches: {}, stood: [] })
  const said = { n: 1, text: (n: number) => `${n} moved` }
  const names = (parts: ReturnType<History['pop']>): unknown[] | undefined => parts?.map((p) => ('mail' in p ? p.mail : p))
  it('is one where an act was in two accounts, however much was done before', () => {
    for (const before of [0, 98, 99, 100, 250]) {
      const history = new History()
      for (let i = 0; i < before; i++) history.push(part('old'), said)
      const { mark } = history
      history.push(part('a'), said)
      history.push(part('b'), said)
      expect(history.join(mark), String(before)).toBe('2 moved')
      expect(names(history.pop())).toEqual(['a', 'b'])
      expect(names(history.pop())).toEqual(before > 0 ? ['old'] : undefined)
    }
  })
  it('stays as it is where nothing was done, or one thing', () => {
    const history = new History()
    history.push(part('old'), said)
    const { mark } = history
    expect(history.join(mark)).toBeUndefined()
    history.push(part('a'), said)
    expect([history.join(mark), names(history.pop()), names(history.pop())]).toEqual([undefined, ['a'], ['old']])
  })
})

describe('several lists as one', () => {
  const list = (account: string, pins: boolean, rows: [id: string, minute: number, pinned?: boolean][]): List => {
    const known = new Map(rows.map(([id, minute, pinned]) => [id, { id, receivedAt: new Date(minute * 60_000).toISOString(), keywords: pinned ? { $pinned: true } : {} } as unknown as Row]))
    const mail = { account, peek: (id: string) => known.get(id), rows: known, offlineSince: undefined } as unknown as Mail
    const made = new List(mail, { filter: {}, collapse: false, sort: [...(pins ? [{ property: 'hasKeyword', keyword: '$pinned', isAscending: false }] : []), { property: 'receivedAt', isAscending: false }] })
    made.order.put(0, rows.map(([id]) => id), rows.length, 's')
    made.state = 'ready'
    return made
  }
  it('has on top what is pinned, where the list is sorted so', () => {
    const a = list('a', true, [['1', 10, true], ['2', 50]])
    expect(new Joined([a, list('b', false, [['1', 60], ['2', 40, true], ['3', 30]])]).known()).toEqual(['a.1', 'b.1', 'a.2', 'b.2', 'b.3'])
    expect(new Joined([a, list('b', true, [['2', 40, true], ['1', 60], ['3', 30]])]).known()).toEqual(['b.2', 'a.1', 'b.1', 'a.2', 'b.3'])
  })
})

describe('the line to the server', () => {
  class Socket {
    static made: Socket[] = []
    readonly OPEN = 1
    readyState = 1
    sent: string[] = []
    onopen = (): void => undefined
    onmessage = (_: { data: string }): void => undefined
    onclose = (): void => undefined
    constructor() { Socket.made.push(this) }
    send(text: string): void { this.sent.push(text) }
    /** As one whose other end is gone: nothing more comes of it. */
    close(): void { this.readyState = 2 }
  }
  it('that owes an answer for long is left for another, and what was told meanwhile counts as missed', async () => {
    for (const [name, value] of Object.entries({ WebSocket: Socket, addEventListener: vi.fn(), removeEventListener: vi.fn(), document: { addEventListener: vi.fn(), removeEventListener: vi.fn() }, location: new URL('http://localhost/'), navigator: { onLine: true } })) vi.stubGlobal(name, value)
    const said: string[] = []
    const push = new Push({ capabilities: { 'urn:ietf:params:jmap:websocket': { url: 'ws://localhost/jmap/ws' } } } as unknown as Session, () => undefined, (line) => said.push(line))
    Socket.made[0]?.onopen()
    const request = { using: [], methodCalls: [] }
    const answered = push.ask(request, undefined)
    const { id } = JSON.parse(Socket.made[0]?.sent.at(-1) ?? '{}') as { id: string }
    Socket.made[0]?.onmessage({ data: JSON.stringify({ '@type': 'Response', requestId: id, methodResponses: [] }) })
    await expect(answered).resolves.toMatchObject({ methodResponses: [] })
    vi.advanceTimersByTime(60_000)
    expect([Socket.made.length, said]).toEqual([1, ['live']])
    const owed = expect(push.ask(request, undefined)).rejects.toBeInstanceOf(Offline)
    vi.advanceTimersByTime(60_000)
    await owed
    expect([Socket.made.length, said]).toEqual([2, ['live', 'waiting']])
    push.close()
  })
})

describe('what failed', () => {
  const failing = (error: () => Error): { list: List; mail: Mail; calls: () => number } => {
    const call = vi.fn(() => Promise.reject(error()))
    const mail: { offlineSince: Date | undefined } = { account: 'a', offlineSince: undefined, ask: call, jmap: { call }, cache: { allRows: () => Promise.resolve([]) }, rows: new Map(), learn: () => undefined, failed: () => undefined, lost: () => { mail.offlineSince ??= new Date() } } as unknown as Mail
    const list = new List(mail as Mail, { filter: {}, collapse: false, sort: [] })
    return { list, mail: mail as Mail, calls: () => call.mock.calls.length }
  }
  it('is asked again later and later', async () => {
    const { list } = failing(() => new Refused('serverFail', 'no'))
    const pauses: number[] = [list.pause]
    for (let i = 0; i < 6; i++) { await list.ensure(0, 50); pauses.push(list.pause); vi.advanceTimersByTime(list.pause) }
    expect(pauses).toEqual([0, 5000, 10_000, 20_000, 40_000, 60_000, 60_000])
  })
  it('says in plain words that a search asks for too much', async () => {
    const { list } = failing(() => new Refused('unsupportedFilter', 'the filter has too many conditions'))
    await list.ensure(0, 50)
    expect([list.state, list.error]).toEqual(['error', t.list.tooMuch])
  })
  it('is tried again only where that may go well', async () => {
    const fails = async (type: string, status = 0, limit = ''): Promise<[boolean, boolean]> => {
      const { list } = failing(() => new Refused(type, 'why', status, limit))
      await list.ensure(0, 50)
      return [list.isFinal, list.error === t.list.tooMuch]
    }
    const error = (name: string): string => `urn:ietf:params:jmap:error:${name}`
    expect(await fails('unsupportedFilter')).toEqual([true, true])
    expect(await fails('requestTooLarge')).toEqual([true, true])
    expect(await fails('http', 413)).toEqual([true, true])
    expect(await fails(error('limit'), 400, 'maxSizeRequest')).toEqual([true, true])
    expect(await fails('unsupportedSort')).toEqual([true, false])
    expect(await fails('serverFail')).toEqual([false, false])
    expect(await fails('serverUnavailable')).toEqual([false, false])
    expect(await fails(error('limit'), 429, 'maxConcurrentRequests')).toEqual([false, false])
    const [one, other] = [failing(() => new Refused('serverFail', '')).list, failing(() => new Refused('unsupportedFilter', '')).list]
    await Promise.all([one, other].map((list) => list.ensure(0, 50)))
    expect([new Joined([one, other]).isFinal, new Joined([other]).isFinal]).toEqual([false, true])
  })
  it('is asked at once when the server is back', async () => {
    const { list, mail } = failing(() => new Offline('no answer'))
    await list.ensure(0, 50)
    expect(list.pause).toBe(5000)
    mail.offlineSince = undefined
    expect(list.pause).toBe(0)
  })
  it('is passed over among several, but not when one asks for it', async () => {
    const { list, calls } = failing(() => new Refused('serverFail', 'no'))
    const joined = new Joined([list])
    await joined.ensure(0, 50, true)
    await joined.ensure(0, 50, true)
    expect([calls(), joined.pause]).toEqual([1, 5000])
    await joined.ensure(0, 50)
    expect(calls()).toBe(2)
  })
})

describe('what receivers take', () => {
  it('is asked once, sooner again after a failure', async () => {
    let works = false
    const asked = vi.fn(() => Promise.resolve(works ? Response.json({ largest: { 'bob@there.test': 1000 } }) : new Response('{}', { status: 500 })))
    vi.stubGlobal('fetch', asked)
    const mail = { account: 'a', identities: [], jmap: { limit: (_: string, otherwise: number) => otherwise }, failed: () => undefined } as unknown as Mail
    const desk = new Desk({ home: mail, address: 'ann@here.test' } as unknown as App)
    const letter = await desk.write([{ name: null, email: 'Bob@there.test' }])
    letter.pieces = [{ key: 'k', name: 'n', type: 'text/plain', size: 2000, blobId: 'b', cid: null, share: 1, error: null }]
    const times: number[] = []
    for (const wait of [0, 1000, 29_000, 1000, 298_000, 2000]) {
      vi.advanceTimersByTime(wait)
      works = works || wait === 29_000
      await desk.measure(letter)
      times.push(asked.mock.calls.length)
    }
    expect(times).toEqual([1, 1, 2, 2, 2, 3])
    expect(desk.tooLarge(letter)).toContain('bob@there.test')
  })
})

describe('the address book', () => {
  type There = Omit<Card, 'corrects'> & { id: string }
  const blank = { phones: [], organization: '', note: '', vcard: null }
  /** A book whose server holds these. */
  const held = (people: [string, string][]): { book: Book; here: Map<string, Person>; there: Map<string, There> } => {
    const there = new Map<string, There>(people.map(([name, email], n) => [`s${n}`, { id: `s${n}`, name, emails: [email], ...blank }]))
    const call = (calls: [string, { create?: Record<string, Omit<There, 'id'>>; update?: Record<string, Partial<There>>; destroy?: string[] }, string][]): Promise<unknown> => {
      for (const [, { create, update, destroy }] of calls) {
        for (const id of destroy ?? []) there.delete(id)
        for (const one of Object.values(create ?? {})) { const id = `n${there.size}`; there.set(id, { ...one, id }) }
        for (const [id, patch] of Object.entries(update ?? {})) there.set(id, { ...there.get(id) as There, ...patch })
      }
      const answer = { list: [...there.values()].map((one) => ({ ...one, isEntered: true, timesUsed: 0, lastUsed: null })) }
      return Promise.resolve({ of: () => answer, maybe: () => answer })
    }
    const here = new Map<string, Person>()
    const mail = { account: 'a', hasProgram: true, people: here, jmap: { call, limit: () => 500 }, cache: { putPeople: () => Promise.resolve() }, failed: (e: unknown) => { throw e } }
    return { book: new Book(mail as unknown as Mail), here, there }
  }
  const names = (there: Map<string, There>): string[] => [...there.values()].map((one) => `${one.name} ${one.emails.join()}`).sort()
  const corrected = (name: string, email: string): Card => ({ name, emails: [email], ...blank, corrects: true })

  it('gives another name to whom an address belongs alone, and to nobody of two who share it', async () => {
    const alone = held([['Ana', 'ana@x.test'], ['Ben', 'ben@x.test']])
    await alone.book.add([corrected('Anna', 'Ana@x.test')])
    expect(names(alone.there)).toEqual(['Anna ana@x.test', 'Ben ben@x.test'])
    const both = held([['Anna', 'home@x.test'], ['Ben', 'home@x.test']])
    await both.book.add([corrected('Ben', 'home@x.test')])
    expect(names(both.there)).toEqual(['Anna home@x.test', 'Ben home@x.test'])
    await both.book.add([corrected('Cy', 'home@x.test')])
    expect(names(both.there)).toEqual(['Anna home@x.test', 'Ben home@x.test', 'Cy home@x.test'])
  })

  it('removes whom the server is being told of', async () => {
    const { book, here, there } = held([])
    const adding = book.add([corrected('Pat', 'pat@x.test')])
    const back = await book.remove(here.get('pat@x.test') as Person)
    await adding
    expect([names(there), here.get('pat@x.test')?.hidden]).toEqual([[], true])
    await back()
    expect([names(there), here.get('pat@x.test')?.hidden ?? false]).toEqual([['Pat pat@x.test'], false])
  })
})
