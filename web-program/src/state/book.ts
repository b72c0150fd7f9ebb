// The address book (`Person` of the server's own name space): whom one enters or takes in lies there, on every device and after signing out.
// Without a network it waits here; on a server that has no address book it stays here.

import { merged, whose, type Entry, type Person } from '../data/people'
import { plain, together, type Card } from '../data/vcard'
import { Refused, type Call } from '../jmap/client'
import type { Id, SetAnswer } from '../jmap/types'
import type { Mail } from './mail.svelte'

interface Whole extends Entry { phones: string[]; organization: string; note: string; vcard: string | null }

const fields = ({ name, emails, phones, organization, note, vcard }: Card): Record<string, unknown> => ({ name: name ?? '', emails, phones, organization, note, vcard })
const cardOf = ({ name, emails, phones, organization, note, vcard }: Whole): Card => ({ name: name || null, emails, phones, organization, note, vcard })
const union = (a: readonly string[], b: readonly string[]): string[] => [...a, ...b.filter((one) => !a.some((o) => o.toLowerCase() === one.toLowerCase()))]

/** One who is known already, with what a card tells of them besides. */
const joined = (had: Card, card: Card): Card => ({ name: card.name ?? had.name, emails: union(had.emails, card.emails), phones: union(had.phones, card.phones), organization: card.organization || had.organization, note: card.note || had.note, vcard: together(had.vcard, card.vcard) })

/** `cards`, and one more: of the same person as one of them it is that one's. */
function withOne(cards: readonly Card[], card: Card): Card[] {
  const had = whose(cards, card, (one) => one)
  // What is to correct somebody at the server still is, whatever else comes to it here.
  return had ? cards.map((one) => (one === had ? { ...joined(one, card), ...(one.corrects ?? card.corrects ? { corrects: true as const } : {}) } : one)) : [...cards, card]
}

export class Book {
  private telling: Promise<void> = Promise.resolve()

  constructor(private readonly mail: Mail) {}

  /** Asked with the first request, and when it changed: what is listed, and no more. */
  get calls(): Call[] { return this.mail.hasProgram ? [['Person/get', { accountId: this.mail.account, ids: null, properties: ['id', 'name', 'emails', 'isEntered', 'timesUsed', 'lastUsed'] }, 'people']] : [] }

  take(book: { list: Entry[] } | undefined): void {
    if (!book) return
    this.put(merged(this.mail.people, book.list, Date.now()))
    void this.tell().catch((e: unknown) => this.mail.failed(e))
  }

  private put(people: readonly Person[]): void {
    for (const person of people) this.mail.people.set(person.email, person)
    if (people.length > 0) void this.mail.cache.putPeople(people)
  }

  private async all(): Promise<Whole[]> {
    const answers = await this.mail.jmap.call([['Person/get', { accountId: this.mail.account, ids: null }, 'p']])
    return answers.of<{ list: Whole[] }>('p').list
  }

  /** They are here at once, and on the server when it is there. */
  async add(cards: readonly Card[]): Promise<void> {
    const now = Date.now()
    const { people, hasProgram } = this.mail
    for (const card of cards) {
      this.put(card.emails.map((email, n): Person => {
        const had = people.get(email.toLowerCase())
        const unsent = hasProgram && n === 0 ? withOne(had?.unsent ?? [], card) : had?.unsent
        return { ...(had?.id ? { id: had.id } : {}), email: email.toLowerCase(), name: card.name, weight: Math.max(1, had?.weight ?? 0), at: now, ...(unsent ? { unsent } : {}) }
      }))
    }
    await this.tell()
  }

  private tell(): Promise<void> {
    this.telling = this.telling.catch(() => undefined).then(() => this.tellAll())
    return this.telling
  }

  private async tellAll(): Promise<void> {
    const waiting = [...this.mail.people.values()].flatMap((person) => (person.unsent ?? []).map((card) => ({ person, card })))
    if (waiting.length === 0 || !this.mail.hasProgram) return
    const book = (await this.all()).map((whole) => ({ id: whole.id, card: cardOf(whole) }))
    const most = this.mail.jmap.limit('maxObjectsInSet', 500)
    let refused: Refused | undefined
    for (let from = 0; from < waiting.length; from += most) {
      const create: Record<string, unknown> = {}
      const update: Record<Id, unknown> = {}
      const told = waiting.slice(from, from + most).map(({ person, card }, n) => {
        const had = whose(book, card, (one) => one.card)
        if (had) { had.card = joined(had.card, card); update[had.id] = fields(had.card) }
        else create[`p${n}`] = fields(card)
        return { person, card, key: had?.id ?? `p${n}` }
      })
      const answers = await this.mail.jmap.call([['Person/set', { accountId: this.mail.account, create, update }, 's']])
      const set = answers.of<SetAnswer>('s')
      const why = [...Object.values(set.notCreated ?? {}), ...Object.values(set.notUpdated ?? {})][0]
      if (why) refused = new Refused(why.type, why.description ?? '')
      const later = new Set([...Object.entries(set.notCreated ?? {}), ...Object.entries(set.notUpdated ?? {})].filter(([, e]) => ['overQuota', 'serverFail', 'rateLimit'].includes(e.type)).map(([key]) => key))
      // What was changed meanwhile, or may be taken another time, waits still.
      for (const { person: { email }, card, key } of told) {
        const known = this.mail.people.get(email)
        if (!known?.unsent || later.has(key)) continue
        const { unsent, ...person } = known
        const left = unsent.filter((one) => one !== card)
        this.put([left.length > 0 ? { ...person, unsent: left } : person])
      }
    }
    const answers = await this.mail.jmap.call(this.calls)
    this.put(merged(this.mail.people, answers.of<{ list: Entry[] }>('people').list, Date.now()))
    if (refused) throw refused
  }

  /** Out of it, for good; how it is taken back. */
  async remove(person: Person): Promise<() => Promise<void>> {
    const { mail } = this
    const { id: _, unsent, ...rest } = person
    if (!mail.hasProgram) {
      this.put([{ ...rest, hidden: true }])
      return async () => { this.put([person]) }
    }
    // What the server is being told of comes there before it goes.
    await this.telling.catch(() => undefined)
    const has = (w: Whole): boolean => w.emails.some((e) => e.toLowerCase() === person.email)
    const found = (await this.all()).filter(has)
    const left = (w: Whole): string[] => w.emails.filter((e) => e.toLowerCase() !== person.email)
    const set = { accountId: mail.account, destroy: found.filter((w) => left(w).length === 0).map((w) => w.id), update: Object.fromEntries(found.filter((w) => left(w).length > 0).map((w) => [w.id, { emails: left(w) }])) }
    if (found.length > 0) await mail.jmap.call([['Person/set', set, 's']]).then((answers) => answers.of('s'))
    this.put([{ ...rest, hidden: true }])
    return () => found.length > 0 ? this.add(found.map(cardOf)) : this.add(unsent ?? [plain(person.name, person.email)])
  }

  /** These people with all that is known of them. */
  async cards(people: readonly Person[]): Promise<Card[]> {
    if (!this.mail.hasProgram) return people.map((p) => plain(p.name, p.email))
    const book = await this.all()
    const given = new Set<Id>()
    return people.flatMap((person): Card[] => {
      const all = book.filter((w) => w.emails.some((e) => e.toLowerCase() === person.email))
      if (all.length === 0) return [...person.unsent ?? [plain(person.name, person.email)]]
      const fresh = all.filter((w) => !given.has(w.id))
      for (const { id } of fresh) given.add(id)
      return fresh.map(cardOf)
    })
  }
}
