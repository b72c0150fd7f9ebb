// What comes into an editor, by whatever way: nothing runs, nothing is fetched, and fonts and sizes stay behind.

import type DOMPurify from 'dompurify'

export function clean(purify: typeof DOMPurify, html: string): DocumentFragment {
  const made = purify.sanitize(html, { RETURN_DOM_FRAGMENT: true, FORBID_TAGS: ['style', 'form', 'input', 'button', 'iframe', 'svg', 'math', 'video', 'audio'], FORBID_ATTR: ['class', 'id', 'name'], ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|tel:|cid:|blob:)/i })
  // What is pasted fetches nothing: pictures of elsewhere are left out. Fonts and sizes stay behind as well.
  for (const img of made.querySelectorAll('img')) if (!/^(cid:|blob:|data:image\/(png|jpeg|gif|webp);base64,)/i.test(img.getAttribute('src') ?? '')) img.remove()
  for (const e of made.querySelectorAll<HTMLElement>('[style]')) for (const name of ['font-family', 'font-size', 'line-height', 'color', 'background', 'background-color', 'margin', 'padding']) e.style.removeProperty(name)
  return document.importNode(made, true)
}
