// Another version of the program comes while one has it open: what is kept opens without a network, and is of one version, page and files.
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { front } from './front.mjs'
import { browser, byRequests, desktop, Offices, signIn, until } from './offices.mjs'

const DIST = fileURLToPath(new URL('../../web-program/dist', import.meta.url))
const ANN = 'ann@here.test'
let offices, chrome, ann, folder, door, url, isCut = false

/** The same program under other names: all its scripts, for each names others. */
function another(folder, worker) {
  const names = readdirSync(join(folder, 'assets')).filter((name) => name.endsWith('.js')).toSorted((a, b) => b.length - a.length)
  const any = new RegExp(names.map((name) => name.replace(/\.js$/, '').replaceAll('.', '\\.')).map((name) => `${name}(?=\\.js)`).join('|'), 'g')
  const changed = (text) => text.replace(any, '$&-Another1')
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(js|html|json)$/.test(name))) {
    const [whole, text] = [join(folder, path), readFileSync(join(folder, path), 'utf8')]
    const now = path === 'worker.js' ? text.replace(/[0-9a-f]{16}/, worker) : changed(text)
    if (now === text && changed(path) === path) continue
    for (const ending of ['.br', '.gz']) rmSync(`${whole}${ending}`, { force: true })
    writeFileSync(whole, now)
    renameSync(whole, join(folder, changed(path)))
  }
}

before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ${ANN}\r\nSubject: A letter\r\n\r\nText of it\r\n`)
  folder = join(offices.folder, 'dist')
  cpSync(DIST, folder, { recursive: true })
  // The network in between, which can be cut.
  const inner = new URL(await front(folder, `http://127.0.0.1:${offices.base + 80}`))
  door = createServer((asked, answer) => {
    if (isCut) { asked.socket.destroy(); return }
    const onward = request({ host: inner.hostname, port: inner.port, path: asked.url, method: asked.method, headers: asked.headers }, (got) => { answer.writeHead(got.statusCode, got.headers); got.pipe(answer) })
    onward.on('error', () => answer.destroy())
    asked.pipe(onward)
  })
  await new Promise((ready) => door.listen(0, '127.0.0.1', ready))
  url = `http://127.0.0.1:${door.address().port}`
  ann = await desktop(chrome)
  await byRequests(ann.context())
  await signIn(ann, url, ANN, offices.password(ANN))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close(); door?.close(); door?.closeAllConnections() })

const row = () => ann.locator('.row', { hasText: 'A letter' })
/** The kept page, what it names, and whether that is all there: by name of where it is kept. */
const kept = () => ann.evaluate(async () => {
  const all = {}
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    const page = await (await cache.match('/'))?.text() ?? ''
    const files = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, file]) => file)
    const there = await Promise.all(files.map((file) => cache.match(file)))
    all[name] = { another: page.includes('-Another1.'), files: files.length, missing: files.filter((_, n) => !there[n]) }
  }
  return all
})
const whole = (is, before = '') => until(`kept: ${is ? 'the other' : 'the first'}`, async () => { const [name, found] = Object.entries(await kept()).at(-1) ?? []; return name !== before && found?.another === is && found.files > 5 && found.missing.length === 0 && name })
const online = (is) => { isCut = !is; door.closeAllConnections() }
const opens = async () => {
  online(false)
  await ann.goto(`${url}/m/0/inbox`)
  await row().waitFor()
  await ann.locator('#list[role=grid]').waitFor()
  online(true)
}

describe('another version', { timeout: 300_000 }, () => {
  it('of which nothing is kept yet does not take the place of what is kept', async () => {
    await ann.evaluate(() => navigator.serviceWorker.ready)
    const first = await whole(false)
    await opens()
    another(folder, first.slice(-16))
    await ann.goto(`${url}/m/0/inbox`)
    await row().waitFor()
    assert.equal(await ann.evaluate(() => document.documentElement.outerHTML.includes('-Another1.')), true, 'with a network one has the newest')
    await ann.waitForLoadState('networkidle')
    assert.equal(await whole(false), first)
    await opens()
    assert.equal(await ann.evaluate(() => document.documentElement.outerHTML.includes('-Another1.')), false)
  })

  it('is kept whole or not at all; a window of the version before has its parts still', async () => {
    const [first] = Object.keys(await kept())
    // A window that was opened without a network, before there was another version.
    await opens()
    const worker = join(folder, 'worker.js')
    writeFileSync(worker, readFileSync(worker, 'utf8').replace(first.slice(-16), '0123456789abcdef'))
    for (const ending of ['.br', '.gz']) rmSync(`${worker}${ending}`, { force: true })
    await ann.evaluate(async () => { await (await navigator.serviceWorker.getRegistration()).update() })
    assert.equal(await whole(true, first), 'program-0123456789abcdef')
    await ann.getByRole('link', { name: 'Settings' }).click()
    await ann.locator('main.settings').waitFor()
    await opens()
    assert.equal(await ann.evaluate(() => document.documentElement.outerHTML.includes('-Another1.')), true)
    assert.deepEqual(ann.troubles.filter((one) => !/ERR_|Failed to load/.test(one)), [])
  })
})
