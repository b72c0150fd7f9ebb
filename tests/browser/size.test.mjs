// Too large is told before Send: of what this server takes, and of what the server of a receiver said that it takes.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { front } from './front.mjs'
import { binary, browser, desktop, letter, signIn, until } from './offices.mjs'

const listening = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)))
const free = async () => { const server = createServer(); const port = await listening(server); await new Promise((done) => server.close(done)); return port }

let folder, config, office, chrome, ann, far, got
async function serve() {
  office = spawn(binary, ['serve', '--config', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  office.stderr.on('data', (data) => { log += data })
  await until('the office', () => { if (office.exitCode !== null) throw new Error(log); return log.includes('packetboat ready') })
}
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'packetboat-size-'))
  got = []
  // A receiver's server that takes a megabyte, and says so.
  far = createServer((socket) => {
    let mail = false
    socket.on('error', () => undefined).write('220 far.test\r\n')
    socket.setEncoding('latin1').on('data', (data) => {
      for (const line of data.split('\r\n').slice(0, -1)) {
        if (mail) { if (line === '.') { mail = false; socket.write('250 taken\r\n') } continue }
        if (line.startsWith('MAIL')) got.push(line)
        if (line === 'DATA') mail = true
        socket.write(line.startsWith('EHLO') ? '250-far.test\r\n250 SIZE 1000000\r\n' : line === 'DATA' ? '354 go\r\n' : '250 ok\r\n')
      }
    })
  })
  const [farPort, http] = [await listening(far), await free()]
  config = join(folder, 'packetboat.toml')
  writeFileSync(config, `hostname = "mail.here.test"\ndata_dir = "${join(folder, 'data')}"\ndomains = ["here.test"]\nmessage_bytes_max = 3000000\n[listen]\nhttp = ["127.0.0.1:${http}"]\n[tls]\nself_signed = true\n[auth]\nplaintext = "loopback"\n[dns]\nservers = ["127.0.0.1:9"]\n[outbound.routes."far.test"]\nhost = "127.0.0.1"\nport = ${farPort}\ntls = "none"\n`)
  const add = promisify(execFile)(binary, ['account', 'add', 'ann@here.test', '--password-stdin', '--config', config])
  add.child.stdin.end('a long password\n')
  await add
  await serve()
  chrome = await browser()
  ann = await desktop(chrome)
  let url = `http://127.0.0.1:${http}`
  if (process.env.PROGRAM) url = await front(fileURLToPath(new URL(`../../${process.env.PROGRAM}`, import.meta.url)), url)
  await signIn(ann, url, 'ann@here.test', 'a long password')
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); office?.kill('SIGINT'); far?.close(); rmSync(folder, { recursive: true, force: true }) })

const attach = (name, size) => ann.locator('.compose input[aria-label=Attach]').setInputFiles({ name, mimeType: 'application/octet-stream', buffer: Buffer.alloc(size, 'x') })
const alert = () => ann.locator('.compose [role=alert]')

describe('too large', { timeout: 300_000 }, () => {
  it('for this server: told as soon as it is attached, and not sent', async () => {
    await letter(ann, 'ann@here.test', 'Much', 'All of it')
    await attach('much.bin', 2_500_000)
    await alert().getByText(/Too large to send: 3\.4 MB with everything, at most 3 MB go/).waitFor()
    await ann.keyboard.press('Control+Enter')
    await alert().getByText(/Too large to send/).waitFor()
    assert.equal(await ann.locator('.compose').count(), 1)
    await ann.getByRole('button', { name: 'Remove much.bin' }).click()
    await until('no word of it', async () => (await alert().textContent()) === '')
    await ann.locator('.compose').getByRole('button', { name: 'Close' }).click()
    await ann.locator('.compose').waitFor({ state: 'detached' })
  })

  it('for a receiver whose server said so: told before Send', async () => {
    // Nobody knows what far.test takes before it was met.
    await letter(ann, 'carol@far.test', 'Hello', 'How much do you take?')
    await ann.keyboard.press('Control+Enter')
    await until('it at far.test', () => got.length === 1)
    await letter(ann, 'carol@far.test', 'Half', 'A file')
    await attach('half.bin', 900_000)
    await alert().getByText(/Too large for carol@far\.test: 1\.2 MB with everything, their server takes 1 MB/).waitFor()
    await ann.keyboard.press('Control+Enter')
    await ann.getByRole('button', { name: 'Remove half.bin' }).click()
    await attach('small.bin', 400_000)
    await until('no word of it', async () => (await alert().textContent()) === '')
    await ann.locator('.pieces li', { hasText: 'small.bin' }).locator('progress').waitFor({ state: 'detached' })
    await ann.getByRole('button', { name: 'Send', exact: true }).click()
    await until('the small one at far.test', () => got.length === 2)
    assert.deepEqual(ann.troubles, [])
  })

  it('and how far an upload is, is shown, and can be stopped', async () => {
    const network = await ann.context().newCDPSession(ann)
    await network.send('Network.enable')
    await network.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 60_000 })
    await letter(ann, 'ann@here.test', 'Slow', 'A slow line')
    await attach('slow.bin', 1_500_000)
    const piece = ann.locator('.pieces li', { hasText: 'slow.bin' })
    const share = () => piece.locator('progress').evaluate((p) => p.value)
    await until('it has begun and is not at its end', async () => { const n = await share(); return n > 0 && n < 1 })
    const before = await share()
    await until('it goes on', async () => (await share()) > before)
    await ann.keyboard.press('Control+Enter')
    await alert().getByText('Send waits for the files.').waitFor()
    await ann.getByRole('button', { name: 'Remove slow.bin' }).click()
    await piece.waitFor({ state: 'detached' })
  })

  it('for what lies in between, or for a server that takes less than it did: the file says so, and which limit', async () => {
    const network = await ann.context().newCDPSession(ann)
    await network.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 })
    await ann.reload()
    await letter(ann, 'ann@here.test', 'Refused', 'A file')
    const piece = (name) => ann.locator('.pieces li', { hasText: name })
    // As a web server before ours answers: with a page of its own.
    await ann.route('**/jmap/upload/**', (route) => route.fulfill({ status: 413, contentType: 'text/html', body: '<html><h1>413 Request Entity Too Large</h1></html>' }))
    await attach('between.bin', 1_200_000)
    await piece('between.bin').getByText('1.2 MB are more than a server between here and this one lets through.').waitFor()
    // One that was cut off is no server that is away.
    await ann.unroute('**/jmap/upload/**')
    await ann.route('**/jmap/upload/**', (route) => route.abort('connectionreset'))
    await attach('cut.bin', 1_000)
    await piece('cut.bin').getByText('The upload was cut off.').waitFor()
    await ann.unroute('**/jmap/upload/**')
    await piece('cut.bin').getByRole('button', { name: 'Try again' }).click()
    await piece('cut.bin').getByText('The upload was cut off.').waitFor({ state: 'detached' })
    // The operator lowers it while the page is open.
    const ended = new Promise((done) => office.once('exit', done))
    office.kill('SIGINT')
    await ended
    writeFileSync(config, readFileSync(config, 'utf8').replace('message_bytes_max = 3000000', 'message_bytes_max = 1100000'))
    await serve()
    await ann.locator('.live.on').waitFor()
    await piece('between.bin').getByRole('button', { name: 'Try again' }).click()
    await piece('between.bin').getByText('between.bin: 1.2 MB, this server takes files up to 1.1 MB.').waitFor()
    await ann.keyboard.press('Escape')
  })
})
