// What one does with many messages: away, back, labelled, moved, selected, dragged; mailboxes; and all of it by keys alone.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { browser, byRequests, desktop, hasty, Offices, page, signIn, until, wayBack } from './offices.mjs'

let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  for (let n = 1; n <= 8; n++) await offices.submit('bob@here.test', 'ann@here.test', `From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: Letter ${n}\n\nText of ${n}\n`)
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await row('Letter 8').waitFor()
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const row = (subject) => ann.locator('.row', { hasText: subject })
const gone = (subject) => row(subject).waitFor({ state: 'detached' })
const clean = () => { assert.deepEqual(ann.troubles.splice(0), []) }
/** The cursor on a row, nothing opened. */
async function at(subject) {
  await ann.locator('#list').focus()
  await ann.keyboard.press('Home')
  for (let n = 0; n < 30; n++) {
    if (/cursor/.test(await row(subject).getAttribute('class'))) return
    await ann.keyboard.press('j')
  }
  throw new Error(`${subject} is not to be reached`)
}
const lies = (subject, box) => until(`${subject} in ${box}`, async () => (await offices.listed('ann', box)).includes(`"${subject}"`))
const away = (subject, box) => until(`${subject} away from ${box}`, async () => !(await offices.listed('ann', box)).includes(`"${subject}"`))

describe('sorting', { timeout: 300_000 }, () => {
  it('archives, deletes and marks as spam, and every act has its way back', async () => {
    for (const [key, box] of [['e', 'Archive'], ['#', 'Trash'], ['!', 'Junk']]) {
      await at('Letter 8')
      await ann.keyboard.press(key)
      await gone('Letter 8')
      await lies('Letter 8', box)
      await ann.keyboard.press('z')
      await row('Letter 8').waitFor()
      await away('Letter 8', box)
      await lies('Letter 8', 'INBOX')
    }
    await at('Letter 8')
    await ann.keyboard.press('!')
    await gone('Letter 8')
    await ann.getByRole('link', { name: 'Spam' }).click()
    await row('Letter 8').click()
    await ann.getByRole('button', { name: 'Not spam' }).first().click()
    await gone('Letter 8')
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    await row('Letter 8').waitFor()
    clean()
  })

  it('labels, and a label is a keyword of IMAP', async () => {
    await at('Letter 7')
    await ann.keyboard.press('l')
    await ann.getByRole('combobox', { name: 'Label' }).fill('Holiday')
    await ann.keyboard.press('Enter')
    await row('Letter 7').locator('.chip', { hasText: 'holiday' }).waitFor()
    await until('the keyword', async () => /holiday/i.test(await offices.listed('ann')))
    // What it has is marked; pressed again it goes.
    await ann.keyboard.press('l')
    await ann.getByRole('option', { name: /^holiday.*on$/ }).waitFor()
    await ann.keyboard.press('Escape')
    await ann.keyboard.press('z')
    await row('Letter 7').locator('.chip').waitFor({ state: 'detached' })
    await until('no keyword', async () => !/FLAGS \([^)]*holiday/i.test(await offices.listed('ann')))
    clean()
  })

  it('moves into a mailbox that is made on the way', async () => {
    await at('Letter 6')
    await ann.keyboard.press('v')
    await ann.getByRole('combobox', { name: 'Move to' }).fill('Travel')
    await ann.keyboard.press('Enter')
    await gone('Letter 6')
    await lies('Letter 6', 'Travel')
    await ann.getByRole('link', { name: 'Travel' }).click()
    await row('Letter 6').waitFor()
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    clean()
  })

  it('selects several, by keys, by clicks and by range, and acts on all', async () => {
    await at('Letter 5')
    await ann.keyboard.press('J')
    await ann.keyboard.press('J')
    await ann.getByText('3 selected').waitFor()
    await ann.keyboard.press('e')
    for (const n of [5, 4, 3]) await gone(`Letter ${n}`)
    await ann.locator('.toast').getByText('3 messages archived').waitFor()
    await ann.locator('.toast').getByRole('button', { name: 'Undo' }).click()
    for (const n of [5, 4, 3]) await row(`Letter ${n}`).waitFor()
    await row('Letter 8').locator('.tick').click()
    await row('Letter 4').click({ modifiers: ['Shift'] })
    await ann.getByText('4 selected').waitFor()
    await row('Letter 5').click({ modifiers: ['Control'] })
    await ann.getByText('3 selected').waitFor()
    await ann.keyboard.press('Escape')
    await ann.getByText('selected').waitFor({ state: 'detached' })
    clean()
  })

  it('drags rows onto a mailbox', async () => {
    await row('Letter 2').dragTo(ann.getByRole('link', { name: 'Travel' }))
    await gone('Letter 2')
    await lies('Letter 2', 'Travel')
    clean()
  })

  it('makes, nests, renames, empties and removes mailboxes', async () => {
    const edit = async (name) => { await ann.getByRole('link', { name }).hover(); await ann.getByRole('button', { name: `More: ${name}` }).click() }
    await ann.getByRole('button', { name: 'New folder' }).click()
    await ann.getByLabel('Name of the folder').fill('Hotels')
    await ann.getByLabel('Under').selectOption({ label: 'Travel' })
    await ann.getByRole('button', { name: 'Create' }).click()
    await ann.getByRole('link', { name: 'Hotels' }).waitFor()
    await until('it by IMAP', async () => /Travel\/Hotels/.test(await offices.imap('ann', '', '-X', 'LIST "" "Travel/*"')))
    await edit('Hotels')
    await ann.getByLabel('Name of the folder').fill('Inns')
    await ann.getByRole('button', { name: 'Save' }).click()
    await ann.getByRole('link', { name: 'Inns' }).waitFor()
    await edit('Inns')
    await ann.getByRole('button', { name: 'Remove' }).click()
    await ann.getByRole('link', { name: 'Inns' }).waitFor({ state: 'detached' })
    await edit('Travel')
    await ann.getByRole('button', { name: 'Empty' }).click()
    await away('Letter 2', 'Travel')
    // What takes it back is offered when the page has heard of it; the next that is removed for ever is said in the same words.
    const said = ann.locator('.toast', { hasText: 'deleted for ever' })
    await said.getByRole('button', { name: 'Close' }).click()
    await said.waitFor({ state: 'detached' })
    clean()
  })

  it('takes back what was removed for ever, and what was done to folders, people and rules', async () => {
    const names = () => offices.imap('ann', '', '-X', 'LIST "" *')
    const edit = (name) => ann.getByRole('button', { name: `More: ${name}` }).click()
    const letter = (n, box) => offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: For ever ${n}\r\nMessage-ID: <ever${n}@here.test>\r\n\r\nText ${n}\r\n`, box)
    for (const box of ['Ships', 'Ferries']) await offices.imap('ann', '', '-X', `CREATE ${box}`)
    await letter(1, 'Trash')
    for (const n of [2, 3, 4]) await letter(n, 'Ships')
    await letter(5, 'Ferries')
    const rules = async () => ann.evaluate(async () => {
      const { apiUrl, primaryAccounts } = await (await fetch('/.well-known/jmap')).json()
      const using = ['urn:ietf:params:jmap:core', 'urn:packetboat:params:jmap:program']
      const answer = await fetch(new URL(apiUrl).pathname, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Packetboat': '1' }, body: JSON.stringify({ using, methodCalls: [['MailRules/get', { accountId: Object.values(primaryAccounts)[0], ids: null }, 'r']] }) })
      return (await answer.json()).methodResponses[0][1].list[0].rules.length
    })
    const open = async (name) => { await ann.getByRole('link', { name: new RegExp(`^${name}`) }).first().click() }
    const acts = [
      ['deleted for ever', async () => { await open('Deleted'); await at('For ever 1'); await ann.keyboard.press('#') }, () => away('For ever 1', 'Trash'), () => lies('For ever 1', 'Trash')],
      ['deleted for ever', async () => { await edit('Ships'); await ann.getByRole('button', { name: 'Empty' }).click() }, () => away('For ever 3', 'Ships'), async () => { for (const n of [2, 3, 4]) await lies(`For ever ${n}`, 'Ships') }],
      ['The folder is now Vessels', async () => { await edit('Ships'); await ann.getByLabel('Name of the folder').fill('Vessels'); await ann.getByRole('button', { name: 'Save' }).click() }, () => lies('For ever 2', 'Vessels'), () => lies('For ever 2', 'Ships')],
      ['Folder removed', async () => { await edit('Ferries'); await ann.getByRole('button', { name: 'Remove' }).click() }, () => until('no folder', async () => !(await names()).includes('Ferries')), () => lies('For ever 5', 'Ferries')],
      ['Saved', async () => {
        await open('Settings')
        await ann.getByRole('link', { name: 'Rules and forwarding' }).click()
        await ann.getByRole('button', { name: 'New rule' }).click()
        const rule = ann.locator('fieldset').first()
        await rule.getByLabel('contains').fill('ship')
        await rule.getByLabel('Move to').selectOption({ label: 'Ships' })
        await ann.getByRole('button', { name: 'Save rules' }).click()
      }, () => until('a rule', async () => await rules() === 1), async () => { await until('no rule', async () => await rules() === 0); await ann.locator('fieldset').waitFor({ state: 'detached' }) }],
      ['Pat removed', async () => {
        await open('People')
        await ann.getByLabel('Name').fill('Pat')
        await ann.getByLabel('Address').fill('pat@elsewhere.test')
        await ann.getByRole('button', { name: 'Add', exact: true }).click()
        await ann.getByRole('button', { name: 'Remove pat@elsewhere.test' }).click()
      }, () => ann.getByText('pat@elsewhere.test').waitFor({ state: 'detached' }), () => ann.getByText('pat@elsewhere.test').waitFor()],
    ]
    for (const [said, act, isDone, isBack] of acts) {
      await act()
      const back = await wayBack(ann, said)
      await isDone()
      await back.click()
      await isBack()
    }
    await open('Inbox')
    clean()
  })

  it('takes back what one means, though the server has not said yet that it is done', async () => {
    await offices.append('ann', 'From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Soon gone\r\nMessage-ID: <soon@here.test>\r\n\r\nText\r\n', 'Trash')
    const slow = await desktop(chrome)
    await byRequests(slow.context())
    await signIn(slow, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    const starred = () => until('the star', async () => (await offices.listed('ann')).split('\n').some((line) => line.includes('"Letter 5"') && line.includes('\\Flagged')))
    await slow.locator('.row', { hasText: 'Letter 5' }).click()
    await slow.locator('article').getByText('Text of 5').waitFor()
    await slow.keyboard.press('s')
    await slow.locator('.toast', { hasText: 'Starred' }).waitFor()
    await starred()
    await slow.getByRole('link', { name: 'Deleted' }).click()
    await slow.locator('.row', { hasText: 'Soon gone' }).waitFor()
    await slow.locator('#list').focus()
    await slow.keyboard.press('Home')
    await slow.locator('.row.cursor', { hasText: 'Soon gone' }).waitFor()
    let answer, begun
    const held = new Promise((go) => { answer = go })
    const asked = new Promise((go) => { begun = go })
    await slow.route('**/jmap/api', async (route) => {
      if (route.request().postData().includes('"destroy"')) { begun(); await held }
      await route.continue()
    })
    await slow.keyboard.press('#')
    await asked
    await slow.keyboard.press('z')
    answer()
    await slow.locator('.toast', { hasText: 'Undone' }).waitFor()
    await lies('Soon gone', 'Trash')
    await starred()
    assert.deepEqual(slow.troubles, [])
    await slow.context().close()
  })

  it('shows conversations, or single messages', async () => {
    const one = (n, more) => offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: ${n > 1 ? 'Re: ' : ''}The timetable\r\nMessage-ID: <table${n}@here.test>\r\n${more}\r\nNumber ${n}\r\n`)
    await one(1, '')
    await one(2, 'In-Reply-To: <table1@here.test>\r\nReferences: <table1@here.test>\r\n')
    await row('The timetable').getByText('2', { exact: true }).waitFor()
    assert.equal(await row('The timetable').count(), 1)
    await ann.getByRole('button', { name: 'Single messages' }).click()
    await until('both', async () => await row('The timetable').count() === 2)
    assert.match(ann.url(), /[?&]flat/)
    await row('Re: The timetable').click()
    await ann.locator('article').getByText('Number 2').waitFor()
    assert.equal(await ann.locator('article').count(), 1)
    await ann.keyboard.press('u')
    await ann.getByRole('button', { name: 'Single messages' }).click()
    await until('one row', async () => await row('The timetable').count() === 1)
    await row('The timetable').click()
    await until('both in the conversation', async () => await ann.locator('article').count() === 2)
    await ann.keyboard.press('#')
    await row('The timetable').waitFor({ state: 'detached' })
  })

  it('stands in the order one chooses, in a mailbox and in a search', async () => {
    const letter = (from, subject, text) => offices.submit(`${from}@here.test`, 'ann@here.test', `From: ${from} <${from}@here.test>\nTo: ann@here.test\nSubject: ${subject}\n\n${text}\n`)
    await letter('bob', 'Re: An order of ropes', 'a long line\n'.repeat(800))
    await letter('bob', 'Zinc order', 'short')
    await row('Zinc order').waitFor()
    const shown = () => ann.locator('.row .subject').allInnerTexts()
    const choose = async (name) => {
      await ann.getByRole('button', { name: 'Order' }).click()
      await ann.getByRole('menuitemradio', { name }).click()
    }
    const first = await shown()
    await choose('Oldest first')
    await until('the oldest on top', async () => /Letter 1|Welcome/.test((await shown())[0]) && (await shown()).at(-1) === 'Zinc order')
    assert.match(ann.url(), /sort=oldest/)
    // A new one comes in where it belongs, and reload brings the order back.
    await letter('bob', 'Anchors', 'x')
    await until('the newest below', async () => (await shown()).at(-1) === 'Anchors')
    await choose('Subject')
    await until('by subject', async () => { const all = await shown(); return all.indexOf('Re: An order of ropes') < all.indexOf('Anchors') && all.at(-1) === 'Zinc order' })
    await ann.reload()
    await until('by subject again', async () => { const all = await shown(); return all.at(-1) === 'Zinc order' && all.indexOf('Anchors') < all.indexOf('Letter 1') })
    await choose('Largest first')
    const sizes = async () => (await ann.locator('.row .at').allInnerTexts()).map((text) => parseFloat(text) * ({ B: 1, kB: 1000, MB: 1e6 }[text.split(' ')[1]] ?? NaN))
    await until('the largest on top', async () => { const all = await sizes(); return all.length > 8 && all.every((size, i) => size > 0 && (i === 0 || size <= all[i - 1])) })
    assert.ok((await shown()).indexOf('Re: An order of ropes') < (await shown()).indexOf('Zinc order'))
    await ann.getByRole('button', { name: 'Order' }).click()
    assert.deepEqual(await ann.getByRole('menuitemradio', { checked: true }).allInnerTexts(), ['Largest first'])
    await ann.keyboard.press('Escape')
    await ann.getByRole('menuitemradio').first().waitFor({ state: 'detached' })
    // By keys alone, and among what was found.
    await ann.keyboard.press('/')
    await ann.keyboard.type('order')
    await ann.keyboard.press('Enter')
    await until('the newest of what is found', async () => (await shown()).join() === 'Zinc order,Re: An order of ropes')
    await ann.keyboard.press('Control+k')
    await ann.keyboard.type('order oldest')
    await ann.keyboard.press('Enter')
    await until('the oldest of what is found', async () => (await shown()).join() === 'Re: An order of ropes,Zinc order')
    await ann.goto(offices.here)
    await row('Anchors').waitFor()
    await until('the newest on top', async () => (await shown()).slice(0, 3).join() === ['Anchors', ...first.slice(0, 2)].join())
    clean()
  })

  it('pins on top', async () => {
    await at('Letter 1')
    await ann.keyboard.press('*')
    await row('Letter 1').locator('.pinned').waitFor()
    await until('Letter 1 on top', async () => (await ann.locator('.row[aria-rowindex="1"]').innerText()).includes('Letter 1'))
    await ann.keyboard.press('z')
    await until('Letter 1 below', async () => !(await ann.locator('.row[aria-rowindex="1"]').innerText()).includes('Letter 1'))
    clean()
  })

  it('lets a conversation rest: its answers go past the inbox', async () => {
    await offices.submit('bob@here.test', 'ann@here.test', 'From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: Chatter\nMessage-ID: <chatter@here.test>\n\nOne\n')
    await row('Chatter').waitFor()
    await at('Chatter')
    await ann.keyboard.press('m')
    await gone('Chatter')
    await lies('Chatter', 'Archive')
    await offices.submit('bob@here.test', 'ann@here.test', 'From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: Re: Chatter\nIn-Reply-To: <chatter@here.test>\nReferences: <chatter@here.test>\n\nTwo\n')
    await lies('Re: Chatter', 'Archive')
    await away('Re: Chatter', 'INBOX')
    clean()
  })

  it('puts off until later, and the server brings back in time, with the page closed', async () => {
    const later = async (subject, typed) => {
      await at(subject)
      await ann.keyboard.press('b')
      await ann.getByRole('dialog', { name: 'Later' }).getByLabel('Another time').fill(typed)
      await ann.keyboard.press('Enter')
      await gone(subject)
      await lies(subject, 'Snoozed')
      await away(subject, 'INBOX')
    }
    const snoozed = () => ann.evaluate(async () => {
      const { apiUrl, primaryAccounts } = await (await fetch('/.well-known/jmap')).json()
      const accountId = Object.values(primaryAccounts)[0]
      const using = ['urn:ietf:params:jmap:core', 'urn:packetboat:params:jmap:program']
      const answer = await fetch(new URL(apiUrl).pathname, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Packetboat': '1' }, body: JSON.stringify({ using, methodCalls: [['Snooze/get', { accountId, ids: null }, 's']] }) })
      return (await answer.json()).methodResponses[0][1].list
    })
    const flags = async (subject) => (await offices.listed('ann')).split('\n').find((line) => line.includes(`"${subject}"`))
    await later('Letter 5', 'in 3h')
    await until('its time', async () => Math.abs(Date.parse((await snoozed())[0]?.until) - Date.now() - 3 * 3_600_000) < 60_000)
    await ann.keyboard.press('z')
    await row('Letter 5').waitFor()
    await away('Letter 5', 'Snoozed')
    await lies('Letter 5', 'INBOX')
    await until('no time', async () => (await snoozed()).length === 0)
    assert.doesNotMatch(await flags('Letter 5'), /pinned/i)

    // Put off once more and that taken back, it waits as it did before, and does not come at once.
    await later('Letter 5', 'in 5h')
    const inHours = (hours) => until(`in ${hours} hours`, async () => Math.abs(Date.parse((await snoozed())[0]?.until) - Date.now() - hours * 3_600_000) < 120_000)
    await inHours(5)
    const clock = (await snoozed())[0].until
    await ann.getByRole('link', { name: /^Snoozed/ }).click()
    await row('Letter 5').waitFor()
    await at('Letter 5')
    await ann.keyboard.press('b')
    await ann.getByRole('dialog', { name: 'Later' }).getByLabel('Another time').fill('in 9h')
    await ann.keyboard.press('Enter')
    await inHours(9)
    await row('Letter 5').waitFor()
    await ann.keyboard.press('z')
    await inHours(5)
    assert.equal((await snoozed())[0].until, clock)
    await row('Letter 5').waitFor()
    await lies('Letter 5', 'Snoozed')
    await away('Letter 5', 'INBOX')
    // And the first time as well.
    await ann.keyboard.press('z')
    await lies('Letter 5', 'INBOX')
    await until('no time any more', async () => (await snoozed()).length === 0)
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    await row('Letter 5').waitFor()

    // What was read, and was put away already, comes back to the inbox as new and on top.
    await at('Letter 4')
    await ann.keyboard.press('Enter')
    await ann.locator('article').getByText('Text of 4').waitFor()
    await until('it is read', async () => /Seen/.test(await flags('Letter 4')))
    await ann.keyboard.press('u')
    // So long that it can be seen to be away.
    await later('Letter 4', 'in 15s')
    clean()
    await ann.goto('about:blank')
    ann.troubles.length = 0 // nothing of ours is on that page
    await until('it is back', async () => (await offices.listed('ann')).includes('"Letter 4"'), 60)
    assert.doesNotMatch(await flags('Letter 4'), /Seen/)
    await away('Letter 4', 'Snoozed')
    await ann.goto(offices.here)
    await row('Letter 4').locator('.pinned').waitFor()
    assert.deepEqual(await snoozed(), [])

    // What an older page put into Later comes back, too.
    await offices.imap('ann', '', '-X', 'CREATE Later')
    await offices.appendAll('ann', ['From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Due by now\r\n\r\nBack\r\n'], 'Later', '\\Seen $later-202001010800')
    await ann.reload()
    await row('Due by now').locator('.pinned').waitFor()
    await lies('Due by now', 'INBOX')
    assert.doesNotMatch(await offices.listed('ann'), /later-/i)
    clean()
  })

  it('tells of new mail while nobody looks', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
    await context.addInitScript(() => {
      globalThis.notices = []
      globalThis.Notification = class { static permission = 'granted'; static requestPermission = async () => 'granted'; constructor(title, more) { globalThis.notices.push([title, more.body]) } }
    })
    const p = await page(context)
    await signIn(p, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    await p.goto(`${offices.here}/settings/general`)
    await p.getByLabel('Tell me of new mail').check()
    await p.goto(`${offices.here}/m/0/inbox`)
    await p.locator('.live.on').waitFor()
    await p.evaluate(() => Object.defineProperty(document, 'visibilityState', { value: 'hidden' }))
    await offices.submit('bob@here.test', 'ann@here.test', 'From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: Look here\n\nNow\n')
    await until('the notice', () => p.evaluate(() => globalThis.notices.length > 0))
    assert.deepEqual(await p.evaluate(() => globalThis.notices), [['Bob', 'Look here']])
    await context.close()
  })

  it('takes an address book in and gives it out', async () => {
    await ann.getByRole('link', { name: 'People' }).click()
    await ann.getByLabel('Import vCard').setInputFiles({ name: 'people.vcf', mimeType: 'text/vcard', buffer: Buffer.from('BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Zoë Quill\r\nEMAIL:zoe@elsewhere.test\r\nTEL;TYPE=home:+49 30 123\r\nORG:Lamps\r\nNOTE:likes tea\r\nBDAY:1980-01-01\r\nEND:VCARD\r\n') })
    await ann.getByText('Zoë Quill').waitFor()
    // On another device, and still there after signing out: with all that the card said.
    const other = await desktop(chrome)
    await signIn(other, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    for (const round of ['another device', 'after signing out']) {
      await other.getByRole('link', { name: 'People' }).click()
      await other.getByText('Zoë Quill').waitFor()
      const [download] = await Promise.all([other.waitForEvent('download'), other.getByRole('button', { name: 'Export vCard' }).click()])
      assert.equal(download.suggestedFilename(), 'people.vcf')
      const text = await readFile(await download.path(), 'utf8')
      for (const line of ['EMAIL:zoe@elsewhere.test', 'TEL;TYPE=home:+49 30 123', 'ORG:Lamps', 'NOTE:likes tea', 'BDAY:1980-01-01']) assert.ok(text.includes(`${line}\r\n`), `${round}: ${text}`)
      await other.getByRole('button', { name: 'Sign out' }).click()
      await other.getByLabel('Password').waitFor()
      await signIn(other, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    }
    // Who is removed there goes here as well.
    await other.getByRole('link', { name: 'People' }).click()
    await other.getByRole('button', { name: 'Remove zoe@elsewhere.test' }).click()
    await ann.getByText('Zoë Quill').waitFor({ state: 'detached' })
    await other.getByLabel('Name').fill('Zoë Quill')
    await other.getByLabel('Address').fill('zoe@elsewhere.test')
    await other.getByRole('button', { name: 'Add', exact: true }).click()
    await ann.getByText('Zoë Quill').waitFor()
    assert.deepEqual(other.troubles, [])
    await other.context().close()
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    await ann.locator('body').press('c')
    await ann.getByRole('combobox', { name: 'To', exact: true }).pressSequentially('quill')
    await ann.getByRole('option', { name: 'zoe@elsewhere.test' }).waitFor()
    await ann.keyboard.press('Enter')
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await ann.locator('.compose').waitFor({ state: 'detached' })
    clean()
  })

  it('takes in two who share an address, and says what it cannot keep', async () => {
    await ann.getByRole('link', { name: 'People' }).click()
    const card = (...lines) => `BEGIN:VCARD\r\nVERSION:3.0\r\n${lines.join('\r\n')}\r\nEND:VCARD\r\n`
    const file = [
      card('FN:Anna Lake', 'EMAIL:lakes@elsewhere.test', 'TEL:111'), card('FN:Ben Lake', 'EMAIL:lakes@elsewhere.test', 'TEL:222', 'BDAY:1970-02-02'),
      card('FN:Anna Lake', 'EMAIL:lakes@elsewhere.test', 'TITLE:Captain'), card('FN:No Address', 'TEL:333'), card('FN:Pia Picture', 'EMAIL:pia@elsewhere.test', `PHOTO;ENCODING=b:${'QUJD'.repeat(6000)}`, 'TEL:444'),
    ].join('')
    await ann.getByLabel('Import vCard').setInputFiles({ name: 'lakes.vcf', mimeType: 'text/vcard', buffer: Buffer.from(file) })
    await ann.locator('.toast').getByText('4 people taken in. 1 without an address left out. 1 too large to be kept whole: the largest of it, mostly a picture, was left out.').waitFor()
    await ann.getByText('Anna Lake, Ben Lake').waitFor()
    await ann.getByText('Pia Picture').waitFor()
    // On another device both come out again, each with what is theirs.
    const other = await desktop(chrome)
    await signIn(other, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    await other.getByRole('link', { name: 'People' }).click()
    await other.getByText('Anna Lake, Ben Lake').waitFor()
    const [download] = await Promise.all([other.waitForEvent('download'), other.getByRole('button', { name: 'Export vCard' }).click()])
    const cards = (await readFile(await download.path(), 'utf8')).split('BEGIN:VCARD').filter((one) => one.includes('Lake') || one.includes('Pia'))
    const of = (name) => cards.filter((one) => one.includes(`FN:${name}\r\n`))
    assert.deepEqual([of('Anna Lake').length, of('Ben Lake').length, of('Pia Picture').length, cards.length], [1, 1, 1, 3], cards.join())
    for (const line of ['EMAIL:lakes@elsewhere.test', 'TEL:111', 'TITLE:Captain']) assert.ok(of('Anna Lake')[0].includes(`${line}\r\n`), line)
    for (const line of ['EMAIL:lakes@elsewhere.test', 'TEL:222', 'BDAY:1970-02-02']) assert.ok(of('Ben Lake')[0].includes(`${line}\r\n`), line)
    assert.ok(of('Pia Picture')[0].includes('TEL:444') && !of('Pia Picture')[0].includes('PHOTO'))
    // Who is written in by hand under that address is who is known by it, named anew.
    await other.getByLabel('Name').fill('Pia Portrait')
    await other.getByLabel('Address').fill('pia@elsewhere.test')
    await other.getByRole('button', { name: 'Add', exact: true }).click()
    await ann.getByText('Pia Portrait').waitFor()
    assert.equal(await ann.getByText('Pia Picture').count(), 0)
    assert.deepEqual(other.troubles, [])
    await other.context().close()
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    clean()
  })

  it('is all to be had by keys: in, read, answer, search, commands, out', async () => {
    const p = await page(await chrome.newContext({ viewport: { width: 1360, height: 860 } }))
    await hasty(p.context())
    await p.goto(offices.here)
    await p.getByLabel('Address').waitFor()
    await p.keyboard.press('Tab')
    while (!(await p.getByLabel('Address').evaluate((e) => e === document.activeElement))) await p.keyboard.press('Tab')
    await p.keyboard.type('ann@here.test')
    await p.keyboard.press('Tab')
    await p.keyboard.type(offices.password('ann@here.test'))
    await p.keyboard.press('Enter')
    await p.locator('.row').first().waitFor()
    await p.keyboard.press('?')
    await p.getByRole('dialog', { name: 'Keys' }).waitFor()
    await p.keyboard.press('Escape')
    await p.keyboard.press('j')
    await p.keyboard.press('o')
    await p.locator('article').first().waitFor()
    await p.keyboard.press('j')
    await p.keyboard.press('r')
    await p.keyboard.type('By keys alone')
    await p.getByRole('textbox', { name: 'Message' }).getByText('By keys alone').waitFor()
    await p.keyboard.press('Control+Enter')
    await p.locator('.compose').waitFor({ state: 'detached' })
    await until('the answer at Bob', async () => /"Re: /.test(await offices.listed('bob')))
    await p.keyboard.press('g')
    await p.keyboard.type('sent')
    await p.keyboard.press('Enter')
    await p.getByRole('heading', { name: 'Sent' }).waitFor()
    await p.locator('.row', { hasText: 'Re: ' }).waitFor()
    await p.keyboard.press('/')
    await p.keyboard.type('subject:letter')
    await p.getByRole('button', { name: 'Remove subject:letter' }).waitFor()
    await p.keyboard.press('Escape')
    await p.keyboard.press('Control+k')
    await p.getByRole('dialog', { name: 'Commands' }).waitFor()
    await p.keyboard.type('dark')
    await p.keyboard.press('Enter')
    await until('the other colours', () => p.evaluate(() => document.documentElement.dataset.theme !== undefined))
    await p.keyboard.press('Control+k')
    await p.keyboard.type('sign out')
    await p.keyboard.press('Enter')
    await p.getByLabel('Password').waitFor()
    assert.deepEqual(p.troubles, [])
    await p.context().close()
  })
})
