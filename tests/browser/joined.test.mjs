// The inboxes of two accounts as one list: the newest first, each row of its account, acts where they belong, taken back as one.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { axe, browser, desktop, Offices, pictures, signIn, until, wayBack } from './offices.mjs'

let offices, chrome, ann
const letter = (subject) => `From: Carol <carol@there.test>\r\nTo: us@here.test\r\nSubject: ${subject}\r\nMessage-ID: <${subject.replaceAll(' ', '')}@x>\r\n\r\nText of ${subject}\r\n`
const date = (minute) => `05-Jan-2026 10:${String(minute).padStart(2, '0')}:00 +0000`
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  // The same octets of the same minute in both: one id, two messages.
  await offices.appendAll('ann', [letter('To both'), ...[1, 3, 5, 7].map((n) => letter(`Letter ${n}`))], 'INBOX', '', [0, 1, 3, 5, 7].map(date))
  await offices.appendAll('bob', [letter('To both'), ...[2, 4, 6].map((n) => letter(`Letter ${n}`))], 'INBOX', '', [0, 2, 4, 6].map(date))
  for (const box of ['INBOX', 'Archive']) await offices.imap('bob', '', '-X', `SETACL ${box} ann@here.test lrswite`)
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const row = (subject) => ann.locator('.row', { hasText: subject })
const gone = (subject) => row(subject).waitFor({ state: 'detached' })
const clean = () => { assert.deepEqual(ann.troubles.splice(0), []) }
const subjects = () => ann.locator('.row').evaluateAll((all) => all.toSorted((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((r) => r.querySelector('.subject')?.textContent))
const owners = () => ann.locator('.row').evaluateAll((all) => all.toSorted((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((r) => r.querySelector('.owner')?.textContent))
const link = () => ann.getByRole('link', { name: /^All inboxes/ })
const lies = (subject, name, box) => until(`${subject} in ${name}’s ${box}`, async () => (await offices.listed(name, box)).includes(`"${subject}"`))
const away = (subject, name, box) => until(`${subject} not in ${name}’s ${box}`, async () => !(await offices.listed(name, box)).includes(`"${subject}"`))
const at = async (subject) => { await ann.locator('#list').focus(); await ann.keyboard.press('Home'); for (let n = (await subjects()).indexOf(subject); n > 0; n--) await ann.keyboard.press('ArrowDown') }

describe('all inboxes', { timeout: 300_000 }, () => {
  it('are one list, the newest first, each row of its account, and the counts add up', async () => {
    await row('Letter 7').waitFor()
    await link().waitFor()
    await ann.keyboard.press('Shift+A')
    await ann.getByRole('heading', { name: 'All inboxes' }).waitFor()
    await row('Letter 6').waitFor()
    await until('all of both', async () => (await subjects()).slice(-9).join() === 'Letter 7,Letter 6,Letter 5,Letter 4,Letter 3,Letter 2,Letter 1,To both,To both')
    assert.deepEqual((await owners()).slice(-9, -2), ['ann', 'bob', 'ann', 'bob', 'ann', 'bob', 'ann'].map((name) => `${name}@here.test`))
    assert.deepEqual((await owners()).slice(-2).toSorted(), ['ann@here.test', 'bob@here.test'])
    const unread = async (name) => ((await offices.listed(name)).match(/FLAGS \((?![^)]*Seen)[^)]*\)/g) ?? []).length
    const sum = await unread('ann') + await unread('bob')
    await until('the sum', async () => Number((await link().locator('.count').innerText()).replace(/\D/g, '')) === sum)
    assert.match(ann.url(), /\/m\/all\/inbox$/)
    await ann.screenshot({ path: `${pictures}/all-inboxes.png` })
    assert.deepEqual(await axe(ann), [])
    clean()
  })

  it('open by key what lies in either, and mark it as read there', async () => {
    await at('Letter 6')
    await ann.keyboard.press('Enter')
    await ann.getByRole('article').getByText('Text of Letter 6').waitFor()
    await until('it read at bob’s', async () => /FLAGS \([^)]*Seen[^)]*\) ENVELOPE \([^(]*"Letter 6"/.test(await offices.listed('bob')))
    await ann.keyboard.press('j')
    await ann.getByRole('article').getByText('Text of Letter 5').waitFor()
    await until('it read at ann’s', async () => /FLAGS \([^)]*Seen[^)]*\) ENVELOPE \([^(]*"Letter 5"/.test(await offices.listed('ann')))
    await ann.reload()
    await ann.getByRole('article').getByText('Text of Letter 5').waitFor()
    await ann.keyboard.press('u')
    clean()
  })

  it('archive where the message lies, and take back', async () => {
    await at('Letter 4')
    await ann.keyboard.press('e')
    await gone('Letter 4')
    await lies('Letter 4', 'bob', 'Archive')
    await ann.keyboard.press('z')
    await row('Letter 4').waitFor()
    await lies('Letter 4', 'bob', 'INBOX')
    await away('Letter 4', 'bob', 'Archive')
    clean()
  })

  it('act on a choice from both at once, and take it back as one', async () => {
    for (const subject of ['Letter 3', 'Letter 2']) { await at(subject); await ann.keyboard.press('x') }
    await ann.getByText('2 selected').waitFor()
    await ann.keyboard.press('e')
    for (const subject of ['Letter 3', 'Letter 2']) await gone(subject)
    const back = await wayBack(ann, '2 messages archived')
    await lies('Letter 3', 'ann', 'Archive')
    await lies('Letter 2', 'bob', 'Archive')
    await back.click()
    for (const subject of ['Letter 3', 'Letter 2']) await row(subject).waitFor()
    await lies('Letter 3', 'ann', 'INBOX')
    await lies('Letter 2', 'bob', 'INBOX')
    assert.deepEqual((await subjects()).filter((s) => s?.startsWith('Letter')).slice(-7).map((s) => s.at(-1)).join(''), '7654321')
    clean()
  })

  it('star one of two equal messages and leave the other', async () => {
    const bobs = ann.locator('.row', { hasText: 'To both' }).filter({ hasText: 'bob@here.test' })
    await bobs.locator('.tick').click()
    await ann.keyboard.press('s')
    await bobs.locator('.starred').waitFor()
    await until('the flag', async () => /Flagged/.test(await offices.listed('bob')))
    assert.doesNotMatch(await offices.listed('ann'), /Flagged/)
    await ann.keyboard.press('Escape')
    clean()
  })

  it('show at once what comes into either, and are searched as one', async () => {
    await offices.append('bob', letter('News for Bob'))
    await row('News for Bob').waitFor()
    await ann.keyboard.press('/')
    await ann.keyboard.type('subject:letter')
    await ann.getByRole('heading', { name: '7 results' }).waitFor()
    await row('Letter 2').waitFor()
    await ann.keyboard.press('Escape')
    await row('News for Bob').waitFor()
    clean()
  })

  it('stand without a network, and what is done then is done when it is back', async () => {
    await ann.evaluate(async () => { await navigator.serviceWorker.ready; while (!(await caches.match('/'))) await new Promise((go) => setTimeout(go, 50)) })
    await ann.reload()
    await row('Letter 2').waitFor()
    await offices.stop('SIGKILL')
    await ann.reload()
    await row('Letter 2').waitFor()
    await row('Letter 1').waitFor()
    await at('Letter 2')
    await ann.keyboard.press('e')
    await gone('Letter 2')
    await ann.getByText(/Offline since .*1 waiting/).waitFor()
    await ann.reload()
    await row('Letter 4').waitFor()
    assert.equal(await row('Letter 2').count(), 0)
    await offices.start()
    await lies('Letter 2', 'bob', 'Archive')
    await away('Letter 2', 'bob', 'INBOX')
    await ann.locator('.live.on').waitFor()
    ann.troubles.length = 0
  })

  it('go when nothing is shared any more, and nothing of it is kept', async () => {
    for (const box of ['INBOX', 'Archive']) await offices.imap('bob', '', '-X', `DELETEACL ${box} ann@here.test`)
    await link().waitFor({ state: 'detached' })
    await until('one’s own inbox', () => /\/m\/0\/inbox$/.test(ann.url()))
    await until('nothing of bob’s', async () => (await ann.evaluate(() => indexedDB.databases())).map((d) => d.name).join() === 'packetboat')
    clean()
  })
})
