// The program itself.

import { mount } from 'svelte'
import { app } from './state/app.svelte'
import { idle } from './state/early'
import App from './view/App.svelte'

/** `address`: who signed in just now. */
export function run(target: HTMLElement, address?: string): void {
  mount(App, { target })
  void (address === undefined ? app.start() : app.signedIn(address)).then(() => {
    // It keeps the files of the program, and takes pushes. First comes what one looks at.
    if ('serviceWorker' in navigator && import.meta.env.PROD) idle(() => { navigator.serviceWorker.register('/worker.js').catch(() => undefined) })
  })
}
