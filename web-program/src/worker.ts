// What of the program itself is kept, so that it opens without a network: its own files only, never a message (those are in IndexedDB).

/// <reference lib="webworker" />
declare const self: ServiceWorkerGlobalScope

const KEPT = 'program-1'
const SHELL = '/'

self.addEventListener('install', (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(KEPT)
    const page = await fetch(SHELL, { cache: 'no-store' })
    await cache.put(SHELL, page.clone())
    const files = await (await fetch('/files.json', { cache: 'no-store' })).json() as Record<string, { file: string; css?: string[]; assets?: string[] }>
    const all = new Set<string>(['/frame', '/icon.svg', '/manifest.webmanifest'])
    for (const entry of Object.values(files)) for (const file of [entry.file, ...(entry.css ?? []), ...(entry.assets ?? [])]) all.add(`/${file}`)
    await Promise.all([...all].map(async (file) => { if (!(await cache.match(file))) await cache.add(file) }))
    for (const request of await cache.keys()) if (!all.has(new URL(request.url).pathname) && new URL(request.url).pathname !== SHELL) await cache.delete(request)
    await self.skipWaiting()
  })())
})

self.addEventListener('activate', (event) => { event.waitUntil(self.clients.claim()) })

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url)
  if (event.request.method !== 'GET' || url.origin !== location.origin) return
  if (/^\/(api|jmap|\.well-known)\//.test(url.pathname)) return
  if (event.request.mode === 'navigate' && url.pathname !== '/frame') {
    event.respondWith((async () => {
      try {
        const page = await fetch(event.request)
        if (page.ok && page.headers.get('content-type')?.startsWith('text/html')) await (await caches.open(KEPT)).put(SHELL, page.clone())
        return page
      } catch {
        return await caches.match(SHELL) ?? Response.error()
      }
    })())
    return
  }
  event.respondWith((async () => await caches.match(event.request, { ignoreVary: true }) ?? await fetch(event.request))())
})

self.addEventListener('push', (event) => {
  event.waitUntil((async () => {
    const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
    if (open.some((c) => c.visibilityState === 'visible')) return
    await self.registration.showNotification('Packetboat', { body: 'New mail', icon: '/icon.svg', tag: 'mail' })
  })())
})

self.addEventListener('notificationclick', (event) => {
  event.notification.close()
  event.waitUntil((async () => {
    const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
    const first = open[0]
    if (first) await first.focus()
    else await self.clients.openWindow('/m/0/inbox')
  })())
})
export {}
