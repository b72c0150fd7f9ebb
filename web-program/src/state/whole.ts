// What is done with all of a mailbox, however many messages it has: on the server, piece by piece.

import type { Id, Mailbox } from '../jmap/types'
import { t } from '../texts'
import type { Mail } from './mail.svelte'

/** In one request. */
const PIECE = 500

/** All of it is read; and what was not is unread again, when that is taken back. */
export async function readAll(mail: Mail, { id }: Mailbox): Promise<void> {
  const { jmap, account: accountId } = mail
  const piece = Math.min(PIECE, jmap.limit('maxObjectsInSet', PIECE))
  const set = (ids: readonly Id[], seen: true | null): Promise<unknown> => jmap.call([['Email/set', { accountId, update: Object.fromEntries(ids.map((one) => [one, { 'keywords/$seen': seen }])) }, 's']])
  const read = new Set<Id>()
  try {
    for (;;) {
      const found = (await jmap.call([['Email/query', { accountId, filter: { inMailbox: id, notKeyword: '$seen' }, limit: piece }, 'q']])).of<{ ids: Id[] }>('q').ids
      // One that cannot be marked would come again and again.
      const fresh = found.filter((one) => !read.has(one))
      if (fresh.length === 0) break
      await set(fresh, true)
      for (const one of fresh) read.add(one)
    }
  } finally {
    if (read.size > 0) {
      const all = [...read]
      mail.did(t.done.read, async () => {
        for (let from = 0; from < all.length; from += piece) await set(all.slice(from, from + piece), null)
        await mail.sync()
      }, all.length)
    }
  }
  await mail.sync()
}
