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

/** Letters of other scripts that look like Latin ones. */
const ALIKE: Record<string, string> = { а: 'a', в: 'b', е: 'e', і: 'i', ј: 'j', к: 'k', м: 'm', н: 'h', о: 'o', р: 'p', с: 'c', ѕ: 's', т: 't', у: 'y', х: 'x', α: 'a', β: 'b', ε: 'e', ι: 'i', κ: 'k', ν: 'v', ο: 'o', ρ: 'p', τ: 't', υ: 'u', χ: 'x', ı: 'i' }

/** A name as the eye takes it: without marks, in whatever order and script. */
function seen(name: string): string {
  const plain = name.normalize('NFKD').toLowerCase().replace(/[\p{M}\p{Cf}]/gu, '').replace(/./gu, (c) => ALIKE[c] ?? c)
  return plain.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== '').sort().join(' ')
}

/** Who is known by the name that an unknown address bears. */
export function borrowed<T extends Address>(from: Address, known: Iterable<T>): T | undefined {
  const name = seen(from.name ?? '')
  if (name.length < 2) return undefined
  let found: T | undefined
  for (const one of known) {
    if (same(one.email, from.email)) return undefined
    if (one.name && seen(one.name) === name) found ??= one
  }
  return found
}

/** A name for a file, out of a subject. */
export const fileName = (subject: string | null): string => (subject ?? '').replace(/[^\p{L}\p{N} -]+/gu, '').trim().slice(0, 60) || 'message'
