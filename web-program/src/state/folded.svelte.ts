// Which mailboxes show nothing of what lies in them: kept for each account, in this browser.

import type { Id, Mailbox } from '../jmap/types'
import type { Mail } from './mail.svelte'

const NAME = 'folded'

function read(): Record<Id, Id[]> {
  try { return JSON.parse(localStorage.getItem(NAME) ?? '{}') as Record<Id, Id[]> } catch { return {} }
}

let folded = $state.raw(read())

export const isFolded = (mail: Mail, { id }: Mailbox): boolean => folded[mail.account]?.includes(id) === true

/** Those that are gone are forgotten. */
export function fold(mail: Mail, { id }: Mailbox, so: boolean): void {
  const others = (folded[mail.account] ?? []).filter((one) => one !== id && mail.mailboxes.has(one))
  folded = { ...folded, [mail.account]: so ? [...others, id] : others }
  localStorage.setItem(NAME, JSON.stringify(folded))
}

/** In which one it lies, of those that are known here. */
export const parentOf = (mail: Mail, box: Mailbox): Mailbox | undefined => box.parentId === null ? undefined : mail.mailboxes.get(box.parentId)

/** All that it lies in, the innermost first. */
export function around(mail: Mail, box: Mailbox): Mailbox[] {
  const found: Mailbox[] = []
  for (let one = parentOf(mail, box); one && !found.includes(one); one = parentOf(mail, one)) found.push(one)
  return found
}
