// Every main view, in light and dark, on a desk and on a phone: axe finds nothing, nothing is wider than the screen. Pictures are kept beside the build.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { join } from 'node:path'
import { axe, browser, hasty, letter, Offices, page, pictures, signIn } from './offices.mjs'

let offices, chrome
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  const html = '<table width="100%"><tr><td bgcolor="#eeeeff"><h1>Sale</h1><p style="color:#333">Three pictures for you.</p><img src="https://shop.test/a.png"><img src="https://shop.test/b.png"></td></tr></table>'
  await offices.submit('bob@here.test', 'ann@here.test', `From: "Bob Invoice" <bob@here.test>\nTo: Ann <ann@here.test>\nSubject: A sale with pictures\nMIME-Version: 1.0\nContent-Type: text/html\n\n${html}\n`)
  await offices.submit('bob@here.test', 'ann@here.test', 'From: Bob <bob@here.test>\nTo: Ann <ann@here.test>\nSubject: Lunch on Friday?\nMessage-ID: <lunch@here.test>\n\nShall we?\n')
  await offices.submit('bob@here.test', 'ann@here.test', 'From: Bob <bob@here.test>\nTo: Ann <ann@here.test>\nSubject: Re: Lunch on Friday?\nIn-Reply-To: <lunch@here.test>\nReferences: <lunch@here.test>\n\nOr on Saturday?\n\nOn Friday Bob wrote:\n> Shall we?\n')
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const SIZES = { desktop: { width: 1360, height: 860 }, tablet: { width: 820, height: 1100 }, phone: { width: 390, height: 780 }, narrow: { width: 320, height: 640 } }

for (const [name, colorScheme, sizes] of [['light', 'light', ['desktop', 'phone', 'narrow']], ['dark', 'dark', ['desktop', 'tablet', 'phone']]]) {
  describe(`in ${name} colours`, { timeout: 300_000 }, () => {
    let p
    // Those of the program itself: rows come with the page, and stand before it is there.
    const row = (subject) => p.locator('#list .row', { hasText: subject })
    before(async () => {
      const context = await chrome.newContext({ viewport: SIZES.desktop, colorScheme, reducedMotion: 'reduce' })
      await hasty(context)
      p = await page(context)
    })
    after(() => p.context().close())
    /** Looked at in every size; the program itself may be asked to show something again after each. */
    async function looked(what, only = sizes) {
      const found = []
      for (const size of only) {
        await p.setViewportSize(SIZES[size])
        await p.evaluate(() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go))))
        await p.screenshot({ path: join(pictures, `${name}-${size}-${what}.png`) })
        if (size === 'desktop' || size === 'phone') found.push(...(await axe(p)).map((v) => `${what}, ${size}: ${v}`))
        const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        if (wide > 0) found.push(`${what}, ${size}: ${wide} px too wide`)
      }
      await p.setViewportSize(SIZES[sizes[0]])
      assert.deepEqual(found, [])
    }

    it('signing in', async () => {
      await p.goto(offices.here)
      await p.getByLabel('Password').waitFor()
      await looked('sign-in')
      await signIn(p, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    })
    it('the list', async () => { await row('A sale').waitFor(); await looked('list') })
    it('several selected', async () => { await row('A sale').locator('.tick').click(); await row('Lunch').locator('.tick').click(); await looked('selected', ['desktop']); await p.keyboard.press('Escape') })
    it('a conversation', async () => {
      await row('Lunch').click()
      await p.locator('article').getByText('Or on Saturday?').waitFor()
      await looked('conversation')
    })
    it('HTML mail with pictures that are kept out', async () => {
      await p.goto(`${offices.here}/m/0/inbox`)
      await row('A sale').click()
      await p.frameLocator('article iframe').getByText('Three pictures').waitFor()
      await p.getByText('2 pictures blocked').waitFor()
      await looked('html')
    })
    it('why it is here', async () => {
      await p.locator('body').press('w')
      await p.getByRole('complementary', { name: 'Why is it here?' }).waitFor()
      await p.getByRole('complementary').getByText('Inbox', { exact: true }).waitFor()
      await looked('why')
      await p.keyboard.press('Escape')
    })
    it('writing', async () => {
      await p.goto(`${offices.here}/m/0/inbox`)
      await row('A sale').waitFor()
      await letter(p, 'carol@there.test', 'Hello', 'A few words')
      await looked('compose')
      await p.getByRole('button', { name: 'Throw away' }).click()
    })
    it('searching', async () => {
      await p.goto(`${offices.here}/search?q=${encodeURIComponent('from:bob lunch')}`)
      await row('Lunch').first().waitFor()
      await looked('search')
    })
    it('keys, commands, pickers', async () => {
      await p.goto(`${offices.here}/m/0/inbox`)
      await row('A sale').waitFor()
      await p.locator('body').press('?')
      await p.getByRole('dialog').waitFor()
      await looked('keys')
      await p.keyboard.press('Escape')
      await p.keyboard.press('Control+k')
      await p.getByRole('dialog').waitFor()
      await looked('palette', ['desktop'])
      await p.keyboard.press('Escape')
      await p.getByRole('button', { name: 'New folder' }).click()
      await p.getByRole('dialog').waitFor()
      await looked('folder', ['desktop'])
      await p.keyboard.press('Escape')
    })
    it('people and settings', async () => {
      await p.goto(`${offices.here}/people`)
      await p.getByRole('heading', { name: 'People' }).waitFor()
      await looked('people')
      const pages = await (async () => { await p.goto(`${offices.here}/settings/general`); await p.getByRole('heading', { level: 1 }).waitFor(); return p.getByRole('navigation', { name: 'Settings' }).getByRole('link').evaluateAll((all) => all.map((a) => a.pathname)) })()
      assert.ok(pages.length >= 4, `${pages}`)
      for (const path of pages) {
        await p.goto(offices.here + path)
        await p.getByRole('heading', { level: 1 }).waitFor()
        await p.evaluate(() => new Promise((go) => setTimeout(go, 150)))
        await looked(`settings-${path.split('/').at(-1)}`)
      }
    })
    it('said nothing it should not', () => assert.deepEqual(p.troubles, []))
  })
}
