// A telephone, by fingers alone, from signing in to undo; and where each region stands on a wide screen.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { axe, browser, desktop, letter, Offices, opened, page, pictures, PNG, signIn, until, wayBack } from './offices.mjs'

const ANN = 'ann@here.test', BOB = 'bob@here.test'
let offices, chrome
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  for (let n = 1; n <= 6; n++) await offices.submit(BOB, ANN, `From: Bob <${BOB}>\nTo: ${ANN}\nSubject: Letter ${n}.\n\nText of ${n}. ${'A long line that has to be broken somewhere. '.repeat(12)}\n`)
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const lies = (subject, box) => until(`${subject} in ${box}`, async () => (await offices.listed('ann', box)).includes(`"${subject}"`))
const away = (subject, box) => until(`${subject} away from ${box}`, async () => !(await offices.listed('ann', box)).includes(`"${subject}"`))

describe('on a telephone, by fingers', { timeout: 300_000 }, () => {
  let p, touch
  before(async () => {
    const context = await chrome.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 })
    p = await page(context)
    touch = await context.newCDPSession(p)
  })
  after(() => p.context().close())
  const row = (subject) => p.locator('.row', { hasText: subject })
  const gone = (subject) => row(subject).waitFor({ state: 'detached' })
  const button = (name, within = p) => within.getByRole('button', { name, exact: true })
  const undo = async (said) => { await button('Undo', p.locator('.toast', { hasText: said }).last()).tap() }
  const held = (said) => wayBack(p, said)
  const clean = () => { assert.deepEqual(p.troubles.splice(0), []) }
  const finger = (type, ...points) => touch.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y]) => ({ x, y })) })
  const middle = async (locator) => { const { x, y, width, height } = await locator.boundingBox(); return [x + width / 2, y + height / 2] }
  /** A finger that goes by so many pixels, and is lifted. */
  async function swipe(subject, by) {
    const [x, y] = await middle(row(subject))
    // One after the other without a rest: a finger that rests presses long.
    await Promise.all([finger('touchStart', [x, y]), ...[1, 2, 3, 4, 5, 6].map((n) => finger('touchMove', [x + (by * n) / 6, y])), finger('touchEnd')])
  }
  /** Nothing is wider than the screen, and what one touches is large enough. */
  async function fits(what) {
    assert.equal(await p.evaluate(() => document.documentElement.scrollWidth), 390, what)
    const small = await p.evaluate(() => [...document.querySelectorAll('.bar button, .tools > button, .foot > button, .toast .act, header > button, .answer button')].filter((b) => b.checkVisibility()).flatMap((b) => {
      const { width, height, left, right } = b.getBoundingClientRect()
      return height < 44 || width < 38 || left < 0 || right > innerWidth ? [`${b.getAttribute('aria-label') ?? b.textContent}: ${Math.round(width)} x ${Math.round(height)} at ${Math.round(left)}`] : []
    }))
    assert.deepEqual(small, [], what)
  }

  it('signs in', async () => {
    await p.goto(offices.here)
    await p.getByLabel('Address').tap()
    await p.keyboard.type(ANN)
    await p.getByLabel('Password').tap()
    await p.keyboard.type(offices.password(ANN))
    await button('Sign in').tap()
    await row('Letter 6.').waitFor()
    await fits('the list')
    clean()
  })

  it('opens, reads, and goes back: by the button, and by that of the telephone', async () => {
    await row('Letter 6.').tap()
    await p.locator('article').getByText('Text of 6.').waitFor()
    assert.equal(await p.locator('#list').isVisible(), false)
    await fits('a message')
    await button('Back').tap()
    await row('Letter 6.').waitFor()
    await row('Letter 5.').tap()
    await p.locator('article').getByText('Text of 5.').waitFor()
    await p.goBack()
    await row('Letter 5.').waitFor()
    assert.equal(await p.locator('article').count(), 0)
    await until('read at the server', async () => (await offices.listed('ann')).split('\n').filter((line) => /"Letter [56]\."/.test(line)).every((line) => /Seen/.test(line)))
    clean()
  })

  it('archives by a swipe to the right, puts off by one to the left, and takes both back', async () => {
    await swipe('Letter 4.', 200)
    await gone('Letter 4.')
    const archived = await held('1 message archived')
    await lies('Letter 4.', 'Archive')
    await fits('a word of it')
    await archived.tap()
    await row('Letter 4.').waitFor()
    await lies('Letter 4.', 'INBOX')
    await swipe('Letter 3.', -200)
    const later = p.getByRole('dialog', { name: 'Later' })
    await later.getByRole('button', { name: 'Next week' }).tap()
    await gone('Letter 3.')
    const snoozed = await held('Back ')
    await lies('Letter 3.', 'Snoozed')
    await snoozed.tap()
    await row('Letter 3.').waitFor()
    await lies('Letter 3.', 'INBOX')
    // A short one, one that goes down, and one that is broken off are nothing.
    await swipe('Letter 2.', 50)
    const [x, y] = await middle(row('Letter 2.'))
    await finger('touchStart', [x, y])
    for (let n = 1; n <= 4; n++) await finger('touchMove', [x + 40 * n, y])
    await finger('touchCancel')
    await until('each row in its place', () => p.locator('.row .cell').evaluateAll((all) => all.every((cell) => ['none', 'matrix(1, 0, 0, 1, 0, 0)'].includes(getComputedStyle(cell).transform))))
    await row('Letter 2.').waitFor()
    assert.equal(await p.locator('article').count(), 0)
    assert.equal(await p.getByRole('dialog').count(), 0)
    clean()
  })

  it('chooses by a long press and by what the line shows then, and deletes', async () => {
    const [x, y] = await middle(row('Letter 2.'))
    await finger('touchStart', [x, y])
    await p.getByRole('heading', { name: '1 selected' }).waitFor()
    await finger('touchEnd')
    await row('Letter 1.').locator('.tick').tap()
    await p.getByRole('heading', { name: '2 selected' }).waitFor()
    assert.equal(await p.locator('article').count(), 0)
    await fits('two chosen')
    await button('Delete').tap()
    const deleted = await held('2 messages deleted')
    for (const n of [1, 2]) { await gone(`Letter ${n}.`); await lies(`Letter ${n}.`, 'Trash') }
    await deleted.tap()
    for (const n of [1, 2]) { await row(`Letter ${n}.`).waitFor(); await lies(`Letter ${n}.`, 'INBOX') }
    clean()
  })

  it('acts by the menu of a message, and finds it in its mailbox', async () => {
    await row('Letter 1.').tap()
    await p.locator('article').getByText('Text of 1.').waitFor()
    await button('More').tap()
    const items = p.getByRole('menuitem')
    for (const box of await items.evaluateAll((all) => all.filter((one) => one.checkVisibility()).map((one) => { const { left, right, height } = one.getBoundingClientRect(); return [one.textContent, left >= 0 && right <= innerWidth && height >= 36] }))) assert.equal(box[1], true, box[0])
    await p.getByRole('menuitem', { name: 'Spam', exact: true }).tap()
    await lies('Letter 1.', 'Junk')
    await row('Letter 2.').waitFor()
    await p.getByRole('banner').getByRole('button', { name: 'Mailboxes' }).tap()
    await p.getByRole('navigation', { name: 'Mailboxes' }).getByRole('link', { name: 'Spam' }).tap()
    await row('Letter 1.').tap()
    await p.locator('article').getByText('Text of 1.').waitFor()
    await button('More').tap()
    await p.getByRole('menuitem', { name: 'Not spam' }).tap()
    await lies('Letter 1.', 'INBOX')
    await p.getByRole('navigation', { name: 'Mail', exact: true }).getByRole('button', { name: 'Mail' }).tap()
    await row('Letter 1.').waitFor()
    clean()
  })

  it('writes with a picture, takes it back, and sends it', async () => {
    await p.getByRole('navigation', { name: 'Mail', exact: true }).getByRole('button', { name: 'Write' }).tap()
    const compose = p.getByRole('dialog', { name: 'New message' })
    await compose.getByRole('combobox', { name: 'To', exact: true }).tap()
    await p.keyboard.type(BOB)
    await compose.getByPlaceholder('Subject').tap()
    await p.keyboard.type('From the road')
    const editor = p.getByRole('textbox', { name: 'Message' })
    await editor.tap()
    await p.keyboard.type('Look: ')
    await p.locator('.compose input.picture').setInputFiles({ name: 'lake.png', mimeType: 'image/png', buffer: PNG })
    await until('the picture', () => editor.locator('img').evaluate((img) => img.complete && img.naturalWidth === 10))
    await fits('a letter')
    const box = await p.locator('.compose').boundingBox()
    assert.deepEqual([box.x, box.y, box.width, box.height], [0, 0, 390, 844])
    await p.screenshot({ path: `${pictures}/telephone-compose.png` })
    assert.deepEqual(await axe(p), [])
    await button('Send').tap()
    await undo('Sending')
    await p.locator('.toast').getByText('Not sent. It is a draft again.').waitFor()
    await editor.getByText('Look:').waitFor()
    assert.ok(!(await offices.listed('bob')).includes('"From the road"'))
    await p.evaluate(() => localStorage.setItem('choices', JSON.stringify({ undo: 0 })))
    await p.reload()
    await p.locator('.dock .tab', { hasText: 'From the road' }).tap()
    await editor.getByText('Look:').waitFor()
    await button('Send').tap()
    const read = await opened(await offices.whole('bob', 'From the road'))
    assert.match(read.html, /Look:.*<img[^>]* src="cid:/s)
    assert.equal(read.parts[0].text, PNG.toString('latin1'))
    clean()
  })

  it('searches, opens what is found, and comes back to it and out of it', async () => {
    await p.getByRole('navigation', { name: 'Mail', exact: true }).getByRole('button', { name: 'Search' }).tap()
    await p.getByRole('searchbox', { name: 'Search mail' }).and(p.locator(':focus')).waitFor()
    await p.keyboard.type('from:bob "letter 3"')
    await p.getByRole('heading', { name: '1 result', exact: true }).waitFor()
    await fits('what is found')
    await row('Letter 3.').tap()
    await p.locator('article').getByText('Text of 3.').waitFor()
    await button('Back').tap()
    await p.getByRole('heading', { name: '1 result', exact: true }).waitFor()
    // Opened before the last letter was searched for: it stays open, and the field says what the list behind it is of.
    const field = await p.locator('#search').evaluate(async (search) => {
      for (const query of ['from:bob "letter 3', 'from:bob "letter 3"']) { search.value = query; search.dispatchEvent(new InputEvent('input', { bubbles: true })) }
      document.querySelector('.row').click()
      await new Promise((done) => { setTimeout(done, 300) })
      return search.value
    })
    await p.locator('article').getByText('Text of 3.').waitFor()
    assert.equal(field, 'from:bob "letter 3')
    await button('Back').tap()
    await p.getByRole('heading', { name: '1 result', exact: true }).waitFor()
    await button('Remove from:bob').tap()
    await p.getByRole('searchbox', { name: 'Search mail' }).and(p.locator(':not(:focus)')).waitFor()
    await p.getByRole('navigation', { name: 'Mail', exact: true }).getByRole('button', { name: 'Mail' }).tap()
    await row('Letter 5.').waitFor()
    assert.deepEqual(await axe(p), [])
    clean()
  })

  it('has room beside a long name: of a mailbox for what is done with it, of a file for its size', async () => {
    const [box, file] = ['A rather long name of a mailbox '.repeat(3).trim(), `${'a file of a long name '.repeat(3).trim()}.txt`]
    await offices.imap('ann', '', '-X', `CREATE "${box}"`)
    await offices.appendAll('ann', [`From: Bob <${BOB}>\r\nSubject: Unread\r\n\r\nText.\r\n`], `"${box}"`, '')
    await offices.append('ann', Buffer.from(`From: Bob <${BOB}>\r\nTo: ${ANN}\r\nSubject: With a file\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nSee it.\r\n--x\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename="${file}"\r\n\r\nwords\r\n--x--\r\n`))
    await p.goto(`${offices.here}/m/0/inbox`)
    await row('With a file').waitFor()
    await p.getByRole('banner').getByRole('button', { name: 'Mailboxes' }).tap()
    const entry = p.getByRole('navigation', { name: 'Mailboxes' }).getByRole('listitem').filter({ hasText: box })
    await entry.waitFor()
    await entry.locator('.count').waitFor()
    const [label, count, edit] = await entry.evaluate((li) => [li.querySelector('.label').getBoundingClientRect().right, li.querySelector('.count').getBoundingClientRect().right, li.querySelector('.edit svg').getBoundingClientRect().left])
    assert.ok(label <= edit && count <= edit, `${label} ${count} ${edit}`)
    await p.keyboard.press('Escape')
    await row('With a file').tap()
    const all = p.locator('article .files li')
    await all.waitFor()
    const [heights, icon, right] = await all.evaluate((li) => [[...li.querySelectorAll('span')].map((one) => one.getClientRects().length), li.querySelector('svg').getBoundingClientRect().width, li.getBoundingClientRect().right])
    assert.deepEqual([heights, icon >= 14, right <= 390], [[1, 1], true, true], `${icon} ${right}`)
    // Each is large enough for a finger.
    for (const one of [all.getByRole('button', { name: 'View' }), all.getByRole('link', { name: 'Save' }), p.locator('article .details').first()]) { const { width, height } = await one.boundingBox(); assert.ok(width >= 44 && height >= 44, `${width} ${height}`) }
    clean()
  })

  it('shows what has a star or a file, though there is no room for a button of each', async () => {
    await p.goto(`${offices.here}/m/0/inbox`)
    await row('With a file').waitFor()
    const filters = p.getByRole('group', { name: 'Messages' })
    const by = async (name) => { await button('Order').tap(); await p.getByRole('menuitemradio', { name, exact: true }).tap() }
    assert.equal(await filters.getByRole('button', { name: 'Files' }).count(), 0)
    await by('Files')
    await row('Letter 5.').waitFor({ state: 'detached' })
    await row('With a file').waitFor()
    await filters.getByRole('button', { name: 'Files', pressed: true }).waitFor()
    assert.deepEqual(await axe(p), [])
    await by('Starred')
    await p.getByText('None like that here.').waitFor()
    await p.getByRole('button', { name: 'Show all' }).tap()
    await row('Letter 5.').waitFor()
    clean()
  })

  it('shows every page of the settings in its width, and which they are, also with a mailbox of a long name', async () => {
    for (const one of ['general', 'identities', 'rules', 'vacation', 'passwords', 'sessions', 'programs', 'bring']) {
      await p.goto(`${offices.here}/settings/${one}`)
      await p.locator('.settings h1').waitFor()
      if (one === 'general') await p.locator('.settings option', { hasText: 'A rather long name' }).first().waitFor({ state: 'attached' })
      await p.waitForLoadState('networkidle')
      const { tab, width, past } = await p.evaluate(() => {
        const { left, right, top, bottom } = document.querySelector('.settings nav [aria-current]').getBoundingClientRect()
        const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2)
        // A table scrolls in a place of its own.
        const past = [...document.querySelectorAll('.settings .page *:not(table, table *)')].filter((part) => part.checkVisibility() && part.getBoundingClientRect().right > innerWidth + 1).map((part) => part.outerHTML.slice(0, 100))
        return { tab: [left >= 0, right <= innerWidth, at?.getAttribute('aria-current')], width: document.querySelector('.settings').scrollWidth, past }
      })
      assert.deepEqual([tab, width, past], [[true, true, 'page'], 390, []], one)
    }
    clean()
  })
})

describe('on a wide screen', { timeout: 300_000 }, () => {
  it('header, mailboxes, list, reader, drawer, letters and words stand where they should, and none on another', async () => {
    const context = await chrome.newContext({ viewport: { width: 1920, height: 1080 } })
    const p = await page(context)
    await signIn(p, offices.here, ANN, offices.password(ANN))
    await p.locator('.row', { hasText: 'Letter 6.' }).click()
    await p.locator('article').getByText('Text of 6.').waitFor()
    const at = async (locator) => { const { x, y, width, height } = await locator.boundingBox(); return { left: x, top: y, right: x + width, bottom: y + height, width, height } }
    const header = await at(p.getByRole('banner')), nav = await at(p.getByRole('navigation', { name: 'Mailboxes' })), list = await at(p.locator('section.list')), reader = await at(p.locator('section.reader'))
    assert.deepEqual([header.left, header.top, header.right], [0, 0, 1920])
    assert.deepEqual([nav.left, nav.width, nav.top, nav.bottom], [0, 208, header.bottom, 1080])
    assert.ok(list.left === nav.right && list.width >= 360 && list.width <= 440, JSON.stringify(list))
    assert.ok(reader.left >= list.right && reader.left < list.right + 4 && reader.right === 1920, JSON.stringify(reader))
    for (const region of [list, reader]) assert.ok(region.top >= header.bottom && region.bottom === 1080, JSON.stringify(region))
    for (const part of [p.getByRole('searchbox'), p.locator('header .account'), p.locator('header .live')]) { const box = await at(part); assert.ok(box.top >= 0 && box.bottom <= header.bottom, JSON.stringify(box)) }
    // Lines are not longer than one reads with ease.
    const line = await p.locator('article .text').first().evaluate((text) => { const probe = document.createElement('span'); probe.style.cssText = 'position:absolute;width:76ch'; text.append(probe); const most = probe.getBoundingClientRect().width; probe.remove(); return [text.getBoundingClientRect().width, most] })
    assert.ok(line[0] <= line[1] + 1, `${line}`)
    await p.keyboard.press('w')
    const drawer = await at(p.getByRole('complementary', { name: 'Why is it here?' }))
    assert.ok(drawer.right === 1920 && drawer.left > reader.left && drawer.top >= header.bottom, JSON.stringify(drawer))
    await p.keyboard.press('Escape')
    await letter(p, BOB, 'One', 'First')
    await p.getByRole('navigation', { name: 'Mailboxes' }).getByRole('button', { name: 'Write' }).click()
    const second = p.getByRole('dialog', { name: 'New message' })
    await second.waitFor()
    const [one, two] = [await at(p.getByRole('dialog', { name: 'One' })), await at(second)]
    for (const box of [one, two]) assert.ok(Math.abs(box.bottom - 1080) < 2 && box.width >= 600 && box.top > header.bottom && box.left > nav.right && box.right <= 1920, JSON.stringify(box))
    assert.ok(two.right <= one.left || one.right <= two.left, 'beside each other')
    await second.getByRole('button', { name: 'Close' }).click()
    await p.getByRole('button', { name: 'Throw away' }).click()
    const toast = await at(p.locator('.toast').first())
    assert.ok(toast.bottom <= 1080 && toast.top > 900 && Math.abs((toast.left + toast.right) / 2 - 960) < 40, JSON.stringify(toast))
    // The border of list and reader is dragged, and stays where it was left.
    const border = await at(p.getByRole('separator', { name: 'Width of the list' }))
    await p.mouse.move(border.left, 500)
    await p.mouse.down()
    await p.mouse.move(border.left + 30, 500, { steps: 3 })
    await p.mouse.up()
    const wider = await until('a wider list', async () => { const { width } = await at(p.locator('section.list')); return Math.abs(width - list.width - 30) < 3 && width })
    await p.reload()
    await p.locator('article').getByText('Text of 6.').waitFor()
    assert.equal((await at(p.locator('section.list'))).width, wider)
    await p.screenshot({ path: `${pictures}/wide.png` })
    assert.deepEqual(await axe(p), [])
    assert.deepEqual(p.troubles, [])
    await context.close()
  })
})
