// What a `mailto:` link asks for (RFC 6068). A plus is a plus there, not a space. A function of its arguments.

import type { Address } from '../jmap/types'
import { parsed } from './address'

export interface Asked { to: Address[]; cc: Address[]; bcc: Address[]; subject: string; body: string }

const decoded = (text: string): string => { try { return decodeURIComponent(text) } catch { return text } }

export function mailto(href: string): Asked {
  const [, path = '', query = ''] = /^mailto:([^?#]*)\??([^#]*)/i.exec(href.trim()) ?? []
  const fields = query.split(/&(?:amp;)?/).map((field) => field.split(/=(.*)/s)).map(([name = '', value = '']) => [name.toLowerCase(), decoded(value)] as const)
  const all = (name: string): string[] => fields.filter(([one]) => one === name).map(([, value]) => value)
  const people = (texts: string[]): Address[] => texts.flatMap((text) => (text.trim() === '' ? [] : parsed(text)))
  return { to: people([...path.split(',').map(decoded), ...all('to')]), cc: people(all('cc')), bcc: people(all('bcc')), subject: all('subject').join(' ').replace(/[\r\n]+/g, ' '), body: all('body').join('\n').replaceAll('\r\n', '\n') }
}
