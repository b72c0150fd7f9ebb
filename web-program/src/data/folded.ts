// Lines of calendars and cards as they are written.

export const octets = (text: string): number => new TextEncoder().encode(text).length

/** Lines of at most 75 octets (RFC 5545 3.1, RFC 6350 3.2). */
export function folded(line: string): string {
  let out = '', width = 0
  for (const c of line) {
    const n = octets(c)
    if (width + n > 75) { out += '\r\n '; width = 1 }
    out += c
    width += n
  }
  return out
}
