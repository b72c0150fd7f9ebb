// What changed on the server, told at once: by WebSocket (RFC 8887), else by EventSource (RFC 8620 7.3), or by the worker that a push woke.
// It comes back by itself, later and later up to 30 s, and at once when the network does. A WebSocket that stands takes requests, too: a
// browser has less to do for one than for a request of HTTP.

import { local, Offline, refusal, type Line as Asking, type Request } from './client'
import type { Session } from './types'

export type States = Record<string, Record<string, string>>
export type Line = 'live' | 'waiting'

const WEBSOCKET = 'urn:ietf:params:jmap:websocket'
/** What is longer goes by itself: it would hold up what is asked after it. */
const LINE_LENGTH_MAX = 64 * 1024
/** A connection that broke without a word (a network left, a laptop that slept) looks like one that stands: so long it may owe an answer. */
const ANSWER_MS = 20_000

interface Told { '@type'?: string; requestId?: string; changed?: States; type?: string; detail?: string; status?: number }
interface Waits { done: (answer: unknown) => void; failed: (error: Error) => void }

export class Push implements Asking {
  private socket: WebSocket | undefined
  private source: EventSource | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  private tries = 0
  private ended = false
  private sockets = true
  /** The connection that is tried now stood. */
  private opened = false
  /** What was asked on the socket, and has no answer yet. */
  private asked = new Map<string, Waits>()
  private next = 0

  constructor(private readonly session: Session, private readonly changed: (states: States) => void, private readonly line: (state: Line) => void, private readonly refused: () => void = () => undefined) {
    addEventListener('online', this.again)
    document.addEventListener('visibilitychange', this.seen)
    if ('serviceWorker' in navigator) navigator.serviceWorker.addEventListener('message', this.woken)
    this.connect()
  }

  close(): void {
    this.ended = true
    removeEventListener('online', this.again)
    document.removeEventListener('visibilitychange', this.seen)
    if ('serviceWorker' in navigator) navigator.serviceWorker.removeEventListener('message', this.woken)
    clearTimeout(this.timer)
    this.socket?.close()
    this.source?.close()
  }

  ask(request: Request, signal: AbortSignal | undefined): Promise<unknown> | undefined {
    const { socket, asked } = this
    if (socket === undefined || socket.readyState !== socket.OPEN || signal?.aborted === true) return undefined
    const id = String(++this.next)
    const text = JSON.stringify({ '@type': 'Request', id, ...request })
    if (text.length > LINE_LENGTH_MAX) return undefined
    return new Promise((done, failed) => {
      let late: ReturnType<typeof setTimeout> | undefined
      const ends = <T>(end: (told: T) => void) => (told: T): void => { clearTimeout(late); end(told) }
      asked.set(id, { done: ends(done), failed: ends(failed) })
      signal?.addEventListener('abort', () => { const waits = asked.get(id); asked.delete(id); waits?.failed(new DOMException('nobody waits for it', 'AbortError')) })
      socket.send(text)
      // Not before it is sent: to set a clock may take half as long as the answer.
      late = setTimeout(() => {
        if (asked.delete(id)) failed(new Offline('no answer on the line'))
        // What was told meanwhile is asked for when another stands.
        if (socket === this.socket) { this.line('waiting'); this.connect() }
      }, ANSWER_MS)
    })
  }

  private readonly woken = (event: MessageEvent<{ changed?: States }>): void => {
    if (event.data.changed) this.changed(event.data.changed)
    if (!this.isOpen()) this.again()
  }

  private readonly seen = (): void => { if (document.visibilityState === 'visible' && !this.isOpen()) this.again() }

  private readonly again = (): void => {
    clearTimeout(this.timer)
    this.tries = 0
    if (this.isOpen()) this.line('live')
    else this.connect()
  }

  private isOpen(): boolean {
    return (this.socket !== undefined && this.socket.readyState === this.socket.OPEN) || this.source?.readyState === EventSource.OPEN
  }

  private connect(): void {
    if (this.ended) return
    this.socket?.close()
    this.source?.close()
    this.opened = false
    const url = this.session.capabilities[WEBSOCKET]?.url
    if (this.sockets && typeof url === 'string' && 'WebSocket' in globalThis) this.bySocket(url)
    else this.bySource()
  }

  private bySocket(url: string): void {
    const at = new URL(local(url), location.origin)
    at.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(at, 'jmap')
    this.socket = socket
    const asked = new Map<string, Waits>()
    this.asked = asked
    socket.onopen = () => {
      this.opened = true
      this.tries = 0
      socket.send(JSON.stringify({ '@type': 'WebSocketPushEnable', dataTypes: null }))
      this.line('live')
    }
    socket.onmessage = (event: MessageEvent<string>) => {
      const told = JSON.parse(event.data) as Told
      const waits = asked.get(told.requestId ?? '')
      asked.delete(told.requestId ?? '')
      if (told['@type'] === 'StateChange' && told.changed) this.changed(told.changed)
      else if (told['@type'] === 'Response') waits?.done(told)
      else if (told['@type'] === 'RequestError') waits?.failed(refusal(told, told.status ?? 400))
    }
    socket.onclose = () => {
      for (const { failed } of asked.values()) failed(new Offline('the line broke'))
      asked.clear()
      if (socket !== this.socket) return
      if (!this.opened && this.tries > 0 && navigator.onLine) this.sockets = false
      this.later()
    }
  }

  private bySource(): void {
    const url = local(this.session.eventSourceUrl).replace('{types}', '*').replace('{closeafter}', 'no').replace('{ping}', '30')
    const source = new EventSource(url)
    this.source = source
    source.onopen = () => { this.opened = true; this.tries = 0; this.line('live') }
    source.addEventListener('state', (event) => {
      const told = JSON.parse((event as MessageEvent<string>).data) as { changed?: States }
      if (told.changed) this.changed(told.changed)
    })
    source.onerror = () => {
      if (source !== this.source) return
      source.close()
      this.later()
    }
  }

  private later(): void {
    if (this.ended) return
    this.line('waiting')
    // Why it was not let in a WebSocket does not tell: who asks hears whether the session ended.
    if (!this.opened) this.refused()
    this.tries += 1
    this.timer = setTimeout(() => this.connect(), Math.min(30_000, 500 * 2 ** this.tries) * (0.75 + Math.random() / 2))
  }
}
