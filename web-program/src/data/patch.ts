// Changes of messages as JMAP patches, and their inverse (RFC 8620 5.3). Functions of their arguments.

import type { Flags, Id, Row } from '../jmap/types'

/** `keywords/$seen` or `mailboxIds/ID` -> set or clear. */
export type Patch = Record<string, true | null>
export type Patches = Record<Id, Patch>

type Patched = Pick<Row, 'keywords' | 'mailboxIds'>

function split(path: string): ['keywords' | 'mailboxIds', string] {
  const at = path.indexOf('/')
  const name = path.slice(0, at)
  if (name !== 'keywords' && name !== 'mailboxIds') throw new Error(`no such property: ${path}`)
  return [name, path.slice(at + 1).replaceAll('~1', '/').replaceAll('~0', '~')]
}

export function path(name: 'keywords' | 'mailboxIds', key: string): string {
  return `${name}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

export function applied<T extends Patched>(row: T, patch: Patch): T {
  const changed: T = { ...row, keywords: { ...row.keywords }, mailboxIds: { ...row.mailboxIds } }
  for (const [at, value] of Object.entries(patch)) {
    const [name, key] = split(at)
    const flags: Flags = changed[name]
    if (value) flags[key] = true
    else delete flags[key]
  }
  return changed
}

/** Only what changes the row. */
export function effective(row: Patched, patch: Patch): Patch {
  const kept: Patch = {}
  for (const [at, value] of Object.entries(patch)) {
    const [name, key] = split(at)
    if ((key in row[name]) !== (value === true)) kept[at] = value
  }
  return kept
}

/** What brings the row back to what it was. */
export function inverse(row: Patched, patch: Patch): Patch {
  const back: Patch = {}
  for (const at of Object.keys(effective(row, patch))) {
    const [name, key] = split(at)
    back[at] = key in row[name] ? true : null
  }
  return back
}

/** From wherever it is to one mailbox. */
export function moved(row: Patched, to: Id, from?: Id): Patch {
  const patch: Patch = {}
  for (const id of Object.keys(row.mailboxIds)) if (id !== to && (from === undefined || id === from)) patch[path('mailboxIds', id)] = null
  if (!(to in row.mailboxIds)) patch[path('mailboxIds', to)] = true
  return patch
}

/** Whom they bring into a mailbox. */
export function brought(patches: Patches, box: Id): Id[] {
  const into = path('mailboxIds', box)
  return Object.keys(patches).filter((id) => patches[id]?.[into] === true)
}

/** How the counts of mailboxes change: what the nav shows before the server has answered. */
export function counted(before: Patched, after: Patched): Map<Id, { total: number; unread: number }> {
  const by = new Map<Id, { total: number; unread: number }>()
  const add = (row: Patched, sign: number): void => {
    const unread = '$seen' in row.keywords || '$draft' in row.keywords ? 0 : sign
    for (const id of Object.keys(row.mailboxIds)) {
      const had = by.get(id) ?? { total: 0, unread: 0 }
      by.set(id, { total: had.total + sign, unread: had.unread + unread })
    }
  }
  add(before, -1)
  add(after, 1)
  for (const [id, change] of by) if (change.total === 0 && change.unread === 0) by.delete(id)
  return by
}
