// What is removed for ever, messages and whole mailboxes, and its way back: a server of ours keeps what went for a while.

import { path } from '../data/patch'
import { Refused, type Answers, type Call } from '../jmap/client'
import type { Id, Mailbox, Row, SetAnswer } from '../jmap/types'
import { t } from '../texts'
import type { Mail } from './mail.svelte'
import { toasts } from './toasts.svelte'

/** Messages that are removed for ever, or brought back, by one request. */
const REMOVED_MAX = 100
/** What others may remove at the same time. */
const UNDO_BESIDES = 50

/** What went from a mailbox: how many for ever, what brings these back, and what only left it. */
interface Gone { n: number; back: Id[]; out: Id[] }
/** What the server can bring back. */
interface Undoable { id: Id; mailboxId: Id; size: number }

export class Removal {
  constructor(private readonly mail: Mail) {}

  /** Calls that remove at most `most` messages for ever, and what the server can bring back of those that are meant. */
  private async removing(calls: Call[], most: number, isMeant: (one: Undoable) => boolean): Promise<{ answers: Answers; back: Id[] }> {
    if (!this.mail.isOurs) return { answers: await this.mail.jmap.call(calls), back: [] }
    const look = (id: string): Call => ['Undo/get', { accountId: this.mail.account, limit: most + UNDO_BESIDES }, id]
    const answers = await this.mail.jmap.call([look('before'), ...calls, look('after')])
    const before = new Set(answers.maybe<{ list: Undoable[] }>('before')?.list.map((one) => one.id))
    return { answers, back: (answers.maybe<{ list: Undoable[] }>('after')?.list ?? []).filter((one) => !before.has(one.id) && isMeant(one)).map((one) => one.id) }
  }

  /** Brings back what was removed for ever: what it is called now. */
  async restore(ids: readonly Id[]): Promise<Id[]> {
    const back: Id[] = []
    for (let from = 0; from < ids.length; from += REMOVED_MAX) {
      const answers = await this.mail.jmap.call([['Undo/restore', { accountId: this.mail.account, ids: ids.slice(from, from + REMOVED_MAX) }, 'r']])
      const { restored, notFound } = answers.of<{ restored: Record<Id, { emailId: Id | null }>; notFound: Id[] }>('r')
      if (notFound.length > 0) throw new Refused('notFound', t.reader.gone)
      back.push(...Object.values(restored).flatMap((one) => one.emailId ?? []))
    }
    await this.mail.sync()
    return back
  }

  /** A draft goes for ever: what brings it back. */
  async dropDraft(id: Id): Promise<Id[]> {
    const drafts = this.mail.role('drafts')?.id
    return (await this.removing([['Email/set', { accountId: this.mail.account, destroy: [id] }, 's']], 1, (one) => one.mailboxId === drafts)).back.slice(0, 1)
  }

  /** `did`, where there is a way back; else it is said alone. */
  private removed(n: number, back: readonly Id[], run: () => Promise<unknown> = () => this.restore(back)): void {
    if (back.length > 0) this.mail.did(t.done.destroyed, run, n)
    else toasts.show(t.done.destroyed(n))
  }

  async destroy(ids: Iterable<Id>): Promise<void> {
    const rows = this.mail.meant(ids)
    const back: Id[] = []
    let n = 0
    try {
      for (let from = 0; from < rows.length; from += REMOVED_MAX) {
        const some = rows.slice(from, from + REMOVED_MAX)
        const found = await this.removing([['Email/set', { accountId: this.mail.account, destroy: some.map((row) => row.id) }, 's']], some.length * 2, (one) => some.some((row) => row.size === one.size && one.mailboxId in row.mailboxIds))
        const done = found.answers.of<SetAnswer>('s').destroyed ?? []
        back.push(...found.back)
        n += done.length
        this.mail.dropRows(done)
      }
    } catch (error) { this.mail.failed(error); toasts.show(t.done.refused(error instanceof Error ? error.message : ''), { kind: 'error' }) }
    // Also when it ended halfway.
    if (n > 0) this.removed(n, back)
  }

  /** All that lies in a mailbox goes from there, and for ever what lies nowhere else; `gone` has what went, also when this ends halfway. */
  private async emptied(of: Id, gone: Gone): Promise<void> {
    for (let round = 0; round < 500; round++) {
      const found = await this.mail.jmap.call([['Email/query', { accountId: this.mail.account, filter: { inMailbox: of }, limit: REMOVED_MAX }, 'q'], ['Email/get', { accountId: this.mail.account, '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ['id', 'mailboxIds'] }, 'e']])
      const rows = found.of<{ list: Pick<Row, 'id' | 'mailboxIds'>[] }>('e').list
      if (rows.length === 0) break
      const alone = rows.filter((row) => Object.keys(row.mailboxIds).length === 1)
      const update = Object.fromEntries(rows.filter((row) => !alone.includes(row)).map((row) => [row.id, { [path('mailboxIds', of)]: null }]))
      const done = await this.removing([['Email/set', { accountId: this.mail.account, destroy: alone.map((row) => row.id), update }, 's']], rows.length * 2, (one) => one.mailboxId === of)
      const set = done.answers.of<SetAnswer>('s')
      const refused = [...Object.values(set.notDestroyed ?? {}), ...Object.values(set.notUpdated ?? {})].find((e) => e.type !== 'notFound')
      if (refused) throw new Refused(refused.type, refused.description ?? '')
      gone.n += alone.length
      gone.out.push(...Object.keys(update))
      gone.back.push(...done.back)
    }
  }

  /** What went comes back to a mailbox. */
  private async comesBack({ back, out }: Gone, to: () => Promise<Id>): Promise<void> {
    // The server makes the mailbox of what it brings back.
    if (back.length > 0) await this.restore(back)
    const id = await to()
    for (let from = 0; from < out.length; from += REMOVED_MAX) {
      const update = Object.fromEntries(out.slice(from, from + REMOVED_MAX).map((one) => [one, { [path('mailboxIds', id)]: true }]))
      await this.mail.jmap.call([['Email/set', { accountId: this.mail.account, update }, 's']])
    }
    if (out.length > 0) await this.mail.sync()
  }

  async empty(of: Id): Promise<void> {
    const gone: Gone = { n: 0, back: [], out: [] }
    try { await this.emptied(of, gone) } finally {
      if (gone.back.length + gone.out.length > 0) this.mail.did(gone.n > 0 ? t.done.destroyed(gone.n) : t.done.emptied, () => this.comesBack(gone, () => Promise.resolve(of)))
      else if (gone.n > 0) toasts.show(t.done.destroyed(gone.n))
    }
    await this.mail.sync()
  }

  /** A mailbox with all that is in it; none that has others under it, of which nothing is touched then. */
  async removeMailbox({ id, name, parentId }: Mailbox): Promise<void> {
    if ([...this.mail.mailboxes.values()].some((b) => b.parentId === id)) throw new Refused('mailboxHasChild', t.folder.hasOthers)
    const gone: Gone = { n: 0, back: [], out: [] }
    let isGone = false
    const again = async (): Promise<Id> => [...this.mail.mailboxes.values()].find((b) => b.name === name && b.parentId === parentId)?.id ?? await this.mail.create(name, parentId)
    try {
      await this.emptied(id, gone)
      await this.mail.changeMailbox(id, null)
      isGone = true
    } finally {
      if (isGone || gone.back.length + gone.out.length > 0) this.mail.did(isGone ? t.folder.removed : t.done.destroyed(gone.n), () => this.comesBack(gone, again))
    }
  }
}
