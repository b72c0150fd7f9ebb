// Whatever one does in two windows at once, in any order and faster than the server answers: in the end both show what IMAP has, and no
// page said anything to its console. `make browser-soak ROUNDS=n SEED=n` goes on for longer.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { browser, Offices, page, signIn, until } from './offices.mjs'

const seed = Number(process.env.SEED ?? 1), rounds = Number(process.env.ROUNDS ?? 1), ACTS = 50
let offices, chrome
before(async () => { [offices, chrome] = await Promise.all([Offices.open(), browser()]) }, { timeout: 90_000 })
after(async () => { await chrome?.close(); await offices?.close() })

/** The same numbers for the same seed (Mulberry32). */
function numbers(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
const random = numbers(seed)
const below = (n) => Math.floor(random() * n)
const one = (all) => all[below(all.length)]

const KEYS = ['j', 'k', 'o', 'u', 'e', ']', '[', '#', '!', 's', 'x', 'J', 'K', 'z', 'z', 'z', 'U', 'I', 'm', '*', 'Escape']
let written = 0
const mail = () => { written++; return `From: P${written % 5} <p${written % 5}@there.test>\r\nTo: ann@here.test\r\nSubject: Letter ${written}.\r\nMessage-ID: <random-${written}@there.test>\r\n\r\nText ${written}.\r\n` }
/** Into a picker that a key opens: the first letters of a name, once it stands. */
async function choose(p, key, name) {
  await p.keyboard.press(key)
  if (!await p.locator('dialog[open]').waitFor({ timeout: 500 }).then(() => true, () => false)) return
  await p.keyboard.type(name)
  await p.keyboard.press('Enter')
}
/** [how often of a hundred, what is said of it, what is done]. */
const acts = [
  [68, () => one(KEYS), (p, key) => p.keyboard.press(key)],
  [8, () => `row ${below(8)}`, (p, row) => p.locator('.row:visible').nth(Number(row.slice(4))).click({ timeout: 1000 }).catch(() => undefined)],
  [5, () => `v ${one(['archive', 'inbox', 'spam', 'deleted'])}`, (p, to) => choose(p, 'v', to.slice(2))],
  [3, () => `l ${one(['blue', 'green'])}`, (p, to) => choose(p, 'l', to.slice(2))],
  [7, () => 'new mail', () => offices.append('ann', mail())],
  [3, () => `g ${one(['inbox', 'archive', 'spam', 'deleted'])}`, (p, to) => choose(p, 'g', to.slice(2))],
  [2, () => 'reload', async (p) => { await p.reload(); await p.locator('.row').first().waitFor({ timeout: 5000 }).catch(() => undefined) }],
  [2, () => 'back', async (p) => { await p.goBack(); if (p.url() === 'about:blank') await p.goForward() }],
  [2, () => 'search', async (p) => { await p.keyboard.press('Escape'); await p.keyboard.press('/'); await p.keyboard.type('subject:letter'); await p.keyboard.press('Enter') }],
]
/** Those behind the fifth leave the list. */
const STAYING = acts.slice(0, 5)
function drawn(from) {
  let at = random() * from.reduce((sum, [weight]) => sum + weight, 0)
  return from.find(([weight]) => { at -= weight; return at < 0 }) ?? from[0]
}

/** By IMAP: the letters of a mailbox, and which are unread. */
async function there(box) {
  const lines = (await offices.listed('ann', box)).split(/^(?=\* \d+ FETCH)/m)
  return lines.flatMap((line) => { const [, name] = /"(Letter \d+\.)"/.exec(line) ?? []; return name ? [`${name}${line.includes('\\Seen') ? '' : ' unread'}`] : [] }).sort()
}
/** In a window: all of them, by way of the list from its top to its end. */
const shown = (p) => p.evaluate(async () => {
  const list = document.getElementById('list')
  if (!list) return []
  const found = new Set()
  for (let top = 0; ; top += list.clientHeight / 2) {
    list.scrollTop = top
    await new Promise((frame) => requestAnimationFrame(() => requestAnimationFrame(frame)))
    for (const row of list.querySelectorAll('.row')) {
      const name = row.querySelector('.subject')?.textContent ?? ''
      if (row.checkVisibility() && name.startsWith('Letter ')) found.add(`${name}${row.classList.contains('unread') ? ' unread' : ''}`)
    }
    if (top + list.clientHeight >= list.scrollHeight) break
  }
  return [...found].sort()
})

const settle = (p) => until('no dialog', async () => { if (await p.locator('dialog[open]').count() === 0) return true; await p.keyboard.press('Escape'); return false })
/** By the page itself: a reload would forget what it got wrong. */
async function enter(p, role) {
  await settle(p)
  await p.locator(`nav a[href="/m/0/${role}"]`).click()
}

describe('two windows, used at random', { timeout: 60_000 + 120_000 * rounds }, () => {
  it(`show in the end what IMAP has (seed ${seed})`, async () => {
    await offices.appendAll('ann', Array.from({ length: 30 }, mail), 'INBOX', '')
    const windows = []
    for (const viewport of [{ width: 1360, height: 860 }, { width: 1100, height: 700 }]) {
      const p = await page(await chrome.newContext({ viewport }))
      await signIn(p, offices.here, 'ann@here.test', offices.password('ann@here.test'))
      windows.push(p)
    }
    let done = []
    const use = async (acts) => {
      for (let n = 0; n < ACTS; n++) {
        const w = below(2), [, what, act] = drawn(acts), said = what()
        done.push(`${w}: ${said}`)
        await act(windows[w], said)
        if (random() < 0.3) await windows[w].waitForTimeout(below(150))
      }
    }
    const agree = async (box) => {
      let last
      await until('both show what IMAP has', async () => {
        const all = await there(box)
        last = [all, ...await Promise.all(windows.map(shown))]
        return last.every((what) => what.join() === all.join())
      }, 30).catch((error) => { assert.fail(`${box}: ${error.message}\n${done.join(', ')}\n${last.map((what) => what.join(' ')).join('\n')}`) })
    }
    for (let round = 0; round < rounds; round++) {
      done = []
      await use(acts)
      for (const [box, role] of [['Archive', 'archive'], ['Trash', 'trash'], ['INBOX', 'inbox']]) {
        for (const p of windows) await enter(p, role)
        await agree(box)
      }
      // Both stand in the inbox, and go on with what they know of it.
      await use(STAYING)
      for (const p of windows) await settle(p)
      await agree('INBOX')
      for (const p of windows) assert.deepEqual(p.troubles, [])
    }
  })
})
