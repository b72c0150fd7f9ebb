// For who works on the program: its files as they were just built, before the binary has them. All else goes to the office behind.
// `PROGRAM=web-program/dist tests/browser/run.sh` asks for it; headers are those of the office, files are compressed as they are there.
import { readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { extname, join } from 'node:path'

const KINDS = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.html': 'text/html; charset=utf-8', '.svg': 'image/svg+xml', '.png': 'image/png', '.json': 'application/json', '.woff2': 'font/woff2', '.webmanifest': 'application/manifest+json' }
/** As the office says it of files that are named by their hash: for who measures. */
const KEEPS = process.env.PROGRAM_KEPT !== undefined
const file = (dist, path) => { try { return readFileSync(join(dist, path)) } catch { return undefined } }

export async function front(dist, office) {
  const server = createServer((asked, answer) => {
    const path = new URL(asked.url, office).pathname
    const isPage = /^\/(sign-in|m|search|settings|people|wire|print)?(\/|$)/.test(path)
    const name = isPage ? '/index.html' : path
    // What the office puts into a page (who one is, the beginning of the list) comes with ours.
    const own = asked.method === 'GET' && path !== '/frame' && !/^\/(api|jmap|mail|\.well-known)\//.test(path) ? file(dist, name) : undefined
    const like = own === undefined ? asked.url : isPage ? asked.url : path === '/worker.js' ? '/worker.js' : path.startsWith('/assets/pdf.worker') ? path : '/icon.svg'
    const { 'accept-encoding': _, ...headers } = asked.headers
    const onward = request(new URL(like, office), { method: asked.method, headers: own === undefined ? asked.headers : headers }, (got) => {
      // Who comes by a name that is not ours is turned away by the office.
      if (own === undefined || got.statusCode === 421) { answer.writeHead(got.statusCode, got.headers); got.pipe(answer); return }
      if (isPage && got.headers['cache-control'] === 'no-store') {
        let whole = ''
        got.setEncoding('utf8').on('data', (data) => { whole += data }).on('end', () => {
          const first = /<script type="application\/json" id="first">.*?<\/script>/s.exec(whole)?.[0] ?? ''
          answer.writeHead(200, got.headers).end(own.toString().replace('<div id="app"></div>', () => `<div id="app"></div>${first}`))
        })
        return
      }
      got.resume()
      const packed = /\bbr\b/.test(String(asked.headers['accept-encoding'])) ? file(dist, `${name}.br`) : undefined
      const keep = KEEPS && path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache'
      answer.writeHead(200, { 'Content-Type': KINDS[extname(name)] ?? 'application/octet-stream', 'Content-Security-Policy': got.headers['content-security-policy'], 'Cache-Control': keep, Vary: 'accept-encoding', ...(packed ? { 'Content-Encoding': 'br' } : {}) }).end(packed ?? own)
    })
    onward.on('error', () => answer.destroy())
    answer.on('close', () => onward.destroy())
    asked.pipe(onward)
  })
  server.on('upgrade', (asked, socket, head) => {
    const { hostname, port } = new URL(office)
    const onward = connect(port, hostname, () => {
      onward.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${asked.rawHeaders.map((one, n) => (n % 2 === 0 ? `${one}: ` : `${one}\r\n`)).join('')}\r\n`)
      onward.write(head)
      onward.pipe(socket).pipe(onward)
    })
    onward.on('error', () => socket.destroy())
    socket.on('error', () => onward.destroy())
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  server.unref()
  return `http://127.0.0.1:${server.address().port}`
}
