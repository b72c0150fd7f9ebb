// Two post offices (`packetboat try`) on free ports, a browser, and the mailboxes as other programs see them (curl by IMAP and POP3).
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { front } from './front.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target')
export const binary = process.env.PACKETBOAT ?? join(target, 'debug', 'packetboat')
/** Screenshots: kept for who wants to look, never committed. */
export const pictures = join(target, 'browser')
mkdirSync(pictures, { recursive: true })

const { chromium } = await import(new URL('../../web-program/node_modules/playwright-core/index.mjs', import.meta.url))

const isFree = (port) => new Promise((done) => {
  const server = createServer().once('error', () => done(false)).once('listening', () => server.close(() => done(true))).listen(port, '127.0.0.1')
})

async function freeBase() {
  for (let base = 28000 + 100 * (process.pid % 40); base < 39000; base += 100) {
    const ports = [25, 53, 80, 110, 143, 465, 587, 993, 995].flatMap((n) => [base + n, base + 1000 + n])
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base
  }
  throw new Error('no free ports')
}

export async function until(what, act, seconds = 30) {
  const end = Date.now() + seconds * 1000
  let last
  while (Date.now() < end) {
    try { const found = await act(); if (found) return found } catch (error) { last = error }
    await new Promise((go) => setTimeout(go, 50))
  }
  throw new Error(`${what}: not within ${seconds} s${last ? ` (${last.message})` : ''}`)
}

export class Offices {
  static async open() {
    const self = new Offices()
    self.folder = mkdtempSync(join(tmpdir(), 'packetboat-browser-'))
    for (let left = 5; ; left--) {
      self.base = await freeBase()
      // Another test may have found the same ports free a moment ago.
      try { await self.start(); break } catch (error) { if (left === 0 || !error.message.includes('already in use')) throw error }
    }
    if (process.env.PROGRAM) self.fronts = await Promise.all([80, 1080].map((n) => front(join(root, process.env.PROGRAM), `http://127.0.0.1:${self.base + n}`)))
    return self
  }

  async start() {
    this.process = spawn(binary, ['try', '--data', join(this.folder, 'data'), '--port-base', String(this.base)], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.tour = ''
    this.log = ''
    this.process.stdout.on('data', (d) => { this.tour += d })
    this.process.stderr.on('data', (d) => { this.log += d })
    await until('both post offices', () => this.process.exitCode !== null || this.log.includes('packetboat ready'), 60)
    if (this.process.exitCode !== null) throw new Error(this.log)
  }

  get here() { return this.fronts?.[0] ?? `http://127.0.0.1:${this.base + 80}` }
  get there() { return this.fronts?.[1] ?? `http://127.0.0.1:${this.base + 1080}` }

  password(address) {
    const line = this.tour.split('\n').find((l) => l.includes(address) && l.includes('password'))
    return line.trim().split(/\s+/).at(-1)
  }

  async stop(signal = 'SIGINT') {
    const ended = new Promise((done) => this.process.once('exit', done))
    this.process.kill(signal)
    await ended
  }

  /** A command of the operator's, to one of the offices. */
  async operate(domain, ...args) {
    const config = join(this.folder, 'data', `${domain}.toml`)
    const { stdout } = await promisify(execFile)(binary, [...args, '--config', config], { timeout: 20_000 })
    return stdout
  }

  /** The same, with a password on standard input. */
  async operateWith(domain, password, ...args) {
    const config = join(this.folder, 'data', `${domain}.toml`)
    const run = promisify(execFile)(binary, [...args, '--config', config], { timeout: 20_000 })
    run.child.stdin.end(`${password}\n`)
    return (await run).stdout
  }

  /** A file with these octets. */
  file(octets) {
    const name = join(this.folder, `file-${Math.random().toString(36).slice(2)}`)
    writeFileSync(name, octets)
    return name
  }

  async close() {
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  async curl(...args) {
    const { stdout } = await promisify(execFile)('curl', ['-sS', '--max-time', '20', ...args], { maxBuffer: 64e6 })
    return stdout
  }

  rc(name) { return join(this.folder, 'data', `${name}.curlrc`) }
  imap(name, path, ...more) { return this.curl('-K', this.rc(name), `imap://127.0.0.1:${this.base + (name === 'carol' ? 1143 : 143)}/${path}`, ...more) }
  /** The envelopes and flags of a mailbox, by IMAP; a mailbox that is empty or not there has none. */
  async listed(name, box = 'INBOX') { return this.imap(name, box, '-X', 'FETCH 1:* (FLAGS ENVELOPE)').catch(() => '') }

  /** The newest letter of this subject, whole, when it has come. */
  whole(name, subject, box = 'INBOX', seconds = 30) {
    return until(`${subject} at ${name}`, async () => {
      const lines = (await this.listed(name, box)).split(/^(?=\* \d+ FETCH)/m)
      const n = lines.findLast((line) => line.includes(`"${subject}"`))?.match(/^\* (\d+)/)?.[1]
      return n === undefined ? undefined : this.imap(name, `${box};MAILINDEX=${n}`)
    }, seconds)
  }

  pop(name, number) { return this.curl('-K', this.rc(name), `pop3://127.0.0.1:${this.base + (name === 'carol' ? 1110 : 110)}/${number}`) }

  /** Puts a message into an inbox, as a neighbour of the same post office would: by submission. */
  async submit(from, to, text) {
    const file = join(this.folder, `message-${Math.random().toString(36).slice(2)}.eml`)
    writeFileSync(file, text.replace(/\r?\n/g, '\r\n'))
    const name = from.split('@')[0]
    await this.curl('-K', this.rc(name), `smtp://127.0.0.1:${this.base + (name === 'carol' ? 1587 : 587)}`, '--mail-from', from, '--mail-rcpt', to, '-T', file)
  }

  /** Many of them, in one conversation with the server; `dates`: when they came. */
  async appendAll(name, all, box = 'INBOX', flags = '\\Seen', dates = []) {
    const [, address, password] = /user\s*=?\s*"?([^:"]+):([^"\n]+)"?/.exec(readFileSync(this.rc(name), 'utf8'))
    const socket = connect(this.base + (name === 'carol' ? 1143 : 143), '127.0.0.1')
    let got = ''
    socket.setEncoding('latin1').on('data', (d) => { got += d })
    const said = (what) => until(`IMAP: ${what}`, () => { const at = got.indexOf(what); if (at === -1) return false; got = got.slice(at + what.length); return true }, 30)
    await said('* OK')
    socket.write(`a LOGIN "${address}" "${password}"\r\n`)
    await said('a OK')
    for (let n = 0; n < all.length; n++) {
      const octets = Buffer.from(all[n])
      socket.write(`b${n} APPEND ${box} (${flags}) ${dates[n] ? `"${dates[n]}" ` : ''}{${octets.length}+}\r\n`)
      socket.write(octets)
      socket.write('\r\n')
    }
    await said(`b${all.length - 1} OK`)
    socket.end('z LOGOUT\r\n')
  }

  /** APPEND by IMAP: octets as they are. */
  async append(name, octets, box = 'INBOX') {
    const file = join(this.folder, `append-${Math.random().toString(36).slice(2)}.eml`)
    writeFileSync(file, octets)
    await this.imap(name, box, '-T', file)
  }
}

export async function browser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
}

/** So many times slower works every page: what is in a hurry only on a fast machine shows itself. */
const SLOWER = Number(process.env.SLOWER ?? 1)

/** A page that fails its test with everything a console should not say, and that knows every address it asked. */
export async function page(context) {
  const found = await context.newPage()
  if (SLOWER > 1) await (await context.newCDPSession(found)).send('Emulation.setCPUThrottlingRate', { rate: SLOWER })
  found.troubles = []
  found.asked = []
  found.on('pageerror', (e) => found.troubles.push(`error: ${e.message}`))
  found.on('console', (m) => { if (m.type() === 'error' && !/status of 401|ERR_CONNECTION|ERR_INTERNET|ERR_EMPTY|WebSocket/.test(m.text())) found.troubles.push(m.text()) })
  found.on('request', (r) => found.asked.push(r.url()))
  found.on('dialog', (d) => { void d.accept() })
  return found
}

export async function signIn(p, origin, address, password) {
  await p.goto(origin)
  await p.getByLabel('Address').fill(address)
  await p.getByLabel('Password').fill(password)
  await p.getByRole('button', { name: 'Sign in', exact: true }).click()
  await p.locator('#list').waitFor()
}

/** The program itself has taken the place of what came with the page. */
export const stands = (p) => p.locator('#list[role=grid]').waitFor()

/** The way back in the word of what was done. It stays while it has the focus, however long it takes to look whether it was done. */
export async function wayBack(p, said) {
  const undo = p.locator('.toast', { hasText: said }).last().getByRole('button', { name: 'Undo' })
  await undo.focus()
  return undo
}

/** A letter begun: to whom, about what, with which text. */
export async function letter(p, to, subject, text) {
  await p.locator('body').press('c')
  if (to) {
    await p.getByRole('combobox', { name: 'To', exact: true }).fill(to)
    await p.keyboard.press('Tab')
  }
  await p.getByPlaceholder('Subject').fill(subject)
  const editor = p.getByRole('textbox', { name: 'Message' })
  await editor.click()
  await p.keyboard.type(text)
  return editor
}

/** A letter as somebody else's program reads it: Python's `email`. The texts without their transfer encoding, the other parts by name and type. */
export async function opened(octets) {
  const run = promisify(execFile)('python3', ['-c', `
import email, email.policy, json, sys
letter = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
texts = {'text/plain': [], 'text/html': []}
parts = []
for part in letter.walk():
    kind = part.get_content_type()
    if part.is_multipart(): continue
    if kind in texts and part.get_content_disposition() != 'attachment': texts[kind].append(part.get_content().replace('\\r\\n', '\\n'))
    else: parts.append({'type': kind, 'name': part.get_filename(), 'id': part.get('Content-ID'), 'text': part.get_payload(decode=True).decode('latin-1')})
print(json.dumps({'subject': letter['Subject'], 'from': letter['From'], 'to': letter['To'], 'text': '\\n'.join(texts['text/plain']), 'html': '\\n'.join(texts['text/html']), 'parts': parts}))
`], { maxBuffer: 64e6 })
  run.child.stdin.end(octets)
  return JSON.parse((await run).stdout)
}

/** Files as they come by drag or by paste, for `dispatchEvent`. */
export const carried = (p, files) => p.evaluateHandle((all) => {
  const carried = new DataTransfer()
  for (const { name, type, bytes } of all) carried.items.add(new File([new Uint8Array(bytes)], name, { type }))
  return carried
}, files.map((f) => ({ ...f, bytes: [...f.bytes] })))

/** What stands in a QR code on the screen, as jsQR reads it from a picture. */
export async function readCode(chrome, code) {
  const picture = (await code.screenshot()).toString('base64')
  const p = await chrome.newPage()
  const data = await p.evaluate(async (source) => {
    const image = new Image()
    image.src = source
    await image.decode()
    const context = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height }).getContext('2d')
    context.drawImage(image, 0, 0)
    const { width, height, data } = context.getImageData(0, 0, image.width, image.height)
    return { width, height, data: [...data] }
  }, `data:image/png;base64,${picture}`)
  await p.close()
  const { default: { default: jsQR } } = await import(new URL('../../web-program/node_modules/jsqr/dist/jsQR.js', import.meta.url))
  return jsQR(Uint8ClampedArray.from(data.data), data.width, data.height)?.data
}

export const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNk+M9Qz0AEYBxVSF+FABJADveWkH6oAAAAAElFTkSuQmCC', 'base64')

/** Sends at once: no time to think again. */
export const hasty = (context) => context.addInitScript(() => { if (!localStorage.getItem('choices')) localStorage.setItem('choices', JSON.stringify({ undo: 0 })) })

/** Asks by HTTP alone, which a test can count, hold up and turn away; else the program asks on the WebSocket that stands. From the next page on. */
export const byRequests = (context) => context.addInitScript(() => { delete globalThis.WebSocket })

/** A desktop's window of its own, in which nothing can be taken back, so that what is sent goes at once. */
export async function desktop(chrome) {
  const context = await chrome.newContext({ viewport: { width: 1360, height: 860 } })
  await hasty(context)
  return page(context)
}

/** What the program keeps in the browser, by database and table (or of one table). A database that is not there is not made by looking: the program would find it without tables. */
export const stored = (p, only) => p.evaluate(async (only) => {
  const come = (asked) => new Promise((done, failed) => { asked.onsuccess = () => done(asked.result); asked.onerror = () => failed(asked.error) })
  const found = {}
  for (const { name } of await indexedDB.databases()) {
    const asked = indexedDB.open(name)
    // It went in between.
    asked.onupgradeneeded = () => asked.transaction.abort()
    const db = await come(asked).catch(() => undefined)
    for (const table of db?.objectStoreNames ?? []) if (!only || table === only) found[`${name} ${table}`] = await come(db.transaction(table).objectStore(table).getAll())
    db?.close()
  }
  return found
}, only)

export const axeSource = () => readFileSync(new URL('../../web-program/node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')

/** Every violation of WCAG 2.2 A and AA that axe can see, as lines. */
export async function axe(p) {
  if (!(await p.evaluate(() => 'axe' in globalThis))) await p.evaluate(axeSource())
  return p.evaluate(async () => {
    const found = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], iframes: false })
    return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(' ')} ${n.failureSummary.split('\n')[1] ?? ''}`))
  })
}
