// The rows that came with the page, drawn before the program is there: what one wants to see first waits for nothing. As the program draws
// them (`ListPane.svelte`, `Shell.svelte`), by the same names of classes; what is pressed meanwhile is kept for it.

import { borderAt, chosen, dress, HEIGHT, WIDTH } from '../data/choices'
import { facts, people } from '../data/row'
import { Answers } from '../jmap/client'
import type { Id, Mailbox, QueryAnswer, Row } from '../jmap/types'
import type { First } from '../state/first'
import { t } from '../texts'
import { brief } from './when'

/** A row that was pressed, and whether where one chooses it. */
export interface Pressed { id: Id; chooses: boolean }

/** `over`: the program has taken its place; it is told what was pressed, by the pointer and by keys, and how far the list was scrolled. */
export interface Drawn { over: () => { pressed: Pressed[]; keys: KeyboardEvent[]; top: number } }

/** More keys than anybody means are not kept. */
const KEYS_MAX = 64

type Made = (tag: string, name: string, ...inside: (Node | string)[]) => HTMLElement
const maker = (component: string): Made => (tag, name, ...inside) => {
  const made = document.createElement(tag)
  made.className = `${name} s-${component}`.trim()
  made.append(...inside)
  return made
}
const shell = maker('Shell'), pane = maker('ListPane')
/** It is written from the side its letters are. */
const ofItsOwn = (text: HTMLElement): HTMLElement => { text.dir = 'auto'; return text }

function line(row: Row, all: Row[], box: Mailbox, me: string, isCompact: boolean, index: number): HTMLElement {
  const f = facts(all, row, box.id)
  const isOutgoing = box.role === 'sent' || box.role === 'drafts'
  const first = pane('div', 'line', ofItsOwn(pane('span', 'who', people(all, row, me, isOutgoing))))
  if (f.n > 1) first.append(pane('span', 'n tabular', String(f.n)))
  if (f.draft && !isOutgoing) first.append(pane('span', 'draft', t.list.draft))
  first.append(pane('span', 'icons'), pane('span', 'at tabular', brief(row.receivedAt)))
  const second = pane('div', 'line second', ofItsOwn(pane('span', 'subject', row.subject || t.list.none)), ...f.labels.map((label) => pane('span', 'chip', label)))
  const inside = pane('div', 'in', first, second)
  if (!isCompact) inside.append(ofItsOwn(pane('div', 'line preview', f.newest.preview)))
  const made = pane('div', `row${f.unread ? ' unread' : ''}`, pane('div', 'cell', pane('span', 'tick'), inside))
  made.style.transform = `translateY(calc(${index} * var(--row)))`
  made.dataset.id = row.id
  return made
}

/** Nothing, where the page shows something else than a list. */
export function draw(target: HTMLElement, { session, about, list }: First): Drawn | undefined {
  if (!list || !/^\/m\/0\/[^/]+$/.test(location.pathname) || location.search !== '') return undefined
  const answers = new Answers(list.answers)
  const found = answers.of<QueryAnswer>('q')
  const box = new Answers(about).of<{ list: Mailbox[] }>('m').list.find(({ id }) => id === list.asked.filter.inMailbox)
  if (!box || found.ids.length === 0) return undefined
  const rows = new Map([...answers.maybe<{ list: Row[] }>('te')?.list ?? [], ...answers.of<{ list: Row[] }>('e').list].map((row) => [row.id, row]))
  const threads = new Map(answers.maybe<{ list: { id: Id; emailIds: Id[] }[] }>('t')?.list.map(({ id, emailIds }) => [id, emailIds]))
  const choices = chosen()
  const isCompact = choices.rows === 'compact'
  dress(document.documentElement, choices)

  const all = pane('div', 'all')
  all.style.height = `min(15000000px, calc(${found.total ?? found.ids.length} * var(--row)))`
  for (const [index, id] of found.ids.slice(0, Math.ceil(innerHeight / (isCompact ? 32 : choices.reader === 'below' ? 56 : 72))).entries()) {
    const row = rows.get(id)
    if (!row) continue
    const whole = (threads.get(row.threadId) ?? []).map((one) => rows.get(one)).filter((one) => one !== undefined)
    all.append(line(row, list.asked.collapse && whole.length > 0 ? whole : [row], box, session.username, isCompact, index))
  }
  const view = pane('div', `view${isCompact ? ' compact' : ''}`, all)
  const tools = pane('div', 'tools', pane('h1', '', (box.role !== null && t.roles[box.role]) || box.name))
  const header = maker('Header')('header', '', maker('Header')('span', 'icon-button menu'))
  const bar = shell('nav', 'bar', shell('button', ''))
  const whole = shell('div', 'shell', header, maker('Nav')('nav', ''), shell('main', `panes ${choices.reader}`, shell('section', 'list', tools, pane('div', 'around', view)), shell('div', 'border'), shell('section', 'reader')), bar)
  whole.style.setProperty('--list', `${borderAt(WIDTH)}px`)
  whole.style.setProperty('--list-height', `${borderAt(HEIGHT)}%`)
  whole.ariaBusy = 'true'
  const pressed: Pressed[] = []
  view.addEventListener('click', ({ target: at }) => {
    const id = at instanceof Element ? at.closest<HTMLElement>('.row')?.dataset.id : undefined
    if (id !== undefined && pressed.length < KEYS_MAX) pressed.push({ id, chooses: (at as Element).closest('.tick') !== null })
  })
  const keys: KeyboardEvent[] = []
  const key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || keys.length === KEYS_MAX) return
    keys.push(event)
    // There is no field yet: what types is meant for the program, not for the browser's own search.
    if (event.key.length === 1) event.preventDefault()
  }
  addEventListener('keydown', key)
  target.append(whole)
  return { over: () => { const top = view.scrollTop; removeEventListener('keydown', key); whole.remove(); return { pressed, keys, top } } }
}

/** It is on the screen, and the browser has done what it has to do before the program takes all its time; or nobody looks. */
export function painted(): Promise<void> {
  return new Promise((done) => {
    if (document.hidden) { done(); return }
    setTimeout(done, 200)
    requestAnimationFrame(() => { if ('requestIdleCallback' in globalThis) requestIdleCallback(() => done(), { timeout: 100 }); else setTimeout(done) })
  })
}
