// Times as people say them. The formatters are made once: making one costs more than a row.

import { t } from '../texts'

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' })
const month = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const year = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric' })
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' })

export function brief(iso: string, now = new Date()): string {
  const at = new Date(iso)
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000)
  if (days === 0) return clock.format(at)
  if (days === 1) return t.list.yesterday
  if (days > 1 && days < 7) return weekday.format(at)
  return at.getFullYear() === now.getFullYear() ? month.format(at) : year.format(at)
}

export const full = (iso: string): string => whole.format(new Date(iso))

export function octets(n: number): string {
  if (n < 1000) return `${n} B`
  if (n < 999_500) return `${Math.round(n / 1000)} kB`
  return `${(n / 1e6).toFixed(n < 9.95e6 ? 1 : 0)} MB`
}
