// Invitations (RFC 5545, RFC 5546): what a person wants to know of the first event. A function of its arguments.

import type { Address } from '../jmap/types'
import { t } from '../texts'

/** `repeats`: how often, in words; empty: it does not, or by a rule that has no simple words. */
export interface Invitation { method: string; summary: string; location: string; organizer: string; organizedBy: Address | undefined; invited: string[]; answers: { who: string; how: string }[]; about: string; when: string; repeats: string; cancelled: boolean }

/** `text`: the line as it came, unfolded. */
export interface Line { name: string; params: Record<string, string>; value: string; text: string }

const unescape = (text: string): string => text.replace(/\\([\\,;nN])/g, (_, c: string) => (c === 'n' || c === 'N' ? '\n' : c))

export function lines(text: string): Line[] {
  return text.replace(/\r?\n[ \t]/g, '').split(/\r?\n/).map((line): Line | undefined => {
    const parts = /^([\w-]+)((?:;[\w-]+=(?:"[^"]*"|[^;:"]*))*):(.*)$/.exec(line)
    if (!parts) return undefined
    const params = Object.fromEntries([...(parts[2] ?? '').matchAll(/;([\w-]+)=(?:"([^"]*)"|([^;:"]*))/g)].map((m) => [(m[1] ?? '').toUpperCase(), m[2] ?? m[3] ?? '']))
    return { name: (parts[1] ?? '').toUpperCase(), params, value: parts[3] ?? '', text: line }
  }).filter((l) => l !== undefined)
}

/** What the clocks of a zone show then, as if it were UTC; `undefined`: nobody here knows that zone. */
function shown(at: number, zone: string): number | undefined {
  try {
    const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' }).formatToParts(at)
    const of = (type: string): number => Number(parts.find((p) => p.type === type)?.value)
    return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'))
  } catch { return undefined }
}

/** When clocks of that zone show this. */
function when(wall: number, zone: string): Date | undefined {
  let at = wall
  // Twice: the first guess may lie on the other side of a change of clocks.
  for (let n = 0; n < 2; n++) {
    const now = shown(at, zone)
    if (now === undefined) return undefined
    at += wall - now
  }
  return new Date(at)
}

const clock = (at: Date): string => at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })

/** A day, or a time of this clock; beside it what clocks show there, where that is another. */
function time(line: Line | undefined): { text: string; day: string; there: string } | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z?))?$/.exec(line?.value ?? '')
  if (!line || !parts) return undefined
  const [year, month, day, hour, minute] = parts.slice(1, 6).map((n) => Number(n ?? 0)) as [number, number, number, number, number]
  const isDay = parts[4] === undefined
  const wall = new Date(year, month - 1, day, hour, minute)
  const zone = isDay || parts[7] === 'Z' ? undefined : line.params.TZID
  const known = zone === undefined ? undefined : when(Date.UTC(year, month - 1, day, hour, minute), zone)
  const at = parts[7] === 'Z' ? new Date(Date.UTC(year, month - 1, day, hour, minute)) : known ?? wall
  if (Number.isNaN(at.getTime())) return undefined
  const date = at.toLocaleDateString(undefined, { dateStyle: 'full' })
  if (isDay) return { text: date, day: date, there: '' }
  const there = zone === undefined || known?.getTime() === wall.getTime() ? '' : known ? `${clock(wall)} ${zone}` : zone
  return { text: `${date}, ${clock(at)}`, day: date, there }
}

/** From when to when; a day that is named as the end of a whole day is not one of its days. */
function span(start: Line | undefined, end: Line | undefined): string {
  const from = time(start)
  if (!from) return ''
  const isWhole = end?.value.length === 8
  const last = isWhole ? new Date(Number(end.value.slice(0, 4)), Number(end.value.slice(4, 6)) - 1, Number(end.value.slice(6)) - 1) : undefined
  const to = last ? { text: last.toLocaleDateString(undefined, { dateStyle: 'full' }), day: '' } : time(end)
  const until = to && to.text !== from.text ? (to.day === from.day ? to.text.slice(to.day.length + 2) : to.text) : ''
  return [from.text, until].filter((text) => text !== '').join(' – ') + (from.there === '' ? '' : ` (${from.there})`)
}

function repeats(rule: string): string {
  const of = Object.fromEntries(rule.toUpperCase().split(';').map((part) => part.split('=') as [string, string]))
  const every = Number(of.INTERVAL ?? 1)
  const unit = t.event.units[of.FREQ ?? '']
  if (!unit || !(every > 0)) return ''
  const last = time({ name: '', params: {}, value: of.UNTIL ?? '', text: '' })
  return [t.event.every(every, unit), last ? t.event.until(last.day) : of.COUNT ? t.event.times(Number(of.COUNT)) : ''].filter((text) => text !== '').join(', ')
}

export function invitation(text: string): Invitation | undefined {
  const all = lines(text)
  const start = all.findIndex((l) => l.name === 'BEGIN' && l.value.toUpperCase() === 'VEVENT')
  if (start === -1) return undefined
  const end = all.findIndex((l, i) => i > start && l.name === 'END' && l.value.toUpperCase() === 'VEVENT')
  const event = all.slice(start + 1, end === -1 ? undefined : end)
  const find = (name: string): Line | undefined => event.find((l) => l.name === name)
  const method = all.find((l) => l.name === 'METHOD')?.value.toUpperCase() ?? ''
  const organizer = find('ORGANIZER')
  const address = organizer?.value.replace(/^mailto:/i, '') ?? ''
  return {
    method, summary: unescape(find('SUMMARY')?.value ?? ''), location: unescape(find('LOCATION')?.value ?? ''), about: unescape(find('DESCRIPTION')?.value ?? '').trim(),
    organizer: organizer?.params.CN ?? address, organizedBy: /^[^@\s<>]+@[^@\s<>]+$/.test(address) ? { name: organizer?.params.CN ?? null, email: address } : undefined,
    invited: event.filter((l) => l.name === 'ATTENDEE').map((l) => l.value.replace(/^mailto:/i, '').toLowerCase()),
    answers: method !== 'REPLY' ? [] : event.filter((l) => l.name === 'ATTENDEE').map((l) => ({ who: l.value.replace(/^mailto:/i, ''), how: (l.params.PARTSTAT ?? '').toUpperCase() })),
    when: span(find('DTSTART'), find('DTEND')), repeats: repeats(find('RRULE')?.value ?? ''), cancelled: method === 'CANCEL' || find('STATUS')?.value.toUpperCase() === 'CANCELLED',
  }
}
