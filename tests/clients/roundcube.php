<?php
// Roundcube's IMAP client (Debian's roundcube-core), driven by test_roundcube.py: `php roundcube.php PORT CERTIFICATE USER ACT`, the
// password on standard input. Each act prints what it made of the answers, as JSON.

error_reporting(E_ALL & ~E_DEPRECATED);
require '/usr/share/roundcube/program/lib/Roundcube/rcube_imap_generic.php';

[, $port, $certificate, $user, $act] = $argv;
$imap = new rcube_imap_generic();
$password = rtrim(fgets(STDIN), "\n");
$connected = $imap->connect('localhost', $user, $password, [
    'port' => $port, 'ssl_mode' => 'tls', 'timeout' => 20, 'auth_type' => $act === 'literals' ? 'IMAP' : null,
    'socket_options' => ['ssl' => ['cafile' => $certificate, 'verify_peer' => true, 'verify_peer_name' => true]],
]);

$acts = [
    // LIST-MYRIGHTS (with STATUS beside it this version trips over itself).
    'rights' => fn() => $imap->listMailboxes('', '*', ['MYRIGHTS']),
    // LITERAL- before it is signed in.
    'literals' => fn() => array_keys($imap->status('INBOX', ['MESSAGES'])),
];

if (!$connected) {
    fwrite(STDERR, "not connected: {$imap->error}\n");
    exit(1);
}
$answer = $acts[$act]();
$imap->closeConnection();
echo json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
