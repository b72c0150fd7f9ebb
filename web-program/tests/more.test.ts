import { describe, expect, it, vi } from 'vitest'
import { invitation } from '../src/data/calendar'
import { isPage, isShown, kind } from '../src/data/kind'
import { mailto } from '../src/data/mailto'
import { names } from '../src/data/zip'
import { matches } from '../src/data/local'
import { hops, verdicts } from '../src/data/route'
import { signIn } from '../src/jmap/sign-in'
import { apart } from '../src/data/safe'
import { askAgain, fate, ways } from '../src/data/sent'
import { plain, read, together, written, type Card } from '../src/data/vcard'
import { choices, keyword, setting, until } from '../src/data/snooze'
import type { Filter, Row, Submission } from '../src/jmap/types'
import { places } from '../src/view/found'

const row: Row = { id: 'e', blobId: 'b', threadId: 't', mailboxIds: { mi: true }, keywords: { $seen: true }, size: 2000, receivedAt: '2026-11-28T12:00:00Z', from: [{ name: 'Bób', email: 'bob@here.test' }], to: [{ name: null, email: 'ann@here.test' }], subject: 'Plan', preview: 'the lake', hasAttachment: false }

describe('without a network', () => {
  it('filters are judged here', () => {
    const yes: Filter[] = [{ inMailbox: 'mi' }, { text: 'bob' }, { from: 'BOB@' }, { subject: 'pla' }, { body: 'lake' }, { hasKeyword: '$seen' }, { minSize: 2000 }, { after: '2026-11-28T00:00:00Z' }, { inMailboxOtherThan: ['mt'] }, { operator: 'NOT', conditions: [{ text: 'sea' }] }, { operator: 'OR', conditions: [{ text: 'sea' }, { text: 'lake' }] }]
    for (const filter of yes) expect(matches(row, filter), JSON.stringify(filter)).toBe(true)
    const no: Filter[] = [{ inMailbox: 'mt' }, { text: 'sea' }, { notKeyword: '$seen' }, { hasAttachment: true }, { maxSize: 2000 }, { before: '2026-11-28T00:00:00Z' }, { inMailboxOtherThan: ['mi'] }, { header: ['x', 'y'] }, { operator: 'AND', conditions: [{ text: 'lake' }, { text: 'sea' }] }]
    for (const filter of no) expect(matches(row, filter), JSON.stringify(filter)).toBe(false)
  })

  it('what a row does not tell is found neither so nor the other way round', () => {
    const name: Filter = { attachmentName: 'plan' }
    const not = (filter: Filter): Filter => ({ operator: 'NOT', conditions: [filter] })
    for (const filter of [name, not(name), { operator: 'AND', conditions: [name, { text: 'lake' }] }, not({ operator: 'OR', conditions: [name, { text: 'sea' }] })] as Filter[]) expect(matches(row, filter), JSON.stringify(filter)).toBe(false)
    expect(matches(row, { operator: 'OR', conditions: [name, { text: 'lake' }] })).toBe(true)
    expect(matches(row, not({ operator: 'AND', conditions: [name, { text: 'sea' }] }))).toBe(true)
  })
})

describe('what was searched for', () => {
  it('is found in a text as the search folds it, from the left, each letter once', () => {
    const found = (text: string, ...words: string[]): string[] => places(text, words).map(([from, to]) => text.slice(from, to))
    expect(found('Lunch, then LUNCH again', 'lunch')).toEqual(['Lunch', 'LUNCH'])
    expect(found('aXbXa', 'b', 'a')).toEqual(['a', 'b', 'a'])
    expect(found('aaa', 'aa')).toEqual(['aa'])
    expect(found('nothing', '', 'else')).toEqual([])
    // Folded it has other lengths: nothing is marked rather than something else.
    expect(found('Café Bob', 'bob')).toEqual(['Bob'])
    expect(found('ﬁsh 한 Bob', 'bob')).toEqual([])
  })
})

describe('the way a message came', () => {
  it('is read from its Received fields, first hop first', () => {
    const found = hops([' from mx.shop.com ([192.0.2.1]) (using TLSv1.3 TLS_AES_256_GCM_SHA384) by mail.here.test with ESMTPS id x for <ann@here.test>; Mon, 23 Nov 2026 01:30:25 +0000', ' from laptop by mx.shop.com with ESMTPSA id y; Mon, 23 Nov 2026 01:30:21 +0000 (UTC)'])
    expect(found.map((h) => [h.from, h.by, h.with, h.tls, h.seconds])).toEqual([['laptop', 'mx.shop.com', 'ESMTPSA', '', undefined], ['mx.shop.com', 'mail.here.test', 'ESMTPS', 'TLS 1.3', 4]])
    expect(hops(['nonsense'])).toEqual([{ from: '', by: '', with: '', tls: '', at: undefined, seconds: undefined }])
  })
  it('knows the checks', () => {
    expect(verdicts('here.test; spf=pass (all is well) smtp.mailfrom=a@x.test; dkim=fail header.d=x.test;\r\n dmarc=pass').map((v) => [v.method, v.result, v.detail])).toEqual([['SPF', 'pass', 'smtp.mailfrom=a@x.test'], ['DKIM', 'fail', 'header.d=x.test'], ['DMARC', 'pass', '']])
    expect(verdicts('here.test; none')).toEqual([])
  })
})

describe('address books', () => {
  it('go out and come back', () => {
    const people = [plain('Lee; Cy, "the" \\ one', 'cy@x.test'), { ...plain('Zoë '.repeat(30).trim(), 'zoe@x.test'), phones: ['+49 30 1'], organization: 'Lamps, Ltd', note: 'one\ntwo' }]
    expect(read(written(people)).cards.map((card) => ({ ...card, vcard: null }))).toEqual(people)
    expect(Math.max(...written(people).split('\r\n').map((l) => new TextEncoder().encode(l).length))).toBeLessThanOrEqual(75)
  })
  it('are read as others write them', () => {
    const { cards: found, ...left } = read('BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCll=\ner;J=C3=B6rg\nEMAIL;HOME:j@x.test\nitem1.EMAIL;TYPE=work:j@work.test\nPHOTO;ENCODING=BASE64:aGk=\nEND:VCARD\nBEGIN:VCARD\nFN:No address\nEND:VCARD')
    expect(left).toEqual({ without: 1, cut: 0 })
    expect(found.map(({ name, emails }) => ({ name, emails }))).toEqual([{ name: 'Jörg Müller', emails: ['j@x.test', 'j@work.test'] }])
    expect(written(found)).toBe('BEGIN:VCARD\r\nVERSION:3.0\r\nN:Müller;Jörg\r\nEMAIL;HOME:j@x.test\r\nitem1.EMAIL;TYPE=work:j@work.test\r\nPHOTO;ENCODING=BASE64:aGk=\r\nEND:VCARD\r\n')
  })
  it('keep what the program has no field for, and what was changed in it', () => {
    const text = 'BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Zoë\r\nEMAIL:zoe@x.test\r\nEMAIL:old@x.test\r\nTEL;TYPE=home:+49 30 1\r\nORG:Lamps\\, Ltd;Sales\r\nNOTE:likes tea\r\nBDAY:1980-01-01\r\nEND:VCARD\r\n'
    const card = read(text).cards[0] as Card
    expect([card.phones, card.organization, card.note]).toEqual([['+49 30 1'], 'Lamps, Ltd, Sales', 'likes tea'])
    expect(written([card])).toBe(text)
    expect(written([{ ...card, name: 'Zoë Quill', emails: ['zoe@x.test', 'new@x.test'] }])).toBe(text.replace('FN:Zoë', 'FN:Zoë Quill').replace('EMAIL:old@x.test\r\n', '').replace('END:', 'EMAIL:new@x.test\r\nEND:'))
    const large = read(text.replace('BDAY', `PHOTO:${'A'.repeat(40_000)}\r\nBDAY`))
    expect([written(large.cards), large.cut]).toEqual([text, 1])
  })
  it('of one person in two cards are one, with all that either says', () => {
    const card = (more: string): string => `BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Zoë\r\nEMAIL:zoe@x.test\r\n${more}END:VCARD\r\n`
    expect(together(card('TEL:1\r\nBDAY:1980-01-01\r\n'), card('TEL:2\r\n'))).toBe(card('TEL:1\r\nBDAY:1980-01-01\r\nTEL:2\r\n'))
    expect(together(null, card(''))).toBe(card(''))
    expect(together(card(''), null)).toBe(card(''))
  })
})

describe('styles of a message', () => {
  it('stand apart, and go when they could ask for anything', () => {
    expect(apart('<style>.m-x{color:red}</style><p>x</p>')).toEqual({ css: '.m-x{color:red}', html: '<p>x</p>' })
    for (const css of ['@import "x"', 'a{background:url(x)}', 'a{background:image-set("x" 1x)}', 'a{b:\\75rl(x)}']) expect(apart(`<style>${css}</style>y`)).toEqual({ css: '', html: 'y' })
    expect(apart('<style>.m-x{color:red}</style><div class="m-mail">x</div><style>.m-y{color:blue}</style><div class="m-mail">y</div><style>a{b:url(x)}</style><div class="m-mail">z</div>')).toEqual({ css: '.m-x{color:red}\n.m-y{color:blue}', html: '<div class="m-mail">x</div><div class="m-mail">y</div><div class="m-mail">z</div>' })
    expect(apart('<p><style>a{}</style>')).toEqual({ css: '', html: '<p><style>a{}</style>' })
  })
})

describe('what was sent', () => {
  const sent = (states: ('queued' | 'yes' | 'no' | 'unknown')[], undoStatus: Submission['undoStatus'] = 'final', sendAt = '2026-11-28T12:00:00Z'): Submission => ({
    id: 's', identityId: 'i', emailId: 'e', threadId: 't', undoStatus, sendAt, deliveryStatus: Object.fromEntries(states.map((delivered, n) => [`p${n}@x.test`, { smtpReply: `250 ${n}`, delivered, displayed: 'unknown' }])),
  })
  const now = Date.parse('2026-11-28T12:00:10Z')
  it('is as good as its worst way', () => {
    expect(fate(sent(['yes', 'yes']))).toBe('delivered')
    expect(fate(sent(['yes', 'queued']))).toBe('waiting')
    expect(fate(sent(['yes', 'unknown']))).toBe('accepted')
    expect(fate(sent(['queued', 'unknown']))).toBe('waiting')
    expect(fate(sent(['yes', 'no', 'queued']))).toBe('failed')
    expect(fate(sent(['queued'], 'pending'))).toBe('held')
    expect(ways(sent(['no']))).toEqual([{ to: 'p0@x.test', fate: 'failed', reply: '250 0' }])
  })
  it('is accepted where the other server said so and no more is known, and only there', () => {
    const unknown = (smtpReply: string): Submission => ({ ...sent([]), deliveryStatus: { 'a@b.test': { smtpReply, delivered: 'unknown', displayed: 'unknown' } } })
    expect(ways(unknown('250 2.0.0 queued as 7'))[0].fate).toBe('accepted')
    expect(ways(unknown('450 4.0.0 what became of it is not known'))[0].fate).toBe('waiting')
    expect(ways({ ...unknown('250 2.0.0 taken'), undoStatus: 'pending' })[0].fate).toBe('held')
    expect(askAgain([unknown('250 2.0.0 queued as 7')], 0, now)).toBeUndefined()
  })
  it('is asked for again while something is open, less and less often, and not before its time', () => {
    expect(askAgain([sent(['yes']), sent(['no']), sent(['queued'], 'canceled')], 0, now)).toBeUndefined()
    expect(askAgain([sent(['queued'])], 0, now)).toBe(10_000)
    expect(askAgain([sent(['queued'])], 3, now)).toBe(80_000)
    expect(askAgain([sent(['queued'])], 50, now)).toBe(120_000)
    expect(askAgain([sent(['queued'], 'pending', '2026-11-28T12:00:40Z')], 0, now)).toBe(30_500)
    expect(askAgain([sent(['queued'], 'pending', '2027-11-28T12:00:00Z')], 0, now)).toBe(600_000)
  })
})

describe('later', () => {
  it('is a keyword that tells the time', () => {
    const at = new Date('2026-11-28T09:30:00Z')
    expect(keyword(at)).toBe('$later-202611280930')
    expect(until({ $seen: true, [keyword(at)]: true })).toEqual({ keyword: keyword(at), at })
    expect(until({ $seen: true, '$later-x': true })).toBeUndefined()
  })
  it('offers what is still to come', () => {
    const saturday = new Date(2026, 10, 28, 20)
    expect(choices(saturday).map(([name, at]) => [name, at.getDate(), at.getHours()])).toEqual([['tomorrow', 29, 8], ['weekend', 5, 9], ['week', 30, 8]])
    expect(choices(new Date(2026, 10, 25, 9)).map(([name]) => name)).toEqual(['evening', 'tomorrow', 'weekend', 'week'])
  })
})

describe('invitations', () => {
  it('say what, when, where and who', () => {
    const file = 'BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nDTSTART:19700101T000000\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nDTSTART;TZID="Europe/Paris":20261204T123000\r\nDTEND;TZID=Europe/Paris:20261204T140000\r\nSUMMARY:Lunch\\, and a\r\n  walk\r\nLOCATION:The lake\r\nORGANIZER;CN=Bob:mailto:bob@here.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n'
    const found = invitation(file)
    expect(found).toMatchObject({ method: 'REQUEST', summary: 'Lunch, and a walk', location: 'The lake', organizer: 'Bob', cancelled: false })
    // In the time of here, and in that of there where it is another.
    const clock = (hour: number): string => new Date(Date.UTC(2026, 11, 4, hour, hour === 11 ? 30 : 0)).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
    expect(found?.when).toContain(`${clock(11)} – ${clock(13)}`)
    if (new Date(2026, 11, 4).getTimezoneOffset() !== -60) expect(found?.when).toMatch(/\(12:30.*Europe\/Paris\)/)
    expect(invitation(file.replaceAll('Europe/Paris', 'Nowhere Time'))?.when).toMatch(/12:30.*–.*(2:00|14:00).*\(Nowhere Time\)/)
    expect(invitation(file.replace('REQUEST', 'CANCEL'))?.cancelled).toBe(true)
    expect(invitation('BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261204\nEND:VEVENT')?.when).toMatch(/2026/)
    expect(invitation('no calendar')).toBeUndefined()
  })
})

describe('files', () => {
  it('are what their message says, or what their name says where it does not know', () => {
    expect(kind({ type: 'application/octet-stream', name: 'A.PDF' })).toBe('application/pdf')
    expect(kind({ type: 'application/octet-stream', name: 'a.exe' })).toBe('application/octet-stream')
    expect(kind({ type: 'text/plain', name: 'a.png' })).toBe('text/plain')
    expect(kind({ type: 'text/x-vcard', name: null })).toBe('text/vcard')
  })
  it('that are pages are made safe, and drawings, which are pages, not shown', () => {
    expect([kind({ type: 'application/octet-stream', name: 'a.HTML' }), 'text/html', 'application/xhtml+xml'].map((type) => isShown(type) && isPage(type))).toEqual([true, true, true])
    for (const type of ['image/svg+xml', 'text/xml', 'application/zip', 'video/mp4']) expect(isShown(type)).toBe(false)
    for (const type of ['text/plain', 'text/markdown', 'image/png', 'message/rfc822', 'application/pdf', 'audio/ogg']) expect(isShown(type)).toBe(true)
  })
  it('in an archive have names that every system takes, each once', () => {
    expect(names(['a.txt', 'A.txt', 'a.txt', '../../etc/passwd', 'con:1?.txt', '', 'noend', 'noend'])).toEqual(['a.txt', 'A (2).txt', 'a (3).txt', '__.._etc_passwd', 'con_1_.txt', 'file', 'noend', 'noend (2)'])
  })
})

describe('a link to write', () => {
  it('names receivers, subject and text, and a plus is a plus', () => {
    expect(mailto('mailto:a@x.test,b%2Bc@x.test?cc=d@x.test&subject=1+1%20%26&body=a%0D%0Ab&bcc=&X-Priority=1')).toEqual({ to: [{ name: null, email: 'a@x.test' }, { name: null, email: 'b+c@x.test' }], cc: [{ name: null, email: 'd@x.test' }], bcc: [], subject: '1+1 &', body: 'a\nb' })
    expect(mailto('MAILTO:?to=e@x.test&amp;subject=%E0%A4%A')).toMatchObject({ to: [{ name: null, email: 'e@x.test' }], subject: '%E0%A4%A' })
    expect(mailto('https://x.test')).toEqual({ to: [], cc: [], bcc: [], subject: '', body: '' })
  })
})

describe('put off', () => {
  const update = (calls: ReturnType<typeof setting>): unknown => (calls.at(-1)?.[1] as { update: unknown }).update
  it('and called back lies where it lay, not in the inbox as well', () => {
    const archive = { 'mailboxIds/mi': null, 'mailboxIds/ma': true, 'mailboxIds/mz': null } as const
    const called = (patch: Record<string, true | null>): unknown => update(setting({ patches: { e: patch }, until: null } as never, 'a', 'mi', () => false, 0))
    expect(called({ 'mailboxIds/ma': true, 'mailboxIds/mz': null })).toEqual({ e: archive })
    expect(called({ 'mailboxIds/mi': true, 'mailboxIds/mz': null })).toEqual({ e: { 'mailboxIds/mi': true, 'mailboxIds/mz': null } })
    expect(called({})).toEqual({ e: {} })
  })
  it('once more is told to the server, though nothing of it is seen', () => {
    const calls = setting({ patches: { e: {} }, until: '2030-01-01T08:00:00.000Z' } as never, 'a', 'mi', () => false, 0)
    expect(calls.map(([name]) => name)).toEqual(['Snooze/set', 'Email/set'])
  })
})

describe('what the server says at the door', () => {
  const told = async (status: number, body: object, headers: Record<string, string> = {}): Promise<unknown> => {
    vi.stubGlobal('fetch', async () => new Response(JSON.stringify(body), { status, headers }))
    vi.stubGlobal('localStorage', { removeItem: () => undefined })
    try { return await signIn('ann@here.test', 'pw', '') } finally { vi.unstubAllGlobals() }
  }
  it('is known apart: wrong, a code, the password of a program, later', async () => {
    expect(await told(200, {})).toBe('ok')
    expect(await told(401, {})).toBe('wrong')
    expect(await told(401, { needs: 'totp' })).toBe('code')
    expect(await told(401, { needs: 'own-password' })).toBe('program')
    expect(await told(429, {}, { 'Retry-After': '30' })).toEqual({ wait: 30 })
    expect(await told(503, {})).toBe('no-server')
  })
})
