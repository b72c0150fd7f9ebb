// A filter of JMAP judged here, on what is kept: search and lists without a network. A function of its arguments.

import type { Filter, Row } from '../jmap/types'
import { fold } from './people'

const people = (row: Row, which: 'from' | 'to'): string => (row[which] ?? []).map((a) => `${a.name ?? ''} ${a.email}`).join(' ')

export function matches(row: Row, filter: Filter): boolean {
  if (filter.operator !== undefined) {
    const all = filter.conditions ?? []
    if (filter.operator === 'AND') return all.every((c) => matches(row, c))
    const some = all.some((c) => matches(row, c))
    return filter.operator === 'OR' ? some : !some
  }
  return Object.entries(filter).every(([name, value]) => {
    const holds = (text: string): boolean => fold(text).includes(fold(String(value).replace(/^"(.*)"$/s, '$1')))
    switch (name) {
      case 'inMailbox': return String(value) in row.mailboxIds
      case 'inMailboxOtherThan': return Object.keys(row.mailboxIds).some((id) => !(value as string[]).includes(id))
      case 'hasKeyword': return String(value) in row.keywords
      case 'notKeyword': return !(String(value) in row.keywords)
      case 'hasAttachment': return row.hasAttachment === value
      case 'before': return row.receivedAt < String(value)
      case 'after': return row.receivedAt >= String(value)
      case 'minSize': return row.size >= Number(value)
      case 'maxSize': return row.size < Number(value)
      case 'from': return holds(people(row, 'from'))
      case 'to': case 'cc': case 'bcc': return holds(people(row, 'to'))
      case 'subject': return holds(row.subject ?? '')
      case 'body': return holds(row.preview)
      case 'text': return holds(`${row.subject ?? ''} ${row.preview} ${people(row, 'from')} ${people(row, 'to')}`)
      default: return false
    }
  })
}
