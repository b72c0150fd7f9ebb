// The line at the foot that says what was done, with its way back.

export interface Toast { id: number; text: string; kind: 'done' | 'error'; action?: { label: string; run: () => void }; until: number }

class Toasts {
  list = $state.raw<Toast[]>([])
  /** Read out by screen readers. */
  spoken = $state('')
  private next = 1

  show(text: string, more: { action?: Toast['action']; seconds?: number; kind?: Toast['kind'] } = {}): number {
    const id = this.next++
    const seconds = more.seconds ?? (more.kind === 'error' ? 12 : 6)
    const toast: Toast = { id, text, kind: more.kind ?? 'done', until: Date.now() + seconds * 1000, ...(more.action ? { action: more.action } : {}) }
    this.list = toast.kind === 'error' ? [...this.list.slice(-1), toast] : [...this.list.filter((t) => t.kind === 'error').slice(-1), toast]
    this.spoken = text
    setTimeout(() => this.drop(id), seconds * 1000)
    return id
  }

  drop(id: number): void { this.list = this.list.filter((t) => t.id !== id) }
}

export const toasts = new Toasts()
