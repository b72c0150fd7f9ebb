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
  const read: Id[] = []
  try {
    for (;;) {
      const found = (await jmap.call([['Email/query', { accountId, filter: { inMailbox: id, notKeyword: '$seen' }, limit: piece }, 'q']])).of<{ ids: Id[] }>('q').ids
      // One that cannot be marked would come again and again.
      const fresh = found.filter((one) => !read.includes(one))
      if (fresh.length === 0) break
      await set(fresh, true)
      read.push(...fresh)
    }
  } finally {
    if (read.length > 0) {
      mail.did(t.done.read, async () => {
        for (let from = 0; from < read.length; from += piece) await set(read.slice(from, from + piece), null)
        await mail.sync()
      }, read.length)
    }
  }
  await mail.sync()
}
