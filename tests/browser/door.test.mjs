// Pages of others, in a real browser: what they send with Ann's cookie does nothing, and a name of theirs that leads here opens nothing.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { Offices, signIn } from './offices.mjs'

const { chromium } = await import(new URL('../../web-program/node_modules/playwright-core/index.mjs', import.meta.url))
let offices, chrome, evil, ann
before(async () => {
  offices = await Offices.open()
  evil = createServer((_, answer) => { answer.setHeader('Content-Type', 'text/html'); answer.end('<!doctype html><title>Evil</title><iframe name="sink"></iframe>') })
  await new Promise((done) => evil.listen(0, '127.0.0.1', done))
  // The name is theirs, the address ours: DNS rebinding.
  const args = ['--host-resolver-rules=MAP evil.test 127.0.0.1', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])]
  chrome = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args })
  ann = await (await chrome.newContext()).newPage()
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); evil?.close(); await offices?.close() })

const me = () => ann.evaluate(async () => { const answer = await fetch('/api/me', { headers: { 'X-Packetboat': '1' } }); return answer.ok ? (await answer.json()).address : answer.status })

/** Everything that a page can send without being allowed to. */
async function attack(origin) {
  const page = await ann.context().newPage()
  const answers = []
  page.on('response', (r) => { if (r.url().startsWith(offices.here)) answers.push([r.request().method(), r.status()]) })
  await page.goto(origin)
  await page.evaluate(async (here) => {
    const forms = [['/api/sign-out', 'text/plain'], ['/api/sessions/revoke', 'application/x-www-form-urlencoded'], ['/jmap/api', 'text/plain'], ['/api/password', 'multipart/form-data'], ['/api/links', 'text/plain']]
    for (const [path, enctype] of forms) {
      const form = Object.assign(document.createElement('form'), { method: 'POST', action: here + path, enctype, target: 'sink' })
      form.append(Object.assign(document.createElement('input'), { name: '{"others": true, "x": "', value: '"}' }))
      document.body.append(form)
      form.submit()
      await new Promise((go) => setTimeout(go, 150))
    }
    const sent = [['/api/sign-out', {}], ['/api/sign-out', { 'X-Packetboat': '1', 'Content-Type': 'application/json' }], ['/jmap/api', { 'Content-Type': 'text/plain' }]]
    for (const [path, headers] of sent) for (const mode of ['no-cors', 'cors']) await fetch(here + path, { method: 'POST', mode, credentials: 'include', headers: mode === 'cors' ? headers : {}, body: '{}' }).catch(() => undefined)
    navigator.sendBeacon(`${here}/api/sign-out`, '{}')
    for (const path of ['/api/me', '/api/sessions', '/jmap/session']) {
      await fetch(here + path, { credentials: 'include' }).then((answer) => answer.text()).then((text) => { globalThis.stolen = `${globalThis.stolen ?? ''}${text}` }, () => undefined)
    }
    await new Promise((go) => setTimeout(go, 300))
  }, offices.here)
  const stolen = await page.evaluate(() => globalThis.stolen ?? '')
  // No socket either.
  const socket = await page.evaluate((here) => new Promise((done) => {
    const socket = new WebSocket(`${here.replace('http', 'ws')}/jmap/ws`, 'jmap')
    socket.onopen = () => done('open')
    socket.onerror = () => done('refused')
  }), offices.here)
  await page.close()
  return { answers, stolen, socket }
}

describe('pages of others', { timeout: 300_000 }, () => {
  for (const [what, host] of [['of the same site, on another port', '127.0.0.1'], ['of another site', 'localhost']]) {
    it(`a page ${what} changes nothing and reads nothing`, async () => {
      const { answers, stolen, socket } = await attack(`http://${host}:${evil.address().port}/`)
      const posts = answers.filter(([method]) => method === 'POST')
      assert.ok(posts.length >= 5, JSON.stringify(answers))
      for (const [method, status] of posts) assert.ok(status >= 400 && status < 500, `${method} ${status}`)
      assert.equal(stolen, '')
      assert.equal(socket, 'refused')
      assert.equal(await me(), 'ann@here.test')
    })
  }

  it('a name of theirs that leads to this server opens nothing', async () => {
    const page = await ann.context().newPage()
    const port = new URL(offices.here).port
    const answer = await page.goto(`http://evil.test:${port}/`)
    assert.equal(answer.status(), 421)
    const status = await page.evaluate(async () => (await fetch('/api/me', { credentials: 'include' })).status)
    assert.equal(status, 421)
    await page.close()
  })
})
