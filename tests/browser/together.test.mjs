// `packetboat mail web` with two accounts of other servers: one sign-in has both, and an inbox of all; what is done goes to its server.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { front } from './front.mjs'
import { axe, binary, browser, desktop, letter, Offices, opened, pictures, signIn, until } from './offices.mjs'

let offices, chrome, me, web, url
const OWN = ['ann@here.test', 'carol@there.test']

async function mail(password, ...words) {
  const run = promisify(execFile)(binary, ['mail', '--data', join(offices.folder, 'program'), '--json', ...words], { timeout: 60_000 })
  run.child.stdin.end(`${password}\n`)
  return (await run).stdout
}

before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  await offices.submit('bob@here.test', 'ann@here.test', 'From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: To the first account\n\nOne.\n')
  await offices.submit('bob@here.test', 'carol@there.test', 'From: Bob <bob@here.test>\nTo: carol@there.test\nSubject: To the second account\n\nTwo.\n')
  await until('it is there', async () => (await offices.listed('carol')).includes('To the second account'))
  for (const address of OWN) {
    const more = address === OWN[0] ? 0 : 1000
    await mail(offices.password(address), 'add', address, '--password-stdin', '--no-keyring', '--imap', `imap://127.0.0.1:${offices.base + more + 143}`, '--smtp', `smtp://127.0.0.1:${offices.base + more + 587}`)
  }
  web = spawn(binary, ['mail', '--data', join(offices.folder, 'program'), '--json', 'web', '--listen', '127.0.0.1:0', '--no-browser'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  web.stdout.on('data', (d) => { out += d })
  const told = JSON.parse(await until('the program', () => { if (web.exitCode !== null) throw new Error('it ended'); return out.includes('\n') && out.split('\n')[0] }, 60))
  assert.deepEqual(told.addresses, OWN)
  url = told.url.replace(/\/$/, '')
  if (process.env.PROGRAM) url = await front(fileURLToPath(new URL(`../../${process.env.PROGRAM}`, import.meta.url)), url)
  me = await desktop(chrome)
  await signIn(me, url, OWN[0], told.password)
}, { timeout: 180_000 })
after(async () => {
  await chrome?.close()
  if (web) { const ended = new Promise((done) => web.once('exit', done)); web.kill('SIGINT'); await ended }
  await offices?.close()
})

const clean = () => { assert.deepEqual(me.troubles.splice(0), []) }
/** As whom the letter that is open is written. */
const writesAs = (address) => until(`written as ${address}`, async () => await me.getByRole('combobox', { name: 'From' }).locator('option:checked').innerText() === address)
const row = (text) => me.locator('.row', { hasText: text })

describe('accounts of several servers', { timeout: 300_000 }, () => {
  it('one sign-in has both, each with its mailboxes', async () => {
    await row('To the first account').waitFor({ timeout: 60_000 })
    await me.getByText(OWN[1]).first().waitFor({ timeout: 60_000 })
    assert.equal(await row('To the second account').count(), 0, 'this is the inbox of the first')
    assert.deepEqual(await axe(me), [])
    clean()
  })

  it('one inbox lists the mail of both, and tells at once what comes to either', async () => {
    await me.getByRole('link', { name: /^All inboxes/ }).click()
    await row('To the first account').waitFor()
    await row('To the second account').waitFor({ timeout: 60_000 })
    await offices.submit('bob@here.test', OWN[1], `From: Bob <bob@here.test>\nTo: ${OWN[1]}\nSubject: Just now\n\nNow.\n`)
    await row('Just now').waitFor({ timeout: 90_000 })
    await me.screenshot({ path: join(pictures, 'together.png') })
    clean()
  })

  it('what is done with a message is done at its own server', async () => {
    await row('To the second account').click()
    await me.locator('article').getByText('Two.').waitFor()
    await until('read at its server', async () => /FLAGS \([^)]*\\Seen[^)]*\)[^\n]*To the second account/.test(await offices.listed('carol')), 60)
    await me.locator('body').press('e')
    await until('archived at its server', async () => (await offices.listed('carol', 'Archive')).includes('To the second account'), 60)
    await until('and gone from the inbox', async () => !(await offices.listed('carol')).includes('To the second account'), 60)
    assert.ok(!(await offices.listed('ann', 'Archive')).includes('To the second account'))
    clean()
  })

  it('the other account signs in as well, and has the first', async () => {
    const other = await desktop(chrome)
    await signIn(other, url, OWN[1], offices.password(OWN[1]))
    await other.getByText(OWN[0]).first().waitFor()
    await other.locator('.row', { hasText: 'Just now' }).waitFor()
    await other.context().close()
  })

  it('a letter goes out by the server of who is signed in', async () => {
    await letter(me, 'bob@here.test', 'From the program', 'Hello Bob.')
    await me.keyboard.press('Control+Enter')
    await until('it is with Bob', async () => (await offices.listed('bob')).includes('From the program'), 60)
    clean()
  })

  it('an answer goes out as the account that got the message, by its server, and is kept there', async () => {
    await me.getByRole('link', { name: /^All inboxes/ }).click()
    await row('Just now').click()
    await me.locator('article').getByText('Now.').waitFor()
    await me.locator('body').press('r')
    const from = me.getByRole('combobox', { name: 'From' })
    await writesAs(OWN[1])
    const editor = me.getByRole('textbox', { name: 'Message' })
    await editor.click()
    await me.keyboard.type('Answered as the second.')
    assert.deepEqual(await axe(me), [])
    await me.keyboard.press('Control+Enter')
    const got = await opened(await offices.whole('bob', 'Re: Just now', 'INBOX', 90))
    assert.ok(got.from.includes(OWN[1]) && got.text.includes('Answered as the second.'), JSON.stringify(got))
    // Her own server let it out, under her name.
    assert.match(await offices.whole('bob', 'Re: Just now'), /^Received: from [^;]*there\.test/m)
    await until('kept among what she sent, at her server', async () => (await offices.listed('carol', 'Sent')).includes('Re: Just now'), 60)
    assert.ok(!(await offices.listed('ann', 'Sent')).includes('Re: Just now'))
    await until('marked as answered there', async () => /FLAGS \([^)]*\\Answered[^)]*\)[^\n]*"Just now"/.test(await offices.listed('carol')), 60)
    clean()
  })

  it('a letter is written as any of the accounts: its draft and its files go along', async () => {
    await me.getByRole('link', { name: /^All inboxes/ }).click()
    await row('To the first account').waitFor()
    await letter(me, 'bob@here.test', 'As whom', 'With a file.')
    const from = me.getByRole('combobox', { name: 'From' })
    await writesAs(OWN[0])
    assert.deepEqual(await from.locator('option').allInnerTexts(), OWN)
    await me.locator('input[type=file][aria-label=Attach]').setInputFiles({ name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('a note of hers') })
    await me.locator('.compose .status', { hasText: 'Saved' }).waitFor()
    await until('the draft is at the first server', async () => (await offices.listed('ann', 'Drafts')).includes('As whom'), 60)
    await from.selectOption({ label: OWN[1] })
    await until('the draft is at the second server', async () => (await offices.listed('carol', 'Drafts')).includes('As whom'), 60)
    await until('and at the first no more', async () => !(await offices.listed('ann', 'Drafts')).includes('As whom'), 60)
    await me.getByRole('textbox', { name: 'Message' }).click()
    await me.keyboard.press('Control+Enter')
    const got = await opened(await offices.whole('bob', 'As whom', 'INBOX', 90))
    assert.ok(got.from.includes(OWN[1]) && got.text.includes('With a file.'), JSON.stringify(got))
    assert.match(await offices.whole('bob', 'As whom'), /filename="?note\.txt/)
    await until('kept among what she sent', async () => (await offices.listed('carol', 'Sent')).includes('As whom'), 60)
    await until('and a draft no more', async () => !(await offices.listed('carol', 'Drafts')).includes('As whom'), 60)
    assert.ok(!(await offices.listed('ann', 'Sent')).includes('As whom'))
    clean()
  })

  it('who is chosen in the last moment is who it goes out as', async () => {
    await letter(me, 'bob@here.test', 'In haste', 'Quick.')
    await me.locator('input[type=file][aria-label=Attach]').setInputFiles({ name: 'haste.txt', mimeType: 'text/plain', buffer: Buffer.from('quick') })
    await me.locator('.compose .status', { hasText: 'Saved' }).waitFor()
    await me.getByRole('combobox', { name: 'From' }).selectOption({ label: OWN[1] })
    await me.getByRole('button', { name: 'Send', exact: true }).click()
    const got = await opened(await offices.whole('bob', 'In haste', 'INBOX', 90))
    assert.ok(got.from.includes(OWN[1]), JSON.stringify(got))
    assert.match(await offices.whole('bob', 'In haste'), /filename="?haste\.txt/)
    await until('no draft is left', async () => !(await offices.listed('ann', 'Drafts')).includes('In haste') && !(await offices.listed('carol', 'Drafts')).includes('In haste'), 60)
    clean()
  })

  it('a draft of the second account is gone on with as it, also after a reload', async () => {
    await me.getByRole('link', { name: /^All inboxes/ }).click()
    await row('To the first account').waitFor()
    await letter(me, '', 'Unfinished', 'Later.')
    await me.getByRole('combobox', { name: 'From' }).selectOption({ label: OWN[1] })
    await until('the draft is at the second server', async () => (await offices.listed('carol', 'Drafts')).includes('Unfinished'), 60)
    await me.reload()
    const minimised = me.getByRole('button', { name: /Unfinished/ })
    await minimised.first().click()
    const from = me.getByRole('combobox', { name: 'From' })
    await writesAs(OWN[1])
    await me.getByRole('textbox', { name: 'Message' }).click()
    await me.keyboard.press('Escape')
    await from.waitFor({ state: 'detached' })
    await me.locator('ul[aria-labelledby^=shared]').getByRole('link', { name: /^Drafts/ }).click()
    await row('Unfinished').click()
    await writesAs(OWN[1])
    await me.getByRole('combobox', { name: 'To', exact: true }).fill('bob@here.test')
    await me.keyboard.press('Control+Enter')
    const got = await opened(await offices.whole('bob', 'Unfinished', 'INBOX', 90))
    assert.ok(got.from.includes(OWN[1]) && got.text.includes('Later.'), JSON.stringify(got))
    // What is begun where one account is looked at alone is that one's.
    await me.locator('ul[aria-labelledby^=shared]').getByRole('link', { name: /^Inbox/ }).click()
    await row('Just now').waitFor()
    await me.locator('body').press('c')
    await writesAs(OWN[1])
    await me.keyboard.press('Escape')
    await from.waitFor({ state: 'detached' })
    clean()
  })

  it('the other account is one’s own as well: it is not called shared, has its own signature, and puts off what comes to it', async () => {
    assert.equal(await me.getByRole('heading', { name: OWN[1] }).getAttribute('title'), OWN[1])
    await me.getByRole('link', { name: 'Settings' }).click()
    await me.getByRole('link', { name: 'Names and signatures' }).click()
    const second = me.getByRole('region', { name: OWN[1] })
    await until('both', async () => (await me.getByRole('main').getByRole('heading', { level: 2 }).allInnerTexts()).join() === OWN.join())
    await second.getByLabel('Signature').fill('The second one')
    await second.getByRole('button', { name: 'Save' }).click()
    await me.locator('.toast', { hasText: 'Saved' }).waitFor()
    assert.deepEqual(await axe(me), [])
    await me.reload()
    await until('it is kept', async () => (await second.getByLabel('Signature').innerText()).trim() === 'The second one')
    assert.equal((await me.getByRole('region', { name: OWN[0] }).getByLabel('Signature').innerText()).trim(), '')

    const snoozed = () => me.evaluate(async (name) => {
      const { apiUrl, accounts } = await (await fetch('/.well-known/jmap')).json()
      const accountId = Object.entries(accounts).find(([, account]) => account.name === name)[0]
      const using = ['urn:ietf:params:jmap:core', 'urn:packetboat:params:jmap:program']
      const answer = await fetch(new URL(apiUrl).pathname, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Packetboat': '1' }, body: JSON.stringify({ using, methodCalls: [['Snooze/get', { accountId, ids: null }, 's']] }) })
      return (await answer.json()).methodResponses[0][1].list.length
    }, OWN[1])
    await me.getByRole('link', { name: /^All inboxes/ }).click()
    await row('Just now').click()
    await me.locator('article').getByText('Now.').waitFor()
    await me.locator('body').press('b')
    await me.getByRole('dialog', { name: 'Later' }).getByLabel('Another time').fill('in 3h')
    await me.keyboard.press('Enter')
    await row('Just now').waitFor({ state: 'detached' })
    await until('the second account waits for it', async () => await snoozed() === 1)
    await until('away at its server', async () => !(await offices.listed('carol')).includes('"Just now"'), 60)
    await me.keyboard.press('z')
    await row('Just now').waitFor()
    await until('it waits no more', async () => await snoozed() === 0)
    clean()
  })
})
