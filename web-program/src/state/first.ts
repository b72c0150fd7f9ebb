// What came with the page (`crates/web/src/program/first.rs`): who one is, the mailboxes, and the beginning of the list that is opened.

import { same } from '../data/address'
import type { Answer } from '../jmap/client'
import type { Session } from '../jmap/types'
import type { Asked } from './list.svelte'

export interface First { session: Session; about: Answer[]; list: { asked: Asked; answers: Answer[] } | null }

/** Taken once: later on it is of another time. It says something only to who is known here. */
export function first(known: string | null): First | undefined {
  const element = document.getElementById('first')
  if (!element) return undefined
  element.remove()
  try {
    const came = JSON.parse(element.textContent) as First
    return known !== null && same(known, came.session.username) ? came : undefined
  } catch { return undefined }
}
