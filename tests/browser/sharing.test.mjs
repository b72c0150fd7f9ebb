// Mailboxes that others share, given and taken by IMAP: shown at once, read, changed as far as the rights go, answered as oneself.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { axeSource, browser, byRequests, desktop, Offices, pictures, signIn, until } from './offices.mjs'

let offices, chrome, ann
const club = (subject, more = '') => `From: Bob <bob@here.test>\r\nTo: club@here.test\r\nSubject: ${subject}\r\nMessage-ID: <${subject.replaceAll(' ', '')}@x>\r\n${more || `Content-Type: text/plain\r\n\r\nText of ${subject}\r\n`}`
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  await offices.imap('bob', '', '-X', 'CREATE Club')
  await offices.appendAll('bob', [club('Statutes', 'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nRead them.\r\n--b\r\nContent-Type: text/plain; name=statutes.txt\r\nContent-Disposition: attachment; filename=statutes.txt\r\n\r\nParagraph one.\r\n--b--\r\n')], 'Club', '')
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const row = (subject) => ann.locator('.row', { hasText: subject })
const clean = () => { assert.deepEqual(ann.troubles.splice(0), []) }
const acl = (rights) => offices.imap('bob', '', '-X', rights === '' ? 'DELETEACL Club ann@here.test' : `SETACL Club ann@here.test ${rights}`)
const flags = () => offices.listed('bob', 'Club')
const link = () => ann.getByRole('list', { name: 'bob@here.test' }).getByRole('link', { name: /^Club/ })

describe('sharing', { timeout: 300_000 }, () => {
  it('shows what was shared without a reload, and opens it', async () => {
    await ann.getByRole('heading', { name: 'bob@here.test' }).waitFor({ state: 'detached' })
    await acl('lr')
    await link().click()
    await row('Statutes').click()
    await ann.getByRole('article').getByText('Read them.').waitFor()
    await ann.screenshot({ path: `${pictures}/shared.png` })
    await ann.evaluate(axeSource())
    const { violations } = await ann.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }))
    assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes[0]?.html}`), [])
    // Without the right to it nothing is marked as read, and nobody is told so again and again.
    await new Promise((go) => setTimeout(go, 600))
    assert.equal(await ann.locator('.toast').count(), 0)
    assert.doesNotMatch(await flags(), /Seen/)
    clean()
  })

  it('takes back what the owner does not allow, and does what he does', async () => {
    // What may not be done is grey; by key it is said.
    const tools = ann.getByRole('toolbar', { name: 'Message', exact: true })
    for (const name of ['Archive', 'Delete', 'Spam', 'Move to', 'Label', 'Mark unread', 'Star']) assert.equal(await tools.getByRole('button', { name, exact: true }).isDisabled(), true, name)
    await ann.keyboard.press('s')
    await ann.locator('.toast', { hasText: 'Not done: You have no right to do that.' }).waitFor()
    await ann.getByRole('button', { name: 'Star', exact: true, pressed: false }).first().waitFor()
    assert.doesNotMatch(await flags(), /Flagged/)
    await acl('lrsw')
    await ann.getByRole('button', { name: 'Star', exact: true }).first().click()
    await until('the flag', async () => /Flagged/.test(await flags()))
    assert.equal(await tools.getByRole('button', { name: 'Archive', exact: true }).isDisabled(), true)
    assert.equal(await tools.getByRole('button', { name: 'Mark unread', exact: true }).isDisabled(), false)
    clean()
  })

  it('tells of what comes, and survives a reload', async () => {
    await offices.append('bob', club('Minutes'), 'Club')
    await row('Minutes').waitFor()
    await ann.reload()
    await row('Minutes').waitFor()
    assert.match(ann.url(), /\/m\/A[0-9a-f]+\//)
    // What is open is marked as read now that it may be; not while others are counted.
    await until('read', async () => (await flags()).split('\n').some((line) => line.includes('"Statutes"') && line.includes('\\Seen')))
    clean()
  })

  it('shows what came while the account was being asked for, though nobody tells of it again', async () => {
    await byRequests(ann.context())
    const own = await ann.evaluate(async () => Object.values((await (await fetch('/jmap/session')).json()).primaryAccounts)[0])
    // The answer of the beginning is of before; what came since is told before that answer is here.
    let letGo, isHeld = false
    const held = new Promise((go) => { letGo = go })
    await ann.route('**/jmap/api', async (route) => {
      const [[name, { accountId }] = []] = JSON.parse(route.request().postData()).methodCalls
      if (isHeld || name !== 'Mailbox/get' || accountId === own) { await route.continue(); return }
      isHeld = true
      const answer = await route.fetch()
      await held
      await route.fulfill({ response: answer })
    })
    const unread = async () => Number((await link().locator('.count').allInnerTexts()).join().replace(/\D/g, ''))
    await ann.goto(`${offices.here}/m/0/inbox`)
    await until('it is asked for', () => isHeld)
    await ann.locator('.live.on').waitFor()
    const before = (await flags()).split('\n').filter((line) => /^\* .*FLAGS/.test(line) && !/Seen/.test(line)).length
    await offices.appendAll('bob', [club('Agenda')], 'Club', '')
    await until('it is there', async () => (await flags()).includes('Agenda'))
    // What tells of it comes, and is over.
    await ann.waitForTimeout(1500)
    letGo()
    await until('it is counted', async () => await unread() === before + 1)
    await ann.unroute('**/jmap/api')
    await link().click()
    await row('Agenda').waitFor()
    clean()
  })

  it('forwards as oneself, with the files', async () => {
    await row('Statutes').click()
    await ann.getByRole('article').getByText('Read them.').waitFor()
    await ann.keyboard.press('f')
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill('ann@here.test')
    await ann.keyboard.press('Tab')
    await ann.locator('.pieces').getByText('statutes.txt').waitFor()
    await ann.getByRole('button', { name: 'Send', exact: true }).click()
    await until('it at ann’s', async () => (await offices.listed('ann')).includes('Statutes'))
    const last = (await offices.listed('ann')).match(/^\* \d+ FETCH/gm).length
    const octets = await offices.imap('ann', `INBOX;MAILINDEX=${last}`)
    assert.match(octets, /From: .*ann@here\.test/)
    assert.match(octets, /Paragraph one|UGFyYWdyYXBoIG9uZS4/)
    clean()
  })

  it('drags a copy into a mailbox of one’s own', async () => {
    await link().click()
    await row('Minutes').dragTo(ann.getByRole('link', { name: 'Archive' }))
    await ann.locator('.toast', { hasText: '1 message copied to Archive' }).waitFor()
    assert.match(await offices.listed('ann', 'Archive'), /Minutes/)
    assert.match(await flags(), /Minutes/)
    clean()
  })

  it('goes back to one’s own when it is taken away', async () => {
    await acl('')
    await ann.getByRole('heading', { name: 'bob@here.test' }).waitFor({ state: 'detached' })
    await until('one’s own inbox', () => /\/m\/0\/inbox$/.test(ann.url()))
    clean()
  })
})
