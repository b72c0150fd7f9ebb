// Pictures within a text: `cid:` as it is kept and sent, a path of this server in the safe form that is read. A letter never holds such a
// path: it would lead its receiver nowhere, and tell ids that are ours alone.

import type { Email, Id, Part } from '../jmap/types'

const OWN = /\/jmap\/download\/[^/]*\/([^/]*)\/[^\s"')]*/g
const NAMES = ['src', 'background', 'poster']

/** All files of a message; also a picture that stands between its texts, which is not among its attachments. */
export function files(of: Email): Part[] {
  const all = [...of.attachments, ...of.htmlBody.filter((p) => !p.type.startsWith('text/'))]
  return all.filter((p, n) => p.blobId !== null && all.findIndex((o) => o.blobId === p.blobId) === n)
}

/** What a letter may take over of a safe text, and the pictures in it: by their blob the `cid` that each has there. */
export function pictured(html: string, parts: readonly Part[], name: () => string): { html: string; cids: Map<Id, string> } {
  const cids = new Map<Id, string>()
  if (!html.includes('/jmap/')) return { html, cids }
  const cid = (blob: string): string => {
    const part = parts.find((p) => p.blobId === decodeURIComponent(blob))
    if (!part?.blobId) return ''
    // A name that would have to be escaped somewhere gets another one.
    if (!cids.has(part.blobId)) cids.set(part.blobId, part.cid && /^[\w.@+=-]+$/.test(part.cid) ? part.cid : name())
    return `cid:${cids.get(part.blobId) ?? ''}`
  }
  const { body } = new DOMParser().parseFromString(html, 'text/html')
  for (const element of body.querySelectorAll('*')) {
    for (const attribute of [...element.attributes]) {
      if (!attribute.value.includes('/jmap/')) continue
      if (NAMES.includes(attribute.name)) {
        const found = attribute.value.replace(OWN, (_, blob: string) => cid(blob))
        if (found.startsWith('cid:')) element.setAttribute(attribute.name, found)
        else element.removeAttribute(attribute.name)
      } else if (attribute.name === 'style') element.setAttribute('style', attribute.value.replace(OWN, (_, blob: string) => cid(blob)))
    }
  }
  return { html: body.innerHTML, cids }
}

/** Whether a text shows the picture of that name. */
export const shows = (html: string, cid: string): boolean => new RegExp(`cid:${cid.replace(/[^\w]/g, '\\$&')}(?![\\w.@+=-])`).test(html)
