// How a message came, as its own header tells it: Received fields (RFC 5321 4.4) from the first hop to the last. A function of its arguments.

export interface Hop { from: string; by: string; with: string; tls: string; at: Date | undefined; seconds: number | undefined }

export function hops(received: readonly string[]): Hop[] {
  const found = received.map((raw): Hop => {
    const text = raw.replace(/\s+/g, ' ').trim()
    const end = text.lastIndexOf(';')
    const said = end === -1 ? text : text.slice(0, end)
    const at = new Date(end === -1 ? '' : text.slice(end + 1).replace(/\([^)]*\)/g, ''))
    const word = (name: string): string => new RegExp(`(?:^| )${name} ([^ ;()]+)`, 'i').exec(said)?.[1] ?? ''
    const tls = /TLS ?v?([\d.]+)|using (TLSv[\d.]+)|version=(TLS[\w.]+)/i.exec(said)
    return { from: word('from'), by: word('by'), with: word('with'), tls: tls ? (tls[2] ?? tls[3] ?? `TLS ${tls[1]}`).replace('TLSv', 'TLS ').replace(/^TLS1_/, 'TLS 1.') : '', at: Number.isNaN(at.getTime()) ? undefined : at, seconds: undefined }
  }).reverse()
  found.forEach((hop, i) => {
    const before = found[i - 1]?.at
    if (before && hop.at) hop.seconds = Math.round((hop.at.getTime() - before.getTime()) / 1000)
  })
  return found
}

export interface Verdict { method: string; result: string; detail: string }

/** Of Authentication-Results (RFC 8601) the methods and what came out. */
export function verdicts(field: string): Verdict[] {
  const bare = field.replace(/\([^()]*\)/g, ' ')
  return bare.split(';').slice(1).map((part) => /^\s*([a-z][\w-]*)\s*=\s*([a-z]+)\s*(.*)$/is.exec(part)).filter((m) => m !== null)
    .map((m) => ({ method: (m[1] ?? '').toUpperCase(), result: (m[2] ?? '').toLowerCase(), detail: (m[3] ?? '').replace(/\s+/g, ' ').trim() }))
}
