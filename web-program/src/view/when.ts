// Times as people say them. Each formatter is made once, for making one costs more than a row; and when it is first needed, for the very first
// of a browser's process costs tens of milliseconds, and who signs in reads no times.

import { t } from '../texts'

function once(options: Intl.DateTimeFormatOptions): (at: Date) => string {
  let made: Intl.DateTimeFormat | undefined
  return (at) => (made ??= new Intl.DateTimeFormat(undefined, options)).format(at)
}
const clock = once({ hour: '2-digit', minute: '2-digit' })
const weekday = once({ weekday: 'short' })
const month = once({ day: 'numeric', month: 'short' })
const year = once({ year: 'numeric', month: 'short', day: 'numeric' })
const whole = once({ dateStyle: 'full', timeStyle: 'short' })

export function brief(iso: string, now = new Date()): string {
  const at = new Date(iso)
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000)
  if (days === 0) return clock(at)
  if (days === 1) return t.list.yesterday
  if (days > 1 && days < 7) return weekday(at)
  return at.getFullYear() === now.getFullYear() ? month(at) : year(at)
}

export const full = (iso: string): string => whole(new Date(iso))

export function octets(n: number): string {
  if (n < 1000) return `${n} B`
  if (n < 999_500) return `${Math.round(n / 1000)} kB`
  return `${(n / 1e6).toFixed(n < 9.95e6 ? 1 : 0)} MB`
}
