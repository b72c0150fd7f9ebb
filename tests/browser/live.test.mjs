// Where a WebSocket stands, the page asks on it. Where none gets through (a proxy that knows only requests), it is told by server-sent events.
// Nothing is lost meanwhile.
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { browser, desktop, Offices, signIn, until } from './offices.mjs'

const ANN = 'ann@here.test'
let offices, chrome, proxy, origin, ann
/** What went through, and what was refused. */
const paths = []
const upgrades = []
const open = new Set()
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  const office = offices.here
  proxy = createServer((asked, answer) => {
    paths.push(asked.url)
    const onward = request(new URL(asked.url, office), { method: asked.method, headers: asked.headers }, (got) => { answer.writeHead(got.statusCode, got.headers); got.pipe(answer) })
    onward.on('error', () => answer.destroy())
    answer.on('close', () => { open.delete(answer); onward.destroy() })
    if (asked.url.startsWith('/jmap/event')) open.add(answer)
    asked.pipe(onward)
  })
  proxy.on('upgrade', (asked, socket) => { upgrades.push(asked.url); socket.on('error', () => undefined).end('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n') })
  await new Promise((ready) => proxy.listen(0, '127.0.0.1', ready))
  origin = `http://127.0.0.1:${proxy.address().port}`
  ann = await desktop(chrome)
  await signIn(ann, origin, ANN, offices.password(ANN))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close(); proxy?.close(); proxy?.closeAllConnections() })

const row = (subject) => ann.locator('.row', { hasText: subject })
const letter = (subject) => offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ${ANN}\r\nSubject: ${subject}\r\n\r\nText of ${subject}\r\n`)

describe('with WebSocket', { timeout: 300_000 }, () => {
  it('all is asked on it: by requests before it stands, and when it is gone', async () => {
    const p = await desktop(chrome)
    let cut
    await p.routeWebSocket(/\/jmap\/ws$/, (socket) => { socket.connectToServer(); cut = () => socket.close() })
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ${ANN}\r\nSubject: Over the line\r\n\r\nText of the line\r\n`)
    await signIn(p, offices.here, ANN, offices.password(ANN))
    await p.locator('.live.on').waitFor()
    await p.waitForLoadState('networkidle')
    const asked = []
    p.on('request', (r) => { if (r.url().endsWith('/jmap/api')) asked.push(r.postData()) })
    await p.keyboard.press('/')
    await p.keyboard.insertText('subject:line')
    await p.getByRole('heading', { name: '1 result', exact: true }).waitFor()
    await p.locator('.row', { hasText: 'Over the line' }).click()
    await p.locator('article').getByText('Text of the line').waitFor()
    await p.keyboard.press('s')
    await until('its star', async () => /Flagged[^\n]*Over the line/.test(await offices.listed('ann')))
    assert.deepEqual(asked, [])
    cut()
    await p.keyboard.press('s')
    await until('no star', async () => /Over the line/.test(await offices.listed('ann')) && !/Flagged[^\n]*Over the line/.test(await offices.listed('ann')))
    // It comes back by itself.
    await p.locator('.live.on').waitFor()
    await p.waitForLoadState('networkidle')
    asked.length = 0
    await p.keyboard.press('s')
    await until('a star again', async () => /Flagged[^\n]*Over the line/.test(await offices.listed('ann')))
    assert.deepEqual(asked, [])
    assert.deepEqual(p.troubles, [])
    await p.context().close()
  })
})

describe('without WebSocket', { timeout: 300_000 }, () => {
  it('is live by server-sent events, after it tried', async () => {
    await ann.locator('.live.on').waitFor()
    assert.ok(upgrades.length >= 1, 'it tried')
    assert.equal(open.size, 1, 'one stream of events')
    const tried = upgrades.length
    await letter('By events')
    await row('By events').waitFor()
    await offices.imap('ann', 'INBOX', '-X', 'STORE 1:* +FLAGS (\\Flagged)')
    await row('By events').locator('.starred').waitFor()
    await offices.imap('ann', '', '-X', 'CREATE Harbour')
    await ann.getByRole('link', { name: 'Harbour' }).waitFor()
    assert.equal(upgrades.length, tried, 'it tries no more where it knows')
  })

  it('comes back when the stream breaks, and shows what came meanwhile', async () => {
    const asked = paths.length
    for (const answer of open) answer.destroy()
    await letter('While it was broken')
    await row('While it was broken').waitFor()
    await until('another stream', () => open.size === 1)
    assert.ok(paths.slice(asked).some((path) => path.startsWith('/jmap/event')))
    await ann.locator('.live.on').waitFor()
    await letter('After that')
    await row('After that').waitFor()
    assert.deepEqual(ann.troubles.filter((one) => !/426|WebSocket|INCOMPLETE_CHUNKED/.test(one)), [])
  })
})
