// An invitation: what it says, and the answer to it, as another program reads it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Offices, axe, browser, desktop, opened, page, signIn, until } from './offices.mjs'

let offices, chrome, ann
const SUMMARY = 'Mittagessen am Zürichsee, und danach gehen wir alle zusammen über die Brücke nach Hause'
const event = (method, more = '', organizer = 'ORGANIZER;CN=Bob:mailto:bob@here.test') => `BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nMETHOD:${method}\r\nBEGIN:VTIMEZONE\r\nTZID:America/New_York\r\nBEGIN:STANDARD\r\nDTSTART:20071104T020000\r\nTZOFFSETFROM:-0400\r\nTZOFFSETTO:-0500\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:lunch-1@here.test\r\nSEQUENCE:3\r\nDTSTAMP:20261101T000000Z\r\nDTSTART;TZID=America/New_York:20261204T113000\r\nDTEND;TZID=America/New_York:20261204T123000\r\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=5\r\nSUMMARY:${SUMMARY.replaceAll(',', '\\,')}\r\nLOCATION:Pier 3\r\nDESCRIPTION:Bring bread\\, and\\nwine\r\n${organizer}\r\nATTENDEE;CN=Ann;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:ann@here.test\r\nATTENDEE;CN=Zoe:mailto:zoe@there.test\r\n${more}END:VEVENT\r\nEND:VCALENDAR\r\n`
const letter = (subject, method, calendar) => `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: ${subject}\r\nMessage-ID: <${subject.toLowerCase().replaceAll(' ', '-')}@here.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n\r\nCome.\r\n--x\r\nContent-Type: text/calendar; method=${method}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${calendar}\r\n--x--\r\n`
const open = async (subject) => { await ann.locator('.row', { hasText: subject }).click(); await ann.locator('article').getByText('Come.').waitFor(); return ann.getByRole('region', { name: 'Invitation' }) }
/** The calendar of the answer, unfolded, and its type as it was sent. */
async function answer(octets) {
  const run = promisify(execFile)('python3', ['-c', 'import email, email.policy, json, sys\nm = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\np = next(p for p in m.walk() if p.get_content_type() == "text/calendar")\nprint(json.dumps({"method": p.get_param("method"), "text": p.get_payload(decode=True).decode(), "to": m["To"], "about": m["In-Reply-To"], "raw": max(len(l) for l in p.get_payload(decode=True).splitlines())}))'])
  run.child.stdin.end(octets)
  const { text, ...more } = JSON.parse((await run).stdout)
  return { ...more, lines: text.replaceAll(/\r\n[ \t]/g, '').trim().split('\r\n') }
}

/** As it came to who invited. */
const answered = (how) => until(`${how} at Bob`, async () => {
  for (let n = 1; n < 8; n++) { const found = await offices.imap('bob', `INBOX;MAILINDEX=${n}`).catch(() => ''); if (found.includes('method=REPLY') && (await answer(found)).lines.some((line) => line.includes(`PARTSTAT=${how}`))) return found }
  return undefined
})
/** The invitation in its conversation, in which the answers stand as well. */
async function invitation(p) {
  const first = p.locator('article').first()
  await first.getByText('Come.').waitFor()
  if (!/\bopen\b/.test(await first.getAttribute('class'))) await first.locator('h2 button').click()
  return first.getByRole('region', { name: 'Invitation' })
}

before(async () => {
  offices = await Offices.open()
  chrome = await browser()
  for (const [subject, method, calendar] of [['Invited', 'REQUEST', event('REQUEST')], ['Called off', 'CANCEL', event('CANCEL')], ['My own', 'REQUEST', event('REQUEST', '', 'ORGANIZER:mailto:ann@here.test')], ['Nobody asks', 'PUBLISH', event('PUBLISH')]]) await offices.append('ann', letter(subject, method, calendar))
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await ann.locator('.row', { hasText: 'Nobody asks' }).waitFor()
})
after(async () => { await chrome?.close(); await offices?.close() })

describe('an invitation', { timeout: 300_000 }, () => {
  it('says what, when by the clock of here, how often and where', async () => {
    const invited = await open('Invited')
    await invited.getByText(SUMMARY).waitFor()
    const [start, end] = await ann.evaluate(() => [16, 17].map((hour) => new Date(Date.UTC(2026, 11, 4, hour, 30)).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })))
    await invited.getByText(`${start} – ${end}`).waitFor()
    for (const text of ['America/New_York', 'Every 2 weeks, 5 times', 'Pier 3', 'Bob <bob@here.test>', 'Bring bread, and']) await invited.getByText(text).waitFor()
    assert.deepEqual(await axe(ann), [])
  })

  it('is answered by one button, and who invited is told in a form that his calendar reads', async () => {
    const invited = await open('Invited')
    await invited.getByRole('button', { name: 'Accept' }).click()
    await invited.getByRole('button', { name: 'Accept' }).and(ann.locator('[aria-pressed=true]')).waitFor()
    const whole = await answered('ACCEPTED')
    const letter = await opened(whole)
    assert.equal(letter.subject, `Accepted: ${SUMMARY}`)
    const { lines, ...more } = await answer(whole)
    assert.deepEqual([more.method, more.about], ['REPLY', '<invited@here.test>'])
    assert.match(more.to, /bob@here\.test/)
    assert.ok(more.raw <= 75, String(more.raw))
    for (const line of ['METHOD:REPLY', 'UID:lunch-1@here.test', 'SEQUENCE:3', 'DTSTART;TZID=America/New_York:20261204T113000', 'TZID:America/New_York', 'ORGANIZER;CN=Bob:mailto:bob@here.test']) assert.ok(lines.includes(line), line)
    assert.deepEqual(lines.filter((line) => line.startsWith('ATTENDEE')).map((line) => line.replace(/;CN="[^"]*"/, '')), ['ATTENDEE;PARTSTAT=ACCEPTED:mailto:ann@here.test'])
    // It is known at the server, for every device; and the message was answered.
    await until('the keyword', async () => /\$accepted/i.test(await offices.listed('ann')) && /\\Answered/.test(await offices.listed('ann')))
    await ann.reload()
    await (await invitation(ann)).getByRole('button', { name: 'Accept' }).and(ann.locator('[aria-pressed=true]')).waitFor()
  })

  it('is answered otherwise later on', async () => {
    const invited = await invitation(ann)
    await invited.getByRole('button', { name: 'Decline' }).click()
    await invited.getByRole('button', { name: 'Decline' }).and(ann.locator('[aria-pressed=true]')).waitFor()
    assert.equal(await invited.locator('[aria-pressed=true]').count(), 1)
    await answered('DECLINED')
  })

  it('says at who invited who answered, and how', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
    const bob = await page(context)
    await signIn(bob, offices.here, 'bob@here.test', offices.password('bob@here.test'))
    await bob.locator('.row', { hasText: 'Declined' }).first().click()
    await bob.getByRole('region', { name: 'Invitation' }).getByText('ann@here.test: Declined').last().waitFor()
    assert.deepEqual(bob.troubles, [])
    await context.close()
  })

  it('is taken back in time: nothing goes out, and it is as it was', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
    const slow = await page(context)
    await signIn(slow, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    await slow.locator('.row', { hasText: SUMMARY.slice(0, 20) }).or(slow.locator('.row', { hasText: 'Invited' })).first().click()
    const invited = await invitation(slow)
    await invited.getByRole('button', { name: 'Maybe' }).click()
    await slow.locator('.toast', { hasText: 'Perhaps: Bob is told' }).getByRole('button', { name: 'Undo' }).click()
    await slow.locator('.toast').getByText('Not sent').waitFor()
    await invited.getByRole('button', { name: 'Decline' }).and(slow.locator('[aria-pressed=true]')).waitFor()
    assert.ok(!/Perhaps/.test(await offices.listed('ann', 'Sent')))
    assert.deepEqual(slow.troubles, [])
    await context.close()
  })

  it('that was called off, is one’s own, or asks nothing, is not answered', async () => {
    for (const subject of ['Called off', 'My own', 'Nobody asks']) {
      const invited = await open(subject)
      await invited.getByText(SUMMARY).waitFor()
      assert.equal(await invited.getByRole('button').count(), 0, subject)
    }
    assert.deepEqual(ann.troubles, [])
  })
})
