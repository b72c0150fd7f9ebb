// What the server does with mail that comes: rules, blocked senders, forwarding (`MailRules` of the server's own name space).

import type { SetAnswer } from '../jmap/types'
import { Refused } from '../jmap/client'
import type { Mail } from './mail.svelte'

export interface Condition { field: string; contains?: string; is?: string; exists?: boolean; not?: boolean }
export interface Rule { name?: string; isEnabled?: boolean; match?: 'all' | 'any'; if: Condition[]; then: { moveTo?: string | null; keywords?: string[]; forwardTo?: string[]; keepCopy?: boolean; goOn?: boolean } }
export interface Rules { rules: Rule[]; blocked: string[]; forwarding: { isEnabled: boolean; addresses: string[]; keepCopy: boolean } | null }

export async function read(mail: Mail): Promise<Rules> {
  const answers = await mail.jmap.call([['MailRules/get', { accountId: mail.account, ids: null }, 'r']])
  const found = answers.of<{ list: Rules[] }>('r').list[0]
  if (!found) throw new Refused('notFound', '')
  return found
}

export async function write(mail: Mail, some: Partial<Rules>): Promise<void> {
  const answers = await mail.jmap.call([['MailRules/set', { accountId: mail.account, update: { singleton: some } }, 's']])
  const refused = answers.of<SetAnswer>('s').notUpdated?.singleton
  if (refused) throw new Refused(refused.type, [refused.properties?.join(', '), refused.description].filter((x) => x).join(': '))
}
