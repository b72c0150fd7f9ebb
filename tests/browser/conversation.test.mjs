// Conversations: which message is meant, how a long one is gone through, and what its row in the list says of it.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Offices, axe, browser, desktop, page, signIn, until } from './offices.mjs'

let offices, chrome, ann
const letter = (name, subject, n, of) => `From: ${name} <${name.toLowerCase()}@there.test>\r\nTo: ann@here.test\r\nSubject: ${n > 0 ? 'Re: ' : ''}${subject}\r\nMessage-ID: <${of}${n}@x>\r\n${n > 0 ? `References: <${of}0@x>\r\n` : ''}\r\n${subject} ${n}.\r\n`
const row = (subject) => ann.locator('.row', { hasText: subject }).first()
const article = (text) => ann.locator('article', { hasText: text })

before(async () => {
  offices = await Offices.open()
  chrome = await browser()
  await offices.appendAll('ann', Array.from({ length: 150 }, (_, n) => letter(n % 2 > 0 ? 'Kim' : 'Lou', 'Ropes', n, 'r')), 'INBOX', '\\Seen', Array.from({ length: 150 }, (_, n) => `20-Nov-2026 ${String(Math.floor(n / 60) + 8).padStart(2, '0')}:${String(n % 60).padStart(2, '0')}:00 +0000`))
  await offices.appendAll('ann', ['Kim', 'Lou', 'Max'].map((name, n) => letter(name, 'Sails', n, 's')), 'INBOX', '')
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await row('Sails').waitFor()
})
after(async () => { await chrome?.close(); await offices?.close() })

const receiver = () => ann.locator('.compose .chip').first().textContent()
const dismiss = async () => { await ann.getByRole('button', { name: 'Throw away' }).click(); await ann.locator('.compose').waitFor({ state: 'detached' }) }

describe('a conversation', { timeout: 300_000 }, () => {
  it('is answered from its foot where it ends, from a message that one, and by key the one that is marked', async () => {
    await row('Sails').click()
    await article('Sails 2.').waitFor()
    // It opens at the first that was not read.
    await ann.locator('article[aria-current=true]', { hasText: 'Sails 0.' }).waitFor()
    await ann.locator('.answer').getByRole('button', { name: 'Reply', exact: true }).click()
    await until('the last one', async () => (await receiver())?.includes('Max'))
    await dismiss()
    await ann.getByRole('button', { name: 'Reply: Lou' }).click()
    await until('that one', async () => (await receiver())?.includes('Lou'))
    assert.match(await ann.locator('article[aria-current=true]').textContent(), /Sails 1\./)
    await dismiss()
    await article('Sails 0.').locator('h2 button').focus()
    await ann.keyboard.press('r')
    await until('the marked one', async () => (await receiver())?.includes('Kim'))
    await dismiss()
    assert.deepEqual(await axe(ann), [])
  })

  it('of many read messages shows the first and the last, and all when asked', async () => {
    await row('Ropes').click()
    await article('Ropes 149.').waitFor()
    assert.equal(await ann.locator('article').count(), 3)
    await ann.getByRole('button', { name: '147 more messages' }).click()
    await until('all', async () => await ann.locator('article').count() === 150)
    assert.equal(await ann.getByRole('button', { name: /more messages/ }).count(), 0)
  })

  it('unfolds all at once around what one reads, and only this one', async () => {
    await row('Sails').click()
    await article('Sails 2.').waitFor()
    await row('Ropes').click()
    await ann.getByRole('button', { name: '147 more messages' }).waitFor()
    await ann.keyboard.press(';')
    await until('all', async () => await ann.locator('article.open').count() === 150)
    await until('the last is in sight still', () => ann.evaluate(() => { const { top, bottom } = document.querySelector('article:last-of-type').getBoundingClientRect(); return top < innerHeight && bottom > 100 }))
    await row('Sails').click()
    await article('Sails 2.').waitFor()
    assert.equal(await ann.locator('article.open').count(), 1)
  })

  it('has what one scrolls to for what is meant', async () => {
    await row('Ropes').click()
    await ann.getByRole('button', { name: '147 more messages' }).waitFor()
    await ann.keyboard.press(';')
    await until('all', async () => await ann.locator('article.open').count() === 150)
    await article('Ropes 40.').waitFor()
    await ann.evaluate(() => new Promise((go) => setTimeout(go, 600)))
    await ann.evaluate(() => { document.activeElement?.blur(); const of = [...document.querySelectorAll('article')].find((one) => one.textContent.includes('Ropes 40.')); of.scrollIntoView() })
    await until('one of those in sight', async () => /Ropes 4[0-3]\./.test(await ann.locator('article[aria-current=true]').textContent()))
    await ann.keyboard.press('w')
    await ann.getByRole('complementary', { name: 'Why is it here?' }).waitFor()
    await ann.keyboard.press('w')
    await ann.keyboard.press('u')
  })

  it('says in the list that it was answered, and no more once something came after that', async () => {
    await row('Sails').click()
    await article('Sails 2.').waitFor()
    await ann.keyboard.press('a')
    await ann.locator('.compose [contenteditable=true]').waitFor()
    await ann.keyboard.type('Red ones.')
    await ann.keyboard.press('Control+Enter')
    await row('Sails').getByTitle('answered').waitFor()
    assert.match(await row('Sails').locator('.visually-hidden').textContent(), /, answered/)
    await offices.appendAll('ann', [letter('Max', 'Sails', 3, 's')], 'INBOX', '')
    await until('it is open again', async () => await row('Sails').getByTitle('answered').count() === 0 && (await row('Sails').textContent())?.includes('Sails 3.'))
  })

  it('is marked as open in a search only where the message that is open stands', async () => {
    await ann.goto(`${offices.here}/search?q=ropes`)
    await ann.getByRole('heading', { name: '150 results' }).waitFor()
    await ann.locator('.row', { hasText: 'Ropes 148.' }).click()
    await article('Ropes 148.').waitFor()
    assert.equal(await ann.locator('.row.open').count(), 1)
    assert.match(await ann.locator('.row.open').textContent(), /Ropes 148\./)
  })

  it('has the same on a telephone, each large enough for a finger', async () => {
    const context = await chrome.newContext({ viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, colorScheme: 'dark' })
    const phone = await page(context)
    await signIn(phone, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    await phone.locator('.row', { hasText: 'Ropes' }).tap()
    const more = phone.getByRole('button', { name: '147 more messages' })
    await more.waitFor()
    for (const one of [more, phone.getByRole('button', { name: 'Reply: Kim' })]) { const { width, height } = await one.boundingBox(); assert.ok(width >= 44 && height >= 44, `${width} ${height}`) }
    assert.deepEqual(await axe(phone), [])
    await phone.getByRole('button', { name: 'More', exact: true }).tap()
    await phone.getByRole('menuitem', { name: 'Open all' }).tap()
    await until('all', async () => await phone.locator('article.open').count() === 150)
    assert.deepEqual(phone.troubles, [])
    await context.close()
    assert.deepEqual(ann.troubles, [])
  })
})
