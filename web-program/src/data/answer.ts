// Replies and forwards: to whom, which subject, what is quoted (RFC 5322 3.6.4, RFC 3676 4.5). A function of its arguments.

import { same, shown, without, written } from './address'
import type { Address, Email } from '../jmap/types'

export type Kind = 'new' | 'reply' | 'reply-all' | 'forward'

export function subject(kind: Kind, of: string | null): string {
  const bare = (of ?? '').trim()
  if (kind === 'forward') return /^(fwd?|wg|tr)\s*:/i.test(bare) ? bare : `Fwd: ${bare}`.trim()
  return /^(re|aw|sv|antw)\s*(\[\d+\])?:/i.test(bare) ? bare : `Re: ${bare}`.trim()
}

export function recipients(kind: Kind, email: Email, mine: readonly string[]): { to: Address[]; cc: Address[] } {
  const from = email.replyTo?.length ? email.replyTo : email.from ?? []
  const wroteIt = (email.from ?? []).some((f) => mine.some((m) => same(m, f.email)))
  const to = wroteIt ? email.to ?? [] : from
  if (kind === 'reply') return { to: without(to, []), cc: [] }
  if (kind !== 'reply-all') return { to: [], cc: [] }
  const first = without(wroteIt ? to : [...from, ...(email.to ?? [])], wroteIt ? [] : mine)
  const rest = without(email.cc ?? [], [...mine, ...first.map((a) => a.email)])
  return { to: first.length > 0 ? first : without(from, []), cc: rest }
}

/** Which of mine it was written to: the answer comes from there. */
export function writtenTo(email: Email, mine: readonly string[]): string | undefined {
  const all = [...(email.to ?? []), ...(email.cc ?? []), ...(email.from ?? [])]
  return mine.find((m) => all.some((a) => same(a.email, m)))
}

export function threading(email: Email): { inReplyTo: string[] | null; references: string[] | null } {
  const id = email.messageId ?? []
  const before = email.references?.length ? email.references : email.inReplyTo ?? []
  const all = [...before.filter((r) => !id.includes(r)), ...id]
  return { inReplyTo: id.length > 0 ? id : null, references: all.length > 0 ? all : null }
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** Lines as blocks, a blank line as receivers keep it. */
export function htmlOf(text: string): string {
  return text.split('\n').map((line) => `<div>${line.trim() === '' ? '<br>' : escaped(line)}</div>`).join('')
}

export function quotedText(text: string): string {
  return text.replace(/\s+$/, '').split('\n').map((line) => (line.startsWith('>') ? `>${line}` : `> ${line}`)).join('\n')
}

export function headLine(email: Email, when: (iso: string) => string, texts: { wrote: (who: string, at: string) => string }): string {
  return texts.wrote(shown(email.from?.[0]), when(email.sentAt ?? email.receivedAt))
}

export function forwardHead(email: Email, when: (iso: string) => string): [string, string][] {
  const lines: [string, string][] = [
    ['From', (email.from ?? []).map(written).join(', ')],
    ['Date', when(email.sentAt ?? email.receivedAt)],
    ['Subject', email.subject ?? ''],
    ['To', (email.to ?? []).map(written).join(', ')],
  ]
  if (email.cc?.length) lines.push(['Cc', email.cc.map(written).join(', ')])
  return lines
}

const BLOCK = new Set(['DIV', 'P', 'UL', 'OL', 'LI', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'TABLE', 'TR', 'PRE', 'BLOCKQUOTE', 'HR', 'ADDRESS', 'SECTION', 'ARTICLE'])

/** The text part that goes with every HTML part. */
export function textOf(root: Node): string {
  const lines: string[] = ['']
  const write = (text: string): void => { lines[lines.length - 1] += text }
  const fresh = (): void => { if (lines[lines.length - 1] !== '') lines.push('') }
  const walk = (node: Node): void => {
    if (node.nodeType === 3) { write((node.nodeValue ?? '').replace(/[\s\u200b]+/g, ' ')); return }
    if (node.nodeType !== 1 && node.nodeType !== 11) return
    const element = node as Element
    const tag = element.tagName ?? ''
    if (tag === 'STYLE' || tag === 'SCRIPT') return
    if (tag === 'BR') { lines.push(''); return }
    if (tag === 'IMG') { write(element.getAttribute('alt') ? `[${element.getAttribute('alt')}]` : ''); return }
    if (tag === 'PRE') { fresh(); lines.splice(-1, 1, ...(element.textContent ?? '').split('\n')); lines.push(''); return }
    if (tag === 'BLOCKQUOTE') {
      fresh()
      lines.splice(-1, 1, ...quotedText(textOf(fragment(element))).split('\n'), '')
      return
    }
    const block = BLOCK.has(tag)
    if (block) fresh()
    if (tag === 'LI') write(element.parentElement?.tagName === 'OL' ? `${[...element.parentElement.children].indexOf(element) + 1}. ` : '- ')
    const only = element.childNodes.length === 1 && element.firstChild?.nodeName === 'BR'
    if (only) lines.push('')
    else for (const child of element.childNodes) walk(child)
    if (tag === 'A') {
      const href = element.getAttribute('href') ?? ''
      if (/^https?:/.test(href) && !(element.textContent ?? '').includes(href)) write(` <${href}>`)
    }
    if (tag === 'TD' || tag === 'TH') write(' ')
    if (block && !only) fresh()
  }
  walk(root)
  return lines.map((l) => l.replace(/^ | +$/g, '')).join('\n').replace(/\n+$/, '')
}

function fragment(element: Element): DocumentFragment {
  const all = element.ownerDocument.createDocumentFragment()
  for (const child of element.childNodes) all.append(child.cloneNode(true))
  return all
}
