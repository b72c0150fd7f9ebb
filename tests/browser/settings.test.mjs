// Each page of the settings, seen doing what it says: at the mailbox, at the sign-in of mail programs, in another browser.
// Bob is who changes how he signs in; Ann is who sorts her mail.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { axe, browser, desktop, Offices, page, readCode, signIn, until } from './offices.mjs'

const BOB = 'bob@here.test'
const ANN = 'ann@here.test'
let offices, chrome, ann, bob, password
const fresh = () => desktop(chrome)

before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  ann = await fresh()
  bob = await fresh()
  password = offices.password(BOB)
  await signIn(ann, offices.here, ANN, offices.password(ANN))
  await signIn(bob, offices.here, BOB, password)
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const clean = (p) => { assert.deepEqual(p.troubles.splice(0).filter((t) => !/status of 4(03|22|29)/.test(t)), []) }
const button = (p, name) => p.getByRole('button', { name, exact: true })
async function settings(p, at, title) {
  await p.goto(`${offices.here}/settings/${at}`)
  await p.getByRole('heading', { name: title, level: 1 }).waitFor()
}
/** Is Bob let in with this, by IMAP, POP3 and SMTP? `login` alone, where it is only asked whether. */
async function letIn(secret, protocol = 'imap') {
  const base = offices.base
  const url = { imap: `imap://127.0.0.1:${base + 143}/`, pop3: `pop3://127.0.0.1:${base + 110}/`, smtp: `smtp://127.0.0.1:${base + 587}` }[protocol]
  const more = protocol === 'smtp' ? ['-X', 'NOOP'] : []
  return offices.curl('--user', `${BOB}:${secret}`, url, ...more).then(() => true, (error) => { if (/denied|Login|67/i.test(String(error.stderr ?? error.message))) return false; throw error })
}
/** RFC 6238, by an implementation of its own. */
function code(secret, secs = Date.now() / 1000) {
  const bits = [...secret.replace(/\s/g, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(secs / 30)))
  const mac = createHmac('sha1', key).update(step).digest()
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}
const write = (subject, from = 'carol@there.test', text = 'Hello') => offices.submit(from, ANN, `From: <${from}>\nTo: ${ANN}\nSubject: ${subject}\n\n${text}\n`)
const lies = (who, subject, box = 'INBOX') => until(`${subject} in ${box}`, async () => (await offices.listed(who, box)).includes(`"${subject}"`))

describe('how one signs in', { timeout: 300_000 }, () => {
  it('signed in: every browser is shown, and one is signed out from another', async () => {
    const other = await fresh()
    await signIn(other, offices.here, BOB, password)
    await settings(bob, 'sessions', 'Signed in')
    await bob.locator('.sessions li').nth(1).waitFor()
    assert.equal(await bob.locator('.sessions li').count(), 2)
    assert.deepEqual(await axe(bob), [])
    await button(bob, 'Sign out there').click()
    await until('one session', async () => (await bob.locator('.sessions li').count()) === 1)
    await until('signed out there', async () => (await other.evaluate(async () => (await fetch('/api/me')).status)) === 401)
    // Its page says so by itself, and shows no mail any more.
    await other.getByText('You were signed out.').waitFor()
    assert.equal(await other.locator('.row').count(), 0)
    await other.context().close()
    clean(bob)
  })

  it('passwords: a new one, and the old one opens nothing any more', async () => {
    const other = await fresh()
    await signIn(other, offices.here, BOB, password)
    await settings(bob, 'passwords', 'Passwords')
    const own = bob.getByRole('form', { name: 'Your password' }).or(bob.locator('form', { hasText: 'Current password' })).first()
    await own.getByLabel('Current password').fill('not this')
    await own.getByLabel('New password', { exact: true }).fill('a long new password')
    await own.getByLabel('New password again').fill('a long new password')
    await button(bob, 'Change it').click()
    await bob.getByRole('alert').getByText('not your password').waitFor()
    await own.getByLabel('Current password').fill(password)
    await button(bob, 'Change it').click()
    await bob.locator('.toast').getByText('Changed. Everybody else is signed out.').first().waitFor()
    assert.deepEqual([await letIn(password), await letIn('a long new password')], [false, true])
    await until('the other browser is signed out', async () => (await other.evaluate(async () => (await fetch('/api/me')).status)) === 401)
    assert.equal(await bob.evaluate(async () => (await fetch('/api/me')).status), 200)
    await other.context().close()
    password = 'a long new password'
    clean(bob)
  })

  it('app passwords: one for a program, until it is taken back', async () => {
    await settings(bob, 'passwords', 'Passwords')
    const form = bob.locator('form', { hasText: 'For which program' })
    await form.getByLabel('For which program').fill('Telephone')
    await form.getByLabel('Your password').fill(password)
    await button(bob, 'Make one').click()
    const made = (await bob.locator('.made code').textContent()).replaceAll(' ', '')
    assert.deepEqual([await letIn(made), await letIn(made, 'pop3'), await letIn(made, 'smtp')], [true, true, true])
    // It opens mail, and no page: that is said where somebody tries.
    const other = await fresh()
    await other.goto(offices.here)
    await other.getByLabel('Address').fill(BOB)
    await other.getByLabel('Password').fill(made)
    await other.getByRole('button', { name: 'Sign in', exact: true }).click()
    await other.getByRole('alert').filter({ hasText: 'the password of the account itself' }).waitFor()
    assert.equal(await other.evaluate(async () => (await fetch('/api/me')).status), 401)
    await other.context().close()
    await bob.reload()
    await button(bob, 'Take back').waitFor()
    assert.equal(await bob.getByText(made).count(), 0, 'it is shown once')
    await button(bob, 'Take back').click()
    await button(bob, 'Take back').waitFor({ state: 'detached' })
    assert.equal(await letIn(made), false)
    clean(bob)
  })

  it('second factor: the browser asks for a code, and programs need passwords of their own', async () => {
    await settings(bob, 'passwords', 'Passwords')
    const form = bob.locator('form', { hasText: 'For which program' })
    await form.getByLabel('For which program').fill('Laptop')
    await form.getByLabel('Your password').fill(password)
    await button(bob, 'Make one').click()
    const made = (await bob.locator('.made code').textContent()).replaceAll(' ', '')
    const factor = bob.locator('section', { hasText: 'Second factor' })
    await factor.getByText('never with yours').waitFor()
    await factor.getByLabel('Your password').fill(password)
    await button(bob, 'Set it up').click()
    const secret = await factor.locator('code.secret').textContent()
    assert.match(await readCode(chrome, factor.getByRole('img', { name: 'The secret as a code for the camera' })), new RegExp(`^otpauth://totp/.*secret=${secret.replace(/\s/g, '')}`))
    await factor.getByRole('textbox').fill(code(secret))
    await button(bob, 'Switch it on').click()
    await factor.locator('.codes li').nth(7).waitFor()
    const written = await factor.locator('.codes code').first().textContent()
    assert.deepEqual(await axe(bob), [])
    for (const protocol of ['imap', 'pop3', 'smtp']) assert.deepEqual([protocol, await letIn(password, protocol), await letIn(made, protocol)], [protocol, false, true])
    const other = await fresh()
    await other.goto(offices.here)
    await other.getByLabel('Address').fill(BOB)
    await other.getByLabel('Password').fill(password)
    await button(other, 'Sign in').click()
    await other.getByRole('alert').waitFor()
    await other.locator('input[name=code]').fill(written)
    await button(other, 'Sign in').click()
    await other.locator('#list').waitFor()
    await other.context().close()
    await factor.getByText('7 codes').or(factor.getByText('8 codes')).first().waitFor()
    await factor.getByLabel('Your password').fill(password)
    await button(bob, 'Switch it off').click()
    await factor.getByText('the password alone').waitFor()
    assert.equal(await letIn(password), true)
    clean(bob)
  })
})

describe('what happens to mail', { timeout: 300_000 }, () => {
  it('rules: mail with a word in its subject goes into a folder, with a label', async () => {
    await offices.imap('ann', '', '-X', 'CREATE Bills')
    await settings(ann, 'rules', 'Rules and forwarding')
    await button(ann, 'New rule').click()
    const rule = ann.locator('fieldset').first()
    await rule.getByLabel('Name').fill('Bills')
    await rule.getByLabel('If').selectOption('subject')
    await rule.getByLabel('contains').fill('invoice')
    await rule.getByLabel('Move to').selectOption({ label: 'Bills' })
    await rule.getByLabel('Label').fill('money')
    await rule.getByLabel('Label').blur()
    await button(ann, 'Save rules').click()
    await ann.locator('.toast').getByText('Saved').first().waitFor()
    assert.deepEqual(await axe(ann), [])
    await write('Your invoice of May')
    await write('Nothing to pay')
    await lies('ann', 'Your invoice of May', 'Bills')
    await lies('ann', 'Nothing to pay')
    assert.match(await offices.listed('ann', 'Bills'), /money/i)
    clean(ann)
  })

  it('rules: by sender, receiver, subject and list; into a folder, with a label, on to somebody; and only those in use', async () => {
    for (const box of ['Urgent', 'News']) await offices.imap('ann', '', '-X', `CREATE ${box}`)
    await settings(ann, 'rules', 'Rules and forwarding')
    // The rule of before: the page is shown, and then what the server has.
    await button(ann, 'Remove Bills').waitFor()
    const before = await ann.locator('fieldset').count()
    const made = before + 5
    const rule = (n) => ann.locator('fieldset').nth(before + n)
    const when = async (n, c, field, word) => {
      await rule(n).getByLabel(c === 0 ? /^If/ : /^and/).selectOption(field)
      await rule(n).getByLabel('contains').nth(c).fill(word)
    }
    const then = async (n, { to, label, forward }) => {
      if (to) await rule(n).getByLabel('Move to').selectOption({ label: to })
      if (label) await rule(n).getByLabel('Label').fill(label)
      if (forward) await rule(n).getByLabel('Forward to').fill(forward)
      await rule(n).getByLabel('Name').fill(`Rule number ${n}`)
    }
    for (let n = 0; n < 5; n++) await button(ann, 'New rule').click()
    await when(0, 0, 'from', 'carol@there')
    await button(rule(0), 'And').click()
    await when(0, 1, 'subject', 'urgent')
    await then(0, { to: 'Urgent', label: 'now' })
    await when(1, 0, 'to', 'club@')
    await then(1, { label: 'club, fun' })
    await when(2, 0, 'subject', 'timetable')
    await then(2, { forward: BOB })
    await when(3, 0, 'list', 'news.shop')
    await then(3, { to: 'News' })
    await when(4, 0, 'subject', 'off')
    await then(4, { to: 'Deleted' })
    await rule(4).getByLabel('in use').uncheck()
    await button(ann, 'Save rules').click()
    await ann.locator('.toast').getByText('Saved').first().waitFor()
    // They stand there as they were made when the page is opened again.
    await ann.reload()
    await rule(4).waitFor()
    assert.equal(await ann.locator('fieldset').count(), made)
    assert.deepEqual([await rule(0).getByLabel('contains').nth(1).inputValue(), await rule(1).getByLabel('Label').inputValue(), await rule(2).getByLabel('Forward to').inputValue(), await rule(4).getByLabel('in use').isChecked()], ['urgent', 'club fun', BOB, false])

    const mail = (from, subject, more = `To: ${ANN}`) => offices.submit(from, ANN, `From: <${from}>\n${more}\nSubject: ${subject}\n\nHello\n`)
    await mail('carol@there.test', 'This is URGENT')
    await mail('carol@there.test', 'Not so pressing')
    await mail(ANN, 'urgent, says she herself')
    await mail('carol@there.test', 'For the club', 'To: Club <club@there.test>')
    await mail('carol@there.test', 'For the club in copy', `To: ${ANN}\nCc: club@there.test`)
    await mail('carol@there.test', 'The new timetable')
    await mail('carol@there.test', 'Cheap lamps', `To: ${ANN}\nList-Id: Offers <news.shop.test>`)
    await mail('carol@there.test', 'A day off')
    await lies('ann', 'This is URGENT', 'Urgent')
    await lies('ann', 'Cheap lamps', 'News')
    for (const subject of ['Not so pressing', 'urgent, says she herself', 'For the club', 'For the club in copy', 'The new timetable', 'A day off']) await lies('ann', subject)
    const flags = async (subject, box) => (await offices.listed('ann', box)).split(/\r?\n/).find((line) => line.includes(`"${subject}"`)).match(/FLAGS \(([^)]*)\)/)[1]
    assert.match(await flags('This is URGENT', 'Urgent'), /\bnow\b/)
    for (const subject of ['For the club', 'For the club in copy']) assert.match(await flags(subject), /\bclub\b.*\bfun\b|\bfun\b.*\bclub\b/)
    for (const subject of ['Not so pressing', 'The new timetable', 'A day off']) assert.doesNotMatch(await flags(subject), /now|club|fun/)
    assert.doesNotMatch(await offices.listed('ann', 'Urgent'), /pressing|herself/)
    assert.doesNotMatch(await offices.listed('ann', 'Trash'), /A day off/)
    const bobs = () => offices.curl('--user', `${BOB}:${password}`, `imap://127.0.0.1:${offices.base + 143}/INBOX`, '-X', 'FETCH 1:* (ENVELOPE)').catch(() => '')
    await until('the timetable at Bob', async () => (await bobs()).includes('"The new timetable"'))
    assert.doesNotMatch(await bobs(), /URGENT|club|lamps|day off/)
    // One that is taken away does nothing any more.
    for (let n = 4; n >= 0; n--) await button(ann, `Remove Rule number ${n}`).click()
    await button(ann, 'Save rules').click()
    await ann.locator('.toast').getByText('Saved').first().waitFor()
    await mail('carol@there.test', 'URGENT once more')
    await lies('ann', 'URGENT once more')
    clean(ann)
  })

  it('forwarding: everything goes to Bob as well, until it is taken back', async () => {
    await settings(ann, 'rules', 'Rules and forwarding')
    await ann.getByLabel('To these addresses').fill(BOB)
    await ann.locator('form', { hasText: 'Forward everything' }).getByRole('button', { name: 'Save' }).click()
    await ann.locator('.toast').getByText('Saved').first().waitFor()
    await write('For both', 'carol@there.test')
    await lies('ann', 'For both')
    const has = async () => (await offices.curl('--user', `${BOB}:${password}`, `imap://127.0.0.1:${offices.base + 143}/INBOX`, '-X', 'FETCH 1:* (ENVELOPE)').catch(() => '')).includes('"For both"')
    await until('the same at Bob\'s', has)
    await ann.getByLabel('To these addresses').fill('')
    await ann.locator('form', { hasText: 'Forward everything' }).getByRole('button', { name: 'Save' }).click()
    await until('no forwarding', () => ann.evaluate(async () => {
      const session = await (await fetch('/.well-known/jmap')).json()
      const accountId = Object.keys(session.accounts)[0]
      const answer = await (await fetch('/jmap/api', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Packetboat': '1' }, body: JSON.stringify({ using: Object.keys(session.capabilities), methodCalls: [['MailRules/get', { accountId, ids: null }, 'r']] }) })).json()
      return answer.methodResponses[0][1].list[0].forwarding === null
    }))
    clean(ann)
  })

  it('blocking: a sender goes to spam, and is let through again', async () => {
    await write('Before the block', 'carol@there.test')
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: 'Before the block' }).click()
    await ann.locator('article').first().waitFor()
    await ann.getByRole('button', { name: 'More', exact: true }).click()
    await ann.getByRole('menuitem', { name: 'Block sender' }).click()
    await ann.locator('.toast').getByText('is blocked').first().waitFor()
    await write('While blocked', 'carol@there.test')
    await lies('ann', 'While blocked', 'Junk')
    await settings(ann, 'rules', 'Rules and forwarding')
    await button(ann, 'Let through carol@there.test').click()
    await ann.getByText('Nobody is blocked.').waitFor()
    await write('Let through', 'carol@there.test')
    await lies('ann', 'Let through')
    clean(ann)
  })

  it('away: who writes gets an answer, once', async () => {
    await settings(ann, 'vacation', 'Away')
    await ann.getByLabel('Answer for me while I am away').check()
    await ann.getByLabel('Subject').fill('On the lake')
    await ann.getByLabel('Text').fill('Back on Monday.')
    await button(ann, 'Save').click()
    await ann.locator('.toast').getByText('Saved').first().waitFor()
    assert.deepEqual(await axe(ann), [])
    await write('Are you there?', 'carol@there.test')
    await until('the answer', async () => {
      const list = await offices.listed('carol')
      const n = (list.match(/^\* \d+ FETCH/gm) ?? []).length
      for (let at = n; at > 0; at--) { const text = await offices.imap('carol', `INBOX;MAILINDEX=${at}`); if (text.includes('Back on Monday.')) return /Subject: On the lake/.test(text) && /Auto-Submitted: auto-replied/.test(text) }
      return false
    }, 60)
    clean(ann)
  })

  it('names and signatures: what is sent has them', async () => {
    await settings(ann, 'identities', 'Names and signatures')
    await ann.getByLabel('Name').first().fill('Ann of the Lake')
    await ann.getByLabel('Signature').first().fill('with regards')
    await button(ann, 'Save').first().click()
    await ann.locator('.toast').getByText('Saved').first().waitFor()
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    await ann.locator('#list').waitFor()
    await ann.locator('body').press('c')
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill(ANN)
    await ann.keyboard.press('Tab')
    await ann.getByPlaceholder('Subject').fill('Signed')
    await ann.getByRole('textbox', { name: 'Message' }).getByText('with regards').waitFor()
    await ann.keyboard.press('Control+Enter')
    await lies('ann', 'Signed')
    assert.match(await offices.listed('ann'), /Ann of the Lake/)
    clean(ann)
  })

  it('signatures have their format: letters have it, their text says it in words, and it goes with the address as long as nobody touches it', async () => {
    await offices.operate('here.test', 'alias', 'add', 'desk@here.test', ANN)
    const jmap = (calls) => ann.evaluate(async (calls) => {
      const { apiUrl, primaryAccounts } = await (await fetch('/.well-known/jmap')).json()
      const using = ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail', 'urn:ietf:params:jmap:submission']
      const accountId = primaryAccounts['urn:ietf:params:jmap:mail']
      const answer = await fetch(new URL(apiUrl).pathname, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Packetboat': '1' }, body: JSON.stringify({ using, methodCalls: calls.map(([name, args]) => [name, { accountId, ...args }, 'c']) }) })
      return (await answer.json()).methodResponses.map((one) => one[1])
    }, calls)
    // As another program may have left it.
    const evil = '<div>The <b>desk</b><img src=x onerror="top.ran=1"><img src="http://tricks.elsewhere.test/a.png"><script>top.ran=1</scr' + 'ipt></div>'
    await jmap([['Identity/set', { create: { d: { email: 'desk@here.test', name: 'Desk', htmlSignature: evil, textSignature: 'The desk' } } }]])
    await settings(ann, 'identities', 'Names and signatures')
    const form = ann.locator('form', { has: ann.getByRole('heading', { name: ANN }) })
    const box = form.getByRole('textbox', { name: 'Signature' })
    await box.fill('Ann Lee, by the lake')
    await box.press('Control+a')
    await button(form, 'Bold').click()
    await until('it is bold', async () => await button(form, 'Bold').getAttribute('aria-pressed') === 'true')
    ann.removeAllListeners('dialog')
    ann.on('dialog', (d) => { void d.accept(d.type() === 'prompt' ? 'https://lake.test/' : undefined) })
    await button(form, 'Link').click()
    await until('it is a link', async () => await box.locator('a').count() === 1)
    assert.deepEqual(await axe(ann), [])
    await button(form, 'Save').click()
    await ann.locator('.toast').getByText('Saved').first().waitFor()
    const [{ list }] = await jmap([['Identity/get', { ids: ['main'] }]])
    assert.equal(list[0].textSignature, 'Ann Lee, by the lake <https://lake.test/>')
    assert.match(list[0].htmlSignature, /<b>.*Ann Lee, by the lake.*<\/b>|<a [^>]*><b>Ann Lee/)
    await ann.reload()
    await box.locator('b').getByText('Ann Lee').waitFor()
    // What another program makes of it stands there, as long as one has typed nothing.
    const [now] = list
    const elsewhere = async (htmlSignature, textSignature) => jmap([['Identity/set', { update: { main: { htmlSignature, textSignature } } }]])
    await elsewhere('<div>Of <i>elsewhere</i></div>', 'Of elsewhere')
    await box.locator('i').getByText('elsewhere').waitFor()
    await elsewhere(now.htmlSignature, now.textSignature)
    await box.locator('b').getByText('Ann Lee').waitFor()
    const other = ann.locator('form', { has: ann.getByRole('heading', { name: 'desk@here.test' }) }).getByRole('textbox', { name: 'Signature' })
    await other.locator('b').getByText('desk').waitFor()
    assert.equal(await other.locator('img, script').count(), 0)

    const compose = ann.locator('.compose'), text = compose.getByRole('textbox', { name: 'Message' }), from = compose.getByLabel('From')
    const writeAs = async (who) => from.selectOption(await from.locator('option', { hasText: who }).getAttribute('value'))
    const begin = async (subject) => {
      await ann.getByRole('link', { name: /^Inbox/ }).click()
      await ann.locator('#list').waitFor()
      await ann.locator('body').press('c')
      await ann.getByRole('combobox', { name: 'To', exact: true }).fill('carol@there.test')
      await ann.keyboard.press('Tab')
      await ann.getByPlaceholder('Subject').fill(subject)
      await text.locator('b').getByText('Ann Lee').waitFor()
    }
    await begin('With format')
    await writeAs('desk@here.test')
    await text.locator('b').getByText('desk').waitFor()
    assert.equal(await text.getByText('Ann Lee').count(), 0)
    assert.equal(await text.locator('img, script').count(), 0)
    await writeAs('Ann')
    await text.locator('b').getByText('Ann Lee').waitFor()
    assert.equal(await text.getByText('desk').count(), 0)
    await text.click({ position: { x: 4, y: 4 } })
    await ann.keyboard.press('Control+Home')
    await ann.keyboard.type('Dear Carol')
    await ann.keyboard.press('Control+Enter')
    await lies('carol', 'With format')
    const sent = await offices.whole('carol', 'With format')
    assert.match(sent, /Dear Carol[\s\S]*Ann Lee, by the lake <https:\/\/lake\.test\/>[\s\S]*text\/html[\s\S]*<b>/)
    assert.ok(!/elsewhere|onerror|ran=1/.test(sent))

    // Touched, it is one's own words.
    await begin('Touched')
    await text.locator('b').getByText('Ann Lee').click()
    await ann.keyboard.press('End')
    await ann.keyboard.type(' and a boat')
    await writeAs('desk@here.test')
    await until('it is written as that', async () => /desk@/.test(await from.locator('option:checked').innerText()))
    await ann.waitForTimeout(300)
    assert.match(await text.innerText(), /Ann Lee, by the lake\sand\sa\sboat/)
    assert.ok(!/The desk/.test(await text.innerText()))
    await compose.getByRole('button', { name: 'Throw away' }).click()
    // An answer has it over what it quotes.
    await write('To be answered')
    await ann.locator('.row', { hasText: 'To be answered' }).click()
    await ann.locator('article').getByText('Hello').waitFor()
    await ann.keyboard.press('r')
    await text.locator('b').getByText('Ann Lee').waitFor()
    await compose.getByRole('button', { name: 'Throw away' }).click()
    await settings(ann, 'identities', 'Names and signatures')
    await button(ann, 'Remove desk@here.test').click()
    await ann.getByRole('heading', { name: 'desk@here.test' }).waitFor({ state: 'detached' })
    assert.equal(await ann.evaluate(() => globalThis.ran), undefined)
    // What stood in the other program's signature would not have been let run either.
    ann.troubles.splice(0, Infinity, ...ann.troubles.filter((told) => !/^Executing inline event handler violates/.test(told)))
    clean(ann)
  })

  it('another address: one that leads here is written from, one of somebody else is not had', async () => {
    await offices.operate('here.test', 'alias', 'add', 'post@here.test', ANN)
    await settings(ann, 'identities', 'Names and signatures')
    await ann.getByLabel('Another address of yours').fill(BOB)
    await button(ann, 'Add').click()
    await ann.locator('.toast').getByText('That address is not yours.').first().waitFor()
    await ann.getByLabel('Another address of yours').fill('post@here.test')
    await button(ann, 'Add').click()
    await ann.getByRole('heading', { name: 'post@here.test' }).waitFor()
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    await ann.locator('#list').waitFor()
    await ann.locator('body').press('c')
    const from = ann.locator('.compose').getByLabel('From')
    await from.selectOption(await from.locator('option', { hasText: 'post@here.test' }).getAttribute('value'))
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill('carol@there.test')
    await ann.keyboard.press('Tab')
    await ann.getByPlaceholder('Subject').fill('From the post')
    await ann.keyboard.press('Control+Enter')
    await lies('carol', 'From the post')
    assert.match(await offices.listed('carol'), /"From the post" \(\("[^"]*" NIL "post" "here\.test"\)\)/)
    await settings(ann, 'identities', 'Names and signatures')
    await button(ann, 'Remove post@here.test').click()
    await ann.getByRole('heading', { name: 'post@here.test' }).waitFor({ state: 'detached' })
    clean(ann)
  })

  it('files of messages are taken in, and given out as they were', async () => {
    const octets = Buffer.from('From: Zoe <zoe@old.test>\r\nTo: ann@here.test\r\nSubject: From a file\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nX-Odd:   kept \r\n\r\nGr\xfc\xdfe\r\n', 'latin1')
    await settings(ann, 'general', 'General')
    await ann.getByLabel('Choose files').setInputFiles([{ name: 'one.eml', mimeType: 'message/rfc822', buffer: octets }, { name: 'two.eml', mimeType: 'message/rfc822', buffer: Buffer.from('Subject: Another file\r\n\r\nx\r\n') }])
    await ann.locator('.toast').getByText('2 messages taken in').waitFor()
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    await ann.locator('.row', { hasText: 'Another file' }).waitFor()
    await ann.locator('.row', { hasText: 'From a file' }).click()
    await ann.locator('article').getByText('Gr').first().waitFor()
    await ann.getByRole('toolbar', { name: 'Message', exact: true }).getByRole('button', { name: 'More' }).click()
    const [download] = await Promise.all([ann.waitForEvent('download'), ann.getByRole('menuitem', { name: 'Save as file' }).click()])
    assert.equal(download.suggestedFilename(), 'From a file.eml')
    assert.deepEqual(readFileSync(await download.path()), octets)
    clean(ann)
  })
})

describe('other programs, and how email works', { timeout: 300_000 }, () => {
  it('other programs: the servers as Thunderbird finds them, and a profile for Apple that works once', async () => {
    await settings(ann, 'programs', 'Other programs')
    const table = ann.getByRole('region', { name: 'Other programs' })
    await table.getByText('Incoming, IMAP').first().waitFor()
    const xml = await offices.curl(`${offices.here}/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=${ANN}`, '-H', 'Host: here.test')
    for (const port of [993, 995, 465].map((n) => String(offices.base + n))) {
      await table.getByText(port).first().waitFor()
      assert.ok(xml.includes(`<port>${port}</port>`), port)
    }
    assert.deepEqual(await axe(ann), [])
    await ann.getByLabel('Your password').fill(offices.password(ANN))
    await button(ann, 'Make a link').click()
    const url = await ann.locator('a.profile').getAttribute('href')
    // What a camera reads, by a decoder of somebody else's: the link, and not a used one.
    assert.equal(await readCode(chrome, ann.getByRole('img', { name: 'The link as a code for the camera' })), url)
    const profile = await offices.curl(url)
    assert.match(profile, /com\.apple\.mail\.managed/)
    const secret = /<key>IncomingPassword<\/key>\s*<string>([^<]+)/.exec(profile)?.[1]
    assert.ok(secret, 'it has a password of its own in it')
    await offices.curl('--user', `${ANN}:${secret}`, `imap://127.0.0.1:${offices.base + 143}/`)
    assert.match(await offices.curl(url), /That link was used/)
    clean(ann)
  })

  it('wire: what mail programs say, as they say it, without the password', async () => {
    await ann.goto(`${offices.here}/wire`)
    await ann.getByText('Nothing').or(ann.locator('.wire [role=status]')).first().waitFor()
    await until('the dialogue', async () => {
      await offices.imap('ann', 'INBOX', '-X', 'NOOP')
      return (await ann.locator('.line.client').count()) > 0
    }, 30)
    await ann.locator('.line.client', { hasText: /LOGIN|AUTHENTICATE/ }).first().waitFor()
    await ann.locator('.line', { hasText: /RFC 9051/ }).first().waitFor()
    const text = await ann.locator('.lines').textContent()
    assert.ok(!text.includes(offices.password(ANN)) && !text.includes(Buffer.from(`\0${ANN}\0${offices.password(ANN)}`).toString('base64')))
    assert.deepEqual(await axe(ann), [])
    clean(ann)
  })

  it('wire: sending by SMTP and collecting by POP3, each explained, alone or beside the other', async () => {
    await ann.goto(`${offices.here}/wire`)
    const log = ann.getByRole('log')
    const line = (side, said) => log.locator(`.line.${side}`, { hasText: said })
    const only = (name) => ann.getByRole('group', { name: 'Protocol' }).getByRole('button', { name, exact: true })
    // It watches only when it says so: what was said before is not told.
    await ann.getByRole('status').getByText('Nobody talks to your account').waitFor()
    await offices.submit(ANN, BOB, `From: ${ANN}\nTo: ${BOB}\nSubject: Watched\n\nNobody else reads this line.\n`)
    await line('client', 'MAIL FROM:<ann@here.test>').waitFor()
    for (const [side, said, means] of [['server', '220 ', 'RFC 5321'], ['client', 'EHLO', 'RFC 5321'], ['client', 'AUTH', 'RFC 4954'], ['server', '235', 'RFC 4954'], ['client', 'RCPT TO:<bob@here.test>', 'RFC 5321'], ['client', 'DATA', 'RFC 5321'], ['server', '354', 'RFC 5321']]) {
      await line(side, said).filter({ hasText: means }).first().waitFor()
    }
    await line('server', '250').last().waitFor()
    await offices.pop('ann', 1)
    for (const [side, said, means] of [['server', '+OK', 'RFC 1939'], ['client', /USER|AUTH/, /RFC (1939|5034)/], ['client', 'RETR 1', 'RFC 1939'], ['client', 'QUIT', 'RFC 1939']]) {
      await line(side, said).filter({ hasText: 'pop3' }).filter({ hasText: means }).first().waitFor()
    }
    // Every line has its meaning in words.
    const meanings = await log.locator('.line .meaning').allTextContents()
    assert.ok(meanings.length > 15 && meanings.every((text) => text.trim().length > 3), meanings.join('|'))
    await only('POP3').click()
    await until('POP3 alone', async () => (await log.locator('.line .who').allTextContents()).every((who) => who.startsWith('pop3')))
    await line('client', 'RETR 1').waitFor()
    await only('SMTP').click()
    await until('SMTP alone', async () => (await log.locator('.line .who').allTextContents()).every((who) => who.startsWith('smtp')))
    await line('client', 'MAIL FROM:<ann@here.test>').waitFor()
    await only('All').click()
    // Neither the password, in any dress of it, nor anybody's letter.
    const text = await log.textContent()
    const secret = offices.password(ANN)
    for (const never of [secret, Buffer.from(secret).toString('base64'), Buffer.from(`\0${ANN}\0${secret}`).toString('base64'), 'Nobody else reads this line.', 'Subject: Watched']) assert.ok(!text.includes(never), never)
    // What comes while it rests is shown when it goes on.
    await button(ann, 'Pause').click()
    const before = await log.locator('.line').count()
    await offices.imap('ann', 'INBOX', '-X', 'NOOP')
    await ann.evaluate(() => new Promise((frame) => requestAnimationFrame(() => requestAnimationFrame(frame))))
    assert.equal(await log.locator('.line').count(), before)
    await button(ann, 'Go on').click()
    await line('client', 'LOGOUT').waitFor()
    assert.deepEqual(await axe(ann), [])
    clean(ann)
  })

  it('why: the way a message came, what was checked, and what this server wrote down of it', async () => {
    await write('Where from', 'carol@there.test')
    // On a busy machine the other office may have to try twice.
    await until('the message', async () => (await offices.listed('ann')).includes('"Where from"'), 100)
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: 'Where from' }).click()
    await ann.locator('article').first().waitFor()
    await ann.keyboard.press('w')
    const why = ann.getByRole('complementary', { name: 'Why is it here?' })
    await why.getByText('mail.there.test').first().waitFor()
    await why.getByText('stored', { exact: true }).waitFor()
    await why.getByText(/to <ann@here\.test> from <carol@there\.test>/).first().waitFor()
    assert.deepEqual(await axe(ann), [])
    clean(ann)
  })

  it('redirect: a message goes on as it is, octet for octet', async () => {
    await ann.keyboard.press('Escape')
    await ann.getByRole('button', { name: 'More', exact: true }).click()
    await ann.getByRole('menuitem', { name: 'Redirect' }).click()
    const dialog = ann.getByRole('dialog', { name: 'Redirect' })
    await dialog.getByRole('combobox', { name: 'To' }).fill('carol@there.test')
    await ann.keyboard.press('Tab')
    assert.deepEqual(await axe(ann), [])
    await button(dialog, 'Send').click()
    await ann.locator('.toast').getByText('Sent').waitFor()
    const at = async (who, box) => {
      const list = await offices.listed(who, box)
      const all = []
      for (let n = 1; n <= (list.match(/^\* \d+ FETCH/gm) ?? []).length; n++) all.push(await offices.imap(who, `${box};MAILINDEX=${n}`))
      return all.filter((text) => text.includes('Subject: Where from'))
    }
    const got = await until('it at Carol\'s', async () => (await at('carol', 'INBOX')).at(-1))
    // Return-Path is written by whoever delivers, each time anew (RFC 5321 4.4).
    const original = (await at('ann', 'INBOX'))[0].replace(/^Return-Path:.*\r\n/, '')
    const front = got.indexOf('Resent-From: ')
    assert.ok(got.slice(front).endsWith(original), 'nothing of it is changed')
    assert.match(got.slice(front, got.length - original.length), /^Resent-From: .*<?ann@here\.test>?\r\nResent-To: carol@there\.test\r\nResent-Date: .*\r\nResent-Message-ID: <.*@here\.test>\r\n$/)
    assert.match(got.slice(0, front), /Return-Path: <ann@here\.test>/)
    assert.ok(!/DKIM-Signature: .*d=here\.test/.test(got.slice(0, front)))
    assert.match(await offices.listed('ann'), /\$Forwarded/i)
    clean(ann)
  })

  it('general: colours and rows stay chosen', async () => {
    await settings(ann, 'general', 'General')
    await ann.getByLabel('Colours').selectOption('dark')
    await ann.getByLabel('Rows of the list').selectOption('compact')
    await ann.reload()
    await ann.getByRole('heading', { name: 'General' }).waitFor()
    assert.deepEqual(await ann.evaluate(() => [document.documentElement.dataset.theme, document.documentElement.dataset.rows]), ['dark', 'compact'])
    assert.deepEqual(await axe(ann), [])
    clean(ann)
  })
})
