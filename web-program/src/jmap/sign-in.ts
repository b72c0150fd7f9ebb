// Signing in: an address, a password, a code where one is asked for (`docs/jmap.md`).

import { ask, OURS } from './client'

/** The mark of a sign-out of which the server has not heard yet. */
export const LEAVING = 'leaving'

/** `wait`: for so many seconds nobody is listened to. `program`: it is the password of a program, and opens no page. */
export type Told = 'ok' | { wait: number } | 'wrong' | 'code' | 'program' | 'no-server'

export async function signIn(address: string, password: string, totp: string): Promise<Told> {
  let answer: Response
  try {
    answer = await fetch('/api/sign-in', { method: 'POST', credentials: 'same-origin', headers: OURS, body: JSON.stringify({ address, password, ...(totp ? { totp } : {}) }) })
  } catch { return 'no-server' }
  const told = await answer.json().catch(() => ({})) as { needs?: string }
  if (answer.status === 429) return { wait: Number(answer.headers.get('Retry-After') ?? 60) }
  if (answer.ok) {
    // Another cookie has taken the place of one that was to go.
    localStorage.removeItem(LEAVING)
    return 'ok'
  }
  if (answer.status >= 500) return 'no-server'
  return told.needs === 'totp' ? 'code' : told.needs === 'own-password' ? 'program' : 'wrong'
}

export async function signOut(): Promise<void> { await ask('/api/sign-out', { method: 'POST', headers: OURS, body: '{}' }) }
