// Keys that come before what they are for: a part of the program that is still on its way, or a conversation.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Offices, axe, browser, hasty, page, PNG, signIn, until } from './offices.mjs'

const ANN = 'ann@here.test'
let offices, chrome
const letter = (from, subject, text, more = '') => `From: ${from}\r\nTo: ann@here.test\r\nSubject: ${subject}\r\n${more}\r\n${text}\r\n`

before(async () => {
  offices = await Offices.open()
  chrome = await browser()
  await offices.appendAll('ann', [
    letter('Bob <bob@here.test>', 'Heron', 'A heron.'), letter('Bob <bob@here.test>', 'Osprey', 'An osprey.'), letter('Bob <bob@here.test>', 'Plover', 'A plover.'),
    letter('Bob <bob@here.test>', 'Gull', 'Ask carol@there.test.'),
    letter('Bob <bob@here.test>', 'Plan', 'Plan 0.', 'Message-ID: <p0@x>\r\n'), ...[1, 2].map((n) => letter('Bob <bob@here.test>', 'Re: Plan', `Plan ${n}.`, `Message-ID: <p${n}@x>\r\nReferences: <p0@x>\r\n`)),
    letter('Bob <bob@here.test>', 'Trip', 'Trip 0.', 'Message-ID: <t0@x>\r\n'), ...[1, 2].map((n) => letter('Bob <bob@here.test>', 'Re: Trip', `Trip ${n}.`, `Message-ID: <t${n}@x>\r\nReferences: <t0@x>\r\n`)),
  ])
})
after(async () => { await chrome?.close(); await offices?.close() })

/** A window in which that part of the program comes only when it is let go. */
async function without(...names) {
  const context = await chrome.newContext({ viewport: { width: 1360, height: 860 }, serviceWorkers: 'block' })
  await hasty(context)
  const ann = await page(context)
  let letGo
  const held = new Promise((go) => { letGo = go })
  let asked
  const isAsked = new Promise((go) => { asked = go })
  for (const name of names) await context.route(`**/assets/${name}-*.js`, async (route) => { asked(); await held; await route.continue() })
  await signIn(ann, offices.here, ANN, offices.password(ANN))
  await ann.locator('.row', { hasText: 'Plover' }).waitFor()
  return { ann, letGo, isAsked, close: async () => { assert.deepEqual(ann.troubles, []); await context.close() } }
}
const cursorOn = async (ann, subject) => {
  const row = ann.locator('.row', { hasText: subject }).first()
  await row.locator('.tick').click({ force: true })
  await row.locator('.tick').click({ force: true })
  await ann.locator('#list').focus()
}

describe('keys that come before what they are for', { timeout: 300_000 }, () => {
  it('put a message off until the first of the times, though what lists these comes later', async () => {
    const { ann, letGo, isAsked, close } = await without('Snooze')
    await cursorOn(ann, 'Heron')
    await ann.keyboard.press('b')
    await isAsked
    await ann.keyboard.press('1')
    letGo()
    await ann.locator('.row', { hasText: 'Heron' }).waitFor({ state: 'detached' })
    assert.equal(await ann.getByRole('dialog').count(), 0)
    await close()
  })

  it('are for nothing else meanwhile: neither Enter nor an arrow acts on the list', async () => {
    const { ann, letGo, isAsked, close } = await without('Snooze')
    await cursorOn(ann, 'Osprey')
    await ann.keyboard.press('b')
    await isAsked
    await ann.keyboard.press('Tab')
    await ann.keyboard.press('Enter')
    letGo()
    await ann.locator('.row', { hasText: 'Osprey' }).waitFor({ state: 'detached' })
    assert.match(ann.url(), /\/m\/0\/inbox$/)
    await close()
  })

  it('of which Escape is for not wanting it any more', async () => {
    const { ann, letGo, isAsked, close } = await without('Snooze')
    await cursorOn(ann, 'Plover')
    await ann.keyboard.press('b')
    await isAsked
    await ann.keyboard.press('1')
    await ann.keyboard.press('Escape')
    await ann.keyboard.press('o')
    await ann.locator('article').getByText('A plover.').waitFor()
    letGo()
    await ann.evaluate(() => new Promise((go) => setTimeout(go, 500)))
    assert.equal(await ann.getByRole('dialog').count(), 0)
    assert.equal(await ann.locator('.row', { hasText: 'Plover' }).count(), 1)
    await close()
  })

  it('say to whom a message goes on', async () => {
    const { ann, letGo, isAsked, close } = await without('Redirect')
    await ann.locator('.row', { hasText: 'Plover' }).click()
    await ann.locator('article').getByText('A plover.').waitFor()
    await ann.keyboard.press('Control+k')
    await ann.keyboard.type('redirect')
    await ann.keyboard.press('Enter')
    await isAsked
    await ann.keyboard.type('carol@there.test,bob')
    await ann.keyboard.press('Backspace')
    letGo()
    const dialog = ann.getByRole('dialog')
    await dialog.locator('.chip', { hasText: 'carol@there.test' }).waitFor()
    assert.equal(await dialog.getByRole('combobox').inputValue(), 'bo')
    await ann.keyboard.press('Escape')
    await close()
  })

  it('fill a letter in, field after field, and send it; the list hears none of them', async () => {
    const { ann, letGo, isAsked, close } = await without('Dock')
    await cursorOn(ann, 'Plover')
    await ann.keyboard.press('c')
    await isAsked
    await ann.keyboard.type('bob@here.test')
    await ann.keyboard.press('Enter')
    await ann.keyboard.press('Tab')
    await ann.keyboard.type('Quick as light')
    await ann.keyboard.press('Tab')
    await ann.keyboard.type('Text')
    letGo()
    const compose = ann.locator('.compose')
    await compose.locator('.chip', { hasText: 'bob@here.test' }).waitFor()
    await until('the subject', async () => await ann.getByPlaceholder('Subject').inputValue() === 'Quick as light')
    await compose.getByRole('textbox', { name: 'Message' }).getByText('Text', { exact: true }).waitFor()
    assert.match(ann.url(), /\/m\/0\/inbox$/)
    await ann.keyboard.type(' and on')
    await ann.keyboard.press('Control+Enter')
    assert.match(await offices.whole('bob', 'Quick as light'), /Text and on/)
    await close()
  })

  it('answer a message and send the answer, before there is an editor', async () => {
    const { ann, letGo, isAsked, close } = await without('squire')
    await cursorOn(ann, 'Plover')
    await ann.keyboard.press('r')
    await isAsked
    await ann.keyboard.type('Seen itt')
    await ann.keyboard.press('Backspace')
    await ann.keyboard.press('Enter')
    await ann.keyboard.type('Twice')
    await ann.keyboard.press('Control+Enter')
    letGo()
    assert.match(await offices.whole('bob', 'Re: Plover'), /Seen it\r?\nTwice/)
    await close()
  })

  it('leave the focus where one has gone meanwhile: to the subject of an answer, or to the search; and what was pressed is done', async () => {
    const { ann, letGo, close } = await without('squire', 'Dock')
    await cursorOn(ann, 'Plover')
    await ann.keyboard.press('c')
    await ann.keyboard.type('bob@here.test')
    await ann.locator('#search').click()
    await ann.keyboard.type('os')
    letGo()
    await ann.locator('.compose .chip', { hasText: 'bob@here.test' }).waitFor()
    await ann.locator('.compose [contenteditable=true]').waitFor()
    await ann.keyboard.type('prey')
    assert.equal(await ann.locator('#search').inputValue(), 'osprey')
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await close()
  })

  it('and in an answer, to its subject; what is pressed there before there is an editor is done when there is one', async () => {
    const { ann, letGo, isAsked, close } = await without('squire')
    await cursorOn(ann, 'Plover')
    await ann.keyboard.press('r')
    await isAsked
    await ann.keyboard.type('Seen')
    await ann.getByPlaceholder('Subject').fill('A bird ')
    await ann.locator('input.picture').setInputFiles({ name: 'bird.png', mimeType: 'image/png', buffer: PNG })
    await ann.locator('.compose .quoted').getByRole('button', { name: 'Edit' }).click()
    await ann.getByPlaceholder('Subject').focus()
    await ann.keyboard.press('End')
    letGo()
    const editor = ann.locator('.compose [contenteditable=true]')
    await editor.getByText('A plover.').waitFor()
    await editor.locator('img').waitFor()
    await editor.getByText('Seen', { exact: true }).waitFor()
    await ann.keyboard.type('again')
    assert.equal(await ann.getByPlaceholder('Subject').inputValue(), 'A bird again')
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await close()
  })

  it('are for nothing of a letter that is thrown away, or put aside, before there is an editor', async () => {
    const { ann, letGo, isAsked, close } = await without('squire')
    await cursorOn(ann, 'Plover')
    for (const [kind, done] of [['r', 'Throw away'], ['a', 'Minimise']]) {
      await ann.keyboard.press(kind)
      await isAsked
      await ann.locator('.compose').getByRole('button', { name: done }).click()
      await ann.locator('.compose').waitFor({ state: 'detached' })
      await ann.keyboard.press('?')
      await ann.getByRole('dialog', { name: 'Keys' }).waitFor()
      await ann.keyboard.press('Escape')
      await ann.getByRole('dialog').waitFor({ state: 'detached' })
    }
    letGo()
    await close()
  })

  it('are for the letter to an address that was pressed, though what reads that address comes later', async () => {
    const { ann, letGo, isAsked, close } = await without('mailto')
    await ann.locator('.row', { hasText: 'Gull' }).click()
    await ann.locator('article').getByRole('link', { name: 'carol@there.test' }).click()
    await isAsked
    await ann.keyboard.type('every word')
    letGo()
    await ann.locator('.compose .chip', { hasText: 'carol@there.test' }).waitFor()
    await ann.getByRole('textbox', { name: 'Message' }).getByText('every word').waitFor()
    await ann.getByRole('heading', { name: 'Gull' }).waitFor()
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await close()
  })

  it('go from message to message in a conversation that is not there yet', async () => {
    const { ann, letGo, isAsked, close } = await without('Reader')
    await isAsked
    await cursorOn(ann, 'Plan')
    await ann.keyboard.press('o')
    await ann.keyboard.press('n')
    letGo()
    await ann.locator('article').getByText('Plan 2.').waitFor()
    await until('the first has the focus', () => ann.evaluate(() => document.activeElement?.closest('article')?.textContent.includes('Plan 0.')))
    await close()
  })

  it('and unfold all of that conversation, not of every one after it', async () => {
    const { ann, letGo, isAsked, close } = await without('Reader')
    await isAsked
    await cursorOn(ann, 'Plan')
    await ann.keyboard.press('o')
    await ann.keyboard.press(';')
    letGo()
    await until('all of it', async () => await ann.locator('article.open').count() === 3)
    await ann.locator('.row', { hasText: 'Trip' }).click()
    await ann.locator('article').getByText('Trip 2.').waitFor()
    assert.equal(await ann.locator('article.open').count(), 1)
    await close()
  })
})

describe('the key of a command', { timeout: 120_000 }, () => {
  it('is the one that one gives it; what had it before has none, until all are as they were', async () => {
    const { ann, close } = await without()
    const button = (name) => ann.getByRole('button', { name, exact: true })
    await ann.goto(`${offices.here}/settings/general`)
    await button('Archive: e').click()
    await ann.getByRole('button', { name: 'Archive: Press a key' }).waitFor()
    // Escape leaves it; a key that is pressed does nothing but that.
    await ann.keyboard.press('Escape')
    await button('Archive: e').click()
    await ann.keyboard.press('?')
    await button('Archive: ?').and(ann.locator(':focus')).waitFor()
    await button('Keys: None').waitFor()
    await ann.getByRole('status').filter({ hasText: 'Archive is ?; Keys has none now.' }).waitFor({ state: 'attached' })
    assert.equal(await ann.getByRole('dialog').count(), 0)
    await button('Star: s').click()
    await ann.keyboard.press('Backspace')
    await button('Star: None').waitFor()
    assert.deepEqual(await axe(ann), [])
    await ann.reload()
    await button('Archive: ?').waitFor()
    await ann.goto(`${offices.here}/m/0/inbox`)
    await cursorOn(ann, 'Plover')
    for (const key of ['e', 's']) await ann.keyboard.press(key)
    await ann.keyboard.press('o')
    await ann.getByRole('toolbar', { name: 'Message' }).getByTitle('Archive (?)').waitFor()
    await ann.getByRole('toolbar', { name: 'Message' }).getByTitle('Star', { exact: true }).waitFor()
    assert.equal(await ann.locator('.row', { hasText: 'Plover' }).locator('.starred').count(), 0)
    await ann.keyboard.press('?')
    await ann.locator('.row', { hasText: 'Plover' }).waitFor({ state: 'detached' })
    await ann.keyboard.press('z')
    await ann.locator('.row', { hasText: 'Plover' }).waitFor()
    await ann.goto(`${offices.here}/settings/general`)
    await button('All as they were').click()
    await button('Archive: e').waitFor()
    await button('Keys: ?').waitFor()
    await close()
  })
})
