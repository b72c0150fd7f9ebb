// A menu that is open is gone through by keys (WAI-ARIA practices, "Menu Button"), and closes by Escape, by Tab, and by whatever is pressed
// beside it, be it in the frame of a message.

import type { Attachment } from 'svelte/attachments'

/** On what is open; the button that opens and closes it lies beside it, in the same element. */
export function left(close: () => void): Attachment<HTMLElement> {
  return (menu) => {
    const around = menu.parentElement ?? menu
    const opener = around.querySelector<HTMLElement>('[aria-expanded]')
    const items = (): HTMLElement[] => [...menu.querySelectorAll<HTMLElement>('[role^=menuitem]:not([disabled])')].filter((item) => item.checkVisibility())
    const back = (): void => { close(); opener?.focus() }
    const go = (event: KeyboardEvent, to: HTMLElement | undefined): void => { event.preventDefault(); event.stopPropagation(); to?.focus() }
    const pressed = (event: PointerEvent): void => { if (event.target instanceof Node && !around.contains(event.target)) close() }
    const key = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') { go(event, undefined); back(); return }
      if (!(event.target instanceof Node) || !around.contains(event.target) || event.ctrlKey || event.metaKey || event.altKey) return
      if (event.key === 'Tab') { back(); return }
      const all = items()
      const at = all.indexOf(document.activeElement as HTMLElement)
      if (event.key === 'ArrowDown') go(event, all[(at + 1) % all.length])
      else if (event.key === 'ArrowUp') go(event, all.at(at <= 0 ? -1 : at - 1))
      else if (event.key === 'Home') go(event, all[0])
      else if (event.key === 'End') go(event, all.at(-1))
      // The next that begins so; no letter is a command of the program here.
      else if (event.key.length === 1 && event.key !== ' ') {
        const begins = (item: HTMLElement): boolean => (item.textContent ?? '').trim().toLowerCase().startsWith(event.key.toLowerCase())
        go(event, all.find((item, n) => n > at && begins(item)) ?? all.find(begins))
      }
    }
    addEventListener('pointerdown', pressed, true)
    addEventListener('keydown', key, true)
    // What is pressed in a frame only takes the focus away.
    addEventListener('blur', close)
    const first = items();
    (first.find((item) => item.ariaChecked === 'true') ?? first[0])?.focus()
    return () => {
      removeEventListener('blur', close)
      removeEventListener('pointerdown', pressed, true)
      removeEventListener('keydown', key, true)
      // What was chosen may have opened something that takes the focus; else it is not lost.
      queueMicrotask(() => { if (document.activeElement === null || document.activeElement === document.body) opener?.focus({ preventScroll: true }) })
    }
  }
}
