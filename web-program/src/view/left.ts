// A menu that is open closes by Escape, and by whatever is pressed beside it, be it in the frame of a message.

import type { Attachment } from 'svelte/attachments'

/** On what is open; the button that opens and closes it lies beside it, in the same element. */
export function left(close: () => void): Attachment<HTMLElement> {
  return (menu) => {
    const around = menu.parentElement ?? menu
    const pressed = (event: PointerEvent): void => { if (event.target instanceof Node && !around.contains(event.target)) close() }
    const key = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape') return
      event.stopPropagation()
      event.preventDefault()
      close()
      around.querySelector<HTMLElement>('[aria-expanded]')?.focus()
    }
    addEventListener('pointerdown', pressed, true)
    addEventListener('keydown', key, true)
    // What is pressed in a frame only takes the focus away.
    addEventListener('blur', close)
    return () => { removeEventListener('blur', close); removeEventListener('pointerdown', pressed, true); removeEventListener('keydown', key, true) }
  }
}
