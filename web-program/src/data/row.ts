// What a row of a list says: of one message, or of its whole conversation. A function of its arguments.

import type { Email, Id, Row } from '../jmap/types'
import { t } from '../texts'
import { short, shown } from './address'

export interface Facts { unread: boolean; star: boolean; file: boolean; n: number; draft: boolean; labels: string[]; newest: Row; here: Row[]; answered: boolean; forwarded: boolean; pin: boolean; mute: boolean }

/** `all`: the messages it stands for, the oldest first; `box`: the mailbox that is listed, if it is one. */
export function facts(all: readonly Row[], row: Row, box: Id | undefined): Facts {
  const here = box === undefined ? [...all] : all.filter((r) => box in r.mailboxIds)
  // What came after an answer waits for another.
  const latest = here.at(-1) ?? row
  const some = (keyword: string): boolean => all.some((r) => keyword in r.keywords)
  return {
    unread: here.some((r) => !('$seen' in r.keywords)), star: some('$flagged'), file: all.some((r) => r.hasAttachment), n: all.length, draft: some('$draft'),
    labels: [...new Set(all.flatMap((r) => Object.keys(r.keywords).filter((k) => !k.startsWith('$'))))].slice(0, 3), newest: all.at(-1) ?? row, here, answered: '$answered' in latest.keywords, forwarded: '$forwarded' in latest.keywords, pin: some('$pinned'), mute: some('$muted'),
  }
}

/** Whom it is from; of what one sent oneself, whom it is for. */
export function people(all: readonly Row[], row: Row, me: string, isOutgoing: boolean): string {
  if (isOutgoing) return (row.to ?? []).map(shown).join(', ') || t.list.nobody
  if (all.length === 1) return shown(row.from?.[0]) || t.list.nobody
  const names = new Map<string, string>()
  for (const one of all) { const from = one.from?.[0]; if (from) names.set(from.email.toLowerCase(), from.email === me ? t.reader.me : short(from)) }
  const list = [...names.values()]
  return list.length > 3 ? `${list[0]} .. ${list.slice(-2).join(', ')}` : list.join(', ')
}

/** A row of a whole message. */
export function strip(email: Email): Row {
  const { id, blobId, threadId, mailboxIds, keywords, size, receivedAt, from, to, subject, preview, hasAttachment } = email
  return { id, blobId, threadId, mailboxIds, keywords, size, receivedAt, from, to, subject, preview, hasAttachment }
}
