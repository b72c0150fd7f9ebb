// Signing in and reading, in a browser, on what two real post offices serve.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { join } from 'node:path'
import { axe, browser, Offices, page, pictures, signIn } from './offices.mjs'

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
    await ann.getByRole('complementary', { name: 'Why is it here?' }).getByText('Inbox').waitFor()
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
