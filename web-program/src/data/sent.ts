// What became of a message that was sent (RFC 8621 7): for each that got it, and for all of it in one word. A function of its arguments.

import type { DeliveryStatus, Submission } from '../jmap/types'

/** Held until its time, on its way, taken by the other server (which says no more), in the other mailbox, or refused for good. */
export type Fate = 'held' | 'waiting' | 'accepted' | 'delivered' | 'failed'

export interface Way { to: string; fate: Fate; reply: string }

export function ways(submission: Submission): Way[] {
  return Object.entries(submission.deliveryStatus ?? {}).map(([to, s]) => ({ to, reply: s.smtpReply, fate: submission.undoStatus === 'pending' ? 'held' : one(s) }))
}

function one({ delivered, smtpReply }: DeliveryStatus): Fate {
  if (delivered === 'yes') return 'delivered'
  if (delivered === 'no') return 'failed'
  // Relayed, and nothing is heard of it: the reply is the other server's.
  return delivered === 'unknown' && smtpReply.startsWith('2') ? 'accepted' : 'waiting'
}

/** The worst of them: what has to be looked at. */
export function fate(submission: Submission): Fate {
  // Just handed in: nothing is told yet.
  if (submission.deliveryStatus == null) return submission.undoStatus === 'pending' ? 'held' : 'waiting'
  const all = ways(submission).map((w) => w.fate)
  return (['failed', 'held', 'waiting', 'accepted'] as const).find((f) => all.includes(f)) ?? 'delivered'
}

/** Milliseconds until it is asked without having been told, in case that was lost; `undefined`: nothing will change. */
export function askAgain(all: Iterable<Submission>, times: number, now: number): number | undefined {
  let soonest: number | undefined
  for (const one of all) {
    if (one.undoStatus === 'canceled') continue
    const what = fate(one)
    if (what !== 'held' && what !== 'waiting') continue
    const wait = Math.max(Date.parse(one.sendAt) - now + 500, Math.min(120_000, 10_000 * 2 ** times))
    soonest = Math.min(soonest ?? wait, wait)
  }
  return soonest === undefined ? undefined : Math.min(soonest, 600_000)
}
