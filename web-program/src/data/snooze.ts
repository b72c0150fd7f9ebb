// Out of the way until a time: the server wakes what it is told of (`Snooze/set`), with every page closed. Where it cannot, a message lies in the
// mailbox Later, and a keyword on it tells its time to every device. A function of its arguments.

import type { Call } from '../jmap/client'
import type { Flags, Id } from '../jmap/types'
import type { Waiting } from './cache'
import { path, type Patch, type Patches } from './patch'

/** Where the server keeps them. */
export const ROOM = 'Snoozed'
/** What was to come back while there was no network comes so soon. */
const SOON_MS = 2000

/** The calls that say so: what does not lie in the inbox comes back to it all the same; what is called back before its time is as it was. */
export function setting({ patches, until }: Waiting, accountId: Id, inbox: Id, isSeen: (id: Id) => boolean, now: number): Call[] {
  const ids = Object.keys(patches)
  const keywords: Patches = {}
  const places: Patches = {}
  for (const [id, patch] of Object.entries(patches)) {
    const only = (name: string): Patch => Object.fromEntries(Object.entries(patch).filter(([at]) => at.startsWith(name)))
    const at = only('mailboxIds/')
    // The server brings it to the inbox, where it was not.
    const elsewhere: Patch = Object.values(at).includes(true) && !(path('mailboxIds', inbox) in at) ? { [path('mailboxIds', inbox)]: null } : {}
    keywords[id] = until === null ? { ...patch, ...elsewhere, ...(isSeen(id) ? { 'keywords/$seen': true as const } : {}) } : only('keywords/')
    if (Object.keys(at).length > 0 && !(path('mailboxIds', inbox) in at)) places[id] = { ...Object.fromEntries(Object.keys(at).map((one) => [one, null])), [path('mailboxIds', inbox)]: true }
  }
  if (until == null) return [['Snooze/set', { accountId, destroy: ids }, 'w'], ['Email/set', { accountId, update: keywords }, 's']]
  const at = new Date(Math.max(Date.parse(until), now + SOON_MS)).toISOString().replace(/\.\d+/, '')
  return [
    ...(Object.keys(places).length > 0 ? [['Email/set', { accountId, update: places }, 'p'] as Call] : []),
    ['Snooze/set', { accountId, create: Object.fromEntries(ids.map((id) => [id, { emailId: id, until: at }])) }, 'z'],
    ['Email/set', { accountId, update: keywords }, 's'],
  ]
}

export const LATER = 'Later'
const PREFIX = '$later-'

/** `$later-202611280930`, in UTC. */
export function keyword(at: Date): string { return PREFIX + at.toISOString().replace(/[-T:]/g, '').slice(0, 12) }

export function until(keywords: Flags): { keyword: string; at: Date } | undefined {
  for (const name of Object.keys(keywords)) {
    const parts = /^\$later-(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$/i.exec(name)
    if (!parts) continue
    const [year, month, day, hour, minute] = parts.slice(1).map(Number) as [number, number, number, number, number]
    return { keyword: name, at: new Date(Date.UTC(year, month - 1, day, hour, minute)) }
  }
  return undefined
}

export type Choice = 'evening' | 'tomorrow' | 'weekend' | 'week'

/** Times that are still to come, in order. */
export function choices(now: Date): [Choice, Date][] {
  const at = (days: number, hour: number): Date => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hour)
  const saturday = (6 - now.getDay() + 7) % 7 || 7
  const monday = (1 - now.getDay() + 7) % 7 || 7
  const all: [Choice, Date][] = [['evening', at(0, 18)], ['tomorrow', at(1, 8)], ['weekend', at(saturday, 9)], ['week', at(monday, 8)]]
  return all.filter(([, time]) => time > now)
}
