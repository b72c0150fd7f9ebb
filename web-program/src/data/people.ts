// Whom one writes to: how often, the older the less (half-life 60 days); what was typed in full wins. A function of its arguments.

import type { Address, Id } from '../jmap/types'
import type { Card } from './vcard'

/** `id`: who it is in the server's address book; `unsent`: entered here, and not told to it yet; several may share an address. */
export interface Person { email: string; name: string | null; weight: number; at: number; hidden?: boolean; id?: Id; unsent?: readonly Card[] }

/** One of the server's address book. */
export interface Entry { id: Id; name: string; emails: string[]; isEntered: boolean; timesUsed: number; lastUsed: string | null }

const HALF = 60 * 86_400_000

export function weightAt(person: Person, now: number): number { return person.weight * 2 ** (-(now - person.at) / HALF) }

export function met(person: Person | undefined, address: Address, by: number, now: number): Person {
  const before = person ? weightAt(person, now) : 0
  return { ...(person?.id ? { id: person.id } : {}), ...(person?.unsent ? { unsent: person.unsent } : {}), email: address.email.toLowerCase(), name: address.name ?? person?.name ?? null, weight: before + by, at: now }
}

/** Several people may share an address: who is written to there is all of them. */
function sharers(book: readonly Entry[]): Map<string, Entry> {
  const all = new Map<string, Entry>()
  const names = new Map<string, Set<string>>()
  for (const entry of book) {
    for (const email of entry.emails.map((e) => e.toLowerCase())) {
      const had = all.get(email)
      const known = names.get(email) ?? new Set()
      names.set(email, entry.name === '' ? known : known.add(entry.name))
      // Of names that have commas themselves ("Doe, Jane") one sees where the next begins.
      const name = [...known].sort().join([...known].some((one) => one.includes(',')) ? '; ' : ', ')
      all.set(email, had ? { ...had, name, isEntered: had.isEntered || entry.isEntered, timesUsed: Math.max(had.timesUsed, entry.timesUsed), lastUsed: (had.lastUsed ?? '') < (entry.lastUsed ?? '') ? entry.lastUsed : had.lastUsed } : entry)
    }
  }
  return all
}

/** What changes here when the server's address book is this: who is new or named otherwise there, and who is gone. */
export function merged(people: ReadonlyMap<string, Person>, book: readonly Entry[], now: number): Person[] {
  const changed: Person[] = []
  const there = sharers(book)
  for (const [email, { id, name, isEntered, timesUsed, lastUsed }] of there) {
    const known = people.get(email)
    if (known?.unsent || (known?.hidden && !isEntered)) continue
    const used = lastUsed === null ? 0 : weightAt({ email, name, weight: timesUsed, at: Date.parse(lastUsed) }, now)
    const weight = Math.max(isEntered ? 1 : 0, used, known ? weightAt(known, now) : 0)
    const person: Person = { email, name: name || (known?.name ?? null), weight, at: now, id }
    if (!known || known.hidden || known.id !== id || known.name !== person.name || weight - weightAt(known, now) > 0.5) changed.push(person)
  }
  for (const { id, ...person } of people.values()) if (id !== undefined && !there.has(person.email)) changed.push({ ...person, hidden: true })
  return changed
}

/** Which of those with an address of the card it is of. First who has its name, then who has none yet; another name it gives to one who has the address alone, where two of a household share it that is a third. */
export function whose<T>(all: readonly T[], card: Card, cardOf: (one: T) => Card): T | undefined {
  const { name, corrects } = card
  const sharing = all.filter((one) => cardOf(one).emails.some((a) => card.emails.some((b) => a.toLowerCase() === b.toLowerCase())))
  const called = (one: T): boolean => fold(cardOf(one).name ?? '') === fold(name ?? '')
  return sharing.find(called) ?? sharing.find((one) => !name || !cardOf(one).name) ?? (corrects && sharing.length === 1 ? sharing[0] : undefined)
}

export function fold(text: string): string { return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase() }

export function completions(people: Iterable<Person>, typed: string, now: number, most = 6): Person[] {
  const wanted = fold(typed.trim())
  if (wanted === '') return []
  const found: [number, Person][] = []
  for (const person of people) {
    if (person.hidden) continue
    const email = fold(person.email)
    const name = fold(person.name ?? '')
    const starts = email.startsWith(wanted) || name.split(/\s+/).some((w) => w.startsWith(wanted)) || name.startsWith(wanted)
    if (!starts && !email.includes(wanted)) continue
    found.push([(starts ? 1000 : 0) + (email === wanted ? 1e6 : 0) + weightAt(person, now), person])
  }
  return found.sort((a, b) => b[0] - a[0] || a[1].email.localeCompare(b[1].email)).slice(0, most).map(([, p]) => p)
}
