// What is loaded first, and is little: the rows that came with the page, then the program; for who is not signed in the door, and the program
// while he types.

import './design/base.css'
import { came, known } from './state/early'
import { draw, painted, type Drawn } from './view/first'

const target = document.getElementById('app') as HTMLElement

async function begin(drawn: Drawn | undefined): Promise<void> {
  if (drawn) await painted()
  let program: typeof import('./program')
  try { program = await import('./program') } catch {
    drawn?.over();
    (await import('./door')).open(target, true)
    return
  }
  program.run(target, undefined, drawn)
}

const first = came()
if (known() === null) void import('./door').then((door) => { door.open(target) })
else void begin(first && draw(target, first))
