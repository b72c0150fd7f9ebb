// What slips in between: mail that comes between the press and the click, a finger that trembles, a menu one did not mean, a word typed
// just before signing out; and what has no room or is lost on the way.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { browser, byRequests, desktop, hasty, letter, Offices, opened, page, PNG, signIn, until } from './offices.mjs'

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

const row = (subject, p = ann) => p.locator('.row', { hasText: subject })
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
