// Addresses as people type and paste them, and as they are shown. A function of its arguments.

import type { Address } from '../jmap/types'

const ONE = /^[^\s@<>()[\],;:"\\]+@[^\s@<>()[\],;:"\\]+$|^"[^"]+"@[^\s@<>,;]+$/u

export function isAddress(email: string): boolean { return ONE.test(email) }

/** `Ann <ann@here.test>, bob@here.test; "Lee, Cy" <cy@x.test>` */
export function parsed(text: string): Address[] {
  const pieces: string[] = []
  let piece = ''
  let quoted = false
  let angle = false
  for (const c of text) {
    if (c === '"') quoted = !quoted
    else if (c === '<' && !quoted) angle = true
    else if (c === '>' && !quoted) angle = false
    if ((c === ',' || c === ';' || c === '\n') && !quoted && !angle) { pieces.push(piece); piece = '' } else piece += c
  }
  pieces.push(piece)
  return pieces.map((p) => p.trim()).filter((p) => p !== '').map((p): Address => {
    const named = /^(.*?)\s*<([^>]*)>?$/su.exec(p)
    if (!named) return { name: null, email: p.replace(/^mailto:/i, '') }
    const name = (named[1] ?? '').replace(/^"|"$/g, '').replaceAll('\\"', '"').trim()
    return { name: name === '' ? null : name, email: (named[2] ?? '').trim() }
  })
}

export function written(address: Address): string {
  if (!address.name) return address.email
  const name = /[^\p{L}\p{N} .'-]/u.test(address.name) ? `"${address.name.replaceAll('"', '\\"')}"` : address.name
  return `${name} <${address.email}>`
}

export function shown(address: Address | null | undefined): string {
  return address?.name?.trim() || address?.email || ''
}

/** A given name where there are several people in a row. */
export function short(address: Address): string {
  const name = address.name?.trim()
  if (!name) return address.email.split('@')[0] ?? address.email
  return name.includes(',') ? name : name.split(/\s+/)[0] ?? name
}

export const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

export function without(list: readonly Address[], out: readonly string[]): Address[] {
  const gone = new Set(out.map((e) => e.toLowerCase()))
  const kept: Address[] = []
  for (const address of list) {
    const key = address.email.toLowerCase()
    if (gone.has(key)) continue
    gone.add(key)
    kept.push(address)
  }
  return kept
}

/** A name that shows an address other than the one it comes from: `"boss@corp.test" <x@evil.test>`. */
export function isForged(address: Address): boolean {
  const inside = /[^\s<>"'(),;]+@[^\s<>"'(),;]+\.[^\s<>"'(),;]+/u.exec(address.name ?? '')
  return inside !== null && !same(inside[0], address.email)
}
