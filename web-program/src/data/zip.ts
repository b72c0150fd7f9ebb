// Files as one archive (ZIP, stored as they are): what a browser has to make by itself, for it saves one file at a time.

export interface Entry { name: string; octets: Uint8Array<ArrayBuffer> }

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => { for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n })
function crc32(octets: Uint8Array): number {
  let sum = 0xffffffff
  for (const one of octets) sum = (TABLE[(sum ^ one) & 0xff] ?? 0) ^ (sum >>> 8)
  return (sum ^ 0xffffffff) >>> 0
}

/** Names as every system takes them, each once. */
export function names(wanted: readonly string[]): string[] {
  const taken = new Set<string>()
  return wanted.map((name) => {
    const clean = name.replace(/[\0-\x1f<>:"/\\|?*]+/g, '_').replace(/^\.+/, '_').slice(-150) || 'file'
    const [, stem = clean, end = ''] = /^(.+?)(\.[^.]*)?$/.exec(clean) ?? []
    let own = clean
    for (let n = 2; taken.has(own.toLowerCase()); n++) own = `${stem} (${n})${end}`
    taken.add(own.toLowerCase())
    return own
  })
}

const dos = (at: Date): [number, number] => [(at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1), ((Math.max(1980, at.getFullYear()) - 1980) << 9) | ((at.getMonth() + 1) << 5) | at.getDate()]

/** Numbers of two and four octets, the lowest first; a length of two is told by `[n]`. */
function head(...numbers: (number | [number])[]): Uint8Array<ArrayBuffer> {
  const out = new DataView(new ArrayBuffer(numbers.reduce<number>((n, one) => n + (typeof one === 'number' ? 4 : 2), 0)))
  let at = 0
  for (const one of numbers) { if (typeof one === 'number') { out.setUint32(at, one, true); at += 4 } else { out.setUint16(at, one[0], true); at += 2 } }
  return new Uint8Array(out.buffer)
}

export function zip(files: readonly Entry[], now: Date): Blob {
  const [time, date] = dos(now)
  const body: BlobPart[] = [], index: BlobPart[] = []
  let offset = 0, size = 0
  const own = names(files.map((f) => f.name))
  for (const [n, { octets }] of files.entries()) {
    const name = new TextEncoder().encode(own[n])
    // Version 2.0; bit 11: the name is UTF-8; stored.
    const same = [[20], [0x800], [0], [time], [date], crc32(octets), octets.length, octets.length, [name.length], [0]] as (number | [number])[]
    const front = head(0x04034b50, ...same)
    body.push(front, name, octets)
    index.push(head(0x02014b50, [20], ...same, [0], [0], [0], 0, offset), name)
    size += 46 + name.length
    offset += front.length + name.length + octets.length
  }
  return new Blob([...body, ...index, head(0x06054b50, [0], [0], [files.length], [files.length], size, offset, [0])], { type: 'application/zip' })
}
