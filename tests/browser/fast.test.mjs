// How fast it is, in bounds that hold on a slow machine as well: the best of several tries counts, for neighbours only make it worse.
// What it takes on a quiet machine stands in `docs/bench.md`; a list of 100,000 is measured by `make bench-list`.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { browser, byRequests, desktop, Offices, page, signIn, stored, until } from './offices.mjs'

const COUNT = 1200
const letter = (n) => `From: Writer ${n % 97} <w${n % 97}@there.test>\r\nTo: ann@here.test\r\nSubject: Letter ${n}\r\nMessage-ID: <${n}@there.test>\r\n\r\nThis is the text of letter ${n}.\r\n`
const at = (n) => `01-Jan-2026 ${[Math.floor(n / 60), n % 60].map((part) => String(part).padStart(2, '0')).join(':')}:00 +0000`

/** The messages that the program keeps whole. */
const bodies = async () => Object.values(await stored(ann, 'bodies')).flat()
let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  const all = Array.from({ length: COUNT }, (_, n) => n)
  await offices.appendAll('ann', all.map(letter), 'INBOX', '\\Seen', all.map(at))
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await ann.locator('.row', { hasText: `Letter ${COUNT - 1}` }).waitFor()
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

describe('it is fast', { timeout: 300_000 }, () => {
  // What the page's main thread has the processor for, which neighbours do not lengthen; four times that is what a processor four times slower
  // needs. On a quiet machine it is a good half of a second, times four; the bound leaves room for slow machines.
  const busy = async (p, url, there) => {
    const session = await p.context().newCDPSession(p)
    const ticks = async () => (await session.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value
    await session.send('Performance.enable', { timeDomain: 'threadTicks' })
    const before = await ticks()
    await p.goto(url, { waitUntil: 'commit' })
    await p.waitForSelector(there)
    const took = await ticks() - before
    await session.detach()
    return 4000 * took
  }
  const best = async (once) => { const took = []; while (took.length < 5 && Math.min(...took, Infinity) >= 1000) took.push(await once()); return took }

  it('the first load can be typed into within a second, on a processor four times slower', async () => {
    const took = await best(async () => {
      const context = await chrome.newContext()
      const ms = await busy(await page(context), offices.here, 'input[type=password]')
      await context.close()
      return ms
    })
    assert.ok(Math.min(...took) < 1600, `${took.map(Math.round)} ms`)
  })

  it('and so can the list be used by who is signed in', async () => {
    const took = await best(async () => {
      const ms = await busy(ann, `${offices.here}/m/0/inbox`, '.row:not(.bones)')
      await ann.locator('.live.on').waitFor()
      return ms
    })
    assert.ok(Math.min(...took) < 1600, `${took.map(Math.round)} ms`)
  })

  it('a message that the pointer is on opens within 50 ms', async () => {
    const took = []
    for (let n = COUNT - 2; n > COUNT - 11; n--) {
      const row = ann.locator('.row', { hasText: `Letter ${n}` }).first()
      await row.scrollIntoViewIfNeeded()
      await row.hover()
      await until('it is here', async () => (await bodies()).some((body) => body.email.subject === `Letter ${n}`))
      took.push(await ann.evaluate(async (n) => {
        const row = [...document.querySelectorAll('.row')].find((r) => r.textContent.includes(`Letter ${n}`))
        const begun = performance.now()
        row.click()
        while (!document.querySelector('article .body')?.textContent.includes(`text of letter ${n}.`)) await new Promise((frame) => requestAnimationFrame(frame))
        return performance.now() - begun
      }, n))
    }
    assert.ok(Math.min(...took) < 50, `${took.map(Math.round)} ms`)
  })

  // Without a clock: what is asked, and when. From the press of a finger, and from the cursor's rest, to the opening there is time to fetch.
  it('a message is asked for before it is opened, first of all when it is, and once', async () => {
    await byRequests(ann.context())
    const asked = []
    const listen = (r) => { const body = r.postData() ?? ''; if (body.includes('"fetchTextBodyValues"')) asked.push(JSON.parse(body).methodCalls.find(([, args]) => args.fetchTextBodyValues)[1].ids[0]); else if (/\/jmap\/api$/.test(r.url()) && body.includes('"Email/query"')) asked.push('query') }
    ann.on('request', listen)
    const rowOf = (n) => ann.locator('.row', { hasText: new RegExp(`Letter ${n}\\b`) }).first()
    const id = async (n) => (await rowOf(n).getAttribute('id')).slice(4)
    const shown = (n) => ann.locator('article').getByText(`text of letter ${n}.`).waitFor()
    await ann.goto(`${offices.here}/m/0/inbox`)
    // What is asked for at the beginning has been.
    await ann.locator('.live.on').waitFor()
    await ann.waitForLoadState('networkidle')
    await rowOf(COUNT - 20).scrollIntoViewIfNeeded()
    await ann.mouse.move(5, 5)
    // Opened out of the blue: it first, the next two when it is there, and then who it is from.
    const [first, second, third] = [await id(COUNT - 16), await id(COUNT - 17), await id(COUNT - 18)]
    let letGo
    const held = new Promise((go) => { letGo = go })
    await ann.route('**/jmap/api', async (route) => { if ((route.request().postData() ?? '').includes(`"ids":["${first}"]`)) await held; await route.continue() })
    asked.length = 0
    await rowOf(COUNT - 16).evaluate((row) => row.click())
    await until('it is asked for', () => asked.length > 0)
    await ann.locator('article').waitFor()
    assert.deepEqual(asked, [first])
    letGo()
    await shown(COUNT - 16)
    await until('the next two', () => [second, third].every((one) => asked.includes(one)))
    assert.equal(asked.filter((one) => one === first).length, 1)
    await ann.unroute('**/jmap/api')
    // By key: the cursor rests on it, and it is here before Enter.
    await ann.keyboard.press('u')
    await ann.locator('#list').focus()
    await ann.keyboard.press('Home')
    for (let n = 0; n < 40; n++) await ann.keyboard.press('ArrowDown')
    // The welcome lies on top of them all.
    await ann.locator('.row.cursor', { hasText: `Letter ${COUNT - 40}` }).waitFor()
    const top = await id(COUNT - 40)
    await until('the one under the cursor', () => asked.includes(top))
    await until('it is here', async () => (await bodies()).some((body) => body.id === top))
    await ann.keyboard.press('Enter')
    await shown(COUNT - 40)
    assert.equal(asked.filter((one) => one === top).length, 1)
    // By finger: pressed, and not yet let go.
    const pressed = await id(COUNT - 46)
    await rowOf(COUNT - 46).dispatchEvent('pointerdown', { pointerType: 'touch', isPrimary: true })
    await until('the one under the finger', () => asked.includes(pressed))
    ann.off('request', listen)
    assert.deepEqual(ann.troubles, [])
  })

  it('a list has rows for what is in sight alone, and asks for no more, wherever one goes in it', async () => {
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: `Letter ${COUNT - 1}` }).waitFor()
    await ann.locator('.live.on').waitFor()
    // What was kept is painted first; how long the list is now the server says.
    await ann.waitForFunction((count) => Math.abs(document.getElementById('list').scrollHeight / document.querySelector('.row').getBoundingClientRect().height - count) < 3, COUNT)
    const rows = await ann.locator('.row').count()
    assert.ok(rows < 40, `${rows} rows`)
    const asked = []
    ann.on('request', (r) => { const body = r.postData() ?? ''; if (body.includes('"position"')) asked.push(body.split('"position":').length - 1) })
    await ann.locator('#list').evaluate((list) => { list.scrollTop = list.scrollHeight / 2 })
    await ann.locator('.row', { hasText: `Letter ${COUNT / 2}` }).first().waitFor()
    assert.ok(asked.length > 0 && asked.length <= 2, `${asked} windows`)
    await ann.locator('#list').focus()
    await ann.keyboard.press('End')
    await ann.locator('.row', { hasText: /Letter 0\b/ }).waitFor()
    assert.ok(await ann.locator('.row').count() < 40)
    assert.ok(asked.length <= 4, `${asked} windows`)
    assert.deepEqual(ann.troubles, [])
  })
})
