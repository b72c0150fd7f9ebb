// Whole folders as files: out as an mbox that Python reads, or a ZIP archive, and in from an mbox that Python wrote.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { axe, browser, desktop, Offices, signIn } from './offices.mjs'

let offices, chrome, ann
before(async () => {
  [offices, chrome] = await Promise.all([Offices.open(), browser()])
  ann = await desktop(chrome)
  await signIn(ann, offices.here, 'ann@here.test', offices.password('ann@here.test'))
}, { timeout: 180_000 })
after(async () => { await chrome?.close(); await offices?.close() })

const python = (script, ...args) => execFileSync('python3', ['-c', script, ...args], { maxBuffer: 64e6 })
const settings = async () => { await ann.goto(`${offices.here}/settings/general`); await ann.getByRole('heading', { name: 'Give out a folder' }).waitFor() }
const clean = () => { assert.deepEqual(ann.troubles.splice(0), []) }
/** The flags of a mailbox by IMAP, a few at a time, as curl takes them. */
const flags = async (box, count) => {
  const pieces = []
  for (let from = 1; from <= count; from += 50) pieces.push(await offices.imap('ann', box, '-X', `FETCH ${from}:${Math.min(from + 49, count)} (FLAGS)`).catch(() => ''))
  return pieces.join('')
}
const given = async (name) => {
  const [download] = await Promise.all([ann.waitForEvent('download'), ann.getByRole('link', { name, exact: true }).click()])
  return { file: await download.path(), name: download.suggestedFilename() }
}

// Lines that an mbox must mark, octets that are no UTF-8, flags and a label; and enough for several commits.
const odd = [
  'From: Zoe <zoe@old.test>\r\nSubject: Odd lines\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\r\nFrom here on\r\n>From there\r\n\r\nFrom the end\r\n',
  Buffer.from('From: Zoe <zoe@old.test>\r\nSubject: Octets\r\n\r\nGr\xfc\xdfe\r\n', 'latin1'),
]
const many = Array.from({ length: 400 }, (_, n) => `From: Dan <dan@old.test>\r\nSubject: Letter ${n}\r\nMessage-ID: <${n}@old.test>\r\n\r\n${'Text. '.repeat(200)}\r\n`)

describe('folders as files', { timeout: 300_000 }, () => {
  it('a folder is given out as an mbox, and Python reads every message of it', async () => {
    await offices.imap('ann', '', '-X', 'CREATE Journal')
    await offices.appendAll('ann', odd, 'Journal', '\\Seen \\Flagged Travel', ['"01-Jan-2026 10:00:00 +0000"', '"02-Jan-2026 10:00:00 +0000"'].map((d) => d.slice(1, -1)))
    await offices.appendAll('ann', many, 'Journal', '')
    await settings()
    assert.deepEqual(await axe(ann), [])
    await ann.getByRole('combobox', { name: 'Folder' }).selectOption({ label: 'Journal' })
    const { file, name } = await given('As mbox')
    assert.equal(name, 'Journal.mbox')
    const read = JSON.parse(python(`
import json, mailbox, sys
box = mailbox.mbox(sys.argv[1])
print(json.dumps([{"subject": m["Subject"], "flags": m.get_flags(), "from": m.get_from(), "keywords": m["X-Keywords"], "text": m.get_payload(decode=True).decode("latin-1")} for m in box]))`, file))
    assert.equal(read.length, 402)
    assert.deepEqual([read[0].subject, read[0].flags, read[0].keywords], ['Odd lines', 'ROF', 'Travel'])
    assert.match(read[0].from, /^zoe@old\.test Thu Jan {1,2}1 10:00:00 2026$/)
    // Python takes no marks away (mboxrd has one for each line that begins so).
    assert.equal(read[0].text, '>From here on\n>>From there\n\n>From the end\n')
    assert.equal(read[1].text, 'Gr\xfc\xdfe\n')
    assert.deepEqual([read[401].subject, read[401].flags], ['Letter 399', 'O'])
    clean()
  })

  it('and as an archive with a file for each, octet for octet', async () => {
    await settings()
    await ann.getByRole('combobox', { name: 'Folder' }).selectOption({ label: 'Journal' })
    const { file, name } = await given('As ZIP')
    assert.equal(name, 'Journal.zip')
    const read = JSON.parse(python(`
import base64, json, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
print(json.dumps([[i.filename, base64.b64encode(z.read(i)).decode(), i.date_time[0]] for i in z.infolist()]))`, file))
    assert.equal(read.length, 402)
    assert.deepEqual([read[0][0], read[0][2], read[401][0]], ['000001 Odd lines.eml', 2026, '000402 Letter 399.eml'])
    assert.deepEqual(Buffer.from(read[1][1], 'base64'), odd[1])
    clean()
  })

  it('such an archive comes in again, and one that Python made', async () => {
    await settings()
    await ann.getByRole('combobox', { name: 'Folder' }).selectOption({ label: 'Journal' })
    const { file } = await given('As ZIP')
    for (const box of ['Back', 'Packed']) await offices.imap('ann', '', '-X', `CREATE ${box}`)
    const take = async (box, name, octets, said) => {
      await settings()
      await ann.getByRole('combobox', { name: 'Into' }).selectOption({ label: box })
      await ann.getByLabel('Choose files').setInputFiles({ name, mimeType: 'application/zip', buffer: octets })
      await ann.locator('.toast').getByText(said).waitFor({ timeout: 60_000 })
    }
    await take('Back', 'Journal.zip', readFileSync(file), '402 messages taken in')
    for (const uid of [1, 2, 402]) assert.equal(await offices.imap('ann', `Back;UID=${uid}`), await offices.imap('ann', `Journal;UID=${uid}`))
    await take('Back', 'Journal.zip', readFileSync(file), '0 messages taken in, 402 were here already')
    const packed = python(`
import io, sys, zipfile
out = io.BytesIO()
with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
    for n in range(50): z.writestr(f"mail/{n}.eml", f"Subject: Packed {n}\\r\\n\\r\\ntext {n}\\r\\n")
    z.writestr("mail/more.mbox", "From a@b.test Sun May 17 12:00:00 2020\\nSubject: In a box\\nStatus: RO\\n\\ntext\\n\\n")
    z.writestr("notes.txt", "no mail")
sys.stdout.buffer.write(out.getvalue())`)
    await take('Packed', 'packed.zip', packed, '51 messages taken in')
    const listed = await flags('Packed', 51)
    assert.equal((listed.match(/\\Seen/g) ?? []).length, 1)
    const bomb = python(`
import io, sys, zipfile
out = io.BytesIO()
with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z: z.writestr("bomb.eml", b"0" * 200_000_000)
sys.stdout.buffer.write(out.getvalue())`)
    await take('Packed', 'bomb.zip', bomb, 'It unpacks to more than mail does.')
    ann.troubles.splice(0)
  })

  it('an mbox that Python wrote comes in with its flags, once', async () => {
    const file = offices.file('') + '.mbox'
    python(`
import mailbox, sys
box = mailbox.mbox(sys.argv[1])
for n in range(300):
    m = mailbox.mboxMessage(f"From: Old <old@else.test>\\nSubject: Old {n}\\nMessage-ID: <o{n}@else.test>\\n\\nFrom then on\\ntext {n}\\n".encode())
    m.set_from("old@else.test", (2020, 5, 17, 12, 0, n % 60, 6, 138, 0))
    m.set_flags("RO" if n % 2 else "ROF")
    box.add(m)
box.close()`, file)
    await offices.imap('ann', '', '-X', 'CREATE Old')
    await settings()
    await ann.getByRole('combobox', { name: 'Into' }).selectOption({ label: 'Old' })
    await ann.getByLabel('Choose files').setInputFiles(file)
    await ann.locator('.toast').getByText('300 messages taken in').waitFor({ timeout: 60_000 })
    const listed = await flags('Old', 300)
    assert.equal((listed.match(/\\Seen/g) ?? []).length, 300)
    assert.equal((listed.match(/\\Flagged/g) ?? []).length, 150)
    const first = await offices.imap('ann', 'Old;UID=1')
    assert.match(first, /Subject: Old 0\r\n/)
    assert.match(first, /\r\n\r\nFrom then on\r\ntext 0\r\n/)
    assert.match(await offices.imap('ann', 'Old', '-X', 'FETCH 1 (INTERNALDATE)'), /17-May-2020 12:00:00/)
    // A second time nothing comes.
    await settings()
    await ann.getByRole('combobox', { name: 'Into' }).selectOption({ label: 'Old' })
    await ann.getByLabel('Choose files').setInputFiles(file)
    await ann.locator('.toast').getByText('0 messages taken in, 300 were here already').waitFor({ timeout: 60_000 })
    clean()
  })

  it('what is no mbox says so, and leaves nothing behind', async () => {
    await settings()
    await ann.getByRole('combobox', { name: 'Into' }).selectOption({ label: 'Old' })
    await ann.getByLabel('Choose files').setInputFiles({ name: 'picture.mbox', mimeType: 'application/mbox', buffer: Buffer.alloc(100_000, 7) })
    await ann.locator('.toast').getByText('no message begins in it').waitFor()
    assert.equal((await flags('Old', 400)).match(/FETCH/g).length, 300)
    clean()
  })

  it('a large file passes through: the server holds a few messages of it, not the file', async () => {
    const megabytes = 150
    const letter = (n) => `From old@else.test Sun May 17 12:00:00 2020\nSubject: Large ${n}\n\n${`${'x'.repeat(76)}\n`.repeat(13_600)}\n`
    const file = offices.file(Array.from({ length: megabytes }, (_, n) => letter(n)).join('')) + ''
    const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${offices.process.pid}/status`, 'utf8'))[1]) / 1024
    const before = resident()
    let most = before
    const looking = setInterval(() => { most = Math.max(most, resident()) }, 20).unref()
    const cookie = (await ann.context().cookies()).find((c) => c.name === 'packetboat')
    const { account, mailbox } = await ann.evaluate(async () => {
      const session = await (await fetch('/jmap/session', { headers: { 'X-Packetboat': '1' } })).json()
      const account = session.primaryAccounts['urn:ietf:params:jmap:mail']
      const answer = await fetch('/jmap/api', { method: 'POST', headers: { 'X-Packetboat': '1', 'Content-Type': 'application/json' }, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'], methodCalls: [['Mailbox/get', { accountId: account, ids: null }, '0']] }) })
      return { account, mailbox: (await answer.json()).methodResponses[0][1].list.find((b) => b.name === 'Old').id }
    })
    const url = `${offices.here}/api/import/${account}/${mailbox}`
    const told = JSON.parse(await offices.curl('-H', `Cookie: packetboat=${cookie.value}`, '-H', 'X-Packetboat: 1', '-H', `Origin: ${offices.here}`, '-H', 'Content-Type: application/mbox', '--data-binary', `@${file}`, '--max-time', '120', url))
    assert.deepEqual([told.imported, told.stopped], [megabytes, null])
    await offices.curl('-H', `Cookie: packetboat=${cookie.value}`, '-o', `${file}.out`, '--max-time', '120', `${offices.here}/api/export/${account}/${mailbox}`)
    clearInterval(looking)
    assert.ok(readFileSync(`${file}.out`).length > megabytes * 1_000_000)
    // Up to 94 were seen; the file would be 150 at least.
    assert.ok(most - before < 125, `${Math.round(before)} MB before, ${Math.round(most)} MB at most`)
  })
})
