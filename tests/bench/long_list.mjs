// A list of 100,000 messages in the browser: until it stands, frames a second while it scrolls, a leap to its middle and its end,
// how many rows there are elements for, what the page's heap holds, what a change costs, and a message opened.
//   PACKETBOAT=.../release/packetboat node tests/bench/long_list.mjs [MESSAGES]     writes its table to standard output
import { browser, Offices, page, signIn } from '../browser/offices.mjs'

const COUNT = Number(process.argv[2] ?? 100_000)
const BATCH = 5000
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const at = (n) => { const d = new Date(Date.UTC(2020, 0, 1) + n * 600_000); return `${String(d.getUTCDate()).padStart(2, '0')}-${MONTHS[d.getUTCMonth()]}-${d.getUTCFullYear()} ${d.toISOString().slice(11, 19)} +0000` }
const letter = (n) => `From: Writer ${n % 97} <w${n % 97}@there.test>\r\nTo: ann@here.test\r\nSubject: Letter ${n}.\r\nMessage-ID: <${n}@bench>\r\n\r\nThis is the text of letter ${n}.\r\n`
const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)]

const offices = await Offices.open()
const chrome = await browser()
try {
  for (let n = 0; n < COUNT; n += BATCH) {
    const some = Array.from({ length: Math.min(BATCH, COUNT - n) }, (_, i) => n + i)
    await offices.appendAll('ann', some.map(letter), 'INBOX', '\\Seen', some.map(at))
  }
  const p = await page(await chrome.newContext({ viewport: { width: 1360, height: 860 } }))
  const begun = performance.now()
  await signIn(p, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await p.locator('.row', { hasText: `Letter ${COUNT - 1}.` }).waitFor()
  const first = performance.now() - begun
  const rows = []
  /** From the leap to the row on the screen. */
  const leap = (share) => p.evaluate(async (share) => {
    const list = document.querySelector('#list')
    const from = performance.now()
    list.scrollTop = (list.scrollHeight - list.clientHeight) * share
    const middle = () => document.elementFromPoint(list.getBoundingClientRect().left + 150, list.getBoundingClientRect().top + 200)?.closest('.row')
    do await new Promise((frame) => requestAnimationFrame(frame)); while (middle()?.classList.contains('bones') !== false)
    return performance.now() - from
  }, share)
  const loaded = []
  for (let n = 0; n < 5; n++) {
    await p.goto('about:blank')
    const from = performance.now()
    await p.goto(`${offices.here}/m/0/inbox`, { waitUntil: 'commit' })
    await p.waitForFunction(() => document.querySelector('.row:not(.bones)') !== null, undefined, { polling: 'raf' })
    loaded.push(performance.now() - from)
    await p.locator('.live.on').waitFor()
  }
  const leaps = []
  for (const share of [0.5, 0.25, 0.75, 0.1, 0.9, 1, 0]) leaps.push(await leap(share))
  const frames = (by) => p.evaluate(async (by) => {
    const list = document.querySelector('#list')
    const took = []
    let last = await new Promise((frame) => requestAnimationFrame(frame))
    for (let n = 0; n < 300; n++) { list.scrollTop += by; const now = await new Promise((frame) => requestAnimationFrame(frame)); took.push(now - last); last = now }
    return took
  }, by)
  const [slow, fast] = [await frames(150), await frames(4000)]
  const elements = await p.evaluate(() => document.querySelectorAll('.row').length)
  const session = await p.context().newCDPSession(p)
  await session.send('HeapProfiler.enable')
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  await p.locator('#list').focus()
  await p.keyboard.press('Home')
  await p.locator('.row', { hasText: `Letter ${COUNT - 1}.` }).waitFor()
  const came = []
  for (let n = 0; n < 5; n++) {
    const from = performance.now()
    await offices.append('ann', `From: Bob <bob@there.test>\r\nTo: ann@here.test\r\nSubject: New ${n}.\r\n\r\nNew\r\n`)
    await p.locator('.row', { hasText: `New ${n}.` }).first().waitFor()
    came.push(performance.now() - from)
  }
  // Out of the blue: the pointer elsewhere, the cursor elsewhere, nothing of it fetched. Every fourth, for the next two are fetched with each.
  await p.mouse.move(5, 5)
  const opened = []
  for (let n = 0; n < 9; n++) {
    await p.locator('#list').evaluate((list, n) => { list.scrollTop = n * 4 * document.querySelector('.row').getBoundingClientRect().height }, n + 2)
    await p.waitForFunction((n) => [...document.querySelectorAll('.row:not(.bones)')].some((r) => r.ariaRowIndex === String(4 * n + 10)), n)
    opened.push(await p.evaluate(async (n) => {
      const row = [...document.querySelectorAll('.row')].find((r) => r.ariaRowIndex === String(4 * n + 10))
      const [number] = /(?<=Letter )\d+/.exec(row.textContent)
      const from = performance.now()
      row.click()
      do await new Promise((frame) => requestAnimationFrame(frame)); while (!document.querySelector('article .body')?.textContent.includes(`text of letter ${number}.`))
      return performance.now() - from
    }, n))
    await p.waitForTimeout(500)
  }
  const say = (what, n, unit, target, good) => rows.push(`| ${what} | ${n.toFixed(0)} ${unit} | ${target} | ${good === undefined ? '' : good ? 'yes' : '**no**'} |`)
  say('signed in for the first time, to the newest row', first, 'ms', '')
  say('opened again, to the first row', median(loaded), 'ms', '')
  say('a leap anywhere, until its rows are there', median(leaps), 'ms', '')
  say('a message opened out of the blue, until its text is there', median(opened), 'ms', '< 50 ms', median(opened) < 50)
  say('frames a second, reading speed, median', 1000 / median(slow), '/s', '≥ 59 /s', 1000 / median(slow) >= 59)
  say('the same, flying over it', 1000 / median(fast), '/s', '≥ 59 /s', 1000 / median(fast) >= 59)
  say('frames of 300 that came late (over 34 ms)', slow.filter((ms) => ms > 34).length, '', '')
  say('elements for rows', elements, '', '≤ 40', elements <= 40)
  say("the page's heap", usedSize / 1e6, 'MB', '< 60 MB', usedSize < 60e6)
  say('a message appended by IMAP, until its row stands', median(came), 'ms', '')
  console.log(`${COUNT.toLocaleString('en')} messages in the inbox.\n\n| | | target | reached |\n|---|---:|---|---|\n${rows.join('\n')}`)
} finally {
  await chrome.close()
  await offices.close()
}
