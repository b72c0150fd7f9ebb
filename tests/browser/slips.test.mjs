// What slips in between: mail that comes between the press and the click, a finger that trembles, a menu one did not mean, a word typed
// just before signing out; and what has no room or is lost on the way.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { browser, byRequests, desktop, hasty, letter, Offices, opened, page, PNG, signIn, until, wayBack } from './offices.mjs'

let offices, chrome, ann
const password = () => offices.password('ann@here.test')
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  for (let n = 1; n <= 4; n++) await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Letter ${n}\r\nMessage-ID: <s${n}@here.test>\r\n\r\nText of ${n}.\r\n`)
  ann = await desktop(chrome)
  await byRequests(ann.context())
  ann.dialogs = []
  ann.on('dialog', (d) => ann.dialogs.push(d.message()))
  await signIn(ann, offices.here, 'ann@here.test', password())
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

// Those of the program itself: rows come with the page, and stand before it is there.
const row = (subject, p = ann) => p.locator('#list .row', { hasText: subject })
/** Nothing of the list's toolbar reaches beyond the list. */
const within = () => ann.evaluate(() => {
  const list = document.querySelector('section.list').getBoundingClientRect()
  return [...document.querySelectorAll('section.list > .tools *')].filter((e) => e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().right > list.right + 0.5).map((e) => e.outerHTML.slice(0, 80))
})

describe('in between', { timeout: 300_000 }, () => {
  it('mail that comes between the press and the click is not what opens', async () => {
    await row('Letter 3').hover()
    await ann.mouse.down()
    await offices.append('ann', 'From: Carol <carol@there.test>\r\nTo: ann@here.test\r\nSubject: Not this one\r\n\r\nNot meant.\r\n')
    await row('Not this one').waitFor()
    await ann.mouse.up()
    await ann.locator('article').getByText('Text of 3.').waitFor()
    await ann.keyboard.press('u')
    // The same with the box that selects.
    const box = await row('Letter 2').locator('.tick').boundingBox()
    await ann.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
    await ann.mouse.down()
    await offices.append('ann', 'From: Carol <carol@there.test>\r\nTo: ann@here.test\r\nSubject: Nor this\r\n\r\nNot meant.\r\n')
    await row('Nor this').waitFor()
    await ann.mouse.up()
    await row('Letter 2').and(ann.locator('[aria-selected=true]')).waitFor()
    assert.equal(await ann.locator('.row[aria-selected=true]').count(), 1)
    await ann.keyboard.press('Escape')
    await ann.locator('.row[aria-selected=true]').waitFor({ state: 'detached' })
  })

  it('a finger that trembles has tapped, also where the browser makes no click of it any more', async () => {
    const context = await chrome.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true })
    const phone = await page(context)
    await signIn(phone, offices.here, 'ann@here.test', password())
    await row('Letter 1', phone).waitFor()
    // As a touch screen tells of it that leaves a move to us and then takes it for no tap (Chromium's own would be none of these moves).
    const tap = (by) => row('Letter 1', phone).evaluate((target, by) => {
      const { x, y } = target.getBoundingClientRect()
      const tell = (type, dx, gone = false) => {
        const at = new Touch({ identifier: 1, target, clientX: x + 100 + dx, clientY: y + 20 })
        return target.dispatchEvent(new TouchEvent(type, { bubbles: true, cancelable: true, touches: gone ? [] : [at], targetTouches: gone ? [] : [at], changedTouches: [at] }))
      }
      tell('touchstart', 0)
      const isLeft = tell('touchmove', by)
      tell('touchend', by, true)
      return isLeft
    }, by)
    assert.equal(await tap(18), false)
    await phone.waitForTimeout(200)
    assert.equal(await phone.locator('article').count(), 0)
    assert.equal(await tap(7), false)
    await phone.locator('article').getByText('Text of 1.').waitFor()
    assert.deepEqual(phone.troubles, [])
    await context.close()
  })

  it('a key that puts a letter together, as in Japanese, does nothing else', async () => {
    const keys = (where) => where.evaluate((field) => { for (const key of ['Enter', 'Escape', 'Tab', 'ArrowDown']) field.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, isComposing: true })) })
    await ann.locator('body').press('c')
    const to = ann.getByRole('combobox', { name: 'To', exact: true })
    await to.fill('さと')
    await keys(to)
    assert.equal(await to.inputValue(), 'さと')
    assert.equal(await ann.locator('.compose .chip').count(), 0)
    await keys(ann.getByPlaceholder('Subject'))
    assert.equal(await ann.locator('.compose').count(), 1)
    await ann.getByRole('button', { name: 'Throw away' }).click()
    const field = ann.locator('#search')
    await field.fill('さと')
    await keys(field)
    assert.equal(await field.inputValue(), 'さと')
    assert.equal(await ann.evaluate(() => document.activeElement?.id), 'search')
    await field.press('Escape')
    await ann.keyboard.press('g')
    const pick = ann.getByRole('dialog').getByRole('combobox')
    await pick.fill('sent')
    await keys(pick)
    assert.equal(await ann.getByRole('dialog').count(), 1)
    await ann.keyboard.press('Escape')
    await ann.getByRole('dialog').waitFor({ state: 'detached' })
  })

  it('whoever is done with a letter is where he was, not at the beginning of the page', async () => {
    const focused = () => ann.evaluate(() => document.activeElement?.id || document.activeElement?.textContent?.trim())
    await ann.goto(`${offices.here}/m/0/inbox`)
    await row('Letter 2').waitFor()
    await ann.locator('#list').focus()
    await ann.keyboard.press('Home')
    for (const done of [() => ann.keyboard.press('Escape'), () => ann.getByRole('button', { name: 'Throw away' }).press('Enter'), async () => { await ann.getByRole('combobox', { name: 'To', exact: true }).fill('bob@here.test'); await ann.getByPlaceholder('Subject').fill('Back there'); await ann.keyboard.press('Control+Enter') }]) {
      await ann.keyboard.press('c')
      await ann.getByPlaceholder('Subject').waitFor()
      await done()
      await ann.locator('.compose').waitFor({ state: 'detached' })
      await until('the list has the focus', async () => await focused() === 'list')
    }
    await row('Letter 2').click()
    const reply = ann.locator('.answer').getByRole('button', { name: 'Reply', exact: true })
    await reply.press('Enter')
    await ann.locator('.compose [contenteditable=true]').waitFor()
    // By Escape the time for sending later goes, and not the letter.
    await ann.getByRole('button', { name: 'Send later' }).click()
    await ann.getByRole('textbox', { name: /when|time/i }).press('Escape')
    const later = ann.getByRole('button', { name: 'Send later' })
    await until('the button again', () => later.evaluate((button) => button === document.activeElement))
    await ann.locator('.compose .text').focus()
    await ann.keyboard.press('Escape')
    await ann.locator('.compose').waitFor({ state: 'detached' })
    await until('the button has the focus', async () => await focused() === 'Reply')
    await ann.keyboard.press('u')
  })

  it('all of a mailbox is read by one button of it, or by its command, and unread again when that is taken back', async () => {
    const unread = async () => (await offices.imap('ann', 'INBOX', '-X', 'SEARCH UNSEEN')).match(/\d+/g)?.length ?? 0
    await offices.appendAll('ann', [1, 2, 3].map((n) => `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Fresh ${n}\r\n\r\nFresh.\r\n`), 'INBOX', '')
    await row('Fresh 3').waitFor()
    const before = await unread()
    assert.ok(before >= 3, String(before))
    await ann.getByRole('navigation', { name: 'Mailboxes' }).getByRole('button', { name: 'More: Inbox' }).click()
    await ann.getByRole('dialog', { name: 'Inbox' }).getByRole('button', { name: 'Mark all read' }).click()
    const undo = await wayBack(ann, 'read')
    assert.equal(await unread(), 0)
    await until('none', async () => await ann.locator('.row.unread').count() === 0)
    await undo.press('Enter')
    await until('as before', async () => await unread() === before)
    // The page has heard of it, too: else there would be no such command.
    await ann.getByRole('navigation', { name: 'Mailboxes' }).getByRole('button', { name: 'More: Inbox' }).waitFor()
    await ann.keyboard.press('Control+k')
    await ann.keyboard.type('mark all read')
    await ann.keyboard.press('Enter')
    await until('none', async () => await unread() === 0)
  })

  it('a long name takes one line of a letter, also on the narrowest telephone', async () => {
    const context = await chrome.newContext({ viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true })
    const phone = await page(context)
    await offices.append('ann', `From: ${'Longname '.repeat(12)}<long@there.test>\r\nTo: ann@here.test\r\nSubject: By a long name\r\n\r\nLong.\r\n`)
    await signIn(phone, offices.here, 'ann@here.test', password())
    await row('By a long name', phone).tap()
    await phone.locator('.answer').getByRole('button', { name: 'Reply', exact: true }).tap()
    const { height, x, width } = await phone.locator('.compose .chip').boundingBox()
    assert.ok(height < 40 && x + width <= 320, `${height} ${x + width}`)
    await context.close()
  })

  it('an empty list says what is so, and what one may do', async () => {
    const nothing = ann.locator('.state')
    await ann.goto(`${offices.here}/m/0/inbox`)
    await row('Letter 1').waitFor()
    await ann.getByRole('group', { name: 'Messages' }).getByRole('button', { name: 'Starred' }).click()
    await nothing.getByText('None like that here.').waitFor()
    await nothing.getByRole('button', { name: 'Show all' }).click()
    await row('Letter 1').waitFor()
    await ann.goto(`${offices.here}/search?q=walrus+in:sent`)
    await nothing.getByText('Nothing matches here.').waitFor()
    await nothing.getByRole('button', { name: 'Search all mail' }).click()
    await until('all of it', () => new URL(ann.url()).searchParams.get('q') === 'walrus')
    await offices.append('ann', 'From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: A walrus\r\n\r\nThrown away.\r\n', 'Trash').catch(() => offices.append('ann', 'From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: A walrus\r\n\r\nThrown away.\r\n', 'Deleted'))
    await nothing.getByRole('button', { name: 'Look in Deleted' }).click()
    await row('A walrus').waitFor()
    await ann.goto(`${offices.here}/m/0/archive`)
    await nothing.getByRole('button', { name: 'Go to Inbox' }).click()
    await row('Letter 1').waitFor()
  })

  it('the narrowest list holds its toolbar: chips, and what one does with a selection', async () => {
    await ann.evaluate(() => localStorage.setItem('list-width', '300'))
    await ann.goto(`${offices.here}/search?q=${encodeURIComponent('from:bob subject:letter -is:starred')}`)
    await row('Letter 1').waitFor()
    await ann.getByRole('button', { name: 'Remove -is:starred' }).waitFor()
    assert.deepEqual(await within(), [])
    await ann.goto(`${offices.here}/search?q=${encodeURIComponent(`from:bob -subject:${'verylong'.repeat(12)}`)}`)
    await row('Letter 1').waitFor()
    assert.deepEqual(await within(), [])
    await ann.goto(`${offices.here}/m/0/inbox`)
    await row('Letter 1').waitFor()
    await row('Letter 1').locator('.tick').click()
    await ann.getByRole('heading', { name: '1 selected' }).waitFor()
    assert.deepEqual(await within(), [])
  })

  it('a menu closes by Escape and by what is pressed beside it, and nothing else happens', async () => {
    const more = ann.locator('section.list .tools').getByRole('button', { name: 'More' })
    const menu = ann.locator('section.list').getByRole('menu')
    for (const close of [() => ann.keyboard.press('Escape'), () => ann.locator('header').click({ position: { x: 3, y: 3 } })]) {
      await more.click()
      await menu.waitFor()
      await close()
      await menu.waitFor({ state: 'detached' })
      await ann.getByRole('heading', { name: '1 selected' }).waitFor()
    }
    // From within as well, and the same button closes it.
    await more.click()
    await menu.getByRole('menuitem').first().focus()
    await ann.keyboard.press('Escape')
    await menu.waitFor({ state: 'detached' })
    await more.click()
    await more.click()
    await menu.waitFor({ state: 'detached' })
    await ann.keyboard.press('Escape')
    await ann.getByRole('heading', { name: '1 selected' }).waitFor({ state: 'detached' })
    // The message's own; what is pressed lies in the frame of the message.
    await offices.append('ann', 'From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Framed\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>In a frame</p>\r\n')
    await row('Framed').click()
    const inside = ann.frameLocator('article iframe').getByText('In a frame')
    await inside.waitFor()
    const theirs = ann.locator('#reader').getByRole('menu')
    await ann.locator('#reader').getByRole('button', { name: 'More' }).click()
    await theirs.waitFor()
    await inside.click()
    await theirs.waitFor({ state: 'detached' })
    await ann.keyboard.press('Escape')
    await ann.evaluate(() => localStorage.removeItem('list-width'))
  })

  it('the way back stays as long as one is at it, and goes when one has left it', async () => {
    await offices.append('ann', 'From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Back and forth\r\n\r\nText.\r\n')
    await row('Back and forth').click()
    await ann.locator('article').getByText('Text.').waitFor()
    await ann.keyboard.press('e')
    await row('Back and forth').waitFor({ state: 'detached' })
    const toast = ann.locator('.toast', { hasText: '1 message archived' })
    await toast.hover()
    await ann.waitForTimeout(11_000)
    await toast.getByRole('button', { name: 'Undo' }).focus()
    await ann.mouse.move(5, 5)
    await ann.waitForTimeout(4000)
    assert.equal(await toast.count(), 1)
    await toast.getByRole('button', { name: 'Undo' }).click()
    await row('Back and forth').waitFor()
    await ann.locator('.toast', { hasText: 'Undone' }).or(ann.locator('.toast', { hasText: 'Taken back' })).first().hover()
    await ann.mouse.move(5, 5)
    await ann.locator('.toast').waitFor({ state: 'detached' })
  })

  it('pictures that lie in a text stay when what is quoted is edited', async () => {
    const picture = `data:image/png;base64,${PNG.toString('base64')}`
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: With a drawing\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>See <img alt=drawing src="${picture}"> this</p>\r\n`)
    await row('With a drawing').click()
    await ann.frameLocator('article iframe').getByAltText('drawing').waitFor()
    await ann.locator('article').first().focus()
    await ann.keyboard.press('r')
    await ann.locator('.compose .quoted').getByRole('button', { name: 'Edit' }).click()
    await ann.getByRole('textbox', { name: 'Message' }).locator(`img[src="${picture}"]`).waitFor()
    await ann.getByPlaceholder('Subject').fill('Drawn upon')
    await ann.keyboard.press('Control+Enter')
    await ann.locator('.compose').waitFor({ state: 'detached' })
    const { html } = await opened(await offices.whole('bob', 'Drawn upon'))
    assert.ok(html.includes(picture), html)
  })

  /** Answers to what a page asks with those words in it come when they are let go. */
  async function held(...words) {
    let letGo
    const gate = new Promise((go) => { letGo = go })
    let isAsked
    const asked = new Promise((go) => { isAsked = go })
    await ann.route('**/jmap/api', async (route) => {
      const body = route.request().postData() ?? ''
      if (words.every((word) => body.includes(word))) { isAsked(); await gate }
      await route.continue()
    })
    return { asked, letGo }
  }
  const lies = (subject, box) => until(`${subject} in ${box}`, async () => (await offices.listed('ann', box)).includes(`"${subject}"`))

  it('a letter that is sent while it is still being saved takes no more keys: they are meant for the list', async () => {
    await ann.goto(`${offices.here}/m/0/inbox`)
    await row('Letter 1').waitFor()
    await ann.locator('.live.on').waitFor()
    const { asked, letGo } = await held('"$draft"', 'Sent in time')
    await letter(ann, 'bob@here.test', 'Sent in time', 'All of it')
    await asked
    await ann.keyboard.press('Control+Enter')
    await ann.keyboard.press('Control+Enter')
    await ann.locator('.compose').waitFor({ state: 'detached' })
    await ann.keyboard.press('?')
    await ann.getByRole('dialog', { name: 'Keys' }).waitFor()
    await ann.keyboard.press('Escape')
    letGo()
    assert.equal((await opened(await offices.whole('bob', 'Sent in time'))).text.trim(), 'All of it')
    await until('no draft of it', async () => !(await offices.listed('ann', 'Drafts')).includes('"Sent in time"'))
    assert.equal((await offices.listed('bob')).split('"Sent in time"').length - 1, 1)
  })

  it('a letter that is sent before its files are up goes when they are; not when one writes on', async () => {
    let letGo
    const gate = new Promise((go) => { letGo = go })
    await ann.route('**/jmap/upload/**', async (route) => { await gate; await route.continue() })
    const compose = ann.locator('.compose')
    const attached = async (subject) => {
      await letter(ann, 'bob@here.test', subject, 'See the list. ')
      await ann.locator('.foot input[type=file]').setInputFiles({ name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from('bread\n') })
      await ann.locator('.pieces').getByText('list.txt').waitFor()
      await ann.keyboard.press('Control+Enter')
      await compose.getByRole('alert').getByText('Send waits for the files.').waitFor()
    }
    await attached('Not yet')
    await ann.keyboard.type('And more')
    await compose.getByRole('alert').getByText('Send waits for the files.').waitFor({ state: 'detached' })
    await compose.getByRole('button', { name: 'Minimise' }).click()
    await attached('When it is up')
    letGo()
    assert.equal((await opened(await offices.whole('bob', 'When it is up'))).parts[0].name, 'list.txt')
    await compose.waitFor({ state: 'detached' })
    await ann.locator('.dock .tab', { hasText: 'Not yet' }).click()
    await compose.getByText('And more').waitFor()
    await compose.locator('progress').waitFor({ state: 'detached' })
    await ann.getByRole('button', { name: 'Throw away' }).click()
    assert.ok(!(await offices.listed('bob')).includes('"Not yet"'))
  })

  it('what goes into a folder that has to be made first is what was meant, though one has gone on', async () => {
    for (const n of [1, 2]) await offices.append('ann', `From: Dan <dan@there.test>\r\nTo: ann@here.test\r\nSubject: Cargo ${n}\r\n\r\nCargo.\r\n`)
    await row('Cargo 2').waitFor()
    await row('Cargo 2').click()
    await ann.locator('article').getByText('Cargo.').waitFor()
    const { asked, letGo } = await held('"Mailbox/set"')
    await ann.keyboard.press('v')
    await ann.getByRole('combobox', { name: 'Move to' }).fill('Hold')
    await ann.keyboard.press('Enter')
    await asked
    await ann.keyboard.press('j')
    await ann.getByRole('heading', { name: 'Cargo 1' }).waitFor()
    letGo()
    await lies('Cargo 2', 'Hold')
    await row('Cargo 2').waitFor({ state: 'detached' })
    // One is where one has gone to.
    await ann.getByRole('heading', { name: 'Cargo 1' }).waitFor()
    assert.ok(!(await offices.listed('ann', 'Hold')).includes('"Cargo 1"'))
    await ann.keyboard.press('u')
  })

  it('and so is what goes away with a sender who is blocked', async () => {
    await offices.append('ann', 'From: Dan <dan@there.test>\r\nTo: ann@here.test\r\nSubject: No pest\r\n\r\nHello.\r\n')
    await row('No pest').waitFor()
    await offices.append('ann', 'From: Eve <eve@there.test>\r\nTo: ann@here.test\r\nSubject: Pest today\r\n\r\nBuy.\r\n')
    await row('Pest today').click()
    await ann.locator('article').getByText('Buy.').waitFor()
    const { asked, letGo } = await held('"MailRules/get"')
    await ann.getByRole('toolbar', { name: 'Message', exact: true }).getByRole('button', { name: 'More' }).click()
    await ann.getByRole('menuitem', { name: 'Block sender' }).click()
    await asked
    await ann.keyboard.press('j')
    await ann.getByRole('heading', { name: 'No pest' }).waitFor()
    letGo()
    await lies('Pest today', 'Junk')
    await row('Pest today').waitFor({ state: 'detached' })
    await ann.getByRole('heading', { name: 'No pest' }).waitFor()
    assert.ok(!(await offices.listed('ann', 'Junk')).includes('"No pest"'))
    await ann.keyboard.press('u')
  })

  it('what is typed just before signing out is a draft; what cannot be saved is asked about', async () => {
    await letter(ann, 'bob@here.test', 'Unfinished', 'The very last words')
    let asked = 0
    await ann.route('**/jmap/api', (route) => { asked += 1; return route.abort() })
    ann.removeAllListeners('dialog')
    ann.once('dialog', (d) => { ann.dialogs.push(d.message()); void d.dismiss() })
    await ann.getByRole('button', { name: 'Sign out' }).click()
    await until('one is asked', () => ann.dialogs.some((one) => /not reached the server/.test(one)))
    assert.ok(asked > 0)
    await ann.locator('.compose').waitFor()
    await ann.unroute('**/jmap/api')
    const editor = ann.getByRole('textbox', { name: 'Message' })
    await editor.click()
    await ann.keyboard.press('Control+End')
    await ann.keyboard.type(', and more')
    // With the mouse the way there would be long.
    await ann.evaluate(() => { [...document.querySelectorAll('nav button')].find((one) => one.textContent.includes('Sign out')).click() })
    await ann.getByLabel('Password').waitFor()
    assert.match(await offices.whole('ann', 'Unfinished', 'Drafts'), /The very last words, and more/)
    assert.deepEqual(ann.troubles.filter((one) => !/ERR_FAILED|Failed to load/.test(one)), [])
  })
})
