// Every word that people read is in `texts.ts` or `texts.bring.ts`, and not in a view: another language is another file of that shape.
import { describe, expect, it } from 'vitest'

const views = import.meta.glob<string>('../src/view/**/*.svelte', { query: '?raw', import: 'default', eager: true })
/** Names of keys and header fields, and addresses that nobody has, are the same in every language. */
const SAME = /^(Ctrl( Enter| K)?|Enter|Esc|Message-ID|ann@[a-z]+\.[a-z]+)$/

/** What stands outside of tags and of `{...}`, and in attributes that people hear or see. */
function words(source: string): string[] {
  const markup = source.replace(/<script[\s\S]*?<\/script>|<style[\s\S]*?<\/style>|<!--[\s\S]*?-->/g, '')
  let depth = 0
  let rest = ''
  for (const c of markup) {
    if (c === '{') depth += 1
    if (depth === 0) rest += c
    if (c === '}') depth -= 1
  }
  const said = [...rest.matchAll(/\b(?:aria-label|aria-description|placeholder|title|alt)="([^"]+)"/g)].map((m) => m[1] ?? '')
  return [...rest.replace(/<[^<>]*>/g, '\n').split('\n'), ...said].map((line) => line.trim()).filter((line) => /\p{L}{2,}/u.test(line) && !SAME.test(line))
}

describe('the views', () => {
  it('say nothing that stands in them', () => {
    expect(words('<p title="Hello">{t.a}<b>There</b> {#if x}{t.b}{/if}</p><i aria-label={t.c}>Enter</i>')).toEqual(['There', 'Hello'])
    expect(Object.keys(views).length).toBeGreaterThan(30)
    expect(Object.entries(views).flatMap(([name, source]) => words(source).map((line) => `${name}: ${line}`))).toEqual([])
  })
})
