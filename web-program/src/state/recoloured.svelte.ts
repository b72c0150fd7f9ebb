// Whose HTML mail is turned over in the dark: kept for each sender, in this browser.

import { SvelteSet } from 'svelte/reactivity'
import type { Cache } from '../data/cache'

const NAME = 'recoloured'
/** The last of them are kept. */
const SENDERS_MAX = 500

const senders = new SvelteSet<string>()
let read: Promise<void> | undefined

export const isRecoloured = (email: string | undefined): boolean => email !== undefined && senders.has(email.toLowerCase())

export function load(cache: Cache): Promise<void> {
  read ??= cache.setting<string[]>(NAME).then((kept) => { for (const email of kept ?? []) senders.add(email) })
  return read
}

export async function recolour(cache: Cache, email: string): Promise<void> {
  await load(cache)
  const name = email.toLowerCase()
  if (!senders.delete(name)) senders.add(name)
  await cache.set(NAME, [...senders].slice(-SENDERS_MAX))
}
