// A filter of JMAP judged here, on what is kept: search and lists without a network. A function of its arguments.

import type { Filter, Row } from '../jmap/types'
import { fold } from './people'
import { FILE_NAME } from './search'

const people = (row: Row, which: 'from' | 'to'): string => (row[which] ?? []).map((a) => `${a.name ?? ''} ${a.email}`).join(' ')

export const matches = (row: Row, filter: Filter): boolean => judge(row, filter) === true

/** One no is a no; else one unknown is unknown. */
function all(answers: (boolean | undefined)[]): boolean | undefined {
  if (answers.includes(false)) return false
  return answers.includes(undefined) ? undefined : true
}
const not = (answer: boolean | undefined): boolean | undefined => (answer === undefined ? undefined : !answer)

/** Nothing: a row does not tell. */
function judge(row: Row, filter: Filter): boolean | undefined {
  if (filter.operator !== undefined) {
    const each = (filter.conditions ?? []).map((c) => judge(row, c))
    if (filter.operator === 'AND') return all(each)
    const none = all(each.map(not))
    return filter.operator === 'OR' ? not(none) : none
  }
  return all(Object.entries(filter).map(([name, value]) => {
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
      case FILE_NAME: return undefined
      default: return false
    }
  }))
}
