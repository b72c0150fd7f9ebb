// Rows dragged onto mailboxes. Every drag has a twin in a menu or a key.

import type { Attachment } from 'svelte/attachments'
import type { Mailbox } from '../jmap/types'
import { app } from '../state/app.svelte'
import type { Mail } from '../state/mail.svelte'

const KIND = 'application/x-packetboat-rows'

/** A row takes along what is selected, if it is; if not, it goes alone. */
export function drag(event: DragEvent, name: string, isSelected: boolean): void {
  event.dataTransfer?.setData(KIND, name)
  if (event.dataTransfer) event.dataTransfer.effectAllowed = 'move'
  if (!isSelected) { app.deselect(); app.cursor = name }
}

/** So long one waits over a mailbox for those that lie in it. */
const LINGERS_MS = 700

export function dropOn(mail: Mail, box: Mailbox, lingers: () => void): Attachment<HTMLElement> {
  return (element) => {
    let rest: ReturnType<typeof setTimeout> | undefined
    const over = (e: DragEvent): void => { if (e.dataTransfer?.types.includes(KIND)) { e.preventDefault(); element.classList.add('drop'); rest ??= setTimeout(lingers, LINGERS_MS) } }
    const end = (): void => { element.classList.remove('drop'); clearTimeout(rest); rest = undefined }
    /** From its name to its sign it is still there. */
    const leave = (e: DragEvent): void => { if (!(e.relatedTarget instanceof Node && element.contains(e.relatedTarget))) end() }
    const drop = (e: DragEvent): void => { end(); if (e.dataTransfer?.types.includes(KIND)) { e.preventDefault(); app.move(box.id, mail) } }
    element.addEventListener('dragover', over)
    element.addEventListener('dragleave', leave)
    element.addEventListener('drop', drop)
    return () => { clearTimeout(rest); element.removeEventListener('dragover', over); element.removeEventListener('dragleave', leave); element.removeEventListener('drop', drop) }
  }
}
