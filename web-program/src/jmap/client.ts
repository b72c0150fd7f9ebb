// One JMAP server (RFC 8620): its session, calls with back-references, uploads with progress, where a blob is downloaded.
// What went wrong is one of three: signed out, no network, or a refusal with a reason.

import { CORE, type Id, type Session } from './types'

export type Call = [method: string, args: Record<string, unknown>, id: string]
export type Answer = [name: string, answer: Record<string, unknown>, id: string]

export class SignedOut extends Error {}
export class Offline extends Error {}
export class Refused extends Error {
  constructor(readonly type: string, message: string, readonly status = 0, readonly limit = '') { super(message || type) }
}

/** What a server says that refuses a whole request (RFC 8620 3.6.1). */
interface Trouble { type?: string; detail?: string; limit?: string; status?: number }
export const refusal = (told: Trouble, status: number): Refused => new Refused(told.type ?? 'http', told.detail ?? `the server answered ${status}`, status, told.limit)

/** Several windows may ask at once, more than the server takes: so often it is asked again, and so long after, twice as long each time. */
const BUSY_TRIES = 6
const BUSY_MS = 200

interface Whole { methodResponses: Answer[]; sessionState?: string }
export interface Request { using: string[]; methodCalls: Call[] }

/** A connection that stands (RFC 8887): a request on it needs none of its own. Nothing: it does not stand, or takes no such request. */
export interface Line { ask(request: Request, signal: AbortSignal | undefined): Promise<unknown> | undefined }

/** It may be asked twice. */
const onlyReads = ({ methodCalls }: Request): boolean => methodCalls.every(([name]) => /\/(get|query|changes|queryChanges|parse|lookup)$/.test(name))

/** What the program says of itself with everything that changes something. */
export const OURS = { 'Content-Type': 'application/json', 'X-Packetboat': '1' }

export async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response
  try {
    answer = await fetch(url, { credentials: 'same-origin', cache: 'no-store', ...init, headers: { 'X-Packetboat': '1', ...(init.headers as Record<string, string> | undefined) } })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Offline('no answer')
  }
  if (answer.ok) return answer
  // What nobody reads would hold its connection.
  if (answer.status === 401) { void answer.body?.cancel(); throw new SignedOut('sign in') }
  if (answer.status === 502 || answer.status === 503 || answer.status === 504) { void answer.body?.cancel(); throw new Offline(`the server answered ${answer.status}`) }
  throw refusal(await answer.json().catch(() => ({})) as Trouble, answer.status)
}

/** The answers to one request, by the id of the call. */
export class Answers {
  constructor(private readonly list: Answer[]) {}

  /** The answer to a call; an error of the method is thrown. */
  of<T>(id: string): T {
    const found = this.list.find(([name, , of]) => of === id && name !== 'error') ?? this.list.find(([, , of]) => of === id)
    if (!found) throw new Refused('noAnswer', `no answer to ${id}`)
    if (found[0] === 'error') throw new Refused(String(found[1].type), String(found[1].description ?? found[1].type))
    return found[1] as T
  }

  /** The same; an error is `undefined`. */
  maybe<T>(id: string): T | undefined {
    try { return this.of<T>(id) } catch { return undefined }
  }
}

/** An address of the session as a path of this origin: the page's own policy allows no other. */
export function local(url: string): string {
  const parsed = new URL(url, location.origin)
  return parsed.pathname.replaceAll('%7B', '{').replaceAll('%7D', '}') + parsed.search.replaceAll('%7B', '{').replaceAll('%7D', '}')
}

export class Jmap {
  private busy = 0
  private readonly queue: (() => void)[] = []
  line: Line | undefined
  /** Told that the session is not what it was when it was asked for (RFC 8620 3.4): an account may have come or gone. */
  outdated: (() => void) | undefined
  private told: string | undefined

  constructor(public session: Session) {}

  static async open(): Promise<Jmap> {
    return new Jmap(await (await ask('/.well-known/jmap')).json() as Session)
  }

  has(capability: string): boolean { return capability in this.session.capabilities }

  limit(name: string, otherwise: number): number {
    const value = this.session.capabilities[CORE]?.[name]
    return typeof value === 'number' ? value : otherwise
  }

  /** `isIdle`: while it waited for its turn it became of no use. It is not sent then, and holds nobody up. */
  async call(calls: Call[], signal?: AbortSignal, isIdle: () => boolean = () => false): Promise<Answers> {
    const using = Object.keys(this.session.capabilities)
    // With room it goes out now, before what is drawn next.
    while (this.busy >= this.most) {
      await new Promise<void>((go) => this.queue.push(go))
      if (isIdle()) { this.queue.shift()?.(); throw new DOMException('of no use any more', 'AbortError') }
    }
    this.busy += 1
    try {
      const { methodResponses, sessionState } = await this.patiently({ using, methodCalls: calls }, signal)
      // Of each state once: what changes it all the time would be asked for all the time.
      if (sessionState !== this.session.state && sessionState !== this.told) { this.told = sessionState; this.outdated?.() }
      return new Answers(methodResponses)
    } finally {
      this.busy -= 1
      this.queue.shift()?.()
    }
  }

  /** Refused because others of ours are at work, it is asked again in a while. */
  private async patiently(request: Request, signal: AbortSignal | undefined): Promise<Whole> {
    for (let tries = 0; ; tries++) {
      try { return await this.ask(request, signal) } catch (error) {
        if (!(error instanceof Refused) || error.limit !== 'maxConcurrentRequests' || tries === BUSY_TRIES) throw error
      }
      await new Promise((go) => setTimeout(go, BUSY_MS * 2 ** tries))
      signal?.throwIfAborted()
    }
  }

  /** On the line that stands, else by a request of its own: also when the line broke and it may be asked twice. */
  private async ask(request: Request, signal: AbortSignal | undefined): Promise<Whole> {
    const asked = navigator.onLine ? this.line?.ask(request, signal) : undefined
    if (asked) {
      try { return await asked as Whole } catch (error) { if (!(error instanceof Offline) || !onlyReads(request)) throw error }
    }
    const answer = await ask(local(this.session.apiUrl), { method: 'POST', headers: OURS, body: JSON.stringify(request), signal: signal ?? null })
    return await answer.json() as Whole
  }

  /** No more requests at once than the server takes. */
  private get most(): number { return Math.max(1, Math.min(4, this.limit('maxConcurrentRequests', 4))) }

  download(account: Id, blob: Id, name: string, type: string): string {
    const parts: Record<string, string> = { accountId: account, blobId: blob, name, type }
    return local(this.session.downloadUrl).replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(parts[key] ?? ''))
  }

  /** Progress comes from XMLHttpRequest: `fetch` tells none. */
  upload(account: Id, what: Blob, told: (share: number) => void, signal: AbortSignal): Promise<{ blobId: Id; size: number; type: string }> {
    return this.carry(local(this.session.uploadUrl).replace('{accountId}', encodeURIComponent(account)), what, told, signal)
  }

  /** A file to one of our own addresses, as large as it is. */
  carry<T>(url: string, what: Blob, told: (share: number) => void, signal: AbortSignal): Promise<T> {
    return new Promise((done, failed) => {
      const request = new XMLHttpRequest()
      request.open('POST', url)
      request.setRequestHeader('Content-Type', what.type || 'application/octet-stream')
      request.setRequestHeader('X-Packetboat', '1')
      request.responseType = 'json'
      request.upload.onprogress = (event) => { if (event.lengthComputable) told(event.loaded / event.total) }
      request.onload = () => {
        if (request.status === 401) failed(new SignedOut('sign in'))
        else if (request.status >= 200 && request.status < 300) done(request.response as T)
        else failed(new Refused('upload', (request.response as { detail?: string } | null)?.detail ?? `the server answered ${request.status}`, request.status))
      }
      request.onerror = () => failed(new Offline('the upload was cut'))
      request.onabort = () => failed(new DOMException('cancelled', 'AbortError'))
      signal.addEventListener('abort', () => request.abort())
      request.send(what)
    })
  }
}
