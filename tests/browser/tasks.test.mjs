// The twelve tasks that are to be instant, each done by keys, and its acts counted in the page: keys and clicks, without the text that is typed.
// The numbers are those of the design; `docs/program.md` has the table.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { browser, Offices, page, PNG, signIn, until } from './offices.mjs'

let offices, chrome, ann, pictures, port
const row = (subject) => ann.locator('.row', { hasText: subject })
const TABLE = readFileSync(new URL('../../docs/program.md', import.meta.url), 'utf8')

before(async () => {
  pictures = createServer((_, answer) => answer.writeHead(200, { 'Content-Type': 'image/png' }).end(PNG))
  await new Promise((go) => pictures.listen(0, '127.0.0.1', go))
  port = pictures.address().port;
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
  await context.addInitScript(() => {
    globalThis.acts = 0
    const isField = (at) => at instanceof HTMLElement && (at.isContentEditable || ['INPUT', 'TEXTAREA'].includes(at.tagName))
    addEventListener('keydown', (event) => { if (!['Control', 'Shift', 'Alt', 'Meta'].includes(event.key) && !(isField(event.target) && event.key.length === 1 && !event.ctrlKey)) globalThis.acts += 1 }, true)
    // A key that presses a button is told as a click as well.
    addEventListener('click', (event) => { if (event.detail > 0) globalThis.acts += 1 }, true)
  })
  ann = await page(context)
  for (let n = 1; n <= 12; n++) await offices.submit('bob@here.test', 'ann@here.test', `From: Bob <bob@here.test>\nTo: Ann <ann@here.test>\nSubject: Letter ${n}.\n\nText ${n}\n`)
  await offices.appendAll('ann', ['From: Ann <ann@here.test>\r\nTo: Carol <carol@there.test>\r\nSubject: Known\r\n\r\nHello\r\n'], 'Sent')
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await row('Letter 12.').waitFor()
}, { timeout: 180_000 })
after(async () => { pictures?.close(); await chrome?.close(); await offices?.close() })

/** The list with the cursor on its first row, nothing open, nothing selected. */
async function begin() {
  await ann.goto(`${offices.here}/m/0/inbox`)
  await ann.locator('.live.on').waitFor()
  await ann.locator('#list').focus()
  await ann.keyboard.press('Home')
  await ann.locator('.row.cursor').waitFor()
}
const open = async (subject) => { await begin(); await row(subject).click(); await ann.locator('article.open, article').first().waitFor(); await ann.locator('#list').focus() }
const gone = (subject) => row(subject).waitFor({ state: 'detached' })

/** Does it, looks that it is done, and holds its acts to the number in the table. */
async function task(name, act, done) {
  await ann.evaluate(() => { globalThis.acts = 0 })
  await act((keys) => ann.keyboard.press(keys), (text) => ann.keyboard.type(text))
  await done()
  const acts = await ann.evaluate(() => globalThis.acts)
  const [, wanted, said] = TABLE.split('\n').find((line) => line.startsWith(`| ${name} |`))?.match(/\| (\d) \| (\d) \|/) ?? []
  assert.equal(acts, Number(said), `${name}: what the table says of ours`)
  assert.ok(acts <= Number(wanted), `${name}: ${acts} acts, ${wanted} at most`)
}

describe('the twelve tasks', { timeout: 300_000 }, () => {
  it('next message', async () => {
    await open('Letter 12.')
    await task('next message', (key) => key('j'), () => ann.locator('article').getByText('Text 11').waitFor())
  })
  it('archive, and the next', async () => {
    await open('Letter 12.')
    await task('archive, and the next', (key) => key('e'), async () => { await gone('Letter 12.'); await ann.locator('article').getByText('Text 11').waitFor() })
  })
  it('delete, and take it back', async () => {
    await begin()
    await task('delete, and take it back', async (key) => { await key('#'); await gone('Letter 11.'); await key('z') }, () => row('Letter 11.').waitFor())
  })
  it('answer and send', async () => {
    await open('Letter 11.')
    await task('answer and send', async (key, type) => { await key('r'); await ann.getByRole('textbox', { name: 'Message' }).and(ann.locator(':focus')).waitFor(); await type('Yes'); await ann.getByRole('textbox', { name: 'Message' }).getByText('Yes').waitFor(); await key('Control+Enter') }, () => ann.locator('.toast', { hasText: 'Sending' }).waitFor())
  })
  it('write to somebody known', async () => {
    await begin()
    await task('write to somebody known', async (key, type) => {
      await key('c')
      await ann.getByRole('combobox', { name: 'To', exact: true }).and(ann.locator(':focus')).waitFor()
      await type('car')
      await ann.getByRole('option', { name: 'carol@there.test' }).waitFor()
      await key('Enter')
      await key('Tab')
      await ann.getByPlaceholder('Subject').and(ann.locator(':focus')).waitFor()
      await type('Hello')
      await key('Tab')
      await ann.getByRole('textbox', { name: 'Message' }).and(ann.locator(':focus')).waitFor()
      await type('How are you?')
      await ann.getByRole('textbox', { name: 'Message' }).getByText('How are you?').waitFor()
      await key('Control+Enter')
    }, () => ann.locator('.toast', { hasText: 'Sending' }).waitFor())
  })
  it('search as one types', async () => {
    await begin()
    await task('search as one types', async (key, type) => { await key('/'); await type('subject:"letter 7"') }, () => until('that alone', async () => (await ann.locator('.row').count()) === 1 && await row('Letter 7.').isVisible()))
  })
  it('move', async () => {
    await begin()
    await task('move', async (key, type) => { await key('v'); await type('ar'); await key('Enter') }, () => gone('Letter 11.'))
    await until('it there', async () => (await offices.listed('ann', 'Archive')).includes('"Letter 11."'))
  })
  it('choose three and archive them', async () => {
    await begin()
    await task('choose three and archive them', async (key) => { for (const one of ['x', 'J', 'J', 'e']) await key(one) }, async () => { for (const n of [10, 9, 8]) await gone(`Letter ${n}.`) })
  })
  it('put off', async () => {
    await begin()
    await task('put off', async (key) => { await key('b'); await ann.getByRole('dialog', { name: 'Later' }).waitFor(); await key('1') }, () => gone('Letter 7.'))
    await until('it there', async () => (await offices.listed('ann', 'Snoozed')).includes('"Letter 7."'))
  })
  it('show the pictures', async () => {
    await offices.submit('bob@here.test', 'ann@here.test', `From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: Pictured\nMIME-Version: 1.0\nContent-Type: text/html\n\n<p>Look:</p><img src="http://127.0.0.1:${port}/lake.png">\n`)
    await open('Pictured')
    const frame = ann.frameLocator('article iframe')
    await frame.getByText('Look:').waitFor()
    await task('show the pictures', (key) => key('P'), () => until('the picture', () => frame.locator('img').first().evaluate((img) => img.complete && img.naturalWidth === 10)))
  })
  it('why it is here', async () => {
    await open('Letter 6.')
    await task('why it is here', (key) => key('w'), () => ann.getByRole('heading', { name: 'Why is it here?' }).waitFor())
  })
  it('go to a mailbox', async () => {
    await begin()
    await task('go to a mailbox', async (key, type) => { await key('g'); await type('ar'); await key('Enter') }, () => row('Letter 11.').waitFor())
  })
})
