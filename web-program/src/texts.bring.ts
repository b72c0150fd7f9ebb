// The words of "Bring your mail": a page that few open often, so they come with it.

const plural = (n: number, one: string, many: string): string => `${n.toLocaleString()} ${n === 1 ? one : many}`

export const bring = {
  title: 'Bring your mail',
  intro: 'Bring the mail of an account elsewhere here, with its folders, flags and labels. Nothing is changed or deleted there.',
  steps: ['Address', 'Server', 'Look first', 'Bring it'], stepOf: (n: number, all: number) => `Step ${n} of ${all}`,
  address: 'Your old address', find: 'Find its servers', finding: 'Looking for its servers', byHand: 'Type the servers by hand',
  found: (how: string) => `Found: ${how}`, notFound: 'No server was found. Your old provider tells its names; type them here.', how: 'What was looked at',
  outside: (host: string) => `${host} lies outside the domain of the address, and only DNS says that it is the right one. Go on only if you know it.`,
  protocol: 'Kind', protocols: { imaps: 'IMAP, TLS', imap: 'IMAP, STARTTLS', pop3s: 'POP3, TLS', pop3: 'POP3, STARTTLS' } as Record<string, string>, pop: 'By POP3 only the inbox can be brought, without flags and folders.',
  host: 'Server', port: 'Port', sending: 'Server for sending', sendingNone: 'none: nothing is sent as the old address', sendings: { '': 'None', smtps: 'TLS', smtp: 'STARTTLS' } as Record<string, string>, sendKind: 'Sending',
  login: 'User name there', password: 'Password there', passwordText: 'It goes to the old server only. If you keep collecting it is kept here, sealed, until you remove the link.',
  way: 'Sign in with', ways: { password: 'A password', token: 'A token (OAuth), with a client id of your own' } as Record<string, string>,
  clientId: 'Client id', clientSecret: 'Client secret, if the provider gave one', tokenText: 'Register a program at the provider, one that may sign in by a code (device flow), and put its client id here. Your password never comes here: you type a code on the provider\'s own page. The token is kept here, sealed, until you remove the link.',
  issuer: 'Issuer: the address under which the provider describes itself', deviceUrl: 'Or its address for codes', tokenUrl: 'and its address for tokens', scope: 'Scope: what mail needs there', provider: 'Where the provider gives out tokens', providerText: 'Google and Microsoft are known. Others tell these in their help for programs; the issuer is enough for most.',
  askCode: 'Get a code', asking: 'Asking the provider', typeCode: 'Type this code on the provider\'s page', openPage: 'Open the page', waitingCode: 'Waiting until the code is typed', cancel: 'Cancel', signAgain: 'Sign in again',
  appPassword: 'Most large providers want an app password: one made for this, not your own. ', where: 'Where to make one',
  look: 'Look first', looking: 'Looking; nothing is fetched or changed', back: 'Back',
  folder: 'Folder', messages: (n: number) => plural(n, 'message', 'messages'), newest: 'Newest', empty: 'empty', all: 'All folders', chosen: (folders: number, messages: number) => `${plural(folders, 'folder', 'folders')}, ${plural(messages, 'message', 'messages')}`,
  calledHere: (name: string) => `here: ${name}`,
  collect: 'Keep collecting: new mail there comes here too', sendAs: (address: string) => `Answer as ${address}: mail as it goes out by its own server`, noSendAs: (address: string) => `Without a server for sending, nothing can be sent as ${address} from here.`,
  go: 'Bring it here', going: 'Signing in',
  linked: 'Old accounts', none: 'No old account is linked.', another: 'Bring another account',
  states: { bringing: 'Bringing', collecting: 'Collecting', retrying: 'Waiting to try again', done: 'Everything is here', stopped: 'Stopped', failed: 'Stopped by a problem' } as Record<string, string>,
  progress: (done: number, total: number, folder: string) => `${done.toLocaleString()} of ${total.toLocaleString()}${folder ? `, ${folder}` : ''}`, imported: (n: number) => `${plural(n, 'message', 'messages')} brought`, looked: (at: string) => `looked ${at}`,
  sends: 'you can answer as it', bad: (n: number) => `${plural(n, 'message', 'messages')} could not be taken`,
  stop: 'Stop', resume: 'Go on', now: 'Look now', again: 'Bring again', remove: 'Remove', removeSure: (address: string) => `Remove the link to ${address}? What was brought stays here.`, newPassword: 'Password there, if it has changed',
}

/** What large providers ask for, by the domain of the address or the server's name. */
interface Help { of: RegExp; text: string; url: string }

const PROVIDERS: Help[] = [
  { of: /(^|\.)(gmail|googlemail|google)\.com$/, text: 'Google: switch on 2-Step Verification, then make an app password of 16 letters. By a code (device flow) it gives out no tokens for mail.', url: 'https://myaccount.google.com/apppasswords' },
  { of: /(^|\.)(icloud|me|mac)\.com$|(^|\.)mail\.me\.com$/, text: 'Apple: sign in to your Apple Account, then App-Specific Passwords.', url: 'https://account.apple.com/account/manage' },
  { of: /(^|\.)(yahoo|ymail|rocketmail)\.[a-z.]+$|(^|\.)aol\.com$/, text: 'Yahoo and AOL: Account Security, then Generate app password.', url: 'https://login.yahoo.com/account/security' },
  { of: /(^|\.)(outlook|hotmail|live|msn)\.[a-z.]+$|(^|\.)office365\.com$/, text: 'Microsoft takes no passwords from mail programs any more, only tokens: register a program there that may sign in by a code, and put its client id here.', url: 'https://support.microsoft.com/office/pop-imap-and-smtp-settings-for-outlook-com-d088b986-291d-42b8-9564-9c414e2aa040' },
  { of: /(^|\.)(gmx|web)\.(de|net|com|at|ch)$/, text: 'GMX and WEB.DE: first allow POP3 and IMAP in the settings there; with a second factor, make a password for programs.', url: 'https://hilfe.gmx.net/pop-imap/einschalten.html' },
  { of: /(^|\.)fastmail\.(com|fm)$|(^|\.)messagingengine\.com$/, text: 'Fastmail: Settings, Privacy and Security, App passwords.', url: 'https://app.fastmail.com/settings/security/apps' },
  { of: /(^|\.)zoho\.(com|eu|in)$/, text: 'Zoho: switch on IMAP in the settings; with a second factor, make an app password.', url: 'https://accounts.zoho.com/home#security/app_password' },
  { of: /(^|\.)(proton|protonmail)\.[a-z]+$/, text: 'Proton has no IMAP of its own: its Bridge runs on your computer, so export from there instead.', url: 'https://proton.me/support/export-emails-import-export-app' },
]

/** Does this provider take nothing but tokens? */
export const wantsToken = (address: string, host: string): boolean => /microsoft/.test(helpFor(address, host)?.url ?? '')

export function helpFor(address: string, host: string): Help | undefined {
  const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase()
  return PROVIDERS.find((p) => p.of.test(domain) || p.of.test(host.toLowerCase()))
}
