// What a file is: as its message says, or by its name where that says nothing. A function of its arguments.

import type { Part } from '../jmap/types'

const BY_NAME: Record<string, string> = {
  png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', gif: 'image/gif', webp: 'image/webp', avif: 'image/avif', bmp: 'image/bmp', pdf: 'application/pdf', eml: 'message/rfc822', vcf: 'text/vcard', ics: 'text/calendar',
  mp3: 'audio/mpeg', m4a: 'audio/mp4', ogg: 'audio/ogg', opus: 'audio/ogg', wav: 'audio/wav', flac: 'audio/flac', txt: 'text/plain', csv: 'text/csv', md: 'text/markdown', html: 'text/html', htm: 'text/html', xhtml: 'application/xhtml+xml', log: 'text/plain', json: 'application/json', patch: 'text/x-patch', diff: 'text/x-patch',
}
/** Types by which a program says that it does not know. */
const UNKNOWN = /^(?:application\/(?:octet-stream|x-?(?:download|unknown|binary)|force-download|binary|download)|unknown\/|$)/i

export function kind({ type, name }: Pick<Part, 'type' | 'name'>): string {
  const said = type.toLowerCase()
  if (said === 'application/x-pdf') return 'application/pdf'
  if (said === 'text/x-vcard' || said === 'text/directory') return 'text/vcard'
  if (!UNKNOWN.test(said)) return said
  return BY_NAME[/\.([a-z0-9]+)$/i.exec(name ?? '')?.[1]?.toLowerCase() ?? ''] ?? said
}

/** A page: made safe before it is shown. */
export const isPage = (type: string): boolean => type === 'text/html' || type === 'application/xhtml+xml'

/** What can be shown: pages, and of itself pictures, sound, PDF, other messages, and text. */
export const isShown = (type: string): boolean => isPage(type) || /^(?:image\/(?:png|jpeg|gif|webp|avif|bmp)|audio\/.*|application\/(?:pdf|json)|message\/(?:rfc822|global)|text\/(?!html$|xml$).*)$/.test(type)
