// What goes wrong and is done again: a session that ended, a reload in the middle of sending, a part of the program that does not come.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { browser, byRequests, desktop, letter, Offices, page, PNG, signIn, stored, until } from './offices.mjs'

const ANN = 'ann@here.test', BOB = 'bob@here.test'
let offices, chrome
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  await offices.submit(BOB, ANN, `From: Bob <${BOB}>\nTo: ${ANN}\nSubject: A walrus\n\nOn a rock\n`)
  await offices.submit(BOB, ANN, `From: Bob <${BOB}>\nTo: ${ANN}\nSubject: Deep water\n\n${'Waves and more waves. '.repeat(40)}\nA walrus, at last.\n`)
  await offices.submit(ANN, BOB, `From: Ann <${ANN}>\nTo: ${BOB}\nSubject: For Bob alone\n\nHello\n`)
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

/** A window in which Ann is signed in. */
async function annAt() {
  const ann = await desktop(chrome)
  await byRequests(ann.context())
  await signIn(ann, offices.here, ANN, offices.password(ANN))
  await ann.locator('.row', { hasText: 'A walrus' }).waitFor()
  return ann
}
async function enter(p, address, password) {
  await p.getByLabel('Address').fill(address)
  await p.getByLabel('Password').fill(password)
  await p.getByRole('button', { name: 'Sign in', exact: true }).click()
}
/** What the browser keeps of letters. */
const kept = async (p) => Object.values(await stored(p, 'drafts')).flat().map(({ subject, html }) => `${subject}: ${html}`)
const times = async (name, subject) => (await offices.listed(name)).split(`"${subject}"`).length - 1
/** Comes when the page asks to send for the first time; what is done with that is up to the test. */
function sending(p) {
  return new Promise((found) => {
    let isFirst = true
    void p.route('**/jmap/api', (route) => {
      if (!isFirst || !(route.request().postData() ?? '').includes('"EmailSubmission/set"')) { void route.continue(); return }
      isFirst = false
      found(route)
    })
  })
}
const close = (p) => p.context().close()

describe('a session that ended', { timeout: 300_000 }, () => {
  it('leaves what was written to who signs in again, however he writes his address', async () => {
    const ann = await annAt()
    await letter(ann, BOB, 'Half a letter', 'To be gone on with')
    await until('it is kept', async () => (await kept(ann)).some((one) => one.includes('gone on with')))
    await ann.context().clearCookies()
    await ann.reload()
    await ann.getByText('You were signed out. What you wrote is kept.').waitFor()
    await enter(ann, 'ANN@Here.test', offices.password(ANN))
    await ann.locator('.dock .tab', { hasText: 'Half a letter' }).click()
    await ann.getByRole('textbox', { name: 'Message' }).getByText('To be gone on with').waitFor()
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await close(ann)
  })

  it('leaves nothing of what was written or read to another who signs in', async () => {
    const ann = await annAt()
    await letter(ann, BOB, 'Not for Bob yet', 'Secret')
    await until('it is kept', async () => (await kept(ann)).some((one) => one.includes('Secret')))
    await ann.context().clearCookies()
    await ann.keyboard.type(', and more')
    await ann.getByText('You were signed out. What you wrote is kept.').waitFor()
    await enter(ann, BOB, offices.password(BOB))
    await ann.locator('.row', { hasText: 'For Bob alone' }).waitFor()
    assert.equal(await ann.locator('.dock').count(), 0)
    assert.equal(await ann.locator('.row', { hasText: 'A walrus' }).count(), 0)
    assert.deepEqual(await kept(ann), [])
    await close(ann)
  })

  it('shows another nothing, also in a browser that cannot be made to forget', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
    await context.addInitScript(() => {
      IDBFactory.prototype.deleteDatabase = () => { throw new Error('not here') }
      new MutationObserver(() => { for (const one of document.querySelectorAll('.row .subject, .dock .tab')) sessionStorage.setItem(`saw ${one.textContent}`, '1') }).observe(document, { childList: true, subtree: true, characterData: true })
    })
    const ann = await page(context)
    await signIn(ann, offices.here, ANN, offices.password(ANN))
    await letter(ann, BOB, 'Hers', 'Secret')
    await until('it is kept', async () => (await kept(ann)).some((one) => one.includes('Secret')))
    await ann.locator('.row', { hasText: 'A walrus' }).waitFor()
    await context.clearCookies()
    await ann.reload()
    await ann.getByText('You were signed out. What you wrote is kept.').waitFor()
    await ann.evaluate(() => { sessionStorage.clear() })
    await enter(ann, BOB, offices.password(BOB))
    await ann.locator('.row', { hasText: 'For Bob alone' }).waitFor()
    await ann.waitForLoadState('networkidle')
    const saw = await ann.evaluate(() => Object.keys(sessionStorage).filter((name) => name.startsWith('saw ')))
    assert.deepEqual(saw.filter((one) => !/Bob$|Bob alone$/.test(one)), [])
    await close(ann)
  })
})

describe('signing out', { timeout: 300_000 }, () => {
  it('leaves no word of any mail in the browser, in any of its stores, nor in another window', async () => {
    const WORDS = 'Heron and marsh'
    await offices.append('ann', `From: Bob <${BOB}>\r\nTo: ${ANN}\r\nSubject: ${WORDS}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>${WORDS}, in the text</p>\r\n--x\r\nContent-Type: text/plain; name=heron.txt\r\nContent-Disposition: attachment; filename=heron.txt\r\n\r\n${WORDS}, in a file\r\n--x\r\nContent-Type: image/png; name=heron.png\r\nContent-Disposition: attachment; filename=heron.png\r\nContent-Transfer-Encoding: base64\r\n\r\n${PNG.toString('base64')}\r\n--x--\r\n`)
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
    const ann = await page(context)
    await signIn(ann, offices.here, ANN, offices.password(ANN))
    await ann.evaluate(async () => { await navigator.serviceWorker.ready; while (!(await caches.match('/'))) await new Promise((go) => setTimeout(go, 50)) })
    await ann.locator('.row', { hasText: WORDS }).click()
    await ann.frameLocator('article iframe').getByText(WORDS).waitFor()
    await ann.locator('.files li', { hasText: 'heron.txt' }).getByRole('button', { name: 'View', exact: true }).click()
    await ann.getByRole('dialog', { name: 'heron.txt' }).getByText('in a file').waitFor()
    await ann.keyboard.press('Escape')
    const file = await ann.locator('.files img').getAttribute('src')
    await until('the picture', () => ann.locator('.files img').evaluate((img) => img.complete && img.naturalWidth === 10))
    await ann.keyboard.press('/')
    await ann.keyboard.type('heron')
    await ann.getByRole('heading', { name: '1 result', exact: true }).waitFor()
    await ann.keyboard.press('Escape')
    await ann.locator('#list').focus()
    await letter(ann, BOB, WORDS, `${WORDS}, in a draft`)
    await until('the draft is kept', async () => (await kept(ann)).some((one) => one.includes('in a draft')))
    const other = await page(context)
    await other.goto(offices.here)
    await other.locator('.row', { hasText: WORDS }).waitFor()

    /** Wherever a browser keeps what a page gives it: what of it has that word. */
    const left = async (p) => [...Object.entries(await stored(p)).flatMap(([table, all]) => (JSON.stringify(all).includes(WORDS) ? [table] : [])), ...await p.evaluate(async ([word, file]) => {
      const found = []
      for (const [name, store] of [['local', localStorage], ['session', sessionStorage]]) if (JSON.stringify({ ...store }).includes(word)) found.push(name)
      for (const name of await caches.keys()) for (const request of await (await caches.open(name)).keys()) {
        const answer = await (await caches.open(name)).match(request)
        if (/\/(jmap|api)\//.test(request.url) || (await answer.text()).includes(word)) found.push(`cache ${request.url}`)
      }
      // What the browser itself remembers of answers.
      const answer = await fetch(file, { cache: 'only-if-cached', mode: 'same-origin' }).catch(() => undefined)
      if (answer?.ok) found.push('remembered')
      return found
    }, [WORDS, file])]
    await until('before, it can be found', async () => (await left(ann)).toSorted().join() === ['packetboat bodies', 'packetboat drafts', 'packetboat meta', 'packetboat rows', 'remembered'].join())

    await ann.getByRole('button', { name: 'Sign out' }).click()
    await ann.getByLabel('Password').waitFor()
    assert.deepEqual(await left(ann), [])
    assert.deepEqual(await ann.evaluate(async () => [(await indexedDB.databases()).length, { ...localStorage }, { ...sessionStorage }]), [0, {}, {}])
    // The other window shows nothing of it, and brings nothing back.
    await other.getByLabel('Password').waitFor()
    assert.doesNotMatch(await other.evaluate(() => document.documentElement.outerHTML), /Heron/)
    await other.reload()
    await other.getByLabel('Password').waitFor()
    assert.deepEqual(await left(other), [])
    assert.equal((await context.request.get(offices.here + file)).status(), 401)
    await context.close()
  })
})

describe('a sign-out that the server did not hear of', { timeout: 300_000 }, () => {
  it('lets nobody in again by its cookie', async () => {
    const ann = await annAt()
    await ann.context().route('**/api/sign-out', (route) => route.abort())
    await ann.getByRole('button', { name: 'Sign out' }).click()
    await ann.waitForURL('**/sign-in')
    await ann.getByLabel('Address').waitFor()
    assert.ok((await ann.context().cookies()).length > 0, 'the cookie is there still')
    await ann.context().unroute('**/api/sign-out')
    const heard = ann.waitForResponse((r) => r.url().endsWith('/api/sign-out') && r.ok())
    await ann.goto(offices.here)
    await heard
    await ann.getByLabel('Address').waitFor()
    await enter(ann, ANN, offices.password(ANN))
    await ann.locator('.row', { hasText: 'A walrus' }).waitFor()
    await ann.reload()
    await ann.locator('.row', { hasText: 'A walrus' }).waitFor()
    await close(ann)
  })
})

describe('sending, interrupted', { timeout: 300_000, concurrency: 3 }, () => {
  it('by a reload: it goes once', async () => {
    const ann = await annAt()
    const caught = sending(ann)
    await letter(ann, BOB, 'Sent once', 'Only once')
    await ann.keyboard.press('Control+Enter')
    // The server takes it, and the answer is lost.
    await (await caught).fetch()
    await ann.reload()
    await until('it at Bob', async () => (await times('bob', 'Sent once')) === 1)
    await until('nothing left to send', async () => (await kept(ann)).length === 0)
    assert.equal(await times('bob', 'Sent once'), 1)
    await close(ann)
  })

  it('by a reload: what goes later keeps its time', async () => {
    const ann = await annAt()
    const caught = sending(ann)
    await letter(ann, BOB, 'Tomorrow', 'Not today')
    await ann.getByRole('button', { name: 'Send later' }).click()
    await ann.getByLabel('When?').fill('tomorrow 8')
    await ann.keyboard.press('Enter')
    // It never comes to the server.
    await caught
    // Before the page begins anew: it asks as soon as it can.
    const again = sending(ann)
    await ann.reload()
    const asked = JSON.parse((await again).request().postData())
    const hold = Number(asked.methodCalls.find(([name]) => name === 'EmailSubmission/set')[1].create.s.envelope.mailFrom.parameters.HOLDFOR)
    assert.ok(hold > 3600 && hold < 48 * 3600, String(hold))
    await (await again).continue()
    await ann.locator('.toast', { hasText: 'Will be sent' }).waitFor()
    assert.equal(await times('bob', 'Tomorrow'), 0)
    await close(ann)
  })

  it('in one window, taken back, is not sent by another', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
    await byRequests(context)
    const ann = await page(context)
    await signIn(ann, offices.here, ANN, offices.password(ANN))
    const caught = sending(ann)
    await letter(ann, BOB, 'Taken back', 'Oh')
    await ann.keyboard.press('Control+Enter')
    const route = await caught
    // The other window finds what is on its way, and waits for it.
    const other = await page(context)
    const tried = []
    other.on('request', (r) => { if ((r.postData() ?? '').includes('"EmailSubmission/set"')) tried.push(r.url()) })
    await other.goto(offices.here)
    await other.locator('.row', { hasText: 'A walrus' }).waitFor()
    await route.continue()
    await ann.locator('.toast', { hasText: 'Sending' }).getByRole('button', { name: 'Undo' }).click()
    await ann.locator('.toast').getByText('Not sent').waitFor()
    // Five seconds it waits, and a little.
    await new Promise((go) => setTimeout(go, 6500))
    assert.deepEqual(tried, [])
    assert.equal(await times('bob', 'Taken back'), 0)
    await context.close()
  })
})

describe('a part of the program that does not come', { timeout: 300_000 }, () => {
  const missing = (p) => p.getByRole('alert').filter({ hasText: 'A part of the program could not be loaded.' })
  /** Where the browser remembers the failure the page begins anew. */
  const again = async (p) => { await missing(p).getByRole('button', { name: 'Load again' }).click(); await missing(p).waitFor({ state: 'detached' }) }
  const none = async (p, name, run) => {
    const url = `**/assets/${name}-*.js`
    await p.context().route(url, (route) => route.abort())
    await run()
    await missing(p).waitFor()
    await p.context().unroute(url)
  }
  /** A window whose files all come from the server. */
  const plain = async () => page(await chrome.newContext({ viewport: { width: 1360, height: 860 }, serviceWorkers: 'block' }))

  it('at the door: it says why, and lets one in when it comes', async () => {
    const ann = await plain()
    await none(ann, 'program', async () => { await ann.goto(offices.here); await enter(ann, ANN, offices.password(ANN)) })
    assert.equal(await ann.getByLabel('Address').inputValue(), ANN)
    await ann.getByRole('button', { name: 'Sign in', exact: true }).and(ann.locator(':enabled')).waitFor()
    await again(ann)
    await ann.locator('.row', { hasText: 'A walrus' }).waitFor()
    // The same for who is signed in.
    await none(ann, 'program', () => ann.reload())
    await again(ann)
    await ann.locator('.row', { hasText: 'A walrus' }).waitFor()
    await close(ann)
  })

  it('within: in its place stands why, and nothing that was typed is lost', async () => {
    const ann = await plain()
    await signIn(ann, offices.here, ANN, offices.password(ANN))
    await ann.locator('.row', { hasText: 'A walrus' }).waitFor()
    await none(ann, 'Settings', () => ann.getByRole('link', { name: 'Settings' }).click())
    await again(ann)
    await ann.getByRole('heading', { name: 'General', exact: true }).waitFor()
    await ann.goBack()
    // What is typed before there is an editor, and what stands in the other fields.
    await none(ann, 'Dock', async () => { await ann.locator('body').press('c'); await ann.keyboard.type(BOB) })
    await again(ann)
    // Where the page had to begin anew, the letter lies in the dock.
    const tab = ann.locator('.dock .tab')
    await tab.or(ann.getByPlaceholder('Subject')).first().waitFor()
    if (await tab.count() > 0) await tab.click()
    await ann.waitForFunction((address) => { const compose = document.querySelector('.compose'); return compose !== null && (compose.textContent.includes(address) || [...compose.querySelectorAll('input')].some((input) => input.value === address)) }, BOB)
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await ann.reload()
    await ann.locator('.row', { hasText: 'A walrus' }).waitFor()
    await none(ann, 'squire', async () => { await ann.locator('body').press('c'); await ann.getByPlaceholder('Subject').fill('Stays') })
    await again(ann)
    await tab.or(ann.getByPlaceholder('Subject')).first().waitFor()
    if (await tab.count() > 0) await tab.click()
    const editor = ann.getByRole('textbox', { name: 'Message' })
    await ann.locator('.compose [contenteditable=true]').waitFor()
    await editor.click()
    await ann.keyboard.type('And on')
    await editor.getByText('And on').waitFor()
    assert.equal(await ann.getByPlaceholder('Subject').inputValue(), 'Stays')
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await close(ann)
  })
})

describe('a search that is a guess still', { timeout: 300_000 }, () => {
  it('is selected whole only when the server has said what is in it', async () => {
    const ann = await annAt()
    let letGo
    const held = new Promise((go) => { letGo = go })
    await ann.route('**/jmap/api', async (route) => { if ((route.request().postData() ?? '').includes('"walrus"')) await held; await route.continue() })
    await ann.keyboard.press('/')
    // The whole word at once: of a part of it the server would have told more than the page can guess.
    await ann.keyboard.insertText('walrus')
    await ann.getByRole('heading', { name: '1 result', exact: true }).waitFor()
    await ann.locator('#list').focus()
    await ann.keyboard.press('Control+a')
    await ann.evaluate(() => new Promise((frame) => requestAnimationFrame(() => requestAnimationFrame(frame))))
    assert.equal(await ann.locator('.row[aria-selected=true]').count(), 0)
    letGo()
    await ann.getByRole('heading', { name: '2 selected' }).waitFor()
    await close(ann)
  })
})
