// Keys that are pressed while what they are meant for is still on its way: they wait for it, in their order, and nothing else hears them.

import { flushSync } from 'svelte'

/** Whoever has waited so long has gone on to something else. */
const PATIENCE_MS = 10_000
/** Keys that do something besides writing a letter. */
const ACTS = ['Enter', 'Tab', 'Backspace', 'Escape', 'ArrowDown', 'ArrowUp']
const BUTTONS = ['checkbox', 'radio', 'button', 'submit', 'file']

export function inField(target: EventTarget | null): target is HTMLElement {
  return target instanceof HTMLElement && (target.isContentEditable || (['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName) && !BUTTONS.includes((target as HTMLInputElement).type)))
}

const isLetter = (key: KeyboardEvent): boolean => key.key.length === 1 && (!(key.ctrlKey || key.altKey || key.metaKey) || key.getModifierState('AltGraph'))

/** What one comes to by Tab, in the same window of the page. */
function onward(from: Element, back: boolean): void {
  const all = [...(from.closest('dialog, [role=dialog]') ?? document.body).querySelectorAll<HTMLElement>('a[href], button, input, select, textarea, [tabindex], [contenteditable]')].filter((one) => one.tabIndex >= 0 && !(one as HTMLButtonElement).disabled && one.checkVisibility())
  const at = all.indexOf(from as HTMLElement)
  all[(at + (back ? all.length - 1 : 1)) % all.length]?.focus()
}

/** What the browser would do with a key that nobody took. */
function act(at: Element, key: KeyboardEvent): void {
  if (key.key === 'Tab') onward(at, key.shiftKey)
  else if (key.key === 'Escape') at.closest('dialog')?.dispatchEvent(new Event('cancel', { cancelable: true }))
  else if (!inField(at)) { if (at instanceof HTMLElement && at.matches('button, a[href]') && ['Enter', ' '].includes(key.key)) at.click() }
  else if (at.isContentEditable) { if (isLetter(key)) document.execCommand('insertText', false, key.key); else if (key.key === 'Enter') document.execCommand('insertLineBreak'); else if (key.key === 'Backspace') document.execCommand('delete') }
  else if (at instanceof HTMLInputElement) {
    const start = at.selectionStart ?? at.value.length, end = at.selectionEnd ?? at.value.length
    if (isLetter(key)) at.setRangeText(key.key, start, end, 'end')
    else if (key.key === 'Backspace') at.setRangeText('', start === end ? Math.max(0, start - 1) : start, end, 'end')
    else { if (key.key === 'Enter' && !key.ctrlKey && !key.metaKey) at.form?.requestSubmit(); return }
    at.dispatchEvent(new InputEvent('input', { bubbles: true, data: key.key, inputType: 'insertText' }))
  }
}

/** A key that was pressed before, where it would go now. */
export function press(key: KeyboardEvent): void {
  const at = document.activeElement ?? document.body
  if (at.dispatchEvent(new KeyboardEvent('keydown', key))) act(at, key)
  flushSync()
}

let waiting: Ahead | undefined

/** Whether a key has to wait. Also of what is pressed in the frame of a message, which the page does not hear. */
export const held = (event: KeyboardEvent): boolean => waiting?.take(event) ?? false
/** A part of the program does not come. */
export const late = (): void => waiting?.late()
function listen(event: KeyboardEvent): void { if (held(event)) event.stopImmediatePropagation() }

export class Ahead {
  private keys: KeyboardEvent[] = []
  private patience: ReturnType<typeof setTimeout> | undefined
  private isLate = false

  /** `cancel`: by Escape one does not want it any more; else that waits as well. */
  constructor(private readonly cancel?: () => void) {}

  /** From now on they wait; the first of them may be what began it. */
  begin(...keys: KeyboardEvent[]): void {
    waiting?.end()
    waiting = this
    this.keys = keys
    this.isLate = false
    addEventListener('keydown', listen, true)
    this.patience = setTimeout(() => this.rest(), PATIENCE_MS)
  }

  take(event: KeyboardEvent): boolean {
    if (event.isComposing || inField(event.target) || document.querySelector('dialog[open]')) return false
    // What the browser does by keys it still does.
    if (!isLetter(event) && (!ACTS.includes(event.key) || ((event.ctrlKey || event.metaKey || event.altKey) && event.key !== 'Enter'))) return false
    // It did not come, and says so: what is done about it is not meant for it.
    if (this.isLate && !isLetter(event)) return false
    event.preventDefault()
    if (event.key === 'Escape' && this.cancel) { this.end(); this.cancel() } else this.keys.push(event)
    return true
  }

  /** It does not come yet: only what is typed is kept, until one asks for it again. */
  late(): void {
    clearTimeout(this.patience)
    this.isLate = true
  }

  /** What is pressed from now on is not for it. */
  private rest(): void {
    clearTimeout(this.patience)
    if (waiting === this) { waiting = undefined; removeEventListener('keydown', listen, true) }
  }

  end(): KeyboardEvent[] {
    const { keys } = this
    this.keys = []
    this.rest()
    return keys
  }

  /** It is there: every key goes to it. */
  give(): void { this.end().forEach(press) }

  /** What was typed as one text, up to a key that is none; that and what comes after it is kept. */
  text(): string {
    let text = ''
    const rest = this.keys.findIndex((key) => {
      if (isLetter(key)) text += key.key
      else if (key.key === 'Backspace') text = text.slice(0, -1)
      else if (key.key === 'Enter' && !key.ctrlKey && !key.metaKey) text += '\n'
      else return true
      return false
    })
    this.keys = rest === -1 ? [] : this.keys.slice(rest)
    return text
  }
}
