// The same list of several accounts as one, in the order that all of them have: what each account lists, merged as far as it is known.

import type { Id, Row } from '../jmap/types'
import { WINDOW } from '../data/order'
import { inOrder } from '../data/sorting'
import type { List, Listing, Owner } from './list.svelte'
import type { Mail } from './mail.svelte'

/** A message's name among all accounts. Equal messages have equal ids in two of them. */
const named = (mail: Mail, id: Id): string => `${mail.account}.${id}`
export function split(name: string): [account: Id, id: Id] {
  const at = name.indexOf('.')
  return [name.slice(0, at), name.slice(at + 1)]
}

/** `blocked`: which must be asked for more, and from where, before it goes on. */
interface Merged { names: string[]; blocked: [List, number][] }

export class Joined implements Listing {
  private last: { of: string; merged: Merged } | undefined
  /** What is pinned apart, which not all of them may ask for. */
  private readonly inOrder: (a: Row, b: Row) => number

  constructor(readonly parts: readonly List[]) {
    this.inOrder = inOrder((parts[0]?.asked.sort ?? []).filter(({ property }) => property !== 'hasKeyword'))
  }

  /** Merged anew when one of the lists has changed. */
  private get merged(): Merged {
    const of = this.parts.map((part) => `${part.version} ${part.state}`).join()
    if (this.last?.of !== of) this.last = { of, merged: this.merge() }
    return this.last.merged
  }

  get id(): string { return this.parts.map((part) => part.id).join('\n') }
  get mails(): readonly Mail[] { return this.parts.map((part) => part.mail) }
  get version(): number { return this.parts.reduce((sum, part) => sum + part.version, 0) }
  get state(): List['state'] {
    const states = this.parts.map((part) => part.state)
    if (states.every((state) => state === 'error')) return 'error'
    return states.includes('loading') ? 'loading' : states.includes('kept') ? 'kept' : 'ready'
  }
  get isFinal(): boolean { return this.parts.every((part) => part.isFinal) }
  get error(): string { return this.parts.find((part) => part.state === 'error')?.error ?? '' }
  get count(): number { return this.parts.reduce((sum, part) => sum + part.total, 0) }
  /** What can be scrolled to: what is known, and a window more. */
  get total(): number { return Math.min(this.count, this.merged.names.length + WINDOW) }
  get isFresh(): boolean { return this.parts.some((part) => part.isFresh) }
  /** Until the first of those that must be asked may be. */
  get pause(): number {
    const wanted = [...this.parts.filter((part) => part.isFresh), ...this.merged.blocked.map(([part]) => part)]
    return wanted.length === 0 ? 0 : Math.min(...wanted.map((part) => part.pause))
  }

  at(index: number): string | undefined { return this.merged.names[index] }
  indexOf(name: string): number { return this.merged.names.indexOf(name) }
  known(): string[] { return this.merged.names }
  lacks(_from: number, to: number): boolean { return this.isFresh || this.merged.names.length < Math.min(to, this.count) }
  nameOf(mail: Mail, id: Id): string { return named(mail, id) }

  owner(name: string): Owner | undefined {
    const [account, id] = split(name)
    const list = this.parts.find((part) => part.mail.account === account)
    return list ? { list, mail: list.mail, id } : undefined
  }

  look(_from: number, to: number): void {
    const seen = this.merged.names.slice(0, to).map((name) => split(name)[0])
    for (const part of this.parts) part.look(0, Math.max(1, seen.filter((account) => account === part.mail.account).length))
  }

  async ensure(_from: number, to: number, byItself = false): Promise<void> {
    const may = (part: List): boolean => !byItself || part.pause === 0
    await Promise.all(this.parts.filter((part) => part.isFresh && may(part)).map((part) => part.ensure(0, 1)))
    for (;;) {
      const { names, blocked } = this.merged
      if (names.length >= to || blocked.length === 0) return
      const missing = to - names.length
      await Promise.all(blocked.filter(([part]) => may(part)).map(([part, at]) => part.ensure(at, at + missing)))
      const after = this.merged
      // Without a network, or refused: it goes on when the list is asked for again.
      if (after.names.length === names.length && after.blocked.length === blocked.length) return
    }
  }

  private merge(): Merged {
    const taken = this.parts.map(() => 0)
    const names: string[] = []
    for (;;) {
      const heads = this.parts.map((part, i) => this.head(part, taken[i] ?? 0))
      const blocked = this.parts.map((part, i): [List, number] => [part, taken[i] ?? 0]).filter((_, i) => heads[i] === 'unknown')
      if (blocked.length > 0) return { names, blocked }
      let best = -1
      heads.forEach((row, i) => {
        const other = heads[best]
        if (typeof row === 'object' && (typeof other !== 'object' || this.before(row, this.parts[i], other, this.parts[best]))) best = i
      })
      const part = this.parts[best]
      const row = heads[best]
      if (!part || typeof row !== 'object') return { names, blocked: [] }
      names.push(named(part.mail, row.id))
      taken[best] = (taken[best] ?? 0) + 1
    }
  }

  private head(part: List, at: number): Row | 'unknown' | 'end' {
    if (at >= part.order.total) return part.state === 'loading' ? 'unknown' : 'end'
    const id = part.order.ids[at]
    return (id === undefined ? undefined : part.mail.peek(id)) ?? 'unknown'
  }

  private before(a: Row, ofA: List | undefined, b: Row, ofB: List | undefined): boolean {
    return (pinned(b, ofB) - pinned(a, ofA) || this.inOrder(a, b)) < 0
  }
}

/** What is pinned stands on top where the list is sorted so: each list must come in its own order. */
const pinned = (row: Row, of?: List): number => Number('$pinned' in row.keywords && of?.asked.sort[0]?.keyword === '$pinned')
