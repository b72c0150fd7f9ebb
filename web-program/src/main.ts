// What is loaded first: the door, which is little, for most of it the program needs as well. Who is not signed in gets that, and the program
// while he types; all others get the program.

import './design/base.css'
import { open } from './door'
import { known } from './state/early'

const target = document.getElementById('app') as HTMLElement
if (known() === null) open(target)
else void import('./program').then((program) => { program.run(target) }, () => { open(target, true) })
