// Every operator that the search field knows, on a small mailbox of which each letter is known: exactly those that it means, and no other.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { axe, browser, byRequests, desktop, Offices, pictures, signIn, until } from './offices.mjs'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
/** Noon of a day, as IMAP writes it. */
const noon = (year, month, day) => `${String(day).padStart(2, ' ')}-${MONTHS[month - 1]}-${year} 12:00:00 +0000`
const ago = (days) => { const d = new Date(Date.now() - days * 86_400_000); return noon(d.getUTCFullYear(), d.getUTCMonth() + 1, d.getUTCDate()) }
const text = (head, body) => `${head.join('\r\n')}\r\n\r\n${body}\r\n`
const withFile = (head, body, name, size) => `${head.join('\r\n')}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n${body}\r\n--x\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.alloc(size, 'x').toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n--x--\r\n`
const BOB = 'From: Bob Boat <bob@here.test>', CAROL = 'From: Carol Lee <carol@there.test>', DAN = 'From: Dan <dan@else.test>', ANN = 'To: Ann <ann@here.test>'

let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  await offices.imap('ann', 'INBOX', '-X', 'STORE 1:* +FLAGS (\\Deleted)')
  await offices.imap('ann', 'INBOX', '-X', 'EXPUNGE')
  const put = (box, flags, date, letter) => offices.appendAll('ann', [letter], box, flags, [date])
  await put('INBOX', '\\Seen \\Flagged', noon(2026, 1, 10), text([BOB, ANN, 'Subject: Lunch plan'], 'We eat soup, with Zoe.'))
  await put('INBOX', '', noon(2026, 2, 10), withFile([CAROL, ANN, 'Cc: Dan <dan@else.test>', 'Subject: Invoice 7'], 'Pay it soon.', 'blue-lamp.bin', 30_000))
  await put('INBOX', '\\Seen travel', noon(2026, 3, 5), text([BOB, 'To: The Club <club@here.test>', 'Subject: Club news', 'List-Id: Our club <club.here.test>'], 'Sailing at noon.'))
  await put('INBOX', '\\Seen \\Answered', noon(2025, 12, 31), text([DAN, ANN, 'Subject: Soup recipe'], 'Boil water.'))
  await put('INBOX', '', ago(0), text([CAROL, ANN, 'Subject: Fresh thing'], 'Of today.'))
  await put('INBOX', '\\Seen', ago(3), text([CAROL, ANN, 'Subject: Recent thing'], 'Of this week, but not of the other.'))
  await put('Archive', '\\Seen', noon(2024, 5, 5), withFile([BOB, ANN, 'Subject: Old lunch'], 'Long ago.', 'red.txt', 2000))
  await put('Trash', '\\Seen', noon(2026, 1, 11), text([BOB, ANN, 'Subject: Lunch binned'], 'Away with it.'))
  await put('Junk', '', noon(2026, 1, 12), text(['From: Spam <spam@else.test>', ANN, 'Subject: Lunch for free'], 'Click here.'))
  await put('Sent', '\\Seen', noon(2026, 2, 11), text(['From: Ann <ann@here.test>', 'To: Carol Lee <carol@there.test>', 'Bcc: Hidden <hidden@else.test>', 'Subject: My answer'], 'Paid with pleasure.'))
  await put('Drafts', '\\Seen \\Draft', noon(2026, 2, 12), text(['From: Ann <ann@here.test>', 'To: Eve <eve@else.test>', 'Subject: Half a letter'], 'Dear'))
  ann = await desktop(chrome)
  await byRequests(ann.context())
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
  await ann.locator('.row', { hasText: 'Fresh thing' }).waitFor()
  await ann.locator('.live.on').waitFor()
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const field = () => ann.getByRole('searchbox', { name: 'Search mail' })
const subjects = () => ann.locator('.row:not(.bones) .subject').allTextContents()
/** Searches, and looks at what stands there once the server has answered that very question. */
async function finds(query, ...wanted) {
  const answered = ann.waitForResponse((r) => r.url().endsWith('/jmap/api') && (r.request().postData() ?? '').includes('"Email/query"'))
  await field().fill(query)
  await answered
  const found = await until(`${query}: ${wanted.join(', ') || 'nothing'}`, async () => { const all = (await subjects()).toSorted(); return all.join() === wanted.toSorted().join() && [all] }).catch(async (error) => { throw new Error(`${error.message}; it found ${await subjects()}`) })
  await ann.getByRole('heading', { name: `${found[0].length} result${found[0].length === 1 ? '' : 's'}`, exact: true }).waitFor()
}

const LUNCH = 'Lunch plan', INVOICE = 'Invoice 7', CLUB = 'Club news', SOUP = 'Soup recipe', FRESH = 'Fresh thing', RECENT = 'Recent thing', OLD = 'Old lunch', BINNED = 'Lunch binned', FREE = 'Lunch for free', SENT = 'My answer', HALF = 'Half a letter'
/** What is not thrown away, and no spam. */
const ALL = [LUNCH, INVOICE, CLUB, SOUP, FRESH, RECENT, OLD, SENT, HALF]
const but = (...gone) => ALL.filter((one) => !gone.includes(one))

const TABLE = {
  from: [['from:bob', LUNCH, CLUB, OLD], ['from:"Carol Lee"', INVOICE, FRESH, RECENT], ['from:dan@else.test', SOUP], ['from:boat subject:news', CLUB], ['from:nobody']],
  to: [['to:club', CLUB], ['to:carol@there.test', SENT], ['to:eve', HALF]],
  cc: [['cc:dan', INVOICE], ['cc:bob']],
  bcc: [['bcc:hidden', SENT]],
  subject: [['subject:lunch', LUNCH, OLD], ['subject:"soup recipe"', SOUP], ['subject:soup', SOUP]],
  body: [['body:soup', LUNCH], ['body:pay', INVOICE], ['body:"boil water"', SOUP]],
  in: [['in:archive', OLD], ['in:trash', BINNED], ['in:deleted lunch', BINNED], ['in:spam', FREE], ['in:drafts', HALF], ['in:sent from:ann', SENT], ['in:inbox from:bob', LUNCH, CLUB]],
  has: [['has:file', INVOICE, OLD], ['has:attachment from:carol', INVOICE]],
  is: [['is:unread', INVOICE, FRESH], ['is:read from:bob', LUNCH, CLUB, OLD], ['is:starred', LUNCH], ['is:flagged from:bob', LUNCH], ['is:answered', SOUP], ['is:draft', HALF]],
  label: [['label:travel', CLUB], ['label:Travel from:bob', CLUB]],
  before: [['before:2026', SOUP, OLD], ['before:2026-01-10', SOUP, OLD], ['before:2026-01-11', SOUP, OLD, LUNCH]],
  after: [['after:2026-02-11 before:2026-03', SENT, HALF], ['after:2026/3/5 before:2026-04', CLUB]],
  on: [['on:2026-02-10', INVOICE], ['on:today', FRESH]],
  older: [['older:2y', OLD], ['older:1d subject:thing', RECENT]],
  newer: [['newer:1w', FRESH, RECENT], ['newer:1d', FRESH]],
  larger: [['larger:10k', INVOICE], ['larger:1k', INVOICE, OLD], ['larger:1mb']],
  smaller: [['smaller:1kb', ...but(INVOICE, OLD)], ['smaller:10k has:file', OLD]],
  filename: [['filename:blue-lamp.bin', INVOICE], ['filename:LAMP', INVOICE], ['filename:red', OLD], ['filename:"blue lamp"'], ['filename:soon'], ['filename:ago'], ['-filename:lamp has:file', OLD]],
  list: [['list:club.here.test', CLUB], ['list:else']],
}

describe('search', { timeout: 300_000 }, () => {
  it('is tested by every operator that the page offers', () => {
    const source = readFileSync(new URL('../../web-program/src/data/search.ts', import.meta.url), 'utf8')
    const offered = [.../OPERATORS = \[([^\]]+)\]/.exec(source)[1].matchAll(/'(\w+)'/g)].map((m) => m[1])
    assert.deepEqual(Object.keys(TABLE), offered)
  })

  for (const [operator, all] of Object.entries(TABLE)) it(`${operator}: finds what it means`, async () => { for (const [query, ...wanted] of all) await finds(query, ...wanted) })

  it('words: everywhere, all of them, in order where they are quoted, without letter case; and what is not meant', async () => {
    await finds('lunch', LUNCH, OLD)
    await finds('SOUP', LUNCH, SOUP)
    await finds('eat soup', LUNCH)
    await finds('soup eat', LUNCH)
    await finds('"soup eat"')
    await finds('-from:bob -from:carol -is:draft', SOUP, SENT)
    await finds('lunch -in:archive', LUNCH)
    await finds('-has:file from:carol', FRESH, RECENT)
    await finds('nothing:special')
  })

  it('too much in one search: it is changed or cleared, for trying again would help nobody', async () => {
    const much = Array.from({ length: 200 }, (_, n) => `w${n}`).join(' ')
    await field().fill(much)
    const refused = ann.locator('.around .state')
    await refused.getByText('You look for too many words at once.').waitFor()
    assert.equal(await refused.getByRole('button', { name: 'Retry' }).count(), 0)
    await refused.getByRole('button', { name: 'Change the search' }).click()
    assert.deepEqual(await field().evaluate((one) => [document.activeElement === one, one.selectionStart, one.value.length]), [true, much.length, much.length])
    await ann.keyboard.press('Control+Shift+Home')
    await ann.keyboard.type('lunch')
    await ann.locator('.row', { hasText: LUNCH }).waitFor()
    await refused.waitFor({ state: 'detached' })
    await field().fill(much)
    await refused.getByText('You look for too many words at once.').waitFor()
    assert.deepEqual(await axe(ann), [])
    await refused.getByRole('button', { name: 'Clear the search' }).click()
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    assert.deepEqual([await field().inputValue(), await ann.evaluate(() => document.activeElement.id)], ['', 'list'])
    // What may go well another time is tried again.
    await ann.route('**/jmap/api', async (route) => ((route.request().postData() ?? '').includes('seldom') ? route.fulfill({ status: 500, contentType: 'application/json', body: '{}' }) : route.fallback()))
    try {
      await field().fill('seldom')
      await refused.getByRole('button', { name: 'Retry' }).waitFor()
    } finally { await ann.unroute('**/jmap/api') }
    await refused.getByRole('button', { name: 'Retry' }).click()
    await refused.getByText('Nothing matches').waitFor()
    await field().fill('')
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    ann.troubles.splice(0)
  })

  it('says of what is found in which mailbox it lies', async () => {
    const lies = async () => (await ann.locator('.row').evaluateAll((rows) => rows.map((row) => `${row.querySelector('.subject').textContent}: ${row.querySelector('.owner')?.textContent}`))).toSorted()
    await finds('lunch -label:none', LUNCH, OLD)
    assert.deepEqual(await lies(), ['Lunch plan: Inbox', 'Old lunch: Archive'])
    await ann.getByRole('row', { name: /Old lunch.*, Archive\b/ }).waitFor()
    await finds('in:deleted lunch -label:none', BINNED)
    assert.deepEqual(await lies(), ['Lunch binned: Deleted'])
    await finds('in:sent from:ann -label:none', SENT)
    assert.deepEqual(await lies(), ['My answer: Sent'])
    await field().fill('')
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    assert.equal(await ann.locator('.row .owner').count(), 0)
  })

  it('marks what was searched for where it stands, and no more once nothing is searched for', async () => {
    const marked = () => ann.evaluate(() => [...CSS.highlights.get('found') ?? []].map((one) => one.startContainer.data.slice(one.startOffset, one.endOffset)).sort().join())
    await finds('subject:lunch', LUNCH, OLD)
    await until('the word is marked', async () => await marked() === 'Lunch,lunch')
    await finds('"boil WATER"', SOUP)
    await until('the other words are', async () => await marked() === 'Boil water')
    await field().fill('')
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    await until('nothing is', async () => await marked() === '')
  })

  it('Enter goes into what is found, when that comes later than the key', async () => {
    await field().fill('')
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    await field().fill('bcc:hidden -subject:nothing')
    await field().press('Enter')
    await ann.locator('.row.cursor', { hasText: SENT }).waitFor()
    await until('the focus is in the list', () => ann.evaluate(() => document.activeElement?.id === 'list'))
    await ann.keyboard.press('/')
  })

  it('what is pressed after Enter is meant for the list, however late the answer is', async () => {
    await field().fill('')
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    let go
    const held = new Promise((free) => { go = free })
    await ann.route('**/jmap/api', async (route) => { if ((route.request().postData() ?? '').includes('walrus')) await held; await route.continue() })
    try {
      await field().pressSequentially('bcc:hidden -walrus')
      await ann.keyboard.press('Enter')
      await ann.keyboard.press('?')
      await ann.getByRole('dialog', { name: 'Keys' }).waitFor()
      assert.equal(await field().inputValue(), 'bcc:hidden -walrus')
      await ann.keyboard.press('Escape')
      go()
      await ann.locator('.row.cursor', { hasText: SENT }).waitFor()
      await until('the focus is in the list', () => ann.evaluate(() => document.activeElement?.id === 'list'))
    } finally { go(); await ann.unroute('**/jmap/api') }
    await ann.keyboard.press('/')
  })

  it('a shorter list keeps the elements of the longer, unseen, for the next', async () => {
    await field().fill('')
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    const many = await ann.evaluate(() => { const rows = [...document.querySelectorAll('.row')]; for (const row of rows) row.isKept = true; return rows.length })
    assert.ok(many > 4, String(many))
    await finds('bcc:hidden -subject:kept', SENT)
    assert.equal(await ann.getByRole('row').count(), 1)
    const hidden = await ann.evaluate(() => [...document.querySelectorAll('#list [hidden]')].map((one) => ({ isKept: one.isKept, isSeen: one.checkVisibility(), id: one.id })))
    assert.equal(hidden.filter(({ isKept }) => isKept).length, many - 1)
    assert.ok(hidden.every(({ isSeen, id }) => !isSeen && id === ''), JSON.stringify(hidden))
    assert.equal(await ann.locator('#list').evaluate((list) => list.scrollHeight <= list.clientHeight), true)
    await field().fill('')
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    await until('all rows stand in them again', () => ann.evaluate((many) => { const rows = [...document.querySelectorAll('.row')]; return rows.length === many && rows.every((row) => row.isKept && row.checkVisibility() && row.id !== '') }, many))
  })

  // A machine at its work may be later than what stood before is kept: it is tried often.
  it('what stood before stays until something is found: the list is not empty in between', async () => {
    const least = []
    for (let round = 0; round < 20 && !(least.at(-1) > 0); round++) {
      await field().fill('')
      await ann.locator('.row', { hasText: FRESH }).waitFor()
      least.push(await ann.evaluate(async (query) => {
        const input = document.querySelector('#search')
        let few = Infinity
        const found = new Promise((done) => new MutationObserver((_, watch) => {
          few = Math.min(few, document.querySelectorAll('.row').length)
          if ([...document.querySelectorAll('.row .subject')].some((one) => one.textContent === 'Invoice 7')) { watch.disconnect(); done() }
        }).observe(document.querySelector('#list'), { subtree: true, childList: true, characterData: true }))
        // Of what only the server knows.
        input.value = query
        input.dispatchEvent(new Event('input', { bubbles: true }))
        await found
        return few
      }, `cc:dan -subject:nothing${round}`))
    }
    assert.ok(least.at(-1) > 0, String(least))
  })

  it('Back leads from what is found to where one was, also when it was opened before its first frame', async () => {
    await ann.goto(`${offices.here}/m/0/inbox`)
    // Of the program itself: rows come with the page, and stand before it is there.
    await ann.locator('#list .row', { hasText: FRESH }).waitFor()
    await ann.evaluate(async (subject) => {
      const found = new Promise((done) => new MutationObserver((_, watch) => {
        const row = [...document.querySelectorAll('.row')].find((one) => one.querySelector('.subject')?.textContent === subject)
        if (document.querySelectorAll('.row').length !== 1 || !row) return
        watch.disconnect()
        row.click()
        done()
      }).observe(document.querySelector('#list'), { subtree: true, childList: true, characterData: true }))
      const input = document.querySelector('#search')
      // Of what only the server knows: it is drawn when that has answered.
      input.value = 'bcc:hidden -subject:else'
      input.dispatchEvent(new Event('input', { bubbles: true }))
      await found
      // What comes only when the next frame is drawn has come.
      for (let n = 0; n < 2; n++) await new Promise((frame) => requestAnimationFrame(() => setTimeout(frame)))
    }, SENT)
    await ann.locator('article').waitFor()
    assert.match(ann.url(), /\/search\/t\//)
    await ann.goBack()
    await ann.waitForURL(/\/search\?q=bcc/)
    await ann.locator('article').waitFor({ state: 'detached' })
    await ann.goBack()
    await ann.waitForURL(/\/m\/0\/inbox$/)
    await ann.locator('.row', { hasText: FRESH }).waitFor()
  })

  it('offers operators as one types, and takes one by Tab', async () => {
    await field().fill('')
    await field().pressSequentially('fr')
    await ann.locator('.hints').getByRole('button', { name: 'from:' }).waitFor()
    await ann.keyboard.press('Tab')
    assert.equal(await field().inputValue(), 'from:')
    await ann.keyboard.type('dan -su')
    await ann.locator('.hints').getByRole('button', { name: 'subject:' }).click()
    assert.equal(await field().inputValue(), 'from:dan -subject:')
    await field().fill('')
  })

  it('each operator is a chip, and goes by its cross; the rest stays', async () => {
    await finds('from:bob is:read lunch -in:archive', LUNCH)
    for (const chip of ['from:bob', 'is:read', '-in:archive']) await ann.getByRole('button', { name: `Remove ${chip}`, exact: true }).waitFor()
    assert.equal(await ann.getByRole('button', { name: /^Remove/ }).count(), 3)
    await ann.getByRole('button', { name: 'Remove -in:archive', exact: true }).click()
    await until('the old one as well', async () => (await subjects()).toSorted().join() === [LUNCH, OLD].join())
    await ann.getByRole('button', { name: 'Remove is:read', exact: true }).click()
    await ann.getByRole('button', { name: 'Remove from:bob', exact: true }).click()
    await until('the word alone', async () => await field().inputValue() === 'lunch')
    assert.match(ann.url(), /\/search\?q=lunch$/)
    await ann.goBack()
  })

  it('says where it looks, and looks elsewhere by a menu: with the pointer and by keys', async () => {
    await finds('lunch from:bob', LUNCH, OLD)
    const scope = ann.getByRole('button', { name: /^in / })
    const menu = ann.getByRole('menu', { name: 'Where to search' })
    const item = (name) => menu.getByRole('menuitemradio', { name, exact: true })
    const found = async (...wanted) => until(wanted.join(), async () => (await subjects()).toSorted().join() === wanted.toSorted().join())
    assert.equal(await scope.textContent(), 'in All mail')
    await scope.click()
    assert.deepEqual(await menu.getByRole('menuitemradio', { checked: true }).allInnerTexts(), ['All mail'])
    assert.deepEqual(await axe(ann), [])
    await ann.screenshot({ path: `${pictures}/search-scope.png` })
    await item('Archive').click()
    await found(OLD)
    assert.equal(await field().inputValue(), 'lunch from:bob in:Archive')
    assert.equal(await scope.textContent(), 'in Archive')
    // By keys: to the next, to the first that begins so, and back without a choice.
    await scope.focus()
    await ann.keyboard.press('Enter')
    await item('Archive').and(ann.locator(':focus')).waitFor()
    assert.equal(await item('Archive').getAttribute('aria-checked'), 'true')
    await ann.keyboard.press('Escape')
    await menu.waitFor({ state: 'detached' })
    await scope.and(ann.locator(':focus')).waitFor()
    await ann.keyboard.press('Enter')
    await ann.keyboard.press('d')
    await ann.keyboard.press('d')
    await item('Drafts').or(item('Deleted')).and(ann.locator(':focus')).waitFor()
    while (await item('Deleted').and(ann.locator(':focus')).count() === 0) await ann.keyboard.press('d')
    await ann.keyboard.press('Enter')
    await found(BINNED)
    await ann.keyboard.press('Enter')
    await ann.keyboard.press('Home')
    await ann.keyboard.press('ArrowUp')
    await ann.keyboard.press('ArrowDown')
    await item('All mail').and(ann.locator(':focus')).waitFor()
    await ann.keyboard.press('Enter')
    await found(LUNCH, OLD)
    assert.equal(await field().inputValue(), 'lunch from:bob')
    // A mailbox in another, of a name that another has: found by its path.
    for (const box of ['Trips', 'Work', 'Trips/Bills', 'Work/Bills']) await offices.imap('ann', '', '-X', `CREATE ${box}`)
    await offices.appendAll('ann', [text([BOB, ANN, 'Subject: Lunch bill'], 'Of work.')], 'Work/Bills')
    await ann.getByRole('link', { name: 'Bills' }).nth(1).waitFor()
    await scope.click()
    await item('Work / Bills').click()
    await found('Lunch bill')
    assert.equal(await field().inputValue(), 'lunch from:bob in:"Work / Bills"')
    await offices.imap('ann', 'Work/Bills', '-X', 'STORE 1:* +FLAGS (\\Deleted)')
    await offices.imap('ann', 'Work/Bills', '-X', 'EXPUNGE')
    await ann.goBack()
  })

  it('names who may be meant: one of them, and nobody else is', async () => {
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: FRESH }).waitFor()
    await finds('car', INVOICE, FRESH, RECENT, SENT)
    const who = ann.getByRole('list', { name: 'People' }).getByRole('button')
    await until('Carol', async () => (await who.allInnerTexts()).join() === 'Carol Lee')
    await who.first().focus()
    await ann.keyboard.press('Enter')
    await until('what she wrote', async () => (await subjects()).toSorted().join() === [FRESH, INVOICE, RECENT].toSorted().join())
    assert.equal(await field().inputValue(), 'from:carol@there.test')
    await ann.getByRole('list', { name: 'People' }).waitFor({ state: 'detached' })
    await finds('to:car -subject:none', SENT)
    await who.filter({ hasText: 'Carol Lee' }).click()
    await until('the same by her address', async () => await field().inputValue() === 'to:carol@there.test -subject:none')
    // On a telephone all of it is within reach.
    await ann.setViewportSize({ width: 360, height: 700 })
    await ann.goto(`${offices.here}/search?q=${encodeURIComponent('from:boat is:read')}`)
    await ann.locator('.row', { hasText: CLUB }).waitFor()
    await who.first().waitFor()
    assert.equal(await ann.evaluate(() => document.documentElement.scrollWidth), 360)
    await ann.getByRole('button', { name: /^in / }).click()
    const box = await ann.getByRole('menu', { name: 'Where to search' }).boundingBox()
    assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.y + box.height <= 700, JSON.stringify(box))
    assert.deepEqual(await axe(ann), [])
    await ann.screenshot({ path: `${pictures}/search-scope-phone.png` })
    await ann.keyboard.press('Escape')
    await ann.setViewportSize({ width: 1360, height: 860 })
  })

  it('the buttons over the inbox: all, unread, with files, starred', async () => {
    await ann.goto(`${offices.here}/m/0/inbox`)
    const only = async (name, ...wanted) => {
      await ann.getByRole('group', { name: 'Messages' }).getByRole('button', { name, exact: true }).click()
      await until(`${name}: ${wanted}`, async () => (await subjects()).toSorted().join() === wanted.toSorted().join())
    }
    await only('Unread', INVOICE, FRESH)
    await only('Files', INVOICE)
    await only('Starred', LUNCH)
    await only('All', LUNCH, INVOICE, CLUB, SOUP, FRESH, RECENT)
    assert.deepEqual(ann.troubles, [])
  })
})
