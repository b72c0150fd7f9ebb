// A message sent on as it is (RFC 5322 3.6.6): the fields that go in front of it. A function of its arguments.

import type { Address } from '../jmap/types'

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** RFC 5322 3.3 */
export function mailDate(now: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0')
  const zone = -now.getTimezoneOffset()
  return `${DAYS[now.getDay()]}, ${now.getDate()} ${MONTHS[now.getMonth()]} ${now.getFullYear()} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())} ${zone < 0 ? '-' : '+'}${two(Math.floor(Math.abs(zone) / 60))}${two(Math.abs(zone) % 60)}`
}

/** With its name only where that needs no encoding. */
function one(address: Address): string {
  const name = address.name?.trim() ?? ''
  return name !== '' && /^[\x20-\x7e]+$/.test(name) ? `"${name.replace(/[\\"]/g, '\\$&')}" <${address.email}>` : address.email
}

export function resentFields(from: Address, to: readonly Address[], id: string, now: Date): string {
  return [
    `Resent-From: ${one(from)}`,
    `Resent-To: ${to.map(one).join(',\r\n\t')}`,
    `Resent-Date: ${mailDate(now)}`,
    `Resent-Message-ID: <${id}>`,
    '',
  ].join('\r\n')
}
