// Address books as files: vCard 4 out, 2.1 to 4 in (RFC 6350), as far as names and addresses go. A function of its arguments.

import type { Address } from '../jmap/types'

const escape = (text: string): string => text.replace(/([\\,;])/g, '\\$1').replaceAll('\n', '\\n')
const unescape = (text: string): string => text.replace(/\\([\\,;:nN])/g, (_, c: string) => (c === 'n' || c === 'N' ? '\n' : c))

/** Lines of at most 75 octets (RFC 6350 3.2). */
function folded(line: string): string {
  const bytes = new TextEncoder()
  let out = ''
  let width = 0
  for (const c of line) {
    const n = bytes.encode(c).length
    if (width + n > 75) { out += '\r\n '; width = 1 }
    out += c
    width += n
  }
  return out
}

export function written(people: readonly Address[]): string {
  return people.map((p) => ['BEGIN:VCARD', 'VERSION:4.0', `FN:${escape(p.name ?? p.email)}`, `EMAIL:${escape(p.email)}`, 'END:VCARD'].map(folded).join('\r\n') + '\r\n').join('')
}

function quoted(text: string): string {
  const octets = new Uint8Array([...text.replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))].map((c) => c.charCodeAt(0)))
  return new TextDecoder().decode(octets)
}

export function read(text: string): Address[] {
  const found: Address[] = []
  let name: string | null = null
  let emails: string[] = []
  for (const line of text.replace(/=\r?\n/g, '').replace(/\r?\n[ \t]/g, '').split(/\r?\n/)) {
    const parts = /^(?:[\w-]+\.)?([\w-]+)((?:;[^:]*)?):(.*)$/.exec(line)
    if (!parts) continue
    const [, key = '', params = '', raw = ''] = parts
    const value = unescape(/QUOTED-PRINTABLE/i.test(params) ? quoted(raw) : raw).trim()
    switch (key.toUpperCase()) {
      case 'BEGIN': name = null; emails = []; break
      case 'FN': name = value || null; break
      case 'N': name ??= value.split(';').slice(0, 2).reverse().filter((p) => p !== '').join(' ') || null; break
      case 'EMAIL': if (/^\S+@\S+$/.test(value.replace(/^mailto:/i, ''))) emails.push(value.replace(/^mailto:/i, '')); break
      case 'END': found.push(...emails.map((email) => ({ name, email }))); emails = []; break
    }
  }
  return found
}
