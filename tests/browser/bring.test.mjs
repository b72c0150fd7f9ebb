// Leaving another provider, on one guided page: Ann was carol@there.test, and brings that mailbox by IMAP, goes on collecting, and answers as
// Carol; Bob brings one from Debian's Dovecot by POP3 and by IMAP, and one from a provider that takes tokens instead of a password.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { axe, browser, desktop, letter, Offices, page, pictures, signIn, until } from './offices.mjs'

const OLD = 'carol@there.test'
const MANY = 700
let offices, chrome, ann, bob, dovecot, gone

/** Debian's Dovecot as the tests of real clients have it: its ports, and an end. */
function neighbour() {
  const clients = fileURLToPath(new URL('../clients', import.meta.url))
  const script = 'import json, sys\nfrom dovecot import Dovecot, PASSWORD\nwith Dovecot() as d:\n  print(json.dumps({**d.ports, "password": PASSWORD}), flush=True)\n  sys.stdin.read()\n'
  const child = spawn('python3', ['-c', script], { cwd: clients, stdio: ['pipe', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (d) => { out += d })
  const ended = new Promise((done) => child.once('exit', done))
  return {
    async open() { await until('Dovecot', () => { if (child.exitCode !== null) throw new Error('it ended'); return out.includes('\n') }, 60); Object.assign(this, JSON.parse(out)) },
    async close() { child.stdin.end(); await ended },
  }
}

/** A mail server elsewhere that takes tokens, and who gives them out (provider.py). */
function tokens() {
  const child = spawn('python3', [fileURLToPath(new URL('provider.py', import.meta.url))], { stdio: ['pipe', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (d) => { out += d })
  const ended = new Promise((done) => child.once('exit', done))
  const line = async () => {
    const text = await until('the provider', () => { if (child.exitCode !== null) throw new Error('it ended'); return out.includes('\n') && out }, 60)
    out = text.slice(text.indexOf('\n') + 1)
    return JSON.parse(text.slice(0, text.indexOf('\n')))
  }
  return {
    async open() { Object.assign(this, await line()) },
    /** Does so from now on; how often it was asked for tokens, by the kind of grant. */
    async now(what) { child.stdin.write(`${JSON.stringify(what)}\n`); return line() },
    async close() { child.stdin.end(); await ended },
  }
}

before(async () => {
  dovecot = neighbour()
  gone = tokens();
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  const fresh = () => desktop(chrome)
  ann = await fresh()
  bob = await fresh()
  await offices.imap('carol', '', '-X', 'CREATE Projects/Lake')
  const letter = (n, subject = `Old letter ${n}`) => `From: Dan <dan@else.test>\r\nTo: ${OLD}\r\nSubject: ${subject}\r\nDate: Mon, 2 Nov 2020 10:00:00 +0000\r\nMessage-ID: <old-${n}@else.test>\r\n\r\nText of ${n}\r\n`
  await offices.appendAll('carol', [letter('a', 'The lake house')], 'Projects/Lake', '\\Flagged \\Seen Holiday')
  await offices.appendAll('carol', Array.from({ length: MANY }, (_, n) => letter(n)), 'Archive', '\\Seen')
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await signIn(bob, offices.here, 'bob@here.test', offices.password('bob@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await Promise.all([offices?.close(), dovecot?.close(), gone?.close()]) })

const clean = (p) => { assert.deepEqual(p.troubles.splice(0).filter((t) => !/status of 422/.test(t)), []) }
const button = (p, name) => p.getByRole('button', { name, exact: true })
const open = async (p) => { await p.goto(`${offices.here}/settings/bring`); await p.getByRole('heading', { name: 'Bring your mail' }).waitFor() }
const state = (p, text, what = '') => p.locator('.linked li', { hasText: text }).locator('.state', { hasText: what })
const links = async (p) => p.evaluate(async () => (await (await fetch('/api/links')).json()).links)

describe('leaving another provider', { timeout: 300_000 }, () => {
  it('finds the servers of the old address, and looks first without touching anything', async () => {
    const before = await offices.imap('carol', '', '-X', 'STATUS INBOX (MESSAGES UNSEEN UIDNEXT)')
    await open(ann)
    assert.deepEqual(await axe(ann), [])
    await ann.getByRole('textbox', { name: 'Your old address' }).fill(OLD)
    await button(ann, 'Find its servers').click()
    await ann.getByText('SRV record _imaps._tcp.there.test').first().waitFor()
    assert.equal(await ann.getByLabel('Server', { exact: true }).inputValue(), 'mail.there.test')
    assert.equal(await ann.getByLabel('Port', { exact: true }).inputValue(), String(offices.base + 1993))
    assert.equal(await ann.getByLabel('Server for sending').inputValue(), 'mail.there.test')
    assert.equal(await ann.getByLabel('User name there').inputValue(), OLD)
    assert.deepEqual(await axe(ann), [])
    await ann.getByLabel('Password there').fill('wrong')
    await button(ann, 'Look first').click()
    await ann.getByRole('alert').getByText('does not let us in').waitFor()
    await ann.getByLabel('Password there').fill(offices.password(OLD))
    await button(ann, 'Look first').click()
    const lake = ann.locator('.folders li', { hasText: 'Projects/Lake' }).first()
    await lake.waitFor()
    await lake.getByText('1 message').waitFor()
    await ann.locator('.folders li', { hasText: 'Archive' }).first().getByText(`${MANY} messages`).waitFor()
    await lake.getByText('Newest', { exact: true }).click()
    await lake.getByText('The lake house').waitFor()
    assert.deepEqual(await axe(ann), [])
    await ann.screenshot({ path: join(pictures, 'desktop-bring-look.png') })
    assert.equal(await offices.imap('carol', '', '-X', 'STATUS INBOX (MESSAGES UNSEEN UIDNEXT)'), before, 'nothing is changed there')
    assert.deepEqual(await links(ann), [], 'and nothing is kept here')
    clean(ann)
  })

  it('brings folders, flags and labels, live; stops, goes on, and brings nothing twice', async () => {
    await button(ann, 'Bring it here').click()
    await state(ann, OLD).waitFor()
    await ann.screenshot({ path: join(pictures, 'desktop-bring.png') })
    // Whether there is still something to stop is a race; what is stopped in the middle goes on, and nothing comes twice.
    const stop = ann.getByRole('button', { name: `Stop: ${OLD}` })
    await stop.click()
    await state(ann, OLD, 'Stopped').waitFor()
    const [stopped] = await links(ann)
    assert.equal(stopped.state, 'stopped')
    await ann.reload()
    await ann.getByRole('button', { name: `Go on: ${OLD}` }).click()
    await state(ann, OLD, 'Collecting').waitFor({ timeout: 60_000 })
    const there = (box) => offices.imap('carol', '', '-X', `STATUS ${box} (MESSAGES)`).then((s) => Number(/MESSAGES (\d+)/.exec(s)[1]))
    const here = (box) => offices.imap('ann', '', '-X', `STATUS ${box} (MESSAGES)`).then((s) => Number(/MESSAGES (\d+)/.exec(s)[1]))
    await until('all of the archive, once', async () => (await here('Archive')) === MANY && (await there('Archive')) === MANY)
    const lake = await offices.listed('ann', 'Projects/Lake')
    assert.match(lake, /\\Flagged/)
    assert.match(lake, /\\Seen/)
    assert.match(lake, /Holiday/i)
    const octets = async (name) => (await offices.imap(name, 'Projects/Lake;MAILINDEX=1')).replaceAll('\r', '')
    assert.equal(await octets('ann'), await octets('carol'))
    const { lastLooked } = (await links(ann))[0]
    await new Promise((go) => setTimeout(go, Math.max(0, (lastLooked + 1) * 1000 - Date.now())))
    await ann.getByRole('button', { name: `Look now: ${OLD}` }).click()
    await until('another round', async () => (await links(ann))[0].lastLooked > lastLooked)
    assert.equal(await here('Archive'), MANY)
    assert.equal(await here('Projects/Lake'), 1)
    clean(ann)
  })

  it('goes on collecting, and an answer goes out as the old address by its own server', async () => {
    await offices.submit('bob@here.test', OLD, `From: Bob <bob@here.test>\nTo: ${OLD}\nSubject: To the old address\n\nAre you still there?\n`)
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    const row = ann.locator('.row', { hasText: 'To the old address' })
    await row.waitFor({ timeout: 60_000 })
    await row.click()
    await ann.locator('article').first().waitFor()
    await ann.keyboard.press('r')
    const from = ann.getByLabel('From')
    await until('the old address as sender', async () => (await from.evaluate((e) => e.selectedOptions?.[0]?.textContent ?? e.textContent)).includes(OLD))
    await ann.keyboard.type('I moved, write to the new one.')
    await ann.getByRole('textbox', { name: 'Message' }).getByText('I moved').waitFor()
    await ann.keyboard.press('Control+Enter')
    const got = await until('the answer at Bob\'s', async () => {
      const list = await offices.listed('bob')
      const n = (list.match(/^\* \d+ FETCH/gm) ?? []).length
      for (let at = n; at > 0; at--) { const text = await offices.imap('bob', `INBOX;MAILINDEX=${at}`); if (text.includes('I moved, write to the new one.')) return text }
      return undefined
    }, 60)
    assert.match(got, /^From: .*carol@there\.test/m)
    assert.match(got, /^Return-Path: <carol@there\.test>/m)
    assert.match(got, /by mail\.there\.test with ESMTPSA/, 'by its own server, signed in, under TLS')
    assert.match(got, /Subject: Re: To the old address/)
    clean(ann)
  })

  it('what is collected of a muted conversation goes past the inbox, though nobody has the page open', async () => {
    const at = ann.url()
    await ann.goto('about:blank')
    // What the tests put into every page finds no store there.
    ann.troubles.splice(0)
    const submit = (id, subject, more = '') => offices.submit('bob@here.test', OLD, `From: Bob <bob@here.test>\nTo: ${OLD}\nSubject: ${subject}\nMessage-ID: <${id}@here.test>\n${more}\nText.\n`)
    await submit('noise-1', 'Noise')
    await until('the first', async () => (await offices.listed('ann')).includes('"Noise"'), 90)
    const uid = /UID (\d+)[^\n]*"Noise"/.exec(await offices.imap('ann', 'INBOX', '-X', 'FETCH 1:* (UID ENVELOPE)'))[1]
    await offices.imap('ann', 'INBOX', '-X', `UID STORE ${uid} +FLAGS ($muted)`)
    await submit('noise-2', 'Re: Noise', 'In-Reply-To: <noise-1@here.test>\nReferences: <noise-1@here.test>\n')
    await submit('signal', 'Signal')
    await until('another', async () => (await offices.listed('ann')).includes('"Signal"'), 90)
    const archive = async () => offices.imap('ann', 'Archive', '-X', 'SEARCH KEYWORD $muted UNSEEN SUBJECT "Re: Noise"')
    await until('past the inbox', async () => /SEARCH \d+/.test(await archive()))
    assert.ok(!(await offices.listed('ann')).includes('Re: Noise'))
    await ann.goto(at)
    clean(ann)
  })

  it('brings a maildrop by POP3 and a mailbox by IMAP from Debian\'s Dovecot', async () => {
    await dovecot.open()
    const put = (user, n) => offices.curl('--user', `${user}:${dovecot.password}`, `imap://127.0.0.1:${dovecot.imap}/INBOX`, '-T', offices.file(`From: Eve <eve@else.test>\r\nTo: ${user}@box.test\r\nSubject: Drop ${n}\r\nMessage-ID: <drop-${n}-${user}@else.test>\r\n\r\nText of drop ${n}\r\n`))
    for (const user of ['pia', 'ida']) for (const n of [1, 2, 3]) await put(user, n)
    const bring = async (user, kind, port) => {
      await open(bob)
      const another = button(bob, 'Bring another account'), old = bob.getByRole('textbox', { name: 'Your old address' })
      await another.or(old).waitFor()
      if (await another.isVisible()) await another.click()
      await old.fill(`${user}@box.test`)
      await button(bob, 'Type the servers by hand').click()
      await bob.getByLabel('Kind').selectOption(kind)
      await bob.getByLabel('Server', { exact: true }).fill('127.0.0.1')
      await bob.getByLabel('Port', { exact: true }).fill(String(port))
      await bob.getByLabel('User name there').fill(user)
      await bob.getByLabel('Password there').fill(dovecot.password)
      await button(bob, 'Look first').click()
      await bob.locator('.folders').getByText('3 messages').waitFor()
      await bob.getByText(`nothing can be sent as ${user}@box.test`).waitFor()
      await button(bob, 'Bring it here').click()
      await state(bob, `${user}@box.test`, 'Collecting, 3 messages brought').waitFor({ timeout: 60_000 })
    }
    await bring('pia', 'pop3', dovecot.pop3)
    const count = async (text) => ((await offices.listed('bob')).match(new RegExp(text, 'g')) ?? []).length
    assert.equal(await count('"Drop 1"'), 1)
    await put('pia', 4)
    await bob.getByRole('button', { name: 'Look now: pia@box.test' }).click()
    await until('the fourth', async () => (await count('"Drop 4"')) === 1)
    assert.equal(await count('"Drop 1"'), 1, 'and the first not again')
    await bring('ida', 'imap', dovecot.imap)
    assert.equal(await count('"Drop 1"'), 2)
    // Dovecot tells of what comes by IDLE: nobody presses anything.
    await put('ida', 5)
    await until('the fifth', async () => (await count('"Drop 5"')) === 1, 60)
    clean(bob)
  })

  it('signs in by a code at a provider that takes tokens; they are renewed, answer for mail too, and a refusal is told', async () => {
    await gone.open()
    const there = (name, path, ...more) => offices.curl('--user', `${name}@gone.test:${gone.password}`, `imap://127.0.0.1:${gone.imap}/${path}`, ...more)
    const put = (n) => there('ann', 'INBOX', '-T', offices.file(`From: Eve <eve@else.test>\r\nTo: ann@gone.test\r\nSubject: Token ${n}\r\nMessage-ID: <token-${n}@else.test>\r\n\r\nText ${n}\r\n`))
    await put(1)
    await open(bob)
    await button(bob, 'Bring another account').click()
    await bob.getByRole('textbox', { name: 'Your old address' }).fill('ann@gone.test')
    await button(bob, 'Type the servers by hand').click()
    await bob.getByLabel('Kind').selectOption('imap')
    await bob.getByLabel('Server', { exact: true }).fill('127.0.0.1')
    await bob.getByLabel('Port', { exact: true }).fill(String(gone.imap))
    await bob.getByRole('combobox', { name: 'Sending' }).selectOption('smtp')
    await bob.getByLabel('Server for sending').fill('127.0.0.1')
    await bob.getByLabel('Sending Port').fill(String(gone.submission))
    await bob.getByLabel('Sign in with').selectOption('token')
    await bob.getByLabel('Client id', { exact: true }).fill('nobody-knows')
    await button(bob, 'Get a code').click()
    await bob.getByRole('alert').getByText('not known: say the provider').waitFor()
    await bob.getByText('Where the provider gives out tokens').click()
    await bob.getByLabel('Issuer').fill(gone.issuer)
    await button(bob, 'Get a code').click()
    await bob.getByRole('alert').getByText('does not know this client id').waitFor()
    await bob.getByLabel('Client id', { exact: true }).fill('my-program')
    await button(bob, 'Get a code').click()
    const code = bob.getByRole('group', { name: 'Type this code' })
    await code.getByText('ABCD-EFGH').waitFor()
    assert.equal(await code.getByRole('link', { name: 'Open the page' }).getAttribute('href'), 'https://id.test/device')
    assert.deepEqual(await axe(bob), [])
    await bob.screenshot({ path: join(pictures, 'desktop-bring-code.png') })
    await gone.now({ refuses: { device_code: 'access_denied' } })
    await bob.getByRole('alert').getByText('the sign-in was refused there').waitFor()
    assert.equal(await code.count(), 0)
    await gone.now({ refuses: {} })
    await button(bob, 'Get a code').click()
    await code.getByText('ABCD-EFGH').waitFor()
    await gone.now({ pending: 0 })
    await bob.locator('.folders').getByText('1 message', { exact: false }).first().waitFor()
    await button(bob, 'Bring it here').click()
    await state(bob, 'ann@gone.test', 'Collecting, 1 message brought').waitFor({ timeout: 60_000 })
    const shown = JSON.stringify(await links(bob))
    assert.ok(!/r-1|my-program/.test(shown), shown)
    // It lives for a minute and is renewed a minute before its end: within seconds each act needs another.
    const renewed = async () => (await gone.now({})).refresh_token ?? 0
    const before = await renewed()
    await new Promise((go) => setTimeout(go, 3000))
    await put(2)
    await bob.getByRole('button', { name: 'Look now: ann@gone.test' }).click()
    await until('the second', async () => (await offices.listed('bob')).includes('"Token 2"'), 60)
    await until('another token', async () => (await renewed()) > before)
    await bob.getByRole('link', { name: /^Inbox/ }).click()
    await letter(bob, 'dan@gone.test', 'As the old one', 'Signed in by token')
    await bob.getByLabel('From').selectOption({ label: 'ann@gone.test' }).catch(() => bob.getByLabel('From').selectOption({ index: 1 }))
    await bob.keyboard.press('Control+Enter')
    const got = await until('the letter at Dan\'s', () => there('dan', 'INBOX;MAILINDEX=1').catch(() => undefined), 60)
    assert.match(got, /^Return-Path: <ann@gone\.test>/m)
    assert.match(got, /ESMTPSA/)
    // Nobody at the provider knows it any more: it stops, says why, and goes on after another sign-in.
    await gone.now({ refuses: { refresh_token: 'invalid_grant' } })
    await new Promise((go) => setTimeout(go, 3000))
    await open(bob)
    await bob.getByRole('button', { name: 'Look now: ann@gone.test' }).click()
    await state(bob, 'ann@gone.test', 'Stopped by a problem').waitFor()
    await bob.getByText('renews the token no more').waitFor()
    await gone.now({ refuses: {}, pending: 10 ** 9 })
    await put(3)
    await bob.getByRole('button', { name: 'Sign in again: ann@gone.test' }).click()
    await code.getByText('ABCD-EFGH').waitFor()
    assert.deepEqual(await axe(bob), [])
    await gone.now({ pending: 0 })
    await state(bob, 'ann@gone.test', 'Collecting').waitFor()
    await until('the third', async () => (await offices.listed('bob')).includes('"Token 3"'), 60)
    clean(bob)
  })

  it('a link that is removed leaves the mail and takes the identity; a password that has changed is asked for', async () => {
    await open(bob)
    await bob.getByRole('button', { name: 'Remove: ida@box.test' }).click()
    await state(bob, 'ida@box.test').waitFor({ state: 'detached' })
    assert.deepEqual((await links(bob)).map((l) => l.address), ['pia@box.test', 'ann@gone.test'])
    await offices.operateWith('there.test', 'a new password', 'account', 'password', OLD, '--password-stdin')
    await open(ann)
    await ann.getByRole('button', { name: `Look now: ${OLD}` }).click()
    await state(ann, OLD, 'Stopped by a problem').waitFor()
    await ann.getByLabel('Password there, if it has changed').fill('a new password')
    await ann.getByRole('button', { name: `Go on: ${OLD}` }).click()
    await state(ann, OLD, 'Collecting').waitFor()
    assert.deepEqual(await axe(ann), [])
    await ann.getByRole('button', { name: `Remove: ${OLD}` }).click()
    await ann.getByText('No old account is linked.').waitFor()
    await ann.goto(`${offices.here}/settings/identities`)
    await ann.getByRole('heading', { name: 'ann@here.test' }).waitFor()
    // What the browser keeps is shown first, and then what is so.
    await ann.getByRole('heading', { name: OLD }).waitFor({ state: 'detached' })
    await ann.setViewportSize({ width: 320, height: 640 })
    await open(ann)
    assert.ok(await ann.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no scrolling sideways')
    clean(ann)
  })
})
