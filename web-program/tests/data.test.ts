import { describe, expect, it } from 'vitest'
import { borrowed, isAddress, isForged, parsed, without, written } from '../src/data/address'
import * as answer from '../src/data/answer'
import { email, isEmpty, later, localDate, weight, type Draft } from '../src/data/draft'
import { Order } from '../src/data/order'
import { applied, counted, effective, inverse, moved, type Patch } from '../src/data/patch'
import { completions, merged, met, weightAt, whose, type Entry, type Person } from '../src/data/people'
import { filter, inBox, known, octets, scope, terms, words } from '../src/data/search'
import { inOrder, SORTS, sortOf } from '../src/data/sorting'
import type { Card } from '../src/data/vcard'
import type { Email, Row } from '../src/jmap/types'

const row = { keywords: { $seen: true as const, work: true as const }, mailboxIds: { a: true as const } }

describe('the order of a list', () => {
  const one = (id: string, from: string, subject: string, size: number, receivedAt: string): Row => ({ id, blobId: id, threadId: id, mailboxIds: {}, keywords: {}, size, receivedAt, from: [{ name: null, email: from }], to: [{ name: 'Zoe', email: 'a@b.test' }], subject, preview: '', hasAttachment: false })
  const rows = [one('e1', 'cay@b.test', 'Re: Apples', 30, '2026-01-01T00:00:00Z'), one('e2', 'Ann@b.test', 'pears', 10, '2026-01-02T00:00:00Z'), one('e10', 'bob@b.test', 'fwd: re: apples', 30, '2026-01-02T00:00:00Z')]
  it('is judged here as the server judges it, the newest first among equals', () => {
    const sorted = (name: string, isOutgoing = false): string => [...rows].sort(inOrder(sortOf(name, isOutgoing))).map((row) => row.id).join(' ')
    expect(SORTS.map((name) => [name, sorted(name)])).toEqual([['newest', 'e10 e2 e1'], ['oldest', 'e1 e10 e2'], ['people', 'e2 e10 e1'], ['subject', 'e10 e1 e2'], ['size', 'e10 e1 e2']])
    expect(sorted('people', true)).toBe('e10 e2 e1')
    // What nobody knows, from an old address, is as if it were not said.
    expect(sorted('colour')).toBe('e10 e2 e1')
  })
})

describe('changes and their inverse', () => {
  it('bring a row back, whatever was asked', () => {
    const patches: Patch[] = [{ 'keywords/$seen': null }, { 'keywords/$flagged': true as const, 'keywords/work': null }, { 'mailboxIds/a': null, 'mailboxIds/b': true as const }, { 'keywords/a~1b': true as const }]
    for (const patch of patches) {
      const after = applied(row, patch)
      expect(after).not.toEqual(row)
      expect(applied(after, inverse(row, patch))).toEqual(row)
    }
  })
  it('leave out what changes nothing', () => {
    expect(effective(row, { 'keywords/$seen': true, 'keywords/$flagged': null })).toEqual({})
    expect(inverse(row, { 'keywords/$seen': true })).toEqual({})
  })
  it('move from one mailbox, or from wherever it is', () => {
    const two = { keywords: {}, mailboxIds: { a: true as const, b: true as const } }
    expect(moved(two, 'c')).toEqual({ 'mailboxIds/a': null, 'mailboxIds/b': null, 'mailboxIds/c': true })
    expect(moved(two, 'c', 'a')).toEqual({ 'mailboxIds/a': null, 'mailboxIds/c': true })
    expect(applied(two, moved(two, 'b')).mailboxIds).toEqual({ b: true })
  })
  it('count at once what the mailboxes will show', () => {
    const unread = { keywords: {}, mailboxIds: { a: true as const } }
    expect(counted(unread, applied(unread, moved(unread, 'b')))).toEqual(new Map([['a', { total: -1, unread: -1 }], ['b', { total: 1, unread: 1 }]]))
    expect(counted(unread, applied(unread, { 'keywords/$seen': true }))).toEqual(new Map([['a', { total: 0, unread: -1 }]]))
  })
})

describe('an order of which windows are known', () => {
  const ids = (from: number, n: number): string[] => Array.from({ length: n }, (_, i) => `m${from + i}`)
  it('tells which windows are missing', () => {
    const order = new Order()
    order.put(0, ids(0, 50), 1000, '1')
    order.put(500, ids(500, 50), 1000, '1')
    expect(order.missing(0, 40)).toEqual([])
    expect(order.missing(30, 120)).toEqual([50, 100])
    expect(order.missing(990, 1100)).toEqual([950])
  })
  it('takes rows out and puts them back where they stood', () => {
    const order = new Order()
    order.put(0, ids(0, 5), 5, '1')
    const stood = order.remove(new Set(['m1', 'm3']))
    expect([order.ids, order.total]).toEqual([['m0', 'm2', 'm4'], 3])
    order.restore(stood)
    expect([order.ids, order.total]).toEqual([ids(0, 5), 5])
  })
  it('follows the changes of the server, also those it made first', () => {
    const order = new Order()
    order.put(0, ids(0, 5), 5, '1')
    order.remove(new Set(['m2']))
    expect(order.change({ oldQueryState: '1', newQueryState: '2', total: 5, removed: ['m2', 'm4'], added: [{ id: 'n', index: 0 }, { id: 'm4', index: 2 }] })).toBe(true)
    expect(order.ids).toEqual(['n', 'm0', 'm4', 'm1', 'm3'])
    expect(order.change({ oldQueryState: '1', newQueryState: '3', removed: [], added: [] })).toBe(false)
  })
  it('forgets what lies behind a hole that something left', () => {
    const order = new Order()
    order.put(0, ids(0, 50), 1000, '1')
    order.put(500, ids(500, 50), 1000, '1')
    order.change({ oldQueryState: '1', newQueryState: '2', total: 999, removed: ['elsewhere'], added: [] })
    expect(order.ids.slice(0, 50)).toEqual(ids(0, 50))
    expect([order.at(500), order.total, order.missing(0, 51)]).toEqual([undefined, 999, [50]])
  })
  it('keeps 100,000 places and knows its head', () => {
    const order = new Order()
    order.put(0, ids(0, 50), 100_000, '1')
    order.put(99_950, ids(99_950, 50), 100_000, '1')
    expect([order.at(99_999), order.head(200).length]).toEqual(['m99999', 50])
  })
})

describe('what a search is narrowed to', () => {
  it('is a mailbox, one at a time, and the rest of the words stays', () => {
    expect(['lunch', 'lunch in:archive', 'in:"Work / Bills" lunch', 'lunch -in:archive'].map(scope)).toEqual(['', 'archive', 'Work / Bills', ''])
    expect(inBox('from:bob  lunch', 'Archive')).toBe('from:bob lunch in:Archive')
    expect(inBox('in:archive "two words" -in:junk', 'Work / Bills')).toBe('"two words" -in:junk in:"Work / Bills"')
    expect(inBox('in:archive lunch in:a', '')).toBe('lunch')
    expect(inBox('fin:a lunch in:a', 'b')).toBe('fin:a lunch in:b')
    expect(inBox('in:archive', '')).toBe('')
    expect(scope(inBox('', 'My "own" box'))).toBe('My own box')
  })

  it('is one of those who may be meant: whom one writes to before others, nobody when it is said already', () => {
    const person = (email: string, name: string | null, weight: number): Person => ({ email, name, weight, at: 0 })
    const people = [person('bob@here.test', 'Bob Boat', 5), person('bea@here.test', 'Bea', 1), { ...person('bobby@gone.test', 'Bobby', 9), hidden: true }]
    const senders = [{ name: 'Bob Other', email: 'Bo@Else.test' }, { name: 'Dan', email: 'dan@else.test' }, { name: 'Nobody', email: 'bob@here.test' }]
    const of = (query: string): string[] => known(query, people, senders, 0).map(({ name, query: to }) => `${name}: ${to}`)
    expect(of('bob invoice')).toEqual(['Bob Boat: from:bob@here.test invoice', 'Bob Other: from:bo@else.test invoice'])
    expect(of('invoice to:"bob b" -from:dan')).toEqual(['Bob Boat: invoice to:bob@here.test -from:dan'])
    expect(of('-bob bob')).toEqual(['Bob Boat: -bob from:bob@here.test', 'Bob Other: -bob from:bo@else.test'])
    expect(of('subject:bob is:unread')).toEqual([])
    expect(of('from:Bob@here.test')).toEqual([])
    expect(of('b')).toEqual([])
    // Whom one took away oneself is not brought up again.
    expect(of('bobby')).toEqual([])
  })
})

describe('what is typed into the search field', () => {
  const now = new Date(2026, 10, 28, 12)
  const boxes = (name: string): string | undefined => (name === 'archive' ? 'ma' : undefined)
  it('is read as operators and words', () => {
    expect(terms('from:bob "two words" -is:unread foo:bar').map(({ key, value, not }) => [key, value, not])).toEqual([['from', 'bob', false], ['text', 'two words', false], ['is', 'unread', true], ['text', 'foo:bar', false]])
    expect(filter('"two words" from:"Bob Boat" "one"', () => undefined, [], new Date())).toEqual({ operator: 'AND', conditions: [{ text: '"two words"' }, { from: '"Bob Boat"' }, { text: 'one' }] })
    expect(filter('-in:sent', () => 's', ['t'], new Date())).toEqual({ operator: 'AND', conditions: [{ operator: 'NOT', conditions: [{ inMailbox: 's' }] }, { inMailboxOtherThan: ['t'] }] })
    expect(words('from:bob cake -x in:sent')).toEqual(['bob', 'cake'])
    expect(terms('"unfinished')[0]?.value).toBe('unfinished')
  })
  it('becomes a filter', () => {
    expect(filter('from:bob', boxes, [], now)).toEqual({ from: 'bob' })
    expect(filter('from:bob has:file in:archive', boxes, ['mt'], now)).toEqual({ operator: 'AND', conditions: [{ from: 'bob' }, { hasAttachment: true }, { inMailbox: 'ma' }] })
    expect(filter('-is:unread cake', boxes, ['mt'], now)).toEqual({ operator: 'AND', conditions: [{ operator: 'NOT', conditions: [{ notKeyword: '$seen' }] }, { text: 'cake' }, { inMailboxOtherThan: ['mt'] }] })
    expect(filter('larger:2.5M', boxes, [], now)).toEqual({ minSize: 2_500_000 })
    expect(filter('in:nowhere', boxes, [], now)).toEqual({ text: 'nowhere' })
    expect(filter('filename:plan.pdf', boxes, [], now, ['attachmentName'])).toEqual({ attachmentName: 'plan.pdf' })
    expect(filter('-filename:"the plan"', boxes, [], now, ['attachmentName'])).toEqual({ operator: 'NOT', conditions: [{ attachmentName: '"the plan"' }] })
    // Where the server has no such condition.
    expect(filter('filename:plan.pdf', boxes, [], now)).toEqual({ operator: 'AND', conditions: [{ hasAttachment: true }, { text: 'plan.pdf' }] })
    expect(filter('older:1w', boxes, [], now)).toEqual({ before: new Date(2026, 10, 21).toISOString().replace('.000', '') })
  })
  it('knows sizes', () => { expect([octets('10k'), octets('1g'), octets('x')]).toEqual([10_000, 1_000_000_000, undefined]) })
})

describe('addresses', () => {
  it('that bear the name of somebody who is known by another one are found', () => {
    const known = [{ name: 'Zoë Quill', email: 'zoe@x.test' }, { name: null, email: 'n@x.test' }]
    const whose = (name: string | null, email: string): string | undefined => borrowed({ name, email }, known)?.email
    expect(['Zoë Quill', 'ZOE  QUILL', 'Quill, Zoe', 'Zо\u0435 Quill', 'Zoe\u200b Quill'].map((name) => whose(name, 'a@evil.test'))).toEqual(Array(5).fill('zoe@x.test'))
    expect([whose('Zoë Quill', 'ZOE@x.test'), whose('Zoë Quilling', 'a@evil.test'), whose(null, 'a@evil.test'), whose('-', 'a@evil.test'), whose('Zoë Quill', 'n@x.test')]).toEqual(Array(5).fill(undefined))
  })
  it('are read as people paste them', () => {
    expect(parsed('Ann <ann@here.test>, bob@here.test; "Lee, Cy" <cy@x.test>\nmailto:d@x.test')).toEqual([
      { name: 'Ann', email: 'ann@here.test' }, { name: null, email: 'bob@here.test' }, { name: 'Lee, Cy', email: 'cy@x.test' }, { name: null, email: 'd@x.test' }])
    expect(written({ name: 'Lee, Cy', email: 'cy@x.test' })).toBe('"Lee, Cy" <cy@x.test>')
    expect(parsed(written({ name: 'Lee, Cy', email: 'cy@x.test' }))).toEqual([{ name: 'Lee, Cy', email: 'cy@x.test' }])
  })
  it('are told from what is none', () => {
    expect(['a@b', 'a.b+c@x.test', 'ä@ö.test'].every(isAddress)).toBe(true)
    expect(['a', 'a@', '@b', 'a b@c', 'a@b@c', ''].some(isAddress)).toBe(false)
  })
  it('are forged when the name shows another', () => {
    expect(isForged({ name: 'boss@corp.test', email: 'x@evil.test' })).toBe(true)
    expect(isForged({ name: 'Boss <BOSS@corp.test>', email: 'boss@corp.test' })).toBe(false)
    expect(isForged({ name: 'Boss', email: 'x@evil.test' })).toBe(false)
  })
  it('appear once', () => { expect(without([{ name: null, email: 'A@x' }, { name: 'a', email: 'a@X' }, { name: null, email: 'b@x' }], ['B@x'])).toEqual([{ name: null, email: 'A@x' }]) })
})

const mail = (some: Partial<Email>): Email => ({
  id: 'e', blobId: 'b', threadId: 't', mailboxIds: {}, keywords: {}, size: 1, receivedAt: '2026-11-28T12:00:00Z', from: [{ name: 'Bob', email: 'bob@here.test' }], to: [{ name: null, email: 'ann@here.test' }, { name: 'Cy', email: 'cy@x.test' }], subject: 'Plan', preview: '', hasAttachment: false,
  cc: [{ name: null, email: 'd@x.test' }, { name: null, email: 'ANN@here.test' }], bcc: null, replyTo: null, sender: null, sentAt: null, messageId: ['m1@x'], inReplyTo: null, references: ['m0@x'], textBody: [], htmlBody: [], attachments: [], bodyValues: {}, ...some })

describe('answers', () => {
  const mine = ['ann@here.test']
  const emails = (l: { email: string }[]): string[] => l.map((a) => a.email)
  it('go to whom they should', () => {
    const one = answer.recipients('reply', mail({}), mine)
    expect([emails(one.to), emails(one.cc)]).toEqual([['bob@here.test'], []])
    const all = answer.recipients('reply-all', mail({}), mine)
    expect([emails(all.to), emails(all.cc)]).toEqual([['bob@here.test', 'cy@x.test'], ['d@x.test']])
    expect(emails(answer.recipients('reply', mail({ replyTo: [{ name: null, email: 'list@x.test' }] }), mine).to)).toEqual(['list@x.test'])
    expect(emails(answer.recipients('reply', mail({ from: [{ name: null, email: 'ann@here.test' }], to: [{ name: null, email: 'cy@x.test' }] }), mine).to)).toEqual(['cy@x.test'])
  })
  it('keep subject and thread', () => {
    expect([answer.subject('reply', 'Plan'), answer.subject('reply', 'RE: Plan'), answer.subject('reply', 'AW: Plan'), answer.subject('forward', 'Plan'), answer.subject('forward', 'Fwd: Plan')]).toEqual(['Re: Plan', 'RE: Plan', 'AW: Plan', 'Fwd: Plan', 'Fwd: Plan'])
    expect(answer.threading(mail({}))).toEqual({ inReplyTo: ['m1@x'], references: ['m0@x', 'm1@x'] })
  })
  it('quote', () => {
    expect(answer.quotedText('a\n> b\n\n')).toBe('> a\n>> b')
    expect(answer.htmlOf('a <b>\n\nc')).toBe('<div>a &lt;b&gt;</div><div><br></div><div>c</div>')
  })
})

describe('a draft', () => {
  const draft: Draft = { key: 'k', account: 'a', kind: 'new', identityId: 'i', to: [{ name: null, email: 'c@x.test' }], cc: [], bcc: [], subject: 'S', html: '<div>x</div><img src="cid:p@q">', text: 'x', quoteHtml: '', quoteText: '> y', inReplyTo: null, references: null, answers: null, forwards: null, messageId: 'm@x', pieces: [], emailId: null, plain: false, sendAt: null, changedAt: 0 }
  const facts = { from: { name: 'Ann', email: 'ann@here.test' }, drafts: 'md', replyTo: null, bcc: [], now: '2026-11-28T12:00:00+01:00' }
  const piece = (name: string, cid: string | null): Draft['pieces'][number] => ({ key: name, name, type: 'image/png', size: 1, blobId: `b${name}`, cid, share: 1, error: null })
  it('is text and HTML, pictures related, files mixed', () => {
    const made = email({ ...draft, pieces: [piece('pic', 'p@q'), piece('file', null), piece('taken out of the text', 'p@'), piece('and this', 'z@q')] }, facts)
    const body = made.bodyStructure as { type: string; subParts: { type: string; subParts?: { type: string; subParts?: unknown[] }[]; blobId?: string }[] }
    expect([body.type, body.subParts.map((p) => p.type)]).toEqual(['multipart/mixed', ['multipart/alternative', 'image/png']])
    expect(body.subParts[0]?.subParts?.map((p) => p.type)).toEqual(['text/plain', 'multipart/related'])
    expect((body.subParts[0]?.subParts?.[1]?.subParts as { cid?: string }[]).map((p) => p.cid)).toEqual([undefined, 'p@q'])
    expect((made.bodyValues as Record<string, { value: string }>).text?.value).toBe('x\n\n> y\n')
  })
  it('is plain when it is plain', () => { expect(email({ ...draft, plain: true }, facts).bodyStructure).toEqual({ partId: 'text', type: 'text/plain' }) })
  it('has the pictures of what it quotes', () => {
    const made = email({ ...draft, html: '<div>x</div>', quoteHtml: '<blockquote><img src="cid:p@q"></blockquote>', pieces: [piece('pic', 'p@q')] }, facts)
    expect(JSON.stringify(made.bodyStructure)).toContain('"disposition":"inline","cid":"p@q"')
  })
  it('weighs more where files go out in base64', () => {
    const with_ = (type: string): number => weight({ ...draft, pieces: [{ ...piece('file', null), type, size: 1_000_000 }] }) - weight(draft)
    expect([with_('image/png') > 1_350_000, with_('message/rfc822'), with_('TEXT/plain')]).toEqual([true, 1_000_400, 1_000_400])
  })
  it('is empty when nothing was written', () => { expect([isEmpty(draft), isEmpty({ ...draft, to: [], subject: ' ', text: '\n' })]).toEqual([false, true]) })
  it('is sent when one says', () => {
    const now = new Date(2026, 10, 28, 14, 0) // a Saturday
    const said = (text: string): string | undefined => later(text, now)?.toLocaleString('sv')
    expect(said('tomorrow')).toBe('2026-11-29 08:00:00')
    expect(said('tue 8')).toBe('2026-12-01 08:00:00')
    expect(said('sat 9:30')).toBe('2026-12-05 09:30:00')
    expect(said('16:15')).toBe('2026-11-28 16:15:00')
    expect(said('9')).toBe('2026-11-29 09:00:00')
    expect(said('in 2h')).toBe('2026-11-28 16:00:00')
    expect(said('2026-12-24 18')).toBe('2026-12-24 18:00:00')
    expect([said('yesterday'), said('25:00'), said(''), said('2020-01-01')]).toEqual([undefined, undefined, undefined, undefined])
    expect(localDate(now)).toMatch(/^2026-11-28T14:00:00[+-]\d\d:\d\d$/)
  })
})

describe('people', () => {
  it('count less the older they are', () => {
    const old = met(undefined, { name: 'Bob', email: 'Bob@x.test' }, 4, 0)
    expect(weightAt(old, 60 * 86_400_000)).toBeCloseTo(2)
    const cy = met(undefined, { name: 'Bobby', email: 'cy@x.test' }, 3, 60 * 86_400_000)
    expect(completions([old, cy], 'bob', 60 * 86_400_000).map((p) => p.email)).toEqual(['cy@x.test', 'bob@x.test'])
    expect(completions([old, { ...cy, hidden: true }], 'BÓB', 0).map((p) => p.email)).toEqual(['bob@x.test'])
    expect(completions([old], '', 0)).toEqual([])
  })
  it('are those of the server’s address book', () => {
    const person = (email: string, more: Partial<Person> = {}): [string, Person] => [email, { email, name: null, weight: 1, at: 0, ...more }]
    const entry = (id: string, email: string, more: Partial<Entry> = {}): Entry => ({ id, name: 'N', emails: [email], isEntered: true, timesUsed: 0, lastUsed: null, ...more })
    const here = new Map([person('same@x', { id: 's', name: 'N', weight: 5 }), person('gone@x', { id: 'g' }), person('met@x'), person('forgotten@x', { hidden: true }), person('again@x', { hidden: true }), person('mine@x', { unsent: [] })])
    const found = merged(here, [entry('s', 'Same@x'), entry('n', 'new@x', { timesUsed: 4, lastUsed: new Date(0).toISOString() }), entry('f', 'forgotten@x', { isEntered: false }), entry('a', 'again@x'), entry('m', 'mine@x')], 0)
    expect(found.map((p) => [p.email, p.id, p.hidden === true, p.weight])).toEqual([['new@x', 'n', false, 4], ['again@x', 'a', false, 1], ['gone@x', undefined, true, 1]])
    expect(merged(new Map(), [entry('1', 'both@x', { name: 'Anna' }), entry('2', 'Both@x', { name: 'Ben' }), entry('3', 'both@x', { name: 'Anna' })], 0).map((p) => [p.email, p.name])).toEqual([['both@x', 'Anna, Ben']])
    expect(merged(new Map(), [entry('1', 'both@x', { name: 'Doe, Jane' }), entry('2', 'both@x', { name: 'Ben' })], 0).map((p) => p.name)).toEqual(['Ben; Doe, Jane'])
  })
  it('are known by their names where they share an address', () => {
    const card = (name: string | null, email = 'both@x', corrects = false): Card => ({ name, emails: [email], phones: [], organization: '', note: '', vcard: null, ...(corrects ? { corrects: true as const } : {}) })
    const found = (all: Card[], one: Card): string | null | undefined => { const had = whose(all, one, (c) => c); return had && `${had.name} ${had.emails[0]}` }
    const [anna, ben, nobody] = [card('Anna'), card('Ben'), card(null)]
    expect(found([anna, ben], card('BÉN', 'BOTH@x', true))).toBe('Ben both@x')
    expect(found([nobody, ben], card('Ben'))).toBe('Ben both@x')
    expect(found([anna, nobody], card('Cy'))).toBe('null both@x')
    expect(found([anna], card('Cy'))).toBe(undefined)
    expect(found([anna, card('Dan', 'other@x')], card('Cy', 'both@x', true))).toBe('Anna both@x')
    expect(found([anna, ben], card('Cy', 'both@x', true))).toBe(undefined)
    expect(found([anna, ben], card(null))).toBe('Anna both@x')
  })
})
