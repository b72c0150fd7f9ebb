// What one does with a letter: files in it, answers, times, and what becomes of it on its way.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { join } from 'node:path'
import { browser, carried, desktop, letter, Offices, pictures, PNG, signIn, until } from './offices.mjs'

let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const clean = (p) => { assert.deepEqual(p.troubles.splice(0), []) }
const newest = (name, subject, box = 'INBOX') => until(`${subject} at ${name}`, async () => {
  for (let n = 1; n < 30; n++) {
    const text = await offices.imap(name, `${box};MAILINDEX=${n}`).catch(() => undefined)
    if (text === undefined) return undefined
    if (text.includes(`Subject: ${subject}`)) return text
  }
  return undefined
})

describe('writing', { timeout: 300_000 }, () => {
  it('takes files that are dropped and pictures that are pasted', async () => {
    const editor = await letter(ann, 'bob@here.test', 'Dropped and pasted', 'See both: ')
    const file = await carried(ann, [{ name: 'list.txt', type: 'text/plain', bytes: Buffer.from('bread\n') }])
    await ann.locator('.compose').dispatchEvent('drop', { dataTransfer: file })
    await ann.locator('.pieces').getByText('list.txt').waitFor()
    const picture = await carried(ann, [{ name: 'lake.png', type: 'image/png', bytes: PNG }])
    await editor.evaluate((element, clipboardData) => element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })), picture)
    await editor.locator('img').waitFor()
    await until('the uploads', async () => (await ann.locator('progress').count()) === 0)
    await ann.keyboard.press('Control+Enter')
    const text = await newest('bob', 'Dropped and pasted')
    assert.match(text, /filename="?list\.txt/i)
    assert.match(text, /Content-ID: </i)
    assert.match(text, /src=(3D)?"?cid:/i)
    clean(ann)
  })

  it('keeps a picture in the text: through a reload, in an answer, in a forward', async () => {
    // A picture in a message: the text names a part that has that name, and nothing of ours.
    const holds = (text, where) => {
      const source = text.replace(/=\r?\n/g, '').replace(/=3D/gi, '=')
      const named = /<img[^>]+src="cid:([^"]+)"/i.exec(source)?.[1]
      assert.ok(named, `${where}: ${source}`)
      assert.equal(source.split(`Content-ID: <${named}>`).length, 2, `${where}: one part of that name: ${source}`)
      assert.match(source, /Content-Type: multipart\/related/i, where)
      assert.ok(source.replace(/\s/g, '').includes(PNG.toString('base64')), `${where}: the picture`)
      assert.doesNotMatch(source, /\/jmap\/|blob:|Content-Disposition: attachment/i, where)
    }
    const isShown = (p) => until('the picture', () => p.getByRole('textbox', { name: 'Message' }).locator('img').evaluate((i) => i.complete && i.naturalWidth === 10))
    const saved = (p) => p.locator('.compose .status').getByText('Saved').waitFor()

    const paste = async () => {
      const picture = await carried(ann, [{ name: 'lake.png', type: 'image/png', bytes: PNG }])
      await ann.getByRole('textbox', { name: 'Message' }).evaluate((element, clipboardData) => element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })), picture)
      await isShown(ann)
    }

    await letter(ann, 'bob@here.test', 'With a lake', 'The lake: ')
    await paste()
    // What was saved before had no picture yet.
    holds(await until('a draft with the picture', async () => { const text = await newest('ann', 'With a lake', 'Drafts'); return /cid:/i.test(text) && text }), 'the draft')
    await saved(ann)
    await ann.reload()
    await ann.locator('.dock').getByRole('button', { name: 'With a lake' }).first().click()
    await isShown(ann)
    await ann.getByRole('textbox', { name: 'Message' }).press('End')
    await ann.keyboard.type(' and more')
    await ann.keyboard.press('Control+Enter')
    const sent = await newest('bob', 'With a lake')
    assert.match(sent, /and more/, 'what was typed after the reload')
    holds(sent, 'after a reload')

    // A device that knows of the draft only what the server has: opened, changed and kept more than once.
    await ann.locator('body').press('c')
    await paste()
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill('bob@here.test')
    await ann.getByPlaceholder('Subject').fill('From another desk')
    await until('a draft of all that', async () => /To: bob@here\.test/.test(await newest('ann', 'From another desk', 'Drafts')) )
    await saved(ann)
    await ann.keyboard.press('Escape')
    const other = await desktop(chrome)
    await signIn(other, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    await other.getByRole('link', { name: 'Drafts' }).click()
    await other.locator('.row', { hasText: 'From another desk' }).click()
    for (const words of ['once', 'twice', 'thrice']) {
      await isShown(other)
      await other.getByRole('textbox', { name: 'Message' }).press('Control+End')
      await other.keyboard.type(words)
      await until(`the draft with ${words}`, async () => (await offices.imap('ann', 'Drafts;MAILINDEX=1').catch(() => '')).includes(words))
      await saved(other)
    }
    await other.keyboard.press('Control+Enter')
    const kept = await newest('bob', 'From another desk')
    assert.match(kept, /thrice/)
    holds(kept, 'from another desk')
    clean(other)
    await other.context().close()

    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: A boat\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>My boat: <img src="cid:boat&amp;1@b.test" alt="boat"><img src="cid:gone@b.test"></p>\r\n--x\r\nContent-Type: image/png\r\nContent-ID: <boat&1@b.test>\r\nContent-Transfer-Encoding: base64\r\n\r\n${PNG.toString('base64')}\r\n--x--\r\n`)
    await ann.getByRole('link', { name: 'Inbox' }).first().click()
    await ann.locator('.row', { hasText: 'A boat' }).click()
    await ann.frameLocator('article iframe').getByText('My boat').waitFor()
    await ann.keyboard.press('r')
    await ann.locator('.compose .quoted').waitFor()
    await ann.keyboard.type('Nice')
    await ann.keyboard.press('Control+Enter')
    const answered = await newest('bob', 'Re: A boat')
    holds(answered, 'the answer')
    assert.match(answered, /^> My boat: \[boat\]/m, 'its text')
    await ann.locator('article').first().focus()
    await ann.keyboard.press('r')
    await ann.locator('.compose .quoted').getByRole('button', { name: 'Edit' }).click()
    await isShown(ann)
    await ann.getByPlaceholder('Subject').fill('Quoted and changed')
    await ann.keyboard.press('Control+Enter')
    holds(await newest('bob', 'Quoted and changed'), 'the answer whose quotation was opened')
    await ann.locator('article').first().focus()
    await ann.keyboard.press('f')
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill('bob@here.test')
    await ann.keyboard.press('Control+Enter')
    holds(await newest('bob', 'Fwd: A boat'), 'the forward')

    // Without the quotation its picture does not go.
    await ann.locator('article').first().focus()
    await ann.keyboard.press('r')
    await ann.locator('.compose .quoted').getByRole('button', { name: 'Leave out' }).click()
    await ann.getByPlaceholder('Subject').fill('No boat')
    await ann.keyboard.press('Control+Enter')
    assert.doesNotMatch(await newest('bob', 'No boat'), /image\/png|cid:|\/jmap\//)
    clean(ann)
  })

  it('keeps the structure of what is pasted, and nothing that would ask somebody else', async () => {
    const editor = await letter(ann, '', 'Pasted', ' ')
    await editor.evaluate((element) => {
      const clipboardData = new DataTransfer()
      clipboardData.setData('text/html', '<p style="font-family:Comic Sans;color:red"><b>Bold</b> <a href="https://x.test/">link</a><img src="https://x.test/track.gif"><script>globalThis.ran = true</script></p><ul><li>one</li></ul>')
      clipboardData.setData('text/plain', 'Bold link one')
      element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
    })
    await editor.locator('li', { hasText: 'one' }).waitFor()
    const html = await editor.innerHTML()
    assert.match(html, /<b>Bold<\/b>/)
    assert.match(html, /href="https:\/\/x\.test\/"/)
    assert.doesNotMatch(html, /Comic|track\.gif|script/)
    await ann.getByRole('button', { name: 'Throw away' }).click()
    clean(ann)
  })

  it('answers all who got it, forwards it with its files, and as a file', async () => {
    await offices.submit('bob@here.test', 'ann@here.test', 'From: Bob <bob@here.test>\nTo: Ann <ann@here.test>, Cy <carol@there.test>\nCc: Dan <dan@there.test>\nSubject: To all of you\nMessage-ID: <all@here.test>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nWho comes?\n--x\nContent-Type: text/plain; name=plan.txt\nContent-Disposition: attachment; filename=plan.txt\n\nthe plan\n--x--\n')
    await ann.locator('.row', { hasText: 'To all of you' }).click()
    await ann.locator('article').getByText('Who comes?').waitFor()
    await ann.keyboard.press('a')
    await ann.locator('.compose .chip', { hasText: 'Dan' }).waitFor()
    assert.deepEqual((await ann.locator('.compose .chip').allInnerTexts()).map((t) => t.trim()), ['Bob', 'Cy', 'Dan'])
    assert.equal(await ann.getByPlaceholder('Subject').inputValue(), 'Re: To all of you')
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await ann.locator('.compose').waitFor({ state: 'detached' })

    await ann.locator('article header').first().click()
    await ann.locator('body').press('f')
    await ann.locator('.pieces').getByText('plan.txt').waitFor()
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill('bob@here.test')
    await ann.keyboard.press('Control+Enter')
    const forwarded = await newest('bob', 'Fwd: To all of you')
    assert.match(forwarded, /filename="?plan\.txt/i)
    assert.match(forwarded, /Who comes\?/)

    await ann.getByRole('toolbar', { name: 'Message' }).getByRole('button', { name: 'More' }).click()
    await ann.getByRole('menuitem', { name: 'Forward as attachment' }).click()
    await ann.locator('.pieces').getByText('To all of you.eml').waitFor()
    await ann.getByPlaceholder('Subject').fill('Whole')
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill('bob@here.test')
    await ann.keyboard.press('Control+Enter')
    const whole = await newest('bob', 'Whole')
    assert.match(whole, /Content-Type: message\/rfc822/i)
    assert.match(whole, /Message-ID: <all@here\.test>/i)
    clean(ann)
  })

  it('sends later, says so, and takes it back', async () => {
    await letter(ann, 'bob@here.test', 'In two hours', 'Not yet')
    await ann.getByRole('button', { name: 'Send later' }).click()
    await ann.getByRole('textbox', { name: 'When?' }).fill('in 2h')
    await ann.keyboard.press('Enter')
    await ann.locator('.toast').getByText('Will be sent').waitFor()
    await ann.getByRole('link', { name: 'Sent' }).click()
    const row = ann.locator('.row', { hasText: 'In two hours' })
    await row.locator('.fate.held').waitFor()
    await row.click()
    await ann.locator('article').getByText('Not sent yet').waitFor()
    await ann.getByRole('button', { name: 'Take it back' }).click()
    await ann.locator('.toast').getByText('Not sent. It is a draft again.').waitFor()
    await ann.locator('.compose').waitFor()
    assert.equal(await ann.getByPlaceholder('Subject').inputValue(), 'In two hours')
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await ann.locator('.compose').waitFor({ state: 'detached' })
    clean(ann)
  })

  it('sends later by itself, with every page closed; what was taken back before stays', async () => {
    const later = async (subject, when) => {
      await letter(ann, 'bob@here.test', subject, 'In its time')
      await ann.getByRole('button', { name: 'Send later' }).click()
      await ann.getByRole('textbox', { name: 'When?' }).fill(when)
      await ann.keyboard.press('Enter')
      await ann.locator('.toast').getByText('Will be sent').last().waitFor()
    }
    const waits = async () => JSON.parse(await offices.operate('here.test', '--json', 'queue', 'list')).entries
    const held = async (subject) => { await ann.getByRole('link', { name: 'Sent' }).click(); await ann.locator('.row', { hasText: subject }).locator('.fate.held').waitFor() }
    // Taken back from the word that it will be sent, long before its time: nothing of it waits any more.
    await later('Thought better of it', 'in 60s')
    await until('it waits', async () => (await waits()).length === 1)
    await ann.locator('.toast', { hasText: 'Will be sent' }).last().getByRole('button', { name: 'Undo' }).click()
    await ann.locator('.toast').getByText('Not sent. It is a draft again.').last().waitFor()
    assert.equal(await ann.getByPlaceholder('Subject').inputValue(), 'Thought better of it')
    await until('nothing waits', async () => (await waits()).length === 0)
    await until('a draft by IMAP', async () => (await offices.listed('ann', 'Drafts')).includes('"Thought better of it"'))
    assert.ok(!(await offices.listed('ann', 'Sent')).includes('"Thought better of it"'))
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await ann.locator('.compose').waitFor({ state: 'detached' })

    const begun = Date.now()
    await later('A little later', 'in 25s')
    await held('A little later')
    assert.ok(!(await offices.listed('bob')).includes('"A little later"'))
    clean(ann)
    await ann.goto('about:blank')
    ann.troubles.length = 0 // nothing of ours is on that page
    await offices.whole('bob', 'A little later', 'INBOX', 60)
    assert.ok(Date.now() - begun > 20_000, `${Date.now() - begun} ms`)
    await ann.goto(`${offices.here}/m/0/sent`)
    const row = ann.locator('.row', { hasText: 'A little later' })
    await row.locator('.fate.delivered').waitFor()
    await row.click()
    await ann.locator('article .route').getByText('Delivered').waitFor()
    assert.equal(await ann.getByRole('button', { name: 'Take it back' }).count(), 0)
    assert.equal((await offices.listed('bob')).split('"A little later"').length - 1, 1)
    assert.ok(!(await offices.listed('bob')).includes('"Thought better of it"'))
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.live.on').waitFor()
    clean(ann)
  })

  it('says accepted, waiting or failed, and why', async () => {
    await letter(ann, 'nobody@there.test', 'To nobody', 'Is anybody there?')
    await ann.keyboard.press('Control+Enter')
    await ann.getByRole('link', { name: 'Sent' }).click()
    await ann.locator('.row', { hasText: 'To nobody' }).locator('.fate.failed').waitFor()
    await ann.locator('.row', { hasText: 'To nobody' }).click()
    await ann.locator('article .route.failed, article .route .failed').getByText(/5\.1\.1|550/).waitFor()
    await ann.screenshot({ path: join(pictures, 'desktop-failed.png') })

    await offices.operate('here.test', 'freeze', 'there.test')
    await letter(ann, 'carol@there.test', 'Held up', 'This waits')
    await ann.keyboard.press('Control+Enter')
    const row = ann.locator('.row', { hasText: 'Held up' })
    await row.locator('.fate.waiting').waitFor()
    await offices.operate('here.test', 'thaw', 'there.test')
    await row.locator('.fate.accepted').waitFor({ timeout: 40_000 })
    clean(ann)
  })

  it('refuses what cannot go, in words', async () => {
    await letter(ann, '', 'To whom', 'x')
    await ann.keyboard.press('Control+Enter')
    await ann.getByRole('alert').getByText('Who is it for?').waitFor()
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill('not an address')
    await ann.keyboard.press('Tab')
    await ann.getByRole('button', { name: 'Send', exact: true }).click()
    await ann.getByRole('alert').getByText('is not an address').waitFor()
    await ann.getByRole('button', { name: 'Throw away' }).click()
    clean(ann)
  })

  it('completes people one wrote to', async () => {
    await ann.locator('body').press('c')
    await ann.getByRole('combobox', { name: 'To', exact: true }).pressSequentially('car')
    await ann.getByRole('option', { name: 'carol@there.test' }).waitFor()
    await ann.keyboard.press('Enter')
    await ann.locator('.compose .chip', { hasText: 'carol@there.test' }).waitFor()
    await ann.getByRole('button', { name: 'Throw away' }).click()
    clean(ann)
  })
})
