// What is typed into the search field: operators as chips, the rest as words; and the same as a JMAP filter (RFC 8621 4.4.1).

import type { Address, Filter, Id } from '../jmap/types'
import { completions, fold, type Person } from './people'

/** `phrase`: it was quoted, and is meant as it stands. `at`: where it begins in what was typed. */
export interface Term { key: string; value: string; not: boolean; phrase: boolean; text: string; at: number }

export const OPERATORS = ['from', 'to', 'cc', 'bcc', 'subject', 'body', 'in', 'has', 'is', 'label', 'before', 'after', 'on', 'older', 'newer', 'larger', 'smaller', 'filename', 'list'] as const
const KNOWN = new Set<string>(OPERATORS)

/** `from:bob "two words" -is:unread` */
export function terms(query: string): Term[] {
  const found: Term[] = []
  const pattern = /(-?)(?:([a-z]+):)?("([^"]*)"?|\S+)/giu
  for (const { 0: text, 1: minus, 2: key, 3: bare, 4: quoted, index: at } of query.matchAll(pattern)) {
    let value = quoted ?? bare ?? ''
    let name = (key ?? '').toLowerCase()
    if (name !== '' && !KNOWN.has(name)) { value = `${key}:${value}`; name = '' }
    if (value === '' || value === '-') continue
    found.push({ key: name || 'text', value, not: minus === '-', phrase: quoted !== undefined && /\s/.test(value), text, at })
  }
  return found
}

export function words(query: string): string[] {
  return terms(query).filter((t) => !t.not && ['text', 'subject', 'body', 'from', 'to'].includes(t.key)).map((t) => t.value)
}

/** 2026-01-31, 2026/1/31, yesterday, today, 2026, or "3d" (with older and newer). */
export function day(value: string, now: Date): Date | undefined {
  const start = new Date(now.getFullYear(), now.getMonth(), now.getDate())
  if (value === 'today') return start
  if (value === 'yesterday') return new Date(start.getFullYear(), start.getMonth(), start.getDate() - 1)
  const ago = /^(\d+)([dwmy])$/.exec(value)
  if (ago) {
    const n = Number(ago[1])
    const unit = ago[2]
    if (unit === 'd') return new Date(start.getFullYear(), start.getMonth(), start.getDate() - n)
    if (unit === 'w') return new Date(start.getFullYear(), start.getMonth(), start.getDate() - 7 * n)
    if (unit === 'm') return new Date(start.getFullYear(), start.getMonth() - n, start.getDate())
    return new Date(start.getFullYear() - n, start.getMonth(), start.getDate())
  }
  const written = /^(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?$/.exec(value)
  if (!written) return undefined
  const date = new Date(Number(written[1]), Number(written[2] ?? 1) - 1, Number(written[3] ?? 1))
  return Number.isNaN(date.getTime()) ? undefined : date
}

export function octets(value: string): number | undefined {
  const read = /^(\d+(?:\.\d+)?)\s*(k|kb|m|mb|g|gb)?$/i.exec(value)
  if (!read) return undefined
  const unit = { k: 1e3, m: 1e6, g: 1e9 }[(read[2] ?? '').charAt(0).toLowerCase()] ?? 1
  return Math.round(Number(read[1]) * unit)
}

const utc = (date: Date): string => date.toISOString().replace(/\.\d+Z$/, 'Z')
const next = (date: Date): Date => new Date(date.getFullYear(), date.getMonth(), date.getDate() + 1)

/** Conditions beyond RFC 8621 that a server may have: `docs/jmap.md`. */
export const FILE_NAME = 'attachmentName'

function one(term: Term, mailbox: (name: string) => Id | undefined, now: Date, own: readonly string[]): Filter {
  const { key, value, phrase } = term
  const date = day(value, now)
  const typed = phrase ? `"${value.replaceAll('\\', '\\\\')}"` : value
  switch (key) {
    case 'from': case 'to': case 'cc': case 'bcc': case 'subject': case 'body': case 'text': return { [key]: typed }
    case 'in': {
      const id = mailbox(value)
      return id === undefined ? { text: value } : { inMailbox: id }
    }
    case 'has':
      if (['file', 'attachment', 'files'].includes(value)) return { hasAttachment: true }
      return { text: value }
    case 'is':
      if (value === 'unread') return { notKeyword: '$seen' }
      if (value === 'read') return { hasKeyword: '$seen' }
      if (value === 'starred' || value === 'flagged') return { hasKeyword: '$flagged' }
      if (value === 'answered') return { hasKeyword: '$answered' }
      if (value === 'draft') return { hasKeyword: '$draft' }
      return { hasKeyword: value }
    case 'label': return { hasKeyword: value.toLowerCase() }
    case 'before': case 'older': return date ? { before: utc(date) } : { text: value }
    case 'after': case 'newer': return date ? { after: utc(date) } : { text: value }
    case 'on': return date ? { operator: 'AND', conditions: [{ after: utc(date) }, { before: utc(next(date)) }] } : { text: value }
    case 'larger': return { minSize: octets(value) ?? 0 }
    case 'smaller': return { maxSize: octets(value) ?? 0 }
    // Of another server nothing closer can be asked.
    case 'filename': return own.includes(FILE_NAME) ? { [FILE_NAME]: typed } : { operator: 'AND', conditions: [{ hasAttachment: true }, { text: typed }] }
    case 'list': return { header: ['List-Id', value] }
    default: return { text: value }
  }
}

/** All of the terms. Without `in:` all mail is meant, but what was thrown away or is spam. `own`: conditions that the server has beyond RFC 8621. */
export function filter(query: string, mailbox: (name: string) => Id | undefined, hidden: readonly Id[], now: Date, own: readonly string[] = []): Filter {
  const asked = terms(query)
  const conditions = asked.map((term): Filter => {
    const condition = one(term, mailbox, now, own)
    return term.not ? { operator: 'NOT', conditions: [condition] } : condition
  })
  if (!asked.some((t) => t.key === 'in' && !t.not) && hidden.length > 0) conditions.push({ inMailboxOtherThan: hidden })
  if (conditions.length === 1) return conditions[0] as Filter
  return { operator: 'AND', conditions }
}

/** The same with a term taken out, or another in its place. */
export function instead(query: string, { text, at }: Term, by = ''): string {
  return `${query.slice(0, at)}${by}${query.slice(at + text.length)}`.replace(/\s+/g, ' ').trim()
}

const isScope = ({ key, not }: Term): boolean => key === 'in' && !not

/** The mailbox that is searched in; empty: all mail. */
export function scope(query: string): string { return terms(query).findLast(isScope)?.value ?? '' }

/** The same search in that mailbox, or in all mail. */
export function inBox(query: string, name: string): string {
  let rest = query
  for (const term of terms(query).filter(isScope).toReversed()) rest = instead(rest, term)
  const value = /\s/.test(name) ? `"${name.replaceAll('"', '')}"` : name
  return `${rest} ${name === '' ? '' : `in:${value}`}`.replace(/\s+/g, ' ').trim()
}

/** Who may be meant by what was typed, and the search that means nobody else: of those one writes to, and of those who wrote what was found. */
export function known(query: string, people: Iterable<Person>, senders: Iterable<Address>, now: number, most = 4): { email: string; name: string | null; query: string }[] {
  const asked = terms(query).filter(({ key, not, value }) => !not && ['text', 'from', 'to'].includes(key) && value.length > 1)
  if (asked.length === 0) return []
  const all = new Map<string, Person>()
  for (const { email, name } of senders) { const key = email.toLowerCase(); if (!all.has(key)) all.set(key, { email: key, name, weight: 0, at: now }) }
  for (const person of people) all.set(person.email, person)
  for (const term of asked) {
    if (all.has(fold(term.value))) continue
    const found = completions(all.values(), term.value, now, most)
    if (found.length > 0) return found.map(({ email, name }) => ({ email, name, query: instead(query, term, `${term.key === 'to' ? 'to' : 'from'}:${email}`) }))
  }
  return []
}
