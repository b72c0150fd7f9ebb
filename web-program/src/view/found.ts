// What was searched for, marked where it stands (CSS Custom Highlight API): the text stays one piece, which costs a list that changes with
// every letter typed less than elements in it. A browser that knows nothing of it shows the text.

import { fold } from '../data/people'

const NAME = 'found'

/** Where the words are, folded as the search does it: `[from, to]`, the leftmost first. Nothing, where folding moves the letters. */
export function places(text: string, words: readonly string[]): [number, number][] {
  const flat = fold(text)
  const wanted = words.map(fold).filter((word) => word !== '')
  if (flat.length !== text.length) return []
  const all: [number, number][] = []
  for (let at = 0; at < text.length;) {
    let from = -1, to = -1
    for (const word of wanted) { const i = flat.indexOf(word, at); if (i >= 0 && (from === -1 || i < from)) { from = i; to = i + word.length } }
    if (from === -1) break
    all.push([from, to])
    at = to
  }
  return all
}

/** Of all these elements, which hold text alone. The answer takes the marks away again. */
export function mark(elements: Iterable<Element>, words: readonly string[]): () => void {
  if (!('highlights' in CSS)) return () => undefined
  const ranges: StaticRange[] = []
  for (const { firstChild: text } of elements) {
    if (!(text instanceof Text)) continue
    for (const [from, to] of places(text.data, words)) ranges.push(new StaticRange({ startContainer: text, startOffset: from, endContainer: text, endOffset: to }))
  }
  const marks = new Highlight(...ranges)
  CSS.highlights.set(NAME, marks)
  return () => { if (CSS.highlights.get(NAME) === marks) CSS.highlights.delete(NAME) }
}
