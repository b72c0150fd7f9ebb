// A part of the program that is on its way, and what to do when it does not come: say why, and load it again when one asks for that.

import { reason } from '../data/part'
import { t } from '../texts'
import { late } from './ahead'

export class Coming<T> {
  part = $state.raw<T | undefined>(undefined)
  /** Why it did not come. */
  why = $state('')

  /** `keep`: what has to be kept before the page begins anew. */
  constructor(private readonly load: () => Promise<T>, private readonly keep: () => Promise<void>) {}

  async begin(): Promise<boolean> {
    if (this.part !== undefined) return true
    try {
      this.part = await this.load()
      this.why = ''
      return true
    } catch {
      this.why = await reason()
      late()
      return false
    }
  }

  /** One asks for it: a browser may remember the failure for as long as the page stands, and a newer server has other files. */
  async again(): Promise<void> {
    if (await this.begin() || this.why !== t.load.changed) return
    await this.keep()
    location.reload()
  }
}
