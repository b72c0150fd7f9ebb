// What comes with the page: drawn before the program is there, true, looking as the program draws it, and kept by nobody.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { browser, byRequests, hasty, Offices, page, signIn, until } from './offices.mjs'

let offices, chrome
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  for (let n = 1; n <= 40; n++) await offices.append('ann', `From: ${n % 3 === 0 ? 'Bob Quill <bob@here.test>' : 'carol@there.test'}\r\nTo: ann@here.test\r\nSubject: ${n % 7 === 0 ? '' : `Letter ${n}, with <b> and </script>`}\r\nMessage-ID: <f${n}@here.test>\r\n${n > 37 ? 'References: <f37@here.test>\r\n' : ''}\r\nText of ${n}.\r\n`)
  await offices.imap('ann', 'INBOX', '-X', 'STORE 3:20 +FLAGS (\\Seen)')
  await offices.imap('ann', 'INBOX', '-X', 'STORE 36 +FLAGS (holiday \\Flagged)')
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

/** A window whose program comes when it is let go: the page alone is here until then. */
async function held(view, choices = {}) {
  const context = await chrome.newContext({ serviceWorkers: 'block', ...view })
  await byRequests(context)
  await context.addInitScript((choices) => { localStorage.setItem('choices', JSON.stringify({ undo: 0, ...choices })) }, choices)
  const ann = await page(context)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await ann.locator('.live.on').waitFor({ state: 'attached' })
  await ann.waitForLoadState('networkidle')
  let letGo
  const gate = new Promise((go) => { letGo = go })
  await ann.route(/\/assets\/program-[^/]*\.js$/, async (route) => { await gate; await route.continue() })
  const asked = []
  ann.on('request', (r) => { if (/jmap/.test(r.url())) asked.push(r.url()) })
  return { ann, letGo, asked }
}
/** Opens the inbox and waits for what came with it. On a machine that is busy the page comes without: it does not wait long for it. */
async function opens(ann, asked) {
  await until('rows that came with the page', async () => {
    await ann.goto(`${offices.here}/m/0/inbox`, { waitUntil: 'commit' })
    asked.length = 0
    await ann.waitForLoadState('domcontentloaded')
    await ann.evaluate(() => new Promise((frame) => requestAnimationFrame(() => setTimeout(frame, 50))))
    return await ann.locator('.row').count() > 0
  }, 30)
}
const ready = (ann) => ann.locator('#list[role=grid]').waitFor()
/** To a pixel. */
const alike = (one, other) => {
  assert.deepEqual(one.map(({ says }) => says), other.map(({ says }) => says))
  for (const [n, { says, at }] of one.entries()) for (const [side, px] of at.entries()) assert.ok(Math.abs(px - other[n].at[side]) <= 1.5, `${says}: ${at} and ${other[n].at}`)
}
/** What one sees of the list, and where. */
const seen = (ann) => ann.evaluate(() => [...document.querySelectorAll('section.list, section.list h1, .border, section.reader, .row')].filter((e) => e.getBoundingClientRect().top < (e.closest('.view') ?? document.documentElement).getBoundingClientRect().bottom).flatMap((e) => [e, ...(e.matches('.row') ? e.querySelectorAll('.who, .n, .draft, .at, .subject, .chip, .preview') : [])].map((one) => {
  const { x, y, width, height } = one.getBoundingClientRect()
  const { color, fontWeight, fontSize } = getComputedStyle(one)
  // The title has room as far as the buttons let it, which come with the program.
  return { says: [one.matches('.row, section, .border') ? 'row' : one.textContent, color, fontWeight, fontSize].join(' '), at: one.matches('h1') ? [x, y, height] : [x, y, width, height] }
})))

describe('what comes with the page', { timeout: 300_000 }, () => {
  for (const [name, view, choices] of [
    ['a desktop', { viewport: { width: 1360, height: 860 } }, {}],
    ['a tablet', { viewport: { width: 900, height: 700 }, hasTouch: true }, {}],
    ['a telephone', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, {}],
    ['the reader below the list', { viewport: { width: 1360, height: 860 } }, { reader: 'below' }],
    ['a tablet, one-line rows, the reader below the list', { viewport: { width: 900, height: 1000 }, hasTouch: true }, { rows: 'compact', reader: 'below' }],
    ['a telephone, the reader below the list', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, { reader: 'below' }],
    ['one-line rows, dark, the reader off', { viewport: { width: 1360, height: 860 } }, { rows: 'compact', theme: 'dark', reader: 'off' }],
  ]) {
    it(`stands before the program does, and then as the program draws it: ${name}`, async () => {
      const { ann, letGo, asked } = await held(view, choices)
      await opens(ann, asked)
      await ann.locator('.row', { hasText: 'Letter 36' }).waitFor()
      await ann.evaluate(() => document.fonts.ready)
      const first = await seen(ann)
      assert.deepEqual(asked, [], 'nothing was asked for it')
      assert.equal(await ann.locator('[role=grid]').count(), 0)
      letGo()
      await ready(ann)
      alike(await seen(ann), first)
      assert.equal(await ann.locator('.shell').count(), 1)
      await ann.locator('.live.on').waitFor({ state: 'attached' })
      assert.deepEqual(ann.troubles, [])
      await ann.context().close()
    })
  }

  it('is of this moment; what is pressed before the program is there opens, and scrolling goes on where it was', async () => {
    const { ann, letGo, asked } = await held({ viewport: { width: 1360, height: 860 } })
    await ann.goto(`${offices.here}/frame`)
    await offices.append('ann', 'From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Just now\r\n\r\nText of just now.\r\n')
    await opens(ann, asked)
    const row = ann.locator('.row', { hasText: 'Just now' })
    await row.waitFor()
    assert.equal(await ann.locator('.row').first().textContent().then((text) => text.includes('Just now')), true)
    await ann.locator('.view').evaluate((view) => { view.scrollTop = 40 })
    await row.click()
    letGo()
    await ann.locator('article').getByText('Text of just now.').waitFor()
    // Of the list nothing is asked that came already.
    assert.ok(asked.length > 0)
    const queries = []
    ann.on('request', (r) => { if ((r.postData() ?? '').includes('"position"')) queries.push(r.postData()) })
    await ann.keyboard.press('u')
    await ann.waitForLoadState('networkidle')
    assert.deepEqual(queries, [])
    assert.deepEqual(ann.troubles, [])
    await ann.context().close()
  })

  it('keeps the keys that are pressed before the program is there, and what is typed into the field that they open', async () => {
    const { ann, letGo, asked } = await held({ viewport: { width: 1360, height: 860 } })
    await opens(ann, asked)
    await ann.keyboard.press('/')
    await ann.keyboard.type('subject:36')
    letGo()
    await ann.getByRole('heading', { name: '1 result' }).waitFor()
    assert.equal(await ann.locator('#search').inputValue(), 'subject:36')
    assert.equal(await ann.evaluate(() => document.activeElement?.id), 'search')
    await ann.context().close()
    const again = await held({ viewport: { width: 1360, height: 860 } })
    await opens(again.ann, again.asked)
    await again.ann.keyboard.press('j')
    await again.ann.keyboard.press('j')
    await again.ann.keyboard.press('o')
    again.letGo()
    await again.ann.locator('article').getByText('Text of 40.').waitFor()
    assert.deepEqual(again.ann.troubles, [])
    await again.ann.context().close()
  })

  it('is chosen by its box, and not opened, by who presses that before the program is there', async () => {
    const { ann, letGo, asked } = await held({ viewport: { width: 1360, height: 860 } })
    await opens(ann, asked)
    for (const n of [36, 34]) await ann.locator('.row', { hasText: `Letter ${n}` }).locator('.tick').click()
    letGo()
    await ann.getByRole('heading', { name: '2 selected' }).waitFor()
    for (const n of [36, 34]) await ann.locator('.row.chosen', { hasText: `Letter ${n}` }).waitFor()
    assert.equal(await ann.locator('article').count(), 0)
    assert.deepEqual(ann.troubles, [])
    await ann.context().close()
  })

  it('is not shown over what was done without a network, nor to who signed out without one', async () => {
    const { ann, letGo } = await held({ viewport: { width: 1360, height: 860 } })
    await ann.route('**/jmap/api', (route) => route.abort())
    await ann.locator('.row', { hasText: 'Letter 36' }).click()
    await ann.keyboard.press('e')
    await ann.locator('.row', { hasText: 'Letter 36' }).waitFor({ state: 'detached' })
    await until('it waits', () => ann.evaluate(() => localStorage.getItem('waits') !== null))
    await ann.goto(`${offices.here}/m/0/inbox`, { waitUntil: 'domcontentloaded' })
    await ann.waitForTimeout(300)
    assert.equal(await ann.locator('.row').count(), 0)
    await ann.unroute('**/jmap/api')
    letGo()
    await ann.locator('.row', { hasText: 'Letter 34' }).waitFor()
    assert.equal(await ann.locator('.row', { hasText: 'Letter 36' }).count(), 0)
    await until('it is told', () => ann.evaluate(() => localStorage.getItem('waits') === null))
    await until('the archive', async () => (await offices.listed('ann', 'Archive')).includes('Letter 36'))
    await ann.keyboard.press('z')
    // Signed out here, and nobody could be told: the cookie is there still.
    await ann.route('**/api/**', (route) => route.abort())
    await ann.getByRole('button', { name: 'Sign out' }).click()
    await ann.getByLabel('Password').waitFor()
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.waitForTimeout(300)
    assert.equal(await ann.locator('.row').count(), 0)
    await ann.getByLabel('Password').waitFor()
    await ann.context().close()
  })

  it('is in no cache: what opens without a network is nobody\'s page', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
    await hasty(context)
    const ann = await page(context)
    await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    await ann.evaluate(async () => { await navigator.serviceWorker.ready; while (!(await caches.match('/'))) await new Promise((go) => setTimeout(go, 50)) })
    for (let n = 0; n < 3; n++) { await ann.goto(`${offices.here}/m/0/inbox`); await ready(ann); await ann.waitForLoadState('networkidle') }
    // The page that was just opened did bring something.
    assert.equal(await ann.evaluate(async () => (await (await fetch('/m/0/inbox')).text()).includes('id="first"')), false)
    const kept = await ann.evaluate(async () => { const all = []; for (const name of await caches.keys()) for (const request of await (await caches.open(name)).keys()) { const text = await (await caches.match(request)).text(); all.push([new URL(request.url).pathname, /id="first"|Letter 3/.test(text)]) } return all })
    assert.ok(kept.length > 10)
    assert.deepEqual(kept.filter(([, has]) => has), [])
    await context.close()
  })

  // A page that is loaded anew gives up what it asked. Mail that had just come stood in no conversation then, and was listed one by one.
  it('leaves conversations whole, whenever one goes away', async () => {
    const { host, port, hostname } = new URL(offices.here)
    const ours = { Origin: offices.here, 'X-Packetboat': '1', 'Content-Type': 'application/json' }
    const post = (path, body, more = {}) => fetch(`${offices.here}${path}`, { method: 'POST', headers: { ...ours, ...more }, body: JSON.stringify(body) })
    const signed = await post('/api/sign-in', { address: 'bob@here.test', password: offices.password('bob@here.test') })
    const Cookie = signed.headers.get('set-cookie').split(';')[0]
    const session = await (await fetch(`${offices.here}/jmap/session`, { headers: { ...ours, Cookie } })).json()
    const accountId = session.primaryAccounts['urn:ietf:params:jmap:mail']
    const body = { using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'], methodCalls: [['Email/query', { accountId, filter: { subject: 'Piled' }, collapseThreads: true }, 'q']] }
    const list = async () => (await (await post('/jmap/api', body, { Cookie })).json()).methodResponses[0][1].ids
    const text = JSON.stringify(body)
    await list()
    for (let round = 0; round < 60; round++) {
      await offices.appendAll('bob', Array.from({ length: 40 }, (_, n) => `From: Carol <carol@there.test>\r\nTo: bob@here.test\r\nSubject: Piled\r\nMessage-ID: <p${round}.${n}@there.test>\r\nReferences: <pile@there.test>\r\n\r\n${n}\r\n`))
      const socket = connect(port, hostname)
      await new Promise((done) => socket.once('connect', done))
      socket.write(`POST /jmap/api HTTP/1.1\r\nHost: ${host}\r\n${Object.entries({ ...ours, Cookie }).map(([name, value]) => `${name}: ${value}\r\n`).join('')}Content-Length: ${text.length}\r\n\r\n${text}`)
      const end = performance.now() + round / 4
      while (performance.now() < end) await new Promise((go) => setImmediate(go))
      socket.destroy()
      assert.equal((await list()).length, 1, `given up after ${round / 4} ms`)
    }
  })
})
