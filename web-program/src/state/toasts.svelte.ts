// The line at the foot that says what was done, with its way back.

export interface Toast { id: number; text: string; kind: 'done' | 'error'; action?: { label: string; run: () => void } }

/** So long a word stays; one that can be answered, longer. */
const SECONDS = { done: 6, error: 12, action: 10 }
/** So long it stays when one has left it. */
const LEFT_MS = 3000

class Toasts {
  list = $state.raw<Toast[]>([])
  /** Read out by screen readers. */
  spoken = $state('')
  private next = 1

  show(text: string, more: { action?: Toast['action']; seconds?: number; kind?: Toast['kind'] } = {}): number {
    const id = this.next++
    const kind = more.kind ?? 'done'
    const toast: Toast = { id, text, kind, ...(more.action ? { action: more.action } : {}) }
    this.list = toast.kind === 'error' ? [...this.list.slice(-1), toast] : [...this.list.filter((t) => t.kind === 'error').slice(-1), toast]
    this.spoken = text
    const drop = (): void => this.drop(id)
    // What can be done only so long is not offered any longer.
    if (more.seconds !== undefined) setTimeout(drop, more.seconds * 1000)
    else this.ends.set(id, setTimeout(drop, 1000 * (kind === 'done' && more.action ? SECONDS.action : SECONDS[kind])))
    return id
  }

  /** What ends the words that may stay longer. */
  private readonly ends = new Map<number, ReturnType<typeof setTimeout>>()

  /** Under the pointer, or with the focus in it, none goes away from who is about to press it (WCAG 2.2.1). */
  hold(id: number): void { clearTimeout(this.ends.get(id)) }
  leave(id: number): void {
    if (!this.ends.has(id)) return
    this.hold(id)
    this.ends.set(id, setTimeout(() => this.drop(id), LEFT_MS))
  }

  drop(id: number): void { this.hold(id); this.ends.delete(id); this.list = this.list.filter((t) => t.id !== id) }
}

export const toasts = new Toasts()
