// What is written is what is read: every button and key of the editor, as another mail program finds it in the letter; and several letters
// at once, of which none has anything of another.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { browser, carried, desktop, hasty, letter, Offices, opened, page, PNG, signIn, until } from './offices.mjs'

let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  ann = await desktop(chrome)
  ann.removeAllListeners('dialog')
  ann.on('dialog', (d) => { void d.accept(d.type() === 'prompt' ? 'https://boats.test/list?a=1&b=2' : undefined) })
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const clean = (p) => { assert.deepEqual(p.troubles.splice(0), []) }
const press = async (...keys) => { for (const key of keys) await ann.keyboard.press(key) }
const type = (text) => ann.keyboard.type(text)
/** The letter as it comes to who gets it; in its HTML nothing that is not seen. */
async function got(name, subject) {
  const read = await opened(await offices.whole(name, subject))
  return { ...read, html: read.html.replaceAll('&nbsp;', ' ').replace(/^<!DOCTYPE html><html><body>|<\/body><\/html>\s*$/g, '') }
}
async function send(name, subject) {
  await press('Control+Enter')
  return got(name, subject)
}

describe('the editor', { timeout: 300_000 }, () => {
  const tool = (name) => ann.locator('.compose .tools').getByRole('button', { name, exact: true })
  const use = (name) => tool(name).click()
  const isOn = (name, on = true) => tool(name).and(ann.locator(`[aria-pressed=${on}]`)).waitFor()

  it('by its buttons: what each is for stands in the letter that comes', async () => {
    await letter(ann, 'bob@here.test', 'By buttons', '')
    for (const [name, word] of [['Bold', 'heavy'], ['Italic', 'slanted'], ['Underline', 'lined']]) {
      await type(`a `)
      await use(name)
      await isOn(name)
      await type(word)
      await use(name)
      await isOn(name, false)
      await type(' b')
      await press('Enter')
    }
    await type('See boats')
    await press('Control+Shift+ArrowLeft')
    await use('Link')
    await isOn('Link')
    await press('ArrowRight', 'Enter')
    for (const [name, kind] of [['List', 'bread'], ['Numbered list', 'first']]) {
      await use(name)
      await isOn(name)
      await type(kind)
      await press('Enter')
      await type(`${kind} too`)
      await press('Enter', 'Enter')
      await isOn(name, false)
    }
    await use('Quote')
    await isOn('Quote')
    await type('Somebody said')
    await press('Enter', 'Enter')
    await isOn('Quote', false)
    await type('The end')
    const { html, text } = await send('bob', 'By buttons')
    for (const said of [/a <b>heavy<\/b> b/, /a <i>slanted<\/i> b/, /a <u>lined<\/u> b/, /See <a href="https:\/\/boats\.test\/list\?a=1&amp;b=2">boats<\/a>/,
      /<ul><li>(<div>)?bread(<br>)?(<\/div>)?<\/li><li>(<div>)?bread too(<br>)?(<\/div>)?<\/li><\/ul>/, /<ol><li>(<div>)?first(<br>)?(<\/div>)?<\/li><li>(<div>)?first too(<br>)?(<\/div>)?<\/li><\/ol>/,
      /<blockquote><div>Somebody said(<br>)?<\/div><\/blockquote><div>The end/]) assert.match(html, said)
    assert.deepEqual(text.split('\n').filter((line) => line !== ''), ['a heavy b', 'a slanted b', 'a lined b', 'See boats <https://boats.test/list?a=1&b=2>', '- bread', '- bread too', '1. first', '2. first too', '> Somebody said', 'The end'])
    assert.doesNotMatch(html, /\sclass=|\sid=|contenteditable|\u200b/)
    clean(ann)
  })

  it('by its buttons: each is taken away again, alone and all at once', async () => {
    const editor = await letter(ann, 'bob@here.test', 'Taken away', 'word')
    const all = () => press('Control+Home', 'Control+Shift+End')
    for (const [name, tag] of [['Bold', 'b'], ['Italic', 'i'], ['Underline', 'u'], ['Link', 'a'], ['List', 'ul'], ['Numbered list', 'ol'], ['Quote', 'blockquote']]) {
      await all()
      await use(name)
      await editor.locator(tag, { hasText: 'word' }).waitFor()
      await use(name)
      await editor.locator(tag).waitFor({ state: 'detached' })
    }
    for (const name of ['Bold', 'Italic', 'Underline', 'Link']) { await all(); await use(name) }
    for (const tag of ['b', 'i', 'u', 'a']) await editor.locator(tag, { hasText: 'word' }).waitFor()
    await all()
    await use('No format')
    for (const tag of ['b', 'i', 'u', 'a']) await editor.locator(tag).waitFor({ state: 'detached' })
    const { html, text } = await send('bob', 'Taken away')
    // Under what was a list or a quotation a line stays, to go on in.
    assert.match(html, /^<div>word<\/div>(<div>(<br>)?<\/div>)*$/)
    assert.equal(text.trim(), 'word')
    clean(ann)
  })

  it('by keys: the same, and back', async () => {
    const editor = await letter(ann, 'bob@here.test', 'By keys', '')
    for (const [key, word] of [['b', 'heavy'], ['i', 'slanted'], ['u', 'lined'], ['Shift+Digit7', 'struck']]) {
      await type('a ')
      await press(`Control+${key}`)
      await type(word)
      await press(`Control+${key}`)
      await type(' b')
      await press('Enter')
    }
    await type('See boats')
    await press('Control+Shift+ArrowLeft', 'Control+k')
    await editor.locator('a', { hasText: 'boats' }).waitFor()
    await press('ArrowRight', 'Enter')
    for (const [key, kind] of [['Digit8', 'bread'], ['Digit9', 'first']]) {
      await press(`Control+Shift+${key}`)
      await type(kind)
      await press('Enter')
      await type(`${kind} too`)
      await press('Enter', 'Enter')
    }
    await press('Control+]')
    await type('Somebody said')
    await press('Enter', 'Enter')
    await type('The end')
    // What was done last is taken back, and done again.
    await type(' of it')
    await press('Control+Shift+ArrowLeft', 'Control+b')
    await editor.locator('b', { hasText: 'it' }).waitFor()
    await press('Control+z')
    await editor.locator('b', { hasText: 'it' }).waitFor({ state: 'detached' })
    await press('Control+y')
    await editor.locator('b', { hasText: 'it' }).waitFor()
    const { html, text } = await send('bob', 'By keys')
    for (const said of [/a <b>heavy<\/b> b/, /a <i>slanted<\/i> b/, /a <u>lined<\/u> b/, /a <s>struck<\/s> b/, /See <a href="https:\/\/boats\.test\/list\?a=1&amp;b=2">boats<\/a>/,
      /<ul><li>(<div>)?bread(<br>)?(<\/div>)?<\/li><li>(<div>)?bread too/, /<ol><li>(<div>)?first(<br>)?(<\/div>)?<\/li><li>(<div>)?first too/, /<blockquote><div>Somebody said(<br>)?<\/div><\/blockquote><div>The end of <b>it<\/b>/]) assert.match(html, said)
    assert.match(text, /The end of it/)
    clean(ann)
  })

  it('what is typed into a text before there is an editor for it stands there, and one types on behind it', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 }, serviceWorkers: 'block' })
    await hasty(context)
    const p = await page(context)
    await signIn(p, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    let letGo
    const gate = new Promise((go) => { letGo = go })
    await p.route(/\/assets\/squire-[^/]*\.js$/, async (route) => { await gate; await route.continue() })
    const editor = await letter(p, 'bob@here.test', 'Typed early', 'Early e# words')
    await p.keyboard.press('Enter')
    await p.keyboard.type('and a line ')
    assert.equal(await p.locator('.compose [contenteditable=true]').count(), 0, 'there is no editor yet')
    letGo()
    await p.locator('.compose [contenteditable=true]').waitFor()
    await editor.and(p.locator(':focus')).waitFor()
    await p.keyboard.type('more')
    await p.keyboard.press('Control+Enter')
    const { text } = await got('bob', 'Typed early')
    assert.equal(text.replaceAll('\u00a0', ' ').trim(), 'Early e# words\nand a line more')
    assert.deepEqual(p.troubles, [])
    await context.close()
  })

  it('and is in the letter that is closed before there is one', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 }, serviceWorkers: 'block' })
    const p = await page(context)
    await signIn(p, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    await p.route(/\/assets\/squire-[^/]*\.js$/, () => undefined)
    await letter(p, 'bob@here.test', 'Closed early', 'Not lost')
    await p.keyboard.press('Escape')
    assert.match((await opened(await offices.whole('ann', 'Closed early', 'Drafts'))).text, /^Not lost\s*$/)
    await context.close()
  })

  it('each line stands from the side its letters are read, here and at who gets it', async () => {
    const [from, to] = ['שלום לך.', 'Hello you.']
    const editor = await letter(ann, 'bob@here.test', 'From the right', from)
    await press('Enter')
    await type(to)
    // A line becomes one of a list, after it was seen to be read from the right.
    await press('Enter')
    await type('ראשון')
    await editor.locator('div[dir=auto]', { hasText: 'ראשון' }).waitFor()
    await use('List')
    await isOn('List')
    await press('Enter', 'Enter')
    await isOn('List', false)
    /** Where the last mark of a line stands, from its first letter on: below nothing, it is read from the right. */
    const way = (line) => editor.evaluate((host, line) => {
      const walk = document.createTreeWalker(host, NodeFilter.SHOW_TEXT)
      while (walk.nextNode()) {
        const { data } = walk.currentNode
        if (!data.includes(line)) continue
        const at = (i) => { const range = document.createRange(); range.setStart(walk.currentNode, i); range.setEnd(walk.currentNode, i + 1); return range.getBoundingClientRect().left }
        const begin = data.indexOf(line)
        const { right } = host.getBoundingClientRect()
        return [Math.sign(at(begin + line.length - 1) - at(begin)), at(begin) > right - 60]
      }
      return undefined
    }, line)
    assert.deepEqual(await way(from), [-1, true])
    assert.deepEqual(await way(to), [1, false])
    await ann.getByPlaceholder('Subject').fill('מימין.')
    assert.equal(await ann.getByPlaceholder('Subject').evaluate((field) => getComputedStyle(field).direction), 'rtl')
    await ann.getByPlaceholder('Subject').fill('From the right')
    const { html } = await send('bob', 'From the right')
    assert.match(html, new RegExp(`<div dir="auto">${from}(<br>)?</div><div dir="auto">${to}(<br>)?</div><ul dir="auto"><li>`))
    // A letter of the usual side says nothing of it.
    await letter(ann, 'bob@here.test', 'From the left', 'Plain words')
    assert.doesNotMatch((await send('bob', 'From the left')).html, /dir=/)
    clean(ann)
  })

  it('its buttons are had by keys: after the text, and one is in the text again', async () => {
    const editor = await letter(ann, 'bob@here.test', 'By Tab', 'a ')
    const into = async (name) => {
      await press('Tab')
      for (let n = 0; n < 12 && !(await tool(name).evaluate((button) => button === document.activeElement)); n++) await press('Tab')
      await press('Enter')
      await editor.and(ann.locator(':focus')).waitFor()
    }
    await into('Bold')
    await type('heavy')
    await into('Bold')
    await type(' b')
    await press('Enter')
    await into('Numbered list')
    await type('first')
    const { html } = await send('bob', 'By Tab')
    assert.match(html, /a <b>heavy<\/b> b/)
    assert.match(html, /<ol><li>(<div>)?first/)
    clean(ann)
  })
})

describe('two letters at once', { timeout: 300_000 }, () => {
  const one = (subject) => ann.getByRole('dialog', { name: subject, exact: true })
  const text = (subject) => one(subject).getByRole('textbox', { name: 'Message' })
  /** Another window beside those that are open. */
  async function begin(subject) {
    const before = await ann.locator('.compose').count()
    await ann.getByRole('navigation', { name: 'Mailboxes' }).getByRole('button', { name: 'Write' }).click()
    const fresh = ann.locator('.compose', { hasText: 'New message' })
    await fresh.getByRole('combobox', { name: 'To', exact: true }).and(ann.locator(':focus')).waitFor()
    assert.equal(await ann.locator('.compose').count(), before + 1)
    await fresh.getByPlaceholder('Subject').fill(subject)
    await one(subject).waitFor()
  }
  async function write(subject, words) {
    await text(subject).click()
    await press('Control+End')
    await type(words)
    await text(subject).getByText(words).waitFor()
  }
  const to = async (subject, address) => { await one(subject).getByRole('combobox', { name: 'To', exact: true }).fill(address); await press('Tab'); await one(subject).locator('.chip', { hasText: address }).waitFor() }
  const draft = (subject, words) => until(`the draft ${subject} with ${words}`, async () => {
    const read = await opened(await offices.whole('ann', subject, 'Drafts'))
    return read.text.includes(words) && read
  })

  it('their texts, receivers and files stay apart, on the server and through a reload, and each goes to its own', async () => {
    await begin('For Bob')
    await begin('For Carol')
    await write('For Bob', 'Dear Bob,')
    await write('For Carol', 'Dear Carol,')
    await to('For Carol', 'carol@there.test')
    await to('For Bob', 'bob@here.test')
    await write('For Bob', ' your boat')
    await write('For Carol', ' your car')
    const picture = await carried(ann, [{ name: 'boat.png', type: 'image/png', bytes: PNG }])
    await text('For Bob').evaluate((element, clipboardData) => element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })), picture)
    await text('For Bob').locator('img').waitFor()
    await one('For Carol').dispatchEvent('drop', { dataTransfer: await carried(ann, [{ name: 'car.txt', type: 'text/plain', bytes: Buffer.from('red\n') }]) })
    await one('For Carol').locator('.pieces').getByText('car.txt').waitFor()
    assert.equal(await one('For Bob').locator('.pieces').count(), 0)
    const bobs = await draft('For Bob', 'your boat'), carols = await draft('For Carol', 'your car')
    assert.doesNotMatch(bobs.html + bobs.text, /Carol|car/)
    assert.doesNotMatch(carols.html + carols.text, /Bob|boat/)
    for (const subject of ['For Bob', 'For Carol']) await one(subject).getByText('Saved').waitFor()

    await ann.reload()
    for (const subject of ['For Bob', 'For Carol']) { await ann.locator('.dock .tab', { hasText: subject }).click(); await text(subject).waitFor() }
    await text('For Bob').getByText('Dear Bob, your boat').waitFor()
    await text('For Carol').getByText('Dear Carol, your car').waitFor()
    await until('the picture', () => text('For Bob').locator('img').evaluate((img) => img.complete && img.naturalWidth === 10))
    assert.equal(await text('For Carol').locator('img').count(), 0)
    // Typed on in one, a moment later in the other: what is kept of the first is of the first.
    await write('For Carol', ' and keys')
    await write('For Bob', ' and oars')
    await text('For Carol').click()
    await press('Control+Enter')
    await one('For Carol').waitFor({ state: 'detached' })
    await text('For Bob').getByText('and oars').waitFor()
    await text('For Bob').click()
    await press('Control+Enter')
    const [bob, carol] = [await got('bob', 'For Bob'), await got('carol', 'For Carol')]
    assert.match(bob.text, /Dear Bob, your boat\s*(\[boat\]\s*)?and oars/)
    assert.match(carol.text, /Dear Carol, your car and keys/)
    assert.doesNotMatch(bob.html + bob.text, /Carol|car/)
    assert.doesNotMatch(carol.html + carol.text, /Bob|boat/)
    assert.deepEqual([bob.to, carol.to], ['bob@here.test', 'carol@there.test'])
    assert.deepEqual([bob.parts.map((p) => p.type), carol.parts.map((p) => p.name)], [['image/png'], ['car.txt']])
    assert.doesNotMatch(await offices.listed('bob'), /"For Carol"/)
    await until('no draft left', async () => !/"For (Bob|Carol)"/.test(await offices.listed('ann', 'Drafts')))
    clean(ann)
  })
})
