// Parts of the program come when they are needed. When one does not come, somebody must be told why.

import { t } from '../texts'

/** Nobody answers; or somebody does, but has no such file (any more). */
export async function reason(): Promise<string> {
  // The worker answers no HEAD: this asks the server itself.
  const there = await fetch('/', { method: 'HEAD', cache: 'no-store' }).then((answer) => answer.ok, () => false)
  return there ? t.load.changed : t.load.offline
}

/** A part that an act needs; without it the act fails, with the reason. */
export async function part<T>(load: () => Promise<T>): Promise<T> {
  try { return await load() } catch { throw new Error(await reason()) }
}
