// Signing in, without the program: that comes while one types.

import { mount, unmount } from 'svelte'
import { reason } from './data/part'
import { signIn } from './jmap/sign-in'
import { begin, idle } from './state/early'
import { t } from './texts'
import SignIn from './view/SignIn.svelte'

/** `failed`: the program was to be loaded, and could not be. */
export function open(target: HTMLElement, failed = false): void {
  let entered = false
  /** Who signed in here just now, and waits for the program. */
  let waiting: string | undefined
  const enter = async (): Promise<void> => {
    if (entered) return
    entered = true
    try {
      const { run } = await import('./program')
      await unmount(door)
      run(target, waiting)
    } catch {
      entered = false
      await missing()
    }
  }
  const missing = async (): Promise<void> => {
    const why = await reason()
    door.missing(why, () => { void again(why) })
  }
  const again = async (before: string): Promise<void> => {
    try { await import('./program') } catch {
      // A browser may remember the failure for as long as the page stands.
      if (before === t.load.changed) { door.keep(); location.reload() } else await missing()
      return
    }
    door.missing('')
    if (waiting !== undefined) await enter()
    else await begin().session.then(enter, () => undefined)
  }
  const door = mount(SignIn, {
    target,
    props: {
      expired: false,
      signIn: async (address: string, password: string, code: string) => {
        const told = await signIn(address, password, code)
        if (told === 'ok') { waiting = address; await enter() }
        return told
      },
    },
  })
  if (failed) void missing()
  // The cookie may be there all the same.
  begin().session.then(enter, () => { idle(() => { import('./program').catch(() => undefined) }) })
}
