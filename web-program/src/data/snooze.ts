// "Later": a message lies in a mailbox of that name until its time, which a keyword on it tells every device. A function of its arguments.

import type { Flags } from '../jmap/types'

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
