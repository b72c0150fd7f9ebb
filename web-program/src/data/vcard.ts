// Address books as files: vCard 4 out, 2.1 to 4 in (RFC 6350). What the program has no field for stays in the card's own text, and goes out
// with it again. A function of its arguments.

import { folded, octets } from './folded'

export interface Card {
  name: string | null
  emails: string[]
  phones: string[]
  organization: string
  note: string
  /** The card as it came, one property a line; `null`: it was entered here. */
  vcard: string | null
  /** Written here by hand: who alone is known by that address is meant, under whatever name. */
  corrects?: true
}

const LIST_MAX = 50
/** The server takes 32 KB of a person, all fields together: pictures that are larger stay behind. */
const CARD_BYTES_MAX = 20_000

const escape = (text: string): string => text.replace(/([\\,;])/g, '\\$1').replaceAll('\n', '\\n')
const unescape = (text: string): string => text.replace(/\\([\\,;:nN])/g, (_, c: string) => (c === 'n' || c === 'N' ? '\n' : c))

export const plain = (name: string | null, email: string): Card => ({ name, emails: [email], phones: [], organization: '', note: '', vcard: null })

const PROPERTY = /^((?:[\w-]+\.)?)([\w-]+)((?:;(?:"[^"]*"|[^":])*)?):(.*)$/s

/** One property a line, its name, its parameters and its value. */
function parts(line: string): { group: string; key: string; params: string; value: string } | undefined {
  const found = PROPERTY.exec(line)
  if (!found) return undefined
  const [, group = '', key = '', params = '', value = ''] = found
  return { group, key: key.toUpperCase(), params, value }
}

const emailOf = (value: string): string => unescape(value).trim().replace(/^mailto:/i, '')

function lineOf(card: Card, line: string): string[] {
  const found = parts(line)
  if (found?.key === 'FN' && card.name !== null && unescape(found.value).trim() !== card.name) return [`FN:${escape(card.name)}`]
  if (found?.key === 'EMAIL' && !card.emails.some((e) => e.toLowerCase() === emailOf(found.value).toLowerCase())) return []
  return [line]
}

/** A card that came keeps all it had, but for what was changed here. */
function lines(card: Card): string[] {
  const email = (e: string): string => `EMAIL:${escape(e)}`
  if (card.vcard === null) {
    return ['BEGIN:VCARD', 'VERSION:4.0', `FN:${escape(card.name ?? card.emails[0] ?? '')}`, ...card.emails.map(email), ...card.phones.map((p) => `TEL:${escape(p)}`),
      ...(card.organization === '' ? [] : [`ORG:${escape(card.organization)}`]), ...(card.note === '' ? [] : [`NOTE:${escape(card.note)}`]), 'END:VCARD']
  }
  const kept = card.vcard.split(/\r?\n/).filter((l) => l !== '')
  const had = new Set(kept.flatMap((l) => { const p = parts(l); return p?.key === 'EMAIL' ? [emailOf(p.value).toLowerCase()] : [] }))
  return [...kept.slice(0, -1).flatMap((l) => lineOf(card, l)), ...card.emails.filter((e) => !had.has(e.toLowerCase())).map(email), 'END:VCARD']
}

export function written(cards: readonly Card[]): string {
  return cards.map((card) => lines(card).map(folded).join('\r\n') + '\r\n').join('')
}

const isQuoted = (line: string): boolean => /^[^:]*;(?:ENCODING=)?QUOTED-PRINTABLE/i.test(line)

/** Lines put together again: a fold begins with a space, in what is quoted-printable it ends with `=`. */
function unfolded(text: string): string[] {
  const all: string[] = []
  for (const line of text.split(/\r?\n/)) {
    const last = all.at(-1)
    if (last !== undefined && isQuoted(last) && last.endsWith('=')) all[all.length - 1] = last.slice(0, -1) + line
    else if (last !== undefined && /^[ \t]/.test(line)) all[all.length - 1] = last + line.slice(1)
    else all.push(line)
  }
  return all
}

/** vCard 2.1 writes what is not ASCII as mail does: from here on it is UTF-8. */
function modern(line: string): string {
  if (/^VERSION:2\.1/i.test(line)) return 'VERSION:3.0'
  const found = isQuoted(line) ? parts(line) : undefined
  if (!found) return line
  const raw = found.value.replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  const text = new TextDecoder().decode(new Uint8Array([...raw].map((c) => c.charCodeAt(0))))
  const params = found.params.replace(/;(?:ENCODING=)?QUOTED-PRINTABLE/gi, '').replace(/;CHARSET=[^;]*/gi, '')
  return `${found.group}${found.key}${params}:${text.replace(/\r?\n/g, '\\n')}`
}

/** What is told of a card once, whoever tells it: two of them would not be one any more. */
const ONCE = new Set(['BEGIN', 'END', 'VERSION', 'FN', 'N', 'UID', 'REV', 'PRODID'])

/** Two cards of one person as one: the longer, with what only the other has. */
export function together(a: string | null, b: string | null): string | null {
  const [base, other] = (a?.length ?? 0) < (b?.length ?? 0) ? [b, a] : [a, b]
  if (base === null || other === null) return base
  const kept = base.split(/\r?\n/).filter((l) => l !== '')
  const more = other.split(/\r?\n/).filter((l) => l !== '' && !kept.includes(l) && !ONCE.has(parts(l)?.key ?? ''))
  return more.length === 0 ? base : fitting([...kept.slice(0, -1), ...more, ...kept.slice(-1)])
}

function fitting(all: readonly string[]): string {
  const kept = [...all]
  while (octets(kept.join('\r\n')) > CARD_BYTES_MAX) kept.splice(kept.indexOf(kept.reduce((a, b) => (b.length > a.length ? b : a))), 1)
  return `${kept.join('\r\n')}\r\n`
}

function cardOf(all: readonly string[]): Card {
  const card: Card = { name: null, emails: [], phones: [], organization: '', note: '', vcard: fitting(all) }
  for (const { key, value } of all.flatMap((line) => parts(line) ?? [])) {
    const text = unescape(value).trim()
    switch (key) {
      case 'FN': card.name = text || null; break
      case 'N': card.name ??= value.split(/(?<!\\);/).slice(0, 2).reverse().map((p) => unescape(p).trim()).filter((p) => p !== '').join(' ') || null; break
      case 'EMAIL': if (/^\S+@\S+$/.test(emailOf(value))) card.emails.push(emailOf(value)); break
      case 'TEL': if (text !== '') card.phones.push(text.replace(/^tel:/i, '')); break
      case 'ORG': card.organization = value.split(/(?<!\\);/).map((p) => unescape(p).trim()).filter((p) => p !== '').join(', '); break
      case 'NOTE': card.note = text; break
    }
  }
  return { ...card, emails: card.emails.slice(0, LIST_MAX), phones: card.phones.slice(0, LIST_MAX), note: card.note.slice(0, 2000) }
}

/** The cards of a file. Mail goes to nobody who has no address there: those are counted, and so are those that were too large and lost something. */
export function read(text: string): { cards: Card[]; without: number; cut: number } {
  const found = { cards: [] as Card[], without: 0, cut: 0 }
  let open: string[] | undefined
  for (const line of unfolded(text).map(modern)) {
    if (/^BEGIN:VCARD\s*$/i.test(line)) open = []
    if (line.trim() !== '') open?.push(line)
    if (!/^END:VCARD\s*$/i.test(line) || !open) continue
    const card = cardOf(open)
    if (card.emails.length === 0) found.without += 1
    else {
      found.cards.push(card)
      if (octets(open.join('\r\n')) > CARD_BYTES_MAX) found.cut += 1
    }
    open = undefined
  }
  return found
}
