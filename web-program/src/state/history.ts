// What can be taken back, the last first: one act is one step, in however many accounts it changed something.

import type { Id } from '../jmap/types'
import type { Patches } from '../data/patch'
import type { List } from './list.svelte'
import type { Mail } from './mail.svelte'

const STEPS_MAX = 100

export type Stood = [List, [number, Id][]][]
interface Part { mail: Mail; patches: Patches; stood: Stood }
export interface Said { n: number; text: (n: number) => string }
interface Step { parts: Part[]; said: Said }

export class History {
  private readonly steps: Step[] = []

  push(part: Part, said: Said): void {
    this.steps.push({ parts: [part], said })
    if (this.steps.length > STEPS_MAX) this.steps.shift()
  }

  pop(): Part[] | undefined { return this.steps.pop()?.parts }

  /** How many steps there were before an act that may become several. */
  get mark(): number { return this.steps.length }

  /** Makes one of what came since; what to say of it, if there was more than one. */
  join(mark: number): string | undefined {
    const since = this.steps.splice(mark)
    const last = since.at(-1)
    if (!last) return undefined
    const n = since.reduce((sum, step) => sum + step.said.n, 0)
    this.steps.push({ parts: since.flatMap((step) => step.parts), said: { ...last.said, n } })
    return since.length > 1 ? last.said.text(n) : undefined
  }
}
