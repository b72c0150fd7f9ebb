// What the binary serves: the page, its policy, its size.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { browser, Offices, page, signIn, until } from './offices.mjs'

let offices, chrome
before(async () => { [offices, chrome] = await Promise.all([Offices.open(), browser()]) }, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

describe('the files', { timeout: 300_000 }, () => {
  it('load within the budget, compressed, and nothing is asked of anybody else', async () => {
    const p = await page(await chrome.newContext())
    const session = await p.context().newCDPSession(p)
    await session.send('Network.enable')
    let octets = 0
    session.on('Network.loadingFinished', (e) => { octets += e.encodedDataLength })
    await p.goto(offices.here)
    await p.getByLabel('Password').waitFor()
    await p.evaluate(() => document.fonts.ready)
    // What is needed to sign in comes first; the program itself comes meanwhile, and is in the budget too.
    await until('the program', () => p.asked.some((url) => /\/assets\/program-/.test(url)))
    await p.waitForLoadState('networkidle')
    assert.ok(octets > 60_000 && octets < 150_000, `${octets} octets`)
    for (const url of p.asked) assert.ok(url.startsWith(offices.here), url)
    assert.deepEqual(p.troubles, [])
  })

  it('can be installed as a program of its own, whose icon opens a letter', async () => {
    const p = await page(await chrome.newContext({ viewport: { width: 1360, height: 860 } }))
    await signIn(p, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    await p.evaluate(() => navigator.serviceWorker.ready)
    const session = await p.context().newCDPSession(p)
    const { errors, data } = await session.send('Page.getAppManifest')
    assert.deepEqual(errors, [])
    const { shortcuts, start_url, display, icons } = JSON.parse(data)
    assert.deepEqual([start_url, display], ['/m/0/inbox', 'standalone'])
    // Telephones of some makers take pictures of dots only, in the size they are said to have.
    const apple = { src: await p.locator('link[rel="apple-touch-icon"]').getAttribute('href'), sizes: '180x180', type: 'image/png' }
    for (const { src, sizes, type } of [...icons, apple].filter(({ type }) => type === 'image/png')) {
      const answer = await p.context().request.get(offices.here + src)
      assert.deepEqual([answer.status(), answer.headers()['content-type']], [200, type], src)
      const size = await p.evaluate(async (src) => { const image = new Image(); image.src = src; await image.decode(); return `${image.naturalWidth}x${image.naturalHeight}` }, src)
      assert.equal(size, sizes, src)
    }
    assert.deepEqual(icons.map(({ purpose }) => purpose), ['any', 'any', 'any', 'maskable'])
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors')
    assert.deepEqual(installabilityErrors.map((e) => e.errorId).filter((id) => id !== 'in-incognito'), [])
    await p.goto(offices.here + shortcuts[0].url)
    await p.getByRole('combobox', { name: 'To', exact: true }).waitFor()
    assert.equal(new URL(p.url()).search, '')
    await p.getByRole('button', { name: 'Close' }).click()
    // By an address that is pressed elsewhere, and with what another program shares.
    const { protocol_handlers: [handler], share_target: share } = JSON.parse(data)
    assert.equal(handler.protocol, 'mailto')
    await p.goto(offices.here + handler.url.replace('%s', encodeURIComponent('mailto:bob@here.test?subject=From%20elsewhere')))
    await p.locator('.compose .chip', { hasText: 'bob@here.test' }).waitFor()
    assert.equal(await p.getByPlaceholder('Subject').inputValue(), 'From elsewhere')
    assert.equal(new URL(p.url()).search, '')
    await p.getByRole('button', { name: 'Throw away' }).click()
    await p.goto(`${offices.here}${share.action}?${new URLSearchParams({ [share.params.title]: 'A page', [share.params.text]: 'Look at this', [share.params.url]: 'https://there.test/page' })}`)
    await p.getByRole('textbox', { name: 'Message' }).getByText('https://there.test/page').waitFor()
    assert.equal(await p.getByPlaceholder('Subject').inputValue(), 'A page')
    await p.getByRole('button', { name: 'Throw away' }).click()
    assert.deepEqual(p.troubles, [])
  })

  it('run nothing that is not a file of ours', async () => {
    const p = await page(await chrome.newContext())
    await p.goto(offices.here)
    await p.getByLabel('Password').waitFor()
    const ran = await p.evaluate(async () => {
      const script = document.createElement('script')
      script.textContent = 'globalThis.ran = true'
      document.body.append(script)
      const image = document.createElement('img')
      image.setAttribute('onerror', 'globalThis.ran = true')
      image.src = '/none.png'
      document.body.append(image)
      await new Promise((go) => setTimeout(go, 300))
      return globalThis.ran === true
    })
    assert.equal(ran, false)
  })
})
