// Where what is read stands: beside the list, below it, or in its place; and the border between them.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { axe, browser, desktop, Offices, pictures, signIn, until } from './offices.mjs'

const ANN = 'ann@here.test'
let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  await offices.appendAll('ann', Array.from({ length: 30 }, (_, n) => `From: Bob Quill <bob@here.test>\r\nTo: ${ANN}\r\nSubject: Letter ${n + 1}.\r\n\r\nText of ${n + 1}. ${'A long line that has to be broken somewhere. '.repeat(60)}\r\n`), 'INBOX', '')
  ann = await desktop(chrome)
  await signIn(ann, offices.here, ANN, offices.password(ANN))
  await ann.locator('.row', { hasText: 'Letter 30.' }).waitFor()
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

// Those of the program itself: rows come with the page, and stand before it is there.
const row = (n) => ann.locator('#list .row', { hasText: `Letter ${n}.` })
const reads = (n) => ann.locator('article').getByText(`Text of ${n}.`).first().waitFor()
const at = async (locator) => { const { x, y, width, height } = await locator.boundingBox(); return { left: x, top: y, right: x + width, bottom: y + height, width, height } }
const list = () => at(ann.locator('section.list')), reader = () => at(ann.locator('section.reader'))
const near = (one, other, what) => assert.ok(Math.abs(one - other) <= 2, `${what}: ${one} and ${other}`)
const fits = async () => assert.ok(await ann.evaluate(() => document.documentElement.scrollWidth <= innerWidth))
const clean = () => { assert.deepEqual(ann.troubles.splice(0), []) }
const command = async (text) => {
  await ann.locator('body').press('Control+k')
  await ann.getByRole('combobox', { name: 'Commands' }).fill(text)
  await ann.getByRole('option', { name: text }).click()
}
const resized = async (width, height) => { await ann.setViewportSize({ width, height }); await ann.evaluate(() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))) }
/** The list is above the message, both as wide as there is room. */
async function stands(left) {
  await until('one above the other', async () => (await reader()).top > (await list()).top)
  const [above, below] = [await list(), await reader()]
  near(above.left, left, 'left'); near(below.left, left, 'left')
  near(above.right, ann.viewportSize().width, 'right'); near(below.right, above.right, 'right')
  near(below.top, above.bottom + 1, 'the border'); near(below.bottom, ann.viewportSize().height, 'bottom')
  assert.ok(above.height >= 128 && below.height >= 160, `${above.height} and ${below.height}`)
  await fits()
  return above
}

describe('the message below the list', { timeout: 300_000 }, () => {
  it('is chosen in the settings, and kept; list and message have the whole width, and rows use it', async () => {
    await ann.goto(`${offices.here}/settings/general`)
    await ann.locator('label', { hasText: 'Below the list' }).locator('select').selectOption({ label: 'Below the list' })
    await ann.goto(`${offices.here}/m/0/inbox`)
    await row(30).waitFor()
    await stands(208)
    await row(29).click()
    await reads(29)
    await stands(208)
    // Who, what about and when stand in one line, how it begins below that; what about begins at the same place in each.
    const lines = await ann.locator('.row').evaluateAll((rows) => rows.slice(0, 3).map((one) => {
      const middle = (name) => { const { top, bottom } = one.querySelector(name).getBoundingClientRect(); return (top + bottom) / 2 }
      const left = (name) => one.querySelector(name).getBoundingClientRect().left
      return { height: one.getBoundingClientRect().height, off: Math.max(...['.subject', '.at'].map((name) => Math.abs(middle(name) - middle('.who')))), below: middle('.preview') - middle('.who'), second: left('.subject') - left('.who'), third: left('.preview') - left('.who') + parseFloat(getComputedStyle(one.querySelector('.preview')).paddingLeft) }
    }))
    assert.equal(lines.length, 3)
    for (const line of lines) {
      assert.equal(line.height, 56)
      assert.ok(line.off < 6 && line.below > 12, JSON.stringify(line))
      near(line.second, 204, 'what about'); near(line.third, 204, 'how it begins')
    }
    // Keys go through the list, which stays there.
    await ann.keyboard.press('j')
    await reads(28)
    await ann.keyboard.press('u')
    await ann.locator('article').waitFor({ state: 'detached' })
    await stands(208)
    await ann.screenshot({ path: `${pictures}/below.png` })
    clean()
  })

  it('has a border that the pointer drags and keys move, and that stays where it was left', async () => {
    const border = ann.getByRole('separator', { name: 'Height of the list' })
    assert.equal(await border.getAttribute('aria-orientation'), 'horizontal')
    const before = await list()
    const line = await at(border)
    await ann.mouse.move(line.left + 300, line.top)
    await ann.mouse.down()
    await ann.mouse.move(line.left + 320, line.top + 80, { steps: 3 })
    await ann.mouse.up()
    await until('a higher list', async () => Math.abs((await list()).height - before.height - 80) < 3)
    const dragged = await stands(208)
    await border.focus()
    await ann.keyboard.press('ArrowUp')
    const moved = await until('a lower list', async () => { const { height } = await list(); return height < dragged.height - 20 && height })
    await ann.reload()
    await row(30).waitFor()
    near((await stands(208)).height, moved, 'after a reload')
    // Neither is ever dragged away.
    for (const y of [0, 859]) {
      const { left, top } = await at(border)
      await ann.mouse.move(left + 300, top)
      await ann.mouse.down()
      await ann.mouse.move(left + 300, y, { steps: 3 })
      await ann.mouse.up()
      await stands(208)
    }
    await border.focus()
    for (let n = 0; n < 8; n++) await ann.keyboard.press('ArrowUp')
    assert.ok(Number(await border.getAttribute('aria-valuenow')) < 60)
    clean()
  })

  it('is clean for axe, in light and dark, with and without a message', async () => {
    for (const colorScheme of ['light', 'dark']) {
      await ann.emulateMedia({ colorScheme })
      await ann.goto(`${offices.here}/m/0/inbox`)
      await row(30).waitFor()
      assert.deepEqual(await axe(ann), [])
      await row(27).click()
      await reads(27)
      assert.deepEqual(await axe(ann), [])
    }
    clean()
  })

  it('stands so on a tablet; on a telephone, and in a low window, one of them stands alone', async () => {
    await resized(900, 1000)
    await stands(56)
    await row(26).click()
    await reads(26)
    await stands(56)
    assert.equal(await ann.getByRole('button', { name: 'Back', exact: true }).count(), 0)
    for (const [width, height] of [[390, 844], [900, 420]]) {
      await resized(width, height)
      assert.equal(await ann.locator('#list').isVisible(), false)
      near((await reader()).bottom, height, 'bottom')
      await ann.getByRole('button', { name: 'Back', exact: true }).click()
      await row(30).waitFor()
      assert.equal(await ann.locator('section.reader').isVisible(), false)
      assert.equal(await ann.locator('.border').isVisible(), false)
      await fits()
      assert.equal(await ann.locator('.row').first().evaluate((one) => one.getBoundingClientRect().height), width === 390 ? 76 : 72)
      await row(30).click()
      await reads(30)
    }
    await resized(1360, 860)
    await stands(208)
    clean()
  })

  it('is printed as it is beside the list', async () => {
    const printed = () => ann.evaluate(() => [...document.querySelectorAll('section.list, .border, section.reader, section.reader h1')].map((one) => { const { x, y, width } = one.getBoundingClientRect(); return [one.tagName, x, y, width, getComputedStyle(one).display] }))
    await ann.goto(`${offices.here}/m/0/inbox`)
    await row(30).click()
    await reads(30)
    const found = []
    for (const name of ['Beside the list', 'Below the list']) {
      if (name === 'Beside the list') await command('Message: Beside the list')
      else await command('Message: Below the list')
      await resized(720, 1000)
      await ann.emulateMedia({ media: 'print' })
      found.push(await printed())
      await ann.emulateMedia({ media: 'screen' })
      await resized(1360, 860)
    }
    assert.deepEqual(found[1], found[0])
    assert.equal(found[0].find(([tag]) => tag === 'SECTION')[4], 'none')
    clean()
  })

  it('goes beside the list, and into its place, by a command', async () => {
    await command('Message: Beside the list')
    await until('beside it', async () => (await reader()).left > (await list()).left + 200)
    await ann.getByRole('separator', { name: 'Width of the list' }).waitFor()
    // By keys it is kept as well.
    const { width } = await list()
    await ann.getByRole('separator').focus()
    await ann.keyboard.press('ArrowRight')
    await until('a wider list', async () => Math.abs((await list()).width - width - 20) < 1)
    await ann.reload()
    await reads(30)
    near((await list()).width, width + 20, 'after a reload')
    await command('Message: In place of the list')
    await until('in its place', async () => !(await ann.locator('#list').isVisible()))
    await ann.getByRole('button', { name: 'Back', exact: true }).click()
    await row(30).waitFor()
    assert.equal(await ann.locator('section.reader').isVisible(), false)
    await command('Message: Below the list')
    await stands(208)
    clean()
  })
})
