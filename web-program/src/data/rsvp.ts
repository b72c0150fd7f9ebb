// The answer to an invitation (RFC 5546 3.2.3): the event with nobody but who answers, in a message to who invited. A function of its arguments.

import type { Address } from '../jmap/types'
import { lines } from './calendar'
import { mailDate } from './resent'
import { folded, octets } from './folded'

export const ANSWERS = { accept: 'ACCEPTED', maybe: 'TENTATIVE', decline: 'DECLINED' } as const
export type Rsvp = keyof typeof ANSWERS
/** By which every device knows how one answered. */
export const keyword = (what: Rsvp): string => `$${ANSWERS[what].toLowerCase()}`

/** What an answer says again, so that who invited knows what it is about. */
const SAID = ['UID', 'SEQUENCE', 'RECURRENCE-ID', 'DTSTART', 'DTEND', 'DURATION', 'SUMMARY', 'LOCATION', 'ORGANIZER']

export function reply(text: string, who: Address, what: Rsvp, now: Date): string {
  const all = lines(text)
  const named = (one: { name: string; value: string }, name: string): boolean => one.name === name && one.value.toUpperCase() === 'VEVENT'
  const start = all.findIndex((l) => named(l, 'BEGIN'))
  const end = all.findIndex((l, n) => n > start && named(l, 'END'))
  const event = all.slice(start + 1, end === -1 ? undefined : end)
  const stamp = now.toISOString().replace(/[-:]|\.\d+/g, '')
  // A zone that a time names is told as well; nobody else knows whose it is.
  const from = all.findIndex((l) => l.name === 'BEGIN' && l.value === 'VTIMEZONE')
  const to = all.findLastIndex((l) => l.name === 'END' && l.value === 'VTIMEZONE')
  const cn = who.name ? `;CN="${who.name.replace(/["\r\n]/g, '')}"` : ''
  return [
    'BEGIN:VCALENDAR', 'PRODID:-//Packetboat//EN', 'VERSION:2.0', 'METHOD:REPLY', ...(from === -1 ? [] : all.slice(from, to + 1).map((l) => l.text)),
    'BEGIN:VEVENT', ...event.filter((l) => SAID.includes(l.name)).map((l) => l.text), `DTSTAMP:${stamp}`, `ATTENDEE;PARTSTAT=${ANSWERS[what]}${cn}:mailto:${who.email}`, 'END:VEVENT', 'END:VCALENDAR', '',
  ].map(folded).join('\r\n')
}

const base64 = (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text)))
/** RFC 2047: words of at most 75 letters. */
function encoded(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text
  const words: string[] = []
  let word = ''
  for (const c of text) { if (octets(word + c) > 42) { words.push(word); word = '' } word += c }
  return [...words, word].map((one) => `=?utf-8?B?${base64(one)}?=`).join('\r\n ')
}
const mailbox = ({ name, email }: Address): string => (!name ? email : /^[\x20-\x7e]+$/.test(name) ? `"${name.replace(/[\\"]/g, '\\$&')}" <${email}>` : `${encoded(name)} <${email}>`)
const wrapped = (text: string): string => base64(text).replace(/.{76}/g, '$&\r\n')

/** The message that takes it there. */
export function message({ from, to, subject, text, calendar, id, answers, now }: { from: Address; to: Address; subject: string; text: string; calendar: string; id: string; answers: string | undefined; now: Date }): string {
  const boundary = `part-${id.replace(/[^a-z0-9]/gi, '').slice(0, 40)}`
  const part = (type: string, body: string): string => `--${boundary}\r\nContent-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${wrapped(body)}\r\n`
  return [
    `From: ${mailbox(from)}`, `To: ${mailbox(to)}`, `Subject: ${encoded(subject.replace(/[\r\n]+/g, ' '))}`, `Date: ${mailDate(now)}`, `Message-ID: <${id}>`, ...(answers === undefined ? [] : [`In-Reply-To: <${answers}>`, `References: <${answers}>`]),
    'MIME-Version: 1.0', `Content-Type: multipart/alternative; boundary="${boundary}"`, '', '',
  ].join('\r\n') + part('text/plain', text) + part('text/calendar; method=REPLY', calendar) + `--${boundary}--\r\n`
}
