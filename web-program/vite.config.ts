import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig, type Plugin } from 'vite'

// The icons of Phosphor (MIT) that the program shows, as paths: outline, and filled for "on".
const ICONS = {
  inbox: 'tray', inboxes: 'stack', drafts: 'pencil-simple', sent: 'paper-plane-tilt', archive: 'archive', junk: 'warning-octagon', trash: 'trash', folder: 'folder', later: 'clock', star: 'star', write: 'note-pencil',
  search: 'magnifying-glass', settings: 'gear-six', people: 'users', close: 'x', back: 'arrow-left', reply: 'arrow-bend-up-left', 'reply-all': 'arrow-bend-double-up-left', forward: 'arrow-bend-up-right',
  more: 'dots-three', file: 'paperclip', label: 'tag', move: 'folder-simple', unread: 'envelope-simple', read: 'envelope-simple-open', undo: 'arrow-counter-clockwise', menu: 'list', keys: 'keyboard',
  bold: 'text-b', italic: 'text-italic', underline: 'text-underline', link: 'link-simple', bullets: 'list-bullets', numbers: 'list-numbers', quote: 'quotes', plain: 'text-aa', picture: 'image', down: 'caret-down',
  right: 'caret-right', left: 'caret-left', up: 'caret-up', minimise: 'minus', warn: 'warning', ok: 'check', print: 'printer', why: 'question', mail: 'envelope', wire: 'broadcast', 'sign-out': 'sign-out', plus: 'plus', pin: 'push-pin', mute: 'bell-slash', download: 'download-simple', eye: 'eye', route: 'path', sort: 'sort-descending',
}

function icons(): Plugin {
  const id = 'virtual:icons'
  const root = fileURLToPath(new URL('./node_modules/@phosphor-icons/core/assets', import.meta.url))
  const path = (file: string): string => {
    const inside = /<svg[^>]*>(.*)<\/svg>/s.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
    return [...inside.matchAll(/<path d="([^"]+)"/g)].map((m) => m[1]).join('')
  }
  return {
    name: 'icons',
    resolveId(source) { return source === id ? `\0${id}` : undefined },
    load(source) {
      if (source !== `\0${id}`) return undefined
      const filled = new Set(['star', 'pin'])
      const entries = Object.entries(ICONS).map(([name, of]) => [name, [path(`${root}/regular/${of}.svg`), filled.has(name) ? path(`${root}/fill/${of}-fill.svg`) : '']])
      return `export const icons = ${JSON.stringify(Object.fromEntries(entries))}`
    },
  }
}

/**
 * The page names the files of the program as well: they come while the door, which asks for them, is still on its way. Marked `data-later`
 * are those that the rows which come with a page do not need (`crates/web/src/program/first.rs` leaves them out there).
 */
function early(): Plugin {
  return {
    name: 'early',
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        const chunks = Object.values(bundle ?? {}).filter((one) => one.type === 'chunk')
        const wanted = new Set<string>()
        const styles = new Map<string, boolean>()
        const add = (name: string): void => { if (!wanted.has(name)) { wanted.add(name); for (const next of chunks.find((one) => one.fileName === name)?.imports ?? []) add(next) } }
        for (const one of chunks) if (/\/src\/(door|program)\.ts$/.test(one.facadeModuleId ?? '')) add(one.fileName)
        // The rows that come with the page look as the program's own do; and nobody waits for the looks of what is there.
        for (const one of chunks) if (wanted.has(one.fileName)) for (const css of (one as { viteMetadata?: { importedCss: Set<string> } }).viteMetadata?.importedCss ?? []) styles.set(css, /\/src\/program\.ts$/.test(one.facadeModuleId ?? ''))
        const link = (rel: string, name: string, isLater: boolean) => ({ tag: 'link', attrs: { rel, crossorigin: true, href: `/${name}`, ...(isLater ? { 'data-later': true } : {}) }, injectTo: 'head' as const })
        const looks = [...styles].filter(([name]) => !html.includes(name)).map(([name, isOfRows]) => link('stylesheet', name, !isOfRows))
        return [...looks, ...[...wanted].filter((name) => !html.includes(name)).map((name) => link('modulepreload', name, true))]
      },
    },
  }
}

/** Each file compressed once, here, and not at every request. */
function compressed(): Plugin {
  const root = fileURLToPath(new URL('./dist', import.meta.url))
  return {
    name: 'compressed',
    closeBundle() {
      for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
        if (!/\.(m?js|css|html|json|svg|webmanifest)$/.test(name)) continue
        const plain = readFileSync(`${root}/${name}`)
        const brotli = brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } })
        if (brotli.length >= plain.length) continue
        writeFileSync(`${root}/${name}.br`, brotli)
        writeFileSync(`${root}/${name}.gz`, gzipSync(plain, { level: 9 }))
      }
    },
  }
}

/** What the service worker keeps is of one version: its name is that of the page and of the list of files, which name all others by their hash. */
function version(): string {
  const hash = createHash('sha256')
  for (const name of ['index.html', 'files.json']) hash.update(readFileSync(fileURLToPath(new URL(`./dist/${name}`, import.meta.url))))
  return hash.digest('hex').slice(0, 16)
}

// The service worker is a second build: one file, named without a hash, next to the others.
export default defineConfig(({ mode }) => mode === 'worker'
  ? { plugins: [compressed()], publicDir: false, define: { VERSION: JSON.stringify(version()) }, build: { outDir: 'dist', emptyOutDir: false, lib: { entry: 'src/worker.ts', formats: ['es'], fileName: () => 'worker.js' }, target: 'es2022' } }
  : {
      // Classes by name: what is drawn before the program is there (`src/view/first.ts`) has the same.
      plugins: [svelte({ compilerOptions: { cssHash: ({ name }) => `s-${name}` } }), icons(), early()],
      build: { target: ['chrome123', 'firefox121', 'safari17.5'], assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false, manifest: 'files.json' },
      test: { include: ['tests/**/*.test.ts'] },
    } as never)
