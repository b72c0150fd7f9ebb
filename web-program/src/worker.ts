// What of the program itself is kept, so that it opens without a network: its own files only, never a message (those are in IndexedDB).

/// <reference lib="webworker" />
declare const self: ServiceWorkerGlobalScope

/** Of the page and its files (`vite.config.ts`): one version is kept in one place, whole. */
declare const VERSION: string
const OURS = 'program-'
const KEPT = OURS + VERSION
const SHELL = '/'
const OTHERS = ['/frame', '/icon.svg', '/manifest.webmanifest']

/** Where a browser knows of it (Chromium does): what need not come to us does not, and is not kept waiting until we have started. */
interface Rule { condition: { urlPattern: { pathname: string }; requestMode?: 'navigate' }; source: 'network' | 'race-network-and-fetch-handler' | { cacheName: string } }
type Routed = ExtendableEvent & { addRoutes?: (rules: Rule[]) => Promise<void> }
const RULES: Rule[] = [
  ...['/api/*', '/jmap/*', '/.well-known/*'].map((pathname): Rule => ({ condition: { urlPattern: { pathname } }, source: 'network' })),
  // What is named by its hash is what it was; where it is not kept the network is asked.
  { condition: { urlPattern: { pathname: '/assets/*' } }, source: { cacheName: KEPT } },
  // Without a network the answer is ours.
  { condition: { urlPattern: { pathname: '/*' }, requestMode: 'navigate' }, source: 'race-network-and-fetch-handler' },
]

self.addEventListener('install', (event) => {
  // One by one: a browser may know of some.
  for (const rule of RULES) { const routed = (event as Routed).addRoutes?.([rule]); if (routed) event.waitUntil(routed.catch(() => undefined)) }
  event.waitUntil((async () => {
    const cache = await caches.open(KEPT)
    const page = await fetch(SHELL, { cache: 'no-store' })
    const files = await (await fetch('/files.json', { cache: 'no-store' })).json() as Record<string, { file: string; css?: string[]; assets?: string[] }>
    // All but what shows PDF files: large, and of no use without the network that brings the file.
    const all = new Set<string>(OTHERS)
    for (const [name, entry] of Object.entries(files)) if (!/pdf/i.test(name)) for (const file of [entry.file, ...(entry.css ?? []), ...(entry.assets ?? [])]) all.add(`/${file}`)
    // Between the two another version may have come; it is begun anew then.
    const named = [...(await page.clone().text()).matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, file]) => file ?? '')
    if (!page.ok || named.length === 0 || named.some((file) => !all.has(file))) throw new Error('the page and its files are of two versions')
    // What is named by its hash, and is here already, is taken from there.
    const taken = async (file: string): Promise<Response | undefined> => file.startsWith('/assets/') ? await caches.match(file, { ignoreVary: true }) : undefined
    await Promise.all([...all].map(async (file) => { const had = await taken(file); await (had ? cache.put(file, had) : cache.add(new Request(file, { cache: 'no-cache' }))) }))
    // Last: where there is a page, there is all that it needs.
    await cache.put(SHELL, page)
    await self.skipWaiting()
  })())
})

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    // Windows that are open are of the version before, and may want parts of it still.
    const others = (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== KEPT)
    for (const name of others.slice(0, -1)) await caches.delete(name)
    await self.clients.claim()
  })())
})

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url)
  if (event.request.method !== 'GET' || url.origin !== location.origin) return
  if (/^\/(api|jmap|\.well-known)\//.test(url.pathname)) return
  if (event.request.mode === 'navigate' && url.pathname !== '/frame') {
    event.respondWith((async () => {
      // What a page that comes needs is not here before its own worker is. Without a network that one opens whose files are here.
      try { return await fetch(event.request) } catch { return await (await caches.open(KEPT)).match(SHELL) ?? Response.error() }
    })())
    return
  }
  event.respondWith((async () => await caches.match(event.request, { ignoreVary: true }) ?? await fetch(event.request))())
})

interface Told { '@type'?: string; pushSubscriptionId?: string; verificationCode?: string; changed?: Record<string, unknown> }
interface New { from?: { name: string | null; email: string }[] | null; subject?: string | null; threadId: string }
const CORE = 'urn:ietf:params:jmap:core'
const MAIL = 'urn:ietf:params:jmap:mail'

async function call(methodCalls: unknown[]): Promise<[string, Record<string, unknown>, string][]> {
  const answer = await fetch('/jmap/api', { method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json', 'X-Packetboat': '1' }, body: JSON.stringify({ using: [CORE, MAIL], methodCalls }) })
  return (await answer.json() as { methodResponses: [string, Record<string, unknown>, string][] }).methodResponses
}

/** One's own account. */
async function home(): Promise<string | undefined> {
  const session = await (await fetch('/jmap/session', { credentials: 'same-origin', headers: { 'X-Packetboat': '1' } })).json() as { primaryAccounts: Record<string, string> }
  return session.primaryAccounts[MAIL]
}

/** The newest message that nobody has read: what was pushed says that there is one, and not which. In an account of others, where no inbox is shared: of all. */
async function newest(accountId: string): Promise<New | undefined> {
  const [[, { ids }]] = await call([['Mailbox/query', { accountId, filter: { role: 'inbox' } }, 'b']]) as [[string, { ids: string[] }, string]]
  const filter = { ...(ids[0] === undefined ? {} : { inMailbox: ids[0] }), notKeyword: '$seen' }
  const answers = await call([
    ['Email/query', { accountId, filter, sort: [{ property: 'receivedAt', isAscending: false }], limit: 1 }, 'q'],
    ['Email/get', { accountId, '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ['from', 'subject', 'threadId'] }, 'g'],
  ])
  return (answers.find(([, , id]) => id === 'g')?.[1].list as New[] | undefined)?.[0]
}

self.addEventListener('push', (event) => {
  event.waitUntil((async () => {
    const told = (event.data?.json() ?? {}) as Told
    if (told['@type'] === 'PushVerification') {
      await call([['PushSubscription/set', { update: { [told.pushSubscriptionId ?? '']: { verificationCode: told.verificationCode } } }, 'v']])
      return
    }
    const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
    for (const page of open) page.postMessage(told)
    if (open.some((c) => c.visibilityState === 'visible')) return
    const changed = Object.keys(told.changed ?? {})
    const own = await home().catch(() => undefined)
    // One's own mail before that of others.
    const account = changed.find((id) => id === own) ?? changed[0]
    const found = account === undefined ? undefined : await newest(account).catch(() => undefined)
    const from = found?.from?.[0]
    const inbox = `/m/${account === undefined || account === own || own === undefined ? '0' : account}/inbox`
    await self.registration.showNotification(from?.name ?? from?.email ?? 'Packetboat', { body: found?.subject ?? 'New mail', icon: '/icon.svg', tag: 'mail', data: found ? `${inbox}/t/${found.threadId}` : inbox })
  })())
})

self.addEventListener('notificationclick', (event) => {
  event.notification.close()
  event.waitUntil((async () => {
    const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
    const first = open[0]
    if (first) await first.focus()
    else await self.clients.openWindow(typeof event.notification.data === 'string' ? event.notification.data : '/m/0/inbox')
  })())
})
export {}
