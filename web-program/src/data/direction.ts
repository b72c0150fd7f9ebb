// From which side a text is read: told by its own letters, block by block, as HTML's `dir=auto` has it.

/** Hebrew, Arabic, Syriac, Thaana, N'Ko and their like: what is read from the right. */
const FROM_RIGHT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u

export const isTurned = (text: string): boolean => FROM_RIGHT.test(text)

/** A list has one side for all of it, where its marks stand. */
const LISTS = 'ul, ol, dl'
const BLOCKS = `p, div, li, dt, dd, td, th, h1, h2, h3, h4, h5, h6, pre, center, blockquote, address, caption, ${LISTS}`

/** Whether it has text of its own, and not only blocks that have some. */
const speaks = (block: Element): boolean => [...block.childNodes].some((node) => node.nodeType === Node.TEXT_NODE ? (node.nodeValue ?? '').trim() !== '' : node instanceof (node.ownerDocument?.defaultView ?? globalThis).Element && !node.matches(`${BLOCKS}, table, hr, br, style`))

/** Every block that says nothing else stands from the side its own text is read. */
export function byItsText(root: HTMLElement): void {
  for (const block of [root, ...root.querySelectorAll<HTMLElement>(BLOCKS)]) {
    // A line that an editor made one of a list brings its own along.
    if (block.parentElement?.closest(LISTS)) { if (block.dir === 'auto') block.removeAttribute('dir'); continue }
    if (block.hasAttribute('dir')) continue
    if (block.matches(LISTS) || speaks(block)) block.dir = 'auto'
  }
}
