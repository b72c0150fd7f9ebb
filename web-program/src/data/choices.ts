// What one chose for this device.

export type Theme = 'system' | 'light' | 'dark'
/** Where what is read stands: beside the list, below it, or in its place. */
export const READERS = ['right', 'below', 'off'] as const
/** `keymap`: by a command's name the key that one gave it; empty: none. */
export interface Choices { theme: Theme; rows: 'full' | 'compact'; keys: boolean; undo: number; reader: (typeof READERS)[number]; notify: boolean; keymap: Record<string, string> }

const CHOICES: Choices = { theme: 'system', rows: 'full', keys: true, undo: 10, reader: 'right', notify: false, keymap: {} }

export function chosen(): Choices {
  try { return { ...CHOICES, ...(JSON.parse(localStorage.getItem('choices') ?? '{}') as Partial<Choices>) } } catch { return CHOICES }
}

/** What the styles go by. */
export function dress(root: HTMLElement, { theme, rows, reader }: Choices): void {
  if (theme === 'system') delete root.dataset.theme
  else root.dataset.theme = theme
  root.dataset.rows = rows
  root.dataset.reader = reader
}

/** Where there is room for what is read below the list; the styles of `Shell.svelte`, `ListPane.svelte` and `base.css` go by the same. */
export const ROOM_BELOW = '(min-width: 700px) and (min-height: 480px)'

/** The border of the list and what is read, where one may move it. */
export interface Border { kept: string; usual: number; least: number; most: number; step: number }
/** The width of the list beside what is read, in pixels. */
export const WIDTH: Border = { kept: 'list-width', usual: 400, least: 300, most: 560, step: 20 }
/** The height of the list above what is read, of a hundred: another window has it, too. */
export const HEIGHT: Border = { kept: 'list-height', usual: 45, least: 20, most: 80, step: 5 }

export const within = ({ least, most }: Border, at: number): number => Math.min(most, Math.max(least, at))
export const borderAt = (border: Border): number => within(border, Number(localStorage.getItem(border.kept) ?? border.usual) || border.usual)
