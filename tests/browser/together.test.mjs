// `packetboat mail web` with two accounts of other servers: one sign-in has both, and an inbox of all; what is done goes to its server.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { axe, binary, browser, desktop, letter, Offices, pictures, signIn, until } from './offices.mjs'

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
  await until('it is there', async () => (await offices.listed('carol')).includes('To the second account'), 30)
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
  me = await desktop(chrome)
  await signIn(me, url, OWN[0], told.password)
}, { timeout: 180_000 })
after(async () => {
  await chrome?.close()
  if (web) { const ended = new Promise((done) => web.once('exit', done)); web.kill('SIGINT'); await ended }
  await offices?.close()
})

const clean = () => { assert.deepEqual(me.troubles.splice(0), []) }
const row = (text) => me.locator('.row', { hasText: text })

describe('accounts of several servers', { timeout: 240_000 }, () => {
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
})
