// What changed on the server, told at once: by WebSocket (RFC 8887), else by EventSource (RFC 8620 7.3), or by the worker that a push woke.
// It comes back by itself, later and later up to 30 s, and at once when the network does.

import { local } from './client'
import type { Session } from './types'

export type States = Record<string, Record<string, string>>
export type Line = 'live' | 'waiting'

const WEBSOCKET = 'urn:ietf:params:jmap:websocket'

export class Push {
  private socket: WebSocket | undefined
  private source: EventSource | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  private tries = 0
  private ended = false
  private sockets = true
  /** The connection that is tried now stood. */
  private opened = false

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
    return this.socket?.readyState === WebSocket.OPEN || this.source?.readyState === EventSource.OPEN
  }

  private connect(): void {
    if (this.ended) return
    this.socket?.close()
    this.source?.close()
    this.opened = false
    const url = this.session.capabilities[WEBSOCKET]?.url
    if (this.sockets && typeof url === 'string') this.bySocket(url)
    else this.bySource()
  }

  private bySocket(url: string): void {
    const at = new URL(local(url), location.origin)
    at.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(at, 'jmap')
    this.socket = socket
    socket.onopen = () => {
      this.opened = true
      this.tries = 0
      socket.send(JSON.stringify({ '@type': 'WebSocketPushEnable', dataTypes: null }))
      this.line('live')
    }
    socket.onmessage = (event: MessageEvent<string>) => {
      const told = JSON.parse(event.data) as { '@type'?: string; changed?: States }
      if (told['@type'] === 'StateChange' && told.changed) this.changed(told.changed)
    }
    socket.onclose = () => {
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
