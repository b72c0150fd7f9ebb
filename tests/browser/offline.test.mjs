// With the server stopped: the program opens, reads, searches and writes; and what was written goes out when it is back, once.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { browser, desktop, letter, Offices, signIn, until } from './offices.mjs'

let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  for (let n = 1; n <= 3; n++) await offices.submit('bob@here.test', 'ann@here.test', `From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: Letter ${n}\n\nText of ${n}, about lemons\n`)
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const row = (subject) => ann.locator('.row', { hasText: subject })

describe('without the server', { timeout: 300_000 }, () => {
  it('opens, reads and finds what it has', async () => {
    await row('Letter 3').click()
    await ann.locator('article').getByText('Text of 3').waitFor()
    await ann.evaluate(async () => { await navigator.serviceWorker.ready; while (!(await caches.match('/'))) await new Promise((go) => setTimeout(go, 50)) })
    await ann.goto(`${offices.here}/m/0/inbox`)
    await row('Letter 3').waitFor()
    await offices.stop('SIGKILL')
    await ann.reload()
    await row('Letter 2').waitFor()
    await ann.getByText('Offline since').waitFor()
    await row('Letter 3').click()
    await ann.locator('article').getByText('Text of 3').waitFor()
    await ann.keyboard.press('/')
    await ann.keyboard.type('lemons letter')
    await ann.getByRole('heading', { name: '3 results' }).waitFor()
    await ann.keyboard.press('Escape')
    await row('Letter 1').waitFor()
  })

  it('archives and writes, and says what waits', async () => {
    await ann.locator('#list').focus()
    await ann.keyboard.press('Home')
    await ann.keyboard.press('e')
    await row('Letter 3').waitFor({ state: 'detached' })
    await letter(ann, 'bob@here.test', 'From the train', 'No network here')
    await ann.keyboard.press('Control+Enter')
    await ann.locator('.toast').getByText('Will be sent when the network is back.').waitFor()
    await ann.getByText(/Offline since .*waiting/).waitFor()
    await ann.reload()
    await row('Letter 2').waitFor()
    assert.equal(await row('Letter 3').count(), 0)
  })

  it('does it all when the server is back, and sends once', async () => {
    await offices.start()
    await until('the letter at Bob', async () => (await offices.listed('bob')).includes('"From the train"'))
    await until('Letter 3 in the archive', async () => (await offices.listed('ann', 'Archive')).includes('"Letter 3"'))
    await ann.locator('.live.on').waitFor()
    await ann.reload()
    await row('Letter 2').waitFor()
    await ann.getByRole('link', { name: 'Sent' }).click()
    await row('From the train').waitFor()
    assert.equal((await offices.listed('bob')).split('"From the train"').length - 1, 1)
    assert.equal((await offices.listed('ann', 'Sent')).split('"From the train"').length - 1, 1)
    await until('no draft left', async () => !(await offices.listed('ann', 'Drafts')).includes('"From the train"'))
  })
})
