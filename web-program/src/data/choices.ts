// What one chose for this device.

export type Theme = 'system' | 'light' | 'dark'
/** `keymap`: by a command's name the key that one gave it; empty: none. */
export interface Choices { theme: Theme; rows: 'full' | 'compact'; keys: boolean; undo: number; reader: 'right' | 'off'; notify: boolean; keymap: Record<string, string> }

const CHOICES: Choices = { theme: 'system', rows: 'full', keys: true, undo: 10, reader: 'right', notify: false, keymap: {} }

export function chosen(): Choices {
  try { return { ...CHOICES, ...(JSON.parse(localStorage.getItem('choices') ?? '{}') as Partial<Choices>) } } catch { return CHOICES }
}

/** What the styles go by. */
export function dress(root: HTMLElement, { theme, rows }: Choices): void {
  if (theme === 'system') delete root.dataset.theme
  else root.dataset.theme = theme
  root.dataset.rows = rows
}

/** The width of the list beside what is read. */
export const listWidth = (): number => Number(localStorage.getItem('list-width') ?? 400)
