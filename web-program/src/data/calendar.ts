// Invitations (RFC 5545, RFC 5546): what a person wants to know of the first event. A function of its arguments.

export interface Invitation { method: string; summary: string; location: string; organizer: string; when: string; cancelled: boolean }

interface Line { name: string; params: Record<string, string>; value: string }

const unescape = (text: string): string => text.replace(/\\([\\,;nN])/g, (_, c: string) => (c === 'n' || c === 'N' ? '\n' : c))

function lines(text: string): Line[] {
  return text.replace(/\r?\n[ \t]/g, '').split(/\r?\n/).map((line): Line | undefined => {
    const parts = /^([\w-]+)((?:;[\w-]+=(?:"[^"]*"|[^;:"]*))*):(.*)$/.exec(line)
    if (!parts) return undefined
    const params = Object.fromEntries([...(parts[2] ?? '').matchAll(/;([\w-]+)=(?:"([^"]*)"|([^;:"]*))/g)].map((m) => [(m[1] ?? '').toUpperCase(), m[2] ?? m[3] ?? '']))
    return { name: (parts[1] ?? '').toUpperCase(), params, value: parts[3] ?? '' }
  }).filter((l) => l !== undefined)
}

/** A day, a time of this clock, or a time of another place with its name. */
function time(line: Line | undefined): { text: string; day: string } | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z?))?$/.exec(line?.value ?? '')
  if (!line || !parts) return undefined
  const [year, month, day, hour, minute] = parts.slice(1, 6).map((n) => Number(n ?? 0)) as [number, number, number, number, number]
  const isDay = parts[4] === undefined
  const at = parts[7] === 'Z' ? new Date(Date.UTC(year, month - 1, day, hour, minute)) : new Date(year, month - 1, day, hour, minute)
  if (Number.isNaN(at.getTime())) return undefined
  const date = at.toLocaleDateString(undefined, { dateStyle: 'full' })
  if (isDay) return { text: date, day: date }
  const zone = line.params.TZID !== undefined ? ` (${line.params.TZID})` : ''
  return { text: `${date}, ${at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })}${zone}`, day: date }
}

export function invitation(text: string): Invitation | undefined {
  const all = lines(text)
  const start = all.findIndex((l) => l.name === 'BEGIN' && l.value.toUpperCase() === 'VEVENT')
  if (start === -1) return undefined
  const end = all.findIndex((l, i) => i > start && l.name === 'END' && l.value.toUpperCase() === 'VEVENT')
  const event = all.slice(start + 1, end === -1 ? undefined : end)
  const find = (name: string): Line | undefined => event.find((l) => l.name === name)
  const method = all.find((l) => l.name === 'METHOD')?.value.toUpperCase() ?? ''
  const from = time(find('DTSTART'))
  const to = time(find('DTEND'))
  const organizer = find('ORGANIZER')
  const until = from && to && to.text !== from.text ? (to.day === from.day ? to.text.slice(to.day.length + 2) : to.text) : ''
  return {
    method, summary: unescape(find('SUMMARY')?.value ?? ''), location: unescape(find('LOCATION')?.value ?? ''),
    organizer: organizer?.params.CN ?? organizer?.value.replace(/^mailto:/i, '') ?? '', when: from ? [from.text, until].filter((t) => t !== '').join(' – ') : '',
    cancelled: method === 'CANCEL' || find('STATUS')?.value.toUpperCase() === 'CANCELLED',
  }
}
