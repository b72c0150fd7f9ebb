// What the first look needs, asked for while the program itself is still on its way: what is kept here, and who one is to the server.

import { Cache, type Begun } from '../data/cache'
import { Jmap, SignedOut } from '../jmap/client'
import { LEAVING, signOut } from '../jmap/sign-in'

/** Who was signed in here; `null`: nobody, and then not even an empty database is made. */
export const known = (): string | null => localStorage.getItem('signed-in')

/** Nobody comes in again by the cookie of one who signed out without a network. */
async function open(): Promise<Jmap> {
  if (localStorage.getItem(LEAVING) !== null) {
    try { await signOut() } catch (error) { if (!(error instanceof SignedOut)) throw error }
    localStorage.removeItem(LEAVING)
  }
  return await Jmap.open()
}

async function kept(): Promise<{ cache: Cache; begun: Begun | undefined }> {
  const cache = await Cache.open()
  return { cache, begun: await cache.begun() }
}

const quiet = <T>(asked: Promise<T>): Promise<T> => { asked.catch(() => undefined); return asked }
let early: { session: Promise<Jmap>; kept: ReturnType<typeof kept> | undefined } | undefined = { session: quiet(open()), kept: known() === null ? undefined : kept() }

/** The same, once; later on it is asked anew. */
export function begin(): { session: Promise<Jmap>; kept: ReturnType<typeof kept> | undefined } {
  const begun = early ?? { session: quiet(open()), kept: known() === null ? undefined : kept() }
  early = undefined
  return begun
}

/** When the browser has nothing better to do. */
export function idle(run: () => void): void {
  if ('requestIdleCallback' in globalThis) requestIdleCallback(run, { timeout: 3000 })
  else setTimeout(run, 200)
}
