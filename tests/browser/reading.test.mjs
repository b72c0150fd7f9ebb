// Signing in and reading, in a browser, on what two real post offices serve.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { axe, browser, Offices, page, pictures, PNG, signIn, stands, until } from './offices.mjs'

let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  ann = await page(await chrome.newContext({ viewport: { width: 1360, height: 860 } }))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

describe('reading', { timeout: 300_000 }, () => {
  it('begins with the right password only', async () => {
    await ann.goto(offices.here)
    await ann.getByLabel('Address').fill('ann@here.test')
    await ann.getByLabel('Password').fill('wrong')
    assert.deepEqual(await axe(ann), [])
    await ann.getByRole('button', { name: 'Sign in', exact: true }).click()
    await ann.getByRole('alert').getByText('not right').waitFor()
    await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    const cookie = (await ann.context().cookies())[0]
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict'])
  })

  it('shows the inbox, and a message in a frame where nothing runs', async () => {
    const row = ann.locator('.row', { hasText: 'Welcome aboard' })
    await row.waitFor()
    await ann.screenshot({ path: join(pictures, 'desktop-inbox.png') })
    await row.click()
    await ann.frameLocator('article iframe').getByText('This mailbox is on your own computer').waitFor()
    const sandbox = await ann.locator('article iframe').getAttribute('sandbox')
    assert.ok(sandbox.includes('allow-same-origin') && !sandbox.includes('allow-scripts'), sandbox)
    await ann.screenshot({ path: join(pictures, 'desktop-message.png') })
    assert.deepEqual(await axe(ann), [])
  })

  it('says why it is here, by key, and closes again', async () => {
    await ann.keyboard.press('w')
    await ann.getByRole('complementary', { name: 'Why is it here?' }).getByText('Inbox', { exact: true }).waitFor()
    await ann.keyboard.press('Escape')
    await ann.keyboard.press('?')
    await ann.getByRole('dialog', { name: 'Keys' }).waitFor()
    await ann.keyboard.press('Escape')
  })

  it('is found again by a reload, by Back and by searching', async () => {
    const open = ann.url()
    await ann.reload()
    await ann.locator('article h2').waitFor()
    assert.equal(ann.url(), open)
    await ann.keyboard.press('/')
    await ann.keyboard.type('subject:welcome from:postmaster')
    await ann.getByRole('heading', { name: '1 result' }).waitFor()
    await ann.keyboard.press('Escape')
    await ann.getByRole('heading', { name: 'Inbox' }).waitFor()
  })

  it('shows what stands between the texts and behind them: pictures sent "inline", a list\'s footer', async () => {
    const part = (head, body) => `--mixed\n${head}\n\n${body}\n`
    const mail = (subject, ...parts) => `From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: ${subject}\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=mixed\n\n${parts.join('')}--mixed--\n`
    const picture = part('Content-Type: image/png; name=beach.png\nContent-Disposition: inline; filename=beach.png\nContent-Transfer-Encoding: base64', PNG.toString('base64'))
    await offices.submit('bob@here.test', 'ann@here.test', mail('From a telephone', part('Content-Type: text/plain', 'Look at this:'), picture, part('Content-Type: text/plain', 'Nice, is it not?')))
    await offices.submit('bob@here.test', 'ann@here.test', mail('By a list', part('Content-Type: text/html', '<p>The words</p>'), picture, part('Content-Type: text/plain', 'You get this <by the list> & no other')))
    await ann.goto(`${offices.here}/m/0/inbox`)
    // Both, so that no row moves under the pointer any more.
    for (const subject of ['From a telephone', 'By a list']) await ann.locator('.row', { hasText: subject }).waitFor()
    for (const subject of ['From a telephone', 'By a list']) {
      await ann.locator('.row', { hasText: subject }).click()
      await ann.getByRole('heading', { name: subject }).first().waitFor()
      await ann.locator('article').getByText('beach.png').first().waitFor()
    }
    const frame = ann.frameLocator('article iframe')
    await frame.getByText('The words').waitFor()
    await frame.getByText('You get this <by the list> & no other').waitFor()
    await ann.keyboard.press('Escape')
  })

  it('shows files without opening another program, and what an invitation says', async () => {
    const part = (type, name, body, encoding = '7bit') => `--x\r\nContent-Type: ${type}; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n`
    const event = 'BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nDTSTART:20261204T113000Z\r\nSUMMARY:Lunch at the lake\r\nLOCATION:Pier 3\r\nORGANIZER;CN=Bob:mailto:bob@here.test\r\nEND:VEVENT\r\nEND:VCALENDAR'
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nSee these.\r\n${part('image/png', 'lake.png', PNG.toString('base64'), 'base64')}${part('text/plain', 'list.txt', 'bread and <b>butter</b>')}${part('text/html', 'page.html', '<meta charset="koi8-r"><p>A =D0=D2=C9</p><script>top.ran = 1</script>', 'quoted-printable').replace('charset="', 'charset=3D"')}${part('text/calendar; method=REQUEST', 'lunch.ics', event)}--x--\r\n`)
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: 'Files' }).click()
    const files = ann.locator('.files')
    await files.getByText('page.html').waitFor()
    await ann.getByText('Lunch at the lake').waitFor()
    await ann.getByText('Pier 3').waitFor()
    await files.locator('li', { hasText: 'lake.png' }).getByRole('button', { name: 'View', exact: true }).click()
    const dialog = ann.getByRole('dialog', { name: 'lake.png' })
    await until('the picture', () => dialog.locator('img').evaluate((img) => img.complete && img.naturalWidth === 10))
    assert.deepEqual(await axe(ann), [])
    await ann.keyboard.press('Escape')
    await files.locator('li', { hasText: 'list.txt' }).getByRole('button', { name: 'View', exact: true }).click()
    await ann.getByRole('dialog', { name: 'list.txt' }).getByText('bread and <b>butter</b>').waitFor()
    await ann.keyboard.press('Escape')
    // A page: made safe, in the charset that it names itself.
    await files.locator('li', { hasText: 'page.html' }).getByRole('button', { name: 'View', exact: true }).click()
    const seen = ann.getByRole('dialog', { name: 'page.html' })
    await seen.frameLocator('iframe').getByText('A при').waitFor()
    assert.deepEqual(await axe(ann), [])
    await seen.getByRole('button', { name: 'As text' }).click()
    await seen.locator('pre').getByText('<script>top.ran = 1</script>').waitFor()
    assert.equal(await seen.locator('iframe').count(), 0)
    await ann.keyboard.press('Escape')
    const [download] = await Promise.all([ann.waitForEvent('download'), files.locator('li', { hasText: 'page.html' }).getByRole('link', { name: 'Save' }).click()])
    assert.equal(download.suggestedFilename(), 'page.html')
    assert.equal(await ann.evaluate(() => globalThis.ran), undefined)
  })

  it('opens a message that came as a file, with its own files, and nothing in it runs or asks', async () => {
    const inner = `From: Dora <dora@there.test>\r\nTo: bob@here.test\r\nSubject: Inner letter\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nContent-Type: text/html\r\n\r\n<p>Inner <b>text</b></p><script>top.ran = 1</script><img src="${offices.there}/x.png" onerror="top.ran = 1">\r\n--y\r\nContent-Type: application/octet-stream; name="notes.txt"\r\nContent-Disposition: attachment; filename="notes.txt"\r\n\r\nnotes within\r\n--y\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename="inner.html"\r\n\r\n<p>A page <i>within</i></p><script>top.ran = 1</script><img src="${offices.there}/y.png" onerror="top.ran = 1">\r\n--y--\r\n`
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Passed on\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nSee within.\r\n--x\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename="inner.eml"\r\n\r\n${inner}\r\n--x--\r\n`)
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: 'Passed on' }).click()
    await ann.locator('.files li', { hasText: 'inner.eml' }).getByRole('button', { name: 'View', exact: true }).click()
    const dialog = ann.getByRole('dialog', { name: 'inner.eml' })
    await dialog.getByRole('heading', { name: 'Inner letter' }).waitFor()
    await dialog.getByText('Dora <dora@there.test>').waitFor()
    await dialog.getByText('Inner text').waitFor()
    assert.deepEqual(await axe(ann), [])
    await dialog.locator('li', { hasText: 'inner.html' }).getByRole('button', { name: 'View', exact: true }).click()
    await ann.getByRole('dialog', { name: 'inner.html' }).frameLocator('iframe').getByText('A page within').waitFor()
    await ann.keyboard.press('Escape')
    await ann.getByRole('dialog', { name: 'inner.html' }).waitFor({ state: 'detached' })
    await dialog.locator('li', { hasText: 'notes.txt' }).getByRole('button', { name: 'View', exact: true }).click()
    await ann.getByRole('dialog', { name: 'notes.txt' }).getByText('notes within').waitFor()
    await ann.keyboard.press('Escape')
    await ann.getByRole('dialog', { name: 'notes.txt' }).waitFor({ state: 'detached' })
    await ann.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    assert.equal(await ann.evaluate(() => globalThis.ran), undefined)
    assert.deepEqual(ann.asked.filter((url) => url.startsWith(offices.there)), [])
  })

  it('knows a file by its name where its message does not say what it is; takes a card to the people; saves all as one archive', async () => {
    const part = (type, name, body, encoding = '7bit') => `--x\r\nContent-Type: ${type}; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n`
    const octets = Buffer.from(Array.from({ length: 256 }, (_, n) => n))
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: All kinds: two/one\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nMany.\r\n${part('application/octet-stream', 'lake.png', PNG.toString('base64'), 'base64')}${part('application/octet-stream', 'same.bin', octets.toString('base64'), 'base64')}${part('application/octet-stream', 'same.bin', 'another')}${part('application/octet-stream', 'page.html', '<p>By its name</p><script>top.ran = 1</script>')}${part('text/x-vcard', 'zoe.vcf', 'BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Zoe Card\r\nEMAIL:zoe@there.test\r\nEND:VCARD')}--x--\r\n`)
    await ann.locator('.row', { hasText: 'All kinds' }).click()
    const files = ann.locator('.files')
    await files.locator('li', { hasText: 'lake.png' }).getByRole('button', { name: 'View', exact: true }).click()
    await until('the picture', () => ann.getByRole('dialog', { name: 'lake.png' }).locator('img').evaluate((img) => img.complete && img.naturalWidth === 10))
    await ann.keyboard.press('Escape')
    assert.equal(await files.locator('li', { hasText: 'same.bin' }).getByRole('button', { name: 'View', exact: true }).count(), 0)
    await files.locator('li', { hasText: 'page.html' }).getByRole('button', { name: 'View', exact: true }).click()
    await ann.getByRole('dialog', { name: 'page.html' }).frameLocator('iframe').getByText('By its name').waitFor()
    await ann.keyboard.press('Escape')
    const [archive] = await Promise.all([ann.waitForEvent('download'), ann.getByRole('button', { name: 'Save all' }).click()])
    assert.equal(archive.suggestedFilename(), 'All kinds twoone.zip')
    const { stdout } = await promisify(execFile)('python3', ['-c', 'import json, sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nprint(json.dumps([[i.filename, z.read(i).hex()] for i in z.infolist()]))', await archive.path()])
    const found = new Map(JSON.parse(stdout))
    assert.deepEqual([...found.keys()], ['lake.png', 'same.bin', 'same (2).bin', 'page.html', 'zoe.vcf'])
    assert.equal(found.get('lake.png'), PNG.toString('hex'))
    assert.equal(found.get('same.bin'), octets.toString('hex'))
    assert.equal(Buffer.from(found.get('same (2).bin'), 'hex').toString(), 'another')
    await files.locator('li', { hasText: 'zoe.vcf' }).getByRole('button', { name: 'Add to People' }).click()
    await ann.getByText('1 person taken in.').first().waitFor()
    await ann.locator('body').press('c')
    await ann.getByRole('combobox', { name: 'To', exact: true }).fill('zoe')
    await ann.getByRole('option', { name: 'Zoe Card zoe@there.test' }).waitFor()
    // By Escape the names go, and the letter stays.
    await ann.keyboard.press('Escape')
    await ann.getByRole('option').waitFor({ state: 'detached' })
    assert.equal(await ann.getByRole('combobox', { name: 'To', exact: true }).inputValue(), 'zoe')
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await ann.locator('.compose').waitFor({ state: 'detached' })
  })

  it('writes here to an address that stands in a text, with all that its link asks for', async () => {
    await offices.append('ann', 'From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Plain address\r\n\r\nAsk carol@there.test about it.\r\n')
    await offices.append('ann', 'From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Linked address\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p><a href="mailto:carol@there.test?cc=bob@here.test&amp;subject=C++%20%26%20more&amp;body=One%0D%0ATwo">Ask</a></p>\r\n')
    // Both, so that no row moves under the pointer any more.
    await ann.locator('.row', { hasText: 'Linked address' }).waitFor()
    await ann.locator('.row', { hasText: 'Plain address' }).click()
    await ann.locator('article').getByRole('link', { name: 'carol@there.test' }).click()
    const compose = ann.locator('.compose')
    await compose.locator('.chip', { hasText: 'carol@there.test' }).waitFor()
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await compose.waitFor({ state: 'detached' })
    await ann.locator('.row', { hasText: 'Linked address' }).click()
    await ann.frameLocator('article iframe').getByRole('link', { name: 'Ask' }).click()
    await compose.locator('.chip', { hasText: 'bob@here.test' }).waitFor()
    assert.equal(await ann.getByPlaceholder('Subject').inputValue(), 'C++ & more')
    await compose.getByRole('textbox', { name: 'Message' }).getByText('Two').waitFor()
    await ann.getByRole('button', { name: 'Throw away' }).click()
    await compose.waitFor({ state: 'detached' })
    assert.equal(ann.context().pages().length, 1)
  })

  it('turns the colours of a sender over in the dark, and keeps that; on paper all is light', async () => {
    const context = await chrome.newContext({ viewport: { width: 1360, height: 860 }, colorScheme: 'dark' })
    const dark = await page(context)
    await signIn(dark, offices.here, 'ann@here.test', offices.password('ann@here.test'))
    const html = (text) => `MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<div style="background:#fff;color:#111">${text}</div>\r\n`
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: White sheet\r\n${html('White')}`)
    await offices.append('ann', `From: Carol <carol@there.test>\r\nTo: ann@here.test\r\nSubject: Other sheet\r\n${html('Other')}`)
    await offices.append('ann', 'From: Carol <carol@there.test>\r\nTo: ann@here.test\r\nSubject: No colours\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>Bare</p>\r\n')
    const show = async (subject, text) => { await dark.locator('.row', { hasText: subject }).click(); await dark.frameLocator('article iframe').getByText(text).waitFor() }
    const isTurned = () => dark.frameLocator('article iframe').locator('html').evaluate((root) => root.classList.contains('turned'))
    // A row that moves while one presses it is not meant.
    await dark.locator('.row', { hasText: 'No colours' }).waitFor()
    await show('White sheet', 'White')
    assert.equal(await isTurned(), false)
    await dark.getByRole('toolbar', { name: 'Message' }).getByRole('button', { name: 'More' }).click()
    await dark.getByRole('menuitem', { name: 'Recolour' }).click()
    await until('it is turned over', isTurned)
    await show('Other sheet', 'Other')
    assert.equal(await isTurned(), false)
    await dark.reload()
    await show('White sheet', 'White')
    await until('it is still', isTurned)
    await dark.keyboard.press('D')
    await until('it is as it came', async () => !await isTurned())
    await show('No colours', 'Bare')
    const ink = () => dark.frameLocator('article iframe').locator('body').evaluate((body) => Math.max(...getComputedStyle(body).color.match(/\d+/g).slice(0, 3).map(Number)))
    assert.ok(await ink() > 150, String(await ink()))
    await dark.evaluate(() => { localStorage.setItem('choices', JSON.stringify({ theme: 'dark' })) })
    await dark.reload()
    await show('No colours', 'Bare')
    await dark.emulateMedia({ media: 'print' })
    await dark.evaluate(() => dispatchEvent(new Event('beforeprint')))
    assert.ok(await ink() < 100, String(await ink()))
    assert.ok(await dark.locator('article .who').evaluate((e) => Math.max(...getComputedStyle(e).color.match(/\d+/g).slice(0, 3).map(Number))) < 100)
    await dark.evaluate(() => dispatchEvent(new Event('afterprint')))
    assert.ok(await ink() > 150)
    assert.deepEqual(dark.troubles, [])
    await context.close()
  })

  it('draws a PDF page by page, and nothing in it acts', async () => {
    const printer = await chrome.newPage()
    await printer.setContent('<style>div { height: 9in; background: #d00000; color: #fff }</style><div>Timetable of the ferry</div><div style="break-before: page">Prices</div>')
    const pdf = await printer.pdf({ printBackground: true })
    await printer.close()
    const evil = `%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.launchURL\\("${offices.there}/js"\\); this.submitForm\\("${offices.there}/form"\\);) /Next << /S /URI /URI (${offices.there}/uri) >> >> >>\nendobj\n2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /AA << /O << /S /URI /URI (${offices.there}/page) >> >> >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n`
    // A green picture as JPEG 2000, whose decoder is WebAssembly.
    const green = Buffer.from('/0//UQAvAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAADBwEBBwEBBwEB/1IADAAAAAEBAAQEAAH/XAAEQED/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjD/kAAKAAAAAABAAAH/k8fUDhFQVK/fSH/fgIgRUFSv9JywPAAAAABhIS//f9+AiBFQVK/0nLA8AAAAAGEhL/9//9k=', 'base64')
    const scan = Buffer.concat([Buffer.from(`%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Resources << /XObject << /Im 4 0 R >> >> /Contents 5 0 R >>\nendobj\n5 0 obj\n<< /Length 30 >>\nstream\nq 300 0 0 200 0 0 cm /Im Do Q \nendstream\nendobj\n4 0 obj\n<< /Type /XObject /Subtype /Image /Width 16 /Height 16 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /JPXDecode /Length ${green.length} >>\nstream\n`), green, Buffer.from('\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n')])
    const file = (name, octets) => `--x\r\nContent-Type: application/pdf; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${octets.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Ferry\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nBoth.\r\n${file('ferry.pdf', pdf)}${file('evil.pdf', Buffer.from(evil))}${file('broken.pdf', Buffer.from('%PDF-1.7 and no more'))}${file('scan.pdf', scan)}--x--\r\n`)
    await ann.locator('.row', { hasText: 'Ferry' }).click()
    const view = (name) => ann.locator('.files li', { hasText: name }).getByRole('button', { name: 'View', exact: true }).click()
    await view('ferry.pdf')
    const dialog = ann.getByRole('dialog', { name: 'ferry.pdf' })
    await dialog.getByRole('img', { name: 'Timetable of the ferry' }).and(ann.locator('canvas[data-drawn]')).waitFor()
    assert.equal(await dialog.locator('canvas').count(), 2)
    const colour = await dialog.locator('canvas').first().evaluate((c) => [...c.getContext('2d').getImageData(c.width / 2, c.height / 3, 1, 1).data])
    assert.deepEqual(colour, [0xd0, 0, 0, 255])
    assert.deepEqual(await axe(ann), [])
    await dialog.locator('canvas').last().scrollIntoViewIfNeeded()
    await dialog.getByRole('img', { name: 'Prices' }).waitFor()
    await ann.screenshot({ path: join(pictures, 'pdf.png') })
    await ann.keyboard.press('Escape')
    await view('scan.pdf')
    const scanned = ann.getByRole('dialog', { name: 'scan.pdf' }).locator('canvas[data-drawn]')
    await scanned.waitFor()
    assert.deepEqual(await scanned.evaluate((c) => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]), [0, 160, 0, 255])
    await ann.keyboard.press('Escape')
    await view('evil.pdf')
    await ann.getByRole('dialog', { name: 'evil.pdf' }).locator('canvas[data-drawn]').waitFor()
    await ann.keyboard.press('Escape')
    await view('broken.pdf')
    await ann.getByRole('dialog', { name: 'broken.pdf' }).getByText('This file cannot be shown here.').waitFor()
    await ann.keyboard.press('Escape')
    assert.deepEqual(ann.asked.filter((url) => url.startsWith(offices.there)), [])
    assert.equal(ann.context().pages().length, 1)
  })

  it('plays sound, and gives a file to who drags it out', async () => {
    const samples = Buffer.alloc(8000, 128)
    const head = Buffer.from('RIFF....WAVEfmt ....................data....', 'latin1')
    head.writeUInt32LE(36 + samples.length, 4); head.writeUInt32LE(16, 16); head.writeUInt16LE(1, 20); head.writeUInt16LE(1, 22)
    head.writeUInt32LE(8000, 24); head.writeUInt32LE(8000, 28); head.writeUInt16LE(1, 32); head.writeUInt16LE(8, 34); head.writeUInt32LE(samples.length, 40)
    const wav = Buffer.concat([head, samples])
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Horn\r\nMIME-Version: 1.0\r\nContent-Type: audio/wav; name="horn: 1.wav"\r\nContent-Disposition: attachment; filename="horn: 1.wav"\r\nContent-Transfer-Encoding: base64\r\n\r\n${wav.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`)
    await ann.locator('.row', { hasText: 'Horn' }).click()
    const file = ann.locator('.files li', { hasText: 'horn' })
    await file.getByRole('button', { name: 'View', exact: true }).click()
    await until('a second of sound', () => ann.getByRole('dialog').locator('audio').evaluate((a) => Math.abs(a.duration - 1) < 0.01))
    await ann.keyboard.press('Escape')
    const dragged = await file.evaluate((li) => {
      const event = new DragEvent('dragstart', { bubbles: true, dataTransfer: new DataTransfer() })
      li.dispatchEvent(event)
      return event.dataTransfer.getData('DownloadURL')
    })
    const [, type, name, url] = /^([^:]+):([^:]+):(.*)$/.exec(dragged)
    assert.deepEqual([type, name], ['audio/wav', 'horn- 1.wav'])
    assert.deepEqual(await (await ann.request.get(url)).body(), wav)
  })

  it('shows the source of a message on the page, from its menu and from Why', async () => {
    await ann.locator('.row', { hasText: 'Horn' }).click()
    await ann.locator('.files').getByText('horn').waitFor()
    const seen = async () => {
      const dialog = ann.getByRole('dialog', { name: 'Source' })
      await dialog.getByText('Subject: Horn').waitFor()
      await dialog.getByText('Content-Type: audio/wav').waitFor()
      await ann.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
    }
    await ann.getByRole('toolbar', { name: 'Message', exact: true }).getByRole('button', { name: 'More' }).click()
    await ann.getByRole('menuitem', { name: 'Show source' }).click()
    await seen()
    await ann.locator('article').focus()
    await ann.keyboard.press('w')
    await ann.getByRole('complementary', { name: 'Why is it here?' }).getByRole('button', { name: 'Source' }).click()
    await seen()
    await ann.keyboard.press('Escape')
    await ann.getByRole('complementary', { name: 'Why is it here?' }).waitFor({ state: 'detached' })
  })

  it('prints the message alone', async () => {
    await ann.locator('.row', { hasText: 'Files' }).click()
    await ann.locator('article').getByText('See these.').waitFor()
    await ann.emulateMedia({ media: 'print' })
    for (const hidden of ['header', 'nav', '#list', '.reader .tools', '.answer']) assert.equal(await ann.locator(hidden).first().isVisible(), false, hidden)
    await ann.emulateMedia({ media: 'screen' })
    await ann.evaluate(() => { globalThis.print = () => { globalThis.printed = true } })
    await ann.getByRole('toolbar', { name: 'Message' }).getByRole('button', { name: 'More' }).click()
    await ann.getByRole('menuitem', { name: 'Print' }).click()
    await ann.waitForFunction(() => globalThis.printed)
  })

  it('names the first of many recipients, oneself before all others; the details have all', async () => {
    const many = Array.from({ length: 30 }, (_, n) => `Person ${n} <p${n}@there.test>`)
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ${many.join(',\r\n ')}, ann@here.test\r\nSubject: To everybody\r\nMessage-ID: <everybody@x>\r\n\r\nHello.\r\n`)
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: 'To everybody' }).click()
    await ann.locator('article').getByText('to me, Person 0, Person 1, Person 2, Person 3, Person 4, Person 5, Person 6 and 23 more').waitFor()
    await ann.getByRole('button', { name: 'Details' }).click()
    await ann.locator('article dd', { hasText: 'Person 29 <p29@there.test>' }).waitFor()
  })

  it('shows what is written from right to left from the right, in the list and in the message', async () => {
    const [name, subject, text] = ['שלום', 'שלום עולם!', 'זה מכתב קצר.']
    await offices.append('ann', Buffer.from(`From: =?utf-8?b?${Buffer.from(name).toString('base64')}?= <shalom@there.test>\r\nTo: ann@here.test\r\nSubject: =?utf-8?b?${Buffer.from(subject).toString('base64')}?=\r\nMessage-ID: <rtl@x>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${text}\r\nAnd English.\r\n`))
    /** Whether the last mark of a text stands left of its first letter. */
    const isTurned = (locator, of) => locator.evaluate((element, of) => {
      const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT)
      while (walk.nextNode()) {
        const from = walk.currentNode.data.indexOf(of)
        if (from < 0) continue
        const at = (i) => { const range = document.createRange(); range.setStart(walk.currentNode, i); range.setEnd(walk.currentNode, i + 1); return range.getBoundingClientRect() }
        return at(from + of.length - 1).left < at(from).left
      }
      return undefined
    }, of)
    // Drawn with the page, and by the program.
    await ann.goto(`${offices.here}/m/0/inbox`, { waitUntil: 'commit' })
    const row = ann.locator('.row', { hasText: subject })
    await row.waitFor()
    // What came with the page gives its place to the program, maybe just now.
    await until('it stands from the right', () => isTurned(row.locator('.subject'), subject))
    await stands(ann)
    assert.equal(await isTurned(row.locator('.subject'), subject), true)
    await row.click()
    await ann.locator('article').getByText('And English.').waitFor()
    for (const [place, of] of [[row.locator('.subject'), subject], [row.locator('.preview'), text], [ann.locator('.reader h1'), subject], [ann.locator('article .text'), text]]) assert.equal(await isTurned(place, of), true, of)
    assert.equal(await isTurned(ann.locator('article .text'), 'And English.'), false)
  })

  it('shows HTML that says nothing of it block by block from the side it is read, and leaves alone what does', async () => {
    const html = (id, body) => offices.append('ann', Buffer.from(`From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Sides ${id}\r\nMessage-ID: <sides${id}@x>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${body}\r\n`))
    await html(1, '<div><p>שלום עולם!</p><p>Hello world!</p><ul><li>אחת</li><li>one</li></ul><table><tr><td>תא</td><td>cell</td></tr></table></div>')
    await html(2, '<div dir="ltr"><p>שלום עולם!</p></div>')
    const sides = async (id) => {
      await ann.goto(`${offices.here}/m/0/inbox`)
      await ann.locator('.row', { hasText: `Sides ${id}` }).click()
      const frame = ann.frameLocator('article iframe')
      await frame.getByText('שלום').waitFor()
      return frame.locator('p, ul, li, td').evaluateAll((all) => all.map((one) => `${one.localName} ${getComputedStyle(one).direction}`))
    }
    assert.deepEqual(await sides(1), ['p rtl', 'p ltr', 'ul rtl', 'li rtl', 'li rtl', 'td rtl', 'td ltr'])
    assert.deepEqual(await sides(2), ['p ltr'])
  })

  it('shows over the list, not under its rows, that it has the focus', async () => {
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row').first().waitFor()
    await ann.keyboard.press('/')
    await ann.keyboard.press('ArrowDown')
    await until('the list has the focus', () => ann.evaluate(() => document.activeElement?.id === 'list'))
    const ring = await ann.locator('.around').evaluate((around) => { const { outlineWidth, outlineStyle, position, inset } = getComputedStyle(around, '::after'); return [outlineWidth, outlineStyle, position, inset] })
    assert.deepEqual(ring, ['2px', 'solid', 'absolute', '0px'])
  })

  it('fits a phone, in the dark', async () => {
    await ann.setViewportSize({ width: 390, height: 780 })
    await ann.emulateMedia({ colorScheme: 'dark' })
    await ann.goto(`${offices.here}/m/0/inbox`)
    await ann.locator('.row', { hasText: 'Welcome aboard' }).waitFor()
    await stands(ann)
    await ann.screenshot({ path: join(pictures, 'phone-dark.png') })
    assert.deepEqual(await axe(ann), [])
    assert.equal(await ann.evaluate(() => document.documentElement.scrollWidth), 390)
  })

  it('asks nobody but its own server, and leaves nothing at sign-out', async () => {
    for (const url of ann.asked) assert.match(url, new RegExp(`^(${offices.here}|blob:|data:)`))
    assert.deepEqual(ann.troubles.filter((t) => !/status of 404/.test(t)), [])
    await ann.setViewportSize({ width: 1360, height: 860 })
    await ann.getByRole('button', { name: 'Sign out' }).click()
    await ann.getByLabel('Password').waitFor()
    const left = await ann.evaluate(async () => ({ databases: (await indexedDB.databases()).map((d) => d.name), local: { ...localStorage } }))
    assert.deepEqual(left, { databases: [], local: {} })
    assert.equal((await ann.request.get(`${offices.here}/api/me`)).status(), 401)
  })
})
