// What the first look needs, asked for while the program itself is still on its way: what is kept here, and who one is to the server.

import { Cache, waits, type Begun } from '../data/cache'
import { Jmap, SignedOut } from '../jmap/client'
import { LEAVING, signOut } from '../jmap/sign-in'
import { first, type First } from './first'

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

interface Kept { cache: Cache; begun: Promise<Begun | undefined> }
function kept(): Kept {
  const cache = Cache.at()
  return { cache, begun: cache.begun() }
}

const quiet = <T>(asked: Promise<T>): Promise<T> => { asked.catch(() => undefined); return asked }

/** What is asked for at the beginning, or came with the page. */
export interface Begin { session: Promise<Jmap>; kept: Kept | undefined; first: First | undefined }

function asked(): Begin {
  const who = known()
  // What came is true, unless what was done without a network is not in it yet.
  const came = localStorage.getItem(LEAVING) === null && !waits.is ? first(who) : undefined
  const session = came ? Promise.resolve(new Jmap(came.session)) : quiet(open())
  // Where rows came with the page they are drawn first: what is kept is not needed for them, and to open it takes the browser's time.
  let opened = came || who === null ? undefined : kept()
  return { session, first: came, get kept() { return who === null ? undefined : (opened ??= kept()) } }
}
let early: Begin | undefined = asked()

/** What came with the page. */
export const came = (): First | undefined => early?.first

/** The same, once; later on it is asked anew. */
export function begin(): Begin {
  const begun = early ?? asked()
  early = undefined
  return begun
}

/** When the browser has nothing better to do. */
export function idle(run: () => void): void {
  if ('requestIdleCallback' in globalThis) requestIdleCallback(run, { timeout: 3000 })
  else setTimeout(run, 200)
}

/** When what changed just now is on the screen; or at once, where nobody looks. */
export function drawn(run: () => void): void {
  if (document.hidden) { run(); return }
  let ran = false
  const once = (): void => { if (!ran) { ran = true; run() } }
  // No frame comes to a window that is covered meanwhile.
  setTimeout(once, 100)
  requestAnimationFrame(() => { setTimeout(once) })
}
