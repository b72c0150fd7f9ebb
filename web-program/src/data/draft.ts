// A message that is being written: what is kept of it here, and how it becomes an Email of JMAP (RFC 8621 4.6).

import type { Address, Id } from '../jmap/types'
import type { Kind } from './answer'
import { shows } from './inline'

/** Stands on the signature in the HTML of a letter. */
export const SIGNATURE = 'data-signature'

export interface Piece {
  key: string
  name: string
  type: string
  size: number
  blobId: Id | null
  /** Set: a picture within the text. */
  cid: string | null
  share: number
  error: string | null
}

export interface Draft {
  key: string
  account: Id
  kind: Kind
  identityId: Id
  to: Address[]
  cc: Address[]
  bcc: Address[]
  subject: string
  /** What stands in the editor; pictures as `cid:`. */
  html: string
  text: string
  /** The message that is answered, folded below until it is edited. */
  quoteHtml: string
  quoteText: string
  inReplyTo: string[] | null
  references: string[] | null
  answers: Id | null
  forwards: Id | null
  /** The account of the message that is answered or forwarded. Not said: the draft's own. */
  of?: Id
  messageId: string
  pieces: Piece[]
  /** The one on the server. */
  emailId: Id | null
  plain: boolean
  /** Set: it was sent, and waits for the network. */
  sendAt: string | null
  changedAt: number
}

export function isEmpty(draft: Draft): boolean {
  return draft.to.length + draft.cc.length + draft.bcc.length === 0 && draft.subject.trim() === '' && draft.text.trim() === '' && draft.pieces.length === 0
}

/** Goes out as it is, more or less; all else in base64. */
const isText = (type: string): boolean => /^(text\/|message\/rfc822$)/i.test(type)

/** How large it will be, in octets: files in base64 or, if they are text, as they are; what is written at its worst; the header. */
export function weight(draft: Pick<Draft, 'pieces' | 'html' | 'text' | 'quoteHtml' | 'quoteText'>): number {
  const files = draft.pieces.reduce((sum, piece) => sum + (isText(piece.type) ? piece.size : Math.ceil(piece.size / 57) * 78) + 400, 0)
  const texts = [draft.text, draft.quoteText, draft.html, draft.quoteHtml].reduce((sum, text) => sum + new Blob([text]).size, 0)
  return files + Math.ceil(texts * 1.4) + 4000
}

export interface Facts { from: Address; drafts: Id; replyTo: Address[] | null; bcc: Address[]; now: string }

/** The object for `Email/set` create. */
export function email(draft: Draft, facts: Facts): Record<string, unknown> {
  const text = [draft.text, draft.quoteText].filter((t) => t !== '').join('\n\n')
  // A picture that was taken out of the text does not go; where there is text alone it is a file.
  const inText = draft.plain ? '' : draft.html + draft.quoteHtml
  const inline = draft.pieces.filter((p) => p.cid !== null && p.blobId !== null && shows(inText, p.cid))
  const attached = draft.pieces.filter((p) => p.blobId !== null && (p.cid === null || draft.plain))
  const part = (p: Piece, disposition: string): Record<string, unknown> =>
    ({ blobId: p.blobId, type: p.type, name: p.name, disposition, ...(p.cid === null ? {} : { cid: p.cid }) })
  const bodies: Record<string, { value: string }> = { text: { value: `${text}\n` } }
  let body: Record<string, unknown> = { partId: 'text', type: 'text/plain' }
  if (!draft.plain) {
    bodies.html = { value: `<!DOCTYPE html><html><body>${draft.html}${draft.quoteHtml}</body></html>` }
    let html: Record<string, unknown> = { partId: 'html', type: 'text/html' }
    if (inline.length > 0) html = { type: 'multipart/related', subParts: [html, ...inline.map((p) => part(p, 'inline'))] }
    body = { type: 'multipart/alternative', subParts: [body, html] }
  }
  if (attached.length > 0) body = { type: 'multipart/mixed', subParts: [body, ...attached.map((p) => part(p, 'attachment'))] }
  const bcc = [...draft.bcc, ...facts.bcc.filter((b) => !draft.bcc.some((d) => d.email === b.email))]
  return {
    mailboxIds: { [facts.drafts]: true },
    keywords: { $draft: true, $seen: true },
    from: [facts.from],
    to: draft.to, cc: draft.cc, bcc,
    ...(facts.replyTo?.length ? { replyTo: facts.replyTo } : {}),
    subject: draft.subject,
    sentAt: facts.now,
    messageId: [draft.messageId],
    ...(draft.inReplyTo ? { inReplyTo: draft.inReplyTo } : {}),
    ...(draft.references ? { references: draft.references } : {}),
    bodyStructure: body,
    bodyValues: bodies,
  }
}

/** Local time with its zone, as a `Date` field has it. */
export function localDate(now: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0')
  const zone = -now.getTimezoneOffset()
  const sign = zone < 0 ? '-' : '+'
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}T${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}` +
    `${sign}${two(Math.floor(Math.abs(zone) / 60))}:${two(Math.abs(zone) % 60)}`
}

/** "tomorrow", "tue 8", "14:30", "in 2h", "2026-12-24 9": a time yet to come. */
export function later(typed: string, now: Date): Date | undefined {
  const text = typed.trim().toLowerCase()
  const span = /^(?:in\s+)?(\d+)\s*(s|m|min|h|d|w)$/.exec(text)
  if (span) {
    const ms = { s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 }[span[2] as 'm'] ?? 0
    return new Date(now.getTime() + Number(span[1]) * ms)
  }
  const read = /^(?:(today|tomorrow|tonight|su|mo|tu|we|th|fr|sa)[a-z]*|(\d{4})-(\d{1,2})-(\d{1,2}))?\s*(?:(\d{1,2})(?::(\d{2}))?)?$/.exec(text)
  if (!read || text === '') return undefined
  const [, word, year, month, date, hour, minute] = read
  const at = new Date(now.getFullYear(), now.getMonth(), now.getDate(), Number(hour ?? (word === 'tonight' ? 20 : 8)), Number(minute ?? 0))
  if (year !== undefined) at.setFullYear(Number(year), Number(month) - 1, Number(date))
  else if (word === 'tomorrow') at.setDate(at.getDate() + 1)
  else if (word !== undefined && word !== 'today' && word !== 'tonight') {
    const wanted = ['su', 'mo', 'tu', 'we', 'th', 'fr', 'sa'].indexOf(word)
    const days = (wanted - at.getDay() + 7) % 7
    at.setDate(at.getDate() + days)
    if (at <= now) at.setDate(at.getDate() + 7)
  } else if (word === undefined && at <= now) at.setDate(at.getDate() + 1)
  return Number(hour ?? 0) > 23 || Number(minute ?? 0) > 59 || at <= now ? undefined : at
}
