// One key, one act (Gmail's where Gmail has one). Silent in fields; what is typed while an answer opens goes into it.

import { READERS } from '../data/choices'
import { SORTS } from '../data/sorting'
import { t } from '../texts'
import { held, inField } from './ahead'
import { app, FIRST } from './app.svelte'
import { ALL, router } from './route.svelte'

export interface Command { name: string; text: string; key?: string; group: 'move' | 'act' | 'write' | 'show'; run: (key?: KeyboardEvent) => void; when?: () => boolean }

const any = (): boolean => app.targets.length > 0
/** Not only of others, who share it. */
const ours = (): boolean => app.own.length > 0
const reading = (): boolean => app.openThread !== ''
const listing = (): boolean => router.route.at === 'mail' || router.route.at === 'search'

export function commands(): Command[] {
  const act = t.act
  const names = t.keys.names
  const list: Command[] = [
    { name: 'next', text: names.j ?? '', key: 'j', group: 'move', run: () => app.step(1) },
    { name: 'previous', text: names.k ?? '', key: 'k', group: 'move', run: () => app.step(-1) },
    { name: 'open', text: names.o ?? '', key: 'o', group: 'move', run: () => { if (app.rowOf(app.cursor)) app.open(app.cursor) } },
    { name: 'close', text: names.u ?? '', key: 'u', group: 'move', run: () => app.close() },
    { name: 'message-next', text: names.n ?? '', key: 'n', group: 'move', run: (key) => message(1, key), when: reading },
    { name: 'message-previous', text: names.p ?? '', key: 'p', group: 'move', run: (key) => message(-1, key), when: reading },
    { name: 'go', text: names.g ?? '', key: 'g', group: 'move', run: () => { app.layer = 'go' } },
    { name: 'search', text: names['/'] ?? '', key: '/', group: 'move', run: () => document.querySelector<HTMLInputElement>('#search')?.focus() },
    { name: 'archive', text: act.archive, key: 'e', group: 'act', run: () => app.archive(), when: any },
    { name: 'archive-next', text: names[']'] ?? '', key: ']', group: 'act', run: () => app.archive(1), when: any },
    { name: 'archive-previous', text: names['['] ?? '', key: '[', group: 'act', run: () => app.archive(-1), when: any },
    { name: 'delete', text: act.delete, key: '#', group: 'act', run: () => app.remove(), when: any },
    { name: 'spam', text: act.spam, key: '!', group: 'act', run: () => app.spam(), when: any },
    { name: 'star', text: act.star, key: 's', group: 'act', run: () => app.star(), when: any },
    { name: 'select', text: names.x ?? '', key: 'x', group: 'act', run: () => app.select() },
    { name: 'select-next', text: names.J ?? '', key: 'J', group: 'act', run: () => app.step(1, true) },
    { name: 'select-previous', text: names.K ?? '', key: 'K', group: 'act', run: () => app.step(-1, true) },
    { name: 'move', text: act.move, key: 'v', group: 'act', run: () => { app.layer = 'move' }, when: any },
    { name: 'label', text: act.label, key: 'l', group: 'act', run: () => { app.layer = 'label' }, when: any },
    { name: 'snooze', text: act.snooze, key: 'b', group: 'act', run: () => { app.layer = 'snooze' }, when: ours },
    { name: 'mute', text: act.mute, key: 'm', group: 'act', run: () => app.mute(), when: ours },
    { name: 'pin', text: act.pin, key: '*', group: 'act', run: () => app.pin(), when: any },
    { name: 'read', text: act.read, key: 'I', group: 'act', run: () => app.seen(true), when: any },
    { name: 'unread', text: act.unread, key: 'U', group: 'act', run: () => app.seen(false), when: any },
    { name: 'read-all', text: act.readAll, group: 'act', run: () => { void app.readAll() }, when: () => !app.isJoined && (app.box?.unreadEmails ?? 0) > 0 },
    { name: 'undo', text: act.undo, key: 'z', group: 'act', run: () => app.undo() },
    { name: 'write', text: t.nav.write, key: 'c', group: 'write', run: () => { void app.desk.write() } },
    { name: 'reply', text: act.reply, key: 'r', group: 'write', run: () => app.answer('reply'), when: any },
    { name: 'reply-all', text: act.replyAll, key: 'a', group: 'write', run: () => app.answer('reply-all'), when: any },
    { name: 'forward', text: act.forward, key: 'f', group: 'write', run: () => app.answer('forward'), when: any },
    { name: 'pictures', text: names.P ?? '', key: 'P', group: 'show', run: () => { app.pictures = app.reading || FIRST }, when: reading },
    { name: 'recolour', text: names.D ?? '', key: 'D', group: 'show', run: () => { app.recolours += 1 }, when: reading },
    { name: 'open-all', text: names[';'] ?? '', key: ';', group: 'show', run: () => { app.openAll += 1 }, when: reading },
    { name: 'why', text: names.w ?? '', key: 'w', group: 'show', run: () => { app.drawer = app.drawer === 'why' ? '' : 'why' }, when: reading },
    { name: 'redirect', text: act.redirect, group: 'write', run: () => { app.layer = 'redirect' }, when: () => app.reading !== '' && app.mail?.writes === true },
    { name: 'wire', text: t.nav.wire, key: 'W', group: 'show', run: () => router.go({ at: 'wire' }), when: () => app.home?.hasProgram === true },
    { name: 'all', text: t.nav.all, key: 'A', group: 'move', run: () => app.openBox('inbox', ALL), when: () => app.readable.length > 1 },
    { name: 'people', text: t.nav.people, group: 'show', run: () => router.go({ at: 'people' }) },
    { name: 'keys', text: t.keys.title, key: '?', group: 'show', run: () => { app.layer = 'keys' } },
    { name: 'theme', text: t.palette.theme, group: 'show', run: () => app.choose({ theme: isDark() ? 'light' : 'dark' }) },
    { name: 'rows', text: t.palette.density(app.choices.rows === 'full' ? 'compact' : 'full'), group: 'show', run: () => app.choose({ rows: app.choices.rows === 'full' ? 'compact' : 'full' }) },
    ...READERS.map((reader): Command => ({ name: `reader-${reader}`, text: t.palette.layout(t.settings.readers[reader]), group: 'show', run: () => app.choose({ reader }), when: () => app.choices.reader !== reader })),
    ...SORTS.map((name): Command => ({ name: `sort-${name}`, text: `${t.list.sort}: ${t.list.sorts[name]}`, group: 'show', run: () => app.sort(name), when: listing })),
    { name: 'settings', text: t.nav.settings, group: 'show', run: () => router.go({ at: 'settings', page: 'general' }) },
    { name: 'sign-out', text: t.nav.signOut, group: 'show', run: () => { void app.signOut() } },
  ]
  const { keymap } = app.choices
  return list.map(({ key, ...command }): Command => { const own = keymap[command.name] ?? key; return own ? { ...command, key: own } : command })
}

/** The key of a command, as it is said on a button for it. */
export function hint(name: string): string {
  const key = app.choices.keys ? commands().find((c) => c.name === name)?.key : undefined
  return key === undefined ? '' : ` (${key})`
}

export function isDark(): boolean {
  return app.choices.theme === 'dark' || (app.choices.theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
}

function message(by: number, key?: KeyboardEvent): void {
  const all = [...document.querySelectorAll<HTMLElement>('[data-message]')]
  // They are still on their way.
  if (all.length === 0 && key) { app.ahead.begin(key); return }
  const at = all.findIndex((m) => m.contains(document.activeElement)) 
  const next = all[Math.min(all.length - 1, Math.max(0, at + by))]
  next?.querySelector<HTMLElement>('button')?.focus()
  next?.scrollIntoView({ block: 'nearest' })
}

export function onKey(event: KeyboardEvent): void {
  if (!app.mail || event.defaultPrevented || event.isComposing || held(event)) return
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k' && !inField(event.target)) {
    event.preventDefault()
    app.layer = 'palette'
    return
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === 'Escape') {
    // A dialog closes by itself, and nothing under it.
    if (document.querySelector('dialog[open]')) return
    if (app.layer !== '') app.layer = ''
    else if (app.drawer !== '') app.drawer = ''
    else if (inField(event.target)) (event.target as HTMLElement).blur()
    else if (app.list?.mails.some((mail) => mail.selected.size > 0)) app.deselect()
    else if (app.openThread !== '') app.close()
    else if (router.route.at === 'search') app.search('')
    return
  }
  if (app.layer !== '' || inField(event.target) || document.querySelector('dialog[open]')) return
  if (!app.choices.keys) return
  const { route } = router
  const command = commands().find((c) => c.key === event.key)
  if (!command || (command.when && !command.when())) return
  if (command.group !== 'write' && command.group !== 'show' && !['go', 'search', 'all'].includes(command.name) && route.at !== 'mail' && route.at !== 'search') return
  event.preventDefault()
  command.run(event)
}
