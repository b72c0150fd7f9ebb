// What can be taken back, the last first: one act is one step, in however many accounts it changed something.

import type { Id } from '../jmap/types'
import type { Patches } from '../data/patch'
import type { List } from './list.svelte'
import type { Mail } from './mail.svelte'

const STEPS_MAX = 100

export type Stood = [List, [number, Id][]][]
/** Until when each waited before it was told to wait: `null`: it did not. */
export type Waited = Record<Id, string | null>
/** `waited`: they come back from where they wait for their time, or wait as they did. */
interface Changed { mail: Mail; patches: Patches; stood: Stood; waited?: Waited | undefined }
/** What is taken back by asking the server for something else. */
interface Asked { run: () => Promise<unknown> }
type Part = Changed | Asked
export interface Said { n: number; text: (n: number) => string }
/** `at`: how many were pushed before. */
interface Step { parts: Part[]; said: Said; at: number }

export class History {
  private readonly steps: Step[] = []
  private pushed = 0

  push(part: Part, said: Said): void {
    this.steps.push({ parts: [part], said, at: this.pushed++ })
    if (this.steps.length > STEPS_MAX) this.steps.shift()
  }

  /** Acts that are a step only when the server has answered: who takes something back before means these. */
  private readonly asked = new Set<Promise<void>>()

  during(act: Promise<void>): Promise<void> {
    this.asked.add(act)
    const over = (): void => { this.asked.delete(act) }
    act.then(over, over)
    return act
  }

  /** When they are; `undefined`: there are none. */
  get settled(): Promise<unknown> | undefined { return this.asked.size === 0 ? undefined : Promise.allSettled(this.asked) }

  pop(): Part[] | undefined { return this.steps.pop()?.parts }

  /** How many steps were pushed before an act that may become several: of these the oldest may be forgotten meanwhile. */
  get mark(): number { return this.pushed }

  /** Makes one of what came since; what to say of it, if there was more than one. */
  join(mark: number): string | undefined {
    const first = this.steps.findIndex((step) => step.at >= mark)
    const since = first === -1 ? [] : this.steps.splice(first)
    const last = since.at(-1)
    if (!last) return undefined
    const n = since.reduce((sum, step) => sum + step.said.n, 0)
    this.steps.push({ parts: since.flatMap((step) => step.parts), said: { ...last.said, n }, at: last.at })
    return since.length > 1 ? last.said.text(n) : undefined
  }
}
