// Web Push from end to end: the browser subscribes, a push service of ours takes what the server sends, only the browser's keys open it
// (decrypted here by node's own crypto, after RFC 8291), and the worker shows what came.
import assert from 'node:assert/strict'
import { createDecipheriv, createECDH, createPublicKey, hkdfSync, randomBytes, verify } from 'node:crypto'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { browser, Offices, page, signIn, until } from './offices.mjs'

const keys = createECDH('prime256v1')
keys.generateKeys()
const auth = randomBytes(16)

/** RFC 8188 and RFC 8291, as the receiver. */
function opened(octets) {
  const [salt, size, point] = [octets.subarray(0, 16), octets.readUInt32BE(16), octets.subarray(21, 21 + octets[20])]
  const record = octets.subarray(21 + octets[20])
  assert.ok(record.length <= size, 'one record')
  const hkdf = (secret, with_, info, length) => Buffer.from(hkdfSync('sha256', secret, with_, info, length))
  const input = hkdf(keys.computeSecret(point), auth, Buffer.concat([Buffer.from('WebPush: info\0'), keys.getPublicKey(), point]), 32)
  const open = createDecipheriv('aes-128-gcm', hkdf(input, salt, 'Content-Encoding: aes128gcm\0', 16), hkdf(input, salt, 'Content-Encoding: nonce\0', 12))
  open.setAuthTag(record.subarray(-16))
  const padded = Buffer.concat([open.update(record.subarray(0, -16)), open.final()])
  assert.equal(padded[padded.lastIndexOf(2)], 2)
  return JSON.parse(padded.subarray(0, padded.lastIndexOf(2)).toString())
}

/** RFC 8292: who sent it. */
function claims(authorization) {
  const [, signed, signature, key] = /^vapid t=([\w-]+\.[\w-]+)\.([\w-]+), k=([\w-]+)$/.exec(authorization)
  const point = Buffer.from(key, 'base64url')
  const jwk = { kty: 'EC', crv: 'P-256', x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') }
  assert.ok(verify('sha256', Buffer.from(signed), { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')), 'signed with its key')
  return { ...JSON.parse(Buffer.from(signed.split('.')[1], 'base64url').toString()), key }
}

let offices, chrome, context, ann, service, endpoint, cdp, registrationId
const pushed = []
before(async () => {
  service = createServer((request, response) => {
    const parts = []
    request.on('data', (part) => parts.push(part)).on('end', () => { pushed.push({ headers: request.headers, body: Buffer.concat(parts) }); response.writeHead(201).end() })
  })
  await new Promise((go) => service.listen(0, '127.0.0.1', go))
  endpoint = `http://127.0.0.1:${service.address().port}/push/ann`;
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  context = await chrome.newContext()
  await context.grantPermissions(['notifications'])
  // The browser's own push service is not here: its subscription is one with ours, and its keys are known to this test.
  await context.addInitScript(([url, p256dh, secret]) => {
    const made = (key) => ({ endpoint: url, toJSON: () => ({ endpoint: url, keys: { p256dh, auth: secret } }), unsubscribe: async () => { sessionStorage.removeItem('subscribed'); return true }, key })
    PushManager.prototype.subscribe = async ({ applicationServerKey }) => { sessionStorage.setItem('subscribed', applicationServerKey); return made(applicationServerKey) }
    PushManager.prototype.getSubscription = async () => { const key = sessionStorage.getItem('subscribed'); return key === null ? null : made(key) }
  }, [endpoint, keys.getPublicKey('base64url'), auth.toString('base64url')])
  ann = await page(context)
  cdp = await context.newCDPSession(ann)
  cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => { registrationId = registrations.find((r) => !r.isDeleted)?.registrationId ?? registrationId })
  await cdp.send('ServiceWorker.enable')
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { service?.close(); await chrome?.close(); await offices?.close() })

const next = async (what, seconds = 30) => { await until(what, () => pushed.length > 0, seconds); return pushed.shift() }
const deliver = async (told) => cdp.send('ServiceWorker.deliverPushMessage', { origin: offices.here, registrationId: await until('the worker', () => registrationId), data: JSON.stringify(told) })
const subscriptions = () => ann.evaluate(async () => {
  const answer = await fetch('/jmap/api', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Packetboat': '1' }, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core'], methodCalls: [['PushSubscription/get', { ids: null }, 'g']] }) })
  return (await answer.json()).methodResponses[0][1].list
})

describe('web push', { timeout: 300_000 }, () => {
  it('subscribes when asked to tell of new mail, and says the code that was pushed', async () => {
    await ann.goto(`${offices.here}/settings/general`)
    await ann.evaluate(() => navigator.serviceWorker.ready)
    await ann.getByLabel('Tell me of new mail').check()
    const first = await next('the verification')
    assert.equal(first.headers['content-encoding'], 'aes128gcm')
    const { aud, exp, sub, key } = claims(first.headers.authorization)
    assert.equal(aud, new URL(endpoint).origin)
    assert.ok(exp > Date.now() / 1000 && exp <= Date.now() / 1000 + 86_400)
    assert.equal(sub, 'mailto:postmaster@here.test')
    assert.equal(key, await ann.evaluate(() => sessionStorage.getItem('subscribed')), 'the key it was subscribed with')
    const told = opened(first.body)
    assert.equal(told['@type'], 'PushVerification')
    await deliver(told)
    await until('it is verified', async () => (await subscriptions())[0]?.verificationCode === told.verificationCode)
  })

  it('shows who wrote, with no page open, also after the server was started anew', async () => {
    await offices.stop()
    await offices.start()
    await ann.goto('about:blank')
    // What is junk, was moved or copied is told to nobody: the next that is heard of is what came.
    await offices.append('ann', 'From: Spam <spam@else.test>\r\nSubject: Win\r\n\r\nNow\r\n', 'Junk')
    await offices.append('ann', 'From: Old <old@else.test>\r\nSubject: Old\r\n\r\nOld\r\n', 'Archive')
    await offices.imap('ann', 'Archive', '-X', 'UID COPY 1:* INBOX')
    await offices.imap('ann', 'Archive', '-X', 'UID MOVE 1:* INBOX')
    await new Promise((go) => setTimeout(go, 3000))
    assert.deepEqual(pushed, [])
    await offices.submit('bob@here.test', 'ann@here.test', 'From: Bob Boat <bob@here.test>\nTo: ann@here.test\nSubject: The tide is in\n\nCome along\n')
    const letter = await next('the push')
    assert.ok(!letter.body.includes('tide'))
    const told = opened(letter.body)
    assert.equal(told['@type'], 'StateChange')
    const [states] = Object.values(told.changed)
    assert.deepEqual(Object.keys(states), ['InboxDelivery'], 'that something came, and nothing of what')
    await deliver(told)
    // Asked of the worker itself: a page that is looked at needs no notice.
    const shown = await until('the notice', async () => context.serviceWorkers().at(-1)?.evaluate(async () => {
      const [one] = await self.registration.getNotifications()
      return one && [one.title, one.body, one.data]
    }))
    assert.deepEqual(shown.slice(0, 2), ['Bob Boat', 'The tide is in'])
    await ann.goto(`${offices.here}${shown[2]}`)
    await ann.locator('article').getByText('Come along').waitFor()
  })

  it('is no more told when the choice is taken back', async () => {
    await ann.goto(`${offices.here}/settings/general`)
    await ann.getByLabel('Tell me of new mail').uncheck()
    await until('no subscription', async () => (await subscriptions()).length === 0)
    assert.deepEqual(ann.troubles, [])
  })
})
