// What a message may not do, in the browser itself: run, ask, mislead. And what it may once one allows it.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { axe, browser, desktop, Offices, opened, page, PNG, signIn, until } from './offices.mjs'
import { corpus, tricks } from './tricks.mjs'

let offices, chrome, ann, elsewhere, port
/** What was asked of the world outside: it should only ever be asked by the server. */
const asked = []
before(async () => {
  elsewhere = createServer((request, response) => {
    let body = ''
    request.on('data', (d) => { body += d })
    request.on('end', () => {
      asked.push({ method: request.method, url: request.url, body, headers: request.headers })
      if (request.url.startsWith('/lake.png')) response.writeHead(200, { 'Content-Type': 'image/png' }).end(PNG)
      else if (request.url.startsWith('/page.png')) response.writeHead(200, { 'Content-Type': 'image/png' }).end('<script>top.ran=1</script>')
      else if (request.url.startsWith('/leave')) response.writeHead(200).end('left')
      else response.writeHead(404).end()
    })
  })
  await new Promise((ready) => elsewhere.listen(0, '127.0.0.1', ready))
  port = elsewhere.address().port;
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  ann = await desktop(chrome)
  ann.dialogs = []
  ann.on('dialog', (d) => ann.dialogs.push(d.message()))
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close(); elsewhere?.close(); elsewhere?.closeAllConnections() })

const row = (subject) => ann.locator('.row', { hasText: subject })
const ours = () => { for (const url of ann.asked) assert.ok(url.startsWith(offices.here) || /^(blob|data):/.test(url), url) }
const html = (subject, text, more = '') => offices.submit('bob@here.test', 'ann@here.test', `From: Bob <bob@here.test>\nTo: ann@here.test\nSubject: ${subject}\n${more}MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n${text}\n`)

describe('a message', { timeout: 420_000 }, () => {
  it('shows pictures of elsewhere only when one asks, fetched by the server, and trackers never', async () => {
    await html('A lake', `<p>Look:</p><img class=lake src="http://127.0.0.1:${port}/lake.png?a=1&b=2"><img src="http://127.0.0.1:${port}/page.png"><img src="http://127.0.0.1:${port}/open.gif" width=1 height=1>`)
    await row('A lake').click()
    const frame = ann.frameLocator('article iframe')
    await frame.getByText('Look:').waitFor()
    await ann.getByText('2 pictures blocked, 1 tracker removed').waitFor()
    assert.deepEqual(asked, [])
    await ann.getByRole('button', { name: 'Show', exact: true }).click()
    await until('the picture', () => frame.locator('img').first().evaluate((img) => img.complete && img.naturalWidth === 10))
    assert.deepEqual(asked.map((a) => a.url).sort(), ['/lake.png?a=1&b=2', '/page.png'])
    for (const { headers } of asked) for (const name of ['cookie', 'referer', 'accept-language', 'sec-fetch-site']) assert.equal(headers[name], undefined, name)
    assert.match(asked[0].headers['user-agent'], /^Packetboat/)
    ours()
    ann.troubles.splice(0)
  })

  it('is left alone in one click where its list takes that', async () => {
    asked.length = 0
    await offices.submit('bob@here.test', 'ann@here.test', `From: Shop <bob@here.test>\nTo: ann@here.test\nSubject: Our news\nList-Id: <news.shop.test>\nList-Unsubscribe: <mailto:off@shop.test>, <http://127.0.0.1:${port}/leave?who=ann>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n\nBuy!\n`)
    await row('Our news').click()
    await ann.locator('article').getByText('Buy!').waitFor()
    assert.deepEqual(asked, [])
    await ann.getByRole('button', { name: 'Unsubscribe' }).click()
    await ann.locator('.toast').getByText('Unsubscribed').waitFor()
    assert.deepEqual(asked.map((a) => [a.method, a.url, a.body, a.headers['content-type']]), [['POST', '/leave?who=ann', 'List-Unsubscribe=One-Click', 'application/x-www-form-urlencoded']])
    assert.equal(asked[0].headers.cookie, undefined)
    assert.match(ann.dialogs.pop(), /Leave/)
  })

  it('from somebody new, or under a name that lies, says so', async () => {
    await offices.append('ann', 'From: "boss@corp.test" <evil@elsewhere.test>\r\nTo: ann@here.test\r\nSubject: Urgent\r\nReply-To: other@nowhere.test\r\n\r\nSend money.\r\n')
    await row('Urgent').click()
    await ann.getByText('The name says boss@corp.test, but it comes from evil@elsewhere.test.').waitFor()
    await ann.getByText('Answers go to other@nowhere.test').waitFor()
    await offices.append('ann', 'From: New <new@elsewhere.test>\r\nTo: ann@here.test\r\nSubject: Hello stranger\r\n\r\nHi.\r\n')
    await row('Hello stranger').click()
    await ann.locator('article').getByText('First message from this address.').waitFor()

    // The name of somebody one knows, in letters that look like it, from another address.
    await ann.getByRole('link', { name: 'People' }).click()
    await ann.getByLabel('Name').fill('Zoë Quill')
    await ann.getByLabel('Address').fill('zoe@here.test')
    await ann.getByRole('button', { name: 'Add', exact: true }).click()
    await ann.getByRole('link', { name: /^Inbox/ }).click()
    await offices.append('ann', 'From: =?utf-8?q?Z=D0=BEe_QUILL?= <zoe@elsewhere.test>\r\nTo: ann@here.test\r\nSubject: My new address\r\n\r\nSend money.\r\n')
    await row('My new address').click()
    await ann.locator('article .banner.bad').getByText('You know Zoë Quill as zoe@here.test. This comes from another address, zoe@elsewhere.test').waitFor()
    await offices.append('ann', 'From: =?utf-8?q?Zo=C3=AB_Quill?= <zoe@here.test>\r\nTo: ann@here.test\r\nSubject: My old address\r\n\r\nHi.\r\n')
    await row('My old address').click()
    await ann.locator('article').getByText('Hi.').waitFor()
    assert.equal(await ann.locator('article .banner').count(), 0)
  })

  it('runs nothing and asks nobody, by any of several hundred tricks', async () => {
    assert.ok(tricks.length > 300, `${tricks.length}`)
    const together = 60
    const octets = []
    const mail = (n, trick) => `From: Trick ${n} <tricks@elsewhere.test>\r\nTo: ann@here.test\r\nSubject: Tricks ${Math.floor(n / together)}\r\nDate: Sat, 28 Nov 2026 12:${String(Math.floor(n / 60)).padStart(2, '0')}:${String(n % 60).padStart(2, '0')} +0000\r\nMessage-ID: <t${n}@elsewhere.test>\r\n${n % together ? `References: <t${n - (n % together)}@elsewhere.test>\r\n` : ''}MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(`<p>Trick ${n}</p>${trick}<p>end</p>`).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`
    tricks.forEach((trick, n) => octets.push(mail(n, trick)))
    await offices.appendAll('ann', octets)
    ann.asked.length = 0
    ann.troubles.length = 0
    ann.dialogs.length = 0
    const groups = Math.ceil(tricks.length / together)
    for (let group = 0; group < groups; group++) {
      const count = Math.min(together, tricks.length - group * together)
      await ann.goto(`${offices.here}/m/0/inbox`)
      const row = ann.locator('.row', { hasText: `Tricks ${group}` })
      await row.click()
      await ann.locator('article.open').first().waitFor()
      await ann.keyboard.press(';')
      await until(`group ${group}`, () => ann.evaluate((n) => {
        const frames = [...document.querySelectorAll('article.open iframe')]
        const texts = document.querySelectorAll('article.open .body > .text').length
        return frames.length + texts === n && frames.every((f) => (f.contentDocument?.body?.childNodes.length ?? 0) > 0)
      }, count))
      const found = await ann.evaluate(() => {
        const bad = []
        for (const frame of document.querySelectorAll('article iframe')) {
          const who = frame.closest('article').querySelector('.who').textContent
          for (const e of frame.contentDocument.body.querySelectorAll('*')) {
            if (/^(script|iframe|object|embed|applet|form|base|meta|link|svg|math|template|video|audio|frame|portal)$/i.test(e.tagName)) bad.push(`${who}: ${e.tagName}`)
            for (const { name, value } of e.attributes) {
              if (/^on/i.test(name) || /^(srcdoc|formaction|ping|srcset|autofocus|contenteditable)$/i.test(name)) bad.push(`${who}: ${name}`)
              if (/^\s*(javascript|vbscript|data:text)/i.test(value.replace(/[\0-\x20]/g, ''))) bad.push(`${who}: ${name}=${value}`)
              if (/^(src|background|poster|data)$/i.test(name) && /elsewhere/.test(value)) bad.push(`${who}: ${name}=${value}`)
              if (name === 'style' && /url\(|expression|position:\s*fixed/i.test(value)) bad.push(`${who}: style=${value}`)
            }
          }
        }
        return { bad, ran: globalThis.ran === undefined ? 0 : 1, app: document.querySelectorAll('#app').length }
      })
      assert.deepEqual(found, { bad: [], ran: 0, app: 1 })
    }
    assert.deepEqual(ann.dialogs, [])
    assert.deepEqual(ann.troubles, [])
    ours()
  })

  it('has files that are pages or drawings with a script: they are saved, and never shown as they came', async () => {
    const script = `<script>top.ran = 1; try { opener.ran = 1 } catch {} new Image().src = 'http://127.0.0.1:${port}/ran'; localStorage.setItem('ran', '1')</script>`
    const html = `<!DOCTYPE html><html><body><p>A page</p>${script}<img src="http://127.0.0.1:${port}/seen.png"><form action="http://127.0.0.1:${port}/form"></form></body></html>`
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="top.ran = 1"><text y="20">A drawing</text>${script.replace(/<script>(.*)<\/script>/, '<script><![CDATA[$1]]></script>')}</svg>`
    const file = (kind, name, text) => `--x\r\nContent-Type: ${kind}; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(text).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`
    await offices.append('ann', `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Two files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nSee them.\r\n${file('text/html', 'page.html', html)}${file('image/svg+xml', 'drawing.svg', svg)}--x--\r\n`)
    asked.length = 0
    await row('Two files').click()
    await ann.locator('.files').getByText('drawing.svg').waitFor()
    assert.equal(await ann.locator('.files').getByRole('button', { name: /^View/ }).count(), 1)
    assert.equal(await ann.locator('.files img').count(), 0)
    await ann.locator('.files li', { hasText: 'page.html' }).getByRole('button', { name: 'View' }).click()
    const dialog = ann.getByRole('dialog', { name: 'page.html' })
    const inside = dialog.frameLocator('iframe')
    await inside.getByText('A page').waitFor()
    const frame = dialog.locator('iframe')
    assert.equal(await frame.getAttribute('sandbox'), 'allow-same-origin allow-popups allow-popups-to-escape-sandbox')
    assert.deepEqual(await frame.evaluate((one) => [one.contentWindow.location.pathname, one.contentDocument.querySelectorAll('script, form, img[src]').length]), ['/frame', 0])
    assert.deepEqual(await axe(ann), [])
    await dialog.getByRole('button', { name: 'As text' }).click()
    await dialog.locator('pre').getByText('<script>top.ran = 1;').waitFor()
    await dialog.getByRole('button', { name: 'As text' }).click()
    // Pressed in the frame, Escape closes what it lies in.
    await inside.getByText('A page').click()
    await ann.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    assert.equal(new URL(ann.url()).pathname.includes('/t/'), true)
    const context = ann.context()
    for (const [name, kind] of [['page.html', 'text/html'], ['drawing.svg', 'image/svg+xml']]) {
      const link = ann.locator('.files li', { hasText: name }).getByRole('link', { name: 'Save' })
      const href = offices.here + await link.getAttribute('href')
      const [saved] = await Promise.all([ann.waitForEvent('download'), link.click()])
      assert.equal(saved.suggestedFilename(), name)
      // Whatever type one asks for, and whoever leads there: a page of ours, a window of its own, a frame.
      for (const url of [href, href.replace(/type=[^&]*/, `type=${encodeURIComponent(kind)}`)]) {
        const { headers } = await ann.evaluate(async (url) => { const answer = await fetch(url); return { headers: Object.fromEntries(answer.headers) } }, url)
        assert.match(headers['content-disposition'], /^attachment/)
        assert.match(headers['content-security-policy'], /^sandbox; default-src 'none'$/)
        assert.equal(headers['x-content-type-options'], 'nosniff')
        const fresh = await context.newPage()
        const [download] = await Promise.all([fresh.waitForEvent('download'), assert.rejects(fresh.goto(url), /Download is starting/)])
        assert.equal(download.suggestedFilename(), name)
        await fresh.close()
      }
      // A browser that shows it all the same (there is no word to save it): it runs nothing, asks for nothing, and is of no place.
      const shown = await context.newPage()
      await shown.route(href, async (route) => {
        const answer = await route.fetch()
        const { 'content-disposition': _, ...headers } = answer.headers()
        await route.fulfill({ response: answer, headers: { ...headers, 'content-type': kind } })
      })
      await shown.goto(href)
      await shown.getByText(name === 'page.html' ? 'A page' : 'A drawing').waitFor()
      assert.deepEqual(await shown.evaluate(() => [globalThis.origin, globalThis.ran]), ['null', undefined])
      await shown.close()
    }
    // A page of the same kind as a blob of ours has our rules as well.
    const [blob] = await Promise.all([context.waitForEvent('page'), ann.evaluate((html) => { window.open(URL.createObjectURL(new Blob([html], { type: 'text/html' }))) }, html)])
    await blob.getByText('A page').waitFor()
    assert.equal(await blob.evaluate(() => globalThis.ran), undefined)
    await blob.close()
    assert.deepEqual(await ann.evaluate(() => [globalThis.ran, localStorage.getItem('ran')]), [undefined, null])
    assert.deepEqual(asked, [])
    ours()
    ann.troubles.splice(0)
  })

  it('has files that are pages of several hundred tricks: shown, each runs nothing and asks nobody', async () => {
    const together = 60
    const part = (trick, n) => `--x\r\nContent-Type: text/html; charset=utf-8; name="t${n}.html"\r\nContent-Disposition: attachment; filename="t${n}.html"\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(`<p>Trick ${n}.</p>${trick}`).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`
    const all = tricks.map(part)
    const groups = Array.from({ length: Math.ceil(all.length / together) }, (_, n) => all.slice(n * together, (n + 1) * together))
    await offices.appendAll('ann', groups.map((group, n) => `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Pages ${n}.\r\nMessage-ID: <pages${n}@elsewhere.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nSee them.\r\n${group.join('')}--x--\r\n`))
    ann.asked.length = ann.troubles.length = ann.dialogs.length = 0
    await ann.goto(`${offices.here}/m/0/inbox`)
    for (const [n, group] of groups.entries()) {
      await row(`Pages ${n}.`).click()
      await ann.locator('.files').getByText(`t${n * together}.html`, { exact: true }).waitFor()
      const found = await ann.evaluate(async ([first, count]) => {
        const bad = []
        const soon = async (what, of) => { for (let tries = 0; tries < 1000; tries++) { const got = of(); if (got) return got; await new Promise((go) => setTimeout(go, 10)) } throw new Error(what) }
        for (let n = first; n < first + count; n++) {
          const file = [...document.querySelectorAll('.files li')].find((one) => one.querySelector('.name').textContent === `t${n}.html`)
          file.querySelector('button.act').click()
          const body = await soon(`trick ${n}`, () => { const body = document.querySelector('dialog iframe')?.contentDocument?.body; return body?.textContent.includes(`Trick ${n}.`) && body })
          for (const e of body.querySelectorAll('*')) {
            if (/^(script|iframe|object|embed|applet|form|base|meta|link|svg|math|template|video|audio|frame|portal)$/i.test(e.tagName)) bad.push(`${n}: ${e.tagName}`)
            for (const { name, value } of e.attributes) {
              if (/^on/i.test(name) || /^(srcdoc|formaction|ping|srcset|autofocus|contenteditable)$/i.test(name)) bad.push(`${n}: ${name}`)
              if (/^\s*(javascript|vbscript|data:text)/i.test(value.replace(/[\0-\x20]/g, ''))) bad.push(`${n}: ${name}=${value}`)
              if (/^(src|background|poster|data)$/i.test(name)) bad.push(`${n}: ${name}=${value}`)
              if (name === 'style' && /url\(|expression|position:\s*fixed/i.test(value)) bad.push(`${n}: style=${value}`)
            }
          }
          document.querySelector('dialog').dispatchEvent(new Event('cancel', { cancelable: true }))
          await soon(`${n} closed`, () => document.querySelector('dialog') === null)
        }
        return { bad, ran: globalThis.ran === undefined ? 0 : 1, app: document.querySelectorAll('#app').length }
      }, [n * together, group.length])
      // A picture that lies in the page itself asks nobody.
      assert.deepEqual({ ...found, bad: found.bad.filter((one) => !/ src=data:image\/gif;base64,/.test(one)) }, { bad: [], ran: 0, app: 1 })
    }
    assert.deepEqual(ann.dialogs, [])
    assert.deepEqual(ann.troubles, [])
    ours()
  })

  it('answered, opened in the editor, and sent on, runs nothing, asks nobody and takes nothing of it along', async () => {
    const all = [...tricks, ...corpus]
    assert.ok(all.length > 600, `${all.length}`)
    const together = 60
    const groups = Array.from({ length: Math.ceil(all.length / together) }, (_, n) => all.slice(n * together, (n + 1) * together))
    // Each is a part of its own, so that none can hide in what another left open.
    const part = (trick, n) => `--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(`<p>Trick ${n}</p>${trick}`).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`
    await offices.appendAll('ann', groups.map((group, n) => `From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Quoted ${n}.\r\nMessage-ID: <q${n}@elsewhere.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n${group.map(part).join('')}--x--\r\n`))
    ann.asked.length = ann.troubles.length = ann.dialogs.length = 0
    await ann.goto(`${offices.here}/m/0/inbox`)
    /** What must not stand in a text that is edited or sent. */
    const bad = (html) => ann.evaluate((html) => {
      const found = []
      for (const e of new DOMParser().parseFromString(html, 'text/html').querySelectorAll('*')) {
        if (/^(script|style|iframe|object|embed|applet|form|input|button|base|meta|link|svg|math|template|video|audio|frame|portal)$/i.test(e.tagName)) found.push(e.tagName)
        for (const { name, value } of e.attributes) {
          if (/^on/i.test(name) || /^(srcdoc|formaction|ping|srcset|autofocus|contenteditable)$/i.test(name)) found.push(name)
          if (/^\s*(javascript|vbscript|data:text)/i.test(value.replace(/[\0-\x20]/g, ''))) found.push(`${name}=${value}`)
          if (/^(src|background|poster|data)$/i.test(name) && !/^(cid:|blob:|data:image\/(png|jpeg|gif|webp);base64,)/.test(value)) found.push(`${name}=${value}`)
          if (name === 'style' && /url\(|expression|position:\s*fixed/i.test(value.replace(/"[^"\\]*"|'[^'\\]*'/g, ''))) found.push(`style=${value}`)
        }
      }
      return found
    }, html)
    const editor = ann.getByRole('textbox', { name: 'Message' })
    for (const [n, group] of groups.entries()) {
      await row(`Quoted ${n}.`).click()
      await ann.frameLocator('article iframe').first().getByText(`Trick ${group.length - 1}`, { exact: true }).waitFor({ state: 'attached' })
      await ann.locator('article').first().focus()
      await ann.keyboard.press('r')
      await ann.locator('.compose .quoted').getByRole('button', { name: 'Edit' }).click()
      await editor.getByText(`Trick ${group.length - 1}`, { exact: true }).waitFor({ state: 'attached' })
      assert.deepEqual(await bad(await editor.innerHTML()), [], `in the editor, ${n}`)
      await ann.getByPlaceholder('Subject').fill(`Answered ${n}.`)
      await ann.keyboard.press('Control+Enter')
      await ann.locator('.compose').waitFor({ state: 'detached' })
      await ann.locator('article').first().focus()
      await ann.keyboard.press('f')
      await ann.getByRole('combobox', { name: 'To', exact: true }).fill('bob@here.test')
      await ann.getByPlaceholder('Subject').fill(`Forwarded ${n}.`)
      await ann.keyboard.press('Control+Enter')
      await ann.locator('.compose').waitFor({ state: 'detached' })
    }
    for (const [n, group] of groups.entries()) {
      for (const subject of [`Answered ${n}.`, `Forwarded ${n}.`]) {
        const { html, text } = await opened(await offices.whole('bob', subject))
        assert.deepEqual(await bad(html), [], subject)
        for (const one of [html, text]) assert.equal(one.match(/Trick \d+/g).length, group.length, `${subject}: each once`)
      }
    }
    assert.equal(await ann.evaluate(() => globalThis.ran), undefined)
    assert.deepEqual(ann.dialogs, [])
    assert.deepEqual(ann.troubles, [])
    ours()
  })
})
