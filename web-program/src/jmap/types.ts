// The values of JMAP (RFC 8620, RFC 8621) that the program uses.

export type Id = string
export type Flags = Record<string, true>

export interface Address { name: string | null; email: string }

export interface Part {
  partId: string | null
  blobId: Id | null
  size: number
  name: string | null
  type: string
  charset?: string | null
  disposition?: string | null
  cid?: string | null
}

/** What a row of a list shows. */
export interface Row {
  id: Id
  blobId: Id
  threadId: Id
  mailboxIds: Flags
  keywords: Flags
  size: number
  receivedAt: string
  from: Address[] | null
  to: Address[] | null
  subject: string | null
  preview: string
  hasAttachment: boolean
}

/** A message as it is read. */
export interface Email extends Row {
  cc: Address[] | null
  bcc: Address[] | null
  replyTo: Address[] | null
  sender: Address[] | null
  sentAt: string | null
  messageId: string[] | null
  inReplyTo: string[] | null
  references: string[] | null
  textBody: Part[]
  htmlBody: Part[]
  attachments: Part[]
  bodyValues: Record<string, { value: string; isTruncated?: boolean; isEncodingProblem?: boolean }>
  'header:List-Unsubscribe:asURLs'?: string[] | null
  'header:List-Unsubscribe-Post:asText'?: string | null
  'header:List-Id:asText'?: string | null
  'header:Authentication-Results:asText'?: string | null
}

export interface Mailbox {
  id: Id
  name: string
  parentId: Id | null
  role: string | null
  sortOrder: number
  totalEmails: number
  unreadEmails: number
  totalThreads: number
  unreadThreads: number
  isSubscribed: boolean
  myRights: Record<string, boolean>
}

export interface Identity {
  id: Id
  name: string
  email: string
  replyTo: Address[] | null
  bcc: Address[] | null
  textSignature: string
  htmlSignature: string
  mayDelete: boolean
}

export interface DeliveryStatus { smtpReply: string; delivered: 'queued' | 'yes' | 'no' | 'unknown'; displayed: string }

export interface Submission {
  id: Id
  identityId: Id
  emailId: Id
  threadId: Id
  undoStatus: 'pending' | 'final' | 'canceled'
  sendAt: string
  deliveryStatus: Record<string, DeliveryStatus> | null
}

export interface Quota { id: Id; name: string; used: number; hardLimit: number; resourceType: string }

export interface Filter {
  operator?: 'AND' | 'OR' | 'NOT'
  conditions?: Filter[]
  [condition: string]: unknown
}

export interface Account { name: string; isPersonal: boolean; isReadOnly: boolean; accountCapabilities: Record<string, Record<string, unknown>> }

export interface Session {
  capabilities: Record<string, Record<string, unknown>>
  accounts: Record<Id, Account>
  primaryAccounts: Record<string, Id>
  username: string
  apiUrl: string
  downloadUrl: string
  uploadUrl: string
  eventSourceUrl: string
  state: string
}

export interface SetError { type: string; description?: string; properties?: string[]; maxSize?: number }

export interface SetAnswer {
  oldState?: string
  newState: string
  created?: Record<string, Record<string, unknown>> | null
  updated?: Record<string, unknown> | null
  destroyed?: Id[] | null
  notCreated?: Record<string, SetError> | null
  notUpdated?: Record<string, SetError> | null
  notDestroyed?: Record<string, SetError> | null
}

export interface Changes { oldState: string; newState: string; hasMoreChanges: boolean; created: Id[]; updated: Id[]; destroyed: Id[] }

export interface QueryAnswer { queryState: string; canCalculateChanges: boolean; position: number; ids: Id[]; total?: number }

export interface QueryChanges { oldQueryState: string; newQueryState: string; total?: number; removed: Id[]; added: { id: Id; index: number }[] }

export interface Snippet { emailId: Id; subject: string | null; preview: string | null }

export const ROW = ['id', 'blobId', 'threadId', 'mailboxIds', 'keywords', 'size', 'receivedAt', 'from', 'to', 'subject', 'preview', 'hasAttachment']
export const WHOLE = [...ROW, 'cc', 'bcc', 'replyTo', 'sender', 'sentAt', 'messageId', 'inReplyTo', 'references', 'textBody', 'htmlBody', 'attachments',
  'bodyValues', 'header:List-Unsubscribe:asURLs', 'header:List-Unsubscribe-Post:asText', 'header:List-Id:asText', 'header:Authentication-Results:asText']

export const CORE = 'urn:ietf:params:jmap:core'
export const MAIL = 'urn:ietf:params:jmap:mail'
export const SUBMISSION = 'urn:ietf:params:jmap:submission'
export const VACATION = 'urn:ietf:params:jmap:vacationresponse'
export const QUOTA = 'urn:ietf:params:jmap:quota'
export const PROGRAM = 'urn:packetboat:params:jmap:program'
