// The safe form of an HTML message: made by the server (tree parse, allow-lists), then by DOMPurify here, adopted into a frame of its own.

import type { Id } from '../jmap/types'
import { ask } from '../jmap/client'

/** What the server found in the message's HTML; `html` has neither scripts nor anything remote. */
export interface Safe {
  html: string
  /** Pictures that were left out, trackers not among them. */
  pictures: number
  trackers: number
  /** Whether the pictures are in `html`, by the server's proxy. */
  shown: boolean
  hosts: string[]
}

export async function safe(account: Id, email: Id, pictures: boolean, signal?: AbortSignal): Promise<Safe> {
  const query = pictures ? '?pictures=1' : ''
  const answer = await ask(`/api/html/${encodeURIComponent(account)}/${encodeURIComponent(email)}${query}`, signal ? { signal } : {})
  return await answer.json() as Safe
}

/** The same of a file that is a page: nothing of elsewhere is ever in it. */
export async function safeFile(account: Id, blob: Id, charset: string | null | undefined): Promise<Safe> {
  // What says nothing is told as ASCII (RFC 8621 4.1.4): then the page may say it itself.
  const query = charset && !/^us-ascii$/i.test(charset) ? `?charset=${encodeURIComponent(charset)}` : ''
  return await (await ask(`/api/html/${encodeURIComponent(account)}/${encodeURIComponent(blob)}${query}`)).json() as Safe
}

let purify: Promise<(html: string) => DocumentFragment> | undefined

/** The message's own styles, filtered by the server, and the rest; each of its HTML parts may have some. A style sheet that could ask for anything is not taken. */
export function apart(html: string): { css: string; html: string } {
  const all: string[] = []
  const rest = html.replace(/^<style>([^<]*)<\/style>|<style>([^<]*)<\/style>(?=<div class="m-mail">)/g, (_, first?: string, later?: string) => { all.push(first ?? later ?? ''); return '' })
  return { css: all.filter((css) => !/@import|url\s*\(|image-set|expression|behavior|-moz-binding|\\/i.test(css)).join('\n'), html: rest }
}

/** Loaded with the first HTML message. */
export function purifier(): Promise<(html: string) => DocumentFragment> {
  purify ??= import('dompurify').then(({ default: DOMPurify }) => {
    const own = DOMPurify(window)
    own.addHook('afterSanitizeAttributes', (node) => {
      if (node.tagName === 'A' || node.tagName === 'AREA') {
        const href = node.getAttribute('href') ?? ''
        if (/^(https?:|mailto:|tel:)/i.test(href)) { node.setAttribute('target', '_blank'); node.setAttribute('rel', 'noopener noreferrer') }
        else if (!href.startsWith('#')) node.removeAttribute('href')
      }
      for (const name of ['src', 'background', 'poster', 'srcset']) {
        const value = node.getAttribute(name)
        if (value !== null && !isOurs(value)) node.removeAttribute(name)
      }
    })
    return (html: string) => own.sanitize(html, {
      RETURN_DOM_FRAGMENT: true,
      FORCE_BODY: true,
      FORBID_TAGS: ['style', 'form', 'input', 'button', 'select', 'textarea', 'iframe', 'object', 'embed', 'svg', 'math', 'template', 'video', 'audio', 'link', 'meta', 'base'],
      FORBID_ATTR: ['ping', 'formaction', 'srcset', 'autofocus', 'contenteditable'],
      ALLOW_DATA_ATTR: false,
      SANITIZE_NAMED_PROPS: true,
    })
  }).catch((error: unknown) => { purify = undefined; throw error })
  return purify
}

/** Pictures come from our own origin, or lie in the message. */
function isOurs(url: string): boolean {
  return url.startsWith('/jmap/download/') || url.startsWith('/api/picture') || url.startsWith('blob:') || /^data:image\/(png|jpeg|gif|webp);base64,/i.test(url)
}
