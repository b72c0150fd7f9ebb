<?php
// Horde's IMAP library, driven by test_horde.py: `php horde.php PORT CERTIFICATE USER ACT`, the password on standard input.
// Each act prints what the library made of the answers, as JSON.

// The library is of before PHP 8.2. Two of its faults are gone round: with UTF8=ACCEPT it appends octets with line ends as a quoted string,
// and it ends at every answer with PARTIAL.
error_reporting(E_ALL & ~E_DEPRECATED);
spl_autoload_register(function ($class) { require str_replace(['_', '\\'], '/', $class) . '.php'; });
use Horde_Imap_Client as I;

[, $port, $certificate, $user, $act] = $argv;
$imap = new Horde_Imap_Client_Socket([
    'username' => $user, 'password' => trim(fgets(STDIN)), 'hostspec' => 'localhost', 'port' => $port, 'secure' => 'tls', 'timeout' => 20,
    'capability_ignore' => $act === 'messages' ? ['UTF8'] : [],
    // With a cache, though an empty one, it asks for what changed.
    'cache' => in_array($act, ['token', 'sync']) ? ['backend' => new Horde_Imap_Client_Cache_Backend_Null()] : [],
    'context' => ['ssl' => ['cafile' => $certificate, 'verify_peer' => true, 'verify_peer_name' => true]],
]);

function ids($ids) { return array_map('intval', $ids->ids); }

$acts = [
    // LIST-EXTENDED, LIST-STATUS, CREATE-SPECIAL-USE, CHILDREN.
    'mailboxes' => function () use ($imap) {
        $imap->createMailbox('Meeting notes', ['special_use' => [I::SPECIALUSE_FLAGGED]]);
        $imap->createMailbox('Meeting notes/2026');
        $imap->subscribeMailbox('Meeting notes/2026');
        $listed = $imap->listMailboxes('*', I::MBOX_ALL, ['attributes' => true, 'children' => true, 'special_use' => true, 'status' => I::STATUS_MESSAGES | I::STATUS_UNSEEN]);
        $shown = [];
        foreach ($listed as $name => $one) {
            $attributes = $one['attributes'];
            sort($attributes);
            $shown[$name] = [$attributes, $one['status'] ?? null];
        }
        $subscribed = array_keys($imap->listMailboxes('*', I::MBOX_SUBSCRIBED, ['recursivematch' => true]));
        return ['all' => $shown, 'subscribed' => $subscribed];
    },
    // ESEARCH, SEARCHRES, ESORT, SORT=DISPLAY, WITHIN, FUZZY, THREAD.
    'find' => function () use ($imap) {
        $query = function ($make) { $q = new Horde_Imap_Client_Search_Query(); $make($q); return $q; };
        $subject = fn($text, $fuzzy = []) => $query(fn($q) => $q->headerText('subject', $text, false, $fuzzy));
        $all = [I::SEARCH_RESULTS_MATCH, I::SEARCH_RESULTS_MIN, I::SEARCH_RESULTS_MAX, I::SEARCH_RESULTS_COUNT];
        $found = $imap->search('INBOX', $subject('a'), ['results' => $all]);
        $kept = $imap->search('INBOX', $subject('Banana'), ['results' => [I::SEARCH_RESULTS_SAVE, I::SEARCH_RESULTS_COUNT]]);
        $sizes = new Horde_Imap_Client_Fetch_Query();
        $sizes->size();
        $of_kept = $imap->fetch('INBOX', $sizes, ['ids' => $imap->getIdsOb(Horde_Imap_Client_Ids::SEARCH_RES)]);
        $sorted = $imap->search('INBOX', null, ['sort' => [I::SORT_SUBJECT], 'results' => $all]);
        $shown = $imap->search('INBOX', null, ['sort' => [I::SORT_DISPLAYFROM, I::SORT_ARRIVAL]]);
        $interval = $query(fn($q) => $q->intervalSearch(3600, Horde_Imap_Client_Search_Query::INTERVAL_YOUNGER));
        return [
            'found' => [ids($found['match']), (int)$found['min'], (int)$found['max'], (int)$found['count']],
            'kept' => [$kept['save'], (int)$kept['count'], array_map('intval', $of_kept->ids())],
            'sorted' => [ids($sorted['match']), (int)$sorted['count']], 'shown' => ids($shown['match']),
            'younger' => ids($imap->search('INBOX', $interval)['match']),
            'fuzzy' => ids($imap->search('INBOX', $subject('banana', ['fuzzy' => true]))['match']),
            'umlaut' => ids($imap->search('INBOX', $query(fn($q) => [$q->charset('UTF-8', false), $q->text('grüße')]))['match']),
            'threads' => count($imap->thread('INBOX', ['criteria' => I::THREAD_REFS])->messageList()),
        ];
    },
    // BINARY, CATENATE, MULTIAPPEND, UIDPLUS, MOVE.
    'messages' => function () use ($imap) {
        $query = new Horde_Imap_Client_Fetch_Query();
        $query->structure();
        $query->bodyPart('2', ['decode' => true, 'peek' => true]);
        $query->bodyPartSize('2');
        $first = $imap->fetch('INBOX', $query, ['ids' => $imap->getIdsOb(1)])->first();
        $status = $imap->status('INBOX', I::STATUS_UIDVALIDITY);
        $url = "/INBOX;UIDVALIDITY={$status['uidvalidity']}/;UID=1/;SECTION=HEADER";
        $made = $imap->append('Drafts', [['data' => [['t' => 'url', 'v' => $url], ['t' => 'text', 'v' => "Another body.\r\n"]], 'flags' => [I::FLAG_DRAFT]]]);
        $two = $imap->append('Drafts', [['data' => "Subject: one\r\n\r\n1\r\n", 'flags' => [I::FLAG_SEEN]], ['data' => "Subject: two\r\n\r\n2\r\n"]]);
        $moved = $imap->copy('Drafts', 'Archive', ['ids' => $imap->getIdsOb([2, 3]), 'move' => true, 'force_map' => true]);
        return [
            'decoded' => base64_encode($first->getBodyPart('2')), 'how' => $first->getBodyPartDecode('2'), 'size' => $first->getBodyPartSize('2'),
            'parts' => array_values($first->getStructure()->contentTypeMap()), 'made' => ids($made), 'two' => ids($two), 'moved' => $moved,
        ];
    },
    // METADATA, ACL, QUOTA, I18NLEVEL=2, ID, NAMESPACE.
    'facts' => function () use ($imap) {
        $imap->setMetadata('INBOX', ['/private/comment' => 'Mine, and only mine', '/shared/comment' => 'For all']);
        $imap->setMetadata('', ['/private/vendor/horde/theme' => 'dark']);
        $of_inbox = $imap->getMetadata('INBOX', ['/private/comment', '/shared/comment', '/shared/admin']);
        $of_server = $imap->getMetadata('', ['/private/vendor/horde/theme']);
        $imap->setMetadata('INBOX', ['/private/comment' => null]);
        $gone = $imap->getMetadata('INBOX', ['/private/comment']);
        $imap->setACL('INBOX', 'ann@here.test', ['rights' => 'lrs']);
        $imap->setACL('INBOX', 'ann@here.test', ['rights' => 'w', 'action' => 'add']);
        $acl = array_map(fn($acl) => strval($acl), $imap->getACL('INBOX'));
        $mine = strval($imap->getMyACLRights('INBOX'));
        $can = $imap->listACLRights('INBOX', 'ann@here.test');
        $imap->deleteACL('INBOX', 'ann@here.test');
        $comparator = $imap->getComparator();
        $imap->setComparator(['i;octet', 'i;unicode-casemap']);
        $plain = $imap->getComparator();
        return [
            'inbox' => $of_inbox, 'server' => $of_server, 'gone' => $gone, 'acl' => $acl, 'mine' => $mine,
            'may_have' => strval($can) ?: get_class($can), 'after' => array_keys($imap->getACL('INBOX')),
            'quota' => $imap->getQuotaRoot('INBOX'), 'comparators' => [$comparator, $plain], 'id' => $imap->getID()['name'] ?? null,
            'namespaces' => array_keys(iterator_to_array($imap->getNamespaces([], ['ob_return' => true]))),
        ];
    },
    // QUOTASET, QUOTA=RES-STORAGE.
    'quota' => function () use ($imap) {
        $imap->setQuota('Other Users/ann@here.test', ['STORAGE' => 5000]);
        $imap->setQuota('', ['storage' => 700]);
        return ['ann' => $imap->getQuota('Other Users/ann@here.test'), 'mine' => $imap->getQuotaRoot('INBOX'), 'announced' => $imap->capability->query('QUOTASET')];
    },
    // CONDSTORE, QRESYNC, UTF8=ACCEPT: `sync` learns what changed since a token.
    'token' => fn() => ['token' => [$imap->openMailbox('INBOX'), $imap->getSyncToken(Horde_Imap_Client_Mailbox::get('INBOX'))][1]],
    'sync' => function () use ($imap) {
        $imap->openMailbox('INBOX');
        $sync = $imap->sync(Horde_Imap_Client_Mailbox::get('INBOX'), getenv('TOKEN'));
        return ['new' => ids($sync->newmsgsuids), 'flags' => ids($sync->flagsuids), 'gone' => ids($sync->vanisheduids)];
    },
];

try {
    $answer = $acts[$act]();
    $imap->logout();
    echo json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
} catch (Throwable $e) {
    fwrite(STDERR, get_class($e) . ': ' . $e->getMessage() . (property_exists($e, 'details') ? " ($e->details)" : '') . "\n" . $e->getTraceAsString() . "\n");
    exit(1);
}
