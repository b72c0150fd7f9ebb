// Signing in, without the program: that comes while one types.

import { mount, unmount } from 'svelte'
import { signIn } from './jmap/sign-in'
import { begin, idle } from './state/early'
import SignIn from './view/SignIn.svelte'

export function open(target: HTMLElement): void {
  let entered = false
  const enter = async (address?: string): Promise<void> => {
    if (entered) return
    entered = true
    const { run } = await import('./program').catch((error: unknown) => { entered = false; throw error })
    await unmount(door)
    run(target, address)
  }
  const door = mount(SignIn, {
    target,
    props: {
      expired: false,
      signIn: async (address: string, password: string, code: string) => {
        const told = await signIn(address, password, code)
        return told === 'ok' ? await enter(address).then(() => told, () => 'no-server' as const) : told
      },
    },
  })
  // The cookie may be there all the same.
  begin().session.then(() => enter().catch(() => undefined), () => { idle(() => { void import('./program') }) })
}
