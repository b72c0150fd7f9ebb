// A small JMAP server in memory, for unit tests alone: mailboxes, messages, threads, identities, submissions, and their changes.
// It answers back-references and keeps a change log; it knows no more of mail than the program's data layer asks of it.

/** @typedef {Record<string, any>} Obj */

const at = (/** @type {any} */ value, /** @type {string} */ path) => {
  let found = [value]
  for (const step of path.split('/').slice(1)) found = found.flatMap((v) => (step === '*' ? v : [v[step]]))
  return found.flat()
}

export class Fake {
  constructor() {
    /** @type {Map<string, Obj>} */ this.emails = new Map()
    /** @type {Map<string, Obj>} */ this.mailboxes = new Map()
    /** @type {Map<string, Obj>} */ this.submissions = new Map()
    this.state = 1
    /** What states of an account of others end with. */
    this.mark = ''
    this.next = 1
    /** So many changes are told at once. */
    this.most = Infinity
    /** @type {{ state: number, id: string, kind: string }[]} */ this.log = []
    /** @type {string[]} */ this.calls = []
    /** @type {null | 'offline' | 'lose'} */ this.trouble = null
    /** @type {Obj} */ this.refuse = {}
    for (const [id, name, role] of [['mi', 'Inbox', 'inbox'], ['md', 'Drafts', 'drafts'], ['ms', 'Sent', 'sent'], ['ma', 'Archive', 'archive'], ['mj', 'Junk', 'junk'], ['mt', 'Trash', 'trash'], ['mf', 'Holiday', null]]) {
      this.mailboxes.set(/** @type {string} */ (id), { id, name, role, parentId: null, sortOrder: 0, isSubscribed: true, myRights: {} })
    }
    this.session = {
      capabilities: { 'urn:ietf:params:jmap:core': { maxSizeUpload: 50e6, maxObjectsInGet: 1000, maxObjectsInSet: 1000 }, 'urn:ietf:params:jmap:mail': {}, 'urn:ietf:params:jmap:submission': {} },
      accounts: { a1: { name: 'ann@here.test', isPersonal: true, isReadOnly: false, accountCapabilities: { 'urn:ietf:params:jmap:submission': { maxDelayedSend: 86400 } } } },
      primaryAccounts: { 'urn:ietf:params:jmap:mail': 'a1' }, username: 'ann@here.test', apiUrl: '/jmap/api', downloadUrl: '/jmap/download/{accountId}/{blobId}/{name}?type={type}', uploadUrl: '/jmap/upload/{accountId}/', eventSourceUrl: '/jmap/eventsource/?types={types}&closeafter={closeafter}&ping={ping}', state: 's',
    }
  }

  /** @param {Obj} [some] */
  deliver(some = {}) {
    const id = `e${this.next++}`
    const email = {
      id, blobId: `b${id}`, threadId: some.threadId ?? `t${id}`, mailboxIds: { mi: true }, keywords: {}, size: 1200, receivedAt: new Date(1_700_000_000_000 + this.next * 60_000).toISOString(), sentAt: null,
      from: [{ name: 'Bob', email: 'bob@here.test' }], to: [{ name: 'Ann', email: 'ann@here.test' }], cc: null, bcc: null, replyTo: null, sender: null, messageId: [`${id}@here.test`], inReplyTo: null, references: null, subject: `Message ${id}`, preview: 'Some words of it',
      hasAttachment: false, textBody: [{ partId: '1', blobId: 'p', size: 5, name: null, type: 'text/plain' }], htmlBody: [{ partId: '1', blobId: 'p', size: 5, name: null, type: 'text/plain' }], attachments: [], bodyValues: { 1: { value: 'Some words of it, and more.' } }, ...some,
    }
    this.emails.set(id, email)
    this.note(id, 'created')
    return email
  }

  /** @param {string} id @param {string} kind */
  note(id, kind) { this.state += 1; this.log.push({ state: this.state, id, kind }) }

  counts(/** @type {string} */ id) {
    const all = [...this.emails.values()].filter((e) => id in e.mailboxIds)
    const unread = all.filter((e) => !('$seen' in e.keywords) && !('$draft' in e.keywords)).length
    return { totalEmails: all.length, unreadEmails: unread, totalThreads: all.length, unreadThreads: unread }
  }

  matches(/** @type {Obj} */ e, /** @type {Obj} */ f) {
    if (f.operator === 'AND') return f.conditions.every((/** @type {Obj} */ c) => this.matches(e, c))
    if (f.operator === 'OR') return f.conditions.some((/** @type {Obj} */ c) => this.matches(e, c))
    if (f.operator === 'NOT') return !f.conditions.some((/** @type {Obj} */ c) => this.matches(e, c))
    if (f.inMailbox && !(f.inMailbox in e.mailboxIds)) return false
    if (f.inMailboxOtherThan && Object.keys(e.mailboxIds).every((m) => f.inMailboxOtherThan.includes(m))) return false
    if (f.hasKeyword && !(f.hasKeyword in e.keywords)) return false
    if (f.notKeyword && f.notKeyword in e.keywords) return false
    if (f.hasAttachment !== undefined && e.hasAttachment !== f.hasAttachment) return false
    if (f.header && f.header[0] === 'Message-ID' && !(e.messageId ?? []).includes(f.header[1])) return false
    const text = `${e.subject} ${e.preview} ${JSON.stringify(e.from)} ${JSON.stringify(e.to)}`.toLowerCase()
    for (const key of ['text', 'subject', 'from', 'to', 'body']) if (f[key] && !text.includes(String(f[key]).toLowerCase())) return false
    return true
  }

  found(/** @type {Obj} */ a) {
    const all = [...this.emails.values()].filter((e) => this.matches(e, a.filter ?? {})).sort((x, y) => (x.receivedAt < y.receivedAt ? 1 : -1))
    if (!a.collapseThreads) return all.map((e) => e.id)
    const seen = new Set()
    return all.filter((e) => !seen.has(e.threadId) && seen.add(e.threadId)).map((e) => e.id)
  }

  patch(/** @type {Obj} */ object, /** @type {Obj} */ patch) {
    for (const [path, value] of Object.entries(patch)) {
      const [name, key] = path.split('/')
      if (key === undefined) object[/** @type {string} */ (name)] = value
      else if (value === null) delete object[/** @type {string} */ (name)][key]
      else object[/** @type {string} */ (name)][key] = value
    }
  }

  /** @param {[string, Obj, string][]} calls @returns {any[]} */
  call(calls) {
    /** @type {any[]} */ const answers = []
    /** @type {Obj} */ const created = {}
    for (const [method, given, id] of calls) {
      this.calls.push(method)
      const args = { ...given }
      let bad = false
      for (const key of Object.keys(args)) {
        if (!key.startsWith('#')) continue
        const ref = args[key]
        const from = answers.find((a) => a[2] === ref.resultOf && a[0] === ref.name)
        delete args[key]
        if (!from) { bad = true; break }
        args[key.slice(1)] = [...new Set(at(from[1], ref.path))]
      }
      if (bad) { answers.push(['error', { type: 'invalidResultReference' }, id]); continue }
      try { for (const answer of this.method(method, args, created)) answers.push([...answer, id]) } catch (error) { answers.push(['error', { type: /** @type {Error} */ (error).message }, id]) }
    }
    return answers
  }

  /** @param {string} method @param {Obj} a @param {Obj} created @returns {[string, Obj][]} */
  method(method, a, created) {
    const state = String(this.state)
    const pick = (/** @type {Obj} */ o) => (a.properties ? Object.fromEntries(['id', ...a.properties].filter((p) => p in o).map((p) => [p, o[p]])) : { ...o })
    switch (method) {
      case 'Mailbox/get': return [[method, { list: [...this.mailboxes.values()].map((m) => ({ ...m, ...this.counts(m.id) })), state, notFound: [] }]]
      case 'Mailbox/set': {
        /** @type {Obj} */ const made = {}
        for (const [key, box] of Object.entries(a.create ?? {})) { const id = `m${this.next++}`; this.mailboxes.set(id, { id, role: null, parentId: null, sortOrder: 0, myRights: {}, ...box }); made[key] = { id } }
        for (const [id, patch] of Object.entries(a.update ?? {})) this.patch(this.mailboxes.get(id) ?? {}, patch)
        for (const id of a.destroy ?? []) this.mailboxes.delete(id)
        return [[method, { created: made, updated: {}, newState: state }]]
      }
      case 'Identity/get': return [[method, { list: [{ id: 'i1', name: 'Ann', email: 'ann@here.test', replyTo: null, bcc: null, textSignature: '', htmlSignature: '', mayDelete: false }], state }]]
      case 'Thread/get': return [[method, { list: a.ids.map((/** @type {string} */ t) => ({ id: t, emailIds: [...this.emails.values()].filter((e) => e.threadId === t).sort((x, y) => (x.receivedAt > y.receivedAt ? 1 : -1)).map((e) => e.id) })), state, notFound: [] }]]
      case 'Email/get': return [[method, { list: a.ids.map((/** @type {string} */ i) => this.emails.get(i)).filter(Boolean).map((/** @type {Obj} */ e) => structuredClone(pick(e))), state: state + this.mark, notFound: a.ids.filter((/** @type {string} */ i) => !this.emails.has(i)) }]]
      case 'Email/query': { const ids = this.found(a); const position = a.position ?? 0; return [[method, { queryState: state, canCalculateChanges: true, position, ids: ids.slice(position, position + (a.limit ?? ids.length)), total: ids.length }]] }
      case 'Email/queryChanges': {
        const since = Number(a.sinceQueryState)
        if (this.log.length > 0 && since < /** @type {any} */ (this.log[0]).state - 1) throw new Error('cannotCalculateChanges')
        const touched = [...new Set(this.log.filter((l) => l.state > since).map((l) => l.id))]
        const now = this.found(a)
        return [[method, { oldQueryState: a.sinceQueryState, newQueryState: state, total: now.length, removed: touched, added: now.map((i, index) => ({ id: i, index })).filter((x) => touched.includes(x.id)) }]]
      }
      case 'Email/changes': {
        // A state may lie in the middle of what one answer told.
        const [from, reached, last] = String(a.sinceState).split('.')
        const [since, to] = [Number(from), Number(reached ?? this.state)]
        const by = new Map()
        for (const l of this.log) if (l.state > since && l.state <= to) by.set(l.id, by.get(l.id) === 'created' && l.kind === 'updated' ? 'created' : l.kind)
        const left = [...by].sort(([x], [y]) => (x < y ? -1 : 1)).filter(([i]) => last === undefined || i > last)
        const told = left.slice(0, Math.min(this.most, a.maxChanges ?? Infinity))
        const cut = told.length < left.length
        const of = (/** @type {string} */ kind) => told.filter(([, k]) => k === kind).map(([i]) => i)
        const newState = cut ? `${since}.${to}.${told.at(-1)?.[0]}` : String(to)
        return [[method, { oldState: a.sinceState, newState, hasMoreChanges: cut || to < this.state, created: of('created'), updated: of('updated'), destroyed: of('destroyed') }]]
      }
      case 'Email/set': {
        /** @type {Obj} */ const answer = { created: {}, updated: {}, destroyed: [], notUpdated: {}, notCreated: {} }
        for (const [key, email] of Object.entries(a.create ?? {})) { const made = this.deliver({ ...email, preview: email.bodyValues?.text?.value ?? '' }); created[key] = made.id; answer.created[key] = { id: made.id, blobId: made.blobId, threadId: made.threadId, size: made.size } }
        for (const [id, patch] of Object.entries(a.update ?? {})) {
          const email = this.emails.get(id)
          if (!email) answer.notUpdated[id] = { type: 'notFound' }
          else if (this.refuse[id]) answer.notUpdated[id] = { type: 'forbidden', description: this.refuse[id] }
          else { this.patch(email, patch); this.note(id, 'updated'); answer.updated[id] = null }
        }
        for (const id of a.destroy ?? []) if (this.emails.delete(id)) { this.note(id, 'destroyed'); answer.destroyed.push(id) }
        return [[method, { ...answer, oldState: state, newState: String(this.state) }]]
      }
      case 'EmailSubmission/query': return [[method, { ids: [...this.submissions.keys()], queryState: state, position: 0 }]]
      case 'EmailSubmission/get': return [[method, { list: a.ids.map((/** @type {string} */ i) => this.submissions.get(i)), state }]]
      case 'EmailSubmission/set': {
        /** @type {Obj} */ const answer = { created: {}, updated: {}, notUpdated: {} }
        /** @type {Obj} */ const update = {}
        for (const [key, s] of Object.entries(a.create ?? {})) {
          const id = `s${this.next++}`
          const emailId = s.emailId.startsWith('#') ? created[s.emailId.slice(1)] : s.emailId
          const hold = Number(s.envelope?.mailFrom?.parameters?.HOLDFOR ?? 0)
          const made = { ...s, id, emailId, threadId: '', undoStatus: hold > 0 ? 'pending' : 'final', sendAt: new Date(Date.now() + hold * 1000).toISOString(), deliveryStatus: null }
          this.submissions.set(id, made)
          answer.created[key] = made
          const patch = a.onSuccessUpdateEmail?.[`#${key}`]
          if (patch) update[emailId] = patch
        }
        for (const [id, patch] of Object.entries(a.update ?? {})) {
          const s = this.submissions.get(id)
          if (!s || s.undoStatus !== 'pending') { answer.notUpdated[id] = { type: 'cannotUnsend' }; continue }
          Object.assign(s, patch)
          answer.updated[id] = null
          const then = a.onSuccessUpdateEmail?.[id]
          if (then) update[s.emailId] = then
        }
        return [[method, { ...answer, newState: state }], ...(Object.keys(update).length > 0 ? this.method('Email/set', { update }, created) : [])]
      }
      default: throw new Error('unknownMethod')
    }
  }

  /** What `fetch` is replaced with. @param {string | URL} url @param {RequestInit} [init] */
  async fetch(url, init) {
    await Promise.resolve()
    if (this.trouble === 'offline') throw new TypeError('Failed to fetch')
    if (String(url).startsWith('/.well-known/jmap')) return Response.json(this.session)
    if (String(url).startsWith('/api/html/')) return Response.json({ html: '', pictures: 0, trackers: 0, shown: false, hosts: [] })
    const { methodCalls } = JSON.parse(String(init?.body))
    const methodResponses = this.call(methodCalls)
    if (this.trouble === 'lose') { this.trouble = 'offline'; throw new TypeError('Failed to fetch') }
    return Response.json({ methodResponses, sessionState: 's' })
  }
}
