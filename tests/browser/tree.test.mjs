// Mailboxes inside of mailboxes: folded and unfolded by the pointer, by keys, by what is dragged, and by what is opened.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { axe, browser, desktop, Offices, page, pictures, signIn, until } from './offices.mjs'

const ANN = 'ann@here.test'
let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  for (const box of ['Travel', 'Travel/Italy', 'Travel/Italy/Rome', 'Travel/Peru', 'Work', 'Work/Plans']) await offices.imap('ann', '', '-X', `CREATE ${box}`)
  const letters = (what, count) => Array.from({ length: count }, (_, n) => `From: Bob <bob@here.test>\r\nTo: ${ANN}\r\nSubject: ${what} ${n + 1}.\r\n\r\nText.\r\n`)
  await offices.appendAll('ann', letters('Tour', 1), 'Travel', '')
  await offices.appendAll('ann', letters('Forum', 2), 'Travel/Italy/Rome', '')
  await offices.appendAll('ann', letters('Lake', 3), 'Travel/Peru', '')
  await offices.appendAll('ann', letters('Loose', 2), 'INBOX', '')
  ann = await desktop(chrome)
  await signIn(ann, offices.here, ANN, offices.password(ANN))
  await ann.locator('.row', { hasText: 'Loose 1.' }).waitFor()
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const link = (name) => ann.getByRole('link', { name: new RegExp(`^${name}( ?,|$)`) })
const toggle = (name) => ann.getByRole('button', { name: `Inside ${name}`, exact: true })
/** What is seen of those that were made here, with the number that stands at each. */
const tree = () => ann.locator('nav[aria-label=Mailboxes] ul').first().locator('a').evaluateAll((all) => all.map((a) => a.textContent.replace(/\s*,\s*/, ', ').trim()).filter((text) => /^(Travel|Italy|Rome|Peru|Work|Plans)/.test(text)))
const shows = async (...wanted) => { try { await until('the tree', async () => JSON.stringify(await tree()) === JSON.stringify(wanted)) } catch { assert.deepEqual(await tree(), wanted) } }
const ALL = ['Travel, 1', 'Italy', 'Rome, 2', 'Peru, 3', 'Work', 'Plans'], FOLDED = ['Travel, 6', 'Work', 'Plans']
const focused = () => ann.evaluate(() => document.activeElement.textContent.replace(/\s*,\s*/, ', ').trim())
const clean = () => { assert.deepEqual(ann.troubles.splice(0), []) }

describe('mailboxes inside of mailboxes', { timeout: 300_000 }, () => {
  it('are folded by a toggle, which says so, and counts what is unread inside; kept for the next time', async () => {
    await shows(...ALL)
    // Only what others lie in has one.
    assert.equal(await ann.getByRole('button', { name: /^Inside / }).count(), 3)
    assert.equal(await toggle('Travel').getAttribute('aria-expanded'), 'true')
    await toggle('Italy').click()
    await shows('Travel, 1', 'Italy, 2', 'Peru, 3', 'Work', 'Plans')
    await toggle('Travel').click()
    await shows(...FOLDED)
    assert.equal(await toggle('Travel').getAttribute('aria-expanded'), 'false')
    await ann.screenshot({ path: `${pictures}/folded.png` })
    // It goes on counting.
    await offices.appendAll('ann', [`From: Bob <bob@here.test>\r\nTo: ${ANN}\r\nSubject: Arena\r\n\r\nText.\r\n`], 'Travel/Italy/Rome', '')
    await shows('Travel, 7', 'Work', 'Plans')
    await offices.imap('ann', 'Travel/Italy/Rome', '-X', 'STORE 3 +FLAGS (\\Seen)')
    await shows(...FOLDED)
    await ann.reload()
    await ann.locator('.row', { hasText: 'Loose 1.' }).waitFor()
    await shows(...FOLDED)
    assert.deepEqual(await axe(ann), [])
    await toggle('Travel').click()
    await shows('Travel, 1', 'Italy, 2', 'Peru, 3', 'Work', 'Plans')
    assert.deepEqual(await axe(ann), [])
    await toggle('Italy').click()
    await shows(...ALL)
    clean()
  })

  it('have a button each, before which the count gives way; nothing moves', async () => {
    const item = ann.locator('nav li', { has: link('Peru') })
    const [count, button] = [item.locator('.count'), item.locator('.edit')]
    const seen = async (one) => Number(await one.evaluate((e) => getComputedStyle(e).opacity))
    const places = () => item.evaluate((e) => [e, ...e.querySelectorAll('a, .label, .count')].map((one) => JSON.stringify(one.getBoundingClientRect())).join())
    await ann.mouse.move(700, 500)
    await until('the count alone', async () => await seen(count) === 1 && await seen(button) === 0)
    const before = await places()
    await item.hover()
    await until('the button alone', async () => await seen(count) === 0 && await seen(button) === 1)
    assert.equal(await places(), before)
    await ann.mouse.move(700, 500)
    await until('the count again', async () => await seen(count) === 1 && await seen(button) === 0)
    await link('Peru').focus()
    await ann.keyboard.press('Tab')
    await until('the button by keys', async () => await seen(count) === 0 && await seen(button) === 1)
    assert.equal(await places(), before)
    // What has no button keeps its count.
    await ann.evaluate(() => document.activeElement.blur())
    await shows(...ALL)
    clean()
  })

  it('are gone through by arrow keys, as a tree', async () => {
    await link('Travel').focus()
    const press = async (key, where) => { await ann.keyboard.press(key); await until(`${key}: ${where}`, async () => (await focused()) === where) }
    await press('ArrowRight', 'Italy')
    await press('ArrowRight', 'Rome, 2')
    await press('ArrowRight', 'Rome, 2')
    await press('ArrowLeft', 'Italy')
    await press('ArrowLeft', 'Italy, 2')
    await shows('Travel, 1', 'Italy, 2', 'Peru, 3', 'Work', 'Plans')
    await press('ArrowDown', 'Peru, 3')
    await press('ArrowUp', 'Italy, 2')
    await press('ArrowLeft', 'Travel, 1')
    await press('ArrowLeft', 'Travel, 6')
    await shows(...FOLDED)
    await press('ArrowLeft', 'Travel, 6')
    await press('ArrowDown', 'Work')
    await press('ArrowUp', 'Travel, 6')
    await press('ArrowRight', 'Travel, 1')
    await shows('Travel, 1', 'Italy, 2', 'Peru, 3', 'Work', 'Plans')
    await press('ArrowRight', 'Italy, 2')
    await press('ArrowRight', 'Italy')
    await shows(...ALL)
    // Nothing else was done meanwhile.
    assert.match(ann.url(), /\/m\/0\/inbox$/)
    clean()
  })

  it('are seen when they are opened; who folds what the open one lies in is in that one', async () => {
    await toggle('Italy').click()
    await toggle('Travel').click()
    await shows(...FOLDED)
    await ann.locator('body').press('g')
    await ann.getByRole('combobox', { name: 'Go to' }).fill('Rome')
    await ann.keyboard.press('Enter')
    await ann.locator('.row', { hasText: 'Forum 1.' }).waitFor()
    await shows(...ALL)
    assert.equal(await link('Rome').getAttribute('aria-current'), 'page')
    // They stay unfolded when one goes on.
    await link('Inbox').click()
    await ann.locator('.row', { hasText: 'Loose 1.' }).waitFor()
    await shows(...ALL)
    await link('Rome').click()
    await ann.locator('.row', { hasText: 'Forum 1.' }).waitFor()
    await toggle('Travel').click()
    await ann.locator('.row', { hasText: 'Tour 1.' }).waitFor()
    assert.equal(await link('Travel').getAttribute('aria-current'), 'page')
    await shows(...FOLDED)
    await ann.goBack()
    await ann.locator('.row', { hasText: 'Forum 1.' }).waitFor()
    await shows(...ALL)
    clean()
  })

  it('are unfolded by what is held over them, and take it', async () => {
    await link('Inbox').click()
    await ann.locator('.row', { hasText: 'Loose 1.' }).waitFor()
    await toggle('Travel').click()
    await shows(...FOLDED)
    const middle = async (locator) => { const { x, y, width, height } = await locator.boundingBox(); return [x + width / 2, y + height / 2] }
    const over = async (locator) => ann.mouse.move(...await middle(locator), { steps: 4 })
    await over(ann.locator('.row', { hasText: 'Loose 1.' }))
    await ann.mouse.down()
    // Who only passes unfolds nothing.
    const [travel, work] = [await middle(link('Travel')), await middle(link('Work'))]
    await ann.mouse.move(...travel, { steps: 4 })
    await ann.mouse.move(...work)
    await ann.waitForTimeout(900)
    await shows(...FOLDED)
    const begun = Date.now()
    await over(link('Travel'))
    await link('Peru').waitFor()
    assert.ok(Date.now() - begun >= 650, `${Date.now() - begun} ms`)
    await over(link('Peru'))
    await ann.mouse.up()
    await until('it lies there', async () => (await offices.listed('ann', 'Travel/Peru')).includes('Loose 1.'))
    await shows('Travel, 1', 'Italy', 'Rome, 2', 'Peru, 4', 'Work', 'Plans')
    clean()
  })

  it('fold on a telephone, by fingers', async () => {
    const context = await chrome.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true })
    const p = await page(context)
    await signIn(p, offices.here, ANN, offices.password(ANN))
    await p.getByRole('button', { name: 'Mailboxes' }).first().tap()
    const travel = p.getByRole('button', { name: 'Inside Travel', exact: true })
    const { x, width, height } = await travel.boundingBox()
    assert.ok(x >= 0 && width >= 44 && height >= 44, `${x}, ${width} x ${height}`)
    await p.getByRole('link', { name: /^Peru/ }).waitFor()
    // It does not lie over the name beside it.
    const covered = await p.locator('nav.shown li:has(> .fold)').evaluateAll((all) => all.filter((one) => one.querySelector('.fold').getBoundingClientRect().right > one.querySelector('a > svg').getBoundingClientRect().left + 1).length)
    assert.equal(covered, 0)
    await p.screenshot({ path: `${pictures}/folds-phone.png` })
    await travel.tap()
    await p.getByRole('link', { name: /^Peru/ }).waitFor({ state: 'detached' })
    assert.deepEqual(await axe(p), [])
    assert.deepEqual(p.troubles, [])
    await context.close()
  })
})
