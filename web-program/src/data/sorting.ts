// In which order a list stands: what the server is asked for, and the same judged here of what is kept. Functions of their arguments.

import type { Row } from '../jmap/types'
import { fold } from './people'

export interface Step { property: string; isAscending: boolean; keyword?: string }

/** What one may choose; nothing is said of the first, which stands without a choice. */
export const SORTS = ['newest', 'oldest', 'people', 'subject', 'size'] as const

const NEWEST: Step = { property: 'receivedAt', isAscending: false }

/** As an address has it. `isOutgoing`: the people are those it is for. */
export function sortOf(name: string, isOutgoing: boolean): Step[] {
  switch (name) {
    case 'oldest': return [{ property: 'receivedAt', isAscending: true }]
    case 'people': return [{ property: isOutgoing ? 'to' : 'from', isAscending: true }, NEWEST]
    case 'subject': return [{ property: 'subject', isAscending: true }, NEWEST]
    case 'size': return [{ property: 'size', isAscending: false }, NEWEST]
    default: return [NEWEST]
  }
}

/** As the server does it: of one second, what came later first. Its ids grow: the longer is the later. */
export const newestFirst = (a: Row, b: Row): number => b.receivedAt.localeCompare(a.receivedAt) || b.id.length - a.id.length || b.id.localeCompare(a.id)

/** What the server sorts by: of people the name of the first, or its address; of subjects without "Re:" and the like (RFC 8621 4.4.2). */
const person = (row: Row, which: 'from' | 'to'): string => { const first = row[which]?.[0]; return fold(first ? first.name || first.email : '') }
const subject = (row: Row): string => fold((row.subject ?? '').replace(/^(\s*(re|fwd?)\s*(\[[^\]]*\])?\s*:)+\s*/i, '').trim())

function compare({ property, keyword }: Step, a: Row, b: Row): number {
  switch (property) {
    case 'hasKeyword': return Number((keyword ?? '') in a.keywords) - Number((keyword ?? '') in b.keywords)
    case 'receivedAt': return a.receivedAt.localeCompare(b.receivedAt)
    case 'size': return a.size - b.size
    case 'subject': return subject(a).localeCompare(subject(b))
    case 'from': case 'to': return person(a, property).localeCompare(person(b, property))
    default: return 0
  }
}

/** What of two rows comes first. */
export const inOrder = (sort: readonly Step[]) => (a: Row, b: Row): number => {
  for (const step of sort) {
    const by = compare(step, a, b)
    if (by !== 0) return step.isAscending ? by : -by
  }
  return newestFirst(a, b)
}
