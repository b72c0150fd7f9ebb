// The ids of a query, of which only windows are known: 100,000 rows, some dozens of which anybody looks at.
// A function of what it is told (RFC 8620 5.5, 5.6): no screen, no network.

import type { Id, QueryChanges } from '../jmap/types'

export const WINDOW = 50

export class Order {
  ids: (Id | undefined)[] = []
  total = 0
  state: string | undefined

  /** A window from the server. Another state than the one known makes all the rest unknown. */
  put(position: number, ids: readonly Id[], total: number, state: string): void {
    if (state !== this.state) this.ids = []
    this.state = state
    this.total = total
    this.ids.length = total
    ids.forEach((id, i) => { this.ids[position + i] = id })
  }

  at(index: number): Id | undefined { return this.ids[index] }
  indexOf(id: Id): number { return this.ids.indexOf(id) }

  /** The first place of which nothing is known. `indexOf` passes over places that were never filled. */
  private hole(): number { return this.ids.findIndex((id) => id === undefined) }

  /** Windows of which something in [from, to) is unknown. */
  missing(from: number, to: number): number[] {
    const windows: number[] = []
    const end = Math.min(to, this.total)
    for (let start = Math.floor(Math.max(0, from) / WINDOW) * WINDOW; start < end; start += WINDOW) {
      for (let i = start; i < Math.min(start + WINDOW, this.total); i++) {
        if (this.ids[i] === undefined) { windows.push(start); break }
      }
    }
    return windows
  }

  /** Where they stood, for `restore`. */
  remove(gone: ReadonlySet<Id>): [number, Id][] {
    const stood: [number, Id][] = []
    for (let i = 0; i < this.ids.length; i++) {
      const id = this.ids[i]
      if (id !== undefined && gone.has(id)) stood.push([i, id])
    }
    for (const [i] of stood.toReversed()) this.ids.splice(i, 1)
    this.total = Math.max(0, this.total - stood.length)
    return stood
  }

  restore(stood: readonly [number, Id][]): void {
    for (const [i, id] of stood) {
      if (this.ids.includes(id)) continue
      if (i > this.ids.length) this.ids.length = i
      this.ids.splice(i, 0, id)
      this.total += 1
    }
    this.ids.length = this.total
  }

  /** False: it cannot be done with what is known; ask again for what is looked at. */
  change(changes: QueryChanges): boolean {
    if (changes.oldQueryState !== this.state) return false
    // Something went from where we know nothing: what lies behind the first hole may have moved.
    const hole = this.hole()
    if (hole !== -1 && changes.removed.some((id) => !this.ids.includes(id))) this.ids.length = hole
    // What is told as new may be here before: an act shows what it brings at once.
    this.remove(new Set([...changes.removed, ...changes.added.map(({ id }) => id)]))
    for (const { id, index } of changes.added.toSorted((a, b) => a.index - b.index)) {
      if (index > this.ids.length) this.ids.length = index
      this.ids.splice(index, 0, id)
    }
    this.total = changes.total ?? this.ids.length
    this.ids.length = this.total
    this.state = changes.newQueryState
    return true
  }

  forget(): void { this.state = undefined }

  /** The known beginning, for the cache. */
  head(most: number): Id[] {
    const end = this.hole()
    return this.ids.slice(0, Math.min(most, end === -1 ? this.ids.length : end)) as Id[]
  }
}
