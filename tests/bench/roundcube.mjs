// The browser program beside Debian's Roundcube: the same mailbox of the same server, in one run, in turn, in the same Chromium.
// Both are signed in. Each number is the median of ROUNDS; times are taken within the page, from the act to what it shows.
// Before each act both pages have come to rest (what an act sets going afterwards in either is on nobody's clock), and who begins changes each round.
//   PACKETBOAT=.../release/packetboat node tests/bench/roundcube.mjs [MESSAGES]     writes its table to standard output
// With PROGRAM=web-program/dist its files are those of that folder (`tests/browser/front.mjs`), kept by the browser as the office has them kept.
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
process.env.PROGRAM_KEPT = ''
const { browser, Offices, signIn, until } = await import('../browser/offices.mjs')

const COUNT = Number(process.argv[2] ?? 10_000)
const ROUNDS = 7
const free = () => new Promise((done) => { const server = createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => done(port)) }) })
const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)]
const at = (n) => { const d = new Date(Date.UTC(2026, 0, 1) + n * 600_000); return `${String(d.getUTCDate()).padStart(2, '0')}-${['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'][d.getUTCMonth()]}-2026 ${d.toISOString().slice(11, 19)} +0000` }
const letter = (n) => `From: Writer ${n % 97} <w${n % 97}@there.test>\r\nTo: ann@here.test\r\nSubject: Letter ${n}${n % 1000 === 0 ? ' walrus' : ''}\r\nMessage-ID: <${n}@bench>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\r\nThis is the text of letter ${n}.\r\n${'Some more words of it, as letters have them. '.repeat(20)}\r\n`

/** Roundcube on PHP's own server, eight workers, the byte code kept; its database in SQLite. */
async function roundcube(folder, base) {
  const [port, config] = [await free(), join(folder, 'config')]
  for (const dir of [config, join(folder, 'temp'), join(folder, 'logs')]) mkdirSync(dir)
  for (const file of ['defaults.inc.php', 'mimetypes.php']) cpSync(`/etc/roundcube/${file}`, join(config, file))
  const database = join(folder, 'roundcube.sqlite')
  execFileSync('php', ['-r', '$db = new PDO("sqlite:" . $argv[1]); $db->exec(file_get_contents("/usr/share/roundcube/SQL/sqlite.initial.sql"));', database])
  writeFileSync(join(config, 'config.inc.php'), `<?php
$config = ['db_dsnw' => 'sqlite:///${database}?mode=0600', 'imap_host' => '127.0.0.1:${base + 143}', 'smtp_host' => '127.0.0.1:${base + 587}', 'smtp_user' => '%u', 'smtp_pass' => '%p',
  'des_key' => '0123456789abcdef01234567', 'plugins' => [], 'skin' => 'elastic', 'log_dir' => '${folder}/logs/', 'temp_dir' => '${folder}/temp/', 'language' => 'en_US', 'mail_domain' => 'here.test',
  'imap_cache' => 'db', 'messages_cache' => 'db', 'enable_installer' => false, 'check_all_folders' => false, 'drafts_mbox' => 'Drafts', 'sent_mbox' => 'Sent', 'trash_mbox' => 'Trash', 'junk_mbox' => 'Junk', 'create_default_folders' => false, 'mail_pagesize' => 50, 'mime_param_folding' => 0];
`)
  const server = spawn('php', ['-d', 'opcache.enable_cli=1', '-d', 'opcache.enable=1', '-d', 'session.gc_probability=0', '-S', `127.0.0.1:${port}`, '-t', '/var/lib/roundcube'], { env: { ...process.env, ROUNDCUBE_CONFIG_DIR: config, PHP_CLI_SERVER_WORKERS: '8' }, stdio: 'ignore', detached: true })
  const url = `http://127.0.0.1:${port}/index.php`
  await until('Roundcube', async () => (await fetch(url)).ok, 30)
  return { url, close: () => process.kill(-server.pid) }
}

/** Does it in the page, and waits there until it shows: milliseconds. */
const timed = (page, act, shows, ...rest) => page.evaluate(async ([act, shows, rest]) => {
  const [go, is] = [act, shows].map((text) => new Function(`return (${text})`)())
  const begun = performance.now()
  go(...rest)
  while (!is(...rest)) { await new Promise((frame) => requestAnimationFrame(frame)); if (performance.now() - begun > 60_000) throw new Error('it does not show') }
  return performance.now() - begun
}, [String(act), String(shows), rest])

/** Does it in the page; until the page holds what it shows, by its own clock, at the very change that brings it: who looks once a frame makes sixtieths of a second of it. */
const changed = (page, act, shows, ...rest) => page.evaluate(async ([act, shows, rest]) => {
  const [go, is] = [act, shows].map((text) => new Function(`return (${text})`)())
  if (is(...rest)) throw new Error('it shows before it is done')
  return await new Promise((done, failed) => {
    const end = setTimeout(() => { failed(new Error('it does not show')) }, 60_000)
    const watch = new MutationObserver(() => { if (!is(...rest)) return; const ms = performance.now() - begun; watch.disconnect(); clearTimeout(end); done(ms) })
    watch.observe(document, { subtree: true, childList: true, characterData: true, attributes: true })
    const begun = performance.now()
    go(...rest)
  })
}, [String(act), String(shows), rest])

/** Whether a page has rested since it was asked the last time: it took no tenth of the processor for its main thread. */
async function rests(page) {
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  const ticks = async () => (await session.send('Performance.getMetrics')).metrics.find((metric) => metric.name === 'TaskDuration').value
  let [before, quiet] = [await ticks(), 0]
  return {
    async look() { const now = await ticks(); quiet = now - before < 0.02 ? quiet + 1 : 0; before = now; return quiet >= 3 },
    close: () => session.detach(),
  }
}
/** Nothing goes on in any of the pages for six tenths of a second; Roundcube goes on by itself half a second after it has sent. */
async function rested(...pages) {
  const all = await Promise.all(pages.map(rests))
  const end = Date.now() + 20_000
  for (let quiet = false; !quiet && Date.now() < end;) { await new Promise((go) => setTimeout(go, 200)); quiet = (await Promise.all(all.map((one) => one.look()))).every(Boolean) }
  for (const one of all) await one.close()
}

/** In every page of both: when its first row stood in a frame that was drawn. A driver that asks from outside measures its own way there as well. */
const watched = (row) => {
  const look = () => {
    const one = document.querySelector(row)
    if (one === null || one.getBoundingClientRect().height === 0) { requestAnimationFrame(look); return }
    const drawn = new MessageChannel()
    drawn.port1.onmessage = () => { globalThis.stood = performance.now() }
    drawn.port2.postMessage(null)
  }
  requestAnimationFrame(look)
}

/** Typed as people do, ten keys a second; from the last letter until the list has the hits and nothing else. `enter`: who needs that key, has it typed as the next one. */
const typedUntil = (page, field, text, enter, shows) => page.evaluate(async ([selector, text, enter, shows]) => {
  const [go, is] = [enter, shows].map((code) => new Function(`return (${code})`)())
  const key = () => new Promise((next) => setTimeout(next, 100))
  const field = document.querySelector(selector)
  field.focus()
  let begun = 0
  for (const letter of text) {
    await key()
    begun = performance.now()
    field.value += letter
    field.dispatchEvent(new Event('input', { bubbles: true }))
  }
  if (go !== null) setTimeout(go, 100)
  // What stands there before anything is drawn anew does not count.
  await new Promise((frame) => requestAnimationFrame(() => setTimeout(frame)))
  while (!is(text)) { await new Promise((frame) => requestAnimationFrame(frame)); if (performance.now() - begun > 60_000) throw new Error('it does not show') }
  return performance.now() - begun
}, [field, text, String(enter), String(shows)])

const offices = await Offices.open()
const chrome = await browser()
const folder = mkdtempSync(join(tmpdir(), 'packetboat-roundcube-'))
let php
try {
  for (let n = 1; n <= COUNT; n += 2000) await offices.appendAll('ann', Array.from({ length: Math.min(2000, COUNT - n + 1) }, (_, i) => letter(n + i)), 'INBOX', '\\Seen', Array.from({ length: 2000 }, (_, i) => at(n + i)))
  // Both search by the same index; of a mailbox that stands it has all.
  await until('the search index', async () => (await offices.operate('here.test', 'index', 'status')).split('\n').some((line) => /^ann@here\.test\b/.test(line) && line.trim().split(/\s+/)[2] === '0'), 600)
  php = await roundcube(folder, offices.base)
  const password = offices.password('ann@here.test')
  const view = { viewport: { width: 1360, height: 860 } }
  const bypass = { ...view, bypassCSP: true }
  const ourContext = await chrome.newContext(bypass)
  await ourContext.addInitScript(() => { localStorage.setItem('choices', JSON.stringify({ undo: 0 })) })
  await ourContext.addInitScript(watched, '.row:not(.bones)')
  const ours = await ourContext.newPage()
  await signIn(ours, offices.here, 'ann@here.test', password)
  const theirContext = await chrome.newContext(bypass)
  await theirContext.addInitScript(watched, '#messagelist tbody tr')
  const theirs = await theirContext.newPage()
  await theirs.goto(php.url)
  await theirs.fill('#rcmloginuser', 'ann@here.test')
  await theirs.fill('#rcmloginpwd', password)
  await theirs.click('#rcmloginsubmit')
  await theirs.locator('#messagelist tbody tr').first().waitFor()

  const times = {}
  const note = (what, who, ms) => { ((times[what] ??= { ours: [], theirs: [] })[who]).push(ms) }
  /** From the address to the newest row on the screen, by the page's own clock, which begins with the navigation; the browser has the files already. */
  const load = async (page, url) => { await page.goto(url, { waitUntil: 'commit' }); return await (await page.waitForFunction(() => globalThis.stood)).jsonValue() }
  const inbox = { ours: [ours, `${offices.here}/m/0/inbox`], theirs: [theirs, `${php.url}?_task=mail&_mbox=INBOX`] }
  const settled = (page) => page.waitForLoadState('networkidle')
  const rest = async () => { await settled(ours); await settled(theirs); await rested(ours, theirs) }
  const both = async () => { await load(...inbox.ours); await load(...inbox.theirs) }
  /** In turn, each from rest: who begins changes each round. */
  const turns = async (round, what, act) => { for (const who of round % 2 === 0 ? ['ours', 'theirs'] : ['theirs', 'ours']) { await rest(); const ms = await act[who](); if (!what.isTry) note(what.name, who, ms) } }
  for (let round = 0; round < ROUNDS; round++) {
    await turns(round, { name: 'load to the list', isTry: round === 0 }, { ours: () => load(...inbox.ours), theirs: () => load(...inbox.theirs) })
    // A message that was not read before: neither has it.
    const wanted = COUNT - 12 - round
    await turns(round, { name: 'open a message' }, {
      ours: () => timed(ours, (n) => { [...document.querySelectorAll('.row')].find((r) => r.textContent.includes(`Letter ${n}`)).click() }, (n) => document.querySelector('article .body')?.textContent.includes(`text of letter ${n}`), wanted),
      theirs: () => timed(theirs, (n) => { const row = [...document.querySelectorAll('#messagelist tbody tr')].find((r) => r.textContent.includes(`Letter ${n}`)); for (const kind of ['mousedown', 'mouseup', 'click']) row.querySelector('.subject a, .subject').dispatchEvent(new MouseEvent(kind, { bubbles: true, button: 0 })) }, (n) => document.querySelector('#messagecontframe')?.contentDocument?.querySelector('#messagebody')?.textContent.includes(`text of letter ${n}`), wanted),
    })
    await both()
    const word = `Letter ${1000 * (1 + (round % Math.floor(COUNT / 1000)))} walrus`
    // By Enter in both, all letters put in at once; ours shows the same while one types (below).
    await rest()
    for (const [page, field] of [[ours, '#search'], [theirs, '#mailsearchform']]) await page.focus(field)
    await turns(round, { name: 'search, from Enter' }, {
      ours: () => changed(ours, (w) => { const field = document.querySelector('#search'); field.value = `subject:walrus ${w.split(' ')[1]}`; field.dispatchEvent(new Event('input', { bubbles: true })); field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true })) }, (w) => { const rows = [...document.querySelectorAll('.row')]; return rows.length > 0 && rows.length < 20 && rows.some((r) => r.querySelector('.subject')?.textContent.includes(w)) }, word),
      theirs: () => changed(theirs, (w) => { const field = document.querySelector('#mailsearchform'); field.value = w; window.rcmail.command('search') }, (w) => { const rows = [...document.querySelectorAll('#messagelist tbody tr')]; return rows.length > 0 && rows.length < 20 && rows.some((r) => r.textContent.includes(w)) }, word),
    })
    await both()
    const one = 1000 * (2 + (round % 8))
    // Of this query alone, not of its beginning: the address bar has all of it.
    await turns(round, { name: 'search, from the last letter typed' }, {
      ours: () => typedUntil(ours, '#search', `subject:walrus ${one}`, null, (text) => new URLSearchParams(location.search).get('q') === text && document.querySelectorAll('.row').length === 1 && document.querySelector('.row .subject')?.textContent.includes(`Letter ${text.split(' ')[1]} walrus`)),
      theirs: () => typedUntil(theirs, '#mailsearchform', `Letter ${one} walrus`, () => window.rcmail.command('search'), (text) => { const rows = [...document.querySelectorAll('#messagelist tbody tr')]; return rows.length === 1 && rows[0].textContent.includes(text) }),
    })
    // To send: from rest the letter is written, then the button, without a pause in which a draft is saved; until it says that it is sent.
    await both()
    await turns(round, { name: 'send' }, {
      ours: async () => {
        await ours.locator('body').press('c')
        await ours.getByRole('combobox', { name: 'To', exact: true }).fill('bob@here.test')
        await ours.keyboard.press('Tab')
        await ours.getByPlaceholder('Subject').fill(`Sent ${round}`)
        await ours.getByRole('textbox', { name: 'Message' }).click()
        await ours.keyboard.type('Words')
        return changed(ours, () => { [...document.querySelectorAll('.compose .foot button')].find((b) => b.textContent.trim() === 'Send').click() }, () => [...document.querySelectorAll('.toast')].some((one) => one.textContent.includes('Sent')))
      },
      theirs: async () => {
        await theirs.goto(`${php.url}?_task=mail&_action=compose&_to=bob@here.test`)
        await theirs.locator('#compose-subject').fill(`Sent ${round}`)
        await theirs.locator('#composebody').fill('Words')
        await settled(theirs)
        return changed(theirs, () => { document.querySelector('button.send').click() }, () => /sent successfully/i.test(document.querySelector('#messagestack')?.textContent ?? ''))
      },
    })
  }

  console.log(`${COUNT.toLocaleString('en')} messages in the inbox; ${ROUNDS} rounds, medians.\n`)
  console.log('| act | ours | Roundcube | ratio | target | reached |\n|---|---:|---:|---:|---|---|')
  for (const [what, { ours: a, theirs: b }] of Object.entries(times)) { const ratio = median(b) / median(a); console.log(`| ${what} | ${median(a).toFixed(0)} ms | ${median(b).toFixed(0)} ms | ${ratio.toFixed(1)}x | ≥ 3x | ${ratio >= 3 ? 'yes' : '**no**'} |`) }

  // Ours alone: the bounds that hold without anybody beside it.
  const rows = []
  // As people do it: the pointer comes first, and with it what will be read.
  const opened = []
  for (let n = 0; n < ROUNDS; n++) {
    await load(...inbox.ours)
    await settled(ours)
    const row = ours.locator('.row', { hasText: `Letter ${COUNT - 1 - n}` })
    await row.hover()
    await ours.waitForTimeout(150)
    opened.push(await timed(ours, (m) => { [...document.querySelectorAll('.row')].find((r) => r.textContent.includes(`Letter ${m}`)).click() }, (m) => document.querySelector('article .body')?.textContent.includes(`text of letter ${m}`), COUNT - 1 - n))
  }
  rows.push(['a message opened, the pointer on it before', median(opened), 'ms', 50])
  await load(...inbox.ours)
  await ours.locator('#list').waitFor()
  const frames = await ours.evaluate(async () => {
    const list = document.querySelector('#list')
    const took = []
    let last = await new Promise((frame) => requestAnimationFrame(frame))
    for (let n = 0; n < 240; n++) { list.scrollTop += 180; const now = await new Promise((frame) => requestAnimationFrame(frame)); took.push(now - last); last = now }
    return took
  })
  rows.push(['frames a second while the list scrolls, median', 1000 / median(frames), '/s', -59])
  // By the page's own clock, from the beginning of the navigation until the field is on the screen and has the focus: a driver that types
  // has scripts of its own in the page, and four times slower they take longer than the page.
  const typed = []
  let slow, octets
  for (let n = 0; n < ROUNDS; n++) {
    slow = await (await chrome.newContext(view)).newPage()
    await slow.addInitScript(() => {
      const look = () => { const field = document.querySelector('input[type=email]'); requestAnimationFrame(field === null ? look : () => { field.focus(); if (document.activeElement === field) globalThis.typed = performance.now() }) }
      look()
    })
    const network = await slow.context().newCDPSession(slow)
    await network.send('Network.enable')
    await network.send('Emulation.setCPUThrottlingRate', { rate: 4 })
    octets = 0
    network.on('Network.loadingFinished', (event) => { octets += event.encodedDataLength })
    await slow.goto(offices.here)
    typed.push(await (await slow.waitForFunction(() => globalThis.typed)).jsonValue())
    await slow.waitForLoadState('networkidle')
    await slow.evaluate(() => document.fonts.ready)
    if (n < ROUNDS - 1) await slow.context().close()
  }
  rows.push(['first load until one can type, CPU slowed four times', median(typed), 'ms', 1000])
  rows.push(['first load', octets / 1000, 'kB', 150])
  console.log('\n| ours alone | | target | reached |\n|---|---:|---|---|')
  for (const [what, n, unit, target] of rows) console.log(`| ${what} | ${n.toFixed(0)} ${unit} | ${target < 0 ? `≥ ${-target}` : `< ${target}`} ${unit} | ${(target < 0 ? n >= -target : n < target) ? 'yes' : '**no**'} |`)
} finally {
  php?.close()
  await chrome.close()
  await offices.close()
  rmSync(folder, { recursive: true, force: true })
}
