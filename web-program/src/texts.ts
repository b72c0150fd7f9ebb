// Every text of the program, in one place: another language is another file of this shape.

const plural = (n: number, one: string, many: string): string => `${n.toLocaleString()} ${n === 1 ? one : many}`

export const t = {
  name: 'Packetboat',
  roles: { inbox: 'Inbox', drafts: 'Drafts', sent: 'Sent', archive: 'Archive', junk: 'Spam', trash: 'Deleted', all: 'All mail', flagged: 'Starred', important: 'Important', snoozed: 'Later', scheduled: 'Scheduled' } as Record<string, string>,
  signIn: { title: 'Sign in', address: 'Address', password: 'Password', code: '6-digit code', haveCode: 'I have a 6-digit code', go: 'Sign in', wrong: 'Address or password is not right.', wait: (s: number) => `Too many tries. Try again in ${plural(s, 'second', 'seconds')}.`, noServer: 'The server does not answer.', expired: 'You were signed out. What you wrote is kept.' },
  nav: { label: 'Mailboxes', write: 'Write', settings: 'Settings', people: 'People', signOut: 'Sign out', keys: 'Keys', folderNew: 'New folder', search: 'Search', mail: 'Mail', menu: 'Mailboxes', wire: 'Wire' },
  skip: { list: 'Skip to the list', reader: 'Skip to the message' },
  line: { live: 'live', connecting: 'connecting', offline: (at: string, n: number) => n > 0 ? `Offline since ${at}, ${n} waiting` : `Offline since ${at}` },
  list: {
    label: 'Messages', all: 'All', unread: 'Unread', files: 'Files', starred: 'Starred', none: 'No subject', nobody: '(nobody)', draft: 'Draft',
    empty: 'Nothing here.', emptyInbox: 'Nothing new. All read and answered.', emptySearch: 'Nothing matches.', write: 'Write a message', count: (n: number) => plural(n, 'message', 'messages'), conversations: (n: number) => plural(n, 'conversation', 'conversations'),
    selected: (n: number) => `${n} selected`, selectAll: 'Select all', clear: 'Clear', refused: 'The list could not be loaded.', retry: 'Retry', row: (unread: boolean, from: string, subject: string, at: string, n: number, file: boolean, star: boolean) =>
      [unread ? 'Unread' : '', from, subject, at, n > 1 ? `${n} messages` : '', star ? 'starred' : '', file ? 'with file' : ''].filter((s) => s !== '').join(', '),
    yesterday: 'Yesterday', flat: 'Single messages', threads: 'Conversations',
  },
  act: {
    archive: 'Archive', delete: 'Delete', spam: 'Spam', notSpam: 'Not spam', move: 'Move to', label: 'Label', snooze: 'Later', star: 'Star', unstar: 'Remove star', read: 'Mark read', unread: 'Mark unread', reply: 'Reply', replyAll: 'Reply all', forward: 'Forward', print: 'Print', source: 'Show source', save: 'Save as file', more: 'More', close: 'Close', back: 'Back', next: 'Next', previous: 'Previous', undo: 'Undo', destroy: 'Delete for ever', why: 'Why is it here?', mute: 'Mute', pin: 'Pin', redirect: 'Redirect', forwardAttached: 'Forward as attachment', block: 'Block sender', select: 'Select', empty: 'Empty', rename: 'Rename', remove: 'Remove',
  },
  done: {
    archived: (n: number) => `${plural(n, 'message', 'messages')} archived`, deleted: (n: number) => `${plural(n, 'message', 'messages')} deleted`, destroyed: (n: number) => `${plural(n, 'message', 'messages')} deleted for ever`, moved: (n: number, to: string) => `${plural(n, 'message', 'messages')} moved to ${to}`, spam: (n: number) => `${plural(n, 'message', 'messages')} marked as spam`, notSpam: (n: number) => `${plural(n, 'message', 'messages')} back in the inbox`, starred: 'Starred', unstarred: 'Star removed', read: 'Marked read', unread: 'Marked unread', labelled: (l: string) => `Labelled ${l}`, unlabelled: (l: string) => `Label ${l} removed`, snoozed: (at: string) => `Back ${at}`, undone: 'Undone', nothing: 'Nothing to undo', refused: (why: string) => `Not done: ${why}`, sending: 'Sending', sent: 'Sent', cancelled: 'Not sent. It is a draft again.', tooLate: 'It has already been sent.', waiting: 'Will be sent when the network is back.', scheduled: (at: string) => `Will be sent ${at}`, draftDropped: 'Draft thrown away', saved: 'Saved', pinned: 'Pinned', unpinned: 'No longer pinned', muted: 'Muted: answers go past the inbox', unmuted: 'No longer muted', blocked: (who: string) => `${who} is blocked`, unsubscribed: 'Unsubscribed',
  },
  reader: {
    label: 'Message', none: 'Choose a message to read it here.', to: 'to', me: 'me', cc: 'Cc', from: 'From', toLabel: 'To', date: 'Date', details: 'Details', pictures: (n: number) => `${plural(n, 'picture', 'pictures')} blocked`, show: 'Show', always: 'Always from this sender', trackers: (n: number) => `${plural(n, 'tracker', 'trackers')} removed`, attachments: (n: number) => plural(n, 'file', 'files'), view: 'View', save: 'Save', quoted: 'Show quoted text', hide: 'Hide quoted text', frame: (who: string) => `Message from ${who}`, messages: (n: number) => plural(n, 'message', 'messages'), openAll: 'Open all', loading: 'Loading', offline: 'This message is not kept on this device, and there is no network.', gone: 'This message is gone.', first: 'First message from this address.', forged: (name: string, email: string) => `The name says ${name}, but it comes from ${email}.`, replyTo: (email: string) => `Answers go to ${email}, another place than where it comes from.`, unsubscribe: 'Unsubscribe', recolour: 'Recolour', original: 'Original colours',
  },
  compose: {
    title: 'New message', from: 'From', to: 'To', cc: 'Cc', bcc: 'Bcc', subject: 'Subject', body: 'Message', send: 'Send', later: 'Send later', attach: 'Attach', discard: 'Throw away', saved: (at: string) => `Saved ${at}`, saving: 'Saving', local: 'Kept on this device', wrote: (who: string, at: string) => `${who} wrote on ${at}:`, forwarded: 'Forwarded message', quote: 'Quoted text', edit: 'Edit', removeQuote: 'Leave out', noRecipient: 'Who is it for?', badAddress: (a: string) => `${a} is not an address.`, noSubject: 'Send without a subject?', missing: 'The text speaks of a file, and none is attached. Send all the same?', uploading: 'Send waits for the files.', tooLarge: (name: string, mb: number, max: number) => `${name}: ${mb} MB, more than ${max} MB`, drop: 'Drop files here', bold: 'Bold', italic: 'Italic', underline: 'Underline', link: 'Link', bullets: 'List', numbers: 'Numbered list', quoteBlock: 'Quote', clearFormat: 'No format', picture: 'Picture', remove: (name: string) => `Remove ${name}`, retry: 'Try again', undoSend: 'Undo', minimise: 'Minimise', full: 'Full height', when: 'When?', whenHint: 'tomorrow 8, mon 9:30, in 2h', linkTo: 'Link to', plain: 'Plain text', rich: 'Rich text',
  },
  search: { label: 'Search mail', hint: 'Search  /', clear: 'Clear', results: (n: number) => plural(n, 'result', 'results'), people: 'People', remove: (chip: string) => `Remove ${chip}`, offline: 'Searching what is kept on this device' },
  keys: {
    title: 'Keys', close: 'Close', groups: { move: 'Move', act: 'Act', write: 'Write', show: 'Show' },
    names: { j: 'Next', k: 'Previous', o: 'Open', u: 'Back to the list', n: 'Next message in the conversation', p: 'Previous message in the conversation', g: 'Go to mailbox', '/': 'Search', e: 'Archive', '#': 'Delete', '!': 'Spam', z: 'Undo', s: 'Star', x: 'Select', J: 'Select and next', K: 'Select and previous', v: 'Move to', l: 'Label', b: 'Later', m: 'Mute', I: 'Mark read', U: 'Mark unread', r: 'Reply', a: 'Reply all', f: 'Forward', c: 'Write', P: 'Show pictures', D: 'Recolour', w: 'Why?', W: 'Wire', ';': 'Open all', '?': 'Keys', '[': 'Archive and previous', ']': 'Archive and next' } as Record<string, string>,
  },
  palette: { label: 'Commands', hint: 'What do you want to do?', none: 'No such command', goTo: (name: string) => `Go to ${name}`, theme: 'Dark or light', layout: (name: string) => `Reader ${name}`, density: (name: string) => `Rows: ${name}` },
  pick: { move: 'Move to', go: 'Go to', label: 'Label', create: (name: string) => `Create ${name}`, none: 'No mailbox of this name' },
  snooze: { title: 'Later', evening: 'This evening', tomorrow: 'Tomorrow morning', weekend: 'At the weekend', week: 'Next week', own: 'Another time' },
  why: { title: 'Why is it here?', none: 'Nothing is recorded for this message.', checks: 'What was checked', unchecked: 'No checks are recorded in it: it was written on this server, or came before checks were made.', returnPath: 'Errors go to', list: 'Mailing list', raw: 'Source' },
  people: { find: 'Find', name: 'Name', add: 'Add', none: 'Nobody yet. Whom you write to appears here.', load: 'Import vCard', save: 'Export vCard', taken: (n: number) => `${plural(n, 'person', 'people')} taken in` },
  route: { queued: 'Waiting', delivered: 'Delivered', failed: 'Failed', sending: 'On its way', pending: 'Not sent yet' },
  error: { title: 'That did not work.', reload: 'Reload' },
  settings: {
    pages: { general: 'General', identities: 'Names and signatures', vacation: 'Away', sessions: 'Signed in' }, theme: 'Colours', themes: { system: 'As the system', light: 'Light', dark: 'Dark' }, rows: 'Rows of the list', densities: { full: 'Three lines', compact: 'One line' },
    reader: 'Message', readers: { right: 'Beside the list', off: 'In place of the list' }, undo: 'Time to take back a message', seconds: (n: number) => n === 0 ? 'None' : plural(n, 'second', 'seconds'), keys: 'One-key commands', name: 'Name', signature: 'Signature', save: 'Save',
    notify: 'Tell me of new mail', away: 'Answer for me while I am away', awaySubject: 'Subject', awayText: 'Text', awayFrom: 'From', awayTo: 'Until', noVacation: 'This server does not answer for you.', current: 'this one', lastUsed: (at: string) => `last used ${at}`, revoke: 'Sign out there', revokeOthers: 'Sign out everywhere else',
    importTitle: 'Take in messages', importText: 'Files of single messages (.eml) go into the inbox.', importGo: 'Choose files', imported: (n: number) => `${plural(n, 'message', 'messages')} taken in`,
  },
  folder: { name: 'Name of the folder', create: 'Create', under: 'Under', renameTo: 'New name', emptySure: (n: number) => `Delete ${plural(n, 'message', 'messages')} for ever?`, removed: 'Folder removed' },
}
