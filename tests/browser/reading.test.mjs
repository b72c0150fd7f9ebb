// Signing in and reading, in a browser, on what two real post offices serve.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { join } from 'node:path'
import { axe, browser, Offices, page, pictures, PNG, signIn, until } from './offices.mjs'

let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  ann = await page(await chrome.newContext({ viewport: { width: 1360, height: 860 } }))
}, { timeout: 90_000 })
after(async () => { await chrome?.close(); await offices?.close() })

describe('reading', { timeout: 90_000 }, () => {
  it('begins with the right password only', async () => {
    await ann.goto(offices.here)
    await ann.getByLabel('Address').fill('ann@here.test')
    await ann.getByLabel('Password').fill('wrong')
    assert.deepEqual(await axe(ann), [])
    await ann.getByRole('button', { name: 'Sign in', exact: true }).click()
    await ann.getByRole('alert').getByText('not right').waitFor()
    await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    const cookie = (await ann.context().cookies())[0]
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict'])
  })

  it('shows the inbox, and a message in a frame where nothing runs', async () => {
    const row = ann.locator('.row', { hasText: 'Welcome aboard' })
    await row.waitFor()
    await ann.screenshot({ path: join(pictures, 'desktop-inbox.png') })
    await row.click()
    await ann.frameLocator('article iframe').getByText('This mailbox is on your own computer').waitFor()
    const sandbox = await ann.locator('article iframe').getAttribute('sandbox')
    assert.ok(sandbox.includes('allow-same-origin') && !sandbox.includes('allow-scripts'), sandbox)
    await ann.screenshot({ path: join(pictures, 'desktop-message.png') })
    assert.deepEqual(await axe(ann), [])
  })

  it('says why it is here, by key, and closes again', async () => {
    await ann.keyboard.press('w')
    await ann.getByRole('complementary', { name: 'Why is it here?' }).getByText('Inbox', { exact: true }).waitFor()
    await ann.keyboard.press('Escape')
    await ann.keyboard.press('?')
    await ann.getByRole('dialog', { name: 'Keys' }).waitFor()
    await ann.keyboard.press('Escape')
  })

  it('is found again by a reload, by Back and by searching', async () => {
    const open = ann.url()
    await ann.reload()
    await ann.locator('article h2').waitFor()
    assert.equal(ann.url(), open)
    await ann.keyboard.press('/')
    await ann.keyboard.type('subject:welcome from:postmaster')
    await ann.getByRole('heading', { name: '1 result' }).waitFor()
    await ann.keyboard.press('Escape')
    await ann.getByRole('heading', { name: 'Inbox' }).waitFor()
  })

  it('shows files without opening another program, and what an invitation says', async () => {
    const part = (type, name, body, encoding = '7bit') => `--x\r\nContent-Type: ${type}; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n`
    const event = 'BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nDTSTART:20261204T113000Z\r\nSUMMARY:Lunch at the lake\r\nLOCATION:Pier 3\r\nORGANIZER;CN=Bob:mailto:bob@here.test\r\nEND:VEVENT\r\nEND:VCALENDAR'
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nSee these.\r\n${part('image/png', 'lake.png', PNG.toString('base64'), 'base64')}${part('text/plain', 'list.txt', 'bread and <b>butter</b>')}${part('text/html', 'page.html', '<script>top.ran = 1</script>')}${part('text/calendar; method=REQUEST', 'lunch.ics', event)}--x--\r\n`)
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: 'Files' }).click()
    const files = ann.locator('.files')
    await files.getByText('page.html').waitFor()
    await ann.getByText('Lunch at the lake').waitFor()
    await ann.getByText('Pier 3').waitFor()
    await files.locator('li', { hasText: 'lake.png' }).getByRole('button', { name: 'View', exact: true }).click()
    const dialog = ann.getByRole('dialog', { name: 'lake.png' })
    await until('the picture', () => dialog.locator('img').evaluate((img) => img.complete && img.naturalWidth === 10))
    assert.deepEqual(await axe(ann), [])
    await ann.keyboard.press('Escape')
    await files.locator('li', { hasText: 'list.txt' }).getByRole('button', { name: 'View', exact: true }).click()
    await ann.getByRole('dialog', { name: 'list.txt' }).getByText('bread and <b>butter</b>').waitFor()
    await ann.keyboard.press('Escape')
    assert.equal(await files.locator('li', { hasText: 'page.html' }).getByRole('button', { name: 'View', exact: true }).count(), 0)
    const [download] = await Promise.all([ann.waitForEvent('download'), files.locator('li', { hasText: 'page.html' }).getByRole('link', { name: 'Save' }).click()])
    assert.equal(download.suggestedFilename(), 'page.html')
    assert.equal(await ann.evaluate(() => globalThis.ran), undefined)
  })

  it('prints the message alone', async () => {
    await ann.emulateMedia({ media: 'print' })
    await ann.locator('article').getByText('See these.').waitFor()
    for (const hidden of ['header', 'nav', '#list', '.reader .tools', '.answer']) assert.equal(await ann.locator(hidden).first().isVisible(), false, hidden)
    await ann.emulateMedia({ media: 'screen' })
    await ann.evaluate(() => { globalThis.print = () => { globalThis.printed = true } })
    await ann.getByRole('toolbar', { name: 'Message' }).getByRole('button', { name: 'More' }).click()
    await ann.getByRole('menuitem', { name: 'Print' }).click()
    assert.equal(await ann.evaluate(() => globalThis.printed), true)
  })

  it('fits a phone, in the dark', async () => {
    await ann.setViewportSize({ width: 390, height: 780 })
    await ann.emulateMedia({ colorScheme: 'dark' })
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: 'Welcome aboard' }).waitFor()
    await ann.screenshot({ path: join(pictures, 'phone-dark.png') })
    assert.deepEqual(await axe(ann), [])
    assert.equal(await ann.evaluate(() => document.documentElement.scrollWidth), 390)
  })

  it('asks nobody but its own server, and leaves nothing at sign-out', async () => {
    for (const url of ann.asked) assert.match(url, new RegExp(`^(${offices.here}|blob:|data:)`))
    assert.deepEqual(ann.troubles.filter((t) => !/status of 404/.test(t)), [])
    await ann.setViewportSize({ width: 1360, height: 860 })
    await ann.getByRole('button', { name: 'Sign out' }).click()
    await ann.getByLabel('Password').waitFor()
    const left = await ann.evaluate(async () => ({ databases: (await indexedDB.databases()).map((d) => d.name), local: { ...localStorage } }))
    assert.deepEqual(left, { databases: [], local: {} })
    assert.equal((await ann.request.get(`${offices.here}/api/me`)).status(), 401)
  })
})
