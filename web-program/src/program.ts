// The program itself.

import { flushSync, mount } from 'svelte'
import { press } from './state/ahead'
import { app } from './state/app.svelte'
import { idle } from './state/early'
import App from './view/App.svelte'
import type { Drawn } from './view/first'

/** `address`: who signed in just now. `drawn`: what stands there until the program does. */
export function run(target: HTMLElement, address?: string, drawn?: Drawn): void {
  mount(App, { target })
  const begun = address === undefined ? app.start() : app.signedIn(address)
  const was = drawn?.over()
  if (was) {
    flushSync()
    const list = document.getElementById('list')
    if (list && was.top > 0) list.scrollTop = was.top
    for (const { id, chooses } of was.pressed) {
      if (chooses) { app.select(id); app.cursor = id }
      else app.open(id)
    }
    was.keys.forEach(press)
  }
  void begun.then(() => {
    // It keeps the files of the program, and takes pushes. First comes what one looks at.
    if ('serviceWorker' in navigator && import.meta.env.PROD) idle(() => { navigator.serviceWorker.register('/worker.js').catch(() => undefined) })
  })
}
