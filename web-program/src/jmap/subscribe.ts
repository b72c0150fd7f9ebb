// Web Push: the server tells the browser's push service, and that wakes the worker (RFC 8620 7.2, RFC 9749). Where the browser has none,
// or the server has no key, nothing is done.

import type { Jmap } from './client'
import type { Id, SetAnswer } from './types'

const VAPID = 'urn:ietf:params:jmap:webpush-vapid'
/** Renewed when less than so much is left of it. */
const LEFT = 14 * 86_400_000
/** New mail that people want to hear of: not junk, and nothing that was only moved (docs/jmap.md). */
const WANTED = ['InboxDelivery']

interface Subscription { id: Id; deviceClientId: string; verificationCode: string | null; expires: string | null; types: string[] | null }

/** This browser, by a name that says nothing of it. */
function device(): string {
  const kept = localStorage.getItem('device')
  if (kept !== null) return kept
  const made = crypto.randomUUID()
  localStorage.setItem('device', made)
  return made
}

async function manager(jmap: Jmap): Promise<[PushManager, string] | undefined> {
  const key = jmap.session.capabilities[VAPID]?.applicationServerKey
  if (typeof key !== 'string' || !('serviceWorker' in navigator) || !('PushManager' in globalThis)) return undefined
  return [(await navigator.serviceWorker.ready).pushManager, key]
}

async function ours(jmap: Jmap): Promise<Subscription[]> {
  const { list } = (await jmap.call([['PushSubscription/get', { ids: null }, 'g']])).of<{ list: Subscription[] }>('g')
  return list.filter((one) => one.deviceClientId === device())
}

/** From now on, or on as before. `false`: this browser cannot be told. */
export async function subscribe(jmap: Jmap): Promise<boolean> {
  const found = await manager(jmap)
  if (!found) return false
  const [push, applicationServerKey] = found
  let there = await push.getSubscription()
  // Another server, or one with another key: that address would be told nothing.
  const known = localStorage.getItem('push')
  if (there && known !== `${applicationServerKey} ${there.endpoint}`) { await there.unsubscribe(); there = null }
  try { there ??= await push.subscribe({ userVisibleOnly: true, applicationServerKey }) } catch { return false }
  const said = `${applicationServerKey} ${there.endpoint}`
  const mine = (await ours(jmap)).find((one) => known === said && one.verificationCode !== null)
  if (mine) {
    // One made when we heard of everything that came anywhere.
    if (mine.types?.join() !== WANTED.join()) await jmap.call([['PushSubscription/set', { update: { [mine.id]: { types: WANTED } } }, 's']])
    if (mine.expires !== null && new Date(mine.expires).getTime() - Date.now() < LEFT) await jmap.call([['PushSubscription/set', { update: { [mine.id]: { expires: null } } }, 's']])
    return true
  }
  const { endpoint: url, keys } = there.toJSON()
  const answer = (await jmap.call([['PushSubscription/set', { create: { p: { deviceClientId: device(), url, keys, types: WANTED } } }, 's']])).of<SetAnswer>('s')
  if (!answer.created?.p) return false
  localStorage.setItem('push', said)
  return true
}

export async function unsubscribe(jmap: Jmap): Promise<void> {
  const found = await manager(jmap)
  if (!found) return
  await (await found[0].getSubscription())?.unsubscribe()
  localStorage.removeItem('push')
  const destroy = (await ours(jmap)).map((one) => one.id)
  if (destroy.length > 0) await jmap.call([['PushSubscription/set', { destroy }, 's']])
}
