// Where one is, as the address bar has it: reload brings everything back, Back closes the top layer.

import { drawn } from './early'

/** In place of an account: all of them as one. A conversation is named with its account then. */
export const ALL = 'all'

export type Route =
  | { at: 'sign-in' }
  // `of`: the account of somebody else who shares it, or all of them; without it one's own. `sort`: another order than the newest first.
  | { at: 'mail'; of?: string; box: string; thread: string; email: string; flat: boolean; only: string; sort?: string }
  | { at: 'search'; of?: string; query: string; thread: string; email: string; sort?: string }
  | { at: 'settings'; page: string }
  | { at: 'people' }
  | { at: 'wire' }
  | { at: 'print'; email: string }

export function read(url: URL): Route {
  const parts = url.pathname.split('/').filter((p) => p !== '').map(decodeURIComponent)
  const [first, second, third, fourth, fifth] = parts
  const email = url.hash.slice(1)
  if (first === 'sign-in') return { at: 'sign-in' }
  if (first === 'search') return { at: 'search', of: url.searchParams.get('of') ?? '', query: url.searchParams.get('q') ?? '', thread: second === 't' ? third ?? '' : '', email, sort: url.searchParams.get('sort') ?? '' }
  if (first === 'settings') return { at: 'settings', page: second ?? 'general' }
  if (first === 'people') return { at: 'people' }
  if (first === 'wire') return { at: 'wire' }
  if (first === 'print' && second !== undefined) return { at: 'print', email: second }
  if (first === 'm') return { at: 'mail', of: second === undefined || second === '0' ? '' : second, box: third ?? 'inbox', thread: fourth === 't' ? fifth ?? '' : '', email, flat: url.searchParams.has('flat'), only: url.searchParams.get('only') ?? '', sort: url.searchParams.get('sort') ?? '' }
  return { at: 'mail', box: 'inbox', thread: '', email: '', flat: false, only: '' }
}

export function href(route: Route): string {
  const e = encodeURIComponent
  switch (route.at) {
    case 'sign-in': return '/sign-in'
    case 'search': return `/search${route.thread ? `/t/${e(route.thread)}` : ''}?q=${e(route.query)}${route.of ? `&of=${e(route.of)}` : ''}${route.sort ? `&sort=${e(route.sort)}` : ''}${route.email ? `#${route.email}` : ''}`
    case 'settings': return `/settings/${e(route.page)}`
    case 'people': return '/people'
    case 'wire': return '/wire'
    case 'print': return `/print/${e(route.email)}`
    case 'mail': {
      const query = [route.flat ? 'flat' : '', route.only ? `only=${e(route.only)}` : '', route.sort ? `sort=${e(route.sort)}` : ''].filter((q) => q !== '').join('&')
      return `/m/${route.of ? e(route.of) : '0'}/${e(route.box)}${route.thread ? `/t/${e(route.thread)}` : ''}${query ? `?${query}` : ''}${route.email ? `#${route.email}` : ''}`
    }
  }
}

class Router {
  route = $state.raw<Route>(read(new URL(location.href)))

  /** What the browser is yet to write down: before whatever follows it. */
  private unwritten: (() => void) | undefined

  constructor() { addEventListener('popstate', () => { this.unwritten = undefined; this.route = read(new URL(location.href)) }) }

  /** `first`: what is to be asked for, before the browser writes down where one is. */
  go(route: Route, replace = false, first: () => void = () => undefined): void {
    this.written()
    this.route = route
    first()
    this.write(route, replace)
  }

  /** One goes on, and sees it before the browser writes it down: that takes it some milliseconds. */
  show(route: Route): void {
    this.written()
    this.route = route
    const write = (): void => { this.unwritten = undefined; this.write(route, false) }
    this.unwritten = write
    drawn(() => { if (this.unwritten === write) write() })
  }

  private written(): void { this.unwritten?.() }

  private write(route: Route, replace: boolean): void {
    const to = href(route)
    if (to === location.pathname + location.search + location.hash) return
    const depth = (history.state as { depth?: number } | null)?.depth ?? 0
    if (replace) history.replaceState({ depth }, '', to)
    else history.pushState({ depth: depth + 1 }, '', to)
  }

  /** Back where one came from within the program, else to `otherwise`. */
  back(otherwise: Route): void {
    this.written()
    if (((history.state as { depth?: number } | null)?.depth ?? 0) > 0) history.back()
    else this.go(otherwise, true)
  }
}

export const router = new Router()
