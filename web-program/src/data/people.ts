// Whom one writes to: how often, the older the less (half-life 60 days); what was typed in full wins. A function of its arguments.

import type { Address } from '../jmap/types'

export interface Person { email: string; name: string | null; weight: number; at: number; hidden?: boolean }

const HALF = 60 * 86_400_000

export function weightAt(person: Person, now: number): number { return person.weight * 2 ** (-(now - person.at) / HALF) }

export function met(person: Person | undefined, address: Address, by: number, now: number): Person {
  const before = person ? weightAt(person, now) : 0
  return { email: address.email.toLowerCase(), name: address.name ?? person?.name ?? null, weight: before + by, at: now }
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
