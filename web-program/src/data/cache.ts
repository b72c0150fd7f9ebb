// What the browser keeps, by account, so that the program opens, reads and writes without a network. All of it goes at sign-out.

import { deleteDB, openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Email, Id, Identity, Mailbox, Row, Session } from '../jmap/types'
import type { Draft } from './draft'
import type { Patches } from './patch'
import type { Person } from './people'
import type { Safe } from './safe'

const NAME = 'packetboat'
const ofAccount = (account: Id): string => account === '' ? NAME : `${NAME}/${account}`
/** Removed, where the browser lets us. */
const gone = async (name: string): Promise<void> => { try { await deleteDB(name) } catch { /* Whose it was is looked at before anything is read. */ } }
const BODY_BYTES_MAX = 200 * 1024 * 1024
const BODIES_TRIMMED = 50

export interface Body { id: Id; email: Email; safe: Safe | null; at: number; size: number }
/** `until`: they go away until then, by the server's clock; `null`: they come back from that before their time. */
export interface Waiting { seq?: number; account: Id; patches: Patches; inverse: Patches; quiet?: true; until?: string | null }
export interface KeptQuery { key: string; ids: Id[]; total: number; threads: Record<Id, Id[]> }

interface Tables extends DBSchema {
  meta: { key: string; value: unknown }
  rows: { key: Id; value: Row }
  bodies: { key: Id; value: Body; indexes: { at: number } }
  queries: { key: string; value: KeptQuery }
  journal: { key: number; value: Waiting }
  drafts: { key: string; value: Draft }
  people: { key: string; value: Person }
}

export interface Kept { session: Session; mailboxes: Mailbox[]; identities: Identity[] }
/** What is painted first, in one piece. */
export interface First { query: KeptQuery; rows: Row[] }
export interface Begun { kept: Kept; first: First | undefined; journal: Waiting[]; people: Person[] }

/** Whether something waits for the server: what can be known before the database is open. */
export const waits = {
  get is(): boolean { try { return localStorage.getItem('waits') !== null } catch { return true } },
  set is(so: boolean) { try { if (so) localStorage.setItem('waits', '1'); else localStorage.removeItem('waits') } catch { /* Nothing is kept here. */ } },
}

/** What is only kept waits until what is seen is drawn. */
export const afterwards = (keep: () => unknown): void => { setTimeout(keep) }

/** Every failure of the cache is borne: without it the program asks the server. */
export class Cache {
  static isBarred = false

  private constructor(private readonly opening: Promise<IDBPDatabase<Tables> | undefined>, private readonly name: string) {}

  /** From now on nothing is read or kept: what lies there is another's, and cannot be purged. */
  static bar(): void { this.isBarred = true }

  /** One's own, or that of an account of somebody else: equal messages have equal ids in both. What it is asked waits until it is open. */
  static at(account: Id = ''): Cache {
    const name = ofAccount(account)
    if (this.isBarred) return new Cache(Promise.resolve(undefined), name)
    return new Cache(Promise.resolve().then(() => openDB<Tables>(name, 1, {
      upgrade(db) {
        db.createObjectStore('meta')
        db.createObjectStore('rows', { keyPath: 'id' })
        db.createObjectStore('bodies', { keyPath: 'id' }).createIndex('at', 'at')
        db.createObjectStore('queries', { keyPath: 'key' })
        db.createObjectStore('journal', { keyPath: 'seq', autoIncrement: true })
        db.createObjectStore('drafts', { keyPath: 'key' })
        db.createObjectStore('people', { keyPath: 'email' })
      },
      blocking(_from, _to, event) { (event.target as IDBDatabase).close() },
    })).catch(() => undefined), name)
  }

  /** The same, open. */
  static async open(account: Id = ''): Promise<Cache> {
    const cache = this.at(account)
    await cache.opening
    return cache
  }

  async purge(): Promise<void> {
    (await this.opening)?.close()
    await gone(this.name)
  }

  /** This one, and what is kept of all other accounts: those of a session, and any that it does not name (any more). */
  async purgeAll({ accounts }: Session): Promise<void> {
    const found = await Promise.resolve().then(() => indexedDB.databases()).catch(() => [])
    const names = found.flatMap(({ name }) => (name?.startsWith(`${NAME}/`) ? [name] : []))
    const all = new Set([...names, ...Object.keys(accounts).map(ofAccount)])
    await Promise.all([this.purge(), ...[...all].map(gone)])
  }

  /** All mail that is kept: what may be seen has changed. */
  async clear(): Promise<void> {
    await this.try(async (db) => { await Promise.all([...(['rows', 'bodies', 'queries'] as const).map((table) => db.clear(table)), db.delete('meta', 'first')]); return true }, false)
  }

  /** All that the first look needs, in one go. */
  async begun(): Promise<Begun | undefined> {
    return this.try(async (db) => {
      const tx = db.transaction(['meta', 'journal', 'people'])
      const meta = tx.objectStore('meta')
      const [kept, first, journal, people] = await Promise.all([meta.get('kept'), meta.get('first'), tx.objectStore('journal').getAll(), tx.objectStore('people').getAll()])
      return kept === undefined ? undefined : { kept: kept as Kept, first: first as First | undefined, journal, people }
    }, undefined)
  }

  private async try<T>(act: (db: IDBPDatabase<Tables>) => Promise<T>, otherwise: T): Promise<T> {
    const db = await this.opening
    if (!db) return otherwise
    try { return await act(db) } catch { return otherwise }
  }

  async kept(): Promise<Kept | undefined> { return this.try(async (db) => await db.get('meta', 'kept') as Kept | undefined, undefined) }
  async keep(kept: Kept): Promise<void> { await this.try((db) => db.put('meta', structuredClone(kept), 'kept'), '') }

  async setting<T>(name: string): Promise<T | undefined> { return this.try(async (db) => await db.get('meta', `set:${name}`) as T | undefined, undefined) }
  async set(name: string, value: unknown): Promise<void> { await this.try((db) => db.put('meta', value, `set:${name}`), '') }

  async rows(ids: readonly Id[]): Promise<Row[]> {
    return this.try(async (db) => {
      const tx = db.transaction('rows')
      const found = await Promise.all(ids.map((id) => tx.store.get(id)))
      return found.filter((r): r is Row => r !== undefined)
    }, [])
  }

  async allRows(): Promise<Row[]> { return this.try((db) => db.getAll('rows'), []) }

  async putRows(rows: readonly Row[]): Promise<void> {
    await this.try(async (db) => {
      const tx = db.transaction('rows', 'readwrite')
      for (const row of rows) void tx.store.put(row)
      await tx.done
      return true
    }, false)
  }

  async forget(ids: readonly Id[]): Promise<void> {
    await this.try(async (db) => {
      const tx = db.transaction(['rows', 'bodies'], 'readwrite')
      for (const id of ids) { void tx.objectStore('rows').delete(id); void tx.objectStore('bodies').delete(id) }
      await tx.done
      return true
    }, false)
  }

  async body(id: Id): Promise<Body | undefined> { return this.try((db) => db.get('bodies', id), undefined) }
  async bodies(): Promise<Body[]> { return this.try((db) => db.getAll('bodies'), []) }

  async putBody(body: Body): Promise<void> {
    await this.try(async (db) => {
      await db.put('bodies', body)
      if (Math.random() < 1 / BODIES_TRIMMED) await this.trim(db)
      return true
    }, false)
  }

  private async trim(db: IDBPDatabase<Tables>): Promise<void> {
    const tx = db.transaction('bodies', 'readwrite')
    const oldest = Date.now() - 90 * 86_400_000
    let sum = 0
    for (let cursor = await tx.store.index('at').openCursor(null, 'prev'); cursor; cursor = await cursor.continue()) {
      sum += cursor.value.size
      if (sum > BODY_BYTES_MAX || cursor.value.at < oldest) await cursor.delete()
    }
    await tx.done
  }

  async query(key: string): Promise<KeptQuery | undefined> { return this.try((db) => db.get('queries', key), undefined) }
  async putQuery(query: KeptQuery): Promise<void> { await this.try((db) => db.put('queries', query), '') }
  async putFirst(first: First): Promise<void> { await this.try((db) => db.put('meta', first, 'first'), '') }

  async journal(): Promise<Waiting[]> { return this.try((db) => db.getAll('journal'), []) }
  async write(entry: Waiting): Promise<number> { return this.try((db) => db.add('journal', entry), 0) }
  async strike(seq: number): Promise<void> { await this.try(async (db) => { await db.delete('journal', seq); return true }, false) }

  async drafts(): Promise<Draft[]> { return this.try((db) => db.getAll('drafts'), []) }
  async putDraft(draft: Draft): Promise<void> { await this.try((db) => db.put('drafts', draft), '') }
  async dropDraft(key: string): Promise<void> { await this.try(async (db) => { await db.delete('drafts', key); return true }, false) }

  async people(): Promise<Person[]> { return this.try((db) => db.getAll('people'), []) }
  async putPeople(people: readonly Person[]): Promise<void> {
    await this.try(async (db) => {
      const tx = db.transaction('people', 'readwrite')
      for (const person of people) void tx.store.put(person)
      await tx.done
      return true
    }, false)
  }
}
